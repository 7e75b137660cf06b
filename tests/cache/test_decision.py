"""When a stored answer may serve: what speaks for it, what against it, and that nothing else plays a part."""

import ast
import json
import math
from importlib.resources import files
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import cache
from cache.decision import FEATURES, OPPOSING, TWIN, GroupView, Judgement, Neighbour, Prior, judge, load_prior
from cache.index import Vector
from tests.cache.asking import PLAIN, pointing, weights_of

RESET = "How do I reset my password?"
ASKED = "How can I reset my password?"
SHIPPED = load_prior()
_ids = count(1)


def near(degrees: float, group: int = 1, text: str = RESET, *, is_servable: bool = True) -> tuple[Neighbour, Vector]:
    """An anchor so far from the question, which lies at 0 degrees."""
    neighbour = Neighbour(next(_ids), text, math.cos(math.radians(degrees)), group, is_servable)
    return neighbour, pointing(degrees)


def judged(
    *found: tuple[Neighbour, Vector],
    text: str = ASKED,
    prior: Prior = PLAIN,
    views: dict[int, GroupView] | None = None,
    candidate: int | None = None,
    scope_size: int = 0,
) -> Judgement:
    ranked = sorted(found, key=lambda each: -each[0].similarity)
    neighbours = [neighbour for neighbour, _ in ranked]
    vectors = np.array([vector for _, vector in ranked]).reshape(-1, 2)
    groups = {
        neighbour.group: GroupView(sum(n.group == neighbour.group for n in neighbours)) for neighbour in neighbours
    }
    return judge(
        text, pointing(0), neighbours, vectors, groups | (views or {}), scope_size or len(found), prior,
        candidate=candidate,
    )  # fmt: skip


def feature(judgement: Judgement, name: str) -> float:
    return judgement.features[FEATURES.index(name)]


# --- What may serve -----------------------------------------------------------------------------------------


def test_without_neighbours_nothing_is_served() -> None:
    assert judged() == Judgement()
    assert judged().claim == 0


def test_a_near_neighbour_without_rival_serves() -> None:
    best = near(10)
    judgement = judged(best)
    assert (judgement.reason, judgement.neighbour, judgement.nearest) == ("near", best[0], best[0])
    assert judgement.claim == judgement.p == pytest.approx(0.998, abs=0.001)


def test_the_farther_the_less_likely() -> None:
    claims = [judged(near(degrees)).claim for degrees in (0, 5, 10, 20, 30, 45)]
    assert claims == sorted(claims, reverse=True)
    assert claims[-1] < 0.01


@given(rival=st.floats(0, 60), degrees=st.floats(0, 40))
def test_a_neighbour_with_another_answer_never_makes_an_answer_likelier(rival: float, degrees: float) -> None:
    alone, doubtful = judged(near(degrees)), judged(near(degrees), near(rival, 2), candidate=1)
    assert doubtful.p <= alone.p


def test_of_two_answers_the_one_that_the_neighbourhood_speaks_for_is_the_candidate() -> None:
    assert judged(near(10, 1), near(12, 2), near(13, 2), near(14, 2)).group == 2
    assert judged(near(10, 1), near(40, 2), near(41, 2)).group == 1


def test_a_candidate_may_be_asked_about() -> None:
    assert judged(near(1, 1), near(20, 2), candidate=2).group == 2


def test_an_entry_that_this_caller_may_not_have_still_speaks_for_its_answer_and_the_next_of_its_group_serves() -> None:
    theirs, mine = near(5, is_servable=False), near(12)
    judgement = judged(theirs, mine)
    assert (judgement.neighbour, judgement.nearest) == (mine[0], theirs[0])
    assert feature(judgement, "best") == pytest.approx(math.cos(math.radians(5)))


def test_nothing_is_served_that_this_caller_may_not_have() -> None:
    judgement = judged(near(0, is_servable=False), near(1, is_servable=False))
    assert (judgement.reason, judgement.neighbour, judgement.claim) == ("not-acceptable", None, 0)
    assert judgement.p > 0.99


