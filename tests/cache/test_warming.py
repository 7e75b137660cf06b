"""Curated answers: whom they serve, that they come first, and how long they stay."""

from typing import Any

import pytest

from cache import holdings, transfer, writing
from cache.decision import TWIN
from cache.index import Vector
from cache.lookup import Stored, Warmed
from cache.query import CachePolicy, Directives
from tests.cache.asking import (
    ANSWER,
    FAR,
    NORWAY,
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
    served,
)

EARLIER = [
    {"role": "user", "content": "Hello"},
    {"role": "assistant", "content": "Hello, how can I help?"},
    {"role": "user", "content": QUESTION},
]
SYSTEM = [{"role": "system", "content": "Answer in verse."}, {"role": "user", "content": QUESTION}]
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
CURATED = "forgot: The official way is the link on the sign-in page."


# --- Whom it serves -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"env": "staging"},
        {"model": "gpt-5"},
        {"temperature": 0.3},
        {"seed": 7, "stop": ["."]},
        {"response_format": {"type": "text"}},
        {"modalities": ["text"], "logprobs": False},
        {"messages": SYSTEM},
        {"lowest_tier": PREMIUM},
        {"rationed_to": 1},
        {"novel": {"a": 1}},
        {"policy": CachePolicy(start="prior", min_askers=9)},
    ],
    ids=str,
)
@pytest.mark.parametrize("text", [QUESTION, PARAPHRASE], ids=["exact", "semantic"])
async def test_the_operator_vouches_for_it_whatever_model_parameters_and_environment(
    kept: Kept, text: str, asked: dict[str, Any]
) -> None:
    await kept.warm(QUESTION, CURATED)
    if "messages" in asked:
        asked = {"messages": [asked["messages"][0], {"role": "user", "content": text}]}
    found = await kept(ask(text, **asked))
    assert served(found) == CURATED
    assert found.entry is not None
    assert found.entry.is_curated


@pytest.mark.parametrize(
    "asked",
    [
        {"team": "sales"},
        {"route": "shop"},
        {"policy": CachePolicy(start="prior", knowledge_version="2")},
        {"policy": CachePolicy(start="prior", shared="helpdesk")},
        {"messages": EARLIER},
        {"response_format": {"type": "json_object"}},
        {"text.format": {"type": "grammar"}},
        {"logprobs": True},
        {"modalities": ["text", "audio"]},
        {"tools": [TOOL]},
        {"functions": [TOOL["function"]]},
        {"policy": CachePolicy(mode="off")},
        {"directives": Directives(no_cache=True)},
        {"directives": Directives(no_store=True)},
        {"output_limit": 11},
    ],
    ids=lambda asked: next(iter(asked)),
)
@pytest.mark.parametrize("text", [QUESTION, PARAPHRASE], ids=["exact", "semantic"])
async def test_it_serves_its_team_route_and_version_at_the_first_plain_turn_only(
    kept: Kept, text: str, asked: dict[str, Any]
) -> None:
    await kept.warm(QUESTION, CURATED, output_tokens=12)
    if "messages" in asked:
        asked = {"messages": [*EARLIER[:2], {"role": "user", "content": text}]}
    assert served(await kept(ask(text, **asked))) is None


async def test_of_a_shared_group_all_teams_are_served(kept: Kept) -> None:
    shared = CachePolicy(start="prior", shared="helpdesk")
    await kept.warm(QUESTION, CURATED, ask(policy=shared))
    assert served(await kept(ask(team="sales", policy=shared))) == CURATED
    assert served(await kept(ask(team="sales"))) is None


async def test_on_a_closed_route_only_the_same_words_are_served_it_and_others_label_it(kept: Kept) -> None:
    closed = CachePolicy(start="closed")
    await kept.warm(QUESTION, CURATED)
    assert served(await kept(ask(policy=closed))) == CURATED
    near = await kept(ask(PARAPHRASE, policy=closed))
    assert disposed(near) == ("miss", "learning")
    kept.answer(near, REWORDED)
    await kept.cache.settle()
    assert [verdict for _, _, verdict in kept.labels] == ["same"]
    assert kept.cache.certificates()["faq"].free == 1


