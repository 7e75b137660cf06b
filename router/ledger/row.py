"""What a ledger row says, and the hash that chains it to the row before.

A row is never updated. What comes later (audits, feedback, corrections) is a row of its own kind that points
to the request id. The hash covers the columns of the row's schema version, so that later columns do not
break the verification of old rows.
"""

import hashlib
import uuid
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from router.prices import UnitPrices
from router.usage import Usage

Kind = Literal["request", "attempt", "audit", "refresh", "label", "judge", "feedback"]
"""`request`: what a client asked and got. `attempt`: an upstream call that failed and was replaced. `audit`: a fresh
answer to a question that had been served from the cache, to see whether that was right. `refresh`: one to a question
that had been served an answer whose time was over. `label`: what a fresh answer says of the stored one that had not
been served instead; it costs nothing. `judge`: what was asked to learn how good an answer was. `feedback`:
what a client thought of it. All but the first two refer to the request."""
COMPLAINT: Final = "complaint"
"""The `cache_reason` of an audit that was not drawn, but is to settle a complaint: it is no sample of the hits."""
Status = Literal["ok", "refused", "upstream_error", "upstream_cut", "client_closed", "unknown"]
"""`unknown`: the process died while the request was under way; it is booked at its reservation."""
Pricing = Literal["priced", "unpriced", "unknown"]
"""`unpriced`: a price of the served model or its baseline is in no catalogue, so the money columns that need it
are null. `unknown`: booked at the reservation, because nobody knows what was used."""

SCHEMA: Final = 4


