"""The decision: how likely is this stored answer right for this question? Pure, over the neighbourhood.

    neighbours (nearest first, each with its answer group) -> features -> p(correct) -> serve if p >= kappa

The candidate is the answer group that the neighbourhood speaks for most. Its probability is a logistic function
of a few features of the context: how near, how near the nearest other answer, how many agree, how dense. The
weights are fitted by `thriftgate eval cache --fit` and lie in `prior.json` beside this module; what a group's
own labels have shown is added to them. A mismatch of number, polarity, role or language blocks, whatever p, and so
does one thing in the place of another among the same words.
"""

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from importlib.resources import files
from itertools import compress, islice
from typing import Final

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from cache.index import Vector
from cache.signals import difference
from cache.traits import Traits, traits

NEIGHBOURS: Final = 32
"""How many anchors the decision looks at."""
FRIENDS: Final = 6
"""With so many anchors of the candidate group the question is compared word by word."""
FRIEND_REACH: Final = 0.15
"""An anchor that much farther than the group's nearest is no longer compared word by word."""
TWIN: Final = 0.9975
"""At least this probability has a stored question of the same words: over five public data sets 2 of 860 such pairs
have different answers, both of them debatable labels."""
BLOCKING: Final = frozenset({"number", "polarity", "role", "language", "exchange"})
"""Mismatches that no similarity makes up for."""
OPPOSING: Final = frozenset({"polarity", "role", "exchange"})
"""Of these, the ones that block a whole group if its nearest anchor shows them: all of it says the same, and the
question asks for the opposite, or for something else. (At p >= 0.97 ten of 21 opposites were wrong on our FAQ; on
public data none of 13.)"""
ANOTHER_THING: Final = 1.0
"""What it takes from the logit that something stands in the place of a thing that all wordings of the answer's question
name."""
AWAY: Final = 15.0
"""What it takes from the logit that a question leaves the nearest of several wordings in the direction away from the
others, times the cosine by which it does so more than usual. Another wording of the same question lies among them as a
rule; a question that resembles one of them, and needs another answer, lies beyond it."""
AWAY_USUALLY: Final = 0.12
"""What lies less far away is as much likelier right, at most by half of this."""
AWAY_AMONG: Final = 3
"""In a larger group it counts less, in inverse proportion to its anchors: there the neighbourhood tells more."""
_WIDE: Final = 12.0
_NARROW: Final = 30.0
"""How steeply a neighbour's vote falls with its distance."""
_STEP: Final = 0.01
"""Below this squared distance vectors of half precision say nothing of a direction."""

FEATURES: Final = (
    "best",  # cosine of the group's nearest anchor
    "second",  # and of its second one, 0 if there is none
    "other",  # cosine of the nearest anchor with another answer
    "mean_same",  # of the group's three nearest
    "mean_other",  # of the three nearest others
    "share_wide",  # of the votes of all neighbours, each weighted exp(_WIDE * (cosine - nearest)), the group's share
    "share_narrow",  # likewise with _NARROW
    "count_8",  # share of the nearest 8 that are of the group
    "count_32",
    "direction",  # cosine with the mean of all the group's anchors
    "density",  # mean cosine of the nearest 5
    "farthest",  # cosine of the last neighbour
    "rivalry",  # cosine of the nearest anchor with its own nearest neighbour of another answer
    "purity",  # share of the group among the nearest 9 of the nearest anchor (itself included)
    "log_group",  # log(1 + anchors of the group)
    "log_scope",  # log(1 + anchors of the scope), at most 6, over 6
    "words_shared",  # best Jaccard index of content words with an anchor of the group
    "words_covered",  # share of the question's content words that the group's anchors have
    "words_asked",  # content words of the question, at most 12, over 12
    "is_clean",  # share of compared anchors without any mismatch
    "clean_gap",  # how much farther than the nearest the nearest anchor without blocking mismatch is
    "entity",  # whether the serving anchor names another thing
)
"""In the order of the weights."""


