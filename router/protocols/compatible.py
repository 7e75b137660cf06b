"""What OpenAI-compatible providers have under other names than the canonical form: reasoning, parts, arguments.

Only what is read of an answer changes; its bytes pass as they came. Wire facts: OpenRouter, "Reasoning tokens" and
vLLM, "Reasoning outputs" (`reasoning`); Mistral, "Reasoning" (content as parts of text and thinking); Gemini's
OpenAI-compatible endpoint (tool calls of a stream without an index).
"""

from collections.abc import Mapping
from typing import Any

import msgspec


def unify(data: Mapping[str, Any]) -> None:
    """Brings the messages or deltas of a checked body or chunk into canonical form, in place."""
    for choice in data.get("choices") or ():
        said = choice.get("message") or choice.get("delta")
        if not said:
            continue
        if "reasoning" in said:
            _take_reasoning(said)
        if isinstance(said.get("content"), list):
            _take_parts(said)
        for call in said.get("tool_calls") or ():
            _write_arguments(call)


def _take_reasoning(said: dict[str, Any]) -> None:
    if isinstance(said["reasoning"], str | None):
        text = said.pop("reasoning")
        if text and not said.get("reasoning_content"):
            said["reasoning_content"] = text


def _take_parts(said: dict[str, Any]) -> None:
    """Texts end to end. A part that is neither text nor thinking has no form here, and is kept as it is."""
    texts, thoughts = [], []
    for part in said["content"]:
        match part:
            case {"type": "text", "text": str(text)}:
                texts.append(text)
            case {"type": "thinking", "thinking": list(inner)}:
                thoughts += [
                    each["text"] for each in inner if isinstance(each, dict) and isinstance(each.get("text"), str)
                ]
            case _:
                said.setdefault("unconverted", []).append(part)
    said["content"] = "".join(texts) or None
    if thoughts and not said.get("reasoning_content"):
        said["reasoning_content"] = "".join(thoughts)


def _write_arguments(call: Mapping[str, Any]) -> None:
    """Arguments are JSON in a string; some send the object itself."""
    function = call.get("function")
    if isinstance(function, dict) and isinstance(function.get("arguments"), dict):
        function["arguments"] = msgspec.json.encode(function["arguments"]).decode()


class CallNumbers:
    """Numbers the tool calls of a stream that have no index: one with an id begins, one without goes on."""

    def __init__(self) -> None:
        self._last: dict[int, int] = {}

    def give(self, data: Mapping[str, Any]) -> None:
        """In place."""
        for choice in data.get("choices") or ():
            delta = choice.get("delta")
            for call in (delta.get("tool_calls") if delta else None) or ():
                self._number(choice.get("index") or 0, call)

    def _number(self, choice: int, call: dict[str, Any]) -> None:
        last = self._last.get(choice, -1)
        if not isinstance(call.get("index"), int):
            call["index"] = last + 1 if call.get("id") else max(last, 0)
        self._last[choice] = max(last, call["index"])
