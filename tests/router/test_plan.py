"""What the plan promises: the cheapest model that is good enough, in a stated order, for a stated reason."""

import copy
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.catalogue import Deployment, Model, Provider, Strategy, Tier
from router.errors import ModelUnknown, NoCandidate
from router.plan import AUTO, Plan, features, plan
from router.prices import Priced
from tests.router.samples import AT, model, policy, quick, request

PREMIUM = model("large", Tier.PREMIUM, "1.25", "10")
MID = model("medium", Tier.MID, "0.25", "2")
ECONOMY = model("small", Tier.ECONOMY, "0.05", "0.4")
ALL = (PREMIUM, MID, ECONOMY)

EASY = "What are your opening hours?"
HARD = (
    "Analyze this design step by step, compare the trade-offs, prove the bound and debug the code:\n"
    "```python\ndef reserve(self): ...\n```\n" + "The system has many parts. " * 160
)


def names(found: Plan) -> list[str]:
    return [candidate.model.name for candidate in found.candidates]


def first(text: str, strategy: Strategy, **fields: Any) -> str:
    return names(plan(request(text, **fields), policy(*ALL, strategy=strategy), None, AT))[0]


# --- auto ------------------------------------------------------------------------------------------------------


def test_balanced_sends_an_easy_question_to_the_cheapest_and_a_hard_one_to_a_better_model() -> None:
    assert first(EASY, "balanced") == "small"
    assert first(HARD, "balanced") in ("medium", "large")


def test_cost_first_stays_cheap_even_for_a_hard_question() -> None:
    assert first(EASY, "cost-first") == "small"
    assert first(HARD, "cost-first") == "small"


def test_pinned_takes_the_best_whatever_it_costs() -> None:
    assert first(EASY, "pinned") == "large"
    assert first(HARD, "pinned") == "large"


def test_the_rest_of_the_plan_is_what_to_fail_over_to() -> None:
    found = plan(request(EASY), policy(*ALL), None, AT)

    assert sorted(names(found)) == ["large", "medium", "small"]
    assert found.wanted == "small"


def test_the_reason_says_how_auto_decided() -> None:
    found = plan(request(EASY), policy(*ALL), None, AT)

    assert found.reason.startswith("auto: balanced, difficulty 0.")


def test_no_model_below_the_floor_answers_auto() -> None:
    found = plan(request(EASY), policy(*ALL, floor=Tier.MID), None, AT)

    assert names(found) == ["medium", "large"]


def test_a_model_without_a_price_counts_as_the_dearest() -> None:
    priced = Priced(provider="nobody", reference="secret")
    secret = model(
        "secret", Tier.ECONOMY, deployments=(Deployment("d", Provider("p", "http://p.invalid"), "m", priced),)
    )

    found = plan(request(EASY), policy(PREMIUM, secret, ECONOMY, strategy="cost-first"), None, AT)

    assert names(found)[0] == "small"
    assert next(c for c in found.candidates if c.model.name == "secret").prices is None


# --- a named model -----------------------------------------------------------------------------------------------


def test_a_named_model_is_the_only_candidate() -> None:
    found = plan(request(EASY, model="large"), policy(*ALL), None, AT)

    assert names(found) == ["large"]
    assert found.reason == "as requested"


def test_where_downgrades_are_allowed_the_nearest_tier_stands_in_first_and_never_a_dearer_one() -> None:
    route = policy(ECONOMY, PREMIUM, MID, allow_downgrade=True)

    assert names(plan(request(HARD, model="large"), route, None, AT)) == ["large", "medium", "small"]
    assert names(plan(request(HARD, model="medium"), route, None, AT)) == ["medium", "small"]
    assert names(plan(request(HARD, model="small"), route, None, AT)) == ["small"]


def test_a_stand_in_is_not_below_the_floor() -> None:
    route = policy(*ALL, allow_downgrade=True, floor=Tier.MID)

    assert names(plan(request(EASY, model="large"), route, None, AT)) == ["large", "medium"]


