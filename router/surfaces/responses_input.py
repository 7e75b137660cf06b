"""The items of a Responses request as the messages of a chat. Pure; knows neither settings nor answers.

Items that only a provider of the same API understands (its own tools' calls, references to what it keeps) stand beside
the messages under their path, `input[3]`: every other protocol refuses them by that name. Fields that a chat has no
form for stand there likewise, `input[3].phase`: they split the cache, and every other protocol refuses them or says
that it dropped them. Only what cannot change an answer goes without a word: what a client sends back of an earlier one
beside its sense, which is the ids and the state of its items, and how probable its tokens were. But the id counts
where it is all there is of some reasoning: the provider that keeps it knows what was thought.

Wire facts: OpenAI API reference, "Create a model response", `input`.
"""

import base64
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct

from router.errors import RequestInvalid

_ROLES: Final = ("user", "assistant", "system", "developer")
_SIGNED: Final = "thriftgate."
"""How the `encrypted_content` begins that we gave out: signed reasoning of a provider that speaks another protocol."""


class Conversation(Struct):
    """By its path, `native` holds the items and parts that have no form in a chat, and `rest` the fields of others;
    `names` what the client calls a message."""

    messages: list[dict[str, Any]] = []
    native: dict[str, Any] = {}
    rest: dict[str, Any] = {}
    names: dict[str, str] = {}

    def add(self, message: dict[str, Any], place: str) -> None:
        ours = f"messages[{len(self.messages)}]"
        self.names[ours] = place
        if message["role"] == "tool":
            self.names[f"{ours}.content"] = f"{place}.output"
        self.messages.append(message)

    def put_aside(self, given: Mapping[str, Any], known: Collection[str], place: str) -> None:
        """Takes note of the fields that are not known, and could change an answer."""
        self.rest |= unconverted(given, known, place)

    def call(self, message: dict[str, Any], call: dict[str, Any], place: str) -> None:
        """Adds a tool call to one of the messages, the last one of the assistant's."""
        calls = message.setdefault("tool_calls", [])
        self.names[f"messages[{len(self.messages) - 1}].tool_calls[{len(calls)}]"] = place
        calls.append(call)


_ECHOES: Final = frozenset({"id", "status", "logprobs"})
"""What comes back of earlier answers and says nothing to a model."""
_USUAL: Final[Mapping[str, Any]] = {
    "allowed_callers": ["direct"],
    "annotations": [],
    "async": False,
    "caller": {"type": "direct"},
    "defer_loading": False,
    "detail": "auto",
}
"""What is so anyway."""


def unconverted(given: Mapping[str, Any], known: Collection[str], place: str) -> dict[str, Any]:
    """Path -> value, of the fields of an item, a part or a tool that are not known and could change an answer."""
    return {
        f"{place}.{name}": value
        for name, value in given.items()
        if name not in known and name not in _ECHOES and value is not None and value != _USUAL.get(name)
    }


def conversation_of(asked: str | Sequence[Mapping[str, Any]], instructions: str | None) -> Conversation:
    """The messages that these items are. Raises RequestInvalid that names the field."""
    found = Conversation()
    if instructions:
        found.add({"role": "system", "content": instructions}, "instructions")
        found.names["messages[0].content"] = "instructions"
    if isinstance(asked, str):
        found.add({"role": "user", "content": asked}, "input")
        return found
    turns = _Turns(found)
    for at, item in enumerate(asked):
        turns.take(item, f"input[{at}]")
    return found


def sealed(thinking_blocks: Sequence[Any]) -> str:
    """Signed reasoning as the `encrypted_content` that a client sends back with the next request."""
    return _SIGNED + base64.b64encode(msgspec.json.encode(thinking_blocks)).decode()


def unsealed(content: Any) -> list[dict[str, Any]]:
    """What `sealed` was given; nothing for any other text."""
    if not isinstance(content, str) or not content.startswith(_SIGNED):
        return []
    try:
        blocks = msgspec.json.decode(base64.b64decode(content.removeprefix(_SIGNED), validate=True))
    except (ValueError, RecursionError):
        return []
    return blocks if isinstance(blocks, list) and all(isinstance(block, dict) for block in blocks) else []


