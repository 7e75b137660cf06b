"""Spreads long, independent pieces of work over processes, with progress. Knows nothing of what they do.

A task is a function of what all tasks share and of a callable that takes progress. Processes are spawned, not
forked, since the parent has threads; what is shared is sent to each of them once. They hold one end of a pipe, and end
at once when the other one is closed: by the parent, or by the system when the parent has ended, however that was.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ProcessPoolExecutor, wait
from multiprocessing.connection import Connection
from multiprocessing.connection import wait as wait_for
from typing import Any, Final, Generic, Self, TypeVar

Shared = TypeVar("Shared")
Result = TypeVar("Result")
Progress = Callable[[int], None]
_TICK_S: Final = 0.2


class Workers(Generic[Shared]):
    """A context manager; left by an exception, it waits for no task. With one process everything runs in this one, one
    task after the other."""

    def __init__(self, shared: Shared, processes: int) -> None:
        self._shared = shared
        self._pool: ProcessPoolExecutor | None = None
        if processes > 1:
            context = multiprocessing.get_context("spawn")
            # Writes before it returns: no progress comes after its task's result.
            self._done: Any = context.SimpleQueue()
            self._leash, self._parent = context.Pipe(duplex=False)
            self._pool = ProcessPoolExecutor(processes, context, _begin, (shared, self._done, self._leash))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._pool is not None:
            if kind is not None:
                self._parent.close()
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._parent.close()
            self._leash.close()
            self._done.close()

    def run(self, tasks: Sequence[Callable[[Shared, Progress], Result]], on_progress: Progress) -> list[Result]:
        """The results in the order of the tasks. Raises what a task raises."""
        if self._pool is None:
            return [task(self._shared, on_progress) for task in tasks]
        futures = [self._pool.submit(_work, task) for task in tasks]
        left = set(futures)
        while left:
            finished, left = wait(left, _TICK_S, FIRST_EXCEPTION)
            self._pass_on(on_progress)
            for future in finished:
                future.result()  # a failure is raised at once, whatever is still being worked on
        self._pass_on(on_progress)
        return [future.result() for future in futures]

    def _pass_on(self, on_progress: Progress) -> None:
        while not self._done.empty():
            on_progress(self._done.get())


# --- inside a process ---

_here: dict[str, Any] = {}


def _begin(shared: Any, done: Any, leash: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all; the parent decides
    threading.Thread(target=_end_with, args=(leash,), daemon=True).start()
    _here["shared"], _here["done"] = shared, done


def _end_with(leash: Connection) -> None:
    """Nothing is ever sent: it becomes readable when its other end is closed."""
    wait_for([leash])
    os._exit(1)


def _work(task: Callable[[Any, Progress], Any]) -> Any:
    return task(_here["shared"], _here["done"].put)
