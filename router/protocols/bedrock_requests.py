"""A canonical request as Bedrock's Converse takes it.

Pure. Wire facts: Amazon Bedrock API reference, "Converse", "ContentBlock", "ToolConfiguration", "OutputConfig"; user
guide, "Inference request parameters and response fields" (what goes into `additionalModelRequestFields`).
"""

import mimetypes
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from router.chat import ChatRequest
from router.errors import RequestInvalid
from router.protocols import audio, canonical
from router.protocols.canonical import (
    Asked,
    Audio,
    Choice,
    File,
    Image,
    InputAudio,
    Marked,
    Message,
    Part,
    Refusal,
    Text,
)
from router.protocols.claude import THINKS, sampling, sampling_told, thinking_of
from router.protocols.fields import left_out, unconvertible

DIALECT: Final = "bedrock"
_CONVERTED: Final = frozenset(
    "model messages stream stream_options max_tokens max_completion_tokens n temperature top_p top_k stop tools "
    "tool_choice parallel_tool_calls response_format reasoning_effort thinking modalities metadata "
    "service_tier".split()
)
_WITHOUT_FORM: Final = ("name", "extra_content")
"""Fields of a message that steer nothing here: who spoke, and what another provider had added."""
_IMAGES: Final = {
    "image/png": "png",
    "image/jpeg": "jpeg",
    "image/jpg": "jpeg",
    "image/gif": "gif",
    "image/webp": "webp",
}
_DOCUMENTS: Final = {
    "application/pdf": "pdf",
    "text/csv": "csv",
    "application/msword": "doc",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.ms-excel": "xls",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "text/html": "html",
    "text/plain": "txt",
    "text/markdown": "md",
}
_AUDIO: Final = {
    "audio/mp3": "mp3",
    "audio/mpeg": "mp3",
    "audio/wav": "wav",
    "audio/x-wav": "wav",
    "audio/wave": "wav",
    "audio/aac": "aac",
    "audio/flac": "flac",
    "audio/x-flac": "flac",
    "audio/ogg": "ogg",
    "audio/opus": "opus",
    "audio/m4a": "m4a",
    "audio/x-m4a": "m4a",
    "audio/mp4": "mp4",
    "audio/webm": "webm",
    "audio/L16;rate=24000": "pcm",
}
_TIERS: Final = {"default": "default", "flex": "flex", "priority": "priority"}
STOPPED_AT: Final = "/stop_sequence"
"""Where Claude says which stop sequence ended its answer; other models do not say it."""
_CALL_ID: Final = re.compile(r"[a-zA-Z0-9_.:-]{1,64}")
_METADATA: Final = re.compile(r"[a-zA-Z0-9\s:_@$#=/+,.-]{0,256}")


