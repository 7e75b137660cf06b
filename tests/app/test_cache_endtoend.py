"""What the cache answers, for whom, and what it never keeps: through the running server."""

import asyncio
import json
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.app.configuration import ENVIRONMENT, budget, route, scripted
from tests.app.provider import (
    CUT,
    DONE,
    Provider,
    Received,
    Reply,
    chat_body,
    chat_chunk,
    chat_events,
    error_reply,
    json_reply,
    stream_reply,
    streamed,
    unfinished,
    usage_chunk,
)
from tests.running import RunningGateway, eventually, running_gateway

PRIOR = 'start = "prior"'
CONFIGURATION = (
    route("open", cache=PRIOR)
    + route("twin", cache=PRIOR)
    + route("closed")
    + route("grouped", cache=f'{PRIOR}\nshared = "helpdesk"')
    + route("by_user", cache=f'{PRIOR}\nscope_fields = ["user", "metadata"]')
    + route("by_metadata_alone", cache=f'{PRIOR}\nscope_fields = ["metadata"]')
    + route("by_user_alone", cache=f'{PRIOR}\nscope_fields = ["user"]')
    + route("brief", cache="ttl_s = 1")
    + route("off", cache="mode = 'off'")
    + budget("teams.support.apps.poor", 1)
    + budget("teams.support.apps.short", 12_000_000)  # some 300 tokens
    + budget("teams.support.apps.shorter", 12_000_000)
    + budget("organisation", 10**15, audits_share=0.0)  # no audits here: each would be one more call
)
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
TEXT = "Press “Forgot password” – der Link kommt per E-Mail 📧."


@pytest.fixture(scope="module")
def gateway(
    upstream: Provider, tmp_path_factory: pytest.TempPathFactory, encoder_folder: Path
) -> Iterator[RunningGateway]:
    with running_gateway(tmp_path_factory.mktemp("cache"), scripted(upstream) + CONFIGURATION, ENVIRONMENT) as gateway:
        yield gateway


@pytest.fixture
def empty(gateway: RunningGateway) -> RunningGateway:
    """The gateway with nothing stored."""
    gateway.admin("POST", "/admin/cache/purge", all=True)
    return gateway


@pytest.fixture
def ask(empty: RunningGateway, provider: Provider) -> Callable[..., httpx.Response]:
    """Asks as a caller of team `support` in `prod` on route `open`, unless told otherwise."""
    keys: dict[tuple[str, ...], str] = {}

    def ask(text: str | None = None, caller: dict[str, str] | None = None, **fields: Any) -> httpx.Response:
        who = {"team": "support", "app": "faq-bot", "env": "prod", "route": "open"} | (caller or {})
        if tuple(who.values()) not in keys:
            keys[tuple(who.values())] = empty.key(**who)
        return empty.chat(keys[tuple(who.values())], text, **{"model": "large", **fields})

    return ask


WORDINGS = ("How do I reset my password?", "How can I reset a password?", "How could I reset my password?")
NEAR = "How can I reset my password?"


@pytest.fixture
def teach(ask: Callable[..., httpx.Response], empty: RunningGateway, provider: Provider) -> Callable[..., None]:
    """Stores one answer to three wordings of a question: to another wording one alone would not be sure enough.
    Afterwards no call is noted and no script set."""

    def teach(caller: dict[str, str] | None = None, **fields: Any) -> None:
        provider.script("large-2025", json_reply(chat_body(TEXT)))
        entries = empty.status()["cache"]["entries"]
        for wording in WORDINGS:
            ask(wording, caller, headers={"cache-control": "no-cache"}, **fields)
        eventually(lambda: is_linked(empty, entries + len(WORDINGS)))
        provider.reset()

    return teach


def is_linked(gateway: RunningGateway, entries: int) -> bool:
    """Whether so many answers are stored and have found each other."""
    found = gateway.status()["cache"]
    return bool(found["entries"] == entries and found["groups"] < entries)


def disposition(answer: httpx.Response) -> str:
    assert answer.status_code == 200, answer.text
    return str(answer.headers["x-thriftgate-cache"])


def content(answer: httpx.Response) -> str:
    """The answer's text, whichever form it has."""
    if answer.headers["content-type"].startswith("text/event-stream"):
        assert answer.content.endswith(DONE)
        deltas = [choice["delta"] for chunk in chunks(answer.content) for choice in chunk["choices"]]
        return "".join(delta.get("content") or "" for delta in deltas)
    return str(answer.json()["choices"][0]["message"]["content"])


def chunks(stream: bytes) -> list[dict[str, Any]]:
    blocks = [block.removeprefix(b"data: ") for block in stream.split(b"\n\n") if block]
    return [json.loads(block) for block in blocks if block != b"[DONE]"]


# --- hits ----------------------------------------------------------------------------------------------------


def test_the_same_question_again_costs_nothing(
    ask: Callable[..., httpx.Response], empty: RunningGateway, provider: Provider
) -> None:
    provider.script("large-2025", json_reply(chat_body(TEXT, prompt_tokens=100, completion_tokens=50)))
    first = ask("How do I reset my password?")
    second = ask("  How do I reset my password?\n")

    assert (disposition(first), disposition(second)) == ("miss", "exact")
    assert content(second) == content(first) == TEXT
    assert second.json()["id"] != first.json()["id"]
    assert second.json()["usage"] == first.json()["usage"]
    assert len(provider.calls) == 1
    row = empty.row(request_id=second.headers["x-request-id"])
    assert (row.actual_nano, row.avoided_exact_nano) == (0, 100 * 10_000 + 50 * 40_000)
    assert (second.headers["x-thriftgate-cost-usd"], second.headers["x-thriftgate-saved-usd"]) == (
        "0.000000000",
        "0.003000000",
    )


