"""Whether a request may be looked up and stored at all, decided before any lookup, with a reason.

Three levels: `none` (no lookup, no store, no coalescing), `exact` (only for the same text again) and
`semantic`. Unsure = exact. The rules read English; in another language they know only identifiers and the plainest
words for "my" and "today", and hold everything else to the same text.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final, Literal

from msgspec import Struct

from cache.query import Query
from cache.scope import Split

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

# The rules below see one line with straight apostrophes; those in small letters see it in small letters, with the
# usual slips of the pen mended and without what stands in quotation marks: that is spoken of, not said.


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


# --- slips of the pen ---

_OFTEN_MISSPELT: Final = _set(
    "weather tomorrow yesterday currently tonight outage available forecast latest account invoice refund payment parcel"
    " delivery order booking appointment package subscription balance second option another random different please"
)


def _misspelt(word: str) -> Iterable[str]:
    """One letter too few, or two neighbours swapped, but not the first letter."""
    for at in range(1, len(word)):
        yield word[:at] + word[at + 1 :]
        yield word[:at] + word[at : at + 2][::-1] + word[at + 2 :]


_MENDED: Final[dict[str, str]] = {
    **{wrong: right for right in sorted(_OFTEN_MISSPELT) for wrong in _misspelt(right) if wrong not in _OFTEN_MISSPELT},
    **dict(
        pair.split("=")
        for pair in (
            "teh=the taht=that waht=what wat=what wats=what's whats=what's wen=when whens=when's wheres=where's wher=where hw=how hows=how's"
            " whos=who's im=i'm ive=i've dont=don't doesnt=doesn't didnt=didn't isnt=isn't wasnt=wasn't hasnt=hasn't havent=haven't"
            " cant=can't wont=won't arent=aren't u=you ur=your pls=please plz=please thru=through agian=again smth=something"
            " thats=that's theres=there's becuase=because recieve=receive recieved=received todays=today's"
        ).split()
    ),
}


class _Reading(Struct, frozen=True):
    """A text as the rules see it."""

    text: str
    """On one line, with straight apostrophes."""
    line: str
    """In small letters, mended, without what is quoted and without marks at the beginning."""
    order: list[str]
    """The words of `line`."""
    words: frozenset[str]
    is_foreign: bool


class _Rule(Struct, frozen=True):
    """An expression for texts that have one of these words: hardly any rule needs to be tried on a given text."""

    words: frozenset[str]
    expression: re.Pattern[str]
    opens: bool
    """Whether it is about how a text begins."""

    def holds(self, reading: _Reading) -> bool:
        return not self.words.isdisjoint(reading.words) and self.is_found(reading)

    def is_found(self, reading: _Reading) -> bool:
        """Whether it holds for a text that has one of the words."""
        found = self.expression.match(reading.line) if self.opens else self.expression.search(reading.line)
        return found is not None


def _rule(words: str, *alternatives: str, opens: bool = False) -> _Rule:
    return _Rule(_set(words), re.compile("|".join(alternatives)), opens)


class _Rules:
    """Rules of which one is enough, found by the words of a text: hardly any has one of them."""

    def __init__(self, *rules: _Rule) -> None:
        self._rules = rules
        self._words = frozenset[str]().union(*(rule.words for rule in rules))
        self._by_word = {
            word: tuple(place for place, rule in enumerate(rules) if word in rule.words) for word in self._words
        }

    def hold(self, reading: _Reading) -> bool:
        possible = {place for word in self._words & reading.words for place in self._by_word[word]}
        return any(self._rules[place].is_found(reading) for place in possible)


# --- personal: who asks ---

_FIRST_PERSON: Final = _set("i my me mine we our us i'm i've i'd i'll we're we've we'd myself")

_MARKS: Final = re.compile(r"[\d@]")
_NUMBERS: Final = re.compile(
    r"[\w.+-]{1,64}@(?!example\.)[\w-]{1,64}\.\w"  # email address; example.com belongs to nobody (RFC 2606)
    # order, ticket and account numbers; no round sums, no standards, no error codes
    r"|(?<![\w.,/=-])(?<!ISO )(?<!IEC )(?<!RFC )(?<!DIN )(?<!port )(?<!error )(?<!code )\d{5,}\b(?<!000)(?![.,/]\d)"
    r"|\b(?!0x)(?=(?:[A-Z-]{0,20}\d){3})(?=[\d-]{0,20}[A-Z])[A-Z\d]+(?:-[A-Z\d]+)*\b"  # ORD-4821, INV2031, 9KX31877
    r"|\b[A-Za-z]{1,5}-\d{4,}\b"
    r"|\b\d{3,}-\d{3,}\b(?<!\b(?:19|20)\d\d-(?:19|20)\d\d)"
    r"|#\s?\d{2,}"
    r"|(?<![\d.^])\+?\b(?:\d[ -]?){9,}\b"  # phone and card numbers
    r"|\b[A-Z]{2}\d{2}(?: ?[A-Z\d]{4}){3,}"  # IBAN
    r"|\b[A-Z]{2}\d\d ?[A-Z]{3}\b"  # number plate
    r"|\bend(?:s|ing|ed) (?:in |with )?\d{3,4}\b"
    r"|\b\d{1,4} [A-Z]\w+(?:weg|allee|stra(?:ß|ss)e|gasse|platz| (?:Street|St|Road|Rd|Avenue|Ave|Lane|Drive|Row|Close|Court|Square))\b"
    r"|(?i:\b(?:booking|reservation|reference|confirmation|order|ticket|claim|case|customer|member|client|tracking|policy|flight|registration|plate|invoice|contract|account)"
    r"(?: (?:number|no\.?|id|code|ref|reference))?(?: is|:)? (?=\w{0,9}\d\w{0,9}[A-Za-z\d])(?-i:[A-Z\d][A-Z\d-]{4,})\b)"
)
_KIN: Final = (
    "(?:son|daughter|child|kid|baby|toddler|mother|mum|mom|father|dad|wife|husband|partner|sister|brother|aunt|uncle|cousin"
    "|grandmother|grandfather|girlfriend|boyfriend|boss|manager|colleague|ex|friend|neighbour|landlord|tenant)"
)
_NAMES: Final = re.compile(
    r"\b(?:I'm|I am|[Mm]y name is|[Mm]e,|[Tt]his is) [A-Z][a-z]+ (?:[A-Z][a-z]+|from\b)"  # who asks
    rf"|\b[Mm]y name is \w|\b(?:Mr|Mrs|Ms|Dr)\.? [A-Z][a-z]+|\b(?:[Mm]y|[Oo]ur) (?:\w+-)?{_KIN} [A-Z][a-z]+"
)
_NAMING: Final = _set("i'm am name me is mr mrs ms dr my our")

_RECORD: Final = (
    r"(?:(?!with|for|from|to|in|on|of|and|or)\w+ ){0,2}(?:account|application|appointment|balance|bill|bonus|booking|cancellation"
    r"|card|charge|claim|contract|credit|deductible|delivery|deposit|discount|fee|invoice|limit|membership|order|package|parcel|payment|payslip"
    r"|payout|plan|points|policy|prescription|purchase|refund|rent|request|reservation|results?|reward|salary|score|shipment|statement|status"
    r"|subscription|ticket|top[- ]?up|transaction|transfer|usage|withdrawal|paycheck|payday|rating|rewards|schedule|calendar|agenda|meeting|list|income|vacation"
    r"|pto|leave|day off|days off|mortgage|loan|savings|flight|reminder)s?\b"
)
"""What a company keeps about one customer."""
_OWN_STATE: Final = _Rules(
    # have I, did we, am I: what was done or is the case; not what one must or may do
    _rule(
        "have has had am was were did didn't haven't hasn't wasn't",
        r"\b(?:have|has|had|am|was|were|did|didn't|haven't|wasn't) (?:i|we)\b(?! (?:to|need to|have to|able|allowed|supposed|required|free to)\b)"
        r"(?! (?:eligible|entitled) (?:for|to) (?:a|compensation|return|cancel)\b)",
        r"\b(?:have|has|had|was|were|did|didn't|haven't|hasn't|wasn't)(?: not)? (?:my|our)\b",  # has my refund, was our cancellation
    ),
    _rule(
        "do did have will",
        r"\bdo (?:i|we) (?:still |currently |already )?owe\b",
        r"\bdo (?:i|we) (?:still |currently |already )?have (?:any |some )?(?:\w+ )?(?:unpaid|outstanding|open|overdue|pending|unread|upcoming|remaining|left)\b",
        r"\b(?:what|which) (?!options?\b|choices?\b|rights?\b|documents?\b|alternatives?\b|methods?\b)(?:\w+ ){1,2}(?:do|did|have) (?:i|we) (?:have|book|order|reserve|buy|pay)\b(?! to)",
        r"\bhow (?:much|many)\b[^?.!]{0,150}\b(?:do|will) (?:i|we) (?:still |currently |now )?(?:have|get)\b(?! to)",
    ),
    _rule(
        "left remaining",
        r"\b(?:i|we) (?:still |currently |now )?(?:have|had|get)\b[^?.!,]{0,150}\b(?:left|remaining)\b(?! over)",
    ),
    _rule(
        "me my our",
        r"(?:^|[.!?,;:] *|\b(?:why|when) )(?:have|has|had|was|were|did|is|are)(?:n't)? (?:the|a|any) [^?.!]{0,150}\b(?:(?:to|for) me|(?:of|for|to) (?:my|our))\b",
    ),
    _rule(
        "appointment booking order reservation payment transfer claim ticket request",
        r"\b(?:appointment|booking|order|reservation|payment|transfer|claim|ticket|request) (?:that )?(?:i|we) (?:\w+ed|made|sent|paid|bought)\b",
    ),
)
_OWN_FACTS: Final = _Rules(
    # tell me what I earn, when my next bill is due
    _rule(
        "number amount tell let know remind inform provide give calculate find check update advise see show verify say hear get pull bring read look retrieve go report",
        rf"\b(?:tell me|let me know|know|remind me|inform me|update me|advise me|hear|calculate|verify|provide|report|retrieve|pull up|bring up|look up|go over|check(?: up)? on|let me see|find out)\b(?: \w+){{0,6}}? (?:my|our) {_RECORD}",
        r"\b(?:tell me|let me know|know|remind me|find out|calculate|see|check|hear|figure out|inform me) (?:of )?(?:when|how much|how many|how high|which|what(?: (?:date|time|day|number|amount|kind of \w+))?)(?: \w+){0,3}? (?:i|we)\b(?! (?:can|could|should|need|have to|must|may|might|am allowed|want|would)\b)",
        r"\b(?:number|amount) of [\w ]{1,30} (?:i|we) have\b",
    ),
    _rule(
        "how what when",
        r"\bhow (?:much|many|high)\b[^?.!]{0,60}\b(?:do|did|am|have|will) (?:i|we) (?:still |currently |usually )?(?:make|earn|spend|owe|have|allowed|spent|earned|made|need to pay|have to pay)\b(?! to| if)",
        r"\bhow (?:much|high|many|low|big|small)\b[^?.!,]{0,30}\b(?:is|are|was) (?:the \w+ \w+ )?(?:\w+ ){0,2}(?:my|our)\b",
        r"\b(?:when|what (?:date|day|time))\b[^?.!]{0,40}\b(?:do|will|am|did|get) (?:i|we) (?:\w+ )?(?:get(?:ting)?|be|receive|paid)\b[^?.!]{0,20}\b(?:paid|pay|paycheck|salary|wages?|bonus)\b",
        r"\bwhen (?:do|must) (?:i|we) (?:have to |need to )?pay (?:my|our)\b",
    ),
    _rule(
        "have",
        r"\bdo (?:i|we) (?:still |already |currently |actually )?have (?:enough|anything|something|money|vacation|any(?: \w+)? (?:money|vacation|meetings?|appointments?|reservations?|bookings?|events?|messages?|points|rewards|plans|fines|bills|orders|debts?)"
        r"|(?:an? )(?:\w+ )?(?:appointment|meeting|reservation|booking|event|note|item|reminder|flight|balance|debt))\b",
        r"\bwhat do (?:i|we) have (?:on|scheduled|planned|coming)\b|\b(?:enough|any) money (?:left )?in my\b",
    ),
    _rule(
        "money amount", r"\bmoney\b[^?.!]{0,40}\b(?:is|are) in my\b|\bmoney in my\b|\bamount of money (?:is )?in my\b"
    ),
    _rule(
        "last next recent latest previous upcoming past",
        r"\b(?:my|our) (?:last|next|latest|most recent|recent|previous|upcoming|past) \w+|\bwhen (?:i|my \w+) (?:was |were |had |got )?last\b|\bwhen (?:did|was) (?:i|we|my \w+) last\b|\bmy \w+ was last\b",
    ),
    _rule(
        "calendar todo do list schedule agenda",
        r"\b(?:on|in|of|read|check|what's|what is|does) (?:back )?my (?:\w+ )?(?:calendar|to-?do|to do|agenda|shopping list|schedule|reminders?)\b",
    ),
    _rule(
        "transactions purchases spending expenses",
        r"\b(?:show|list|bring up|pull up|retrieve|display|get|find|see)\b(?: \w+){0,4}? (?:transactions|purchases|spending|expenses)\b",
    ),
    _rule(
        "approved ready due scheduled time booked confirmed active shipped processed arrive land landing board boarding expire",
        r"\b(?:is|are|was|will|when's|when is) (?:my|our) [\w&' ]{1,30}?\b(?:approved|ready|due|scheduled|on time|booked|confirmed|active|shipped|processed|arrive|land|landing|board|boarding|expire)\b",
    ),
    _rule(
        "status update updates news progress tracking",
        r"\b(?:status|updates?|news|progress|tracking)(?: \w+)? (?:of|on|for|about) (?:my|our)\b",
    ),
    _rule(
        "name call refer",
        r"\b(?:what(?:'s| is| was)|say|guess|remember|do you know|tell me) (?:you )?(?:\w+ ){0,2}my name\b|\bmy name (?:is|as|to be)\b|\bwhat (?:name )?(?:do|will|would|should) you (?:call|refer to) me\b|\bdo i have a name\b|\bname (?:\w+ ){0,3}(?:you have )?for me\b",
    ),
)
"""Unless it is asked how one finds out."""
_OWN_RECORD: Final = re.compile(
    rf"\b(?:is|are|does|do|will|isn't|aren't|doesn't|won't) (?:my|our) {_RECORD}"
    r"|\b(?:when|where|why|which|who|how (?:much|many|long|far|soon))(?: \w+){0,3}?(?:'s| is| are| was| were| did| does| has| have| will|n't)\b"
    rf"[^?.!,]{{0,150}}\b(?:my|our) {_RECORD}"
    r"|\bwho (?:\w+ed|is|was|has|saw) (?:in(?:to)? |at )?(?:my|our)\b"
    r"|\bwhat(?:'s| is| are| was| were) (?:the \w+(?: \w+)? of )?(?:my|our)\b(?! (?:advantage|best|chance|next|option|right|tax class))"
    rf"|\bwhat(?:'s| is| are| was| were|(?: \w+)? did)\b[^?.!,]{{0,150}}\b(?:my|our) {_RECORD}"
    rf"|\b(?:my|our) {_RECORD} (?:is|was|has|have|hasn't|isn't|wasn't|haven't|still|never|didn't|did|shows|says|got|keeps)\b"
    r"|\b(?:check|track|trace|look up|locate|find|tell me|show me|send me|give me|see|view|read|list)\b"
    rf"(?: \w+){{0,3}}? (?:my|our) {_RECORD}"
    r"|\b(?:check|find out|see|tell me|know) (?:if|whether) (?:my|our|i|we)\b(?! (?:can|could|will|should|may|might|need|must|have to|want)\b)"
    r"|\bi(?:'m| am| was|'ve been| have been| got)(?: still| being| double| wrongly| just)*"
    r" (?:charged|billed|overcharged|debited|waiting|owed)\b"
    r"|\bi(?:'ve| have) (?:already |just |recently )?(?:spent|used|taken|charged|made|paid|ordered|bought|earned)\b"
    r"|\b(?:i|we) (?:ordered|returned|paid|sent|booked|transferred|bought|requested|received)\b[^?]{0,150}"
    r"\b(?:ago|still|yet|since|never|but|and (?:received|got)|on (?:the )?\d)"
    r"|\b(?:i|we) (?:still )?(?:haven't|have not|didn't|did not|never) (?:yet )?(?:received?|gotten?|got)\b"
    rf"|\b(?:did|have) you\b[^?.!,]{{0,150}}\b(?:my|our) {_RECORD}|\b(?:did|have) you (?:get|got|receive|received|see|seen)\b[^?.!,]{{0,60}}\bmy\b"
    r"|\b(?:tell|show|send|give|read|remind) me (?:my|what (?:i|we))\b|\b(?:on file|on record) for me\b|\bhave you [^?]{0,60}\bfor me\b|\bdo you have [^?]{0,40} for me\b"
    r"|\bnear(?:est to)? (?:me|us)\b|\baround me\b|\bclosest to me\b|\bin my (?:area|city|town|neighbou?rhood)\b"  # where one is
    r"|\bi owe\b|\b(?:company|customer|user) account (?:was|has been|is|got)\b"
)
_HOW_TO: Final = re.compile(
    r"\bhow (?:do|can|could|would|should|might|to|does (?:one|someone)|(?:is|are)(?! (?:you|my|our)\b))\b"
    r"|\b(?:can|could|may|should|must|shall|would|do) (?:i|we|one) \w+"
    r"|\bwhat(?:'s| is| are)? the (?:best |easiest |right |usual )?(?:way|procedure|process|steps?|polic(?:y|ies)|rules?|deadline)\b"
    r"|\bwhat (?:do(?:es)?|can|should|must) (?:(?:i|we|one|you) (?:do|need)|[^?.!]{0,60} (?:mean|stand for))\b"
    r"|\b(?:steps?|ways?) (?:to|for)\b|\bhow\W*$"
)
"""A question for everybody; the asker's own affairs are only its occasion."""
_HOW_ONE_DOES: Final = re.compile(
    r"\b(?:how|where|what) (?:do|can|could|would|should|might|to|does|did|must)(?! (?:i|we) (?:have|make|earn|spend|owe|spent)\b(?! to))\b"
    r"|\b(?:can|could|may|should|must|shall|would) (?:i|we|one) (?!(?:please )?(?:get|have|see|know|ask)\b)\w+|\bhow\W*$|\bwhat (?:happens|if)\b|\b(?:steps?|ways?|possible|able|option) to\b|\bif (?:i|my|we|our)\b"
    r"|\b(?:know|tell me|explain|learn|understand) (?:how to|where to|what to|how i|where i|if i|whether)\b|\bhelp\b"
)
_IN_GENERAL: Final = re.compile(r"\bwhat (?:happens|if)\b|(?<!why )\b(?:is (?:it|there)|are there)\b")

