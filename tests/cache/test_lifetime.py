"""How long an answer lives, how it is refreshed, and what takes it away."""

import asyncio
import itertools
from typing import Any

import msgspec
import pytest

from cache.index import Vector
from cache.lifetime import lifetime_s
from cache.lookup import Lookup
from cache.query import CachePolicy, Directives
from cache.sameness import Verdict
from tests.cache.asking import (
    ANSWER,
    FAR,
    NORWAY,
    OTHER,
    PARAPHRASE,
    QUESTION,
    REWORDED,
    Compass,
    Keep,
    Kept,
    ask,
    disposed,
    fresh,
    served,
)

BRIEF = CachePolicy(start="prior", ttl_s=100)
STALE = CachePolicy(start="prior", ttl_s=100, stale_s=50)
CLASSES = (("price", 60), ("policy", 600))


# --- Time ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("question", "seconds"),
    [("How much is the premium plan?", 60), ("What is the return policy?", 600), (QUESTION, 86_400)],
)
def test_prices_live_shorter_than_policies_and_these_shorter_than_the_rest(question: str, seconds: int) -> None:
    assert lifetime_s(CachePolicy(ttl_by_class=CLASSES), question) == seconds


def test_a_class_never_lives_longer_than_its_route_allows() -> None:
    assert lifetime_s(CachePolicy(ttl_s=30, ttl_by_class=CLASSES), "What is the return policy?") == 30


async def test_an_answer_about_a_price_expires_with_its_class(keep: Keep) -> None:
    policy = CachePolicy(start="prior", ttl_by_class=CLASSES)
    kept, price = keep(), "How much is the premium plan?"
    await kept.learn(ask(price, policy=policy), "price: 12 euros.")
    await kept.learn(ask(policy=policy))
    kept.clock.move_s(60)
    assert (await kept(ask(price, policy=policy))).disposition == "miss"
    assert (await kept(ask(policy=policy))).disposition == "exact"


async def test_the_life_of_an_answer_counts_from_its_creation_not_from_its_last_hit(kept: Kept) -> None:
    await kept.learn(ask(policy=BRIEF))
    kept.clock.move_s(60)
    assert (await kept(ask(policy=BRIEF))).disposition == "exact"
    assert (await kept(ask(PARAPHRASE, policy=BRIEF))).disposition == "semantic"
    kept.clock.move_s(39.9)
    assert (await kept(ask(policy=BRIEF))).disposition == "exact"
    kept.clock.move_s(0.1)
    assert (await kept(ask(policy=BRIEF))).disposition == "miss"
    assert (await kept(ask(PARAPHRASE, policy=BRIEF), may_join=False)).disposition == "miss"


async def test_an_expired_answer_is_never_served_and_a_fresh_one_of_its_group_is(kept: Kept) -> None:
    await kept.learn(ask(policy=BRIEF))
    kept.clock.move_s(50)
    await kept.learn(ask(FAR, policy=BRIEF), REWORDED)
    await kept.learn(ask(f"{QUESTION}!", policy=BRIEF), REWORDED)
    kept.clock.move_s(50)
    assert (await kept(ask(policy=BRIEF), may_join=False)).disposition != "exact"
    assert (kept.count("groups"), kept.count("entries")) == (1, 2)


async def test_expired_answers_do_not_hide_fresh_ones(keep: Keep) -> None:
    texts = {f"How do I reset my password? {'!' * number}": number / 100 for number in range(1, 41)}
    kept = keep(Compass({**texts, QUESTION: 10, PARAPHRASE: 0}))
    for text in texts:
        await kept.learn(ask(text, policy=CachePolicy(start="prior", ttl_s=10)), OTHER)
    await kept.learn(ask(policy=CachePolicy(start="prior", ttl_s=1000)))
    kept.clock.move_s(11)
    assert served(await kept(ask(PARAPHRASE))) == ANSWER
    assert kept.count("vectors") == kept.count("groups") == 1


@pytest.mark.parametrize("text", [QUESTION, PARAPHRASE], ids=["exact", "semantic"])
@pytest.mark.parametrize("shorter", [{"ttl_s": 100}, {"ttl_by_class": (("faq", 100),)}], ids=["route", "class"])
async def test_a_shorter_life_holds_for_what_is_stored_already(kept: Kept, text: str, shorter: dict[str, Any]) -> None:
    now = CachePolicy(start="prior", **shorter)
    await kept.learn(ask())
    kept.clock.move_s(99)
    assert served(await kept(ask(text, policy=now))) == ANSWER
    kept.clock.move_s(1)
    assert (await kept(ask(text, policy=now), may_join=False)).disposition == "miss"