async def test_a_question_whose_fresh_answer_agrees_leads_to_the_curated_one_as_a_semantic_hit(kept: Kept) -> None:
    closed = CachePolicy(start="closed")
    await kept.warm(QUESTION, CURATED)
    kept.answer(await kept(ask(PARAPHRASE, policy=closed)), REWORDED)
    await kept.cache.settle()
    kept.cache.trust.open("faq", CachePolicy(start="prior"))
    found = await kept(ask(PARAPHRASE, model="another"))
    assert (found.disposition, served(found)) == ("semantic", CURATED)
    assert (found.confidence or 0.0) >= TWIN
    kept.cache.trust.open("faq", closed)
    assert disposed(await kept(ask(PARAPHRASE, policy=closed, model="another"))) == ("miss", "learning")


@pytest.mark.parametrize("agreeing", [0, 1, 2])
async def test_a_fresh_answer_that_agrees_with_a_curated_one_stays_in_a_group_of_its_own_scope(
    kept: Kept, agreeing: int
) -> None:
    """Nothing that happens to the one group happens to the other."""
    closed = CachePolicy(start="closed")
    for _ in range(agreeing):
        await kept.learn(ask(FAR, policy=closed), REWORDED)
    await kept.warm(QUESTION, CURATED)
    kept.answer(await kept(ask(PARAPHRASE, policy=closed, asker="one")), "forgot: It is on the sign-in page.")
    await kept.cache.settle()
    scopes: dict[int, set[bytes]] = {}
    for entry in kept.store.select():
        scopes.setdefault(entry.group_id, set()).add(entry.scope)
    assert [len(found) for found in scopes.values()] == [1, 1]
    (curated,) = kept.store.select(is_curated=True)
    assert curated.askers == ()
    others = {entry.group_id for entry in kept.store.select()} - {curated.group_id}
    kept.cache.purge(group_id=others.pop())
    assert served(await kept(ask(policy=closed))) == CURATED


async def test_where_several_must_have_asked_nobody_leads_questions_to_curated_answers_alone(kept: Kept) -> None:
    several = CachePolicy(start="closed", min_askers=2)
    await kept.warm(QUESTION, CURATED, ask(policy=several))
    kept.answer(await kept(ask(PARAPHRASE, policy=several, asker="one")), REWORDED)
    await kept.cache.settle()
    (entry,) = kept.store.select(is_curated=True)
    assert [anchor.text for anchor in kept.store.anchors_of(entry.id)] == [QUESTION]


async def test_an_unlikely_question_that_is_refused_in_a_curated_answer_s_words_does_not_lead_to_it(kept: Kept) -> None:
    await kept.warm(QUESTION, CURATED)
    kept.answer(await kept(ask(FAR)), CURATED)
    await kept.cache.settle()
    (entry,) = kept.store.select(is_curated=True)
    assert [anchor.text for anchor in kept.store.anchors_of(entry.id)] == [QUESTION]


async def test_an_app_that_may_not_write_leads_no_questions_to_curated_answers(kept: Kept) -> None:
    closed = CachePolicy(start="closed", writers=("trusted",))
    await kept.warm(QUESTION, CURATED, ask(policy=closed))
    assert kept.offer(await kept(ask(PARAPHRASE, policy=closed, app="other")), REWORDED) is None
    await kept.cache.settle()
    assert (await kept(ask(PARAPHRASE, policy=closed, model="another"))).disposition == "miss"


async def test_what_is_personal_is_not_answered_from_a_faq(kept: Kept) -> None:
    await kept.warm("Where is my parcel?", CURATED)
    assert disposed(await kept(ask("Where is my parcel?"))) == ("bypass", "personal")


async def test_a_wrong_curated_hit_is_audited_like_any_other(kept: Kept) -> None:
    await kept.warm(QUESTION, CURATED)
    assert await kept.audit(await kept(ask(PARAPHRASE, may_audit=True)), OTHER) == "different"
    (doubt,) = kept.doubts()
    assert (doubt.stored_question, doubt.asked) == (QUESTION, PARAPHRASE)
    assert served(await kept(ask(PARAPHRASE))) == OTHER


async def test_what_an_audit_calls_wrong_stays_the_answer_to_the_operators_own_words(keep: Keep) -> None:
    before = keep(Compass({QUESTION: 0, PARAPHRASE: 10, "Resetting passwords, how?": -5}))
    await before.warm(QUESTION, CURATED)
    assert await before.audit(await before(ask(PARAPHRASE, may_audit=True)), OTHER) == "different"
    assert before.cache.rule(before.doubts()[0].id, "wrong")
    before.close()
    after = keep(Compass({QUESTION: 0, PARAPHRASE: 10, "Resetting passwords, how?": -5}))
    for kept in (before, after):
        assert disposed(await kept(ask())) == ("exact", "same-text")
        assert served(await kept(ask())) == CURATED
        assert served(await kept(ask("Resetting passwords, how?"), may_join=False)) != CURATED