def test_of_a_doubted_answer_nothing_is_served_not_even_for_the_same_words() -> None:
    judgement = judged(near(0), text=f"Hello, {RESET}", views={1: GroupView(is_doubted=True)})
    assert (judgement.reason, judgement.neighbour, judgement.claim) == ("doubted", None, 0)
    assert judgement.p > 0.99  # which the fresh answer is compared by


def test_another_groups_answer_is_never_served_for_the_candidates() -> None:
    judgement = judged(near(1, 1, is_servable=False), near(5, 2))
    assert judgement.group == 1
    assert judgement.neighbour is None


# --- Mismatches ---------------------------------------------------------------------------------------------

MISMATCHES = [
    ("How do I turn on dark mode?", "How do I turn off dark mode?", "polarity"),
    ("Is the 128 GB model in blue?", "Is the 256 GB model in blue?", "number"),
    ("Move it from Drive to Box?", "Move it from Box to Drive?", "role"),
    ("Do you accept Klarna?", "Do you accept PayPal?", "exchange"),
    ("How do I reset my password?", "¿Cómo restablezco mi contraseña?", "language"),
]


@pytest.mark.parametrize(("text", "other", "kind"), MISMATCHES, ids=[kind for _, _, kind in MISMATCHES])
@pytest.mark.parametrize("is_turned", [False, True])
def test_a_mismatch_blocks_however_near_the_vector_is(text: str, other: str, kind: str, is_turned: bool) -> None:
    asked, stored = (other, text) if is_turned else (text, other)
    judgement = judged(near(0, text=stored), text=asked)
    assert (judgement.reason, judgement.blocked_by, judgement.claim) == (f"{kind}-mismatch", kind, 0)
    assert judgement.p > 0.99  # what it would have been, which labels are measured by


def test_behind_a_blocked_anchor_a_clean_one_of_its_group_serves() -> None:
    clean = near(12, text="Does the 128 GB model come in blue?")
    judgement = judged(near(5, text="Is the 256 GB model in blue?"), clean, text="Is the 128 GB model in blue?")
    assert judgement.neighbour == clean[0]
    assert judgement.blocked_by is None
    assert feature(judgement, "clean_gap") > 0


@pytest.mark.parametrize(("text", "other", "kind"), [each for each in MISMATCHES if each[2] in OPPOSING])
def test_the_opposite_of_a_groups_nearest_question_is_served_by_none_of_its_others(
    text: str, other: str, kind: str
) -> None:
    judgement = judged(near(5, text=text), near(12, text="What does the guide say of it?"), text=other)
    assert (judgement.reason, judgement.blocked_by, judgement.claim) == (f"{kind}-mismatch", kind, 0)
    overruling = {1: GroupView(overruled=frozenset({kind}))}
    again = judged(near(5, text=text), near(12, text="What does the guide say of it?"), text=other, views=overruling)
    assert again.reason == "near"


def test_a_clean_anchor_that_may_not_serve_does_not_let_a_blocked_one_serve() -> None:
    clean = near(12, text="Does the 128 GB model come in blue?", is_servable=False)
    judgement = judged(near(5, text="Is the 256 GB model in blue?"), clean, text="Is the 128 GB model in blue?")
    assert (judgement.reason, judgement.claim) == ("not-acceptable", 0)


@pytest.mark.parametrize(("text", "other", "kind"), MISMATCHES, ids=[kind for _, _, kind in MISMATCHES])
def test_a_mismatch_that_the_groups_labels_overrule_does_not_block_and_is_told(
    text: str, other: str, kind: str
) -> None:
    judgement = judged(near(5, text=other), text=text, views={1: GroupView(overruled=frozenset({kind}))})
    assert (judgement.reason, judgement.overruled, judgement.blocked_by) == ("near", kind, None)
    assert judgement.claim > 0.9


def test_one_kind_of_mismatch_overruled_leaves_the_others_blocking() -> None:
    text, other, _ = MISMATCHES[0]
    judgement = judged(near(0, text=other), text=text, views={1: GroupView(overruled=frozenset({"number", "role"}))})
    assert judgement.blocked_by == "polarity"


