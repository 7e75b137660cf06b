"""What Gemini's answers become: nothing lost, nothing half called whole, every token in its bucket."""

import copy
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.chat import ChatEvent
from router.errors import UpstreamCut, UpstreamError, UpstreamMalformed, UpstreamRejected
from router.prices import Priced, cost_nano
from router.protocols.gemini import Reader, parse_body, parse_error
from router.protocols.gemini_answers import parse_usage
from router.usage import Usage
from tests.router.samples import quick
from tests.router.streams import body_of, cuts, events_of, pieces

NOW_S = 1_781_000_000.0
COUNTS = {"promptTokenCount": 12, "candidatesTokenCount": 5, "thoughtsTokenCount": 3, "totalTokenCount": 20}
# A line separator, a next-line control, and characters of two to four bytes.
UNICODE = "é\u2028你\u0085🙂"


def response(*parts: dict[str, Any], reason: str | None = "STOP", **fields: Any) -> dict[str, Any]:
    """One response with one candidate."""
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": list(parts)}, "index": 0}
    if reason is not None:
        candidate["finishReason"] = reason
    return {
        "candidates": [candidate],
        "usageMetadata": COUNTS,
        "modelVersion": "gemini-2.5-pro",
        "responseId": "resp-1",
    } | fields


def body(*parts: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """The canonical body of a whole answer."""
    return parse_body(json.dumps(response(*parts, **fields)).encode()).data or {}


def choice(*parts: dict[str, Any], **fields: Any) -> dict[str, Any]:
    found: dict[str, Any] = body(*parts, **fields)["choices"][0]
    return found


def event(payload: Any) -> bytes:
    return b"data: " + json.dumps(payload, ensure_ascii=False).encode() + b"\r\n\r\n"


def call(name: str = "find", **fields: Any) -> dict[str, Any]:
    return {"functionCall": {"name": name, "args": {"id": 7}} | fields}


STREAM = b"".join(
    [
        event(response({"text": "Let me ", "thought": True}, reason=None)),
        event(response({"text": "think.", "thought": True}, {"text": "Hel"}, reason=None)),
        event(response({"text": f"lo {UNICODE}"}, reason=None)),
        event(response({**call(), "thoughtSignature": "c2ln"}, call("other", args=None), reason=None)),
        event(response({"text": "", "thoughtSignature": "dGV4dA=="})),
    ]
)


# --- whole answers --------------------------------------------------------------------------------------------------


def test_an_answer_keeps_its_bytes_its_model_and_its_id() -> None:
    raw = json.dumps(response({"text": UNICODE})).encode()

    seen = parse_body(raw)

    assert (seen.kind, seen.raw, seen.dialect, seen.is_last) == ("body", raw, "gemini", True)
    assert seen.data is not None
    assert (seen.data["model"], seen.data["id"], seen.data["object"]) == ("gemini-2.5-pro", "resp-1", "chat.completion")
    assert seen.data["choices"] == [
        {"index": 0, "message": {"role": "assistant", "content": UNICODE}, "finish_reason": "stop"}
    ]
    assert seen.usage == Usage(input=12, output=8, reasoning=3)
    assert seen.data["usage"] == {
        "prompt_tokens": 12,
        "completion_tokens": 8,
        "total_tokens": 20,
        "prompt_tokens_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 3},
    }


def test_the_time_of_an_answer_is_kept_where_it_is_told() -> None:
    told = body({"text": "x"}, createTime="2026-01-02T03:04:05.123456789Z")

    assert told["created"] == int(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC).timestamp())
    assert body({"text": "x"})["created"] == 0


def test_thoughts_are_reasoning_and_no_text() -> None:
    message = choice({"text": "Hm.", "thought": True}, {"text": "Yes."})["message"]

    assert (message["reasoning_content"], message["content"]) == ("Hm.", "Yes.")