_TO_DO: Final = (
    "cancel delete close remove move reschedule postpone change update correct reset resend refund rebook book check find transfer send forward add"
    " put block unblock freeze unlock activate deactivate renew extend upgrade downgrade switch reactivate restore approve"
)
_DO: Final = f"(?:{'|'.join(_TO_DO.split())}|look up)"
_TOLD: Final = (
    r"(?<!if )(?<!when )(?<!do )(?<!did )(?<!can )(?<!should )(?<!could )(?<!will )\b(?:i(?:'m| am|'ve| have| was| had| got| get| take| took| feel| felt| suffer| tested)"
    rf"|my (?:{_KIN} (?:is|has|was|had|got|just)|[\w ]{{1,30}}? (?:is|was|are|were|has|hurts?|feels?|came|test)))\b"
)
"""A statement about oneself or one's own people, not a condition."""
_HEALTH: Final = (
    "diabetes diabetic asthma asthmatic cancer hiv aids pregnant pregnancy depressed depression bipolar anxiety adhd autism autistic epilepsy epileptic"
    " allergic allergy allergies suicidal cholesterol migraine migraines stroke insulin chemo chemotherapy fever biopsy tumour tumor antidepressants"
    " diagnosed diagnosis miscarriage surgery rash std herpes arthritis dementia numb dizzy bleeding infection addicted addiction alcoholic insomnia"
    " psoriasis positive disabled disability schizophrenia schizophrenic pain attack pressure"
)
_TOLD_OF_ONESELF: Final = _Rules(
    _rule(
        _HEALTH,
        rf"{_TOLD}[^.?!]{{0,80}}\b(?:{'|'.join(_HEALTH.split()[:-3])}|pain in|(?:chest|back|stomach|knee|abdominal) pain|heart attack|blood pressure)\b",
    ),
    _rule(
        "blood weight bmi cholesterol heart pulse test result results scan",
        r"\bmy (?:blood (?:pressure|sugar|test|type)|weight|bmi|cholesterol|heart rate|pulse|\w+ test|\w+ (?:results?|scan)) (?:is|was|came|are|were|has)\b",
    ),
    _rule(
        "doctor gp therapist psychiatrist dentist midwife",
        r"\b(?:my|a) (?:doctor|gp|therapist|psychiatrist|dentist|midwife) (?:put|told|prescribed|said|says|gave|wants|has|found)\b",
    ),
    # a sum, a birthday
    _rule(
        "earn make owe weigh inherited",
        r"(?<!would )(?<!do )(?<!will )(?<!if )\b(?:i|we) (?:earn|make|owe|weigh|inherited)\b[^.?!]{0,25}\d",
    ),
    _rule(
        "born birthday birth dob live",
        r"\b(?:i|we) (?:was|were) born\b|\bmy (?:birthday|date of birth|dob) is\b|\bi live at\b",
    ),
    # a number, a password
    _rule(
        "ssn number id password passcode pin iban email mail address registration plate name username login code",
        r"\b(?:my|our) (?:ssn|social security number|tax id|password|passcode|pin|iban|e-?mail(?: address)?|(?:phone|mobile|card|account|customer|order|passport|licence|license|insurance|member) number"
        r"|address|home address|car registration|registration|number plate|customer id|user ?name|login) (?:is|are|=|:)"
        r"(?! (?:blocked|locked|wrong|not|lost|stolen|forgotten|expired|incorrect|too|invalid|rejected|refused|never|asked|no longer)\b)"
        r"|\b(?:password|pin|code|username) i (?:use|have|chose|picked) is\b",
    ),
    _rule(
        "surname name address email mail",
        r"\bmy (?:\w+ )?(?:surname|last name|first name|address|e-?mail) (?:on|in) (?:the|my|our)\b[^.?!]{0,40}\b(?:wrong|misspelled|incorrect|not)\b"
        r"|\bshows? the wrong (?:name|surname|address|date|amount)\b",
    ),
    # one's own people
    _rule(
        "keeps keep refuses refuse won't wants hates left cheated hit died fired texts",
        rf"\bmy (?:\w+-)?{_KIN} (?:keeps?|refuses?|won't|wants|hates|left|cheated|hit|died|fired|texts)\b",
    ),
    _rule(
        "account booking lease contract policy plan",
        rf"\b(?:my|our) {_KIN}\b[^?.!]{{0,60}}\b(?:on|to|from|under) (?:my|our|the) (?:account|booking|lease|contract|policy|plan)\b",
    ),
)
_FIGURES: Final = re.compile(
    r"\b(?:i(?:'m| am| weigh| take| was| measure|'ve| have)|my (?:\w+ ){1,2}(?:is|was|weighs|takes))\b[^.?!]{0,40}"
    r"\b\d+(?:\.\d+)? ?(?:kg|kilos?|cm|lbs?|pounds|mg|weeks|years old|years of age|months pregnant|yo)\b"
)
"""Age, weight, dose."""
_TO_BE_DONE: Final = _Rules(
    # do it for me: how to do it is not asked
    _rule(
        _TO_DO + " look",
        r"(?:(?:hi|hello|hey|ok|so)\W+(?:there\W+)?)?(?:(?:please|kindly)\W+|(?:can|could|would|will) you (?:please )?(?:just )?|you (?:need|have) to )"
        rf"{_DO} (?:up )?(?:all )?(?:my|our)\b",
        rf"{_DO} (?:all )?(?:my|our) (?:\w+ ){{1,4}}(?:to|on|as|until|onto|for (?:me|my)|and|please)\b",
        rf"{_DO} (?:all )?(?:my|our) (?:\w+ ){{0,5}}please\W*$",
        opens=True,
    ),
    _rule(
        "call text ring phone email contact refund callback send",
        r"\b(?:call|text|ring|phone|email|contact) me (?:back|on|at|when|as soon|please|later|about)\b|\btext me\b|\bme a (?:refund|call|callback)\b",
        r"\bsend (?:me |it |the )?[^?.!]{0,40}\bto my (?:address|e-?mail|phone|home)\b",
    ),
    _rule("need", r"\bi need (?:a|an|the) (?:window|aisle|later|earlier|new) (?:seat|appointment|date|slot|booking)\b"),
    # money gone, parcels gone
    _rule(
        "withdrew took transferred charged deducted debited",
        r"(?<!get )(?<!getting )(?<!be )(?<!being )\b(?:withdrew|took|transferred|charged|deducted|debited)\b[^.?!]{0,60}\b(?:from |to |into )?my (?:\w+ )?(?:account|card|balance|wallet)\b",
    ),
    _rule(
        "payment charge transaction debit fee",
        r"\b(?:payment|charge|transaction|debit|fee)\b[^.?!]{0,60}\bon (?:my|our) (?:\w+ )?(?:account|statement|card|bill|invoice)\b[^.?!]{0,40}\b(?:i|we) (?:don't|didn't|do not|never)\b",
    ),
    _rule(
        "says shows",
        r"\b(?:my|our) (?:package|parcel|order|delivery|app|account|statement|invoice) (?:still )?(?:says|shows)\b",
    ),
)
"""What somebody would have to look up, or do."""
_OF_A_CUSTOMER: Final = _rule(
    "tracking parcel package order shipment delivery refund late",
    r"\b(?:tracking|parcel|package|order|shipment|delivery|refund) (?:\w+ )?(?:hasn't|has not|didn't|never|is \d+ days)\b|\b(?:it's|its|is) \d+ (?:days|weeks|hours) late\b",
)
"""Told by what is said, without a word for the one who says it."""
_STATUS_OF_ONE: Final = _rule(
    "status",
    r"\b(?:order|delivery|refund|application|shipment|package) status\b|\bstatus of (?:the |an? )?(?:order|delivery|refund|shipment|application|parcel)\b",
)

