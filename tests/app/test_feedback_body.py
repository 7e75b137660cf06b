"""What a client may say of an answer, and what counts as a complaint."""

from typing import Any

import msgspec
import pytest

from app.feedback import Feedback


def said(**fields: Any) -> Feedback:
    return msgspec.convert({"request_id": "req_1", **fields}, Feedback)


@pytest.mark.parametrize(
    ("fields", "is_complaint"),
    [
        ({"thumb": "up"}, False),
        ({"thumb": "down"}, True),
        ({"score": 1}, False),
        ({"score": 0.5}, False),
        ({"score": 0.499}, True),
        ({"score": 0}, True),
        ({"preferred": "This would have been right."}, True),
        ({"thumb": "up", "preferred": "Even better."}, False),
        ({"score": 0.9, "preferred": "Even better."}, False),
        ({"thumb": "down", "preferred": "Right."}, True),
    ],
)
def test_a_complaint_is_a_thumb_down_a_low_score_or_another_answer(fields: dict[str, Any], is_complaint: bool) -> None:
    assert said(**fields).is_complaint is is_complaint
    assert said(**fields).kind == ("wrong" if is_complaint else "right")


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"thumb": None},
        {"thumb": "sideways"},
        {"thumb": True},
        {"score": -0.1},
        {"score": 1.1},
        {"score": "good"},
        {"thumb": "up", "score": 1},
        {"preferred": ""},
        {"preferred": "x" * 32_001},
        {"thumb": "up", "rating": 5},
        {"thumb": "up", "request_id": ""},
        {"thumb": "up", "request_id": "x" * 129},
        {"thumb": "up", "request_id": 5},
    ],
)
def test_anything_else_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        said(**fields)