class LedgerRow(Struct, frozen=True, kw_only=True):
    """One row. Times in microseconds since the epoch, money in nano-dollars, unit prices in nano-dollars per
    million tokens; None = does not apply or not known. Columns are only ever added, with a new SCHEMA."""

    kind: Kind = "request"
    request_id: str
    attempt: int = 1
    at_us: int
    """When the request arrived; it decides the budget period."""
    team: str
    app: str
    key_id: str
    env: str
    route: str
    end_user: str | None = None
    """Keyed hash of the client's `user` field."""
    labels: str | None = None
    """JSON object of the labels that the client gave, e.g. its use case."""
    requested_model: str
    served_model: str | None = None
    tier: str | None = None
    provider: str | None = None
    deployment: str | None = None
    disposition: str
    """`exact`, `semantic`, `coalesced`, `miss` or `bypass`."""
    cache_reason: str | None = None
    route_reason: str | None = None
    rationed: bool = False
    entry_id: str | None = None
    similarity: float | None = None
    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_5m_tokens: int = 0
    cache_write_1h_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    usage_source: str = "none"
    baseline_model: str | None = None
    baseline_input_price: int | None = None
    baseline_output_price: int | None = None
    baseline_price_version: str | None = None
    list_input_price: int | None = None
    list_cache_read_price: int | None = None
    list_cache_write_5m_price: int | None = None
    list_cache_write_1h_price: int | None = None
    list_output_price: int | None = None
    list_price_version: str | None = None
    paid_input_price: int | None = None
    paid_cache_read_price: int | None = None
    paid_cache_write_5m_price: int | None = None
    paid_cache_write_1h_price: int | None = None
    paid_output_price: int | None = None
    paid_price_version: str | None = None
    pricing: Pricing = "priced"
    baseline_nano: int | None = None
    list_nano: int | None = None
    actual_nano: int | None = None
    avoided_exact_nano: int = 0
    avoided_semantic_nano: int = 0
    avoided_coalesced_nano: int = 0
    avoided_downgrade_nano: int = 0
    avoided_rationing_nano: int = 0
    avoided_provider_prompt_cache_nano: int = 0
    avoided_negotiated_rate_nano: int = 0
    overhead_nano: int = 0
    overhead_reason: str | None = None
    """`retry`: an attempt of a request. Else the kind of what it was paid for, whose failed attempts are among it."""
    reserved_nano: int = 0
    latency_us: int | None = None
    first_token_us: int | None = None
    status: Status = "ok"
    error_class: str | None = None
    refers_to: str | None = None
    confidence: float | None = None
    """p(correct) of the stored answer that was served or might have been."""
    kappa: float | None = None
    """From which p on the route served then; null where nothing was served semantically."""
    decision: str | None = None
    """JSON, without any text: candidate group, what blocked it, and the nearest anchors with their cosines."""
    verdict: str | None = None
    """Of an audit or a label: `same`, `different` or `unclear`. Of a judge: `better`, `same` or `worse`."""
    conversation: str | None = None
    """Keyed hash of the conversation that the request belongs to."""
    routing: str | None = None
    """JSON, without any text: the candidates with their expected quality and cost, the price of money, the probability
    of the choice, and whether the conversation is held out."""
    score: float | None = None
    """Of feedback and judges: how good the answer was, 0 to 1."""
    upstream_request_id: str | None = None
    """The provider's own id of the call."""
    audio_input_tokens: int = 0
    """Among the input tokens, as the next among the cache reads, and the one after among the output tokens."""
    audio_cache_read_tokens: int = 0
    audio_output_tokens: int = 0
    tool_calls: str | None = None
    """JSON: kind -> calls, of the provider's own tools that cost a fee."""
    baseline_audio_input_price: int | None = None
    baseline_audio_output_price: int | None = None
    baseline_tool_prices: str | None = None
    """JSON: kind -> nano-dollars per thousand calls, of the kinds that were called."""
    list_audio_input_price: int | None = None
    list_audio_cache_read_price: int | None = None
    list_audio_output_price: int | None = None
    list_tool_prices: str | None = None
    paid_audio_input_price: int | None = None
    paid_audio_cache_read_price: int | None = None
    paid_audio_output_price: int | None = None
    paid_tool_prices: str | None = None

    @property
    def usage(self) -> Usage:
        return Usage(
            input=self.input_tokens,
            cache_read=self.cache_read_tokens,
            cache_write_5m=self.cache_write_5m_tokens,
            cache_write_1h=self.cache_write_1h_tokens,
            output=self.output_tokens,
            reasoning=self.reasoning_tokens,
            audio_input=self.audio_input_tokens,
            audio_cache_read=self.audio_cache_read_tokens,
            audio_output=self.audio_output_tokens,
            tools=_by_kind(self.tool_calls),
        )

    @property
    def baseline_prices(self) -> UnitPrices | None:
        """Rebuilt from the columns; the baseline has no prompt cache, so its cache buckets cost as input."""
        if self.baseline_input_price is None or self.baseline_output_price is None:
            return None
        return UnitPrices(
            input=self.baseline_input_price,
            cache_read=self.baseline_input_price,
            cache_write_5m=self.baseline_input_price,
            cache_write_1h=self.baseline_input_price,
            output=self.baseline_output_price,
            version=self.baseline_price_version or "",
            audio_input=self.baseline_audio_input_price,
            audio_cache_read=self.baseline_audio_input_price,
            audio_output=self.baseline_audio_output_price,
            tools=_by_kind(self.baseline_tool_prices),
        )

    @property
    def list_prices(self) -> UnitPrices | None:
        return self._prices("list")

    @property
    def paid_prices(self) -> UnitPrices | None:
        return self._prices("paid")

    def _prices(self, side: Literal["list", "paid"]) -> UnitPrices | None:
        buckets = {name: getattr(self, f"{side}_{name}_price") for name in _BUCKETS}
        if None in buckets.values():
            return None
        audio = {name: getattr(self, f"{side}_{name}_price") for name in _AUDIO_BUCKETS}
        fees = _by_kind(getattr(self, f"{side}_tool_prices"))
        return UnitPrices(**buckets, **audio, tools=fees, version=getattr(self, f"{side}_price_version") or "")