# --- First, and for how long --------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [QUESTION, PARAPHRASE], ids=["exact", "semantic"])
async def test_it_is_matched_before_what_models_have_answered(kept: Kept, text: str) -> None:
    await kept.learn(ask(), OTHER)
    await kept.warm(QUESTION, CURATED)
    assert served(await kept(ask(text))) == CURATED


async def test_it_is_matched_before_a_models_answer_to_the_same_words_that_was_stored_earlier(keep: Keep) -> None:
    """As a semantic hit on it, audited like any other, and without encoding anything anew."""
    encoder = Compass({QUESTION: 0, PARAPHRASE: 10, FAR: 80})
    kept = keep(encoder)
    await kept.learn(ask(PARAPHRASE), OTHER)
    assert served(await kept(ask(PARAPHRASE))) == OTHER
    await kept.warm(QUESTION, CURATED)
    encoded = len(encoder.encoded)
    found = await kept(ask(PARAPHRASE, may_audit=True))
    assert (found.disposition, served(found)) == ("semantic", CURATED)
    assert len(encoder.encoded) == encoded
    assert await kept.audit(found, NORWAY) == "different"
    assert served(await kept(ask(PARAPHRASE))) == NORWAY


async def test_a_curated_answer_that_comes_later_is_seen_at_once_where_an_earlier_one_did_not_fit(kept: Kept) -> None:
    await kept.warm(FAR, NORWAY)
    await kept.learn(ask(PARAPHRASE), OTHER)
    for limit in (None, 11):
        assert served(await kept(ask(PARAPHRASE, output_limit=limit))) == (OTHER if limit is None else None)
    assert served(await kept(ask(PARAPHRASE))) == OTHER
    await kept.warm(QUESTION, CURATED)
    assert served(await kept(ask(PARAPHRASE))) == CURATED


async def test_whom_a_curated_answer_is_too_long_for_keeps_it_from_nobody_else(kept: Kept) -> None:
    await kept.learn(ask(PARAPHRASE), OTHER, output_tokens=5)
    await kept.warm(QUESTION, CURATED, output_tokens=12)
    assert served(await kept(ask(PARAPHRASE, output_limit=11))) == OTHER
    assert served(await kept(ask(PARAPHRASE))) == CURATED


async def test_a_models_answer_to_the_same_words_stays_while_no_curated_one_is_sure_enough(kept: Kept) -> None:
    closed = CachePolicy(start="closed")
    await kept.learn(ask(PARAPHRASE, policy=closed), OTHER)
    await kept.warm(QUESTION, CURATED)
    assert disposed(await kept(ask(PARAPHRASE, policy=closed))) == ("exact", "same-text")
    kept.cache.trust.open("faq", CachePolicy(start="prior"))
    assert served(await kept(ask(PARAPHRASE))) == CURATED


async def test_of_words_that_are_only_matched_exactly_a_models_answer_stays(kept: Kept) -> None:
    exact = CachePolicy(start="prior", mode="exact")
    await kept.learn(ask(PARAPHRASE), OTHER)
    await kept.warm(QUESTION, CURATED)
    assert served(await kept(ask(PARAPHRASE, policy=exact))) == OTHER


async def test_what_it_does_not_answer_models_answers_do(kept: Kept) -> None:
    await kept.warm(QUESTION, CURATED)
    await kept.learn(ask(FAR), NORWAY)
    assert served(await kept(ask(FAR))) == NORWAY


async def test_it_is_never_evicted(keep: Keep) -> None:
    kept = keep(max_entries=3)
    await kept.warm(QUESTION, CURATED)
    await kept.warm(FAR, NORWAY)
    for colour in "red blue green white black pink".split():
        await kept.learn(ask(f"How do I paint a fence {colour}?"), f"{colour}: So.")
    assert (kept.count("entries"), kept.count("curated")) == (3, 2)
    assert served(await kept(ask())) == CURATED
    assert served(await kept(ask(FAR))) == NORWAY


