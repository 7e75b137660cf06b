"""How the cache disposes of a request: from the scope to the stored entry, with faults."""

import ast
import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, get_args

import pytest
import sqlalchemy as sa

from cache.answers import WordedComparison
from cache.cacheability import LEVELS
from cache.certificate import State
from cache.decision import BLOCKING
from cache.encoder import Encoder
from cache.errors import TextTooLong
from cache.lookup import directives_from
from cache.query import ASKERS_AT_MOST, Acceptance, CachePolicy, Directives
from tests.cache.asking import (
    ANSWER,
    FAR,
    MID,
    NORWAY,
    OTHER,
    PARAPHRASE,
    PREMIUM,
    QUESTION,
    REWORDED,
    ByLabel,
    Compass,
    Keep,
    Kept,
    ask,
    disposed,
    served,
)

NO_CACHE, NO_STORE = Directives(no_cache=True), Directives(no_store=True)
CLOSED = CachePolicy(start="closed")


# --- Exact and semantic -------------------------------------------------------------------------------------


async def test_the_first_question_is_a_miss(kept: Kept) -> None:
    lookup = await kept(ask())
    assert disposed(lookup) == ("miss", "no-neighbour")
    assert lookup.ticket is not None
    assert lookup.flight is not None


async def test_the_same_text_gets_the_stored_answer(kept: Kept) -> None:
    entry = await kept.learn(ask())
    lookup = await kept(ask(f"  {QUESTION}\n"))
    assert disposed(lookup) == ("exact", "same-text")
    assert served(lookup) == ANSWER
    assert lookup.entry is not None
    assert lookup.entry.id == entry


async def test_other_words_for_the_same_get_the_stored_answer_uncertified(kept: Kept) -> None:
    entry = await kept.learn(ask())
    lookup = await kept(ask(PARAPHRASE))
    assert disposed(lookup) == ("semantic", "uncertified")
    assert served(lookup) == ANSWER
    assert lookup.entry is not None
    assert lookup.entry.id == entry
    assert lookup.confidence == pytest.approx(0.998, abs=0.001)
    assert lookup.kappa == pytest.approx(0.95, abs=0.02)


async def test_folding_case_is_already_semantic(keep: Keep) -> None:
    kept = keep(Compass({QUESTION: 0, QUESTION.lower(): 1}))
    await kept.learn(ask())
    assert disposed(await kept(ask(QUESTION.lower()))) == ("semantic", "uncertified")


async def test_another_question_is_a_miss(kept: Kept) -> None:
    await kept.learn(ask())
    assert disposed(await kept(ask(FAR))) == ("miss", "unsure")


async def test_an_opposite_is_a_miss_however_near(keep: Keep) -> None:
    on, off = "How do I turn on dark mode?", "How do I turn off dark mode?"
    kept = keep(Compass({on: 0, off: 1}))
    await kept.learn(ask(on))
    lookup = await kept(ask(off))
    assert disposed(lookup) == ("miss", "polarity-mismatch")
    assert lookup.confidence is not None
    assert lookup.confidence > 0.99


async def test_near_questions_with_different_answers_make_each_other_doubtful(keep: Keep) -> None:
    second = "In which way can I reset my password?"
    kept = keep(Compass({QUESTION: 0, second: 14, PARAPHRASE: 7}))
    await kept.learn(ask())
    await kept.learn(ask(second), OTHER)
    assert disposed(await kept(ask(PARAPHRASE))) == ("miss", "unsure")


async def test_near_questions_with_one_answer_in_other_words_support_each_other(keep: Keep) -> None:
    second = "In which way can I reset my password?"
    kept = keep(Compass({QUESTION: 0, second: 14, PARAPHRASE: 7}))
    await kept.learn(ask())
    await kept.learn(ask(second), REWORDED)
    assert (await kept(ask(PARAPHRASE))).disposition == "semantic"
    assert kept.count("groups") == 1


