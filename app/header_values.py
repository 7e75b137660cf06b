"""How the values of our own response headers are written, and the names that more than one module needs."""

from typing import Final
from urllib.parse import quote

UPSTREAM_REQUEST_ID: Final = "x-thriftgate-upstream-request-id"

_SAFE: Final = " !#$&'()*+,-./:;<=>?@[]^_`{|}~"


def header_value(text: str) -> str:
    """Names may be in any script, header values are printable ASCII: the rest is percent-encoded."""
    return text if text.isascii() and text.isprintable() else quote(text, safe=_SAFE)