async def test_one_that_another_knowledge_version_has_superseded_keeps_no_room_from_others(keep: Keep) -> None:
    """The operator warms anew after each change, also after a restart."""
    kept = keep(max_entries=3)
    for version in "123":
        policy = CachePolicy(start="prior", knowledge_version=version)
        kept.store.know_versions({"faq": version})
        for question, answer in ((QUESTION, CURATED), (FAR, NORWAY)):
            await kept.warm(question, answer, ask(policy=policy))
        kept.close()
        kept = keep(max_entries=3)
    kept.store.know_versions({"faq": "3"})
    for colour in "red", "blue":
        painted = ask(f"How do I paint a fence {colour}?", policy=policy)
        await kept.learn(painted, f"{colour}: So.")
        assert served(await kept(painted)) == f"{colour}: So."
    assert (kept.count("entries"), kept.count("curated")) == (3, 2)
    assert served(await kept(ask(policy=policy))) == CURATED
    assert served(await kept(ask(FAR, policy=policy))) == NORWAY


async def test_a_superseded_one_serves_again_when_its_knowledge_version_comes_back(kept: Kept) -> None:
    await kept.warm(QUESTION, CURATED)
    kept.store.know_versions({"faq": "2"})
    newer = CachePolicy(start="prior", knowledge_version="2")
    await kept.warm(QUESTION, OTHER, ask(policy=newer))
    assert served(await kept(ask(policy=newer))) == OTHER
    kept.store.know_versions({"faq": "1"})
    assert served(await kept(ask())) == served(await kept(ask(PARAPHRASE))) == CURATED


async def test_it_stays_until_it_is_purged_unless_it_has_a_time(kept: Kept) -> None:
    await kept.warm(QUESTION, CURATED)
    await kept.warm(FAR, NORWAY, ttl_s=60)
    kept.clock.move_s(59)
    assert served(await kept(ask(FAR))) == NORWAY
    kept.clock.move_s(1)
    assert (await kept(ask(FAR))).disposition == "miss"
    kept.clock.move_s(3650 * 86_400)
    assert served(await kept(ask())) == CURATED
    assert served(await kept(ask(PARAPHRASE))) == CURATED


async def test_one_whose_time_is_over_keeps_no_room_from_others(keep: Keep) -> None:
    kept = keep(None, max_entries=3)
    for number in range(3):
        await kept.warm(f"What is new on day {number}?", NORWAY, ttl_s=60)
    kept.clock.move_s(120)
    await kept.learn(ask(), ANSWER)
    assert served(await kept(ask())) == ANSWER
    assert (kept.count("entries"), kept.count("curated")) == (3, 2)


async def test_the_same_question_again_replaces_it(kept: Kept) -> None:
    await kept.warm(QUESTION, CURATED)
    await kept.warm(f" {QUESTION} ", OTHER)
    assert served(await kept(ask())) == served(await kept(ask(PARAPHRASE))) == OTHER
    assert kept.count("entries") == kept.count("curated") == kept.count("vectors") == kept.count("groups") == 1


async def test_warming_the_same_again_makes_it_young_and_forgets_nothing(keep: Keep) -> None:
    """As every night does it: neither what has come to it later nor what audits have called wrong."""
    encoder = Compass({QUESTION: 0, PARAPHRASE: 10, "Resetting passwords, how?": -5})
    before, closed = keep(encoder), CachePolicy(start="closed")
    await before.warm(QUESTION, CURATED, tags=("old",), ttl_s=3600)
    before.answer(await before(ask(PARAPHRASE, policy=closed)), REWORDED)
    await before.cache.settle()
    before.cache.trust.open("faq", CachePolicy(start="prior"))
    assert await before.audit(await before(ask("Resetting passwords, how?", may_audit=True)), OTHER) == "different"
    (entry,) = before.store.select(is_curated=True)
    anchors, encoded = before.store.anchors_of(entry.id), len(encoder.encoded)
    assert [(anchor.text, anchor.is_quarantined) for anchor in anchors] == [(QUESTION, True), (PARAPHRASE, False)]
    before.clock.move_s(3000)
    await before.warm(f"{QUESTION} ", CURATED, tags=("new",), ttl_s=3600)
    assert len(encoder.encoded) == encoded
    before.close()
    after = keep(encoder)
    after.clock.move_s(5000)
    for kept in (before, after):
        (renewed,) = kept.store.select(is_curated=True)
        assert (renewed.id, renewed.tags, kept.store.anchors_of(entry.id)) == (entry.id, ("new",), anchors)
    found = await after(ask(directives=Directives(max_age_s=2000)))
    assert served(found) == CURATED