async def test_a_closed_route_serves_no_semantic_hit_and_labels_itself(kept: Kept) -> None:
    await kept.learn(ask())
    asked = ask(PARAPHRASE, policy=CLOSED)
    lookup = await kept(asked)
    assert disposed(lookup) == ("miss", "learning")
    assert lookup.confidence == pytest.approx(0.998, abs=0.001)
    assert lookup.kappa == float("inf")
    kept.answer(lookup, REWORDED)
    await kept.cache.settle()
    assert [(request, verdict) for request, _, verdict in kept.labels] == [(asked.request_id, "same")]
    assert kept.cache.certificates()["faq"].free == 1
    assert disposed(await kept(ask(policy=CLOSED))) == ("exact", "same-text")


@pytest.mark.parametrize(
    ("answer", "label"), [(REWORDED, "free"), (OTHER, "free_wrong"), ("unclear: x", "free_unclear")]
)
async def test_the_fresh_answer_of_a_miss_says_whether_the_stored_one_would_have_been_right(
    kept: Kept, answer: str, label: str
) -> None:
    await kept.learn(ask())
    kept.answer(await kept(ask(PARAPHRASE, policy=CLOSED)), answer)
    await kept.cache.settle()
    certificate = kept.cache.certificates()["faq"]
    assert getattr(certificate, label) == 1
    assert certificate.free_wrong == (label == "free_wrong")
    assert certificate.audited == 0


async def test_a_route_is_closed_unless_the_operator_says_otherwise(kept: Kept) -> None:
    await kept.learn(ask(policy=CachePolicy()))
    assert disposed(await kept(ask(PARAPHRASE, policy=CachePolicy()))) == ("miss", "learning")


async def test_a_smaller_budget_asks_for_more(keep: Keep) -> None:
    kept = keep(Compass({QUESTION: 0, PARAPHRASE: 20}))  # p is 0.977
    for route, max_wrong, disposition in (("strict", 0.005, "miss"), ("usual", 0.01, "semantic")):
        policy = CachePolicy(start="prior", max_wrong=max_wrong)
        await kept.learn(ask(route=route, policy=policy))
        assert (await kept(ask(PARAPHRASE, route=route, policy=policy))).disposition == disposition


async def test_an_exact_only_route_serves_the_same_text_only_and_encodes_nothing(keep: Keep) -> None:
    encoder = Compass({QUESTION: 0, PARAPHRASE: 10})
    kept, exact = keep(encoder), CachePolicy(mode="exact", start="prior")
    kept.answer(await kept(ask(policy=exact)))
    assert disposed(await kept(ask(policy=exact))) == ("exact", "same-text")
    assert disposed(await kept(ask(PARAPHRASE, policy=exact))) == ("miss", "route-exact")
    assert encoder.encoded == []


async def test_without_an_encoder_only_the_same_text_is_served(keep: Keep) -> None:
    kept = keep(None)
    lookup = await kept(ask())
    assert disposed(lookup) == ("miss", "no-encoder")
    kept.answer(lookup)
    assert disposed(await kept(ask())) == ("exact", "same-text")
    assert disposed(await kept(ask(PARAPHRASE))) == ("miss", "no-encoder")


async def test_without_an_encoder_nothing_is_left_of_what_was_replaced_or_purged(keep: Keep) -> None:
    kept = keep(None)
    for number in range(5):
        await kept.learn(ask(), f"answer {number}: {'x' * 1000}")
    assert kept.count("entries") == 1
    kept.cache.purge()
    assert (kept.count("entries"), kept.count("bytes")) == (0, 0)


async def test_a_text_too_long_for_the_encoder_is_exact_only(keep: Keep) -> None:
    kept = keep(Compass({QUESTION: None, PARAPHRASE: 0}))
    lookup = await kept(ask())
    assert disposed(lookup) == ("miss", "long")
    kept.answer(lookup)
    assert disposed(await kept(ask())) == ("exact", "same-text")
    assert disposed(await kept(ask(PARAPHRASE))) == ("miss", "no-neighbour")
    assert kept.faults == []


async def test_a_text_that_is_exact_only_is_not_encoded(keep: Keep) -> None:
    encoder = Compass({})
    kept = keep(encoder)
    lookup = await kept(ask("refund"))
    assert disposed(lookup) == ("miss", "short")
    kept.answer(lookup)
    assert disposed(await kept(ask("refund"))) == ("exact", "same-text")
    assert "refund" not in encoder.encoded


