"""What the estimator of answer quality promises, on made prompts whose quality is known."""

import io

import numpy as np
import pytest

from router.catalogue import Tier
from router.prompt_surface import NAMES
from router.quality import PRIOR, REMEMBERED, Quality, Traits, fit, traits
from router.workload import Workload

TIERS = {"small": Tier.ECONOMY, "middle": Tier.MID, "large": Tier.PREMIUM}
DIM = 16


def made(chance: np.random.Generator, workload: Workload = Workload.CHAT, *, has_vector: bool = True) -> Traits:
    vector = chance.normal(size=DIM).astype(np.float32)
    vector /= np.linalg.norm(vector)
    surface = chance.normal(size=len(NAMES)).astype(np.float32)
    return Traits(vector if has_vector else None, surface, workload)


def easy(prompt: Traits) -> bool:
    """Whether the small model can do it: depends on the vector."""
    assert prompt.vector is not None
    return bool(prompt.vector[0] > 0)


def taught(labels: int, seed: int = 1) -> Quality:
    """The small model fails at hard prompts, the large one never; one model observed for each prompt."""
    chance = np.random.default_rng(seed)
    quality = Quality(TIERS, DIM)
    for number in range(labels):
        prompt = made(chance)
        model = ("small", "large")[number % 2]
        quality.learn(prompt, model, 1.0 if model == "large" or easy(prompt) else 0.0)
    return quality


def test_nothing_learned_is_the_prior_of_tier_and_class() -> None:
    quality = Quality(TIERS, DIM)

    for workload in Workload:
        found = quality.estimate(made(np.random.default_rng(1), workload))

        assert {name: round(each.q, 6) for name, each in found.items()} == {
            name: PRIOR[tier][workload] for name, tier in TIERS.items()
        }
        assert all(each.labels == 0 for each in found.values())


def test_the_prior_ranks_dearer_tiers_higher_in_every_class() -> None:
    for workload in Workload:
        assert PRIOR[Tier.ECONOMY][workload] < PRIOR[Tier.MID][workload] < PRIOR[Tier.PREMIUM][workload]


def test_one_model_observed_for_each_prompt_is_enough_to_tell_easy_from_hard() -> None:
    quality = taught(1200)
    quality.refit()
    chance = np.random.default_rng(2)
    prompts = [made(chance) for _ in range(400)]
    small = [quality.estimate(prompt)["small"].q for prompt in prompts]

    ranked = sorted(range(len(prompts)), key=lambda place: small[place])
    hard, light = ranked[:100], ranked[-100:]

    assert np.mean([easy(prompts[place]) for place in light]) > 0.9
    assert np.mean([easy(prompts[place]) for place in hard]) < 0.1
    assert np.mean([quality.estimate(prompts[place])["large"].q for place in hard]) > 0.85


def test_a_judged_answer_counts_for_its_model_and_class_at_once() -> None:
    chance = np.random.default_rng(1)
    quality = Quality(TIERS, DIM)
    other = made(chance, Workload.CODE)
    before = quality.estimate(other)
    for _ in range(50):
        quality.learn(made(chance, Workload.CODE), "small", 0.0)

    after = quality.estimate(other)

    assert after["small"].q < before["small"].q - 0.4
    assert after["small"].error < before["small"].error
    assert after["large"].q == before["large"].q
    assert after["small"].q < quality.estimate(made(chance, Workload.CHAT))["small"].q


def test_what_is_learned_while_a_fit_is_made_is_not_lost() -> None:
    chance = np.random.default_rng(3)
    quality = taught(100)
    fitted = fit(quality.snapshot(), TIERS)
    for _ in range(60):
        quality.learn(made(chance), "middle", 0.1)

    quality.adopt(fitted)

    assert quality.estimate(made(chance))["middle"].q < 0.5
    assert len(quality) == 160


