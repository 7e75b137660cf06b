"""Mismatches between two questions that an embedding hardly sees: language, numbers, polarity, roles, entities.

Opposites ("turn on" / "turn off") lie closer in vector space than many true paraphrases; these rules name what
differs. A rule that fires in vain costs a hit, one that does not fire may cost a wrong answer where a scope holds
few questions. Owns word lists of general English and a reading of one text in one pass; knows neither vectors
nor answers. Pure functions over text. The lists are English: other languages are told apart from it and from each
other, but within one of them little more than numbers is seen.
"""

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

import msgspec
from msgspec import Struct

from cache.marks import Marks, differ, marks, without_accents


def stem(word: str) -> str:
    """`word` without the endings of plural and inflection; crude, but the same for most forms of one word."""
    word = word.removesuffix("'s")
    for suffix in ("ing", "ed", "es", "s"):
        if word.endswith(suffix) and len(word) - len(suffix) >= 3 and not word.endswith("ss"):
            word = word.removesuffix(suffix)
            break
    if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "aeiou":
        word = word[:-1]
    return word[:-1] + "i" if word.endswith("y") else word.removesuffix("e")


def _stems(words: str) -> frozenset[str]:
    return frozenset(stem(word) for word in words.split())


def _pairs(text: str) -> tuple[str, ...]:
    """The single "one side|other side" of a list."""
    return tuple(" ".join(pair.split()) for pair in text.split(";"))


# --- words: several that act as one ---

_PHRASES: Final = tuple(
    (frozenset(triggers.split()), re.compile(rf"\b(?:{pattern})\b"), replacement)
    for triggers, pattern, replacement in (
        ("shut shutting", r"shut(?:ting)? (?:down|off)", "close"),
        ("on", r"(?:turn|switch|power|put|leav)(?:e|ing|ed|s|es)?((?: (?!off|on|to)[^\s.?!]+){0,5}?) on(?!to| (?:my|the|an?|your|our)\b)", r"enable\1"),
        ("off", r"(?:turn|switch|power|put|go|goes)(?:ing|ed|s|es)?((?: (?!off|on|to)[^\s.?!]+){0,5}?) off", r"disable\1"),
        ("of", r"(?:turn|switch)(?:ing|ed)?(?: it| them| this| that)? of(?= *$| *[.?!,;:])", "disable"),
        ("off", r"(?<!day )(?<!days )off(?= *$| *[.?!,;:])", "disable"),
        ("on", r"on(?= *$| *[.?!;:])", "enable"),
        ("up", r"top(?:ping|ped|s)?[ -]?up", "topup"),
        ("up", r"(?:turn|put|bring|scale)(?:ing|ed|s)?((?: (?!up|down)\S+){0,3}?) up|(?:mov|step)(?:e|ing|ed)? up(?! to)", r"increase\1"),
        ("down", r"turn(?:ing|ed|s)?((?: (?!up|down)(?:my|the|an?|your|our|request|offer|invitation|job|application)){0,3}?) down", r"decline\1"),
        ("down", r"(?:turn|put|bring|scale)(?:ing|ed|s)?((?: (?!up|down)\S+){0,3}?) down|(?:mov|step)(?:e|ing|ed)? down(?! to)", r"decrease\1"),
        ("back", r"bring(?:ing)?((?: (?!back)\S+){0,4}?) back", r"restore\1"),
        ("back", r"(?:get|getting|got|take|taking)((?: (?!back)\S+){0,4}?) back", r"recover\1"),
        ("off away", r"tak(?:e|ing|en)((?: (?!off)\S+){0,4}?) (?:off|away)", r"remove\1"),
        ("away", r"(?:keep|stay|scare)(?:ing|s)?((?: (?!away)\S+){0,3}?) away", r"repel\1"),
        ("out", r"(?:leave|leaving|left)((?: (?!out)\S+){0,4}?) out", r"exclude\1"),
        ("home", r"(?:leave|leaving|left)((?: (?!at)\S+){0,4}?) at home", r"omit\1"),
        ("log logging logged login logs sign signing signed signs signin", r"(?:log|sign)(?:ging|ing|ged|ed|s)?[ -]?(?:in|on)(?:to)?", "login"),
        ("log logging logged logs sign signing signed signs", r"(?:log|sign)(?:ging|ing|ged|ed|s)?[ -]?(?:out|off)", "logout"),
        ("check checking checks checkin", r"check(?:ing|s)?[ -]?in", "checkin"),
        ("check checking checks checkout", r"check(?:ing|s)?[ -]?out(?! (?:what|how|if|whether))", "checkout"),
        ("get getting got", r"(?:get|getting|got) (?:rid|out) of", "remove"),
        ("get getting got", r"(?:get|getting|got) off", "alight"),
        ("get getting got", r"(?:get|getting|got) on(?= (?:the|a|an|to|my) )", "board"),
        ("around", r"(?:get|getting|work|working) around", "avoid"),
        ("get getting got", r"(?:get|getting|got)((?: (?!back)[^\s.?!,]+){1,5}?) (?:off|out of)", r"remove\1 from"),
        ("give giving break breaking call calling back backing", r"(?:giv(?:e|ing)|break(?:ing)?|call(?:ing)?|back(?:ing)?) (?:up|off|out)(?! to)", "cancel"),
        ("opt opting", r"opt(?:ing)?[ -]?(?:out|off)", "unsubscribe"),
        ("opt opting", r"opt(?:ing)?[ -]?in", "subscribe"),
        ("sign signing signed", r"sign(?:ing|ed)?[ -]?up", "subscribe"),
        ("set setting sets", r"set(?:ting|s)?[ -]?up", "setup"),
        ("hold", r"on hold", "pause"),
        ("not unsure no unaware wonder", r"(?:i(?:'m| am)? )?(?:not (?:quite |really )?(?:sure|certain)|unsure|no idea|no clue|unaware)(?: of)?", "wonder"),
        ("don't dont not cannot can't cant couldn't couldnt didn't didnt",
         r"(?:i |you )?(?:do not|don't|dont|d not|did not|didn't|didnt|cannot|can not|can't|cant|could not|couldn't|couldnt)"
         r" (?:really |even |quite |happen to )?(?:know|understand|recogni[sz]e|remember|recall|see why|get why|figure out|work out"
         r"|seem to find|find|locate|have (?:any|a) (?:idea|clue))", "wonder"),
        ("not", r",? or not|or no(?=[ ?.!]*$)|whether or not|not only|why not(?=[ ?.!]*$)|not to mention", ""),
        ("no", r"no (?:longer|more(?= [a-z]))", "not"),
        ("no", r"^no,|no (?:problem|matter|worries|reason|doubt)|or no(?=[ ?.!]*$)", ""),
        ("restore restoring", r"restor(?:e|ing)(?= (?:the )?(?:default|factory))", "reset"),
        ("open opens opening", r"open(?:s|ing)? (?:hours?|times?)|open(?:s|ing)? and clos(?:e|es|ing)", "hours"),
        ("wi wlan", r"wi[ -]?fi|wlan", "wifi"),
        ("mail mails", r"e[ -]mails?", "email"),
        ("card transfer debit pay home assistant watch tv express",
         r"(gift|credit|debit|direct|bank|google|apple|fire|american) (card|transfer|debit|pay|home|assistant|watch|tv|express)s?", r"\1\2"),
        ("2fa 2 two step factor", r"2fa|(?:two|2)[ -]?(?:factor|step)", "twofactor"),
        ("100 hundred 110 1000 thousand million", r"(?:100|110|1000|a hundred|(?:one )?hundred)[ %]*(?:percent)? ?(?:sure|certain|positive|correct|legit\w*|clear|confident)"
         r"|(?:a|one|many|100|1000)? ?(?:hundred|thousand|million|100|1000)s?(?: of)? (?:times|thanks|thank)", "surely"),
        ("through", r"(?:go|goes|going|gone|went|come|came|pass|get|got|put)(?: it)? through", "succeed"),
        ("show shows showing showed shown", r"show(?:s|ing|ed|n)?(?: up)? (?=as|that|in|on|pending|yet|still)", "appear "),
        ("long", r"how long", "duration"),
        ("left", r"left[ -]hand(?: side)?|(?<=on the )left|(?<=to the )left", "leftside"),
        ("right", r"right[ -]hand(?: side)?|(?<=on the )right|(?<=to the )right", "rightside"),
        ("purpose", r"on purpose", "deliberate"),
        ("accident mistake", r"(?:by|on) (?:accident|mistake)", "accidental"),
        ("expensive", r"most expensive", "priciest"),
        ("too", r"too (?:little|few)", "insufficient"),
        ("too", r"too (?:much|many)", "excessive"),
        ("free", r"(\w+)-free|(?<=\w)? ?(gluten|sugar|alcohol|dairy|fat|duty|tax|caffeine|lactose|nut|meat|egg|salt|oil) free", r"without \1\2"),
        ("full part", r"(full|part)[ -]time", r"\1time"),
        ("way trip", r"one[ -]way", "oneway"),
        ("trip", r"round[ -]trip", "roundtrip"),
        ("peak", r"off[ -]peak", "offpeak"),
        ("speed", r"speed(?:ing|s)?((?: (?!up)\S+){0,3}?) up", r"accelerate\1"),
        ("slow", r"slow(?:ing|s)?((?: (?!down)\S+){0,3}?) down", r"decelerate\1"),
        ("zoom", r"zoom(?:ing)? in", "enlarge"),
        ("zoom", r"zoom(?:ing)? out", "shrink"),
        ("put", r"put(?:ting)? on(?= (?:weight|kilos|pounds))", "gain"),
        ("counter", r"over[ -]the[ -]counter", "overthecounter"),
        ("ahead", r"(?:go|goes|going|went) ahead", "proceed"),
        ("us", r"(?<=\bthe )us|u\.s\.(?:a\.?)?|(?<=\bin )us(?= dollars)", "usa"),
        ("half", r"half (?=an? (?:hour|kilo|litre|liter|mile|year|day|dozen|pound|million|minute|metre|meter|gallon|pint)s?\b)", "0.5 "),
        ("morning", r"(?<=\d) in the morning", "am"),
        ("afternoon evening night", r"(?<=\d) (?:in the (?:afternoon|evening)|at night)", "pm"),
        ("past to", r"(quarter|half) past (one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|\d+)(?: in the (morning|afternoon|evening))?", "clock"),
    )
)  # fmt: skip
"""(words of which one must be there, pattern, replacement): several words that act as one, or turn a verb round."""
_PHRASES_BY_TRIGGER: Final = {
    word: tuple(place for place, (triggers, *_) in enumerate(_PHRASES) if word in triggers)
    for word in sorted(frozenset[str]().union(*(triggers for triggers, *_ in _PHRASES)))
}
_TRIGGERS: Final = frozenset(_PHRASES_BY_TRIGGER)

_CLOCK: Final = {"quarter": "15", "half": "30", "morning": " am", "afternoon": " pm", "evening": " pm"}

_IRREGULAR: Final = {
    form: base
    for base, *forms in map(
        str.split,
        (
            "buy bought|sell sold|pay paid|send sent|lend lent|give gave given|get got gotten|take took taken|go went gone"
            "|overtake overtook overtaken|come came|make made|find found|lose lost loses losing|keep kept|tell told|say said"
            "|write wrote written|drive drove driven|break broke broken|steal stole stolen|choose chose chosen"
            "|freeze froze frozen|withdraw withdrew withdrawn|begin began begun beginning|run ran running|spend spent"
            "|hide hid hidden hiding|win won winning|hold held|meet met|lead led|bite bit bitten|eat ate eaten|drink drank drunk"
            "|forget forgot forgotten forgetting|know knew known|grow grew grown|rise rose risen|fall fell fallen|build built"
            "|catch caught|teach taught|think thought|bring brought|fight fought|child children|person people|man men"
            "|woman women|wife wives|foot feet|tooth teeth|rewrite rewrote rewritten|see saw seen|feel felt|wear wore worn"
            "|speak spoke spoken|rent rented|owe owed|unfreeze unfroze unfrozen|life lives|wolf wolves|leaf leaves"
            "|mouse mice|mean meant|shut shuts shutting|lie lying|die died dies dying|tie tied tying|use using used uses"
            "|ride rode ridden|draw drew drawn|throw threw thrown|fly flew flown|swim swam swum|sing sang sung|beat beaten"
            "|understand understood|become became|undo undid undone|unbind unbound|rebuild rebuilt|resend resent|quit quitting"
            "|raise upped upping"
        ).split("|"),
    )
    for form in forms
}  # fmt: skip

# --- words: numbers ---