def test_a_client_may_name_a_model_below_the_floor() -> None:
    found = plan(request(EASY, model="small"), policy(*ALL, floor=Tier.PREMIUM), None, AT)

    assert names(found) == ["small"]


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ModelUnknown) as refused:
        plan(request(EASY, model="gpt-99"), policy(*ALL), None, AT)

    assert refused.value.model == "gpt-99"
    assert all(name in str(refused.value) for name in (AUTO, "large", "medium", "small"))


# --- the ceiling -------------------------------------------------------------------------------------------------


def test_a_ceiling_rules_dearer_tiers_out_and_says_so() -> None:
    found = plan(request(HARD), policy(*ALL, strategy="pinned"), Tier.MID, AT)

    assert names(found) == ["medium", "small"]
    assert found.reason == "rationed: budget allows up to mid, large wanted"
    assert found.is_rationed(MID)


def test_a_ceiling_that_changes_nothing_is_no_rationing() -> None:
    found = plan(request(EASY), policy(*ALL), Tier.MID, AT)

    assert names(found)[0] == "small"
    assert not found.is_rationed(ECONOMY)
    assert found.reason.startswith("auto")


def test_a_stand_in_for_a_failed_model_is_no_rationing_though_a_ceiling_is_set() -> None:
    found = plan(request(EASY), policy(*ALL), Tier.MID, AT)

    assert names(found) == ["small", "medium"]
    assert not found.is_rationed(MID)


def test_a_ceiling_below_every_model_leaves_the_cheapest_tier_and_never_refuses() -> None:
    assert names(plan(request(HARD), policy(PREMIUM, MID), Tier.ECONOMY, AT)) == ["medium"]
    named = plan(request(HARD, model="large"), policy(*ALL), Tier.ECONOMY, AT)
    assert names(named) == ["large"]
    assert not named.is_rationed(PREMIUM)


def test_a_named_model_is_rationed_only_where_the_route_allows_downgrades() -> None:
    found = plan(request(HARD, model="large"), policy(*ALL, allow_downgrade=True), Tier.ECONOMY, AT)

    assert names(found) == ["small"]
    assert found.is_rationed(ECONOMY)


# --- falling back ---------------------------------------------------------------------------------------------------


def test_deployments_are_tried_candidate_by_candidate() -> None:
    twice = model("twice", Tier.PREMIUM)
    spare = Deployment("there/twice", twice.deployments[0].provider, "twice", twice.deployments[0].priced)
    twice = msgspec.structs.replace(twice, deployments=(*twice.deployments, spare))

    found = plan(request(EASY, model="twice"), policy(twice, ECONOMY, allow_downgrade=True), None, AT)

    assert [(candidate.model.name, deployment.name) for candidate, deployment in found.deployments()] == [
        ("twice", "here/twice"),
        ("twice", "there/twice"),
        ("small", "here/small"),
    ]


@pytest.mark.parametrize(
    ("refused", "failed", "reason"),
    [
        (True, False, "fallback: large budget cannot hold"),
        (False, True, "fallback: large failed"),
        (True, True, "fallback: large budget cannot hold and failed"),
    ],
)
def test_a_fallback_says_what_became_of_the_better_model(refused: bool, failed: bool, reason: str) -> None:
    found = plan(request(EASY, model="large"), policy(*ALL, allow_downgrade=True), None, AT)

    assert found.reason_for(MID, refused=refused, failed=failed) == reason
    assert found.reason_for(PREMIUM, refused=refused, failed=failed) == "as requested"


# --- who may not serve ---------------------------------------------------------------------------------------------

TOOLS = [{"type": "function", "function": {"name": "lookup", "parameters": {}}}]


def image(text: str = "What is this?") -> list[dict[str, Any]]:
    parts = [{"type": "text", "text": text}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]
    return [{"role": "user", "content": parts}]


def test_a_request_with_tools_goes_only_to_models_that_take_them() -> None:
    plain = model("plain", Tier.ECONOMY, "0.01", "0.02", takes_tools=False)

    assert names(plan(request(EASY, tools=TOOLS), policy(plain, MID), None, AT)) == ["medium"]
    assert names(plan(request(EASY), policy(plain, MID), None, AT))[0] == "plain"


