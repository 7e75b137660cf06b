"""Which answers say the same: every fresh answer joins the group of a stored one, or founds its own.

Compares answers with answers, through an index of their own, so that two questions far apart with one answer are
linked. Works after the client has been served; nobody waits for it.
"""

import asyncio
import hashlib
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from functools import lru_cache
from typing import Final, NamedTuple, Protocol

import numpy as np
from msgspec import Struct

from cache import sameness
from cache.answer_traits import normal_form
from cache.clarity import ALIKE_FROM, Clarity
from cache.errors import TextTooLong
from cache.fragments import COMPARED, Mixture, take_turns
from cache.groups import LONGEST_FOUNDER, Group, Wording
from cache.index import Vector
from cache.neighbourhood import Neighbourhood
from cache.sameness import Verdict

CANDIDATES: Final = 24
"""So many of the nearest wordings are looked at,"""
GROUPS_AT_MOST: Final = 6
"""and the groups of the nearest of them are compared."""
COMPARED_AT_MOST: Final = 16_000
"""Characters of an answer. A comparison takes time by their number, and requests wait for it."""
WORDINGS_COMPARED: Final = 4
"""So many wordings of a group, the nearest and those that came first."""
BOTH_AT_LEAST: Final = 0.95
"""How sure questions and answers must be together to link an answer with the group that was expected."""
ANSWERS_AT_LEAST: Final = 0.6
"""However sure the questions are, answers that are less likely the same than this are not linked,"""
QUESTIONS_AT_MOST: Final = 0.95
"""and the questions say no more than this: a new answer may also mean that the right one has changed."""
ELSEWHERE_BELOW: Final = 0.2
"""An answer that plainly says what another group says, and is less likely than this to say what any wording of a group
says,"""
TOGETHER_BELOW: Final = 0.05
"""and less likely than this to say what all wordings of any strain say, differs from that group. Where answers to one
question are in two groups, hardly one in a thousand is called so (`python -m eval.audit_verdicts`)."""
UNLIKE_BELOW: Final = 0.01
"""Of a group of one wording the other one must be as unlike as this: an odd wording may have been linked with none."""
MERGE_AT_LEAST: Final = 0.95
"""How alike the wordings of two groups must be that a third answer has linked."""
MERGE_BY: Final = 3
"""So many wordings of each are compared for that."""


_COMPARED_LATELY: Final = 128
"""An answer is linked, and then labels what would have been served, by the same comparisons."""
_IDENTIFIED_LATELY: Final = 64
"""An answer is stored under its identity, and compared by it when it is learnt from."""


class Encodes(Protocol):
    """What turns a text into a vector of unit norm."""

    dim: int
    fingerprint: str

    async def encode(self, text: str, *, here: bool = False) -> Vector:
        """With `here`, on the caller's own thread if the text is short. Raises TextTooLong."""
        ...


class Comparison(Protocol):
    """What says whether two answers say the same."""

    def identity(self, answer: str) -> bytes:
        """Equal for answers that are equal but for case, space and punctuation."""
        ...

    link_at: float
    """The sameness from which on two answers are linked, whatever was asked."""
    same_at: float
    """The sameness from which on an audit calls them the same."""
    near_at: float
    """The cosine below which two answers are compared only if the questions speak for it."""

    def sameness(self, one: str, two: str, cosine: float) -> float:
        """The probability that they say the same."""
        ...

    def verdict(self, one: str, two: str, cosine: float) -> Verdict:
        """What an audit says of them."""
        ...


class WordedComparison:
    """By `cache.sameness`: numbers, names, polarity, words and the cosine of the two."""

    near_at = 0.5
    """Of 2,000 pairs of wordings of one answer fewer than one in 200 were less near."""

    def __init__(self) -> None:
        weights = sameness.shipped_weights()
        self.link_at, self.same_at = weights.link, weights.audit_same
        self.identity = lru_cache(maxsize=_IDENTIFIED_LATELY)(_worded_identity)
        self.sameness = lru_cache(maxsize=_COMPARED_LATELY)(_worded_sameness)

    def verdict(self, one: str, two: str, cosine: float) -> Verdict:
        p = self.sameness(one, two, cosine)  # known already, if the answer was just linked
        return sameness.audit_verdict(sameness.answer_traits(one), sameness.answer_traits(two), p)


def _worded_identity(answer: str) -> bytes:
    return hashlib.sha256(normal_form(answer).encode()).digest()[:16]


def _worded_sameness(one: str, two: str, cosine: float) -> float:
    return sameness.sameness(sameness.answer_traits(one), sameness.answer_traits(two), cosine)