def test_a_fit_is_due_as_labels_come_and_not_afterwards() -> None:
    quality = taught(15)
    assert not quality.is_fit_due

    quality.learn(made(np.random.default_rng(1)), "small", 1.0)
    assert quality.is_fit_due

    quality.refit()
    assert not quality.is_fit_due


def test_a_prompt_without_a_vector_is_estimated_from_its_surface() -> None:
    chance = np.random.default_rng(4)
    quality = Quality(TIERS, DIM)
    for _ in range(600):
        prompt = made(chance, has_vector=False)
        quality.learn(prompt, "small", float(prompt.surface[2] < 0))
    quality.refit()
    unseen = [made(chance, has_vector=False) for _ in range(200)]

    small = np.array([quality.estimate(prompt)["small"].q for prompt in unseen])

    light = np.array([prompt.surface[2] < 0 for prompt in unseen])
    assert small[light].mean() > small[~light].mean() + 0.1


def test_vectors_help_also_where_some_prompts_have_none() -> None:
    chance = np.random.default_rng(5)
    quality = Quality(TIERS, DIM)
    for number in range(900):
        prompt = made(chance)
        bare = Traits(None, prompt.surface, prompt.workload)
        quality.learn(prompt if number % 3 else bare, "small", float(easy(prompt)))
    quality.refit()
    unseen = [made(chance) for _ in range(300)]

    small = np.array([quality.estimate(prompt)["small"].q for prompt in unseen])

    light = np.array([easy(prompt) for prompt in unseen])
    assert small[light].mean() > small[~light].mean() + 0.1


def test_only_the_newest_answers_are_remembered() -> None:
    chance = np.random.default_rng(6)
    quality = Quality(TIERS, DIM, remembered=100)
    for score in [0.0] * 100 + [1.0] * 100:
        quality.learn(made(chance), "small", score)
    quality.refit()

    assert len(quality) == 100
    assert quality.estimate(made(chance))["small"].q > 0.9
    assert REMEMBERED == 20_000


def test_estimates_stay_between_0_and_1() -> None:
    quality = taught(300)
    quality.refit()
    chance = np.random.default_rng(7)
    far = Traits(None, np.full(len(NAMES), 1e6, np.float32), Workload.REASONING)

    found = [each for prompt in (far, made(chance)) for each in quality.estimate(prompt).values()]

    assert all(0 <= each.q <= 1 and each.error > 0 and each.labels >= 0 for each in found)


def test_the_same_answers_give_the_same_estimates() -> None:
    one, other = taught(400), taught(400)
    one.refit()
    other.refit()

    prompt = made(np.random.default_rng(8))
    assert one.estimate(prompt) == other.estimate(prompt)


def test_an_export_restores_the_same_estimates() -> None:
    quality = taught(300)
    quality.refit()
    copy = Quality(TIERS, DIM)

    assert copy.restore(quality.export("encoder-a"), "encoder-a") == 300
    assert copy.is_fit_due
    copy.refit()

    prompt = made(np.random.default_rng(9))
    for name, found in copy.estimate(prompt).items():
        assert found.q == pytest.approx(quality.estimate(prompt)[name].q, abs=1e-3)


def test_vectors_of_another_encoder_are_not_compared() -> None:
    quality = taught(300)
    copy = Quality(TIERS, DIM)

    assert copy.restore(quality.export("encoder-a"), "encoder-b") == 300

    assert not copy.snapshot().vectors.any()


def test_answers_of_a_model_that_is_no_longer_named_are_left_out() -> None:
    quality = taught(300)
    copy = Quality({"large": Tier.PREMIUM, "new": Tier.MID}, DIM)

    assert copy.restore(quality.export("encoder-a"), "encoder-a") == 150
    assert set(copy.estimate(made(np.random.default_rng(1)))) == {"large", "new"}


def test_what_is_restored_counts_before_it_is_fitted() -> None:
    chance = np.random.default_rng(10)
    quality = Quality(TIERS, DIM)
    for _ in range(100):
        quality.learn(made(chance), "large", 0.1)
    copy = Quality(TIERS, DIM)

    copy.restore(quality.export("encoder-a"), "encoder-a")

    assert copy.estimate(made(chance))["large"].q < 0.3