async def test_only_who_is_alone_is_encoded_on_his_own_thread(keep: Keep) -> None:
    told: list[bool] = []

    class Told(Compass):
        async def encode(self, text: str, *, here: bool = False) -> Any:
            told.append(here)
            return await super().encode(text)

    kept = keep(Told({QUESTION: 0, PARAPHRASE: 10}))
    await kept(ask(QUESTION))
    kept.cache.is_alone = lambda: True
    await kept(ask(PARAPHRASE))
    assert told == [False, True]


async def test_an_exact_hit_needs_no_encoder_pass(keep: Keep) -> None:
    encoder = Compass({QUESTION: 0})
    kept = keep(encoder)
    await kept.learn(ask())
    encoder.encoded.clear()
    await kept(ask())
    assert encoder.encoded == []


# --- What is never cached -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({"text": "Where is my parcel?"}, "personal"),
        ({"text": "Is the site down right now?"}, "volatile"),
        ({"text": "And the other one?"}, "follow-up"),
        ({"text": ""}, "empty"),
        ({"n": 2}, "several-choices"),
        ({"directives": NO_STORE}, "no-store"),
        ({"policy": CachePolicy(mode="off")}, "cache-off"),
    ],
    ids=str,
)
async def test_what_is_not_cacheable_is_neither_looked_up_nor_stored_nor_joined(
    kept: Kept, asked: dict[str, Any], reason: str
) -> None:
    first, second = await kept(ask(**asked)), await kept(ask(**asked))
    assert disposed(first) == disposed(second) == ("bypass", reason)
    assert first.ticket is None
    assert first.flight is not second.flight
    assert kept.cache.statistics()["in_flight"] == 0


async def test_an_answer_to_a_bypass_is_given_up_when_its_client_leaves(kept: Kept) -> None:
    async def endless() -> AsyncIterator[str]:
        yield "a"
        await asyncio.Event().wait()

    flight = (await kept(ask("Where is my parcel?"))).flight
    assert flight is not None
    flight.start(endless())
    await flight.first()
    flight.leave()
    async with asyncio.timeout(10):
        await flight.join()
    assert not flight.is_open


# --- Whose answers are good enough --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("made_by", "caller", "takes"),
    [
        (("gpt-mid", MID, False), {"lowest_tier": MID}, True),
        (("gpt-mid", MID, False), {"lowest_tier": PREMIUM}, False),
        (("gpt-mid", MID, False), {"lowest_tier": PREMIUM, "model": "gpt-mid"}, True),
        (("gpt-top", PREMIUM, False), {"lowest_tier": MID}, True),
        (("gpt-mid", MID, True), {"lowest_tier": MID}, False),
        (("gpt-mid", MID, True), {"lowest_tier": MID, "model": "gpt-mid"}, False),
        (("gpt-mid", MID, True), {"lowest_tier": MID, "rationed_to": MID}, True),
        (("gpt-mid", MID, True), {"lowest_tier": PREMIUM, "rationed_to": 1}, True),
        (("gpt-mid", MID, True), {"lowest_tier": MID, "rationed_to": PREMIUM}, False),
        (("gpt-mid", MID, False), {"lowest_tier": PREMIUM, "rationed_to": MID}, False),
    ],
    ids=str,
)
def test_an_answer_is_taken_if_its_model_is_acceptable_now(
    made_by: tuple[str, int, bool], caller: dict[str, Any], takes: bool
) -> None:
    model, tier, is_rationed = made_by
    assert Acceptance(**({"model": "auto"} | caller)).takes(model, tier, is_rationed=is_rationed) is takes


@pytest.mark.parametrize("text", [QUESTION, PARAPHRASE], ids=["exact", "semantic"])
async def test_an_answer_of_a_lower_tier_is_not_served_to_who_needs_a_higher(kept: Kept, text: str) -> None:
    await kept.learn(ask(), tier=MID)
    assert served(await kept(ask(text, lowest_tier=MID))) == ANSWER
    assert (await kept(ask(text, lowest_tier=PREMIUM))).disposition == "miss"


