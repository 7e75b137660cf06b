"""A canonical request as Gemini's `generateContent` takes it.

Pure. Wire facts: Gemini API reference, "Generating content" (GenerateContentRequest, Part, GenerationConfig,
FunctionCallingConfig); guides "Function calling", "Thought signatures", "Thinking", "OpenAI compatibility".
"""

import mimetypes
import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct

from router.chat import ChatRequest
from router.errors import RequestInvalid
from router.protocols import audio, canonical
from router.protocols.canonical import Asked, Audio, Choice, File, Image, Message, Part, Refusal, Text
from router.protocols.fields import left_out, typed, unconvertible

DIALECT: Final = "gemini"
_SAME_MEANING: Final = {
    "temperature": "temperature",
    "top_p": "topP",
    "top_k": "topK",
    "seed": "seed",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
}
"""Canonical field -> its name in `generationConfig`."""
_CONVERTED: Final = frozenset(
    "model messages stream stream_options max_tokens max_completion_tokens n stop tools tool_choice "
    "parallel_tool_calls response_format reasoning_effort thinking logprobs top_logprobs modalities audio".split()
) | set(_SAME_MEANING)

_BUDGETS: Final = {"none": 0, "minimal": 1024, "low": 1024, "medium": 8192, "high": 24576}
"""Thinking tokens for each reasoning effort, as Gemini's own OpenAI endpoint sets them for generation 2.5."""
_LEVELS: Final = {
    "none": "MINIMAL",
    "minimal": "MINIMAL",
    "low": "LOW",
    "medium": "MEDIUM",
    "high": "HIGH",
    "xhigh": "XHIGH",
}
"""From generation 3 on there are levels; its thinking cannot be switched off."""
_UNSIGNED: Final = "skip_thought_signature_validator"
"""Generation 3 refuses a tool call of the history without the signature that it gave it; calls that another model
made, or whose signature the client lost, say so by this."""
_WITHOUT_FORM: Final = ("name", "thinking_blocks", "cache_control")
"""Fields of a message that steer nothing here: who spoke, and what another provider signed or keeps."""


