"""How commands reach a running server: through its admin API, with the token from the data folder."""

import json
from typing import Any

import httpx

from app.server import address_file
from app.settings import Settings


class ServerRefused(Exception):
    """The running server did not do what was asked; its own words."""


class RunningServer:
    """The admin API of the server that uses a data folder."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._headers = {"authorization": f"Bearer {token}"}

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """The decoded answer. Raises ServerRefused."""
        try:
            response = httpx.request(
                method, self._url + path, json=body, headers=self._headers, timeout=10.0, trust_env=False
            )
        except httpx.TransportError as error:
            raise ServerRefused(f"the server does not answer: {error}") from None
        content = response.json()
        if response.status_code >= 400:
            raise ServerRefused(content["error"]["message"])
        return content


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
        server.call("GET", "/admin/status")
    except ServerRefused:
        return None
    return server
