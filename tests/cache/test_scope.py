"""What must be identical for an answer to be reusable, and what counts as the same text."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cache.query import CachePolicy, Query
from cache.scope import exact_key, normalised, scope_of, split
from tests.cache.asking import ask

POLICY = CachePolicy(start="prior")
SYSTEM = {"role": "system", "content": "Be brief."}
USER = {"role": "user", "content": "How do I pay?"}
TOOL = {"type": "function", "function": {"name": "look", "parameters": {}}}


def scope(query: Query) -> bytes:
    return scope_of(query, split(query.mapping["messages"]).context)


# --- Who and where ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "other",
    [
        {"team": "sales"},
        {"env": "staging"},
        {"route": "billing"},
        {"policy": CachePolicy(start="prior", knowledge_version="2")},
        {"policy": CachePolicy(start="prior", shared="everyone")},
    ],
    ids=["team", "env", "route", "knowledge version", "shared group"],
)
def test_another_place_is_another_scope(other: dict[str, Any]) -> None:
    assert scope(ask()) != scope(ask(**other))


def test_teams_of_one_shared_group_share_a_scope() -> None:
    shared = CachePolicy(start="prior", shared="helpdesk")
    assert scope(ask(team="support", policy=shared)) == scope(ask(team="sales", policy=shared))
    assert scope(ask(env="prod", policy=shared)) != scope(ask(env="dev", policy=shared))


def test_a_group_is_not_the_team_of_the_same_name() -> None:
    assert scope(ask(team="support")) != scope(ask(team="x", policy=CachePolicy(start="prior", shared="support")))


@pytest.mark.parametrize(
    "policy",
    [
        CachePolicy(start="closed"),
        CachePolicy(start="prior", max_wrong=0.02),
        CachePolicy(start="prior", ttl_s=1),
    ],
    ids=["start", "floor", "ttl"],
)
def test_how_a_route_uses_the_cache_does_not_split_it(policy: CachePolicy) -> None:
    assert scope(ask(policy=policy)) == scope(ask(policy=POLICY))


# --- What is asked ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields",
    [
        {"model": "gpt-5"},
        {"temperature": 0},
        {"temperature": 0.0},
        {"top_p": 0.5},
        {"seed": 7},
        {"stop": ["\n"]},
        {"tools": [TOOL]},
        {"tool_choice": "none"},
        {"response_format": {"type": "json_object"}},
        {"logit_bias": {"50256": -100}},
        {"reasoning_effort": "low"},
        {"service_tier": "flex"},
        {"store": False},
        {"a_field_of_next_year": True},
        {"a_field_of_next_year": None},
        {"Stream": True},
    ],
    ids=str,
)
def test_every_field_splits_even_one_that_nobody_has_heard_of(fields: dict[str, Any]) -> None:
    assert scope(ask(**fields)) != scope(ask())


@pytest.mark.parametrize(
    "fields",
    [
        {"stream": True},
        {"stream_options": {"include_usage": True}},
        {"user": "u-1"},
        {"metadata": {"ticket": "1"}},
        {"max_tokens": 50},
        {"max_completion_tokens": 50},
    ],
    ids=str,
)
def test_the_fields_that_cannot_change_an_answer_do_not_split(fields: dict[str, Any]) -> None:
    assert scope(ask(**fields)) == scope(ask())


@pytest.mark.parametrize("name", ["user", "metadata"])
def test_a_route_may_let_user_or_metadata_split(name: str) -> None:
    policy = CachePolicy(start="prior", scope_fields=(name,))
    assert scope(ask(policy=policy, **{name: "a"})) != scope(ask(policy=policy, **{name: "b"}))
    assert scope(ask(policy=policy, stream=True)) == scope(ask(policy=policy))


def test_headers_that_belong_to_the_request_split() -> None:
    named = [None, {"openai-beta": "a"}, {"openai-beta": "b"}, {"anthropic-beta": "a"}]
    assert len({scope(ask(headers=headers)) for headers in named}) == len(named)


@pytest.mark.parametrize("name", ["forwarded", "openai-beta"])
def test_no_field_of_a_body_is_taken_for_a_header(name: str) -> None:
    beta = {"openai-beta": "a"}
    assert scope(ask(headers=beta)) != scope(ask(**{name: beta}))
    assert scope(ask(headers=beta, **{name: "a"})) != scope(ask(headers=beta, **{name: "b"}))


def test_the_system_prompt_splits() -> None:
    alone, told = ask(messages=[USER]), ask(messages=[SYSTEM, USER])
    other = ask(messages=[{**SYSTEM, "content": "Be brief!"}, USER])
    developer = ask(messages=[{**SYSTEM, "role": "developer"}, USER])
    assert len({scope(each) for each in (alone, told, other, developer)}) == 4


def test_every_earlier_turn_splits() -> None:
    greeting, reply = {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello!"}
    first = ask(messages=[greeting, reply, USER])
    other = ask(messages=[greeting, {**reply, "content": "Hey!"}, USER])
    shorter = ask(messages=[greeting, USER])
    assert len({scope(each) for each in (first, other, shorter, ask(messages=[USER]))}) == 4


def test_the_name_of_the_one_who_asks_splits() -> None:
    assert scope(ask(messages=[{**USER, "name": "Ann"}])) != scope(ask(messages=[USER]))


def test_the_last_text_is_not_part_of_the_scope() -> None:
    assert scope(ask("How do I pay?")) == scope(ask("Do you ship to Norway?"))


def test_the_order_of_keys_does_not_split() -> None:
    one = ask(response_format={"type": "json_schema", "json_schema": {"name": "a", "strict": True}}, seed=1, top_p=1)
    two = ask(top_p=1, seed=1, response_format={"json_schema": {"strict": True, "name": "a"}, "type": "json_schema"})
    assert list(one.mapping) != list(two.mapping)
    assert scope(one) == scope(two)


def test_a_string_and_a_single_text_part_are_the_same() -> None:
    string, part = ask("How do I pay?"), ask([{"type": "text", "text": "How do I pay?"}])
    assert scope(string) == scope(part)
    assert split(string.mapping["messages"]).text == split(part.mapping["messages"]).text


@pytest.mark.parametrize("role", ["system", "developer", "user", "assistant"])
def test_they_are_the_same_in_every_message(role: str) -> None:
    string = {"role": role, "content": "Be brief."}
    part = {"role": role, "content": [{"type": "text", "text": "Be brief."}]}
    parts = {"role": role, "content": [{"type": "text", "text": "Be "}, {"type": "text", "text": "brief."}]}
    assert split([string, USER]) == split([part, USER])
    assert scope(ask(messages=[string, USER])) == scope(ask(messages=[part, USER]))
    assert scope(ask(messages=[string, USER])) != scope(ask(messages=[parts, USER]))


@pytest.mark.parametrize(
    "content",
    [
        None,
        [],
        [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
        [{"type": "image_url", "image_url": {"url": "data:"}}],
        [{"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}, "odd": 1}],
        [{"type": "text", "text": 1}],
    ],
    ids=str,
)
def test_anything_but_one_text_is_not_plain(content: Any) -> None:
    assert split([{"role": "user", "content": content}]).text is None


MARK = {"cache_control": {"type": "ephemeral"}}


def test_a_mark_for_the_providers_prompt_cache_changes_nothing() -> None:
    said = {"role": "assistant", "content": "Hello."}
    plain = [SYSTEM, USER, said, {"role": "user", "content": "How do I pay?"}]
    part = {"type": "text", "text": "How do I pay?", **MARK}
    system = {"role": "system", "content": [{"type": "text", "text": SYSTEM["content"], **MARK}]}
    marked = [system, USER | MARK, said, {"role": "user", "content": [part]}]

    assert split(marked) == split(plain)
    assert split(marked).text == "How do I pay?"
    assert part == {"type": "text", "text": "How do I pay?", **MARK}


def test_a_mark_of_the_whole_request_does_not_split() -> None:
    assert scope(ask(**MARK)) == scope(ask())


def test_only_a_user_turn_at_the_end_is_asked() -> None:
    assert split([USER, {"role": "assistant", "content": "Certainly:"}]).text is None


def test_instructions_are_not_turns() -> None:
    assert not split([SYSTEM, {**SYSTEM, "role": "developer"}, USER]).has_earlier_turns
    assert split([USER, USER]).has_earlier_turns
    assert split([{"role": "assistant", "content": "Hi, how can I help?"}, USER]).has_earlier_turns


def test_computing_a_scope_changes_nothing_in_the_request() -> None:
    query = ask([{"type": "text", "text": "How do I pay?"}], user="u", seed=1)
    before = json.dumps(query.mapping)
    scope(query)
    assert json.dumps(query.mapping) == before


scalars = st.none() | st.booleans() | st.integers(-2, 2) | st.floats(-1, 1) | st.text("ab", max_size=2)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text("ab", max_size=1), inner, max_size=2)
)
bodies = st.dictionaries(
    st.sampled_from(["stream", "user", "metadata", "max_tokens", "seed", "tools", "model", "x", "y"]),
    values,
    max_size=4,
)
places = st.fixed_dictionaries(
    {
        "team": st.sampled_from(["a", "b"]),
        "env": st.sampled_from(["a", "b"]),
        "route": st.sampled_from(["a", "b"]),
        "policy": st.builds(
            CachePolicy,
            knowledge_version=st.sampled_from(["a", "b"]),
            shared=st.sampled_from([None, "a", "b"]),
            scope_fields=st.sampled_from([(), ("user",), ("user", "metadata")]),
        ),
    }
)
turns = st.lists(st.fixed_dictionaries({"role": st.sampled_from(["system", "user"]), "content": values}), max_size=1)
requests = st.tuples(places, bodies, turns, st.sampled_from(["Hello there", "How are you"]))
IGNORED = {"stream", "stream_options", "user", "metadata", "max_tokens", "max_completion_tokens"}


@st.composite
def neighbours(draw: st.DrawFn) -> tuple[Any, Any]:
    """Two requests that differ in one of their parts at most."""
    one, other, part = (
        draw(requests),
        draw(requests),
        draw(st.sampled_from(["place", "body", "earlier", "text", "none"])),
    )
    names = ("place", "body", "earlier", "text")
    return one, tuple(theirs if name == part else mine for name, mine, theirs in zip(names, one, other, strict=True))


def query_of(request: tuple[dict[str, Any], dict[str, Any], list[Any], str]) -> Query:
    place, body, earlier, text = request
    return ask(messages=[*earlier, {"role": "user", "content": text}], **place, **{"model": "auto", **body})


def counted(request: tuple[dict[str, Any], dict[str, Any], list[Any], str]) -> str:
    """All that may make a difference, written out."""
    place, body, earlier, _ = request
    policy = place["policy"]
    tenant = ["group", policy.shared] if policy.shared else ["team", place["team"]]
    ignored = IGNORED - set(policy.scope_fields)
    fields = {name: value for name, value in {"model": "auto", **body}.items() if name not in ignored}
    return json.dumps([tenant, place["env"], place["route"], policy.knowledge_version, earlier, fields], sort_keys=True)


@given(neighbours() | st.tuples(requests, requests))
def test_two_requests_share_a_scope_only_if_they_differ_in_the_named_fields_alone(pair: tuple[Any, Any]) -> None:
    one, two = pair
    assert (scope(query_of(one)) == scope(query_of(two))) == (counted(one) == counted(two))


@given(requests, bodies)
def test_the_named_fields_never_split_whatever_they_hold(request: Any, fields: dict[str, Any]) -> None:
    place, body, earlier, text = request
    named = {name: value for name, value in fields.items() if name in IGNORED}
    place = {**place, "policy": CachePolicy()}
    assert scope(query_of((place, {**body, **named}, earlier, text))) == scope(query_of((place, body, earlier, text)))


# --- The exact key ------------------------------------------------------------------------------------------


def test_texts_are_the_same_after_unicode_nfc_and_outer_trim() -> None:
    composed, decomposed = "Wie ändere ich das?", "Wie a\u0308ndere ich das?"
    assert composed != decomposed
    assert exact_key(b"s", composed) == exact_key(b"s", decomposed)
    assert exact_key(b"s", "\n  How do I pay? \t") == exact_key(b"s", "How do I pay?")


@pytest.mark.parametrize(
    "other", ["how do i pay?", "How do I pay", "How do I  pay?", "How do I pay？", "How do I\npay?"], ids=repr
)
def test_case_punctuation_and_inner_blanks_are_not_folded(other: str) -> None:
    assert exact_key(b"s", other) != exact_key(b"s", "How do I pay?")


def test_the_same_text_in_another_scope_has_another_key() -> None:
    assert exact_key(scope(ask()), "How do I pay?") != exact_key(scope(ask(team="sales")), "How do I pay?")


@given(st.text())
def test_what_is_normalised_stays_as_it_is(text: str) -> None:
    assert normalised(normalised(text)) == normalised(text)
