"""What a certificate promises: the bounds hold whenever one looks, and kappa follows from evidence alone."""

import ast
import re
import zlib
from collections.abc import Callable, Iterable
from math import inf
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cache
from cache.certificate import (
    CAP,
    COMPLAINTS_AT_MOST,
    KAPPAS,
    LOWER_WEIGHTS,
    RISKS,
    STALE_HITS,
    STARTS,
    UNSETTLED_OF_ONE,
    UPPER_WEIGHTS,
    Certificate,
    Certifier,
    Floats,
    Label,
    Observation,
    Terms,
    audit_propensity,
    bets,
    fixed_sequence,
    labels_to_go,
    lower_bound,
    settle,
    upper_bound,
)
from cache.decision import TWIN, load_prior

BUDGET = 0.01
UPPER = len(UPPER_WEIGHTS)
NO_CAP = 1e300


def free(label: Label = "right", p: float = 0.995) -> Observation:
    """The label of a request that went upstream."""
    return Observation(p, 1.0, label, is_served=False)


def audit(label: Label | None = "right", p: float = 0.995, propensity: float = 0.2) -> Observation:
    return Observation(p, propensity, label, is_served=True)


def fed(observations: Iterable[Observation], **terms: Any) -> Certifier:
    certifier = Certifier(Terms(**terms))
    feed(certifier, observations)
    return certifier


def feed(certifier: Certifier, observations: Iterable[Observation]) -> None:
    for each in observations:
        certifier.record(each)


def opened(**terms: Any) -> Certifier:
    """A closed route that was certified by right answers alone."""
    certifier = fed([free()] * 1_500, **terms)
    assert certifier.state == "certified"
    return certifier


def serve(
    certifier: Certifier,
    count: int,
    risk: float | Callable[[float], float],
    *,
    seed: int = 1,
    until: Callable[[], bool] = lambda: False,
    unclear: float = 0.0,
) -> tuple[int, int, int]:
    """A route's life: what kappa allows is served and audited, the rest labels itself. -> hits, audited, wrong."""
    rng = np.random.default_rng(seed)
    hits = audited = wrong = 0
    for p, chance, draw, doubt in zip(
        (1 - 0.05 * rng.random(count) ** 2).tolist(),
        rng.random(count).tolist(),
        rng.random(count).tolist(),
        rng.random(count).tolist(),
        strict=True,
    ):
        if until():
            break
        is_wrong = chance < (risk(p) if callable(risk) else risk)
        label: Label | None = "unclear" if doubt < unclear else "wrong" if is_wrong else "right"
        if p < certifier.kappa:
            certifier.record(Observation(p, 1.0, label, is_served=False))
            continue
        propensity = certifier.audit_propensity(p)
        label = label if draw < propensity else None
        hits, audited, wrong = hits + 1, audited + (label is not None), wrong + is_wrong
        certifier.record(Observation(p, propensity, label, is_served=True))
    return hits, audited, wrong


# The bound


def highest(wealth: Floats, weights: Floats, best: Floats) -> None:
    np.maximum(best, (wealth @ weights)[:, 0], out=best)


def test_the_risk_leaves_its_bounds_in_no_more_than_delta_of_the_runs_however_often_one_looks() -> None:
    rng = np.random.default_rng(11)
    for risk in (0.002, 0.01, 0.1):
        coefficients = bets(np.array([risk]))
        wealth = np.ones((1_500, 1, coefficients.shape[1]))
        above, below = np.zeros(1_500), np.zeros(1_500)
        for wrong in rng.random((1_500, 1_500)) < risk:
            settle(wealth, 1 + coefficients * (risk - wrong[:, None, None]), NO_CAP)
            highest(wealth[..., :UPPER], UPPER_WEIGHTS, above)
            highest(wealth[..., UPPER:], LOWER_WEIGHTS, below)
        for level in (0.05, 0.2):
            assert np.mean(above >= 1 / level) <= level * 1.15
            assert np.mean(below >= 1 / level) <= level * 1.15


@pytest.mark.parametrize(("doubtful", "sure"), [(0.04, 0.0), (0.0, 0.02)])
def test_the_bounds_hold_for_a_mixture_of_free_labels_and_audits(doubtful: float, sure: float) -> None:
    """Doubtful candidates are not served (propensity 1), sure ones are served and audited with 0.05 to 0.2."""
    rng = np.random.default_rng(12)
    runs, steps, rho = 800, 3_000, 0.05
    risk = 0.25 * doubtful + 0.75 * sure
    coefficients = bets(np.array([risk]))
    wealth = np.ones((runs, 1, coefficients.shape[1]))
    above, below = np.zeros(runs), np.zeros(runs)
    for _ in range(steps):
        is_doubtful = rng.random(runs) < 0.25
        propensity = np.where(is_doubtful, 1.0, rng.choice([0.05, 0.1, 0.2], runs))
        wrong = rng.random(runs) < np.where(is_doubtful, doubtful, sure)
        weight = np.where(rng.random(runs) < propensity, rho / propensity, 0.0)
        settle(wealth, 1 + coefficients * (weight * (risk - wrong))[:, None, None], NO_CAP)
        highest(wealth[..., :UPPER], UPPER_WEIGHTS, above)
        highest(wealth[..., UPPER:], LOWER_WEIGHTS, below)
    assert np.mean(above >= 20) <= 0.06
    assert np.mean(below >= 20) <= 0.06


