"""The canonical request, read field by field and checked: what protocols that convert it look at.

Owns its shapes and the refusals of what is malformed, always with the field's path; knows no other protocol.
"""

import base64
import binascii
import hashlib
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, Literal, TypeVar
from urllib.parse import unquote_to_bytes

import msgspec
from msgspec import Struct

from router.errors import RequestInvalid
from router.protocols.fields import left_out, typed, unconvertible
from router.usage import Usage

T = TypeVar("T")


class Marked(Struct, frozen=True, kw_only=True):
    """Whatever may end a prefix that the provider should keep."""

    cache_control: dict[str, Any] | None = None

    @property
    def kept_for(self) -> str | None:
        """For how long the prompt up to here is to be kept: `5m` or `1h`; None where nothing is to be kept."""
        return None if self.cache_control is None else self.cache_control.get("ttl") or "5m"


class Text(Marked, frozen=True, kw_only=True, tag_field="type", tag="text"):
    text: str
    annotations: list[Any] | None = None


class Refusal(Marked, frozen=True, kw_only=True, tag_field="type", tag="refusal"):
    refusal: str


class ImageUrl(Struct, frozen=True):
    url: str
    detail: str | None = None


class Image(Marked, frozen=True, kw_only=True, tag_field="type", tag="image_url"):
    image_url: ImageUrl


class InputAudio(Struct, frozen=True):
    data: str
    format: str


class Audio(Marked, frozen=True, kw_only=True, tag_field="type", tag="input_audio"):
    input_audio: InputAudio


class FileSource(Struct, frozen=True):
    file_data: str | None = None
    file_url: str | None = None
    file_id: str | None = None
    filename: str | None = None


class File(Marked, frozen=True, kw_only=True, tag_field="type", tag="file"):
    file: FileSource


Part = Text | Refusal | Image | Audio | File
_PARTS: Final[Mapping[str, type[Part]]] = {
    "text": Text,
    "refusal": Refusal,
    "image_url": Image,
    "input_audio": Audio,
    "file": File,
}


class CalledFunction(Struct, frozen=True):
    name: str
    arguments: str | None = None


class ToolCall(Struct, frozen=True):
    id: str
    function: CalledFunction
    type: Literal["function"] = "function"
    index: int | None = None
    extra_content: dict[str, Any] | None = None


class Message(Marked, frozen=True, kw_only=True):
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[dict[str, Any]] | None = None
    name: str | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None
    is_error: bool | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    thinking_blocks: list[dict[str, Any]] | None = None
    extra_content: dict[str, Any] | None = None

    def lost(self, names: Iterable[str]) -> list[str]:
        """Paths of these fields, where they say something. Blocks of reasoning that nobody has signed say no more than
        `reasoning_content`."""
        blocks = self.thinking_blocks or ()
        is_signed = any(block.get("type") != "thinking" or block.get("signature") for block in blocks)
        said = {name: is_signed if name == "thinking_blocks" else getattr(self, name) for name in names}
        return [f"messages[].{name}" for name, value in said.items() if value]


class DeclaredFunction(Struct, frozen=True):
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Tool(Marked, frozen=True, kw_only=True):
    type: str
    function: DeclaredFunction


class Thinking(Struct, frozen=True):
    type: Literal["enabled", "disabled", "adaptive"]
    budget_tokens: int | None = None
    display: str | None = None
    """`omitted`: the model thinks, and nobody wants to read it."""


class Choice(Struct, frozen=True):
    """`tool_choice`: how free the model is, and among which tools (None: all)."""

    mode: Literal["auto", "none", "required"] = "auto"
    names: tuple[str, ...] | None = None


class JsonForm(Struct, frozen=True):
    """`response_format`, where it asks for JSON."""

    schema: dict[str, Any] | None = None
    name: str | None = None
    description: str | None = None


