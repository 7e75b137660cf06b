"""Audio tokens and the providers' own tools: counted as each provider tells them, priced to the nano-dollar at prices
of their own, and never silently at those of text."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router import own_tools
from router.ledger.reader import cost_faults
from router.ledger.row import LedgerRow, price_columns, usage_columns
from router.money import fee_nano
from router.prices import Priced, PriceOverride, UnitPrices, catalogue_prices, cost_nano, worst_case_nano
from router.protocols import anthropic_answers, gemini_answers, openai, responses
from router.savings import REASONS, of_call
from router.usage import Usage
from tests.router.samples import ledger_row, override, prices, quick, unit_prices, usages

AT = datetime(2026, 6, 1, tzinfo=UTC)
KINDS = sorted(own_tools.KINDS)
FEES = {"web_search": Decimal(10), "file_search": Decimal("2.5"), "code_interpreter": Decimal(30)}


# --- golden payloads -------------------------------------------------------------------------------------------------

OF_CHATS: list[tuple[str, dict[str, Any], Usage, int | None]] = [
    # gpt-audio: text 2.50 in, 10 out; audio 32 in, 64 out.
    (
        "gpt-audio",
        {
            "prompt_tokens": 120,
            "completion_tokens": 340,
            "prompt_tokens_details": {"audio_tokens": 100, "cached_tokens": 0, "text_tokens": 20},
            "completion_tokens_details": {"audio_tokens": 300, "reasoning_tokens": 0, "text_tokens": 40},
        },
        Usage(input=120, output=340, audio_input=100, audio_output=300),
        20 * 2_500 + 100 * 32_000 + 40 * 10_000 + 300 * 64_000,
    ),
    # gpt-realtime: cached audio has a price of its own, 0.40, cached text another one, 0.40 as well; text 4, audio 32.
    (
        "gpt-realtime",
        {
            "prompt_tokens": 1_000,
            "completion_tokens": 10,
            "prompt_tokens_details": {
                "audio_tokens": 600,
                "cached_tokens": 500,
                "cached_tokens_details": {"audio_tokens": 200, "text_tokens": 300},
            },
        },
        Usage(input=500, cache_read=500, output=10, audio_input=400, audio_cache_read=200),
        100 * 4_000 + 400 * 32_000 + 300 * 400 + 200 * 400 + 10 * 16_000,
    ),
    # More audio and cached tokens than there are tokens: some are both, whoever does not say so.
    (
        "gpt-realtime",
        {
            "prompt_tokens": 100,
            "completion_tokens": 0,
            "prompt_tokens_details": {"audio_tokens": 80, "cached_tokens": 50},
        },
        Usage(input=50, cache_read=50, audio_input=50, audio_cache_read=30),
        50 * 32_000 + 20 * 400 + 30 * 400,
    ),
    # gpt-4o has no price for audio in the catalogue.
    (
        "gpt-4o",
        {"prompt_tokens": 120, "completion_tokens": 1, "prompt_tokens_details": {"audio_tokens": 100}},
        Usage(input=120, output=1, audio_input=100),
        None,
    ),
    # A search that the provider counts itself.
    (
        "gpt-4o",
        {"prompt_tokens": 100, "completion_tokens": 10, "server_tool_use": {"web_search_requests": 3}},
        Usage(input=100, output=10, tools={"web_search": 3}),
        100 * 2_500 + 10 * 10_000 + 3 * 10_000_000,
    ),
]


@pytest.mark.parametrize(("model", "payload", "usage", "nano"), OF_CHATS)
def test_chats_are_priced_to_the_nano_dollar(
    model: str, payload: dict[str, Any], usage: Usage, nano: int | None
) -> None:
    assert openai.parse_usage(payload) == usage
    assert cost_at("openai", model, usage) == nano


OF_GEMINI: list[tuple[str, dict[str, Any], list[Any], Usage, int | None]] = [
    # gemini-2.5-flash: text 0.30 and audio 1.00 in, cached 0.03 and 0.10, out 2.50.
    (
        "gemini-2.5-flash",
        {
            "promptTokenCount": 1_000,
            "cachedContentTokenCount": 300,
            "candidatesTokenCount": 50,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 400}, {"modality": "AUDIO", "tokenCount": 600}],
            "cacheTokensDetails": [{"modality": "AUDIO", "tokenCount": 100}, {"modality": "TEXT", "tokenCount": 200}],
        },
        [],
        Usage(input=700, cache_read=300, output=50, audio_input=500, audio_cache_read=100),
        200 * 300 + 500 * 1_000 + 200 * 30 + 100 * 100 + 50 * 2_500,
    ),
    # What is spoken has no price there: gemini-2.5-flash writes.
    (
        "gemini-2.5-flash",
        {
            "promptTokenCount": 10,
            "candidatesTokenCount": 50,
            "candidatesTokensDetails": [{"modality": "AUDIO", "tokenCount": 50}],
        },
        [],
        Usage(input=10, output=50, audio_output=50),
        None,
    ),
    # Up to generation 2.5 a grounded prompt costs 35 for 1,000, however many searches it took.
    (
        "gemini-2.5-flash",
        {"promptTokenCount": 10, "candidatesTokenCount": 1},
        [{"webSearchQueries": ["weather Paris", "weather Rome"], "groundingChunks": [{"web": {}}]}],
        Usage(input=10, output=1, tools={"web_search": 1}),
        10 * 300 + 2_500 + 35_000_000,
    ),
    # From generation 3 on a search costs 14 for 1,000; those that are empty or the same are not counted.
    (
        "gemini-3-flash-preview",
        {"promptTokenCount": 10, "candidatesTokenCount": 1},
        [{"webSearchQueries": ["weather Paris", "", "weather Rome", "weather Paris"]}],
        Usage(input=10, output=1, tools={"web_search": 2}),
        10 * 500 + 3_000 + 2 * 14_000_000,
    ),
]


@pytest.mark.parametrize(("model", "counts", "grounding", "usage", "nano"), OF_GEMINI)
def test_gemini_is_priced_to_the_nano_dollar(
    model: str, counts: dict[str, Any], grounding: list[Any], usage: Usage, nano: int | None
) -> None:
    candidates = [{"index": 0, "content": {"parts": [{"text": "x"}]}, "finishReason": "STOP"}]
    if grounding:
        candidates[0]["groundingMetadata"] = grounding[0]
    steps = gemini_answers.Steps()
    steps.chunk({"candidates": candidates, "usageMetadata": counts, "modelVersion": model})

    assert steps.usage == usage
    assert cost_at("google", model, usage) == nano


def test_anthropics_searches_are_priced_to_the_nano_dollar() -> None:
    payload = {
        "input_tokens": 105,
        "output_tokens": 10,
        "cache_read_input_tokens": 7_123,
        "server_tool_use": {"web_search_requests": 2, "web_fetch_requests": 9},
    }
    usage = anthropic_answers.parse_usage(payload)

    assert usage == Usage(input=105, cache_read=7_123, output=10, tools={"web_search": 2})
    # claude-sonnet-4-5: 3 in, 0.30 cached, 15 out; 10 for 1,000 searches. Fetching costs its tokens only.
    assert cost_at("anthropic", "claude-sonnet-4-5", usage) == 105 * 3_000 + 7_123 * 300 + 10 * 15_000 + 20_000_000


SEARCH = {"type": "web_search_call", "id": "ws", "status": "completed", "action": {"type": "search", "query": "x"}}
OPENING = {**SEARCH, "action": {"type": "open_page", "url": "https://x.invalid"}}
FILES = {"type": "file_search_call", "id": "fs", "status": "completed", "queries": ["x"]}
CODE = {"type": "code_interpreter_call", "id": "ci", "container_id": "cntr_1", "code": "1"}
SAID = {"type": "message", "id": "m", "content": [{"type": "output_text", "text": "x", "annotations": []}]}
RESPONSES: list[tuple[dict[str, Any], dict[str, int]]] = [
    ({"output": [SAID]}, {}),
    ({"output": [SEARCH, OPENING, SEARCH, SAID]}, {"web_search": 2}),
    ({"output": [SEARCH, SEARCH], "tool_usage": {"web_search": {"num_requests": 1}}}, {"web_search": 1}),
    ({"output": [SEARCH], "tool_usage": {"web_search": {"num_requests": 0}}}, {}),
    ({"output": [FILES, FILES]}, {"file_search": 2}),
    ({"output": [CODE, CODE, {**CODE, "container_id": "cntr_2"}]}, {"code_interpreter": 2}),
    ({"output": [{"type": "image_generation_call", "id": "ig", "result": "AA=="}]}, {"image_generation": 1}),
]


@pytest.mark.parametrize(("fields", "tools"), RESPONSES)
def test_responses_tell_their_tools_in_both_forms(fields: dict[str, Any], tools: dict[str, int]) -> None:
    usage = {"input_tokens": 1_000, "output_tokens": 10, "input_tokens_details": {"cached_tokens": 0}}
    whole = {"id": "resp_1", "status": "completed", "model": "gpt-5", "usage": usage, **fields}
    done = b"data: " + msgspec.json.encode({"type": "response.completed", "response": whole}) + b"\n\n"

    as_body = responses.parse_body(msgspec.json.encode(whole)).usage
    as_stream = [event.usage for event in responses.Reader().feed(done) if event.usage]

    assert as_body == Usage(input=1_000, output=10, tools=tools)
    assert as_stream == [as_body]
    # gpt-5: 1.25 in, 10 out; 10 for 1,000 web searches, 2.50 for 1,000 searches in files. The rest has no price.
    fees = tools.get("web_search", 0) * 10_000_000 + tools.get("file_search", 0) * 2_500_000
    expected = None if tools.keys() & {"code_interpreter", "image_generation"} else 1_000 * 1_250 + 10 * 10_000 + fees
    assert cost_at("openai", "gpt-5", as_body) == expected


def test_a_chat_that_cites_the_web_has_searched_once() -> None:
    cited = {"type": "url_citation", "url_citation": {"url": "https://x.invalid", "title": "x"}}
    counts = {"prompt_tokens": 10, "completion_tokens": 1}
    message = {"role": "assistant", "content": "x", "annotations": [cited]}
    body = {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": counts}
    chunks = [
        {"choices": [{"index": 0, "delta": {"content": "x", "annotations": [cited]}, "finish_reason": "stop"}]},
        {"choices": [], "usage": counts},
    ]
    stream = b"".join(b"data: " + msgspec.json.encode(chunk) + b"\n\n" for chunk in chunks)

    expected = Usage(input=10, output=1, tools={"web_search": 1})
    assert openai.parse_body(msgspec.json.encode(body)).usage == expected
    assert [event.usage for event in openai.Reader().feed(stream) if event.usage] == [expected]


def cost_at(provider: str, model: str, usage: Usage) -> int | None:
    found = catalogue_prices(provider, model, AT, usage.all_input)
    assert found is not None
    return cost_nano(usage, found)


# --- prices of the configuration -------------------------------------------------------------------------------------


def test_a_price_from_the_configuration_prices_audio_and_tools() -> None:
    listed = PriceOverride(Decimal(1), Decimal(8), audio_input=Decimal(5), audio_output=Decimal(20), tools=FEES)
    usage = Usage(
        input=100,
        cache_read=50,
        output=10,
        audio_input=40,
        audio_cache_read=20,
        audio_output=4,
        tools={"web_search": 1, "file_search": 3, "code_interpreter": 1},
    )

    cost = cost_nano(usage, listed.unit_prices("test"))

    # Cached audio has no price of its own, so it costs as audio.
    tokens = 60 * 1_000 + 40 * 5_000 + 30 * 1_000 + 20 * 5_000 + 6 * 8_000 + 4 * 20_000
    assert cost == tokens + 10_000_000 + 3 * 2_500_000 + 30_000_000


@pytest.mark.parametrize(
    "usage",
    [
        Usage(input=10, audio_input=1),
        Usage(cache_read=10, audio_cache_read=1),
        Usage(output=10, audio_output=1),
        Usage(tools={"web_search": 1}),
    ],
)
def test_what_has_no_price_is_not_priced_as_text(usage: Usage) -> None:
    assert cost_nano(usage, prices("1", "8")) is None


def test_none_of_something_without_a_price_costs_nothing() -> None:
    assert cost_nano(Usage(input=10, tools={"web_search": 0}), prices("1", "8")) == 10_000


def test_what_an_agreement_does_not_speak_of_costs_what_is_listed() -> None:
    listed = PriceOverride(Decimal(1), Decimal(8), audio_input=Decimal(5), audio_output=Decimal(20), tools=FEES)
    agreed = PriceOverride(Decimal("0.5"), Decimal(4), audio_input=Decimal(2), tools={"web_search": Decimal(7)})

    paid = Priced("none", "x", listed=listed, negotiated=agreed).effective_prices(AT, 1)

    assert paid is not None
    assert (paid.input, paid.audio_input, paid.audio_output) == (500_000_000, 2_000_000_000, 20_000_000_000)
    assert paid.tools == {
        "web_search": 7_000_000_000,
        "file_search": 2_500_000_000,
        "code_interpreter": 30_000_000_000,
    }


def test_a_fee_of_a_tool_that_nobody_knows_is_refused() -> None:
    with pytest.raises(ValueError, match="no tool `web_serach`"):
        PriceOverride(Decimal(1), Decimal(8), tools={"web_serach": Decimal(10)})


@pytest.mark.parametrize(
    ("calls", "fee", "nano"), [(1, 499, 0), (1, 500, 1), (3, 500, 2), (1_000, 7, 7), (0, 10**12, 0)]
)
def test_a_fee_is_rounded_once_and_half_up(calls: int, fee: int, nano: int) -> None:
    assert fee_nano(calls, fee) == nano


# --- properties ------------------------------------------------------------------------------------------------------

_price = st.integers(0, 200_000_000_000)
_calls = st.dictionaries(st.sampled_from(KINDS), st.integers(0, 50), max_size=3)


@st.composite
def full_usages(draw: st.DrawFn) -> Usage:
    plain = draw(usages)
    return msgspec.structs.replace(
        plain,
        audio_input=draw(st.integers(0, plain.input)),
        audio_cache_read=draw(st.integers(0, plain.cache_read)),
        audio_output=draw(st.integers(0, plain.output)),
        tools=draw(_calls),
    )


@st.composite
def full_prices(draw: st.DrawFn) -> UnitPrices:
    audio = {name: draw(_price) for name in ("audio_input", "audio_cache_read", "audio_output")}
    return msgspec.structs.replace(draw(unit_prices), **audio, tools={kind: draw(_price) for kind in KINDS})


@quick
@given(full_usages(), full_prices(), st.integers(0, 50_000), st.integers(0, 50_000))
def test_the_worst_case_is_never_below_the_cost(usage: Usage, unit: UnitPrices, more_in: int, more_out: int) -> None:
    input_tokens, output_tokens = usage.all_input + more_in, usage.output + more_out

    worst = worst_case_nano(input_tokens, output_tokens, unit, hears=True, speaks=True, tools=usage.tools)

    cost = cost_nano(usage, unit)
    assert worst is not None
    assert cost is not None
    assert cost <= worst


@quick
@given(full_usages(), full_prices(), full_prices(), full_prices(), st.booleans())
def test_the_parts_of_a_saving_sum_to_the_whole(
    usage: Usage, base: UnitPrices, listed: UnitPrices, paid: UnitPrices, rationed: bool
) -> None:
    money = of_call(usage, base, listed, paid, is_rationed=rationed)

    assert money.baseline_nano is not None
    assert money.actual_nano is not None
    assert money.baseline_nano - money.actual_nano == money.avoided_nano


@quick
@given(full_usages(), full_prices(), full_prices(), full_prices())
def test_a_row_keeps_all_that_its_cost_follows_from(
    usage: Usage, base: UnitPrices, listed: UnitPrices, paid: UnitPrices
) -> None:
    row = priced_row(usage, base, listed, paid)

    assert row.usage == usage
    assert list(cost_faults(row)) == []


@pytest.mark.parametrize("column", ["audio_input_tokens", "paid_audio_output_price", "tool_calls", "list_tool_prices"])
def test_a_row_whose_audio_or_tools_were_changed_does_not_add_up(column: str) -> None:
    listed = PriceOverride(Decimal(1), Decimal(8), audio_input=Decimal(5), audio_output=Decimal(20), tools=FEES)
    unit = listed.unit_prices("test")
    row = priced_row(Usage(input=9, output=9, audio_input=5, audio_output=5, tools={"web_search": 2}), unit, unit, unit)

    for value in ("not json", '{"web_search": 3}') if column.startswith(("tool", "list_tool")) else (7,):
        assert list(cost_faults(msgspec.structs.replace(row, **{column: value})))


def test_fees_of_tools_that_were_not_called_are_not_kept() -> None:
    unit = PriceOverride(Decimal(1), Decimal(8), tools=FEES).unit_prices("test")

    assert price_columns(None, unit, unit, {"web_search"})["paid_tool_prices"] == '{"web_search":10000000000}'
    assert price_columns(None, unit, unit)["paid_tool_prices"] is None


def priced_row(usage: Usage, base: UnitPrices, listed: UnitPrices, paid: UnitPrices) -> LedgerRow:
    money = of_call(usage, base, listed, paid, is_rationed=False)
    avoided: dict[str, Any] = {f"avoided_{reason}_nano": money.avoided.get(reason, 0) for reason in REASONS}
    return ledger_row(
        **usage_columns(usage),
        **price_columns(base, listed, paid, usage.tools),
        **avoided,
        served_model="m",
        disposition="miss",
        baseline_nano=money.baseline_nano,
        list_nano=money.list_nano,
        actual_nano=money.actual_nano,
    )


# --- what a request allows -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mapping", "calls"),
    [
        ({}, {}),
        ({"tools": [{"type": "function", "function": {"name": "web_search"}}]}, {}),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search", "max_uses": 3}]}, {"web_search": 3}),
        ({"tools": [{"type": "web_search_preview"}]}, {"web_search": 20}),
        ({"tools": [{"type": "file_search"}, {"type": "web_search"}], "max_tool_calls": 4},
         {"file_search": 4, "web_search": 4}),
        ({"tools": [{"type": "code_interpreter", "container": {"type": "auto"}}]}, {"code_interpreter": 1}),
        ({"tools": [{"type": "code_execution_20250825", "name": "code_execution"}]}, {"code_execution": 20}),
        ({"tools": [{"type": "mcp", "server_label": "x"}]}, {}),
        ({"web_search_options": {}}, {"web_search": 1}),
    ],
)  # fmt: skip
def test_a_request_says_how_often_it_may_call_what(mapping: dict[str, Any], calls: dict[str, int]) -> None:
    assert own_tools.allowed(mapping) == calls


anything: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(KINDS),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "tools", "output", "web_search", "num_requests", "max_uses", "action", "webSearchQueries",
                 "web_search_requests", "tool_usage", "container_id", "groundingChunks", "max_tool_calls"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)  # fmt: skip


@quick
@given(anything)
def test_whatever_a_provider_sends_there_are_counts_or_none(data: Any) -> None:
    mapping = data if isinstance(data, dict) else {"tools": data, "output": data, "tool_usage": data}
    found = [
        own_tools.allowed(mapping),
        own_tools.in_response(mapping),
        own_tools.in_server_tool_use(data),
        own_tools.in_grounding(data if isinstance(data, list) else [data], 3),
        own_tools.in_grounding([mapping], 2),
    ]

    for calls in found:
        assert calls.keys() <= own_tools.KINDS
        assert all(type(count) is int and 0 < count < 2**32 for count in calls.values())


@quick
@given(st.dictionaries(st.text(max_size=20), anything, max_size=4), anything, anything)
def test_whatever_is_told_of_audio_no_token_is_made_up(more: dict[str, Any], given_: Any, made: Any) -> None:
    payload = {**more, "prompt_tokens": 100, "completion_tokens": 50}
    payload |= {"prompt_tokens_details": given_, "completion_tokens_details": made}

    usage = openai.parse_usage(payload)

    assert usage is not None
    assert (usage.all_input, usage.output) == (100, 50)
    assert usage.audio == (usage.audio_input, usage.audio_cache_read, usage.audio_output)


def test_an_override_without_audio_has_no_price_for_it() -> None:
    unit = override("1", "8").unit_prices("test")

    assert (unit.audio_input, unit.audio_cache_read, unit.audio_output, unit.tools) == (None, None, None, {})