_UNITS_OF_TEN: Final = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
_ORDINALS: Final = "_ first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth fifteenth"
_NUMBER_WORDS: Final = (
    {word: value for value, word in enumerate(_UNITS_OF_TEN.split())}
    | {word: value for value, word in enumerate(_ORDINALS.split()) if value}
    | {
        "twice": 2,
        "both": 2,
        "double": 2,
        "doubly": 2,
        "duplicate": 2,
        "duplicated": 2,
        "triple": 3,
        "single": 1,
        "dozen": 12,
    }
    | {
        word: value * 10
        for value, words in enumerate(
            "_|_|twenty twentieth|thirty|forty fourty|fifty|sixty|seventy|eighty|ninety".split("|")
        )
        for word in words.split()
    }
    | {"hundred": 100, "thousand": 1000, "million": 1_000_000, "billion": 1_000_000_000}
)
_ROMAN: Final = {"ii": 2, "iii": 3, "iv": 4, "vi": 6, "vii": 7, "viii": 8, "ix": 9, "xi": 11, "xii": 12}
_DECADES: Final = {
    f"{ten[:-1]}ies": f"19{digit}0"
    for digit, ten in enumerate("twenty thirty forty fifty sixty seventy eighty ninety".split(), 2)
}
_SEVERAL: Final = frozenset("couple few several some".split())
"""They stand for any small number, and for none."""

_UNITS: Final = {
    name: (dimension, factor)
    for dimension, factor, names in (
        ("second", 1, "second seconds sec secs s"), ("second", 60, "minute minutes min mins minuten"),
        ("second", 3600, "hour hours hr hrs h hourly"), ("second", 86_400, "day days daily d"), ("second", 604_800, "week weeks weekly wk wks"),
        ("month", 1, "month months monthly mo"), ("month", 12, "year years yearly yr yrs annual annually"),
        ("gram", 1, "gram grams gramme grammes g"), ("gram", 1000, "kilo kilos kilogram kilograms kg kgs"), ("gram", 0.001, "mg milligram milligrams"),
        ("pound", 1, "lb lbs"), ("ounce", 1, "oz ounce ounces"),
        ("metre", 1, "m metre metres meter meters"), ("metre", 1000, "km kilometre kilometres kilometer kilometers"),
        ("metre", 0.01, "cm centimetre centimetres centimeter centimeters"), ("metre", 0.001, "mm millimetre millimetres millimeter millimeters"),
        ("mile", 1, "mile miles mi"), ("inch", 1, "inch inches"), ("foot", 1, "ft foot feet"),
        ("litre", 1, "l litre litres liter liters"), ("litre", 0.001, "ml millilitre millilitres milliliter milliliters"),
        ("gallon", 1, "gallon gallons"), ("byte", 1, "mb megabyte megabytes"), ("byte", 1000, "gb gig gigs gigabyte gigabytes"),
        ("byte", 1_000_000, "tb terabyte terabytes"), ("hertz", 1, "mhz"), ("hertz", 1000, "ghz"),
        ("%", 1, "% percent pct"), ("volt", 1, "v volt volts"), ("watt", 1, "w watt watts"), ("watt", 1000, "kw kilowatt kilowatts"),
        ("celsius", 1, "celsius centigrade"), ("fahrenheit", 1, "fahrenheit"), ("am", 1, "am"), ("pm", 1, "pm"), ("square", 1, "sqm"), ("thousand", 1, "k"),
    )
    for name in names.split()
}  # fmt: skip
_BETWEEN_NUMBER_AND_UNIT: Final = frozenset(
    "business working calendar full whole square more extra long consecutive school us imperial metric degree degrees".split()
)
_ORDINAL_ENDINGS: Final = frozenset(("st", "nd", "rd", "th"))
_WAITING: Final = frozenset("been waiting waited wait".split())
_FORMATS: Final = frozenset("mp3 mp4 m4a 3d 2d b2b b2c p2p h2o co2".split())
_HABITUAL: Final = frozenset(("24/7",))
"""Numbers that say nothing."""

# --- words: negation ---

_NEGATORS: Final = frozenset(
    "not no never without neither nor non nothing nobody none unable hardly dont doesnt didnt isnt arent wasnt werent wont wouldnt cant cannot couldnt shouldnt"
    " havent hasnt hadnt aint don't doesn't didn't isn't aren't wasn't weren't won't wouldn't can't couldn't shouldn't haven't hasn't hadn't"
    " ain't mustn't needn't lacking minus".split()
)
_REFUSALS: Final = frozenset("refuse refuses refused refusing fail fails failed failing forget forgets forgot".split())
_SOFT: Final = frozenset("unable wont wouldnt cant cannot couldnt won't wouldn't can't couldn't hardly".split())
"""Who says so is stuck, and asks how to get on: "I can't log in" is no opposite of "how do I log in"."""
_FRONTED: Final = frozenset(
    "don't doesn't didn't isn't aren't wasn't weren't won't wouldn't can't couldn't shouldn't haven't hasn't"
    " dont doesnt didnt isnt arent wasnt werent wont wouldnt cant couldnt shouldnt havent hasnt".split()
)
_AUXILIARIES: Final = frozenset(
    "do does did can could will would shall should may might must is are was were am has have had".split()
)
_LACKING: Final = frozenset("without non lacking minus".split())
_COPULAS: Final = frozenset("isn't aren't wasn't weren't isnt arent wasnt werent".split())
_NO_ADVERBS: Final = frozenset(
    "apply reply supply rely comply multiply imply fly family ally assembly bully july italy".split()
)
_GREETINGS: Final = frozenset("hi hello hey please so there".split())
_TROUBLE: Final = _stems(
    "fail failure lose lost miss missing problem issue error trouble wrong refuse decline deny reject stuck unable invalid incorrect broken skip avoid prevent"
    " pending wait waiting delay late stop disappear vanish gone cancel close delete remove less insufficient difficulty impossible unknown without"
)
_SEEMING: Final = _stems("se appear seem try mak feel look happen")
"""What they are said of tells more than they do."""
_STOPPERS: Final = _stems("stop keep prevent avoid quit hinder block refrain")
_CLAUSE_WORDS: Final = frozenset(
    "and or but because if when so then while although though since unless until whether".split()
)
_SPECIFIC: Final = frozenset("which what who whose whom".split())
# --- words: opposites ---

_QUALITIES: Final = _pairs(
    """
    maximum max most|minimum min least; more|less fewer; fast quick rapid swift|slow; early|late;
    big large huge enlarge|small little tiny shrink; big large high|small low tight; open|shut close; board|alight; high|low; tall|short; long|short; wide broad|narrow; thick|thin runny; deep|shallow;
    heavy|light; strong|weak; hard difficult|easy simple; hard firm|soft; hot warm|cold cool chilly;
    wet damp moist humid|dry; bright light|dark dim; loud noisy|quiet silent; clean|dirty; young|old;
    good great|bad poor terrible; cheap inexpensive affordable|expensive pricey costly; rich wealthy|poor;
    safe harmless|dangerous unsafe harmful risky; healthy|unhealthy sick ill; fresh|frozen stale; ripe|unripe;
    sweet|sour salty; dense|airy fluffy; sharp|blunt dull; tight|loose; straight|curly crooked; smooth|rough; happy|sad;
    full|partial empty
    """
)
"""Adjectives, with their comparatives and superlatives."""

_CONVERSES: Final = _pairs(
    """
    send transfer lend|receive collect borrow; lend|borrow; buy purchase|sell
    """
)
"""Two sides of one event: opposites only where the same person does them ("Where do you sell it?", "Where can I buy it?")."""

_OPPOSITES: Final = _pairs(
    """
    sent|received; covered|excluded; abroad overseas|home here; during|before after afterwards; beforehand|afterwards;
    import|export; expired|valid; whole entire|part half slice; average|longest shortest highest lowest;
    enable activate start begin launch add subscribe join open create connect install include resume establish setup initiate|disable deactivate inactivate stop end remove delete unsubscribe leave close cancel terminate disconnect uninstall erase quit pause suspend;
    pause suspend interrupt|resume continue unpause proceed; pause suspend hold|end terminate delete cancel quit remove;
    reschedule postpone|cancel; order book reserve|cancel; buy purchase order|return refund; setup create|delete remove;
    discount|surcharge;
    restore recover undelete reinstate reactivate reopen unarchive retrieve|delete erase cancel clear close remove deactivate archive;
    redeem|undo; save keep store retain preserve|delete discard erase remove;
    raise increase upgrade boost enlarge strengthen grow gain improve rise|decrease lower downgrade reduce weaken shrink lessen cut drop fall lose worsen;
    more|decrease reduce lower lessen; less fewer|increase raise boost;
    bigger larger higher louder brighter|decrease reduce shrink lessen; smaller quieter|increase raise boost enlarge;
    maximize maximise|minimize minimise; quickly rapidly|slowly; thicken|thin; heat warm|cool chill; heated|unheated;
    brighten lighten|darken dim; new|old existing current; newest latest|oldest; better|worse; best|worst;
    cheapest lowest|priciest highest dearest; fill|empty drain; overflow overfull|empty;
    freeze frozen freezer|thaw thawed defrost defrosted unfreeze melt; raw|cooked; tighten fasten|loosen unfasten;
    stretch|shrink; expand|collapse; inflate|deflate; swell|shrink; gift|redeem; deposit|withdraw withdrawal; earn|spend;
    income earnings|expense expenditure spending; profit|loss; win|lose;
    advantage pro upside|disadvantage con drawback downside; advantageous beneficial|harmful;
    benefit gain reward|penalty drawback harm fine; pass succeed|fail; success|failure; before|after afterwards following;
    prior|after; earlier|later; arrive arrival|depart departure leave; outbound outgoing outward|inbound incoming return;
    inside indoor indoors interior|outside outdoor outdoors exterior; internal|external;
    above over|below under beneath underneath; upper|lower; top|bottom; front|rear; upstairs|downstairs;
    leftside|rightside; ahead|behind; forward forwards|backward backwards reverse; next upcoming|previous prior last;
    first|last final; show unhide display reveal visible|hide hidden conceal invisible; lock|unlock; mute|unmute;
    block ban blacklist|unblock unban whitelist allow;
    link pair connect attach sync|unlink unpair disconnect detach unsync; attach|detach; login|logout; checkin|checkout;
    allow permit allowed permitted|forbid prohibit ban block deny forbidden prohibited disallow refuse banned;
    accept approve confirm|refuse reject decline deny declined disapprove;
    agree consent happy|object disagree refuse oppose; want like love wish|refuse hate dislike; grant|revoke deny withdraw;
    give|withdraw revoke; let|forbid; include included inclusive|exclude excluded exclusive;
    eligible entitled qualify|ineligible excluded; bring take|omit;
    mandatory compulsory required obligatory|optional voluntary; legal lawful allowed|illegal unlawful; import|export;
    upload upstream|download downstream; download|delete; public|private; manual manually|automatic automatically auto;
    domestic national|international abroad foreign overseas; local|remote global;
    personal private residential home household|business company corporate commercial; prepaid|postpaid;
    wired ethernet cable|wireless wifi; temporary temporarily|permanent permanently; weekday weekdays|weekend weekends;
    daytime|nighttime night; sunrise dawn|sunset dusk; noon midday|midnight; online|offline; attract invite|repel deter;
    push|pull; lift|lower; ascending ascend|descending descend; climb|descend; accelerate|brake decelerate;
    hire employ|fire dismiss; marry|divorce; married|divorced unmarried; birth born|death die;
    increase rise|decrease drop decline; positive|negative; plus|minus; odd|even; horizontal|vertical; major|minor;
    senior|junior; beginner|advanced expert; natural|artificial synthetic;
    accidental accidentally|deliberate deliberately intentional intentionally; excessive|insufficient;
    compress zip|decompress unzip extract; merge combine|split separate; lengthen extend|shorten; absent|present;
    guilty|innocent; male|female; active|inactive; follow|unfollow; together|separately apart; alone|accompanied;
    true|false; always|rarely; often frequently|rarely seldom; input|output; inhale|exhale; pin|unpin; liquid|solid;
    majority|minority; gentle|harsh; employed|unemployed; encourage|discourage; praise|criticise criticize;
    compliment|complaint complain; trust|distrust; friend|enemy; ally|enemy; optimist|pessimist; victory|defeat;
    attack|defend; create build|destroy demolish; assemble|dismantle; wake awake|sleep asleep; laugh|cry; undo|redo;
    commit|revert; copy cut|paste; acquire|release; read|write; frontend|backend; synchronous|asynchronous; static|dynamic;
    append|prepend; prefix|suffix; uppercase capital capitals|lowercase; landscape|portrait; insert|eject; bold|italic;
    asset|liability; gross|net; fixed|variable floating; appreciate|depreciate; surplus|deficit; taxable|exempt deductible;
    bankrupt|solvent; return roundtrip|oneway; window|aisle; cabin carryon|checked;
    direct nonstop|connecting indirect layover stopover; northbound|southbound; eastbound|westbound;
    clockwise|anticlockwise counterclockwise; uphill|downhill; upward upwards|downward downwards; peak|offpeak;
    prescription|overthecounter; acute|chronic obtuse; benign|malignant; systolic|diastolic; dilate|constrict;
    constipation|diarrhea diarrhoea; sober|drunk; spicy|mild bland; crispy crunchy|soggy; lean|fatty;
    caffeinated|decaf decaffeinated; vegan vegetarian|meat carnivore; sunny sun|shady shade cloudy; acid acidic|alkaline;
    deciduous|evergreen; annual|perennial; sow plant|harvest uproot; evaporate evaporation|condense condensation;
    reflect|absorb; concave|convex; numerator|denominator; addition plus sum|subtraction subtract;
    multiply multiplication|divide division; predator|prey; herbivore|carnivore; endothermic|exothermic;
    introvert introverted|extrovert extroverted; waxing|waning; lunar|solar; ancient|modern contemporary; past|future;
    cause trigger|prevent relieve cure; aggravate worsen|alleviate relieve soothe ease; stimulate|suppress; supply|demand;
    question|answer; theory theoretical|practice practical; quantity|quality; offense offence|defense defence;
    fulltime|parttime; plaintiff prosecution|defendant defence; civil|criminal; promote|demote prevent; promotion|demotion;
    strict|lenient; formal|informal casual; polite|rude; near close nearby|far distant; nearest closest|farthest furthest;
    inner|outer; single|shared married; common|rare; simple|complex complicated; matte|glossy; transparent|opaque;
    enter|exit leave; entrance entry|exit; float|sink; landing|takeoff; fat|slim thin skinny; reward|punish punishment;
    help|harm hinder; repair fix|break damage; teach|learn; within|after outside; vaccinated|unvaccinated;
    tame domesticated|wild; sit|stand; catch|release; remember|forget; love|hate; calm|anxious nervous;
    alive living|dead deceased; maternal|paternal; singular|plural; synonym|antonym; vowel|consonant; monarchy|republic;
    bullish|bearish; speedup|slowdown; superior|inferior; exclusive|inclusive;
    vacant free available|occupied taken booked unavailable; rural|urban; mild|severe; analog analogue|digital;
    ingoing|outgoing; hidden|visible; supervised|unsupervised; refundable|nonrefundable; wired corded|cordless;
    stop|continue; stay|leave; wake|sleep; gentle|rough; cured|incurable; cooler colder|warmer hotter; winter|summer;
    day|night; quieter|louder; lightest|heaviest; softly quietly|loudly
    """
)
"""Each word of the left side is an opposite of each of the right side. A text that names both sides takes none."""