def test_a_fit_made_of_answers_that_are_long_forgotten_can_be_adopted() -> None:
    chance = np.random.default_rng(11)
    quality = Quality(TIERS, DIM, remembered=20)
    for _ in range(20):
        quality.learn(made(chance), "small", 0.0)
    fitted = fit(quality.snapshot(), TIERS)
    for _ in range(50):
        quality.learn(made(chance), "small", 1.0)

    quality.adopt(fitted)

    assert quality.estimate(made(chance))["small"].q > 0.5


def test_models_that_come_later_are_expected_to_be_as_their_tier_and_take_nothing_from_the_others() -> None:
    quality = taught(1200)
    quality.refit()
    quality.learn(made(np.random.default_rng(5)), "small", 1.0)
    prompt = made(np.random.default_rng(6))
    before = quality.estimate(prompt)

    quality.know(TIERS | {"fresh": Tier.MID})

    found = quality.estimate(prompt)
    assert {name: found[name].q for name in TIERS} == pytest.approx({name: before[name].q for name in TIERS})
    assert (found["fresh"].q, found["fresh"].labels) == (pytest.approx(PRIOR[Tier.MID][prompt.workload]), 0)

    quality.learn(prompt, "fresh", 0.0)
    assert quality.estimate(prompt)["fresh"].q < found["fresh"].q
    quality.refit()
    assert quality.estimate(prompt)["fresh"].q < found["fresh"].q


def test_a_fit_that_was_made_before_a_model_came_is_taken_over() -> None:
    quality = taught(600)
    fitted = fit(quality.snapshot(), quality.tiers)
    quality.know({"fresh": Tier.MID})
    quality.learn(made(np.random.default_rng(7)), "fresh", 0.0)

    quality.adopt(fitted)

    prompt = made(np.random.default_rng(8))
    assert quality.estimate(prompt)["fresh"].q < PRIOR[Tier.MID][prompt.workload]
    assert quality.estimate(prompt)["small"].labels > 0


def test_a_model_that_changes_its_tier_is_expected_to_be_as_much_better() -> None:
    quality = Quality(TIERS, DIM)
    prompt = made(np.random.default_rng(1))

    quality.know(TIERS | {"small": Tier.PREMIUM})

    assert quality.estimate(prompt)["small"].q == pytest.approx(PRIOR[Tier.PREMIUM][prompt.workload])


def test_an_empty_memory_can_be_kept_too() -> None:
    quality = Quality(TIERS, DIM)

    assert quality.restore(Quality(TIERS, DIM).export("encoder-a"), "encoder-a") == 0


@pytest.mark.parametrize("content", [b"", b"nonsense", b"PK\x03\x04 broken"])
def test_foreign_content_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match="no export"):
        Quality(TIERS, DIM).restore(content, "encoder-a")


def test_parts_that_do_not_fit_together_are_refused() -> None:
    kept = dict(np.load(io.BytesIO(taught(20).export("encoder-a"))))
    kept["score"] = kept["score"][:-1]
    content = io.BytesIO()
    np.savez(content, **kept)

    with pytest.raises(ValueError, match="do not fit together"):
        Quality(TIERS, DIM).restore(content.getvalue(), "encoder-a")


@pytest.mark.parametrize("score", [-0.1, 1.1, float("nan")])
def test_a_score_out_of_range_is_refused(score: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        Quality(TIERS, DIM).learn(made(np.random.default_rng(1)), "small", score)


def test_traits_of_any_text_are_finite() -> None:
    for text in ("", " ", "\ud800", "?" * 10_000, "x" * 100_000, "Wie groß ist 3 × 4?", "\n\n"):
        found = traits(text)

        assert found.surface.shape == (len(NAMES),)
        assert np.isfinite(found.surface).all()
