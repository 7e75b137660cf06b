"""Gemini's answers in canonical form: candidates become choices, parts become text, reasoning and tool calls.

Pure, but for `Steps`, which remembers what of a stream it has seen. Wire facts: Gemini API reference,
"GenerateContentResponse", "Candidate", "FinishReason", "BlockReason" and "UsageMetadata".
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

from router import own_tools
from router.errors import UpstreamMalformed
from router.protocols import audio
from router.protocols.canonical import made_up_id, unix_s, usage_payload
from router.protocols.gemini_requests import generation
from router.protocols.wire import checked, count
from router.usage import Usage

_FINISHED: Final = {"STOP": "stop", "MAX_TOKENS": "length"}
_BROKEN: Final = frozenset(
    {
        "MALFORMED_FUNCTION_CALL",
        "MALFORMED_RESPONSE",
        "MISSING_THOUGHT_SIGNATURE",
        "TOO_MANY_TOOL_CALLS",
        "UNEXPECTED_TOOL_CALL",
    }
)
"""What came so far is no answer, and another attempt may bring one. Every other reason is a filter's."""
_KEPT: Final = ("citationMetadata", "groundingMetadata")
"""What an answer says of its sources, for which there is no canonical form."""


class _FunctionCall(Struct, rename="camel"):
    name: str
    args: dict[str, Any] | None = None
    id: str | None = None


class _Blob(Struct, rename="camel"):
    mime_type: str
    data: str


class _Part(Struct, rename="camel"):
    text: str | None = None
    thought: bool | None = None
    thought_signature: str | None = None
    function_call: _FunctionCall | None = None
    inline_data: _Blob | None = None


class _Content(Struct):
    parts: list[_Part] | None = None


class _Token(Struct, rename="camel"):
    token: str = ""
    log_probability: float = 0.0


class _TopTokens(Struct):
    candidates: list[_Token] | None = None


class _Logprobs(Struct, rename="camel"):
    chosen_candidates: list[_Token] | None = None
    top_candidates: list[_TopTokens] | None = None


class _Candidate(Struct, rename="camel"):
    content: _Content | None = None
    finish_reason: str | None = None
    index: Annotated[int, Meta(ge=0, le=1023)] | None = None
    logprobs_result: _Logprobs | None = None


class _Feedback(Struct, rename="camel"):
    block_reason: str | None = None
    block_reason_message: str | None = None


class _Response(Struct, rename="camel"):
    candidates: list[_Candidate] | None = None
    prompt_feedback: _Feedback | None = None
    usage_metadata: dict[str, Any] | None = None
    model_version: str | None = None
    response_id: str | None = None
    create_time: str | None = None


class _Choice(Struct):
    """What has been seen of one candidate."""

    calls: int = 0
    reason: str | None = None
    signature: str | None = None
    """Of what is no tool call: the last one, because a stream has it at the end."""
    kept: dict[str, Any] = {}


