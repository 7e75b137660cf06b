"""OpenAI's Responses towards clients: their requests as canonical chats, and what answers and failures look like.

The answers themselves are in `responses_output.py` and `responses_stream.py`. What only a provider of the same API has
a form for (its own tools, the state that it keeps) is kept beside the chat under the client's name for it, so that it
splits the cache and every other protocol refuses it by name.

Wire facts: OpenAI API reference, "Create a model response".
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

from router.chat import ChatRequest
from router.errors import RequestInvalid
from router.surfaces import openai
from router.surfaces.responses_input import conversation_of, unconverted
from router.surfaces.responses_output import DIALECT, body, own_body
from router.surfaces.responses_stream import Writer
from router.surfaces.surface import Failure, decoded_mapping

__all__ = ["DIALECT", "Writer", "body", "decode_request", "failure_body", "failure_frame", "own_body"]

failure_body = openai.failure_body


def failure_frame(failure: Failure, writer: Writer) -> bytes:
    """`response.failed`, numbered after what has been written."""
    return writer.fail(failure)


_Limit = Annotated[int, Meta(ge=1, le=2**31 - 1)]


class _Format(Struct):
    type: str


class _Text(Struct):
    format: _Format | None = None
    verbosity: str | None = None


class _Reasoning(Struct):
    effort: str | None = None


class _Tool(Struct):
    type: str


class _Body(Struct):
    """The fields that we rely on, and those that become a field of the chat under the same name."""

    model: Annotated[str, Meta(min_length=1, max_length=256)]
    input: str | list[dict[str, Any]] | None = None
    instructions: str | None = None
    stream: bool | None = None
    stream_options: dict[str, Any] | None = None
    max_output_tokens: _Limit | None = None
    background: bool | None = None
    store: bool | None = None
    text: _Text | None = None
    reasoning: _Reasoning | None = None
    include: list[str] | None = None
    tools: list[_Tool] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    truncation: str | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    temperature: float | None = None
    top_p: float | None = None
    user: str | None = None
    metadata: dict[str, Any] | None = None
    previous_response_id: str | None = None
    conversation: str | dict[str, Any] | None = None
    prompt: dict[str, Any] | None = None
    # What compatible providers take beside.
    stop: str | list[str] | None = None
    seed: int | None = None
    top_k: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    logit_bias: dict[str, Any] | None = None
    thinking: dict[str, Any] | None = None


_OF_CHATS: Final = {
    "messages": "input",
    "max_tokens": "max_output_tokens",
    "max_completion_tokens": "max_output_tokens",
    "response_format": "text.format",
    "reasoning_effort": "reasoning.effort",
    "verbosity": "text.verbosity",
    "functions": "tools",
    "function_call": "tool_choice",
    "logprobs": "top_logprobs",
    "n": None,
    "modalities": None,
    "audio": None,
    "prediction": None,
    "web_search_options": "tools",
}
"""Fields of chat completions -> what the Responses API has in their place."""
_NAMES: Final = {
    "max_completion_tokens": "max_output_tokens",
    "response_format": "text.format",
    "reasoning_effort": "reasoning.effort",
    "verbosity": "text.verbosity",
    "logprobs": "top_logprobs",
}
"""What the fields of a chat are called here."""
_CONVERTED: Final = frozenset(
    "input instructions max_output_tokens background text reasoning include tools tool_choice truncation "
    "top_logprobs store".split()
)
_LOGPROBS: Final = "message.output_text.logprobs"
_ECHOED: Final = ("user", "metadata")
_KEPT_BY_PROVIDER: Final = ("previous_response_id", "conversation", "prompt")


def decode_request(body: bytes, forwarded: Mapping[str, str]) -> ChatRequest:
    """The checked request. Raises RequestInvalid that names the field."""
    asked = decoded_mapping(body)
    for name in asked.keys() & _OF_CHATS.keys():
        if asked[name] is not None:
            instead = f" Use `{_OF_CHATS[name]}`." if _OF_CHATS[name] else ""
            raise RequestInvalid(f"`{name}` belongs to chat completions, not to responses.{instead}", name)
    try:
        checked = msgspec.convert(asked, _Body)
    except msgspec.ValidationError as error:
        raise RequestInvalid.from_validation(error) from None
    if checked.background:
        raise RequestInvalid("The gateway answers at once: `background` is not offered.", "background")
    kept = any(asked.get(name) for name in _KEPT_BY_PROVIDER)
    conversation = conversation_of(_input(checked, is_kept=kept), checked.instructions)
    if not conversation.messages:
        conversation.messages.append({"role": "user", "content": ""})  # all of it is with the provider
    mapping: dict[str, Any] = {
        "messages": conversation.messages,
        **{name: value for name, value in asked.items() if name not in _CONVERTED and value is not None},
        **conversation.native,
        **conversation.rest,
        **_limits(checked),
        **_form(asked.get("text") or {}),
        **_thought(asked.get("reasoning") or {}),
        **_tools(asked.get("tools") or []),
    }
    _choose_tools(mapping, checked.tool_choice)
    return ChatRequest(
        mapping=mapping,
        model=checked.model,
        stream=bool(checked.stream),
        wants_usage=True,
        output_limit=checked.max_output_tokens,
        body_bytes=len(body),
        dialect=DIALECT,
        original=asked,
        forwarded=dict(forwarded),
        echoed={name: asked[name] for name in _ECHOED if asked.get(name)},
        names=_NAMES | conversation.names,
        continues=_continued(asked),
        has_unseen_input=kept or bool(conversation.native) or not all(map(_is_function, asked.get("tools") or ())),
    )


def _continued(asked: Mapping[str, Any]) -> dict[str, str]:
    """Field -> id, of all that refers to what a provider keeps of earlier answers."""
    conversation = asked.get("conversation")
    found = {
        "previous_response_id": asked.get("previous_response_id"),
        "conversation": conversation.get("id") if isinstance(conversation, dict) else conversation,
    }
    items = asked.get("input")
    for at, item in enumerate(items if isinstance(items, list) else ()):
        if item.get("type") == "item_reference":
            found[f"input[{at}]"] = str(item.get("id"))
    return {name: value for name, value in found.items() if value is not None}


def _input(checked: _Body, *, is_kept: bool) -> str | list[dict[str, Any]]:
    if not checked.input and not is_kept and checked.input != "":
        raise RequestInvalid("`input` is missing: a text, or a list of at least one item.", "input")
    return checked.input if checked.input is not None else []


def _limits(checked: _Body) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if checked.max_output_tokens is not None:
        found["max_completion_tokens"] = checked.max_output_tokens
    if checked.truncation not in (None, "disabled"):
        found["truncation"] = checked.truncation
    if checked.store:  # the default of chats is not to store
        found["store"] = True
    included = checked.include or []
    if checked.top_logprobs or _LOGPROBS in included:
        found["logprobs"] = True
    if checked.top_logprobs:
        found["top_logprobs"] = checked.top_logprobs
    if others := [name for name in included if name != _LOGPROBS]:
        found["include"] = others
    return found


def _form(text: Mapping[str, Any]) -> dict[str, Any]:
    found = {f"text.{name}": value for name, value in text.items() if name not in ("format", "verbosity") and value}
    if text.get("verbosity") is not None:
        found["verbosity"] = text["verbosity"]
    match text.get("format"):
        case None | {"type": "text"}:
            pass
        case {"type": "json_object"}:
            found["response_format"] = {"type": "json_object"}
        case {"type": "json_schema", **schema}:
            found["response_format"] = {"type": "json_schema", "json_schema": schema}
        case other:
            found["text.format"] = other
    return found


def _thought(reasoning: Mapping[str, Any]) -> dict[str, Any]:
    found = {f"reasoning.{name}": value for name, value in reasoning.items() if name != "effort" and value is not None}
    if reasoning.get("effort") is not None:
        found["reasoning_effort"] = reasoning["effort"]
    return found


def _tools(tools: list[dict[str, Any]]) -> dict[str, Any]:
    """Functions in the form of chats, and beside them, under their path, the fields that these have no form for. The
    provider's own tools stand among them as they are, so that whoever looks sees that there are tools, and beside them
    likewise."""
    found: dict[str, Any] = {"tools": [_function(tool) for tool in tools]} if tools else {}
    for at, tool in enumerate(tools):
        if not _is_function(tool):
            found[f"tools[{at}]"] = tool
        elif not isinstance(tool.get("name"), str):
            raise RequestInvalid("A function has a name.", f"tools[{at}].name")
        else:
            found |= unconverted(tool, ("type", *_OF_FUNCTIONS), f"tools[{at}]")
    return found


def _is_function(tool: Mapping[str, Any]) -> bool:
    return bool(tool.get("type") == "function")


_OF_FUNCTIONS: Final = ("name", "description", "parameters", "strict")


def _function(tool: dict[str, Any]) -> dict[str, Any]:
    if not _is_function(tool):
        return tool
    named = {name: tool[name] for name in _OF_FUNCTIONS if tool.get(name) is not None}
    return {"type": "function", "function": named}


def _choose_tools(mapping: dict[str, Any], choice: str | dict[str, Any] | None) -> None:
    """Adds the choice; a choice among some of the tools becomes one among only these. Raises RequestInvalid."""
    match choice:
        case None:
            pass
        case str():
            mapping["tool_choice"] = choice
        case {"type": "function", "name": str(name)}:
            mapping["tool_choice"] = {"type": "function", "function": {"name": name}}
            mapping |= unconverted(choice, ("type", "name"), "tool_choice")
        case {"type": "function"}:
            raise RequestInvalid("`tool_choice.name` is missing.", "tool_choice.name")
        case {"type": "allowed_tools", "mode": str(mode), "tools": list(allowed)}:
            names = {tool.get("name") for tool in allowed if isinstance(tool, dict)}
            mapping["tools"] = [tool for tool in mapping.get("tools", ()) if _name(tool) in names]
            mapping["tool_choice"] = mode
        case _:
            mapping["tool_choice.type"] = choice.get("type")


def _name(tool: Mapping[str, Any]) -> Any:
    return (tool.get("function") or {}).get("name")