async def test_a_shorter_life_takes_nothing_from_curated_answers(kept: Kept) -> None:
    await kept.warm(QUESTION)
    kept.clock.move_s(1000)
    assert served(await kept(ask(policy=BRIEF))) == ANSWER


async def test_a_longer_life_begins_with_the_next_answer(kept: Kept) -> None:
    await kept.learn(ask(policy=BRIEF))
    kept.clock.move_s(100)
    assert (await kept(ask())).disposition == "miss"


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
    assert served(await kept(ask(text, directives=Directives(max_age_s=30)))) == ANSWER
    assert (await kept(ask(text, directives=Directives(max_age_s=29)))).disposition == "miss"


# --- Stale while it is revalidated ----------------------------------------------------------------------------


async def refresh(kept: Kept, lookup: Lookup[str], text: str) -> Verdict | None:
    """What it says of the answer that was served, if that was stored for another question."""
    assert lookup.follow_up is not None
    assert lookup.follow_up.purpose == "refresh"
    verdict = await kept.cache.followed(lookup.follow_up, fresh(text))
    await kept.cache.settle()
    return verdict


async def test_before_its_time_is_over_nothing_is_refreshed(kept: Kept) -> None:
    await kept.learn(ask(policy=STALE))
    kept.clock.move_s(99)
    assert (await kept(ask(policy=STALE))).follow_up is None


async def test_an_answer_whose_time_is_over_is_served_while_a_fresh_one_is_fetched(kept: Kept) -> None:
    await kept.learn(ask(policy=STALE))
    kept.clock.move_s(120)
    stale = await kept(ask(policy=STALE))
    assert disposed(stale) == ("exact", "stale-while-revalidate")
    assert served(stale) == ANSWER
    await refresh(kept, stale, OTHER)
    again = await kept(ask(policy=STALE))
    assert disposed(again) == ("exact", "same-text")
    assert (served(again), again.follow_up) == (OTHER, None)


@pytest.mark.parametrize("text", [QUESTION, PARAPHRASE], ids=["exact", "semantic"])
async def test_that_what_is_stale_may_be_served_longer_makes_nothing_stale_sooner(kept: Kept, text: str) -> None:
    await kept.learn(ask(policy=BRIEF))
    longer = CachePolicy(start="prior", ttl_s=100, stale_s=90)
    kept.clock.move_s(99)
    found = await kept(ask(text, policy=longer))
    assert (served(found), found.follow_up) == (ANSWER, None)
    assert found.reason != "stale-while-revalidate"


async def test_a_semantic_hit_is_refreshed_too_and_still_says_how_far_it_can_be_trusted(kept: Kept) -> None:
    await kept.learn(ask(policy=STALE))
    kept.clock.move_s(120)
    stale = await kept(ask(PARAPHRASE, policy=STALE))
    assert disposed(stale) == ("semantic", "uncertified")
    await refresh(kept, stale, REWORDED)
    again = await kept(ask(PARAPHRASE, policy=STALE))
    assert (disposed(again), served(again)) == (("exact", "same-text"), REWORDED)


async def test_what_refreshes_a_paraphrase_leaves_the_original_question_its_own_answer(kept: Kept) -> None:
    await kept.learn(ask(policy=STALE))
    kept.clock.move_s(120)
    assert await refresh(kept, await kept(ask(PARAPHRASE, policy=STALE)), REWORDED) == "same"
    assert served(await kept(ask(policy=STALE))) == ANSWER
    assert (kept.count("entries"), kept.count("groups")) == (2, 1)


async def test_a_refresh_of_the_same_question_takes_the_place_of_what_was_stale(kept: Kept) -> None:
    await kept.learn(ask(policy=STALE))
    kept.clock.move_s(120)
    assert await refresh(kept, await kept(ask(policy=STALE)), OTHER) is None
    assert (kept.count("entries"), kept.count("groups")) == (1, 1)


