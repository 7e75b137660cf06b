"""A real gateway for tests: the command line's own `serve`, in a process of its own, on a free port."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx
import sqlalchemy as sa

from router.ledger import tables
from router.ledger.reader import Verification, as_row, verify
from router.ledger.row import LedgerRow

ROOT = Path(__file__).parent.parent
ENCODER = Path(os.environ.get("THRIFTGATE_ENCODER_DIR", ROOT / ".thriftgate" / "encoder"))

SIMULATED = """
[providers.simulated]
priced_as = "openai"
[providers.simulated.simulation]
"""


class RunningGateway:
    """One data folder and the server on it. `start` again after `stop` or `kill` to see what came back."""

    def __init__(self, folder: Path, configuration: str, environment: dict[str, str]) -> None:
        self.folder = folder
        self.data_dir = folder / "data"
        self.configuration = folder / "thriftgate.toml"
        # [server] comes last, so that a configuration may begin with more of its fields.
        server = f'[encoder]\nfolder = "{ENCODER}"\n[server]\nport = 0\ndata_dir = "{self.data_dir}"\n'
        self.configuration.write_text(server + configuration, encoding="utf-8")
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None
        self._client = httpx.Client(timeout=60, trust_env=False)
        self.url = ""

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    @property
    def base_url(self) -> str:
        """What an OpenAI SDK takes."""
        return f"{self.url}/v1"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def log(self) -> str:
        return (self.folder / "server.log").read_text(encoding="utf-8", errors="replace")

    @property
    def admin_token(self) -> str:
        return (self.data_dir / "admin-token").read_text(encoding="utf-8").strip()

    @property
    def development_key(self) -> str:
        return (self.data_dir / "development-key").read_text(encoding="utf-8").strip()

    def start(self) -> "RunningGateway":
        address = self.data_dir / "server.json"
        address.unlink(missing_ok=True)
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "app", "--config", str(self.configuration), "serve"],
                cwd=ROOT,
                env=clean_environment() | self._environment,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise AssertionError(f"the server ended with {self._process.returncode}:\n{self.log}")
            try:
                where = json.loads(address.read_text(encoding="utf-8"))
            except (OSError, ValueError):
                time.sleep(0.02)
                continue
            self.url = f"http://127.0.0.1:{where['port']}"
            return self
        self.kill()
        raise AssertionError(f"the server did not start:\n{self.log}")

    def stop(self) -> int:
        """SIGTERM and wait; the exit code."""
        return self._end(signal.SIGTERM)

    def kill(self) -> int:
        return self._end(signal.SIGKILL)

    def tell(self, how: signal.Signals) -> None:
        """Sends a signal and returns at once."""
        assert self._process is not None
        self._process.send_signal(how)

    def wait(self) -> int:
        """The exit code, as soon as the process has ended."""
        assert self._process is not None
        return self._process.wait(timeout=60)

    def restart(self) -> "RunningGateway":
        self.stop()
        return self.start()

    def close(self) -> None:
        """Ends whatever is left, at the end of a test."""
        if self.is_running:
            self.stop()
        self._client.close()

    def _end(self, how: signal.Signals) -> int:
        assert self._process is not None
        if self._process.poll() is None:
            self._process.send_signal(how)
        return self.wait()

    def key(self, team: str = "support", app: str = "faq-bot", env: str = "prod", route: str | None = None) -> str:
        """A new virtual key's secret, made through the running server."""
        return str(self.admin("POST", "/admin/keys", team=team, app=app, env=env, route=route)["secret"])

    def admin(self, method: str, path: str, **body: Any) -> Any:
        headers = {"authorization": f"Bearer {self.admin_token}"}
        answer = self._client.request(method, self.url + path, json=body or None, headers=headers)
        assert answer.status_code < 300, answer.text
        return answer.json()

    def status(self) -> Any:
        return self.admin("GET", "/admin/status")

    def reset_deployments(self) -> None:
        """Breakers closed, keys back: nothing of what a test before has done to a provider is left."""
        self.admin("POST", "/admin/deployments/reset")

    def deployment(self, name: str) -> dict[str, Any]:
        """How a deployment fares, as the running server sees it."""
        return next(state for state in self.status()["deployments"] if state["deployment"] == name)

    def budget(self, name: str) -> dict[str, Any]:
        """A budget's counters, as the running server has them."""
        return next(budget for budget in self.status()["budgets"] if budget["name"] == name)

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        return self._client.request(method, self.url + path, **options)

    def chat(
        self, key: str, text: str | None = None, /, *, headers: dict[str, str] | None = None, **fields: Any
    ) -> httpx.Response:
        """One chat completion; `text` is the only user message unless `messages` is given."""
        body = {"model": "auto", "messages": [{"role": "user", "content": text}]} | fields
        sent = {"authorization": f"Bearer {key}"} | (headers or {})
        return self._client.post(f"{self.base_url}/chat/completions", json=body, headers=sent)

    def stream(self, key: str, text: str, **fields: Any) -> Any:
        """A streamed chat completion, as a context manager that gives the open response."""
        body = {"model": "auto", "messages": [{"role": "user", "content": text}], "stream": True} | fields
        headers = {"authorization": f"Bearer {key}"}
        return self._client.stream("POST", f"{self.base_url}/chat/completions", json=body, headers=headers)

    def begin(self, key: str, text: str, **fields: Any) -> socket.socket:
        """Sends a chat completion and returns at once; whoever wants to leave closes the connection."""
        body = {"model": "auto", "messages": [{"role": "user", "content": text}]} | fields
        content = json.dumps(body).encode()
        head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {key}\r\n"
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        connection.sendall(f"{head}content-length: {len(content)}\r\n\r\n".encode() + content)
        return connection

    def send(self, data: bytes, *, ends: bool = True) -> bytes:
        """Writes these bytes to a connection of their own, and says that no more will come unless `ends` is
        off; what came back until the server closed it."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            connection.sendall(data)
            if ends:
                connection.shutdown(socket.SHUT_WR)
            answer = b""
            while part := connection.recv(65536):
                answer += part
        return answer

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs `thriftgate` with this gateway's configuration, in a process of its own."""
        return subprocess.run(
            [sys.executable, "-m", "app", "--config", str(self.configuration), *arguments],
            cwd=ROOT,
            env=clean_environment() | self._environment | {"COLUMNS": "200"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def rows(self, **equal: Any) -> list[LedgerRow]:
        """Every row of the ledger file whose columns have these values, in order."""
        query = sa.select(tables.rows).order_by(tables.rows.c.seq)
        for name, value in equal.items():
            query = query.where(tables.rows.c[name] == value)
        with self.ledger().connect() as connection:
            return [as_row(row) for row in connection.execute(query).mappings()]

    def row(self, **equal: Any) -> LedgerRow:
        """The one row with these values, as soon as it is there."""
        found = eventually(lambda: self.rows(**equal))
        assert len(found) == 1, found
        return found[0]

    def verification(self) -> Verification:
        return verify(self.ledger())

    def ledger(self) -> sa.Engine:
        return sa.create_engine(f"sqlite:///{self.data_dir / 'ledger.db'}", poolclass=sa.pool.NullPool)


T = TypeVar("T")


def eventually(look: Callable[[], T], seconds: int = 15) -> T:
    """The first true thing that `look` returns; gives up after so many seconds."""
    for _ in range(seconds * 50):
        if found := look():
            return found
        time.sleep(0.02)
    raise AssertionError("it did not come to pass")


def clean_environment() -> dict[str, str]:
    """This process's environment without anything that would configure a gateway."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("OPENAI_", "THRIFTGATE_"))}


@contextmanager
def running_gateway(
    folder: Path, configuration: str = SIMULATED, environment: dict[str, str] | None = None
) -> Iterator[RunningGateway]:
    """A started gateway; stopped at the end, whatever happened."""
    gateway = RunningGateway(folder, configuration, environment or {})
    try:
        yield gateway.start()
    finally:
        gateway.close()
