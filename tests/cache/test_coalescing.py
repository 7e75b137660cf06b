"""Who joins an answer that is still being made, and who never does."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from cache.lookup import Lookup
from cache.query import CachePolicy, Directives
from tests.cache.asking import (
    ANSWER,
    FAR,
    OTHER,
    PARAPHRASE,
    PREMIUM,
    QUESTION,
    REWORDED,
    Compass,
    Keep,
    Kept,
    ask,
    disposed,
)

NO_CACHE = Directives(no_cache=True)
CLOSED = CachePolicy(start="closed")
SEVERAL = CachePolicy(start="prior", min_askers=2)
WRITTEN = CachePolicy(start="prior", writers=("trusted",))
OTHER_DEMANDS: list[dict[str, Any]] = [
    {"output_limit": 50},
    {"lowest_tier": PREMIUM},
    {"rationed_to": 1},
    {"model": "gpt-5"},
    {"team": "sales"},
    {"env": "staging"},
    {"route": "shop"},
    {"messages": [{"role": "system", "content": "In verse."}, {"role": "user", "content": QUESTION}]},
    {"policy": CachePolicy(start="prior", knowledge_version="2")},
    {"directives": NO_CACHE},
    {"echoed": {"user": "bob"}},
    {"seed": 1},
]


async def landed(kept: Kept, leader: Lookup[str], answer: str) -> None:
    kept.answer(leader, answer)
    await kept.cache.settle()


# --- Identical questions --------------------------------------------------------------------------------------


async def test_who_asks_the_same_while_it_is_answered_joins(kept: Kept) -> None:
    leader = await kept(ask())
    follower = await kept(ask(f" {QUESTION}"))
    assert disposed(follower) == ("coalesced", "in-flight")
    assert follower.flight is leader.flight
    assert (follower.ticket, follower.follow_up, follower.judgement) == (None, None, None)


async def test_the_same_is_joined_on_a_closed_route_too(kept: Kept) -> None:
    leader = await kept(ask(policy=CLOSED))
    assert (await kept(ask(policy=CLOSED))).flight is leader.flight


async def test_of_two_who_ask_at_once_one_leads(kept: Kept) -> None:
    lookups = await asyncio.gather(*(kept(ask()) for _ in range(5)))
    assert sorted(lookup.disposition for lookup in lookups) == ["coalesced"] * 4 + ["miss"]
    assert len({id(lookup.flight) for lookup in lookups}) == 1


async def test_an_exact_only_question_is_joined_too(kept: Kept) -> None:
    await kept(ask("refund"))
    assert disposed(await kept(ask("refund"))) == ("coalesced", "in-flight")


@pytest.mark.parametrize("other", OTHER_DEMANDS, ids=lambda other: next(iter(other)))
async def test_only_callers_with_the_same_demands_join(kept: Kept, other: dict[str, Any]) -> None:
    await kept(ask())
    assert (await kept(ask(**other))).disposition == "miss"


async def test_streams_and_non_streams_join_each_other(kept: Kept) -> None:
    await kept(ask(stream=True))
    assert (await kept(ask(stream=False))).disposition == "coalesced"


@pytest.mark.parametrize("text", [QUESTION, PARAPHRASE], ids=["identical", "equivalent"])
async def test_an_answer_that_repeats_what_was_asked_beside_the_question_is_joined_by_who_asks_with_the_same(
    kept: Kept, text: str
) -> None:
    leader = await kept(ask(echoed={"user": "ann", "metadata": {"a": 1, "b": 2}}))
    assert (await kept(ask(text, echoed={"user": "bob", "metadata": {"a": 1, "b": 2}}))).disposition == "miss"
    follower = await kept(ask(text, echoed={"metadata": {"b": 2, "a": 1}, "user": "ann"}))
    assert follower.flight is leader.flight


async def test_the_user_of_a_chat_comes_back_in_no_answer_so_that_it_keeps_nobody_from_joining(kept: Kept) -> None:
    await kept(ask(user="ann"))
    assert (await kept(ask(user="bob"))).disposition == "coalesced"


async def test_who_may_not_join_neither_joins_nor_is_joined(kept: Kept) -> None:
    leader = await kept(ask())
    alone = await kept(ask(), may_join=False)
    assert alone.disposition == "miss"
    assert alone.flight is not leader.flight
    kept.cache.purge()
    await kept(ask(), may_join=False)
    assert (await kept(ask())).disposition == "miss"


async def test_nobody_joins_an_answer_that_was_refreshed_on_demand(kept: Kept) -> None:
    await kept(ask(directives=NO_CACHE))
    assert (await kept(ask())).disposition == "miss"
    kept.cache.purge()
    await kept(ask(directives=NO_CACHE))
    assert (await kept(ask(PARAPHRASE))).disposition == "miss"


async def failed(lookup: Lookup[str]) -> None:
    async def failing() -> AsyncIterator[str]:
        raise ConnectionError
        yield ""

    assert lookup.flight is not None
    lookup.flight.start(failing())
    await lookup.flight.join()


@pytest.mark.parametrize("text", [QUESTION, PARAPHRASE], ids=["identical", "equivalent"])
async def test_a_failed_flight_is_not_joined_the_next_leads(kept: Kept, text: str) -> None:
    await failed(await kept(ask()))
    successor = await kept(ask(text))
    assert successor.disposition == "miss"
    assert (await kept(ask(text))).flight is successor.flight


@pytest.mark.parametrize("text", [QUESTION, PARAPHRASE], ids=["identical", "equivalent"])
async def test_a_landed_flight_is_not_joined(kept: Kept, text: str) -> None:
    leader = await kept(ask())
    assert leader.ticket is not None
    assert leader.flight is not None
    kept.cache.land(leader.ticket, leader.flight)
    assert (await kept(ask(text))).disposition == "miss"


async def test_the_landing_of_a_predecessor_leaves_the_present_flight_alone(kept: Kept) -> None:
    first = await kept(ask())
    assert first.ticket is not None
    assert first.flight is not None
    kept.cache.land(first.ticket, first.flight)
    second = await kept(ask())
    kept.cache.land(first.ticket, first.flight)
    assert (await kept(ask())).flight is second.flight
    assert (await kept(ask(PARAPHRASE))).flight is second.flight


async def test_who_looked_up_while_the_answer_was_stored_gets_it(keep: Keep) -> None:
    """Between the encoder pass and the decision the same question was answered."""

    class Meanwhile(Compass):
        async def encode(self, text: str, *, here: bool = False) -> Any:
            vector = await super().encode(text)
            if self.encoded.count(QUESTION) == 2 and text == QUESTION:  # the second who asks is being encoded
                kept.answer(leader)
            return vector

    kept = keep(Meanwhile({QUESTION: 0}))
    leader = await kept(ask(), may_join=False)
    assert disposed(await kept(ask())) == ("exact", "same-text")


# --- Where not everybody is served what everybody gets ---------------------------------------------------------


@pytest.mark.parametrize("text", [QUESTION, PARAPHRASE], ids=["identical", "equivalent"])
async def test_where_several_must_have_got_an_answer_nobody_joins_somebody_elses(kept: Kept, text: str) -> None:
    await kept(ask(asker="ann", policy=SEVERAL))
    assert (await kept(ask(text, asker="bob", policy=SEVERAL))).disposition == "miss"


async def test_where_several_must_have_got_an_answer_each_still_joins_their_own(kept: Kept) -> None:
    leader, other = [await kept(ask(asker=asker, policy=SEVERAL)) for asker in ("ann", "bob")]
    assert (await kept(ask(asker="ann", policy=SEVERAL))).flight is leader.flight
    assert (await kept(ask(asker="bob", policy=SEVERAL))).flight is other.flight
    assert (await kept(ask(PARAPHRASE, asker="ann", policy=SEVERAL))).disposition == "miss"


@pytest.mark.parametrize("other", [{"app": "trusted"}, {"app": "stranger"}], ids=lambda other: other["app"])
@pytest.mark.parametrize("text", [QUESTION, PARAPHRASE], ids=["identical", "equivalent"])
async def test_nobody_joins_an_app_whose_answers_are_not_stored(kept: Kept, text: str, other: dict[str, Any]) -> None:
    await kept(ask(app="unknown", policy=WRITTEN))
    assert (await kept(ask(text, policy=WRITTEN, **other))).disposition == "miss"


async def test_an_app_whose_answers_are_not_stored_joins_itself_in_the_same_words(kept: Kept) -> None:
    leader = await kept(ask(app="unknown", policy=WRITTEN))
    assert (await kept(ask(app="unknown", policy=WRITTEN))).flight is leader.flight
    assert (await kept(ask(PARAPHRASE, app="unknown", policy=WRITTEN))).disposition == "miss"


async def test_apps_of_one_name_in_two_teams_are_two(kept: Kept) -> None:
    shared = CachePolicy(start="prior", writers=("trusted",), shared="all-support")
    await kept(ask(team="sales", app="unknown", policy=shared))
    assert (await kept(ask(team="support", app="unknown", policy=shared))).disposition == "miss"


@pytest.mark.parametrize("text", [QUESTION, PARAPHRASE], ids=["identical", "equivalent"])
async def test_every_app_joins_one_whose_answers_are_stored(kept: Kept, text: str) -> None:
    await kept(ask(app="unknown", policy=WRITTEN))
    leader = await kept(ask(app="trusted", policy=WRITTEN))
    assert (await kept(ask(text, app="stranger", policy=WRITTEN))).flight is leader.flight


# --- Equivalent questions -------------------------------------------------------------------------------------


async def test_other_words_for_the_same_join_where_a_stored_answer_would_serve(kept: Kept) -> None:
    leader = await kept(ask())
    follower = await kept(ask(PARAPHRASE))
    assert disposed(follower) == ("coalesced", "uncertified")
    assert follower.flight is leader.flight
    assert follower.confidence is not None
    assert follower.kappa is not None
    assert follower.confidence >= follower.kappa


@pytest.mark.parametrize(("degrees", "disposition"), [(10, "coalesced"), (20, "coalesced"), (25, "miss"), (60, "miss")])
async def test_they_join_only_if_that_is_as_likely_right_as_a_stored_answer_has_to_be(
    keep: Keep, degrees: float, disposition: str
) -> None:
    kept = keep(Compass({QUESTION: 0, PARAPHRASE: degrees}))
    await kept(ask())
    assert (await kept(ask(PARAPHRASE))).disposition == disposition


async def test_on_a_closed_route_nobody_joins_another_question(kept: Kept) -> None:
    await kept(ask(policy=CLOSED))
    assert (await kept(ask(PARAPHRASE, policy=CLOSED))).disposition == "miss"


@pytest.mark.parametrize("other", OTHER_DEMANDS, ids=lambda other: next(iter(other)))
async def test_nobody_with_other_demands_joins_another_question(kept: Kept, other: dict[str, Any]) -> None:
    await kept(ask())
    if "messages" in other:
        other = {"messages": [other["messages"][0], {"role": "user", "content": PARAPHRASE}]}
    assert (await kept(ask(PARAPHRASE, **other))).disposition == "miss"


async def test_who_may_not_join_does_not_join_another_question_either(kept: Kept) -> None:
    await kept(ask())
    assert (await kept(ask(PARAPHRASE), may_join=False)).disposition == "miss"


async def test_an_opposite_never_joins(keep: Keep) -> None:
    on, off = "How do I turn on dark mode?", "How do I turn off dark mode?"
    kept = keep(Compass({on: 0, off: 1}))
    await kept(ask(on))
    assert (await kept(ask(off))).disposition == "miss"


async def test_a_stored_other_answer_nearby_keeps_it_from_joining(keep: Keep) -> None:
    third = "In which way does one reset a password?"
    kept = keep(Compass({QUESTION: 0, PARAPHRASE: 15, third: 10}))
    await kept.learn(ask(third), OTHER)
    await kept(ask(), may_join=True)
    assert (await kept(ask(PARAPHRASE))).disposition != "coalesced"


async def test_it_is_counted_as_a_hit_and_audited_against_what_the_leader_got(kept: Kept) -> None:
    leader = await kept(ask())
    follower = await kept.join(ask(PARAPHRASE, may_audit=True))
    assert follower.follow_up is not None
    await landed(kept, leader, ANSWER)
    assert await kept.audit(follower, REWORDED) == "same"
    certificate = kept.cache.certificates()["faq"]
    assert (certificate.hits, certificate.audited, certificate.wrong) == (1, 1, 0)


async def test_one_that_was_wrong_is_listed_and_the_leaders_own_answer_stays(kept: Kept) -> None:
    leader = await kept(ask())
    follower = await kept.join(ask(PARAPHRASE, may_audit=True))
    await landed(kept, leader, ANSWER)
    assert await kept.audit(follower, OTHER) == "different"
    (doubt,) = kept.doubts()
    assert (doubt.asked, doubt.stored_question, doubt.stored_answer) == (PARAPHRASE, QUESTION, ANSWER)
    assert (await kept(ask())).disposition == "exact"
    assert (await kept(ask(PARAPHRASE))).disposition == "exact"
    assert kept.cache.certificates()["faq"].wrong == 1
    assert kept.cache.rule(doubt.id, "right")
    kept.cache.purge(route="faq", team="support")
    assert kept.doubts(only_open=False) == []


async def test_without_money_for_audits_it_is_counted_all_the_same(kept: Kept) -> None:
    await kept(ask())
    assert (await kept.join(ask(PARAPHRASE, may_audit=False))).follow_up is None
    certificate = kept.cache.certificates()["faq"]
    assert (certificate.hits, certificate.audited) == (1, 0)


async def test_an_audit_of_a_leader_whose_answer_was_not_kept_has_failed(kept: Kept) -> None:
    leader = await kept(ask())
    follower = await kept.join(ask(PARAPHRASE, may_audit=True))
    kept.cache.purge()
    assert kept.offer(leader, ANSWER) is None
    assert await kept.audit(follower, OTHER) is None
    assert kept.cache.certificates()["faq"].failed == 1
    assert kept.count("entries") == 0


async def test_it_can_be_complained_about(kept: Kept) -> None:
    await kept(ask())
    asked = ask(PARAPHRASE)
    await kept.join(asked)
    assert (await kept.cache.complain(asked.request_id)).is_counted
    assert not (await kept.cache.complain(asked.request_id)).is_counted
    assert kept.cache.certificates()["faq"].complaints == 1
    assert kept.faults == []


@pytest.mark.parametrize("may_audit", [False, True], ids=["unaudited", "audited"])
async def test_what_could_not_be_joined_was_no_hit_and_cannot_be_complained_of(kept: Kept, may_audit: bool) -> None:
    leader, asked = await kept(ask()), ask(PARAPHRASE, may_audit=may_audit)
    assert disposed(await kept(asked)) == ("coalesced", "uncertified")
    await failed(leader)
    own = await kept(asked)
    assert own.disposition == "miss"
    await landed(kept, own, ANSWER)
    certificate = kept.cache.certificates()["faq"]
    assert (certificate.hits, certificate.failed) == (0, 0)
    assert not (await kept.cache.complain(asked.request_id)).is_counted


async def test_who_joins_the_same_question_is_no_semantic_hit(kept: Kept) -> None:
    await kept(ask())
    follower = await kept.join(ask(may_audit=True))
    assert (follower.reason, follower.follow_up) == ("in-flight", None)
    assert kept.cache.certificates()["faq"].hits == 0


async def test_after_a_purge_nobody_joins_what_was_asked_before_it(kept: Kept) -> None:
    before = await kept(ask())
    kept.cache.purge(team="somebody else")
    for text in (QUESTION, PARAPHRASE):
        assert (await kept(ask(text))).flight is not before.flight
    assert (await kept(ask(FAR))).disposition == "miss"