def test_calls_have_ids_their_arguments_as_text_and_their_signatures() -> None:
    found = choice({**call(), "thoughtSignature": "c2ln"}, call("other", args=None, id="given"))

    first, second = found["message"]["tool_calls"]
    assert found["finish_reason"] == "tool_calls"
    assert first["function"] == {"name": "find", "arguments": '{"id":7}'}
    assert first["extra_content"] == {"google": {"thought_signature": "c2ln"}}
    assert first["id"].startswith("call_")
    assert (second["id"], second["function"]) == ("given", {"name": "other", "arguments": "{}"})
    assert "extra_content" not in second


def test_made_up_ids_are_the_same_for_the_same_answer_and_differ_within_it() -> None:
    ids = [made["id"] for made in choice(call(), call())["message"]["tool_calls"]]

    assert ids == [made["id"] for made in choice(call(), call())["message"]["tool_calls"]]
    assert len(set(ids)) == 2
    assert ids != [made["id"] for made in choice(call(), call(), responseId="resp-2")["message"]["tool_calls"]]


def test_the_signature_of_a_text_is_kept_on_the_message() -> None:
    message = choice({"text": "x", "thoughtSignature": "dGV4dA=="})["message"]

    assert message["extra_content"] == {"google": {"thought_signature": "dGV4dA=="}}


def test_sources_and_pictures_have_no_canonical_form_and_are_kept_as_they_are() -> None:
    raw = response({"text": "x"}, {"inlineData": {"mimeType": "image/png", "data": "AAAA"}})
    raw["candidates"][0]["citationMetadata"] = {"citationSources": [{"uri": "https://a.invalid"}]}

    found = parse_body(json.dumps(raw).encode()).data

    assert found is not None
    assert found["choices"][0]["message"]["unconverted"] == [
        {"inlineData": {"mimeType": "image/png", "data": "AAAA"}},
        {"citationMetadata": {"citationSources": [{"uri": "https://a.invalid"}]}},
    ]


def test_several_candidates_are_several_choices() -> None:
    raw = response({"text": "a"})
    raw["candidates"].append({"content": {"parts": [{"text": "b"}]}, "index": 1, "finishReason": "MAX_TOKENS"})

    found = (parse_body(json.dumps(raw).encode()).data or {})["choices"]

    assert [(one["index"], one["message"]["content"], one["finish_reason"]) for one in found] == [
        (0, "a", "stop"),
        (1, "b", "length"),
    ]


def test_log_probabilities_keep_their_tokens_and_alternatives() -> None:
    raw = response({"text": "é"})
    raw["candidates"][0]["logprobsResult"] = {
        "chosenCandidates": [{"token": "é", "logProbability": -0.5}],
        "topCandidates": [
            {"candidates": [{"token": "é", "logProbability": -0.5}, {"token": "e", "logProbability": -2}]}
        ],
    }

    (token,) = (parse_body(json.dumps(raw).encode()).data or {})["choices"][0]["logprobs"]["content"]

    assert (token["token"], token["logprob"], token["bytes"]) == ("é", -0.5, [195, 169])
    assert [top["token"] for top in token["top_logprobs"]] == ["é", "e"]


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("STOP", "stop"),
        ("MAX_TOKENS", "length"),
        ("SAFETY", "content_filter"),
        ("RECITATION", "content_filter"),
        ("PROHIBITED_CONTENT", "content_filter"),
        ("SPII", "content_filter"),
        ("IMAGE_SAFETY", "content_filter"),
        ("SOMETHING_NEW", "content_filter"),
    ],
)
def test_a_block_is_what_it_is(reason: str, finish: str) -> None:
    found = choice({"text": "Some"}, reason=reason)

    assert found["finish_reason"] == finish
    assert found.get("native_finish_reason") == (reason if finish == "content_filter" else None)


def test_a_blocked_prompt_is_a_refusal() -> None:
    blocked = {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 4}}

    seen = parse_body(json.dumps(blocked).encode())

    found = (seen.data or {})["choices"][0]
    assert (found["finish_reason"], found["native_finish_reason"]) == ("content_filter", "SAFETY")
    assert found["message"]["content"] is None
    assert "SAFETY" in found["message"]["refusal"]
    assert seen.usage == Usage(input=4)