@pytest.mark.parametrize("text", [QUESTION, PARAPHRASE], ids=["exact", "semantic"])
async def test_a_rationed_answer_is_served_only_to_who_is_rationed_as_much(kept: Kept, text: str) -> None:
    await kept.learn(ask(rationed_to=MID), tier=MID, is_rationed=True)
    assert (await kept(ask(text))).disposition == "miss"
    assert served(await kept(ask(text, rationed_to=MID))) == ANSWER


@pytest.mark.parametrize("text", [QUESTION, PARAPHRASE], ids=["exact", "semantic"])
async def test_an_answer_is_served_only_if_it_ended_within_the_callers_limit(kept: Kept, text: str) -> None:
    await kept.learn(ask(), output_tokens=12)
    assert served(await kept(ask(text, output_limit=12))) == ANSWER
    assert (await kept(ask(text, output_limit=11))).disposition == "miss"
    assert served(await kept(ask(text, output_limit=None))) == ANSWER


# --- What callers may demand --------------------------------------------------------------------------------


async def test_with_no_cache_upstream_is_asked_and_its_answer_takes_the_older_ones_place(kept: Kept) -> None:
    await kept.learn(ask())
    refreshed = await kept(ask(directives=NO_CACHE))
    assert disposed(refreshed) == ("miss", "no-cache")
    kept.answer(refreshed, OTHER)
    await kept.cache.settle()
    assert served(await kept(ask())) == OTHER
    assert served(await kept(ask(PARAPHRASE))) == OTHER
    assert kept.count("entries") == kept.count("groups") == 1


async def test_what_is_being_replaced_is_not_served_any_more(kept: Kept) -> None:
    await kept.learn(ask())
    kept.answer(await kept(ask(directives=NO_CACHE)), OTHER)
    assert served(await kept(ask())) == OTHER
    assert served(await kept(ask(PARAPHRASE))) != ANSWER


async def test_with_no_store_nothing_is_served_and_nothing_kept(kept: Kept) -> None:
    await kept.learn(ask())
    lookup = await kept(ask(directives=NO_STORE))
    assert disposed(lookup) == ("bypass", "no-store")
    assert lookup.ticket is None


async def test_only_if_cached_gets_what_is_there_and_leads_no_flight(kept: Kept) -> None:
    only = Directives(only_if_cached=True)
    assert (await kept(ask(directives=only))).disposition == "miss"
    assert kept.count("in_flight") == 0
    await kept.learn(ask())
    assert served(await kept(ask(directives=only))) == ANSWER
    assert served(await kept(ask(PARAPHRASE, directives=only))) == ANSWER


async def test_a_demand_never_makes_the_cache_serve_what_it_would_not_serve_without(keep: Keep) -> None:
    """An answer that is too old for the caller still speaks against another one."""
    between, young = "How does a password get reset?", Directives(max_age_s=30)
    kept = keep(Compass({QUESTION: 0, PARAPHRASE: 20, between: 10}))
    await kept.learn(ask(), ANSWER)
    kept.clock.move_s(60)
    await kept.learn(ask(PARAPHRASE), OTHER)
    assert disposed(await kept(ask(between), may_join=False)) == ("miss", "unsure")
    assert (await kept(ask(between, directives=young), may_join=False)).disposition == "miss"


@pytest.mark.parametrize(
    ("header", "directives"),
    [
        (None, Directives()),
        ("", Directives()),
        ("no-cache", Directives(no_cache=True)),
        ("No-Cache, NO-STORE", Directives(no_cache=True, no_store=True)),
        ("max-age=60", Directives(max_age_s=60)),
        ('max-age="60"', Directives(max_age_s=60)),
        (" max-age = 0 ,only-if-cached", Directives(max_age_s=0, only_if_cached=True)),
        ("max-age", Directives()),
        ("max-age=soon", Directives()),
        ("max-age=-1", Directives()),
        ("max-age=1.5", Directives()),
        ("max-age=²", Directives()),
        ("max-age=" + "9" * 5000, Directives()),
        ("max-age=0, max-age=600", Directives(max_age_s=0)),
        ("max-age=60, max-age=soon", Directives(max_age_s=60)),
        ("no-transform, stale-if-error=9, x", Directives()),
        (",,=,", Directives()),
    ],
    ids=lambda value: str(value)[:40],
)
def test_cache_control_is_read_as_far_as_it_is_known_and_well_formed(header: str, directives: Directives) -> None:
    assert directives_from(header) == directives