async def test_what_was_refreshed_is_still_found_by_other_words(kept: Kept) -> None:
    await kept.learn(ask(policy=STALE))
    for answer in (OTHER, REWORDED):
        kept.clock.move_s(120)
        await refresh(kept, await kept(ask(policy=STALE)), answer)
        assert disposed(await kept(ask(PARAPHRASE, policy=STALE))) == ("semantic", "uncertified")
        assert served(await kept(ask(PARAPHRASE, policy=STALE))) == answer
    assert (kept.count("entries"), kept.count("vectors")) == (1, 1)


@pytest.mark.parametrize("text", [QUESTION, "How do I reset my own password?"], ids=["route", "length"])
async def test_what_is_served_to_the_same_words_only_is_so_when_it_was_refreshed(keep: Keep, text: str) -> None:
    kept = keep(Compass({QUESTION: 0, PARAPHRASE: 10, "How do I reset my own password?": None}))
    policy = msgspec.structs.replace(STALE, mode="exact" if text == QUESTION else "semantic")
    await kept.learn(ask(text, policy=policy))
    kept.clock.move_s(120)
    await refresh(kept, await kept(ask(text, policy=policy)), OTHER)
    assert served(await kept(ask(text, policy=policy))) == OTHER
    assert (kept.count("vectors"), kept.faults) == (0, [])


class Stopping(Compass):
    """Encodes until it is told to stop."""

    has_stopped = False

    async def encode(self, text: str, *, here: bool = False) -> Vector:
        if self.has_stopped:
            raise RuntimeError("the encoder has stopped")
        return await super().encode(text, here=here)


async def test_a_refresh_that_cannot_be_encoded_leaves_what_was_stored(keep: Keep) -> None:
    encoder = Stopping({QUESTION: 0, PARAPHRASE: 10})
    kept = keep(encoder)
    await kept.learn(ask(policy=STALE))
    kept.clock.move_s(120)
    encoder.has_stopped = True
    assert await refresh(kept, await kept(ask(policy=STALE)), OTHER) is None
    encoder.has_stopped = False
    assert [str(fault) for fault in kept.faults] == ["the encoder has stopped"]
    assert served(await kept(ask(PARAPHRASE, policy=STALE))) == ANSWER


@pytest.mark.parametrize(("text", "wrong"), [(REWORDED, 0), (OTHER, 1)], ids=["same", "different"])
@pytest.mark.parametrize("may_audit", [False, True])
async def test_a_refresh_shows_whether_a_semantic_hit_was_right(
    kept: Kept, text: str, wrong: int, may_audit: bool
) -> None:
    await kept.learn(ask(policy=STALE))
    kept.clock.move_s(120)
    await refresh(kept, await kept(ask(PARAPHRASE, policy=STALE, may_audit=may_audit)), text)
    certificate = kept.cache.certificates()["faq"]
    assert (certificate.hits, certificate.audited, certificate.wrong) == (1, 1, wrong)
    assert (certificate.free, kept.labels) == (0, [])  # it was served, so it is no free label
    assert len(kept.doubts()) == wrong


async def test_a_semantic_hit_whose_refresh_fails_stays_unlabelled(kept: Kept) -> None:
    await kept.learn(ask(policy=STALE))
    kept.clock.move_s(120)
    stale = await kept(ask(PARAPHRASE, policy=STALE))
    assert stale.follow_up is not None
    kept.cache.audit_failed(stale.follow_up)
    certificate = kept.cache.certificates()["faq"]
    assert (certificate.hits, certificate.failed, certificate.audited) == (1, 1, 0)


async def test_what_contradicts_a_stale_answer_makes_it_doubted_until_a_fresh_one_comes(kept: Kept) -> None:
    await kept.learn(ask(policy=STALE))
    kept.clock.move_s(120)
    assert await refresh(kept, await kept(ask(PARAPHRASE, policy=STALE)), OTHER) == "different"
    assert served(await kept(ask(PARAPHRASE, policy=STALE))) == OTHER
    assert served(await kept(ask(policy=STALE))) != ANSWER


async def test_while_one_refresh_is_on_its_way_there_is_no_second(kept: Kept) -> None:
    await kept.learn(ask(policy=STALE))
    kept.clock.move_s(101)
    first = await kept(ask(policy=STALE))
    assert first.follow_up is not None
    assert [(await kept(ask(policy=STALE))).follow_up for _ in range(5)] == [None] * 5