@pytest.mark.parametrize("reason", ["MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "MALFORMED_RESPONSE"])
def test_an_answer_that_the_model_spoilt_is_malformed_and_another_attempt_may_help(reason: str) -> None:
    for read in (lambda: choice(reason=reason), lambda: events_of(Reader(), event(response(reason=reason)))):
        with pytest.raises(UpstreamMalformed, match=reason) as failed:
            read()
        assert (failed.value.retryable, failed.value.billed) == (True, "unknown")


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"[]",
        b"{}",
        b'{"candidates": []}',
        b'{"candidates": [{"content": {"parts": [{"text": "Half"}]}}]}',
        b'{"candidates": [{"content": {"parts": "x"}, "finishReason": "STOP"}]}',
        b'{"candidates": [{"index": 99999999999999999999999, "finishReason": "STOP"}]}',
        b'{"candidates": [{"content": {"parts": [{"functionCall": {}}]}, "finishReason": "STOP"}]}',
    ],
)
def test_an_answer_against_the_protocol_is_malformed(payload: bytes) -> None:
    with pytest.raises(UpstreamMalformed):
        parse_body(payload)


# --- streams --------------------------------------------------------------------------------------------------------


def test_a_stream_adds_up_to_the_answer() -> None:
    found = body_of(Reader(), STREAM)

    message = found["choices"][0]["message"]
    assert message["reasoning_content"] == "Let me think."
    assert message["content"] == f"Hello {UNICODE}"
    assert [made["function"]["name"] for made in message["tool_calls"]] == ["find", "other"]
    assert message["tool_calls"][0]["extra_content"] == {"google": {"thought_signature": "c2ln"}}
    assert message["extra_content"] == {"google": {"thought_signature": "dGV4dA=="}}
    assert found["choices"][0]["finish_reason"] == "tool_calls"
    assert found["usage"]["total_tokens"] == 20


def test_usage_comes_once_at_the_end_and_without_a_choice() -> None:
    events = events_of(Reader(), STREAM)

    assert [seen.kind for seen in events[-2:]] == ["chunk", "done"]
    assert [seen.is_usage_only for seen in events].count(True) == 1
    assert events[-2].usage == Usage(input=12, output=8, reasoning=3)
    assert [reason for seen in events for reason in seen.finish_reasons] == ["tool_calls"]


def test_a_reason_in_every_response_ends_nothing_early() -> None:
    found = body_of(Reader(), event(response({"text": "a"})), event(response({"text": "b"})))

    assert found["choices"][0]["message"]["content"] == "ab"
    assert found["choices"][0]["finish_reason"] == "stop"


def test_a_blocked_prompt_is_a_refusal_in_a_stream_too() -> None:
    found = body_of(Reader(), event({"promptFeedback": {"blockReason": "OTHER", "blockReasonMessage": "No."}}))

    assert found["choices"][0]["message"]["refusal"] == "No."
    assert found["choices"][0]["finish_reason"] == "content_filter"


@quick
@given(cuts)
def test_a_stream_means_the_same_however_it_was_cut(places: list[int]) -> None:
    assert events_of(Reader(), *pieces(STREAM, places)) == events_of(Reader(), STREAM)


def test_a_stream_that_stops_at_any_byte_before_its_reason_is_cut() -> None:
    until_reason = STREAM.rindex(b"finishReason")
    for end in range(0, until_reason, 7):
        with pytest.raises(UpstreamCut) as failed:
            events_of(Reader(), STREAM[:end])
        assert failed.value.billed == "unknown"


def test_a_candidate_without_a_reason_leaves_the_whole_stream_cut() -> None:
    raw = response({"text": "a"})
    raw["candidates"].append({"content": {"parts": [{"text": "b"}]}, "index": 1})

    with pytest.raises(UpstreamCut):
        events_of(Reader(), event(raw))


def test_the_last_event_needs_no_blank_line() -> None:
    assert body_of(Reader(), STREAM.rstrip())["choices"][0]["finish_reason"] == "tool_calls"