# --- Storing ------------------------------------------------------------------------------------------------


async def test_a_newer_answer_to_the_same_text_takes_the_place_of_the_older(kept: Kept) -> None:
    first, second = await kept(ask(), may_join=False), await kept(ask(), may_join=False)
    kept.answer(first, "old: x")
    kept.answer(second, "new: x")
    await kept.cache.settle()
    assert kept.count("entries") == kept.count("vectors") == kept.count("groups") == 1
    assert served(await kept(ask())) == "new: x"
    assert served(await kept(ask(PARAPHRASE))) == "new: x"


async def test_of_two_answers_to_one_text_the_one_that_was_asked_for_later_stays(kept: Kept) -> None:
    """However long the other one takes. What that says of a neighbour is learnt all the same."""
    await kept.learn(ask(PARAPHRASE), OTHER)
    slow_query = ask(policy=CLOSED)
    slow = await kept(slow_query)
    kept.clock.move_s(5)
    newer = await kept(ask(policy=CLOSED, directives=NO_CACHE))
    kept.clock.move_s(1)
    kept.answer(newer, ANSWER)
    kept.clock.move_s(60)
    assert kept.offer(slow, OTHER) is None
    await kept.cache.settle()
    assert served(await kept(ask())) == ANSWER
    assert [(asked, said) for asked, _, said in kept.labels] == [(slow_query.request_id, "same")]


async def test_an_answer_that_took_long_takes_the_place_of_one_that_was_asked_for_before_it(kept: Kept) -> None:
    quick = await kept(ask())
    kept.clock.move_s(1)
    slow = await kept(ask(directives=NO_CACHE))
    kept.clock.move_s(1)
    kept.answer(quick, OTHER)
    kept.clock.move_s(1)
    kept.answer(slow, ANSWER)
    assert served(await kept(ask())) == ANSWER


@pytest.mark.parametrize("end", ["doubted", "expired", "rationed"])
async def test_a_slow_answer_is_stored_where_the_newer_one_cannot_serve_as_it_can(kept: Kept, end: str) -> None:
    slow = await kept(ask())
    kept.clock.move_s(1)
    newer = await kept(ask(directives=NO_CACHE, policy=CachePolicy(start="prior", ttl_s=60), rationed_to=MID))
    entry = kept.answer(newer, OTHER, is_rationed=end == "rationed")
    if end == "expired":
        kept.clock.move_s(60)
    if end == "doubted":
        (anchor,) = kept.store.anchors_of(entry)
        kept.store.quarantine(anchor.id, True)
    kept.answer(slow, ANSWER)
    assert served(await kept(ask())) == ANSWER


async def test_two_equal_answers_to_one_text_at_once_leave_one_entry_in_one_group(kept: Kept) -> None:
    await kept.learn(ask(FAR), REWORDED)
    first, second = await kept(ask(), may_join=False), await kept(ask(), may_join=False)
    kept.answer(first)
    kept.answer(second)
    await kept.cache.settle()
    assert (kept.count("entries"), kept.count("vectors"), kept.count("groups")) == (2, 2, 1)
    kept.cache.purge()
    assert (kept.count("entries"), kept.count("vectors"), kept.count("groups")) == (0, 0, 0)


async def test_an_entry_is_stored_with_what_is_needed_to_judge_it_later(kept: Kept) -> None:
    policy = CachePolicy(start="prior", ttl_s=60, tags=("b", "a"), knowledge_version="7")
    query = ask(team="sales", env="dev", route="shop", policy=policy, app="shop-bot", asker="ann")
    lookup = await kept(query)
    kept.answer(lookup, model="gpt-top", tier=PREMIUM, is_rationed=False, output_tokens=99)
    entry = (await kept(query)).entry
    assert entry is not None
    assert (entry.team, entry.env, entry.route, entry.writer) == ("sales", "dev", "shop", "shop-bot")
    assert (entry.model, entry.tier, entry.is_rationed, entry.output_tokens) == ("gpt-top", PREMIUM, False, 99)
    assert (entry.tags, entry.knowledge_version, entry.askers) == (("a", "b"), "7", ("ann",))
    assert (entry.source, entry.is_curated) == (query.request_id, False)
    assert (entry.created_us, entry.expires_us) == (kept.clock.us, kept.clock.us + 60_000_000)