def test_a_paraphrase_hits_where_the_route_starts_at_the_prior(
    ask: Callable[..., httpx.Response], teach: Callable[..., None], empty: RunningGateway, provider: Provider
) -> None:
    teach()
    answer = ask(NEAR)

    assert disposition(answer) == "semantic"
    assert content(answer) == TEXT
    assert answer.headers["x-thriftgate-cache-reason"] == "uncertified"
    assert 0.9 <= float(answer.headers["x-thriftgate-confidence"]) <= 1
    assert provider.calls == []
    row = empty.row(request_id=answer.headers["x-request-id"])
    assert row.avoided_semantic_nano > 0
    assert row.confidence is not None
    assert row.kappa is not None
    assert row.confidence >= row.kappa


def test_a_decision_is_kept_without_any_text(
    ask: Callable[..., httpx.Response], teach: Callable[..., None], empty: RunningGateway
) -> None:
    teach()
    hit = empty.row(request_id=ask(NEAR).headers["x-request-id"])
    miss = empty.row(request_id=ask("Which shops sell garden chairs?").headers["x-request-id"])

    for row in (hit, miss):
        decision = json.loads(row.decision or "")
        assert set(decision) == {"claim", "group", "blocked", "nearest"}
        assert len(decision["nearest"]) == 3
        assert all(isinstance(number, int | float) for neighbour in decision["nearest"] for number in neighbour)
        assert not any(word in (row.decision or "").lower() for word in ("password", "garden", "forgot"))
    assert hit.disposition == "semantic"
    assert miss.disposition == "miss"


def test_a_paraphrase_goes_upstream_where_the_route_is_closed_and_labels_what_would_have_been_served(
    ask: Callable[..., httpx.Response], teach: Callable[..., None], empty: RunningGateway, provider: Provider
) -> None:
    closed = {"route": "closed"}
    teach(closed)
    provider.script("large-2025", json_reply(chat_body(TEXT)))
    paraphrase = ask(NEAR, closed)

    assert disposition(paraphrase) == "miss"
    assert paraphrase.headers["x-thriftgate-cache-reason"] == "learning"
    assert disposition(ask(WORDINGS[0], closed)) == "exact"
    request_id = paraphrase.headers["x-request-id"]
    label = empty.row(kind="label", refers_to=request_id)
    assert (label.verdict, label.actual_nano, label.team, label.route) == ("same", 0, "support", "closed")
    assert label.confidence == empty.row(request_id=request_id).confidence
    assert not empty.verification().problems


@pytest.mark.parametrize(
    ("stored", "other"),
    [
        ("How do I turn on two-factor authentication?", "How do I turn off two-factor authentication?"),
        ("Can I return shoes within 14 days?", "Can I return shoes within 30 days?"),
        ("How do I install the app on Android?", "How do I install the app on iPhone?"),
        ("How do I transfer money from Berlin to Paris?", "How do I transfer money from Paris to Berlin?"),
        ("How do I reset my password?", "Which shops sell garden chairs?"),
    ],
    ids=["polarity", "number", "entity", "role", "another subject"],
)
def test_a_question_that_means_something_else_does_not_hit(
    ask: Callable[..., httpx.Response], stored: str, other: str
) -> None:
    ask(stored)
    assert disposition(ask(other)) == "miss"


@pytest.mark.parametrize("stored_as", [False, True], ids=["stored from json", "stored from a stream"])
@pytest.mark.parametrize("asked_as", [False, True], ids=["asked as json", "asked as a stream"])
def test_an_answer_is_replayed_in_the_form_that_the_client_asks_for(
    ask: Callable[..., httpx.Response], provider: Provider, stored_as: bool, asked_as: bool
) -> None:
    pieces = [TEXT[at : at + 2] for at in range(0, len(TEXT), 2)]
    reply = stream_reply(streamed(pieces)) if stored_as else json_reply(chat_body(TEXT))
    provider.script("large-2025", reply)

    first = ask("How do I reset my password?", stream=stored_as)
    second = ask("How do I reset my password?", stream=asked_as)

    assert (content(first), content(second)) == (TEXT, TEXT)
    assert disposition(second) == "exact"
    expected = "text/event-stream" if asked_as else "application/json"
    assert second.headers["content-type"].startswith(expected)


@pytest.mark.parametrize("wants_usage", [False, True])
def test_a_replayed_stream_has_usage_only_for_who_asks(ask: Callable[..., httpx.Response], wants_usage: bool) -> None:
    ask("How do I reset my password?")
    answer = ask("How do I reset my password?", stream=True, stream_options={"include_usage": wants_usage})

    found = [chunk["usage"] for chunk in chunks(answer.content) if chunk.get("usage")]
    assert found == ([{"prompt_tokens": 12, "completion_tokens": 7, "total_tokens": 19}] if wants_usage else [])
    finishes = [choice["finish_reason"] for chunk in chunks(answer.content) for choice in chunk["choices"]]
    assert [finish for finish in finishes if finish] == ["stop"]


def test_a_text_longer_than_the_encoder_reads_is_served_only_to_the_same_text(
    ask: Callable[..., httpx.Response],
) -> None:
    long = "How do I reset my password? " + "I have tried everything that the page proposes, without any luck. " * 60
    first = ask(long)
    assert (disposition(first), first.headers["x-thriftgate-cache-reason"]) == ("miss", "long")
    assert disposition(ask(long)) == "exact"
    assert disposition(ask(long.replace("How do I", "How can I"))) == "miss"


