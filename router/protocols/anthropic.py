"""Anthropic's Messages protocol towards providers: requests and credentials. `anthropic_answers.py` reads the answers.

Pure functions over mappings. A request from a client of this dialect is sent as it came with named edits; any other
is converted from the canonical form. Wire facts: Claude API reference, "Create a Message", "Extended thinking",
"Structured outputs", "Tool use", "Prompt caching", "Versions".
"""

import base64
import binascii
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from router.catalogue import Deployment
from router.chat import ChatRequest
from router.errors import RequestInvalid
from router.protocols.anthropic_answers import (
    JSON_TOOL,
    STREAM_TYPE,
    Reader,
    parse_body,
    parse_error,
)
from router.protocols.fields import left_out, typed, unconvertible
from router.protocols.wire import Wire, encoded

__all__ = ["STREAM_TYPE", "Reader", "authorised", "encode", "parse_body", "parse_error"]

NAME: Final = "anthropic"
PATH: Final = "/messages"
COUNT_PATH: Final = "/messages/count_tokens"
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


def encode_count(request: ChatRequest, deployment: Deployment) -> Wire:
    """The question how many input tokens this request of a client of the same dialect has."""
    original = _edited(request.original or {}, deployment, None)
    return Wire(COUNT_PATH, encoded(original), _headers(request, deployment))


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
        mapping["messages"] = [_signed_only(message) for message in mapping["messages"]]
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
    limit = output_limit or request.output_limit or deployment.max_output_tokens
    system, turns = _turns(request.messages, dropped)
    if not turns:
        raise RequestInvalid("`messages`: needs one message that is no system prompt.", "messages")
    sent: dict[str, Any] = {"model": deployment.upstream_model, "max_tokens": limit, "messages": turns}
    if system:
        sent["system"] = _simplest(system)
    for name in ("stream", "cache_control"):
        if name in mapping:
            sent[name] = mapping[name]
    _set_sampling(sent, mapping, dropped)
    if "stop" in mapping:
        sent["stop_sequences"] = [mapping["stop"]] if isinstance(mapping["stop"], str) else mapping["stop"]
    if "user" in mapping:
        sent["metadata"] = {"user_id": mapping["user"]}
    if "service_tier" in mapping:
        _set_tier(sent, mapping["service_tier"], dropped)
    sent |= _tools(mapping)
    if "response_format" in mapping:
        _set_format(sent, mapping["response_format"])
    _set_thinking(sent, mapping, limit, dropped)
    return sent, tuple(dropped)


_SAMPLING: Final = ("temperature", "top_p", "top_k")
_SAMPLES_AS_TOLD: Final = re.compile(r"(?!claude-)|claude-(?:[a-z]+-)?(?:v?[123]|instant|4-(?:[0-6](?!\d)|\d{8}))")
"""Models up to 4.6, and those of other makers; later ones refuse a request that says how to sample."""


def _set_sampling(sent: dict[str, Any], mapping: Mapping[str, Any], dropped: list[str]) -> None:
    given = [name for name in _SAMPLING if name in mapping]
    if not _SAMPLES_AS_TOLD.match(sent["model"]):
        dropped += given
        return
    if mapping.get("temperature", 0) > 1:
        raise RequestInvalid("`temperature`: the provider of this model takes 0 to 1.", "temperature")
    sent |= {name: mapping[name] for name in given}


def _set_tier(sent: dict[str, Any], tier: Any, dropped: list[str]) -> None:
    if tier in _TIERS:
        sent["service_tier"] = _TIERS[tier]
    else:
        dropped.append("service_tier")


# --- messages ---


class _Function(Struct):
    name: str
    arguments: str = ""


class _ToolCall(Struct):
    id: str
    function: _Function
    type: Literal["function"] = "function"


