"""Whether hits can be trusted: what a route serves, which hits are audited, and what their outcomes change."""

import random
from typing import Any, Literal

import msgspec
import pytest
import sqlalchemy as sa
from sqlalchemy.pool import StaticPool

from cache import tables
from cache.certificate import Label
from cache.decision import Judgement, Neighbour
from cache.entries import EntryStore
from cache.groups import Group
from cache.query import CachePolicy
from cache.sameness import Verdict
from cache.ticket import Complaint
from cache.trust import Trust, terms_of
from tests.cache.asking import (
    ANSWER,
    FAR,
    NORWAY,
    OTHER,
    PARAPHRASE,
    PLAIN,
    QUESTION,
    REWORDED,
    UNCLEAR,
    ByLabel,
    Clock,
    Compass,
    Keep,
    Kept,
    ask,
    disposed,
    fresh,
    served,
)

PRIOR, CLOSED = CachePolicy(start="prior"), CachePolicy(start="closed")
THIRD = "In which way does one reset a password?"
FOURTH = "Which way is there to reset a password?"
BETWEEN = Compass({QUESTION: 0, PARAPHRASE: 10, THIRD: 5, FOURTH: 6, FAR: 80})


def claiming(p: float) -> Judgement:
    return Judgement(p, "near", 1, Neighbour(1, QUESTION, 0.99, 1))


@pytest.fixture
def store() -> EntryStore:
    engine = sa.create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
    tables.metadata.create_all(engine)

    def fail(error: Exception) -> None:
        raise error

    return EntryStore(engine, max_entries=10, max_bytes=1 << 20, payload_bytes=1 << 20, on_error=fail)


@pytest.fixture
def trust(store: EntryStore) -> Trust:
    return Trust(store, PLAIN, random.Random(1), Clock())


# --- From where on a route serves -----------------------------------------------------------------------------


def test_a_closed_route_serves_at_no_probability(trust: Trust) -> None:
    assert (trust.kappa("a", CLOSED), trust.state("a", CLOSED)) == (float("inf"), "learning")


def test_a_route_that_starts_at_the_prior_serves_at_the_shipped_kappa_or_the_next_stricter_one(trust: Trust) -> None:
    assert 0.95 <= trust.kappa("a", PRIOR) < 0.97
    assert trust.state("a", PRIOR) == "uncertified"


def test_terms_say_what_the_operator_stated() -> None:
    policy = CachePolicy(start="closed", max_wrong=0.02, per="request", audit_share=0.3)
    terms = terms_of(policy, PLAIN)
    assert (terms.max_wrong, terms.per, terms.start, terms.prior_kappa) == (0.02, "request", "closed", 0.9)
    assert (terms.audit_share, terms.audit_share_uncertified) == (0.3, 0.3)
    assert terms_of(CachePolicy(audit_share=0.05), PLAIN).audit_share_uncertified == 0.2


def test_routes_have_evidence_of_their_own(trust: Trust) -> None:
    trust.hit_labelled("a", PRIOR, claiming(0.99), 1.0, "wrong")
    trust.open("b", PRIOR)
    assert {name: each.wrong for name, each in trust.certificates().items()} == {"a": 1, "b": 0}


def test_many_wrong_hits_close_a_route(trust: Trust) -> None:
    for _ in range(60):
        trust.hit_labelled("a", PRIOR, claiming(0.999), 1.0, "wrong")
    assert trust.kappa("a", PRIOR) == float("inf")
    assert trust.state("a", PRIOR) == "exact-only"


def test_failed_and_unclear_audits_neither_close_a_route_nor_certify_it(trust: Trust) -> None:
    for label in ("failed", "unclear"):
        for _ in range(200):
            trust.hit_labelled("a", PRIOR, claiming(0.99), 1.0, label)
    certificate = trust.certificates()["a"]
    assert (certificate.audited, certificate.wrong, certificate.is_certified) == (0, 0, False)
    assert (certificate.failed, certificate.unclear) == (200, 200)
    assert trust.kappa("a", PRIOR) < 1


def test_right_labels_of_what_is_not_served_open_a_closed_route(trust: Trust) -> None:
    for _ in range(3000):
        trust.miss_labelled("a", CLOSED, claiming(0.9995), "right")
        if trust.kappa("a", CLOSED) < 1:
            break
    assert trust.state("a", CLOSED) == "certified"
    certificate = trust.certificates()["a"]
    assert certificate.is_certified
    assert certificate.bound <= 0.01


def test_a_route_that_is_reloaded_on_other_terms_begins_anew(trust: Trust) -> None:
    trust.open("a", PRIOR)
    for _ in range(50):
        trust.hit_labelled("a", PRIOR, claiming(0.999), 1.0, "right")
    trust.open("a", CLOSED)
    assert trust.kappa("a", CLOSED) > 1
    assert trust.certificates()["a"].audited == 0
    assert "restarted" in trust.certificates()["a"].alarms
    assert trust.kappa("a", PRIOR) > 1  # a request that came before the reload