# --- volatile: the right answer changes from hour to hour ---

_DAY: Final = "(?:monday|tuesday|wednesday|thursday|friday|saturday|sunday)"
_A_PROCESS: Final = (
    r"(?! (?:for|until|till|before) (?:[\w-]+ ){0,4}?(?:transfer|card|refund|payment|money|top[- ]?up|fund|delivery|order|package|parcel|cheque|deposit|approval|response|reply|result"
    r"|visa|passport|replacement|activation|withdrawal|transaction|account|verification)s?\b)"
)
"""Whose duration is asked for, not how long the queue is."""
_AT_THIS_MOMENT: Final = _Rules(
    _rule(
        "now moment minute time times present far days sale sold stock",
        r"\b(?:right now|at (?:the|this) (?:moment|minute|time)|at present|as of now|just now|so far|these days|up to the minute)\b",
        r"\b(?:in stock|out of stock|on sale|sold out)\b",
        r"^(?:is|are|any)\b.{0,150} now\W*$|\bopen now\W*$",
    ),
    _rule("today today's tonight tonight's", r"\b(?:tonight|today)(?:'s)?\b(?! show\b)"),
    _rule(
        "time day date",
        r"\bwhat(?:'s| is)? (?:the )?(?:time|day|date)(?: is it| it is)?(?:\W*$| today| in [a-z ]+\W*$)|\bwhat (?:time|day|date) (?:is it|it is)\b",
    ),
    _rule(
        "news headlines update updates outage outages delay delays disruption disruptions",
        r"\b(?:any|some) (?:news|updates?|outages?|delays?|disruptions?)\b|\b(?:breaking|latest) news\b|^(?:news|headlines) (?:on|about|from|in|today)\b",
    ),
    _rule(
        "next",
        r"\bwhen (?:is|are|does|do|will|can)(?: \w+){0,3}? the next\b|\b(?:time|date|start) of the next\b|\b(?:what's|what is) the next (?:train|bus|flight|game|match|episode|\w+ date)\b"
        r"|\bnext (?:train|bus|ferry|flight|tram) (?:to|from|home)\b|\bnext \w+ date of\b",
    ),
    _rule(
        "waiting wait queue hold busy crowded full long until till before",
        rf"\b(?:what's|what is|how long is) the (?:\w+ )?(?:wait(?:ing)?|queue|hold) times?\b{_A_PROCESS}|\bhow (?:busy|crowded|full) (?:is|are)\b|\bhow long (?:is|are) the (?:\w+ )?(?:queue|line|wait|delay)s?\b{_A_PROCESS}",
        r"\bhow many (?:days|weeks|hours) (?:until|till|to|before) (?:the )?(?:christmas|easter|halloween|new year|summer|ramadan|thanksgiving)\b|\bdays until\b",
    ),
)
"""Words for now."""
_DATED: Final = _rule(
    "tomorrow tomorrow's yesterday yesterday's night morning afternoon evening currently forecast current year's month's week's week weekend weekend's month year summer winter season"
    " monday tuesday wednesday thursday friday saturday sunday latest newest recent interest",
    r"\b(?:tomorrow|yesterday|last night|this (?:morning|afternoon|evening)|currently(?! (?:support|accept|offer|operate|serve)\b)|weather forecast"
    r"|(?:the|any|your|a|is|are|what's|what) current (?!(?:in|through|of|flow\w*|drawn|is|carrying)\b)\w+|this (?:month|year)'s"
    rf"|(?:next|last|this) (?:week|weekend|month|year|summer|winter|season|{_DAY}))(?:'s)?\b",
    rf"\b(?:latest|newest|most recent)\b|\b(?:cheapest|price|cost|costs|fare|free|room|table|tickets?|flight|train|show|vacanc\w+)\b[^?]{{0,60}}\b(?:on|for|this|next) {_DAY}\b",
    r"\binterest rate\b[^?]{0,40}\b(?:pay|offer|give)\b|\bcurrent (?:\w+ ){1,2}(?:rate|rates|price|prices|status)\b",
)
"""Volatile unless the question is how to do something."""
_TECHNICAL: Final = _set(
    "command function keyword variable sql python javascript java excel git docker bash linux css html regex postgres pandas directory branch commit tag const method"
)
_ABOUT_WORDS: Final = _TECHNICAL | _set(
    "mean means meaning definition define difference term phrase idiom plot novel wrote translate synonym opposite tense spell pronounce say"
)
"""Where a word for now is one that is asked about, or names a thing in a machine."""
_CURRENCIES: Final = _set(
    "dollar dollars usd eur euro euros yen jpy pound pounds gbp sterling peso pesos ruble rubles rupee rupees inr yuan franc francs chf cad krona won cny"
)
_CONVERTS: Final = _set("much many rate conversion worth convert converted trade what's what equals equal value")
_PAYS: Final = _set("account accounts transfer fee fees charge card top hold holding support accept accepted pay cost")
_NARRATED: Final = re.compile(
    r"(?<!do )(?<!did )(?<!am )(?<!have )(?<!can )(?<!should )\b(?:i|we|he|she|they|someone)(?:'ve| have)? (?:just |finally |also |already |only |recently )?"
    r"(?:was|were|had|tried|made|bought|paid|used|got|went|took|sent|saw|withdrew|did|forgot|lost|found|broke|left|felt|gave|put|been \w+ing|(?!need)\w{2,}ed)\b"
    r"|\b(?:wouldn't|didn't|wasn't|couldn't|got|was|were) (?:\w+ ){0,8}(?:today|yesterday|last|this)\b(?<!what was)"
)
"""The day only tells when something befell."""
_URGENT: Final = re.compile(
    r"\b(?:i|and|but) (?:really |desperately |urgently |also )?(?:need|want) (?!(?:to )?(?:know|see|find|check|hear|look|watch|be|you|what|get a hold|an update|the (?:latest|current))\b)\w+[^?.!]{0,60}\bright now\b"
    r"|^(?:can|could|may|should) i (?!see|watch|get|buy|book|know|find|hear|check|have)\w+[^?.!]{0,40}\bright now\W*$"
)
"""How soon something is to be done, not when it is true."""
_ASKS_FOR_FACTS: Final = _set("what what's how who who's which check")
_NOW_WORDS: Final = re.compile(
    r"\b(?:right now|at (?:the|this) (?:moment|minute|time)|at present|currently|current|in stock"
    r"|so far(?! (?:but|and|until)\b)(?!,)|still(?! (?:be |is |being )?(?:pending|listed|waiting|showing|shows?|says?|processing|not|there|see|\w+n't|don't|in)\b))\b"
)