class _Message(Struct):
    """The fields of a canonical message that are converted. `name` has no form and cannot change much."""

    role: str
    content: str | list[dict[str, Any]] | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    thinking_blocks: list[dict[str, Any]] | None = None
    tool_calls: list[_ToolCall] | None = None
    tool_call_id: str | None = None
    is_error: bool | None = None
    cache_control: dict[str, Any] | None = None


_HARMLESS_IN_MESSAGES: Final = frozenset({"name", "annotations", "reasoning", "reasoning_details", "unconverted"})


def _turns(messages: list[dict[str, Any]], dropped: list[str]) -> tuple[list[Block], list[dict[str, Any]]]:
    """The system prompt's blocks, and the turns: neighbours of one role are one turn, the results of parallel tool
    calls above all. System messages later in the conversation go to the front, the only place for them."""
    system: list[Block] = []
    turns: list[dict[str, Any]] = []
    for at, raw in enumerate(messages):
        path = f"messages[{at}]"
        dropped += left_out(raw, _Message.__struct_fields__, NAME, within=path, harmless=_HARMLESS_IN_MESSAGES)
        message = typed(raw, _Message, path)
        match message.role:
            case "system" | "developer":
                system += _marked(_content(message, path, dropped), message)
                continue
            case "user":
                role, blocks = "user", _content(message, path, dropped)
            case "assistant":
                role, blocks = "assistant", _said(message, path, dropped)
            case "tool":
                role, blocks = "user", [_tool_result(message, path, dropped)]
            case _:
                raise unconvertible(f"{path}.role", NAME)
        blocks = _marked(blocks, message)
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        elif blocks:
            turns.append({"role": role, "content": blocks})
    return system, [{**turn, "content": _simplest(turn["content"])} for turn in turns]


def _marked(blocks: list[Block], message: _Message) -> list[Block]:
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


def _content(message: _Message, path: str, dropped: list[str]) -> list[Block]:
    if isinstance(message.content, str):
        return [{"type": "text", "text": message.content}]
    parts = enumerate(message.content or ())
    return [_block(part, f"{path}.content[{at}]", dropped) for at, part in parts]


def _said(message: _Message, path: str, dropped: list[str]) -> list[Block]:
    """An earlier answer: signed reasoning first, then text, then tool calls. Empty texts are refused there."""
    signed = [block for block in map(_as_signed, message.thinking_blocks or ()) if block is not None]
    if len(signed) < len(message.thinking_blocks or ()) or (message.reasoning_content and not message.thinking_blocks):
        dropped.append(f"{path}.reasoning_content")
    refused = [{"type": "text", "text": message.refusal}] if message.refusal else []
    texts = [block for block in _content(message, path, dropped) + refused if block.get("text") != ""]
    calls = [
        {
            "type": "tool_use",
            "id": call.id,
            "name": call.function.name,
            "input": arguments_object(call.function.arguments),
        }
        for call in message.tool_calls or ()
    ]
    return signed + texts + calls


def _as_signed(block: Block) -> Block | None:
    """Reasoning as the provider wrote it; None without the signature that shows that it did."""
    if block.get("type") == "redacted_thinking" or (block.get("type") == "thinking" and block.get("signature")):
        return {name: value for name, value in block.items() if name != "index"}
    return None


def arguments_object(arguments: str) -> dict[str, Any]:
    """A call's arguments as the object that Anthropic wants. What is no JSON object goes into one under the name
    that its documentation has for that ("Fine-grained tool streaming")."""
    if not arguments.strip():
        return {}
    try:
        found = msgspec.json.decode(arguments)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        found = None
    return found if isinstance(found, dict) else {"INVALID_JSON": arguments}


def _tool_result(message: _Message, path: str, dropped: list[str]) -> Block:
    if message.tool_call_id is None:
        raise RequestInvalid(f"`{path}.tool_call_id`: a tool message needs it.", f"{path}.tool_call_id")
    result: Block = {"type": "tool_result", "tool_use_id": message.tool_call_id}
    if content := _content(message, path, dropped):
        result["content"] = _simplest(content)
    return result | ({"is_error": True} if message.is_error else {})