def body(request: ChatRequest, model: str, output_limit: int | None) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The request, and what was left out of it. Raises RequestInvalid that names a field without a form here."""
    mapping = request.mapping
    dropped = list(left_out(mapping, _CONVERTED, DIALECT))
    asked = canonical.asked(mapping, DIALECT)
    if request.choices != 1:
        raise unconvertible("n", DIALECT)
    if set(asked.modalities or ()) - {"text"}:
        raise unconvertible("modalities", DIALECT)
    conversation = _Conversation()
    for at, raw in enumerate(request.messages):
        place = f"messages[{at}]"
        conversation.add(canonical.message(raw, place, DIALECT), place)
    limit = output_limit or request.output_limit
    tools = _tools(mapping, has_calls=conversation.has_calls, is_claude=is_claude(model))
    fields = model_fields(mapping, asked, model, limit, dropped, has_tools=tools is not None)
    told = sampling_told(asked)
    if is_claude(model):
        is_thinking = fields["additionalModelRequestFields"].get("thinking", {}).get("type") in THINKS
        kept = sampling(told, model, is_thinking=is_thinking)
        dropped += [name for name in told if name not in kept]
        told = kept
    found = {
        **conversation.converted(),
        "inferenceConfig": _inference(told, asked.stops, limit),
        "toolConfig": tools,
        "outputConfig": _output_form(mapping),
        "requestMetadata": _metadata(asked, dropped),
        "serviceTier": _tier(asked, dropped),
        "additionalModelResponseFieldPaths": [STOPPED_AT] if asked.stops and is_claude(model) else None,
    }
    _merge(found, fields)
    _merge(found, _top_k(told, model))
    dropped += conversation.dropped
    return {name: value for name, value in found.items() if value}, tuple(dict.fromkeys(dropped))


def _merge(into: dict[str, Any], more: Mapping[str, Any]) -> None:
    for name, value in more.items():
        into[name] = {**(into.get(name) or {}), **value}


# --- messages ---------------------------------------------------------------------------------------------


class _Conversation:
    """Messages in, `system` and `messages` out: roles take turns, so neighbours of one role become one message."""

    def __init__(self) -> None:
        self._system: list[dict[str, Any]] = []
        self._messages: list[dict[str, Any]] = []
        self._documents: set[str] = set()
        self.dropped: list[str] = []
        self.has_calls = False

    def converted(self) -> dict[str, Any]:
        if not self._messages:
            raise RequestInvalid("A message that is no instruction is needed.", "messages")
        return {"system": self._system, "messages": self._messages}

    def add(self, message: Message, place: str) -> None:
        self.dropped += message.lost(_WITHOUT_FORM)
        match message.role:
            case "system" | "developer":
                for part in canonical.texts(message.content, f"{place}.content", DIALECT):
                    self._system += _kept([{"text": part.text}] if part.text else [], part)
                self._system += _kept([], message)
            case "user":
                if not (blocks := self._blocks(message, place)):
                    raise RequestInvalid("The provider of this model takes no empty message.", f"{place}.content")
                self._append("user", _kept(blocks, message))
            case "assistant":
                self._append("assistant", _kept(self._said(message, place), message))
            case "tool":
                self._append("user", _kept(self._results(message, place), message))

    def _append(self, role: str, blocks: list[dict[str, Any]]) -> None:
        if self._messages and self._messages[-1]["role"] == role:
            self._messages[-1]["content"] += blocks
        elif blocks:
            self._messages.append({"role": role, "content": blocks})

    def _blocks(self, message: Message, place: str) -> list[dict[str, Any]]:
        """Empty texts are no blocks: Bedrock refuses them."""
        blocks: list[dict[str, Any]] = []
        for at, part in enumerate(canonical.parts(message.content, f"{place}.content", DIALECT)):
            block = self._block(part, f"{place}.content[{at}]")
            blocks += _kept([] if block.get("text") == "" else [block], part)
        return blocks

    def _block(self, part: Part, place: str) -> dict[str, Any]:
        match part:
            case Text():
                return {"text": part.text}
            case Refusal():
                return {"text": part.refusal}
            case Image():
                if part.image_url.detail not in (None, "auto"):
                    self.dropped.append("messages[].content[].image_url.detail")
                return {"image": _sourced(part.image_url.url, _IMAGES, f"{place}.image_url.url")}
            case Audio():
                return {"audio": _heard(part.input_audio, place)}
            case File():
                return self._document(part, place)

    def _document(self, part: File, place: str) -> dict[str, Any]:
        url = part.file.file_data or part.file.file_url
        if url is None:
            raise unconvertible(f"{place}.file.file_id", DIALECT)
        field = "file_data" if part.file.file_data else "file_url"
        if _media_type(url, f"{place}.file.{field}").startswith("audio/"):
            return {"audio": _sourced(url, _AUDIO, f"{place}.file.{field}")}
        document = _sourced(url, _DOCUMENTS, f"{place}.file.{field}")
        return {"document": {"name": self._document_name(part.file.filename), **document}}

    def _document_name(self, filename: str | None) -> str:
        """Letters, digits, single spaces, hyphens and brackets; no two documents may have the same name."""
        stem = (filename or "").rpartition(".")[0] or filename or ""
        plain = " ".join(re.sub(r"[^a-zA-Z0-9\s\-()\[\]]", " ", stem).split())[:180] or "document"
        name, number = plain, 1
        while name in self._documents:
            number += 1
            name = f"{plain} {number}"
        self._documents.add(name)
        return name

    def _said(self, message: Message, place: str) -> list[dict[str, Any]]:
        """What the model had thought, as it signed it, then what it said and called."""
        signed = [block for block in map(_reasoning, message.thinking_blocks or ()) if block is not None]
        if message.reasoning_content and not signed:
            self.dropped.append("messages[].reasoning_content")
        blocks = signed + self._blocks(message, place)
        if message.refusal:
            blocks.append({"text": message.refusal})
        for at, call in enumerate(message.tool_calls or ()):
            self.has_calls = True
            if call.extra_content:
                self.dropped.append("messages[].tool_calls[].extra_content")
            made = canonical.arguments(call, f"{place}.tool_calls[{at}]")
            blocks.append({"toolUse": {"toolUseId": _call_id(call.id), "name": call.function.name, "input": made}})
        return blocks

    def _results(self, message: Message, place: str) -> list[dict[str, Any]]:
        """A call's result. What is to be kept is marked behind it: there is no place for that inside."""
        if not message.tool_call_id:
            raise RequestInvalid("A tool message needs the id of its call.", f"{place}.tool_call_id")
        self.has_calls = True
        blocks = self._blocks(message, place)
        if any("audio" in block for block in blocks):
            raise unconvertible(f"{place}.content", DIALECT)
        marks = [block for block in blocks if "cachePoint" in block]
        content = [block for block in blocks if "cachePoint" not in block]
        found: dict[str, Any] = {"toolUseId": _call_id(message.tool_call_id), "content": content}
        return [{"toolResult": found | ({"status": "error"} if message.is_error else {})}, *marks[-1:]]