async def test_only_writers_answers_are_stored_and_all_are_served_them(kept: Kept) -> None:
    policy = CachePolicy(start="prior", writers=("trusted",))
    assert kept.offer(await kept(ask(app="other", policy=policy))) is None
    assert (await kept(ask(app="other", policy=policy))).disposition == "miss"
    kept.cache.purge()
    kept.answer(await kept(ask(app="trusted", policy=policy)))
    assert served(await kept(ask(app="other", policy=policy))) == ANSWER


async def test_an_answer_that_may_not_be_stored_still_labels_what_would_have_been_served(kept: Kept) -> None:
    policy = CachePolicy(start="closed", writers=("trusted",))
    await kept.learn(ask(app="trusted", policy=policy))
    assert kept.offer(await kept(ask(PARAPHRASE, app="other", policy=policy)), REWORDED) is None
    await kept.cache.settle()
    assert [verdict for _, _, verdict in kept.labels] == ["same"]


async def test_an_answer_is_shared_once_enough_different_users_have_got_it(kept: Kept) -> None:
    policy = CachePolicy(start="prior", min_askers=3)

    async def disposition(asker: str, text: str = QUESTION) -> str:
        return (await kept(ask(text, asker=asker, policy=policy), may_join=False)).disposition

    for number, asker in enumerate(("ann", "bob", "cleo")):
        assert await disposition(asker) == await disposition(asker, PARAPHRASE) == "miss"
        await kept.learn(ask(asker=asker, policy=policy), f"forgot: wording {number}")  # a model never says it twice
        assert await disposition(asker) == "exact"  # who has got it by asking may have it again
    assert await disposition("dan") == "exact"
    assert await disposition("dan", PARAPHRASE) == "semantic"


async def test_an_answer_is_shared_on_a_route_that_wants_as_many_users_as_are_remembered(kept: Kept) -> None:
    policy = CachePolicy(start="prior", min_askers=ASKERS_AT_MOST)
    for number in range(ASKERS_AT_MOST):
        assert (await kept(ask(asker="dan", policy=policy), may_join=False)).disposition == "miss"
        await kept.learn(ask(asker=f"user {number}", policy=policy))
    assert (await kept(ask(asker="dan", policy=policy))).disposition == "exact"


async def test_one_user_who_asks_again_and_again_does_not_make_an_answer_shared(kept: Kept) -> None:
    policy = CachePolicy(start="prior", min_askers=2)
    for number in range(5):
        await kept.learn(ask(asker="ann", policy=policy), f"forgot: wording {number}")
    assert (await kept(ask(asker="bob", policy=policy))).disposition == "miss"


async def test_users_who_got_another_answer_do_not_count(kept: Kept) -> None:
    policy = CachePolicy(start="prior", min_askers=2)
    await kept.learn(ask(asker="ann", policy=policy), ANSWER)
    await kept.learn(ask(asker="bob", policy=policy), OTHER)
    assert (await kept(ask(asker="cleo", policy=policy))).disposition == "miss"


async def test_everything_is_served_again_after_a_restart(keep: Keep) -> None:
    before = keep()
    await before.learn(ask())
    before.close()
    after = keep()
    assert served(await after(ask())) == ANSWER
    assert served(await after(ask(PARAPHRASE))) == ANSWER


async def test_after_a_change_of_encoder_only_the_same_text_is_served(keep: Keep) -> None:
    before = keep()
    await before.learn(ask())
    before.close()
    after = keep(Compass({QUESTION: 0, PARAPHRASE: 10}, fingerprint="compass-2"))
    assert disposed(await after(ask(PARAPHRASE))) == ("miss", "no-neighbour")
    assert served(await after(ask())) == ANSWER


async def test_what_had_to_make_room_is_not_found_any_more_in_any_way(keep: Keep) -> None:
    kept = keep(max_entries=1)
    await kept.learn(ask())
    await kept.learn(ask(FAR), NORWAY)
    assert kept.count("entries") == kept.count("vectors") == kept.count("groups") == 1
    assert (await kept(ask(PARAPHRASE), may_join=False)).disposition == "miss"
    assert (await kept(ask(), may_join=False)).disposition == "miss"