# --- content parts ---


class _ImageUrl(Struct):
    url: str
    detail: str | None = None


class _File(Struct):
    file_data: str | None = None
    file_url: str | None = None
    file_id: str | None = None
    filename: str | None = None


_DATA_URL: Final = re.compile(r"data:(?P<media>[^;,]+)(?:;[^;,]*)*?;base64,(?P<data>.*)", re.S)


def _block(part: Block, path: str, dropped: list[str]) -> Block:
    """A content part as a block. Raises RequestInvalid for a kind that Anthropic does not take."""
    match part.get("type"):
        case "text" | "refusal" as kind:
            found = {"type": "text", "text": typed(part.get(kind), str, f"{path}.{kind}")}
            known = {kind}
        case "image_url":
            image = typed(part.get("image_url"), _ImageUrl, f"{path}.image_url")
            if image.detail not in (None, "auto"):
                dropped.append(f"{path}.image_url.detail")
            found, known = _sourced("image", image.url, f"{path}.image_url.url"), {"image_url"}
        case "file":
            file = typed(part.get("file"), _File, f"{path}.file")
            found, known = _document(file, f"{path}.file"), {"file"}
        case _:
            raise unconvertible(f"{path}.type", NAME)
    left_out(part, {"type", "cache_control"} | known, NAME, within=path, harmless=())
    return found | ({"cache_control": part["cache_control"]} if part.get("cache_control") else {})


def _document(file: _File, path: str) -> Block:
    titled = {"title": file.filename} if file.filename else {}
    if file.file_url is not None:
        return _sourced("document", file.file_url, f"{path}.file_url") | titled
    if file.file_data is not None:
        return _sourced("document", file.file_data, f"{path}.file_data") | titled
    raise unconvertible(f"{path}.file_id" if file.file_id else path, NAME)


def _sourced(kind: Literal["image", "document"], url: str, path: str) -> Block:
    """An image or document behind this data URL or web address. An image that came as a file is an image."""
    if url.startswith(("https://", "http://")):
        return {"type": kind, "source": {"type": "url", "url": url}}
    if not (data := _DATA_URL.fullmatch(url)):
        raise RequestInvalid(f"`{path}`: must be an http(s) or a base64 data URL.", path)
    media = data["media"].lower()
    if media == "text/plain":
        return {"type": kind, "source": {"type": "text", "media_type": media, "data": _plain(data["data"], path)}}
    source = {"type": "base64", "media_type": media, "data": data["data"]}
    return {"type": "image" if media.startswith("image/") else kind, "source": source}


