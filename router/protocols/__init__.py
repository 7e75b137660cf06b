"""The wire formats that providers speak: each a module of pure functions behind the port of `wire.py`."""

from collections.abc import Mapping
from typing import Final

from router.protocols import openai
from router.protocols.wire import WireFormat

_FORMATS: Final[Mapping[str, WireFormat]] = {"openai": openai}

PROTOCOLS: Final = tuple(_FORMATS)


def wire_format(protocol: str) -> WireFormat:
    """The module of this protocol; its name comes from checked settings."""
    return _FORMATS[protocol]