_GREETING: Final = re.compile(
    r"^(?:\W*\b(?:(?:hi|hello|hey|greetings|good (?:morning|afternoon|evening|day))(?: there| all| everyone| folks"
    r"| team| support)?|excuse me|pardon me|sorry|(?:please help|help please)(?=:)"
    r"|(?:(?:a|my|one|quick|short|simple) )?question(?=:))(?!['\w])(?=\W*$|\s*[^\w\s]|\s+(?:i|i'm|i've|i'd|im|my|we|our"
    r"|you|your|the|a|an|is|are|was|were|am|do|does|did|can|could|will|would|should|may|has|have|how|what|what's|where"
    r"|where's|when|why|who|which|if|please|it|it's|there|this|that|tell|help|need|want|just|in|on|at|for|to)\b))+"
)
"""Before a name it may be a part of it."""
_FAREWELL: Final = re.compile(
    r"(?<!\bsay )(?<!\bsaid )(?<!\bsaying )(?<!\bword )(?<!\bmean )(?<!\bsend )(?<!\bwrite )(?<!\ba )(?<!\bthe )"
    r"(?<!\bof )(?<!\bto )(?<!\bfor )(?<!\bwith )(?<!\band )(?<!\bor )(?<!\bmy )(?<!\bsome )(?<!\bmany )"
    r"(?:\b(?:many thanks|thanks(?: a lot| so much| in advance)?|thank you(?: very much| so much)?|thx|tia|ty|cheers"
    r"|(?:kind |best )?regards|greetings|bye|ta)\b\W*)+$"
)
"""Not where it is what the question is about: how to say thanks."""
_PLEASE: Final = re.compile(r"\b(?:please|pls)\b")
_FOLDED_WORD: Final = re.compile(r"(?:(?<!\w)[-−](?=\d))?[^\W_]+(?:'[^\W_]+)*")
"""The sign of a number is a part of it."""


class Neighbour(Struct, frozen=True, gc=False):
    """An anchor near the question. `group` is equal for anchors whose answers say the same."""

    anchor_id: int
    text: str
    similarity: float
    group: int
    is_servable: bool = True
    """Whether this caller may be served its entry. One that is not still speaks for or against a group."""


def _read(neighbour: Neighbour) -> Traits:
    return traits(neighbour.text)


class GroupView(Struct, frozen=True):
    """What is known of a group apart from the neighbours themselves."""

    anchors: int = 1
    direction: Vector | None = None
    """Mean of its anchors' vectors, of any norm; None for a group of one anchor."""
    offset: float = 0.0
    """What its own labels add to the logit."""
    overruled: frozenset[str] = frozenset()
    """Kinds of mismatch that its own labels have shown not to matter."""
    is_doubted: bool = False
    """Its answer seems to have become wrong: nothing of it is served until a fresh one says the same."""


class Judgement(Struct, frozen=True):
    """`neighbour` is the anchor that would serve; None if nothing may serve, with the reason."""

    p: float = 0.0
    """Probability that the candidate group's answer is right; before any blocking."""
    reason: str = "no-neighbour"
    group: int | None = None
    neighbour: Neighbour | None = None
    nearest: Neighbour | None = None
    blocked_by: str | None = None
    """The kind of mismatch that keeps the group from serving."""
    features: tuple[float, ...] = ()
    anchors: int = 0
    """How many the group had."""
    around: tuple[Neighbour, ...] = ()
    """All that was looked at, nearest first."""
    overruled: str | None = None
    """The kind of mismatch in spite of which it would serve, because the group's labels overrule it."""

    @property
    def claim(self) -> float:
        """The probability that counts against kappa: none if nothing may serve."""
        return self.p if self.neighbour is not None else 0.0


class Prior(Struct, frozen=True):
    """The fitted weights, as they lie in `prior.json`: one set for a group of one anchor, for which little but the
    two texts can speak, and one for larger groups, for which the neighbourhood does."""

    alone: NDArray[np.float64]
    """Shape (len(FEATURES) + 1,), the intercept last; `company` likewise."""
    company: NDArray[np.float64]
    kappas: Mapping[float, float]
    """Wrong hits accepted per hit -> kappa that held them on data sets that the weights were not fitted on."""
    fingerprint: str

    def probability(self, features: Sequence[float], anchors: int, offset: float) -> float:
        weights = self.alone if anchors <= 1 else self.company
        logit = float(weights[:-1] @ np.array(features)) + float(weights[-1]) + offset
        return 1 / (1 + math.exp(-max(min(logit, 30.0), -30.0)))

    def kappa(self, max_wrong: float) -> float:
        """The shipped kappa for this budget. Between the fitted budgets 1 - kappa is interpolated, below the
        least one it shrinks with the budget."""
        known = sorted(self.kappas)
        if max_wrong <= known[0]:
            return 1 - (1 - self.kappas[known[0]]) * max_wrong / known[0]
        return float(np.interp(max_wrong, known, [self.kappas[budget] for budget in known]))