# --- isolation -----------------------------------------------------------------------------------------------

QUESTION = [{"role": "user", "content": "How do I reset my password?"}]
DIFFERENCES: dict[str, tuple[dict[str, str], dict[str, Any]]] = {
    "team": ({"team": "sales"}, {}),
    "environment": ({"env": "staging"}, {}),
    "route": ({"route": "twin"}, {}),
    "model": ({}, {"model": "medium"}),
    "auto": ({}, {"model": "auto"}),
    "system prompt": ({}, {"messages": [{"role": "system", "content": "Answer in verse."}, *QUESTION]}),
    "developer prompt": ({}, {"messages": [{"role": "developer", "content": "Answer in verse."}, *QUESTION]}),
    "earlier turns": ({}, {"messages": [*QUESTION, {"role": "assistant", "content": "How?"}, *QUESTION]}),
    "speaker's name": ({}, {"messages": [{**QUESTION[0], "name": "ann"}]}),
    "tools": ({}, {"tools": [TOOL]}),
    "functions": ({}, {"functions": [TOOL["function"]]}),
    "response format": ({}, {"response_format": {"type": "json_object"}}),
    "temperature": ({}, {"temperature": 0.1}),
    "seed": ({}, {"seed": 4}),
    "stop": ({}, {"stop": ["."]}),
    "logprobs": ({}, {"logprobs": True}),
    "a field of the future": ({}, {"novel": {"a": 1}}),
}


@pytest.mark.parametrize(("caller", "fields"), DIFFERENCES.values(), ids=DIFFERENCES)
@pytest.mark.parametrize("text", ["How do I reset my password?", "How can I reset my password?"], ids=["same", "near"])
def test_a_request_that_differs_in_anything_never_shares_an_answer(
    ask: Callable[..., httpx.Response],
    teach: Callable[..., None],
    provider: Provider,
    caller: dict[str, str],
    fields: dict[str, Any],
    text: str,
) -> None:
    def with_text(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [*messages[:-1], {**messages[-1], "content": text}]

    teach()
    plain = ask(None, messages=QUESTION)
    other_fields = {"messages": QUESTION} | fields
    other = ask(None, caller, **(other_fields | {"messages": with_text(other_fields["messages"])}))
    back = ask(None, messages=with_text(QUESTION))

    assert disposition(other) in ("miss", "bypass")
    assert content(other) != content(plain)
    assert disposition(back) in ("exact", "semantic")
    assert content(back) == content(plain) == TEXT  # and the other answer has not taken the first one's place
    assert len(provider.calls) == 1


BETA = {"openai-beta": "x=v2"}


@pytest.mark.parametrize(
    ("headers", "fields", "other_headers", "other_fields"),
    [
        (BETA, {}, {}, {"forwarded": BETA}),
        (BETA, {"forwarded": "a"}, BETA, {"forwarded": "b"}),
        (BETA, {}, {}, {}),
    ],
    ids=["a field instead", "fields beside it", "no header"],
)
def test_a_header_and_a_field_of_any_name_are_two_things(
    ask: Callable[..., httpx.Response],
    headers: dict[str, str],
    fields: dict[str, Any],
    other_headers: dict[str, str],
    other_fields: dict[str, Any],
) -> None:
    ask("How do I reset my password?", headers=headers, **fields)
    assert disposition(ask("How do I reset my password?", headers=other_headers, **other_fields)) == "miss"
    assert disposition(ask("How do I reset my password?", headers=headers, **fields)) == "exact"


def test_two_teams_that_ask_the_same_at_the_same_time_do_not_share_a_flight(
    empty: RunningGateway, provider: Provider
) -> None:
    gate = provider.gate()
    provider.script("large-2025", lambda received: [gate, *json_reply(chat_body("Nobody else's."))])
    keys = [empty.key(team=team, route="open") for team in ("support", "sales")]

    answers = at_once(
        [lambda key=key: empty.chat(key, "How do I reset my password?", model="large") for key in keys],
        then=lambda: (eventually(lambda: gate.arrived == 2), gate.open()),
    )

    assert [disposition(answer) for answer in answers] == ["miss", "miss"]


def test_a_shared_group_shares_between_teams_and_nothing_else(
    ask: Callable[..., httpx.Response], teach: Callable[..., None]
) -> None:
    def by(team: str, **caller: str) -> httpx.Response:
        return ask("How do I reset my password?", {"team": team, "route": "grouped", **caller})

    teach({"route": "grouped"})
    assert disposition(by("sales")) == "exact"
    assert disposition(ask(NEAR, {"team": "legal", "route": "grouped"})) == "semantic"
    assert disposition(ask(NEAR, {"team": "legal"})) == "miss"
    assert disposition(by("sales", env="staging")) == "miss"


def test_apps_of_one_team_share(ask: Callable[..., httpx.Response]) -> None:
    ask("How do I reset my password?", {"app": "bot"})
    assert disposition(ask("How do I reset my password?", {"app": "website"})) == "exact"


@pytest.mark.parametrize(
    ("where", "fields", "expected"),
    [
        ("open", {"user": "ann"}, "exact"),
        ("open", {"metadata": {"a": "b"}}, "exact"),
        ("by_user", {"user": "ann"}, "miss"),
        ("by_user", {"metadata": {"a": "b"}}, "miss"),
    ],
)
def test_the_end_user_and_metadata_split_only_where_the_route_says_so(
    ask: Callable[..., httpx.Response], where: str, fields: dict[str, Any], expected: str
) -> None:
    ask("How do I reset my password?", {"route": where})
    assert disposition(ask("How do I reset my password?", {"route": where}, **fields)) == expected


WHO_ASKS: dict[str, tuple[str, Callable[[str], dict[str, Any]], set[str]]] = {
    "chat's user": ("chat/completions", lambda who: {"user": who}, {"user"}),
    "chat's metadata": ("chat/completions", lambda who: {"metadata": {"a": who}}, {"metadata"}),
    "responses' user": ("responses", lambda who: {"user": who}, {"user"}),
    "responses' metadata": ("responses", lambda who: {"metadata": {"a": who}}, {"metadata"}),
    "messages' user": ("messages", lambda who: {"metadata": {"user_id": who}}, {"user", "metadata"}),
    "messages' metadata": ("messages", lambda who: {"metadata": {"a": who}}, {"metadata"}),
}


@pytest.mark.parametrize("split_by", ["user", "metadata"])
@pytest.mark.parametrize(("path", "named", "meant"), WHO_ASKS.values(), ids=WHO_ASKS)
def test_they_split_on_every_surface_whatever_they_are_called_there(
    empty: RunningGateway,
    provider: Provider,
    split_by: str,
    path: str,
    named: Callable[[str], dict[str, Any]],
    meant: set[str],
) -> None:
    key = empty.key(route=f"by_{split_by}_alone")
    text = "How do I reset my password?"
    asked = {"input": text, "store": False} if path == "responses" else {"messages": QUESTION, "max_tokens": 900}

    def by(who: str) -> str:
        body = {"model": "large", **asked, **named(who)}
        return disposition(empty.request("POST", f"/v1/{path}", json=body, headers={"authorization": f"Bearer {key}"}))

    assert [by("ann"), by("bob"), by("ann")] == ["miss", "miss" if split_by in meant else "exact", "exact"]


def test_an_entry_serves_only_within_the_callers_own_output_limit(
    ask: Callable[..., httpx.Response], provider: Provider
) -> None:
    provider.script("large-2025", json_reply(chat_body(TEXT, completion_tokens=50)))
    ask("How do I reset my password?")

    assert disposition(ask("How do I reset my password?", max_tokens=49)) == "miss"
    assert disposition(ask("How do I reset my password?", max_completion_tokens=50)) == "exact"


# --- what is not looked up -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Where is my order ORD-48213?", "personal"),
        ("Please cancel the account of ann@larkspur.shop.", "personal"),
        ("Is the service down right now?", "volatile"),
        ("What about the second one?", "follow-up"),
        ("   ", "empty"),
    ],
)
def test_what_is_personal_or_volatile_is_neither_stored_nor_served(
    ask: Callable[..., httpx.Response], empty: RunningGateway, provider: Provider, text: str, reason: str
) -> None:
    answers = [ask(text), ask(text)]

    assert [disposition(answer) for answer in answers] == ["bypass", "bypass"]
    assert {answer.headers["x-thriftgate-cache-reason"] for answer in answers} == {reason}
    assert len(provider.calls) == 2
    assert empty.status()["cache"]["entries"] == 0


