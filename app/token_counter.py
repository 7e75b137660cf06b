"""Counts tokens in a process of its own, for answers that broke off and for questions about size.

The tokeniser takes 70 MB and holds Python's lock while it loads and counts, a thread would not help: so the process is
started when something is to be counted, and ended when nothing has been for a while. Knows neither money nor protocols.
"""

import asyncio
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

_ROOT: Final = Path(__file__).parents[1]
_AT_MOST_S: Final = 5.0
"""So long one count may take, the start of the process included."""
_IDLE_S: Final = 60.0
_SAMPLE_CHARS: Final = 256 * 1024
"""Of a longer answer only so much is counted, and the rest taken to be like it: writing it down would take too long."""


class TokenCounter:
    """Use it on one event loop, and close it in the end."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._process: Process | None = None
        self._idle: asyncio.TimerHandle | None = None

    @property
    def pid(self) -> int | None:
        """Of the process, while there is one."""
        return self._process.pid if self._process is not None else None

    async def count(self, mapping: Mapping[str, Any], written: str = "") -> tuple[int, int] | None:
        """Tokens of a canonical request, and of an answer's text; None if they cannot be counted now."""
        sample = written[:_SAMPLE_CHARS]
        try:
            asked = msgspec.json.encode([mapping, sample.encode(errors="replace").decode()])
        except (OverflowError, TypeError, ValueError):
            return None
        async with self._turn:
            try:
                async with asyncio.timeout(_AT_MOST_S):
                    answer = await self._answer(await self._started(), asked)
                found: tuple[int, int] | None = msgspec.json.decode(answer, type=tuple[int, int] | None)
            except (OSError, TimeoutError, msgspec.DecodeError):
                self._end()
                return None
            except asyncio.CancelledError:
                self._end()  # its answer would be taken for that to the next question
                raise
            self._wait_for_more()
        if found is None or len(sample) == len(written):
            return found
        return found[0], found[1] * len(written) // len(sample)

    async def close(self) -> None:
        """Ends the process, if there is one."""
        process = self._process
        self._end()
        if process is not None:
            await process.wait()

    async def _started(self) -> Process:
        """With nothing of this process's environment, which may hold keys."""
        if self._process is None or self._process.returncode is not None:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                __name__,
                stdin=PIPE,
                stdout=PIPE,
                stderr=DEVNULL,
                env={"PYTHONPATH": str(_ROOT)},
                start_new_session=True,  # a Ctrl-C is for the server, which ends it in order
            )
        return self._process

    @staticmethod
    async def _answer(process: Process, asked: bytes) -> bytes:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(asked + b"\n")
        await process.stdin.drain()
        return await process.stdout.readline()

    def _wait_for_more(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
        self._idle = asyncio.get_running_loop().call_later(_IDLE_S, self._end_if_idle)

    def _end_if_idle(self) -> None:
        if not self._turn.locked():
            self._end()

    def _end(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
        process, self._process, self._idle = self._process, None, None
        if process is not None and process.returncode is None:
            process.kill()


def main() -> None:
    """The process: a line for each question, until there are no more. Ends with whoever started it."""
    from router.tokens import input_estimate, token_count

    for line in sys.stdin.buffer:
        mapping, written = msgspec.json.decode(line)
        try:
            answer = (input_estimate(mapping), token_count(written))
        except (AttributeError, KeyError, TypeError, ValueError):  # of no shape that can be counted
            answer = None
        sys.stdout.buffer.write(msgspec.json.encode(answer) + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
