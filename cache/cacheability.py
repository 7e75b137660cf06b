"""Whether a request may be looked up and stored at all, decided before any lookup, with a reason.

Three levels: `none` (no lookup, no store, no coalescing), `exact` (only for the same text again) and
`semantic`. Unsure = exact. The rules read English; in another language they know only identifiers and the plainest
words for "my" and "today", and hold everything else to the same text.

Owns the reasons, their order and what the form of a request says. What a text says is told by `cache/asker.py`,
`cache/moment.py`, `cache/variety.py` and `cache/context.py`, all from one reading of it (`cache/reading.py`); of what
they let pass, `cache/prompt_kind.py` tells what it is in all likelihood.
"""

import re
from functools import lru_cache
from typing import Any, Final, Literal

from msgspec import Struct

from cache.asker import asks_of_oneself, identifies
from cache.context import lacks_antecedent, points_back
from cache.moment import depends_on_the_moment, holds_regularly
from cache.prompt_kind import likely_kinds
from cache.query import Query
from cache.reading import Reading, read, rule, word_set
from cache.scope import Split
from cache.variety import asks_for_a_work, asks_for_chance

Level = Literal["none", "exact", "semantic"]
Reason = Literal[
    "",
    "cache-off",
    "no-store",
    "temperature",
    "temperature-exact",
    "route-exact",
    "stateful",
    "tools",
    "several-choices",
    "not-plain-text",
    "empty",
    "personal",
    "volatile",
    "sampling",
    "follow-up",
    "earlier-turns",
    "creative",
    "other-language",
    "short",
    "long",
]

LEVELS: Final[dict[Reason, Level]] = {
    # By the route and the caller.
    "cache-off": "none",  # the route does not use the cache
    "no-store": "none",  # the caller forbids it
    "temperature": "none",  # variety is asked for, and the route shares none of it
    "temperature-exact": "exact",  # the same, and the route shares it for the same text
    "route-exact": "exact",  # the route serves the same text only
    # By the form of the request.
    "stateful": "none",  # the provider keeps a state, or looks at the world
    "tools": "none",  # the answer may be an action
    "several-choices": "none",  # more than one answer is asked for
    "not-plain-text": "none",  # the last turn is no user's text alone: an image, a tool's result
    "empty": "none",
    # By the text.
    "personal": "none",  # the answer depends on who asks, or the text tells who that is
    "volatile": "none",  # the answer is true only for a moment
    "sampling": "none",  # chance or something new is asked for, a secret perhaps
    "follow-up": "none",  # a first turn that points to something said before it
    "earlier-turns": "exact",  # its words mean what the turns before make of them
    "creative": "exact",  # of many good answers one is wanted, and not everybody the same
    "other-language": "exact",  # the rules cannot read it
    "short": "exact",  # one word means too much
    "long": "exact",  # only partly looked at, or more than the encoder reads (`cache/lookup.py` says so)
    "": "semantic",
}
"""Every reason there is, and how far the cache may go for it. The list is closed."""

ContentClass = Literal["price", "policy", "faq"]

_STATEFUL_FIELDS: Final = (
    "previous_response_id",
    "conversation",
    "store",
    "audio",
    "prediction",
    "web_search_options",
    # What other APIs call the same: servers that are asked, containers and texts that are kept, the web that is read.
    "mcp_servers",
    "container",
    "prompt",
    "cached_content",
    "plugins",
    "search_parameters",
    "enable_search",
)
_KEPT_ITEM: Final = re.compile(r"input\[\d+\]")
"""Where a request has an item that only its provider understands, what it keeps of earlier turns above all."""
_TOOL_FIELDS: Final = ("tools", "functions")

LONGEST_QUESTION: Final = 2000
"""In characters. Of a longer text only the beginning and the end are looked at, so that no text can hold up the
event loop, and it is never served semantically."""

LIKELY_AT: Final = 0.85
"""How likely a prompt must be no cacheable one to be kept out by its wording alone. Of writers that the classifier had
not seen, some 2 % of the cacheable prompts are kept out with it."""

_GREETINGS: Final = word_set(
    "hi hello hey there ok okay thanks thank you thx cheers bye goodbye good morning evening afternoon night great yo sure yes no lol cool nice perfect"
)

# --- what a question is about ---

_PRICES: Final = rule(
    "price prices pricing cost costs fee fees tariff tariffs charge charges discount discounts rate rates expensive cheap cheaper much surcharge commission interest voucher vouchers",
    r"\bpric(?:es?|ing)\b|\bcosts?\b|\bfees?\b|\btariffs?\b|\b(?:sur)?charges?\b|\bdiscounts?\b|\brates?\b|\bhow (?:expensive|cheap)\b|\bcheaper\b|\bhow much (?:is|are|do|does|will|would)\b|\bcommission\b|\binterest\b|\bvouchers?\b",
)
_POLICIES: Final = rule(
    "policy policies terms conditions rule rules warranty guarantee refund refunds return returns returned deadline notice period allowed entitled eligible eligibility"
    " hours opening limit limits legal law age minimum maximum days weeks months must cancel cancellation compensation permitted required",
    r"\bpolic(?:y|ies)\b|\bterms\b|\bconditions\b|\brules?\b|\bwarranty\b|\bguarantee\b|\brefunds?\b|\breturn(?:s|ed)?\b|\bdeadline\b|\bnotice period\b|\b(?:allowed|permitted|required|entitled|eligible|eligibility)\b"
    r"|\bopening hours\b|\blimits?\b|\b(?:legal|law)\b|\b(?:minimum|maximum) (?:age|term|period|amount)\b|\bhow many (?:days|weeks|months) (?:do|can|may|must|have)\b|\bcompensation\b|\bcancellation\b",
)


