"""Whether a follow-up is ever served from another conversation, replayed through the real cache.

Every turn of every conversation is asked twice: with its own earlier turns, as a client sends it, and alone, as
one that sends no history would. Owns the replay; `eval/cacheability.py` reads the conversations.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from cache.decision import Prior
from cache.errors import TextTooLong
from cache.lookup import Cache, Fresh
from cache.query import CachePolicy
from eval.cache import open_cache, query_of
from eval.cacheability import Conversation, read_conversations
from eval.streams import Vectors


class ConversationFigures(Struct, frozen=True, kw_only=True):
    conversations: int
    turns: int
    """Asked with their own earlier turns; those that two files share word for word, with all before, count once."""
    follow_ups: int
    semantic: int
    """Follow-ups answered semantically."""
    crossed: int
    """Follow-ups that got the answer of another history, in any way."""
    bare: int
    """Follow-ups that need their conversation and were asked alone."""
    bare_crossed: int
    """Of those, the ones that were served anything."""
    examples: tuple[tuple[str, str], ...]
    """(asked alone, what it was served) of those."""


def read_folder(folder: Path) -> list[Conversation]:
    """The conversations of a folder of TREC CAsT topics; `.tsv` files say what utterances mean by themselves, in
    lines of topic, turn and text: `31_2<TAB>Is throat cancer treatable?`."""
    meant: dict[tuple[str, str], str] = {}
    for path in sorted(folder.glob("*.tsv")):
        for line in path.read_text(encoding="utf-8").splitlines():
            name, _, text = line.partition("\t")
            topic, _, turn = name.partition("_")
            meant[topic, turn] = text.strip()
    return [each for path in sorted(folder.glob("*.json")) for each in read_conversations(path, meant)]


def replay_conversations(
    conversations: Sequence[Conversation],
    vectors: Vectors,
    prior: Prior,
    policy: CachePolicy,
    encode: Callable[[str], NDArray[np.float32]] | None = None,
    on_progress: Callable[[int], None] = lambda _: None,
) -> ConversationFigures:
    """First all turns with their history, then the bare follow-ups against all of that. Progress counts turns."""
    return asyncio.run(_replay(conversations, vectors, prior, policy, encode, on_progress))


async def _replay(
    conversations: Sequence[Conversation],
    vectors: Vectors,
    prior: Prior,
    policy: CachePolicy,
    encode: Callable[[str], NDArray[np.float32]] | None,
    on_progress: Callable[[int], None],
) -> ConversationFigures:
    cache = open_cache(dict(vectors), prior, encode=encode)
    seen: set[str] = set()
    follow_ups = semantic = crossed = 0
    bare: dict[str, None] = {}
    for conversation in conversations:
        history: list[dict[str, Any]] = []
        for number, turn in enumerate(conversation.turns):
            on_progress(1)
            messages = [*history, {"role": "user", "content": turn.raw}]
            label = msgspec.json.encode(messages).decode()
            if label not in seen:
                seen.add(label)
                disposition, served = await _ask(cache, {"messages": messages}, turn.raw, label, policy)
                if number:
                    follow_ups += 1
                    semantic += disposition == "semantic"
                    crossed += served is not None and served != label
            if number and turn.stands_alone is False:
                bare[turn.raw] = None
            history = messages
            if turn.answer is not None:
                history = [*messages, {"role": "assistant", "content": turn.answer}]
    examples = []
    for text in bare:
        _, served = await _ask(cache, {}, text, None, policy)
        if served is not None:
            examples.append((text, _last_turn(served)))
    cache.close()
    return ConversationFigures(
        conversations=len(conversations),
        turns=len(seen),
        follow_ups=follow_ups,
        semantic=semantic,
        crossed=crossed,
        bare=len(bare),
        bare_crossed=len(examples),
        examples=tuple(examples),
    )


async def _ask(
    cache: Cache[Any], mapping: Mapping[str, Any], text: str, label: str | None, policy: CachePolicy
) -> tuple[str, str | None]:
    """(disposition, what was served); a miss is stored under its label, if it has one."""
    try:
        found = await cache.lookup(query_of(text, policy, "", mapping))
    except TextTooLong:
        return "miss", None
    if found.payload is not None:
        return found.disposition, found.payload.decode()
    if found.ticket is not None:
        if label is not None:
            cache.store(found.ticket, Fresh("model", 2, False, 20, label, label.encode()))
        if found.flight is not None:
            cache.land(found.ticket, found.flight)
        await cache.settle()
    return found.disposition, None


def _last_turn(label: str) -> str:
    content: str = msgspec.json.decode(label)[-1]["content"]
    return content
