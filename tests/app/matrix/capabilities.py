"""What a cell of the matrix tests: one function for each capability, the same for every API and every protocol."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import pytest

from router.ledger.row import LedgerRow
from tests.app.matrix.clients import FAILED, Client
from tests.app.matrix.neutral import (
    DATA_URL,
    SCHEMA,
    SIGNATURE,
    SPOKEN,
    SPOKEN_WHOLE,
    WAV,
    WEB_URL,
    Called,
    Counts,
    Question,
    Said,
    Seen,
    Told,
)
from tests.app.matrix.upstreams import Upstream
from tests.app.provider import CUT, Provider, Reply, unfinished

UNICODE: Final = "Grüße, 你好, שלום, 👩‍👩‍👧‍👦\u2028\u0085 end"
FIND: Final = Called("find_order", {"id": 7}, "order 7: \u2028 found")
OTHER: Final = Called("find_order", {"id": 8}, "order 8")
NOW: Final = Called("now", {}, "noon")
TOOLS: Final = ("find_order", "now")


@dataclass(frozen=True)
class Cell:
    """One API before one protocol, in one of both forms."""

    name: str
    """Of the protocol."""
    client: Client
    upstream: Upstream
    provider: Provider
    streams: bool
    passes: bool
    """Whether both speak the same, so that nothing is converted."""
    row: Callable[[str], LedgerRow]
    """The ledger's row of a request."""

    def ask(self, question: Question, said: Said | None = None) -> Seen:
        """Asks, and lets the provider answer so."""
        self.provider.script(self.upstream.model, self.upstream.reply(said or Said("Yes."), streams=self.streams))
        return self.client.ask(self.name, question, streams=self.streams)

    def fails(self, reply: Reply) -> Any:
        """Asks, and gives the SDK's error for this reply."""
        self.provider.script(self.upstream.model, reply)
        with pytest.raises(FAILED) as failed:
            self.client.ask(self.name, Question(), streams=self.streams)
        return failed.value

    @property
    def told(self) -> Told:
        """What the provider was asked last."""
        return self.upstream.told(self.provider.calls[-1].received.json)

    @property
    def was_streamed(self) -> bool:
        return self.provider.calls[-1].received.streams


def text(cell: Cell) -> Seen:
    seen = cell.ask(Question(limit=99), Said("Hello, world."))

    assert (seen.text, seen.ended, seen.counts, seen.calls) == ("Hello, world.", "stop", Counts(), [])
    assert seen.model
    assert seen.created is None or seen.created > 1_700_000_000
    assert (cell.told.turns, cell.told.limit, cell.was_streamed) == ([("user", "Hello")], 99, cell.streams)
    return seen


def system(cell: Cell) -> Seen:
    seen = cell.ask(Question(system="Be kind."))

    assert (cell.told.system, cell.told.turns) == ("Be kind.", [("user", "Hello")])
    return seen


def turns(cell: Cell) -> Seen:
    seen = cell.ask(Question(turns=("One", "Two", "Three")))

    assert cell.told.turns == [("user", "One"), ("assistant", "Two"), ("user", "Three")]
    return seen


def tools(cell: Cell) -> Seen:
    seen = cell.ask(Question(tools=TOOLS), Said("I look.", calls=(FIND,)))

    assert (seen.text, seen.ended, _calls(cell, seen)) == ("I look.", "calls", [("find_order", {"id": 7})])
    assert cell.told.tools == list(TOOLS)
    return seen


def parallel_tools(cell: Cell) -> Seen:
    seen = cell.ask(Question(tools=TOOLS), Said(calls=(FIND, OTHER, NOW)))

    assert _calls(cell, seen) == [("find_order", {"id": 7}), ("find_order", {"id": 8}), ("now", {})]
    assert len(seen.call_ids) == 3
    return seen


def tool_results(cell: Cell) -> Seen:
    seen = cell.ask(Question(tools=TOOLS, calls=(FIND, NOW)))

    assert cell.told.calls == [("find_order", {"id": 7}), ("now", {})]
    assert cell.told.results == [FIND.result, NOW.result]
    return seen