_REVERSALS: Final = {
    stem(word): _stems(bases)
    for words, bases in (
        ("restore undelete reinstate", "delete erase clear remove cancel"),
        ("recover retrieve", "delete erase clear"),
        ("reopen reactivate", "close deactivate cancel"),
    )
    for word in words.split()
}
"""To undo what is still named: "restore a deleted file" against "delete a file"."""

_ENDING: Final = _stems(
    "stop undo cancel cancellation terminate termination delete deletion erase remove removal uninstall unsubscribe disconnect unlink unpair"
    " disable deactivate revoke wipe avoid prevent refuse prohibit discontinue abolish"
)
_ENDING_ALLIES: Final = _ENDING | _stems(
    "end leave close exit clear discard rid against repel hide mute decline reject return refund without lose drop revert restore recover"
    " suspend pause freeze block unfollow omit exclude reduce detach cut skip refund reverse closure shut dispute fraud fraudulent unauthorized reset default out off kick throw withdraw scrap escape back wrong redo quit"
)
"""To end something: where only one of two questions names it, they ask for different things."""

_UN: Final = ("un", "dis", "de", "non", "in", "im", "ir", "il", "mis", "ab")
_PREFIX_PAIRS: Final = (
    ("en", "de"), ("hyper", "hypo"), ("over", "under"), ("up", "down"), ("im", "ex"), ("in", "ex"), ("in", "out"), ("in", "de"), ("pre", "post"),
    ("ma", "pa"), ("macro", "micro"), ("inter", "intra"), ("a", "de"), ("pro", "anti"), ("as", "des"),
)  # fmt: skip
_NO_PREFIX: Final = _stems(
    "disappear unlimited unable unaware invoice inform information import important impress improve depart department display discount detail delay deliver delivery describe"
    " design decide default desire increase income input inside indoor intend invest invite indeed index insure insurance instance instead"
    " interest until under unit unite unique unless dispute distance district discover discuss disk distribute dispatch disease inch image"
    " immediate inquire install installation installment instalment intro image discipline understand demand depend deposit dear deal"
    " deter device develop university uniform universal intern internal internet indian ink impact impart individual inspect instruct"
    " inner invent about above abroad absolute defend defeat defend degree denied deny dent destroy determine devote debit debt"
    " decline decrease deduct deep defer define issue misc mission miss mist iron island inst irish ill illness non none into"
    " download upload update upgrade upper upset upon outside outlet outlook outgoing overview overseas underground overall disco disc"
)

# --- words: things of one kind ---

_ALTERNATIVES: Final = (
    "android iphone/ios/ipad/apple windows/pc mac/macos/macbook linux chromebook",
    "paypal visa mastercard amex/americanexpress klarna sepa/directdebit bitcoin/crypto cheque/check cash"
    " giftcard/voucher banktransfer/wire googlepay applepay creditcard debitcard",
    "chrome firefox safari edge opera",
    "email sms/text phone/call post/postal/letter/paper chat whatsapp",
    "monday tuesday wednesday thursday friday saturday sunday",
    "january february march april june july august september october november december",
    "dollar/usd euro/eur pound/gbp yen franc/chf",
    "germany/german france/french spain/spanish italy/italian uk/britain/england/british usa/america/american"
    " canada/canadian austria/austrian switzerland/swiss poland/polish netherlands/dutch portugal/portuguese japan",
    "english german french spanish italian portuguese dutch polish turkish",
    "alexa google/googlehome/googleassistant siri/homekit",
    "lamp/light/bulb plug/socket camera thermostat doorbell lock sensor speaker router",
    "basic standard premium family business enterprise pro lite essential ultimate",
    "student/university senior/pensioner/retired teacher child/kid/children adult",
    "refund replacement/exchange credit",
    "username password pin",
    "bronze silver gold platinum",
    "red amber/orange green blue yellow white purple",
    "mp3 mp4 pdf csv excel/xlsx json xml",
    "minute hour day/daily week/weekly month/monthly year/yearly/annual",
    "first second third fourth fifth sixth last",
)  # fmt: skip
"""Words of which one excludes the others, "/" between names of one thing. Answers are compared by them as well."""

_MORE_ALTERNATIVES: Final = (
    "germany/german france/french spain/spanish italy/italian uk/britain/england/british usa/america/american canada/canadian austria/austrian"
    " switzerland/swiss poland/polish netherlands/dutch/holland portugal/portuguese japan/japanese china/chinese korea/korean india/indian"
    " brazil/brazilian mexico/mexican argentina chile peru colombia norway/norwegian sweden/swedish denmark/danish finland/finnish iceland"
    " ireland/irish scotland/scottish wales/welsh belgium/belgian luxembourg greece/greek turkey/turkish russia/russian ukraine/ukrainian"
    " hungary/hungarian czechia/czech slovakia slovenia croatia serbia romania bulgaria albania malta cyprus egypt/egyptian morocco tunisia"
    " algeria kenya nigeria ghana ethiopia israel/israeli iran/persian/iranian iraq syria saudi qatar dubai/emirates pakistan thailand/thai"
    " vietnam/vietnamese indonesia malaysia singapore philippines australia/australian zealand cuba jamaica",
    "spring summer autumn/fall winter",
    "north/northern south/southern east/eastern west/western",
    "morning noon/midday afternoon evening night",
    "breakfast lunch dinner/supper",
    "python javascript/js java rust go/golang ruby php kotlin swift typescript perl scala csharp",
    "mysql postgresql/postgres mongodb sqlite oracle redis mariadb",
    "png jpg/jpeg gif svg ico webp tiff bmp",
    "word excel powerpoint outlook thunderbird gmail",
    "docx epub pdf mobi txt rtf odt html markdown",
    "ubuntu debian fedora arch centos mint",
    "netflix spotify hulu disney youtube amazon audible",
    "facebook instagram twitter linkedin tiktok snapchat reddit pinterest whatsapp telegram signal",
    "xbox playstation nintendo switch steam",
    "car/automobile motorbike/motorcycle bus train/rail ferry plane/flight bike/bicycle/cycle taxi tram truck/lorry van scooter boat",
    "dog/puppy/labrador cat/kitten rabbit hamster hedgehog squirrel horse parrot bird fish cow sheep goat pig chicken",
    "mother/mum/mom father/dad brother sister son daughter wife husband grandmother grandfather uncle aunt cousin",
    "passport licence/license visa certificate diploma",
    "samsung iphone huawei xiaomi nokia motorola pixel",
    "dishwasher oven fridge/refrigerator freezer dryer microwave stove toaster kettle",
    "diesel petrol/gasoline electric hybrid",
    "hotel hostel flat/apartment house/home office shop/store warehouse",
    "coffee tea beer wine juice milk water soda",
    "beef pork chicken lamb fish tofu turkey",
    "mortgage loan insurance pension",
    "birthday wedding funeral christening graduation christmas easter",
    "gym pool sauna library museum cinema theatre restaurant cafe bar",
    "red orange green blue yellow white purple black grey/gray pink brown beige",
    "inch centimetre/centimeter/cm millimetre/millimeter/mm metre/meter foot/feet yard",
    "mile kilometre/kilometer/km",
    "litre/liter cup pint gallon millilitre/milliliter tablespoon teaspoon",
    "finance/accounting marketing sales legal engineering procurement logistics",
    "student pensioner/retiree employee/worker jobseeker/unemployed freelancer/self-employed apprentice/trainee intern contractor",
    "adult child/kid family senior infant/baby teenager",
    "maternity paternity",
    "merge rebase",
    "ibuprofen paracetamol/acetaminophen/tylenol aspirin amoxicillin doxycycline penicillin insulin",
    "guitar piano violin drums flute",
    "breadth height width depth weight length",
    "hourly daily weekly monthly yearly/annual/annually",
    "checking/current savings/saving",
    "debit credit",
)  # fmt: skip


def _members(groups: Iterable[str]) -> dict[str, tuple[tuple[int, int], ...]]:
    """Stem of a word -> the (group, member) pairs that it stands for."""
    found: dict[str, dict[tuple[int, int], None]] = {}
    for number, group in enumerate(groups):
        for member, names in enumerate(group.split()):
            for name in names.split("/"):
                found.setdefault(stem(name), {})[number, member] = None
    return {word: tuple(pairs) for word, pairs in found.items()}


_MEMBERS: Final = _members(_ALTERNATIVES)
_COUNTED: Final = frozenset(
    number for number, group in enumerate(_ALTERNATIVES) if group.startswith(("first", "germany"))
)
"""Groups that are numbers here, or are in the longer list."""
_ALL_MEMBERS: Final = {
    word: frozenset(pair for pair in pairs if pair[0] not in _COUNTED)
    for word, pairs in _members((*_ALTERNATIVES, *_MORE_ALTERNATIVES)).items()
}

# --- words: who does it ---