def load_prior(text: str | None = None) -> Prior:
    """The shipped prior, or one from the text of another file. Raises ValueError if its features are not ours."""
    text = files("cache").joinpath("prior.json").read_text(encoding="utf-8") if text is None else text
    raw = json.loads(text)
    names = (*FEATURES, "intercept")
    for kind in ("alone", "company"):
        if tuple(raw[kind]) != names:
            raise ValueError("the prior was fitted for other features; fit it again with `thriftgate eval cache --fit`")
    return Prior(
        alone=np.array(list(raw["alone"].values()), dtype=np.float64),
        company=np.array(list(raw["company"].values()), dtype=np.float64),
        kappas={float(budget): kappa for budget, kappa in raw["kappas"].items()},
        fingerprint=raw["fingerprint"],
    )


def judge(
    text: str,
    vector: Vector,
    neighbours: Sequence[Neighbour],
    vectors: NDArray[np.float32],
    groups: Mapping[int, GroupView],
    scope_size: int,
    prior: Prior,
    offsets: tuple[float, float] = (0.0, 0.0),
    candidate: int | None = None,
    read: Callable[[Neighbour], Traits] = _read,
) -> Judgement:
    """Judges the neighbourhood of a question. `neighbours` nearest first; `vectors` theirs, shape (n, dim), unit
    norm; `groups` has the candidate's group, whichever of theirs that is; `scope_size` counts all anchors of the
    scope. `offsets` are what the scope's own labels add to the logit, for a group of one anchor and for a larger one.
    `candidate` is the group that is asked about; by default the one that the neighbourhood speaks for most. `read`
    gives a neighbour's traits."""
    if not neighbours:
        return Judgement()
    near = [neighbour.similarity for neighbour in neighbours]
    weights = _weights(near, _WIDE)
    votes: dict[int, float] = {}
    for neighbour, weight in zip(neighbours, weights, strict=True):
        votes[neighbour.group] = votes.get(neighbour.group, 0.0) + weight
    asked, known = traits(text), dict[int, str | None]()

    def kind_of(neighbour: Neighbour) -> str | None:
        if neighbour.anchor_id not in known:
            known[neighbour.anchor_id] = difference(asked, read(neighbour))
        return known[neighbour.anchor_id]

    twin = _twin(text, neighbours[:FRIENDS], kind_of)
    if candidate is not None:
        group = candidate
    else:
        group = twin.group if twin is not None else max(votes, key=votes.__getitem__)
    belongs = [neighbour.group == group for neighbour in neighbours]
    view = groups[group]

    friends = _friends(neighbours, group)
    theirs = [read(friend) for friend in friends]
    kinds = [kind_of(friend) for friend in friends]
    clean = [
        (friend, kind)
        for friend, kind in zip(friends, kinds, strict=True)
        if kind not in BLOCKING or kind in view.overruled
    ]
    serving = next(((friend, kind) for friend, kind in clean if friend.is_servable), None)
    around = vectors @ vectors[belongs.index(True)]
    features = _context(near, weights, belongs, around, vector, view, scope_size)
    features += _words(asked, theirs)
    features += _kinds(friends, kinds, clean[0][0] if clean else None, serving or (friends[0], kinds[0]))
    wordings = list(islice(compress(neighbours, belongs), FRIENDS))
    doubt = 0.0
    if len(wordings) > 1:
        doubt = _doubt(wordings, list(compress(around.tolist(), belongs)), view.anchors)
        if kinds[0] == "entity" and _is_another_thing(asked, [read(wording) for wording in wordings]):
            doubt += ANOTHER_THING
    p = prior.probability(features, view.anchors, view.offset + offsets[view.anchors > 1] - doubt)
    if twin is not None and twin.group == group:
        p = max(p, TWIN)
    is_opposed = kinds[0] in OPPOSING - view.overruled
    if serving is None or view.is_doubted or is_opposed:
        blocked = next((kind for kind in kinds if kind in BLOCKING), None) if is_opposed or not clean else None
        reason = f"{blocked}-mismatch" if blocked else "doubted" if serving else "not-acceptable"
        return Judgement(
            p, reason, group, None, neighbours[0], blocked, tuple(features), view.anchors, tuple(neighbours)
        )
    overruled = serving[1] if serving[1] in BLOCKING else None
    return Judgement(
        p, "near", group, serving[0], neighbours[0], None, tuple(features), view.anchors, tuple(neighbours), overruled
    )


@lru_cache(maxsize=512)
def folded(text: str) -> str:
    """The words of a text alone: no case, no punctuation, no politeness. Empty where only politeness is left."""
    plain = _PLEASE.sub(" ", text.casefold().replace("’", "'"))
    return " ".join(_FOLDED_WORD.findall(_FAREWELL.sub("", _GREETING.sub("", plain.strip()))))