def test_personal_questions_that_come_at_once_are_not_coalesced(empty: RunningGateway, provider: Provider) -> None:
    gate = provider.gate()
    provider.script("large-2025", lambda received: [gate, *json_reply(chat_body("Yours alone."))])
    key = empty.key(route="open")

    answers = at_once(
        [lambda: empty.chat(key, "Where is my order ORD-48213?", model="large")] * 2,
        then=lambda: (eventually(lambda: gate.arrived == 2), gate.open()),
    )

    assert [disposition(answer) for answer in answers] == ["bypass", "bypass"]


def test_a_route_without_a_cache_asks_upstream_each_time(ask: Callable[..., httpx.Response]) -> None:
    answers = [ask("How do I reset my password?", {"route": "off"}) for _ in range(2)]
    assert [disposition(answer) for answer in answers] == ["bypass", "bypass"]


# --- Cache-Control --------------------------------------------------------------------------------------------


def test_no_store_neither_serves_nor_stores(ask: Callable[..., httpx.Response], empty: RunningGateway) -> None:
    assert disposition(ask("How do I reset my password?", headers={"cache-control": "no-store"})) == "bypass"
    assert empty.status()["cache"]["entries"] == 0
    ask("How do I reset my password?")
    assert disposition(ask("How do I reset my password?", headers={"cache-control": "no-store"})) == "bypass"


def test_no_cache_asks_upstream_and_its_answer_takes_the_older_ones_place(
    ask: Callable[..., httpx.Response], empty: RunningGateway
) -> None:
    old = ask("How do I reset my password?")
    new = ask("How do I reset my password?", headers={"cache-control": "No-Cache"})
    later = ask("How do I reset my password?")

    assert (disposition(new), disposition(later)) == ("miss", "exact")
    assert content(old) != content(new) == content(later)
    assert empty.status()["cache"]["entries"] == 1


def test_a_directive_in_a_second_line_of_the_header_counts(empty: RunningGateway) -> None:
    lines = [("authorization", f"Bearer {empty.key()}"), ("cache-control", "max-age=60"), ("cache-control", "no-store")]

    answer = empty.request("POST", "/v1/chat/completions", json={"model": "large", "messages": QUESTION}, headers=lines)

    assert disposition(answer) == "bypass"
    assert empty.status()["cache"]["entries"] == 0


@pytest.mark.parametrize(("directive", "expected"), [("max-age=0", "miss"), ("max-age=600", "exact")])
def test_max_age_bounds_the_age_of_an_answer(ask: Callable[..., httpx.Response], directive: str, expected: str) -> None:
    ask("How do I reset my password?")
    assert disposition(ask("How do I reset my password?", headers={"cache-control": directive})) == expected


