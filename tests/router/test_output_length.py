"""What the estimate of output tokens promises."""

import numpy as np
import pytest

from router.output_length import PRIOR_TOKENS, Lengths
from router.workload import Workload


def test_nothing_seen_is_the_prior_of_the_class() -> None:
    for workload in Workload:
        assert Lengths().expect("any", workload).typical == pytest.approx(PRIOR_TOKENS[workload])


def test_a_model_that_writes_much_is_expected_to_write_much() -> None:
    lengths = Lengths()
    for _ in range(200):
        lengths.learn("terse", Workload.CHAT, 60)
        lengths.learn("wordy", Workload.CHAT, 900)

    assert lengths.expect("terse", Workload.CHAT).tokens == pytest.approx(60, rel=0.3)
    assert lengths.expect("wordy", Workload.CHAT).tokens == pytest.approx(900, rel=0.3)


def test_expected_tokens_of_skewed_lengths_are_their_mean_and_not_their_middle() -> None:
    chance = np.random.default_rng(1)
    written = np.maximum(chance.lognormal(5.5, 1.0, 4000), 1).astype(int)
    lengths = Lengths()
    for tokens in written:
        lengths.learn("model", Workload.REASONING, int(tokens))

    found = lengths.expect("model", Workload.REASONING)

    assert found.tokens == pytest.approx(written.mean(), rel=0.08)
    assert found.typical == pytest.approx(np.median(written), rel=0.08)
    assert found.smearing > 1.4


def test_a_new_model_is_expected_to_write_as_the_others_do() -> None:
    lengths = Lengths()
    for _ in range(300):
        lengths.learn("known", Workload.CHAT, 1000)

    assert lengths.expect("new", Workload.CHAT).tokens > 2 * Lengths().expect("new", Workload.CHAT).tokens


def test_a_class_that_was_not_seen_follows_the_model() -> None:
    lengths = Lengths()
    for _ in range(300):
        lengths.learn("terse", Workload.CHAT, 25)

    assert lengths.expect("terse", Workload.CODE).typical < 0.3 * PRIOR_TOKENS[Workload.CODE]


def test_old_lengths_fade() -> None:
    lengths = Lengths()
    for tokens in [100] * 5000 + [800] * 5000:
        lengths.learn("model", Workload.CHAT, tokens)

    assert lengths.expect("model", Workload.CHAT).tokens > 600


def test_an_answer_without_tokens_teaches_nothing() -> None:
    lengths = Lengths()
    lengths.learn("model", Workload.CHAT, 0)

    assert lengths.expect("model", Workload.CHAT).seen == 0


def test_an_export_restores_the_same_expectations() -> None:
    lengths = Lengths()
    for tokens in (40, 90, 400):
        lengths.learn("model", Workload.CHAT, tokens)

    copy = Lengths.restore(lengths.export())

    assert copy.expect("model", Workload.CHAT) == lengths.expect("model", Workload.CHAT)


def test_foreign_content_is_refused() -> None:
    with pytest.raises(ValueError):
        Lengths.restore(b"[]")
