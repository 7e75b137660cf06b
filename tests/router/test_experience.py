"""What the router's experience promises: conversations keep their model, scores change estimates, memory is bounded."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router import experience
from router.catalogue import Model, RoutingPolicy, Tier
from router.experience import Experience, conversation_of, seen_of
from router.plan import Circumstances, Plan, plan
from tests.router.samples import AT, model, policy, quick, request

LARGE = model("large", Tier.PREMIUM, "1.25", "10")
MEDIUM = model("medium", Tier.MID, "0.25", "2")
SMALL = model("small", Tier.ECONOMY, "0.05", "0.4")
ALL = (LARGE, MEDIUM, SMALL)
ROUTE = policy(*ALL)
QUESTION = "How do I change my address?"


def learned(models: Sequence[Model] = ALL) -> Experience:
    return Experience({each.name: each for each in models})


def about(
    known: Experience, route: RoutingPolicy = ROUTE, conversation: str = "c", text: str = QUESTION, **fields: Any
) -> Circumstances:
    given = {"baseline": "large", "price": 0.0, "chance": 1.0} | fields
    return known.about(seen_of(request(text), None), conversation, route, **given)


def answer(known: Experience, model: str, request_id: str = "req_1", conversation: str = "c", **fields: Any) -> None:
    said = {"prompt_tokens": 100, "output_tokens": 50, "first_event_ms": 20.0} | fields
    known.answered(request_id, seen_of(request(QUESTION), None), model, conversation, **said)


def planned(known: Experience, route: RoutingPolicy = ROUTE, text: str = QUESTION, **fields: Any) -> Plan:
    return plan(request(text), route, None, AT, about(known, route, text=text, **fields))


# --- conversations -------------------------------------------------------------------------------------------------


def test_a_conversation_keeps_its_model_though_another_one_would_be_chosen_now() -> None:
    known = learned()
    assert planned(known).wanted == "small"

    answer(known, "medium", conversation="c")

    assert planned(known, conversation="c").wanted == "medium"
    assert planned(known, conversation="c").reason.endswith("kept for the conversation")
    assert planned(known, conversation="other").wanted == "small"


def test_a_conversation_of_its_own_name_belongs_to_one_key() -> None:
    messages = [{"role": "user", "content": "Hello"}]

    assert conversation_of("k1", "chat-7", messages) == conversation_of("k1", "chat-7", [])
    assert conversation_of("k1", "chat-7", messages) != conversation_of("k2", "chat-7", messages)


def test_without_a_name_the_turns_after_the_first_question_do_not_change_the_conversation() -> None:
    opened = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}]
    later = [*opened, {"role": "assistant", "content": "Hi!"}, {"role": "user", "content": "More."}]

    assert conversation_of("k", None, opened) == conversation_of("k", None, later)
    assert conversation_of("k", None, opened) != conversation_of("k", None, opened[1:])


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(experience, "CONVERSATIONS", 3)
    monkeypatch.setattr(experience, "ANSWERS", 3)
    known = learned()

    for number in range(10):
        answer(known, "small", request_id=f"req_{number}", conversation=f"c{number}")

    assert about(known, conversation="c0").pin is None
    assert about(known, conversation="c9").pin is not None
    assert not known.scored("req_0", 1.0)
    assert known.scored("req_9", 1.0)


# --- what scores teach ---------------------------------------------------------------------------------------------


def test_bad_scores_make_a_model_less_likely_to_serve_such_prompts() -> None:
    known = learned()
    before = about(known).quality["small"]

    for number in range(40):
        answer(known, "small", request_id=f"req_{number}", conversation=f"c{number}")
        assert known.scored(f"req_{number}", 0.0)

    assert about(known).quality["small"] < before - 0.2
    assert planned(known, conversation="new").wanted != "small"


def test_an_answer_that_nobody_remembers_teaches_nothing() -> None:
    assert not learned().scored("req_unknown", 1.0)


def test_the_floor_rises_for_a_model_whose_judged_answers_lose_more_than_the_route_tolerates() -> None:
    known = learned()
    strict = msgspec.structs.replace(ROUTE, max_quality_loss=0.1)
    for number in range(60):
        answer(known, "small", request_id=f"req_{number}", conversation=f"c{number}")
        known.scored(f"req_{number}", 0.2)

    assert "small" in about(known, strict).barred
    assert about(known, ROUTE).barred == {}
    assert "small" not in [each.model.name for each in planned(known, strict, conversation="new").candidates]


def test_the_floor_does_not_rise_for_a_kind_of_work_of_which_nothing_was_judged() -> None:
    known = learned()
    strict = msgspec.structs.replace(ROUTE, max_quality_loss=0.1)
    hard = "Prove step by step that the sum of two even numbers is even, and derive the general rule."
    for number in range(40):
        answer(known, "small", request_id=f"req_{number}", conversation=f"c{number}")
        known.scored(f"req_{number}", 1.0)

    assert about(known, strict, text=hard).barred == {}


def test_a_tolerance_of_everything_leaves_nobody_out() -> None:
    known = learned()
    for number in range(60):
        answer(known, "small", request_id=f"req_{number}", conversation=f"c{number}")
        known.scored(f"req_{number}", 0.0)

    assert about(known, msgspec.structs.replace(ROUTE, max_quality_loss=1.0)).barred == {}


def test_what_was_judged_before_a_restart_keeps_the_floor_up() -> None:
    known, again = learned(), learned()
    strict = msgspec.structs.replace(ROUTE, max_quality_loss=0.1)
    for number in range(40):
        answer(known, "small", request_id=f"req_{number}", conversation=f"c{number}")
        known.scored(f"req_{number}", 0.0)

    again.quality.restore(known.quality.export("space"), "space")

    assert "small" in about(again, strict).barred


def test_a_model_that_nobody_has_named_is_not_learned_of_and_hurts_nobody() -> None:
    known = learned([LARGE, SMALL])
    answer(known, "medium")

    assert not known.scored("req_1", 0.0)
    assert len(known.quality) == 0


def test_a_model_that_comes_later_is_learned_of_from_then_on() -> None:
    known = learned([LARGE, SMALL])
    answer(known, "small", request_id="req_0")
    known.scored("req_0", 0.0)
    before = about(known)

    known.know({each.name: each for each in ALL})
    answer(known, "medium", output_tokens=3000, first_event_ms=70.0)

    assert about(known).quality["small"] == before.quality["small"]  # what was known is known
    assert about(known).latency_ms["medium"] == 70.0
    assert about(known).output_tokens["medium"] > before.output_tokens["small"]
    expected = about(known).quality["medium"]
    assert known.scored("req_1", 0.0)
    assert about(known).quality["medium"] < expected


def test_an_answer_teaches_once_for_each_who_scores_it() -> None:
    known = learned()
    answer(known, "small")

    assert [known.scored("req_1", 0.0) for _ in range(3)] == [True, False, False]
    assert [known.scored("req_1", 0.0, by="judge") for _ in range(2)] == [True, False]
    assert len(known.quality) == 2


def test_a_route_may_keep_a_kind_of_work_to_some_models() -> None:
    summaries = msgspec.structs.replace(ROUTE, classes={"chat": ("large",)})

    assert set(about(learned(), summaries).barred) == {"medium", "small"}
    assert planned(learned(), summaries).wanted == "large"


# --- chance --------------------------------------------------------------------------------------------------------


def test_held_out_conversations_are_served_by_the_baseline_and_stay_held_out() -> None:
    some = msgspec.structs.replace(ROUTE, holdout_share=0.3)
    known = learned()
    held_out = [about(known, some, f"c{n}").is_held_out for n in range(1000)]

    assert held_out == [about(known, some, f"c{n}").is_held_out for n in range(1000)]
    assert 250 < sum(held_out) < 350
    served = planned(known, some, conversation=f"c{held_out.index(True)}")
    assert served.wanted == "large"
    assert served.is_held_out
    assert served.reason == "holdout: large as the baseline"


@quick
@given(chance=st.floats(0, 1, exclude_max=True))
def test_exploring_stays_inside_the_eligible_models_and_says_how_likely_it_was(chance: float) -> None:
    curious = msgspec.structs.replace(policy(*ALL, floor=Tier.MID), explore_share=0.02)
    found = plan(request(QUESTION), curious, None, AT, about(learned(), curious, chance=chance))

    assert found.wanted in ("large", "medium")
    assert found.propensity == pytest.approx(0.02 if found.reason.startswith("explored") else 0.98)
    assert found.reason.startswith("explored") == (chance < 0.02)


# --- strategies ----------------------------------------------------------------------------------------------------


def test_performance_first_takes_the_fastest_by_live_latency() -> None:
    fast = msgspec.structs.replace(ROUTE, strategy="performance-first")
    known = learned()
    for name, first_event_ms in (("small", 900.0), ("medium", 80.0), ("large", 300.0)):
        answer(known, name, conversation=name, first_event_ms=first_event_ms)

    found = planned(known, fast, conversation="new")

    assert [each.model.name for each in found.candidates] == ["medium", "large", "small"]


def test_who_came_to_the_rescue_is_not_taken_for_slow() -> None:
    fast = msgspec.structs.replace(ROUTE, strategy="performance-first")
    known = learned()
    for name, first_event_ms in (("small", 900.0), ("medium", 80.0), ("large", 300.0), ("medium", None)):
        answer(known, name, conversation=name, first_event_ms=first_event_ms)

    assert planned(known, fast, conversation="new").wanted == "medium"
    assert about(known, fast).latency_ms["medium"] == 80.0


def test_failover_first_keeps_the_order_of_the_route() -> None:
    listed = msgspec.structs.replace(policy(MEDIUM, LARGE, SMALL), strategy="failover-first")

    assert [each.model.name for each in planned(learned(), listed).candidates] == ["medium", "large", "small"]


def test_a_weighted_split_gives_each_model_its_part_of_the_conversations() -> None:
    split = msgspec.structs.replace(ROUTE, strategy="weighted", weights={"large": 1.0, "small": 3.0})
    known = learned()

    served = [planned(known, split, conversation=f"c{n}").wanted for n in range(600)]

    assert 0.68 < served.count("small") / 600 < 0.82
    assert served.count("large") + served.count("small") == 600
    assert served == [planned(known, split, conversation=f"c{n}").wanted for n in range(600)]


def test_what_pacing_asks_moves_the_choice_to_cheaper_models() -> None:
    known = learned()
    for number in range(40):
        answer(known, "small", request_id=f"req_{number}", conversation=f"c{number}")
        known.scored(f"req_{number}", 0.3)
    assert planned(known, conversation="new").wanted == "medium"

    assert planned(known, conversation="new", price=1e-3).wanted == "small"
    pinned = msgspec.structs.replace(ROUTE, strategy="pinned")
    assert planned(known, pinned, conversation="new", price=1e-3).wanted == "large"
