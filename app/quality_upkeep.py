"""Keeps the quality estimate learning while the server runs: fits it anew beside other work, and keeps it in a file.

What is remembered are vectors, surface features and scores of judged answers, and no text.
"""

import asyncio
import os
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from router.quality import Quality, fit

_LOOKED_EVERY_S: Final = 5.0
_KEPT_EVERY: Final = 60
"""Looks between two writes of the file, so that little is lost with the process."""


class QualityUpkeep:
    """One for each app. `space` names the encoder whose vectors the estimate rests on."""

    def __init__(self, quality: Quality, file: Path, space: str, log: Any) -> None:
        self._quality, self._file, self._space, self._log = quality, file, space, log
        self._kept = 0
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Takes up what an earlier process had learned, and goes on learning."""
        if self._file.exists():
            try:
                self._kept = self._quality.restore(self._file.read_bytes(), self._space)
            except (OSError, ValueError) as error:
                self._log.warning("judged answers of before cannot be read; starting without them", reason=str(error))
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._keep()

    async def _run(self) -> None:
        looks = 0
        while True:
            if self._quality.is_fit_due:
                examples = self._quality.snapshot()
                self._quality.adopt(await asyncio.to_thread(fit, examples, self._quality.tiers))
            await asyncio.sleep(_LOOKED_EVERY_S)
            looks += 1
            if looks % _KEPT_EVERY == 0:
                self._keep()

    def _keep(self) -> None:
        """Writes the file, if there is anything new; never half of it. A few milliseconds at most."""
        if self._quality.learned == self._kept:
            return
        self._kept = self._quality.learned
        unfinished = self._file.with_suffix(".new")
        with suppress(OSError):  # a full disk costs what was learned since, and nothing else
            unfinished.write_bytes(self._quality.export(self._space))
            os.replace(unfinished, self._file)