@pytest.mark.parametrize("text", [QUESTION, PARAPHRASE], ids=["exact", "semantic"])
async def test_a_refresh_that_has_failed_is_tried_again_a_minute_later(kept: Kept, text: str) -> None:
    policy = CachePolicy(start="prior", ttl_s=100, stale_s=3600)
    await kept.learn(ask(policy=policy))
    kept.clock.move_s(101)
    for _ in range(3):
        first = await kept(ask(text, policy=policy))
        assert first.follow_up is not None
        kept.cache.audit_failed(first.follow_up)
        kept.clock.move_s(59)
        assert (await kept(ask(text, policy=policy))).follow_up is None
        kept.clock.move_s(1)


async def test_a_refresh_that_is_not_stored_is_tried_again_a_minute_later(kept: Kept) -> None:
    policy = CachePolicy(start="prior", ttl_s=100, stale_s=3600)
    await kept.learn(ask(policy=policy))
    kept.clock.move_s(101)
    first = await kept(ask(policy=policy))
    assert first.follow_up is not None
    await kept.cache.followed(first.follow_up, fresh(OTHER, is_rationed=True))  # a worse one
    assert served(await kept(ask(policy=policy))) == ANSWER
    assert (await kept(ask(policy=policy))).follow_up is None
    kept.clock.move_s(60)
    assert (await kept(ask(policy=policy))).follow_up is not None


@pytest.mark.parametrize("text", [QUESTION, PARAPHRASE], ids=["exact", "semantic"])
async def test_nothing_is_refreshed_for_who_may_not_write(kept: Kept, text: str) -> None:
    policy = CachePolicy(start="prior", ttl_s=100, stale_s=50, writers=("editor",))
    await kept.learn(ask(app="editor", policy=policy))
    kept.clock.move_s(101)
    stale = await kept(ask(text, app="reader", policy=policy))
    assert (served(stale), stale.follow_up) == (ANSWER, None)
    assert (await kept(ask(text, app="editor", policy=policy))).follow_up is not None


async def test_beyond_the_greatest_staleness_nothing_is_served(kept: Kept) -> None:
    await kept.learn(ask(policy=STALE))
    kept.clock.move_s(150)
    assert (await kept(ask(policy=STALE))).disposition == "miss"
    assert (await kept(ask(PARAPHRASE, policy=STALE), may_join=False)).disposition == "miss"


@pytest.mark.parametrize("text", [QUESTION, PARAPHRASE], ids=["exact", "semantic"])
async def test_a_smaller_staleness_holds_for_what_is_stored_already(kept: Kept, text: str) -> None:
    await kept.learn(ask(policy=STALE))
    kept.clock.move_s(110)
    assert (await kept(ask(text, policy=BRIEF), may_join=False)).disposition == "miss"


async def test_with_a_shorter_life_an_answer_is_stale_sooner(kept: Kept) -> None:
    await kept.learn(ask(policy=STALE))
    kept.clock.move_s(60)
    stale = await kept(ask(policy=CachePolicy(start="prior", ttl_s=50, stale_s=50)))
    assert disposed(stale) == ("exact", "stale-while-revalidate")
    assert stale.follow_up is not None


async def test_a_refresh_that_comes_after_a_purge_stores_nothing(kept: Kept) -> None:
    await kept.learn(ask(policy=STALE))
    kept.clock.move_s(120)
    stale = await kept(ask(policy=STALE))
    kept.cache.purge()
    await refresh(kept, stale, OTHER)
    assert kept.count("entries") == 0


# --- Purging ------------------------------------------------------------------------------------------------

TAGGED = CachePolicy(start="prior", tags=("shipping",))
NEWER = CachePolicy(start="prior", knowledge_version="2")
SHARED = CachePolicy(start="prior", shared="helpdesk")
PLACES: dict[str, dict[str, Any]] = {
    "plain": {},
    "sales": {"team": "sales"},
    "staging": {"env": "staging"},
    "shop": {"route": "shop"},
    "tagged": {"policy": TAGGED, "route": "tagged"},
    "newer": {"policy": NEWER},
    "shared": {"policy": SHARED},
    "website": {"app": "website", "route": "website"},
}
PURGES: dict[str, tuple[dict[str, Any], set[str]]] = {
    "nothing given": ({}, set(PLACES)),
    "team": ({"team": "sales"}, {"sales"}),
    "environment": ({"env": "staging"}, {"staging"}),
    "route": ({"route": "shop"}, {"shop"}),
    "tag": ({"tag": "shipping"}, {"tagged"}),
    "version": ({"knowledge_version": "2"}, {"newer"}),
    "shared group": ({"shared": "helpdesk"}, {"shared"}),
    "writer": ({"writer": "website"}, {"website"}),
    "all of several": ({"team": "support", "route": "shop"}, {"shop"}),
    "nothing that is": ({"team": "sales", "route": "shop"}, set()),
    "curated only": ({"is_curated": True}, set()),
}


