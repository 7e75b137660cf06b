"""For how long it is remembered that no curated answer fits."""

from cache.vouching import Asked, Unvouched

NOW = 1_800_000_000_000_000


def test_that_none_fits_is_known_for_ten_minutes_of_the_very_same_question() -> None:
    unvouched, asked = Unvouched(), Asked(1, 100, None)
    unvouched.add(asked, NOW)
    assert unvouched.has(asked, NOW + 599_999_999)
    assert not unvouched.has(asked, NOW + 600_000_000)
    others = (Asked(2, 100, None), Asked(1, None, None), Asked(1, 100, 60))
    assert not any(unvouched.has(other, NOW) for other in others)


def test_all_of_it_is_forgotten_when_a_curated_answer_is_stored() -> None:
    unvouched, asked = Unvouched(), Asked(1, None, None)
    unvouched.add(asked, NOW)
    unvouched.clear()
    assert not unvouched.has(asked, NOW)


def test_what_is_remembered_is_bounded() -> None:
    unvouched = Unvouched()
    for number in range(25_000):
        unvouched.add(Asked(number, None, None), NOW)
    assert sum(unvouched.has(Asked(number, None, None), NOW) for number in range(25_000)) <= 10_000
    assert unvouched.has(Asked(24_999, None, None), NOW)