def test_a_route_that_is_reloaded_on_the_same_terms_keeps_its_evidence(trust: Trust) -> None:
    trust.open("a", PRIOR)
    for _ in range(50):
        trust.hit_labelled("a", PRIOR, claiming(0.999), 1.0, "right")
    trust.open("a", msgspec.structs.replace(PRIOR, ttl_s=5))
    assert trust.certificates()["a"].audited == 50


@pytest.mark.parametrize("label", ["failed", "unclear"])
def test_while_audits_bring_nothing_labels_of_what_is_not_served_never_loosen(trust: Trust, label: Label) -> None:
    for _ in range(10):
        trust.hit_labelled("a", PRIOR, claiming(0.999), 1.0, label)
    before = trust.kappa("a", PRIOR)
    for _ in range(1_000):
        trust.miss_labelled("a", PRIOR, claiming(0.97), "right")
    assert trust.kappa("a", PRIOR) >= before
    for _ in range(10):
        trust.hit_labelled("a", PRIOR, claiming(0.999), 1.0, "right")
    assert trust.kappa("a", PRIOR) < before


# --- Which hits are audited -----------------------------------------------------------------------------------


def test_the_first_hits_are_all_audited(trust: Trust) -> None:
    propensities = [trust.draw("a", PRIOR, claiming(0.99), may_audit=True) for _ in range(20)]
    assert propensities == [1.0] * 20
    assert trust.certificates()["a"].hits == 0  # each is told when its outcome is known


def test_while_there_is_no_money_no_hit_is_audited_and_each_is_counted(trust: Trust) -> None:
    assert [trust.draw("a", PRIOR, claiming(0.99), may_audit=False) for _ in range(20)] == [None] * 20
    certificate = trust.certificates()["a"]
    assert (certificate.hits, certificate.audited) == (20, 0)


def test_without_audits_a_route_grows_stale(trust: Trust) -> None:
    for _ in range(2000):
        trust.draw("a", PRIOR, claiming(0.99), may_audit=False)
    assert trust.state("a", PRIOR) == "stale"
    assert "stale" in trust.certificates()["a"].alarms


def test_a_certificate_is_stale_if_much_of_what_is_served_cannot_be_audited(trust: Trust) -> None:
    """Of one of two teams; there is no money for audits of the other."""
    for _ in range(2_300):
        if (propensity := trust.draw("a", PRIOR, claiming(0.999), may_audit=True)) is not None:
            trust.hit_labelled("a", PRIOR, claiming(0.999), propensity, "right")
        trust.draw("a", PRIOR, claiming(0.999), may_audit=False)
    assert trust.state("a", PRIOR) == "stale"
    assert trust.certificates()["a"].unauditable == 2_300


def test_later_a_share_is_audited_whatever_chance_says_before(trust: Trust) -> None:
    drawn = 0
    for _ in range(2000):
        if (propensity := trust.draw("a", PRIOR, claiming(0.999), may_audit=True)) is not None:
            drawn += 1
            trust.hit_labelled("a", PRIOR, claiming(0.999), propensity, "right")
    assert 2000 * 0.05 * 0.5 < drawn < 2000 * 0.5


# --- What is kept ---------------------------------------------------------------------------------------------


def test_evidence_is_kept_for_the_next_start(store: EntryStore, trust: Trust) -> None:
    for _ in range(10):
        trust.hit_labelled("a", PRIOR, claiming(0.99), 1.0, "right")
    trust.save()
    store.flush()
    again = Trust(store, PLAIN, random.Random(1), Clock())
    again.open("a", PRIOR)
    assert again.certificates() == trust.certificates()


def test_evidence_for_other_terms_or_of_another_prior_is_dropped_and_says_so(store: EntryStore, trust: Trust) -> None:
    trust.hit_labelled("a", PRIOR, claiming(0.99), 1.0, "right")
    trust.save()
    store.flush()
    again = Trust(store, PLAIN, random.Random(1), Clock())
    again.open("a", CachePolicy(start="prior", max_wrong=0.02))
    certificate = again.certificates()["a"]
    assert (certificate.audited, certificate.alarms) == (0, ("restarted",))


def test_forgetting_a_route_leaves_nothing_for_the_next_start(store: EntryStore, trust: Trust) -> None:
    trust.hit_labelled("a", PRIOR, claiming(0.99), 1.0, "wrong")
    trust.forget("a")
    trust.forget("never heard of")
    store.flush()
    again = Trust(store, PLAIN, random.Random(1), Clock())
    again.open("a", PRIOR)
    assert again.certificates()["a"].wrong == 0


# --- Audits of the cache's hits -------------------------------------------------------------------------------


@pytest.fixture
async def audited(keep: Keep) -> Kept:
    """With one answer to two questions; a third one lies between them."""
    kept = keep(Compass(dict(BETWEEN.directions)))
    await kept.learn(ask(), ANSWER)
    await kept.learn(ask(PARAPHRASE), REWORDED)
    return kept


async def test_a_right_hit_is_evidence_for_its_route(audited: Kept) -> None:
    hit = await audited(ask(THIRD, may_audit=True))
    assert hit.follow_up is not None
    assert (hit.follow_up.purpose, hit.follow_up.propensity) == ("audit", 1.0)
    assert await audited.audit(hit, "forgot: Press it.") == "same"
    certificate = audited.cache.certificates()["faq"]
    assert (certificate.hits, certificate.audited, certificate.wrong) == (1, 1, 0)
    assert audited.doubts() == []
    assert audited.count("entries") == 2  # it was stored already