_STATUS: Final = _Rules(
    _rule(
        "is are",
        r"(?:so )?(?:is|are) (?:the |your |you |all |any )?(?:(?!possible|allowed)[\w-]+ ){0,8}?(?:down|offline|online|back up|delayed|crowded|busy|degraded|failing|closed off|on time|running late|blocked|sold out|overcrowded|fully booked"
        r"|having (?:problems|issues|trouble)|out)(?: (?:again|for everyone|for anyone|for others|too|there))*\W*$",
        r"(?:is|are) (?:the |your )(?!\w+ (?:compatible|able)\b)(?:[\w-]+ ){1,8}?(?:working|running|open|shut|closed)(?: again)?\W*$",
        r"are you (?:guys )?(?:still |currently |already )?(?:open|closed|online|there|hiring)\W*$",
        r"(?:is|are) there (?:an? |any |some |still )?(?:\w+ )?(?:outages?|strikes?|delays?|traffic|maintenance|sale|disruptions?|warnings?|storms?|problems?|issues?|incidents?|queue|promotions?|special offers?)\b(?! (?:with|for) (?:a|an)\b)",
        r"(?:are|is) there (?:any |some |still |a )*(?:[\w-]+ )?(?:tickets?|seats?|spaces?|rooms?|tables?|slots?|places?|appointments?|vacanc(?:y|ies)|spots?)\b[^?]{0,40}\b(?:left|available|free|for)\b",
        r"(?:is|are) (?:the |a )?(?:size|colou?r|[\w-]+ in (?:size|blue|red|black|white|green))\b[^?]{0,60}\bavailable\W*$",
        r"(?:is|are) there anything (?:wrong|going on)\b",
        opens=True,
    ),
    _rule(
        "still yet already has have",
        r"(?:is|are|do|does|has|have)\b(?! (?:i|we|my|our|it)\b)[^?]{0,60}\bstill\b[^?]{0,60}(?:available|open|free|running|valid|going|left|on|room|rooms|tickets|seats|places|happening|working|down|offline)\b",
        r"(?:has|have|did|is|are)\b(?! (?:i|we|my|our|you|it)\b)[^?]{0,100}\b(?:yet|already)\W*$",
        r"(?:has|have) (?:the|there|any|your)\b(?![^?]{0,100}\bever\b)[^?]{0,100}\b(?:been|changed|started|ended|opened|closed|arrived|released|launched|reopened)\b",
        r"do you have (?:any )?(?:[\w-]+ )?(?:vacanc(?:y|ies)|availability|rooms? (?:free|available)|tables? (?:free|available))\b",
        opens=True,
    ),
    _rule(
        "many going status stock working",
        r"\bhow many\b[^?]{0,60}\b(?:are|is)(?: there)?(?: still)? (?:left|free|remaining|available|open)\b|^(?!.*\b(?:i|i'm|i've|my)\b).*\bgoing on\W*$|\bback in stock\b|\bhas a [^?]{0,40}working\b",
        r"\b(?:system|service|server|api|network) status\b|\bstatus of (?:the |your )(?:service|system|servers?|api|network|platform|line)\b",
    ),
)
"""How things stand."""
_TOPICAL: Final = _Rules(
    _rule(
        "weather",
        r"(?<!affect )(?<!of )(?<!bad )(?<!cold )(?<!hot )(?<!does the )(?<!affect the )\bweather\b"
        r"(?! (?:balloon|station|map|front|pattern|the|app|vane|system|proof|resist))(?! [^?]*\b(?:affect|influence|cause|mean)s?\b)",
    ),
    _rule(
        "forecast rain snow be hot cold warm raining snowing sunny",
        r"\bforecast (?:for|in)\b|\bwill it (?:rain|snow|be (?:hot|cold|sunny|warm|windy|dry))\b|\bhow (?:hot|cold|warm) (?:is|will) it\b|\bis it (?:raining|snowing|sunny|cold outside)\b",
    ),
    _rule(
        "pollen uv air temperature tide sunset sunrise",
        r"\b(?:pollen count|tide times?|air quality) (?:in|for|on|at|today|tomorrow)\b|\bwhat(?:'s| is) the (?:pollen count|uv index|air quality|temperature)(?: like)?(?: (?:outside|in [a-z ]+))?\W*$",
        r"\bwhen is (?:the )?(?:sunset|sunrise|high tide|low tide)\b",
    ),
    _rule(
        "prices price stock share shares bitcoin btc ethereum barrel ounce crude brent dax dow nasdaq ftse s&p nikkei market markets",
        r"\b(?:stock|share|gas|petrol|fuel|gold|silver|oil|bitcoin|btc|ethereum|crypto) prices?\b(?! (?:index|mean|work|elastic))",
        r"\bprice of (?:a |an )?(?:barrel|ounce|gold|silver|oil|bitcoin|btc|eth\w*|petrol|gas|diesel|crude|brent)\b",
        r"\bhow much (?:is|does|are) [^?]{0,40}\b(?:stock|shares?|bitcoin|btc|ethereum|barrel|ounce of gold|crude|brent)\b",
        r"\bhow(?:'s| is| are) (?:the )?(?:dax|dow|nasdaq|ftse|s&p|nikkei|stock market|markets?|bitcoin)\b",
    ),
    _rule(
        "exchange mortgage",
        r"\bexchange rate (?:between|from|of|for) (?!my\b|an? (?:item|purchase|payment)\b|the (?:item|purchase|payment)\b)[^?]{1,30} (?:and|to)\b|\b\w+ to (?!(?:\w+ )?(?:the|an?|your|my) exchange)(?:\w+ )?\w+ exchange rate\b|\bwhat(?:'s| is) the exchange rate(?: like)?(?: of \w+)?\W*$|\bwhat are (?:\w+ )?mortgage rates\W*$",
    ),
    _rule(
        "time date",
        r"\b(?:tell me|know|look up|give me|check|telling me|remind me of|have|what(?:'s| is| will be)) (?:what )?(?:the )?(?:exact |current |right |correct )?(?:time|date)(?: it is| is)?(?: (?:in|at) [\w ,']+)?\W*$",
        r"^(?:the |current )?(?:time|date) in [\w ,]+\W*$|^(?:the )?(?:current|exact) (?:time|date)\b|\b(?:time|date|day) (?:will|would|is|does) (?:it|your) (?:be|\w+ say)|\bfrom (?:now|today)\b(?! on\b)|\bwhat will (?:be )?the date\b|\btime do you have\b",
    ),
    _rule(
        "days weeks",
        r"\b(?:in|after) (?:\w+ )?(?:\w+|\d+) (?:days|weeks),? what (?:date|day|will)\b|\b(?:days|weeks) from (?:now|today)\b(?! on\b)",
    ),
    _rule(
        "forecast rain raining snow temperature temperatures conditions tornado tornadoes storm hurricane",
        r"\b(?:the|day|weekend|week's|a|rain|snow) forecast\b(?! (?:model|method|accuracy))|\bchance of (?:rain|snow)\b|\bgoing to (?:rain|snow|storm)\b|\b(?:rain|snow) (?:today|on|in the next|this|coming)\b|\btemperatures? (?:will|going to be|outside|over the|in [a-z]+\W*$)"
        r"|\bconditions (?:like )?in \w+|\b(?:storms?|tornado(?:es)?|hurricanes?) (?:coming|soon|near)\b",
    ),
    _rule(
        "traffic",
        r"^(?!how (?:do|can|to)\b)(?!.*\b(?:web ?site|site|network|incoming|outgoing|inbound|outbound|port|ports|data|lights?|signs?|tickets?|fines?|organic|sources?|rules|laws?|vpn|server|encrypted|internet|google|cones?)\b)"
        r".*\b(?:how|is|what(?:'s)?|any|tell|will|be|there|know|check)\b.*\btraffic\b",
    ),
    _rule(
        "flight",
        r"\bflight status\b|\bflight [a-z]{2}\d+ |\bstatus of (?:\w+ ){0,3}flight\b|\b(?:updates?|status) on (?:\w+ ){0,3}flight\b|\bwhen (?:\w+ ){1,4}flight (?:\w+ ){0,3}(?:land|board|boarding|arrive|depart|leave|take off|get here|scheduled)\b|\bflight (?:\w+ )?(?:on time|delayed)\W*$",
    ),
    _rule(
        "busy crowded packed wait crowd table",
        rf"\b(?:is|will|does|are) [\w' ]{{2,30}}? (?:be |get )?(?:busy|crowded|packed)\b|\bhow (?:long|bad) (?:is|will|should) [\w' ]{{0,20}}\bwait\b(?! to \w){_A_PROCESS}|\b(?:the|a) wait (?:at|for a table|to be seated|time at)\b|\bhow long [^?]{{0,40}}\b(?:a|to get a) table\b|\bcrowd like\b",
    ),
    _rule(
        "song track music",
        r"\bsong\b.{0,30}\b(?:is this|is playing|playing (?:now|on)|this is|listening to)\b|\b(?:this|playing) (?:song|track)\b|\bwhat (?:song|music) is (?:this|on|playing)\b",
    ),
    _rule(
        "traffic",
        r"\bhow(?:'s| is) (?:the )?traffic\b|(?<!incoming )(?<!outgoing )(?<!network )(?<!web )(?<!inbound )(?<!outbound )(?<!more )\btraffic (?:on|into|in|to|jams? on|around|like)\b",
    ),
    _rule(
        "movies movie films film shows show bands concerts concert plays tv playing trending showing number one no charts polls standings",
        r"\b(?:what|which) (?:movies?|films?|shows?|bands?|concerts?|plays?)\b[^?]{0,20}\b(?:are|is)\b[^?]{0,20}\b(?:playing|on|showing|streaming)\b",
        r"\bwhat(?:'s| is) (?:on (?:tv|at the)|playing|trending|showing|number one|no\.? 1)\b|\bin the (?:polls|charts|standings)\b|\b(?:most trending|trending (?:on|in|now))\b",
    ),
    _rule(
        "codes code friday monday",
        r"\b(?:promo|discount|voucher|coupon) codes? (?:that|which|for (?:this|now))\b|\bany (?:\w+ )?(?:promo|discount|voucher|coupon) codes\b|\b(?:black friday|cyber monday) (?:deal|sale|offer)s?\b",
    ),
    _rule(
        "who who's",
        r"\bwho(?:'s| is| are) (?:currently )?(?:leading|winning|ahead|in the lead|playing|top of)\b|\bwho(?:'s| is) the (?:current|new|present|incumbent)\b",
        r"^who (?:won|got (?:voted|eliminated|kicked|sent)|scored|lost)\b(?![^?]*\b1\d{3}\b|[^?]*\b20[01]\d\b|[^?]*\b(?:war|battle|first|ever)\b)",
    ),
    _rule(
        "score concert concerts event events show shows gigs festival festivals deal deals sale sales reported infected registered fed duty menu",
        r"\b(?:what's|what is|what was|final) (?:the )?score (?:of|in|between)\b|\bdid the fed\b|\bnight duty\b|\b(?:lunch|dinner|canteen) menu (?:today|this)\b",
        r"\bany (?:\w+ )?(?:concerts?|events?|shows?|gigs|festivals?|deals?|sales?)\b(?: (?:in|on|at|this|near|running|going|tonight|today)\b|\W*$)",
        r"\bhow many [^?]{0,60}\b(?:were|was|are) (?:reported|infected|registered) (?:this|last|so far)\b",
    ),
)
"""What everybody knows to change."""

