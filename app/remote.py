"""How commands reach a running server: through its admin API, with the token from the data folder."""

import json
from collections.abc import Iterator
from typing import Any, Final

import httpx
import msgspec

from app.keys import Key, Keys
from app.server import address_file
from app.settings import Settings
from app.terminal import opened_ledger

_TIMEOUT_S: Final = 60.0
_IS_THERE_S: Final = 10.0


class ServerRefused(Exception):
    """The running server did not do what was asked; its own words."""


class ServerFailed(ServerRefused):
    """It could not do it, or broke off: it may have done a part, and may do all of it another time."""


class RunningServer:
    """The admin API of the server that uses a data folder."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._headers = {"authorization": f"Bearer {token}"}

    def call(
        self, method: str, path: str, body: Any = None, *, content: bytes | None = None, timeout_s: float = _TIMEOUT_S
    ) -> Any:
        """The decoded answer; `content` is sent as it is, `body` as JSON. Raises ServerRefused, or ServerFailed."""
        if content is None and body is not None:
            content = msgspec.json.encode(body)
        try:
            response = httpx.request(
                method, self._url + path, content=content, headers=self._headers, timeout=timeout_s, trust_env=False
            )
        except httpx.TransportError as error:
            raise ServerFailed(f"the server does not answer: {error}") from None
        if response.status_code >= 400:
            raise (ServerFailed if response.status_code >= 500 else ServerRefused)(_said(response))
        return response.json()

    def lines(self, path: str) -> Iterator[bytes]:
        """The lines of a long answer, as they come. Raises ServerRefused, also in the middle."""
        options: dict[str, Any] = {"headers": self._headers, "timeout": _TIMEOUT_S, "trust_env": False}
        try:
            with httpx.stream("GET", self._url + path, **options) as response:
                if response.status_code >= 400:
                    response.read()
                    raise ServerRefused(_said(response))
                rest = b""
                for part in response.iter_bytes():
                    *whole, rest = (rest + part).split(b"\n")
                    yield from whole
                if rest:
                    yield rest
        except httpx.TransportError as error:
            raise ServerRefused(f"the server broke off: {error}") from None


def _said(response: httpx.Response) -> str:
    try:
        return str(response.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return f"the server answered with status {response.status_code}"


def all_keys(settings: Settings) -> list[Key]:
    """Without their secrets: those of the running server, or else of the ledger file."""
    if (server := running_server(settings)) is not None:
        return msgspec.convert(server.call("GET", "/admin/keys"), list[Key])
    with opened_ledger(settings) as engine:
        return Keys(engine, simulates=settings.simulates).list()


def running_server(settings: Settings) -> RunningServer | None:
    """The server on this data folder, or None if none runs."""
    try:
        address = json.loads(address_file(settings).read_text(encoding="utf-8"))
        token = (settings.data_dir / "admin-token").read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return None
    host = "127.0.0.1" if address["host"] in ("0.0.0.0", "::") else address["host"]  # noqa: S104  a comparison
    server = RunningServer(f"http://{host}:{address['port']}", token)
    try:
        server.call("GET", "/admin/status", timeout_s=_IS_THERE_S)
    except ServerRefused:
        return None
    return server
