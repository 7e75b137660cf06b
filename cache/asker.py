"""Whether the right answer to a text depends on who asks, or the text tells who that is. Pure."""

import re
from typing import Final

from cache.reading import HOW_TO, Reading, Rules, rule, word_set

_FIRST_PERSON: Final = word_set("i my me mine we our us i'm i've i'd i'll we're we've we'd myself")
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
_NAMING: Final = word_set("i'm am name me is mr mrs ms dr my our")
_RECORD: Final = (
    r"(?:(?!with|for|from|to|in|on|of|and|or)\w+ ){0,2}(?:account|application|appointment|balance|bill|bonus|booking|cancellation"
    r"|card|charge|claim|contract|credit|deductible|delivery|deposit|discount|fee|invoice|limit|membership|order|package|parcel|payment|payslip"
    r"|payout|plan|points|policy|prescription|purchase|refund|rent|request|reservation|results?|reward|salary|score|shipment|statement|status"
    r"|subscription|ticket|top[- ]?up|transaction|transfer|usage|withdrawal|paycheck|payday|rating|rewards|schedule|calendar|agenda|meeting|list|income|vacation"
    r"|pto|leave|day off|days off|mortgage|loan|savings|flight|reminder)s?\b"
)
"""What a company keeps about one customer."""
_OWN_STATE: Final = Rules(
    # have I, did we, am I: what was done or is the case; not what one must or may do
    rule(
        "have has had am was were did didn't haven't hasn't wasn't",
        r"\b(?:have|has|had|am|was|were|did|didn't|haven't|wasn't) (?:i|we)\b(?! (?:to|need to|have to|able|allowed|supposed|required|free to)\b)"
        r"(?! (?:eligible|entitled) (?:for|to) (?:a|compensation|return|cancel)\b)",
        r"\b(?:have|has|had|was|were|did|didn't|haven't|hasn't|wasn't)(?: not)? (?:my|our)\b",  # has my refund, was our cancellation
    ),
    rule(
        "do did have will",
        r"\bdo (?:i|we) (?:still |currently |already )?owe\b",
        r"\bdo (?:i|we) (?:still |currently |already )?have (?:any |some )?(?:\w+ )?(?:unpaid|outstanding|open|overdue|pending|unread|upcoming|remaining|left)\b",
        r"\b(?:what|which) (?!options?\b|choices?\b|rights?\b|documents?\b|alternatives?\b|methods?\b)(?:\w+ ){1,2}(?:do|did|have) (?:i|we) (?:have|book|order|reserve|buy|pay)\b(?! to)",
        r"\bhow (?:much|many)\b[^?.!]{0,150}\b(?:do|will) (?:i|we) (?:still |currently |now )?(?:have|get)\b(?! to)",
    ),
    rule(
        "left remaining",
        r"\b(?:i|we) (?:still |currently |now )?(?:have|had|get)\b[^?.!,]{0,150}\b(?:left|remaining)\b(?! over)",
    ),
    rule(
        "me my our",
        r"(?:^|[.!?,;:] *|\b(?:why|when) )(?:have|has|had|was|were|did|is|are)(?:n't)? (?:the|a|any) [^?.!]{0,150}\b(?:(?:to|for) me|(?:of|for|to) (?:my|our))\b",
    ),
    rule(
        "appointment booking order reservation payment transfer claim ticket request",
        r"\b(?:appointment|booking|order|reservation|payment|transfer|claim|ticket|request) (?:that )?(?:i|we) (?:\w+ed|made|sent|paid|bought)\b",
    ),
)
_OWN_FACTS: Final = Rules(
    # tell me what I earn, when my next bill is due
    rule(
        "number amount tell let know remind inform provide give calculate find check update advise see show verify say hear get pull bring read look retrieve go report",
        rf"\b(?:tell me|let me know|know|remind me|inform me|update me|advise me|hear|calculate|verify|provide|report|retrieve|pull up|bring up|look up|go over|check(?: up)? on|let me see|find out)\b(?: \w+){{0,6}}? (?:my|our) {_RECORD}",
        r"\b(?:tell me|let me know|know|remind me|find out|calculate|see|check|hear|figure out|inform me) (?:of )?(?:when|how much|how many|how high|which|what(?: (?:date|time|day|number|amount|kind of \w+))?)(?: \w+){0,3}? (?:i|we)\b(?! (?:can|could|should|need|have to|must|may|might|am allowed|want|would)\b)",
        r"\b(?:number|amount) of [\w ]{1,30} (?:i|we) have\b",
    ),
    rule(
        "how what when",
        r"\bhow (?:much|many|high)\b[^?.!]{0,60}\b(?:do|did|am|have|will) (?:i|we) (?:still |currently |usually )?(?:make|earn|spend|owe|have|allowed|spent|earned|made|need to pay|have to pay)\b(?! to| if)",
        r"\bhow (?:much|high|many|low|big|small)\b[^?.!,]{0,30}\b(?:is|are|was) (?:the \w+ \w+ )?(?:\w+ ){0,2}(?:my|our)\b",
        r"\b(?:when|what (?:date|day|time))\b[^?.!]{0,40}\b(?:do|will|am|did|get) (?:i|we) (?:\w+ )?(?:get(?:ting)?|be|receive|paid)\b[^?.!]{0,20}\b(?:paid|pay|paycheck|salary|wages?|bonus)\b",
        r"\bwhen (?:do|must) (?:i|we) (?:have to |need to )?pay (?:my|our)\b",
    ),
    rule(
        "have",
        r"\bdo (?:i|we) (?:still |already |currently |actually )?have (?:enough|anything|something|money|vacation|any(?: \w+)? (?:money|vacation|meetings?|appointments?|reservations?|bookings?|events?|messages?|points|rewards|plans|fines|bills|orders|debts?)"
        r"|(?:an? )(?:\w+ )?(?:appointment|meeting|reservation|booking|event|note|item|reminder|flight|balance|debt))\b",
        r"\bwhat do (?:i|we) have (?:on|scheduled|planned|coming)\b|\b(?:enough|any) money (?:left )?in my\b",
    ),
    rule(
        "money amount", r"\bmoney\b[^?.!]{0,40}\b(?:is|are) in my\b|\bmoney in my\b|\bamount of money (?:is )?in my\b"
    ),
    rule(
        "last next recent latest previous upcoming past",
        r"\b(?:my|our) (?:last|next|latest|most recent|recent|previous|upcoming|past) \w+|\bwhen (?:i|my \w+) (?:was |were |had |got )?last\b|\bwhen (?:did|was) (?:i|we|my \w+) last\b|\bmy \w+ was last\b",
    ),
    rule(
        "calendar todo do list schedule agenda",
        r"\b(?:on|in|of|read|check|what's|what is|does) (?:back )?my (?:\w+ )?(?:calendar|to-?do|to do|agenda|shopping list|schedule|reminders?)\b",
    ),
    rule(
        "transactions purchases spending expenses",
        r"\b(?:show|list|bring up|pull up|retrieve|display|get|find|see)\b(?: \w+){0,4}? (?:transactions|purchases|spending|expenses)\b",
    ),
    rule(
        "approved ready due scheduled time booked confirmed active shipped processed arrive land landing board boarding expire",
        r"\b(?:is|are|was|will|when's|when is) (?:my|our) [\w&' ]{1,30}?\b(?:approved|ready|due|scheduled|on time|booked|confirmed|active|shipped|processed|arrive|land|landing|board|boarding|expire)\b",
    ),
    rule(
        "status update updates news progress tracking",
        r"\b(?:status|updates?|news|progress|tracking)(?: \w+)? (?:of|on|for|about) (?:my|our)\b",
    ),
    rule(
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
_TOLD_OF_ONESELF: Final = Rules(
    rule(
        _HEALTH,
        rf"{_TOLD}[^.?!]{{0,80}}\b(?:{'|'.join(_HEALTH.split()[:-3])}|pain in|(?:chest|back|stomach|knee|abdominal) pain|heart attack|blood pressure)\b",
    ),
    rule(
        "blood weight bmi cholesterol heart pulse test result results scan",
        r"\bmy (?:blood (?:pressure|sugar|test|type)|weight|bmi|cholesterol|heart rate|pulse|\w+ test|\w+ (?:results?|scan)) (?:is|was|came|are|were|has)\b",
    ),
    rule(
        "doctor gp therapist psychiatrist dentist midwife",
        r"\b(?:my|a) (?:doctor|gp|therapist|psychiatrist|dentist|midwife) (?:put|told|prescribed|said|says|gave|wants|has|found)\b",
    ),
    # a sum, a birthday
    rule(
        "earn make owe weigh inherited",
        r"(?<!would )(?<!do )(?<!will )(?<!if )\b(?:i|we) (?:earn|make|owe|weigh|inherited)\b[^.?!]{0,25}\d",
    ),
    rule(
        "born birthday birth dob live",
        r"\b(?:i|we) (?:was|were) born\b|\bmy (?:birthday|date of birth|dob) is\b|\bi live at\b",
    ),
    # a number, a password
    rule(
        "ssn number id password passcode pin iban email mail address registration plate name username login code",
        r"\b(?:my|our) (?:ssn|social security number|tax id|password|passcode|pin|iban|e-?mail(?: address)?|(?:phone|mobile|card|account|customer|order|passport|licence|license|insurance|member) number"
        r"|address|home address|car registration|registration|number plate|customer id|user ?name|login) (?:is|are|=|:)"
        r"(?! (?:blocked|locked|wrong|not|lost|stolen|forgotten|expired|incorrect|too|invalid|rejected|refused|never|asked|no longer)\b)"
        r"|\b(?:password|pin|code|username) i (?:use|have|chose|picked) is\b",
    ),
    rule(
        "surname name address email mail",
        r"\bmy (?:\w+ )?(?:surname|last name|first name|address|e-?mail) (?:on|in) (?:the|my|our)\b[^.?!]{0,40}\b(?:wrong|misspelled|incorrect|not)\b"
        r"|\bshows? the wrong (?:name|surname|address|date|amount)\b",
    ),
    # one's own people
    rule(
        "keeps keep refuses refuse won't wants hates left cheated hit died fired texts",
        rf"\bmy (?:\w+-)?{_KIN} (?:keeps?|refuses?|won't|wants|hates|left|cheated|hit|died|fired|texts)\b",
    ),
    rule(
        "account booking lease contract policy plan",
        rf"\b(?:my|our) {_KIN}\b[^?.!]{{0,60}}\b(?:on|to|from|under) (?:my|our|the) (?:account|booking|lease|contract|policy|plan)\b",
    ),
)
_FIGURES: Final = re.compile(
    r"\b(?:i(?:'m| am| weigh| take| was| measure|'ve| have)|my (?:\w+ ){1,2}(?:is|was|weighs|takes))\b[^.?!]{0,40}"
    r"\b\d+(?:\.\d+)? ?(?:kg|kilos?|cm|lbs?|pounds|mg|weeks|years old|years of age|months pregnant|yo)\b"
)
"""Age, weight, dose."""
_TO_BE_DONE: Final = Rules(
    # do it for me: how to do it is not asked
    rule(
        _TO_DO + " look",
        r"(?:(?:hi|hello|hey|ok|so)\W+(?:there\W+)?)?(?:(?:please|kindly)\W+|(?:can|could|would|will) you (?:please )?(?:just )?|you (?:need|have) to )"
        rf"{_DO} (?:up )?(?:all )?(?:my|our)\b",
        rf"{_DO} (?:all )?(?:my|our) (?:\w+ ){{1,4}}(?:to|on|as|until|onto|for (?:me|my)|and|please)\b",
        rf"{_DO} (?:all )?(?:my|our) (?:\w+ ){{0,5}}please\W*$",
        opens=True,
    ),
    rule(
        "call text ring phone email contact refund callback send",
        r"\b(?:call|text|ring|phone|email|contact) me (?:back|on|at|when|as soon|please|later|about)\b|\btext me\b|\bme a (?:refund|call|callback)\b",
        r"\bsend (?:me |it |the )?[^?.!]{0,40}\bto my (?:address|e-?mail|phone|home)\b",
    ),
    rule("need", r"\bi need (?:a|an|the) (?:window|aisle|later|earlier|new) (?:seat|appointment|date|slot|booking)\b"),
    # money gone, parcels gone
    rule(
        "withdrew took transferred charged deducted debited",
        r"(?<!get )(?<!getting )(?<!be )(?<!being )\b(?:withdrew|took|transferred|charged|deducted|debited)\b[^.?!]{0,60}\b(?:from |to |into )?my (?:\w+ )?(?:account|card|balance|wallet)\b",
    ),
    rule(
        "payment charge transaction debit fee",
        r"\b(?:payment|charge|transaction|debit|fee)\b[^.?!]{0,60}\bon (?:my|our) (?:\w+ )?(?:account|statement|card|bill|invoice)\b[^.?!]{0,40}\b(?:i|we) (?:don't|didn't|do not|never)\b",
    ),
    rule(
        "says shows",
        r"\b(?:my|our) (?:package|parcel|order|delivery|app|account|statement|invoice) (?:still )?(?:says|shows)\b",
    ),
)
"""What somebody would have to look up, or do."""
_OF_A_CUSTOMER: Final = rule(
    "tracking parcel package order shipment delivery refund late",
    r"\b(?:tracking|parcel|package|order|shipment|delivery|refund) (?:\w+ )?(?:hasn't|has not|didn't|never|is \d+ days)\b|\b(?:it's|its|is) \d+ (?:days|weeks|hours) late\b",
)
"""Told by what is said, without a word for the one who says it."""
_STATUS_OF_ONE: Final = rule(
    "status",
    r"\b(?:order|delivery|refund|application|shipment|package) status\b|\bstatus of (?:the |an? )?(?:order|delivery|refund|shipment|application|parcel)\b",
)
_OWN_ELSEWHERE: Final = word_set(
    "mein meine meinen meinem meiner meines unser unsere unserer mon ma mes notre nos mi mis nuestro nuestra mio mia miei mie meu minha meus mijn onze"
)
_HOW_TO_ELSEWHERE: Final = re.compile(
    r"\bwie (?:kann|kannst|muss|soll\w*|\w+e) (?:ich|man|wir)\b|\bwo (?:finde|kann) (?:ich|man)\b|\bkann (?:ich|man)\b|\bcomment\b|\bpuis-je\b|\bcómo\b|\bpuedo\b|\bcome (?:posso|si)\b|\bposso\b|\bcomo (?:posso|faço)\b|\bhoe kan\b|\bkan ik\b"
)


def identifies(reading: Reading) -> bool:
    """Whether the text itself says who asks, or tells what is nobody else's business: never to be kept."""
    has_marks = _MARKS.search(reading.text) is not None
    if has_marks and _NUMBERS.search(reading.text):
        return True
    if not reading.words.isdisjoint(_NAMING) and _NAMES.search(reading.text):
        return True
    if reading.words.isdisjoint(_FIRST_PERSON):
        return False
    return _TOLD_OF_ONESELF.hold(reading) or (has_marks and _FIGURES.search(reading.line) is not None)


def asks_of_oneself(reading: Reading) -> bool:
    """Whether the answer lies in what is kept about the one who asks."""
    line, words = reading.line, reading.words
    if _OF_A_CUSTOMER.holds(reading) or (_STATUS_OF_ONE.holds(reading) and not HOW_TO.search(line)):
        return True
    if words.isdisjoint(_FIRST_PERSON):
        return reading.is_foreign and not words.isdisjoint(_OWN_ELSEWHERE) and not _HOW_TO_ELSEWHERE.search(line)
    if _OWN_STATE.hold(reading) or _TO_BE_DONE.hold(reading):
        return True
    if _OWN_FACTS.hold(reading) and not _HOW_ONE_DOES.search(line):
        return True
    return bool(_OWN_RECORD.search(line)) and not (HOW_TO.search(line) or _IN_GENERAL.search(line))
