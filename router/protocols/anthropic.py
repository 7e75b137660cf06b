"""Anthropic's Messages protocol towards providers: requests and credentials. `anthropic_answers.py` reads the answers.

Pure functions over mappings. A request from a client of this dialect is sent as it came with named edits; any other
is converted from the canonical form. Wire facts: Claude API reference, "Create a Message", "Extended thinking",
"Structured outputs", "Tool use", "Prompt caching", "Versions"; "Migration guide" (sampling parameters).
"""

import base64
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, Literal

import msgspec

from router.catalogue import Deployment
from router.chat import ChatRequest
from router.errors import RequestInvalid
from router.protocols import canonical
from router.protocols.anthropic_answers import (
    JSON_TOOL,
    STREAM_TYPE,
    Reader,
    parse_body,
    parse_error,
)
from router.protocols.canonical import Asked, File, FileSource, Image, Message, Part, Refusal, Text, Tool
from router.protocols.claude import THINKS, sampling, sampling_told, thinking_of
from router.protocols.fields import left_out, unconvertible
from router.protocols.wire import Wire, encoded

__all__ = ["STREAM_TYPE", "Reader", "authorised", "encode", "parse_body", "parse_error"]

NAME: Final = "anthropic"
PATH: Final = "/messages"
VERSION: Final = "2023-06-01"
"""The `anthropic-version` that we ask for. Answers are the same in `NEWER_VERSION`, which refuses more of a request:
sampling parameters above all ("Migrate to API version 2026-10-21")."""
NEWER_VERSION: Final = "2026-10-21"

Block = dict[str, Any]


def encode(request: ChatRequest, deployment: Deployment, output_limit: int | None) -> Wire:
    """The upstream request. `max_tokens`, which every request needs, is the gateway's limit, else the client's, else
    the model's longest answer. Raises RequestInvalid that names a field without a form here."""
    if request.dialect == NAME and request.original is not None:
        return Wire(PATH, encoded(_edited(request.original, deployment, output_limit)), _headers(request, deployment))
    mapping, dropped = _converted(request, deployment, output_limit)
    return Wire(PATH, encoded(mapping), _headers(request, deployment), dropped)


def authorised(wire: Wire, url: str, api_key: str | None, at: datetime) -> dict[str, str]:
    """The headers; a key does not depend on the request or the time."""
    sent = {"content-type": "application/json", "accept-encoding": "identity", **wire.headers}
    return {**sent, "x-api-key": api_key} if api_key else sent


def _headers(request: ChatRequest, deployment: Deployment) -> dict[str, str]:
    version = request.forwarded.get("anthropic-version") or deployment.provider.api_version or VERSION
    betas = request.forwarded.get("anthropic-beta")
    return {"anthropic-version": version} | ({"anthropic-beta": betas} if betas else {})


# --- of the same dialect ------------------------------------------------------------------------------------


def _edited(original: Mapping[str, Any], deployment: Deployment, output_limit: int | None) -> dict[str, Any]:
    """The client's own mapping with the deployment's model, the gateway's limit where it sets one, and without
    reasoning that another provider wrote: it has no signature, and a request with such a block is refused."""
    mapping = {**original, "model": deployment.upstream_model}
    if output_limit is not None:
        mapping["max_tokens"] = output_limit
    if any(_is_unsigned(block) for message in mapping["messages"] for block in _blocks(message)):
        signed = [(message, _signed_only(message)) for message in mapping["messages"]]
        # A turn of nothing else is no turn any more.
        mapping["messages"] = [kept for message, kept in signed if kept["content"] or not message["content"]]
    return mapping


def _blocks(message: Mapping[str, Any]) -> list[Block]:
    content = message.get("content")
    return content if isinstance(content, list) else []


def _is_unsigned(block: Mapping[str, Any]) -> bool:
    return block.get("type") == "thinking" and not block.get("signature")


def _signed_only(message: Mapping[str, Any]) -> dict[str, Any]:
    kept = [block for block in _blocks(message) if not _is_unsigned(block)]
    return {**message, "content": kept} if isinstance(message.get("content"), list) else dict(message)


# --- from the canonical form ----------------------------------------------------------------------------------

_CONVERTED: Final = frozenset(
    "model messages stream stream_options max_tokens max_completion_tokens temperature top_p top_k stop tools "
    "tool_choice parallel_tool_calls response_format reasoning_effort thinking user service_tier cache_control".split()
)
_TIERS: Final = {"auto": "auto", "default": "standard_only"}


