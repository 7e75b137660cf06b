"""What providers keep: known to whoever made it, also after a restart and elsewhere, for as long as it lasts."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from app.database import LEDGER_MIGRATIONS, open_database
from router.chat import ChatRequest
from router.errors import LedgerUnavailable, RequestInvalid
from router.kept import KeptAnswers
from router.ledger.kept import Kept, KeptFile
from router.ledger.writer import Closing, Ledger
from router.protocols import responses as native
from router.surfaces import openai, responses
from tests.router.samples import ledger_row
from tests.router.test_responses_requests import decoded, deployment

NOW_US = 1_750_000_000_000_000
DAY_US = 86_400_000_000


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[sa.Engine]:
    engine = open_database(tmp_path / "ledger.db", LEDGER_MIGRATIONS)
    yield engine
    engine.dispose()


@pytest.fixture
def kept(engine: sa.Engine) -> KeptAnswers:
    return remembering(engine)


@pytest.fixture
async def ledger(engine: sa.Engine) -> Any:
    ledger = Ledger(engine)
    ledger.start()
    yield ledger
    ledger.stop()


def remembering(engine: sa.Engine, now_us: int = NOW_US, **bounds: int) -> KeptAnswers:
    return KeptAnswers(KeptFile(engine), lambda: now_us, **bounds)


def body_event(response_id: str, **fields: Any) -> Any:
    item = {"id": f"msg_{response_id}", "type": "message", "content": []}
    found = {"id": response_id, "status": "completed", "output": [item]}
    return native.parse_body(json.dumps(found | fields).encode())


def continuing(response_id: str) -> ChatRequest:
    return decoded(previous_response_id=response_id)


async def is_known(kept: KeptAnswers, known_as: str, team: str = "t") -> bool:
    return await kept.deployment_of(team, known_as) is not None


# --- who may continue what ------------------------------------------------------------------------------------


async def test_what_is_kept_is_found_for_its_team_only(kept: KeptAnswers) -> None:
    kept.learn("support", "here/m", [body_event("resp_1", conversation={"id": "conv_1"})])

    for fields in (
        {"previous_response_id": "resp_1"},
        {"conversation": {"id": "conv_1"}},
        {"input": [{"type": "item_reference", "id": "msg_resp_1"}]},
    ):
        asked = decoded(**fields)
        assert (await kept.placed(asked, "support")).kept_by == "here/m"
        with pytest.raises(RequestInvalid) as refusal:
            await kept.placed(asked, "sales")
        assert refusal.value.param in asked.continues


async def test_a_request_that_continues_two_places_is_refused(kept: KeptAnswers) -> None:
    kept.learn("t", "here/m", [body_event("resp_1")])
    kept.learn("t", "there/m", [body_event("resp_2")])

    asked = decoded(previous_response_id="resp_1", input=[{"type": "item_reference", "id": "msg_resp_2"}])

    with pytest.raises(RequestInvalid) as refusal:
        await kept.placed(asked, "t")
    assert refusal.value.param == "input[0]"


async def test_only_the_deployment_that_keeps_it_is_asked(kept: KeptAnswers) -> None:
    kept.learn("t", "here/m", [body_event("resp_1")])
    asked = await kept.placed(continuing("resp_1"), "t")

    assert native.encode(asked, deployment("here/m"), None)
    with pytest.raises(RequestInvalid):
        native.encode(asked, deployment("there/m"), None)


async def test_answers_of_chats_are_kept_by_nobody(kept: KeptAnswers) -> None:
    assert kept.learn("t", "here/m", [openai.openai.event_from_body({"id": "resp_1", "choices": []})]) == ()
    assert not await is_known(kept, "resp_1")


async def test_what_was_not_to_be_stored_is_kept_by_nobody(kept: KeptAnswers) -> None:
    assert kept.learn("t", "here/m", [body_event("resp_1", store=False)]) == ()
    assert kept.learn("t", "here/m", [body_event("resp_2", store=True)]) != ()


async def test_a_request_that_continues_nothing_passes_as_it_is(kept: KeptAnswers) -> None:
    asked = decoded()
    assert await kept.placed(asked, "t") is asked
    assert responses.decode_request(b'{"model": "m", "input": "x"}', {}).continues == {}


# --- for how long ---------------------------------------------------------------------------------------------


async def test_it_is_in_the_file_when_the_row_of_its_answer_is(kept: KeptAnswers, ledger: Ledger, engine: Any) -> None:
    learned = kept.learn("t", "here/m", [body_event("resp_1")])
    await ledger.record(Closing(ledger_row(), None, learned))

    assert [each.id for each in learned] == ["resp_1", "msg_resp_1"]
    assert await remembering(engine).deployment_of("t", "resp_1") == "here/m"
    assert not await is_known(remembering(engine), "resp_1", "others")


async def test_a_response_is_known_for_thirty_days_and_what_is_in_a_conversation_for_longer(
    kept: KeptAnswers, ledger: Ledger, engine: Any
) -> None:
    learned = kept.learn("t", "here/m", [body_event("resp_1")])
    learned += kept.learn("t", "here/m", [body_event("resp_2", conversation={"id": "conv_1"})])
    await ledger.record(Closing(ledger_row(), None, learned))

    for days, known in ((29, ["resp_1", "resp_2", "conv_1"]), (31, ["resp_2", "conv_1"]), (366, [])):
        later = remembering(engine, NOW_US + days * DAY_US)
        assert [each for each in ("resp_1", "resp_2", "conv_1") if await is_known(later, each)] == known


async def test_a_later_answer_of_a_conversation_prolongs_it(kept: KeptAnswers, ledger: Ledger, engine: Any) -> None:
    for days in (0, 300):
        then = remembering(engine, NOW_US + days * DAY_US)
        learned = then.learn("t", "here/m", [body_event(f"resp_{days}", conversation={"id": "conv_1"})])
        await ledger.record(Closing(ledger_row(f"req_{days}"), None, learned))

    assert await is_known(remembering(engine, NOW_US + 500 * DAY_US), "conv_1")


async def test_what_was_deleted_is_forgotten_everywhere(kept: KeptAnswers, ledger: Ledger, engine: Any) -> None:
    await ledger.record(Closing(ledger_row(), None, kept.learn("t", "here/m", [body_event("resp_1")])))

    await kept.forget("t", "resp_1")
    await kept.forget("t", "resp_1")

    assert not await is_known(kept, "resp_1")
    assert not await is_known(remembering(engine), "resp_1")
    assert await is_known(kept, "msg_resp_1")


# --- bounds ---------------------------------------------------------------------------------------------------


async def test_memory_is_bounded_and_the_file_knows_the_rest(ledger: Ledger, engine: Any) -> None:
    kept = remembering(engine, recent_at_most=2)
    for number in range(3):
        kept.learn("t", "here/m", [body_event(f"resp_{number}")])
    assert not await is_known(kept, "resp_0")  # forgotten, and never written

    learned = remembering(engine).learn("t", "here/m", [body_event("resp_0")])
    await ledger.record(Closing(ledger_row(), None, learned))
    assert await is_known(kept, "resp_0")


@pytest.mark.parametrize(("at_most", "left"), [(1000, ["resp_7", "resp_8", "resp_9"]), (2, ["resp_8", "resp_9"])])
def test_the_file_drops_what_is_over_and_the_oldest_of_what_is_too_much(
    engine: sa.Engine, at_most: int, left: list[str]
) -> None:
    file = KeptFile(engine, at_most)
    with engine.begin() as connection:
        rows = [{"team": "t", "id": f"resp_{at}", "deployment": "here/m", "until_us": at + 1} for at in range(10)]
        connection.execute(sa.text("INSERT INTO kept VALUES (:team, :id, :deployment, :until_us)"), rows)

    dropped = file.tidy(now_us=7)

    assert dropped == 10 - len(left)
    assert [f"resp_{at}" for at in range(10) if file.find("t", f"resp_{at}")] == left
    assert file.find("t", "resp_9") == Kept("t", "resp_9", "here/m", 10)
    assert file.tidy(now_us=7) == 0


async def test_a_file_that_cannot_be_read_is_no_unknown_answer(tmp_path: Path) -> None:
    nowhere = sa.create_engine(f"sqlite:///{tmp_path / 'empty.db'}", poolclass=sa.pool.NullPool)

    with pytest.raises(LedgerUnavailable):
        await remembering(nowhere).placed(continuing("resp_1"), "t")