async def test_a_wrong_hit_quarantines_its_anchor_and_is_listed_with_both_prompts(audited: Kept) -> None:
    asked = ask(THIRD, may_audit=True)
    hit = await audited(asked)
    assert hit.judgement is not None
    assert hit.judgement.neighbour is not None
    nearest = hit.judgement.neighbour.text
    assert await audited.audit(hit, OTHER) == "different"
    (doubt,) = audited.doubts()
    assert (doubt.asked, doubt.stored_question, doubt.fresh_answer) == (THIRD, nearest, OTHER)
    assert (doubt.stored_answer, doubt.verdict, doubt.request_id) == (ANSWER, "wrong", asked.request_id)
    assert (doubt.team, doubt.route, doubt.ruling) == ("support", "faq", None)
    assert (await audited(ask(nearest), may_join=False)).disposition == "miss"
    assert audited.cache.certificates()["faq"].wrong == 1


async def test_after_a_wrong_hit_the_fresh_answer_is_served_for_the_same_text(audited: Kept) -> None:
    await audited.audit(await audited(ask(THIRD, may_audit=True)), OTHER)
    again = await audited(ask(THIRD))
    assert disposed(again) == ("exact", "same-text")
    assert served(again) == OTHER


async def test_a_wrong_hit_lowers_its_group(audited: Kept) -> None:
    before = await audited(ask(THIRD, may_audit=True))
    await audited.audit(before, OTHER)
    audited.cache.purge(id=(await audited(ask(THIRD))).entry.id)  # type: ignore[union-attr]
    after = await audited(ask(THIRD))
    assert before.confidence is not None
    assert after.confidence is not None
    assert after.confidence < before.confidence - 0.0005


async def test_after_a_wrong_hit_its_group_serves_nothing_until_a_fresh_answer_says_the_same(keep: Keep) -> None:
    wordings = [f"{THIRD} {word}" for word in ("Anybody?", "Anyone?", "Please?")]
    kept = keep(Compass({**BETWEEN.directions, **dict.fromkeys(wordings, 6.0)}))
    await kept.learn(ask(), ANSWER)
    await kept.learn(ask(PARAPHRASE), REWORDED)
    await kept.audit(await kept(ask(wordings[0], may_audit=True)), OTHER)
    kept.cache.purge(id=(await kept(ask(wordings[0]))).entry.id)  # type: ignore[union-attr]
    miss = await kept(ask(wordings[1]))
    assert disposed(miss) == ("miss", "doubted")
    kept.answer(miss, REWORDED)
    await kept.cache.settle()
    assert (await kept(ask(wordings[2]))).judgement.claim > 0.99  # type: ignore[union-attr]


async def test_behind_a_quarantined_anchor_a_clean_one_of_the_group_serves(audited: Kept) -> None:
    hit = await audited(ask(THIRD))
    assert hit.judgement is not None
    assert hit.judgement.neighbour is not None
    audited.store.quarantine(hit.judgement.neighbour.anchor_id, True)
    again = await audited(ask(THIRD))
    assert again.disposition == "semantic"
    assert again.judgement is not None
    assert again.judgement.neighbour is not None
    assert again.judgement.neighbour.anchor_id != hit.judgement.neighbour.anchor_id
    assert again.judgement.nearest is not None
    assert again.judgement.nearest.anchor_id == hit.judgement.neighbour.anchor_id  # which still is context


async def test_a_quarantined_anchor_is_not_served_for_its_own_text_either(audited: Kept) -> None:
    entry = (await audited(ask())).entry
    assert entry is not None
    (anchor,) = audited.store.anchors_of(entry.id)
    audited.store.quarantine(anchor.id, True)
    assert (await audited(ask())).disposition == "semantic"  # by the other question of the group
    audited.cache.purge(id=(await audited(ask(PARAPHRASE))).entry.id)  # type: ignore[union-attr]
    assert disposed(await audited(ask(), may_join=False)) == ("miss", "not-acceptable")


async def test_an_unclear_audit_is_neither_right_nor_wrong_but_is_listed(audited: Kept) -> None:
    assert await audited.audit(await audited(ask(THIRD, may_audit=True)), UNCLEAR) == "unclear"
    certificate = audited.cache.certificates()["faq"]
    assert (certificate.audited, certificate.wrong, certificate.unclear) == (0, 0, 1)
    (doubt,) = audited.doubts()
    assert doubt.verdict == "unclear"
    assert (await audited(ask(THIRD))).disposition == "semantic"


async def test_a_failed_audit_is_no_evidence_and_leaves_everything_as_it_was(audited: Kept) -> None:
    hit = await audited(ask(THIRD, may_audit=True))
    assert hit.follow_up is not None
    audited.cache.audit_failed(hit.follow_up)
    certificate = audited.cache.certificates()["faq"]
    assert (certificate.hits, certificate.failed, certificate.audited, certificate.wrong) == (1, 1, 0, 0)
    assert audited.doubts() == []
    assert (await audited(ask(THIRD))).confidence == hit.confidence