def loop(cell: Cell) -> Seen:
    """Reasoning, calls, and the whole answer back with the results: what an agent does."""
    thought = "" if "earlier reasoning" in cell.upstream.silent_on else "Where is it?"
    first = cell.ask(Question(tools=TOOLS), Said("I look.", thought=thought, calls=(FIND, NOW)))
    assert (first.thought, first.text) == (thought, "I look.")

    seen = cell.ask(Question(tools=TOOLS, calls=(FIND, NOW), earlier=first), Said("It is there."))

    assert seen.text == "It is there."
    assert cell.told.turns == [("user", "Hello"), ("assistant", "I look.")]
    assert cell.told.calls == [("find_order", {"id": 7}), ("now", {})]
    assert cell.told.results == [FIND.result, NOW.result]
    signature = SIGNATURE if cell.upstream.signs else ""
    assert cell.told.thoughts == ([(thought, signature)] if thought else [])
    return seen


def tool_without_arguments(cell: Cell) -> Seen:
    seen = cell.ask(Question(tools=TOOLS), Said(calls=(NOW,)))

    assert (_calls(cell, seen), seen.ended) == ([("now", {})], "calls")
    return seen


def forced_tool(cell: Cell) -> Seen:
    seen = cell.ask(Question(tools=TOOLS, is_forced=True), Said(calls=(FIND,)))

    assert cell.told.is_forced
    return seen


def serial_tools(cell: Cell) -> Seen:
    seen = cell.ask(Question(tools=TOOLS, is_serial=True), Said(calls=(FIND,)))

    assert cell.told.is_serial
    return seen


def picture(cell: Cell) -> Seen:
    seen = cell.ask(Question(picture=DATA_URL))

    assert (cell.told.pictures, cell.told.turns) == ([DATA_URL], [("user", "Hello")])
    return seen


def picture_by_address(cell: Cell) -> Seen:
    seen = cell.ask(Question(picture=WEB_URL))

    assert cell.told.pictures == [WEB_URL]
    return seen


def spoken_question(cell: Cell) -> Seen:
    seen = cell.ask(Question(audio=WAV), Said("Yes.", counts=Counts(60, 0, 30, heard=48)))

    assert cell.told.audio == [("wav", WAV)]
    assert cell.told.turns == [("user", "Hello")]
    is_silent = "audio tokens" in cell.upstream.silent_on
    assert cell.row(seen.request_id).audio_input_tokens == (0 if is_silent else 48)
    return seen


def spoken_answer(cell: Cell) -> Seen:
    seen = cell.ask(Question(wants_audio=True), Said(speech=SPOKEN, counts=Counts(60, 0, 30, spoken=29)))

    assert seen.speech == SPOKEN_WHOLE
    assert (cell.told.voice, seen.ended) == ("alloy", "stop")
    row = cell.row(seen.request_id)
    assert (row.output_tokens, row.audio_output_tokens) == (30, 29)
    return seen


def schema(cell: Cell) -> Seen:
    seen = cell.ask(Question(wants_schema=True), Said('{"is_fine": true}'))

    assert json.loads(seen.text) == {"is_fine": True}
    assert cell.told.schema == SCHEMA
    return seen


def reasoning(cell: Cell) -> Seen:
    seen = cell.ask(Question(wants_thoughts=True, limit=8000), Said("Yes.", thought="Let me think."))

    assert (seen.thought, seen.text) == ("Let me think.", "Yes.")
    assert cell.told.thinks
    return seen


def stop(cell: Cell) -> Seen:
    seen = cell.ask(Question(stops=("END", "\u2028")))

    assert cell.told.stops == ["END", "\u2028"]
    assert seen.ended == "stop"
    return seen


def length(cell: Cell) -> Seen:
    seen = cell.ask(Question(limit=5), Said("Half an ans", ended="length"))

    assert (seen.text, seen.ended) == ("Half an ans", "length")
    return seen


def refusal(cell: Cell) -> Seen:
    seen = cell.ask(Question(), Said("I must not.", ended="refusal"))

    is_silent = "refusal or filter" in cell.upstream.silent_on
    assert (seen.text, seen.ended) == ("I must not.", "stop" if is_silent else "refusal")
    return seen