def _kept(blocks: list[dict[str, Any]], mark: Marked) -> list[dict[str, Any]]:
    """The blocks, followed by a mark up to which the provider keeps the prompt."""
    if mark.kept_for is None:
        return blocks
    point = {"type": "default"} | ({"ttl": "1h"} if mark.kept_for == "1h" else {})
    return [*blocks, {"cachePoint": point}]


def _sourced(url: str, formats: Mapping[str, str], place: str) -> dict[str, Any]:
    """Bytes, or what lies in S3. Raises RequestInvalid for what is anywhere else: nobody would fetch it."""
    content = canonical.data_url(url, place)
    if content is None and not url.startswith("s3://"):
        raise RequestInvalid(
            f"`{place}`: the provider of this model takes bytes only, and the gateway fetches none. Send a data URL.",
            place,
        )
    media_type = _media_type(url, place)
    if media_type not in formats:
        raise RequestInvalid(f"`{place}`: the provider of this model takes {', '.join(formats)}.", place)
    source = {"bytes": content.data} if content else {"s3Location": {"uri": url}}
    return {"format": formats[media_type], "source": source}


def _media_type(url: str, place: str) -> str:
    """Of a data URL, or as the name tells it."""
    content = canonical.data_url(url, place)
    return content.media_type.lower() if content else mimetypes.guess_type(url)[0] or ""


def _heard(heard: InputAudio, place: str) -> dict[str, Any]:
    media_type = audio.media_type(heard, place)
    if media_type not in _AUDIO:
        takes = ", ".join(sorted(set(_AUDIO.values())))
        raise RequestInvalid(
            f"`{place}.input_audio.format`: the provider of this model takes {takes}.", f"{place}.input_audio.format"
        )
    return {"format": _AUDIO[media_type], "source": {"bytes": heard.data}}


def _reasoning(block: Mapping[str, Any]) -> dict[str, Any] | None:
    """A signed block of reasoning; None for one that nobody has signed, which the provider would refuse."""
    match block:
        case {"type": "thinking", "thinking": str(text), "signature": str(signature)} if signature:
            return {"reasoningContent": {"reasoningText": {"text": text, "signature": signature}}}
        case {"type": "redacted_thinking", "data": str(data)}:
            return {"reasoningContent": {"redactedContent": data}}
        case _:
            return None


def _call_id(given: str) -> str:
    """The id as Bedrock takes it; another provider's may be too long for it."""
    if _CALL_ID.fullmatch(given):
        return given
    return canonical.made_up_id("call_", given)


# --- tools ------------------------------------------------------------------------------------------------


def _tools(mapping: Mapping[str, Any], *, has_calls: bool, is_claude: bool) -> dict[str, Any] | None:
    """Tools that must not be called are left out, which Bedrock allows while no message has a call."""
    choice = canonical.choice(mapping, DIALECT)
    tools = canonical.tools(mapping, DIALECT)
    if has_calls and not tools:
        raise RequestInvalid(
            "`tools`: the provider of this model needs the tools that earlier messages have called.", "tools"
        )
    if not tools or (choice.mode == "none" and not has_calls):
        return None
    if choice.mode == "none" and not is_claude:
        raise unconvertible("tool_choice", DIALECT)
    specs: list[dict[str, Any]] = []
    for tool in tools:
        if choice.names is None or tool.function.name in choice.names:
            function = tool.function
            spec: dict[str, Any] = {"name": function.name}
            if function.description:
                spec["description"] = function.description
            spec["inputSchema"] = {"json": function.parameters or {"type": "object", "properties": {}}}
            if function.strict:
                spec["strict"] = True
            specs += _kept([{"toolSpec": spec}], tool)
    if not specs:
        raise RequestInvalid("`tool_choice`: names no tool of this request.", "tool_choice")
    is_native = is_claude and _is_native(mapping, choice)
    return {"tools": specs, **({} if is_native else _forced(choice))}


def _forced(choice: Choice) -> dict[str, Any]:
    if choice.mode != "required":
        return {}
    is_one = choice.names is not None and len(choice.names) == 1
    return {"toolChoice": {"tool": {"name": choice.names[0]}} if is_one and choice.names else {"any": {}}}


def _is_native(mapping: Mapping[str, Any], choice: Choice) -> bool:
    """Whether the choice has no form in Converse, but one in Claude's own fields."""
    return choice.mode == "none" or mapping.get("parallel_tool_calls") is False


# --- how to answer ----------------------------------------------------------------------------------------