def test_a_picture_goes_only_to_models_that_see() -> None:
    seeing = model("seeing", Tier.MID, accepts=frozenset({"image_url"}))

    assert names(plan(request(messages=image()), policy(ECONOMY, seeing), None, AT)) == ["seeing"]


def test_when_nobody_may_serve_the_refusal_says_why_for_each_model() -> None:
    blind = model("blind", Tier.PREMIUM)
    toolless = model("toolless", Tier.PREMIUM, takes_tools=False)
    homeless = model("homeless", Tier.PREMIUM, deployments=())
    low = model("low", Tier.ECONOMY, accepts=frozenset({"image_url"}))

    with pytest.raises(NoCandidate) as refused:
        plan(request(messages=image(), tools=TOOLS), policy(blind, toolless, homeless, low, floor=Tier.MID), None, AT)

    assert refused.value.reasons == {
        "blind": "takes no image_url",
        "toolless": "takes no tools",
        "homeless": "has no deployment",
        "low": "below the floor mid",
    }
    assert "toolless: takes no tools" in str(refused.value)


def test_a_prompt_that_cannot_fit_is_refused_and_one_that_may_fit_is_not() -> None:
    tiny = model("tiny", Tier.ECONOMY, context_tokens=1_000)

    assert names(plan(request("word " * 1_000), policy(tiny), None, AT)) == ["tiny"]
    with pytest.raises(NoCandidate) as refused:
        plan(request("word " * 2_000), policy(tiny), None, AT)
    assert refused.value.reasons == {"tiny": "context of 1000 tokens is too small"}


def test_a_named_model_that_cannot_serve_is_refused_and_not_quietly_replaced() -> None:
    toolless = model("large", Tier.PREMIUM, takes_tools=False)

    with pytest.raises(NoCandidate) as refused:
        plan(request(EASY, model="large", tools=TOOLS), policy(toolless, MID, allow_downgrade=True), None, AT)

    assert refused.value.reasons == {"large": "takes no tools"}


# --- purity --------------------------------------------------------------------------------------------------------


@quick
@given(
    st.text(max_size=400),
    st.sampled_from(["auto", "large", "medium", "small"]),
    st.sampled_from(["balanced", "cost-first", "pinned"]),
    st.sampled_from([None, *Tier]),
    st.sampled_from(list(Tier)),
    st.booleans(),
    st.permutations(ALL),
)
def test_the_same_input_gives_the_same_plan_and_stays_as_it_was(
    text: str,
    name: str,
    strategy: Strategy,
    ceiling: Tier | None,
    floor: Tier,
    may_downgrade: bool,
    models: list[Model],
) -> None:
    asked = request(text, model=name)
    before = copy.deepcopy(asked.mapping)
    route = policy(*models, strategy=strategy, floor=floor, allow_downgrade=may_downgrade)

    found = plan(asked, route, ceiling, AT)

    assert found == plan(asked, route, ceiling, AT)
    assert asked.mapping == before
    assert found.candidates
    assert ceiling is None or found.candidates[0].model.tier <= max(
        ceiling, min(c.model.tier for c in found.candidates)
    )
    if name != AUTO:
        assert found.wanted == name


@quick
@given(st.text(max_size=6_000), st.lists(st.sampled_from(["user", "assistant", "system"]), max_size=12))
def test_difficulty_is_between_nothing_and_one(text: str, roles: list[str]) -> None:
    messages = [{"role": "user", "content": text}, *({"role": role, "content": "x"} for role in roles)]

    assert 0 <= features(request(messages=messages)).difficulty <= 1


def test_features_are_read_from_text_parts_as_from_plain_text() -> None:
    parts = [{"role": "user", "content": [{"type": "text", "text": HARD}]}]

    assert features(request(messages=parts)) == features(request(HARD))


def test_a_query_in_the_prompt_counts_as_code() -> None:
    assert features(request("Why is SELECT name FROM users slow?")).has_code
    assert not features(request("Please select a seat from the plan.")).has_code
