"""Whether a request may be looked up and stored at all, decided before any lookup, with a reason.

Three levels: `none` (no lookup, no store, no coalescing), `exact` (only for the same text again) and
`semantic`. Unsure = exact. The word lists are English; other languages get the structural rules only.
"""

import re
from functools import lru_cache
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

LONGEST_QUESTION: Final = 2000
"""In characters. Of a longer text only the beginning and the end are looked at, so that no text can hold up the
event loop, and it is never served semantically."""

# The rules below see one line with straight apostrophes.

# --- personal: the right answer depends on who asks ---

_IDENTIFIERS: Final = re.compile(
    r"[\w.+-]{1,64}@[\w-]{1,64}\.\w"  # email address
    r"|\b\d{5,}\b"  # order, ticket, account numbers
    r"|\b(?=(?:[A-Z-]{0,20}\d){3})(?=[\d-]{0,20}[A-Z])[A-Z\d]+(?:-[A-Z\d]+)*\b"  # ORD-4821, INV2031, 9KX31877
    r"|\b[A-Za-z]{1,5}-\d{4,}\b"
    r"|#\s?\d{2,}"
    r"|\b(?:\d[ -]?){9,}\b"  # phone and card numbers
    r"|\bend(?:s|ing|ed) (?:in |with )?\d{3,4}\b"
    r"|\b\d{1,4} [A-Z]\w+(?:weg|allee|stra(?:ß|ss)e|gasse|platz| (?:Street|St|Road|Rd|Avenue|Ave|Lane|Drive))\b"
    r"|\b(?:I'm|I am|[Mm]y name is|me,) [A-Z][a-z]+ [A-Z][a-z]+"  # who asks
    r"|\b(?:Mr|Mrs|Ms|Dr)\.? [A-Z][a-z]+"
)
_RECORD: Final = (
    r"(?:(?!with|for|from|to|in|on|of|and|or)\w+ ){0,2}(?:account|application|appointment|balance|bill|bonus|booking|cancellation"
    r"|card|charge|claim|contract|credit|deductible|delivery|deposit|discount|fee|invoice|limit|membership|order|package"
    r"|parcel|payment|payout|plan|points|policy|prescription|purchase|refund|request|reservation|reward|salary|score"
    r"|shipment|statement|status|subscription|ticket|top[- ]?up|transaction|transfer|usage|withdrawal)s?\b"
)
"""What a company keeps about one customer."""
_OWN_STATE: Final = re.compile(
    # have I, did we, am I: what was done or is the case; not what one must or may do
    r"\b(?:have|has|had|am|was|were|did) (?:i|we)\b"
    r"(?! (?:to|need to|have to|able|allowed|eligible|entitled|supposed|required|free to)\b)"
    r"|\bdo (?:i|we) (?:still |currently |already )?owe\b"
    r"|\bhow (?:much|many)\b[^?.!]{0,150}\b(?:do|will) (?:i|we) (?:still |currently |now )?(?:have|get)\b(?! to)"
    r"|\b(?:i|we) (?:still |currently |now )?(?:have|had|get)\b[^?.!,]{0,150}\b(?:left|remaining)\b(?! over)"
    # has my refund, was our cancellation
    r"|\b(?:have|has|had|was|were|did)(?:n't| not)? (?:my|our)\b"
    r"|(?:^|[.!?,;:] *|\b(?:why|when) )(?:have|has|had|was|were|did|is|are)(?:n't)? (?:the|a|any) [^?.!]{0,150}\b(?:(?:to|for) me|(?:of|for|to) (?:my|our))\b",
    re.I,
)
_OWN_RECORD: Final = re.compile(
    rf"\b(?:is|are|does|do|will|isn't|aren't|doesn't|won't) (?:my|our) {_RECORD}"
    r"|\b(?:when|where|why|which|who|how (?:much|many|long|far|soon))(?: \w+){0,3}?(?:'s| is| are| was| were| did| does| has| have| will|n't)\b"
    rf"[^?.!,]{{0,150}}\b(?:my|our) {_RECORD}"
    r"|\bwhat(?:'s|s| is| are| was| were) (?:the \w+(?: \w+)? of )?(?:my|our)\b(?! (?:advantage|best|chance|next|option|right))"
    rf"|\bwhat(?:'s|s| is| are| was| were)\b[^?.!,]{{0,150}}\b(?:my|our) {_RECORD}"
    rf"|\b(?:my|our) {_RECORD} (?:is|was|has|have|hasn't|isn't|wasn't|haven't|still|never|didn't|did|shows|says|got|keeps)\b"
    r"|\b(?:check|track|trace|look up|locate|find|tell me|show me|send me|give me|see|view|read|list)\b"
    rf"(?: \w+){{0,3}}? (?:my|our) {_RECORD}"
    r"|\bi(?:'m| am| was|'ve been| have been| got)(?: still| being| double| wrongly| just)*"
    r" (?:charged|billed|overcharged|debited|waiting|owed)\b"
    r"|\bi(?:'ve| have) (?:already |just |recently )?(?:spent|used|taken|charged|made|paid|ordered|bought|earned)\b"
    r"|\bi (?:still )?(?:haven't|have not|didn't|did not|never) (?:yet )?(?:received?|gotten?|got)\b"
    rf"|\b(?:did|have) you\b[^?.!,]{{0,150}}\b(?:my|our) {_RECORD}|\b(?:tell|show|send|give|read) me my\b"
    r"|\bi owe\b|\b(?:order|delivery|refund|application|shipment|package) status\b",
    re.I,
)
_HOW_TO: Final = re.compile(
    r"\bhow (?:do|can|could|would|should|might|to|does (?:one|someone)|(?:is|are)(?! (?:you|my|our)\b))\b"
    r"|\b(?:can|could|may|should|must|shall|would|do) (?:i|we|one) \w+"
    r"|\bwhat(?:'s| is| are)? the (?:best |easiest |right |usual )?(?:way|procedure|process|steps?|polic(?:y|ies)|rules?|deadline)\b"
    r"|\b(?:steps?|ways?) (?:to|for)\b|\bhow\W*$",
    re.I,
)
"""A question for everybody; the asker's own affairs are only its occasion."""
_IN_GENERAL: Final = re.compile(r"\bwhat (?:happens|if)\b|(?<!why )\b(?:is (?:it|there)|are there)\b", re.I)

