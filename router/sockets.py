"""The sockets of connections to providers, which are closed once and by one owner.

uvloop (up to 0.23) takes a connected socket over and closes its descriptor itself. Where the connection ends within
the same turn of the loop, as with a peer that resets it at once, the Python object is not told. The garbage collector
then closes that number again, which by now may be somebody else's connection or file (MagicStack/uvloop issues 645
and 738; the mend of 0.23 covers exceptions only). So an object of ours never closes on its way out: either uvloop
does, or whoever opened it, by name.
"""

import socket

from aiohttp import AddrInfoType

__all__ = ["ProviderSocket", "open_socket"]


class ProviderSocket(socket.socket):
    """A socket that only `close` closes, never the garbage collector."""

    def __del__(self) -> None:
        self.detach()


def open_socket(address: AddrInfoType) -> ProviderSocket:
    """aiohttp's socket factory. `address` as `socket.getaddrinfo` gives it. Raises OSError."""
    family, kind, protocol, _, _ = address
    return ProviderSocket(family, kind, protocol)
