import json
from math import exp

import pytest

from cache.prompt_kind import KINDS, Weights, grams, likely_kinds
from cache.reading import read


def test_a_text_is_its_words_alone_and_each_with_the_next() -> None:
    assert grams(read("Am I covered?")) == {
        *("<", "am", "i", "covered", "?", ">"),
        *("< am", "am i", "i covered", "covered ?", "? >"),
    }


def test_of_a_number_only_the_length_counts() -> None:
    assert grams(read("order 4711 of 12 May")) == grams(read("order 9023 of 31 May"))
    assert grams(read("order 4711")) != grams(read("order 47"))


def test_what_is_quoted_is_spoken_of_not_said() -> None:
    assert grams(read("What does 'my order' mean?")) == grams(read("What does 'am I covered' mean?"))


def test_probabilities_are_those_of_a_softmax_against_a_cacheable_prompt() -> None:
    weights = Weights({"a": [1.0, 0, 0, 0], "b": [3.0, 2.0, 0, 0]}, [-1.0, 0, 0, 0])
    odds = [exp(-1 + 4 / 2**0.5), exp(2 / 2**0.5), 1, 1]
    found = weights.probabilities(["a", "b", "unknown"])
    assert list(found.values()) == pytest.approx([each / (1 + sum(odds)) for each in odds])
    assert sum(weights.probabilities([]).values()) < 1


def test_weights_of_other_kinds_are_refused() -> None:
    text = json.dumps({"kinds": ["personal"], "intercept": [0], "weights": {}})
    with pytest.raises(ValueError, match="fit them again"):
        Weights.read(text)


def test_every_text_has_a_probability_of_each_kind() -> None:
    for text in ("", "?", "ÄÖÜ", "😀 😀", "x" * 2000, "1234567890 " * 150):
        kinds = likely_kinds(read(text))
        assert tuple(kinds) == KINDS
        assert all(0 <= p <= 1 for p in kinds.values())
        assert sum(kinds.values()) <= 1 + 1e-9