# --- sampling: chance, or something new each time ---

_PLEASE: Final = r"(?:hey |hi )?(?:please )?(?:(?:can|could|would|will) you )?(?:please )?(?:just )?"
_CHANCE: Final = _Rules(
    _rule(
        "surprise random randomly randomised randomized flip toss roll spin shuffle pick choose draw password passwords passphrase uuid guid uuids lottery nonce",
        _PLEASE
        + r"(?:surprise me|(?:give|pick|choose|generate|make|recommend|suggest|select|name|tell|show|create|draw|say|surprise)\b[^?.!]{0,60}\brandom(?:ly|ised|ized)?\b"
        r"|(?:flip|toss|roll|spin|shuffle) (?:a|an|the|two|three|some|these|those|this|me|it|\d)|draw (?:a|one|two|three|me) (?:\w+ )?cards?\b|(?:pick|choose|draw) (?:a|an|any|one|two|me)\b"
        r"|(?:generate|create|make|give|suggest|invent)(?: me)? (?:an? |some |another |\d+ )?(?:\w+ ){0,2}(?:password|passphrase|uuid|guid|lottery numbers|nonce)s?\b)",
        opens=True,
    ),
    _rule(
        "coin heads dice die",
        r"^(?!.*\b(?:probability|chances?|odds|expected|how many|why|what (?:is|are|does)|python|function|number of)\b).*(?:\b(?:coin (?:flip|toss)|(?:flip|toss|flipping|tossing)\b.{0,20}\bcoin|heads or tails)\b"
        r"|\b(?:roll(?:ed|ing)?|shoot|throw|role)\b.{0,25}\b(?:dice|die)\b|\b(?:dice|die) (?:a )?roll(?:ed)?\b)",
    ),
    _rule(
        "another more different new alternative else something regenerate reroll again",
        _PLEASE
        + r"(?:(?:give|tell|show|write|make|generate|create|suggest|do|try|find|say|produce)(?: me| us)? (?:just )?(?:another|one more|some more|a different"
        r"|an? (?:new|alternative)(?= (?:one|version|idea|joke|poem|story|name|quote|recipe|riddle|headline|title))"
        r"|something (?:else|new|different|funny|random|i)|a few more|(?:two|three|four|five|six|ten|\d+) more|different)\b|(?:regenerate|reroll|try again|again|another one|one more|something else)\b)",
        opens=True,
    ),
    _rule(
        "play game quiz ask test roast entertain amuse inspire motivate rock truth",
        _PLEASE
        + r"(?:(?:let's|let us|i want to|wanna|shall we) play\b|play (?:a|an|some|with|the) (?:\w+ ){0,3}(?:game|adventure|round|quiz)"
        r"|(?:quiz|ask|test|roast|entertain|amuse|inspire|motivate) (?:me|us|my)\b|rock\W+paper\W+scissors|truth or dare)",
        opens=True,
    ),
    _rule(
        "random time surprises surprise whatever different any",
        r"\bat random\W*$|\beach time\b(?=[^?]{0,20}\bask)|\bi (?:like|love) surprises\b|\bwhatever you (?:like|want|fancy)\b|\ball different\b|\bsurprise me\b|\b(?:but|make it) different this time\b|\bany (?:card|number),",
        r"\brandom (?:\w+ ){0,2}(?:character|name|fact|prompt|password|number between|joke|topic|movie|recipe|word)\W*$",
    ),
)
_WORKS: Final = (
    "poem poems haiku haikus limerick limericks sonnet sonnets ballad ballads story stories song songs lyrics rap raps verse verses joke jokes pun puns riddle riddles trivia"
    " dialogue dialogues monologue monologues sketch slogan slogans tagline taglines headline headlines nickname nicknames character characters fairytale tale tales fictional quote"
    " quotes compliment compliments insult insults parody toast speech vows"
)
_CREATIVE: Final = _Rules(
    _rule(
        _WORKS + " fact facts conversation names name ideas idea new lines line script scripts board pickup something",
        _PLEASE
        + r"(?:write|compose|create|make up|make|invent|imagine|come up with|generate|tell|give|draft|design|say|think of|suggest|recommend|propose|brainstorm|improvise)\b(?: me| us)?[^?.!]{0,60}"
        rf"\b(?:{'|'.join(_WORKS.split())}|(?:fun|interesting|cool|crazy) facts?|conversation between|names? for|ideas? for|new (?:\w+ )?(?:idea|name|recipe|game|word)s?"
        r"|opening lines?|scripts? for a (?:play|film)|board games?|pick-?up lines?|something funny)\b",
        opens=True,
    ),
    _rule(
        "invent imagine brainstorm make suggest recommend",
        _PLEASE + r"(?:invent\b|imagine (?:a|an|that|you)\b|brainstorm\b|make up (?:a|an|some)\b"
        r"|(?:suggest|recommend)(?: me)? (?:a|an|some|me|\w+ing) (?:\w+ ){0,3}?(?:name|hobby|book|movie|film|song|dinner|gift|game|activity|title|unusual)\w*\b)",
        opens=True,
    ),
    _rule(
        "joke jokes laugh giggle smile one-liners liners",
        r"^(?!.*\b(?:explain|meaning|understand|why|origin|what is a joke)\b).*\b(?:tell|know|give|hear|hit|heard|want|share|got|favou?rite|funniest|best|good|have|any|recite|say)\b.*\b(?:jokes?|one[- ]liners)\b|\bmakes? me (?:laugh|giggle|smile)\b|\bneed a (?:good )?laugh\b",
    ),
    _rule(
        "fact facts trivia tidbit tidbits",
        r"\b(?:fun|interesting|amazing|cool|crazy|surprising|trivia) (?:\w+ )?(?:facts?|tidbits?)\b|\btrivia\b(?! (?:night|rules|app))|^(?:please )?(?:tell|give) me (?:a|some|one) facts?\b",
    ),
    _rule(
        "good funny something",
        r"\bwhat(?:'s| is) a good (?:pun|joke|name|slogan|title)\b|\btell me something (?:i don't|interesting|funny|new|cool)\b|\b(?:good|funny) (?:pun|joke)s? about\b",
    ),
)
_PIECE_OF_WORK: Final = _set(
    "function script query program code sql python javascript java regex class method test tests api command excel formula bash algorithm how"
)
"""Its right form does not depend on taste."""