def test_the_bound_is_one_on_the_average_risk_when_the_risk_drifts() -> None:
    rng = np.random.default_rng(13)
    runs = 1_000
    coefficients = bets(np.array([BUDGET]))
    wealth = np.ones((runs, 1, coefficients.shape[1]))
    failed = np.zeros(runs, dtype=bool)
    total = 0.0
    for step in range(1, 2_001):
        risk = 0.0 if step % 800 < 400 else 0.02
        total += risk
        settle(wealth, 1 + coefficients * (BUDGET - (rng.random(runs) < risk)[:, None, None]), NO_CAP)
        if total / step >= BUDGET:
            failed |= (wealth[:, 0, :UPPER] @ UPPER_WEIGHTS) >= 20
    assert failed.mean() <= 0.05


def test_the_bounds_close_in_on_the_risk() -> None:
    rng = np.random.default_rng(14)
    risks = np.array(RISKS) * BUDGET
    wealth = np.ones((len(risks), bets(risks).shape[1]))
    for wrong in rng.random(6_000) < 0.005:
        settle(wealth, 1 + bets(risks) * (risks[:, None] - wrong), NO_CAP)
    assert 0.002 <= lower_bound(wealth, risks, 0.05) < 0.005 < upper_bound(wealth, risks, 0.05) <= 0.009


def test_no_bet_can_lose_everything() -> None:
    risks = np.array([0.001, 0.01, 0.1, 0.5, 0.89])
    for loss in (0.0, 1.0):
        assert (1 + bets(risks) * (risks[:, None] - loss) > 0).all()


def test_more_right_labels_only_lower_the_bounds_and_wrong_ones_only_raise_them() -> None:
    risks = np.array(RISKS) * BUDGET
    wealth = np.ones((len(risks), bets(risks).shape[1]))
    pattern = [0.0] * 300 + [1.0] + [0.0] * 200 + [1.0] * 8
    before = (1.0, 0.0)
    for loss in pattern:
        settle(wealth, 1 + bets(risks) * (risks[:, None] - loss), NO_CAP)
        after = (upper_bound(wealth, risks, 0.05), lower_bound(wealth, risks, 0.05))
        assert after >= before if loss else after <= before
        before = after


def test_what_lies_above_the_cap_is_thrown_away() -> None:
    coefficients = bets(np.array([BUDGET]))
    wealth = np.ones((1, coefficients.shape[1]))
    for _ in range(5_000):
        settle(wealth, 1 + coefficients * BUDGET, CAP)
    assert wealth.max() == CAP


# Which kappa


@pytest.mark.parametrize(
    "risk_of",
    [
        pytest.param(lambda row: np.full_like(row, BUDGET), id="at the budget everywhere"),
        pytest.param(lambda row: np.where(row % 4 < 2, 0.02, 0.0), id="up and down"),
        pytest.param(lambda row: np.where(row > 18, 0.03, 0.002), id="wrong where it is surest"),
        pytest.param(lambda row: 0.03 * (1 - row / 24) ** 2, id="falling"),
    ],
)
def test_a_kappa_over_budget_is_certified_in_no_more_than_delta_of_the_runs(
    risk_of: Callable[[Any], Any],
) -> None:
    rng = np.random.default_rng(15)
    runs, rows = 200, len(KAPPAS)
    risk = risk_of(np.arange(rows).astype(float))
    true = np.cumsum(risk[::-1])[::-1] / np.arange(rows, 0, -1)  # of all with p >= kappa, each row as frequent
    over = true >= BUDGET - 1e-12
    coefficients = bets(np.array([BUDGET]))[:, :UPPER]
    wealth = np.ones((runs, rows, UPPER))
    failed = np.zeros(runs, dtype=bool)
    for step in range(2_500):
        row = rng.integers(0, rows, runs)
        wrong = rng.random(runs) < risk[row]
        reached = row[:, None] >= np.arange(rows)
        settle(wealth, 1 + reached[..., None] * coefficients * (BUDGET - wrong[:, None, None]), CAP / 0.005)
        if step % 10 == 0:
            evidence = wealth @ UPPER_WEIGHTS
            for run in np.flatnonzero((evidence[:, over] >= 20).any(axis=1) & ~failed):
                certified, _ = fixed_sequence(evidence[run].tolist(), STARTS, 0.05)
                failed[run] = any(certified[each] for each in np.flatnonzero(over))
    assert failed.mean() <= 0.05


def test_a_fixed_sequence_stops_at_the_first_kappa_that_is_not_certified() -> None:
    evidence = [1e6] * 24
    evidence[12] = 1.0
    certified, _ = fixed_sequence(evidence, {20: 0.5, 5: 0.5}, 0.05)
    assert certified == [row <= 5 or 13 <= row <= 20 for row in range(24)]


