"""Starts a gateway in a process of its own on a data folder of its own, and looks at it from outside.

Knows the command line, the configuration file and the HTTP surface; imports none of our packages.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from benchmarks.raw_client import Broken, Connection, Reply, prepared
from benchmarks.traffic import FAQ, ROOT

ENCODER = Path(os.environ.get("THRIFTGATE_ENCODER_DIR", ROOT / ".thriftgate" / "encoder")).resolve()


def configuration(answers: Path = FAQ) -> str:
    """Of a gateway whose simulated provider knows the answers in this file."""
    return f"""
# The simulated provider answers at once, so that every microsecond is the gateway's own.
[providers.simulated]
priced_as = "openai"
[providers.simulated.simulation]
answers = "{answers}"

[models.gpt-5]
tier = "premium"
deployments = [{{ provider = "simulated" }}]
[models.gpt-5-mini]
tier = "mid"
deployments = [{{ provider = "simulated" }}]
[models.gpt-5-nano]
tier = "economy"
deployments = [{{ provider = "simulated" }}]

[routes.default]
models = ["gpt-5", "gpt-5-mini", "gpt-5-nano"]
[routes.default.cache]
start = "prior"
max_wrong_per_hit = 0.2

# Spent after some dozens of requests.
[teams.capped.budget]
usd = 0.002
"""


CONFIGURATION = configuration()


class DidNotStart(Exception):
    """The server ended or stayed silent; says what it wrote last."""


class Gateway:
    """One data folder and the server on it. `start` again after `stop` to see what a restart costs."""

    def __init__(
        self, folder: Path, configuration: str = CONFIGURATION, environment: Mapping[str, str] | None = None
    ) -> None:
        self.folder = folder
        self.data_dir = folder / "data"
        self.port = 0
        self._configuration = folder / "thriftgate.toml"
        self._environment = _clean_environment() | {"PYTHONFAULTHANDLER": "1"} | dict(environment or {})
        self._log = folder / "server.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._observed: psutil.Process | None = None
        folder.mkdir(parents=True, exist_ok=True)
        server = f'[server]\nport = 0\ndata_dir = "{self.data_dir}"\n[encoder]\nfolder = "{ENCODER}"\n'
        self._configuration.write_text(server + configuration, encoding="utf-8")

    def __enter__(self) -> "Gateway":
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self, timeout_s: float = 60.0) -> float:
        """Seconds from the process's creation until /health/ready says yes. Raises DidNotStart."""
        address = self.data_dir / "server.json"
        address.unlink(missing_ok=True)
        started = time.perf_counter()
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "app", "--config", str(self._configuration), "serve"],
                cwd=ROOT,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        while time.perf_counter() - started < timeout_s:
            if self._process.poll() is not None:
                raise DidNotStart(f"the server ended with {self._process.returncode}:\n{self.last_words()}")
            if self._is_ready(address):
                took_s = time.perf_counter() - started
                self._observed = psutil.Process(self.pid)
                return took_s
            time.sleep(0.005)
        self.stop()
        raise DidNotStart(f"the server was not ready after {timeout_s} s:\n{self.last_words()}")

    def _is_ready(self, address: Path) -> bool:
        try:
            self.port = json.loads(address.read_text(encoding="utf-8"))["port"]
            with self.connect() as connection:
                return connection.send(prepared("GET", "/health/ready")).status == 200
        except (OSError, ValueError, Broken):
            return False

    def ended_by_itself(self) -> str | None:
        """What is known of a server that nobody has stopped and that runs no more; None while all is well."""
        code = self._process.poll() if self._process is not None else None
        return None if code is None else f"the server ended by itself with {code}:\n{self.last_words()}"

    def stop(self) -> None:
        """SIGTERM, then SIGKILL to a process that does not end. Does nothing where none runs."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._process = None

    def kill(self) -> None:
        """SIGKILL: no last word, no flush."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def command(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Runs `thriftgate` with this gateway's configuration, in a process of its own."""
        return subprocess.run(
            [sys.executable, "-m", "app", "--config", str(self._configuration), *arguments],
            cwd=ROOT,
            env=self._environment | {"COLUMNS": "200"},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def connect(self) -> Connection:
        return Connection("127.0.0.1", self.port)

    def key(self, team: str, route: str = "default") -> str:
        """A new virtual key's secret, made through the admin API."""
        body = {"team": team, "app": "benchmark", "env": "prod", "route": route}
        reply = self.admin("POST", "/admin/keys", body)
        if reply.status >= 300:
            raise RuntimeError(f"no key: {reply.status} {reply.body.decode()}")
        return str(json.loads(reply.body)["secret"])

    def entries(self) -> int:
        """How many answers the cache holds."""
        return int(json.loads(self.admin("GET", "/admin/status").body)["cache"]["entries"])

    def admin(self, method: str, path: str, body: Any = None) -> Reply:
        token = (self.data_dir / "admin-token").read_text(encoding="utf-8").strip()
        with self.connect() as connection:
            return connection.send(prepared(method, path, key=token, body=body))

    def rss_mb(self) -> float:
        """Resident memory now, in megabytes of 10^6 bytes."""
        assert self._observed is not None
        return float(self._observed.memory_info().rss) / 1e6

    def cpu_s(self) -> float:
        """Processor time used so far, user and system, of all threads."""
        assert self._observed is not None
        times = self._observed.cpu_times()
        return float(times.user + times.system)

    def open_files(self) -> int:
        """File descriptors, sockets included."""
        assert self._observed is not None
        return int(self._observed.num_fds())

    def threads(self) -> int:
        assert self._observed is not None
        return int(self._observed.num_threads())

    def last_words(self) -> str:
        """The end of what the server wrote."""
        return self._log.read_text(encoding="utf-8", errors="replace")[-3000:]


def _clean_environment() -> dict[str, str]:
    """This process's environment without anything that would configure a gateway."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("OPENAI_", "THRIFTGATE_"))}
