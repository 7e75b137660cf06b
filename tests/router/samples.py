"""Small samples that tests build upon: prices, models, requests, ledger rows. What matters to a test it sets itself."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

from router.catalogue import Deployment, Model, Provider, RoutingPolicy, Tier
from router.chat import ChatRequest
from router.ledger.row import LedgerRow, price_columns, usage_columns
from router.prices import Priced, PriceOverride, UnitPrices
from router.savings import REASONS, of_call
from router.surfaces import openai
from router.usage import Usage

AT = datetime(2026, 6, 17, 12, 30, tzinfo=UTC)
"""A Wednesday."""

quick = settings(deadline=None, max_examples=80)
"""For properties: no deadline, because a slow machine is no defect."""

usages = st.builds(
    Usage,
    input=st.integers(0, 2_000_000),
    cache_read=st.integers(0, 2_000_000),
    cache_write_5m=st.integers(0, 2_000_000),
    cache_write_1h=st.integers(0, 2_000_000),
    output=st.integers(0, 200_000),
)

_price = st.integers(0, 200_000_000_000)
unit_prices = st.builds(
    UnitPrices,
    input=_price,
    cache_read=_price,
    cache_write_5m=_price,
    cache_write_1h=_price,
    output=_price,
    version=st.just("test"),
)


def prices(usd_in: str = "1", usd_out: str = "8", **cache: str) -> UnitPrices:
    """Unit prices for these USD per million tokens."""
    return override(usd_in, usd_out, **cache).unit_prices("test")


def override(usd_in: str, usd_out: str, **cache: str) -> PriceOverride:
    return PriceOverride(
        input=Decimal(usd_in), output=Decimal(usd_out), **{name: Decimal(usd) for name, usd in cache.items()}
    )


def model(name: str, tier: Tier, usd_in: str = "1", usd_out: str = "8", **fields: Any) -> Model:
    """A model at one deployment that costs this much."""
    priced = Priced(provider="none", reference=name, listed=override(usd_in, usd_out))
    deployment = Deployment(f"here/{name}", Provider("here", "http://here.invalid/v1"), name, priced)
    usual: dict[str, Any] = {
        "context_tokens": 200_000,
        "max_output_tokens": 16_000,
        "deployments": (deployment,),
        "accepts": frozenset(),
        "takes_tools": True,
    }
    return Model(name=name, tier=tier, **(usual | fields))


def policy(*models: Model, **fields: Any) -> RoutingPolicy:
    usual: dict[str, Any] = {
        "floor": Tier.ECONOMY,
        "strategy": "balanced",
        "allow_downgrade": False,
        "clamp_output": False,
        "baseline": models[0].name,
    }
    return RoutingPolicy(models=models, **(usual | fields))


def request(text: str = "Hello", **fields: Any) -> ChatRequest:
    """A decoded chat completion request with one user message, unless `messages` says otherwise."""
    body = {"model": "auto", "messages": [{"role": "user", "content": text}]} | fields
    return openai.decode_request(json.dumps(body).encode(), {})


def ledger_row(request_id: str = "req_1", **fields: Any) -> LedgerRow:
    """A row of a call whose money follows from its tokens and prices."""
    usage = Usage(input=1201, cache_read=303, output=457, reasoning=100)
    baseline, listed, paid = prices("1.25", "10"), prices("0.25", "2", cache_read="0.025"), prices("0.2", "1.6")
    money = of_call(usage, baseline, listed, paid, is_rationed=False)
    usual: dict[str, Any] = {
        "at_us": int(AT.timestamp() * 1_000_000),
        "team": "support",
        "app": "faq-bot",
        "key_id": "key_1",
        "env": "prod",
        "route": "default",
        "requested_model": "auto",
        "served_model": "small",
        "tier": "economy",
        "disposition": "miss",
        "usage_source": "provider",
        "baseline_model": "large",
        "baseline_nano": money.baseline_nano,
        "list_nano": money.list_nano,
        "actual_nano": money.actual_nano,
        **{f"avoided_{reason}_nano": money.avoided.get(reason, 0) for reason in REASONS},
        **usage_columns(usage),
        **price_columns(baseline, listed, paid),
    }
    return LedgerRow(request_id=request_id, **(usual | fields))