_PERSONS: Final = _stems(
    "person people someone somebody anyone anybody everyone everybody nobody friend mate neighbour neighbor colleague coworker boss employer employee"
    " manager worker staff landlord tenant lodger renter owner buyer seller vendor customer client merchant shopkeeper supplier contractor host guest"
    " visitor teacher student pupil professor parent child kid mother mum mom father dad son daughter brother sister wife husband spouse partner"
    " grandparent grandchild grandmother grandfather uncle aunt cousin nephew niece baby babysitter nanny doctor nurse midwife patient dentist"
    " surgeon therapist lawyer attorney witness judge police officer driver passenger pilot courier guide tourist traveller traveler player coach"
    " referee member administrator admin user subscriber sender recipient receiver payer payee lender borrower creditor debtor insurer"
    " company firm government auditor treasurer accountant agent broker technician engineer developer author reader writer editor"
    " bride groom couple godparent godchild freelancer designer trustee heir donor beneficiary guarantor sponsor applicant candidate interviewer"
    " dog cat cow horse animal pet lorry cyclist pedestrian king queen president minister mentor trainee apprentice intern chef waiter"
    " scientist tutor principal mayor soldier farmer gardener baker butcher plumber electrician carpenter builder architect artist singer actor musician dancer composer producer director journalist photographer streamer follower creator viewer moderator caller operator pharmacist psychologist counsellor counselor carer caregiver paramedic firefighter detective prosecutor defendant plaintiff juror notary executor shareholder investor founder ceo supervisor recruiter volunteer housemate bridesmaid godmother godfather stepmother stepfather grandson granddaughter grandma grandpa sibling toddler infant teenager teen adult pensioner senior orphan widow prince princess emperor knight pirate hunter predator prey bully lion tiger wolf bear fox mouse snake bird shark spider ant mosquito pony donkey pig chicken duck goose rabbit hamster parrot virus bacteria parasite planet star army navy council embassy airline retailer wholesaler manufacturer distributor publisher charity roman greek viking mongol turk jupiter venus speaker listener interviewee superior subordinate family household team club opponent attacker defender victim thief stranger roommate flatmate subletter partner fiance fiancee ex"
    " moon earth sun rome lakers celtics persian alexander"
)
_NATIONS: Final = {
    stem(name): stem(names.split("/")[0]) for names in _MORE_ALTERNATIVES[0].split() for name in names.split("/")
}
_ACTORS: Final = _PERSONS | frozenset(_NATIONS) | frozenset(("self",))
_COUNTERPART_PAIRS: Final = _pairs(
    """
    |; buyer purchaser customer client shopper|seller vendor merchant shop retailer; tenant renter lodger|landlord lessor;
    employee worker|employer boss; guest visitor|host; member guest employee tenant|owner; teacher professor|student pupil;
    doctor physician nurse|patient; sender|recipient receiver addressee; lender creditor|borrower debtor; driver|passenger;
    parent|child kid; payer|payee; lawyer attorney|witness client; author writer|reader;
    interviewer recruiter|candidate applicant; inviter|invitee; referrer|referred; donor|beneficiary recipient;
    mentor|mentee; trainer coach|trainee player; bride|groom; attacker|defender victim; husband|wife; plaintiff|defendant;
    predator|prey; caller|callee; bully|victim; speaker|listener; supervisor|subordinate; godparent|godchild;
    grandparent grandmother grandfather|grandchild grandson granddaughter; therapist|patient client; winner|loser;
    manufacturer|retailer distributor; investor|founder; subletter|landlord tenant; author|publisher;
    insurer|insured policyholder
    """
)
"""Two who stand over against each other: what one may do is another question for the other."""
_INTO: Final = frozenset("to into onto toward towards become becomes becoming".split())
_PREPOSITIONS: Final = (
    dict.fromkeys(_INTO, "to")
    | dict.fromkeys(("in", "inside", "within", "on", "at"), "in")
    | {
        word: word
        for word in (
            "from",
            "of",
            "by",
            "for",
            "with",
            "about",
            "against",
            "before",
            "after",
            "between",
            "through",
            "via",
            "as",
        )
    }
    | {"than": "than"}
)
_BEFORE_AN_INFINITIVE: Final = frozenset(
    "how want wants wanted need needs have has had got like able unable allowed going try trying tried way help i possible wish due supposed required"
    " what where when whether ability option instructions steps order".split()
)
_VERBS: Final = frozenset(
    "transfer send get check see change cancel delete remove add make use pay withdraw open close create find know buy order return receive contact"
    " talk speak call write read set update edit move switch upgrade download upload install report notify inform track recover reset retrieve verify"
    " confirm activate enable disable block unblock link connect login subscribe unsubscribe submit leave join learn do go take give put tell ask help"
    " show exchange convert travel book sell import export share attach sync sort search filter keep stop start work drive eat drink cook bring come"
    " be have arrive look turn try wait apply register renew replace save print play watch listen study teach visit stay ride fly say explain".split()
)
_BEFORE_A_DEED: Final = frozenset("for of by in with about from before after".split())
_DETERMINERS: Final = frozenset(
    "a an the my your our his her their its this that these those another other any some new old each every no one".split()
)
_TELLING: Final = frozenset("to from than in by as against before after".split())
_SYMMETRIC: Final = _stems(
    "difference differ compare comparison versus distance mix combine marry between same similar vs see"
)
_MOTION: Final = _stems(
    "send transfer move switch import export travel fly flight go migrate upgrade convert translate change copy sync ship come drive train bus ride"
    " forward post mail upload download route call trip ticket withdraw deposit turn exchange borrow ferry taxi journey get take heat walk"
)
_SKIPPED_AFTER_SUBJECT: Final = frozenset(
    "am are is was were be been being have has had having can could will would shall should may might must do does did not never also still just already"
    " allowed able want wants need needs like wish to try trying going gonna please ever only really even always supposed obliged secretly 'd 'll 've"
    " don't doesn't didn't can't cannot couldn't won't wouldn't haven't hasn't dont doesnt didnt cant wont".split()
)
_FIRST_PERSON: Final = frozenset("i we i'd i'll i've i'm we'd we'll we've we're".split())
_MODALS: Final = frozenset("can does do will could may must should".split())
_TO_BE: Final = frozenset("am are is was were be been being".split())
_BEFORE_A_VERB: Final = frozenset(
    "i we you they to and or please never not can't cannot don't let's always just who which".split()
)
_SOME: Final = frozenset(("a", "last", "past"))
_VAGUE_DEEDS: Final = _stems(
    "see have get find know do make use say tell look go use be work need want take set put help keep"
)
"""What is said of everyone; who does it says little."""

# --- words: the same, and little ones ---

_SYNONYMS: Final = {
    stem(word): stem(group.split()[0])
    for group in (
        "cost price fee charge rate expensive much",
        "bill invoice statement",
        "phone mobile telephone cellphone smartphone handset",
        "change edit modify update amend alter adjust correct correction modification",
        "cancel end terminate stop quit exit cancellation termination discontinue",
        "delete remove erase wipe clear deletion removal removing",
        "enable activate start begin",
        "disable deactivate",
        "add include register",
        "connect link pair join",
        "buy purchase order book purchasing",
        "receive get obtain",
        "help assist assistance support",
        "shop store branch",
        "find locate",
        "see view check look show display",
        "wifi wireless network",
        "film movie",
        "delivery shipping shipment deliver",
        "broken faulty defective damaged",
        "make create setup generate build draw write",
        "internet connection line",
        "plan tariff subscription package",
        "problem issue error trouble mistake fault",
        "use work",
        "restore recover retrieve recovery reset regain",
        "information info detail data",
        "extra additional",
        "avoid prevent",
        "talk speak chat contact reach call",
        "person human someone somebody agent operator",
        "item thing article product something stuff",
        "option possibility way method",
        "allow accept permit let",
        "company corporate firm business",
        "opinion feedback comment review",
        "refund reimbursement money-back",
        "real actual physical",
        "quick fast rapid quickly rapidly fastest quickest",
        "big large great",
        "child kid",
        "sick ill",
        "need require must",
        "begin beginning start",
        "cause reason why",
        "answer reply respond response",
        "answer response",
        "picture photo image photograph",
        "money cash fund funds",
        "computer machine pc",
        "email mail",
        "rule policy guideline stipulation condition requirement",
        "identity identification",
        "error bug fault",
        "car vehicle automobile",
        "flat apartment",
        "doctor physician",
        "lawyer attorney",
        "job position",
        "easy simple",
        "entirely completely totally fully",
        "difficult hard",
        "address location",
        "bike bicycle",
        "licence license",
        "analyse analyze",
        "colour color",
        "specific particular certain",
        "moment point",
        "folder directory",
        "tell inform notify report",
    )
    for word in reversed(group.split())
}
"""Words whose exchange does not make another question. The last group that names a word counts."""

_LITTLE: Final = _stems(
    "a an the i you we he she it its they them this that these those there is are was were be been am do does did can"
    " could would should will shall may might must has have had how what when where which who whom why if of for to in"
    " on at by with from about as and or but so my your our their his her me us please i'd i'm i'll i've it's what's"
    " where's how's there's let's we're we've want need like know tell explain way possible is able hi hello hey thanks"
    " thank just also some any every each one ones into onto via per than then now too very s d m ve re ll t up down out"
    " off over again instead rather own using go going whats ok okay wonder not no never without cannot neither nor don't"
    " doesn't didn't isn't aren't wasn't weren't won't wouldn't can't couldn't shouldn't haven't hasn't hadn't dont doesnt didnt isnt"
    " arent wasnt werent wont wouldnt cant couldnt shouldnt havent hasnt unable non you'd you'll you've you're they're they've he's she's"
    " that's who's here's u ur im ive id whose myself yourself itself there here still yet already really surely quite even only"
    " being having did done been since because while although though until unless whether between within through against toward towards"
    " before after during else anymore more most much many such both other another same different possible impossible kindly sorry"
)
_PRONOUNS: Final = frozenset("i we you it one there this that he she they someone somebody".split())
_GENERIC: Final = _stems(
    "accept access achieve act actual add admit advice advise affect afford agree aid aim amount annoy answer anticipate appear apply approach appropriate"
    " arrange ask assign attach attempt authentic available aware bad base basic become begin behave believe belong best better bit book break bring build"
    " buy calculate call cancel care carry case catch cause certain chance change charge check choose claim clarify clear close collect come common compare"
    " complain complete concern conclude confirm confuse consider construct contact contain continue convert correct cost count cover create curious current"
    " customer deal decide deduct define delay deliver demand depend describe detail detect determine develop differ different difficult directly discover discuss"
    " do draw drop due earn easiest easy effect effective effort enable end enjoy enough ensure enter entire especially exactly example exist expect experience"
    " explain express fail fairly fast feel figure file fill final find fine finish fit fix follow force form former free frequent full function funny further gain"
    " general generally get give good great grow guess guide guy handle happen happy hard hate have hear help hold hope huge idea identify imagine immediately"
    " importance important improve include incorrect indicate individual inform information inquire instruction intend interest invalid involve issue join keep"
    " kind know large last late latest lead learn leave lend let like list live locate long look lose lot love main make manage mark matter maximum mean"
    " measure meet mention message method miss mistake moment month morning move name near necessary need new next nice normal normally note notice number"
    " obtain occur odd offer often ok open operate opinion option order original own owner part particular pass pay people perform period person personal"
    " perhaps permit pick place plan please point possible practice prefer prepare present prevent previous price problem proceed process produce proper"
    " properly provide purchase purpose put question quick quickly random reach read ready real reason receive recent recently recommend reduce refer regard"
    " regular regularly related relate remain remember remove replace reply report request require rest result retrieve return review right rule run safe"
    " save say search section see seem select send separate set several share short show sign similar simple simply single site situation size slow small solve"
    " sort speak special specific spend standard start state stay step stop store strange stuff submit succeed such suddenly suggest suitable suppose sure"
    " system take talk task terrible test thing think time today tomorrow tonight yesterday week year day total transaction treat true try turn type typical understand"
    " unhappy unknown update upset urgent urgently useful usual usually valid various verify version view visit wait want watch way weird wish wonder word work"
    " worry write wrong yes best-known current currently available fairly item product thing article something stuff anything everything nothing object pretty"
    " wanna gotta lemme pls plz asap assistance aid fucking bloody damn goddamn freaking hell kid guy sir madam dear team total amount limit feature place area"
    " world home house once always never ever maybe likely probably surely definitely actually basically literally simply clearly tell told ask asked able unable"
    " capable going gonna supposed allowed required needed obliged necessary mandatory trouble difficulty wrong incorrect faulty correct right proper valid"
    " display appear disappear succeed failing reject decline deny declin block stuck pending pend charge debit deduct extract bill invoice statement"
    " execute carry conduct perform initiate finalize implement install register enroll apply obtain gain acquire fetch grab pull push press hit click tap"
    " modify alter adjust tweak edit revise amend update upgrade switch swap exchange replace substitute transfer shift relocate"
    " whole entire every each individual proper genuine certain exact precise specific particular main primary principal major minor"
    " abroad overseas foreign international cheap affordable expensive quick rapid speedy prompt immediate instant sudden early soon later afterwards"
    " eventually finally lately nowadays today currently presently meanwhile online offline digital virtual physical manual automatic"
    " hour minute second daily weekly monthly yearly annual date deadline duration frequency schedule appointment"
    " suck awful horrible unacceptable ridiculous disappointed angry mad frustrated annoyed satisfied pleased glad"
    " modality mode manner fashion style approach technique procedure steps instruction instructions tutorial tip trick hint advice recommendation suggestion"
    " link connect join unite bind tie attach couple combine merge integrate sync associate assign allocate"
    " secret meaning sense significance definition explanation description summary overview"
    " somehow anyhow anyway otherwise besides moreover however therefore thus hence because"
    " exceed surpass overstep limit cap restriction constraint bound size length volume quantity"
    " mine yours ours theirs hers company firm corporate corporation business organisation organization enterprise"
    " appropriate permissible acceptable fitting eligible entitled qualified qualify"
    " stalk follow track monitor watch observe render stream play playback pause buffer load display screen"
    " program script code app application software tool utility page website site web url internet"
    " stand abbreviation acronym term inventor author writer"
)
"""Deeds, qualities and general things: exchanging one for another is wording more often than another question."""

