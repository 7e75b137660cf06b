"""Connections to providers: a descriptor is closed once, by one owner."""

import asyncio
import gc
import os
import socket
import struct
import threading
import weakref
from contextlib import suppress
from pathlib import Path
from typing import cast

import httpx
import uvloop

from router.catalogue import Provider
from router.sockets import ProviderSocket, open_socket
from router.upstream import open_transport


class HangsUp(asyncio.Protocol):
    """Ends the connection in the turn of the loop in which it was made."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast(asyncio.Transport, transport).abort()


async def handed_over(sock: socket.socket) -> int:
    """The number of a descriptor that uvloop has taken over and closed again."""
    loop = asyncio.get_running_loop()
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    sock.setblocking(False)
    await loop.sock_connect(sock, server.sockets[0].getsockname())
    number = sock.fileno()
    await loop.create_connection(HangsUp, sock=sock)
    server.close()
    await server.wait_closed()
    await asyncio.sleep(0.05)
    return number


def is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def provider_socket() -> ProviderSocket:
    return open_socket((socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("127.0.0.1", 0)))


def test_what_has_taken_over_the_number_of_a_dead_connection_stays_open(tmp_path: Path) -> None:
    async def main() -> None:
        dead = provider_socket()
        number = await handed_over(dead)
        files = [os.open(tmp_path, os.O_RDONLY) for _ in range(8)]
        try:
            assert number in files
            gone = weakref.ref(dead)
            del dead
            gc.collect()
            assert gone() is None
            assert is_open(number)
        finally:
            for file in files:
                os.close(file)

    uvloop.run(main())


def test_a_socket_that_is_closed_by_name_is_closed() -> None:
    sock = provider_socket()
    number = sock.fileno()
    sock.close()
    assert not is_open(number)


def test_a_provider_that_resets_every_connection_costs_no_other_descriptor(tmp_path: Path) -> None:
    def reset_all(listening: socket.socket) -> None:
        with suppress(OSError):
            while True:
                connection, _ = listening.accept()
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                connection.close()

    async def main(port: int) -> None:
        transport = open_transport(Provider("acme", f"https://127.0.0.1:{port}/v1"))
        request = httpx.Request("POST", f"https://127.0.0.1:{port}/v1", content=b"{}")
        for _ in range(10):
            calls = (transport.handle_async_request(request) for _ in range(40))
            replies = await asyncio.gather(*calls, return_exceptions=True)
            assert all(isinstance(reply, httpx.TransportError) for reply in replies)
        files = [os.open(tmp_path, os.O_RDONLY) for _ in range(100)]
        try:
            gc.collect()
            assert all(map(is_open, files))
        finally:
            for file in filter(is_open, files):
                os.close(file)
        await transport.aclose()

    with socket.create_server(("127.0.0.1", 0), backlog=256) as listening:
        thread = threading.Thread(target=reset_all, args=(listening,))
        thread.start()
        gc.disable()
        try:
            uvloop.run(main(listening.getsockname()[1]))
        finally:
            gc.enable()
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()