async def test_an_audit_that_breaks_is_a_failed_one_and_a_counted_fault(keep: Keep) -> None:
    class Tiring(Compass):
        async def encode(self, text: str, *, here: bool = False):  # type: ignore[no-untyped-def]
            if text == "forgot: too much":
                raise RuntimeError("enough")
            return await super().encode(text)

    kept = keep(Tiring({QUESTION: 0, PARAPHRASE: 10}))
    await kept.learn(ask())
    assert await kept.audit(await kept(ask(PARAPHRASE, may_audit=True)), "forgot: too much") is None
    assert [type(fault) for fault in kept.faults] == [RuntimeError]
    assert kept.cache.certificates()["faq"].failed == 1


async def test_what_was_purged_before_its_audit_came_is_neither_condemned_nor_listed(audited: Kept) -> None:
    hit = await audited(ask(THIRD, may_audit=True))
    assert hit.entry is not None
    audited.cache.purge(id=hit.entry.id)
    assert await audited.audit(hit, OTHER) is None
    assert audited.doubts() == []
    assert audited.cache.certificates()["faq"].failed == 1
    assert (await audited(ask(THIRD))).disposition == "semantic"  # the other question of the group is clean


async def test_an_audit_finds_the_group_that_its_entry_has_joined_meanwhile(keep: Keep) -> None:
    kept = keep(Compass(dict(BETWEEN.directions)))
    await kept.learn(ask(FAR), ANSWER)
    kept.answer(await kept(ask(), may_join=False), REWORDED)  # not compared with the other answer yet
    hit = await kept(ask(THIRD, may_audit=True))
    assert hit.disposition == "semantic"
    await kept.cache.settle()
    assert await kept.audit(hit, "forgot: So.") == "same"


class Near(ByLabel):
    """Answers with other labels are alike enough to be linked where their questions speak for it, and say something
    else."""

    link_at = same_at = 0.9

    def sameness(self, one: str, two: str, cosine: float) -> float:
        return max(super().sameness(one, two, cosine), 0.7)


FIVE, NINETY = "five: within 5 minutes", "ninety: within 90 minutes"


@pytest.fixture
async def mixed(keep: Keep) -> Kept:
    """With a group of two answers that say different things, because their questions are so near each other."""
    kept = keep(Compass({QUESTION: 0, PARAPHRASE: 10, THIRD: 16}), comparison=Near())
    for text, answer in ((QUESTION, FIVE), (PARAPHRASE, NINETY)):
        kept.answer(await kept(ask(text, policy=CLOSED)), answer)
        await kept.cache.settle()
    assert (kept.count("entries"), kept.count("groups")) == (2, 1)
    kept.cache.trust.forget("faq")
    kept.labels.clear()
    return kept


@pytest.mark.parametrize(("fresh", "verdict"), [(FIVE, "different"), (NINETY, "same")])
async def test_an_audit_judges_what_was_served_not_what_its_group_says(
    mixed: Kept, fresh: str, verdict: Verdict
) -> None:
    mixed.cache.trust.open("faq", PRIOR)
    hit = await mixed(ask(THIRD, may_audit=True))
    assert served(hit) == NINETY
    assert await mixed.audit(hit, fresh) == verdict
    assert mixed.cache.certificates()["faq"].wrong == (verdict == "different")
    assert [doubt.stored_answer for doubt in mixed.doubts()] == [NINETY] * (verdict != "same")


@pytest.mark.parametrize(("fresh", "verdict"), [(FIVE, "different"), (NINETY, "same")])
async def test_what_would_have_been_served_is_judged_itself_too(mixed: Kept, fresh: str, verdict: Verdict) -> None:
    mixed.answer(await mixed(ask(THIRD, policy=CLOSED)), fresh)
    await mixed.cache.settle()
    assert [label for _, _, label in mixed.labels] == [verdict]
    certificate = mixed.cache.certificates()["faq"]
    assert (certificate.free, certificate.free_wrong) == (1, verdict == "different")


async def test_a_hit_in_spite_of_a_mismatch_that_turns_out_wrong_makes_the_mismatch_block_again(keep: Keep) -> None:
    """Questions of 64, 128 and 256 GB have one answer, and then they have not."""
    sizes = [64, 128, 256, 512, 1024]
    questions = [f"Is the {size} GB model available in blue?" for size in sizes]
    kept = keep(Compass({question: float(at) for at, question in enumerate(questions)}))
    await kept.learn(ask(questions[0]), "blue: Yes.")
    for question in questions[1:4]:
        miss = await kept(ask(question))
        assert disposed(miss) == ("miss", "number-mismatch")
        kept.answer(miss, "blue: Yes, it is.")
        await kept.cache.settle()
    hit = await kept(ask(questions[4], may_audit=True))
    assert hit.disposition == "semantic"
    assert await kept.audit(hit, "red: Only in red.") == "different"
    kept.cache.purge(id=(await kept(ask(questions[4]))).entry.id)  # type: ignore[union-attr]
    assert disposed(await kept(ask(questions[4]))) == ("miss", "number-mismatch")


# --- Drift --------------------------------------------------------------------------------------------------