@pytest.mark.parametrize(
    "wrap", [event, lambda error: json.dumps(error, indent=2).encode(), lambda e: json.dumps([e]).encode()]
)
def test_an_error_in_the_midst_of_a_stream_is_a_rejection(wrap: Callable[[Any], bytes]) -> None:
    error = {"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}}

    with pytest.raises(UpstreamRejected) as failed:
        events_of(Reader(), event(response({"text": "a"}, reason=None)), wrap(error))

    assert (failed.value.status, failed.value.retryable, failed.value.code) == (503, True, "UNAVAILABLE")


def test_keep_alives_and_unknown_fields_say_nothing() -> None:
    events = events_of(Reader(), b": ping\n\n", event({"usageMetadata": COUNTS, "novelty": [1]}), event(response()))

    assert [seen.kind for seen in events] == ["comment", "comment", "chunk", "chunk", "chunk", "done"]


# --- errors ---------------------------------------------------------------------------------------------------------


def rejected(status: int, error: Any, **headers: str) -> UpstreamRejected:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return parse_error(status, named, json.dumps({"error": error}).encode(), NOW_S)


def test_a_rate_limit_says_when_to_come_back() -> None:
    retry = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.074824224s"}
    error = {
        "code": 429,
        "message": "Quota exceeded for project 7.",
        "status": "RESOURCE_EXHAUSTED",
        "details": [retry],
    }

    failed = rejected(429, error)

    assert (failed.status, failed.retryable, failed.code) == (429, True, "RESOURCE_EXHAUSTED")
    assert failed.retry_after_s == pytest.approx(34.074824224)
    assert "project" not in str(failed)
    assert rejected(429, error, retry_after="7").retry_after_s == 7


def test_a_bad_request_is_the_clients_and_keeps_its_message() -> None:
    failed = rejected(400, {"code": 400, "message": "Invalid value at 'contents'.", "status": "INVALID_ARGUMENT"})

    assert (failed.status, failed.retryable, str(failed)) == (400, False, "Invalid value at 'contents'.")


def test_a_bad_key_is_ours_whatever_status_it_comes_with() -> None:
    info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}

    failed = rejected(400, {"message": "API key not valid.", "status": "INVALID_ARGUMENT", "details": [info]})

    assert (failed.status, failed.retryable) == (401, True)
    assert "key" not in str(failed)


def test_an_account_that_may_not_call_is_ours() -> None:
    failed = rejected(400, {"message": "User location is not supported.", "status": "FAILED_PRECONDITION"})

    assert (failed.status, failed.retryable) == (403, True)


@pytest.mark.parametrize(
    "body_", [b"", b"<html>", b"[]", b"[1]", b'{"error": 5}', b'{"error": {"details": 5}}', b"[" * 99_999]
)
def test_an_error_without_a_proper_body_is_still_an_error(body_: bytes) -> None:
    assert parse_error(503, {}, body_, NOW_S).status == 503


# --- usage and money ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "counts", [None, {}, {"promptTokenCount": "4"}, {"promptTokenCount": -1}, {"totalTokenCount": 4}]
)
def test_counts_that_are_none_are_no_usage(counts: Any) -> None:
    assert parse_usage(counts) is None


GOLDEN: list[tuple[str, dict[str, int], Usage, int]] = [
    # gemini-2.5-flash: 0.30 in, 0.03 cached, 2.50 out.
    (
        "gemini-2.5-flash",
        {"promptTokenCount": 1000, "candidatesTokenCount": 100, "totalTokenCount": 1100},
        Usage(input=1000, output=100),
        1000 * 300 + 100 * 2500,
    ),
    # Cached tokens are inside the prompt's; thoughts are beside the candidates'.
    (
        "gemini-2.5-flash",
        {
            "promptTokenCount": 10_000,
            "cachedContentTokenCount": 8_000,
            "candidatesTokenCount": 200,
            "thoughtsTokenCount": 700,
            "totalTokenCount": 10_900,
        },
        Usage(input=2_000, cache_read=8_000, output=900, reasoning=700),
        2_000 * 300 + 8_000 * 30 + 900 * 2500,
    ),
    # What tools of the provider read is input.
    (
        "gemini-2.5-flash",
        {"promptTokenCount": 100, "toolUsePromptTokenCount": 50, "candidatesTokenCount": 10, "totalTokenCount": 160},
        Usage(input=150, output=10),
        150 * 300 + 10 * 2500,
    ),
    # gemini-2.5-pro: above 200,000 input tokens all of them cost 2.50, cached 0.25, and output 15.
    (
        "gemini-2.5-pro",
        {"promptTokenCount": 300_001, "cachedContentTokenCount": 100_000, "candidatesTokenCount": 7},
        Usage(input=200_001, cache_read=100_000, output=7),
        200_001 * 2500 + 100_000 * 250 + 7 * 15_000,
    ),
    (
        "gemini-2.5-pro",
        {"promptTokenCount": 200_000, "candidatesTokenCount": 7},
        Usage(input=200_000, output=7),
        200_000 * 1250 + 7 * 10_000,
    ),
]