def test_a_segment_that_is_certified_whole_hands_its_share_on() -> None:
    shares = {20: 0.5, 5: 0.5}
    whole, levels = fixed_sequence([30.0] * 6 + [40.0] * 18, shares, 0.05)
    assert levels[5] == pytest.approx(0.05)
    assert whole[5]
    broken, levels = fixed_sequence([30.0] * 6 + [1.0] + [40.0] * 17, shares, 0.05)
    assert levels[5] == pytest.approx(0.025)
    assert not broken[5]


@given(st.lists(st.floats(0.01, 1e4), min_size=24, max_size=24), st.integers(0, 23), st.floats(0, 1))
def test_less_evidence_never_certifies_more(evidence: list[float], row: int, factor: float) -> None:
    shares = {22: 0.1, 16: 0.4, 9: 0.5}
    before, _ = fixed_sequence(evidence, shares, 0.05)
    evidence[row] *= factor
    after, _ = fixed_sequence(evidence, shares, 0.05)
    assert all(before[each] or not after[each] for each in range(24))


def test_the_starts_share_delta() -> None:
    assert sum(STARTS.values()) == pytest.approx(1)


def test_what_a_route_saw_while_it_was_young_does_not_keep_it_from_being_certified_later() -> None:
    young = [free(p=0.6), free("wrong", p=0.6)] * 200
    assert fed([*young, *[free(p=0.999)] * 1_500]).state == "certified"


# The life of a route


def test_a_closed_route_serves_nothing_before_it_is_certified() -> None:
    certifier = fed([free()] * 300)
    assert (certifier.state, certifier.kappa) == ("learning", inf)


@pytest.mark.parametrize(("budget", "least", "most"), [(0.005, 700, 1_050), (0.01, 350, 600), (0.02, 150, 350)])
def test_a_closed_route_without_a_wrong_answer_opens_after_this_many_labels(
    budget: float, least: int, most: int
) -> None:
    certifier = Certifier(Terms(max_wrong=budget))
    labels = 0
    while certifier.kappa == inf:
        certifier.record(free())
        labels += 1
    assert least <= labels <= most
    assert certifier.state == "certified"
    assert certifier.certificate().bound <= budget


@pytest.mark.parametrize(("risk", "most"), [(0.003, 8_000), (0.005, 20_000)])
def test_a_closed_route_under_budget_opens(risk: float, most: int) -> None:
    for seed in range(3):
        certifier = Certifier(Terms())
        serve(certifier, most, risk, seed=seed, until=lambda certifier=certifier: certifier.kappa < inf)
        assert certifier.state == "certified"


@pytest.mark.parametrize("risk", [0.012, 0.05])
def test_a_closed_route_over_budget_stays_quiet(risk: float) -> None:
    certifier = Certifier(Terms())
    hits, _, _ = serve(certifier, 6_000, risk)
    assert hits == 0


def test_a_route_whose_every_kappa_is_over_budget_says_so() -> None:
    certifier = Certifier(Terms())
    serve(certifier, 1_500, 0.05)
    assert certifier.state == "exact-only"


def test_a_closed_route_serves_only_where_it_is_certified() -> None:
    certifier = Certifier(Terms())
    serve(certifier, 12_000, lambda p: 0.001 if p >= 0.98 else 0.06)
    assert certifier.state == "certified"
    assert 0.965 <= certifier.kappa <= 0.99
    assert certifier.certificate().bound <= BUDGET


def test_audits_alone_certify_too() -> None:
    certifier = fed([audit(propensity=0.2), *[audit(None)] * 4] * 700, start="prior", prior_kappa=0.95)
    assert certifier.state == "certified"
    assert certifier.certificate().audited == 700


def test_a_certified_route_is_audited_less() -> None:
    certifier = Certifier(Terms(start="prior"))
    shares = [certifier.audit_propensity(1.0)]
    for label, hits in ((None, 1_500), ("right", 700)):
        for _ in range(hits):
            certifier.record(audit(label))
        shares.append(certifier.audit_propensity(1.0))
    assert shares == pytest.approx([1.0, 0.2, 0.05])  # the first hits, uncertified, certified


def test_a_prior_route_serves_at_the_shipped_kappa_and_says_uncertified() -> None:
    certifier = Certifier(Terms(start="prior", prior_kappa=0.93))
    assert certifier.state == "uncertified"
    assert certifier.kappa == min(kappa for kappa in KAPPAS if kappa >= 0.93)


def test_a_prior_route_serves_at_the_shipped_kappa_until_its_own_labels_speak_against_it() -> None:
    certifier = fed([free(p=0.6), audit(p=0.95, propensity=1.0)] * 10, start="prior", prior_kappa=0.93)
    shipped = next(kappa for kappa in KAPPAS if kappa >= 0.93)
    assert (certifier.state, certifier.kappa) == ("uncertified", shipped)
    certifier.record(audit("wrong", p=0.95, propensity=1.0))
    assert certifier.kappa > 0.95


def test_a_prior_route_serves_what_has_the_same_words_however_cautious() -> None:
    for budget, kappa in load_prior().kappas.items():
        if budget >= 0.01:
            certifier = fed([free(p=0.6)] * 10, start="prior", max_wrong=budget, prior_kappa=kappa)
            assert kappa < certifier.kappa <= TWIN


