"""Official list prices, from the pinned `genai-prices` catalogue, and what an operator pays instead.

The only module that knows the catalogue. Everything else sees `UnitPrices`: integers in nano-dollars per
million tokens. An unknown price is None (`unpriced`), never 0.
"""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from importlib.metadata import version
from typing import Any

from genai_prices import data_snapshot
from genai_prices.types import TieredPrices
from msgspec import Struct

from router.money import bucket_cost_nano, nano_from_usd
from router.usage import Usage

CATALOGUE_VERSION = f"genai-prices {version('genai-prices')}"


# What some models charge beside our buckets, whatever a request asks for: such a price would be too low.
_BESIDE_BUCKETS = ("requests_kcount", "output_reasoning_mtok", "output_citation_mtok")


class UnitPrices(Struct, frozen=True):
    """What a million tokens of each bucket cost, in nano-dollars. `version` says where the figures are from."""

    input: int
    cache_read: int
    cache_write_5m: int
    cache_write_1h: int
    output: int
    version: str


class PriceOverride(Struct, frozen=True, forbid_unknown_fields=True):
    """Prices from the operator's configuration, in USD per million tokens.

    What is left out is taken from the input price (cache buckets), as a provider without that discount
    would bill it. Raises ValueError for a price that is negative or not finite.
    """

    input: Decimal
    output: Decimal
    cache_read: Decimal | None = None
    cache_write_5m: Decimal | None = None
    cache_write_1h: Decimal | None = None

    def __post_init__(self) -> None:
        self.unit_prices("checked")

    def unit_prices(self, version: str) -> UnitPrices:
        def nano(usd: Decimal | None) -> int:
            return nano_from_usd(self.input if usd is None else usd)

        return UnitPrices(
            input=nano(self.input),
            cache_read=nano(self.cache_read),
            cache_write_5m=nano(self.cache_write_5m),
            cache_write_1h=nano(self.cache_write_1h),
            output=nano(self.output),
            version=version,
        )


class Priced(Struct, frozen=True):
    """How one deployment is priced: by the catalogue under `reference`, or by the operator's `listed`;
    `negotiated` is what the operator really pays, where that differs."""

    provider: str
    """The catalogue's id of the provider, e.g. `openai`."""
    reference: str
    """The catalogue's name of the model."""
    listed: PriceOverride | None = None
    negotiated: PriceOverride | None = None
    writes: bool = True
    """Embedding models write nothing, and have no price for it."""

    def list_prices(self, at: datetime, input_tokens: int) -> UnitPrices | None:
        """The official prices at that time for a request of this many input tokens (long prompts may cost
        more per token), or None where nobody knows them."""
        if self.listed is not None:
            return self.listed.unit_prices("configuration")
        return catalogue_prices(self.provider, self.reference, at, input_tokens, writes=self.writes)

    def effective_prices(self, at: datetime, input_tokens: int) -> UnitPrices | None:
        """What is really paid: the negotiated rate if there is one, else the list price."""
        if self.negotiated is not None:
            return self.negotiated.unit_prices("negotiated")
        return self.list_prices(at, input_tokens)


def catalogue_models() -> Iterator[tuple[str, str]]:
    """Every (provider, model) that the catalogue knows."""
    for provider in data_snapshot.get_snapshot().providers:
        yield from ((provider.id, model.id) for model in provider.models)


def catalogue_prices(
    provider: str, model: str, at: datetime, input_tokens: int, *, writes: bool = True
) -> UnitPrices | None:
    """As `_catalogue_prices`, remembered for the minute: one request asks for the same prices several times."""
    return _catalogue_prices(provider, model, at.replace(second=0, microsecond=0), input_tokens, writes)


@lru_cache(maxsize=2048)
def _catalogue_prices(provider: str, model: str, at: datetime, input_tokens: int, writes: bool) -> UnitPrices | None:
    """The catalogue's prices, or None if it does not know the model, gives no input price, or no output price for a
    model that writes, or says that requests cost more than their tokens."""
    try:
        _, info = data_snapshot.get_snapshot().find_provider_model(model, None, provider, None)
    except LookupError:
        return None
    quoted: Any = info.get_prices(at)
    if quoted.input_mtok is None or (writes and quoted.output_mtok is None):
        return None
    if any(getattr(quoted, key) is not None for key in _BESIDE_BUCKETS):
        return None

    def nano(*keys: str) -> int:
        """The first of these prices that the catalogue states."""
        stated = next(price for key in keys if (price := getattr(quoted, key)) is not None)
        return nano_from_usd(_tier_price(stated, input_tokens))

    return UnitPrices(
        input=nano("input_mtok"),
        cache_read=nano("cache_read_mtok", "input_mtok"),
        cache_write_5m=nano("cache_write_5m_mtok", "cache_write_mtok", "input_mtok"),
        cache_write_1h=nano("cache_write_1h_mtok", "cache_write_mtok", "input_mtok"),
        output=nano("output_mtok") if writes else 0,
        version=CATALOGUE_VERSION,
    )


def cost_nano(usage: Usage, prices: UnitPrices) -> int:
    """Cost of this usage: each bucket rounded once, half up, then added."""
    return (
        bucket_cost_nano(usage.input, prices.input)
        + bucket_cost_nano(usage.cache_read, prices.cache_read)
        + bucket_cost_nano(usage.cache_write_5m, prices.cache_write_5m)
        + bucket_cost_nano(usage.cache_write_1h, prices.cache_write_1h)
        + bucket_cost_nano(usage.output, prices.output)
    )


def worst_case_nano(input_tokens: int, output_tokens: int, prices: UnitPrices) -> int:
    """An upper bound of the cost: every input token in the dearest input bucket."""
    dearest = max(prices.input, prices.cache_read, prices.cache_write_5m, prices.cache_write_1h)
    # Up to four input buckets are each rounded on their own: at most half a nano-dollar more for each.
    return bucket_cost_nano(input_tokens, dearest) + bucket_cost_nano(output_tokens, prices.output) + 2


def _tier_price(price: Decimal | TieredPrices, input_tokens: int) -> Decimal:
    """Crossing a tier's start prices all tokens at that tier (the catalogue's own rule)."""
    if isinstance(price, Decimal):
        return price
    crossed = [tier.price for tier in price.tiers if input_tokens > tier.start]
    return crossed[-1] if crossed else price.base
