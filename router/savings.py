"""What a request cost, what it would have cost, and what avoided the difference.

One counterfactual for each request: the same tokens, without a provider's prompt cache, at the baseline
model's list price. The reasons are attributed in a fixed order, each the difference of two steps, so that
they add up to the whole, to the nano-dollar; negative values are kept.

    baseline model, list price, no prompt cache
      - served model, list price, no prompt cache    -> downgrade (or rationing)
      - served model, list price, prompt cache       -> provider_prompt_cache
      - served model, the price really paid          -> negotiated_rate

A cache hit pays nothing, so the whole baseline is avoided by `exact`, `semantic` or `coalesced`.
"""

from typing import Final, Literal

from msgspec import Struct

from router.prices import UnitPrices, cost_nano
from router.usage import Usage

Reason = Literal["exact", "semantic", "coalesced", "downgrade", "rationing", "provider_prompt_cache", "negotiated_rate"]
REASONS: Final[tuple[Reason, ...]] = (
    "exact",
    "semantic",
    "coalesced",
    "downgrade",
    "rationing",
    "provider_prompt_cache",
    "negotiated_rate",
)


class Savings(Struct, frozen=True):
    """All in nano-dollars; None where a price is unknown. Where both ends are known,
    `baseline_nano - actual_nano == sum(avoided.values())`."""

    baseline_nano: int | None
    list_nano: int | None
    actual_nano: int | None
    avoided: dict[Reason, int]

    @property
    def avoided_nano(self) -> int:
        return sum(self.avoided.values())


def of_hit(reason: Literal["exact", "semantic", "coalesced"], usage: Usage, baseline: UnitPrices | None) -> Savings:
    """A request that was answered without an upstream call."""
    full = cost_nano(usage.without_prompt_cache(), baseline) if baseline else None
    if full is None:
        return Savings(baseline_nano=None, list_nano=0, actual_nano=0, avoided={})
    return Savings(baseline_nano=full, list_nano=0, actual_nano=0, avoided={reason: full})


def of_call(
    usage: Usage,
    baseline: UnitPrices | None,
    listed: UnitPrices | None,
    paid: UnitPrices | None,
    *,
    is_rationed: bool,
) -> Savings:
    """A request that a provider answered."""
    plain = usage.without_prompt_cache()
    baseline_nano = cost_nano(plain, baseline) if baseline else None
    list_nano = cost_nano(usage, listed) if listed else None
    actual_nano = cost_nano(usage, paid) if paid else None
    served_plain = cost_nano(plain, listed) if listed else None
    if baseline_nano is None or list_nano is None or actual_nano is None or served_plain is None:
        return Savings(baseline_nano=baseline_nano, list_nano=list_nano, actual_nano=actual_nano, avoided={})
    steps: dict[Reason, int] = {
        "rationing" if is_rationed else "downgrade": baseline_nano - served_plain,
        "provider_prompt_cache": served_plain - list_nano,
        "negotiated_rate": list_nano - actual_nano,
    }
    return Savings(
        baseline_nano=baseline_nano,
        list_nano=list_nano,
        actual_nano=actual_nano,
        avoided={reason: nano for reason, nano in steps.items() if nano},
    )


def of_nothing() -> Savings:
    """A request that was refused or failed before any answer: nothing was used and nothing avoided."""
    return Savings(baseline_nano=0, list_nano=0, actual_nano=0, avoided={})