async def test_when_right_answers_change_audits_notice_and_the_stale_ones_are_served_no_more(keep: Keep) -> None:
    wordings = {f"How do I reset my password, {word}?": 0.2 * at for at, word in enumerate("abcdefghijklmnopqrst")}
    kept = keep(Compass({**wordings, THIRD: 1.0}))
    for text in wordings:
        await kept.learn(ask(text), ANSWER)
    served_stale = 0
    for _ in range(200):
        hit = await kept(ask(THIRD, may_audit=True), may_join=False)
        if hit.disposition != "semantic":
            break
        served_stale += 1
        assert hit.follow_up is not None
        await kept.audit(hit, OTHER)
    assert served_stale < 20


# --- People -------------------------------------------------------------------------------------------------


async def test_a_persons_ruling_frees_an_anchor_and_takes_back_what_its_group_was_charged(audited: Kept) -> None:
    before = await audited(ask(THIRD, may_audit=True))
    await audited.audit(before, OTHER)
    (doubt,) = audited.doubts()
    assert audited.cache.rule(doubt.id, "right")
    assert served(await audited(ask(doubt.stored_question))) in (ANSWER, REWORDED)
    assert audited.doubts() == []
    audited.cache.purge(id=(await audited(ask(THIRD))).entry.id)  # type: ignore[union-attr]
    after = await audited(ask(THIRD))
    assert after.confidence == pytest.approx(before.confidence, abs=0.001)


async def test_a_ruling_that_agrees_with_the_audit_or_is_repeated_changes_nothing(audited: Kept) -> None:
    hit = await audited(ask(THIRD, may_audit=True))
    await audited.audit(hit, OTHER)
    (doubt,) = audited.doubts()

    def evidence() -> list[bytes]:
        audited.store.flush()
        return [group.evidence for group, _ in audited.store.load_groups("compass-1")]

    found = evidence()
    for _ in range(2):
        assert audited.cache.rule(doubt.id, "wrong")
        assert evidence() == found
    assert audited.cache.rule(doubt.id, "right")
    freed = evidence()
    audited.cache.rule(doubt.id, "right")
    assert evidence() == freed != found


@pytest.mark.parametrize("ruling", ["right", "wrong"])
async def test_ruling_again_before_the_first_is_in_the_file_changes_nothing(
    audited: Kept, ruling: Literal["right", "wrong"]
) -> None:
    hit = await audited(ask(THIRD, may_audit=True))
    await audited.audit(hit, OTHER if ruling == "right" else UNCLEAR)
    (doubt,) = audited.doubts()
    group = audited.cache._holdings.group(doubt.group_id)
    assert group is not None
    with audited.engine.begin() as other:
        other.exec_driver_sql("UPDATE doubts SET p = p")  # the file is locked
        assert audited.cache.rule(doubt.id, ruling)
        once = msgspec.json.encode(group.evidence), audited.cache.certificates()
        for _ in range(3):
            assert audited.cache.rule(doubt.id, ruling)
    assert (msgspec.json.encode(group.evidence), audited.cache.certificates()) == once
    assert audited.doubts() == []


async def test_a_person_who_calls_an_unclear_hit_wrong_is_heard_by_the_certificate_once(audited: Kept) -> None:
    hit = await audited(ask(THIRD, may_audit=True))
    assert await audited.audit(hit, UNCLEAR) == "unclear"
    (doubt,) = audited.doubts()
    known = [audited.cache.certificates()["faq"]]
    kappa = audited.cache.trust.kappa("faq", PRIOR)
    rulings: tuple[Literal["right", "wrong"], ...] = ("right", "wrong", "right", "wrong")
    for ruling in rulings:
        assert audited.cache.rule(doubt.id, ruling)
        known.append(audited.cache.certificates()["faq"])
    assert [each.complaints for each in known] == [0, 0, 1, 1, 1]
    assert known[0] == known[1]
    assert known[2] == known[3] == known[4]
    assert audited.cache.trust.kappa("faq", PRIOR) > kappa


async def test_a_person_who_agrees_with_an_audit_tells_the_certificate_nothing_new(audited: Kept) -> None:
    await audited.audit(await audited(ask(THIRD, may_audit=True)), OTHER)
    (doubt,) = audited.doubts()
    before = audited.cache.certificates()
    assert audited.cache.rule(doubt.id, "wrong")
    assert audited.cache.certificates() == before


async def test_a_complaint_that_a_person_calls_mistaken_speaks_no_more_against_its_answer(audited: Kept) -> None:
    asked = ask(THIRD)
    assert (await audited(asked)).disposition == "semantic"
    complaint = await audited.cache.complain(asked.request_id)
    assert complaint.audit is not None
    audited.cache.audit_failed(complaint.audit)
    (doubt,) = audited.doubts()
    group = audited.cache._holdings.group(doubt.group_id)
    assert group is not None
    assert audited.cache.rule(doubt.id, "right")
    assert group.evidence.offset >= 0
    assert group.evidence.suspicion == 0
    assert (await audited(ask(THIRD))).disposition == "semantic"


