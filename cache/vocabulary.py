"""What general English words are to each other: forms, synonyms, opposites, alternatives, numbers, roles.

Lists, and what follows from them for one word. Owns no reading of a text. Of other languages it knows nothing.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final


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


def stems(words: str) -> frozenset[str]:
    return frozenset(stem(word) for word in words.split())


def _pairs(text: str) -> tuple[str, ...]:
    """The single "one side|other side" of a list."""
    return tuple(" ".join(pair.split()) for pair in text.split(";"))


# --- several that act as one ---

PHRASES: Final = tuple(
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
        ("advance ahead front upfront", r"in advance|ahead of time|up[ -]?front", "beforehand"),
        ("once", r"once(?= (?:i|i'm|i've|we|we've|you|they|it|it's|he|she|the|my|your|our|their|this|that)\b)", "after"),
        ("while whilst", r"(?<!a )(?:while|whilst)(?= (?:on|in|at|i|i'm|we|my|the|it|it's|\w+ing)\b)", "during"),
        ("last", r"last[ -]minute", "lastminute"),
        ("time", r"(?<!the )on[ -]time", "punctual"),
        ("country", r"(?:within|inside) (?:the|one|my|our) (?:same )?country", "domestic"),
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
PHRASES_BY_TRIGGER: Final = {
    word: tuple(place for place, (triggers, *_) in enumerate(PHRASES) if word in triggers)
    for word in sorted(frozenset[str]().union(*(triggers for triggers, *_ in PHRASES)))
}
TRIGGERS: Final = frozenset(PHRASES_BY_TRIGGER)

CLOCK: Final = {"quarter": "15", "half": "30", "morning": " am", "afternoon": " pm", "evening": " pm"}

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

# --- numbers ---

_UNITS_OF_TEN: Final = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
_ORDINALS: Final = "_ first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth fifteenth"
NUMBER_WORDS: Final = (
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
ROMAN: Final = {"ii": 2, "iii": 3, "iv": 4, "vi": 6, "vii": 7, "viii": 8, "ix": 9, "xi": 11, "xii": 12}
DECADES: Final = {
    f"{ten[:-1]}ies": f"19{digit}0"
    for digit, ten in enumerate("twenty thirty forty fifty sixty seventy eighty ninety".split(), 2)
}
SEVERAL: Final = frozenset("couple few several some".split())
"""They stand for any small number, and for none."""

UNITS: Final = {
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
BETWEEN_NUMBER_AND_UNIT: Final = frozenset(
    "business working calendar full whole square more extra long consecutive school us imperial metric degree degrees".split()
)
ORDINAL_ENDINGS: Final = frozenset(("st", "nd", "rd", "th"))
WAITING: Final = frozenset("been waiting waited wait".split())
FORMATS: Final = frozenset("mp3 mp4 m4a 3d 2d b2b b2c p2p h2o co2".split())
HABITUAL: Final = frozenset(("24/7",))
"""Numbers that say nothing."""

# --- negation ---

NEGATORS: Final = frozenset(
    "not no never without neither nor non nothing nobody none unable hardly dont doesnt didnt isnt arent wasnt werent wont wouldnt cant cannot couldnt shouldnt"
    " havent hasnt hadnt aint don't doesn't didn't isn't aren't wasn't weren't won't wouldn't can't couldn't shouldn't haven't hasn't hadn't"
    " ain't mustn't needn't lacking minus".split()
)
REFUSALS: Final = frozenset("refuse refuses refused refusing fail fails failed failing forget forgets forgot".split())
SOFT: Final = frozenset("unable wont wouldnt cant cannot couldnt won't wouldn't can't couldn't hardly".split())
"""Who says so is stuck, and asks how to get on: "I can't log in" is no opposite of "how do I log in"."""
FRONTED: Final = frozenset(
    "don't doesn't didn't isn't aren't wasn't weren't won't wouldn't can't couldn't shouldn't haven't hasn't"
    " dont doesnt didnt isnt arent wasnt werent wont wouldnt cant couldnt shouldnt havent hasnt".split()
)
AUXILIARIES: Final = frozenset(
    "do does did can could will would shall should may might must is are was were am has have had".split()
)
LACKING: Final = frozenset("without non lacking minus".split())
COPULAS: Final = frozenset("isn't aren't wasn't weren't isnt arent wasnt werent".split())
NO_ADVERBS: Final = frozenset(
    "apply reply supply rely comply multiply imply fly family ally assembly bully july italy".split()
)
GREETINGS: Final = frozenset("hi hello hey please so there".split())
TROUBLE: Final = stems(
    "fail failure lose lost miss missing problem issue error trouble wrong refuse decline deny reject stuck unable invalid incorrect broken skip avoid prevent"
    " pending wait waiting delay late stop disappear vanish gone cancel close delete remove less insufficient difficulty impossible unknown without"
)
SEEMING: Final = stems("se appear seem try mak feel look happen")
"""What they are said of tells more than they do."""
STOPPERS: Final = stems("stop keep prevent avoid quit hinder block refrain")
CLAUSE_WORDS: Final = frozenset(
    "and or but because if when so then while although though since unless until whether".split()
)
SPECIFIC: Final = frozenset("which what who whose whom".split())
# --- opposites ---

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

CONVERSES: Final = _pairs(
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
    discount|surcharge; late delayed overdue|punctual; early|lastminute; apply|renew; domestic|abroad overseas;
    weekday weekdays|saturday saturdays sunday sundays; whole entire|single individual selected;
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
    stem(word): stems(bases)
    for words, bases in (
        ("restore undelete reinstate", "delete erase clear remove cancel"),
        ("recover retrieve", "delete erase clear"),
        ("reopen reactivate", "close deactivate cancel"),
    )
    for word in words.split()
}
"""To undo what is still named: "restore a deleted file" against "delete a file"."""

ENDING: Final = stems(
    "stop undo cancel cancellation terminate termination delete deletion erase remove removal uninstall unsubscribe disconnect unlink unpair"
    " disable deactivate revoke wipe avoid prevent refuse prohibit discontinue abolish"
)
ENDING_ALLIES: Final = ENDING | stems(
    "end leave close exit clear discard rid against repel hide mute decline reject return refund without lose drop revert restore recover"
    " suspend pause freeze block unfollow omit exclude reduce detach cut skip refund reverse closure shut dispute fraud fraudulent unauthorized reset default out off kick throw withdraw scrap escape back wrong redo quit"
)
"""To end something: where only one of two questions names it, they ask for different things."""

_UN: Final = ("un", "dis", "de", "non", "in", "im", "ir", "il", "mis", "ab")
_PREFIX_PAIRS: Final = (
    ("en", "de"), ("hyper", "hypo"), ("over", "under"), ("up", "down"), ("im", "ex"), ("in", "ex"), ("in", "out"), ("in", "de"), ("pre", "post"),
    ("ma", "pa"), ("macro", "micro"), ("inter", "intra"), ("a", "de"), ("pro", "anti"), ("as", "des"),
)  # fmt: skip
_NO_PREFIX: Final = stems(
    "disappear unlimited unable unaware invoice inform information import important impress improve depart department display discount detail delay deliver delivery describe"
    " design decide default desire increase income input inside indoor intend invest invite indeed index insure insurance instance instead"
    " interest until under unit unite unique unless dispute distance district discover discuss disk distribute dispatch disease inch image"
    " immediate inquire install installation installment instalment intro image discipline understand demand depend deposit dear deal"
    " deter device develop university uniform universal intern internal internet indian ink impact impart individual inspect instruct"
    " inner invent about above abroad absolute defend defeat defend degree denied deny dent destroy determine devote debit debt"
    " decline decrease deduct deep defer define issue misc mission miss mist iron island inst irish ill illness non none into"
    " download upload update upgrade upper upset upon outside outlet outlook outgoing overview overseas underground overall disco disc"
)

# --- things of one kind ---

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
    "kilogram/kilo/kg pound/lb ounce gram/g stone tonne/ton",
    "celsius fahrenheit",
    "sick/sickness/illness holiday/vacation",
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


_COUNTED: Final = frozenset(
    number for number, group in enumerate(_ALTERNATIVES) if group.startswith(("first", "germany"))
)
"""Groups that are numbers here, or are in the longer list."""
ALL_MEMBERS: Final = {
    word: frozenset(pair for pair in pairs if pair[0] not in _COUNTED)
    for word, pairs in _members((*_ALTERNATIVES, *_MORE_ALTERNATIVES)).items()
}

# --- who does it ---

_PERSONS: Final = stems(
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
NATIONS: Final = {
    stem(name): stem(names.split("/")[0]) for names in _MORE_ALTERNATIVES[0].split() for name in names.split("/")
}
ACTORS: Final = _PERSONS | frozenset(NATIONS) | frozenset(("self",))
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
PREPOSITIONS: Final = (
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
BEFORE_AN_INFINITIVE: Final = frozenset(
    "how want wants wanted need needs have has had got like able unable allowed going try trying tried way help i possible wish due supposed required"
    " what where when whether ability option instructions steps order".split()
)
VERBS: Final = frozenset(
    "transfer send get check see change cancel delete remove add make use pay withdraw open close create find know buy order return receive contact"
    " talk speak call write read set update edit move switch upgrade download upload install report notify inform track recover reset retrieve verify"
    " confirm activate enable disable block unblock link connect login subscribe unsubscribe submit leave join learn do go take give put tell ask help"
    " show exchange convert travel book sell import export share attach sync sort search filter keep stop start work drive eat drink cook bring come"
    " be have arrive look turn try wait apply register renew replace save print play watch listen study teach visit stay ride fly say explain".split()
)
BEFORE_A_DEED: Final = frozenset("for of by in with about from before after".split())
DETERMINERS: Final = frozenset(
    "a an the my your our his her their its this that these those another other any some new old each every no one".split()
)
TELLING: Final = frozenset("to from than in by as against before after".split())
SYMMETRIC: Final = stems(
    "difference differ compare comparison versus distance mix combine marry between same similar vs see"
)
MOTION: Final = stems(
    "send transfer move switch import export travel fly flight go migrate upgrade convert translate change copy sync ship come drive train bus ride"
    " forward post mail upload download route call trip ticket withdraw deposit turn exchange borrow ferry taxi journey get take heat walk"
)
SKIPPED_AFTER_SUBJECT: Final = frozenset(
    "am are is was were be been being have has had having can could will would shall should may might must do does did not never also still just already"
    " allowed able want wants need needs like wish to try trying going gonna please ever only really even always supposed obliged secretly 'd 'll 've"
    " don't doesn't didn't can't cannot couldn't won't wouldn't haven't hasn't dont doesnt didnt cant wont".split()
)
FIRST_PERSON: Final = frozenset("i we i'd i'll i've i'm we'd we'll we've we're".split())
MODALS: Final = frozenset("can does do will could may must should".split())
TO_BE: Final = frozenset("am are is was were be been being".split())
BEFORE_A_VERB: Final = frozenset(
    "i we you they to and or please never not can't cannot don't let's always just who which".split()
)
SOME: Final = frozenset(("a", "last", "past"))
VAGUE_DEEDS: Final = stems(
    "see have get find know do make use say tell look go use be work need want take set put help keep"
)
"""What is said of everyone; who does it says little."""

# --- the same, and little ones ---

SYNONYMS: Final = {
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

LITTLE: Final = stems(
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
PRONOUNS: Final = frozenset("i we you it one there this that he she they someone somebody".split())
GENERIC: Final = stems(
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


# --- what follows for one word ---


@lru_cache(maxsize=8_192)
def stem_of(word: str) -> str:
    """The stem of a word, of an irregular form that of its base: what all lists here go by."""
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
                    found.setdefault(stem_of(form), {})[number, is_left] = None
    return {word: tuple(sides) for word, sides in found.items()}


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


OF_QUALITIES: Final = range(len(CONVERSES), len(CONVERSES) + len(_QUALITIES))
POLES: Final = _sided((*CONVERSES, *_QUALITIES, *_OPPOSITES), OF_QUALITIES)
WISHED: Final = 1_000
"""Added to the number of a pair: what the text wants it to be, not what it is. One below zero is an excess."""
COUNTERPARTS: Final = _sided(_COUNTERPART_PAIRS)


@lru_cache(maxsize=8_192)
def turns_of(word: str) -> tuple[frozenset[str], frozenset[str]]:
    """(opposites of the word by prefix or suffix, what it turns back)."""
    opposed: set[str] = set()
    bases = set(_REVERSALS.get(word, ()))
    if word not in _NO_PREFIX:
        rests = [word[len(prefix) :] for prefix in _UN if word.startswith(prefix) and len(word) - len(prefix) >= 3]
        bases.update(rests, (stem(_IRREGULAR[rest]) for rest in rests if rest in _IRREGULAR))
        for pair in _PREFIX_PAIRS:
            for prefix, other in (pair, pair[::-1]):
                if word.startswith(prefix) and len(word) - len(prefix) >= 4:
                    opposed.add(other + word[len(prefix) :])
        if word.endswith("les"):
            opposed |= {word[:-3] + "ful", word[:-3]}
        elif word.endswith("ful"):
            opposed.add(word[:-3] + "les")
    return frozenset(opposed), frozenset(bases)


# --- what is asked for, and which of the things ---

PICKED: Final = {
    word: kind
    for kind, words in {
        "all": "all every each entire whole", "some": "some several certain selected", "any": "any", "one": "one single",
        "this": "this that these those", "both": "both", "most": "most", "few": "few", "first": "first", "last": "last final", "next": "next",
    }.items()
    for word in words.split()
}  # fmt: skip
SUPERLATIVES: Final = {
    word: words.split()[0]
    for words in (
        "cheapest", "fastest quickest", "biggest largest greatest", "smallest tiniest", "nearest closest", "newest latest",
        "oldest earliest", "highest tallest", "lowest", "longest", "shortest", "strongest", "weakest", "safest", "easiest",
        "simplest", "heaviest", "lightest", "hottest", "coldest", "richest", "busiest", "quietest", "healthiest",
    )
    for word in words.split()
}  # fmt: skip
ABOUT_A_WORD: Final = stems(
    "word mean meaning translate translation pronounce pronunciation spell spelling say letter accent define definition"
    " bedeutet heisst wort signifie mot significa palabra parola"
)
ASKED_ALIKE: Final = frozenset(
    frozenset(pair.split("|"))
    for pair in "when|long when|soon when|early when|late long|soon long|fast fast|soon early|soon much|long far|long much|often"
    " much|big much|old tall|high tall|long wide|long deep|long where|who".split()
)
"""How many days it takes and how long; when it comes and how soon; where to report and to whom."""
HOW_MUCH: Final = frozenset(("long", "often"))
"""Alike with how many or how much only where times are counted, in a text that names one of `TIMES`."""
TIMES: Final = stems("time day night hour minute second week month year")
MEASURED: Final = stems(
    "take cost price fee charge pay last weigh old tall high wide deep far fast quick big large long heavy hot late early"
)
"""What belongs to how much is asked for, not to what it is asked of."""
PICKED_APART: Final = frozenset(
    frozenset(pair.split("|"))
    for pair in "all|some all|first all|last all|one some|first any|one any|first both|one first|last first|next last|next"
    " most|few most|any most|some this|all this|any".split()
)
LONG_OFTEN: Final = stems("duration often long")