def test_only_if_cached_never_asks_upstream(
    ask: Callable[..., httpx.Response], empty: RunningGateway, provider: Provider
) -> None:
    only = {"cache-control": "only-if-cached"}
    refused = ask("How do I reset my password?", headers=only)
    assert refused.status_code == 504
    assert refused.json()["error"]["code"] == "not_cached"
    why = refused.headers
    assert (why["x-thriftgate-cache"], why["x-thriftgate-cache-reason"]) == ("miss", "no-neighbour")
    assert provider.calls == []
    assert refused.headers["x-request-id"] not in empty.log  # it is what was asked for, and no failure

    ask("How do I reset my password?")
    assert disposition(ask("How do I reset my password?", headers=only)) == "exact"


@pytest.mark.parametrize("directive", ["max-stale=99999", "max-age=-1", "max-age=soon", "similarity=0.1", ",;=,"])
def test_a_directive_that_is_unknown_or_malformed_changes_nothing(
    ask: Callable[..., httpx.Response], directive: str
) -> None:
    headers = {"cache-control": directive}
    assert disposition(ask("How do I reset my password?", {"route": "closed"}, headers=headers)) == "miss"
    assert disposition(ask("How can I reset my password?", {"route": "closed"}, headers=headers)) == "miss"
    assert disposition(ask("How do I reset my password?", {"route": "closed"}, headers=headers)) == "exact"


@pytest.mark.parametrize(
    "directive",
    [b"max-age=\xb2", b"max-age=\xd9\xa3", b"max-age=" + b"9" * 5000, b"\xff\xfe", b"=", b"max-age=1" * 900],
    ids=["superscript", "other digits", "beyond all numbers", "no text", "nothing", "long word"],
)
def test_a_directive_that_no_client_should_send_does_no_harm(
    empty: RunningGateway, provider: Provider, directive: bytes
) -> None:
    headers = {"authorization": f"Bearer {empty.key()}".encode(), "cache-control": directive}
    body = json.dumps({"model": "large", "messages": QUESTION}).encode()

    answers = [empty.request("POST", "/v1/chat/completions", content=body, headers=headers) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 200]


# --- what is never stored -------------------------------------------------------------------------------------


def refusal(received: Received) -> Reply:
    return json_reply(chat_body(None, refusal="I will not."))


NEVER_STORED: dict[str, tuple[Reply | Callable[[Received], Reply], bool]] = {
    "truncated": (json_reply(chat_body("Half an", finish="length")), False),
    "truncated stream": (stream_reply(streamed(["Half ", "an"], finish="length")), True),
    "filtered": (json_reply(chat_body("Some", finish="content_filter")), False),
    "filtered stream": (stream_reply(streamed(["Some"], finish="content_filter")), True),
    "refused": (refusal, False),
    "refused stream": (
        stream_reply(
            [chat_chunk({"refusal": "I will "}), chat_chunk({"refusal": "not."}, "stop"), usage_chunk(), DONE]
        ),
        True,
    ),
    "tool call": (json_reply(chat_body(None, finish="tool_calls", tool_calls=[{"id": "c", **TOOL}])), False),
    "tool call that says stop": (json_reply(chat_body("Look.", tool_calls=[{"id": "c", **TOOL}])), False),
    "empty": (json_reply(chat_body("")), False),
    "blank": (json_reply(chat_body(" \n")), False),
    "empty stream": (stream_reply(streamed([])), True),
    "without a finish reason": (
        json_reply({**chat_body("Done?"), "choices": [{"message": {"content": "Done?"}}]}),
        False,
    ),
    "cut stream": (unfinished(stream_reply(chat_events(["Half ", "an"])[:-1]), "cut"), True),
    "closed stream": (stream_reply(chat_events(["Half ", "an"])[:-1]), True),
    "error in a stream": (
        stream_reply([*chat_events(["Half "])[:-1], b'data: {"error": {"message": "overloaded"}}\n\n']),
        True,
    ),
    "error": (error_reply(400), False),
    "error as a success": (json_reply({"error": {"message": "overloaded"}}), False),
}


@pytest.mark.parametrize(("reply", "streams"), NEVER_STORED.values(), ids=NEVER_STORED)
def test_an_answer_that_is_not_clean_is_never_stored(
    ask: Callable[..., httpx.Response],
    empty: RunningGateway,
    provider: Provider,
    reply: Reply | Callable[[Received], Reply],
    streams: bool,
) -> None:
    for model in ("large", "medium", "small"):
        provider.script(f"{model}-2025", reply)
    ask("How do I reset my password?", stream=streams)
    asked = len(provider.calls)
    ask("How do I reset my password?", stream=streams)

    assert len(provider.calls) == 2 * asked > 0
    assert empty.status()["cache"]["entries"] == 0


# --- coalescing ----------------------------------------------------------------------------------------------


def at_once(asks: list[Callable[[], httpx.Response]], then: Callable[[], Any]) -> list[httpx.Response]:
    """Starts all of them, runs `then` while they are under way, and gives their answers."""

    with ThreadPoolExecutor(len(asks)) as pool:
        under_way = [pool.submit(ask) for ask in asks]
        then()
        return [future.result() for future in under_way]