class Steps:
    """Makes canonical chunks of an answer's responses, in the order in which they come."""

    def __init__(self) -> None:
        self._choices: dict[int, _Choice] = {}
        self._shared: dict[str, Any] = {"id": "", "object": "chat.completion.chunk", "created": 0, "model": ""}
        self._counts: dict[str, Any] | None = None
        self._is_blocked = False

    @property
    def is_complete(self) -> bool:
        """Whether every candidate has said why it ended, or the prompt was blocked."""
        return self._is_blocked or (bool(self._choices) and all(seen.reason for seen in self._choices.values()))

    @property
    def usage(self) -> Usage | None:
        """As counted so far, with the searches that the answer is grounded on."""
        counted = parse_usage(self._counts)
        if counted is None:
            return None
        grounding = [seen.kept.get("groundingMetadata") for seen in self._choices.values()]
        return msgspec.structs.replace(
            counted, tools=own_tools.in_grounding(grounding, generation(self._shared["model"]))
        )

    def chunk(self, data: Mapping[str, Any]) -> dict[str, Any] | None:
        """What this response adds; None for nothing. Raises UpstreamMalformed."""
        response = checked(data, _Response)
        self._note(response, data)
        if response.prompt_feedback is not None and response.prompt_feedback.block_reason:
            return self._blocked(response.prompt_feedback)
        raw = data.get("candidates") or ()
        pairs = zip(response.candidates or (), raw, strict=True)
        choices = [choice for candidate, source in pairs if (choice := self._choice(candidate, source)) is not None]
        return {**self._shared, "choices": choices} if choices else None

    def closing(self) -> Iterator[dict[str, Any]]:
        """How each candidate ended, then the usage."""
        choices = [self._end(index, self._choices[index]) for index in sorted(self._choices)]
        if choices:
            yield {**self._shared, "choices": choices}
        if (usage := self.usage) is not None:
            yield {**self._shared, "choices": [], "usage": usage_payload(usage)}

    def _note(self, response: _Response, data: Mapping[str, Any]) -> None:
        """The answer's id, model and time; the newest counts, which grow from response to response. An answer that
        names itself nowhere has an id that follows from how it begins."""
        known = {"id": response.response_id, "model": response.model_version, "created": unix_s(response.create_time)}
        self._shared |= {name: value for name, value in known.items() if value}
        if not self._shared["id"]:
            self._shared["id"] = made_up_id("chatcmpl-", repr(data))
        if response.usage_metadata is not None:
            self._counts = response.usage_metadata

    def _blocked(self, feedback: _Feedback) -> dict[str, Any]:
        """A prompt that was turned away is a refusal, and has no candidate."""
        self._is_blocked = True
        self._choices[0] = _Choice(reason=feedback.block_reason)
        said = feedback.block_reason_message or f"The provider blocked the prompt: {feedback.block_reason}."
        delta = {"role": "assistant", "content": None, "refusal": said}
        return {**self._shared, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}

    def _choice(self, candidate: _Candidate, source: Mapping[str, Any]) -> dict[str, Any] | None:
        index = candidate.index or 0
        delta: dict[str, Any] = {} if index in self._choices else {"role": "assistant"}
        seen = self._choices.setdefault(index, _Choice())
        for part in (candidate.content and candidate.content.parts) or ():
            self._add(part, delta, seen, index)
        seen.kept |= {name: source[name] for name in _KEPT if source.get(name)}
        if candidate.finish_reason in _BROKEN:
            raise UpstreamMalformed(f"The model's answer broke off: {candidate.finish_reason}.", billed="unknown")
        seen.reason = candidate.finish_reason or seen.reason
        choice = {"index": index, "delta": delta, "finish_reason": None}
        if candidate.logprobs_result is not None:
            choice["logprobs"] = {"content": _logprobs(candidate.logprobs_result), "refusal": None}
        return choice if delta or "logprobs" in choice else None

    def _add(self, part: _Part, delta: dict[str, Any], seen: _Choice, index: int) -> None:
        if part.text:
            name = "reasoning_content" if part.thought else "content"
            delta[name] = delta.get(name, "") + part.text
        if part.inline_data is not None and audio.is_pcm16(part.inline_data.mime_type):
            self._speak(part.inline_data, delta, index)
        elif part.inline_data is not None:
            blob = {"mimeType": part.inline_data.mime_type, "data": part.inline_data.data}
            delta.setdefault("unconverted", []).append({"inlineData": blob})
        if part.function_call is not None:
            delta.setdefault("tool_calls", []).append(
                self._call(part.function_call, part.thought_signature, seen, index)
            )
        elif part.thought_signature:
            seen.signature = part.thought_signature

    def _speak(self, blob: _Blob, delta: dict[str, Any], index: int) -> None:
        """Audio as chats have it. Nobody keeps it, so it has expired for those who would refer to it by its id."""
        known_as = made_up_id("audio_", f"{self._shared['id']} {index}")
        said = delta.setdefault("audio", {"id": known_as, "data": "", "transcript": "", "expires_at": 0})
        said["data"] = audio.joined([said["data"], blob.data])

    def _call(self, called: _FunctionCall, signature: str | None, seen: _Choice, index: int) -> dict[str, Any]:
        """A call without an id gets one of ours: the same answer gives the same id, two calls of it give two."""
        written = msgspec.json.encode(called.args or {}).decode()
        made_of = f"{self._shared['id']} {index} {seen.calls} {called.name} {written}"
        call: dict[str, Any] = {
            "index": seen.calls,
            "id": called.id or made_up_id("call_", made_of),
            "type": "function",
            "function": {"name": called.name, "arguments": written},
        }
        if signature:
            call["extra_content"] = {"google": {"thought_signature": signature}}
        seen.calls += 1
        return call

    def _end(self, index: int, seen: _Choice) -> dict[str, Any]:
        reason = _FINISHED.get(seen.reason or "", "content_filter")
        if reason == "stop" and seen.calls:
            reason = "tool_calls"
        delta: dict[str, Any] = {}
        if seen.signature:
            delta["extra_content"] = {"google": {"thought_signature": seen.signature}}
        if seen.kept:
            delta["unconverted"] = [{name: said} for name, said in seen.kept.items()]
        end = {"index": index, "delta": delta, "finish_reason": reason}
        return end | ({"native_finish_reason": seen.reason} if reason == "content_filter" else {})


def parse_usage(counts: Mapping[str, Any] | None) -> Usage | None:
    """Disjoint buckets: cached tokens are counted inside the prompt, thoughts beside the candidates; what tools of the
    provider read is input; the details tell how much of each is audio. None where there are no usable counts."""
    prompt = count((counts or {}).get("promptTokenCount"))
    if counts is None or prompt is None:
        return None

    def tokens(name: str) -> int:
        return count(counts.get(name)) or 0

    def heard_in(name: str) -> int:
        return _of_audio(counts.get(name))

    cached, thoughts = min(tokens("cachedContentTokenCount"), prompt), tokens("thoughtsTokenCount")
    heard = min(heard_in("promptTokensDetails"), prompt)
    heard_cached = max(min(heard_in("cacheTokensDetails"), heard, cached), heard - (prompt - cached))
    found_by_tools = tokens("toolUsePromptTokenCount")
    return Usage(
        input=prompt - cached + found_by_tools,
        cache_read=cached,
        output=tokens("candidatesTokenCount") + thoughts,
        reasoning=thoughts,
        audio_input=heard - heard_cached + min(heard_in("toolUsePromptTokensDetails"), found_by_tools),
        audio_cache_read=heard_cached,
        audio_output=min(heard_in("candidatesTokensDetails"), tokens("candidatesTokenCount")),
    )


def _of_audio(details: Any) -> int:
    given = details if isinstance(details, list) else []
    mine = [item for item in given if isinstance(item, dict) and item.get("modality") == "AUDIO"]
    return sum(count(item.get("tokenCount")) or 0 for item in mine)


def _logprobs(result: _Logprobs) -> list[dict[str, Any]]:
    tops = [top.candidates or [] for top in result.top_candidates or ()]
    return [
        {**_token(chosen), "top_logprobs": [_token(top) for top in (tops[at] if at < len(tops) else ())]}
        for at, chosen in enumerate(result.chosen_candidates or ())
    ]


def _token(token: _Token) -> dict[str, Any]:
    written = list(token.token.encode(errors="surrogatepass"))
    return {"token": token.token, "logprob": token.log_probability, "bytes": written}