@pytest.mark.parametrize(("model", "counts", "usage", "nano"), GOLDEN)
def test_usage_is_priced_to_the_nano_dollar(model: str, counts: dict[str, int], usage: Usage, nano: int) -> None:
    found = parse_usage(counts)

    assert found == usage
    prices = Priced("google", model).list_prices(datetime(2026, 6, 1, tzinfo=UTC), usage.all_input)
    assert prices is not None
    assert cost_nano(usage, prices) == nano


def test_audio_tokens_are_told_to_whoever_asks() -> None:
    details = [{"modality": "TEXT", "tokenCount": 2}, {"modality": "AUDIO", "tokenCount": 10}]

    told = body({"text": "x"}, usageMetadata={**COUNTS, "promptTokensDetails": details})["usage"]

    assert told["prompt_tokens_details"] == {"cached_tokens": 0, "audio_tokens": 10}


# --- anything at all ------------------------------------------------------------------------------------------------

names = st.sampled_from(
    "candidates content parts text thought functionCall name args id index finishReason promptFeedback blockReason "
    "usageMetadata promptTokenCount error code details status message logprobsResult responseId createTime".split()
)
odd = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)


def spoilt(draw: st.DrawFn) -> dict[str, Any]:
    """A proper response with something odd in one place."""
    payload = copy.deepcopy(response({"text": "x"}, call(), reason=draw(st.sampled_from(["STOP", None, "SAFETY"]))))
    candidate = payload["candidates"][0]
    place = draw(st.sampled_from([payload, candidate, candidate["content"], *candidate["content"]["parts"]]))
    place[draw(names)] = draw(odd)
    return payload


spoilt_responses = st.composite(spoilt)()


@quick
@given((odd | spoilt_responses).map(lambda payload: json.dumps(payload).encode()) | st.binary(max_size=60))
def test_any_answer_is_understood_or_refused_in_our_own_words(payload: bytes) -> None:
    readings: list[Callable[[], list[ChatEvent]]] = [
        lambda: [parse_body(payload)],
        lambda: events_of(Reader(), b"data: " + payload + b"\n\n"),
        lambda: events_of(Reader(), payload),
    ]
    for read in readings:
        try:
            events = read()
        except UpstreamError:
            continue
        assert events[-1].is_last
        assert all(seen.text_bytes >= 0 and isinstance(seen.finish_reasons, list) for seen in events)


@quick
@given(st.lists(odd | spoilt_responses, max_size=4).map(lambda all_: b"".join(event(one) for one in all_)), cuts)
def test_any_stream_ends_or_fails_likewise_however_it_was_cut(data: bytes, places: list[int]) -> None:
    def told(*chunks: bytes) -> Any:
        try:
            return events_of(Reader(), *chunks)
        except UpstreamError as failed:
            return str(failed)

    assert told(*pieces(data, places)) == told(data)


@quick
@given(st.integers(300, 599), st.dictionaries(st.sampled_from(["retry-after", "x"]), st.text(max_size=5)), odd)
def test_any_error_is_a_rejection(status: int, headers: dict[str, str], error: Any) -> None:
    assert parse_error(status, headers, json.dumps({"error": error}).encode(), NOW_S).status