# --- volatile: the right answer changes from hour to hour ---

_VOLATILE: Final = re.compile(
    r"\b(?:right now|at (?:the|this) moment|at present|as of now|just now|so far|these days|tonight(?:'s)?|today(?:'s)?)\b"
    r"|\b(?:latest|newest|most recent|live (?:score|status|price)|in stock|out of stock|on sale|what (?:time|day) (?:is it|it is))\b"
    r"|\bany (?:news|updates?|outages?)\b|\bwhen (?:is|are|does|do|will|can)(?: \w+){0,3}? the next\b"
    r"|^\W*(?:is|are|any)\b.{0,150} now\W*$"
    r"|^\W*(?:is|are) (?:the |your )?(?:\w+ ){1,4}(?:down|offline|out|online|back up|delayed|crowded|busy)\W*$",
    re.I,
)
_DATED: Final = re.compile(
    r"\b(?:tomorrow|yesterday|currently|last night|weather|forecast|exchange rates?|stock price"
    r"|(?:the|any|your|a) current \w+|this (?:morning|afternoon|evening)"
    r"|(?:next|last|this) (?:week|weekend|month|year|monday|tuesday|wednesday|thursday|friday|saturday|sunday))(?:'s)?\b",
    re.I,
)
"""Volatile unless the question is how to do something."""

# --- follow-ups: the question points to what was said before ---

