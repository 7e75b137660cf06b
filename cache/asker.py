"""Whether the right answer to a text depends on who asks, or the text tells who that is. Pure."""

import re
from typing import Final

from cache.reading import HOW_TO, Reading, Rules, rule, word_set

_FIRST_PERSON: Final = word_set("i my me mine we our ours us i'm i've i'd i'll we're we've we'd myself")
_MARKS: Final = re.compile(r"[\d@]")
_NUMBERS: Final = re.compile(
    r"[\w.+-]{1,64}@(?!example\.)[\w-]{1,64}\.\w"  # email address; example.com belongs to nobody (RFC 2606)
    # order, ticket and account numbers; no round sums, no standards, no error codes
    r"|(?<![\w.,/=-])(?<!ISO )(?<!IEC )(?<!RFC )(?<!DIN )(?<!port )(?<!error )(?<!code )(?<!root of )(?<!% of )(?<!percent of )(?<!factors of )(?<!olor #)(?<!olour #)\d{5,}\b(?<!000)(?![.,/]\d)(?! ?[*+×^%<>=/])(?! (?:plus|minus|times|divided|in (?:binary|hex|words|roman|decimal)|[a-z]*seconds|minutes|met(?:re|er)s|feet|bytes|steps|people|words|calories)\b)"
    r"|\b(?!0x|EU\d|ISO|IEC|RFC|KB\d|CVE|SHA|AES|RTX|GTX|HTTP|UTF|ERR|DDR|IEEE)(?=(?:[A-Z-]{0,20}\d){3})(?=[\d-]{0,20}[A-Z])[A-Z\d]+(?:-[A-Z\d]+)*\b"  # ORD-4821, INV2031, 9KX31877
    r"|\b[A-Za-z]{1,5}-\d{4,}\b"
    r"|\b\d{3,}-\d{3,}\b(?! ?(?:words?|characters|people|calories|kcal|euros?|dollars|pounds|kg|km|ml|miles|pages|users|hours|mg|watts)\b)(?<!\b(?:19|20)\d\d-(?:19|20)\d\d)"
    r"|(?<![CF])(?<!olor )(?<!olour )#\s?\d{2,}"
    r"|(?<![\d.^])(?!\d{4}-\d\d-\d\d)(?!\d (?:\d{1,2} ){3})\+?\b(?:\d[ -]?){9,}\b"  # phone and card numbers
    r"|\b(?:[Rr]oom|[Ff]lat|[Aa]partment|[Aa]pt|[Ll]ocker|[Ee]xtension) (?:no\.? |number )?\d{1,4}[A-Za-z]?\b|\b[Ss]eat \d{1,2}[A-K]\b"
    r"|\b(?i:customer|client|member|patient|employee|staff|student) (?i:no\.?|number|id)\W{0,3}\d{3,}"
    r"|\b[A-Z]{2}\d{2}(?: ?[A-Z\d]{4}){3,}"  # IBAN
    r"|\b[A-Z]{2}\d\d ?[A-Z]{3}\b"  # number plate
    r"|\bend(?:s|ing|ed) (?:in |with )?\d{3,4}\b"
    r"|\b\d{1,4} [A-Z]\w+(?:weg|allee|stra(?:ß|ss)e|gasse|platz| (?:Street|St|Road|Rd|Avenue|Ave|Lane|Drive|Row|Close|Court|Square|Crescent|Terrace|Gardens|Grove|Boulevard|Blvd|Mews|Quay))\b"
    r"|\b[A-Z]\w+(?:weg|allee|stra(?:ß|ss)e|gasse|platz| (?:Street|Road|Avenue|Lane|Drive|Crescent|Terrace|Gardens|Grove)),? \d{1,4}\b"
    r"|\b[A-Z]{1,2}\d[A-Z\d]? \d[A-Z]{2}\b"  # British postcode
    r"|\b(?i:sort code|dob|date of birth)\W{1,3}(?:is )?\d"
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
_SIGNED: Final = re.compile(
    r"\b(?:[Ss]urname|[Ll]ast name|[Ff]irst name|[Ff]ull name|[Mm]aiden name)(?: is|:)? [A-Z][a-z]"
    r"|\b(?:[Rr]egards,?|[Ss]incerely,|[Tt]hanks,) (?:[A-Z][a-z]+ ){0,2}[A-Z][a-z]+\.?$"
)
"""A surname, or who ends a letter."""
_SIGNING: Final = word_set("surname name regards sincerely thanks")
_NAMING: Final = word_set("i'm am name me is mr mrs ms dr my our")
_OF_A_STORY: Final = word_set("wrote novel film movie played plays character characters author actor")
"""Of a made-up person, unless somebody speaks of himself."""
_RECORD: Final = (
    r"(?:(?!with|for|from|to|in|on|of|and|or)\w+ ){0,2}(?:account|application|appointment|balance|bill|bonus|booking|cancellation"
    r"|card|charge|claim|contract|credit|deductible|delivery|deposit|discount|fee|invoice|limit|membership|order|package|parcel|payment|payslip"
    r"|payout|plan|shift|seminar|lecture|exam|interview|warranty|grade|mark|cheque|roster|timetable|enrolment|probation|tenancy|lease|tariff|points|policy|prescription|purchase|refund|rent|request|reservation|results?|reward|salary|score|shipment|statement|status"
    r"|subscription|ticket|top[- ]?up|transaction|transfer|usage|withdrawal|paycheck|payday|rating|rewards|schedule|calendar|agenda|meeting|list|income|vacation"
    r"|pto|leave|day off|days off|mortgage|loan|savings|flight|reminder)s?\b"
)
"""What a company keeps about one customer."""
_OWN_STATE: Final = Rules(
    # have I, did we, am I: what was done or is the case; not what one must or may do
    rule(
        "have has had am was were did didn't haven't hasn't wasn't",
        r"\b(?:have|has|had|am|was|were|did|didn't|haven't|wasn't) (?:i|we)\b(?! (?:to|need to|have to|able|allowed|supposed|required|free to|doing|missing (?:something|anything|out)|overlooking|wrong|right\W*$|correct\W*$|land|discover\w*|explor\w+|evolv\w+|invent\w*|domesticat\w+|learn\w*|come from|start (?:using|farming|writing))\b)"
        r"(?! (?:eligible|entitled) (?:for|to) (?:a|compensation|return|cancel)\b)",
        r"\b(?:have|has|had|was|were|did|didn't|haven't|hasn't|wasn't)(?: not)? (?:my|our)\b",  # has my refund, was our cancellation
    ),
    rule(
        "do did have will",
        r"\bdo (?:i|we) (?:still |currently |already )?owe\b",
        r"\bdo (?:i|we) (?:still |currently |already )?have (?:any |some )?(?:\w+ )?(?:unpaid|outstanding|open|overdue|pending|unread|upcoming|remaining|left)\b",
        r"\b(?:what|which) (?!options?\b|choices?\b|rights?\b|documents?\b|alternatives?\b|methods?\b)(?:\w+ ){1,2}(?:do|did|have) (?:i|we) (?:have|book|order|reserve|buy|pay)\b(?! to)",
        r"\bhow (?:much|many)\b[^?.!]{0,150}\b(?:do|will) (?:i|we) (?:still |currently |now )?(?:have\b(?! to)|get\b(?! to| per | for (?:an?|each|every|\d)| if | when | with ))",
    ),
    rule(
        "left remaining",
        r"\b(?:i|we) (?:still |currently |now )?(?:have|had|get)\b[^?.!,]{0,150}\b(?:left|remaining)\b(?! over)",
    ),
    rule(
        "me my our",
        r"(?:^|[.!?,;:] *|\b(?:why|when) )(?:have|has|had|was|were|did|is|are)(?:n't)? (?:the|a|any) (?![^?.!]*\b(?:good|better|best|right|useful|suitable|worth|bad|safe|enough|harmful|healthy|needed|necessary)\b)[^?.!]{0,150}\b(?:(?:to|for) me|(?:of|for|to) (?:my|our))\b",
    ),
    rule(
        "appointment booking order reservation payment transfer claim ticket request",
        r"\b(?:appointment|booking|order|reservation|payment|transfer|claim|ticket|request) (?:that )?(?:i|we) (?:\w+ed|made|sent|paid|bought)\b",
    ),
    rule(
        "still supposed",
        r"\b(?:which|what|how (?:much|many))\b[^?.!]{0,40}\b(?:do|must|should|am|are) (?:i|we) still\b",
        r"\b(?:which|what|where)\b[^?.!]{0,40}\b(?:am i|are we) supposed to (?:go|be|come|report|sit|park|stay|appear|vote|meet)\b",
    ),
    rule(
        "charged billed overcharged debited invoiced took taken refunded",
        r"\byou(?:'ve| have)? (?:\w+ )?(?:charged|billed|overcharged|debited|invoiced|refunded) (?:me|us|my|our)\b|\byou(?:'ve| have)? (?:took|taken|charged|debited) the (?:money|payment|amount|fee)\b",
        beside="you you've",
    ),
    rule("qualify", r"\bdo (?:i|we) (?:still )?qualify\b(?![^?.!]*\b(?:if|when)\b)"),
    rule(
        "me us",
        r"(?:^|[.!?,;:] ?)is there (?:an?|any|some|still an?) (?:(?!way|chance|option|limit|need|place)\w+ ){1,2}for (?:me|us)(?:\W*$| (?:at|in|from|on|today|yet|already)\b)|\bdo you have for (?:me|us)\b",
        beside="for",
    ),
    rule(
        "money",
        r"\bwhen (?:will|am|do) (?:i|we) (?:\w+ )?(?:get|see|receive|getting) (?:my|our) money\b(?![^?.!]*\b(?:if|after|when|once)\b)",
    ),
    rule(
        "my our",
        r"\b(?:is|are) there (?:anything|any|still|some|an?) (?:(?!fees?|limits?|way|charges?)[\w-]+ ){0,3}(?:on|in|from|for|to) (?:my|our) (?:account|name|file|record|card|statement|bill|booking)\b",
        beside="there",
    ),
    rule(
        "included covered activated registered enabled linked saved blocked",
        r"^(?:is|are|was|were) [\w ]{1,30} (?:included|covered|activated|registered|enabled|linked|saved|blocked) (?:in|on|by|under|for|to|with) (?:my|our)\b",
        beside="my our",
    ),
)
_CASE: Final = (
    "application|appointment|bill|booking|cancellation|charge|claim|complaint|contract|credit note|delivery|deposit|direct debit|document|fee|form|invoice|loan|meter reading|money|offer|order|package|parcel"
    "|payment|payout|plan|policy|prescription|purchase|quote|refund|registration|repair|request|reservation|return|shipment|statement|subscription|ticket|top[- ]?up|transaction|transfer|upgrade|withdrawal"
)
"""What is dealt with case by case."""
_DEALT_WITH: Final = (
    "(?:approved|processed|received|sent|paid|shipped|booked|cancell?ed|confirmed|registered|updated|credited|refunded|delivered|dispatched|posted|signed|accepted|rejected|declined|released|assigned|completed"
    "|submitted|forwarded|issued|activated|renewed|transferred|scheduled|charged|taken|returned|repaired|fixed|closed|resolved|reset|changed|corrected|granted)"
)
_ASKED: Final = r"(?:^|[.!?,;:] ?(?:and |but |so )?)(?:hi |hello |hey )?"
"""Where a question may begin."""
_CASE_WORDS: Final = " ".join(
    f"{name.split()[-1]} {name.split()[-1]}s" for name in _CASE.replace("top[- ]?up", "up|topup").split("|")
)
_SERVICES: Final = "engineer technician driver courier plumber electrician installer surveyor inspector mechanic engineers technicians drivers couriers"
_SERVICE: Final = "(?:engineer|technician|driver|courier|plumber|electrician|installer|surveyor|inspector|mechanic)s?"
_MANKIND: Final = re.compile(
    r"\bour (?:\w+ )?(?:galaxy|solar system|sun|planet|universe|earth|brains?|bod(?:y|ies)|ancestors|species|moon|lungs|eyes|ears|skin|teeth|bones|hearts?|dna|stomachs?|world|society|oceans?|atmosphere|climate|immune system|blood)\b"
)
"""Everybody's."""
_ONE_CASE: Final = Rules(
    # was the payment taken, did you get the forms: something that happened once, and both know what is meant
    rule(
        "did was were has have",
        rf"{_ASKED}(?:was|were|did|has|have) (?:the|this|that|any of the) (?:(?!with|for|from|to|in|on|of|and|or)\w+ ){{0,2}}?(?:{_CASE})s?\b(?! (?:always|ever)\b)",
        beside=_CASE_WORDS,
    ),
    rule(
        "did has have is was",
        rf"{_ASKED}(?:has|have|is|was) (?:it|they|that|any of it) (?:\w+ )?(?:(?:come|gone|got) (?:through|in|back|up)|been {_DEALT_WITH})\b|{_ASKED}did (?:it|that|they) (?:go|come|get) (?:through|in|back)\b",
        beside="it they that any",
    ),
    rule(
        "did have",
        rf"{_ASKED}(?:did|have) you (?:guys |already |also )?(?:get|got|received?|sen[dt]|closed?|process(?:ed)?|register(?:ed)?|book(?:ed)?|ship(?:ped)?|charged?|refund(?:ed)?|cancel(?:led)?) (?:the|that|this|our|any of)\b",
        beside="you",
    ),
    rule(
        "did has have",
        rf"{_ASKED}(?:did|has|have) (?:the )?(?:\w+ ){{1,3}}?(?:{_DEALT_WITH}|approve|process|receive|sign|confirm|release|refund|reply|respond|call|contact|answer|get back)(?: \w+){{0,3}} (?:my|our|me|us|mine|ours)\b",
        beside="my our me us mine ours",
    ),
    rule(
        "did has have",
        rf"{_ASKED}(?:has|have|did) (?:the )?(?:(?!you|i|we|it|they)\w+ ){{1,2}}?(?:approved?|received?|get|got|sign(?:ed)?|used|paid|processed|looked at|replied to|signed off|signed off on|reset|changed) (?:the|this|that) (?:\w+ ){{0,2}}(?:{_CASE}|note|card|account)s?\b",
        beside="approve approved receive received get got sign signed used paid processed looked replied reset changed",
    ),
    rule(
        "process approve release",
        r"\bdid (?:the )?\w+ (?:process|approve|release) (?:it|this|them)\b",
        beside="did",
    ),
    # why did you close the ticket, why was the application turned down, where is the order
    rule(
        "why",
        r"\bwhy (?:did|have|has) (?:you|they|someone|somebody) (?:\w+ly )?(?:clos|cancel|block|charg|reject|declin|remov|delet|chang|refus|stop|lock|suspend|return|took|take|freez|frozen)\w* (?:the|my|our|me|us)\b",
        beside="my our me us the",
    ),
    rule(
        "why",
        r"\bwhy (?:do|are) you (?:keep )?(?!charging)\w+ing (?:my|our)\b",
        r"\bwhy (?:hasn't|haven't|didn't|has|have|did) (?:anybody|anyone|somebody|someone|nobody|you|they|he|she)(?: not)? (?:\w+ )?(?:called|call|replied|reply|contacted|contact|answered|answer|written|told|tell|got|get|come|sent|send)\b[^?.!]{0,20}\b(?:me|us|back|yet)\b",
        beside="me us back yet my our",
    ),
    rule(
        "why",
        rf"\bwhy (?:was|were|is|are|has|have|hasn't|haven't|wasn't|isn't) the (?:\w+ )?(?:{_CASE})s? (?:not |been |still |being )*(?:{_DEALT_WITH}|arrived|come|gone|late|delayed|refused|turned|reversed|blocked|pending)\b",
        beside=_CASE_WORDS,
    ),
    rule(
        "where where's",
        rf"\bwhere(?:'s| is| are) the (?:order|parcel|package|delivery|shipment|refund|payment|{_SERVICE})\W*$",
        beside="order parcel package delivery shipment refund payment " + _SERVICES,
    ),
    rule(
        "is are",
        rf"{_ASKED}(?:is|are) the (?:\w+ )?(?:{_CASE})s? (?:for [^?.!]{{1,40}} )?(?:already |now |finally )?(?:{_DEALT_WITH}|paid off|settled|on (?:its|the|their) way|ready|through)(?: yet| now| already)?\W*$",
        beside=_CASE_WORDS,
    ),
    # tell me whether the payment has been received
    rule(
        "if whether where when why",
        rf"\b(?:know|see|find out|tell me|wondering|check|sure) (?:if|whether|when|where|why) the (?:\w+ )?(?:{_CASE})s? (?:has|have|was|were|had|hasn't|haven't|wasn't|is|are|will be|went|came)\b(?! (?:usually|normally|always)\b)",
        beside=_CASE_WORDS,
    ),
    rule(
        "package parcel order delivery tracking shipment",
        r"\b(?:package|parcel|order|delivery|tracking|shipment) (?:\w+ )?(?:shows?|says|marked|showing)(?: up)?(?: as)? (?:\w+ )?delivered\b",
        beside="delivered",
    ),
    rule(
        "sent gave emailed texted mailed issued",
        r"\bthe \w+ (?:that |which )?you (?:sent|gave|emailed|texted|mailed|issued) (?:me|us)\b",
        beside="you",
    ),
    rule(
        "outstanding remaining overdue unpaid",
        r"\bthe (?:outstanding|remaining|overdue|unpaid) (?:amount|balance|sum|debt|invoices?|payments?|bills?)\W*$",
    ),
    # what seat have they put us in
    rule(
        "me us",
        r"\b(?:what|which|where|when|why|who)\b[^?.!,]{0,40}\b(?:have|has|did) \w+ (?:\w+ )?(?:put|given?|assign(?:ed)?|book(?:ed)?|sen[dt]|offer(?:ed)?|promised?|allocated?|register(?:ed)?|invited?|billed?) (?:me|us)\b",
        beside="have has did",
    ),
    rule(
        "nobody no",
        r"\b(?:nobody|no one|no-one) (?:has |have |ever )?(?:called|came|got|rang|replied|answered|contacted|told|come)\b[^?.!]{0,30}\b(?:me|us)\b",
        beside="me us",
    ),
    # which of the invoices, how many points on the account, what the blood test said
    rule(
        "which",
        rf"\bwhich of (?:the|my|our) (?:\w+ )?(?:{_CASE})s\b[^?.!]{{0,20}}\b(?:is|are|was|were|has|have) (?:still |not |now |already |been )*(?:open|due|overdue|unpaid|outstanding|active|pending|late|missing|{_DEALT_WITH})\b",
        beside="of",
    ),
    rule(
        "account card overdraft allowance contract subscription plan balance budget quota licence license loan mortgage voucher",
        r"\bhow (?:much|many)\b[^?.!]{0,30}\b(?:of|on|in) the (?:\w+ )?(?:account|card|overdraft|allowance|contract|subscription|plan|balance|budget|quota|licen[cs]e|loan|mortgage|voucher)\b(?: (?:is|are|was|left|still|now|have|has|remain\w*)\b|\W*$)",
        beside="how",
    ),
    rule(
        "balance name credit points address payments transactions charges",
        r"\b(?:what|what's|which|whose|how many|how much)\b[^?.!]{0,30}\b(?:balance|name|credit|points|address|payments|transactions|charges)\b[^?.!]{0,20}\b(?:on|of|in|from) the (?:\w+ )?(?:account|card|booking|reservation|contract)\W*$",
        beside="account card booking reservation contract",
    ),
    rule(
        "who",
        r"\bwho (?:has )?(?:logged in|signed in|has access) (?:in)?to the \w+",
        beside="logged signed access",
    ),
    rule(
        "result results outcome score grade mark report findings",
        r"\b(?:what|how|when|where) (?:were|was|did|are|is) the (?:results?|outcome|score|grade|mark|report|findings) (?:of|from|for) (?:the|my|our) (?:\w+ )?(?:test|scan|x-ray|biopsy|mri|ultrasound|ecg|interview|exam|resit|application|check-?up|appeal|survey|inspection|assessment|audit)\W*$",
    ),
    rule(
        "are",
        r"\b(?:what|which|how (?:much|many)|where|when)\b[^?.!]{0,40}\bare we (?:still |currently |now |already )?(?:paying|getting|on|booked|registered|covered|insured|signed|scheduled|subscribed|owed|due|entitled)\b",
        beside="we",
    ),
    # the engineer who comes to ours
    rule(
        _SERVICES,
        rf"\bwhen (?:will|is|are|does|do|can) (?:the|your|an?) (?:\w+ )?{_SERVICE} (?:\w+ )?(?:be|com(?:e|ing)|arriv(?:e|ing)|call(?:ing)?|visit(?:ing)?|get(?:ting)?|here|on|due)\b",
        rf"\b(?:is|are) (?:the|your) {_SERVICE} (?:still |already |now )?(?:coming|on|here|due|running|lost)\b",
    ),
    rule(
        "ours mine",
        r"\b(?:at|near) (?:ours|mine)\b|\b(?:to|from|on) ours\b|^(?:is|are|was|has|have|does|did|where's|when's) (?:mine|ours)\b",
    ),
    # what somebody has sent in, or finds in the letter box
    rule(
        "uploaded attached forwarded emailed submitted",
        r"\b(?:the|this|these|those|my|our) (?:\w+ ){1,3}(?:that )?(?:i|we)(?:'ve| have)? (?:just )?(?:uploaded|attached|forwarded|emailed|submitted)\b",
    ),
    rule(
        "email emails message messages voicemail voicemails mail mails",
        r"\b(?:the|my|our|any|all|last|latest|unread|new|recent) (?:(?!with|for|to|in|of|and|or)\w+ ){0,2}(?:e?-?mails?|messages?|voicemails?) from\b(?! (?:a|an|your|you|spammers?|strangers?|unknown|the)\b)",
        beside="from",
    ),
    rule(
        "inbox",
        r"\b(?:in|check|read|open|search) (?:my|our) inbox\b",
    ),
    # where one lives or stands
    rule(
        "street area postcode zip neighbourhood neighborhood village road town block building",
        r"\b(?:is|are|does|will|when|which|what|do you)\b[^?.!,]{0,60}\b(?:my|our) (?:street|area|postcode|zip ?code|neighbou?rhood|village|road|town|block|building)\b",
        beside="my our",
    ),
    rule(
        "nearest closest next near close",
        r"\b(?:nearest|closest|next|near|close)\b[^?.!]{0,40}\bto (?:my|our) (?:\w+ )?(?:house|flat|place|home|office|street|hotel)\b",
        beside="my our",
    ),
    rule(
        "nearest closest near close nearby",
        r"\b(?:nearest|closest|near|close)\b[^?.!]{0,40}\b(?:to (?:me|us|here)\b|where (?:i|we) (?:am|are|live))\b|\bnearby\W*$",
    ),
    # the policy we took out
    rule(
        "out placed raised opened signed put submitted reported filed lodged ordered bought booked made requested",
        rf"\b(?:the|which|that|what) (?:\w+ )?(?:{_CASE}|thing|item)s? (?:that |which )?(?:i|we) (?:took out|placed|raised|opened|signed|put in|submitted|reported|filed|lodged|ordered|bought|booked|made|requested)\b",
        beside="i we",
    ),
    # what stands in one's own timetable
    rule(
        "room gate platform seat floor time day date building terminal desk class group team shift",
        r"\b(?:which|what) (?:room|gate|platform|seat|floor|time|day|date|building|terminal|desk|class|group|team|shift)\b[^?.!]{0,20}\b(?:is|are|does|do|will|was) (?:my|our)\b",
        beside="my our",
    ),
    rule(
        "warranty guarantee contract registered overdue enrolled repaired paid date way system file",
        r"\b(?:is|are) (?:my|our) \w+(?: \w+)? (?:still |already |currently |now )?(?:under (?:warranty|guarantee|contract)|registered|overdue|enrolled|repaired|paid off|up to date|on (?:its|the|their) way|in the system|on file)\b(?! (?:if|when|after)\b)",
        beside="my our",
    ),
    rule(
        "warranty guarantee contract insurance lease trial",
        r"\bwhen (?:does|will|is) the (?:warranty|guarantee|contract|insurance|lease|trial) (?:on|of|for) (?:my|our)\b",
        beside="my our",
    ),
    rule(
        "based",
        r"\bbased on (?:my|our) (?:\w+ )?(?:history|answers?|profile|purchases|usage|data|orders|spending|results)\b",
    ),
    rule(
        "hasn't haven't didn't",
        r"\b(?:my|our) [\w' ]{1,30} (?:hasn't|haven't|didn't) (?:come|arrived?|been|shown? up|turn(?:ed)? up)\b",
        beside="my our",
    ),
    rule(
        "when when's where where's",
        r"\b(?:when|where)(?:'s| is| are| was| were) (?:my|our) (?!(?:appendix|spleen|liver|kidneys?|gallbladder|child|baby|dog|cat)\b)",
        beside="my our",
    ),
    rule(
        "which what",
        r"\b(?:which|what) \w+(?: \w+)? (?:is|are|was|were|did|has|have) (?:my|our)\b(?![^?.!]{0,40}\b(?:need|require|have to|support|allow|mean|made of)\b)",
        beside="my our",
    ),
    rule(
        "going doing looking along progressing",
        r"\bhow(?:'s| is| are| was) (?:my|our) [^?.!]{1,40}\b(?:going|doing|looking|coming along|progressing)\b",
    ),
    rule(
        "my our",
        rf"^(?:is|are|was|were|has|have) (?:my|our) (?:name|team|company|class|group|department|office|site|branch|school|laptop|device|domain|server|instance|workspace|licen[cs]e|{_KIN})(?:'s \w+)? (?:still |already |currently |now |not )?(?!allowed|supported|protected|needed|required|supposed|excluded)(?:\w+ed|on|in|at|due|active|next|part)\b",
        r"^(?:please |can you |could you |would you )*(?:summari[sz]e|draft|review|proofread|analy[sz]e|improve|rewrite|translate|plan|prioriti[sz]e|grade|go through|look at) (?:all )?(?:my|our) (?!(?:\w+ )?(?:code|function|query|regex|script|sentence|grammar)\b)\w+",
    ),
    rule(
        "has have did",
        r"^(?:has|have|did) (?!(?:the|you|i|we|it|they|he|she|anyone|there)\b)\w+ (?:already )?(?:replied|answered|responded|called|confirmed|signed|accepted|paid|submitted|uploaded|approved|logged in|reply|respond|call|confirm|submit|upload)\b",
    ),
    # here, wherever that is
    rule(
        "nearest closest",
        r"\b(?:where(?:'s| is)|find|what(?:'s| is)|which|locate|show)\b[^?.!]{0,30}\b(?:nearest|closest)\b(?![^?.!]*\b(?:to|of)\b)(?![^?.!]*\b(?:star|planet|relatives?|galaxy|integer|prime)\b)",
    ),
    rule("here", r"\b(?:around|near|round|from|close to) here\b(?! on\b)"),
)
"""Unless it is asked how to do something: what is kept or done about one customer, told with few words for him."""
_BY_THE_RULES: Final = re.compile(
    r"\b(?:am i|are we) (?:entitled|covered|insured|liable|protected|eligible|charged)\b[^?.!]{0,80}\b(?:if|when|while|in case|under)\b"
    r"|\b(?:if|when|in case)\b[^?.!]{3,120}\b(?:am i|are we) (?:entitled|covered|insured|liable|protected|eligible|charged)\b"
)
"""What holds for everybody to whom the same happens."""
_FINDS_OUT: Final = re.compile(
    r"\b(?:where|how) (?:can|do|could|would|should) (?:i|we|one) (?:see|find|check|look|view)\b"
)
_WHAT_TO_DO: Final = re.compile(
    r"\bwhat (?:steps |things |else )?(?:should|can|must|do) (?:i|we|one) (?:do|take|try|need)\b|\bwhat to do\b|\bhow\W*$|\bquotation\b.{0,40}\bwhat(?:'s| is| does) (?:that|this|it)\b|\bwho (?:do|should|can) (?:i|we) (?:contact|call|ask|tell|report)\b"
)
"""What one does then, or what a word on the paper means: not what stands on it."""
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
_OWN_RECORD: Final = Rules(
    rule(
        "my our",
        rf"\b(?:is|are|does|do|will|isn't|aren't|doesn't|won't) (?:my|our) {_RECORD}",
        r"\b(?:when|where|why|which|who|how (?:much|many|long|far|soon))(?: \w+){0,3}?(?:'s| is| are| was| were| did| does| has| have| will|n't)\b"
        rf"[^?.!,]{{0,150}}\b(?:my|our) {_RECORD}",
        r"\bwho (?:\w+ed|is|was|has|saw) (?:in(?:to)? |at |off |up )?(?:my|our)\b",
        r"\bwhat(?:'s| is| are| was| were) (?:the \w+(?: \w+)? of )?(?:my|our)\b(?! (?:advantage|best|chance|next|option|right|tax class))",
        rf"\bwhat(?:'s| is| are| was| were|(?: \w+)? did)\b[^?.!,]{{0,150}}\b(?:my|our) {_RECORD}",
        rf"\b(?:my|our) {_RECORD} (?:is|was|has|have|hasn't|isn't|wasn't|haven't|still|never|didn't|did|shows|says|got|keeps)\b",
        rf"\b(?:check|track|trace|look up|locate|find|tell me|show me|send me|give me|see|view|read|list)\b(?: \w+){{0,3}}? (?:my|our) {_RECORD}",
        rf"\b(?:did|have) you\b[^?.!,]{{0,150}}\b(?:my|our) {_RECORD}|\b(?:did|have) you (?:get|got|receive|received|see|seen)\b[^?.!,]{{0,60}}\bmy\b",
        r"\b(?:tell|show|send|give|read|remind) me my\b|\bin my (?:area|city|town|neighbou?rhood)\b",
    ),
    rule(
        "if whether",
        r"\b(?:check|find out|see|tell me|know) (?:if|whether) (?:my|our|i|we)\b(?! (?:can|could|will|should|may|might|need|must|have to|want)\b)",
    ),
    rule(
        "charged billed overcharged debited waiting owed spent used taken made paid ordered bought earned",
        r"\bi(?:'m| am| was|'ve been| have been| got)(?: still| being| double| wrongly| just)* (?:charged|billed|overcharged|debited|waiting|owed)\b",
        r"\bi(?:'ve| have) (?:already |just |recently )?(?:spent|charged|paid|ordered|earned)\b|(?<=\w )i(?:'ve| have) (?:already |just |recently )?(?:used|taken|made|bought)\b",
        r"\bi(?:'ve| have) (?:already |just |recently )?made (?:an?|the|my) (?:\w+ ){0,3}(?:deposit|payment|transfer|purchase|order|booking|reservation|withdrawal)\b",
    ),
    rule(
        "ordered returned paid sent booked transferred bought requested received",
        r"\b(?:i|we) (?:ordered|returned|paid|sent|booked|transferred|bought|requested|received)\b[^?]{0,150}"
        r"\b(?:ago|(?<!do you )still|yet|since|never|but|and (?:received|got)|on (?:the )?\d)",
    ),
    rule(
        "receive received get got gotten",
        r"\b(?:i|we) (?:still )?(?:haven't|have not|didn't|did not|never) (?:yet )?(?:received?|gotten?|got)\b",
    ),
    rule(
        "me us",
        r"\b(?:tell|show|send|give|read|remind) me what (?:i|we)\b|\b(?:on file|on record) for me\b|\bhave you [^?]{0,60}\bfor me\b|\bdo you have [^?]{0,40} for me\b",
        r"\bnear(?:est to)? (?:me|us)\b|\baround me\b",  # where one is
    ),
    rule("owe", r"\bi owe\b"),
    rule("account", r"\b(?:company|customer|user) account (?:was|has been|is|got)\b"),
)
_HOW_ONE_DOES: Final = re.compile(
    r"\b(?:how|where|what) (?:do|can|could|would|should|might|to|does|did|must)(?! (?:i|we) (?:have|make|earn|spend|owe|spent)\b(?! to))\b"
    r"|\b(?:can|could|may|should|must|shall|would) (?:i|we|one) (?!(?:please )?(?:get|have|see|know|ask)\b)\w+|\bhow\W*$|\bwhat (?:happens|if)\b|\b(?:steps?|ways?|possible|able|option) to\b|\bif (?:i|my|we|our)\b"
    r"|\b(?:know|tell me|explain|learn|understand) (?:how to|where to|what to|how i|where i|if i|whether)\b|\bhelp\b"
    r"|\b(?:which|best|good|better|ideal|recommend|suggest|tips?|ideas?)\b[^?.!]{0,80}\bfor my next\b"
)
_IN_GENERAL: Final = Rules(
    rule("automatically expire", r"\bautomatically\b|^do (?:my|our) [\w ]{1,20} expire\W*$"),
    # an act in general: the fee for replacing my card, how long it takes to process my refund
    rule(
        "take takes way fee fees cost costs penalty charge number documents document id possible necessary required needed best safe safest easiest fastest deadline requirements reason benefits advantages point purpose limit allowed free worth address procedure time",
        r"\b(?:takes?|way|fees?|costs?|penalty|charge|number|documents?|id|possible|necessary|required|needed|best|safe|safest|easiest|fastest|deadline|requirements|reason|benefits|advantages|point|purpose|limit|allowed|free|worth|address|procedure|time) (?:(?:is|are|it) )?(?:(?:to|when) (?!pay\b)\w+|(?:for|of|when|to) \w+ing) (?:\w+ )?(?:my|our)\b",
        beside="my our",
    ),
    # what follows if
    rule(
        "if when once after while during",
        r"^(?:hi |hello |so )?(?:is|are|will|does|do|would) (?:my|our) [^?.!]{1,60}\b(?:if|when|once|after|while|during|in case)\b (?:i|we|my|our|the|it|there|someone|they|a)\b",
        r"^(?:if|when|once|after) (?:i|we|my|our|the|someone) [^?.!]{3,100}, ?(?:then )?(?:is|are|will|does|do|can|what|how long|who|when)\b",
    ),
    rule("any now", r"\bany (?:tips|advice|suggestions|steps)\b|\bwhat now\W*$"),
    rule("causes reasons", r"\b(?:common|usual|possible|typical|main) (?:causes|reasons)\b"),
    rule("what's what", r"\bwhat(?:'s| is| are) my [^?.!]{1,40} if\b"),
    rule(
        "what", r"\bwhat (?:happens|if)\b|\bwhat (?:are|would be) (?:my|our) (?:rights|options|chances|alternatives)\b"
    ),
    rule("is are", r"(?<!why )\b(?:is (?:it|there)|are there)\b"),
    rule("difference", r"\bdifference between\b"),
    rule("affect influence impact legally", r"\b(?:affect|influence|impact|legally)\b"),
    rule("law", r"\bby law\b"),
    rule(
        "normally usually typically generally",
        r"\b(?:how long|how often|when|which days?)\b[^?.!]{0,60}\b(?:normally|usually|typically|generally)\b",
    ),
    # what is printed on everybody's card, and what a word on it means
    rule(
        "where where's",
        r"\bwhere(?:'s| is| are) (?:the|my) (?:\w+[ -]){0,2}(?:number|code|cvv|cvc|iban|bic|barcode|date|name|button|link|setting|serial|reference|digits|label|logo|field|menu|tab)s?"
        r" (?:printed |shown |written |located )?on (?:my|our|the|a|an)\b",
        beside="on",
    ),
    rule("meaning", r"\bwhat (?:is|are) (?:this|that|the|its) meaning\b"),
    rule("quotation", r"\bquotation\b.{0,40}\bwhat(?:'s| is| does) (?:that|this|it)\b"),
)
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
    " psoriasis panic parkinson's lupus crohn's eczema anorexia bulimia ptsd ocd relapse thyroid coeliac celiac endometriosis gout seizures seizure hepatitis hernia concussion positive disabled disability schizophrenia schizophrenic pain attack pressure"
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
        "keeps keep refuses refuse won't wants hates left cheated hit died fired texts yelled shouted drinks beats ignores lied threatened insulted",
        rf"\bmy (?:\w+-)?{_KIN} (?:keeps?|refuses?|won't|wants (?:a divorce|to (?:die|leave|divorce|move out))|hates|left|cheated|hit|died|fired|texts|yelled|shouted|drinks|beats|ignores|lied|threatened|insulted)\b",
    ),
    rule(
        "account booking lease contract policy plan",
        rf"\b(?:my|our) {_KIN}\b[^?.!]{{0,60}}\b(?:on|to|from|under) (?:my|our|the) (?:account|booking|lease|contract|policy|plan)\b",
    ),
    rule(
        "fired sacked redundant arrested assaulted abused bullied raped dumped divorced harassed convicted",
        r"\bi(?:'ve| have)? (?:was|got|been|just got|am being|am getting)(?: \w+)? (?:fired|sacked|made redundant|arrested|assaulted|abused|bullied|raped|dumped|divorced|harassed|convicted)\b",
    ),
    rule(
        "feel sleep cope die myself cry",
        r"\bi feel (?:so |really |very |like )*(?:sad|lonely|hopeless|worthless|empty|nobody|alone|ashamed|guilty)\b|\bi can't (?:sleep|cope)\b|\bi (?:want to|wanna) (?:die|kill myself|hurt myself)\b|\bi cry (?:at|all|every|a lot)\b",
    ),
    rule(
        "debt savings bank saved",
        r"\bi(?:'ve| have)(?: got)? \D{0,4}\d[\d.,]*k? ?\w{0,7} (?:in (?:debt|savings|the bank)|saved|of debt)\b",
    ),
    rule("single married divorced widowed", r"\bi(?:'m| am) \d\d\b"),
    rule(
        "salary income rent debt mortgage pension savings wage worth",
        r"\b(?:my|our) (?:\w+ ){0,2}(?:salary|income|rent|debt|mortgage|pension|savings|wage|net worth) (?:is|are|was) \D{0,10}\d",
    ),
)
_FIGURES: Final = re.compile(
    r"\bi(?:'m| am) (?:a )?\d\d(?:-| |,|\.|\W*$)(?:year|yo\b| and\b|\W|$)|\b(?:i(?:'m| am| weigh| take| was| measure|'ve| have)|my (?:\w+ ){1,2}(?:is|was|weighs|takes))\b[^.?!]{0,40}"
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
        rf"(?:(?:please|kindly)\W+|(?:can|could|would|will) you please )(?:do the needful and )?{_DO} (?:the|this|that) (?:\w+ ){{0,2}}(?:{_CASE})s?\b",
        opens=True,
    ),
    rule(
        "call text ring phone email contact refund callback send",
        r"\b(?:call|text|ring|phone|email|contact) me (?:back|on|at|when|as soon|please|later|about)\b|\btext me\b|\bme a (?:refund|call|callback)\b",
        r"\bsend (?:me |it |the )?[^?.!]{0,40}\bto my (?:address|e-?mail|phone|home)\b",
    ),
    # look at my case
    rule(
        "confirm check verify look investigate chase sort escalate release lift arrange",
        r"\b(?:please|kindly|(?:can|could|would|will) you(?: please| kindly)?) (?:do the needful and )?(?:confirm|check|verify) (?:that|if|whether|receipt|the (?:status|progress|payment|booking|order|address))\b(?!.*\b(?:sentence|text|code|grammar|spelling|json|sql|regex|query|function|translation|prime|equation|proof)\b)(?! (?:i|we|one) (?:can|could|may|should|need|must)\b)",
        r"\b(?:please|kindly|(?:can|could|would|will) (?:you|someone|somebody|anyone)(?: please| kindly)?) (?:do the needful and )?(?:look into|investigate|chase(?: up)?|sort (?:this|it|that) out|escalate|arrange for|(?:release|lift) (?:the|my|our) (?:hold|block|ban|restriction|limit|payment|funds|money|account|lock|card))\b",
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
    # the errands of a secretary
    rule(
        "remind set wake book reserve send text resend",
        r"(?:(?:hi|hey|ok|please|kindly|just)\W+|(?:can|could|would|will) you )*(?:remind me (?:to|about|that|of|on|at|in)\b|set (?:a|an|my|the|up an?) (?:\w+ )?(?:alarm|reminder)\b|wake me\b|(?:book|reserve) (?:me|us) |send (?:an? |the |this )?(?:e-?mail|text|message|sms) to (?!(?:a|an|all|every|multiple|several)\b)|text (?:my|him|her)\b|resend )",
        opens=True,
    ),
    rule(
        "unlock reset unblock move reschedule change",
        r"(?:(?:please|kindly)\W+|(?:can|could|would|will) (?:you|someone) (?:please )?)(?:(?:unlock|reset|unblock) (?:user|account|the account)\b|(?:move|reschedule|postpone|change) the (?:\w+ )?(?:appointment|meeting|booking|reservation|delivery|date|time)\b)",
        opens=True,
    ),
    rule(
        "me us",
        r"(?:(?:please|kindly)\W+|(?:can|could|would|will) you )*(?:(?:upgrade|downgrade|register|enroll?|unsubscribe|sign|put|reimburse|notify) (?:me|us)\b"
        r"|(?:send|forward|e-?mail|mail) (?:me|us) (?:the|a|an|my|last|this) (?:\w+ ){0,2}(?:invoice|receipt|copy|statement|bill|ticket|contract|confirmation|document|label|voucher)s?\b)",
        opens=True,
    ),
    rule(
        "add remove",
        r"(?:please|kindly|(?:can|could|would|will) you)\W+(?:add|remove) [\w ]{1,30} (?:to|from) (?:the|our) (?:\w+ )?(?:lease|account|booking|contract|policy|list|order|reservation|team|group|meeting|invite)\b",
        opens=True,
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
    r"\b(?:order|delivery|refund|application|shipment|package) status\b|\bstatus of (?:the |an? )?(?:order|delivery|refund|shipment|application|parcel)\b|\bwhat(?:'s| is) the status\W*$",
)
_OWN_ELSEWHERE: Final = word_set(
    "mein meine meinen meinem meiner meines unser unsere unserer mon ma mes notre nos mi mis nuestro nuestra mio mia miei mie meu minha meus mijn onze"
)
_STATE_ELSEWHERE: Final = re.compile(
    r"\b(?:hab(?:e)?|bin|wurde|werde|bekomme|schulde) ich\b|\bsteht mir\b|\b(?:ai-je|suis-je|dois-je encore|me reste|m'a-t-on|m'avez-vous)\b|\b(?:me queda|me han|me quedan|tengo (?:aún|todavía|pendiente\w*))\b"
    r"|\b(?:quanto|quanti|quante) [^?.!]{0,30}\bho\b|\b(?:mi resta|mi restano|mi avete)\b|\b(?:quanto|quantos|quantas) [^?.!]{0,30}\b(?:tenho|devo)\b|\b(?:heb|ben|krijg) ik\b"
)
"""What is the case with the one who asks."""
_HOW_TO_ELSEWHERE: Final = re.compile(
    r"\bwie (?:kann|kannst|muss|soll\w*|(?!habe\b|bin\b)\w+e) (?:ich|man|wir)\b|\bwo (?:finde|kann|sehe|bekomme|ändere|lade|melde) (?:ich|man)\b|\bkann (?:ich|man)\b|\b(?:was|wann|wo) (?:muss|soll|kann|darf|mache|tue) (?:ich|man|wir)\b|\b(?:brauche|darf|muss) (?:ich|man)\b"
    r"|\bcomment\b|\bpuis-je\b|\boù (?:puis-je|trouver|est-ce que je (?:peux|trouve))\b|\bfaut-il\b|\best-ce que je (?:peux|dois)\b"
    r"|\bcómo\b|\bpuedo\b|\bdónde (?:veo|encuentro|puedo|se)\b|\b(?:debo|necesito)\b"
    r"|\bcome (?:posso|si)\b|\bposso\b|\bdove (?:posso|trovo|vedo|si)\b|\ba cosa serve\b|\bdevo\b(?! ancora)"
    r"|\bcomo (?:posso|faço)\b|\bonde (?:posso|encontro|vejo|fica)\b|\bpreciso\b"
    r"|\bhoe (?!veel\b|lang\b)\w+ ik\b|\bkan ik\b|\b(?:mag|moet) ik\b|\bwaar (?:vind|zie|kan) ik\b"
)


def identifies(reading: Reading) -> bool:
    """Whether the text itself says who asks, or tells what is nobody else's business: never to be kept."""
    has_marks = _MARKS.search(reading.text) is not None
    if has_marks and _NUMBERS.search(reading.text):
        return True
    is_of_oneself = not reading.words.isdisjoint(_FIRST_PERSON)
    is_story = not is_of_oneself and not reading.words.isdisjoint(_OF_A_STORY)
    if not is_story and not reading.words.isdisjoint(_NAMING) and _NAMES.search(reading.text):
        return True
    if not reading.words.isdisjoint(_SIGNING) and _SIGNED.search(reading.text):
        return True
    if not is_of_oneself:
        return False
    return _TOLD_OF_ONESELF.hold(reading) or (has_marks and _FIGURES.search(reading.line) is not None)


def asks_of_oneself(reading: Reading) -> bool:
    """Whether the answer lies in what is kept about the one who asks."""
    line, words = reading.line, reading.words
    if _OF_A_CUSTOMER.holds(reading) or (_STATUS_OF_ONE.holds(reading) and not HOW_TO.search(line)):
        return True
    if reading.is_foreign and _is_own_elsewhere(reading):
        return True
    if _ONE_CASE.hold(reading) and not (HOW_TO.search(line) or _IN_GENERAL.hold(reading)):
        return True
    if _TO_BE_DONE.hold(reading) and not _WHAT_TO_DO.search(line):
        return True
    if words.isdisjoint(_FIRST_PERSON) or ("our" in words and _MANKIND.search(line)):
        return False
    if _OWN_STATE.hold(reading) and not (_BY_THE_RULES.search(line) or _FINDS_OUT.search(line)):
        return True
    if _OWN_FACTS.hold(reading) and not _HOW_ONE_DOES.search(line):
        return True
    return _OWN_RECORD.hold(reading) and not (HOW_TO.search(line) or _IN_GENERAL.hold(reading))


def _is_own_elsewhere(reading: Reading) -> bool:
    """The same in another language, as far as the rules read it."""
    if _HOW_TO_ELSEWHERE.search(reading.line):
        return False
    return not reading.words.isdisjoint(_OWN_ELSEWHERE) or _STATE_ELSEWHERE.search(reading.line) is not None
