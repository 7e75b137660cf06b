"""What a memo keeps, and what it lets go."""

from cache.memo import Memo


def test_what_was_asked_for_longest_ago_goes_first() -> None:
    memo = Memo[str, int](bytes_at_most=10)
    for number, key in enumerate("abc"):
        memo.put(key, number, 3)
    assert memo.get("a") == 0
    memo.put("d", 3, 3)
    assert [memo.get(key) for key in "abcd"] == [0, None, 2, 3]


def test_what_is_larger_than_a_memo_is_not_kept_and_takes_no_room() -> None:
    memo = Memo[str, int](bytes_at_most=10)
    memo.put("large", 1, 11)
    memo.put("small", 2, 10)
    assert (memo.get("large"), memo.get("small")) == (None, 2)


def test_what_is_put_again_takes_the_room_of_its_last_size() -> None:
    memo = Memo[str, int](bytes_at_most=10)
    for size in (9, 1, 1):
        memo.put("a", size, size)
    memo.put("b", 2, 9)
    assert (memo.get("a"), memo.get("b")) == (1, 2)
