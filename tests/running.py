"""A real gateway for tests: the command line's own `serve`, in a process of its own, on a free port."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

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
        server = f'[server]\nport = 0\ndata_dir = "{self.data_dir}"\n[encoder]\nfolder = "{ENCODER}"\n'
        self.configuration.write_text(server + configuration, encoding="utf-8")
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None
        self.url = ""

    @property
    def base_url(self) -> str:
        """What an OpenAI SDK takes."""
        return f"{self.url}/v1"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

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

    def _end(self, how: signal.Signals) -> int:
        assert self._process is not None
        if self._process.poll() is None:
            self._process.send_signal(how)
        return self._process.wait(timeout=60)

    def key(self, team: str = "support", app: str = "faq-bot", env: str = "prod", route: str | None = None) -> str:
        """A new virtual key's secret, made through the running server."""
        return str(self.admin("POST", "/admin/keys", team=team, app=app, env=env, route=route)["secret"])

    def admin(self, method: str, path: str, **body: Any) -> Any:
        headers = {"authorization": f"Bearer {self.admin_token}"}
        answer = httpx.request(method, self.url + path, json=body or None, headers=headers, trust_env=False)
        assert answer.status_code < 300, answer.text
        return answer.json()

    def chat(self, key: str, text: str | None = None, /, *, headers: dict[str, str] | None = None, **fields: Any) -> httpx.Response:
        """One chat completion; `text` is the only user message unless `messages` is given."""
        body = {"model": "auto", "messages": [{"role": "user", "content": text}]} | fields
        sent = {"authorization": f"Bearer {key}"} | (headers or {})
        url = f"{self.base_url}/chat/completions"
        return httpx.post(url, json=body, headers=sent, timeout=60, trust_env=False)

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs `thriftgate` with this gateway's configuration."""
        return subprocess.run(
            [sys.executable, "-m", "app", "--config", str(self.configuration), *arguments],
            cwd=ROOT,
            env=clean_environment() | self._environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def rows(self) -> list[LedgerRow]:
        """Every row of the ledger file, in order."""
        with self.ledger().connect() as connection:
            return [as_row(row) for row in connection.execute(sa.select(tables.rows).order_by(tables.rows.c.seq)).mappings()]

    def verification(self) -> Verification:
        return verify(self.ledger())

    def ledger(self) -> sa.Engine:
        return sa.create_engine(f"sqlite:///{self.data_dir / 'ledger.db'}", poolclass=sa.pool.NullPool)


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
        if gateway._process is not None and gateway._process.poll() is None:
            gateway.stop()
