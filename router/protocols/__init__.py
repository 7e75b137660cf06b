"""The wire formats that providers speak: each a module of pure functions behind the port of `wire.py`."""

from functools import cache
from importlib import import_module
from typing import Final, cast

from router.catalogue import Provider
from router.protocols.wire import WireFormat

PROTOCOLS: Final = ("openai", "azure", "anthropic", "gemini", "bedrock", "ollama")
"""Their modules are imported when a provider speaks them: some bring large libraries."""


def spoken(provider: Provider, dialect: str) -> str:
    """The protocol in which a request of this dialect is sent to the provider: most have one for everything."""
    if dialect == "responses" and provider.responses:
        return dialect
    if dialect == "embeddings":
        return f"{provider.protocol}_embeddings" if provider.protocol in ("gemini", "ollama") else dialect
    return provider.protocol


@cache
def wire_format(protocol: str) -> WireFormat:
    """The module of this protocol; its name comes from checked settings."""
    return cast(WireFormat, import_module(f"router.protocols.{protocol}"))