class EqualComparison:
    """Answers say the same if and only if they are equal: for evaluations in which the answer is a label."""

    def identity(self, answer: str) -> bytes:
        return hashlib.sha256(answer.encode()).digest()[:16]

    link_at = same_at = 0.5
    near_at = -1.0

    def sameness(self, one: str, two: str, cosine: float) -> float:
        return float(one == two)

    def verdict(self, one: str, two: str, cosine: float) -> Verdict:
        return "same" if one == two else "different"


class Likely(NamedTuple):
    """A group, the strain of its wordings that is most like an answer, and the probability that it says the same."""

    group: Group
    strain: int
    same: float


class Alike(Struct, frozen=True):
    """A group that says what an answer says."""

    group: Group
    is_wording: bool
    """Whether the words alone say so: then the answer may be compared with as well. Else a chain of small differences
    would join what its ends say differently."""
    strain: int
    """Which of the group's wordings it is like."""


class Answers:
    """Links answers with groups. Call from one thread."""

    def __init__(self, neighbourhood: Neighbourhood, encoder: Encodes, comparison: Comparison) -> None:
        self._neighbourhood = neighbourhood
        self._encoder = encoder
        self.comparison = comparison
        self.turn: Callable[[], Awaitable[None]] = _one_round
        """Awaited before each comparison, which is a good part of a millisecond."""
        self._latest: tuple[str, Vector] | None = None
        """An answer that is learnt from is linked, and then labels what would have been served, by one vector."""

    def begin(self, answer: str) -> None:
        """Lets the encoder begin with an answer whose vector will soon be asked for."""
        for chunk in sameness.chunks(answer[:LONGEST_FOUNDER]):
            self._encoder.encode(chunk).close()  # the pass goes on, and is shared with whoever asks for it

    async def vector(self, answer: str) -> Vector:
        """A vector of the whole answer: the mean of its parts that fit the encoder, at unit norm. A function of
        the text alone."""
        if self._latest is not None and self._latest[0] == answer:
            return self._latest[1]
        total: Vector = np.zeros(self._encoder.dim, np.float32)
        for chunk in sameness.chunks(answer[:LONGEST_FOUNDER]):
            try:
                total += await self._encoder.encode(chunk)
            except TextTooLong:  # one sentence longer than the window, such as a table: its words count elsewhere
                continue
        norm = float(np.linalg.norm(total))
        if norm:
            total /= norm
        total.flags.writeable = False  # it is handed out again
        self._latest = answer, total
        return total

    async def groups_of(
        self, scope: bytes, answer: str, vector: Vector, expected: int | None = None, p: float = 0.0
    ) -> list[Alike]:
        """The groups that say the same, the likeliest first; none if none is likely enough. `expected` is the group
        that the question's neighbourhood speaks for with probability `p`: two independent witnesses, the questions and
        the answers, may together be surer than either alone."""
        likely = await self._likely(scope, answer, vector, expected)
        clarity = self._clarity(scope)
        for each in likely:
            clarity.add(each.same)
        link_at = clarity.at_least(self.comparison.link_at)
        if link_at > self.comparison.link_at:
            expected = None
        found = []
        for group, strain, same in likely:
            both = sameness.log_odds(same) + sameness.log_odds(min(p, QUESTIONS_AT_MOST))
            is_expected = group.id == expected and same >= ANSWERS_AT_LEAST and both >= sameness.log_odds(BOTH_AT_LEAST)
            if same >= link_at or is_expected:
                found.append(Alike(group, is_wording=same >= link_at, strain=strain))
        # Some may have gone meanwhile.
        return [each for each in found if self._neighbourhood.groups.get(each.group.id) is each.group]

    async def _likely(self, scope: bytes, answer: str, vector: Vector, expected: int | None) -> list[Likely]:
        """The groups with the nearest answers and the expected one, the likeliest first."""
        groups = self._neighbourhood.groups
        nearest: dict[tuple[int, int], tuple[Group, Wording]] = {}
        for group, wording in groups.near(scope, vector, CANDIDATES):
            nearest.setdefault((group.id, wording.strain), (group, wording))
        compared = [
            (group, wording)
            for group, wording in list(nearest.values())[:GROUPS_AT_MOST]
            if group.id == expected or float(wording.vector @ vector) >= self.comparison.near_at
        ]
        if expected is not None and all(group.id != expected for group, _ in compared):
            compared += [(groups[expected], wording) for wording in groups.wordings(expected)[:1]]
        found: dict[int, Likely] = {}
        for group, wording in compared:
            await self.turn()
            same = await self._sameness(answer, vector, wording, group)
            if group.id not in found or found[group.id].same < same:
                found[group.id] = Likely(group, wording.strain, same)
        return sorted(found.values(), key=lambda each: -each.same)

    async def group_of(self, scope: bytes, answer: str, vector: Vector) -> Group | None:
        """The likeliest group that says the same."""
        alike = await self.groups_of(scope, answer, vector)
        return alike[0].group if alike else None

    async def _sameness(self, answer: str, vector: Vector, first: Wording, group: Group) -> float:
        """The probability that an answer says what the wordings of a group say, of the first one's strain. Where the
        first is improbable, it speaks for all."""
        known = [self._compare(answer, vector, first)]
        if known[0] >= ALIKE_FROM:
            others = _of_strain(self._neighbourhood.groups.wordings(group.id), first.strain)
            rest = [other for other in others if other.text != first.text][: WORDINGS_COMPARED - 1]
            known += await self._each(answer, vector, rest)
        return sameness.pooled(known)

    async def _each(self, answer: str, vector: Vector, wordings: Sequence[Wording]) -> list[float]:
        found = []
        for wording in wordings:
            await self.turn()
            found.append(self._compare(answer, vector, wording))
        return found

    def _compare(self, answer: str, vector: Vector, wording: Wording) -> float:
        return self.comparison.sameness(answer, wording.text, float(wording.vector @ vector))

    async def verdict(
        self, group: Group, answer: str, vector: Vector, served: str | None = None, own: int | None = None
    ) -> Verdict:
        """What an audit says of a group of which `served` was served, or anything, and a fresh answer, which may have
        founded the group `own`."""
        wordings = self._neighbourhood.groups.wordings(group.id)
        verdict = await self._verdict_on_group(group, answer, vector)
        by_served: Verdict | None = None
        if served is not None and [wording.text for wording in wordings] != [served]:
            wording = next((each for each in wordings if each.text == served), None)
            if wording is None:
                wording = Wording(served, await self.vector(served))
                wordings = [*wordings, wording]
            await self.turn()
            by_served = self.comparison.verdict(answer, served, float(wording.vector @ vector))
            verdict = sameness.served_verdict(verdict, by_served)
        if verdict == "same":
            self._said_again(group, answer, wordings)
        if verdict != "unclear" or by_served == "same":
            return verdict
        return "different" if await self._is_else(group, wordings, answer, vector, own) else "unclear"

    async def _is_else(
        self, group: Group, wordings: Sequence[Wording], answer: str, vector: Vector, own: int | None
    ) -> bool:
        """Whether an answer whose words alone do not tell says something else after all: because what says the same
        comes in the same words in this scope, or because it plainly says what another group says."""
        clarity = self._clarity(group.scope)
        known = await self._each(answer, vector, wordings)
        if clarity.is_verbatim:
            if max(known, default=sameness.UNSURE) >= self.comparison.same_at:
                clarity.add_same(is_repeated=False)
            elif sameness.UNSURE not in known:
                return True
        return await self._says_another(group, wordings, known, answer, vector, own)

    def _clarity(self, scope: bytes) -> Clarity:
        return self._neighbourhood.scopes.of(scope).clarity

    def repeated(self, group: Group) -> None:
        """An answer to another question has come in the very words of a stored one of the group."""
        self._clarity(group.scope).add_same(is_repeated=True)

    def _said_again(self, group: Group, answer: str, wordings: Iterable[Wording]) -> None:
        identity = self.comparison.identity(answer)
        is_repeated = any(self.comparison.identity(wording.text) == identity for wording in wordings)
        self._clarity(group.scope).add_same(is_repeated=is_repeated)

    async def _says_another(
        self,
        group: Group,
        wordings: Sequence[Wording],
        known: Sequence[float],
        answer: str,
        vector: Vector,
        own: int | None,
    ) -> bool:
        """Whether an answer plainly says what another group says, one that it has not founded itself, and that says
        something else: because other questions lead there, or by its words, where it is hardly like any wording of this
        group. `known` is how likely it says what each of them says."""
        link_at = self._clarity(group.scope).at_least(self.comparison.link_at)
        likely = await self._likely(group.scope, answer, vector, None)
        best = next((each for each in likely if each.group.id not in (group.id, own)), None)
        if best is None or best.same < link_at:
            return False
        other = best.group
        mixture = self.mixture(group, other)
        if mixture is not None and mixture.is_apart:
            return max(known, default=0.0) < link_at  # else both groups say it
        if (mixture is not None and mixture.may_be_mixed) or not _are_unlike(wordings, known):
            return False
        may_be_one = sameness.UNSURE if len(wordings) > 1 else UNLIKE_BELOW
        for wording in self._neighbourhood.groups.wordings(other.id)[:MERGE_BY]:
            if max(await self._each(wording.text, wording.vector, wordings), default=1.0) >= may_be_one:
                return False
        return True

    def mixture(self, one: Group, two: Group) -> Mixture | None:
        """How the questions of two groups lie; None if there are none of either."""
        asked = [self._neighbourhood.latest(each, COMPARED) for each in (one, two)]
        if not all(asked):
            return None
        came = [[anchor_id for anchor_id, _ in each] for each in asked]
        return Mixture(*(np.stack([vector for _, vector in each]) for each in asked), in_turns=take_turns(*came))

    async def verdict_in_full(self, answer: str, vector: Vector, served: str | None) -> Verdict:
        """What an audit says of a fresh answer and the one that was served, by their words alone."""
        if served is None or max(len(answer), len(served)) > COMPARED_AT_MOST:
            return "unclear"
        cosine = float(await self.vector(served) @ vector)
        await self.turn()
        return self.comparison.verdict(answer, served, cosine)

    async def _verdict_on_group(self, group: Group, answer: str, vector: Vector) -> Verdict:
        """Of each strain by itself: `same` if one says the same, `different` if all differ."""
        wordings = self._neighbourhood.groups.wordings(group.id)
        found: set[Verdict] = set()
        for strain in dict.fromkeys(wording.strain for wording in wordings):
            found.add(await self._verdict_on(_of_strain(wordings, strain)[:WORDINGS_COMPARED], group, answer, vector))
            if "same" in found:
                return "same"
        return "different" if found == {"different"} else "unclear"

    async def _verdict_on(self, wordings: Sequence[Wording], group: Group, answer: str, vector: Vector) -> Verdict:
        known, verdicts = await self._each(answer, vector, wordings), list[Verdict]()
        same_at = self._clarity(group.scope).at_least(self.comparison.same_at)
        if known and sameness.pooled(known) < same_at and max(known) < sameness.UNSURE:  # else they change nothing
            verdicts = [self.comparison.verdict(answer, each.text, float(each.vector @ vector)) for each in wordings]
        return sameness.pooled_verdict(known, verdicts, same_at)

    async def may_merge(self, one: Group, two: Group) -> bool:
        """Whether two groups to both of which one answer was linked are one: unless their wordings speak against it."""
        known = [self._compare(mine.text, mine.vector, other) async for mine, other in self._pairs(one, two)]
        return bool(known) and sameness.pooled(known) >= MERGE_AT_LEAST

    async def may_be_fragments(self, one: Group, two: Group, alike_from: float) -> bool:
        """Whether the wordings of two groups are as alike as that, taken together, and none contradicts another."""
        known = []
        async for mine, other in self._pairs(one, two):
            cosine = float(other.vector @ mine.vector)
            if self.comparison.verdict(mine.text, other.text, cosine) == "different":
                return False
            known.append(self._compare(mine.text, mine.vector, other))
        return bool(known) and sameness.pooled(known) >= alike_from

    async def unlinked(self, group: Group, answer: str, vector: Vector) -> list[Group]:
        """Other groups with answers like one of this group, in a scope in which other words may say the same."""
        if self._clarity(group.scope).at_least(self.comparison.link_at) > self.comparison.link_at:
            return []
        likely = await self._likely(group.scope, answer, vector, None)
        return [each.group for each in likely if each.group.id != group.id]

    async def _pairs(self, one: Group, two: Group) -> AsyncIterator[tuple[Wording, Wording]]:
        mine, others = (self._neighbourhood.groups.wordings(group.id)[:MERGE_BY] for group in (one, two))
        for pair in itertools.product(mine, others):
            await self.turn()
            yield pair


def _are_unlike(wordings: Sequence[Wording], known: Sequence[float]) -> bool:
    """Whether an answer is hardly like any of these, nor like those of any strain together; `known` is how much."""
    strains = {wording.strain for wording in wordings}
    together = [[p for p, each in zip(known, wordings, strict=True) if each.strain == strain] for strain in strains]
    return max(known, default=1.0) < ELSEWHERE_BELOW and max(map(sameness.pooled, together)) < TOGETHER_BELOW


def _of_strain(wordings: Iterable[Wording], strain: int) -> list[Wording]:
    return [wording for wording in wordings if wording.strain == strain]


async def _one_round() -> None:
    await asyncio.sleep(0)