async def test_a_rationed_answer_never_takes_the_place_of_a_better_one(kept: Kept) -> None:
    entry = await kept.learn(ask(), tier=PREMIUM)
    assert kept.offer(await kept(ask(directives=NO_CACHE)), "forgot: Short.", is_rationed=True) is None
    found = await kept(ask())
    assert (found.disposition, found.entry is not None and found.entry.id) == ("exact", entry)


@pytest.mark.parametrize("end", ["expired", "doubted"])
async def test_a_rationed_answer_takes_the_place_of_a_better_one_that_nobody_is_served(kept: Kept, end: str) -> None:
    exact = CachePolicy(mode="exact", ttl_s=100)
    await kept.learn(ask(policy=exact), tier=PREMIUM)
    if end == "expired":
        kept.clock.move_s(100)
    else:
        kept.cache._holdings.set_aside(kept.store.select())
    kept.answer(await kept(ask(policy=exact, rationed_to=MID)), REWORDED, is_rationed=True)
    assert served(await kept(ask(policy=exact, rationed_to=MID))) == REWORDED
    await kept.cache.settle()
    assert kept.count("entries") == 1


# --- Faults -------------------------------------------------------------------------------------------------


class Broken(Compass):
    """Fails for every text."""

    async def encode(self, text: str, *, here: bool = False) -> Any:
        raise RuntimeError("no encoder today")


async def test_a_broken_encoder_costs_a_hit_and_is_counted_but_is_no_error(keep: Keep) -> None:
    kept = keep(Broken({}))
    lookup = await kept(ask())
    assert disposed(lookup) == ("bypass", "cache-fault")
    assert lookup.flight is not None
    assert lookup.ticket is None
    assert [type(fault) for fault in kept.faults] == [RuntimeError]


async def test_an_answer_that_cannot_be_compared_is_stored_and_counted_as_a_fault(keep: Keep) -> None:
    class Forgetful(Compass):
        async def encode(self, text: str, *, here: bool = False) -> Any:
            if text not in self.directions:
                raise RuntimeError("questions only")
            return await super().encode(text)

    kept = keep(Forgetful({QUESTION: 0}))
    await kept.learn(ask())
    await kept.learn(ask(), OTHER)
    assert served(await kept(ask())) == OTHER
    assert kept.count("entries") == 1
    assert [type(fault) for fault in kept.faults] == [RuntimeError, RuntimeError]


async def test_an_answer_longer_than_the_encoder_reads_is_no_fault(keep: Keep) -> None:
    class Short(Compass):
        async def encode(self, text: str, *, here: bool = False) -> Any:
            if text not in self.directions:
                raise TextTooLong(300, 256)
            return await super().encode(text)

    kept = keep(Short({QUESTION: 0, PARAPHRASE: 10}))
    await kept.learn(ask())
    assert served(await kept(ask(PARAPHRASE))) == ANSWER
    assert kept.faults == []


async def test_a_broken_file_is_a_miss_and_is_counted_but_is_no_error(keep: Keep) -> None:
    kept = keep()
    with kept.engine.begin() as connection:
        connection.execute(sa.text("drop table entries"))
    await kept.learn(ask())
    kept.store.flush()
    assert served(await kept(ask())) == ANSWER  # memory still has it
    assert {type(fault) for fault in kept.faults} == {sa.exc.OperationalError}


async def test_a_payload_that_was_lost_is_a_miss_and_its_entry_is_forgotten(keep: Keep) -> None:
    before = keep()
    await before.learn(ask())
    before.close()
    after = keep()
    with after.engine.begin() as connection:
        connection.execute(sa.text("delete from entries"))
    assert (await after(ask())).disposition == "miss"
    assert after.cache.statistics()["entries"] == 0
    assert after.faults == []


async def test_a_payload_that_cannot_be_read_is_no_error(keep: Keep) -> None:
    before = keep()
    await before.learn(ask())
    before.close()
    after = keep()
    with after.engine.begin() as connection:
        connection.execute(sa.text("drop table entries"))
    assert disposed(await after(ask())) == ("bypass", "cache-fault")
    assert [type(fault) for fault in after.faults] == [sa.exc.OperationalError]


