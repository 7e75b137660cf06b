"""What comes into the cache from outside: answers that the operator vouches for, and entries of another cache.

Encodes and compares first; what then happens waits for nothing, so that no purge comes between.
"""

import asyncio
import uuid
from collections.abc import Callable, Collection, Sequence
from typing import Final

from msgspec import Struct, structs

from cache.answers import Answers, Comparison, Encodes
from cache.entries import Entry
from cache.errors import TextTooLong
from cache.holdings import Holdings
from cache.index import Vector
from cache.query import Query
from cache.scope import curated_scope, exact_key, normalised
from cache.transfer import Kept, Taken

_NEVER_US: Final = 2**62
_WRITTEN_AT_ONCE: Final = 64
_NO_GROUP: Final = 0
"""Before its answer is compared."""
_PURGED_S: Final = 0.01
"""After so long a purge under way is looked at again."""


class Warmed(Struct, frozen=True):
    """A curated question and answer, ready to be stored."""

    question: str
    answer: str
    payload: bytes
    output_tokens: int
    source: str
    tags: tuple[str, ...] = ()
    ttl_s: int | None = None


class Stored(Struct, frozen=True):
    """What became of curated answers that were to be stored."""

    written: int
    """So many are in the file,"""
    purged: int
    """and so many are not stored, or not any more, because a purge named them meanwhile."""


