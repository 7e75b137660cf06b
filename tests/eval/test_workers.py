"""Work spread over processes: the same results in the same order, progress, and failures that are seen."""

from functools import partial

import pytest

from eval.workers import Progress, Workers


def double(number: int, shared: int, on_progress: Progress) -> int:
    on_progress(number)
    return 2 * number + shared


def fail(shared: int, on_progress: Progress) -> int:
    raise RuntimeError(f"not with {shared}")


@pytest.mark.parametrize("processes", [1, 2])
def test_results_come_in_order_with_all_progress(processes: int) -> None:
    seen: list[int] = []

    with Workers(100, processes) as workers:
        found = workers.run([partial(double, number) for number in range(5)], seen.append)
        again = workers.run([partial(double, 7)], seen.append)

    assert found == [100, 102, 104, 106, 108]
    assert again == [114]
    assert sum(seen) == 17


@pytest.mark.parametrize("processes", [1, 2])
def test_a_failure_is_raised(processes: int) -> None:
    with Workers(3, processes) as workers, pytest.raises(RuntimeError, match="not with 3"):
        workers.run([partial(double, 1), fail, partial(double, 2)], lambda _: None)
