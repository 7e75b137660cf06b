"""The canonical chat request and the events of an answer: what every protocol module reads and writes.

The canonical shape of a request is OpenAI's chat completion request, because it is what clients send most:
`mapping` is that request as decoded, with every field the client sent, known to us or not.

Where other protocols have more than it, the canonical form takes the names under which compatible providers have it:

    reasoning_content   on assistant messages and deltas: the text of the model's reasoning
    thinking_blocks     on assistant messages: reasoning as Anthropic and Bedrock sign it
    top_k               on the request: an integer
    thinking            on the request: `{"type": "enabled", "budget_tokens": n}` or `{"type": "disabled"}`, finer than
                        `reasoning_effort`
    cache_control       on messages, content parts and tools: `{"type": "ephemeral", "ttl": "5m" | "1h"}`
    is_error            on tool messages: the tool failed
    stop_reason         on choices: the stop sequence that ended the answer, as vLLM says it
    native_finish_reason    on choices: what a filter that ended the answer is called there, as OpenRouter says it
    extra_content       on assistant messages, deltas and tool calls: `{"google": {"thought_signature": ...}}`, by which
                        Gemini signs what it said and called
    unconverted         on messages and deltas: parts of an answer that only its own dialect has a form for (citations,
                        what a provider's own tools found); such an answer is not stored
    file                content part, `file_data` (data URL), `file_url` or `file_id`, and `filename`
"""

from collections.abc import Iterator
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from router.usage import Usage

_REQUEST_OVERHEAD_TOKENS: Final = 64
"""Room for what providers add around messages."""
_PICTURE_AT_MOST_TOKENS: Final = 6144
"""More than any size of picture costs at OpenAI (at most 1536 patches, times 2.46 for the smallest model)."""