def test_audits_that_brought_nothing_are_not_made_up_for_by_drawing_fewer() -> None:
    certifier = fed([audit("failed", p=0.999, propensity=1.0)] * 10, start="prior", prior_kappa=0.95)
    before = certifier.kappa
    for _ in range(1_000):  # certifies it, so that fewer are drawn
        certifier.record(free(p=0.97))
    assert certifier.kappa >= before


def test_a_wrong_label_makes_a_young_route_strict_until_right_ones_have_made_up_for_it() -> None:
    certifier = fed([audit(p=0.998)] * 60 + [audit("wrong", p=0.998)], start="prior", prior_kappa=0.97)
    strict = certifier.kappa
    assert strict >= KAPPAS[-10]
    for _ in range(50):
        certifier.record(audit(p=0.998))
    assert certifier.kappa > 0.97


def test_a_prior_route_whose_model_errs_tightens() -> None:
    certifier = Certifier(Terms(start="prior", prior_kappa=0.9))
    hits, _, wrong = serve(certifier, 6_000, lambda p: 0.001 if p >= 0.98 else 0.06)
    assert certifier.kappa >= 0.965
    assert hits > 2_000
    assert wrong / hits <= BUDGET


def test_a_prior_route_without_any_good_kappa_goes_quiet() -> None:
    certifier = Certifier(Terms(start="prior"))
    hits, _, _ = serve(certifier, 4_000, 0.06)
    assert certifier.state == "exact-only"
    assert hits < 300


def test_a_prior_route_that_went_quiet_recovers_by_free_labels() -> None:
    certifier = Certifier(Terms(start="prior"))
    serve(certifier, 1_000, 0.2)
    assert certifier.state == "exact-only"
    serve(certifier, 1_500, 0.001, seed=2)
    assert certifier.kappa < inf


@pytest.mark.parametrize("start", ["closed", "prior"])
def test_when_all_right_answers_change_nothing_is_served_within_200_audits(start: str) -> None:
    for seed in range(4):
        certifier = Certifier(Terms(start=start, prior_kappa=0.95))
        serve(certifier, 6_000, 0.002, seed=seed)
        assert certifier.kappa < inf
        _, audited, _ = serve(
            certifier, 20_000, 0.9, seed=100 + seed, until=lambda certifier=certifier: certifier.state == "exact-only"
        )
        assert certifier.state == "exact-only"
        assert audited <= 20


def test_when_a_tenth_of_the_answers_change_it_is_noticed_within_200_audits() -> None:
    certifier = Certifier(Terms())
    serve(certifier, 6_000, 0.002)
    _, audited, _ = serve(certifier, 20_000, 0.1, seed=2, until=lambda: certifier.kappa == inf)
    assert certifier.kappa == inf
    assert audited <= 200


def test_after_a_sudden_change_old_evidence_counts_no_more_and_new_evidence_reopens() -> None:
    certifier = opened()
    while certifier.state != "exact-only":
        share = certifier.audit_propensity(0.995)
        certifier.record(audit("wrong", propensity=share) if certifier.kappa < inf else free("wrong"))
    assert certifier.certificate().alarms in (("drift",), ("over-budget",))
    certifier.record(free())
    assert certifier.kappa == inf
    for _ in range(600):
        certifier.record(free())
    shown = certifier.certificate()
    assert (shown.state, shown.alarms, shown.free_wrong) == ("certified", (), 0)


def test_a_steady_risk_under_budget_raises_no_alarm() -> None:
    certifier = Certifier(Terms())
    serve(certifier, 25_000, 0.004)
    assert "drift" not in certifier.certificate().alarms
    assert certifier.kappa < inf


def test_labels_that_speak_against_a_loose_kappa_tighten_it_and_leave_a_strict_one() -> None:
    certifier = fed([free(p=0.999), free(p=0.96)] * 700)
    assert certifier.kappa < 0.96
    for _ in range(400):
        for p, labels in ((0.999, ["right"] * 40), (0.96, ["wrong", *["right"] * 39])):
            for label in labels:
                certifier.record(audit(label, p=p, propensity=certifier.audit_propensity(p)))
        if certifier.kappa > 0.96:
            break
    assert 0.96 < certifier.kappa <= 0.999
    assert certifier.state == "tightened"
    assert certifier.certificate().is_certified


# Labels that are not there


def test_what_is_not_labelled_is_no_evidence() -> None:
    certifier = fed([free()] * 300)
    before = certifier.certificate().bound
    for _ in range(2_000):
        certifier.record(audit(None))
        certifier.record(audit("failed"))
        certifier.record(Observation(0.995, 0.0, None, is_served=True))
        certifier.record(Observation(0.995, 1.0, None, is_served=False))
    assert certifier.certificate().bound == before
    assert certifier.kappa == inf


def test_while_audits_are_paused_kappa_is_not_loosened() -> None:
    certifier = Certifier(Terms(start="prior", prior_kappa=0.99))
    for _ in range(200):
        certifier.record(audit(p=0.999))
    before = certifier.kappa
    for _ in range(3_000):
        certifier.record(Observation(0.999, 0.0, None, is_served=True))
        certifier.record(free(p=0.98))
    assert certifier.kappa >= before
    assert certifier.is_stale