# --- languages ---

_PROFILES: Final = {
    language: (strong.split(), weak.split(), letters)
    for language, strong, weak, letters in (
        ("de", "und ist nicht eine einen einem mit für auf zu wird werden wie wo warum wann welche welcher welches ich wir mein meine meinen mich mir gibt bitte wenn dass"
               " auch haben habe vom aus über sind kein keine muss soll möchte einer kann können kannst zur zum bei nach der das ihr ihre sie",
               "ein im es den dem des oder nur noch bis als wird", "äöüß"),
        ("fr", "les est vous votre une dans je mon ma mes comment puis puis-je quel quelle quels quelles où pourquoi quand avec qui cette il elle nous sont être avoir mais faire"
               " est-ce peut peux j'ai c'est qu'est-ce", "le du au pour ce et la de des ne pas un sur en se si", "àèùêôîûçœë"),
        ("es", "que una para cómo puedo cuál qué dónde cuando mis está tengo hacer hay por más cuánto cuántos quiero necesito puede desde hasta mi mis usted",
               "el los las es con del como se lo de la un en y si su", "ñ¿¡"),
        ("pt", "uma como posso minha meu meus qual é onde quando quanto por que para está tenho fazer não você seu sua em são quero preciso pode esse essa isso",
               "os da dos das com o do de um no na", "ãõ"),
        ("it", "che posso come dove quando quale quali quanto mio mia miei mie gli delle della nel alla dei è ho perché cosa voglio devo può questo questa sono",
               "il di non per con la un una si in le del", "òì"),
        ("nl", "het een niet zijn voor mijn ik hoe welke wanneer waar naar heb nodig deze ook kan kunt dat wordt waarom", "wat van met op je u om bij de en in", ""),
        ("pl", "jest nie się jak ile czy mój moje moja mogę gdzie kiedy dla proszę które która który żeby przez lub", "na do w z to co po od za", "łąęśżźćń"),
        ("sv", "och är inte att jag kan hur mitt var när efter ett det från mina vilka någon", "på med en min av för den som har om till vad", "å"),
        ("da", "og ikke jeg kan hvordan mit hvad hvor når efter det fra hvilke noget bliver", "på af en min er med den til et at har de", "øæå"),
        ("no", "og ikke jeg kan hvordan mitt hva hvor når etter det fra hvilke noe blir", "på av en min er med den til et at har de", "øæå"),
        ("cs", "jak kdy kde mohu můžu proč který která můj jsem být že při lze jaké jaký prosím může mohou", "je se na do si ve", "ěřůčšžý"),
        ("tr", "için nasıl nedir nerede değil çok kaç iki bir bu var olan neden hangi mı mi mü ile ve", "ne da de", "ğşı"),
        ("fi", "miten missä kuinka voinko minun että mitä milloin onko voin mikä minä paljonko", "on ja ei", "äö"),
        ("hu", "egy hogyan és nem hol mikor mennyi van hogy lehet milyen kell", "az a", "őű"),
        ("ro", "și este nu cum pot pentru din unde când care mea meu sunt vreau", "la de un în", "ășț"),
    )
}  # fmt: skip
"""Function words and letters of each. A strong word counts two, a weak one and a letter one; words that are
English as well are left out, but for a few weak ones."""
_ENGLISH: Final = frozenset(
    "the how what when where which who why can could do does did is are was were my your i you for and of to in on with from have has it this that please"
    " there should would will an at if be not am me or about any get".split()
)
_EVIDENCE: Final = {
    sign: tuple(
        (language, 2 if sign in strong or sign in "¿¡" else 1)
        for language, (strong, weak, letters) in _PROFILES.items()
        if sign in strong or sign in weak or (len(sign) == 1 and sign in letters)
    )
    for strong_words, weak_words, own_letters in _PROFILES.values()
    for sign in (*strong_words, *weak_words, *own_letters)
    if sign not in _ENGLISH - {"in"} and sign not in ("a", "die", "come", "per", "son")
}
_ENOUGH_EVIDENCE: Final = 4
_SCRIPTS: Final = (
    (0x370, 0x3FF, "greek"), (0x400, 0x52F, "cyrillic"), (0x530, 0x58F, "armenian"), (0x590, 0x5FF, "hebrew"), (0x600, 0x77F, "arabic"),
    (0x900, 0x97F, "devanagari"), (0x980, 0xDFF, "indic"), (0xE00, 0xEFF, "thai"), (0x10A0, 0x10FF, "georgian"), (0x1200, 0x137F, "ethiopic"),
    (0x1780, 0x17FF, "khmer"), (0x1F00, 0x1FFF, "greek"), (0x3040, 0x30FF, "kana"), (0x3400, 0x9FFF, "han"), (0xAC00, 0xD7AF, "hangul"),
)  # fmt: skip


def _languages(terms: frozenset[str], text: str) -> frozenset[str]:
    """The languages that the text may be in; empty if that is open, as in a few keywords."""
    scores: dict[str, int] = {}
    letters = frozenset(text) if not text.isascii() else frozenset()
    if letters and (script := _script(text)) is not None:
        return frozenset((script,))
    for sign in (terms | letters) & _EVIDENCE.keys():
        for language, weight in _EVIDENCE[sign]:
            scores[language] = scores.get(language, 0) + weight
    best = max(scores.values(), default=0)
    if best >= _ENOUGH_EVIDENCE or (best == _ENOUGH_EVIDENCE - 1 and not terms & _ENGLISH):
        return frozenset(language for language, score in scores.items() if score == best)
    return frozenset(("en",)) if len(terms & _ENGLISH) >= 2 else frozenset()


def _script(text: str) -> str | None:
    """The script of most of the letters, None if that is Latin or if there are hardly any."""
    counts: dict[str, int] = {}
    latin = 0
    for letter in text:
        point = ord(letter)
        if point < 0x370:
            latin += letter.isalpha()
            continue
        for low, high, script in _SCRIPTS:
            if low <= point <= high:
                counts[script] = counts.get(script, 0) + 1
                break
    if sum(counts.values()) < 3 or 2 * sum(counts.values()) <= latin:
        return None
    return "kana" if "kana" in counts else max(counts, key=lambda script: (counts[script], script))


# --- one text ---

Number = tuple[str, str, str, int]
"""(as written, in the base unit, that unit's dimension or "", strength). Strength 2 = a difference counts even
where the other text has no number, 1 = only against another number, 0 = stands for any small number."""

_TERM: Final = re.compile(
    r"(?:([^\W\d_]{1,3})-?(?=\d))?(\d+(?:[.,:/]\d+)*)(?:([^\W\d_]{1,8}\d?(?![^\W_]))|(%))?"
    r"|([^\W\d_]+(?:'[^\W\d_]+)*'?)|([.?!,;:()]|(?<=\s)-(?=\s))"
)
_ARROW: Final = re.compile(r"[-=]+>|→")
_DEGREES: Final = re.compile(r" ?° ?([cf])(?![^\W_])")
_NAME: Final = re.compile(r"(?<=[^.!?:] )[a-z]?[A-Z]\w+")
_THOUSANDS: Final = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_PARTY: Final = re.compile(r"\b(for|about|by|with) (?:(?:a|an|the|my|another|other|any|new|some) )*(\w+)")


class Traits(Struct, frozen=True, array_like=True):
    """What the rules look at in one text. All words are stems. In memory some kilobytes; see `packed`."""

    mentions: frozenset[str]
    words: tuple[str, ...]
    """Without the little words and numbers, in order, synonyms made equal."""
    numbers: tuple[Number, ...]
    """Sorted; `figures` are their values as they stand."""
    figures: tuple[str, ...]
    names: frozenset[str]
    denials: "Denials"
    has_negation: bool
    has_trouble: bool
    """Whether it reports that something went wrong, in whatever words."""
    poles: frozenset[tuple[int, bool]]
    """(pair of opposites, whether its left side), for pairs of which only one side is named and not denied."""
    opposed: frozenset[str]
    """Whatever is the opposite of a word of the text by its prefix."""
    undone: frozenset[tuple[str, frozenset[str]]]
    """(word, what it turns back): unlock and lock."""
    is_ending: bool
    """Whether to end something is named; `has_end` also counts weaker words for it, and negations."""
    has_end: bool
    members: frozenset[tuple[int, int]]
    """(group, member) of the alternatives that are mentioned."""
    slots: frozenset[tuple[str, str]]
    """(word, the preposition that governs it, or "")."""
    bare: tuple[str, ...]
    """Words that no preposition governs, in order; empty in the passive."""
    deeds: "Deeds"
    parts: frozenset[tuple[int, bool]]
    """(pair of counterparts, whether its left side), for pairs of which only one side is named."""
    parties: frozenset[tuple[str, str]]
    """(preposition, word): for me, about a member."""
    languages: frozenset[str]
    marks: Marks
    asks: str
    """What kind of thing the first question is for: `when`, `where`, `often`; "" for an open one."""
    picks: frozenset[tuple[str, str]]
    """(which, of what): all photos, the first match, the cheapest way."""


@lru_cache(maxsize=8_192)
def _stem(word: str) -> str:
    word = word.removesuffix("'s").removesuffix("'")
    return stem(_IRREGULAR.get(word, word))


Sided = dict[str, tuple[tuple[int, bool], ...]]
"""Stem -> the (number of a pair, whether on its left side) that it stands for."""


def _sided(pairs: Iterable[str], graded: range = range(0)) -> Sided:
    found: dict[str, dict[tuple[int, bool], None]] = {}
    for number, pair in enumerate(pairs):
        for is_left, side in zip((True, False), pair.split("|"), strict=True):
            for word in side.split():
                for form in _graded(word) if number in graded else (word,):
                    found.setdefault(_stem(form), {})[number, is_left] = None
    return {word: tuple(sides) for word, sides in found.items()}


def _one_sided(sides: Iterable[tuple[int, bool]]) -> frozenset[tuple[int, bool]]:
    """Without those pairs of which both sides are there."""
    found = frozenset(sides)
    return frozenset(side for side in found if (side[0], not side[1]) not in found)


def _graded(word: str) -> tuple[str, ...]:
    """An adjective and what would be its comparative, superlative and adverb."""
    if word.endswith("e"):
        base = word[:-1]
    elif word.endswith("y"):
        base = word[:-1] + "i"
    elif len(word) > 2 and word[-1] not in "aeiouwxy" and word[-2] in "aeiou" and word[-3] not in "aeiou":
        base = word + word[-1]
    else:
        base = word
    return (word, base + "er", base + "est", word + "ly")


_OF_QUALITIES: Final = range(len(_CONVERSES), len(_CONVERSES) + len(_QUALITIES))
_POLES: Final = _sided((*_CONVERSES, *_QUALITIES, *_OPPOSITES), _OF_QUALITIES)
_WISHED: Final = 1_000
"""Added to the number of a pair: what the text wants it to be, not what it is. One below zero is an excess."""
_COUNTERPARTS: Final = _sided(_COUNTERPART_PAIRS)


@lru_cache(maxsize=8_192)
def _turned(word: str) -> tuple[frozenset[str], frozenset[str]]:
    """(opposites of the word by prefix or suffix, what it turns back)."""
    opposed: set[str] = set()
    bases = set(_REVERSALS.get(word, ()))
    if word not in _NO_PREFIX:
        bases.update(word[len(prefix) :] for prefix in _UN if word.startswith(prefix) and len(word) - len(prefix) >= 3)
        for pair in _PREFIX_PAIRS:
            for prefix, other in (pair, pair[::-1]):
                if word.startswith(prefix) and len(word) - len(prefix) >= 4:
                    opposed.add(other + word[len(prefix) :])
        if word.endswith("les"):
            opposed |= {word[:-3] + "ful", word[:-3]}
        elif word.endswith("ful"):
            opposed.add(word[:-3] + "les")
    return frozenset(opposed), frozenset(bases)


def _replaced(found: re.Match[str]) -> str:
    part, hour, half_of_day = found.group(1), found.group(2), found.group(3)
    return f"{_NUMBER_WORDS.get(hour, hour)}:{_CLOCK[part]}{_CLOCK.get(half_of_day or '', '')}"


def _plain(text: str) -> str:
    text = text.lower() if text.isascii() else unicodedata.normalize("NFKC", text).casefold()
    text = text.replace("’", "'").replace("`", "'")
    if "->" in text or "=>" in text or "→" in text:
        text = _ARROW.sub(" to ", text)
    if "°" in text:
        text = _DEGREES.sub(lambda found: " celsius" if found[1] == "c" else " fahrenheit", text)
    return " ".join(text.split())


