"""Whether a first turn points to something that was said before it. Pure."""

import re
from typing import Final

from cache.reading import GENERIC, WORD, Reading, Rules, rule, word_set

_BEGINS_IN_THE_MIDDLE: Final = re.compile(
    # what one says first in a reply, and what only a reply goes on with
    r"(?:(?:h+m+|ah|oh|ok|okay|right|alright|well|sure|cool|thanks|thank you|i see|yes|yeah|no|nope)[,.!…]* (?:and |but |so |then )?)*"
    r"(?:(?:and|but|or|also|then)\b(?! (?:me|i'm|my name)\b)(?=[^.!:]*\W*$)(?=.{0,100}$)|(?:und|oder|aber|mais|pero|maar)\b(?!.{40})|(?:but|and|so) (?:without|with|for|if|what|how|why)\b(?=.{0,60}$)|without \w+|what now\b|what next\b"
    r"|(?:great|perfect|excellent|brilliant|awesome|lovely|wow|got it|makes sense|sounds good|understood|wrong|incorrect|not quite|almost|wait|not what)\b(?:[,.!]| (?:i|but|and|now|thanks))"
    r"|(?:(?:still|again|nothing) (?:not|doesn't|no|the|nothing|getting|get|says|shows|won't|happens|happened|changed)|(?:exactly )?(?:the )?same (?:question|thing|problem|issue|error|message|result)s?\b(?! (?:as|day|time|way)\b)"
    r"|(?:done|(?:i(?:'ve| have)? |we )?(?:already |just )?(?:tried|did|done) (?:that|this|it|both|all|those|everything))\b(?=.{0,60}$))"
    r"|(?:can you |could you |would you |please |now )*(?:translate|convert|rewrite|rephrase|reword|summari[sz]e|shorten|expand|simplify|elaborate)(?: (?:it|that|this))? (?:into|in|to|as|for|with|further|again|a bit)\b [\w' -]{1,40}\W*$"
    r"|(?:can you |could you |would you |please |now )*(?:explain|say|repeat|show|send|write|do|run|list|translate)\b(?![^?.!]*\b(?:how|what|why|when|where|who|which)\b)[^?.!]{0,40}\bagain\W*$"
    r"|(?:can you |could you |would you |please |now )*(?:add|remove|change|put|move|replace|fix|rewrite|shorten|translate|explain|use|delete|drop|include|turn|make)\b[^?.!]{0,40}\b(?:the|your) (?:first |second |third |last |next |whole )?"
    r"(?:code|text|script|function|answer|output|draft|summary|paragraph|essay|intro|introduction|conclusion|title|sentence|line|lines|bullet points?|column|wording)\b(?:\W*$| (?:again|please|to something|a bit|more|shorter|longer)\b)"
    r"|(?:do|does|did|is|are|will|would|can) the same (?:apply|go|hold|true|be|work|happen|rules? apply|for|also|in)\b|do the same\b|why (?:so|is that|is this so)\b|(?:explain|tell me)(?: it)? (?:like|as if) (?:i'm|i am|to)\b(?=.{0,12}$)"
    r"|(?:less|more) (?!than\b)\w+(?:,? (?:please|pls))\b)"
    r"|(?:and|but|or|also|then|(?:ok|okay|yes|yeah|no|nope|so)(?= ?,| and| but| what| how| it| that| the | i | please))\b(?!.{40})"
    r"|(?:what|how) about\b|(?:what|and) if (?:it|that|they|not|so)\b"
    r"|(?:the )?same (?:for|with|in|on|but|as|thing)\b|(?:the|that|this) (?:one|other)s?\b|(?:(?:sorry|no|yes|actually),? )?i (?:meant|mean)\b"
    r"|(?:why|why not|how come|really|are you sure|since when|how so|such as|like what|for example|which one|until when|for how long|how long|how many|how much|where|when|who)\W*$"
    r"|really\b|(?:not the|instead of(?: the)?|without(?: the)?) [\w ]{1,25}(?:,|\W*$)|in [\w ]{1,25}\W*$|(?:as|into) (?:a|an) \w+(?: \w+)?\W*$|now (?:do|make|try|write|one|with|in|the same|add|explain)\b"
    r"|.{0,30}\b(?:instead|as well|either|too)\W*$|(?:does|do|is|are|will|did|has|would|can)(?! (?:i|we|you)\b)(?: \w+){1,2}? also\b"
    r"|(?:that|this) (?:is(?! (?:very |so |really )?(?:urgent|frustrating|ridiculous|annoying|unacceptable|crazy|an emergency)\b.{20})|was|did|does|didn't|doesn't|isn't|won't|wasn't)\b|that's\b|it's (?:not(?! (?:letting|allowing) me \w+ \w+)|still|wrong)\b|(?:which|what|any|those|these) ones?\b"
    # a comparison of things that are not named
    r"|(?!.*, ?[\w ]+ or \w)(?:what|which|who)(?:'s| is| are| was| were)? (?:the )?(?:\w{2,}est|best|worst|better|most \w+|least \w+|cheaper|faster)(?: (?:ever|one|ones|option|type|kind|choice))*(?= (?:for|in|on|of|ever|at|and|to have)\b|\W*$)"
    r"|what other\b(?!.*\b(?:you|my|i)\b)"
)
_POINTS_BACK: Final = Rules(
    rule(
        "about else",
        r"\bwhat about (?:the|that|this|it|those|them)\b|\bwhat else\b|\bmore about (?:it|that|this|them|these|those)\b",
    ),
    rule(
        "you your",
        r"\byou (?:just |have |already |also )?(?:said|mentioned|told|wrote|suggested|described|forgot|missed|skipped|gave|listed|recommended|meant)\b",
        r"\b(?:as|like|what|when|if|since) you say\b|\byou say (?:it|so|again)\b|\byou say (?:that|this)\W*$",
        r"\bdid you (?:just )?(?:say|mention|suggest|mean|write|recommend|get this|get that)\b|\bdo you mean\b|\bdo you recommend\W*$|\bwould you (?:recommend|suggest|choose|pick)\W*$",
        r"\byour (?:last|previous|first|second|latest|own)? ?(?:answer|code|reply|response|example|suggestion|explanation|solution|summary|translation|script)\b",
    ),
    rule(
        "above last previous latter former first second third fourth fifth next final other",
        r"\b(?:as|mentioned|listed|code|text|list|points?|error|table|the|question|example|from|function|article|story) above\b",
        r"\b(?:your|the) (?:last|previous|latter|former) (?:\w+ ){0,2}(?:answer|point|question|message|one|step|example|paragraph|response|reply|sentence|part|option|suggestion)s?\b",
        r"\bthe (?:first|second|third|fourth|fifth|last|next|final|other) (?:point|option|step|example|paragraph|sentence|bullet|suggestion|ten|two|three|few|answer|question)(?: again| please| more)*\W*$",
    ),
    rule(
        "step point option part number",
        r"\b(?:step|point|option|part|number) (?:\d+|one|two|three|four|five)(?: again| please)*\W*$",
    ),
    rule("case that besides", r"\b(?:in that case|after that|before that|besides)\W*$"),
    rule(
        "tell say explain go more comparison",
        r"\b(?:tell me|say|explain) (?:more|again)\b.{0,12}$|\bsay (?:that|it|this)\b.{0,12}$|\bgo on\b(?=\W*$| please\W*$)|\bmore (?:details?|examples?|please)\W*$|\bin comparison\W*$",
    ),
    rule(
        "them those these two bug mistake error",
        # unless something was named before, or one of many is meant that everybody knows
        r"\bof the two\b|^[^.!?,]*\bof them\b|^[^.!?]*(?<!\bone )\bof (?:those|these)\b|\bthe (?:bug|mistake|error) in (?:the|your) (?:code|text|script)\b",
    ),
    rule(
        "you you're",
        r"\b(?:you(?:'re| are| were)|are you) (?:saying|talking about|telling me|suggesting|referring)\b|\byou (?:explained|proposed|quoted|came up with)\b|\bdid you (?:calculate|choose|get|come up with|arrive at) (?:this|that|it)\b|\bdid you choose (?:this|that|it|the (?:first|second|third))\b",
    ),
    rule(
        "part line bit row",
        r"\bthe (?:first|second|third|last|next|previous|other) (?:line|row|bit|word|sentence|paragraph|part|column|section|thing you)\b(?! (?:of|in|on|for|that)\b)|\b(?:the|that) (?:part|bit) (?:about|with|where)\b",
    ),
    rule(
        "step point option",
        r"^(?!.*\b(?:of|in|for)\b).{0,40}\b(?:step|point|option|bullet) (?:\d|one|two|three|four|five)\b",
    ),
    rule(
        "first second",
        r"\bthe (?:first|second|third|latter|former) (?:sounds?|seems?|looks?|would be|one|option|method|approach|version|suggestion)\b[^?.!]{0,60}\bthe (?:first|second|third|other|latter|former)\b",
    ),
    rule(
        "if unless because",
        r"\b(?:if|unless|because) (?:i|we|you|they|he|she) (?:don't|didn't|can't|won't|haven't|wouldn't|do|did)\W*$",
        beside="don't didn't can't won't haven't wouldn't do did",
    ),
    rule("both neither", r"^(?!.*\b(?:and|or)\b).*\b(?:both|neither)\W*$"),
    rule(
        "same now next",
        r"^(?=.{0,80}$).*\b(?:get|getting|got|still|says) (?:exactly )?the same (?:error|problem|message|result|thing|issue)\b(?! (?:as|when|if|with)\b)|\b(?:done|tried|did)\b.{0,40}\bwhat (?:now|next)\W*$",
    ),
)
_ABOUT_THE_ASSISTANT: Final = re.compile(
    r"\b(?:who|what|where|how (?:old|young|tall|big|smart)) (?:exactly )?(?:are|were) you\b(?! (?:\w+ing|on about|sure|from that|at)\b)|\bhow (?:old|young|tall|big) (?:you are|will you be)\b"
    r"|\bwhere (?:do|did|have) (?:you|they) (?:come|make|made|call|get)\b(?: you)?(?: from)?\W*$|\b(?:who|whom) (?:do|are|is) (?:it )?you (?:work|working)(?: for)?\W*$|\bare you (?:from|an? (?!good|better)\w+|alive|real|human|young|old)\b"
    r"|\bwhat (?:all |else )?can you (?:do|help)(?: (?:for )?me)?(?: with)?\W*$|\bthings? (?:that )?(?:can you|you can) (?:do|help)(?: (?:for )?me)?(?: with)?\W*$|\btell me what you can (?:do|help)(?: (?:for )?me)?(?: with)?\W*$"
    r"|\bwhat (?:do|should|can|may|would) (?:you|they|i|we) (?:like to be |be |go |call )(?:called|by|you)\b|\bwhat (?:you are|are you|should you be) called\b|\b(?:when|where) (?:\w+ )?(?:is it |was it )?(?:were |are )?you (?:were |are )?(?:born|made|from|invented)\b"
    r"|\b(?:made|makes|invented|created|built|trained|designed|programmed) you\b|\b(?:were|was|are|you're) (?:you |u )?(?:made|born|invented|created|built|alive)\b(?= here\b| in\b| by\b| up\b|\W*$)|\byou (?:were|are) (?:made|born|how old)\b|\bolder than me\b"
    r"|\bhow (?:many|long)(?: years| days)?(?: old)? (?:are|have|do) you(?: have)?(?: been (?:alive|around|here|on)(?: for)?)?\W*$|\bhow old (?:would|will) you be\b|\byou (?:come|came|come to be|came to be|come to exist) (?:from|you)\b|\bwhere you(?:'re| are) (?:from|made)\b|\b(?:come|came) to exist\b"
    r"|\b(?:you|u)(?:'re| are| say| say you)* (?:now )?work(?:ed|ing)? for\b|\bdo you work\W*$|\bwho tells you what to do\b"
    r"|\b(?:what|how)\b.{0,30} call you\b|\byou (?:like |want )?(?:to be|being|be) called\b|\byou answer to\W*$"
    r"|\bwhat (?:exactly )?(?:(?:kind|sort|type|example)s? of )?(?:things |stuff )?(?:do|can) you (?:know|answer|like|do|be asked)(?: (?:how )?to do| about| for me| exactly)*\W*$|\bhow can you help(?: me)?\W*$|\bcan you help me with exactly\b|\bexactly can you help me with\b|\bwhat to ask you\b"
    r"|\b(?:do|are|what) you (?:like to do|do|into)\b.{0,40}(?:\b(?:work|working|off days|free time|good time|into)\W*$)|\bthings (?:are|do) you (?:into|like to do)\W*$|\bfree time,? what do you do\b"
)
"""The one who is spoken to needs no name."""
_EXPLETIVE: Final = re.compile(
    # it that stands for what comes later in the sentence, or for nothing
    r"\b(?:is|was|be|would|isn't) (?:it|this) (?:still |also |really )?(?:possible|allowed|permitted|ok|okay|legal|illegal|forbidden|necessary|required|mandatory|compulsory)(?: that)?\b(?= \w+ \w+)"
    r"|\b(?:is|was|be|would) it (?:(?!related|similar|linked|connected|compared|due|close|closer|equal|used)\w+ ){0,3}(?:to|that|if|when)\b(?= \w+ \w+)(?![^?.!]* than\b)|\b(?:is|was|be|would) it (?:\w+ )?(?:called|like|possible|true|normal|safe|worth|better|cheaper)\b(?= \w+ \w+)"
    r"|\bit(?:'s| is| has|s)? (?:only |just |already |now )?been (?:\w+ ){1,3}(?:minutes?|hours?|days?|weeks?|months?|years?|time|while|long)\b|\b(?:has|'s) it been\b(?= since\b)"
    r"|\b(?:long|much time|soon) (?:does it|it|will it|would it|it will|it would) (?:\w+ly )?takes?\b(?=[^?.!]{0,150} (?:to|for|before|until|till)\b \w+ ?\w+|(?: \w+){0,2} (?:an?|the|my) \w+(?: \w+)? to\b)"
    r"|\b(?:it(?:'s| is|s)?(?: not| doesn't| does not| didn't| won't| will not| never)*|(?:isn't|won't|doesn't|didn't|is|does|did|will) it(?: not)?) (?:lets?|letting|allows?|allowing) me\b(?= \w+ \w+)"
    r"|\bdoes it (?:still |always |keep )?(?:say|show)(?:ing)?(?: that)?\b(?= \w+ \w+)|\bone of (?:those|these)\b(?= \w+)|\b(?:does|did|will|is|was) it (?:\w+ )?(?:rain|raining|snow|snowing|freeze|cold|hot|warm|dark|windy|sunny)\b(?= \w+)|\b(?:see|like|hate|love|mind|notice|appreciate) it (?:when|if|that)\b(?= \w+ \w+)|\bit keeps (?:saying|showing|asking|telling)\b|\bif it(?:'s| is) (?:\d|noon|midnight)|\btime is it in (?=\w)|\bwhy is it (?:that )?(?=(?:i|my|we|our|you|the)\b)|\bit(?:'s| is) (?:very |so |really |quite )?urgent\b"
    r"|\b(?:does|do|did|will|would) it (?:take|cost|matter|mean|help|make sense|feel|work|hurt)\b(?=[^?.!,]{0,150} (?:to|if|when|for|until|till|before|being)\b \w+ ?\w+)"
    r"|\b(?:will|would|is|was|could) it (?:not )?(?:be )?(?:all right|alright|a good idea|a problem|too late|ok|okay|fine|possible|wise|best|better|required|necessary|hard|easy|difficult|long)(?: for (?:me|us|you|my \w+|an? \w+))? (?:to|until|till|before|if)\b(?= \w+ ?\w*)"
    r"|\b(?:how )?long (?:is|will|would) it (?:be )?(?:until|till|before|to|for)\b(?= \w+)|\bit (?:will |would )?be (?:until|till|before)\b(?= \w+)|\b(?:it's|it is|is it) (?:about )?time (?:for|to)\b(?= \w+)|\bis it (?:right|true|likely|certain)(?: that)?\b(?= \w+ \w+)"
    r"|\b(?:what|which) (?:time|hour|day|month|year|date|season)(?: of (?:the )?\w+)? is it\b(?! that\b)|\bis it (?:after |before |past )?(?:\w+day|morning|noon|midnight|\w+ o'?clock)\b|\b(?:does|did|would|will) it matter\b(?= \w+ \w+)"
    r"|\bis it taking (?:\w+ ){1,3}for\b(?= \w+ \w+)|\bmake it so (?=(?:my|the|you|i)\b)|\bwhat(?:'s| is) it like to\b(?= \w+)"
    # there, spelt as it sounds, and people whose place is named
    r"|\b(?:is|are|was|were) their (?:an?|any|some|certain|fees?|charges?)\b|\b(?:do|does|did|will|would|can) they (?:take|accept|serve|sell|offer) (?:\w+ ){1,3}at (?!all\b|any\b|the moment\b|once\b|home\b|least\b)\w+"
    r"|\bit(?:'s| is| was) (?:\w+ )?\w+ (?:to|that|if)\b|\bit (?:takes?|costs?|says?(?: that)?|shows that|seems?(?: that)?|appears?(?: that)?|turns out(?: that)?|looks? (?:like|as if|as though)|should be|would be|hurts when|comes to|rains|snows)\b"
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
_WHAT_IT_HAS: Final = re.compile(r"\b(?:have|has|had|got)(?: \w+){1,4} (?:on|in|to) $")
"""Before a pronoun that goes back to who has it: does my account have a hold on it."""
_GOES_ON: Final = re.compile(
    r" ?(?:is|was|are|were|does|do|did|has|have|had|can|could|will|would|won't|can't|doesn't|didn't|isn't|wasn't|keeps|says|shows|stopped|works?|gets?|got|comes?|goes|went|needs?|takes?|costs?|should|must|may|never|always|still|just|\w+s|\w+ed)\b"
)
"""After a pronoun that is the subject of a clause of its own."""
_OF_SOMEBODY: Final = word_set("my our your")
_ASKER: Final = _OF_SOMEBODY | word_set("i we")
_DEMONSTRATIVES: Final = word_set("this that these those")
_PRONOUNS: Final = word_set(
    "it them him that this these those they he she it's he's she's they're its their his her hers theirs both either neither one ones there other two option"
)
_ASKS: Final = word_set(
    "what's who's where's how's when's is are was were do does did can could will would should may must has have how what when where which who why"
)
_OPENS_CLAUSE: Final = word_set(
    "so sure mean means know say says said think explain show shows given now one ones those than everything anything something nothing all people person thing things way ways"
)
_BEFORE_NOUN: Final = word_set(
    "about does do did is was of for like to with in will can would could should on by from than after at if and or but what why how when before without into under over through not are has"
    " translate make change use try tell told explain describe repeat rewrite summarise summarize find fix get give need want take have help"
)
_COMPARED: Final = re.compile(r"\bbetween (?!them\b|these\b|those\b|the\b|it\b)\w+ (?:and|&|or|vs) (?!them\b|it\b)\w+")


def points_back(reading: Reading) -> bool:
    return _BEGINS_IN_THE_MIDDLE.match(reading.line) is not None or _POINTS_BACK.hold(reading)


def lacks_antecedent(reading: Reading) -> bool:
    if reading.words <= GENERIC:
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
        if _names_something(before[: ends[-1]] if ends else "") or _COMPARED.search(before):
            return False
        # Nobody says "did the dog see it" of the dog itself: in a question only a possessive, or the subject of a
        # clause that no comma sets apart, can stand for something named in its own clause.
        if (
            (found["object"] or found[0].startswith("there"))
            and reading.order[0] in _ASKS
            and not _GOES_ON.match(line, found.end())
            and not _WHAT_IT_HAS.search(before)
        ):
            return True
        return not _names_something(before)
    return False


def _stands_for_something(found: re.Match[str], before: str, line: str) -> bool:
    """Whether a pronoun refers; not if it opens a clause or goes with a noun that says what is meant."""
    word = found["object"]
    if word not in _DEMONSTRATIVES:
        return True
    after = WORD.match(line, found.end() + 1)
    if word in ("this", "these"):
        return not _names_something(" ".join(WORD.findall(line[found.end() : found.end() + 40])[:2]))
    previous = WORD.findall(before[-24:])
    if not previous or line[found.start() - 2 : found.start() - 1] in ",.;:!?":
        return True
    if previous[-1] not in GENERIC or previous[-1] in _OPENS_CLAUSE:  # people that, I know that
        return False
    return after is None or word == "those" or previous[-1] in _BEFORE_NOUN


def _names_something(text: str) -> bool:
    return any(word not in GENERIC for word in WORD.findall(text))
