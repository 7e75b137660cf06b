"""Official list prices, from the pinned `genai-prices` catalogue, and what an operator pays instead.

The only module that knows the catalogue. Everything else sees `UnitPrices`: integers in nano-dollars per
million tokens. An unknown price is None (`unpriced`), never 0.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from importlib.metadata import version
from typing import Any, Final

import msgspec
from genai_prices import data_snapshot
from genai_prices.types import TieredPrices
from msgspec import Struct

from router.money import bucket_cost_nano, fee_nano, nano_from_usd
from router.own_tools import KINDS
from router.usage import Usage

CATALOGUE_VERSION = f"genai-prices {version('genai-prices')}"


# What some models charge beside our buckets, whatever a request asks for: such a price would be too low.
_BESIDE_BUCKETS = ("requests_kcount", "output_reasoning_mtok", "output_citation_mtok")


_TOOLS: Final = {
    "web_search": "web_searches_kcount",
    "file_search": "storage_searches_kcount",
    "code_execution": "code_executions_kcount",
}
"""Kind of a provider's own tool -> the catalogue's name of its fee for 1,000 calls."""


class UnitPrices(Struct, frozen=True):
    """What a million tokens of each bucket cost, in nano-dollars. `version` says where the figures are from."""

    input: int
    cache_read: int
    cache_write_5m: int
    cache_write_1h: int
    output: int
    version: str
    audio_input: int | None = None
    """None where nobody knows it, as with all of these: what it would price has no cost then."""
    audio_cache_read: int | None = None
    audio_output: int | None = None
    tools: dict[str, int] = {}
    """Kind -> nano-dollars for 1,000 calls."""


class PriceOverride(Struct, frozen=True, forbid_unknown_fields=True):
    """Prices from the operator's configuration, in USD per million tokens; `tools` in USD for 1,000 calls.

    What is left out is taken from the input price (cache buckets), as a provider without that discount
    would bill it; audio and tools without a price stay unpriced. Raises ValueError for a price that is negative or
    not finite, and for a tool that has no fee.
    """

    input: Decimal
    output: Decimal
    cache_read: Decimal | None = None
    cache_write_5m: Decimal | None = None
    cache_write_1h: Decimal | None = None
    audio_input: Decimal | None = None
    audio_cache_read: Decimal | None = None
    audio_output: Decimal | None = None
    tools: dict[str, Decimal] = {}

    def __post_init__(self) -> None:
        if unknown := sorted(self.tools.keys() - KINDS):
            raise ValueError(f"there is no tool `{unknown[0]}` with a fee, there are {', '.join(sorted(KINDS))}")
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
            audio_input=_nano(self.audio_input),
            audio_cache_read=_nano(self.audio_input if self.audio_cache_read is None else self.audio_cache_read),
            audio_output=_nano(self.audio_output),
            tools={kind: nano_from_usd(usd) for kind, usd in self.tools.items()},
        )


def _nano(usd: Decimal | None) -> int | None:
    return None if usd is None else nano_from_usd(usd)


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
        """What is really paid: the negotiated rate if there is one, else the list price. What the agreement does not
        speak of, audio and tools, costs what is listed."""
        listed = self.list_prices(at, input_tokens)
        if self.negotiated is None:
            return listed
        return _completed(self.negotiated.unit_prices("negotiated"), listed)


def _completed(agreed: UnitPrices, listed: UnitPrices | None) -> UnitPrices:
    if listed is None:
        return agreed
    audio = {name: getattr(listed, name) for name in _AUDIO if getattr(agreed, name) is None}
    return msgspec.structs.replace(agreed, **audio, tools=listed.tools | agreed.tools)


_AUDIO: Final = ("audio_input", "audio_cache_read", "audio_output")


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

    def nano_or_none(*keys: str) -> int | None:
        """The first of these prices that the catalogue states."""
        stated = next((price for key in keys if (price := getattr(quoted, key)) is not None), None)
        return None if stated is None else nano_from_usd(_tier_price(stated, input_tokens))

    def nano(*keys: str) -> int:
        found = nano_or_none(*keys)
        assert found is not None  # the last key is one that is stated
        return found

    return UnitPrices(
        input=nano("input_mtok"),
        cache_read=nano("cache_read_mtok", "input_mtok"),
        cache_write_5m=nano("cache_write_5m_mtok", "cache_write_mtok", "input_mtok"),
        cache_write_1h=nano("cache_write_1h_mtok", "cache_write_mtok", "input_mtok"),
        output=nano("output_mtok") if writes else 0,
        version=CATALOGUE_VERSION,
        audio_input=nano_or_none("input_audio_mtok"),
        audio_cache_read=nano_or_none("cache_audio_read_mtok", "input_audio_mtok"),
        audio_output=nano_or_none("output_audio_mtok"),
        tools={kind: fee for kind, key in _TOOLS.items() if (fee := nano_or_none(key)) is not None},
    )


def cost_nano(usage: Usage, prices: UnitPrices) -> int | None:
    """Cost of this usage: each bucket and each kind of tool rounded once, half up, then added. None where something
    was used that has no price here: audio, a tool of the provider's own."""
    audio_input, audio_cache_read, audio_output = usage.audio
    priced = (
        (usage.input - audio_input, prices.input),
        (usage.cache_read - audio_cache_read, prices.cache_read),
        (usage.cache_write_5m, prices.cache_write_5m),
        (usage.cache_write_1h, prices.cache_write_1h),
        (usage.output - audio_output, prices.output),
        (audio_input, prices.audio_input),
        (audio_cache_read, prices.audio_cache_read),
        (audio_output, prices.audio_output),
    )
    buckets = [bucket_cost_nano(tokens, price) for tokens, price in priced if price is not None]
    fees = _fees_nano(usage.tools, prices)
    if fees is None or any(tokens and price is None for tokens, price in priced):
        return None
    return sum(buckets) + fees


