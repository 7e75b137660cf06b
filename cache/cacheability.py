"""Whether a request may be looked up and stored at all, decided before any lookup, with a reason.

Three levels: `none` (no lookup, no store, no coalescing), `exact` (only for the same text again) and
`semantic`. Unsure = exact. The word lists are English; other languages get the structural rules only.
"""

import re
from typing import Any, Final, Literal

from msgspec import Struct

from cache.query import Query
from cache.scope import Split

Level = Literal["none", "exact", "semantic"]

_STATEFUL_FIELDS: Final = (
    "previous_response_id",
    "conversation",
    "store",
    "audio",
    "prediction",
    "web_search_options",
)
_TOOL_FIELDS: Final = ("tools", "functions")

_IDENTIFIERS: Final = re.compile(
    r"[\w.+-]+@[\w-]+\.\w+"  # email address
    r"|\b\d{5,}\b"  # order, ticket, account numbers
    r"|\b(?=[A-Z0-9-]*\d)[A-Z]{1,5}-?\d{3,}[A-Z0-9-]*\b"  # ORD-4821, INV2031
    r"|#\s?\d{2,}"
    r"|\b(?:\d[ -]?){9,}\b"  # phone and card numbers
    r"|\b(?:ending|ends) (?:in|with) \d{2,4}\b"
)
_OWNED: Final = (
    r"(?:latest |last |next |first |recent |current |new |monthly |open |remaining )*(?:account|address|appointment|"
    r"balance|bill|booking|card|charge|claim|contract|credit|data|deductible|delivery|deposit|device|email|invoice|"
    r"line|membership|name|number|order|package|parcel|payment|payout|plan|points?|prescription|refund|request|"
    r"reservation|router|salary|shipment|speed|statement|status|subscription|ticket|transaction|transfer|usage)\b"
)
_PERSONAL: Final = re.compile(
    rf"\b(?:where|when|why|whether|which|who|how much|how many|how long)\b[^?.!]*\b(?:my|our) {_OWNED}"
    rf"|\b(?:what|what's|whats)\b(?:'s| is| was| are| were)?(?: the)?(?: \w+){{0,3}} (?:of |on |for )?(?:my|our) {_OWNED}"
    rf"|\b(?:is|are|was|were|did|does|do|has|have|had|isn't|wasn't|hasn't|didn't) (?:my|our) {_OWNED}"
    rf"|\b(?:my|our) {_OWNED} (?:is|was|has|have|hasn't|isn't|wasn't|still|never|didn't|did not|shows|says|got)\b"
    r"|\b(?:have|has|am|was|were|did|do) (?:i|we)\b(?! (?:need|have to|get|change|cancel|set|turn|add|remove|use|go))"
    r"|\bi(?:'m| am| was| have been|'ve been) (?:being |still )?(?:charged|billed|overcharged|locked|waiting|owed)\b"
    r"|\bi (?:ordered|bought|paid|returned|signed up|moved|received|sent|called|cancel+ed|got charged)\b"
    r"|\bmy name is\b|\bi(?:'m| am) [A-Z][a-z]+\b|\b(?:check|track|look up|tell me|show me|see) (?:\w+ ){0,2}my\b"
    r"|\bdo i (?:owe|have)\b|\bi owe\b|\bam i\b",
    re.I,
)
_HOW_TO: Final = re.compile(
    r"^\W*(?:(?:hi|hello|hey|please|so|um|well|ok|okay|quick question|sorry)\b[\s,.!:–-]*)*"
    r"(?:how (?:do|can|could|would|should|to|does|might)\b|(?:can|could|may|should) (?:i|we|one|you)\b"
    r"|what(?:'s| is) the (?:best |easiest |right )?(?:way|procedure|process|steps?)\b|is (?:it|there)\b|steps? to\b|ways? to\b"
    r"|what (?:do|should) i do\b|where (?:do|can|could|would|should) (?:i|we|one|you)\b)",
    re.I,
)
_VOLATILE: Final = re.compile(
    r"\b(?:right now|at the moment|currently|at present|as of now|today(?:'s)?|tonight(?:'s)?|tomorrow(?:'s)?|yesterday(?:'s)?"
    r"|this (?:morning|afternoon|evening|week|weekend|month|year)(?:'s)?|(?:next|last) (?:week|month|year|monday|tuesday"
    r"|wednesday|thursday|friday|saturday|sunday)|just now|so far|latest|newest|live (?:score|status|price)"
    r"|what time is it|what day is it|any (?:news|updates?|outages?)|(?:is|are) (?:\w+ ){1,4}(?:down|offline|out|online|back up)\b(?! ?load)"
    r"|current(?:ly)? (?:price|status|rate|weather|promotion|deal|offer|outage|wait|queue|version|time)|these days)\b",
    re.I,
)
_ANAPHORA: Final = re.compile(
    r"^\W*(?:and|but|or|so|also|then|ok(?:ay)?|yes|no|what if)\b(?!\s+(?:how|can|what's the)\b.{25})"
    r"|\b(?:what|how) about\b"
    r"|\b(?:the )?(?:first|second|third|fourth|last|other|same|previous|latter|former|next|cheaper|bigger) (?:one|ones|option|two)\b"
    r"|^\W*(?:why|why not|how come|really|are you sure|since when|how so|such as|like what|for example|which one|until when)\W*$"
    r"|\b(?:you (?:just )?(?:said|mentioned|told|wrote|suggested|described)|as above|mentioned above|that (?:step|part|bit|one|page|way|case))\b"
    r"|\b(?:instead|as well|too|either|again|otherwise|in that case|after that|before that|besides)\W*$"
    r"|\b(?:tell me|say|explain) (?:more|again|that)\b|\bgo on\b|\bmore details?\W*$|\belse\W*$",
    re.I,
)
_PRONOUN: Final = re.compile(r"\b(?:it|its|it's|that|this|them|they|those|these|one|ones|he|she|him|her|there)\b", re.I)
_LITTLE_WORDS: Final = frozenset(
    "a an the i you we he she it its it's they them this that these those there one ones is are was were be been am do does"
    " did can could would should will shall may might must have has had how what what's when where which who why if of for"
    " to in on at by with from about as and or but so not no yes my your our their me us please much many long often"
    " cost work take need get still also any some more than then now free work works".split()
)
_WORD: Final = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