# --- what a question is about ---

_PRICES: Final = _rule(
    "price prices pricing cost costs fee fees tariff tariffs charge charges discount discounts rate rates expensive cheap cheaper much surcharge commission interest voucher vouchers",
    r"\bpric(?:es?|ing)\b|\bcosts?\b|\bfees?\b|\btariffs?\b|\b(?:sur)?charges?\b|\bdiscounts?\b|\brates?\b|\bhow (?:expensive|cheap)\b|\bcheaper\b|\bhow much (?:is|are|do|does|will|would)\b|\bcommission\b|\binterest\b|\bvouchers?\b",
)
_POLICIES: Final = _rule(
    "policy policies terms conditions rule rules warranty guarantee refund refunds return returns returned deadline notice period allowed entitled eligible eligibility"
    " hours opening limit limits legal law age minimum maximum days weeks months must cancel cancellation compensation permitted required",
    r"\bpolic(?:y|ies)\b|\bterms\b|\bconditions\b|\brules?\b|\bwarranty\b|\bguarantee\b|\brefunds?\b|\breturn(?:s|ed)?\b|\bdeadline\b|\bnotice period\b|\b(?:allowed|permitted|required|entitled|eligible|eligibility)\b"
    r"|\bopening hours\b|\blimits?\b|\b(?:legal|law)\b|\b(?:minimum|maximum) (?:age|term|period|amount)\b|\bhow many (?:days|weeks|months) (?:do|can|may|must|have)\b|\bcompensation\b|\bcancellation\b",
)

# --- follow-ups: the question points to what was said before ---

_BEGINS_IN_THE_MIDDLE: Final = re.compile(
    r"(?:and|but|or|also|then|(?:ok|okay|yes|yeah|no|nope|so)(?= ?,| and| but| what| how| it| that| the | i | please))\b(?!.{40})"
    r"|(?:what|how) about\b|(?:what|and) if (?:it|that|they|not|so)\b"
    r"|(?:the )?same (?:for|with|in|on|but|as|thing)\b|(?:the|that|this) (?:one|other)s?\b|(?:(?:sorry|no|yes|actually),? )?i (?:meant|mean)\b"
    r"|(?:why|why not|how come|really|are you sure|since when|how so|such as|like what|for example|which one|until when|for how long|how long|how many|how much|where|when|who)\W*$"
    r"|really\b|(?:not the|instead of(?: the)?|without(?: the)?) [\w ]{1,25}(?:,|\W*$)|in [\w ]{1,25}\W*$|(?:as|into) (?:a|an) \w+(?: \w+)?\W*$|now (?:do|make|try|write|one|with|in|the same|add|explain)\b"
    r"|.{0,30}\b(?:instead|as well|either|too)\W*$|(?:does|do|is|are|will|did|has|would|can)(?! (?:i|we|you)\b)(?: \w+){1,2}? also\b"
    r"|(?:that|this) (?:is(?! (?:very |so |really )?(?:urgent|frustrating|ridiculous|annoying|unacceptable|crazy|an emergency)\b.{20})|was|did|does|didn't|doesn't|isn't|won't|wasn't)\b|that's\b|it's (?:not(?! (?:letting|allowing) me \w+ \w+)|still|wrong)\b|(?:which|what|any|those|these) ones?\b"
    # a comparison of things that are not named
    r"|(?:what|which|who)(?:'s| is| are| was| were)? (?:the )?(?:\w{2,}est|best|worst|better|most \w+|least \w+|cheaper|faster)(?: (?:ever|one|ones|option|type|kind|choice))*(?= (?:for|in|on|of|ever|at|and|to have)\b|\W*$)"
    r"|what other\b(?!.*\b(?:you|my|i)\b)"
)
_POINTS_BACK: Final = _Rules(
    _rule(
        "about else",
        r"\bwhat about (?:the|that|this|it|those|them)\b|\bwhat else\b|\bmore about (?:it|that|this|them|these|those)\b",
    ),
    _rule(
        "you your",
        r"\byou (?:just |have |already |also )?(?:said|mentioned|told|wrote|suggested|described|forgot|missed|skipped|gave|listed|recommended|meant)\b",
        r"\b(?:as|like|what|when|if|since) you say\b|\byou say (?:it|so|again)\b|\byou say (?:that|this)\W*$",
        r"\bdid you (?:just )?(?:say|mention|suggest|mean|write|recommend|get this|get that)\b|\bdo you mean\b|\bdo you recommend\W*$|\bwould you (?:recommend|suggest|choose|pick)\W*$",
        r"\byour (?:last|previous|first|second|latest|own)? ?(?:answer|code|reply|response|example|suggestion|explanation|solution|summary|translation|script)\b",
    ),
    _rule(
        "above last previous latter former first second third fourth fifth next final other",
        r"\b(?:as|mentioned|listed|code|text|list|points?|error|table|the|question|example|from|function|article|story) above\b",
        r"\b(?:your|the) (?:last|previous|latter|former) (?:\w+ ){0,2}(?:answer|point|question|message|one|step|example|paragraph|response|reply|sentence|part|option|suggestion)s?\b",
        r"\bthe (?:first|second|third|fourth|fifth|last|next|final|other) (?:point|option|step|example|paragraph|sentence|bullet|suggestion|ten|two|three|few|answer|question)(?: again| please| more)*\W*$",
    ),
    _rule(
        "step point option part number",
        r"\b(?:step|point|option|part|number) (?:\d+|one|two|three|four|five)(?: again| please)*\W*$",
    ),
    _rule("case that besides", r"\b(?:in that case|after that|before that|besides)\W*$"),
    _rule(
        "tell say explain go more comparison",
        r"\b(?:tell me|say|explain) (?:more|again)\b.{0,12}$|\bsay (?:that|it|this)\b.{0,12}$|\bgo on\b(?=\W*$| please\W*$)|\bmore (?:details?|examples?|please)\W*$|\bin comparison\W*$",
    ),
    _rule(
        "them those these two bug mistake error",
        # unless something was named before, or one of many is meant that everybody knows
        r"\bof the two\b|^[^.!?,]*\bof them\b|^[^.!?]*(?<!\bone )\bof (?:those|these)\b|\bthe (?:bug|mistake|error) in (?:the|your) (?:code|text|script)\b",
    ),
)
_ABOUT_THE_ASSISTANT: Final = re.compile(
    r"\b(?:who|what|where|how (?:old|young|tall|big|smart)) (?:exactly )?(?:are|were) you\b(?! (?:\w+ing|on about|sure|from that|at)\b)|\bhow (?:old|young|tall|big) (?:you are|will you be)\b"
    r"|\bwhere (?:do|did|have) (?:you|they) (?:come|make|made|call|get)\b(?: you)?(?: from)?\W*$|\b(?:who|whom) (?:do|are|is) (?:it )?you (?:work|working)(?: for)?\W*$|\bare you (?:from|an? (?!good|better)\w+|alive|real|human|young|old)\b"
    r"|\bwhat (?:all |else )?can you (?:do|help)(?: (?:for )?me)?(?: with)?\W*$|\bthings? (?:that )?(?:can you|you can) (?:do|help)(?: (?:for )?me)?(?: with)?\W*$|\btell me what you can (?:do|help)(?: (?:for )?me)?(?: with)?\W*$"
    r"|\bwhat (?:do|should|can|may|would) (?:you|they|i|we) (?:like to be |be |go |call )(?:called|by|you)\b|\bwhat (?:you are|are you|should you be) called\b|\b(?:when|where) (?:\w+ )?(?:is it |was it )?(?:were |are )?you (?:were |are )?(?:born|made|from|invented)\b"
)
"""The one who is spoken to needs no name."""
_EXPLETIVE: Final = re.compile(
    # it that stands for what comes later in the sentence, or for nothing
    r"\b(?:is|was|be|would|isn't) (?:it|this) (?:still |also |really )?(?:possible|allowed|permitted|ok|okay|legal|illegal|forbidden|necessary|required|mandatory|compulsory)(?: that)?\b(?= \w+ \w+)"
    r"|\b(?:is|was|be|would) it (?:(?!related|similar|linked|connected|compared|due|close|closer|equal|used)\w+ ){0,3}(?:to|that|if|when)\b(?= \w+ \w+)(?![^?.!]* than\b)|\b(?:is|was|be|would) it (?:\w+ )?(?:called|like|possible|true|normal|safe|worth|better|cheaper)\b(?= \w+ \w+)"
    r"|\bit(?:'s| is| has|s)? (?:only |just |already |now )?been (?:\w+ ){1,3}(?:minutes?|hours?|days?|weeks?|months?|years?|time|while|long)\b|\b(?:has|'s) it been\b(?= since\b)"
    r"|\b(?:long|much time|soon) (?:does it|it|will it|would it|it will|it would) (?:\w+ly )?takes?\b(?=[^?.!]{0,150} (?:to|for|before|until|till)\b \w+ ?\w+|(?: \w+){0,2} (?:an?|the|my) \w+(?: \w+)? to\b)"
    r"|\b(?:it(?:'s| is|s)?(?: not| doesn't| does not| didn't| won't| will not| never)*|(?:isn't|won't|doesn't|didn't|is|does|did|will) it(?: not)?) (?:lets?|letting|allows?|allowing) me\b(?= \w+ \w+)"
    r"|\bdoes it (?:still |always |keep )?(?:say|show)(?:ing)?(?: that)?\b(?= \w+ \w+)|\bone of (?:those|these)\b(?= \w+)|\bwhy is it (?:that )?(?=(?:i|my|we|our|you|the)\b)|\bit(?:'s| is) (?:very |so |really |quite )?urgent\b"
    r"|\b(?:does|do|did|will|would) it (?:take|cost|matter|mean|help|make sense|feel|work)\b(?=[^?.!,]{0,150} (?:to|if|when|for|until|till|before|being)\b \w+ ?\w+)"
    r"|\bit(?:'s| is| was) (?:\w+ )?\w+ (?:to|that|if)\b|\bit (?:takes?|costs?|says?|seems?|appears?(?: that)?|looks? (?:like|as if|as though)|should be|would be|hurts when|comes to|rains|snows)\b"
    r"|\bdo they (?:speak|use|call|say|filter|drive on)\b(?= \w+ ?\w*)|\bwho is they\b|\bthey say\b"
    # this before a noun names something that lies at hand
    r"|\bthis (?:app|site|website|service|page|card|company|account|product|device|phone|chat|bot|message|number|year|week|month|store|shop|hotel|restaurant|bank|portal|system|tool|way|time|form|platform|programme|program)\b"
    r"|\b(?:this|that) (?:and|or|vs|versus) (?:that|this|self|which|super)\b|\b(?:keyword|clause|pronoun|which or|word) (?:this|that)\b"
)
_PRONOUN: Final = re.compile(
    r"(?<!-)\b(?P<object>it|them|him|that|this|these|those)\b(?!-)"
    r"|(?<!-)\b(?P<subject>they|he|she|it's|he's|she's|they're|its|their|his|her|hers|theirs|both of|either of|neither of|ones)\b(?!-)"
    r"|\b(?P<other>(?<!is )(?<!are )(?<!was )(?<!were )there\W*$|the (?:first|second|third|fourth|last|other|same|previous|latter|former|next|cheaper|bigger|smaller|new|old) (?:one|ones|option|two)"
    r"|an?(?:other)? (?:\w+ )?one\b(?! of)|the other (?:features?|method|way)|which one|of the two)\b(?!-)"
)
_CLAUSE_END: Final = re.compile(
    r"[.!?,;:–(]|\b(?:and|but|or|so|if|when|because|after|before|until|while|that|which|who|than|without|where|what|how|why|as|once|though|whether|since)\b|\bto (?!it\b|them\b|him\b|that\b|this\b|these\b|those\b|be\b)"
    r"|\b(?:can|do|does|did|is|are|will|should) (?=(?:i|we|you)\b)|\b(?:by|for) (?=\w+ing\b)|\b(?=\w{2,}ing (?:it|them|him|this|that)\b)"
)
_GOES_ON: Final = re.compile(
    r" ?(?:is|was|are|were|does|do|did|has|have|had|can|could|will|would|won't|can't|doesn't|didn't|isn't|wasn't|keeps|says|shows|stopped|works?|gets?|got|comes?|goes|went|needs?|takes?|costs?|should|must|may|never|always|still|just|\w+s|\w+ed)\b"
)
"""After a pronoun that is the subject of a clause of its own."""