def test_another_name_is_a_feature_and_no_veto() -> None:
    judgement = judged(near(5, text="Which shirts does Larkspur sell?"), text="Which shirts does Vantor sell?")
    assert judgement.reason == "near"
    assert feature(judgement, "entity") == 1


# --- What labels have shown ---------------------------------------------------------------------------------


def test_a_groups_own_labels_move_its_probability() -> None:
    def p(offset: float) -> float:
        return judged(near(15), views={1: GroupView(offset=offset)}).p

    assert p(-6) < p(-1) < p(0) < p(2)
    assert p(-6) < 0.9


def test_larger_groups_have_weights_of_their_own() -> None:
    prior = Prior(weights_of(intercept=-2), weights_of(intercept=2), {0.01: 0.5}, "two")
    assert judged(near(0), prior=prior).p == pytest.approx(1 / (1 + math.exp(2)))
    assert judged(near(0), near(1), prior=prior).p > 0.8


def test_features_are_in_the_order_of_their_names_and_within_reason() -> None:
    judgement = judged(near(0), near(10), near(50, 2), scope_size=3)
    assert len(judgement.features) == len(FEATURES)
    assert feature(judgement, "best") == 1
    assert feature(judgement, "other") == pytest.approx(math.cos(math.radians(50)))
    assert feature(judgement, "count_8") == 2 / 8
    assert feature(judgement, "words_shared") == feature(judgement, "words_covered") == 1
    assert feature(judgement, "share_wide") > 0.95
    assert all(-20 <= value <= 20 for value in judgement.features)


@given(
    st.lists(
        st.tuples(st.floats(0, 90), st.integers(1, 3), st.sampled_from([RESET, "How do I close my account?"])),
        min_size=1,
        max_size=12,
    )
)
def test_the_same_neighbours_lead_to_the_same_judgement_whatever_was_judged_before(
    given_neighbours: list[tuple[float, int, str]],
) -> None:
    found = [near(*each) for each in given_neighbours]
    first = judged(*found, prior=SHIPPED)
    judged(near(1, 9, "Something else 42"), text="Another text without 7", prior=SHIPPED)
    assert judged(*found, prior=SHIPPED) == first
    assert 0 < first.p < 1
    assert first.neighbour is None or first.neighbour.group == first.group


# --- The prior ----------------------------------------------------------------------------------------------


def test_the_shipped_prior_is_for_these_features_and_asks_for_more_the_smaller_the_budget() -> None:
    budgets = (0.0001, 0.001, 0.002, 0.005, 0.0075, 0.01, 0.02, 0.05, 0.2)
    kappas = [SHIPPED.kappa(budget) for budget in budgets]
    assert kappas == sorted(kappas, reverse=True)
    assert all(0.5 < kappa < 1 for kappa in kappas)


def test_below_the_smallest_fitted_budget_what_is_given_up_shrinks_with_the_budget() -> None:
    assert 1 - PLAIN.kappa(0.0005) == pytest.approx((1 - PLAIN.kappa(0.005)) / 10)


def test_a_prior_for_other_features_is_refused() -> None:
    raw = json.loads(files("cache").joinpath("prior.json").read_text(encoding="utf-8"))
    del raw["alone"]["best"]
    with pytest.raises(ValueError, match="fit it again"):
        load_prior(json.dumps(raw))


# --- Purity -------------------------------------------------------------------------------------------------

PURE_MODULES = tuple("scope cacheability vocabulary languages traits signals decision query lifetime".split())
IMPURE = {
    "asyncio",
    "datetime",
    "os",
    "pathlib",
    "random",
    "secrets",
    "socket",
    "sqlalchemy",
    "threading",
    "time",
    "uuid",
}


@pytest.mark.parametrize("module", PURE_MODULES)
def test_a_decision_has_no_clock_no_chance_and_no_file_to_ask(module: str) -> None:
    source = (Path(cache.__path__[0]) / f"{module}.py").read_text(encoding="utf-8")
    imports: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            imports |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            imports.add(node.module.partition(".")[0])
    assert not imports & IMPURE