async def test_who_rules_on_an_unclear_hit_decides_it(audited: Kept) -> None:
    hit = await audited(ask(THIRD, may_audit=True))
    await audited.audit(hit, UNCLEAR)
    (doubt,) = audited.doubts()
    assert audited.cache.rule(doubt.id, "wrong")
    again = await audited(ask(THIRD), may_join=False)
    assert again.judgement is not None
    assert again.judgement.neighbour != hit.judgement.neighbour  # type: ignore[union-attr]


async def test_ruling_again_the_same_way_changes_nothing_on_new_terms_either(audited: Kept) -> None:
    await audited.audit(await audited(ask(THIRD, may_audit=True)), UNCLEAR)
    (doubt,) = audited.doubts()
    assert audited.cache.rule(doubt.id, "wrong")
    audited.cache.trust.open("faq", CachePolicy(start="prior", max_wrong=0.02))
    before = audited.cache.certificates()
    assert audited.cache.rule(doubt.id, "wrong")
    assert audited.cache.certificates() == before


@pytest.mark.parametrize("is_overruled", [False, True])
async def test_a_right_hit_does_not_free_an_anchor_that_another_hit_has_shown_to_be_wrong(
    keep: Keep, is_overruled: bool
) -> None:
    kept = keep(Compass({QUESTION: 0, PARAPHRASE: 10, THIRD: -10}))
    await kept.learn(ask(), ANSWER)
    assert await kept.audit(await kept(ask(PARAPHRASE, may_audit=True)), UNCLEAR) == "unclear"
    assert await kept.audit(await kept(ask(THIRD, may_audit=True)), OTHER) == "different"
    wrong, unclear = kept.doubts()
    assert wrong.anchor_id == unclear.anchor_id
    if is_overruled:
        assert kept.cache.rule(wrong.id, "wrong")
        assert kept.cache.rule(wrong.id, "right")
    assert kept.cache.rule(unclear.id, "right")
    found = kept.store.by_anchor(wrong.anchor_id)
    assert found is not None
    assert found[0].is_quarantined is not is_overruled


async def test_a_ruling_on_what_is_not_listed_is_refused(audited: Kept) -> None:
    assert audited.cache.rule(99, "right") is False


async def test_a_ruling_on_what_has_gone_is_no_error(audited: Kept) -> None:
    await audited.audit(await audited(ask(THIRD, may_audit=True)), OTHER)
    (doubt,) = audited.doubts()
    audited.clock.move_s(10**9)
    await audited(ask(THIRD), may_join=False)
    assert audited.count("entries") == 0
    assert audited.cache.rule(doubt.id, "right")
    assert audited.faults == []


# --- Groups that become one -----------------------------------------------------------------------------------


async def merge(kept: Kept, entry_id: str) -> Group:
    """The group of this entry becomes part of another one, which is returned."""
    holdings, other_id = kept.cache._holdings, await kept.learn(ask(FAR), NORWAY)
    entry, other = kept.store.entry(entry_id), kept.store.entry(other_id)
    assert entry is not None
    assert other is not None
    old, new = holdings.group(entry.group_id), holdings.group(other.group_id)
    assert old is not None
    assert new is not None
    holdings.merge(old, new)
    return new


async def test_a_group_that_becomes_another_while_a_judge_is_asked_is_charged_all_the_same(audited: Kept) -> None:
    hit = await audited(ask(THIRD, may_audit=True))
    assert hit.follow_up is not None
    merged: list[Group] = []

    async def judged(_served: str, _fresh: str) -> Verdict:
        merged.append(await merge(audited, hit.follow_up.entry_id))  # type: ignore[union-attr]
        return "different"

    assert await audited.cache.followed(hit.follow_up, fresh(UNCLEAR), judged) == "different"
    assert merged[0].evidence.offset < 0
    assert [doubt.group_id for doubt in audited.doubts()] == [merged[0].id]


async def test_a_person_takes_back_what_a_group_was_charged_that_has_become_another(audited: Kept) -> None:
    await audited.audit(await audited(ask(THIRD, may_audit=True)), OTHER)
    (doubt,) = audited.doubts()
    group = await merge(audited, doubt.entry_id)
    assert group.evidence.offset < 0
    assert audited.cache.rule(doubt.id, "right")
    assert group.evidence.offset >= 0


async def test_what_a_group_was_charged_that_has_become_another_is_known_after_a_restart(keep: Keep) -> None:
    before = keep(Compass(dict(BETWEEN.directions)))
    await before.learn(ask(), ANSWER)
    hit = await before(ask(THIRD, may_audit=True))
    await before.audit(hit, OTHER)
    group = await merge(before, before.doubts()[0].entry_id)
    before.close()
    after = keep(Compass(dict(BETWEEN.directions))).cache._holdings.group(group.id)
    assert after is not None
    assert after.evidence.offset == group.evidence.offset < 0


# --- Complaints -----------------------------------------------------------------------------------------------


async def complain(kept: Kept, text: str = THIRD, **asked: Any) -> Complaint:
    """A semantic hit that its asker calls wrong."""
    query = ask(text, **asked)
    assert (await kept(query)).disposition == "semantic"
    return await kept.cache.complain(query.request_id)


