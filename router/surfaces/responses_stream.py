"""A Responses stream: canonical chunks as the API's named events, each with its number.

    response.created, in_progress
      output_item.added
        content_part.added, output_text.delta ..., output_text.done, content_part.done
      output_item.done
    response.completed | incomplete | failed

Texts follow one another; calls stay open until a text or the end follows, because their fragments may come mixed.

Wire facts: OpenAI API reference, "Streaming events".
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from router.chat import ChatEvent, ChatRequest
from router.protocols import openai
from router.sse import named_block
from router.surfaces import responses_output as output
from router.surfaces.responses_output import DIALECT, Items
from router.surfaces.surface import Failure

_CODES: Final = {429: "rate_limit_exceeded"}


class Writer:
    """Canonical events as named ones; those of the API itself pass as they came."""

    def __init__(self, request: ChatRequest, request_id: str) -> None:
        self._request, self._request_id = request, request_id
        self._items = Items(request, request_id)
        self._events = _Events()
        self._response: dict[str, Any] | None = None
        self._text: _Message | _Reasoning | None = None
        """What is being written."""
        self._calls: dict[int, _Call] = {}
        """By the index that the chunks give them."""
        self._finish_reason: str | None = None
        self._usage: Any = None

    def write(self, event: ChatEvent) -> bytes:
        if event.dialect == DIALECT and event.kind != "body":
            return self._passed(event)
        match event.kind:
            case "body":
                for chunk in openai.chunks_from_body(event.data or {}, wants_usage=True):
                    self._take(chunk)
                self._end()
            case "done":
                self._end()
            case "chunk" if event.data is not None:
                self._take(event.data)
        return self._events.flushed()

    def fail(self, failure: Failure) -> bytes:
        """The end of a stream that cannot go on, with what is known of its answer."""
        said = {"code": _CODES.get(failure.status, "server_error"), "message": failure.message}
        self._events.tell("response.failed", response=self._begun({}) | {"status": "failed", "error": said})
        return self._events.flushed()

    def _passed(self, event: ChatEvent) -> bytes:
        """An event of a provider that speaks the API itself. Should its stream break off, our end must fit to it."""
        if event.raw:
            self._events.number += 1
        if self._response is None and event.data is not None:
            self._response = self._begun(event.data) | {"id": event.data["id"]}
        return event.raw

    def _begun(self, chunk: Mapping[str, Any]) -> dict[str, Any]:
        return self._response or output.begun(chunk, self._request, self._request_id)

    # --- chunks ---

    def _take(self, chunk: Mapping[str, Any]) -> None:
        if self._response is None:
            self._response = self._begun(chunk)
            self._events.tell("response.created", response=self._response)
            self._events.tell("response.in_progress", response=self._response)
        self._usage = chunk.get("usage") or self._usage
        for choice in (chunk.get("choices") or ())[:1]:
            self._finish_reason = choice.get("finish_reason") or self._finish_reason
            self._add(choice.get("delta") or {}, output.logprobs_in(choice.get("logprobs")))

    def _add(self, delta: Mapping[str, Any], logprobs: Sequence[Any]) -> None:
        text, refusal = output.text_in(delta.get("content")), delta.get("refusal")
        annotations = delta.get("annotations") or ()
        if delta.get("reasoning_content") or delta.get("thinking_blocks"):
            self._reasoning().add(delta)
        if text or annotations or refusal:
            self._message().add(text, annotations, refusal or "", logprobs)
        for at, fragment in enumerate(delta.get("tool_calls") or ()):
            self._call(fragment, fragment.get("index", at)).add(fragment)

    def _reasoning(self) -> "_Reasoning":
        if not isinstance(self._text, _Reasoning):
            self._close()
            self._text = _Reasoning(self._events, self._items)
        return self._text

    def _message(self) -> "_Message":
        if not isinstance(self._text, _Message):
            self._close()
            self._text = _Message(self._events, self._items)
        return self._text

    def _call(self, fragment: Mapping[str, Any], index: int) -> "_Call":
        if index not in self._calls:
            if self._text is not None:
                self._close()
            self._calls[index] = _Call(self._events, self._items, fragment)
        return self._calls[index]

    def _close(self, status: str = "completed") -> None:
        """Ends what is open. `status` is that of the last item: only there can an answer have broken off."""
        if self._text is not None:
            self._text.close(status)
        for left, call in zip(range(len(self._calls) - 1, -1, -1), self._calls.values(), strict=True):
            call.close("completed" if left else status)
        self._text, self._calls = None, {}

    def _end(self) -> None:
        self._take({})
        self._close("incomplete" if self._finish_reason in output.INCOMPLETE else "completed")
        response = output.finished(self._begun({}), self._events.output, self._finish_reason, self._usage)
        self._events.tell(f"response.{response['status']}", response=response)


class _Events:
    """Numbered events that wait to be sent, and the output that they add up to."""

    def __init__(self) -> None:
        self.number = 0
        self.output: list[dict[str, Any]] = []
        self._waiting: list[bytes] = []

    def tell(self, kind: str, **fields: Any) -> None:
        event = {"type": kind, "sequence_number": self.number, **fields}
        self._waiting.append(named_block(kind, msgspec.json.encode(event)))
        self.number += 1

    def begin(self, item: dict[str, Any]) -> None:
        self.output.append(item)
        self.tell("response.output_item.added", output_index=len(self.output) - 1, item=item)

    def finish(self, at: int, item: dict[str, Any]) -> None:
        self.output[at] = item
        self.tell("response.output_item.done", output_index=at, item=item)

    def flushed(self) -> bytes:
        waiting, self._waiting = b"".join(self._waiting), []
        return waiting


class _Message:
    """A message of the assistant that is being written: a part of text, or of refusal, after the other."""

    def __init__(self, events: _Events, items: Items) -> None:
        self._events, self._items = events, items
        self._at = len(events.output)
        item = items.message(self._at, [], "in_progress")
        self._place = {"item_id": item["id"], "output_index": self._at}
        self._parts: list[dict[str, Any]] = []
        events.begin(item)

    def add(self, text: str, annotations: Sequence[Any], refusal: str, logprobs: Sequence[Any]) -> None:
        if text:
            part, place = self._part("output_text")
            part["text"] += text
            part["logprobs"] += logprobs
            self._events.tell("response.output_text.delta", **place, delta=text, logprobs=logprobs)
        for found in annotations:
            part, place = self._part("output_text")
            part["annotations"].append(flat := output.annotation(found))
            place["annotation_index"] = len(part["annotations"]) - 1
            self._events.tell("response.output_text.annotation.added", **place, annotation=flat)
        if refusal:
            part, place = self._part("refusal")
            part["refusal"] += refusal
            self._events.tell("response.refusal.delta", **place, delta=refusal)

    def close(self, status: str) -> None:
        self._close_part()
        self._events.finish(self._at, self._items.message(self._at, self._parts, status))

    def _part(self, kind: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """The part that is being written, a new one of this kind if need be, and where it is."""
        if not self._parts or self._parts[-1]["type"] != kind:
            self._close_part()
            self._parts.append(output.text_part("") if kind == "output_text" else output.refusal_part(""))
            self._events.tell("response.content_part.added", **self._part_place(), part=self._parts[-1])
        return self._parts[-1], self._part_place()

    def _part_place(self) -> dict[str, Any]:
        return {**self._place, "content_index": len(self._parts) - 1}

    def _close_part(self) -> None:
        if not self._parts:
            return
        part, place = self._parts[-1], self._part_place()
        if part["type"] == "refusal":
            self._events.tell("response.refusal.done", **place, refusal=part["refusal"])
        else:
            self._events.tell("response.output_text.done", **place, text=part["text"], logprobs=part["logprobs"])
        self._events.tell("response.content_part.done", **place, part=part)


class _Reasoning:
    """Reasoning that is being written: as a summary where the client asked for one, else as its text."""

    def __init__(self, events: _Events, items: Items) -> None:
        self._events, self._items = events, items
        self._at = len(events.output)
        item = items.reasoning(self._at, "", None)
        if items.summarises:
            index, self._part_name, self._part_kind = "summary_index", "reasoning_summary_part", "summary_text"
            self._text_name = "reasoning_summary_text"
        else:
            index, self._part_name, self._part_kind = "content_index", "content_part", "reasoning_text"
            self._text_name = "reasoning_text"
        self._place = {"item_id": item["id"], "output_index": self._at, index: 0}
        self._text = ""
        self._signed: list[dict[str, Any]] = []
        events.begin(item)

    def add(self, delta: Mapping[str, Any]) -> None:
        if blocks := delta.get("thinking_blocks"):
            self._signed.append({"choices": [{"delta": {"thinking_blocks": blocks}}]})
        if text := delta.get("reasoning_content"):
            if not self._text:
                self._tell(self._part_name, "added", part={"type": self._part_kind, "text": ""})
            self._text += text
            self._tell(self._text_name, "delta", delta=text)

    def close(self, status: str) -> None:
        if self._text:
            self._tell(self._text_name, "done", text=self._text)
            self._tell(self._part_name, "done", part={"type": self._part_kind, "text": self._text})
        blocks = None
        if self._signed:  # fragments of blocks add up as those of tool calls do
            blocks = openai.body_from_chunks(self._signed)["choices"][0]["message"]["thinking_blocks"]
        self._events.finish(self._at, self._items.reasoning(self._at, self._text, blocks))

    def _tell(self, what: str, then: str, **fields: Any) -> None:
        self._events.tell(f"response.{what}.{then}", **self._place, **fields)


class _Call:
    """A call of a function whose arguments are being written."""

    def __init__(self, events: _Events, items: Items, fragment: Mapping[str, Any]) -> None:
        self._events = events
        self._at = len(events.output)
        name = (fragment.get("function") or {}).get("name") or ""
        self._item = items.call(self._at, fragment.get("id"), name, "", "in_progress")
        self._place = {"item_id": self._item["id"], "output_index": self._at}
        events.begin(self._item)

    def add(self, fragment: Mapping[str, Any]) -> None:
        if arguments := (fragment.get("function") or {}).get("arguments"):
            self._write(arguments)

    def close(self, status: str) -> None:
        written = self._item["arguments"]
        if missing := output.whole(written, status).removeprefix(written):
            self._write(missing)
        arguments, name = self._item["arguments"], self._item["name"]
        self._events.tell("response.function_call_arguments.done", **self._place, name=name, arguments=arguments)
        self._events.finish(self._at, self._item | {"status": status})

    def _write(self, arguments: str) -> None:
        self._item = self._item | {"arguments": self._item["arguments"] + arguments}
        self._events.tell("response.function_call_arguments.delta", **self._place, delta=arguments)
