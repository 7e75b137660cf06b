"""Audio as parts of requests and answers hold it: base64, whose pieces are joined, checked and named here.

Pure. Wire facts: OpenAI API reference, "Create chat completion" (`input_audio`, `audio`: `pcm16` is 24 kHz, 16 bits,
mono); Gemini API, "Audio understanding", "Speech generation" (`audio/L16;codec=pcm;rate=24000`, the same samples).
"""

import base64
import binascii
import re
from collections.abc import Sequence
from typing import Final

from router.errors import RequestInvalid
from router.protocols.canonical import InputAudio

SPOKEN_FORMAT: Final = "pcm16"
"""What every provider of audio speaks, in chats and elsewhere."""
_PCM16: Final = re.compile(r"audio/(?:l16|pcm)(?:;\s*(?:codec=pcm|rate=24000|channels=1))*", re.I)


def joined(pieces: Sequence[str]) -> str:
    """The pieces of a stream as one; each may have a padding of its own. What is no base64 stays as it is."""
    if not any(piece.endswith("=") for piece in pieces[:-1]):
        return "".join(pieces)
    try:
        return base64.b64encode(b"".join(base64.b64decode(piece, validate=True) for piece in pieces)).decode()
    except (binascii.Error, ValueError):
        return "".join(pieces)


def is_pcm16(media_type: str) -> bool:
    """Whether this is what OpenAI calls so."""
    return _PCM16.fullmatch(media_type.strip()) is not None


def media_type(heard: InputAudio, place: str) -> str:
    """Of the audio of a part at this place. Raises RequestInvalid for what is no base64."""
    try:
        is_something = bool(base64.b64decode(heard.data, validate=True))
    except (binascii.Error, ValueError):
        is_something = False
    if not is_something:
        raise RequestInvalid(f"`{place}.input_audio.data`: must be base64.", f"{place}.input_audio.data")
    if heard.format == SPOKEN_FORMAT:
        return "audio/L16;rate=24000"
    return f"audio/{heard.format.lower()}"
