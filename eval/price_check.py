"""Cross-check of list prices against a second catalogue: where two sources disagree, one of them is out of date.

Reads LiteLLM's `model_prices_and_context_window.json` (USD per token, no effective dates). Knows no configuration.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from router.prices import UnitPrices, catalogue_prices

TOLERATED: Final = Decimal("0.005")
"""Relative difference up to which two prices are the same."""

_THEIR_FIELDS: Final = {
    "input": "input_cost_per_token",
    "cache_read": "cache_read_input_token_cost",
    "cache_write_5m": "cache_creation_input_token_cost",
    "cache_write_1h": "cache_creation_input_token_cost_above_1hr",
    "output": "output_cost_per_token",
}
"""Our bucket -> the field of the second catalogue."""
_THEIR_PROVIDERS: Final = {"google": "gemini", "x-ai": "xai", "aws": "bedrock", "moonshotai": "moonshot"}
"""Our catalogue's id of a provider -> theirs, where they differ."""
_NANO_PER_MILLION: Final = 10**15
"""USD per token -> nano-dollars per million tokens."""


class CatalogueUnreadable(Exception):
    """The file is not the second catalogue."""


class Difference(Struct, frozen=True):
    """One bucket of one model, in nano-dollars per million tokens."""

    provider: str
    model: str
    bucket: str
    ours: int
    theirs: int

    @property
    def share(self) -> float:
        """Of ours, by which theirs is higher."""
        return (self.theirs - self.ours) / self.ours if self.ours else float("inf")


class Checked(Struct, frozen=True):
    """What a comparison found. `missing` are models that the second catalogue does not have."""

    compared: int
    differences: tuple[Difference, ...]
    missing: tuple[str, ...]


class SecondCatalogue:
    """Prices by provider and model name."""

    def __init__(self, entries: Mapping[str, Any]) -> None:
        self._prices: dict[tuple[str, str], Mapping[str, Any]] = {}
        for name, entry in entries.items():
            if isinstance(entry, dict) and "input_cost_per_token" in entry:
                provider = str(entry.get("litellm_provider") or "")
                self._prices[provider, name.removeprefix(f"{provider}/")] = entry

    @classmethod
    def read(cls, path: Path) -> "SecondCatalogue":
        """Raises CatalogueUnreadable, which says what is wrong with the file."""
        try:
            entries = json.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
        except (OSError, ValueError) as error:
            raise CatalogueUnreadable(f"{path} cannot be read as JSON: {error}") from None
        found = cls(entries if isinstance(entries, dict) else {})
        if not found._prices:
            raise CatalogueUnreadable(f"{path} has no prices: it should map models to `input_cost_per_token` etc.")
        return found

    def prices(self, provider: str, model: str) -> dict[str, int] | None:
        """Nano-dollars per million tokens by bucket, for what is stated; None for an unknown model."""
        entry = self._prices.get((_THEIR_PROVIDERS.get(provider, provider), model))
        if entry is None:
            return None
        stated = {bucket: entry.get(field) for bucket, field in _THEIR_FIELDS.items()}
        return {bucket: int(Decimal(str(usd)) * _NANO_PER_MILLION) for bucket, usd in stated.items() if usd is not None}


def check(models: Iterable[tuple[str, str]], second: SecondCatalogue, at: datetime) -> Checked:
    """Compares our catalogue's prices of these (provider, model) at that time, for short prompts."""
    compared, missing = 0, []
    differences: list[Difference] = []
    for provider, model in models:
        ours, theirs = catalogue_prices(provider, model, at, 1), second.prices(provider, model)
        if ours is None or theirs is None:
            missing.append(f"{provider}/{model}")
            continue
        compared += 1
        differences += _differences(provider, model, ours, theirs)
    return Checked(compared, tuple(differences), tuple(missing))


def _differences(provider: str, model: str, ours: UnitPrices, theirs: Mapping[str, int]) -> Iterator[Difference]:
    for bucket, price in theirs.items():
        mine = getattr(ours, bucket)
        if abs(price - mine) > TOLERATED * max(mine, price):
            yield Difference(provider, model, bucket, mine, price)