def _plain(data: str, path: str) -> str:
    try:
        return base64.b64decode(data, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise RequestInvalid(f"`{path}`: must be UTF-8 text in base64.", path) from None


# --- tools ---


class _ToolFunction(Struct):
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class _Named(Struct):
    name: str


class _NamedChoice(Struct):
    type: Literal["function"]
    function: _Named


_CHOICES: Final = {"auto": "auto", "none": "none", "required": "any"}


def _tools(mapping: Mapping[str, Any]) -> dict[str, Any]:
    tools = [_tool(tool, f"tools[{at}]") for at, tool in enumerate(mapping.get("tools") or ())]
    found: dict[str, Any] = {"tools": tools} if tools else {}
    choice = _choice(mapping["tool_choice"]) if mapping.get("tool_choice") else None
    if tools and mapping.get("parallel_tool_calls") is False and (choice or {}).get("type") != "none":
        choice = (choice or {"type": "auto"}) | {"disable_parallel_tool_use": True}
    return found | ({"tool_choice": choice} if choice and tools else {})


def _tool(tool: Mapping[str, Any], path: str) -> dict[str, Any]:
    if tool.get("type") != "function":
        raise unconvertible(f"{path}.type", NAME)
    left_out(tool, ("type", "function", "cache_control"), NAME, within=path, harmless=())
    function = typed(tool.get("function"), _ToolFunction, f"{path}.function")
    left_out(tool["function"], _ToolFunction.__struct_fields__, NAME, within=f"{path}.function", harmless=())
    found: dict[str, Any] = {"name": function.name, "input_schema": {"type": "object", **(function.parameters or {})}}
    if function.description is not None:
        found["description"] = function.description
    if function.strict is not None:
        found["strict"] = function.strict
    return found | ({"cache_control": tool["cache_control"]} if tool.get("cache_control") else {})


def _choice(choice: Any) -> dict[str, Any]:
    if isinstance(choice, str) and choice in _CHOICES:
        return {"type": _CHOICES[choice]}
    if not isinstance(choice, dict) or choice.get("type") != "function":
        raise unconvertible("tool_choice", NAME)
    return {"type": "tool", "name": typed(choice, _NamedChoice, "tool_choice").function.name}


# --- the form of the answer ---


class _Schema(Struct):
    schema: dict[str, Any]


def _set_format(sent: dict[str, Any], wanted: Mapping[str, Any]) -> None:
    """A schema has a field of its own. For any JSON object the model is made to call a tool that takes one; its input
    is the answer (`anthropic_answers.py` reads it so)."""
    match wanted.get("type"):
        case "text":
            pass
        case "json_schema":
            schema = typed(wanted.get("json_schema"), _Schema, "response_format.json_schema").schema
            sent["output_config"] = {"format": {"type": "json_schema", "schema": schema}}
        case "json_object" if "tools" not in sent:
            sent["tools"] = [JSON_TOOL]
            sent["tool_choice"] = {"type": "tool", "name": JSON_TOOL["name"], "disable_parallel_tool_use": True}
        case _:
            raise unconvertible("response_format.type", NAME)


# --- thinking ---

_CANNOT_THINK: Final = re.compile(r"claude-(?:v?[12]\b|instant|3-(?:5-)?(?:haiku|sonnet|opus))")
_THINKS_BY_ITSELF: Final = re.compile(r"claude-(?!3-)(?!(?:opus|sonnet|haiku)-4-(?:[0-5](?!\d)|\d{8}))")
"""Models of the generations from 4.6 on: they take an effort, and decide how long they think."""
_BUDGETS: Final = {"minimal": 1024, "low": 2048, "medium": 8192, "high": 16384, "xhigh": 32768, "max": 32768}
_LEAST_BUDGET: Final = 1024
_EFFORTS: Final = {"minimal": "low"}


def _set_thinking(sent: dict[str, Any], mapping: Mapping[str, Any], limit: int, dropped: list[str]) -> None:
    """`thinking` as it is; else `reasoning_effort` in the form that the model's generation takes: an effort, or a
    budget of at most half the limit. A forced tool call and thinking exclude each other."""
    if "thinking" in mapping:
        sent["thinking"] = typed(mapping["thinking"], dict[str, Any], "thinking")
        return
    if "reasoning_effort" not in mapping:
        return
    effort = typed(mapping["reasoning_effort"], str, "reasoning_effort")
    is_forced = sent.get("tool_choice", {}).get("type") in ("any", "tool")
    can_think = not _CANNOT_THINK.match(sent["model"])
    if can_think and _THINKS_BY_ITSELF.match(sent["model"]):
        if effort == "none":
            sent["thinking"] = {"type": "disabled"}
            return
        sent.setdefault("output_config", {})["effort"] = _EFFORTS.get(effort, effort)
        if not is_forced:
            sent["thinking"] = {"type": "adaptive"}
        return
    budget = min(_BUDGETS.get(effort, 0), limit // 2)
    if budget >= _LEAST_BUDGET and not is_forced and can_think:
        sent["thinking"] = {"type": "enabled", "budget_tokens": budget}
    elif effort != "none":
        dropped.append("reasoning_effort")