class Cacheability(Struct, frozen=True):
    """How far the cache may go with a request. `reason` is for the header and the ledger."""

    level: Level
    reason: str


def cacheability(query: Query, parts: Split) -> Cacheability:
    """How far this request may be cached. Pure."""
    return _of_request(query.mapping, parts) or _of_policy(query) or _of_text(parts)


def _of_policy(query: Query) -> Cacheability | None:
    if not query.policy.is_enabled:
        return Cacheability("none", "cache-off")
    if query.directives.no_store:
        return Cacheability("none", "no-store")
    return None


def _of_request(mapping: dict[str, Any], parts: Split) -> Cacheability | None:
    if any(mapping.get(name) for name in _STATEFUL_FIELDS):
        return Cacheability("none", "stateful")
    if any(mapping.get(name) for name in _TOOL_FIELDS):
        return Cacheability("none", "tools")
    if (mapping.get("n") or 1) != 1:
        return Cacheability("none", "several-choices")
    if parts.text is None:
        return Cacheability("none", "not-plain-text")
    if not parts.text.strip():
        return Cacheability("none", "empty")
    return None


def _of_text(parts: Split) -> Cacheability:
    text = (parts.text or "").strip()
    if is_personal(text):
        return Cacheability("none", "personal")
    if _VOLATILE.search(text):
        return Cacheability("none", "volatile")
    if parts.has_earlier_turns:
        return Cacheability("exact", "earlier-turns")
    if is_follow_up(text):
        return Cacheability("none", "follow-up")
    words = _WORD.findall(text)
    if len(words) < 2 or len(text) < 8:
        return Cacheability("exact", "short")
    return Cacheability("semantic", "")


def is_personal(text: str) -> bool:
    """Whether the right answer depends on who asks: identifiers, or a question about one's own affairs.
    A how-to question ("how do I change my password") is not personal unless it carries an identifier."""
    if _IDENTIFIERS.search(text):
        return True
    return bool(_PERSONAL.search(text)) and not _HOW_TO.search(text)


def is_follow_up(text: str) -> bool:
    """Whether a first turn points to something that was said before it."""
    if _ANAPHORA.search(text):
        return True
    words = [word.lower() for word in _WORD.findall(text)]
    content = [word for word in words if word not in _LITTLE_WORDS]
    return bool(_PRONOUN.search(text)) and len(content) <= 1