@pytest.mark.parametrize(
    "text",
    ["how do i reset my password", "Hello, how do I reset my password? Thanks", "How do I  RESET my password ?!"],
)
def test_the_same_words_with_other_case_punctuation_or_politeness_are_almost_sure(text: str) -> None:
    judgement = judged(near(60, 1), near(5, 2, "How do I change my name?"), text=text)
    assert judgement.group == 1
    assert judgement.claim >= TWIN


def test_a_number_of_the_other_sign_is_not_the_same_word() -> None:
    warm, cold = "Does it work at 10 degrees?", "Does it work at -10 degrees?"
    assert judged(near(60, text=warm), text=cold).claim < TWIN
    assert judged(near(60, text=cold), text=warm).claim < TWIN


@pytest.mark.parametrize("text", ["How do I reset his password?", "Do I reset my password how?", "Thanks!"])
def test_other_words_or_another_order_are_not_the_same_words(text: str) -> None:
    assert judged(near(60), text=text).claim < TWIN


@pytest.mark.parametrize(
    ("stored", "asked"),
    [
        ("How do I install C++ on Windows?", "How do I install C# on Windows?"),
        ("Is a deposit of $100 refunded?", "Is a deposit of €100 refunded?"),
        ("What does == mean in Python?", "What does != mean in Python?"),
    ],
)
def test_the_same_words_with_another_sign_are_not_served(stored: str, asked: str) -> None:
    assert judged(near(1, text=stored), text=asked).claim == 0


def test_words_with_another_sign_do_not_speak_for_the_others_of_their_group() -> None:
    stored = near(60, text="How do I install C++ on Windows?"), near(62, text="How is the compiler installed?")
    assert judged(*stored, text="How do I install C# on Windows?").p < TWIN


@pytest.mark.parametrize(
    ("stored", "asked"),
    [("How do I say thanks?", "How do I say bye?"), ("Hello Kitty bag prices", "Kitty bag prices")],
)
def test_a_greeting_that_the_question_is_about_is_not_taken_away(stored: str, asked: str) -> None:
    assert judged(near(60, text=stored), text=asked).claim < TWIN


def test_something_else_than_all_wordings_of_a_group_name_is_less_likely_its_answer() -> None:
    def p(another_wording: str) -> float:
        nearest = near(20, text="Is the blue jacket in stock?")
        return judged(nearest, near(25, text=another_wording), text="Is the suede jacket in stock?").p

    assert p("Do you have the blue jacket now?") < p("Do you have the jacket now?")


def test_a_thing_in_the_place_of_the_nearest_questions_is_not_served_by_the_groups_other_wordings() -> None:
    stored = near(10, text="Is the shop open on Saturday?"), near(14, text="Can I come to the shop at the weekend?")
    assert judged(*stored, text="Is the shop open on Sunday?").claim == 0


def test_something_else_than_wordings_far_from_the_nearest_name_is_less_likely_their_answer_too() -> None:
    def p(another_wording: str) -> float:
        nearest = near(20, text="Is the blue jacket in stock?")
        return judged(nearest, near(60, text=another_wording), text="Is the suede jacket in stock?").p

    assert p("Do you have the blue jacket now?") < p("Do you have the jacket now?")


def test_a_question_among_the_wordings_is_likelier_than_one_as_near_that_lies_beyond_them() -> None:
    among = judged(near(10), near(-20), near(-25))
    beyond = judged(near(10), near(30), near(35))
    nearer = judged(near(10), near(20), near(25), views={1: GroupView(3)})
    assert beyond.p < nearer.p < among.p


def test_beyond_the_wordings_of_a_large_group_a_question_is_less_doubted() -> None:
    def p(anchors: int) -> float:
        return judged(near(15), near(35), views={1: GroupView(anchors)}).p

    assert p(2) == p(3) < p(16) < p(100)


def test_the_same_words_as_one_wording_are_almost_sure_wherever_the_others_lie() -> None:
    assert judged(near(5), near(60), text=RESET).p >= TWIN