def cached_tokens(cell: Cell) -> Seen:
    seen = cell.ask(Question(), Said("Yes.", counts=Counts(60, 40, 30)))

    cached = 0 if "cached tokens" in cell.upstream.silent_on else 40
    assert seen.counts == Counts(60, cached, 30)
    row = cell.row(seen.request_id)
    assert (row.input_tokens, row.cache_read_tokens, row.output_tokens) == (60, cached, 30)
    assert row.usage_source == "provider"
    return seen


def reasoning_tokens(cell: Cell) -> Seen:
    seen = cell.ask(Question(), Said("Yes.", thought="Hm.", counts=Counts(60, 0, 30, 10)))

    reasoned = 0 if "reasoning tokens" in cell.upstream.silent_on else 10
    assert seen.counts == Counts(60, 0, 30, reasoned)
    row = cell.row(seen.request_id)
    assert (row.input_tokens, row.output_tokens, row.reasoning_tokens) == (60, 30, reasoned)
    return seen


def odd_line_ends(cell: Cell) -> Seen:
    seen = cell.ask(Question(turns=(UNICODE,), system=UNICODE), Said(UNICODE, thought=UNICODE))

    assert (seen.text, seen.thought) == (UNICODE, UNICODE)
    assert (cell.told.turns, cell.told.system) == ([("user", UNICODE)], UNICODE)
    return seen


def bad_request(cell: Cell) -> None:
    failed = cell.fails(cell.upstream.failure(400, "The image is too large."))

    assert failed.status_code == 400
    assert "The image is too large." in failed.response.text
    assert len(cell.provider.calls) == 1


def our_key(cell: Cell) -> None:
    said = f"The key {cell.upstream.key} is not known at {cell.provider.base_url}."

    failed = cell.fails(cell.upstream.failure(401, said))

    assert failed.status_code == 502
    assert cell.upstream.key not in failed.response.text
    assert "127.0.0.1" not in failed.response.text


def rate_limit(cell: Cell) -> None:
    failed = cell.fails(cell.upstream.failure(429, "Account 7 is too fast.", retry_after="7"))

    assert failed.status_code == 429
    assert int(failed.response.headers["retry-after"]) in range(1, 9)
    assert "Account 7" not in failed.response.text


def cut(cell: Cell) -> None:
    """In mid-stream, where the status has been sent, or in the middle of a body: nothing that looks complete."""
    if cell.streams:
        reply = cell.upstream.begun("Half an ans")
    else:
        (whole,) = cell.upstream.reply(Said("Half an answer."), streams=False)
        assert isinstance(whole, bytes)
        reply = unfinished([whole[:-9], b""], CUT)

    failed = cell.fails(reply)

    assert getattr(failed, "status_code", 200) == (200 if cell.streams else 502)


def _calls(cell: Cell, seen: Seen) -> list[tuple[str, Any]]:
    """Calls with their arguments, which are JSON; only what passes untouched may say nothing, as the provider did."""
    empty = "{}" if cell.passes else ""
    return [(name, json.loads(arguments or empty)) for name, arguments in seen.calls]


CAPABILITIES: Final[Mapping[str, Callable[[Cell], Seen | None]]] = {
    "text": text,
    "system prompt": system,
    "several turns": turns,
    "tool calls": tools,
    "parallel tool calls": parallel_tools,
    "tool results": tool_results,
    "reasoning, calls and results in turn": loop,
    "tool without arguments": tool_without_arguments,
    "forced tool call": forced_tool,
    "one tool call at a time": serial_tools,
    "picture as data": picture,
    "picture by address": picture_by_address,
    "spoken question": spoken_question,
    "spoken answer": spoken_answer,
    "JSON schema": schema,
    "reasoning text": reasoning,
    "stop sequences": stop,
    "output limit reached": length,
    "refusal or filter": refusal,
    "cached tokens": cached_tokens,
    "reasoning tokens": reasoning_tokens,
    "U+2028 and U+0085": odd_line_ends,
    "bad request": bad_request,
    "our key refused": our_key,
    "rate limit": rate_limit,
    "answer cut off": cut,
}
"""By name, in the order of the table."""