async def test_warming_the_same_again_for_another_encoder_finds_it_by_its_meaning(keep: Keep) -> None:
    before = keep()
    await before.warm(QUESTION, CURATED)
    before.close()
    after = keep(Compass({QUESTION: 50, PARAPHRASE: 60}, "compass-2"))
    assert (await after(ask(PARAPHRASE), may_join=False)).disposition == "miss"
    await after.warm(QUESTION, CURATED)
    assert served(await after(ask(PARAPHRASE))) == CURATED
    assert (after.count("entries"), after.count("groups")) == (1, 1)


async def test_warming_a_question_that_came_to_an_answer_later_leaves_that_answer_to_its_own(keep: Keep) -> None:
    before, closed = keep(), CachePolicy(start="closed")
    await before.warm(QUESTION, CURATED)
    before.answer(await before(ask(PARAPHRASE, policy=closed)), REWORDED)
    await before.cache.settle()
    assert before.count("curated") == 1
    assert before.count("vectors") == 3
    await before.warm(PARAPHRASE, NORWAY)
    before.close()
    after = keep()
    for kept in (before, after):
        assert (kept.count("curated"), kept.count("vectors")) == (2, 3)  # with the model's own answer
    assert served(await after(ask(policy=closed))) == CURATED
    assert served(await after(ask(PARAPHRASE, policy=closed))) == NORWAY


async def test_more_than_may_wait_for_the_file_is_warmed_and_imported_without_loss(
    keep: Keep, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "_WAITING_AT_MOST", 8)
    before = keep(None)
    items = [Warmed(f"What is {number}?", f"{number}: So.", b"So.", 12, "faq.csv:1") for number in range(100)]
    assert await before.cache.warm(ask(), items) == Stored(written=100, purged=0)
    exported = list(transfer.kept_from(list(transfer.lines(before.store))))
    before.cache.purge()
    assert [await before.cache.restore(each, CachePolicy()) for each in exported] == ["imported"] * 100
    before.close()
    assert before.faults == []
    assert keep(None).count("curated") == 100


class Purging(Compass):
    """While this question is encoded, something is purged, a second later."""

    def __init__(self, while_encoding: str, **criteria: Any) -> None:
        super().__init__({})
        self.while_encoding = while_encoding
        self.criteria = criteria
        self.kept: Kept | None = None

    async def encode(self, text: str, *, here: bool = False) -> Vector:
        if text == self.while_encoding and self.kept is not None:
            self.kept.clock.move_s(1)
            await self.kept.cache.purge_in_turns(**self.criteria)
        return await super().encode(text)


def numbered(count: int, **tags: int) -> list[Warmed]:
    """So many curated answers, those from a number on with a tag."""
    return [
        Warmed(
            f"What is {number}?",
            f"{number}: So.",
            b"So.",
            12,
            "faq.csv:1",
            tuple(tag for tag, start in tags.items() if number >= start),
        )
        for number in range(count)
    ]


@pytest.mark.parametrize(
    ("criteria", "left"),
    [
        ({"tag": "prices"}, 6),
        ({}, 0),
        ({"route": "faq", "team": "support"}, 0),
        ({"team": "sales"}, 10),
        ({"tag": "x"}, 10),
    ],
    ids=str,
)
async def test_what_a_purge_names_does_not_come_back_with_the_rest_of_what_is_being_warmed(
    keep: Keep, criteria: dict[str, Any], left: int
) -> None:
    """Neither what was stored before the purge, nor what was being encoded, nor what comes after it."""
    encoder = Purging("What is 7?", **criteria)
    kept = encoder.kept = keep(encoder)
    assert await kept.cache.warm(ask(), numbered(10, prices=6)) == Stored(written=left, purged=10 - left)
    assert kept.count("entries") == kept.count("vectors") == kept.count("groups") == left
    encoder.kept = None
    assert await kept.cache.warm(ask(), numbered(10, prices=6)) == Stored(written=10, purged=0)


async def test_what_is_warmed_in_several_parts_leaves_out_what_was_purged_since_the_first(kept: Kept) -> None:
    items, began_us = numbered(10, prices=3), kept.clock.us
    assert await kept.cache.warm(ask(), items[:5], began_us) == Stored(written=5, purged=0)
    kept.clock.move_s(1)
    assert kept.cache.purge(tag="prices") == 2
    kept.clock.move_s(1)
    assert await kept.cache.warm(ask(), items[5:], began_us) == Stored(written=0, purged=5)
    assert await kept.cache.warm(ask(), items[5:]) == Stored(written=5, purged=0)