def _twin(text: str, neighbours: Sequence[Neighbour], kind_of: Callable[[Neighbour], str | None]) -> Neighbour | None:
    """The nearest of the same words, and of the same signs."""
    said = folded(text)
    words = said.split()
    for each in neighbours:
        its = each.text.casefold().replace("’", "'")
        # Folding only takes away, and costs as much as the rest of the comparison.
        if words and all(word in its for word in words) and folded(each.text) == said and kind_of(each) not in BLOCKING:
            return each
    return None


def _friends(neighbours: Sequence[Neighbour], group: int) -> list[Neighbour]:
    """The group's anchors that are compared word by word, nearest first."""
    friends = [neighbour for neighbour in neighbours if neighbour.group == group]
    reach = friends[0].similarity - FRIEND_REACH
    return [friend for friend in friends[:FRIENDS] if friend.similarity >= reach]


def _context(
    near: Sequence[float],
    weights: Sequence[float],
    belongs: Sequence[bool],
    around: Vector,
    vector: Vector,
    view: GroupView,
    scope_size: int,
) -> list[float]:
    """The features that need no words, in the order of FEATURES; `around` are the cosines with the group's nearest
    anchor. For so few numbers numpy would take several times as long as lists do."""
    count, last = len(near), near[-1]
    same = list(compress(near, belongs))
    strange = [not its_own for its_own in belongs]
    others = list(compress(near, strange))
    best = same[0]
    if others:
        other, mean_other = others[0], _mean(others[:3])
    else:  # nothing known beyond the last neighbour, or in an almost empty scope nothing at all
        other = mean_other = last if count >= NEIGHBOURS else min(last, 0.3) - 0.1
    closest = np.argpartition(-around, 8)[:9].tolist() if count > 9 else range(count)
    direction = best
    if view.direction is not None:
        norm = math.sqrt(view.direction @ view.direction)
        direction = float(vector @ view.direction) / (norm + 1e-9)
    return [
        best,
        same[1] if len(same) > 1 else 0.0,
        other,
        _mean(same[:3]),
        mean_other,
        _share(weights, belongs),
        _share(_weights(near, _NARROW), belongs),
        sum(belongs[:8]) / 8,
        len(same) / 32,
        direction,
        _mean(near[:5]),
        last,
        max(compress(around.tolist(), strange), default=0.2),
        sum(belongs[place] for place in closest) / len(closest),
        math.log1p(view.anchors),
        min(math.log1p(scope_size), 6.0) / 6,
    ]


def _weights(near: Sequence[float], steepness: float) -> list[float]:
    """What each neighbour's vote counts, the nearest one's 1."""
    nearest = near[0]
    return [math.exp(steepness * (similarity - nearest)) for similarity in near]


def _share(weights: Sequence[float], belongs: Sequence[bool]) -> float:
    return sum(compress(weights, belongs)) / sum(weights)


def _mean(few: Sequence[float]) -> float:
    return sum(few) / len(few)


def _doubt(wordings: Sequence[Neighbour], around: Sequence[float], anchors: int) -> float:
    """What it takes from the logit that the question, where it is not the nearest wording, leads away from the others;
    below zero where it leads towards them. `around` are the cosines with the nearest wording, which is the first, of
    the wordings and maybe of more."""
    step = math.sqrt(max(2 - 2 * wordings[0].similarity, _STEP))
    away = _mean([near - other.similarity for other, near in zip(wordings[1:], around[1:], strict=False)]) / step
    return AWAY * max(away - AWAY_USUALLY, -AWAY_USUALLY / 2) * min(1.0, AWAY_AMONG / anchors)


def _words(asked: Traits, theirs: Sequence[Traits]) -> list[float]:
    """The features of the words, in the order of FEATURES."""
    words = set(asked.words)
    known = [set(their.words) for their in theirs]
    shared = max(len(words & other) / max(len(words | other), 1) for other in known)
    covered = len(words & set().union(*known)) / max(len(words), 1)
    return [shared, covered, min(len(words), 12) / 12]


def _is_another_thing(asked: Traits, theirs: Sequence[Traits]) -> bool:
    """Whether the question lacks a word that all of several wordings have, and has one that is in none of them: what is
    in the place of a thing that each wording names is another thing."""
    if len(theirs) < 2:
        return False
    words, known = set(asked.words), [set(their.words) for their in theirs]
    return not words >= set.intersection(*known) and not words <= set.union(*known)


def _kinds(
    friends: Sequence[Neighbour],
    kinds: Sequence[str | None],
    clean: Neighbour | None,
    serving: tuple[Neighbour, str | None],
) -> list[float]:
    """The features of the mismatches, in the order of FEATURES."""
    return [
        sum(kind is None for kind in kinds) / len(kinds),
        friends[0].similarity - clean.similarity if clean is not None else 0.3,
        float(serving[1] in ("entity", "exchange")),
    ]