async def test_fifty_identical_misses_at_once_make_one_call(empty: RunningGateway, provider: Provider) -> None:
    gate = provider.gate()
    events = streamed([TEXT[at : at + 3] for at in range(0, len(TEXT), 3)])
    provider.script("large-2025", stream_reply([events[0], events[1], gate, *events[2:]]))
    key = empty.key(route="open")
    seen_first = 0

    async with httpx.AsyncClient(trust_env=False, limits=httpx.Limits(max_connections=60), timeout=60) as client:
        question = {"model": "large", "messages": QUESTION}
        headers = {"authorization": f"Bearer {key}"}
        url = f"{empty.base_url}/chat/completions"

        async def stream() -> tuple[str, bytes]:
            nonlocal seen_first
            body = question | {"stream": True}
            async with client.stream("POST", url, json=body, headers=headers) as answer:
                parts = answer.aiter_raw()
                seen = await anext(parts)
                seen_first += 1
                async for part in parts:
                    seen += part
                return answer.headers["x-thriftgate-cache"], seen

        async def whole() -> tuple[str, bytes]:
            answer = await client.post(url, json=question, headers=headers)
            return answer.headers["x-thriftgate-cache"], answer.content

        streams = [asyncio.create_task(stream()) for _ in range(40)]
        # While the answer is not complete, all forty have its beginning: so they share one call.
        await asyncio.to_thread(eventually, lambda: seen_first == 40)
        assert len(provider.calls) == 1
        wholes = [asyncio.create_task(whole()) for _ in range(10)]
        gate.open()
        streamed_answers, whole_answers = await asyncio.gather(*streams), await asyncio.gather(*wholes)

    assert len(provider.calls) == 1
    assert sorted(how for how, _ in streamed_answers) == ["coalesced"] * 39 + ["miss"]
    assert {body for _, body in streamed_answers} == {b"".join(events[:-2]) + DONE}
    assert {how for how, _ in whole_answers} <= {"coalesced", "exact"}
    assert {json.loads(body)["choices"][0]["message"]["content"] for _, body in whole_answers} == {TEXT}
    rows = empty.rows(key_id=empty.rows()[-1].key_id, kind="request")
    assert len(rows) == 50
    assert sum(row.actual_nano or 0 for row in rows) == 12 * 10_000 + 7 * 40_000  # paid once
    assert {row.avoided_coalesced_nano for row in rows if row.disposition == "coalesced"} == {400_000}


def test_fifty_identical_misses_that_are_not_streamed_make_one_call(empty: RunningGateway, provider: Provider) -> None:
    gate = provider.gate()
    provider.script("large-2025", [gate, *json_reply(chat_body(TEXT))])
    key = empty.key(route="open")

    answers = at_once(
        [lambda: empty.chat(key, "How do I reset my password?", model="large")] * 50,
        then=lambda: (eventually(lambda: gate.arrived), gate.open()),
    )

    assert len(provider.calls) == 1
    assert {content(answer) for answer in answers} == {TEXT}
    how = [disposition(answer) for answer in answers]
    assert how.count("miss") == 1
    assert set(how) <= {"miss", "coalesced", "exact"}


def test_a_leader_that_leaves_does_not_hurt_who_joined_it(empty: RunningGateway, provider: Provider) -> None:
    gate = provider.gate()
    events = streamed(["Kept ", "for ", "the ", "others."])
    provider.script("large-2025", stream_reply([events[0], events[1], gate, *events[2:]]))
    key = empty.key(route="open")
    question = "How do I reset my password?"

    with empty.stream(key, question, model="large") as leader:
        assert next(leader.iter_raw())
        with empty.stream(key, question, model="large") as follower:
            parts = follower.iter_raw()
            seen = next(parts)
            leader.close()
            gate.open()
            seen += b"".join(parts)

    assert follower.headers["x-thriftgate-cache"] == "coalesced"
    assert seen == b"".join(events[:-2]) + DONE
    assert len(provider.calls) == 1
    row = empty.row(request_id=leader.headers["x-request-id"])
    assert (row.status, row.usage_source) == ("ok", "provider")
    assert disposition(empty.chat(key, question, model="large")) == "exact"


def test_a_refusal_of_the_leader_by_its_budget_is_never_passed_on(empty: RunningGateway, provider: Provider) -> None:
    poor, rich = (empty.key(app=app, route="open") for app in ("poor", "rich"))
    questions = [f"How do I reset the password of device {word}?" for word in "alpha bravo delta golf hotel".split()]
    asks = [
        lambda key=key, question=question: empty.chat(key, question, model="large")
        for question in questions
        for key in (poor, rich, poor, rich)
    ]

    answers = at_once(asks, then=lambda: None)

    for at, answer in enumerate(answers):
        if at % 2 == 1:
            assert answer.status_code == 200, answer.text
        else:
            assert answer.status_code == 429 or disposition(answer) in ("coalesced", "exact")
    refused = empty.chat(poor, "How do I reset the password of device kilo?", model="large")
    assert refused.status_code == 429


def cut(received: Received) -> bool:
    return "max_completion_tokens" in received.json


def test_who_comes_while_a_budget_cuts_an_answer_short_gets_a_whole_one(
    empty: RunningGateway, provider: Provider
) -> None:
    gate = provider.gate()
    short, long = streamed(["Press "], finish="length"), streamed(["Press ", "it."])

    def reply(received: Received) -> list[Any]:
        return stream_reply([*short[:2], gate, *short[2:]] if cut(received) else long)

    provider.script("large-2025", reply)
    poor, rich = empty.key(app="short", route="open"), empty.key(route="open")
    question = "How do I reset my password?"

    with empty.stream(poor, question, model="large") as leader:
        parts = leader.iter_raw()
        seen = next(parts)
        with empty.stream(rich, question, model="large") as other:
            whole = other.read()
        gate.open()
        seen += b"".join(parts)

    assert "x-thriftgate-output-limit" in leader.headers
    assert other.headers["x-thriftgate-cache"] == "miss"
    assert (seen, whole) == (b"".join(short[:-2]) + DONE, b"".join(long[:-2]) + DONE)