@pytest.mark.parametrize(("criteria", "gone"), PURGES.values(), ids=PURGES)
async def test_a_purge_forgets_what_matches_with_all_that_leads_to_it_and_nothing_else(
    kept: Kept, criteria: dict[str, Any], gone: set[str]
) -> None:
    for place in PLACES.values():
        await kept.learn(ask(**place))
    assert kept.cache.purge(**criteria) == len(gone)
    for name, place in PLACES.items():
        found = [(await kept(ask(text, **place), may_join=False)).disposition for text in (QUESTION, PARAPHRASE)]
        expected = ["miss", "miss"] if name in gone else ["exact", "semantic"]
        assert found == expected, name
    left = len(PLACES) - len(gone)
    assert kept.count("entries") == kept.count("vectors") == kept.count("groups") == left
    kept.store.flush()
    assert len(list(kept.store.load_groups("compass-1"))) == left


MANY = [f"How do I paint a fence of {count} boards?" for count in range(100)]


async def test_while_much_is_purged_others_are_served_and_nobody_what_is_to_go(kept: Kept) -> None:
    for text in MANY:
        await kept.learn(ask(text), f"{text}: So.")
    await kept.learn(ask(team="sales"))
    purge = asyncio.create_task(kept.cache.purge_in_turns(team="support"))
    left = [len(MANY) + 1]
    while not purge.done():
        await asyncio.sleep(0)
        left.append(kept.count("entries"))
        assert [(await kept(ask(text), may_join=False)).disposition for text in MANY] == ["miss"] * len(MANY)
        assert [(await kept(ask(text, team="sales"))).disposition for text in (QUESTION, PARAPHRASE)] == [
            "exact",
            "semantic",
        ]
    assert await purge == len(MANY)
    assert max(more - fewer for more, fewer in itertools.pairwise(left)) < len(MANY) / 4
    assert kept.count("entries") == kept.count("vectors") == kept.count("groups") == 1
    kept.store.flush()
    assert len(list(kept.store.load_groups("compass-1"))) == 1


async def test_what_is_purged_while_others_are_served_leaves_no_text_with_what_comes_meanwhile(kept: Kept) -> None:
    for text in MANY:
        await kept.learn(ask(text), f"{text}: So.")
    purge = asyncio.create_task(kept.cache.purge_in_turns())
    await asyncio.sleep(0)
    assert kept.offer(await kept(ask(MANY[-1])), f"{MANY[-1]}: Like this.") is None
    await kept.warm(MANY[-1], f"{MANY[-1]}: So.")
    assert await purge == len(MANY)
    assert (kept.count("entries"), kept.count("curated"), kept.count("groups")) == (1, 1, 1)
    kept.answer(await kept(ask(MANY[0])), f"{MANY[0]}: Like this.")
    assert kept.count("entries") == 2


async def test_a_purge_that_is_cut_short_leaves_nothing_of_what_it_named(kept: Kept) -> None:
    for text in MANY:
        await kept.learn(ask(text), f"{text}: So.")
    purge = asyncio.create_task(kept.cache.purge_in_turns())
    await asyncio.sleep(0)
    purge.cancel()
    await asyncio.wait([purge])
    assert kept.count("entries") == kept.count("vectors") == kept.count("groups") == 0
    kept.answer(await kept(ask()))
    assert kept.count("entries") == 1


async def test_an_entry_or_a_group_is_purged_by_its_id(kept: Kept) -> None:
    first = await kept.learn(ask(), ANSWER)
    await kept.learn(ask(PARAPHRASE), REWORDED)
    await kept.learn(ask(FAR), NORWAY)
    assert kept.cache.purge(id=first) == 1
    entry = (await kept(ask(PARAPHRASE))).entry
    assert entry is not None
    assert kept.cache.purge(group_id=entry.group_id) == 1
    assert kept.cache.purge(id="no such entry") == 0
    assert (await kept(ask(PARAPHRASE), may_join=False)).disposition == "miss"
    assert (await kept(ask(FAR))).disposition == "exact"