async def test_a_request_that_the_cache_does_not_understand_is_no_error(kept: Kept) -> None:
    query = ask()
    query.mapping["messages"] = []
    assert disposed(await kept(query)) == ("bypass", "cache-fault")
    assert len(kept.faults) == 1


async def test_an_answer_that_cannot_be_stored_is_counted_but_is_no_error(keep: Keep) -> None:
    class Confused(ByLabel):
        def identity(self, answer: str) -> bytes:
            raise ValueError("no identity today")

    kept = keep(comparison=Confused())
    assert kept.offer(await kept(ask())) is None
    assert [type(fault) for fault in kept.faults] == [ValueError]


async def test_a_client_who_leaves_during_the_lookup_is_not_a_fault(keep: Keep) -> None:
    class Slow(Compass):
        async def encode(self, text: str, *, here: bool = False) -> Any:
            await asyncio.Event().wait()

    kept = keep(Slow({}))
    looking = asyncio.create_task(kept(ask()))
    await asyncio.sleep(0)
    looking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await looking
    assert kept.faults == []
    assert kept.cache.statistics()["in_flight"] == 0


# --- The whole ----------------------------------------------------------------------------------------------


async def test_closing_writes_what_waits(keep: Keep) -> None:
    before = keep()
    await before.learn(ask())
    before.close()
    assert keep(None).count("entries") == 1


async def test_statistics_say_what_is_there(kept: Kept) -> None:
    await kept.learn(ask())
    await kept.learn(ask("refund"), OTHER)
    await kept.warm(FAR, NORWAY)
    await kept(ask(route="shop"))
    statistics = kept.cache.statistics()
    assert statistics.pop("bytes") > 0
    assert statistics == {
        "entries": 3,
        "lessons_skipped": 0,
        "vectors": 2,
        "groups": 3,
        "curated": 1,
        "in_flight": 1,
        "encoder": "compass",
    }


async def test_with_the_real_encoder_and_the_shipped_decision_an_opposite_is_never_served(
    keep: Keep, encoder_folder: Any
) -> None:
    kept = keep(Encoder.load(encoder_folder), prior=None, comparison=WordedComparison())
    on, off = "How do I turn on two-factor authentication?", "How do I turn off two-factor authentication?"
    await kept.learn(ask(on), "Open Settings, Security, and switch two-factor authentication on.")
    assert disposed(await kept(ask(off))) == ("miss", "polarity-mismatch")
    assert kept.faults == []


# --- what callers are told -------------------------------------------------------------------------------------


def test_the_readme_explains_every_reason_that_an_answer_may_have() -> None:
    root = Path(__file__).parents[2]
    given = set[str]()
    for name in ("lookup.py", "decision.py"):
        for node in ast.walk(ast.parse((root / "cache" / name).read_text(encoding="utf-8"))):
            match node:
                case ast.Call(func=ast.Name(id=called) | ast.Attribute(attr=called), args=[_, reason, *_]):
                    parts = [reason] if called in ("Lookup", "_miss", "_hit") else []
                case ast.Assign(targets=[ast.Name(id="reason") | ast.Attribute(attr="reason")], value=reason):
                    parts = [reason]
                case ast.AnnAssign(target=ast.Name(id="reason"), value=ast.expr() as reason):
                    parts = [reason]
                case _:
                    continue
            inside = (each for part in parts for each in ast.walk(part) if not isinstance(each, ast.JoinedStr))
            given |= {each.value for each in inside if isinstance(each, ast.Constant) and isinstance(each.value, str)}
    kinds = {f"{kind}-mismatch" for kind in BLOCKING}
    reasons = {*LEVELS, *get_args(State), *kinds, *given, "unsure"} - {"", "near", "-mismatch"}
    assert {"same-text", "doubted", "not-acceptable", "in-flight", "no-cache", "stale-while-revalidate"} <= reasons
    explained = (root / "README.md").read_text(encoding="utf-8").partition("### Why a request was a hit")[2]
    assert {reason for reason in reasons if f"`{reason}`" not in explained.partition("\n###")[0]} == set()
