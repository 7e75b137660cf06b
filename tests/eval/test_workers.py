"""Work spread over processes: the same results in the same order, progress, and failures that are seen."""

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from eval.workers import Progress, Workers
from tests.running import eventually


def double(number: int, shared: int, on_progress: Progress) -> int:
    on_progress(number)
    return 2 * number + shared


def fail(shared: int, on_progress: Progress) -> int:
    raise RuntimeError(f"not with {shared}")


@pytest.mark.parametrize("processes", [1, 2])
def test_results_come_in_order_with_all_progress(processes: int) -> None:
    seen: list[int] = []

    with Workers(100, processes) as workers:
        found = workers.run([partial(double, number) for number in range(5)], seen.append)
        again = workers.run([partial(double, 7)], seen.append)

    assert found == [100, 102, 104, 106, 108]
    assert again == [114]
    assert sum(seen) == 17


@pytest.mark.parametrize("processes", [1, 2])
def test_a_failure_is_raised(processes: int) -> None:
    with Workers(3, processes) as workers, pytest.raises(RuntimeError, match="not with 3"):
        workers.run([partial(double, 1), fail, partial(double, 2)], lambda _: None)


# --- The end of it ----------------------------------------------------------------------------------------------


def linger(folder: Path, shared: int, on_progress: Progress) -> None:
    (folder / str(os.getpid())).touch()
    time.sleep(120)


def keep_two_busy(folder: str) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job was told to ignore it
    with Workers(0, 2) as workers:
        workers.run([partial(linger, Path(folder))] * 2, lambda _: None)


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL], ids=lambda how: how.name)
def test_no_worker_outlives_its_parent_however_that_ends(tmp_path: Path, how: signal.Signals) -> None:
    code = f"from tests.eval.test_workers import keep_two_busy; keep_two_busy({str(tmp_path)!r})"
    parent = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    pids: list[int] = []
    try:
        eventually(lambda: len(list(tmp_path.iterdir())) == 2)
        pids = [int(path.name) for path in tmp_path.iterdir()]
        assert all(map(is_running, pids))
        parent.send_signal(how)
        assert parent.wait(20) != 0
        eventually(lambda: not any(map(is_running, pids)))
    finally:
        parent.kill()
        parent.wait()
        for pid in filter(is_running, pids):
            os.kill(pid, signal.SIGKILL)


def test_who_leaves_by_an_exception_waits_for_no_task(tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(RuntimeError, match="not with 3"), Workers(3, 2) as workers:
        workers.run([partial(linger, tmp_path), fail], lambda _: None)
    assert time.monotonic() - began < 60