async def test_an_answer_that_was_on_its_way_during_a_purge_is_neither_stored_nor_joined(kept: Kept) -> None:
    asked_before = await kept(ask())
    kept.cache.purge()
    assert (await kept(ask())).disposition == "miss"
    assert (await kept(ask(PARAPHRASE))).flight is not asked_before.flight
    assert kept.offer(asked_before) is None
    await kept.cache.settle()
    assert kept.count("entries") == kept.count("groups") == 0


async def test_an_answer_that_was_being_compared_during_a_purge_leaves_nothing_behind(kept: Kept) -> None:
    kept.answer(await kept(ask()))
    kept.cache.purge()
    await kept.cache.settle()
    assert kept.count("entries") == kept.count("groups") == kept.count("vectors") == 0
    kept.store.flush()
    assert list(kept.store.load_groups("compass-1")) == []
    assert kept.faults == []


@pytest.mark.parametrize("criteria", [{}, {"team": "support"}, {"route": "faq"}, {"tag": "shipping"}], ids=str)
async def test_a_purge_takes_the_doubts_about_what_it_forgets_along(kept: Kept, criteria: dict[str, Any]) -> None:
    policy = CachePolicy(start="prior", tags=("shipping",))
    await kept.learn(ask(policy=policy))
    await kept.audit(await kept(ask(PARAPHRASE, policy=policy, may_audit=True)), OTHER)
    other = ask(PARAPHRASE, policy=CachePolicy(start="prior"), team="sales", route="shop", may_audit=True)
    await kept.learn(ask(team="sales", route="shop"))
    await kept.audit(await kept(other), OTHER)
    assert len(kept.doubts()) == 2
    kept.cache.purge(**criteria)
    assert [doubt.team for doubt in kept.doubts(only_open=False)] == (["sales"] if criteria else [])


@pytest.mark.parametrize("criteria", [{}, {"team": "support"}, {"route": "faq"}, {"team": "support", "route": "faq"}])
async def test_a_purge_takes_the_doubts_about_what_was_replaced_before_along(
    kept: Kept, criteria: dict[str, Any]
) -> None:
    places: list[dict[str, Any]] = [{}, {"team": "sales", "route": "shop"}]
    for place in places:
        await kept.learn(ask(**place))
        await kept.audit(await kept(ask(PARAPHRASE, may_audit=True, **place)), OTHER)
        await kept.learn(ask(**place), OTHER)
    assert len(kept.doubts()) == 2
    kept.cache.purge(team="support", route="shop")
    assert len(kept.doubts()) == 2
    kept.cache.purge(**criteria)
    assert [doubt.team for doubt in kept.doubts()] == (["sales"] if criteria else [])


async def test_without_an_encoder_a_purge_leaves_no_text_in_the_file(keep: Keep) -> None:
    """As `thriftgate cache purge` without a server does it."""
    before = keep()
    await before.learn(ask(), ANSWER)
    await before.learn(ask(FAR), NORWAY)
    before.close()
    kept = keep(None)
    (entry,) = [found.id for found in kept.store.select() if kept.store.payload(found.id) == ANSWER.encode()]
    assert kept.cache.purge(id=entry) == 1
    kept.store.flush()
    with kept.engine.connect() as connection:
        assert connection.exec_driver_sql("select answer from groups").scalars().all() == [NORWAY]
    kept.close()
    assert keep().count("groups") == 1


async def test_what_was_purged_stays_away_after_a_restart(keep: Keep) -> None:
    before = keep()
    await before.learn(ask())
    before.cache.purge()
    before.close()
    after = keep()
    assert after.count("entries") == 0
    assert (await after(ask())).disposition == "miss"


async def test_a_new_knowledge_version_leaves_all_older_answers_behind(kept: Kept) -> None:
    await kept.learn(ask())
    await kept.warm(FAR, NORWAY)
    for text in (QUESTION, PARAPHRASE, FAR):
        assert (await kept(ask(text, policy=NEWER), may_join=False)).disposition == "miss"


async def test_a_new_answer_never_brings_back_an_expired_group(kept: Kept) -> None:
    await kept.learn(ask(policy=BRIEF), ANSWER)
    kept.clock.move_s(100)
    await kept.learn(ask(FAR, policy=BRIEF), REWORDED)
    assert (await kept(ask(policy=BRIEF), may_join=False)).disposition == "miss"
    assert served(await kept(ask(FAR, policy=BRIEF))) == REWORDED