class Cacheability(Struct, frozen=True):
    """How far the cache may go with a request. `reason` is for the header and the ledger."""

    level: Level
    reason: Reason


_BY_REASON: Final = {reason: Cacheability(level, reason) for reason, level in LEVELS.items()}


def cacheability(query: Query, parts: Split) -> Cacheability:
    """How far this request may be cached. Pure."""
    return _of_request(query.mapping, parts) or _of_policy(query) or _of_text(query, parts)


def _of_policy(query: Query) -> Cacheability | None:
    if query.policy.mode == "off":
        return _BY_REASON["cache-off"]
    if query.directives.no_store:
        return _BY_REASON["no-store"]
    if query.policy.sampling == "bypass" and _is_hot(query.mapping):
        return _BY_REASON["temperature"]
    return None


def _is_hot(mapping: dict[str, Any]) -> bool:
    """Whether more variety is asked for than a model gives by itself."""
    temperature = mapping.get("temperature")
    return isinstance(temperature, int | float) and temperature > 1


def _of_request(mapping: dict[str, Any], parts: Split) -> Cacheability | None:
    # An empty object switches on, too; an empty list holds nothing that could be asked.
    if any(mapping.get(name) not in (None, False, []) for name in _STATEFUL_FIELDS):
        return _BY_REASON["stateful"]
    if any(_KEPT_ITEM.fullmatch(name) for name in mapping):
        return _BY_REASON["stateful"]
    if any(mapping.get(name) for name in _TOOL_FIELDS):
        return _BY_REASON["tools"]
    if (mapping.get("n") or 1) != 1:
        return _BY_REASON["several-choices"]
    if parts.text is None:
        return _BY_REASON["not-plain-text"]
    if not parts.text.strip():
        return _BY_REASON["empty"]
    return None


def _of_text(query: Query, parts: Split) -> Cacheability:
    text = parts.text or ""
    # Texts beyond the length are not worth remembering.
    judge = _of_words if len(text) > LONGEST_QUESTION else _of_short_text
    found = judge(text, parts.has_earlier_turns, query.policy.personal == "share")
    if found.level != "semantic":
        return found
    if query.policy.sampling == "exact" and _is_hot(query.mapping):
        return _BY_REASON["temperature-exact"]
    return found if query.policy.mode == "semantic" else _BY_REASON["route-exact"]


@lru_cache(maxsize=4096)
def _of_short_text(text: str, has_earlier_turns: bool, shares_personal: bool) -> Cacheability:
    """Remembered: the questions that come again and again are the ones whose latency counts."""
    return _of_words(text, has_earlier_turns, shares_personal)


def _of_words(text: str, has_earlier_turns: bool, shares_personal: bool = False) -> Cacheability:
    return _BY_REASON[_reason(text, has_earlier_turns, shares_personal)]


def _reason(text: str, has_earlier_turns: bool, shares_personal: bool = False) -> Reason:
    """The first that applies, the strictest first."""
    is_long = len(text) > LONGEST_QUESTION
    if is_long:
        text = f"{text[: LONGEST_QUESTION // 2]} {text[-LONGEST_QUESTION // 2 :]}"
    reading = read(text)
    if strictest := _never_shared(reading, shares_personal):
        return strictest
    if has_earlier_turns:
        return "earlier-turns"
    if is_long:
        return "long"
    return _held_to_its_text(reading) or _likely(reading, shares_personal)


def by_rules(reading: Reading, *, shares_personal: bool = False) -> Reason:
    """What the rules say of a short first turn: the first that applies, the strictest first."""
    return _never_shared(reading, shares_personal) or _held_to_its_text(reading)


def _never_shared(reading: Reading, shares_personal: bool) -> Reason | None:
    if identifies(reading) or (not shares_personal and asks_of_oneself(reading)):
        return "personal"
    if depends_on_the_moment(reading):
        return "volatile"
    return "sampling" if asks_for_chance(reading) else None


def _held_to_its_text(reading: Reading) -> Reason:
    if points_back(reading):
        return "follow-up"
    if len(reading.text) < 8 or len(reading.order) < 2 or reading.words <= _GREETINGS:
        return "short"
    if reading.is_foreign:
        return "other-language"
    if lacks_antecedent(reading):
        return "follow-up"
    return "creative" if asks_for_a_work(reading) else ""


def _likely(reading: Reading, shares_personal: bool) -> Reason:
    """What a text is in all likelihood that no rule keeps out."""
    kinds = likely_kinds(reading)
    if shares_personal:
        del kinds["personal"]
    if holds_regularly(reading):
        del kinds["volatile"]
    if sum(kinds.values()) < LIKELY_AT:
        return ""
    likeliest, _ = max(kinds.items(), key=lambda kind: kind[1])
    return likeliest


def content_class(text: str) -> ContentClass:
    """What a cacheable question is about, so that a route can keep answers to it for a shorter time. Pure."""
    reading = read(text[:LONGEST_QUESTION])
    if _PRICES.holds(reading):
        return "price"
    return "policy" if _POLICIES.holds(reading) else "faq"


def is_personal(text: str) -> bool:
    """Whether the right answer depends on who asks: identifiers, something told about oneself, or a question about
    one's own affairs. A how-to question ("how do I change my password") is not personal unless it carries one."""
    reading = read(text)
    return identifies(reading) or asks_of_oneself(reading)


def is_volatile(text: str) -> bool:
    """Whether the right answer is true only at one moment."""
    return depends_on_the_moment(read(text))


def is_follow_up(text: str) -> bool:
    """Whether a first turn points to something that was said before it: by its wording, by naming nothing, or by a
    pronoun before which the text names nothing that the pronoun could stand for."""
    reading = read(text)
    return bool(reading.order) and (points_back(reading) or lacks_antecedent(reading))