_ANAPHORA: Final = re.compile(
    r"^\W*(?:and|but|or|also|then|(?:ok|okay|yes|no|so)(?= ?,| and| but| what| how))\b(?!.{40})"
    r"|^\W*(?:what|how) about\b|\bwhat about (?:the|that|this|it|those|them)\b|\bwhat else\b"
    r"|^\W*(?:the )?same (?:for|with|in|on)\b|^\W*(?:the|that|this) (?:one|other)s?\b"
    r"|^\W*(?:why|why not|how come|really|are you sure|since when|how so|such as|like what|for example|which one|until when)\W*$"
    r"|\byou (?:just |have )?(?:said|mentioned|told|wrote|suggested|described)\b|\b(?:as|mentioned) above\b"
    r"|\b(?:in that case|after that|before that|besides)\W*$"
    r"|\b(?:tell me|say|explain) (?:more|again|that|this|it)\b.{0,12}$|\bgo on\W*$|\bmore details?\W*$",
    re.I,
)
_EXPLETIVE: Final = re.compile(
    # it that stands for what comes later in the sentence, or for nothing
    r"\b(?:is|was|be|would) it (?:\w+ ){0,3}(?:to|that|if|when|for)\b(?= \w+ \w+)"
    r"|\b(?:does|do|did|will|would) it (?:take|cost|matter|mean|help|make sense)\b(?=[^?.!,]{0,150} (?:to|if|when|for)\b)"
    r"|\bit(?:'s| is| was) (?:\w+ )?\w+ (?:to|that|if)\b|\bit (?:takes?|costs?|says?|seems?|looks like|should be|would be)\b"
    # this and that before a noun
    r"|\b(?:that|this|these|those) (?!(?:is|was|are|does|do|did|can|will|would|usually|too|then|per|all|for|in|on|with|to|of|and|or"
    r"|cost|mean|work|take|apply|happen|start|end|step|part|bit|one|page|way|case|option|method)s?\b)(?=\w)",
    re.I,
)
_PRONOUN: Final = re.compile(
    r"(?<!-)\b(?:it|(?:(?<=^)|(?<=[.!?,] )|\b(?:do|does|did|is|was|about|for|like|after|of|with|without|than|by|on|to|if|and|or|what|why|how|when"
    r"|can|would|will|could) )that|this|them|they|those|these|he|she|him|her|(?:in|from) there"
    r"|the (?:first|second|third|fourth|last|other|same|previous|latter|former|next|cheaper|bigger|smaller) (?:one|ones|option|two)"
    r"|the other (?:features?|method|way)|which one|of the two)\b(?!-)",
    re.I,
)
_POSSESSIVE: Final = re.compile(r"\b(?:its|their)\b", re.I)
_CLAUSE_END: Final = re.compile(
    r"[.!?,;:–(]|\b(?:and|but|or|so|if|when|because|after|before|until|while|that|which|who|than)\b", re.I
)
_LITTLE_WORDS: Final = frozenset(
    "a an the i you we he she it its it's they them this that these those there one ones is are was were be been am do does"
    " did can could would should will shall may might must have has had how what what's when where which who why if of for"
    " to in on at by with from about as and or but so not no yes my your our their his her me us please much many long often"
    " cost work take need get still also any some more than then now free works exactly usually really always already just"
    " actually ok okay hi hello hey thanks want know tell possible else i'd i'm i've i'll".split()
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
    if any(mapping.get(name) not in (None, False) for name in _STATEFUL_FIELDS):  # an empty object switches on, too
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
    text = parts.text or ""
    if len(text) > LONGEST_QUESTION:  # not worth remembering
        return _of_words(text, parts.has_earlier_turns)
    return _of_short_text(text, parts.has_earlier_turns)


@lru_cache(maxsize=4096)
def _of_short_text(text: str, has_earlier_turns: bool) -> Cacheability:
    """Remembered: the questions that come again and again are the ones whose latency counts."""
    return _of_words(text, has_earlier_turns)


def _of_words(text: str, has_earlier_turns: bool) -> Cacheability:
    text = " ".join(text.split()).replace("’", "'")
    is_long = len(text) > LONGEST_QUESTION
    if is_long:
        text = f"{text[: LONGEST_QUESTION // 2]} {text[-LONGEST_QUESTION // 2 :]}"
    if is_personal(text):
        return Cacheability("none", "personal")
    if is_volatile(text):
        return Cacheability("none", "volatile")
    if has_earlier_turns:
        return Cacheability("exact", "earlier-turns")
    if is_follow_up(text):
        return Cacheability("none", "follow-up")
    if is_long:
        return Cacheability("exact", "long")
    if len(text) < 8 or len(_WORD.findall(text)) < 2:
        return Cacheability("exact", "short")
    return Cacheability("semantic", "")


def is_personal(text: str) -> bool:
    """Whether the right answer depends on who asks: identifiers, or a question about one's own affairs.
    A how-to question ("how do I change my password") is not personal unless it carries an identifier."""
    if _IDENTIFIERS.search(text) or _OWN_STATE.search(text):
        return True
    return bool(_OWN_RECORD.search(text)) and not (_HOW_TO.search(text) or _IN_GENERAL.search(text))


def is_volatile(text: str) -> bool:
    """Whether the right answer is true only at one moment."""
    return bool(_VOLATILE.search(text)) or (bool(_DATED.search(text)) and not _HOW_TO.search(text))


def is_follow_up(text: str) -> bool:
    """Whether a first turn points to something that was said before it: by its wording, or by a pronoun before
    which the text names nothing, or only little and in the same clause, that the pronoun could stand for."""
    if _ANAPHORA.search(text):
        return True
    if (found := _POSSESSIVE.search(text)) and not _content(text[: found.start()]):
        return True
    text = _EXPLETIVE.sub("", text)
    found = _PRONOUN.search(text)
    if found is None:
        return False
    before = text[: found.start()]
    ends = [end.start() for end in _CLAUSE_END.finditer(before)]
    return _content(before[: ends[-1]] if ends else "") == 0 and _content(before) < 3


def _content(text: str) -> int:
    return sum(word.lower() not in _LITTLE_WORDS for word in _WORD.findall(text))