def test_a_route_that_closes_while_audits_are_paused_learns_again() -> None:
    certifier = opened()
    certifier.record(Observation(0.995, 0.0, None, is_served=True))
    complain(certifier, 1_000, is_settled=True)
    assert certifier.kappa == inf
    for _ in range(25_000):
        certifier.record(free())
        if certifier.kappa < inf:
            break
    assert certifier.kappa < inf


def test_hits_without_a_clear_audit_make_a_certificate_stale_and_the_next_one_fresh() -> None:
    certifier = opened()
    for _ in range(STALE_HITS - 1):
        certifier.record(audit(None))
    assert not certifier.is_stale
    certifier.record(audit("unclear"))
    assert certifier.is_stale
    assert "stale" in certifier.certificate().alarms
    certifier.record(audit("right"))
    assert not certifier.is_stale


def mixed(certifier: Certifier, hits: int, unauditable: float) -> None:
    """Of so many hits this share has no audits; of the others one in four has, which find all right."""
    period = round(1 / unauditable) if unauditable else hits + 1
    for number in range(hits):
        if number % period == 0 and unauditable:
            certifier.record(Observation(0.995, 0.0, None, is_served=True))
        else:
            certifier.record(Observation(0.995, 0.25, "right" if number % 4 == 1 else None, is_served=True))


@pytest.mark.parametrize(
    ("unauditable", "hits", "is_stale"),
    [(0.5, 3_900, False), (0.5, 5_000, True), (0.2, 14_500, True), (0.05, 60_000, False)],
)
def test_audits_of_others_say_nothing_of_hits_that_no_audit_can_reach(
    unauditable: float, hits: int, is_stale: bool
) -> None:
    certifier = opened()
    mixed(certifier, hits, unauditable)
    shown = certifier.certificate()
    assert (shown.is_stale, "stale" in shown.alarms, "could not be audited" in shown.reason) == (is_stale,) * 3
    assert shown.unauditable == pytest.approx(unauditable * hits, rel=0.01)


def test_while_hits_cannot_be_audited_kappa_only_tightens_until_they_are_few_again() -> None:
    certifier = opened()
    mixed(certifier, 6_000, 0.5)
    before = certifier.kappa
    for _ in range(1_000):
        certifier.record(free(p=0.98))
        certifier.record(audit("right"))
    assert certifier.kappa >= before
    mixed(certifier, 5_000, 0.0)
    assert not certifier.is_stale


def test_unclear_labels_are_shown_both_ways_and_the_route_acts_on_the_one_without() -> None:
    certifier = fed([free(), free(), free(), free("unclear")] * 400)
    shown = certifier.certificate()
    assert shown.state == "certified"
    assert shown.bound <= BUDGET < shown.bound_with_unclear
    assert "unclear-gap" in shown.alarms
    assert (shown.unclear, shown.free_unclear) == (0, 400)
    certifier.record(audit("unclear"))
    shown = certifier.certificate()
    assert (shown.unclear, shown.free_unclear) == (1, 400)


def uncertified_after(labels: list[Label]) -> float:
    """The kappa of a route whose requests are all as sure as can be, so that it alone is what labels change."""
    return fed([free(label, 0.999) for label in labels], start="prior", prior_kappa=0.95).kappa


def test_for_each_wrong_label_an_uncertified_route_takes_some_unclear_ones_for_wrong() -> None:
    right, wrong, unclear = list[Label](["right"]), list[Label](["wrong"]), list[Label](["unclear"])
    labels = (right * 110 + wrong) * 3
    without, some, many = (uncertified_after(labels + unclear * count + right * 30) for count in (0, 2, 200))
    assert without < some
    assert some == many, "no more than wrong labels speak for"


def test_unclear_labels_alone_change_no_kappa() -> None:
    right, unclear = list[Label](["right"]), list[Label](["unclear"])
    assert uncertified_after((right * 4 + unclear) * 100) == uncertified_after(right * 400)


def test_without_unclear_labels_both_bounds_are_one() -> None:
    shown = opened().certificate()
    assert shown.bound == shown.bound_with_unclear


# Complaints


def complain(certifier: Certifier, count: int, *, is_settled: bool, askers: int = 10_000, p: float = 0.995) -> int:
    """So many hits of different groups are called wrong, by so many in turn; how many count."""
    counted = 0
    for number in range(count):
        by = f"asker {number % askers}"
        if certifier.record_complaint(by, number):
            counted += 1
            certifier.charge_complaint(p, by, is_settled=is_settled)
    return counted


@pytest.mark.parametrize("is_settled", [False, True])
def test_a_complaint_counts_against_and_never_for(is_settled: bool) -> None:
    certifier = opened()
    before, bound, lower = certifier.kappa, certifier.certificate().bound, certifier.certificate().lower
    for number in range(100):
        certifier.record_complaint(str(number), 1)
        certifier.charge_complaint(0.999, str(number), is_settled=is_settled)
        assert certifier.kappa >= before
        before = certifier.kappa
    shown = certifier.certificate()
    assert (shown.complaints, shown.lower) == (100, lower)
    assert shown.bound > bound


