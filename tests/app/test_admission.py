"""What the gate promises: a bound on what is under way, and on what a body may hold."""

import pytest

from app.admission import Gate, check_values
from router.errors import Overloaded, RequestInvalid


def is_open(gate: Gate) -> bool:
    try:
        with gate.passed():
            return True
    except Overloaded:
        return False


def test_only_so_many_are_inside_at_the_same_time() -> None:
    gate = Gate(2, 1000)
    with gate.passed(), gate.passed():
        assert not is_open(gate)

    assert is_open(gate)
    assert gate.in_flight == 0


def test_whoever_leaves_with_an_error_has_left() -> None:
    gate = Gate(1, 1000)
    with pytest.raises(ValueError, match="broken"), gate.passed():
        raise ValueError("broken")

    assert is_open(gate)


def test_bodies_have_a_bound_together_until_their_requests_have_left() -> None:
    gate = Gate(10, 1000)
    with gate.passed() as first:
        first.sent(700)
        with gate.passed() as second:
            second.sent(200)
            with pytest.raises(Overloaded):
                second.sent(101)
        assert gate.body_bytes == 700
        with gate.passed() as third:
            third.sent(300)

    assert gate.body_bytes == 0


def test_a_body_that_is_alone_may_be_as_large_as_it_likes() -> None:
    with Gate(10, 1000).passed() as passage:
        passage.sent(5000)


@pytest.mark.parametrize(
    "body",
    [b"[" * 100_001, b"[" + b"{}," * 100_000 + b"{}]", b'["' + b"{" * 100_001 + b'", ' + b"[]," * 100_001 + b"[]]"],
    ids=["deep", "wide", "beside a text"],
)
def test_countless_values_are_refused(body: bytes) -> None:
    with pytest.raises(RequestInvalid):
        check_values(body)


@pytest.mark.parametrize(
    "body",
    [b"{}", b'{"a": "' + b"{[" * 100_000 + b'"}', b'{"a": "' + b'\\"{' * 100_001 + b'"}'],
    ids=["few", "text", "quotes"],
)
def test_brackets_in_texts_are_not_counted(body: bytes) -> None:
    check_values(body)