_LETTERS: Final = re.compile(r"[^\W_]+")
_SPELLED: Final = re.compile(r"[^\W\d_]+(?:['-][^\W\d_]+)*")


def _with_phrases(text: str) -> str:
    present = frozenset(_LETTERS.findall(text)) | frozenset(text.split())
    for place in sorted({place for word in present & _TRIGGERS for place in _PHRASES_BY_TRIGGER[word]}):
        _, pattern, replacement = _PHRASES[place]
        text = pattern.sub(_replaced if replacement == "clock" else replacement, text)
    return text


Parts = dict[int, tuple[str, str, str]]
"""Index of a term -> (letters before, digits, letters after) of the number that it is."""


def _terms(text: str) -> tuple[list[str], Parts]:
    terms: list[str] = []
    parts: Parts = {}
    for prefix, digits, suffix, percent, word, mark in _TERM.findall(text):
        if digits and prefix + digits + suffix not in _FORMATS:
            parts[len(terms)] = (prefix, digits, suffix or percent)
            terms.append(prefix + digits + suffix)
        else:
            terms.append(mark or prefix + digits + suffix or (word if word.endswith("s'") else word.removesuffix("'")))
    return terms, parts


@lru_cache(maxsize=128)
def traits(text: str) -> Traits:
    """The traits of a question. Any text has some; it costs about 8 microseconds a word."""
    names: frozenset[str] = (
        frozenset()
        if text.isupper()
        else frozenset(_stem(without_accents(name.lower())) for name in _NAME.findall(text))
    )
    plain = _plain(text)
    spelled = frozenset(_SPELLED.findall(plain))
    spoken = _with_phrases(without_accents(plain))
    terms, parts = _terms(spoken)
    stems = [_stem(term) if term[0].isalpha() and index not in parts else "" for index, term in enumerate(terms)]
    mentions = frozenset(stems) - {""}
    numbers, counted = _numbers(terms, parts, stems)
    said = [
        "" if not word or word in _LITTLE or index in counted else _SYNONYMS.get(word, word)
        for index, word in enumerate(stems)
    ]
    slots, bare = _slots(terms, stems, said)
    denied = _negations(terms, stems, said)
    turned = [(word, *_turned(word)) for word in mentions]
    return Traits(
        mentions=mentions,
        words=tuple(word for word in said if word),
        numbers=tuple(sorted(numbers)),
        figures=tuple(value for value, *_ in numbers),
        names=(names & mentions) - _LITTLE,  # what a phrase has replaced is no name any more
        denials=denied,
        has_negation=not _NEGATORS.isdisjoint(terms),
        has_trouble=not mentions.isdisjoint(_TROUBLE),
        poles=_poles_of(terms, stems, denied.places),
        opposed=frozenset[str]().union(*(opposed for _, opposed, _ in turned)),
        undone=frozenset((word, bases) for word, _, bases in turned if bases),
        is_ending=not mentions.isdisjoint(_ENDING),
        has_end=bool(denied.negated) or not mentions.isdisjoint(_ENDING_ALLIES) or not mentions.isdisjoint(_NEGATORS),
        members=frozenset(
            member
            for index, word in enumerate(stems)
            if word in _ALL_MEMBERS and index not in counted
            for member in _ALL_MEMBERS[word]
        ),
        slots=slots,
        bare=()
        if _is_passive(terms)
        else tuple(word for word, is_bare in zip(said, bare, strict=True) if word and is_bare),
        deeds=_deeds(terms, stems, said, bare),
        parts=_one_sided(pair for word in mentions & _COUNTERPARTS.keys() for pair in _COUNTERPARTS[word]),
        parties=frozenset((marker, word if word == "me" else _stem(word)) for marker, word in _PARTY.findall(spoken)),
        languages=_languages(spelled, plain),
        marks=marks(text, spelled),
        asks=_asked_for(plain),
        picks=_picks(terms, said),
    )


_ASKS: Final = re.compile(
    r"\b(?:(when|where|why|who)(?='s\b| (?:is|are|was|were|do|does|did|can|could|will|would|should|must|may|has|have|am)\b)"
    r"|how (long|often|far|much|many|big|old|soon|tall|high|wide|deep|heavy|fast|hot|late|early)\b|(what time|what date|what day|how come)\b)"
)
_ASKED: Final = {"what time": "when", "what date": "when", "what day": "when", "how come": "why", "many": "much"}


def _asked_for(plain: str) -> str:
    found = _ASKS.search(plain)
    if found is None:
        return ""
    word = found[1] or found[2] or found[3]
    return _ASKED.get(word, word)


_PICKED: Final = {
    word: kind
    for kind, words in {
        "all": "all every each entire whole", "some": "some several certain selected", "any": "any", "one": "one single",
        "this": "this that these those", "both": "both", "most": "most", "few": "few", "first": "first", "last": "last final", "next": "next",
    }.items()
    for word in words.split()
}  # fmt: skip
_SUPERLATIVES: Final = {
    word: words.split()[0]
    for words in (
        "cheapest", "fastest quickest", "biggest largest greatest", "smallest tiniest", "nearest closest", "newest latest",
        "oldest earliest", "highest tallest", "lowest", "longest", "shortest", "strongest", "weakest", "safest", "easiest",
        "simplest", "heaviest", "lightest", "hottest", "coldest", "richest", "busiest", "quietest", "healthiest",
    )
    for word in words.split()
}  # fmt: skip


def _picks(terms: list[str], said: list[str]) -> frozenset[tuple[str, str]]:
    found = []
    for index, term in enumerate(terms):
        which = _PICKED.get(term) or _SUPERLATIVES.get(term)
        if which is not None:
            of = next((word for word in said[index + 1 : index + 4] if word), None)
            if of is not None:
                found.append((which, of))
    return frozenset(found)


def packed(read: Traits) -> bytes:
    """In some hundred bytes, for texts that are kept."""
    return _PACK.encode(read)


@lru_cache(maxsize=128)
def unpacked(kept: bytes) -> Traits:
    """The reverse of `packed`, in a fifth of the time that reading the text takes; remembered for what is met often."""
    return _UNPACK.decode(kept)


def _numbers(terms: list[str], parts: Parts, stems: list[str]) -> tuple[list[Number], frozenset[int]]:
    """The numbers of the text and the places of the terms that say them."""
    found: list[Number] = []
    counted: set[int] = set()
    first = 0
    while first < len(terms):
        value, dimension, end = _number_at(terms, parts, stems, first)
        if value is not None:
            number = _with_unit(terms, first, end, value, dimension)
            found.append(number)
            counted.update(range(first, end + (number[2] != "" and not dimension)))
        first = end
    return found, frozenset(counted)


def _number_at(terms: list[str], parts: Parts, stems: list[str], index: int) -> tuple[str | None, str, int]:
    """(value, what is written with it, place after it) of the number at `index`; the value is None if there is
    none and "" for "some"."""
    term = terms[index]
    following = terms[index + 1] if index + 1 < len(terms) else ""
    if (part := parts.get(index)) is not None:
        prefix, digits, suffix = part
        if digits in _HABITUAL or (digits in ("2", "3") and prefix in ("m", "cm", "km")):
            return None, "", index + 1
        value = _value(digits)
        if following in ("hundred", "thousand", "million", "billion") and value.isdecimal() and len(value) < 7:
            return str(int(value) * _NUMBER_WORDS[following]), prefix, index + 2
        if suffix == "k" and value.isdecimal() and value not in ("4", "8", "401"):
            value, suffix = value + "000", ""
        if suffix in _ORDINAL_ENDINGS:
            suffix = ""
        elif suffix == "s" and len(value) == 4:
            suffix = "decade"
        return value, prefix + suffix, index + 1
    if term in _NUMBER_WORDS:
        is_pronoun = term == "one" and following != "of" and (not following.isalpha() or stems[index + 1] in _LITTLE)
        if is_pronoun or (term in ("first", "third") and following in ("time", "party", "parties", "of", "")):
            return None, "", index + 1
        number, end = _spelled(terms, index)
        return str(number), "", end
    if term in _DECADES:
        return _DECADES[term], "decade", index + 1
    if term in _ROMAN and index and stems[index - 1]:
        return str(_ROMAN[term]), "", index + 1
    if term == "once" and following in ("a", "per", "every", "each"):
        return "1", "", index + 1
    if term in _SEVERAL:
        return "", "", index + 1 + (following == "of")
    return None, "", index + 1


def _with_unit(terms: list[str], first: int, end: int, value: str, dimension: str) -> Number:
    """The number said by the terms from `first` to `end`, with the unit written with it or after it."""
    unit, base, after = end, value, ""
    if not dimension:
        unit += terms[unit : unit + 1] != [] and terms[unit] in _BETWEEN_NUMBER_AND_UNIT
    named = dimension or (terms[unit] if unit < len(terms) else "")
    if named in _UNITS:
        dimension, factor = _UNITS[named]
        if value.replace(".", "", 1).isdecimal() and value.isascii() and len(value) < 10:
            base = f"{float(value) * factor:.9g}"
        after = terms[unit + 1] if unit + 1 < len(terms) else ""
    is_told = dimension in ("second", "month") and (
        after in ("ago", "now") or not _WAITING.isdisjoint(terms[max(0, first - 2) : first])
    )
    is_weak = is_told or terms[first] in ("one", "triple") or (value in ("1", "2") and not dimension)
    return value, base, dimension, (1 if is_weak else 2) if value else 0


def _value(digits: str) -> str:
    """The number as it would be written by everyone: 1,000.00 -> 1000, 8:00 -> 8, 2,5 -> 2.5."""
    if _THOUSANDS.fullmatch(digits):
        digits = digits.replace(",", "")
    elif digits.count(",") == 1 and "." not in digits:
        digits = digits.replace(",", ".")
    for ending in (":00", ".00", ".0"):
        digits = digits.removesuffix(ending)
    return digits.lstrip("0") or "0" if len(digits) < 6 else digits


def _spelled(terms: list[str], index: int) -> tuple[int, int]:
    """The number that the words from `index` on say, and the index after it."""
    total = -1
    while index < len(terms) and (value := _NUMBER_WORDS.get(terms[index])) is not None:
        if total < 0:
            total = value
        elif value >= 100 and value > total:
            total *= value
        elif (total % 100 == 0 and total and value < 100) or (total % 10 == 0 and total % 100 >= 20 and value < 10):
            total += value
        else:
            break
        index += 1
    return total, index


class Denials(Struct, frozen=True, array_like=True):
    """What a text says no to."""

    negated: frozenset[str]
    """Words that the text denies."""
    missing: frozenset[str]
    """Words that the text reports not to have come about."""
    asserted: frozenset[str]
    """The other words, less those that a negation may reach."""
    places: frozenset[int]
    """Indexes of the terms that one of them took."""


def _negations(terms: list[str], stems: list[str], said: list[str]) -> Denials:
    """What the text denies, what it misses and what it says otherwise. A negation that only asks more politely
    ("Don't you ship abroad?") or says that one is stuck ("I can't log in") does none of this."""
    kinds: dict[int, str] = {}
    is_open = "yet" in terms and "if" not in terms
    is_start, is_question, is_specific, is_condition = True, False, False, False
    for index, term in enumerate(terms):
        if not term[0].isalnum():
            is_start, is_question, is_specific, is_condition = True, False, False, False
            continue
        if term in _CLAUSE_WORDS and not (is_start and term == "when"):
            goes_on = term in ("and", "or")
            is_specific = is_specific and goes_on
            is_condition = term in ("if", "unless", "when") or (is_condition and goes_on)
            continue
        previous = terms[index - 1] if index else ""
        if term in _SPECIFIC or (is_start and term in ("when", "where")):
            is_specific = True
        elif term == "that" and index and said[index - 1]:
            is_condition = True  # a relative clause, mostly
        if term in _NEGATORS or (term in _REFUSALS and "to" in terms[index + 1 : index + 2]):
            is_polite = (is_start and term in _FRONTED) or (
                term == "not" and is_question and previous in ("it", "there", "you")
            )
            if not is_polite:
                is_soft = is_open or term in _SOFT or (term == "not" and "able" in terms[index + 1 : index + 2])
                kind = (
                    "stuck"
                    if is_soft and not is_specific
                    else "negated"
                    if is_specific or is_condition or term in _LACKING or (term == "no" and previous == "with")
                    else "missing"
                )
                kinds.update((place, kind) for place in _reached(terms, said, index))
            is_question = is_question or is_start
        elif stems[index] in _STOPPERS:
            kinds.update((place, "negated") for place in _stopped(terms, index) if said[place])
        elif is_start and term in _AUXILIARIES:
            is_question = True
        is_start = is_start and term in _GREETINGS
    by_kind: dict[str, set[str]] = {"negated": set(), "missing": set(), "stuck": set(), "": set()}
    for index, word in enumerate(said):
        if word:
            by_kind[kinds.get(index, "")].add(word)
    asserted = by_kind[""]
    return Denials(
        negated=frozenset(by_kind["negated"] - asserted),
        missing=frozenset(by_kind["missing"] - asserted - _SEEMING),
        asserted=frozenset(asserted - by_kind["stuck"]),
        places=frozenset(kinds),
    )


