"""A Responses answer, from the canonical body of a chat: its items, its usage, and what it repeats of the request.

Pure. Wire facts: OpenAI API reference, "The response object".
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from router.chat import ChatEvent, ChatRequest
from router.protocols.wire import count
from router.sse import block_data
from router.surfaces.responses_input import sealed

DIALECT: Final = "responses"

_REPEATED: Final[Mapping[str, Any]] = {
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "reasoning": {"effort": None, "summary": None},
    "safety_identifier": None,
    "temperature": None,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": None,
    "truncation": "disabled",
    "user": None,
}
"""Fields of the request that its answer repeats, with what they are where the request has none."""
INCOMPLETE: Final = {"length": "max_output_tokens", "content_filter": "content_filter"}
"""Finish reasons that leave an answer incomplete, and what the API calls them."""


def body(answer: Mapping[str, Any], request: ChatRequest, request_id: str) -> bytes:
    """A whole answer for the client, from its canonical body."""
    return msgspec.json.encode(response_of(answer, request, request_id))


def own_body(events: Sequence[ChatEvent]) -> bytes | None:
    """The response that the last event of a stream holds."""
    payload = next((block_data(event.raw) for event in events if event.kind == "done" and event.raw), None)
    return None if payload is None else msgspec.json.encode(msgspec.json.decode(payload)["response"])


def response_of(answer: Mapping[str, Any], request: ChatRequest, request_id: str) -> dict[str, Any]:
    """The response object of a canonical body."""
    choice = (answer.get("choices") or [{}])[0]
    message = choice.get("message") or {}
    finish = choice.get("finish_reason")
    status = "incomplete" if finish in INCOMPLETE else "completed"
    output = Items(request, request_id).of_message(message, choice.get("logprobs"), status)
    return finished(begun(answer, request, request_id), output, finish, answer.get("usage"))


def begun(answer: Mapping[str, Any], request: ChatRequest, request_id: str) -> dict[str, Any]:
    """The response object before it has any output. `answer` is a canonical body or chunk."""
    asked = request.original or {}
    repeated = {name: usual if asked.get(name) is None else asked[name] for name, usual in _REPEATED.items()}
    return {
        "id": f"resp_{_bare(request_id)}",
        "object": "response",
        "created_at": answer.get("created") or 0,
        "status": "in_progress",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "model": answer.get("model") or request.model,
        "output": [],
        "service_tier": answer.get("service_tier") or "default",
        # It cannot be continued by its id: the provider knows it under another one, or not at all.
        "store": False,
        "usage": None,
        **repeated,
    }


def finished(
    response: Mapping[str, Any], output: Sequence[Any], finish_reason: str | None, usage: Any
) -> dict[str, Any]:
    """The response object at the end of its answer."""
    reason = INCOMPLETE.get(finish_reason or "")
    return {
        **response,
        "status": "incomplete" if reason else "completed",
        "incomplete_details": {"reason": reason} if reason else None,
        "output": list(output),
        "usage": usage_of(usage),
    }


def usage_of(usage: Any) -> dict[str, Any] | None:
    """Token counts under the names of this API."""
    if not isinstance(usage, dict):
        return None
    given, made = _table(usage, "prompt_tokens_details"), _table(usage, "completion_tokens_details")
    tokens_in, tokens_out = count(usage.get("prompt_tokens")) or 0, count(usage.get("completion_tokens")) or 0
    return {
        "input_tokens": tokens_in,
        "input_tokens_details": {
            "cached_tokens": count(given.get("cached_tokens")) or 0,
            "cache_write_tokens": count(given.get("cache_write_tokens")) or 0,
        },
        "output_tokens": tokens_out,
        "output_tokens_details": {"reasoning_tokens": count(made.get("reasoning_tokens")) or 0},
        "total_tokens": count(usage.get("total_tokens")) or tokens_in + tokens_out,
    }


def _table(mapping: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = mapping.get(name)
    return found if isinstance(found, dict) else {}


class Items:
    """Makes output items; each gets an id from the request's and its place."""

    def __init__(self, request: ChatRequest, request_id: str) -> None:
        self._bare = _bare(request_id)
        reasoning = (request.original or {}).get("reasoning") or {}
        self.summarises = bool(reasoning.get("summary") or reasoning.get("generate_summary"))
        """Whether reasoning goes where the client looks for a summary; else it stands as the text that it is."""

    def of_message(self, message: Mapping[str, Any], logprobs: Any, status: str) -> list[dict[str, Any]]:
        """The items of a canonical assistant message. `status` is that of the last one: only there can it have broken
        off."""
        output: list[dict[str, Any]] = []
        reasoning, blocks = message.get("reasoning_content"), message.get("thinking_blocks")
        if reasoning or blocks:
            output.append(self.reasoning(0, reasoning or "", blocks))
        calls = message.get("tool_calls") or []
        if parts := _message_parts(message, logprobs):
            output.append(self.message(len(output), parts, "completed" if calls else status))
        for left, call in zip(range(len(calls) - 1, -1, -1), calls, strict=True):
            function, state = call.get("function") or {}, "completed" if left else status
            arguments = whole(function.get("arguments") or "", state)
            output.append(self.call(len(output), call.get("id"), function.get("name") or "", arguments, state))
        return output

    def reasoning(self, at: int, text: str, blocks: Sequence[Any] | None) -> dict[str, Any]:
        item: dict[str, Any] = {"id": f"rs_{self._bare}_{at}", "type": "reasoning", "summary": []}
        if text:
            place, kind = ("summary", "summary_text") if self.summarises else ("content", "reasoning_text")
            item[place] = [{"type": kind, "text": text}]
        if blocks:
            item["encrypted_content"] = sealed(blocks)
        return item

    def message(self, at: int, parts: Sequence[Any], status: str) -> dict[str, Any]:
        return {
            "id": f"msg_{self._bare}_{at}",
            "type": "message",
            "role": "assistant",
            "status": status,
            "content": list(parts),
        }

    def call(self, at: int, call_id: str | None, name: str, arguments: str, status: str) -> dict[str, Any]:
        return {
            "id": f"fc_{self._bare}_{at}",
            "type": "function_call",
            "call_id": call_id or f"call_{self._bare}_{at}",
            "name": name,
            "arguments": arguments,
            "status": status,
        }