@pytest.mark.parametrize("is_settled", [False, True])
def test_a_complaint_before_any_request_is_shown(is_settled: bool) -> None:
    certifier = Certifier(Terms(per="request"))
    assert complain(certifier, 1, is_settled=is_settled, p=1.0) == 1
    shown = certifier.certificate()
    assert (shown.complaints, shown.requests, shown.estimate) == (1, 0, None)


def test_one_asker_s_complaints_about_one_group_count_once_in_the_evidence_in_force() -> None:
    certifier = Certifier(Terms(window=1_000))
    assert [certifier.record_complaint("one", 7) for _ in range(3)] == [True, False, False]
    assert certifier.record_complaint("one", 8)
    assert certifier.record_complaint("two", 7)
    assert certifier.certificate().complaints == 3
    feed(certifier, [free("unclear")] * 500)
    assert not certifier.record_complaint("one", 7)
    feed(certifier, [free("unclear")] * 500)
    assert certifier.certificate().complaints == 0
    assert certifier.record_complaint("one", 7)


def test_a_certified_route_is_not_closed_by_one_person_whose_complaints_nobody_could_settle() -> None:
    certifier = opened()
    serve(certifier, 10_000, 0.001)
    before = certifier.certificate()
    assert before.state == "certified"
    assert complain(certifier, 1_000, askers=1, is_settled=False) == 1_000
    after = certifier.certificate()
    assert (after.state, after.kappa) == ("certified", before.kappa)
    assert after.complaints == 1_000


@pytest.mark.parametrize("is_settled", [False, True])
def test_a_certified_route_is_not_closed_by_fewer_complaints_than_wrong_hits_are_allowed(is_settled: bool) -> None:
    certifier = opened()
    serve(certifier, 10_000, 0.001)
    before = certifier.kappa
    complain(certifier, 17, is_settled=is_settled)
    assert (certifier.state, certifier.kappa) == ("certified", before)


@pytest.mark.parametrize("is_settled", [False, True])
def test_many_more_complaints_than_wrong_hits_are_allowed_tighten_a_route(is_settled: bool) -> None:
    certifier = opened()
    serve(certifier, 10_000, 0.001)
    before = certifier.kappa
    complain(certifier, 1_000, is_settled=is_settled)
    assert certifier.kappa > before


def test_the_first_complaint_that_nobody_could_settle_does_not_close_a_route_without_labels() -> None:
    certifier = Certifier(Terms(start="prior", prior_kappa=0.95))
    complain(certifier, 1, is_settled=False)
    assert certifier.kappa < 0.999


def test_complaints_are_counted_up_to_a_number() -> None:
    certifier = Certifier(Terms())
    counted = [certifier.record_complaint(str(number), 1) for number in range(COMPLAINTS_AT_MOST + 2)]
    assert sum(counted) == COMPLAINTS_AT_MOST


def test_who_has_complained_is_known_after_a_restart() -> None:
    certifier = opened()
    complain(certifier, UNSETTLED_OF_ONE, askers=1, is_settled=False)
    restored = Certifier.restore(certifier.snapshot(), certifier.terms)
    before = restored.certificate()
    assert not restored.record_complaint("asker 0", 0)
    restored.charge_complaint(0.999, "asker 0", is_settled=False)
    assert restored.certificate() == before


def test_an_audit_below_the_smallest_share_counts_only_if_it_is_wrong() -> None:
    certifier = fed([audit(propensity=0.01)] * 3_000, start="prior")
    assert certifier.state == "uncertified"
    assert certifier.certificate().bound == 1.0
    before = certifier.kappa
    certifier.record(audit("wrong", propensity=0.01))
    assert certifier.kappa > before


def test_a_late_label_of_a_hit_never_makes_an_account_negative() -> None:
    certifier = opened()
    for _ in range(50):
        certifier.record(audit("wrong", propensity=0.05))
    assert certifier.kappa == inf
    for _ in range(10):
        certifier.record(audit("wrong", propensity=0.05))
    assert 0 <= certifier.certificate().lower <= certifier.certificate().bound <= 1


# Per request


def test_a_budget_per_request_counts_requests_without_candidate() -> None:
    per_request = Certifier(Terms(per="request"))
    per_hit = Certifier(Terms())
    rng = np.random.default_rng(3)
    for chance in rng.random(2_000).tolist():
        for certifier in (per_request, per_hit):
            certifier.record(free("wrong" if chance < 0.012 else "right"))
            for _ in range(3):
                certifier.record_request()
    assert per_hit.kappa == inf
    assert per_request.kappa < inf
    shown = per_request.certificate()
    assert shown.requests == 8_000
    assert shown.estimate is not None
    assert 0.001 < shown.estimate < 0.006


def test_per_request_failed_labels_do_not_pass_for_right_ones() -> None:
    certifier = Certifier(Terms(per="request"))
    rng = np.random.default_rng(4)
    for chance, fails in zip(rng.random(4_000).tolist(), rng.random(4_000).tolist(), strict=True):
        label: Label = "failed" if fails < 0.8 else "wrong" if chance < 0.045 else "right"
        certifier.record(free(label))
        for _ in range(3):
            certifier.record_request()
    assert certifier.kappa == inf