def opinion(answered: LedgerRow, kind: Literal["feedback", "judge"], score: float | None, at_us: int) -> LedgerRow:
    """What was thought of an answer, in a row of its own that points to it and costs nothing."""
    return LedgerRow(
        kind=kind,
        request_id=f"{kind}_{uuid.uuid4().hex}",
        refers_to=answered.request_id,
        at_us=at_us,
        team=answered.team,
        app=answered.app,
        key_id=answered.key_id,
        env=answered.env,
        route=answered.route,
        conversation=answered.conversation,
        requested_model=answered.requested_model,
        served_model=answered.served_model,
        disposition=answered.disposition,
        score=score,
        actual_nano=0,
    )


_BUCKETS: Final = ("input", "cache_read", "cache_write_5m", "cache_write_1h", "output")
_AUDIO_BUCKETS: Final = ("audio_input", "audio_cache_read", "audio_output")


def _by_kind(written: str | None) -> dict[str, int]:
    """Figures by kind of tool. A column that somebody has spoilt gives none: the row's hash tells that as well."""
    try:
        return msgspec.json.decode(written or "{}", type=dict[str, int])
    except (msgspec.DecodeError, UnicodeEncodeError):
        return {}


def _written(figures: Mapping[str, int]) -> str | None:
    return msgspec.json.encode(figures, order="sorted").decode() if figures else None


def usage_columns(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.input,
        "cache_read_tokens": usage.cache_read,
        "cache_write_5m_tokens": usage.cache_write_5m,
        "cache_write_1h_tokens": usage.cache_write_1h,
        "output_tokens": usage.output,
        "reasoning_tokens": usage.reasoning,
        "audio_input_tokens": usage.audio_input,
        "audio_cache_read_tokens": usage.audio_cache_read,
        "audio_output_tokens": usage.audio_output,
        "tool_calls": _written(usage.tools),
    }


def price_columns(
    baseline: UnitPrices | None, listed: UnitPrices | None, paid: UnitPrices | None, tools: Iterable[str] = ()
) -> dict[str, Any]:
    """`tools` are the kinds that were called: the fees of others say nothing of this row."""
    columns: dict[str, Any] = {}
    called = set(tools)
    for side, prices in (("baseline", baseline), ("list", listed), ("paid", paid)):
        if prices:
            columns |= {f"{side}_{name}_price": getattr(prices, name) for name in _STORED[side]}
            columns[f"{side}_price_version"] = prices.version
            fees = {kind: fee for kind, fee in prices.tools.items() if kind in called}
            columns[f"{side}_tool_prices"] = _written(fees)
    return columns


_STORED: Final = {
    "baseline": ("input", "output", "audio_input", "audio_output"),
    "list": (*_BUCKETS, *_AUDIO_BUCKETS),
    "paid": (*_BUCKETS, *_AUDIO_BUCKETS),
}


_LAST_OF_SCHEMA: Final = {1: "refers_to", 2: "verdict", 3: "upstream_request_id", 4: "paid_tool_prices"}
"""Columns are only ever added at the end."""

COLUMNS: Final[dict[int, tuple[str, ...]]] = {
    schema: LedgerRow.__struct_fields__[: LedgerRow.__struct_fields__.index(last) + 1]
    for schema, last in _LAST_OF_SCHEMA.items()
}
"""The hashed columns of each schema version, in order."""


def row_hash(chain_id: str, seq: int, schema: int, previous: bytes, values: dict[str, Any]) -> bytes:
    """SHA-256 over the previous row's hash and this row's canonical encoding: a JSON array of chain id,
    sequence number, schema version and the schema's columns in order."""
    canonical = msgspec.json.encode([chain_id, seq, schema, [values[name] for name in COLUMNS[schema]]])
    return hashlib.sha256(previous + canonical).digest()


def first_hash(chain_id: str) -> bytes:
    """What the first row of a chain is chained to."""
    return hashlib.sha256(b"thriftgate ledger " + chain_id.encode()).digest()
