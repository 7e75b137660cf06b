"""What a pool of keys promises: every key carries its share, one that is turned down rests, and none is ever shown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.key_pool import Key, KeyPool
from tests.router.samples import quick

SECRETS = ("sk-aaaa-1111", "sk-bbbb-2222", "sk-cccc-3333")


def taken(pool: KeyPool, now: float = 0.0) -> Key:
    key = pool.take(now)
    assert key is not None
    return key


def test_the_least_loaded_key_is_taken() -> None:
    pool = KeyPool(SECRETS)

    values = [taken(pool).value for _ in range(6)]

    assert sorted(values) == sorted(SECRETS * 2)  # type: ignore[type-var]


def test_among_idle_keys_each_takes_its_turn() -> None:
    pool = KeyPool(SECRETS)

    values = []
    for _ in range(6):
        key = taken(pool)
        values.append(key.value)
        pool.give_back(key)

    assert values == [*SECRETS, *SECRETS]


def test_a_provider_without_keys_has_one_that_is_none() -> None:
    assert taken(KeyPool(())).value is None


def test_a_limited_key_rests_for_as_long_as_its_provider_says_and_comes_back_by_itself() -> None:
    pool = KeyPool(SECRETS[:1])
    key = taken(pool)

    pool.rejected(key, 429, 7.5, now=100.0)

    assert pool.take(107.4) is None
    assert pool.rests_s(101.0) == 6.5
    assert taken(pool, 107.5) is key


def test_the_others_go_on_while_one_rests() -> None:
    pool = KeyPool(SECRETS[:2])
    pool.rejected(taken(pool), 429, 60.0, now=0.0)

    assert {taken(pool, 1.0).value for _ in range(4)} == {SECRETS[1]}


@pytest.mark.parametrize(
    ("status", "first_s", "longest_s"), [(401, 10, 300), (402, 10, 300), (403, 1, 300), (429, 1, 60)]
)
def test_without_the_providers_word_a_rest_doubles_up_to_a_limit(status: int, first_s: int, longest_s: int) -> None:
    pool, now, rests = KeyPool(SECRETS[:1]), 0.0, []
    for _ in range(12):
        key = taken(pool, now)
        pool.rejected(key, status, None, now)
        pool.give_back(key)
        rests.append(pool.rests_s(now))
        now += rests[-1]

    assert rests[:3] == [first_s, 2 * first_s, 4 * first_s]
    assert rests[-1] == longest_s


def test_many_calls_that_fail_together_count_as_one() -> None:
    pool = KeyPool(SECRETS[:1])
    keys = [taken(pool) for _ in range(50)]

    for key in keys:
        pool.rejected(key, 401, None, now=1.0)

    assert pool.rests_s(1.0) == 10.0


def test_the_death_of_a_key_is_news_once() -> None:
    pool = KeyPool(SECRETS[:1])
    key = taken(pool)

    assert [pool.rejected(key, 401, None, now=at) for at in (0.0, 20.0, 60.0)] == [True, False, False]
    assert pool.states(0.0)[0].is_dead


def test_a_key_that_works_again_is_alive_and_rests_short_the_next_time() -> None:
    pool = KeyPool(SECRETS[:1])
    key = taken(pool)
    pool.rejected(key, 401, None, now=0.0)
    pool.rejected(key, 401, None, now=20.0)

    pool.accepted(key, now=60.0)

    assert not pool.states(60.0)[0].is_dead
    assert pool.rejected(key, 401, None, now=60.0)
    assert pool.rests_s(60.0) == 10.0


def test_a_success_that_had_been_sent_before_does_not_end_a_rest() -> None:
    pool = KeyPool(SECRETS[:1])
    key = taken(pool)
    pool.rejected(key, 429, 5.0, now=0.0)

    pool.accepted(key, now=1.0)

    assert pool.take(1.0) is None


def test_one_refusal_may_be_about_the_request_and_three_are_about_the_key() -> None:
    pool = KeyPool(SECRETS[:1])
    key = taken(pool)

    assert [pool.rejected(key, 403, None, now=at) for at in (0.0, 10.0, 20.0)] == [False, False, True]


def test_no_header_can_put_a_key_away_for_days() -> None:
    pool = KeyPool(SECRETS[:1])

    pool.rejected(taken(pool), 429, 1e9, now=0.0)

    assert pool.rests_s(0.0) == 3600.0


def test_an_operator_can_bring_all_back() -> None:
    pool = KeyPool(SECRETS[:2])
    for _ in range(2):
        pool.rejected(taken(pool), 401, None, now=0.0)

    pool.forgive()

    assert taken(pool).value in SECRETS
    assert not any(state.is_dead for state in pool.states(0.0))


def test_keys_go_by_their_place_and_a_piece_of_their_hash() -> None:
    pool = KeyPool(SECRETS)
    shown = repr([taken(pool) for _ in range(3)]) + repr(pool.states(0.0))

    assert "#1 (" in shown
    assert "#3 (" in shown
    assert not any(secret in shown or secret[-4:] in shown for secret in SECRETS)


@quick
@given(st.lists(st.sampled_from(["take", "give back", 401, 403, 429]), max_size=60))
def test_whatever_happens_no_resting_key_is_taken_and_every_one_comes_back(steps: list[object]) -> None:
    pool, held, now = KeyPool(SECRETS), [], 0.0
    for step in steps:
        now += 0.5
        if step == "take":
            resting = {state.name for state in pool.states(now) if state.rests_s > 0}
            key = pool.take(now)
            assert (key is None) == (len(resting) == len(SECRETS))
            if key is not None:
                assert key.name not in resting
                held.append(key)
        elif held and step == "give back":
            pool.give_back(held.pop())
        elif held and isinstance(step, int):
            pool.rejected(held[-1], step, None, now)

    assert sum(state.in_use for state in pool.states(now)) == len(held)
    assert pool.take(now + 300.0) is not None