_GENERIC: Final = _set(
    # little words
    "a an the i you we he she it its it's they them this that these those there here one ones is are was were be been being am do does"
    " did can could would should will shall may might must have has had having how what what's when where which who whose why if of for"
    " to in on at by with from about as and or but so not no yes my your our their his her me us him please much many long often far soon"
    " isn't aren't wasn't weren't don't doesn't didn't can't couldn't won't wouldn't shouldn't haven't hasn't that's there's who's how's where's"
    " else i'd i'm i've i'll you're they're he's she's we're let let's too also either neither both each every all any some such same other"
    " others another more most less least few lot lots bit even only just still already yet now then again once than very really quite"
    " actually exactly usually always never ever maybe perhaps instead besides however though although because since until while during after"
    " before above below up down out off over under into onto through between among within without via per vs like back away around"
    " first second third fourth fifth last next previous latter former new old own two three both part parts half"
    # what is said about anything
    " work works worked working cost costs take takes took taken need needs needed get gets got gotten getting give gives gave given go goes"
    " going gone went come comes came make makes made making mean means meant say says said tell tells told know knows known think want wants"
    " wanted try tries tried use uses used using put see seen saw show shows find found keep kept happen happens happened cause causes caused"
    " start starts started stop stops stopped begin began end ends ended become becomes became call calls called compare compares compared"
    " differ differs affect affects apply applies applied happen change changes changed look looks looked ask asked help helps helped matter"
    " choose chose chosen pick recommend recommended suggest describe explain elaborate clarify rewrite rephrase repeat continue summarise"
    " summarize translate convert expand shorten simplify improve fix try forget forgot forgotten miss missed include includes included exist"
    " exists stand stands lead leads led involve involved relate relates related"
    " type types kind kinds sort sorts example examples advantage advantages disadvantage disadvantages benefit benefits effect effects"
    " drawback drawbacks downside downsides upside pros cons symptom symptoms risk risks reason reasons difference differences similarity"
    " similarities feature features characteristic characteristics requirement requirements alternative alternatives option options step"
    " steps thing things stuff way ways something anything nothing everything someone anyone point points detail details"
    " answer question side main common important popular best better worst good bad different various typical possible key major similar"
    " specific certain sure true false right wrong big bigger biggest small smaller smallest large larger largest great high higher highest"
    " low lower lowest cheap cheaper cheapest fast faster fastest easy easier easiest hard harder hardest simple simpler simplest short"
    " shorter shortest longer longest formal informal famous famously well free safe dangerous reliable effective contagious"
    " treatable possible available necessary enough late early old older oldest young younger youngest tall heavy deep wide alive dead born"
    " die died invented invent inventor founder founded discovered win won lose lost origin origins history role purpose impact implication"
    " implications exception exceptions exceptional rule contribution contributions finding findings argument arguments theme themes"
    " character characters author population size height weight length colour color version format table list lines bullet bullets code"
    " text paragraph sentence sentences word words language english plain ok okay thanks thank hi hello hey possible exactly free works"
    " treatment treatments cure diagnosis sense idea ideas alternative instead recommend year years day days time times people person"
    " i.e e.g etc u pls plz really sorry yeah nope yep hmm oh wow cool nice great interesting"
)
"""Words that name nothing of their own: a text of nothing else says what to do with something, or asks about it,
and not what it is."""
_GREETINGS: Final = _set(
    "hi hello hey there ok okay thanks thank you thx cheers bye goodbye good morning evening afternoon night great yo sure yes no lol cool nice perfect"
)