class _Turns:
    """Takes items in order. What the model said and called between two turns of others is one message, as chats have
    it; its reasoning goes with it."""

    def __init__(self, into: Conversation) -> None:
        self._into = into
        self._assistant: dict[str, Any] | None = None
        """The message that the next call belongs to."""
        self._reasoning: dict[str, Any] = {}
        """Of the message that comes next."""

    def take(self, item: Mapping[str, Any], place: str) -> None:
        match item.get("type") or "message":
            case "message":
                self._message(item, place)
            case "function_call":
                self._call(item, place)
            case "function_call_output":
                self._result(item, place)
            case "reasoning":
                self._think(item, place)
            case str():
                self._into.native[place] = dict(item)
            case _:
                raise RequestInvalid("An item's type is a string.", f"{place}.type")

    def _message(self, item: Mapping[str, Any], place: str) -> None:
        role = _text(item, "role", place)
        if role not in _ROLES:
            raise RequestInvalid(f"The role is one of {', '.join(_ROLES)}.", f"{place}.role")
        self._into.put_aside(item, ("type", "role", "content"), place)
        content = _content(item.get("content"), f"{place}.content", self._into)
        if role != "assistant":
            self._of_another({"role": role, "content": content}, place)
        elif self._assistant is not None and self._assistant["content"] is None:
            self._assistant["content"] = content
        else:
            self._of_assistant(content, place)

    def _call(self, item: Mapping[str, Any], place: str) -> None:
        self._into.put_aside(item, ("type", "call_id", "name", "arguments"), place)
        function = {"name": _text(item, "name", place), "arguments": _text(item, "arguments", place) or "{}"}
        call = {"id": _text(item, "call_id", place), "type": "function", "function": function}
        message = self._assistant if self._assistant is not None else self._of_assistant(None, place)
        self._into.call(message, call, place)

    def _result(self, item: Mapping[str, Any], place: str) -> None:
        self._into.put_aside(item, ("type", "call_id", "output"), place)
        content = _content(item.get("output"), f"{place}.output", self._into)
        self._of_another({"role": "tool", "tool_call_id": _text(item, "call_id", place), "content": content}, place)

    def _think(self, item: Mapping[str, Any], place: str) -> None:
        texts = [*self._thoughts(item, "content", place), *self._thoughts(item, "summary", place)]
        if texts:
            earlier = [self._reasoning["reasoning_content"]] if "reasoning_content" in self._reasoning else []
            self._reasoning["reasoning_content"] = "\n\n".join([*earlier, *texts])
        blocks = unsealed(item.get("encrypted_content"))
        if blocks:
            self._reasoning.setdefault("thinking_blocks", []).extend(blocks)
        known = ("type", "content", "summary", *(("encrypted_content",) if blocks else ()))
        self._into.put_aside(item, known, place)
        if not texts and item.get("encrypted_content") is None and item.get("id") is not None:
            self._into.rest[f"{place}.id"] = item["id"]
        self._assistant = None

    def _thoughts(self, item: Mapping[str, Any], name: str, place: str) -> Iterator[str]:
        for at, part in enumerate(_parts(item.get(name) or [], f"{place}.{name}")):
            self._into.put_aside(part, ("type", "text"), f"{place}.{name}[{at}]")
            yield _text(part, "text", f"{place}.{name}[{at}]")

    def _of_assistant(self, content: Any, place: str) -> dict[str, Any]:
        message = {"role": "assistant", "content": content, **self._reasoning}
        self._into.add(message, place)
        self._assistant, self._reasoning = message, {}
        return message

    def _of_another(self, message: dict[str, Any], place: str) -> None:
        self._into.add(message, place)
        self._assistant, self._reasoning = None, {}


# --- content ---------------------------------------------------------------------------------------------


def _content(content: Any, place: str, into: Conversation) -> str | list[dict[str, Any]]:
    """A message's content; a single text as a string, as most chats have it."""
    if isinstance(content, str):
        return content
    parts = [_part(part, f"{place}[{at}]", into) for at, part in enumerate(_parts(content, place))]
    if len(parts) == 1 and parts[0].keys() == {"type", "text"}:
        text: str = parts[0]["text"]
        return text
    return parts


def _parts(content: Any, place: str) -> list[dict[str, Any]]:
    if not isinstance(content, list):
        raise RequestInvalid("Content is a string or a list of parts.", place)
    for at, part in enumerate(content):
        if not isinstance(part, dict):
            raise RequestInvalid("A part of content is an object.", f"{place}[{at}]")
    return content


def _part(part: Mapping[str, Any], place: str, into: Conversation) -> dict[str, Any]:
    found: dict[str, Any]
    known: tuple[str, ...]
    match part.get("type"):
        case "input_text" | "output_text" | "text":
            known = ("text",)
            found = {"type": "text", "text": _text(part, "text", place)}
        case "refusal":
            known = ("refusal",)
            found = {"type": "refusal", "refusal": _text(part, "refusal", place)}
        case "input_image" if isinstance(part.get("image_url"), str) or isinstance(part.get("file_id"), str):
            known = ("image_url", "detail")  # one that the provider keeps has no form in a chat: its id is put aside
            address = _set(url=part.get("image_url") or "", detail=part.get("detail"))
            found = {"type": "image_url", "image_url": address}
        case "input_file":
            known = _OF_FILES
            found = {"type": "file", "file": _file(part, place)}
        case "input_audio" if isinstance(part.get("input_audio"), dict):
            known = ("input_audio",)
            found = {"type": "input_audio", "input_audio": part["input_audio"]}
        case str(kind):
            into.native[place] = dict(part)
            return {"type": kind}
        case _:
            raise RequestInvalid("A part of content has a type.", f"{place}.type")
    into.put_aside(part, ("type", "prompt_cache_breakpoint", *known), place)
    if (mark := part.get("prompt_cache_breakpoint")) is not None:
        found["cache_control"] = {"type": "ephemeral"} | ({"ttl": "1h"} if _ttl(mark) == "12h" else {})
    return found


_OF_FILES: Final = ("file_data", "file_url", "file_id", "filename")


def _file(part: Mapping[str, Any], place: str) -> dict[str, Any]:
    """What a chat has of a file. Bare base64 is refused as OpenAI does, whoever serves: nothing else says what the
    bytes are. Raises RequestInvalid."""
    data = part.get("file_data")
    if data is not None and not (isinstance(data, str) and data[:5].lower() == "data:"):
        raise RequestInvalid(f"`{place}.file_data` must be `data:<media type>;base64,<data>`.", f"{place}.file_data")
    return _set(**{name: part.get(name) for name in _OF_FILES})


def _ttl(mark: Any) -> Any:
    return mark.get("ttl") if isinstance(mark, dict) else None


def _set(**fields: Any) -> dict[str, Any]:
    """The fields that have a value."""
    return {name: value for name, value in fields.items() if value is not None}


def _text(mapping: Mapping[str, Any], name: str, place: str) -> str:
    value = mapping.get(name)
    if not isinstance(value, str):
        raise RequestInvalid(f"`{place}.{name}` must be a string.", f"{place}.{name}")
    return value