def body(request: ChatRequest, model: str, output_limit: int | None) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The request, and what was left out of it. Raises RequestInvalid that names a field without a form here."""
    mapping = request.mapping
    dropped = list(left_out(mapping, _CONVERTED, DIALECT))
    asked = canonical.asked(mapping, DIALECT)
    conversation = _Conversation(model)
    for at, raw in enumerate(request.messages):
        place = f"messages[{at}]"
        conversation.add(canonical.message(raw, place, DIALECT), place)
    found = {
        **conversation.converted(),
        **_tools(mapping, asked, dropped),
        "generationConfig": _generation(mapping, asked, model, output_limit or request.output_limit, dropped),
    }
    dropped += conversation.dropped
    return {name: value for name, value in found.items() if value}, tuple(dict.fromkeys(dropped))


# --- messages ---------------------------------------------------------------------------------------------


class _Conversation:
    """Messages in, `systemInstruction` and `contents` out. Results of one turn's tool calls go together."""

    def __init__(self, model: str) -> None:
        self._needs_signatures = generation(model) >= 3
        self._system: list[dict[str, Any]] = []
        self._contents: list[dict[str, Any]] = []
        self._called: dict[str, str] = {}
        self.dropped: list[str] = []

    def converted(self) -> dict[str, Any]:
        if not self._contents:
            raise RequestInvalid("A message that is no instruction is needed.", "messages")
        return {"systemInstruction": {"parts": self._system} if self._system else None, "contents": self._contents}

    def add(self, message: Message, place: str) -> None:
        self.dropped += message.lost(_WITHOUT_FORM)
        match message.role:
            case "system" | "developer":
                for part in canonical.texts(message.content, f"{place}.content", DIALECT):
                    self._system += [{"text": part.text}] if part.text else []
                    self._note_mark(part)
            case "user":
                self._contents.append({"role": "user", "parts": self._parts(message, place) or [{"text": ""}]})
            case "assistant":
                if parts := self._model_parts(message, place):
                    self._contents.append({"role": "model", "parts": parts})
            case "tool":
                self._add_result(message, place)

    def _parts(self, message: Message, place: str) -> list[dict[str, Any]]:
        found = canonical.parts(message.content, f"{place}.content", DIALECT)
        return [self._part(part, f"{place}.content[{at}]") for at, part in enumerate(found)]

    def _part(self, part: Part, place: str) -> dict[str, Any]:
        self._note_mark(part)
        match part:
            case Text():
                return {"text": part.text}
            case Refusal():
                return {"text": part.refusal}
            case Image():
                if part.image_url.detail not in (None, "auto"):
                    self.dropped.append("messages[].content[].image_url.detail")
                return _media(part.image_url.url, f"{place}.image_url.url")
            case Audio():
                heard = part.input_audio
                return {"inlineData": {"mimeType": audio.media_type(heard, place), "data": heard.data}}
            case File():
                return self._file(part, place)

    def _note_mark(self, part: Part) -> None:
        if part.cache_control:
            self.dropped.append("messages[].cache_control")

    def _file(self, part: File, place: str) -> dict[str, Any]:
        source = part.file
        if source.filename:
            self.dropped.append("messages[].content[].file.filename")
        if source.file_data:
            if canonical.data_url(source.file_data, f"{place}.file.file_data") is None:
                raise RequestInvalid("A file needs a data URL.", f"{place}.file.file_data")
            return _media(source.file_data, f"{place}.file.file_data")
        if source.file_url:
            return _media(source.file_url, f"{place}.file.file_url")
        raise unconvertible(f"{place}.file.file_id", DIALECT)

    def _model_parts(self, message: Message, place: str) -> list[dict[str, Any]]:
        """What the model had thought, said and called, with the signatures that it gave them."""
        parts: list[dict[str, Any]] = []
        if message.reasoning_content:
            parts.append({"text": message.reasoning_content, "thought": True})
        said = [part for part in self._parts(message, place) if part.get("text") != ""]
        if message.refusal:
            said.append({"text": message.refusal})
        if signature := _signature(message.extra_content):
            said = said or [{"text": ""}]
            said[-1]["thoughtSignature"] = signature
        parts += said
        for at, call in enumerate(message.tool_calls or ()):
            self._called[call.id] = call.function.name
            made = {"id": call.id, "name": call.function.name}
            made["args"] = canonical.arguments(call, f"{place}.tool_calls[{at}]")  # type: ignore[assignment]
            part: dict[str, Any] = {"functionCall": made}
            # Of calls that were made together only the first one is signed.
            unsigned = _UNSIGNED if self._needs_signatures and at == 0 else None
            if signature := _signature(call.extra_content) or unsigned:
                part["thoughtSignature"] = signature
            parts.append(part)
        return parts

    def _add_result(self, message: Message, place: str) -> None:
        call_id = message.tool_call_id or ""
        if call_id not in self._called:
            raise RequestInvalid("No earlier message has a tool call of this id.", f"{place}.tool_call_id")
        result = {"id": call_id, "name": self._called[call_id], **self._result(message, place)}
        if self._contents and "functionResponse" in self._contents[-1]["parts"][-1]:
            self._contents[-1]["parts"].append({"functionResponse": result})
        else:
            self._contents.append({"role": "user", "parts": [{"functionResponse": result}]})

    def _result(self, message: Message, place: str) -> dict[str, Any]:
        """A result is an object: one that the tool gave as such, else its text as `output` or `error`."""
        parts = self._parts(message, place)
        text = "\n".join(part["text"] for part in parts if "text" in part)
        given = None if message.is_error else _object(text)
        response = {"error" if message.is_error else "output": text} if given is None else given
        media = [part for part in parts if "text" not in part]
        return {"response": response, **({"parts": media} if media else {})}


def _media(url: str, place: str) -> dict[str, Any]:
    """Bytes, or a link for the provider to follow. Its media type follows from the name, where that tells it."""
    if (content := canonical.data_url(url, place)) is not None:
        return {"inlineData": {"mimeType": content.media_type, "data": content.data}}
    media_type, _ = mimetypes.guess_type(url.partition("?")[0])
    return {"fileData": {"fileUri": url, **({"mimeType": media_type} if media_type else {})}}


def _signature(extra: Mapping[str, Any] | None) -> str | None:
    """Where Gemini's own OpenAI endpoint has it."""
    match extra:
        case {"google": {"thought_signature": str(signature)}}:
            return signature
        case _:
            return None