def _converted(
    request: ChatRequest, deployment: Deployment, output_limit: int | None
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The canonical request in Anthropic's form, and the fields left out. Raises RequestInvalid."""
    mapping = {name: value for name, value in request.mapping.items() if value is not None}
    dropped = list(left_out(mapping, _CONVERTED, NAME))
    asked = canonical.asked(mapping, NAME)
    limit = output_limit or request.output_limit or deployment.max_output_tokens
    system, turns = _turns(request.messages, dropped)
    if not turns:
        raise RequestInvalid("`messages`: needs one message that is no system prompt.", "messages")
    sent: dict[str, Any] = {"model": deployment.upstream_model, "max_tokens": limit, "messages": turns}
    if system:
        sent["system"] = _simplest(system)
    sent |= {name: mapping[name] for name in ("stream", "cache_control") if name in mapping}
    if asked.stops:
        sent["stop_sequences"] = asked.stops
    if "user" in mapping:
        sent["metadata"] = {"user_id": mapping["user"]}
    if asked.service_tier in _TIERS:
        sent["service_tier"] = _TIERS[asked.service_tier]
    elif asked.service_tier is not None:
        dropped.append("service_tier")
    _set_tools(sent, mapping, is_serial=asked.parallel_tool_calls is False)
    _set_format(sent, mapping)
    _set_thinking(sent, asked, mapping.get("thinking"), dropped)
    _set_sampling(sent, asked, deployment.provider.api_version, dropped)
    return sent, tuple(dropped)


def _set_sampling(sent: dict[str, Any], asked: Asked, version: str | None, dropped: list[str]) -> None:
    """What the model takes of how to sample, beside the thinking that is set before; the rest is left out and told."""
    told = sampling_told(asked)
    is_thinking = sent.get("thinking", {}).get("type") in THINKS
    kept = {} if version == NEWER_VERSION else sampling(told, sent["model"], is_thinking=is_thinking)
    dropped += [name for name in told if name not in kept]
    sent |= kept


# --- messages ---


def _turns(messages: list[dict[str, Any]], dropped: list[str]) -> tuple[list[Block], list[dict[str, Any]]]:
    """The system prompt's blocks, and the turns: neighbours of one role are one turn, the results of parallel tool
    calls above all. System messages later in the conversation go to the front, the only place for them."""
    system: list[Block] = []
    turns: list[dict[str, Any]] = []
    for at, raw in enumerate(messages):
        place = f"messages[{at}]"
        message = canonical.message(raw, place, NAME)
        if message.name is not None:
            dropped.append(f"{place}.name")
        match message.role:
            case "system" | "developer":
                system += _marked(_content(message, place, dropped), message)
                continue
            case "assistant":
                role, blocks = "assistant", _said(message, place, dropped)
            case "tool":
                role, blocks = "user", [_tool_result(message, place, dropped)]
            case _:
                role, blocks = "user", _content(message, place, dropped)
        blocks = _marked(blocks, message)
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        elif blocks:
            turns.append({"role": role, "content": blocks})
    return system, [{**turn, "content": _simplest(turn["content"])} for turn in turns]


def _marked(blocks: list[Block], message: Message) -> list[Block]:
    """A cache mark on a message is one on its last block."""
    if message.cache_control is None or not blocks:
        return blocks
    return [*blocks[:-1], {**blocks[-1], "cache_control": message.cache_control}]


def _simplest(blocks: list[Block]) -> str | list[Block]:
    """One block of nothing but text is a string."""
    match blocks:
        case [{"type": "text", "text": str(text), **rest}] if not rest:
            return text
    return blocks


def _content(message: Message, place: str, dropped: list[str]) -> list[Block]:
    parts = canonical.parts(message.content, f"{place}.content", NAME)
    return [_block(part, f"{place}.content[{at}]", dropped) for at, part in enumerate(parts)]


def _said(message: Message, place: str, dropped: list[str]) -> list[Block]:
    """An earlier answer: signed reasoning first, then text, then tool calls. Empty texts are refused there."""
    thoughts = message.thinking_blocks or []
    signed = [block for block in map(_as_signed, thoughts) if block is not None]
    if len(signed) < len(thoughts) or (message.reasoning_content and not thoughts):
        dropped.append(f"{place}.reasoning_content")
    refused = [{"type": "text", "text": message.refusal}] if message.refusal else []
    texts = [block for block in _content(message, place, dropped) + refused if block.get("text") != ""]
    calls = [(call.id, call.function) for call in message.tool_calls or ()]
    uses = [
        {"type": "tool_use", "id": known_as, "name": function.name, "input": arguments_object(function.arguments or "")}
        for known_as, function in calls
    ]
    return signed + texts + uses


def _as_signed(block: Block) -> Block | None:
    """Reasoning as the provider wrote it; None without the signature that shows that it did."""
    if block.get("type") == "redacted_thinking" or (block.get("type") == "thinking" and block.get("signature")):
        return {name: value for name, value in block.items() if name != "index"}
    return None


def arguments_object(arguments: str) -> dict[str, Any]:
    """A call's arguments as the object that Anthropic wants. What is no JSON object, because a model wrote it wrong,
    goes into one under the name that the documentation has for that ("Fine-grained tool streaming")."""
    if not arguments.strip():
        return {}
    try:
        found = msgspec.json.decode(arguments)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        found = None
    return found if isinstance(found, dict) else {"INVALID_JSON": arguments}


def _tool_result(message: Message, place: str, dropped: list[str]) -> Block:
    if message.tool_call_id is None:
        raise RequestInvalid(f"`{place}.tool_call_id`: a tool message needs it.", f"{place}.tool_call_id")
    result: Block = {"type": "tool_result", "tool_use_id": message.tool_call_id}
    if content := _content(message, place, dropped):
        result["content"] = _simplest(content)
    return result | ({"is_error": True} if message.is_error else {})


# --- content parts ---


def _block(part: Part, place: str, dropped: list[str]) -> Block:
    """A content part as a block. Raises RequestInvalid for a kind that Anthropic does not take."""
    match part:
        case Text():
            found = {"type": "text", "text": part.text}
        case Refusal():
            found = {"type": "text", "text": part.refusal}
        case Image():
            if part.image_url.detail not in (None, "auto"):
                dropped.append(f"{place}.image_url.detail")
            found = _sourced("image", part.image_url.url, f"{place}.image_url.url")
        case File():
            found = _document(part.file, f"{place}.file")
        case _:
            raise unconvertible(f"{place}.type", NAME)
    return found | ({"cache_control": part.cache_control} if part.cache_control else {})


def _document(file: FileSource, place: str) -> Block:
    for name in ("file_url", "file_data"):
        if (url := getattr(file, name)) is not None:
            found = _sourced("document", url, f"{place}.{name}")
            return found | ({"title": file.filename} if file.filename and found["type"] == "document" else {})
    raise unconvertible(f"{place}.file_id" if file.file_id else place, NAME)


def _sourced(kind: Literal["image", "document"], url: str, place: str) -> Block:
    """An image or document behind this data URL or web address. An image that came as a file is an image."""
    held = canonical.data_url(url, place)
    if held is None and url.startswith(("https://", "http://")):
        return {"type": kind, "source": {"type": "url", "url": url}}
    if held is None:
        raise RequestInvalid(f"`{place}`: must be an http(s) or a base64 data URL.", place)
    media = held.media_type.lower()
    if media == "text/plain":
        text = base64.b64decode(held.data).decode(errors="replace")
        return {"type": kind, "source": {"type": "text", "media_type": media, "data": text}}
    source = {"type": "base64", "media_type": media, "data": held.data}
    return {"type": "image" if media.startswith("image/") else kind, "source": source}


# --- tools ---

_CHOICES: Final = {"auto": "auto", "none": "none", "required": "any"}


def _set_tools(sent: dict[str, Any], mapping: Mapping[str, Any], *, is_serial: bool) -> None:
    """The tools, and how free the model is. Where it may use some of them only, the others are left away."""
    wanted = canonical.choice(mapping, NAME)
    offered = canonical.tools(mapping, NAME)
    is_one = wanted.mode == "required" and wanted.names is not None and len(wanted.names) == 1
    if wanted.names is not None and not is_one:
        offered = [tool for tool in offered if tool.function.name in wanted.names]
    if not offered:
        return
    sent["tools"] = [_tool(tool) for tool in offered]
    choice: dict[str, Any] = {"type": _CHOICES[wanted.mode]}
    if is_one and wanted.names is not None:
        choice = {"type": "tool", "name": wanted.names[0]}
    if is_serial and wanted.mode != "none":
        choice["disable_parallel_tool_use"] = True
    if "tool_choice" in mapping or is_serial:
        sent["tool_choice"] = choice


def _tool(tool: Tool) -> dict[str, Any]:
    function = tool.function
    found: dict[str, Any] = {"name": function.name, "input_schema": {"type": "object", **(function.parameters or {})}}
    more = {"description": function.description, "strict": function.strict, "cache_control": tool.cache_control}
    return found | {name: value for name, value in more.items() if value is not None}


# --- the form of the answer ---


def _set_format(sent: dict[str, Any], mapping: Mapping[str, Any]) -> None:
    """A schema has a field of its own. For any JSON object the model is made to call a tool that takes one; its input
    is the answer (`anthropic_answers.py` reads it so)."""
    form = canonical.json_form(mapping, NAME)
    if form is None:
        return
    if form.schema is not None:
        sent["output_config"] = {"format": {"type": "json_schema", "schema": form.schema}}
    elif "tools" in sent:
        raise unconvertible("response_format.type", NAME)
    else:
        sent["tools"] = [JSON_TOOL]
        sent["tool_choice"] = {"type": "tool", "name": JSON_TOOL["name"], "disable_parallel_tool_use": True}


# --- thinking ---


def _set_thinking(sent: dict[str, Any], asked: Asked, given: Any, dropped: list[str]) -> None:
    """`thinking` as it is; else `reasoning_effort` in the form that the model takes."""
    if given is not None:
        sent["thinking"] = given
        return
    is_forced = sent.get("tool_choice", {}).get("type") in ("any", "tool")
    found = thinking_of(asked.reasoning_effort, sent["model"], sent["max_tokens"], is_forced=is_forced)
    if found.thinking is not None:
        sent["thinking"] = found.thinking
    if found.effort is not None:
        sent.setdefault("output_config", {})["effort"] = found.effort
    if found.is_left_out:
        dropped.append("reasoning_effort")