class ChatRequest(Struct, frozen=True):
    """One decoded and checked request. The named attributes are read from `mapping`, which stays untouched."""

    mapping: dict[str, Any]
    model: str
    stream: bool
    wants_usage: bool
    """Whether a streaming client asked for the usage chunk (`stream_options.include_usage`)."""
    output_limit: int | None
    """The client's own limit in tokens (`max_completion_tokens`, else `max_tokens`)."""
    body_bytes: int
    """Size of the request as it arrived: an upper bound of its input tokens for a byte-level tokeniser."""
    dialect: str = "openai"
    """What the client spoke. A protocol of the same name sends `original` with named edits, and converts nothing."""
    original: dict[str, Any] | None = None
    """The request as the client sent it, where its dialect is not the canonical one."""
    forwarded: dict[str, str] = {}
    """Headers that belong to the request in its own dialect."""
    has_unseen_input: bool = False
    """Whether the provider adds input that is not in the request: turns that it keeps, what its own tools find."""
    echoed: dict[str, Any] = {}
    """Fields that change no answer but come back in one, where a provider of the same dialect made it."""
    names: dict[str, str] = {}
    """Path in the canonical form -> what the client wrote instead, for what it is told of its request."""
    continues: dict[str, str] = {}
    """Field -> id, of all that refers to what a provider keeps of earlier answers."""
    kept_by: str | None = None
    """The deployment that keeps what the request continues."""

    @property
    def messages(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.mapping["messages"]
        return found

    @property
    def output_at_most(self) -> int | None:
        """The larger of the client's two limits, for the worst case: a provider may know only one of them."""
        given = (self.mapping.get("max_completion_tokens"), self.mapping.get("max_tokens"))
        return max((limit for limit in given if limit), default=None)

    @property
    def choices(self) -> int:
        """How many answers were asked for; each may use the whole output limit."""
        return self.mapping.get("n") or 1

    @property
    def uses_tools(self) -> bool:
        return bool(self.mapping.get("tools") or self.mapping.get("functions"))

    def input_bound(self, context_tokens: int) -> int:
        """An upper bound of the input tokens: a token is at least one byte of the request, a picture behind a
        URL costs by its size, and what is behind any other reference, or is not seen, may fill the model's context."""
        parts: list[Any] = [part.get("type") for message in self.messages for part in _parts(message)]
        pictures = parts.count("image_url")
        others = sum(kind not in ("text", "refusal", "image_url") for kind in parts)
        counted = self.body_bytes + _REQUEST_OVERHEAD_TOKENS + pictures * _PICTURE_AT_MOST_TOKENS
        return max(counted, context_tokens) if others or self.has_unseen_input else counted

    @property
    def hears(self) -> bool:
        """Whether audio is among the input."""
        return "input_audio" in self.modalities

    @property
    def speaks(self) -> bool:
        """Whether audio is among what was asked for."""
        asked = self.mapping.get("modalities")
        return isinstance(asked, list) and "audio" in asked

    @property
    def modalities(self) -> frozenset[str]:
        """Types of the content parts that are not text, e.g. `image_url`, `input_audio`, `file`."""
        kinds = (part.get("type", "unknown") for message in self.messages for part in _parts(message))
        return frozenset(kind for kind in kinds if kind not in ("text", "refusal"))


class ChatEvent(Struct, frozen=True):
    """One step of an answer, in the order in which the upstream sent it.

    `body` is a whole JSON answer, `chunk` one streamed event, `done` the event that ends a stream,
    `comment` a block without data (keep-alive). `raw` holds the bytes as they came, an SSE block with its
    blank line included, so that they can be passed on untouched to a client of the same `dialect`. `data` is the
    payload in canonical form: None where that has no place for it (the start of a text block at Anthropic).
    """

    kind: Literal["body", "chunk", "done", "comment"]
    raw: bytes
    data: dict[str, Any] | None = None
    usage: Usage | None = None
    dialect: str = "openai"
    begun: Usage | None = None
    """What the provider has counted so far: all of the input, and the output up to here. `usage` is its last word."""

    def told(self, model: str, created_s: int) -> "ChatEvent":
        """The same event, with the model and the time of the call where the provider says neither."""
        data = self.data
        if data is None or "choices" not in data or (data.get("model") and data.get("created")):
            return self
        named = {"model": data.get("model") or model, "created": data.get("created") or created_s}
        return msgspec.structs.replace(self, data=data | named)

    @property
    def is_last(self) -> bool:
        return self.kind in ("body", "done")

    @property
    def is_usage_only(self) -> bool:
        """The extra chunk that `include_usage` asks for: usage and no choice."""
        return self.kind == "chunk" and self.usage is not None and not (self.data or {}).get("choices")

    @property
    def finish_reasons(self) -> list[str]:
        choices = (self.data or {}).get("choices") or []
        return [choice["finish_reason"] for choice in choices if choice.get("finish_reason")]

    @property
    def written(self) -> str:
        """What the model wrote in this event, end to end: text, reasoning, refusals and tool arguments."""
        choices = (self.data or {}).get("choices") or []
        return "".join(text for choice in choices for text in _texts(choice.get("delta") or choice.get("message")))

    @property
    def spoken_bytes(self) -> int:
        """Bytes of what the model spoke in this event, about: their base64 may be padded."""
        choices = (self.data or {}).get("choices") or []
        heard = [(choice.get("delta") or choice.get("message") or {}).get("audio") for choice in choices]
        pieces = [each.get("data") for each in heard if isinstance(each, dict)]
        return sum(len(piece) * 3 // 4 for piece in pieces if isinstance(piece, str))

    @property
    def text_bytes(self) -> int:
        """UTF-8 bytes of that."""
        return len(self.written.encode(errors="surrogatepass"))


def _parts(message: dict[str, Any]) -> list[dict[str, Any]]:
    content: Any = message.get("content")
    return content if isinstance(content, list) else []


_NOT_WRITTEN: Final = frozenset({"role", "type", "id", "thinking_blocks"})
"""Not the model's words, or those of `reasoning_content` once more."""


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            if key == "audio":
                yield from _texts(item.get("transcript") if isinstance(item, dict) else None)
            elif key not in _NOT_WRITTEN:
                yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
