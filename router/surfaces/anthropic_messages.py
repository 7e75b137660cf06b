"""The conversation of an Anthropic request as canonical messages.

What the canonical form has no name for is put aside in `rest`, under its path as the client wrote it
(`messages[2].content[0].citations`): so it splits the cache, and a protocol that cannot send it names it. Wire facts:
Claude API reference, "Create a Message", `messages` and `system`.
"""

import base64
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct

from router.errors import RequestInvalid
from router.protocols.fields import typed

Part = dict[str, Any]
Rest = dict[str, Any]
"""Path -> value."""


class Turn(Struct):
    role: str
    content: str | list[dict[str, Any]]


class Placed(Struct):
    """A canonical message, and where it stands in the request. `inside` has what stands elsewhere: path in the message
    -> path in the request."""

    message: Part
    place: str
    inside: dict[str, str] = {}


def conversation(system: Any, turns: list[Turn], raw: list[dict[str, Any]], rest: Rest) -> list[Placed]:
    """The canonical messages. Raises RequestInvalid that names the field."""
    found: list[Placed] = []
    if system:
        message = {"role": "system", "content": _content(system, "system", rest)}
        found.append(Placed(message, "system", {".content": "system"}))
    for at, (turn, given) in enumerate(zip(turns, raw, strict=True)):
        path = f"messages[{at}]"
        _put_aside(given, ("role", "content"), path, rest)
        match turn.role:
            case "user":
                found += _asked(turn.content, path, rest)
            case "assistant":
                found.append(_said(turn.content, path, rest))
            case "system":
                content = _content(turn.content, f"{path}.content", rest)
                found.append(Placed({"role": "system", "content": content}, path))
            case _:
                raise RequestInvalid(f"`{path}.role`: must be user, assistant or system.", f"{path}.role")
    if turns[-1].role == "assistant":  # the answer shall go on with these words, which others cannot
        rest[f"messages[{len(turns) - 1}].role"] = "assistant"
    return found


def names_of(placed: list[Placed]) -> dict[str, str]:
    """Path in the canonical form -> path in the request, for all of a conversation."""
    found = {}
    for at, each in enumerate(placed):
        found[f"messages[{at}]"] = each.place
        found |= {f"messages[{at}]{inside}": theirs for inside, theirs in each.inside.items()}
    return found


def _put_aside(given: Mapping[str, Any], known: tuple[str, ...], path: str, rest: Rest) -> None:
    for name, value in given.items():
        if name not in known and value is not None:
            rest[f"{path}.{name}"] = value


def _content(content: str | list[Part], path: str, rest: Rest) -> str | list[Part]:
    """One part of nothing but text is a string: both say the same, and most clients of other surfaces send that."""
    if isinstance(content, str):
        return content
    return _simplest([_part(block, f"{path}[{at}]", rest) for at, block in enumerate(content)])


def _simplest(parts: list[Part]) -> str | list[Part]:
    match parts:
        case []:
            return ""
        case [{"type": "text", "text": str(text), **more}] if not more:
            return text
    return parts


def _asked(content: str | list[Part], path: str, rest: Rest) -> Iterator[Placed]:
    """A user turn: its tool results are messages of their own, the rest is one, in the order of the blocks."""
    if isinstance(content, str) or not content:
        yield Placed({"role": "user", "content": content or ""}, path)
        return
    run: list[Part] = []
    for at, block in enumerate(content):
        place = f"{path}.content[{at}]"
        if block.get("type") != "tool_result":
            run.append(_part(block, place, rest))
            continue
        if run:
            yield _turn(run, path, at)
            run = []
        yield Placed(_tool_result(block, place, rest), place)
    if run:
        yield _turn(run, path, len(content))


def _turn(run: list[Part], path: str, end: int) -> Placed:
    """The user's message of these parts, which end before this block of the turn."""
    first = end - len(run)
    inside = {f".content[{at}]": f"{path}.content[{first + at}]" for at in range(len(run))} if first else {}
    return Placed({"role": "user", "content": _simplest(run)}, path, inside)


class _ToolResult(Struct):
    tool_use_id: str
    content: str | list[dict[str, Any]] | None = None
    is_error: bool | None = None


def _tool_result(block: Part, path: str, rest: Rest) -> Part:
    result = typed(block, _ToolResult, path)
    _put_aside(block, ("type", "cache_control", *_ToolResult.__struct_fields__), path, rest)
    content = _content(result.content or "", f"{path}.content", rest)
    message = {"role": "tool", "tool_call_id": result.tool_use_id, "content": content}
    return _marked(message | ({"is_error": True} if result.is_error else {}), block)


def _marked(part: Part, block: Part) -> Part:
    mark = block.get("cache_control")
    return part if mark is None else part | {"cache_control": mark}


# --- earlier answers -----------------------------------------------------------------------------------------