def test_who_waited_for_an_answer_that_a_budget_cuts_short_gets_a_whole_one(
    empty: RunningGateway, provider: Provider
) -> None:
    gate = provider.gate()

    def reply(received: Received) -> list[Any]:
        finish = "length" if cut(received) else "stop"
        return [*([gate] if cut(received) else []), *json_reply(chat_body(finish, finish=finish))]

    provider.script("large-2025", reply)
    poor, rich = empty.key(app="shorter", route="open"), empty.key(route="open")
    question = "How do I reset my password?"

    with ThreadPoolExecutor(6) as pool:
        leader = pool.submit(empty.chat, poor, question, model="large")
        eventually(lambda: gate.arrived == 1)
        others = [pool.submit(empty.chat, rich, question, model="large") for _ in range(5)]
        gate.open()

    assert content(leader.result()) == "length"
    assert [content(other.result()) for other in others] == ["stop"] * 5
    assert len(provider.calls) == 2


@pytest.mark.parametrize("streams", [False, True])
def test_a_leader_whose_provider_fails_is_not_the_end_for_who_joined_it(
    empty: RunningGateway, provider: Provider, streams: bool
) -> None:
    gate = provider.gate()
    answer = stream_reply(streamed(["Second ", "try."])) if streams else json_reply(chat_body("Second try."))
    provider.script("small-2025", [gate, *error_reply(503)], answer)
    key = empty.key(route="open")

    answers = at_once(
        [lambda: empty.chat(key, "How do I reset my password?", model="small", stream=streams)] * 5,
        then=lambda: (eventually(lambda: gate.arrived == 1), gate.open()),
    )

    failed = [answer for answer in answers if answer.status_code == 503]
    assert len(failed) == 1
    assert {content(answer) for answer in answers if answer not in failed} == {"Second try."}
    assert len(provider.calls) == 2


def test_a_stream_that_breaks_off_is_not_the_end_for_who_has_been_sent_nothing_of_it(
    empty: RunningGateway, provider: Provider
) -> None:
    empty.reset_deployments()
    gate = provider.gate()
    begun = streamed(["Half ", "an ", "answer."])[:2]
    broken = unfinished(stream_reply([*begun, gate]), CUT)
    provider.script("medium-2025", broken, json_reply(chat_body("A whole answer.")))
    key, question = empty.key(app="patient", route="open"), "How do I reset my password?"

    with ThreadPoolExecutor(3) as pool, empty.stream(key, question, model="medium") as leader:
        parts = leader.iter_raw()
        next(parts)
        others = [pool.submit(empty.chat, key, question, model="medium") for _ in range(3)]
        eventually(lambda: empty.status()["in_flight"] >= 4)
        gate.open()
        list(parts)

    assert {content(other.result()) for other in others} == {"A whole answer."}
    assert len(provider.calls) == 2
    statuses = {row.request_id: row.status for row in empty.rows(kind="request", app="patient")}
    assert statuses == {leader.headers["x-request-id"]: "upstream_cut"} | {
        other.result().headers["x-request-id"]: "ok" for other in others
    }


@pytest.mark.parametrize("streams", [False, True])
def test_who_joins_waits_no_longer_than_it_says(empty: RunningGateway, provider: Provider, streams: bool) -> None:
    gate = provider.gate()
    provider.script("large-2025", [gate, *json_reply(chat_body(TEXT))])
    key = empty.key(app=f"hasty-{streams}", route="open")
    question, hasty = "How do I reset my password?", {"x-thriftgate-timeout-s": "0.3"}

    with ThreadPoolExecutor(1) as pool:
        leader = pool.submit(empty.chat, key, question, model="large")
        eventually(lambda: gate.arrived == 1)
        other = empty.chat(key, question, model="large", stream=streams, headers=hasty)
        gate.open()

    assert (other.status_code, other.json()["error"]["code"]) == (504, "upstream_timeout")
    assert content(leader.result()) == TEXT
    assert len(provider.calls) == 1
    row = empty.row(kind="request", request_id=other.headers["x-request-id"])
    assert (row.disposition, row.status, row.error_class) == ("coalesced", "upstream_error", "UpstreamTimeout")
    assert row.actual_nano == 0


# --- keeping and forgetting -----------------------------------------------------------------------------------


def test_a_purged_answer_is_gone(ask: Callable[..., httpx.Response], empty: RunningGateway) -> None:
    def entries() -> int:
        return int(empty.status()["cache"]["entries"])

    def purge(**what: Any) -> int:
        return int(empty.admin("POST", "/admin/cache/purge", **what)["purged"])

    ask("How do I reset my password?")
    ask("How do I reset my password?", {"team": "sales"})
    ask("How do I reset my password?", {"route": "twin"})
    entry = ask("How do I reset my password?").headers["x-thriftgate-entry"]
    assert entries() == 3

    assert (purge(entry=entry), entries()) == (1, 2)
    assert disposition(ask("How do I reset my password?")) == "miss"
    assert (purge(team="sales"), entries()) == (1, 2)
    assert disposition(ask("How do I reset my password?", {"team": "sales"})) == "miss"
    assert (purge(route="twin", team="sales"), purge(route="twin"), entries()) == (0, 1, 2)
    assert disposition(ask("How can I reset my password?", {"route": "twin"})) == "miss"  # its vector is gone too
    assert (purge(all=True), purge(all=True), entries()) == (3, 0, 0)


