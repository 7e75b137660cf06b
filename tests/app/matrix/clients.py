"""The three client APIs, each through its vendor's official SDK: how a question is asked there, and what came."""

import base64
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final, Protocol

import anthropic
import openai

from tests.app.matrix.neutral import PARAMETERS, SCHEMA, WEB_URL, Counts, Question, Seen

FAILED: Final = (openai.APIError, anthropic.APIError)
"""What the SDKs raise for an error, before an answer or inside it."""


class Client(Protocol):
    cannot_ask: frozenset[str]
    """Capabilities that the API has no words for."""

    def ask(self, model: str, question: Question, *, streams: bool) -> Seen:
        """Raises one of FAILED."""
        ...

    def close(self) -> None: ...


def _headers(seen: Seen, headers: Mapping[str, str]) -> Seen:
    seen.warning = headers.get("x-thriftgate-warning", "")
    seen.request_id = headers["x-request-id"]
    return seen


def _roles() -> Iterator[str]:
    while True:
        yield "user"
        yield "assistant"


# --- chat completions --------------------------------------------------------------------------------------------


class Chats:
    """`POST /v1/chat/completions`."""

    cannot_ask: frozenset[str] = frozenset()

    def __init__(self, url: str, key: str) -> None:
        self._sdk = openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0)

    def close(self) -> None:
        self._sdk.close()

    def ask(self, model: str, question: Question, *, streams: bool) -> Seen:
        fields = {"model": model, "messages": self._messages(question), **self._fields(question)}
        if not streams:
            answer = self._sdk.chat.completions.with_raw_response.create(**fields)
            return _headers(self._seen(answer.parse().model_dump()), answer.headers)
        fields["stream_options"] = {"include_usage": True}
        with self._sdk.chat.completions.create(stream=True, **fields) as stream:
            chunks = [chunk.model_dump() for chunk in stream]
            return _headers(self._put_together(chunks), stream.response.headers)

    @staticmethod
    def _messages(question: Question) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        if question.system is not None:
            found.append({"role": "system", "content": question.system})
        found += [{"role": role, "content": text} for role, text in zip(_roles(), question.turns, strict=False)]
        if question.picture is not None:
            parts = [{"type": "text", "text": found[-1]["content"]}]
            found[-1]["content"] = [*parts, {"type": "image_url", "image_url": {"url": question.picture}}]
        if question.audio is not None:
            parts = [{"type": "text", "text": found[-1]["content"]}]
            heard = {"type": "input_audio", "input_audio": {"data": question.audio, "format": "wav"}}
            found[-1]["content"] = [*parts, heard]
        if question.calls:
            functions = [{"name": made.name, "arguments": json.dumps(made.arguments)} for made in question.calls]
            calls = [{"id": f"call_{at}", "type": "function", "function": each} for at, each in enumerate(functions)]
            made_up: dict[str, Any] = {"role": "assistant", "content": None, "tool_calls": calls}
            turn: dict[str, Any] = question.earlier.turn if question.earlier else made_up
            found.append(turn)
            found += [
                {"role": "tool", "tool_call_id": call["id"], "content": made.result}
                for call, made in zip(turn["tool_calls"], question.calls, strict=True)
            ]
        return found

    @staticmethod
    def _fields(question: Question) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if question.tools:
            functions = [{"name": name, "parameters": PARAMETERS} for name in question.tools]
            found["tools"] = [{"type": "function", "function": function} for function in functions]
        if question.is_forced:
            found["tool_choice"] = "required"
        if question.is_serial:
            found["parallel_tool_calls"] = False
        if question.wants_schema:
            form = {"name": "verdict", "schema": SCHEMA, "strict": True}
            found["response_format"] = {"type": "json_schema", "json_schema": form}
        if question.wants_thoughts:
            found["reasoning_effort"] = "low"
        if question.wants_audio:
            found |= {"modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "pcm16"}}
        if question.stops:
            found["stop"] = list(question.stops)
        if question.limit is not None:
            found["max_completion_tokens"] = question.limit
        return found

    @staticmethod
    def _seen(body: Mapping[str, Any]) -> Seen:
        (choice,) = body["choices"]
        message, usage = choice["message"], body["usage"]
        given, made = usage.get("prompt_tokens_details") or {}, usage.get("completion_tokens_details") or {}
        cached = given.get("cached_tokens") or 0
        calls = message.get("tool_calls") or []
        is_refused = bool(message.get("refusal")) or choice["finish_reason"] == "content_filter"
        ended = {"tool_calls": "calls"}.get(choice["finish_reason"], choice["finish_reason"])
        return Seen(
            text=(message.get("content") or "") + (message.get("refusal") or ""),
            speech=(message.get("audio") or {}).get("data", ""),
            thought=message.get("reasoning_content") or "",
            calls=[(call["function"]["name"], call["function"]["arguments"]) for call in calls],
            call_ids={call["id"] for call in calls},
            ended="refusal" if is_refused else ended,
            counts=Counts(
                usage["prompt_tokens"] - cached, cached, usage["completion_tokens"], made.get("reasoning_tokens") or 0
            ),
            model=body["model"],
            created=body["created"],
            turn={name: value for name, value in message.items() if value},
        )

    @classmethod
    def _put_together(cls, chunks: list[dict[str, Any]]) -> Seen:
        """What the deltas add up to: texts end to end, calls by their index; usage alone in the last chunk."""
        message: dict[str, Any] = {"content": "", "refusal": "", "reasoning_content": ""}
        blocks: list[Any] = []
        spoken = b""
        calls: dict[int, dict[str, Any]] = {}
        finish: list[str] = []
        with_choices = [chunk for chunk in chunks if chunk["choices"]]
        for chunk in with_choices:
            assert chunk["usage"] is None, "a usage chunk with a choice"
            (choice,) = chunk["choices"]
            for name in message:
                message[name] += choice["delta"].get(name) or ""
            blocks += choice["delta"].get("thinking_blocks") or ()
            spoken += base64.b64decode((choice["delta"].get("audio") or {}).get("data", ""))
            for piece in choice["delta"].get("tool_calls") or ():
                call = calls.setdefault(
                    piece["index"], {"id": piece["id"], "type": "function", "function": {"name": "", "arguments": ""}}
                )
                for name in ("name", "arguments"):
                    call["function"][name] += piece["function"].get(name) or ""
            finish += [choice["finish_reason"]] if choice["finish_reason"] else []
        assert len(finish) == 1, finish
        last = chunks[-1]
        assert last["choices"] == []
        told = {**message, "role": "assistant", "thinking_blocks": blocks, "tool_calls": list(calls.values())}
        if spoken:
            told["audio"] = {"data": base64.b64encode(spoken).decode()}
        whole = {"message": told, "finish_reason": finish[0]}
        return cls._seen({**with_choices[0], "choices": [whole], "usage": last["usage"]})


# --- responses ---------------------------------------------------------------------------------------------------


class Responses:
    """`POST /v1/responses`."""

    cannot_ask: frozenset[str] = frozenset({"spoken answer"})

    def __init__(self, url: str, key: str) -> None:
        self._sdk = openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0)

    def close(self) -> None:
        self._sdk.close()

    def ask(self, model: str, question: Question, *, streams: bool) -> Seen:
        fields = {"model": model, "input": self._input(question), **self._fields(question)}
        if not streams:
            answer = self._sdk.responses.with_raw_response.create(**fields)
            return _headers(self._seen(answer.parse().model_dump()), answer.headers)
        with self._sdk.responses.create(stream=True, **fields) as stream:
            events = list(stream)
            headers = stream.response.headers
        final: Any = events[-1]
        if final.type == "response.failed":
            raise openai.APIError(final.response.error.message, request=stream.response.request, body=None)
        seen = self._seen(final.response.model_dump())
        # The deltas say what the last response says once more.
        deltas = [event for event in events if event.type.endswith((".output_text.delta", ".refusal.delta"))]
        assert "".join(event.delta for event in deltas) == seen.text
        arguments = [event.arguments for event in events if event.type == "response.function_call_arguments.done"]
        assert arguments == [arguments for _, arguments in seen.calls]
        return _headers(seen, headers)

    @staticmethod
    def _input(question: Question) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = [
            {"role": role, "content": text} for role, text in zip(_roles(), question.turns, strict=False)
        ]
        if question.picture is not None:
            parts = [{"type": "input_text", "text": found[-1]["content"]}]
            found[-1]["content"] = [
                *parts, {"type": "input_image", "image_url": question.picture, "detail": "auto"}
            ]  # fmt: skip
        if question.audio is not None:
            parts = [{"type": "input_text", "text": found[-1]["content"]}]
            heard = {"type": "input_audio", "input_audio": {"data": question.audio, "format": "wav"}}
            found[-1]["content"] = [*parts, heard]
        written = [{"name": made.name, "arguments": json.dumps(made.arguments)} for made in question.calls]
        made_up = [{"type": "function_call", "call_id": f"call_{at}", **each} for at, each in enumerate(written)]
        turn = question.earlier.turn if question.earlier else made_up
        called = [item["call_id"] for item in turn if item["type"] == "function_call"]
        results = [
            {"type": "function_call_output", "call_id": call_id, "output": made.result}
            for call_id, made in zip(called, question.calls, strict=True)
        ]
        return [*found, *turn, *results]

    @staticmethod
    def _fields(question: Question) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if question.system is not None:
            found["instructions"] = question.system
        if question.tools:
            found["tools"] = [
                {"type": "function", "name": name, "parameters": PARAMETERS, "strict": False} for name in question.tools
            ]
        if question.is_forced:
            found["tool_choice"] = "required"
        if question.is_serial:
            found["parallel_tool_calls"] = False
        if question.wants_schema:
            found["text"] = {"format": {"type": "json_schema", "name": "verdict", "schema": SCHEMA, "strict": True}}
        if question.wants_thoughts:
            found["reasoning"] = {"effort": "low"}
        if question.stops:  # not in the API itself; compatible providers take it
            found["extra_body"] = {"stop": list(question.stops)}
        if question.limit is not None:
            found["max_output_tokens"] = question.limit
        return found

    @staticmethod
    def _seen(body: Mapping[str, Any]) -> Seen:
        seen = Seen(model=body["model"], created=int(body["created_at"]), ended="stop")
        seen.turn = [{name: value for name, value in item.items() if value is not None} for item in body["output"]]
        for item in body["output"]:
            match item["type"]:
                case "reasoning":
                    seen.thought += "".join(part["text"] for part in item.get("content") or item["summary"])
                case "message":
                    for part in item["content"]:
                        seen.text += part.get("text") or part.get("refusal") or ""
                        seen.ended = "refusal" if part["type"] == "refusal" else seen.ended
                case "function_call":
                    seen.calls.append((item["name"], item["arguments"]))
                    seen.call_ids.add(item["call_id"])
                    seen.ended = "calls"
        assert body["status"] == ("incomplete" if body["incomplete_details"] else "completed")
        if body["incomplete_details"]:
            seen.ended = {"max_output_tokens": "length"}.get(body["incomplete_details"]["reason"], "refusal")
        usage = body["usage"]
        cached = usage["input_tokens_details"]["cached_tokens"]
        reasoning = usage["output_tokens_details"]["reasoning_tokens"]
        seen.counts = Counts(usage["input_tokens"] - cached, cached, usage["output_tokens"], reasoning)
        return seen