class _ToolUse(Struct):
    id: str
    name: str
    input: dict[str, Any]


class _Thinking(Struct):
    thinking: str
    signature: str = ""


def _said(content: str | list[Part], path: str, rest: Rest) -> Placed:
    """An earlier answer. Canonical messages hold reasoning, text and tool calls apart."""
    if isinstance(content, str):
        return Placed({"role": "assistant", "content": content}, path)
    inside: dict[str, str] = {}
    thoughts: list[Part] = []
    parts: list[Part] = []
    calls: list[Part] = []
    for at, block in enumerate(content):
        place = f"{path}.content[{at}]"
        match block.get("type"):
            case "thinking":
                typed(block, _Thinking, place)
                thoughts.append(block)
            case "redacted_thinking":
                thoughts.append(block)
            case "tool_use":
                inside[f".tool_calls[{len(calls)}]"] = place
                calls.append(_call(block, place, rest))
            case _:
                inside[f".content[{len(parts)}]"] = place
                parts.append(_part(block, place, rest))
    message: Part = {"role": "assistant", "content": _simplest(parts) if parts else None}
    if thoughts:
        message["reasoning_content"] = "".join(block.get("thinking", "") for block in thoughts)
        message["thinking_blocks"] = thoughts
    return Placed(message | ({"tool_calls": calls} if calls else {}), path, inside)


def _call(block: Part, path: str, rest: Rest) -> Part:
    use = typed(block, _ToolUse, path)
    _put_aside(block, ("type", "cache_control", "caller", *_ToolUse.__struct_fields__), path, rest)
    if block.get("caller") not in (None, {"type": "direct"}):
        rest[f"{path}.caller"] = block["caller"]
    arguments = msgspec.json.encode(use.input).decode()
    return {"id": use.id, "type": "function", "function": {"name": use.name, "arguments": arguments}}


# --- content blocks --------------------------------------------------------------------------------------------


def _part(block: Part, path: str, rest: Rest) -> Part:
    """A block as a content part. Of a kind that only Anthropic has: an empty text, and the block itself put aside."""
    kind = block.get("type")
    if not isinstance(kind, str):
        raise RequestInvalid(f"`{path}.type`: expected `str`.", f"{path}.type")
    if kind not in _READERS:
        rest[path] = block
        return {"type": "text", "text": "", "kind": kind}
    return _marked(_READERS[kind](block, path, rest), block)


class _Text(Struct):
    text: str


def _text(block: Part, path: str, rest: Rest) -> Part:
    _put_aside(block, ("type", "text", "cache_control"), path, rest)
    return {"type": "text", "text": typed(block, _Text, path).text}


class _Source(Struct):
    type: str
    media_type: str | None = None
    data: str | None = None
    url: str | None = None
    file_id: str | None = None


class _Sourced(Struct):
    source: _Source
    title: str | None = None


def _image(block: Part, path: str, rest: Rest) -> Part:
    image = typed(block, _Sourced, path)
    _put_aside(block, ("type", "source", "cache_control"), path, rest)
    return {"type": "image_url", "image_url": _address(image.source, block["source"], f"{path}.source", rest)}


def _document(block: Part, path: str, rest: Rest) -> Part:
    document = typed(block, _Sourced, path)
    _put_aside(block, ("type", "source", "title", "cache_control", "citations"), path, rest)
    citations = block.get("citations")
    if isinstance(citations, dict) and citations.get("enabled"):
        rest[f"{path}.citations.enabled"] = True
    address = _address(document.source, block["source"], f"{path}.source", rest)
    file: Part = {"filename": document.title} if document.title else {}
    match document.source.type:
        case "file":
            file["file_id"] = document.source.file_id
        case "url":
            file["file_url"] = address["url"]
        case _:
            file["file_data"] = address["url"]
    return {"type": "file", "file": file}


def _address(source: _Source, given: Part, path: str, rest: Rest) -> Part:
    """Where the bytes are: a data URL, or the client's own address. Raises RequestInvalid for a source without."""

    def needed(name: str) -> str:
        value = getattr(source, name)
        if value is None:
            raise RequestInvalid(f"`{path}.{name}`: a source of this type needs it.", f"{path}.{name}")
        return str(value)

    match source.type:
        case "base64":
            return {"url": f"data:{needed('media_type')};base64,{needed('data')}"}
        case "text":
            encoded = base64.b64encode(needed("data").encode()).decode()
            return {"url": f"data:{source.media_type or 'text/plain'};base64,{encoded}"}
        case "url":
            return {"url": needed("url")}
        case "file":
            rest[f"{path}.file_id"] = needed("file_id")
        case _:
            rest[path] = given
    return {"url": ""}


_READERS: Final[Mapping[str, Callable[[Part, str, Rest], Part]]] = {
    "text": _text,
    "image": _image,
    "document": _document,
}
