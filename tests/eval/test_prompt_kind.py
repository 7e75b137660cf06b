from cache.prompt_kind import Weights, grams, shipped_weights
from cache.reading import read
from eval.cacheability import Prompt, read_prompts
from eval.prompt_kind import DATA, fit, prompts_to_fit, to_json


def test_the_shipped_weights_are_written_as_the_fit_writes_them() -> None:
    written = to_json(shipped_weights())
    read_again = Weights.read(written)
    assert to_json(read_again) == written
    assert len(read_again.of) > 1_000


def test_a_fit_tells_kinds_apart_by_what_their_prompts_have_in_common() -> None:
    prompts = [
        Prompt(text, label, "dev")
        for thing in ("parcel", "letter", "refund", "ticket", "card", "bike")
        for text, label in (
            (f"how does a {thing} work", "cacheable"),
            (f"did the {thing} arrive", "personal"),
            (f"which {thing} is cheapest today", "volatile"),
            (f"and the other {thing}", "follow-up"),
            (f"invent a {thing}", "sampling"),
        )
    ]
    weights = fit(prompts)
    found = {text: weights.probabilities(grams(read(text))) for text in ("did the lamp arrive", "how does a lamp work")}
    assert found["did the lamp arrive"]["personal"] > 0.5
    assert sum(found["how does a lamp work"].values()) < 0.5


def test_no_text_of_a_test_part_is_fitted_on() -> None:
    held_out = {
        prompt.text.casefold()
        for name in ("prompts", "others")
        for prompt in read_prompts(DATA / "cacheability" / f"{name}.jsonl", "test")
    }
    fitted = {prompt.text.casefold() for prompt in prompts_to_fit()}
    assert len(held_out) > 1_000
    assert not held_out & fitted