def _reached(terms: list[str], said: list[str], index: int) -> list[int]:
    """Places of the words that the negation at `index` is about: the next one; both in "isn't VAT registered";
    the last one before a preposition after "why isn't", where the subject comes first."""
    reached: list[int] = []
    previous = terms[index - 1] if index else ""
    is_inverted = previous in ("why", "how", "when", "where", "come") and terms[index] in _FRONTED
    is_copula = terms[index] in _COPULAS or (terms[index] == "not" and previous in ("is", "are"))
    for place in range(index + 1, len(terms)):
        term = terms[place]
        if not term[0].isalnum() or term in _CLAUSE_WORDS:
            break
        if term in _PRONOUNS:
            is_inverted = False
        elif is_inverted and term in _PREPOSITIONS:
            break
        if said[place] and (not term.endswith("ly") or term in _NO_ADVERBS):
            if is_inverted:
                reached = [place]
            else:
                reached.append(place)
                is_pair = is_copula or (terms[index] == "without" and terms[reached[0]].endswith("ing"))
                if not is_pair or len(reached) == 2:
                    break
        elif is_copula and reached:
            break
    return reached


def _stopped(terms: list[str], index: int) -> tuple[int, ...]:
    """Places of the deed that a stop at `index` is put to: stop getting bills, keep it from ringing."""
    if index + 1 < len(terms) and terms[index + 1].endswith("ing") and not terms[index].startswith("keep"):
        return (index + 1, index + 2) if index + 2 < len(terms) else (index + 1,)
    if terms[index].startswith(("avoid", "prevent")):
        place = index + 1
        while place < len(terms) and terms[place] in _DETERMINERS:
            place += 1
        return (place,) if place < len(terms) else ()
    for place in range(index + 1, min(index + 7, len(terms) - 1)):
        if terms[place] == "from" and terms[place + 1].endswith("ing"):
            return (place + 1,)
    return ()


def _poles_of(terms: list[str], stems: list[str], denied: frozenset[int]) -> frozenset[tuple[int, bool]]:
    found: set[tuple[int, bool]] = set()
    for index, word in enumerate(stems):
        if word not in _POLES or index in denied:
            continue
        before = terms[index - 1] if index else ""
        is_excess = before in ("too", "so")
        found.update((~number if is_excess else number, is_left) for number, is_left in _POLES[word])
        is_wished = terms[index].endswith("er") and terms[index + 1 : index + 2] != ["than"]
        if before == "too" or is_wished:  # who says "too small" wishes for "bigger"
            wishes = (side for side in _POLES[word] if side[0] in _OF_QUALITIES)
            found.update((_WISHED + number, is_left != is_excess) for number, is_left in wishes)
    return _one_sided(found)


def _slots(terms: list[str], stems: list[str], said: list[str]) -> tuple[frozenset[tuple[str, str]], list[bool]]:
    """(word, preposition) for every word, and for each term whether no preposition governs it."""
    slots: set[tuple[str, str]] = set()
    bare = [True] * len(terms)
    slot, is_filled = "", False
    for index, term in enumerate(terms):
        if term == "'" or not term[0].isalnum():
            slot, is_filled = "", False
            continue
        if (preposition := _PREPOSITIONS.get(term)) is not None:
            if term == "to" and _is_infinitive(terms, index):
                slot, is_filled = "", False
            elif slot != "than" or is_filled:
                slot, is_filled = preposition, False
            continue
        if term in ("instead", "rather"):
            slot, is_filled = "than", False
            continue
        word = said[index] or ("own" if term == "own" else "")
        if term in _FIRST_PERSON:
            word, slot = "self", ""
        elif term in ("me", "us", "myself"):
            word = "self"
        if not word:
            if term not in ("and", "or") and (is_filled or term not in _DETERMINERS) and not (slot and term == "of"):
                slot, is_filled = "", False
            continue
        if not is_filled and term.endswith("ing") and slot in _BEFORE_A_DEED:
            slots.add((word, slot))  # what follows is the object of the deed
            slot = ""
            bare[index] = False
            continue
        word = _NATIONS.get(word, word)
        is_filled = True
        is_owner = term.endswith(("'s", "s'"))
        bare[index] = not slot and not is_owner
        slots.add((word, "of" if is_owner and not slot else slot))
    return frozenset(slots), bare


def _is_infinitive(terms: list[str], index: int) -> bool:
    """Whether a verb, and no place, follows the "to" at `index`."""
    previous = terms[index - 1] if index else ""
    if previous in _BEFORE_AN_INFINITIVE or previous in _AUXILIARIES:
        return True
    return index + 1 < len(terms) and terms[index + 1] in _VERBS


def _is_passive(terms: list[str]) -> bool:
    return any(
        term in _TO_BE and any(each.endswith(("ed", "en")) for each in terms[index + 1 : index + 4])
        for index, term in enumerate(terms)
    )


class Deeds(Struct, frozen=True, array_like=True):
    """Who does what in a text, as far as word order tells."""

    order: frozenset[tuple[str, str]]
    """(actor, actor): who is named before whom, the doer of a passive first."""
    acts: frozenset[str]
    """Words in a verb's place: to lock, I lock."""
    mine: frozenset[str]
    """What "I" do; `others` what someone else does; `to_me` what is done to me."""
    others: frozenset[str]
    to_me: frozenset[str]
    subjects: frozenset[str]
    """Actors that do what the text is about: the "member" in "how can a member leave", "if a member leaves"."""
    asked: frozenset[str]
    """Those of them that stand where a question has its subject."""
    is_mine: bool
    """Whether it asks what "I" may do or what becomes of me."""


def _deeds(terms: list[str], stems: list[str], said: list[str], bare: list[bool]) -> Deeds:
    """Who does what, as far as word order tells."""
    mine: set[str] = set()
    others: set[str] = set()
    to_me: set[str] = set()
    subjects: set[str] = set()
    asked: set[str] = set()
    acts: set[str] = set()
    actors: list[str] = []
    pairs: set[tuple[str, str]] = set()
    before = ""
    is_start, is_mine = True, False
    for index, term in enumerate(terms):
        if not term[0].isalnum() or term in _CLAUSE_WORDS:
            _pair_up(actors, pairs)
            actors = []
            before, is_start = term, not term[0].isalnum()
            continue
        if term in _FIRST_PERSON:
            is_mine = is_mine or before in _AUXILIARIES
            deed, is_passive = _deed_after(terms, said, index, before in _TO_BE)
            if not (
                actors and index and (said[index - 1] == actors[-1] or terms[index - 1] in ("that", "who", "whom"))
            ):
                actors.append("self")  # else it is a relative clause: the friend that I invited
            if deed:
                (to_me if is_passive else mine).add(deed)
        elif term in ("me", "us"):
            if bare[index]:
                actors.append("self")
            if index and said[index - 1]:
                to_me.add(said[index - 1])
        elif stems[index] in _ACTORS and not (term == "couple" and terms[index - 1] in _SOME):
            word = _NATIONS.get(stems[index]) or said[index] or stems[index]
            if before in _AUXILIARIES:
                asked.add(word)
            if before in _AUXILIARIES or before in ("if", "when"):
                subjects.add(word)
            if not bare[index] and "by" in terms[max(0, index - 3) : index]:
                actors.insert(0, word)
            elif bare[index]:
                actors.append(word)
                if term not in ("person", "people"):  # what anyone does, I do
                    others.update(_done_by(terms, said, index))
        elif term == "who" or (said[index] and is_start and before in _MODALS):
            others.update(_done_by(terms, said, index))
        elif said[index] and before in ("if", "when") and index + 1 < len(terms) and terms[index + 1].endswith("s"):
            others.add(said[index + 1])
        elif term == "to" and before == "how" and index + 1 < len(terms):
            mine.add(said[index + 1])
        if stems[index] and (not before or before in _BEFORE_A_VERB or not before[0].isalnum()):
            acts.add(stems[index])
        if term not in _DETERMINERS:
            is_start = is_start and (term in _AUXILIARIES or term in ("hi", "hello", "hey", "please", "so"))
            before = term
    _pair_up(actors, pairs)
    return Deeds(
        order=frozenset(pair for pair in pairs if pair[::-1] not in pairs),
        acts=frozenset(acts),
        mine=frozenset(mine - {""}) - _VAGUE_DEEDS,
        others=frozenset(others - {""}) - _VAGUE_DEEDS,
        to_me=frozenset(to_me) - _VAGUE_DEEDS,
        subjects=frozenset(subjects),
        asked=frozenset(asked),
        is_mine=is_mine,
    )


def _done_by(terms: list[str], said: list[str], index: int) -> tuple[str, ...]:
    deed, is_passive = _deed_after(terms, said, index)
    return (deed,) if deed and not is_passive else ()


def _pair_up(actors: list[str], pairs: set[tuple[str, str]]) -> None:
    pairs.update(
        (left, right) for place, left in enumerate(actors[:5]) for right in actors[place + 1 : 5] if left != right
    )


def _deed_after(terms: list[str], said: list[str], index: int, is_passive: bool = False) -> tuple[str, bool]:
    """The first word that carries something after the subject at `index`, and whether it is done to the subject."""
    is_passive = is_passive or terms[index].endswith("'m")
    for place in range(index + 1, min(index + 8, len(terms))):
        term = terms[place]
        if said[place]:
            is_done = term.endswith(("ed", "en", "t", "n")) or terms[place - 1] == "being"
            return said[place], is_passive and is_done
        if term not in _SKIPPED_AFTER_SUBJECT:
            break
        is_passive = term in _TO_BE or (is_passive and term != "to")
    return "", False


# --- two texts ---


_PACK: Final = msgspec.msgpack.Encoder()
_UNPACK: Final = msgspec.msgpack.Decoder(Traits)


def mismatch(left: str, right: str) -> str | None:
    """What the texts differ in; see `difference`."""
    return difference(traits(left), traits(right))


def difference(one: Traits, two: Traits) -> str | None:
    """What the texts differ in: `language`, `number`, `polarity`, `role`, `exchange` or `entity`, the first of these;
    None if in none. `exchange`: the same words but for one of things that exclude each other. `entity` is the one that
    often says nothing."""
    if one.languages and two.languages and one.languages.isdisjoint(two.languages):
        return "language"
    if one.numbers != two.numbers and _count_differently(*sorted((one.numbers, two.numbers))):
        return "number"
    if one.marks != two.marks:
        if (kind := differ(one.marks, two.marks)) is not None:
            return kind
        if _write_differently(one, two) or _write_differently(two, one):
            return "exchange"
    if one.figures != two.figures and one.words == two.words and sorted(one.figures) == sorted(two.figures):
        return "number"
    if (
        one.mentions == two.mentions
        and one.asks == two.asks
        and one.picks == two.picks
        and one.slots == two.slots
        and one.bare == two.bare
        and one.deeds == two.deeds
        and one.denials == two.denials
    ):
        return None
    if _are_opposite(one, two):
        return "polarity"
    if _swap_roles(one, two):
        return "role"
    if _exchange_alternatives(one, two) or _pick_others(one, two):
        return "exchange"
    return "entity" if _name_others(one, two) else None


def _count_differently(mine: tuple[Number, ...], theirs: tuple[Number, ...]) -> bool:
    unmatched = list(theirs)
    left: list[Number] = []
    for number in mine:
        same = next((other for other in unmatched if _is_same_number(number, other)), None)
        if same is None:
            left.append(number)
        else:
            unmatched.remove(same)
    rest = [number for number in unmatched if number[3]]
    left = [number for number in left if number[3]]
    if left and rest:
        return True
    return any(
        number[3] == 2 and not any(_is_same_number(number, other) for other in others)
        for numbers, others in ((left, theirs), (rest, mine))
        for number in numbers
    )


def _is_same_number(number: Number, other: Number) -> bool:
    if not number[3] or not other[3]:
        known = number if number[3] else other
        return len(known[0]) < 2 or (not known[2] and known[0] in ("10", "12"))
    if number[2] and other[2]:
        return number[1] == other[1] and number[2] == other[2]
    return number[0] == other[0]


_ABOUT_A_WORD: Final = _stems(
    "word mean meaning translate translation pronounce pronunciation spell spelling say letter accent define definition"
    " bedeutet heisst wort signifie mot significa palabra parola"
)


