"""Questions whose answers can be checked: each has a token, and only one text of a server is the answer about it.

Owns the wording of questions and answers, and the verdict on a text. Pure; refuses to know servers, clients, clocks.

An answer is `[TOKEN SERVER SERIAL LENGTH CHECKSUM] words...`. The words follow from the token, so that an answer can
be written anew from its heading: what differs from that in any way is wrong, and the heading tells in which way.
"""

import hashlib
import re
import zlib
from dataclasses import dataclass
from typing import Final, Literal

Flaw = Literal["foreign", "truncated", "duplicated", "garbled"]
"""Another one's answer; less than the whole; more than the whole; anything else."""

_HEADING: Final = re.compile(r"\[([0-9a-f]{16}) (\w+) (\d+) (\d+) ([0-9a-f]{8})\] ")
_WORDS: Final = (
    "arrived at the depot|was weighed|left the harbour|waits for customs|was sorted|goes by rail|is on the van"
    "|was signed for|came back|needs a stamp|lies on shelf nine|was opened, é|is dry|took the ferry|passed the scan"
    "|has a dent 🙂"
).split("|")


@dataclass(frozen=True, slots=True)
class Stamp:
    """What the heading of a right answer says: who wrote it, and the number that no other answer has."""

    server: str
    serial: int


def token_of(text: str) -> str:
    """The token of whatever is asked: 16 hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def question(number: int) -> str:
    """One of 2^64 questions that nobody asks twice by chance."""
    return f"What is the note of parcel {number:016x}?"


def answer(token: str, stamp: Stamp) -> str:
    """The one right answer of this server under this serial number."""
    words = _words(token)
    return f"[{token} {stamp.server} {stamp.serial} {len(words)} {_checksum(token, stamp, words)}] {words}"


def stamp_of(text: str) -> Stamp | None:
    """What the heading says; None where there is no whole heading."""
    found = _HEADING.match(text)
    return Stamp(found[2], int(found[3])) if found else None


def flaw_of(token: str, text: str) -> Flaw | None:
    """What is wrong with this text as the answer about this token; None if nothing is."""
    found = _HEADING.match(text)
    if found is None:
        return "truncated" if _is_begun(token, text) else "garbled"
    if found[1] != token:
        return "foreign"
    whole = answer(token, Stamp(found[2], int(found[3])))
    if text == whole:
        return None
    if whole.startswith(text):
        return "truncated"
    return "duplicated" if len(text) > len(whole) else "garbled"


def is_beginning(token: str, text: str) -> bool:
    """Whether this text is how a right answer about the token begins: all that a stream may have sent when it
    breaks off."""
    found = _HEADING.match(text)
    if found is None:
        return _is_begun(token, text)
    return found[1] == token and answer(token, Stamp(found[2], int(found[3]))).startswith(text)


def _is_begun(token: str, text: str) -> bool:
    """Whether a text without a whole heading may become one about this token."""
    return f"[{token} ".startswith(text) or (text.startswith(f"[{token} ") and len(text) < len(token) + 60)


def _words(token: str) -> str:
    number = int(token, 16)
    count = 4 + number % 23
    return "; ".join(_WORDS[(number >> (at * 2 % 48)) % len(_WORDS)] + f" {at}" for at in range(count))


def _checksum(token: str, stamp: Stamp, words: str) -> str:
    return f"{zlib.crc32(f'{token} {stamp.server} {stamp.serial} {words}'.encode()):08x}"