async def settled(kept: Kept, complaint: Complaint, answer: str | None) -> None:
    """What asking again says of it; None if nothing came."""
    assert complaint.audit is not None
    if answer is None:
        kept.cache.audit_failed(complaint.audit)
    else:
        await kept.cache.followed(complaint.audit, fresh(answer))
    await kept.cache.settle()


async def test_a_complaint_counts_once_and_changes_nothing_until_it_is_settled(audited: Kept) -> None:
    asked = ask(THIRD)
    hit, kappa = await audited(asked), audited.cache.trust.kappa("faq", PRIOR)
    assert (await audited.cache.complain(asked.request_id)).is_counted
    assert not (await audited.cache.complain(asked.request_id)).is_counted
    certificate = audited.cache.certificates()["faq"]
    assert (certificate.complaints, certificate.audited, certificate.wrong) == (1, 0, 0)
    again = await audited(ask(THIRD))
    assert (served(again), again.confidence) == (ANSWER, hit.confidence)
    assert audited.cache.trust.kappa("faq", PRIOR) == kappa
    assert audited.doubts() == []


async def test_a_complaint_that_an_audit_finds_right_is_a_wrong_hit(audited: Kept) -> None:
    complaint, kappa = await complain(audited), audited.cache.trust.kappa("faq", PRIOR)
    await settled(audited, complaint, OTHER)
    (doubt,) = audited.doubts()
    assert (doubt.verdict, doubt.asked, doubt.fresh_answer) == ("wrong", THIRD, OTHER)
    certificate = audited.cache.certificates()["faq"]
    assert (certificate.hits, certificate.audited, certificate.wrong) == (1, 0, 0)
    assert audited.cache.trust.kappa("faq", PRIOR) > kappa
    assert served(await audited(ask(THIRD))) == OTHER


async def test_what_settles_a_complaint_is_found_by_other_words_too(audited: Kept) -> None:
    complaint = await complain(audited)
    vectors = audited.count("vectors")
    await settled(audited, complaint, OTHER)
    assert audited.count("vectors") == vectors + 1


async def test_a_complaint_that_an_audit_finds_wrong_leaves_no_trace(audited: Kept) -> None:
    complaint = await complain(audited)
    before = audited.cache.certificates()["faq"]
    await settled(audited, complaint, REWORDED)
    assert audited.cache.certificates()["faq"] == before
    assert audited.doubts() == []
    assert served(await audited(ask(THIRD))) == ANSWER


@pytest.mark.parametrize("answer", [None, UNCLEAR])
async def test_a_complaint_that_nobody_can_settle_is_listed_and_its_answer_is_still_served(
    audited: Kept, answer: str | None
) -> None:
    before = await audited(ask(THIRD))
    complaint = await complain(audited)
    await settled(audited, complaint, answer)
    (doubt,) = audited.doubts()
    assert (doubt.asked, doubt.verdict, doubt.fresh_answer) == (THIRD, "unclear", answer or "")
    again = await audited(ask(THIRD))
    assert (served(again), again.confidence) == (ANSWER, before.confidence)


async def test_one_asker_s_complaints_about_one_answer_count_once(audited: Kept) -> None:
    first = await complain(audited, asker="one")
    assert first.is_counted
    await settled(audited, first, None)
    for _ in range(3):
        assert await complain(audited, asker="one") == Complaint()
    assert audited.cache.certificates()["faq"].complaints == 1
    assert (await complain(audited, asker="two")).is_counted
    assert (await complain(audited, asker="one", app="console")).is_counted


async def test_several_askers_complaints_keep_an_answer_from_serving_until_a_fresh_one_confirms_it(
    audited: Kept,
) -> None:
    for _ in range(300):
        audited.cache.trust.hit_labelled("faq", PRIOR, claiming(0.999), 1.0, "right")
    kappa = audited.cache.trust.kappa("faq", PRIOR)
    for asker in ("one", "two", "three"):
        assert served(await audited(ask(THIRD))) == ANSWER
        await settled(audited, await complain(audited, asker=asker), None)
    doubtful = await audited(ask(THIRD, asker="four"))
    assert disposed(doubtful) == ("miss", "doubted")
    assert audited.cache.trust.kappa("faq", PRIOR) == kappa
    audited.answer(doubtful, REWORDED)
    await audited.cache.settle()
    assert (await audited(ask(FOURTH))).disposition == "semantic"


@pytest.mark.parametrize("verdict", [ANSWER, OTHER])
async def test_what_a_drawn_audit_has_settled_is_not_settled_again(audited: Kept, verdict: str) -> None:
    asked = ask(THIRD, may_audit=True)
    await audited.audit(await audited(asked), verdict)
    before = audited.cache.certificates()["faq"]
    assert await audited.cache.complain(asked.request_id) == Complaint(is_counted=True)
    after = audited.cache.certificates()["faq"]
    assert (after.complaints, after.bound, after.kappa) == (1, before.bound, before.kappa)