class Asked(Struct, frozen=True):
    """The scalar fields of a request, checked."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    seed: int | None = None
    n: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    stop: str | list[str] | None = None
    parallel_tool_calls: bool | None = None
    reasoning_effort: str | None = None
    thinking: Thinking | None = None
    modalities: list[str] | None = None
    metadata: dict[str, Any] | None = None
    service_tier: str | None = None

    @property
    def stops(self) -> list[str]:
        return [self.stop] if isinstance(self.stop, str) else self.stop or []


# --- reading ----------------------------------------------------------------------------------------------


_ADDED_BY_OTHERS: Final = frozenset({"annotations", "images", "reasoning", "reasoning_details", "unconverted"})
"""What answers of other providers have in their messages: a client sends them back, and nothing hangs on them."""


def asked(mapping: Mapping[str, Any], protocol: str) -> Asked:
    """Raises RequestInvalid."""
    try:
        found = msgspec.convert(mapping, Asked)
    except msgspec.ValidationError as error:
        raise RequestInvalid.from_validation(error) from None
    if found.thinking is not None:
        left_out(mapping["thinking"], Thinking.__struct_fields__, protocol, within="thinking", harmless=())
    return found


def message(raw: Mapping[str, Any], place: str, protocol: str) -> Message:
    """Raises RequestInvalid for a field that is malformed, or that nobody here knows."""
    if raw.get("role") == "function":
        raise unconvertible(f"{place}.role", protocol)
    left_out(raw, Message.__struct_fields__, protocol, within=place, harmless=_ADDED_BY_OTHERS)
    return typed(raw, Message, place)


def parts(content: str | list[dict[str, Any]] | None, place: str, protocol: str) -> list[Part]:
    """The parts of a content; a text is one part. Raises RequestInvalid."""
    if isinstance(content, str):
        return [Text(text=content)]
    return [_part(raw, f"{place}[{at}]", protocol) for at, raw in enumerate(content or ())]


def _part(raw: Mapping[str, Any], place: str, protocol: str) -> Part:
    kind = raw.get("type")
    if not isinstance(kind, str) or kind not in _PARTS:
        raise unconvertible(f"{place}.type", protocol)
    return _known(raw, _PARTS[kind], place, protocol)


def texts(content: str | list[dict[str, Any]] | None, place: str, protocol: str) -> list[Text]:
    """The parts of a content that may hold nothing but text. Raises RequestInvalid."""
    found = parts(content, place, protocol)
    for at, part in enumerate(found):
        if not isinstance(part, Text):
            raise unconvertible(f"{place}[{at}].type", protocol)
    return [part for part in found if isinstance(part, Text)]


def tools(mapping: Mapping[str, Any], protocol: str) -> list[Tool]:
    """Raises RequestInvalid."""
    found = []
    for at, raw in enumerate(mapping.get("tools") or ()):
        if raw.get("type") != "function":
            raise unconvertible(f"tools[{at}].type", protocol)
        found.append(_known(raw, Tool, f"tools[{at}]", protocol))
    return found


def choice(mapping: Mapping[str, Any], protocol: str) -> Choice:
    """Raises RequestInvalid."""
    match mapping.get("tool_choice"):
        case None:
            return Choice()
        case ("auto" | "none" | "required") as mode:
            return Choice(mode)
        case {"type": "function", "function": {"name": str(name)}}:
            return Choice("required", (name,))
        case {
            "type": "allowed_tools",
            "allowed_tools": {"mode": ("auto" | "required") as mode, "tools": list(allowed)},
        }:
            return Choice(mode, tuple(_allowed(allowed, protocol)))
        case _:
            raise unconvertible("tool_choice", protocol)


def _allowed(allowed: list[Any], protocol: str) -> list[str]:
    names = []
    for at, tool in enumerate(allowed):
        match tool:
            case {"type": "function", "function": {"name": str(name)}}:
                names.append(name)
            case _:
                raise unconvertible(f"tool_choice.allowed_tools.tools[{at}]", protocol)
    return names


def json_form(mapping: Mapping[str, Any], protocol: str) -> JsonForm | None:
    """None where any text will do. Raises RequestInvalid."""
    match mapping.get("response_format"):
        case None | {"type": "text"}:
            return None
        case {"type": "json_object"}:
            return JsonForm()
        case {"type": "json_schema", "json_schema": {"schema": dict()} as form}:
            return typed(form, JsonForm, "response_format.json_schema")
        case {"type": "json_schema"}:
            raise RequestInvalid("A JSON schema is needed.", "response_format.json_schema.schema")
        case _:
            raise unconvertible("response_format", protocol)


def arguments(call: ToolCall, place: str) -> dict[str, Any]:
    """The arguments of a call as an object; none at all are an empty one. Raises RequestInvalid."""
    try:
        found = msgspec.json.decode(call.function.arguments or "{}")
    except (msgspec.DecodeError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise RequestInvalid("The arguments of a tool call must be a JSON object.", f"{place}.function.arguments")
    return found


class Bytes(Struct, frozen=True):
    """What a data URL holds; `data` is base64."""

    media_type: str
    data: str


def data_url(url: str, place: str) -> Bytes | None:
    """The content of a data URL (RFC 2397); None for any other URL. Raises RequestInvalid."""
    if url[:5].lower() != "data:":
        return None
    head, comma, data = url[5:].partition(",")
    media_type, *options = head.split(";")
    try:
        is_base64 = options[-1:] == ["base64"]
        content = base64.b64decode(data, validate=True) if is_base64 else unquote_to_bytes(data)
    except (binascii.Error, ValueError):
        content = b""
    if not comma or not content:
        raise RequestInvalid("A data URL must be `data:<media type>;base64,<data>`.", place)
    return Bytes(media_type or "text/plain", data if is_base64 else base64.b64encode(content).decode())


_NESTED: Final[Mapping[str, type[Struct]]] = {
    "file": FileSource,
    "function": DeclaredFunction,
    "image_url": ImageUrl,
    "input_audio": InputAudio,
}


def _known(raw: Mapping[str, Any], kind: type[T], place: str, protocol: str) -> T:
    """The mapping as this type; a field that is not one of the type's is refused by its name."""
    known = {field.encode_name for field in msgspec.structs.fields(kind)} | {"type"}  # type: ignore[arg-type]
    left_out(raw, known, protocol, within=place, harmless=())
    for name, inner in _NESTED.items():
        if isinstance(raw.get(name), dict):
            left_out(raw[name], inner.__struct_fields__, protocol, within=f"{place}.{name}", harmless=())
    return typed(raw, kind, place)


