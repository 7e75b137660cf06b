"""Entries on their way out of a cache and into one: JSON Lines, one entry a line after a line that says the form.

Vectors stay behind and are made anew, so that the two caches may have different encoders; what audits have shown of a
group stays behind as well. An entry keeps its id, scope, age and expiry: who was not served it before is not served
it afterwards.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, Literal, Protocol

import msgspec
from msgspec import Struct, structs

from cache.entries import TEXT_AT_MOST, Entry, EntryStore, Facts
from cache.errors import CacheError
from cache.query import CachePolicy
from cache.scope import FORMAT_VERSION

FORMAT: Final = "thriftgate-cache"
VERSION: Final = 1

_ID_AT_MOST: Final = 200
_NUMBERS: Final = ("tier", "output_tokens", "created_us", "expires_us", "worth")
_NUMBERS_BELOW: Final = 2**63
"""What the file can hold."""

Taken = Literal["imported", "present", "expired", "unknown-route", "other-version", "other-group", "purged"]
"""What became of an entry: `present` is stored already, or a newer one answers its question; `expired` would not be
served any more as its route is now; `other-version` is based on another knowledge version than its route is now, so
that nobody would find it; so with `other-group`, whose route shares its answers with other teams now, or with none, or
did not; `purged` came in while something was purged."""


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


class Kept(Facts, frozen=True, forbid_unknown_fields=True):
    """One entry with its payload and its questions. Bytes are base64 in the file."""

    payload: bytes
    answer: str | None
    """The start of the answer that founded its group: equal for all of the group."""
    anchors: list[Prompt]

    def to_entry(self, group_id: int) -> Entry:
        facts = {name: getattr(self, name) for name in Facts.__struct_fields__}
        return Entry(**facts, group_id=group_id)


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
        if len(kept.id) > _ID_AT_MOST or any(not 0 <= getattr(kept, name) < _NUMBERS_BELOW for name in _NUMBERS):
            raise TransferInvalid(f"Line {number} is no entry of an export: its id or one of its numbers is too large.")
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


class Restores(Protocol):
    """A cache that takes entries."""

    async def restore(self, kept: Kept, policy: CachePolicy) -> Taken:
        """Under its own id, with all its questions."""
        ...


async def restore(cache: Restores, kept: Kept, policies: Mapping[str, CachePolicy]) -> Taken:
    """Stores one exported entry. `policies` are the routes' present ones: a question that they do not serve
    semantically gets no vector."""
    policy = policies.get(kept.route)
    return await cache.restore(kept, policy) if policy is not None else "unknown-route"


def with_answer(kept: Kept, answer: str) -> Kept:
    """The entry with its own whole answer, where the export has none of its group, or only the start of a long one:
    others may begin alike."""
    is_whole = kept.answer and len(kept.answer) < TEXT_AT_MOST
    return kept if is_whole else structs.replace(kept, answer=answer)
