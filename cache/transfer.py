"""Entries on their way out of a cache and into one: JSON Lines, one entry a line after a line that says the form.

Vectors stay behind and are made anew, so that the two caches may have different encoders; what audits have shown of a
group stays behind as well. An entry keeps its id, scope, age and expiry: who was not served it before is not served
it afterwards.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct, structs

from cache.entries import Entry, EntryStore, StoredGroup
from cache.errors import CacheError, TextTooLong
from cache.groups import LONGEST_FOUNDER, Group
from cache.index import Vector
from cache.lookup import Cache
from cache.query import Acceptance, CachePolicy, Directives, Query
from cache.scope import FORMAT_VERSION, Split, exact_key, normalised

FORMAT: Final = "thriftgate-cache"
VERSION: Final = 1

Taken = Literal["imported", "present", "expired", "unknown-route", "purged"]
"""What became of an entry: `present` is stored already, or a newer one answers its question; `purged` came in while
something was purged."""


class TransferInvalid(CacheError):
    """What is to be imported cannot be, and why."""


class Head(Struct, frozen=True):
    """The first line."""

    format: str
    version: int
    scope_version: int
    """How scopes were computed: entries of another way would never be found."""


class Prompt(Struct, frozen=True, forbid_unknown_fields=True):
    """A question that leads to the entry."""

    text: str
    is_quarantined: bool = False


class Kept(Struct, frozen=True, forbid_unknown_fields=True):
    """One entry. Times in microseconds since the epoch; bytes are base64 in the file."""

    id: str
    scope: bytes
    team: str
    env: str
    route: str
    shared: str | None
    model: str
    tier: int
    is_rationed: bool
    output_tokens: int
    created_us: int
    expires_us: int
    knowledge_version: str
    tags: tuple[str, ...]
    is_curated: bool
    source: str
    writer: str
    askers: tuple[str, ...]
    worth: int
    payload: bytes
    answer: str | None
    """The start of the answer that founded its group: equal for all of the group."""
    anchors: list[Prompt]

    def to_entry(self, group_id: int) -> Entry:
        fields = {name: getattr(self, name) for name in Entry.__struct_fields__ if name != "group_id"}
        return Entry(**fields, group_id=group_id)


HEAD: Final = Head(FORMAT, VERSION, FORMAT_VERSION)


def lines(store: EntryStore) -> Iterator[bytes]:
    """The whole cache. As `EntryStore.export`: flush before, may be iterated in another thread."""
    yield msgspec.json.encode(HEAD) + b"\n"
    for found in store.export():
        anchors = [Prompt(each["text"], each["is_quarantined"]) for each in found["anchors"]]
        fields = {name: found[name] for name in Kept.__struct_fields__ if name != "anchors"}
        yield msgspec.json.encode(Kept(**fields, anchors=anchors)) + b"\n"


def kept_from(written: Iterable[bytes]) -> Iterator[Kept]:
    """The entries of an export, in order. Raises TransferInvalid, which names the line."""
    head: Head | None = None
    for number, line in enumerate(written, 1):
        if not line.strip():
            continue
        if head is None:
            head = _head(line, number)
            continue
        try:
            kept = msgspec.json.decode(line, type=Kept)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            raise TransferInvalid(f"Line {number} is no entry of an export: {error}.") from None
        if not kept.anchors or not kept.id or len(kept.scope) != 32:
            raise TransferInvalid(f"Line {number} is no entry of an export: it lacks its id, its scope or a question.")
        yield kept
    if head is None:
        raise TransferInvalid("There is nothing to import: not even the first line, which says the form.")


def _head(line: bytes, number: int) -> Head:
    try:
        head = msgspec.json.decode(line, type=Head)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        head = Head("", 0, 0)
    if head.format != FORMAT:
        raise TransferInvalid(f"Line {number} does not say that this is an export of a cache (`format`: {FORMAT}).")
    if head.version != VERSION:
        raise TransferInvalid(
            f"This export is of form {head.version}, this program reads form {VERSION}. Export with the same release."
        )
    if head.scope_version != FORMAT_VERSION:
        raise TransferInvalid(
            f"This export's scopes are of form {head.scope_version}, this program's of form {FORMAT_VERSION}: none of "
            "its entries would ever be found. Fill the cache anew."
        )
    return head


async def restore(cache: Cache[Any], kept: Kept, policies: Mapping[str, CachePolicy]) -> Taken:
    """Stores one exported entry with all its questions under its own id, and links its answer with what the cache
    has. `policies` are the routes' present ones: a question that they do not serve semantically gets no vector."""
    store, purges = cache._store, cache._purges
    policy = policies.get(kept.route)
    if policy is None:
        return "unknown-route"
    if kept.expires_us <= cache._now_us():
        return "expired"
    if _is_present(store, kept):
        return "present"
    answer = (kept.answer or "")[:LONGEST_FOUNDER]
    texts = [normalised(prompt.text) for prompt in kept.anchors]
    vectors = [await _vector(cache, kept, text, policy) for text in texts]
    meaning = await cache._answers.vector(answer) if cache._answers is not None and answer else None
    # From here on nothing waits, so that no purge comes between.
    if cache._purges != purges:
        return "purged"
    if _is_present(store, kept):
        return "present"
    entry = kept.to_entry(await _group(cache, kept, answer, meaning))
    first_key = exact_key(kept.scope, texts[0])
    older = store.by_key(first_key)
    if entry.is_curated:
        cache._curated[entry.scope] = cache._curated.get(entry.scope, 0) + 1
    first = cache._put(entry, first_key, texts[0], kept.payload, vectors[0], replaced=older[1] if older else None)
    if kept.anchors[0].is_quarantined:
        store.quarantine(first.id, True)
    fingerprint = cache._encoder.fingerprint if cache._encoder is not None else None
    for prompt, text, vector in list(zip(kept.anchors, texts, vectors, strict=True))[1:]:
        key = exact_key(kept.scope, text)
        if store.by_key(key) is not None:
            continue
        anchor = store.add_anchor(entry.id, key, text, fingerprint, vector)
        if anchor is None:  # there was no room for the entry
            break
        if cache._neighbourhood is not None:
            cache._neighbourhood.add(entry.scope, anchor.id, entry.group_id, vector)
        if prompt.is_quarantined:
            store.quarantine(anchor.id, True)
    return "imported"


