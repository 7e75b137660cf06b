"""What the cells of the matrix speak of, in no API's own words: questions, answers, and what a provider was asked."""

from dataclasses import dataclass, field
from typing import Any, Final

PNG: Final = "iVBORw0KGgo="
DATA_URL: Final = f"data:image/png;base64,{PNG}"
WEB_URL: Final = "https://pictures.invalid/a.png"
WAV: Final = "UklGRiQAAABXQVZF"
SPOKEN: Final = ("AAEC", "AwQ=", "BQY=")
"""Samples as a stream brings them: each piece has a padding of its own."""
SPOKEN_WHOLE: Final = "AAECAwQFBg=="
SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {"is_fine": {"type": "boolean"}},
    "required": ["is_fine"],
    "additionalProperties": False,
}
SIGNATURE: Final = "c2lnbmVkIHJlYXNvbmluZw=="
PARAMETERS: Final[dict[str, Any]] = {"type": "object", "properties": {"id": {"type": "integer"}}}


@dataclass(frozen=True)
class Called:
    name: str
    arguments: dict[str, Any]
    result: str = ""


@dataclass(frozen=True)
class Question:
    """What a client asks. `turns` alternate between user and assistant; `calls` and their results come after them."""

    turns: tuple[str, ...] = ("Hello",)
    system: str | None = None
    tools: tuple[str, ...] = ()
    calls: tuple[Called, ...] = ()
    earlier: "Seen | None" = None
    """An answer with calls: it is sent back as it came, followed by the results of `calls`."""
    is_forced: bool = False
    is_serial: bool = False
    picture: str | None = None
    audio: str | None = None
    wants_audio: bool = False
    wants_schema: bool = False
    wants_thoughts: bool = False
    stops: tuple[str, ...] = ()
    limit: int | None = None


@dataclass(frozen=True)
class Counts:
    """Tokens: input that was not cached, input that was, output with its reasoning; the audio among input and
    output."""

    fresh: int = 12
    cached: int = 0
    output: int = 7
    reasoning: int = 0
    heard: int = 0
    spoken: int = 0


@dataclass(frozen=True)
class Said:
    """What a provider answers. `ended`: stop, length or refusal."""

    text: str = ""
    speech: tuple[str, ...] = ()
    thought: str = ""
    calls: tuple[Called, ...] = ()
    ended: str = "stop"
    counts: Counts = Counts()


@dataclass
class Told:
    """What a provider was asked."""

    system: str = ""
    turns: list[tuple[str, str]] = field(default_factory=list)
    """Role and text, without tool results."""
    tools: list[str] = field(default_factory=list)
    calls: list[tuple[str, Any]] = field(default_factory=list)
    """Name and arguments."""
    results: list[str] = field(default_factory=list)
    pictures: list[str] = field(default_factory=list)
    audio: list[tuple[str, str]] = field(default_factory=list)
    """Format and bytes."""
    voice: str | None = None
    """In which the answer is to be spoken."""
    thoughts: list[tuple[str, str]] = field(default_factory=list)
    """Earlier reasoning and its signature, where there is one."""
    schema: Any = None
    stops: list[str] = field(default_factory=list)
    limit: int | None = None
    thinks: bool = False
    is_forced: bool = False
    is_serial: bool = False


@dataclass
class Seen:
    """What a client got."""

    text: str = ""
    speech: str = ""
    thought: str = ""
    calls: list[tuple[str, str]] = field(default_factory=list)
    """Name and arguments, as the client reads them: JSON."""
    call_ids: set[str] = field(default_factory=set)
    ended: str = ""
    """stop, length, calls or refusal."""
    counts: Counts | None = None
    model: str = ""
    created: int | None = None
    """None where the client's API has no time."""
    turn: Any = None
    """The answer as the client sends it back with the next question."""
    warning: str = ""
    request_id: str = ""