# --- messages ----------------------------------------------------------------------------------------------------


class Messages:
    """`POST /v1/messages`."""

    cannot_ask: frozenset[str] = frozenset({"spoken question", "spoken answer"})

    def __init__(self, url: str, key: str) -> None:
        self._sdk = anthropic.Anthropic(base_url=url, api_key=key, max_retries=0)

    def close(self) -> None:
        self._sdk.close()

    def ask(self, model: str, question: Question, *, streams: bool) -> Seen:
        fields = {"model": model, "messages": self._messages(question), **self._fields(question)}
        if not streams:
            answer = self._sdk.messages.with_raw_response.create(**fields)
            return _headers(self._seen(answer.parse().model_dump()), answer.headers)
        with self._sdk.messages.stream(**fields) as stream:
            message = stream.get_final_message()
            return _headers(self._seen(message.model_dump()), stream.response.headers)

    @staticmethod
    def _messages(question: Question) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = [
            {"role": role, "content": text} for role, text in zip(_roles(), question.turns, strict=False)
        ]
        if question.picture is not None:
            _, _, data = question.picture.partition(";base64,")
            held = {"type": "base64", "media_type": "image/png", "data": data}
            source = {"type": "url", "url": WEB_URL} if question.picture == WEB_URL else held
            parts = [{"type": "text", "text": found[-1]["content"]}]
            found[-1]["content"] = [*parts, {"type": "image", "source": source}]
        if question.calls:
            uses = [
                {"type": "tool_use", "id": f"call_{at}", "name": made.name, "input": made.arguments}
                for at, made in enumerate(question.calls)
            ]
            turn = question.earlier.turn if question.earlier else uses
            called = [block["id"] for block in turn if block["type"] == "tool_use"]
            results = [
                {"type": "tool_result", "tool_use_id": call_id, "content": made.result}
                for call_id, made in zip(called, question.calls, strict=True)
            ]
            found += [{"role": "assistant", "content": turn}, {"role": "user", "content": results}]
        return found

    @staticmethod
    def _fields(question: Question) -> dict[str, Any]:
        found: dict[str, Any] = {"max_tokens": 4096 if question.limit is None else question.limit}
        if question.system is not None:
            found["system"] = question.system
        if question.tools:
            found["tools"] = [{"name": name, "input_schema": PARAMETERS} for name in question.tools]
        if question.is_forced or question.is_serial:
            choice: dict[str, Any] = {"type": "any" if question.is_forced else "auto"}
            found["tool_choice"] = choice | ({"disable_parallel_tool_use": True} if question.is_serial else {})
        if question.wants_schema:
            found["output_config"] = {"format": {"type": "json_schema", "schema": SCHEMA}}
        if question.wants_thoughts:
            found["thinking"] = {"type": "enabled", "budget_tokens": 2048}
        if question.stops:
            found["stop_sequences"] = list(question.stops)
        return found

    @staticmethod
    def _seen(body: Mapping[str, Any]) -> Seen:
        ends = {"end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length", "tool_use": "calls"}
        usage = body["usage"]
        details = usage.get("output_tokens_details") or {}
        cached, reasoning = usage.get("cache_read_input_tokens") or 0, details.get("thinking_tokens") or 0
        seen = Seen(
            ended=ends.get(body["stop_reason"], body["stop_reason"]),
            counts=Counts(usage["input_tokens"], cached, usage["output_tokens"], reasoning),
            model=body["model"],
            turn=[{name: value for name, value in block.items() if value is not None} for block in body["content"]],
        )
        for block in body["content"]:
            match block["type"]:
                case "thinking":
                    seen.thought += block["thinking"]
                case "text":
                    seen.text += block["text"]
                case "tool_use":
                    seen.calls.append((block["name"], json.dumps(block["input"])))
                    seen.call_ids.add(block["id"])
        return seen


CLIENTS: Final[Mapping[str, type[Client]]] = {
    "chat completions": Chats,
    "responses": Responses,
    "messages": Messages,
}
