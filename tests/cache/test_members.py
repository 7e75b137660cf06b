"""Members of a group: in their order, however many there are, and none of the others is looked at when one goes."""

import time

from hypothesis import given
from hypothesis import strategies as st

from cache.members import Members, joined, left


@given(st.integers(0, 80), st.lists(st.integers(0, 90)))
def test_members_stay_in_the_order_in_which_they_came(count: int, gone: list[int]) -> None:
    members: Members[int] = ()
    expected = list(range(count))
    for new in expected:
        members = joined(members, new)
    for each in gone:
        members = left(members, each)
        expected = [other for other in expected if other != each]
    members, expected = joined(members, 100), [*expected, 100]
    assert list(members) == expected
    assert len(members) == len(expected)


def test_a_crowd_leaves_in_a_moment() -> None:
    members: Members[int] = ()
    began = time.process_time()
    for new in range(50_000):
        members = joined(members, new)
    for gone in range(50_000):
        members = left(members, gone)
    assert not members
    assert time.process_time() - began < 5  # with a look at all others it takes a minute