def test_an_answers_life_is_counted_from_its_creation_and_hits_do_not_lengthen_it(
    ask: Callable[..., httpx.Response],
) -> None:
    brief = {"route": "brief"}
    assert disposition(ask("How do I reset my password?", brief)) == "miss"
    assert disposition(ask("How do I reset my password?", brief)) == "exact"
    # Asking all the time: if a hit lengthened the life, this would not end.
    again = eventually(
        lambda: answer if disposition(answer := ask("How do I reset my password?", brief)) == "miss" else None
    )
    assert content(again).startswith("Answer 2 ")


def test_answers_survive_a_restart_and_a_new_knowledge_version_leaves_them_behind(
    start_gateway: Callable[..., RunningGateway], provider: Provider
) -> None:
    configuration = scripted(provider) + route("default", cache=f'{PRIOR}\nknowledge_version = "1"')
    gateway = start_gateway(configuration, **ENVIRONMENT)
    key = gateway.key()
    provider.script("large-2025", stream_reply(streamed(["Before ", "the restart – ü."])))
    for wording in WORDINGS:
        gateway.chat(key, wording, model="large", stream=True, headers={"cache-control": "no-cache"})
    eventually(lambda: is_linked(gateway, len(WORDINGS)))

    gateway.restart()

    same = gateway.chat(key, WORDINGS[0], model="large")
    near = gateway.chat(key, NEAR, model="large", stream=True)
    assert (disposition(same), disposition(near)) == ("exact", "semantic")
    assert content(same) == content(near) == "Before the restart – ü."

    gateway.stop()
    text = gateway.configuration.read_text(encoding="utf-8")
    gateway.configuration.write_text(
        text.replace('knowledge_version = "1"', 'knowledge_version = "2"'), encoding="utf-8"
    )
    gateway.start()

    provider.script("large-2025", json_reply(chat_body("After.")))
    for wording in (*WORDINGS, NEAR):
        answer = gateway.chat(key, wording, model="large")
        assert disposition(answer) in ("miss", "semantic")
        assert content(answer) == "After."


def test_the_number_of_answers_is_bounded(start_gateway: Callable[..., RunningGateway], provider: Provider) -> None:
    gateway = start_gateway(scripted(provider) + route("default") + "[cache]\nmax_entries = 5\n", **ENVIRONMENT)
    key = gateway.key()
    questions = [f"How do I paint a fence in the colour {word}?" for word in "red blue green white black pink".split()]

    for question in questions[:5]:
        gateway.chat(key, question, model="large")
    assert disposition(gateway.chat(key, questions[0], model="large")) == "exact"  # it has saved something: it stays
    gateway.chat(key, questions[5], model="large")

    assert gateway.status()["cache"]["entries"] == 5
    only = {"cache-control": "only-if-cached"}
    stored = [gateway.chat(key, question, model="large", headers=only).status_code for question in questions]
    assert (stored[0], stored[5]) == (200, 200)
    assert sorted(stored) == [200] * 5 + [504]


def test_a_broken_cache_file_is_a_miss_and_a_count_and_never_an_error(
    start_gateway: Callable[..., RunningGateway], provider: Provider
) -> None:
    gateway = start_gateway(scripted(provider) + route("default"), **ENVIRONMENT)
    key = gateway.key()
    drop(gateway.data_dir / "cache.db", "entries")

    answers = [gateway.chat(key, "How do I paint a zebra?", model="large") for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 200]
    faults = eventually(lambda: [line for line in gateway.log.splitlines() if "cache fault" in line])
    assert len(faults) >= 1
    assert "thriftgate_cache_faults_total" in gateway.request("GET", "/metrics").text


@pytest.mark.parametrize("damage", ["substr(payload, 1, 40)", "x'00'", 'cast(\'{"body":{},"usage":{}}\' as blob)'])
def test_stored_answers_that_cannot_be_read_are_misses_and_forgotten(
    start_gateway: Callable[..., RunningGateway], provider: Provider, damage: str
) -> None:
    gateway = start_gateway(scripted(provider) + route("default", cache=PRIOR), **ENVIRONMENT)
    key = gateway.key()
    provider.script("large-2025", json_reply(chat_body("Before.")))
    for wording in WORDINGS:
        gateway.chat(key, wording, model="large", headers={"cache-control": "no-cache"})
    eventually(lambda: is_linked(gateway, len(WORDINGS)))
    gateway.stop()
    with closing(sqlite3.connect(gateway.data_dir / "cache.db")) as connection, connection:
        connection.execute(f"UPDATE entries SET payload = {damage}")
    gateway.start()
    provider.script("large-2025", json_reply(chat_body("After.")))

    first = [gateway.chat(key, wording, model="large") for wording in (NEAR, WORDINGS[0])]
    again = [gateway.chat(key, wording, model="large") for wording in (NEAR, WORDINGS[0])]

    assert disposition(first[0]) == "miss"
    assert [content(answer) for answer in (*first, *again)] == ["After."] * 4
    assert {disposition(answer) for answer in again} <= {"exact", "semantic"}
    assert 'thriftgate_cache_faults_total{error="PayloadDamaged"}' in gateway.request("GET", "/metrics").text


def test_a_fault_of_the_cache_does_not_write_the_question_into_the_log(
    start_gateway: Callable[..., RunningGateway], provider: Provider
) -> None:
    gateway = start_gateway(scripted(provider) + route("default"), **ENVIRONMENT)
    drop(gateway.data_dir / "cache.db", "anchors")

    gateway.chat(gateway.key(), "How do I paint a zebra?", model="large")

    eventually(lambda: "cache fault" in gateway.log)
    assert "zebra" not in gateway.log


def drop(file: Path, table: str) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute(f"drop table {table}")
        connection.commit()