def _object(text: str) -> dict[str, Any] | None:
    """The JSON object that this text is; None for any other text, and for one that would not survive."""
    try:
        found = msgspec.json.decode(text)
        msgspec.json.encode(found)
    except (msgspec.DecodeError, ValueError, OverflowError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


# --- tools ------------------------------------------------------------------------------------------------


def _tools(mapping: Mapping[str, Any], asked: Asked, dropped: list[str]) -> dict[str, Any]:
    tools = canonical.tools(mapping, DIALECT)
    choice = canonical.choice(mapping, DIALECT)
    if not tools:
        return {}
    if asked.parallel_tool_calls is False:
        raise unconvertible("parallel_tool_calls", DIALECT)
    if any(tool.cache_control for tool in tools):
        dropped.append("tools[].cache_control")
    declared = []
    for tool in tools:
        function = tool.function
        found = {
            "name": function.name,
            "description": function.description,
            "parametersJsonSchema": function.parameters,
        }
        declared.append({name: value for name, value in found.items() if value is not None})
    is_strict = any(tool.function.strict for tool in tools)
    return {"tools": [{"functionDeclarations": declared}], "toolConfig": _tool_config(choice, is_strict=is_strict)}


def _tool_config(choice: Choice, *, is_strict: bool) -> dict[str, Any] | None:
    """`ANY` holds calls to their schemas, `VALIDATED` does so where the model may also answer in words."""
    free = "VALIDATED" if is_strict or choice.names is not None else "AUTO"
    mode = {"auto": free, "none": "NONE", "required": "ANY"}[choice.mode]
    if mode == "AUTO":
        return None
    names = {} if choice.names is None else {"allowedFunctionNames": list(choice.names)}
    return {"functionCallingConfig": {"mode": mode, **names}}


# --- how to answer ----------------------------------------------------------------------------------------


def _generation(
    mapping: Mapping[str, Any], asked: Asked, model: str, limit: int | None, dropped: list[str]
) -> dict[str, Any]:
    found: dict[str, Any] = {theirs: getattr(asked, ours) for ours, theirs in _SAME_MEANING.items()}
    found |= {
        "maxOutputTokens": limit,
        "stopSequences": asked.stops or None,
        "candidateCount": asked.n if asked.n != 1 else None,
        "responseLogprobs": asked.logprobs or None,
        "logprobs": asked.top_logprobs,
        "thinkingConfig": _thinking(asked, model),
        **_speech(mapping, asked.modalities or [], dropped),
    }
    if (form := canonical.json_form(mapping, DIALECT)) is not None:
        found["responseMimeType"] = "application/json"
        found["responseJsonSchema"] = form.schema
        if form.description:
            dropped.append("response_format.json_schema.description")
    return {name: value for name, value in found.items() if value is not None}


class _Spoken(Struct):
    voice: str
    format: str


def _speech(mapping: Mapping[str, Any], modalities: list[str], dropped: list[str]) -> dict[str, Any]:
    """What is to be spoken, and by whom. A model that speaks does not write as well: the text that clients get beside
    the sound elsewhere is its transcript, which nobody makes here."""
    if unknown := [at for at, name in enumerate(modalities) if name not in ("text", "audio")]:
        raise unconvertible(f"modalities[{unknown[0]}]", DIALECT)
    if "audio" not in modalities:
        dropped += ["audio"] if mapping.get("audio") else []
        return {}
    spoken = typed(mapping.get("audio") or {}, _Spoken, "audio")
    left_out(mapping["audio"], _Spoken.__struct_fields__, DIALECT, within="audio", harmless=())
    if spoken.format != audio.SPOKEN_FORMAT:
        raise RequestInvalid(
            f"`audio.format`: the provider of this model speaks `{audio.SPOKEN_FORMAT}` only.", "audio.format"
        )
    dropped += [f"modalities[{at}]" for at, name in enumerate(modalities) if name == "text"]
    voice = {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": spoken.voice}}}
    return {"responseModalities": ["AUDIO"], "speechConfig": voice}


def _thinking(asked: Asked, model: str) -> dict[str, Any] | None:
    """Who asks for reasoning also gets its text."""
    if asked.thinking is not None:
        if asked.thinking.type == "disabled":
            return {"thinkingBudget": 0}
        budget = asked.thinking.budget_tokens
        shown = {} if asked.thinking.display == "omitted" else {"includeThoughts": True}
        return {**shown, "thinkingBudget": -1 if budget is None else budget}
    if asked.reasoning_effort is None:
        return None
    has_levels = generation(model) >= 3
    amounts: Mapping[str, Any] = _LEVELS if has_levels else _BUDGETS
    if asked.reasoning_effort not in amounts:
        raise unconvertible("reasoning_effort", DIALECT)
    amount = {"thinkingLevel" if has_levels else "thinkingBudget": amounts[asked.reasoning_effort]}
    return amount | ({} if asked.reasoning_effort == "none" else {"includeThoughts": True})


def generation(model: str) -> int:
    """2 for `gemini-2.5-pro`. A name without a number stands for the newest."""
    found = re.search(r"gemini-(\d{1,3})", model)
    return int(found.group(1)) if found else 3
