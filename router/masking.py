"""What a provider's words must not repeat to clients: our credentials, and the address where we reach it.

Pure. Other addresses stay: a link to the provider's documentation helps whoever reads the error.
"""

import re
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

MASK: Final = "***"
_LEAST_SECRET: Final = 8
"""Shorter pieces of a credential are words like any other."""

# Bounded or anchored everywhere, so that a long text costs no more than its length.
_SCHEME: Final = r"\b[a-z]{2,8}://(?:[^\s/@]{0,512}@)?"
_START: Final = r"(?:(?<![\w.-])|(?<=%2f)|(?<=%40))"
_END: Final = r"(?![\w-]|\.\w)"
_PORT: Final = r"(?::|%3a)\d{1,5}\b"
_PATH: Final = r"""(?:(?:[/?#]|%2f)[^\s"'`<>()\[\]{}\\,;]*(?<![.:!]))?"""


def masked(base_url: str, credentials: str | None) -> Callable[[str], str]:
    """Masks in a text the host of this URL, with the scheme and port around it and the path behind it, and each part
    of the credentials: an id, a secret, a token."""
    secrets = [part for part in re.split("[: ]", credentials or "") if len(part) >= _LEAST_SECRET]
    address = _address(base_url)

    def mask(text: str) -> str:
        for secret in secrets:
            text = text.replace(secret, MASK)
        return text if address is None else address.sub(MASK, text)

    return mask


def _address(base_url: str) -> re.Pattern[str] | None:
    """Of the URL's host on any port. A name without a dot, such as `ollama`, is a word like any other unless a scheme
    or a port says that it is a host."""
    host = urlsplit(base_url).hostname
    if not host:
        return None
    name = _START + (rf"\[?{re.escape(host)}\]?" if ":" in host else re.escape(host))
    if "." in host or ":" in host:
        found = f"(?:{_SCHEME})?{name}(?:{_PORT}|{_END})"
    else:
        found = f"(?:(?:{_SCHEME})?{name}{_PORT}|{_SCHEME}{name}{_END})"
    return re.compile(found + _PATH, re.IGNORECASE)
