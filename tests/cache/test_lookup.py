"""How the cache disposes of a request: from the scope to the stored entry, with faults and with other tenants."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from cache.encoder import Encoder
from cache.lookup import Lookup, directives_from
from cache.query import Acceptance, CachePolicy, Directives
from tests.cache.asking import ANSWER, MID, PARAPHRASE, PREMIUM, QUESTION, Compass, Keep, Kept, ask

OTHER = "Choose the gear."
NO_CACHE, NO_STORE = Directives(no_cache=True), Directives(no_store=True)
CLOSED = CachePolicy(start="closed")


def disposed(lookup: Lookup[str]) -> tuple[str, str]:
    return lookup.disposition, lookup.reason


def served(lookup: Lookup[str]) -> bytes | None:
    """The stored answer that the lookup hands out."""
    return lookup.payload if lookup.disposition in ("exact", "semantic") else None


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
    assert served(lookup) == ANSWER.encode()
    assert lookup.entry is not None
    assert lookup.entry.id == entry


async def test_other_words_for_the_same_get_the_stored_answer_uncertified(kept: Kept) -> None:
    entry = await kept.learn(ask())
    lookup = await kept(ask(PARAPHRASE))
    assert disposed(lookup) == ("semantic", "uncertified")
    assert served(lookup) == ANSWER.encode()
    assert lookup.entry is not None
    assert lookup.entry.id == entry
    assert lookup.similarity == pytest.approx(0.985, abs=0.001)


async def test_folding_case_is_already_semantic(keep: Keep) -> None:
    kept = keep(Compass({QUESTION: 0, QUESTION.lower(): 1}))
    await kept.learn(ask())
    assert disposed(await kept(ask(QUESTION.lower()))) == ("semantic", "uncertified")


async def test_another_question_is_a_miss(keep: Keep) -> None:
    kept = keep(Compass({QUESTION: 0, "Do you ship to Norway?": 80}))
    await kept.learn(ask())
    assert disposed(await kept(ask("Do you ship to Norway?"))) == ("miss", "too-far")


async def test_an_opposite_is_a_miss_however_near(keep: Keep) -> None:
    on, off = "How do I turn on dark mode?", "How do I turn off dark mode?"
    kept = keep(Compass({on: 0, off: 1}))
    await kept.learn(ask(on))
    lookup = await kept(ask(off))
    assert disposed(lookup) == ("miss", "polarity-mismatch")
    assert lookup.similarity is not None


async def test_a_closed_route_serves_no_semantic_hit_but_says_that_it_would(kept: Kept) -> None:
    await kept.learn(ask(policy=CLOSED))
    lookup = await kept(ask(PARAPHRASE, policy=CLOSED))
    assert disposed(lookup) == ("miss", "route-closed")
    assert lookup.similarity == pytest.approx(0.985, abs=0.001)
    assert disposed(await kept(ask(policy=CLOSED))) == ("exact", "same-text")


async def test_a_route_is_closed_unless_the_operator_says_otherwise(kept: Kept) -> None:
    await kept.learn(ask(policy=CachePolicy()))
    assert disposed(await kept(ask(PARAPHRASE, policy=CachePolicy()))) == ("miss", "route-closed")


async def test_the_routes_floor_is_kept(kept: Kept) -> None:
    await kept.learn(ask())
    strict = CachePolicy(start="prior", similarity_floor=0.99)
    assert disposed(await kept(ask(PARAPHRASE, policy=strict))) == ("miss", "too-far")


async def test_without_an_encoder_only_the_same_text_is_served(keep: Keep) -> None:
    kept = keep(None)
    lookup = await kept(ask())
    assert disposed(lookup) == ("miss", "no-encoder")
    kept.answer(lookup)
    assert disposed(await kept(ask())) == ("exact", "same-text")
    assert disposed(await kept(ask(PARAPHRASE))) == ("miss", "no-encoder")


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
    assert encoder.encoded == []


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
        ({"policy": CachePolicy(is_enabled=False)}, "cache-off"),
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


# --- Coalescing ---------------------------------------------------------------------------------------------


async def test_who_asks_the_same_while_it_is_answered_joins(kept: Kept) -> None:
    leader = await kept(ask())
    follower = await kept(ask(f" {QUESTION}"))
    assert disposed(follower) == ("coalesced", "in-flight")
    assert follower.flight is leader.flight
    assert follower.ticket is None


async def test_of_two_who_ask_at_once_one_leads(kept: Kept) -> None:
    lookups = await asyncio.gather(*(kept(ask()) for _ in range(5)))
    assert sorted(lookup.disposition for lookup in lookups) == ["coalesced"] * 4 + ["miss"]
    assert len({id(lookup.flight) for lookup in lookups}) == 1


async def test_an_exact_only_question_is_joined_too(kept: Kept) -> None:
    await kept(ask("refund"))
    assert disposed(await kept(ask("refund"))) == ("coalesced", "in-flight")


async def test_other_words_do_not_join(kept: Kept) -> None:
    await kept(ask())
    assert disposed(await kept(ask(PARAPHRASE))) == ("miss", "no-neighbour")


@pytest.mark.parametrize(
    "other",
    [
        {"output_limit": 50},
        {"lowest_tier": PREMIUM},
        {"rationed_to": 1},
        {"model": "gpt-5"},
        {"team": "sales"},
        {"directives": NO_CACHE},
        {"seed": 1},
    ],
    ids=str,
)
async def test_only_callers_with_the_same_demands_join(kept: Kept, other: dict[str, Any]) -> None:
    await kept(ask())
    assert (await kept(ask(**other))).disposition == "miss"


async def test_streams_and_non_streams_join_each_other(kept: Kept) -> None:
    await kept(ask(stream=True))
    assert (await kept(ask(stream=False))).disposition == "coalesced"


async def test_who_may_not_join_neither_joins_nor_is_joined(kept: Kept) -> None:
    leader = await kept(ask())
    alone = await kept(ask(), may_join=False)
    assert alone.disposition == "miss"
    assert alone.flight is not leader.flight
    kept.answer(leader)
    kept.cache.purge()
    await kept(ask(), may_join=False)
    assert (await kept(ask())).disposition == "miss"


async def test_nobody_joins_an_answer_that_was_refreshed_on_demand(kept: Kept) -> None:
    await kept(ask(directives=NO_CACHE))
    assert (await kept(ask())).disposition == "miss"


async def test_a_failed_flight_is_not_joined_the_next_leads(kept: Kept) -> None:
    async def failing() -> AsyncIterator[str]:
        raise ConnectionError
        yield ""

    leader = await kept(ask())
    assert leader.flight is not None
    leader.flight.start(failing())
    await leader.flight.join()
    successor = await kept(ask())
    assert successor.disposition == "miss"
    assert (await kept(ask())).flight is successor.flight


async def test_a_landed_flight_is_not_joined(kept: Kept) -> None:
    leader = await kept(ask())
    assert leader.ticket is not None
    assert leader.flight is not None
    kept.cache.land(leader.ticket, leader.flight)
    assert (await kept(ask())).disposition == "miss"


async def test_the_landing_of_a_predecessor_leaves_the_present_flight_alone(kept: Kept) -> None:
    first = await kept(ask())
    assert first.ticket is not None
    assert first.flight is not None
    kept.cache.land(first.ticket, first.flight)
    second = await kept(ask())
    kept.cache.land(first.ticket, first.flight)
    assert (await kept(ask())).flight is second.flight


async def test_who_looked_up_while_the_answer_was_stored_gets_it(keep: Keep) -> None:
    """Between the encoder pass and the decision the same question was answered."""

    class Meanwhile(Compass):
        async def encode(self, text: str) -> Any:
            vector = await super().encode(text)
            if self.encoded.count(text) == 2:  # the second who asks is being encoded
                kept.answer(leader)
            return vector

    kept = keep(Meanwhile({QUESTION: 0}))
    leader = await kept(ask(), may_join=False)
    assert disposed(await kept(ask())) == ("exact", "same-text")


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
    assert served(await kept(ask(text, lowest_tier=MID))) == ANSWER.encode()
    assert (await kept(ask(text, lowest_tier=PREMIUM))).disposition == "miss"


@pytest.mark.parametrize("text", [QUESTION, PARAPHRASE], ids=["exact", "semantic"])
async def test_a_rationed_answer_is_served_only_to_who_is_rationed_as_much(kept: Kept, text: str) -> None:
    await kept.learn(ask(rationed_to=MID), tier=MID, is_rationed=True)
    assert (await kept(ask(text))).disposition == "miss"
    assert served(await kept(ask(text, rationed_to=MID))) == ANSWER.encode()


@pytest.mark.parametrize("text", [QUESTION, PARAPHRASE], ids=["exact", "semantic"])
async def test_an_answer_is_served_only_if_it_ended_within_the_callers_limit(kept: Kept, text: str) -> None:
    await kept.learn(ask(), output_tokens=12)
    assert served(await kept(ask(text, output_limit=12))) == ANSWER.encode()
    assert (await kept(ask(text, output_limit=11))).disposition == "miss"
    assert served(await kept(ask(text, output_limit=None))) == ANSWER.encode()


# --- Age ----------------------------------------------------------------------------------------------------


async def test_the_life_of_an_answer_counts_from_its_creation_not_from_its_last_hit(kept: Kept) -> None:
    brief = CachePolicy(start="prior", ttl_s=100)
    await kept.learn(ask(policy=brief))
    kept.clock.move_s(60)
    assert (await kept(ask(policy=brief))).disposition == "exact"
    assert (await kept(ask(PARAPHRASE, policy=brief))).disposition == "semantic"
    kept.clock.move_s(39.9)
    assert (await kept(ask(policy=brief))).disposition == "exact"
    kept.clock.move_s(0.1)
    assert (await kept(ask(policy=brief))).disposition == "miss"
    assert (await kept(ask(PARAPHRASE, policy=brief))).disposition == "miss"


async def test_expired_answers_do_not_hide_fresh_ones(keep: Keep) -> None:
    texts = {f"How do I reset my password? {'!' * number}": number / 100 for number in range(1, 13)}
    kept = keep(Compass({**texts, QUESTION: 20, PARAPHRASE: 0}))
    for text in texts:
        kept.answer(await kept(ask(text, policy=CachePolicy(start="closed", ttl_s=10)), may_join=False))
    kept.answer(await kept(ask(policy=CachePolicy(start="closed", ttl_s=1000)), may_join=False))
    kept.clock.move_s(11)
    assert (await kept(ask(PARAPHRASE))).disposition == "semantic"
    assert kept.cache.statistics()["vectors"] == 1


async def test_the_age_of_an_answer_is_told_in_whole_seconds(kept: Kept) -> None:
    await kept.learn(ask())
    kept.clock.move_s(7.9)
    entry = (await kept(ask())).entry
    assert entry is not None
    assert kept.cache.age_s(entry) == 7
    kept.clock.move_s(-60)
    assert kept.cache.age_s(entry) == 0


@pytest.mark.parametrize("text", [QUESTION, PARAPHRASE], ids=["exact", "semantic"])
async def test_a_caller_may_ask_for_a_younger_answer(kept: Kept, text: str) -> None:
    await kept.learn(ask())
    kept.clock.move_s(30)
    assert served(await kept(ask(text, directives=Directives(max_age_s=30)))) == ANSWER.encode()
    assert (await kept(ask(text, directives=Directives(max_age_s=29)))).disposition == "miss"


async def test_a_demand_never_makes_the_cache_serve_what_it_would_not_serve_without(keep: Keep) -> None:
    """An answer that is too old for the caller still speaks against another one."""
    kept = keep(Compass({QUESTION: 0, PARAPHRASE: 20, "How does a password get reset?": 10}))
    await kept.learn(ask(), ANSWER)
    kept.clock.move_s(60)
    kept.answer(await kept(ask(PARAPHRASE, policy=CLOSED)), OTHER)
    between, young = "How does a password get reset?", Directives(max_age_s=30)
    assert disposed(await kept(ask(between), may_join=False)) == ("miss", "unsure")
    assert disposed(await kept(ask(between, directives=young), may_join=False)) == ("miss", "unsure")


# --- What callers may demand --------------------------------------------------------------------------------


async def test_with_no_cache_upstream_is_asked_and_its_answer_is_stored(kept: Kept) -> None:
    await kept.learn(ask())
    refreshed = await kept(ask(directives=NO_CACHE))
    assert disposed(refreshed) == ("miss", "no-cache")
    kept.answer(refreshed, OTHER)
    assert served(await kept(ask())) == OTHER.encode()


async def test_an_answer_refreshed_with_no_cache_is_still_found_semantically(kept: Kept) -> None:
    await kept.learn(ask())
    kept.answer(await kept(ask(directives=NO_CACHE)), OTHER)
    assert served(await kept(ask(PARAPHRASE))) == OTHER.encode()


async def test_with_no_store_nothing_is_served_and_nothing_kept(kept: Kept) -> None:
    await kept.learn(ask())
    lookup = await kept(ask(directives=NO_STORE))
    assert disposed(lookup) == ("bypass", "no-store")
    assert lookup.ticket is None


async def test_only_if_cached_gets_what_is_there_and_leads_no_flight(kept: Kept) -> None:
    only = Directives(only_if_cached=True)
    assert (await kept(ask(directives=only))).disposition == "miss"
    assert kept.cache.statistics()["in_flight"] == 0
    await kept.learn(ask())
    assert served(await kept(ask(directives=only))) == ANSWER.encode()
    assert served(await kept(ask(PARAPHRASE, directives=only))) == ANSWER.encode()


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
    kept.answer(first, "old")
    kept.answer(second, "new")
    assert kept.cache.statistics()["entries"] == kept.cache.statistics()["vectors"] == 1
    assert served(await kept(ask())) == b"new"
    assert served(await kept(ask(PARAPHRASE))) == b"new"


async def test_answers_that_differ_only_in_case_and_spacing_say_the_same(keep: Keep) -> None:
    texts = {"How do I reset my password?": 0.0, "In which way can I reset my password?": 14.0, PARAPHRASE: 7.0}
    kept = keep(Compass(texts))
    first, second, third = texts
    await kept.learn(ask(first), "Press  Reset.\n")
    kept.answer(await kept(ask(second, policy=CLOSED)), "press reset.")
    assert (await kept(ask(third))).disposition == "semantic"


async def test_near_questions_with_different_answers_make_each_other_doubtful(keep: Keep) -> None:
    texts = {"How do I reset my password?": 0.0, "In which way can I reset my password?": 14.0, PARAPHRASE: 7.0}
    kept = keep(Compass(texts))
    first, second, third = texts
    await kept.learn(ask(first), "Press Reset.")
    kept.answer(await kept(ask(second, policy=CLOSED)), "Call us.")
    assert disposed(await kept(ask(third))) == ("miss", "unsure")


async def test_an_entry_is_stored_with_what_is_needed_to_judge_it_later(kept: Kept) -> None:
    query = ask(team="sales", env="dev", route="shop", policy=CachePolicy(start="prior", ttl_s=60))
    await kept.learn(query, model="gpt-top", tier=PREMIUM, is_rationed=False, output_tokens=99)
    entry = (await kept(query)).entry
    assert entry is not None
    assert (entry.team, entry.env, entry.route) == ("sales", "dev", "shop")
    assert (entry.model, entry.tier, entry.is_rationed, entry.output_tokens) == ("gpt-top", PREMIUM, False, 99)
    assert (entry.created_us, entry.expires_us) == (kept.clock.us, kept.clock.us + 60_000_000)


async def test_everything_is_served_again_after_a_restart(keep: Keep) -> None:
    before = keep()
    await before.learn(ask())
    before.close()
    after = keep()
    assert served(await after(ask())) == ANSWER.encode()
    assert served(await after(ask(PARAPHRASE))) == ANSWER.encode()


async def test_after_a_change_of_encoder_only_the_same_text_is_served(keep: Keep) -> None:
    before = keep()
    await before.learn(ask())
    before.close()
    after = keep(Compass({QUESTION: 0, PARAPHRASE: 10}, fingerprint="compass-2"))
    assert disposed(await after(ask(PARAPHRASE))) == ("miss", "no-neighbour")
    assert served(await after(ask())) == ANSWER.encode()


async def test_what_had_to_make_room_is_not_found_any_more_in_any_way(keep: Keep) -> None:
    kept = keep(Compass({QUESTION: 0, PARAPHRASE: 10, "Do you ship to Norway?": 80}), max_entries=1)
    await kept.learn(ask())
    await kept.learn(ask("Do you ship to Norway?"))
    assert kept.cache.statistics()["entries"] == kept.cache.statistics()["vectors"] == 1
    assert (await kept(ask(PARAPHRASE))).disposition == "miss"
    assert (await kept(ask())).disposition == "miss"


# --- Purging ------------------------------------------------------------------------------------------------


async def test_a_purge_forgets_what_matches_and_says_how_many(kept: Kept) -> None:
    entry = await kept.learn(ask())
    await kept.learn(ask(route="shop"))
    await kept.learn(ask(team="sales"))
    assert kept.cache.purge(route="shop") == 1
    assert kept.cache.purge(team="support", route="shop") == 0
    assert served(await kept(ask())) == ANSWER.encode()
    assert kept.cache.purge(entry=entry) == 1
    assert (await kept(ask(), may_join=False)).disposition == "miss"
    assert (await kept(ask(PARAPHRASE), may_join=False)).disposition == "miss"
    assert served(await kept(ask(team="sales"))) == ANSWER.encode()
    assert kept.cache.purge() == 1
    assert kept.cache.statistics()["entries"] == kept.cache.statistics()["vectors"] == 0


async def test_an_answer_that_was_on_its_way_during_a_purge_is_neither_stored_nor_joined(kept: Kept) -> None:
    asked_before = await kept(ask())
    kept.cache.purge()
    assert (await kept(ask())).disposition == "miss"
    assert kept.offer(asked_before) is None
    assert kept.cache.statistics()["entries"] == 0


async def test_a_rationed_answer_never_takes_the_place_of_a_better_one(kept: Kept) -> None:
    entry = await kept.learn(ask(), tier=PREMIUM)
    assert kept.offer(await kept(ask(directives=NO_CACHE)), "A short one.", is_rationed=True) is None
    found = await kept(ask())
    assert (found.disposition, found.entry is not None and found.entry.id) == ("exact", entry)


async def test_what_was_purged_stays_away_after_a_restart(keep: Keep) -> None:
    before = keep()
    await before.learn(ask())
    before.cache.purge()
    before.close()
    after = keep()
    assert after.cache.statistics()["entries"] == 0
    assert (await after(ask())).disposition == "miss"


async def test_a_new_knowledge_version_leaves_all_older_answers_behind(kept: Kept) -> None:
    await kept.learn(ask())
    newer = CachePolicy(start="prior", knowledge_version="2")
    assert (await kept(ask(policy=newer))).disposition == "miss"
    assert (await kept(ask(PARAPHRASE, policy=newer))).disposition == "miss"


# --- Tenants ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", [{"team": "sales"}, {"env": "dev"}, {"route": "shop"}], ids=str)
async def test_tenants_never_share_a_stored_answer(kept: Kept, place: dict[str, Any]) -> None:
    await kept.learn(ask())
    assert disposed(await kept(ask(**place))) == ("miss", "no-neighbour")
    assert disposed(await kept(ask(PARAPHRASE, **place))) == ("miss", "no-neighbour")


@pytest.mark.parametrize("place", [{"team": "sales"}, {"env": "dev"}, {"route": "shop"}], ids=str)
async def test_a_tenant_never_joins_anothers_flight(kept: Kept, place: dict[str, Any]) -> None:
    leader = await kept(ask())
    other = await kept(ask(**place))
    assert other.disposition == "miss"
    assert other.flight is not leader.flight


async def test_teams_of_a_shared_group_share(kept: Kept) -> None:
    shared = CachePolicy(start="prior", shared="helpdesk")
    await kept.learn(ask(team="support", policy=shared))
    assert served(await kept(ask(team="sales", policy=shared))) == ANSWER.encode()
    assert (await kept(ask(team="sales"))).disposition == "miss"


# --- Faults -------------------------------------------------------------------------------------------------


async def test_a_broken_encoder_costs_a_hit_and_is_counted_but_is_no_error(keep: Keep) -> None:
    kept = keep(Compass({}))  # knows no text, so each pass fails
    lookup = await kept(ask())
    assert disposed(lookup) == ("bypass", "cache-fault")
    assert lookup.flight is not None
    assert lookup.ticket is None
    assert [type(fault) for fault in kept.faults] == [KeyError]


async def test_a_broken_file_is_a_miss_and_is_counted_but_is_no_error(keep: Keep) -> None:
    kept = keep()
    with kept.engine.begin() as connection:
        connection.execute(sa.text("drop table entries"))
    await kept.learn(ask())
    kept.store.flush()
    assert served(await kept(ask())) == ANSWER.encode()  # memory still has it
    assert [type(fault) for fault in kept.faults] == [sa.exc.OperationalError]


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
    kept = keep()
    lookup = await kept(ask())
    assert lookup.ticket is not None
    stored = kept.cache.store(
        lookup.ticket,
        model="gpt-mid",
        tier=MID,
        is_rationed=False,
        output_tokens=1,
        answer_text="half a character: \ud83d",
        payload=b"",
    )
    assert stored is None
    assert len(kept.faults) == 1


async def test_a_client_who_leaves_during_the_lookup_is_not_a_fault(keep: Keep) -> None:
    class Slow(Compass):
        async def encode(self, text: str) -> Any:
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


async def test_closing_writes_what_waits_and_closes_the_encoder(keep: Keep) -> None:
    encoder = Compass({QUESTION: 0})
    before = keep(encoder)
    await before.learn(ask())
    before.close()
    assert encoder.is_closed
    assert keep(None).cache.statistics()["entries"] == 1


async def test_statistics_say_what_is_there(kept: Kept) -> None:
    await kept.learn(ask())
    await kept.learn(ask("refund"))
    await kept(ask(route="shop"))
    assert kept.cache.statistics() == {"entries": 2, "vectors": 1, "in_flight": 1, "encoder": "compass"}


async def test_with_the_real_encoder_a_paraphrase_is_served_and_an_opposite_is_not(
    keep: Keep, encoder_folder: Path
) -> None:
    kept = keep(Encoder.load(encoder_folder))
    on, off = "How do I turn on two-factor authentication?", "How do I turn off two-factor authentication?"
    await kept.learn(ask(on), "Settings, Security, On.")
    assert disposed(await kept(ask("How can I turn on two-factor authentication?"))) == ("semantic", "uncertified")
    assert disposed(await kept(ask(off))) == ("miss", "polarity-mismatch")