@pytest.mark.parametrize(
    ("answer", "counts", "listed", "is_suspected"),
    [
        (REWORDED, {"complaints": 1, "audited": 1, "wrong": 0}, [], False),
        (OTHER, {"complaints": 1, "audited": 1, "wrong": 1}, ["wrong"], True),
        (UNCLEAR, {"complaints": 1, "audited": 0, "unclear": 1}, ["unclear"], True),
        (None, {"complaints": 1, "audited": 0, "failed": 1}, ["unclear"], True),
    ],
    ids=["right", "wrong", "unclear", "failed"],
)
async def test_an_audit_that_is_under_way_settles_the_complaint_about_its_hit_too(
    audited: Kept, answer: str | None, counts: dict[str, int], listed: list[str], is_suspected: bool
) -> None:
    """Nothing is asked for a second time. A clear answer settles both, else the complaint stands unsettled."""
    asked = ask(THIRD, may_audit=True)
    hit = await audited(asked)
    assert await audited.cache.complain(asked.request_id) == Complaint(is_counted=True)
    assert not (await audited.cache.complain(asked.request_id)).is_counted
    assert hit.entry is not None
    group = audited.cache._holdings.group(hit.entry.group_id)
    assert group is not None
    assert group.evidence.suspicion == 0
    if answer is None:
        assert hit.follow_up is not None
        audited.cache.audit_failed(hit.follow_up)
    else:
        await audited.audit(hit, answer)
    certificate = audited.cache.certificates()["faq"]
    assert {name: getattr(certificate, name) for name in counts} == counts
    assert [doubt.verdict for doubt in audited.doubts()] == listed
    assert (group.evidence.suspicion > 0) == is_suspected


@pytest.mark.parametrize("answer", [UNCLEAR, None])
async def test_a_complaint_that_comes_after_an_audit_that_could_not_tell_has_one_of_its_own(
    audited: Kept, answer: str | None
) -> None:
    asked = ask(THIRD, may_audit=True)
    hit = await audited(asked)
    assert hit.follow_up is not None
    if answer is None:
        audited.cache.audit_failed(hit.follow_up)
    else:
        await audited.audit(hit, answer)
    complaint = await audited.cache.complain(asked.request_id)
    assert complaint.audit is not None
    await settled(audited, complaint, OTHER)
    assert "wrong" in [doubt.verdict for doubt in audited.doubts()]


async def test_only_a_semantic_hit_can_be_complained_about(audited: Kept) -> None:
    exact, missed = ask(), ask(FAR)
    assert (await audited(exact)).disposition == "exact"
    assert (await audited(missed)).disposition == "miss"
    assert [await audited.cache.complain(each.request_id) for each in (exact, missed)] == [Complaint(), Complaint()]
    assert await audited.cache.complain("req_never") == Complaint()


async def test_a_complaint_about_what_was_purged_lists_no_text_of_it_and_asks_nobody(audited: Kept) -> None:
    asked = ask(THIRD)
    hit = await audited(asked)
    assert hit.entry is not None
    audited.cache.purge(id=hit.entry.id)
    assert await audited.cache.complain(asked.request_id) == Complaint(is_counted=True)
    assert audited.doubts() == []


async def test_an_answer_that_settles_a_complaint_from_before_a_purge_is_stored(audited: Kept) -> None:
    asked = ask(THIRD)
    await audited(asked)
    audited.cache.purge(team="another")
    await settled(audited, await audited.cache.complain(asked.request_id), OTHER)
    assert served(await audited(ask(THIRD))) == OTHER


# --- A restart ------------------------------------------------------------------------------------------------


def test_a_killed_process_does_not_reopen_a_route_that_labels_have_closed(store: EntryStore, trust: Trust) -> None:
    for _ in range(100):
        trust.hit_labelled("a", PRIOR, claiming(0.999), 1.0, "right")
    stricter = []
    while (before := trust.kappa("a", PRIOR)) <= 1:
        trust.hit_labelled("a", PRIOR, claiming(0.999), 1.0, "wrong")
        if trust.kappa("a", PRIOR) > before:
            store.flush()
            stricter.append(trust.kappa("a", PRIOR))
            assert Trust(store, PLAIN, random.Random(1), Clock()).kappa("a", PRIOR) == stricter[-1]
    assert stricter[-1] == float("inf")


def test_a_killed_process_does_not_make_a_stale_certificate_good(store: EntryStore, trust: Trust) -> None:
    trust.hit_labelled("a", PRIOR, claiming(0.999), 1.0, "right")
    while trust.state("a", PRIOR) != "stale":
        trust.draw("a", PRIOR, claiming(0.99), may_audit=False)
    store.flush()
    assert Trust(store, PLAIN, random.Random(1), Clock()).state("a", PRIOR) == "stale"


async def test_a_restart_keeps_certificates_quarantine_and_doubts(keep: Keep) -> None:
    before = keep(Compass(dict(BETWEEN.directions)))
    await before.learn(ask(), ANSWER)
    hit = await before(ask(THIRD, may_audit=True))
    await before.audit(hit, OTHER)
    certificate = before.cache.certificates()["faq"]
    before.close()

    after = keep(Compass(dict(BETWEEN.directions)))
    assert (await after(ask(QUESTION), may_join=False)).disposition == "miss"
    assert served(await after(ask(THIRD))) == OTHER
    assert after.cache.certificates()["faq"].wrong == certificate.wrong == 1
    (doubt,) = after.doubts()
    assert after.cache.rule(doubt.id, "right")
    assert served(await after(ask(QUESTION))) == ANSWER
