"""When a process that is late takes on less: not for one long round, the least important first, and not for long."""

from collections import Counter
from collections.abc import Sequence

import pytest

from app.lateness import SHORT_S, Lateness, patience_s

EVERYBODY = range(7)
LONG_S = 0.2
"""Longer than anybody's patience."""
WITHIN_S = 0.021
"""Long, and within everybody's."""


def after(*rounds: tuple[float, float]) -> Lateness:
    """(work in seconds, when it ended) of each round."""
    lateness = Lateness()
    for round_s, now in rounds:
        lateness.took(round_s, now)
    return lateness


def overloaded(per_s: int = 400) -> Lateness:
    """Since a second, in which so many requests have left."""
    lateness = Lateness()
    for at in range(100):
        for _ in range(per_s // 100):
            lateness.left()
        lateness.took(LONG_S, 10.0 + at / 100)
    return lateness


def come_in(lateness: Lateness, now: float) -> list[int]:
    """Each alone, so that nobody takes another's place."""
    return [place for place in EVERYBODY if lateness.comes_in(place, now + place)]


def offered(
    lateness: Lateness, places: Sequence[int], per_s: int, began: float = 11.0, seconds: float = 1.0
) -> Counter[int]:
    """Who came in of so many requests a second, from these places in turn, while rounds are within everybody's
    patience."""
    taken: Counter[int] = Counter()
    for number in range(int(per_s * seconds)):
        now = began + number / per_s
        lateness.took(WITHIN_S, now)
        place = places[number % len(places)]
        if lateness.comes_in(place, now):
            taken[place] += 1
            lateness.left()
    return taken


# --- when it is an overload ---------------------------------------------------------------------------------------


def test_one_long_round_turns_nobody_away() -> None:
    assert come_in(after((0.001, 0.9), (3.0, 4.0)), 4.0) == list(EVERYBODY)


def test_long_rounds_with_short_ones_between_them_turn_nobody_away() -> None:
    rounds = [(LONG_S if at % 2 else SHORT_S, 0.2 * at) for at in range(20)]

    assert come_in(after(*rounds), 4.0) == list(EVERYBODY)


def test_while_nothing_is_late_as_many_come_in_as_like() -> None:
    lateness = after((SHORT_S, 1.0))

    assert all(lateness.comes_in(6, 1.0) for _ in range(10_000))


def test_rounds_that_go_on_being_long_turn_everybody_away() -> None:
    assert come_in(overloaded(), 11.0) == []


@pytest.mark.parametrize(("calm_s", "is_over"), [(0.5, False), (1.5, True)])
def test_an_overload_is_over_when_no_round_was_long_for_a_second(calm_s: float, is_over: bool) -> None:
    lateness = overloaded()
    for at in range(1, 4):
        lateness.took(0.001, 11.0 + calm_s * at / 3)

    assert lateness.is_overload != is_over
    lateness.took(LONG_S, 11.1 + calm_s)
    assert (come_in(lateness, 12.0) != []) == is_over


def test_after_a_burst_of_a_moment_nobody_is_turned_away() -> None:
    burst = [(0.02, 1.0 + at / 50) for at in range(3)]

    assert come_in(after(*burst), 2.0) == list(EVERYBODY)


# --- who comes in meanwhile -------------------------------------------------------------------------------------------


def test_a_round_that_is_short_lets_everybody_in_and_one_that_is_long_nobody_at_once() -> None:
    lateness = overloaded()
    lateness.took(SHORT_S, 11.1)
    assert come_in(lateness, 11.1) == list(EVERYBODY)

    lateness.took(LONG_S, 18.0)
    assert come_in(lateness, 18.0) == []


def test_after_a_short_round_as_many_come_in_as_like() -> None:
    lateness = overloaded(per_s=100)
    lateness.took(SHORT_S, 11.1)

    assert all(lateness.comes_in(6, 11.1) for _ in range(200))


def test_who_is_more_important_goes_without_later() -> None:
    patience = [patience_s(place) for place in EVERYBODY]
    assert patience == sorted(set(patience), reverse=True)
    assert patience_s(99) == patience[-1] > SHORT_S

    for place in EVERYBODY:
        lateness = overloaded()
        lateness.took(patience_s(place), 11.0)
        assert come_in(lateness, 11.0) == [each for each in EVERYBODY if each <= place]


def test_hardly_more_come_in_within_a_round_than_have_left_lately_in_that_time() -> None:
    lateness = overloaded(per_s=400)
    lateness.took(WITHIN_S, 11.0)

    assert 10 <= sum(lateness.comes_in(0, 11.0) for _ in range(1000)) <= 40


def test_as_rounds_stay_short_more_and_more_come_in() -> None:
    lateness = overloaded(per_s=100)

    first, later = (offered(lateness, [0], per_s=2000, began=began)[0] for began in (11.0, 12.0))

    assert 100 < first < later < 2000


def test_of_what_there_is_room_for_the_most_important_get_what_they_want_first() -> None:
    taken = offered(overloaded(per_s=400), [0, 4, 5, 4, 5, 4, 5, 4], per_s=1600, seconds=1)

    assert taken[0] == 200  # all of them
    assert taken[4] > taken[5]