def _is_present(store: EntryStore, kept: Kept) -> bool:
    same = store.by_key(exact_key(kept.scope, kept.anchors[0].text))
    return store.entry(kept.id) is not None or (same is not None and same[1].created_us >= kept.created_us)


async def _vector(cache: Cache[Any], kept: Kept, text: str, policy: CachePolicy) -> Vector | None:
    if cache._encoder is None:
        return None
    query = Query(kept.team, kept.env, kept.route, {}, None, Acceptance("", 0), policy, Directives())
    if not kept.is_curated and cache._screen(query, Split(text, [], False)).level != "semantic":
        return None
    try:
        return await cache._encoder.encode(text)
    except TextTooLong:
        return None


async def _group(cache: Cache[Any], kept: Kept, answer: str, vector: Vector | None) -> int:
    """The id of the group that says the same, or of a new one."""
    groups = cache._neighbourhood.groups if cache._neighbourhood is not None else None
    identity = cache._comparison.identity(answer) if answer else kept.id.encode()
    if groups is not None:
        same = groups.of_identity(kept.scope, identity)
        if same is None and vector is not None and cache._answers is not None:
            same = await cache._answers.group_of(kept.scope, answer, vector)
        if same is not None:
            return same.id
    group = Group(cache._store.next_group_id(), kept.scope, identity, answer)
    fingerprint = cache._encoder.fingerprint if cache._encoder is not None else None
    stored = StoredGroup(group.id, group.scope, identity, answer, fingerprint, msgspec.json.encode(group.evidence))
    cache._store.put_group(stored, vector)
    if groups is not None:
        groups.add(group, vector)
    return group.id


def with_answer(kept: Kept, answer: str) -> Kept:
    """The entry with its own answer, where the export has none of its group."""
    return kept if kept.answer else structs.replace(kept, answer=answer)