def _inference(told: Mapping[str, float], stops: Sequence[str], limit: int | None) -> dict[str, Any]:
    found = {
        "maxTokens": limit,
        "temperature": told.get("temperature"),
        "topP": told.get("top_p"),
        "stopSequences": stops or None,
    }
    return {name: value for name, value in found.items() if value is not None}


def _output_form(mapping: Mapping[str, Any]) -> dict[str, Any] | None:
    form = canonical.json_form(mapping, DIALECT)
    if form is None:
        return None
    if form.schema is None:
        raise unconvertible("response_format", DIALECT)
    named = {name: value for name, value in (("name", form.name), ("description", form.description)) if value}
    definition = {"schema": msgspec.json.encode(form.schema).decode(), **named}
    return {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": definition}}}


def _metadata(asked: Asked, dropped: list[str]) -> dict[str, str] | None:
    """Bedrock logs up to 16 short texts with a request; others are left out and told."""
    given = asked.metadata or {}
    fits = 0 < len(given) <= 16 and all(
        0 < len(name) <= 256 and _METADATA.fullmatch(name) and isinstance(value, str) and _METADATA.fullmatch(value)
        for name, value in given.items()
    )
    if given and not fits:
        dropped.append("metadata")
    return given if fits else None


def _tier(asked: Asked, dropped: list[str]) -> dict[str, str] | None:
    if asked.service_tier in (None, "auto"):
        return None
    if asked.service_tier not in _TIERS:
        dropped.append("service_tier")
        return None
    return {"type": _TIERS[asked.service_tier]}


# --- what each family of models has of its own --------------------------------------------------------------


def is_claude(model: str) -> bool:
    return "anthropic.claude" in model


def model_fields(
    mapping: Mapping[str, Any], asked: Asked, model: str, limit: int | None, dropped: list[str], *, has_tools: bool
) -> dict[str, Any]:
    """`additionalModelRequestFields`, and the effort in `outputConfig`: thinking, and what of the tool choice Converse
    has no form for. `has_tools`: tools are sent; without them there is nothing to choose."""
    fields: dict[str, Any] = {}
    effort: dict[str, Any] = {}
    choice = canonical.choice(mapping, DIALECT)
    if has_tools and _is_native(mapping, choice):
        if not is_claude(model):
            raise unconvertible("parallel_tool_calls", DIALECT)
        fields["tool_choice"] = _claude_choice(choice)
    if is_claude(model):
        thinking, effort = _claude_thinking(asked, choice, model, limit, dropped)
        fields |= thinking
    elif "amazon.nova" in model:
        fields |= _nova_thinking(asked)
    elif asked.thinking is not None and asked.thinking.type != "disabled":
        raise unconvertible("thinking", DIALECT)
    elif asked.reasoning_effort is not None:
        if "openai." in model:
            fields["reasoning_effort"] = asked.reasoning_effort
        else:
            dropped.append("reasoning_effort")
    return {"additionalModelRequestFields": fields} | ({"outputConfig": effort} if effort else {})


def _top_k(told: Mapping[str, float], model: str) -> dict[str, Any]:
    """Converse has no form for it, models have."""
    if "top_k" not in told:
        return {}
    top_k = told["top_k"]
    form = {"inferenceConfig": {"topK": top_k}} if "amazon.nova" in model else {"top_k": top_k}
    return {"additionalModelRequestFields": form}


def _claude_choice(choice: Choice) -> dict[str, Any]:
    if choice.mode == "none":
        return {"type": "none"}
    if choice.mode == "auto":
        return {"type": "auto", "disable_parallel_tool_use": True}
    if choice.names is not None and len(choice.names) == 1:
        return {"type": "tool", "name": choice.names[0], "disable_parallel_tool_use": True}
    return {"type": "any", "disable_parallel_tool_use": True}


def _claude_thinking(
    asked: Asked, choice: Choice, model: str, limit: int | None, dropped: list[str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """`thinking` and the output's effort."""
    if asked.thinking is not None:
        fields = msgspec.structs.asdict(asked.thinking)
        return {"thinking": {name: value for name, value in fields.items() if value is not None}}, {}
    found = thinking_of(asked.reasoning_effort, model, limit, is_forced=choice.mode == "required")
    if found.is_left_out:
        dropped.append("reasoning_effort")
    return (
        {} if found.thinking is None else {"thinking": found.thinking},
        {} if found.effort is None else {"effort": found.effort},
    )


def _nova_thinking(asked: Asked) -> dict[str, Any]:
    if asked.thinking is not None and asked.thinking.type != "disabled":
        raise unconvertible("thinking", DIALECT)
    effort = asked.reasoning_effort
    if effort is None:
        return {}
    if effort == "none":
        return {"reasoningConfig": {"type": "disabled"}}
    level = {"minimal": "low", "low": "low", "medium": "medium", "high": "high"}.get(effort)
    if level is None:
        raise unconvertible("reasoning_effort", DIALECT)
    return {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": level}}
