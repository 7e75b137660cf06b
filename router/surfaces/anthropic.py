"""Anthropic's Messages towards clients: their requests as canonical chats, and what failures look like.

The conversation is read in `anthropic_messages.py`, answers are written in `anthropic_output.py`. Wire facts: Claude
API reference, "Create a Message", "Count tokens in a Message", "Errors".
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

from router.chat import ChatRequest
from router.errors import RequestInvalid
from router.protocols.anthropic import NEWER_VERSION, VERSION
from router.sse import named_block
from router.surfaces.anthropic_messages import Placed, Rest, Turn, conversation, names_of
from router.surfaces.anthropic_output import DIALECT, Writer, body, own_body
from router.surfaces.surface import Failure, decoded_mapping

__all__ = [
    "DIALECT",
    "Writer",
    "body",
    "decode_count_request",
    "decode_request",
    "failure_body",
    "failure_frame",
    "own_body",
]


class _Choice(Struct):
    type: str
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class _Format(Struct):
    type: str
    schema: dict[str, Any] | None = None


class _OutputConfig(Struct):
    effort: str | None = None
    format: _Format | None = None


class _Thinking(Struct):
    type: str
    budget_tokens: Annotated[int, Meta(ge=0, le=2**31 - 1)] | None = None


class _Metadata(Struct):
    user_id: str | None = None


class _Tool(Struct):
    name: str | None = None
    type: str | None = None
    input_schema: dict[str, Any] | None = None
    description: str | None = None
    strict: bool | None = None


class _CountBody(Struct, kw_only=True):
    """The fields that we rely on; every other one passes to a provider of the same dialect unchecked."""

    model: Annotated[str, Meta(min_length=1, max_length=256)]
    messages: Annotated[list[Turn], Meta(min_length=1)]
    system: str | list[dict[str, Any]] | None = None
    tools: list[_Tool] | None = None
    tool_choice: _Choice | None = None
    thinking: _Thinking | None = None
    output_config: _OutputConfig | None = None
    cache_control: dict[str, Any] | None = None
    speed: str | None = None


class _MessageBody(_CountBody, kw_only=True):
    # None at all (0) warms the provider's cache.
    max_tokens: Annotated[int, Meta(ge=0, le=2**31 - 1)]
    stream: bool | None = None
    stop_sequences: list[str] | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    metadata: _Metadata | None = None
    service_tier: Literal["auto", "standard_only"] | None = None


def decode_request(body: bytes, forwarded: Mapping[str, str]) -> ChatRequest:
    """The checked request. Raises RequestInvalid that names the field."""
    return _request(body, forwarded, _MessageBody)


def decode_count_request(body: bytes, forwarded: Mapping[str, str]) -> ChatRequest:
    """The same for a question about size, which has no limit. Raises RequestInvalid that names the field."""
    return _request(body, forwarded, _CountBody)


def _request(body: bytes, forwarded: Mapping[str, str], kind: type[_CountBody]) -> ChatRequest:
    original = decoded_mapping(body)
    try:
        checked = msgspec.convert(original, kind)
    except msgspec.ValidationError as error:
        raise RequestInvalid.from_validation(error, kind) from None
    limit = checked.max_tokens if isinstance(checked, _MessageBody) else None
    is_stream = isinstance(checked, _MessageBody) and bool(checked.stream)
    rest = _unconverted(original)
    placed = conversation(checked.system, checked.messages, original["messages"], rest)
    return ChatRequest(
        mapping=_canonical(checked, original, placed, rest),
        model=checked.model,
        stream=is_stream,
        wants_usage=True,
        output_limit=limit,
        body_bytes=len(body),
        dialect=DIALECT,
        original=original,
        forwarded=_meaningful(forwarded),
        names=names_of(placed),
    )


def _meaningful(forwarded: Mapping[str, str]) -> dict[str, str]:
    """Every client of this dialect names a version: one of those with the same answers makes no other request of it."""
    usual = (VERSION, NEWER_VERSION)
    return {
        name: value
        for name, value in forwarded.items()
        if name.startswith(DIALECT) and not (name == "anthropic-version" and value in usual)
    }


# --- the canonical mapping -----------------------------------------------------------------------------------

_SAME: Final = ("temperature", "top_p", "top_k", "thinking", "stream", "cache_control")
_CONVERTED: Final = frozenset(_SAME) | frozenset(
    "model messages system max_tokens stop_sequences metadata tools tool_choice output_config service_tier "
    "speed".split()
)
_TAKEN: Final = frozenset(
    "audio conversation frequency_penalty function_call functions logit_bias logprobs max_completion_tokens modalities "
    "n parallel_tool_calls prediction presence_penalty previous_response_id prompt_cache_key reasoning_effort "
    "response_format safety_identifier seed stop store stream_options top_logprobs user verbosity "
    "web_search_options".split()
)
"""Canonical names that mean nothing in this dialect: what a client sends under them must not come to mean something."""
_TIERS: Final = {"auto": "auto", "standard_only": "default"}


def _unconverted(original: Mapping[str, Any]) -> Rest:
    return {
        f"body.{name}" if name in _TAKEN else name: value
        for name, value in original.items()
        if name not in _CONVERTED and value is not None
    }


def _canonical(checked: _CountBody, original: Mapping[str, Any], placed: list[Placed], rest: Rest) -> dict[str, Any]:
    mapping: dict[str, Any] = {"model": checked.model, "messages": [each.message for each in placed]}
    mapping |= {name: original[name] for name in _SAME if original.get(name) is not None}
    if checked.speed not in (None, "standard"):
        rest["speed"] = checked.speed
    if checked.tools:
        mapping["tools"] = [
            _tool(tool, raw, f"tools[{at}]", rest)
            for at, (tool, raw) in enumerate(zip(checked.tools, original["tools"], strict=True))
        ]
    if checked.tool_choice is not None:
        mapping |= _tool_choice(checked.tool_choice, original["tool_choice"], rest)
    if checked.output_config is not None:
        mapping |= _output(checked.output_config, original["output_config"], rest)
    if isinstance(checked, _MessageBody):
        mapping |= _of_message(checked, original, rest)
    return mapping | rest


def _of_message(checked: _MessageBody, original: Mapping[str, Any], rest: Rest) -> dict[str, Any]:
    """The fields that only a request for an answer has."""
    # Without any output there is nothing to ask another provider for: the limit stays as the client wrote it.
    found: dict[str, Any] = {"max_completion_tokens" if checked.max_tokens else "max_tokens": checked.max_tokens}
    if checked.stop_sequences:
        found["stop"] = checked.stop_sequences
    if checked.service_tier is not None:
        found["service_tier"] = _TIERS[checked.service_tier]
    if checked.metadata is not None and checked.metadata.user_id is not None:
        found["user"] = checked.metadata.user_id
    if more := {name: value for name, value in (original.get("metadata") or {}).items() if name != "user_id"}:
        rest["metadata"] = more
    return found


def _tool(tool: _Tool, raw: Mapping[str, Any], path: str, rest: Rest) -> dict[str, Any]:
    """A tool of the client's. One of the provider's own, or one whose schema only it knows, stays as it is and is put
    aside as well."""
    if tool.type not in (None, "custom"):
        rest[f"{path}.type"] = tool.type
        return dict(raw)
    if tool.name is None or tool.input_schema is None:
        missing = "name" if tool.name is None else "input_schema"
        raise RequestInvalid(f"`{path}.{missing}`: a tool needs it.", f"{path}.{missing}")
    function: dict[str, Any] = {"name": tool.name, "parameters": tool.input_schema}
    if tool.description is not None:
        function["description"] = tool.description
    if tool.strict is not None:
        function["strict"] = tool.strict
    known = {*_Tool.__struct_fields__, "cache_control", *_HINTS}
    rest |= {
        f"{path}.{name}": value
        for name, value in raw.items()
        if name not in known and value is not None and value != _USUAL.get(name)
    }
    mark = raw.get("cache_control")
    return {"type": "function", "function": function} | ({"cache_control": mark} if mark is not None else {})


_HINTS: Final = ("eager_input_streaming",)
"""How finely the input of a call is streamed: nothing of it is lost elsewhere."""
_USUAL: Final[Mapping[str, Any]] = {"allowed_callers": ["direct"], "defer_loading": False}
"""What is so anyway."""

_CHOICES: Final = {"auto": "auto", "any": "required", "none": "none"}


def _tool_choice(choice: _Choice, raw: Any, rest: Rest) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if choice.type in _CHOICES:
        found["tool_choice"] = _CHOICES[choice.type]
    elif choice.type == "tool" and choice.name is not None:
        found["tool_choice"] = {"type": "function", "function": {"name": choice.name}}
    elif choice.type == "tool":
        raise RequestInvalid("`tool_choice.name`: a choice of one tool needs it.", "tool_choice.name")
    else:
        rest["tool_choice.type"] = raw
    if choice.disable_parallel_tool_use:
        found["parallel_tool_calls"] = False
    return found


def _output(config: _OutputConfig, raw: Mapping[str, Any], rest: Rest) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if config.effort is not None:
        found["reasoning_effort"] = config.effort
    if config.format is not None and config.format.type == "json_schema" and config.format.schema is not None:
        schema = {"name": "answer", "schema": config.format.schema, "strict": True}
        found["response_format"] = {"type": "json_schema", "json_schema": schema}
    elif config.format is not None:
        rest["output_config.format"] = raw["format"]
    rest |= {
        f"output_config.{name}": value
        for name, value in raw.items()
        if name not in ("effort", "format") and value is not None
    }
    return found


# --- failures --------------------------------------------------------------------------------------------------

_TYPES: Final = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}
"""The type of an error by its status; every other one is of the request below 500, and ours from there on."""


def failure_body(failure: Failure) -> bytes:
    """There is no field for the place of a mistake, so the message begins with it."""
    usual = "invalid_request_error" if failure.status < 500 else "api_error"
    named = failure.param is None or failure.param in failure.message
    message = failure.message if named else f"{failure.param}: {failure.message}"
    error = {"type": _TYPES.get(failure.status, usual), "message": message}
    return msgspec.json.encode({"type": "error", "error": error, "request_id": failure.request_id})


def failure_frame(failure: Failure, writer: object = None) -> bytes:
    """The same body as an event. `message_stop` does not follow, so that nobody takes the answer for complete."""
    return named_block("error", failure_body(failure))