def _write_differently(one: Traits, two: Traits) -> bool:
    """Whether a word of one text is one of the other but for a sign at its end, or for an accent where a word is what it is
    about: elsewhere accents are left out as one likes."""
    mine, theirs = one.marks, two.marks
    if mine.accented != theirs.accented and not one.mentions.isdisjoint(_ABOUT_A_WORD):
        accented = mine.accented - theirs.accented
        if any(_stem(without_accents(word)) in two.mentions for word in accented):
            return True
    if mine.is_spelled_out or theirs.is_spelled_out:
        return False
    return any(_stem(word.rstrip("+#-")) in two.mentions for word in mine.suffixed - theirs.suffixed)


def _are_opposite(one: Traits, two: Traits) -> bool:
    return (
        _deny(one, two)
        or _deny(two, one)
        or _use_antonyms(one, two)
        or _undoes(one, two)
        or _undoes(two, one)
        or _ends(one, two)
        or _ends(two, one)
    )


def _deny(one: Traits, two: Traits) -> bool:
    """Whether `one` denies what `two` says. A report that something is missing is no opposite of another question
    about it, unless nearly all other words are the same."""
    if not one.denials.negated.isdisjoint(two.denials.asserted):
        return True
    if (
        two.has_negation
        or one.denials.missing.isdisjoint(two.denials.asserted)
        or len(set(one.words) ^ set(two.words)) > 2
    ):
        return False
    return not two.has_trouble or not one.denials.missing.isdisjoint(_TROUBLE)


def _use_antonyms(one: Traits, two: Traits) -> bool:
    for number, is_left in one.poles:
        if (number, not is_left) in two.poles and (
            number >= len(_CONVERSES) or number < 0 or _do_both(one, two, number)
        ):
            return True
    return _opposes(one, two) or _opposes(two, one) or _want_opposites(one, two)


def _opposes(one: Traits, two: Traits) -> bool:
    """Whether a word of `one` alone has its opposite by prefix or suffix in `two` alone."""
    targets = (one.opposed & two.mentions) - one.mentions
    if not targets:
        return False
    denied = one.denials.negated | two.denials.negated
    return any(
        target in _turned(word)[0]
        and _SYNONYMS.get(word, word) not in denied
        and _SYNONYMS.get(target, target) not in denied
        for word in one.mentions - two.mentions
        for target in targets
    )


def _do_both(one: Traits, two: Traits, number: int) -> bool:
    """Whether "I" am the one who does this, in both texts."""
    return all(
        any((number, is_left) in _POLES[deed] for deed in text.deeds.mine & _POLES.keys() for is_left in (True, False))
        for text in (one, two)
    )


def _want_opposites(one: Traits, two: Traits) -> bool:
    """Whether what one asks to have done is the opposite of what the other does, whatever else is named: how to resume
    after a pause, and how to pause."""
    wanted = [_wanted(text) for text in (one, two)]
    if [len(deeds) for deeds in wanted] != [1, 1]:
        return False
    ((mine,), (theirs,)) = wanted
    return any(
        number >= len(_CONVERSES) and (number, not is_left) in _POLES[theirs] for number, is_left in _POLES[mine]
    )


def _wanted(text: Traits) -> set[str]:
    """What is to be done, of what has an opposite."""
    acts = {_SYNONYMS.get(act, act) for act in text.deeds.acts} | text.deeds.mine
    return (acts & _POLES.keys()) - text.denials.negated


def _undoes(one: Traits, two: Traits) -> bool:
    """Whether `one` turns back what `two` does. Where it is named in both, it must be what `two` does."""
    for word, bases in one.undone:
        if word in two.mentions or bases.isdisjoint(two.mentions):
            continue
        for base in bases & two.mentions:
            if _SYNONYMS.get(base, base) in two.denials.negated or _SYNONYMS.get(base, base) in two.denials.missing:
                continue
            if base not in one.mentions or base in two.deeds.acts:
                return True
    return False


def _ends(one: Traits, two: Traits) -> bool:
    return one.is_ending and not two.has_end


def _swap_roles(one: Traits, two: Traits) -> bool:
    """Whether two things have changed places between the prepositions, two actors in the order of words, or
    what "I" do is done by someone else."""
    mine, theirs = one.deeds.order, two.deeds.order
    if mine and theirs and any((right, left) in theirs for left, right in mine) and not _are_symmetric(one, two):
        return True
    if one.slots != two.slots and _have_changed_places(one, two):
        return True
    if one.bare != two.bare and _swap_round_a_verb(one, two):
        return True
    if _has_other_doer(one, two) or _has_other_doer(two, one):
        return True
    if one.parts and two.parts and any((pair, not is_left) in two.parts for pair, is_left in one.parts):
        return True
    if one.deeds.subjects and two.deeds.subjects and one.deeds.subjects.isdisjoint(two.deeds.subjects):
        return True
    return _asks_of_another(one, two) or _asks_of_another(two, one) or _has_other_party(one, two)


def _are_symmetric(one: Traits, two: Traits) -> bool:
    return not (_SYMMETRIC.isdisjoint(one.mentions) and _SYMMETRIC.isdisjoint(two.mentions))


def _swap_round_a_verb(one: Traits, two: Traits) -> bool:
    """Whether "A does B" meets "B does A", all other words being the same."""
    if len(one.mentions ^ two.mentions) > 2 or _are_symmetric(one, two):
        return False
    shared = set(one.bare) & set(two.bare)
    mine = [word for word in one.bare if word in shared]
    theirs = [word for word in two.bare if word in shared]
    if len(mine) != len(theirs):
        return False
    places = [place for place, (word, other) in enumerate(zip(mine, theirs, strict=True)) if word != other]
    return len(places) == 2 and places[1] - places[0] > 1 and mine[places[0]] == theirs[places[1]]


def _have_changed_places(one: Traits, two: Traits) -> bool:
    here, its_own = one.slots - two.slots, two.slots - one.slots
    if not (here and its_own):
        return False
    there: dict[str, list[str]] = {}
    for word, slot in its_own:
        there.setdefault(word, []).append(slot)
    moves: dict[tuple[str, str], set[str]] = {}
    for word, old in here:
        for new in there.get(word, ()):
            moves.setdefault((old, new), set()).add(word)
            if "as" in (old, new):  # as passive, into a passive one
                moves.setdefault((old.replace("as", "to"), new.replace("as", "to")), set()).add(word)
    if not moves:
        return False
    shared = one.mentions & two.mentions
    for (old, new), words in moves.items():
        others = moves.get((new, old), set())
        if any(
            word != other and _matters((old, new), word, other, shared, one.names & two.names)
            for word in words
            for other in others
        ):
            return True
        if old == "than" and any(target == "than" for _, target in moves):
            return True
        if (old, new) in (("from", "to"), ("to", "from")) and shared & _MOTION:
            both = one.slots | two.slots
            if any((word, "as") not in both for word in words):
                return True
    return False


def _matters(slots: tuple[str, str], word: str, other: str, shared: frozenset[str], names: frozenset[str]) -> bool:
    """Whether "A ... preposition B" is something else than "B ... preposition A"."""
    if "" not in slots or not _TELLING.isdisjoint(slots):
        return True
    if (word in _ACTORS and other in _ACTORS) or ("of" in slots and word in names and other in names):
        return True
    return "for" in slots and not shared.isdisjoint(_MOTION)


def _has_other_doer(one: Traits, two: Traits) -> bool:
    for deed in one.deeds.mine:
        if deed in two.deeds.mine or deed in one.deeds.others:
            continue
        if deed in two.deeds.others or (deed in two.deeds.to_me and deed not in one.deeds.to_me):
            return True
    return False


def _asks_of_another(one: Traits, two: Traits) -> bool:
    """Whether `one` asks about someone whom `two`, which asks about "me", only mentions, or `two` tells that what
    `one` says was done to someone was done to "me"."""
    if (
        one.deeds.asked
        and not one.deeds.is_mine
        and two.deeds.is_mine
        and not two.deeds.asked
        and one.deeds.asked <= set(two.words)
    ):
        return not _are_symmetric(one, two)
    done = (one.deeds.others & two.deeds.others & two.deeds.to_me) - one.deeds.to_me - one.deeds.mine
    return bool(done) and any("self" not in pair for pair in one.deeds.order)


def _has_other_party(one: Traits, two: Traits) -> bool:
    if not (one.parties and two.parties):
        return False
    for preposition in ("for", "about", "by", "with"):
        mine = {party for marker, party in one.parties if marker == preposition}
        theirs = {party for marker, party in two.parties if marker == preposition}
        if ("me" in mine and "me" not in theirs and theirs & _ACTORS) or (
            "me" in theirs and "me" not in mine and mine & _ACTORS
        ):
            return True
    return False


def _name_others(one: Traits, two: Traits) -> bool:
    """Whether each names a name or an alternative that the other does not, or one thing was exchanged."""
    if not one.names <= two.mentions and not two.names <= one.mentions:
        return True
    if one.members and two.members:
        groups = {group for group, _ in one.members - two.members}
        if any(group in groups for group, _ in two.members - one.members):
            return True
    return _exchange_a_thing(one, two)


def _exchange_alternatives(one: Traits, two: Traits) -> bool:
    """Whether nothing but one alternative stands in the place of another: red for orange."""
    mine, theirs = one.members - two.members, two.members - one.members
    if {group for group, _ in mine}.isdisjoint(group for group, _ in theirs):
        return False
    return all(word in _ALL_MEMBERS or word in _GENERIC for word in set(one.words) ^ set(two.words))


_ASKED_ALIKE: Final = frozenset(
    frozenset(pair.split("|"))
    for pair in "when|long when|soon when|early when|late long|soon long|fast fast|soon early|soon much|long far|long much|often"
    " much|big much|old tall|high tall|long wide|long deep|long where|who".split()
)
"""How many days it takes and how long; when it comes and how soon; where to report and to whom."""
_PICKED_APART: Final = frozenset(
    frozenset(pair.split("|"))
    for pair in "all|some all|first all|last all|one some|first any|one any|first both|one first|last first|next last|next"
    " most|few most|any most|some this|all this|any".split()
)
_LONG_OFTEN: Final = _stems("duration often long")
_PICKED_KINDS: Final = frozenset(_PICKED.values())


def _pick_others(one: Traits, two: Traits) -> bool:
    """Whether the same things are asked about, but others of them, or another thing about them."""
    if one.asks and two.asks and one.asks != two.asks and frozenset((one.asks, two.asks)) not in _ASKED_ALIKE:
        mine, theirs = set(one.words) - _LONG_OFTEN, set(two.words) - _LONG_OFTEN
        if len(mine & theirs) >= 2 and len(mine - theirs) <= 1 and len(theirs - mine) <= 1:
            return True
    for which, of in one.picks:
        for other, of_other in two.picks:
            if of == of_other and which != other:
                are_superlatives = which not in _PICKED_KINDS and other not in _PICKED_KINDS
                if are_superlatives or frozenset((which, other)) in _PICKED_APART:
                    return True
    return False


def _exchange_a_thing(one: Traits, two: Traits) -> bool:
    """Whether a few words of one text stand in the place of others, next to a word of both or after the same
    preposition."""
    here, there = set(one.words), set(two.words)
    shared = here & there
    if len(shared) < 2 and not (len(one.words) == len(two.words) == 2 and one.words[0] == two.words[0]):
        return False
    mine = [word for word in here - there if word not in _GENERIC]
    theirs = [word for word in there - here if word not in _GENERIC]
    if not (1 <= len(mine) <= 3 and 1 <= len(theirs) <= 3):
        return False
    if any(_are_akin(word, other) for word in mine for other in theirs):
        return False
    return not _contexts(one, mine, shared).isdisjoint(_contexts(two, theirs, shared))


def _contexts(one: Traits, places: list[str], shared: set[str]) -> set[tuple[str, int]]:
    """The shared words next to one of the places with the side on which they stand, and its prepositions."""
    found = {(slot, 0) for word, slot in one.slots if slot and slot != "to" and word in places}
    for index, word in enumerate(one.words):
        if word in places:
            if index and one.words[index - 1] in shared:
                found.add((one.words[index - 1], -1))
            if index + 1 < len(one.words) and one.words[index + 1] in shared:
                found.add((one.words[index + 1], 1))
    return found


def _are_akin(word: str, other: str) -> bool:
    """Whether they may be forms or misspellings of one word."""
    short, long = sorted((word, other), key=len)
    if len(short) < 4:
        return False
    if long.startswith(short[:-1]) and len(short) > 4 and (long.startswith(short) or len(long) - len(short) > 2):
        return True
    return len(short) > 4 and len(long) - len(short) < 3 and word[0] == other[0] and len(set(word) ^ set(other)) <= 1