# Monotony


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 10_000),
    st.lists(st.tuples(st.sampled_from([0.6, 0.93, 0.98, 0.995, 0.9995]), st.booleans()), max_size=60),
    st.sampled_from(["closed", "prior"]),
)
def test_a_wrong_label_never_loosens_kappa(seed: int, more: list[tuple[float, bool]], start: str) -> None:
    certifier = Certifier(Terms(start=start, prior_kappa=0.9))
    serve(certifier, 900, lambda p: 2 * (1 - p) ** 1.5, seed=seed)
    for p, is_wrong in more:
        before = certifier.kappa
        is_served = p >= before
        certifier.record(Observation(p, 0.2 if is_served else 1.0, "wrong" if is_wrong else "right", is_served))
        assert not is_wrong or certifier.kappa >= before


@settings(max_examples=25, deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=12), st.integers(0, 11))
def test_one_more_wrong_label_never_opens_a_closed_route(errors: list[bool], flipped: int) -> None:
    def after(labels: list[bool]) -> Certifier:
        return fed([*[free()] * 700, *(free("wrong" if wrong else "right") for wrong in labels), *[free()] * 90])

    worse = list(errors)
    worse[flipped % len(worse)] = True
    assert after(worse).kappa >= after(errors).kappa
    assert after(worse).certificate().bound >= after(errors).certificate().bound


# Keeping and showing


def test_a_snapshot_from_before_something_was_counted_keeps_all_else() -> None:
    certifier = fed([free()] * 1_000 + [free("unclear")])
    state = msgspec.msgpack.decode(zlib.decompress(certifier.snapshot()))
    state["counts"] = [counts[:-2] for counts in state["counts"]]
    del state["numbers"]["_unauditable"], state["unclear"]
    again = Certifier.restore(zlib.compress(msgspec.msgpack.encode(state)), certifier.terms)
    shown = certifier.certificate()
    assert shown.free_unclear == 1
    assert again.certificate() == msgspec.structs.replace(shown, free_unclear=0)


def test_a_snapshot_goes_on_where_it_was_taken() -> None:
    terms = Terms(start="prior")
    first = Certifier(terms, "model-1")
    serve(first, 4_000, 0.005, unclear=0.02)
    second = Certifier.restore(first.snapshot(), terms, "model-1")
    assert second.certificate() == first.certificate()
    for certifier in (first, second):
        serve(certifier, 2_000, 0.02, seed=9)
    assert second.certificate() == first.certificate()
    assert second.audit_propensity(0.99) == first.audit_propensity(0.99)
    assert second.snapshot() == first.snapshot()


@pytest.mark.parametrize(
    ("terms", "model"),
    [(Terms(max_wrong=0.02), "a"), (Terms(delta=0.1), "a"), (Terms(per="request"), "a"), (Terms(), "b")],
)
def test_a_snapshot_for_other_terms_or_another_model_starts_anew_and_says_so(terms: Terms, model: str) -> None:
    certifier = fed([free()] * 1_000)
    again = Certifier.restore(certifier.snapshot(), terms, model)
    shown = again.certificate()
    assert (shown.state, shown.free, shown.alarms) == ("learning", 0, ("restarted",))


@pytest.mark.parametrize("damage", [lambda data: b"", lambda data: data[:-9], lambda data: b"\0" + data])
def test_a_damaged_snapshot_starts_anew(damage: Callable[[bytes], bytes]) -> None:
    data = fed([free()] * 1_000).snapshot()
    assert Certifier.restore(damage(data), Terms()).kappa == inf


def test_what_is_forgotten_is_gone() -> None:
    certifier = opened()
    certifier.forget()
    assert certifier.certificate() == Certifier(Terms()).certificate()


def test_the_younger_stretch_takes_over_so_that_old_labels_leave() -> None:
    certifier = Certifier(Terms(window=1_000))
    for _ in range(5_000):
        certifier.record(free())
        if certifier.kappa < inf:
            certifier.record(audit(propensity=certifier.audit_propensity(0.995)))
    assert 500 <= certifier.certificate().audited <= 1_100
    assert certifier.state == "certified"


def test_a_certificate_is_plain_data_and_speaks_english() -> None:
    closed, served = Certifier(Terms()).certificate(), opened().certificate()
    for shown in (closed, served):
        assert msgspec.json.decode(msgspec.json.encode(shown), type=Certificate) == shown
        assert shown.reason.endswith(".")
    assert closed.kappa is None
    assert (closed.bound, closed.lower, closed.estimate) == (1.0, 0.0, None)


@pytest.mark.parametrize(
    "bad",
    [
        lambda: Observation(1.1, 1.0, "right", False),
        lambda: Observation(float("nan"), 1.0, "right", False),
        lambda: Observation(0.9, 1.5, "right", False),
        lambda: Observation(0.9, 0.0, "right", True),
        lambda: Terms(max_wrong=0.0),
        lambda: Terms(delta=0.0),
        lambda: Terms(prior_kappa=1.0),
        lambda: Terms(audit_share=0.3),
        lambda: Terms(window=10),
    ],
)
def test_a_number_out_of_its_range_is_refused(bad: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match=r"\."):
        bad()