_OTHER_LANGUAGES: Final = _set(
    # German
    "der das und ist nicht ich wie wo wann warum wer welche welcher welches mein meine meinen meinem meiner ein eine einen einem kann kannst"
    " können wird habe hat habt haben sie wir ihr euch mit für auf zu zum zur von vom bei auch noch heute dem den des es sind bitte gibt"
    " nach oder aber wenn mich mir uns unser unsere lange viel hoch wurde möchte ändere"
    # French
    " le les des du est et où mon ma mes je tu il elle nous vous comment pourquoi quand quel quelle quels combien pour avec dans sur pas une"
    " puis-je suis sont peut puis ai avez aux ce cette votre notre leur"
    # Spanish
    " el los las está están y mi mis cómo dónde cuándo qué quién cuál cuánto por para con del una puedo tengo su sus nuestro hay muy más es"
    # Italian, Portuguese, Dutch
    " il gli della di che è mio mia miei come dove quando perché posso sono ho ha un uno o os meu minha como onde está é não você para het een"
    " mijn ik hoe waar wanneer niet wat van voor kan ik je op"
) - _set("a an i me no on in is was wat war die o ha come do for sole he on es sur par pas con y el il mi ma un le")
_OWN_ELSEWHERE: Final = _set(
    "mein meine meinen meinem meiner meines unser unsere unserer mon ma mes notre nos mi mis nuestro nuestra mio mia miei mie meu minha meus mijn onze"
)
_HOW_TO_ELSEWHERE: Final = re.compile(
    r"\bwie (?:kann|kannst|muss|soll\w*|\w+e) (?:ich|man|wir)\b|\bwo (?:finde|kann) (?:ich|man)\b|\bkann (?:ich|man)\b|\bcomment\b|\bpuis-je\b|\bcómo\b|\bpuedo\b|\bcome (?:posso|si)\b|\bposso\b|\bcomo (?:posso|faço)\b|\bhoe kan\b|\bkan ik\b"
)
_NOW_ELSEWHERE: Final = _set(
    "heute morgen jetzt gerade aktuell aktuelle aktuellen derzeit momentan wetter gestern hoy ahora mañana actualmente caído ayer aujourd'hui maintenant"
    " demain actuellement hier oggi adesso domani ieri hoje agora amanhã ontem vandaag nu weer temps temperatura"
)
_OF_SOMEBODY: Final = _set("my our your")
_ASKER: Final = _OF_SOMEBODY | _set("i we")
_DEMONSTRATIVES: Final = _set("this that these those")
_PRONOUNS: Final = _set(
    "it them him that this these those they he she it's he's she's they're its their his her hers theirs both either neither one ones there other two option"
)
_ASKS: Final = _set(
    "what's who's where's how's when's is are was were do does did can could will would should may must has have how what when where which who why"
)
_OPENS_CLAUSE: Final = _set(
    "so sure mean means know say says said think explain show shows given now one ones those than everything anything something nothing all people person thing things way ways"
)
_BEFORE_NOUN: Final = _set(
    "about does do did is was of for like to with in will can would could should on by from than after at if and or but what why how when before without into under over through not are has"
    " translate make change use try tell told explain describe repeat rewrite summarise summarize find fix get give need want take have help"
)
_COMPARED: Final = re.compile(r"\bbetween (?!them\b|these\b|those\b|the\b|it\b)\w+ (?:and|&|or|vs) (?!them\b|it\b)\w+")
_WORD: Final = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_QUOTED: Final = re.compile(r"(?<!\w)(?:'[^']{1,80}'|\"[^\"]{1,80}\"|“[^”]{1,80}”|«[^»]{1,80}»|`[^`]{1,80}`)(?!\w)")
_TITLE_WORDS: Final = _set("yesterday tomorrow today tonight now")
_TITLE: Final = re.compile(
    r"(?<=[a-z,] )(?:The Day After )?(?:Yesterday|Tomorrow|Today|Tonight|Now)\b(?!['\w]| at| in| for)|\bThe Day After Tomorrow\b"
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
    reading = _read(text)
    if _identifies(reading) or (not shares_personal and _asks_of_oneself(reading)):
        return "personal"
    if _is_volatile(reading):
        return "volatile"
    if _asks_for_chance(reading):
        return "sampling"
    if has_earlier_turns:
        return "earlier-turns"
    if is_long:
        return "long"
    if _points_back(reading):
        return "follow-up"
    if len(reading.text) < 8 or len(reading.order) < 2 or reading.words <= _GREETINGS:
        return "short"
    if reading.is_foreign:
        return "other-language"
    if _lacks_antecedent(reading):
        return "follow-up"
    if _CREATIVE.hold(reading) and reading.words.isdisjoint(_PIECE_OF_WORK):
        return "creative"
    return ""


def content_class(text: str) -> ContentClass:
    """What a cacheable question is about, so that a route can keep answers to it for a shorter time. Pure."""
    reading = _read(text[:LONGEST_QUESTION])
    if _PRICES.holds(reading):
        return "price"
    return "policy" if _POLICIES.holds(reading) else "faq"


def _read(text: str) -> _Reading:
    text = " ".join(text.split()).replace("’", "'")
    line = text
    if "'" in line or '"' in line or "“" in line or "`" in line or "«" in line:
        line = _QUOTED.sub("quotation", line)
    lower = line.lower()
    words = frozenset(_WORD.findall(lower))
    if not words.isdisjoint(_TITLE_WORDS):
        lower = _TITLE.sub("title", line).lower()
    if not words.isdisjoint(_MENDED):
        lower = _WORD.sub(lambda word: _MENDED.get(word[0], word[0]), lower)
    order = _WORD.findall(lower)
    words = frozenset(order)
    return _Reading(text, lower.lstrip(" .,;:!?-*>(¿¡"), order, words, _is_foreign(text, order, words))


def _is_foreign(text: str, order: list[str], words: frozenset[str]) -> bool:
    """Whether a text is rather in another language than in English."""
    if not text.isascii():
        if "¿" in text or "¡" in text:
            return True
        if sum(letter > "ʯ" for letter in text) * 2 > len(text):  # beyond the Latin letters
            return True
    return not words.isdisjoint(_OTHER_LANGUAGES) and sum(word in _OTHER_LANGUAGES for word in order) > sum(
        word in _GENERIC for word in order
    )


def is_personal(text: str) -> bool:
    """Whether the right answer depends on who asks: identifiers, something told about oneself, or a question about
    one's own affairs. A how-to question ("how do I change my password") is not personal unless it carries one."""
    reading = _read(text)
    return _identifies(reading) or _asks_of_oneself(reading)


def _identifies(reading: _Reading) -> bool:
    """Whether the text itself says who asks, or tells what is nobody else's business: never to be kept."""
    has_marks = _MARKS.search(reading.text) is not None
    if has_marks and _NUMBERS.search(reading.text):
        return True
    if not reading.words.isdisjoint(_NAMING) and _NAMES.search(reading.text):
        return True
    if reading.words.isdisjoint(_FIRST_PERSON):
        return False
    return _TOLD_OF_ONESELF.hold(reading) or (has_marks and _FIGURES.search(reading.line) is not None)


def _asks_of_oneself(reading: _Reading) -> bool:
    """Whether the answer lies in what is kept about the one who asks."""
    line, words = reading.line, reading.words
    if _OF_A_CUSTOMER.holds(reading) or (_STATUS_OF_ONE.holds(reading) and not _HOW_TO.search(line)):
        return True
    if words.isdisjoint(_FIRST_PERSON):
        return reading.is_foreign and not words.isdisjoint(_OWN_ELSEWHERE) and not _HOW_TO_ELSEWHERE.search(line)
    if _OWN_STATE.hold(reading) or _TO_BE_DONE.hold(reading):
        return True
    if _OWN_FACTS.hold(reading) and not _HOW_ONE_DOES.search(line):
        return True
    return bool(_OWN_RECORD.search(line)) and not (_HOW_TO.search(line) or _IN_GENERAL.search(line))


def is_volatile(text: str) -> bool:
    """Whether the right answer is true only at one moment."""
    return _is_volatile(_read(text))


def _is_volatile(reading: _Reading) -> bool:
    line, words = reading.line, reading.words
    if reading.is_foreign and not words.isdisjoint(_NOW_ELSEWHERE):
        return True
    if _STATUS.hold(reading) or _TOPICAL.hold(reading):
        return True
    if len(words & _CURRENCIES) > 1 and not words.isdisjoint(_CONVERTS) and words.isdisjoint(_PAYS):
        return not _is_narrated(reading)
    if not _AT_THIS_MOMENT.hold(reading) and not (_DATED.holds(reading) and not _HOW_TO.search(line)):
        return False
    if not words.isdisjoint(_ABOUT_WORDS):
        return False
    if "now" in words and _URGENT.search(line) is not None:
        return False
    return not _is_narrated(reading) or _NOW_WORDS.search(line) is not None


def _is_narrated(reading: _Reading) -> bool:
    """Whether it tells what befell somebody. Only for a text that has words."""
    return reading.order[0] not in _ASKS_FOR_FACTS and _NARRATED.search(reading.line) is not None


def _asks_for_chance(reading: _Reading) -> bool:
    return _CHANCE.hold(reading) and reading.words.isdisjoint(_PIECE_OF_WORK)


def is_follow_up(text: str) -> bool:
    """Whether a first turn points to something that was said before it: by its wording, by naming nothing, or by a
    pronoun before which the text names nothing that the pronoun could stand for."""
    reading = _read(text)
    return bool(reading.order) and (_points_back(reading) or _lacks_antecedent(reading))


def _points_back(reading: _Reading) -> bool:
    return _BEGINS_IN_THE_MIDDLE.match(reading.line) is not None or _POINTS_BACK.hold(reading)


def _lacks_antecedent(reading: _Reading) -> bool:
    if reading.words <= _GENERIC:
        somebody = _ASKER if len(reading.order) > 3 else _OF_SOMEBODY
        if reading.words.isdisjoint(somebody) and not _COMPARED.search(reading.line):
            return _ABOUT_THE_ASSISTANT.search(reading.line) is None
    if reading.words.isdisjoint(_PRONOUNS):
        return False
    line = _EXPLETIVE.sub(" ", reading.line)
    for found in _PRONOUN.finditer(line):
        before = line[: found.start()]
        if not _stands_for_something(found, before, line):
            continue
        ends = [end.start() for end in _CLAUSE_END.finditer(before)]
        if _names_something(before[: ends[-1]] if ends else ""):
            return False
        # Nobody says "did the dog see it" of the dog itself: in a question only a possessive, or the subject of a
        # clause that no comma sets apart, can stand for something named in its own clause.
        if (
            (found["object"] or found[0].startswith("there"))
            and reading.order[0] in _ASKS
            and not _GOES_ON.match(line, found.end())
        ):
            return True
        return not _names_something(before)
    return False


def _stands_for_something(found: re.Match[str], before: str, line: str) -> bool:
    """Whether a pronoun refers; not if it opens a clause or goes with a noun that says what is meant."""
    word = found["object"]
    if word not in _DEMONSTRATIVES:
        return True
    after = _WORD.match(line, found.end() + 1)
    if word in ("this", "these"):
        return not _names_something(" ".join(_WORD.findall(line[found.end() : found.end() + 40])[:2]))
    previous = _WORD.findall(before[-24:])
    if not previous or line[found.start() - 2 : found.start() - 1] in ",.;:!?":
        return True
    if previous[-1] not in _GENERIC or previous[-1] in _OPENS_CLAUSE:  # people that, I know that
        return False
    return after is None or word == "those" or previous[-1] in _BEFORE_NOUN


def _names_something(text: str) -> bool:
    return any(word not in _GENERIC for word in _WORD.findall(text))