def _message_parts(message: Mapping[str, Any], logprobs: Any) -> list[dict[str, Any]]:
    parts = []
    if text := text_in(message.get("content")):
        annotations = [annotation(found) for found in message.get("annotations") or ()]
        parts.append(text_part(text, annotations, logprobs_in(logprobs)))
    if refusal := message.get("refusal"):
        parts.append(refusal_part(refusal))
    return parts


def text_part(text: str, annotations: Sequence[Any] = (), logprobs: Sequence[Any] = ()) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": list(annotations), "logprobs": list(logprobs)}


def refusal_part(text: str) -> dict[str, Any]:
    return {"type": "refusal", "refusal": text}


def whole(arguments: str, status: str) -> str:
    """The arguments of a call that has ended: clients parse them as JSON, and some models send none."""
    return arguments or ("{}" if status == "completed" else "")


def text_in(content: Any) -> str:
    """The text of a canonical message or delta, whose content may be a list of parts."""
    if isinstance(content, list):
        return "".join(part["text"] for part in content if isinstance(part, dict) and isinstance(part.get("text"), str))
    return content if isinstance(content, str) else ""


def logprobs_in(logprobs: Any) -> list[Any]:
    found = logprobs.get("content") if isinstance(logprobs, dict) else None
    return found if isinstance(found, list) else []


def annotation(found: Mapping[str, Any]) -> dict[str, Any]:
    """`{"type": "url_citation", "url_citation": {...}}` of a chat lies flat here."""
    kind = found.get("type")
    inner = found.get(kind) if isinstance(kind, str) else None
    return {"type": kind, **inner} if isinstance(inner, dict) else dict(found)


def _bare(request_id: str) -> str:
    return request_id.removeprefix("req_")