# --- answering --------------------------------------------------------------------------------------------


def made_up_id(prefix: str, made_of: str | bytes) -> str:
    """An id for what a provider gives none: the same answer has the same one."""
    seed = made_of.encode(errors="surrogatepass") if isinstance(made_of, str) else made_of
    return f"{prefix}{hashlib.sha256(seed).hexdigest()[:24]}"


def unix_s(time: str | None) -> int:
    """Seconds since 1970 of an RFC 3339 time in UTC; 0 for none. Its fraction may be longer than Python reads."""
    try:
        return int(datetime.fromisoformat((time or "")[:19]).replace(tzinfo=UTC).timestamp())
    except (ValueError, OverflowError):
        return 0


def usage_payload(usage: Usage) -> dict[str, Any]:
    """`usage` as clients know it: all input in one figure, and its parts as details."""
    written = usage.cache_write_5m + usage.cache_write_1h
    heard = usage.audio_input + usage.audio_cache_read
    given = {"cached_tokens": usage.cache_read, "cache_write_tokens": written, "audio_tokens": heard}
    made = {"reasoning_tokens": usage.reasoning, "audio_tokens": usage.audio_output}
    return {
        "prompt_tokens": usage.all_input,
        "completion_tokens": usage.output,
        "total_tokens": usage.all_input + usage.output,
        "prompt_tokens_details": {name: tokens for name, tokens in given.items() if tokens or name == "cached_tokens"},
        "completion_tokens_details": {
            name: tokens for name, tokens in made.items() if tokens or name == "reasoning_tokens"
        },
    }