@given(st.floats(0, 1), st.floats(0.01, 1), st.floats(0.001, 0.1))
def test_a_doubtful_hit_is_audited_up_to_twice_as_often_and_none_less_than_the_share(
    p: float, share: float, budget: float
) -> None:
    propensity = audit_propensity(p, share, budget)
    assert min(1.0, share) <= propensity <= min(1.0, 2 * share)
    assert audit_propensity(p / 2, share, budget) >= propensity


def test_the_certificate_has_no_clock_no_chance_and_no_file_to_ask() -> None:
    source = (Path(cache.__path__[0]) / "certificate.py").read_text(encoding="utf-8")
    imports = {
        name
        for node in ast.walk(ast.parse(source))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert imports <= {
        "bisect", "cache.query", "collections.abc", "hashlib", "math", "msgspec", "numpy", "numpy.typing", "typing",
        "zlib",
    }  # fmt: skip
    assert "np.random" not in source


# How far away a certificate is


def upper_account() -> tuple[Floats, Floats]:
    """A new account against a risk of the budget, and its bets."""
    return np.ones(UPPER), bets(np.array([BUDGET]))[0, :UPPER]


def said_of_the_way(certifier: Certifier) -> tuple[int | None, int]:
    """After how many labels, by its own words, it will be certified at the rate so far, and at best."""
    told = certifier.certificate().reason
    about = re.search("it takes about ([0-9,]+) more", told)
    at_least = re.search("at least ([0-9,]+)", told)
    assert at_least is not None, told
    return (int(about[1].replace(",", "")) if about is not None else None), int(at_least[1].replace(",", ""))


@pytest.mark.parametrize("wrong_every", [0, 1000, 300, 200])
def test_labels_to_go_are_as_many_as_an_account_needs_if_wrong_ones_come_evenly(wrong_every: int) -> None:
    account, coefficients = upper_account()
    needed = labels_to_go(account, coefficients, BUDGET, 1 / wrong_every if wrong_every else 0.0, 75.0)
    wealth, count = np.ones((1, UPPER)), 0
    while float(wealth[0] @ UPPER_WEIGHTS) < 75.0:
        count += 1
        is_wrong = wrong_every > 0 and count % wrong_every == wrong_every // 2
        settle(wealth, 1 + coefficients * (BUDGET - is_wrong), NO_CAP)
    assert needed == pytest.approx(count, rel=0.1)


def test_there_is_no_end_where_as_many_are_wrong_as_the_budget_allows() -> None:
    account, coefficients = upper_account()
    assert labels_to_go(account, coefficients, BUDGET, BUDGET, 75.0) == inf
    assert labels_to_go(account, coefficients, BUDGET, 0.5, 75.0) == inf
    assert labels_to_go(account, coefficients, BUDGET, 0.5, 0.9) == 0


@pytest.mark.parametrize("p", [0.999, 0.98, 0.9])
@pytest.mark.parametrize("wrong_every", [0, 400, 250])
@pytest.mark.parametrize("per", ["hit", "request"])
def test_a_closed_route_says_at_least_how_many_labels_it_takes(
    p: float, wrong_every: int, per: Literal["hit", "request"]
) -> None:
    certifier = Certifier(Terms(per=per))
    told: dict[int, int] = {}
    count = 0
    while certifier.state == "learning":
        if count and count % 50 == 0:
            told[count] = said_of_the_way(certifier)[1]
        count += 1
        certifier.record(free("wrong" if wrong_every and count % wrong_every == wrong_every // 2 else "right", p))
    assert len(told) >= 8
    assert all(at + at_least <= count for at, at_least in told.items())


@pytest.mark.parametrize("wrong", [1, 2])
def test_what_a_closed_route_says_that_it_takes_is_what_it_takes_if_as_many_are_wrong_as_before(wrong: int) -> None:
    needed = []
    for seed in range(20):
        certifier = fed(free("wrong" if number < wrong else "right") for number in range(500))
        about, _ = said_of_the_way(certifier)
        chance = np.random.default_rng(seed)
        while certifier.state == "learning":
            certifier.record(free("wrong" if chance.random() < wrong / 500 else "right"))
        needed.append(certifier.certificate().free - 500)
    assert about == pytest.approx(np.mean(needed), rel=0.4)


def test_a_closed_route_with_too_many_wrong_labels_says_that_there_is_no_end_in_sight() -> None:
    certifier = fed(free("wrong" if number % 100 == 50 else "right") for number in range(1_000))
    assert certifier.state == "learning"
    assert "1.00% were wrong; at this rate there is no end in sight" in certifier.certificate().reason


def test_without_a_label_nothing_is_said_of_how_many_it_takes() -> None:
    for certifier in (fed([]), fed([free("failed")] * 50), fed([free(p=0.6)] * 50)):
        assert certifier.certificate().reason.endswith("would have been right.")


def test_only_a_closed_route_says_how_many_labels_it_takes() -> None:
    for certifier in (opened(), fed([audit()] * 20, start="prior")):
        assert "it takes" not in certifier.certificate().reason