class Warming:
    """Stores what nobody has asked for yet. Call from one thread."""

    def __init__(
        self,
        holdings: Holdings,
        answers: Answers | None,
        encoder: Encodes | None,
        comparison: Comparison,
        now_us: Callable[[], int],
    ) -> None:
        self._holdings = holdings
        self._answers = answers
        self._encoder = encoder
        self._comparison = comparison
        self._now_us = now_us

    async def warm(self, query: Query, items: Sequence[Warmed], since_us: int | None = None) -> Stored:
        """Stores curated answers for a team, route and knowledge version. The answer to the same question is replaced,
        or made young again if it is the same, with all that leads to it and what audits have shown of that; one to
        which these words lead besides its own question stays for that. A question that is too long for the encoder is
        served exactly only. What a purge has named after `since_us`, which is now if nothing is given, is left out.
        Waits for the file."""
        store, since_us = self._holdings.store, self._now_us() if since_us is None else since_us
        entries: list[Entry] = []
        written: set[str] = set()
        for start in range(0, len(items), _WRITTEN_AT_ONCE):
            part = items[start : start + _WRITTEN_AT_ONCE]
            known = [entry.id for item in part if (entry := self._known(query, item)) is not None]
            in_file = await asyncio.to_thread(store.written, known)
            for item in part:
                if store.is_behind:
                    await asyncio.to_thread(store.flush)
                await self._purged()
                entries.append(await self._warm(query, item, in_file, since_us))
            written |= await asyncio.to_thread(store.written, [entry.id for entry in entries[start:]])
        is_named = self._holdings.named_since(since_us)
        left = [entry for entry in entries if not is_named(entry)]
        return Stored(sum(entry.id in written for entry in left), len(entries) - len(left))

    async def _warm(self, query: Query, item: Warmed, in_file: Collection[str], since_us: int) -> Entry:
        """The entry as it is stored, unless a purge has named it."""
        scope, now_us = curated_scope(query), self._now_us()
        text = normalised(item.question)
        expires_us = now_us + item.ttl_s * 1_000_000 if item.ttl_s is not None else _NEVER_US
        entry = Entry(
            id=uuid.uuid4().hex,
            scope=scope,
            team=query.team,
            env="",
            route=query.route,
            shared=query.policy.shared,
            model="curated",
            tier=0,
            is_rationed=False,
            output_tokens=item.output_tokens,
            group_id=_NO_GROUP,
            created_us=now_us,
            expires_us=expires_us,
            knowledge_version=query.policy.knowledge_version,
            tags=tuple(sorted({*query.policy.tags, *item.tags})),
            is_curated=True,
            source=item.source,
            writer="",
            askers=(),
            worth=1,
        )
        if self._holdings.named_since(since_us)(entry):
            return entry
        known = self._known(query, item)
        if known is not None and known.id in in_file:
            renewed = structs.replace(entry, id=known.id, group_id=known.group_id, askers=known.askers)
            self._holdings.store.replace(renewed)
            return renewed
        vector, meaning = await self._vector(text), await self._meaning(item.answer)
        alike = await self._alike(scope, item.answer, meaning)
        await self._purged()
        if self._holdings.named_since(since_us)(entry):  # while it was encoded
            return entry
        identity = self._comparison.identity(item.answer)
        entry = structs.replace(entry, group_id=self._own_group(scope, identity, item.answer, meaning, alike))
        key = exact_key(scope, text)
        self._holdings.put(entry, key, text, item.payload, vector, self._holdings.store.by_key(key))
        return entry

    def _known(self, query: Query, item: Warmed) -> Entry | None:
        """The entry that has this very answer to this question, and is found by its meaning if any can be."""
        holdings = self._holdings
        found = holdings.store.by_key(exact_key(curated_scope(query), item.question))
        if found is None or found[1].team != query.team or not holdings.store.is_own_question(found[0]):
            return None
        anchor, entry = found
        neighbourhood = holdings.neighbourhood
        if neighbourhood is not None and (
            holdings.group(entry.group_id) is None or neighbourhood.vector(entry.scope, anchor.id) is None
        ):
            return None
        return entry if holdings.answer(entry.id) == item.answer else None

    async def restore(self, kept: Kept, *, is_semantic: Callable[[str], bool]) -> Taken:
        """Stores one exported entry with all its questions under its own id, and links its answer with what the
        cache has. A question for which `is_semantic` says no gets no vector."""
        if self._holdings.store.is_behind:
            await asyncio.to_thread(self._holdings.store.flush)
        await self._purged()
        purges = self._holdings.purges
        if self._is_present(kept):
            return "present"
        answer = kept.answer or ""
        texts = [normalised(prompt.text) for prompt in kept.anchors]
        vectors = [await self._vector(text) if kept.is_curated or is_semantic(text) else None for text in texts]
        meaning = await self._meaning(answer) if answer else None
        alike = await self._alike(kept.scope, answer, meaning)
        if self._holdings.purges != purges:
            return "purged"
        if self._is_present(kept):
            return "present"
        identity = self._comparison.identity(answer) if answer else kept.id.encode()
        entry = kept.to_entry(self._own_group(kept.scope, identity, answer, meaning, alike))
        self._place(entry, kept, texts, vectors)
        return "imported"

    async def _purged(self) -> None:
        """Waits until all that is being purged has gone, so that nothing is taken for present that will not stay."""
        while self._holdings.leaving:  # noqa: ASYNC110  nobody says when that ends
            await asyncio.sleep(_PURGED_S)

    def _place(self, entry: Entry, kept: Kept, texts: Sequence[str], vectors: Sequence[Vector | None]) -> None:
        store = self._holdings.store
        for place, (prompt, text, vector) in enumerate(zip(kept.anchors, texts, vectors, strict=True)):
            key = exact_key(entry.scope, text)
            older = store.by_key(key)
            if place == 0:
                anchor = self._holdings.put(entry, key, text, kept.payload, vector, older)
            elif older is None:
                added = self._holdings.add_anchor(entry, key, text, vector)
                if added is None:  # there was no room for the entry
                    return
                anchor = added
            else:
                continue
            if prompt.is_quarantined:
                store.quarantine(anchor.id, True)

    def _is_present(self, kept: Kept) -> bool:
        store = self._holdings.store
        same = store.by_key(exact_key(kept.scope, kept.anchors[0].text))
        return store.entry(kept.id) is not None or (same is not None and same[1].created_us >= kept.created_us)

    async def _vector(self, text: str) -> Vector | None:
        if self._encoder is None:
            return None
        try:
            return await self._encoder.encode(text)
        except TextTooLong:
            return None

    async def _meaning(self, answer: str) -> Vector | None:
        return await self._answers.vector(answer) if self._answers is not None else None

    async def _alike(self, scope: bytes, answer: str, meaning: Vector | None) -> int | None:
        if self._answers is None or meaning is None:
            return None
        alike = await self._answers.group_of(scope, answer, meaning)
        return alike.id if alike is not None else None

    def _own_group(self, scope: bytes, identity: bytes, answer: str, meaning: Vector | None, alike: int | None) -> int:
        same = self._holdings.of_identity(scope, identity)
        if same is not None:
            return same.id
        if alike is not None and self._holdings.group(alike) is not None:
            return alike
        group_id = self._holdings.found(scope, identity, answer)
        self._holdings.describe(group_id, meaning)
        return group_id
