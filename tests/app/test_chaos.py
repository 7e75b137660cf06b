"""The short form of `make chaos`: everything around the gateway breaks, and no answer is lost or wrong.

The long form measures times as well (`benchmarks/chaos.py`).
"""

import asyncio
from pathlib import Path

import pytest

from benchmarks import kills, overload, soak, storms
from benchmarks.faulty import BEFORE_FIRST, Certificates, Fault, Wire
from benchmarks.storms import Row, Sizes
from benchmarks.tokens import token_of

pytestmark = pytest.mark.usefixtures("encoder_folder")

AT_A_TIME = 8
"""Requests under way where none may be refused: what no machine is too slow for."""
SIZES = Sizes(single=24, mixed=1000, rates=(0.5, 1.0), back_after_at_most_s=0.0)


def certificates(folder: Path) -> Certificates | None:
    return Certificates(folder / "certificates") if Certificates.can_be_made() else None


def unanswered(row: Row) -> dict[str, int]:
    """What became of those that could have been answered and were not."""
    return row.details if row.answered < row.answerable or row.wrong else {}


async def test_under_every_fault_every_request_is_answered_rightly_or_ends_in_a_proper_error_event(
    tmp_path: Path,
) -> None:
    trusted = certificates(tmp_path)
    cases = storms.cases(SIZES, trusted)
    async with storms.opened(tmp_path / "gateway", cases, trusted, per_s=3.0, at_most=1) as (storm, _):
        rows = await asyncio.gather(*(storm.run_case(case, SIZES, lambda count: None) for case in cases))

    assert {f"{row.fault} at {row.rate:.0%}": found for row in rows if (found := unanswered(row))} == {}
    assert sum(row.failed_over for row in rows) > len(rows)
    assert sum(row.broken_off for row in rows) > 0


async def test_an_upstream_that_answers_somebody_elses_question_does_not_go_unnoticed(tmp_path: Path) -> None:
    async def lie(wire: Wire) -> None:
        found = wire.upstream.write_answer(token_of("another question"))
        if wire.is_stream:
            await wire.begin_stream()
            await wire.events(found.events(), ends=True)
        else:
            await wire.whole(found.body())

    cases = storms.cases(SIZES, None, [Fault("lies", act=lie)])
    async with storms.opened(tmp_path / "gateway", cases, None, per_s=50.0, at_most=AT_A_TIME) as (storm, _):
        some, every = [await storm.run_case(case, SIZES, lambda count: None) for case in cases]

    assert 0 < some.wrong < some.requests
    assert (every.wrong, every.details) == (every.requests, {"wrong: foreign": every.requests})


async def test_while_several_deployments_fail_in_changing_ways_every_request_is_answered_rightly(
    tmp_path: Path,
) -> None:
    trusted = certificates(tmp_path)
    async with storms.opened(tmp_path / "gateway", [], trusted, per_s=60.0, at_most=AT_A_TIME) as (storm, mixed):
        row = await storm.run_mixed(mixed, SIZES.mixed, lambda count: None)

    assert unanswered(row) == {}
    assert row.failed_over > 0


async def test_a_deployment_that_is_well_again_answers_again_by_itself(tmp_path: Path) -> None:
    sizes = Sizes(single=40, mixed=0, rates=(1.0,), back_after_at_most_s=60.0)
    cases = storms.cases(sizes, None, [fault for fault in BEFORE_FIRST if fault.name in ("5xx", "refused connections")])
    async with storms.opened(tmp_path / "gateway", cases, None, per_s=30.0, at_most=AT_A_TIME) as (storm, _):
        rows = await asyncio.gather(*(storm.run_case(case, sizes, lambda count: None) for case in cases))

    assert [row.fault for row in rows if row.back_after_s is None] == []


async def test_what_an_upstream_cannot_carry_is_refused_with_503_and_the_rest_is_answered(tmp_path: Path) -> None:
    load = await overload.upstream_bound(tmp_path, overload.Sizes(1.0, 3.0, 30.0), lambda count: None)

    assert load.answered + load.refused == load.requests, load.details
    assert min(load.answered, load.refused) > 0
    assert load.recovery_s is not None


async def test_after_kill_minus_nine_nothing_acknowledged_is_lost_and_reservations_heal(tmp_path: Path) -> None:
    found = await kills.killed(tmp_path, 1, lambda count: None)

    assert found.problems == []
    assert (found.lost, found.doubled, found.wrong) == (0, 0, 0)
    assert found.acknowledged > 0


async def test_after_mixed_load_nothing_is_left_open(tmp_path: Path) -> None:
    found = await soak.soaked(tmp_path, minutes=0.05, per_s=60.0, advance=lambda count: None, at_most=AT_A_TIME)

    assert found.open_reservations == 0
    assert found.verifies
    assert {name: found.verdicts.get(name, 0) for name in ("wrong", "lost", "refused", "wrongly not refused")} == {
        "wrong": 0,
        "lost": 0,
        "refused": 0,
        "wrongly not refused": 0,
    }