async def test_after_more_purges_than_are_remembered_nothing_older_is_warmed(kept: Kept) -> None:
    began_us = kept.clock.us
    for _ in range(holdings._PURGES_REMEMBERED):
        kept.clock.move_s(1)
        kept.cache.purge(tag="prices")
    assert await kept.cache.warm(ask(), numbered(2), began_us) == Stored(written=0, purged=2)
    assert await kept.cache.warm(ask(), numbered(2), began_us + 1_000_000) == Stored(written=2, purged=0)


async def test_what_cannot_be_written_is_not_reported_as_stored(kept: Kept) -> None:
    with kept.engine.begin() as connection:
        when = "before insert on entries when new.source = 'faq.csv:3'"
        connection.exec_driver_sql(f"create trigger no {when} begin select raise(abort, 'no'); end")
    items = [Warmed(f"What is {line}?", f"{line}: So.", b"So.", 12, f"faq.csv:{line}") for line in range(2, 6)]
    assert await kept.cache.warm(ask(), items) == Stored(written=3, purged=0)
    assert len(kept.faults) == 1
    with kept.engine.begin() as connection:
        connection.exec_driver_sql("drop trigger no")
    assert await kept.cache.warm(ask(), items) == Stored(written=4, purged=0)


async def test_curated_answers_in_other_words_form_one_group(kept: Kept) -> None:
    await kept.warm(QUESTION, CURATED)
    await kept.warm(FAR, REWORDED)
    assert (kept.count("entries"), kept.count("groups")) == (2, 1)


async def test_it_is_purged_by_what_it_is(kept: Kept) -> None:
    await kept.warm(QUESTION, CURATED, tags=("password",))
    await kept.warm(FAR, NORWAY)
    await kept.learn(ask("How do I change the colour?"), OTHER)
    assert kept.cache.purge(tag="password") == 1
    assert kept.count("curated") == 1
    assert served(await kept(ask(FAR))) == NORWAY
    assert kept.cache.purge(is_curated=True) == 1
    assert (kept.count("curated"), kept.count("entries")) == (0, 1)


async def test_one_with_many_questions_gone_leaves_the_others_in_place(keep: Keep) -> None:
    """What a fresh answer agreed with has several anchors, and is one entry all the same."""
    kept, closed = keep(Compass({QUESTION: 0, PARAPHRASE: 10, "Resetting passwords, how?": -5, FAR: 80})), CachePolicy()
    await kept.warm(QUESTION, CURATED)
    await kept.warm(FAR, NORWAY)
    for text in (PARAPHRASE, "Resetting passwords, how?"):
        kept.answer(await kept(ask(text, policy=closed)), REWORDED)
        await kept.cache.settle()
    found = (await kept(ask(policy=closed))).entry
    assert found is not None
    assert len(kept.store.anchors_of(found.id)) == 3
    kept.cache.purge(id=found.id)
    assert kept.count("curated") == 1
    assert served(await kept(ask(FAR, policy=closed))) == NORWAY


async def test_a_restart_keeps_it_and_what_says_the_same_still_joins_it(keep: Keep) -> None:
    before = keep()
    await before.warm(QUESTION, CURATED)
    before.close()
    after = keep()
    assert after.count("curated") == 1
    assert served(await after(ask(PARAPHRASE))) == CURATED
    await after.warm(FAR, REWORDED)
    assert after.count("groups") == 1


async def test_its_provenance_is_kept(kept: Kept) -> None:
    await kept.warm(QUESTION, CURATED, ask(policy=CachePolicy(start="prior", tags=("all",))), tags=("password",))
    entry = (await kept(ask())).entry
    assert entry is not None
    assert (entry.source, entry.writer, entry.model) == ("faq.csv:1", "", "curated")
    assert entry.tags == ("all", "password")


async def test_a_question_too_long_for_the_encoder_is_served_to_the_same_words(keep: Keep) -> None:
    kept = keep(Compass({QUESTION: None, PARAPHRASE: 10}))
    await kept.warm(QUESTION, CURATED)
    assert served(await kept(ask())) == CURATED
    assert (await kept(ask(PARAPHRASE))).disposition == "miss"


async def test_without_an_encoder_it_is_served_to_the_same_words(keep: Keep) -> None:
    kept = keep(None)
    await kept.warm(QUESTION, CURATED)
    assert served(await kept(ask())) == CURATED
    assert (await kept(ask(PARAPHRASE))).disposition == "miss"
