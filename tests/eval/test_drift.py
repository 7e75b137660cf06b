"""Answers that change while the cache is full of the old ones, on a made stream through the real cache."""

import pytest

from cache.decision import Prior
from eval.cache import policy_of
from eval.drift import CHANGES, measure_drift
from eval.streams import Question
from tests.eval.made_streams import made_prior, made_stream

POLICY = policy_of(0.02, "prior")


@pytest.fixture(scope="module")
def prior() -> Prior:
    return made_prior()


def test_unannounced_changes_are_noticed_and_announced_ones_do_no_harm(prior: Prior) -> None:
    questions, vectors = made_stream(12, 100, seed=3)

    found = {change: measure_drift(change, questions, vectors, prior, POLICY, seed=1) for change in CHANGES}

    every, one, announced = (found[change] for change in CHANGES)
    assert every.hits_before == one.hits_before == announced.hits_before > 100
    assert every.asked == announced.asked == 600
    assert 30 < one.asked < 70
    assert every.stale > 0
    assert every.audited_until_last <= 200
    assert every.others_audited == 0
    assert one.audited_until_last + one.others_audited <= 200
    assert every.stale_last_tenth == 0
    assert (announced.stale, announced.stale_exact) == (0, 0)
    assert announced.served_again > 0


def test_a_repeated_text_keeps_its_old_answer_until_a_new_version(prior: Prior) -> None:
    questions, vectors = made_stream(2, 5, seed=4)
    same = [Question(questions[0].text, "same")] * 10

    kept, announced = (
        measure_drift(change, same, vectors, prior, POLICY, seed=1)
        for change in ("all answers", "all answers, new knowledge version")
    )

    assert (kept.stale_exact, kept.stale) == (5, 0)
    assert announced.stale_exact == 0