def _fees_nano(calls: Mapping[str, int], prices: UnitPrices) -> int | None:
    """Of so many calls of each kind; None where one has no price."""
    if any(count and kind not in prices.tools for kind, count in calls.items()):
        return None
    return sum(fee_nano(count, prices.tools[kind]) for kind, count in calls.items() if count)


def worst_case_nano(
    input_tokens: int,
    output_tokens: int,
    prices: UnitPrices,
    *,
    hears: bool = False,
    speaks: bool = False,
    tools: Mapping[str, int] | None = None,
) -> int | None:
    """An upper bound of the cost: every input token in the dearest input bucket, every output token likewise. `hears`
    and `speaks`: audio may be among them; `tools`: so many calls of each kind at most. None where one of these has no
    price."""
    given = [prices.input, prices.cache_read, prices.cache_write_5m, prices.cache_write_1h]
    heard = [prices.audio_input, prices.audio_cache_read] if hears else []
    said = [prices.audio_output] if speaks else []
    known = [price for price in (*heard, *said) if price is not None]
    fees = _fees_nano(tools or {}, prices)
    if fees is None or len(known) < len(heard) + len(said):
        return None
    dearest = max(*given, *known[: len(heard)])
    # Buckets are rounded on their own, at most six of input and two of output: half a nano-dollar more for each.
    rounded = 3 if hears or speaks else 2
    return (
        bucket_cost_nano(input_tokens, dearest)
        + bucket_cost_nano(output_tokens, dearest_output(prices, speaks=speaks))
        + fees
        + rounded
    )


def dearest_output(prices: UnitPrices, *, speaks: bool) -> int:
    """Of a million output tokens; `speaks`: audio may be among them."""
    return max(prices.output, (prices.audio_output or 0) if speaks else 0)


def _tier_price(price: Decimal | TieredPrices, input_tokens: int) -> Decimal:
    """Crossing a tier's start prices all tokens at that tier (the catalogue's own rule)."""
    if isinstance(price, Decimal):
        return price
    crossed = [tier.price for tier in price.tiers if input_tokens > tier.start]
    return crossed[-1] if crossed else price.base
