"""Whether the right answer to a text is true only at one moment. Pure."""

import re
from typing import Final

from cache.reading import HOW_TO, Reading, Rules, rule, word_set

_DAY: Final = "(?:monday|tuesday|wednesday|thursday|friday|saturday|sunday)"
_A_PROCESS: Final = (
    r"(?! (?:for|until|till|before) (?:[\w-]+ ){0,4}?(?:transfer|card|refund|payment|money|top[- ]?up|fund|delivery|order|package|parcel|cheque|deposit|approval|response|reply|result"
    r"|visa|passport|replacement|activation|withdrawal|transaction|account|verification)s?\b)"
)
"""Whose duration is asked for, not how long the queue is."""
_AT_THIS_MOMENT: Final = Rules(
    rule(
        "now moment minute time times present far days sale sold stock",
        r"\b(?:right now|at (?:the|this) (?:moment|minute|time)|at present|as of now|just now|so far|these days|up to the minute)\b",
        r"\b(?:in stock|out of stock|on sale|sold out)\b",
        r"^(?:is|are|any)\b.{0,150} now\W*$|\bopen now\W*$|^(?:what|who|how|which)\b(?!.*\b(?:i|we|my|our|do|did)\b).{0,100} now\W*$|\bhow (?:much|many|busy|long|high) (?:is|are) [^?.!]{0,40}\bnow\b",
    ),
    rule(
        "today today's tonight tonight's",
        r"\b(?:tonight|today(?<!true today)(?<!relevant today)(?<!used today))(?:'s)?\b(?! (?:show|world|society|standards)\b)",
    ),
    rule(
        "time day date hour year month noon midnight payday o'clock oclock clock monday tuesday wednesday thursday friday saturday sunday",
        r"\bwhat(?:'s| is)? (?:the )?(?:time|day|date)(?: is it| it is)?(?:\W*$| today| in [a-z ]+\W*$)|\b(?:what|which) (?:time|hour|day|date|year|month)(?: of (?:the )?\w+)? (?:is it|it is)\b(?! (?:that|said|called)\b)",
        rf"^(?:hey |so |hi )?is it (?:after |before |past |really |already )?(?:{_DAY}|noon|midnight|payday|\w+ o'? ?clock)\b",
    ),
    rule(
        "news headlines update updates outage outages delay delays disruption disruptions",
        r"\b(?:any|some) (?:news|updates?|outages?|delays?|disruptions?)\b|\b(?:breaking|latest) news\b|^(?:news|headlines) (?:on|about|from|in|today)\b",
    ),
    rule(
        "next",
        r"\bwhen (?:is|are|does|do|will|can)(?: \w+){0,3}? the next\b|\b(?:time|date|start) of the next\b|\b(?:what's|what is) the next (?:train|bus|flight|game|match|episode|\w+ date)\b"
        r"|\bnext (?:train|bus|ferry|flight|tram) (?:to|from|home)\b|\bnext \w+ date of\b",
    ),
    rule(
        "waiting wait queue hold busy crowded full long until till before",
        rf"\b(?:what's|what is|how long is) the (?:\w+ )?(?:wait(?:ing)?|queue|hold) times?\b{_A_PROCESS}|\bhow (?:busy|crowded|full) (?:is|are)\b|\bhow long (?:is|are) the (?:\w+ )?(?:queue|line|wait|delay)s?\b{_A_PROCESS}",
        r"\bhow many (?:\w+ )?(?:days|weeks|hours) (?:until|till|to|before) (?:the )?(?:christmas|xmas|easter|halloween|new year|summer|ramadan|thanksgiving)\b|\bdays until\b",
        rf"\bhow long (?:is|will) it (?:be )?(?:until|till)\b{_A_PROCESS}",
    ),
)
"""Words for now."""
_DATED: Final = rule(
    "tomorrow tomorrow's yesterday yesterday's night morning afternoon evening currently forecast current year's month's week's week weekend weekend's month year summer winter season"
    " monday tuesday wednesday thursday friday saturday sunday latest newest recent interest",
    r"\b(?:tomorrow|yesterday|last night|this (?:morning|afternoon|evening)|currently(?! (?:support|accept|offer|operate|serve)\b)|weather forecast"
    r"|(?<!did )(?:the|any|your|a|is|are|what's|what) current (?!(?:accounts?(?! balance)|ratio|assets|liabilities|affairs|directory|folder|password|address|contract|subscription|employer|provider|user|row|cell|in|through|of|flow\w*|drawn|is|carrying)\b)\w+|this (?:month|year)'s"
    rf"|(?:next|last|this) (?:week|weekend|month|year|summer|winter|season|{_DAY}))(?:'s)?\b",
    rf"\b(?:latest|newest|most recent)\b(?! (?:time|date|day|point|possible|i|we)\b)|\b(?:cheapest|price|cost|costs|fare|free|room|table|tickets?|flight|train|show|vacanc\w+)\b[^?]{{0,60}}\b(?:on|for|this|next) {_DAY}\b",
    r"\binterest rate\b[^?]{0,40}\b(?:pay|offer|give)\b|\bcurrent (?:\w+ ){1,4}(?:rate|rates|price|prices|status)\b",
)
"""Volatile unless the question is how to do something."""
_TECHNICAL: Final = word_set(
    "command function keyword variable sql python javascript java excel git docker bash linux css html regex postgres pandas directory branch commit tag const method"
)
_ABOUT_WORDS: Final = _TECHNICAL | word_set(
    "mean means meaning definition define difference term phrase idiom plot novel wrote translate synonym opposite tense spell pronounce say"
)
"""Where a word for now is one that is asked about, or names a thing in a machine."""
_CURRENCIES: Final = word_set(
    "dollar dollars usd eur euro euros yen jpy pound pounds gbp sterling peso pesos ruble rubles rupee rupees inr yuan franc francs chf cad krona won cny"
)
_CONVERTS: Final = word_set("much many rate conversion worth convert converted trade what's what equals equal value")
_PAYS: Final = word_set(
    "account accounts transfer fee fees charge card top hold holding support accept accepted pay cost"
)
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
_ON_ANY_DAY: Final = re.compile(
    r"\bhow (?:do|can|could|to|would|should) (?:i |we |one |you )?(?:\w+ly )?(?:see|show|view|display|find|list|filter|export|check which|get a list|print|enter|book|format)\b"
    r"|\b(?:is there (?:a|any) way|is it possible) to (?:see|show|view|find|list|check)\b"
    r"|\b(?:if|when) it(?:'s| is) (?:\d|noon|midnight|monday|sunday)"
    r"|\b(?:if|when|can|do|should) (?:i|we) (?:order|buy|book|pay|send|sign|apply|register|start|cancel|post)\b[^?.!]{0,40}\btoday\b"
)
"""Where a day or an hour is one of many: how to see that of any day, what follows from it."""
_ASKS_FOR_FACTS: Final = word_set("what what's how who who's which check")
_NOW_WORDS: Final = re.compile(
    r"\b(?:right now|at (?:the|this) (?:moment|minute|time)|at present|currently|current|in stock"
    r"|so far(?! (?:but|and|until)\b)(?!,)|still(?! (?:be |is |being )?(?:pending|listed|waiting|showing|shows?|says?|processing|not|there|see|\w+n't|don't|in)\b))\b"
)
_STATUS: Final = Rules(
    rule(
        "is are",
        r"(?:so )?(?:is|are) (?:the |your |you |all |any )?(?:(?!possible|allowed)[\w-]+ ){0,8}?(?:down|offline|online|back up|delayed|crowded|busy|degraded|failing|closed off|on time|running late|blocked|sold out|overcrowded|fully booked"
        r"|having (?:problems|issues|trouble)|out)(?: (?:again|for everyone|for anyone|for others|too|there))*\W*$",
        r"(?:is|are) (?:the |your )(?!\w+ (?:compatible|able)\b)(?:[\w-]+ ){1,8}?(?:working|running|open|shut|closed)(?: again)?\W*$",
        r"are you (?:guys )?(?:still |currently |already )?(?:open|closed|online|there|hiring)\W*$",
        r"(?:is|are) there (?:an? |any |some |still )?(?:\w+ )?(?:outages?|strikes?|delays?|traffic|maintenance|sale|disruptions?|warnings?|storms?|problems?|issues?|incidents?|power cuts?|closures?|roadworks|jams?|accidents?|cancellations?|queue|promotions?|special offers?)\b(?! (?:with|for) (?:a|an)\b| if\b| when\b)",
        r"(?:are|is) there (?:any |some |still |a )*(?:[\w-]+ )?(?:tickets?|seats?|spaces?|rooms?|tables?|slots?|places?|appointments?|vacanc(?:y|ies)|spots?)\b[^?]{0,40}\b(?:left|available|free|for)\b",
        r"(?:is|are) (?:the |a )?(?:size|colou?r|[\w-]+ in (?:size|blue|red|black|white|green))\b[^?]{0,60}\bavailable\W*$",
        r"(?:is|are) there (?:anything|something) (?:wrong|going on)\b",
        r"(?:is|are) (?:the |your |all |any )?(?:[\w:.'&-]+ ){1,8}?(?:clogged|jammed|congested|gridlocked|backed up|flooded|out of (?:order|service|action)|running on time|cancelled due|suspended)\b",
        r"(?:is|are) (?:the |your )?(?!(?:it|that|this|they|there|i|we) )(?:[\w-]+ ){1,3}?(?:down|out|offline) (?:in|for|across|around|at) (?!(?:a|an|of|to|my)\b)",
        opens=True,
    ),
    rule(
        "still yet already has have",
        r"(?:is|are|do|does|has|have)\b(?! (?:i|we|my|our|it)\b)[^?]{0,60}\bstill\b[^?]{0,60}(?:available|open|free|running|valid|going|left|on|out of order|out of service|closed|shut|broken|blocked|delayed|cancelled|suspended|reduced|discounted|room|rooms|tickets|seats|places|happening|working|down|offline)\b",
        r"(?:has|have|did|is|are)\b(?! (?:i|we|my|our|you|it)\b)[^?]{0,100}\b(?:yet|already)\W*$",
        r"(?:has|have) (?:the|there|any|your)\b(?![^?]{0,100}\bever\b)[^?]{0,100}\b(?:been|changed|started|ended|opened|closed|arrived|released|launched|reopened)\b",
        r"do you have (?:any )?(?:[\w-]+ )?(?:vacanc(?:y|ies)|availability|rooms? (?:free|available)|tables? (?:free|available))\b",
        opens=True,
    ),
    rule(
        "many going status stock working",
        r"\bhow many\b[^?]{0,60}\b(?:are|is)(?: there)?(?: still)? (?:left|free|remaining|available|open)\b|^(?!.*\b(?:i|i'm|i've|my)\b).*\bgoing on\W*$|\bback in stock\b|\bhas a [^?]{0,40}working\b",
        r"\b(?:system|service|server|api|network) status\b|\bstatus of (?:the |your )(?:\w+ )?(?:service|system|servers?|api|network|platform|line)\b",
    ),
)
"""How things stand."""
_TOPICAL: Final = Rules(
    rule(
        "weather",
        r"(?<!affect )(?<!of )(?<!bad )(?<!cold )(?<!hot )(?<!does the )(?<!affect the )\bweather\b"
        r"(?! (?:balloon|station|map|front|pattern|the|app|vane|system|proof|resist))(?! (?:and|or) climate| forecasting)(?! [^?]*\b(?:affect|influence|cause|mean)s?\b)",
    ),
    rule(
        "forecast rain snow be hot cold warm raining snowing sunny",
        r"\bforecast (?:for|in)\b|\bwill it (?:rain|snow|be (?:hot|cold|sunny|warm|windy|dry))\b|\bhow (?:hot|cold|warm) (?:is|will) it\b|\bis it (?:raining|snowing|sunny|cold outside)\b",
    ),
    rule(
        "pollen uv air temperature tide sunset sunrise",
        r"\b(?:pollen count|tide times?|air quality) (?:in|for|on|at|today|tomorrow)\b|\bwhat(?:'s| is) the (?:pollen count|uv index|air quality|temperature)(?: like)?(?: (?:outside|in [a-z ]+))?\W*$",
        r"\bwhen is (?:the )?(?:sunset|sunrise|high tide|low tide)\b",
    ),
    rule(
        "prices price stock share shares bitcoin btc ethereum barrel ounce crude brent dax dow nasdaq ftse s&p nikkei market markets",
        r"\b(?:stock|share|gas|petrol|fuel|gold|silver|oil|bitcoin|btc|ethereum|crypto) prices?\b(?! (?:index|mean|work|elastic|formed|determined|set|calculated|made|move|rise|fall|fluctuate|depend))",
        r"\bprice of (?:a |an )?(?:barrel|ounce|gold|silver|oil|bitcoin|btc|eth\w*|petrol|gas|diesel|crude|brent)\b",
        r"\bhow much (?:is|does|are) [^?]{0,40}\b(?:stock|shares?|bitcoin|btc|ethereum|barrel|ounce of gold|crude|brent)\b",
        r"\bhow(?:'s| is| are) (?:the )?(?:dax|dow|nasdaq|ftse|s&p|nikkei|stock market|markets?|bitcoin)\b",
    ),
    rule(
        "exchange mortgage",
        r"\bexchange rate (?:between|from|of|for) (?!my\b|an? (?:item|purchase|payment)\b|the (?:item|purchase|payment)\b)[^?]{1,30} (?:and|to)\b|\b\w+ to (?!(?:\w+ )?(?:the|an?|your|my) exchange)(?:\w+ )?\w+ exchange rate\b|\bwhat(?:'s| is) the exchange rate(?: like)?(?: of \w+)?\W*$|\bwhat are (?:\w+ )?mortgage rates\W*$",
    ),
    rule(
        "time date",
        r"\b(?:tell me|know|look up|give me|check|telling me|remind me of|have|what(?:'s| is| will be)) (?:what )?(?:the )?(?:exact |current |right |correct )?(?:time|date)(?: it is| is)?(?: (?:in|at) [\w ,']+)?\W*$",
        r"^(?:the |current )?(?:time|date) in [\w ,]+\W*$|^(?:the )?(?:current|exact) (?:time|date)\b|\b(?:time|date|day) (?:will|would|is|does) (?:it|your) (?:be|\w+ say)|\bfrom (?:now|today)\b(?! on\b)|\bwhat will (?:be )?the date\b|\btime do you have\b",
    ),
    rule(
        "days weeks",
        r"\b(?:in|after) (?:\w+ )?(?:\w+|\d+) (?:days|weeks),? what (?:date|day|will)\b|\b(?:days|weeks) from (?:now|today)\b(?! on\b)",
    ),
    rule(
        "forecast rain raining snow temperature temperatures conditions tornado tornadoes storm hurricane",
        r"\b(?:the|day|weekend|week's|a|rain|snow) forecast\b(?! (?:model|method|accuracy))|\bchance of (?:rain|snow)\b|\bgoing to (?:rain|snow|storm)\b|\b(?:rain|snow) (?:today|on|in the next|this|coming)\b|\btemperatures? (?:will|going to be|outside|over the|in [a-z]+\W*$)"
        r"|\bconditions (?:like )?in \w+|\b(?:storms?|tornado(?:es)?|hurricanes?) (?:coming|soon|near)\b",
    ),
    rule(
        "traffic",
        r"^(?!how (?:do|can|to)\b)(?!.*\b(?:web ?site|site|network|incoming|outgoing|inbound|outbound|port|ports|data|lights?|signs?|tickets?|fines?|organic|sources?|rules|laws?|vpn|server|shaping|calming|control|handle|plan|limit|analytics|api|firewall|encrypted|internet|google|cones?)\b)"
        r".*\b(?:how|is|what(?:'s)?|any|tell|will|be|there|know|check)\b.*\btraffic\b",
    ),
    rule(
        "flight",
        r"\bflight status\b|\bflight [a-z]{2}\d+ |\bstatus of (?:\w+ ){0,3}flight\b|\b(?:updates?|status) on (?:\w+ ){0,3}flight\b|\bwhen (?:\w+ ){1,4}flight (?:\w+ ){0,3}(?:land|board|boarding|arrive|depart|leave|take off|get here|scheduled)\b|\bflight (?:\w+ )?(?:on time|delayed)\W*$",
    ),
    rule(
        "busy crowded packed wait crowd table",
        rf"\b(?:is|will|does|are) [\w' ]{{2,30}}? (?:be |get )?(?:busy|crowded|packed)\b|\bhow (?:long|bad) (?:is|will|should) [\w' ]{{0,20}}\bwait\b(?! to \w){_A_PROCESS}|\b(?:the|a) wait (?:at|for a table|to be seated|time at)\b|\bhow long [^?]{{0,40}}\b(?:a|to get a) table\b|\bcrowd like\b",
    ),
    rule(
        "song track music",
        r"\bsong\b.{0,30}\b(?:is this|is playing|playing (?:now|on)|this is|listening to)\b|\b(?:this|playing) (?:song|track)\b|\bwhat (?:song|music) is (?:this|on|playing)\b",
    ),
    rule(
        "traffic",
        r"\bhow(?:'s| is) (?:the )?traffic\b|(?<!incoming )(?<!outgoing )(?<!network )(?<!web )(?<!inbound )(?<!outbound )(?<!more )\btraffic (?:on|into|in|to|jams? on|around|like)\b",
    ),
    rule(
        "movies movie films film shows show bands concerts concert plays tv playing trending showing number one no charts polls standings",
        r"\b(?:what|which) (?:movies?|films?|shows?|bands?|concerts?|plays?)\b[^?]{0,20}\b(?:are|is)\b[^?]{0,20}\b(?:playing|on|showing|streaming)\b",
        r"\bwhat(?:'s| is) (?:on (?:tv|at the)|playing|trending|showing|number one|no\.? 1)\b|\bin the (?:polls|charts|standings)\b|\b(?:most trending|trending (?:on|in|now))\b",
    ),
    rule(
        "codes code friday monday",
        r"\b(?:promo|discount|voucher|coupon) codes? (?:that|which|for (?:this|now))\b|\bany (?:\w+ )?(?:promo|discount|voucher|coupon) codes\b|\b(?:black friday|cyber monday) (?:deal|sale|offer)s?\b",
    ),
    rule(
        "who who's",
        r"\bwho(?:'s| is| are) (?:currently )?(?:leading|winning|ahead|in the lead|playing|top of)\b|\bwho(?:'s| is) the (?:current|new|present|incumbent)\b",
        r"^who (?:won|got (?:voted|eliminated|kicked|sent)|scored|lost)\b(?![^?]*\b1\d{3}\b|[^?]*\b20[01]\d\b|[^?]*\b(?:war|battle|first|ever)\b)",
    ),
    rule(
        "score concert concerts event events show shows gigs festival festivals deal deals sale sales reported infected registered fed duty menu",
        r"\b(?:what's|what is|what was|final) (?:the )?score (?:of|in|between)\b|\bdid the fed\b|\bnight duty\b|\b(?:lunch|dinner|canteen) menu (?:today|this)\b",
        r"\bany (?:\w+ )?(?:concerts?|events?|shows?|gigs|festivals?|deals?|sales?)\b(?: (?:in|on|at|this|near|running|going|tonight|today)\b|\W*$)",
        r"\bhow many [^?]{0,60}\b(?:were|was|are) (?:reported|infected|registered) (?:this|last|so far)\b",
    ),
    rule(
        "who's who",
        r"\bwho(?:'s| is) (?:the )?(?:\w+ )?(?:prime minister|president|king|queen|pope|chancellor|mayor|governor|ceo|cfo|cto|coo|chair(?:man|woman|person)?|head coach|leader|manager|coach|captain|minister|secretary|champion|world champion|ambassador|headmaster|richest|director|managing director) (?:of|in|at|for|man|woman|person)\b(?! (?:a|an)\b)",
    ),
    rule(
        "version release lts edition update firmware",
        r"\b(?:what|which|when)\b[^?.!]{0,40}\b(?:latest|newest|most recent) (?:[\w.]+ ){0,3}(?:version|release|lts|edition|update|firmware)\b|\bwhich (?:[\w.]+ ){0,3}(?:version|release|edition)\b[^?.!]{0,30}\b(?:latest|newest|most recent)\b",
    ),
    rule("trading", r"\b(?:what|where|how)\b[^?.!]{0,40}\btrading (?:at|for)\b"),
    rule(
        "litre liter gallon gram kilo",
        r"\bhow much (?:is|does|are) (?:an?|the|one) (?:litre|liter|gallon|gram|kilo) of \w+",
    ),
    rule(
        "rain raining snow fog storm storms frost thunderstorm",
        r"\b(?:will (?:there|it) (?:be|rain|snow)|there will be|going to (?:be|rain|snow)|expect(?:ing)?) ?(?:any |some |a |more )?(?:rain|snow|fog|storms?|frost|thunderstorms?)?\b(?<=rain|snow| fog|torm|orms|rost)(?![^?]*\b(?:if|when|why)\b)",
    ),
    rule(
        "when",
        r"\bwhen (?:will|is|are|does) (?:the |your )?(?:(?!i |we |my |our )[\w'-]+ ){1,4}?(?:be )?(?:back (?:up|online|in stock)|fixed|restored|up again|reopen(?:ed|ing)?|working again|repaired)\b|\bwhen (?:will it|it'll|it will) be (?:fixed|back|restored|resolved|repaired)\b",
        r"\bwhen (?:does|will|is) the (?:new|next) [\w ]{1,30} (?:come out|coming out|start|begin|be released|released|launch(?:ed)?|out|air)\b",
    ),
    rule(
        "vacancies openings positions jobs roles deals offers promotions",
        r"\b(?:what|which|any) (?:\w+ )?(?:vacancies|openings|positions|jobs|roles) (?:do you|are there|are|you)\b[^?.!]{0,20}\b(?:open|available|free|have|advertis\w+)\b|\b(?:what|which) (?:deals|offers|promotions) (?:do you have|are there|have you got)\b",
    ),
    rule(
        "roads road slopes pistes surf sea visibility",
        r"\bhow (?:is|are|'s) the (?:roads?|slopes|pistes|surf|sea|visibility)\b",
    ),
    rule(
        "train trains bus buses flight match game concert show strike event ferry tram lift lifts",
        r"(?:is|are|was|were|will) (?:the |tonight's |today's )?[^?]{0,50}\b(?:train|bus|flight|match|game|concert|show|strike|event|ferry|tram|lift)(?:s|es)?\b[^?]{0,50}\b(?:cancell?ed|called off|postponed|running on time|on time|go ahead|going ahead)\W*$",
        opens=True,
    ),
    rule("headlines", r"^(?:what are|give me|show me|read me|tell me) (?:the |some )?(?:\w+ )?headlines\b"),
    rule(
        "win lose qualify beat",
        r"^did (?!i |we |you |my )[\w' ]{2,30} (?:win|lose|qualify)\W*$|^did (?!i |we |you |my )[\w' ]{2,30} (?:win|beat|lose)\b[^?]{0,30}\b(?:last night|match|game|race)\b",
    ),
    rule(
        "table tables tickets seats rooms room slots",
        r"[.!,;:] (?:is|are) there (?:any |some |still |an? )*(?:[\w-]+ )?(?:tickets|seats|rooms?|tables?|slots)\b[^?]{0,40}\b(?:left|available|free|gone)\b",
    ),
    rule(
        "inflation unemployment base prime savings mortgage",
        r"\bwhat(?:'s| is| are) (?:the |your )?(?:\w+ )?(?:inflation|unemployment|base|prime|savings|mortgage) rates?\b(?! (?:mean|based)\b)",
    ),
    rule(
        "kickoff kick match game race final concert show",
        r"\bwhen(?:'s| is| does) (?:the )?(?:kick-?off|match|game|race|final|concert|show)\b",
    ),
    rule("holiday", rf"\bis (?:it |{_DAY} |tomorrow |today )a (?:public|bank) holiday\b"),
    rule(
        "has have",
        r"^(?:has|have) (?!(?:i|we|you|my|our|it|anyone)\b)[\w' ]{2,40}? (?:closed|opened|reopened|shut|started|finished|ended|landed|arrived|departed|resigned|retired|been (?:cancell?ed|called off|released|announced|delayed|postponed|elected|fixed))\b(?![^?]*\b(?:ever|never|always)\b)",
    ),
    rule("left available free going", r"^any [\w -]{1,40} (?:left|available|free|going)\b"),
    rule(
        "delays jams accidents roadworks closures cancellations",
        r"\bany (?:\w+ )?(?:delays|jams|accidents|roadworks|closures|cancellations)\b",
    ),
    rule(
        "flight flights airfare fares",
        r"\b(?:cheapest|how much (?:is|are|does)|prices? (?:of|for)|cost of)\b[^?.!]{0,30}\b(?:flights?|airfare|fares)\b[^?.!]{0,40}\b(?:from|to|on|next)\b",
    ),
    rule(
        "lately recently upcoming",
        r"^(?!.*\b(?:i|i've|my|we)\b)(?:what|which|who|any|when|are there|is there)\b[^?.!]{0,60}\b(?:lately|recently|upcoming)\b",
    ),
    rule(
        "who who's",
        r"\bwho(?:'s| is) (?:on call|on duty|in the office|in today|on shift|covering|performing|headlining|hosting|running for)\b|\bwho holds the\b[^?.!]{0,40}\brecord\b",
    ),
    rule(
        "office holiday leave sick meeting",
        r"^is (?!(?:it|this|that|there)\b)\w+(?: \w+)? (?:in the office|on (?:holiday|leave)|off sick|in a meeting)\b",
    ),
    rule(
        "room rooms court courts desk desks slot slots hall pitch studio",
        r"^(?:is|are) (?:the |any |a )?[\w ]{0,30}\b(?:room|court|desk|slot|hall|pitch|studio)s? (?:[\w ]{1,20} )?(?:free|available|taken|booked|occupied)\b",
    ),
    rule(
        "full deep warm cold high",
        r"\bhow (?:full|deep|warm|cold|high) is the (?:\w+ )?(?:car park|parking|snow|water|sea|lake|river|tide|pool)\b",
    ),
)
"""What everybody knows to change."""
_NOW_ELSEWHERE: Final = word_set(
    "heute morgen jetzt gerade aktuell aktuelle aktuellen derzeit momentan wetter gestern hoy ahora mañana actualmente caído ayer aujourd'hui maintenant"
    " demain actuellement hier oggi adesso domani ieri hoje agora amanhã ontem vandaag nu weer temps temperatura"
)
_REGULAR_HOURS: Final = rule(
    "open opens opened close closes closed shut hours",
    r"\b(?:open(?:s|ed)?|closed?|closes|shut|hours)\b[^?.!]{0,40}\bon (?:(?:a|an|the) )?(?:mon|tues|wednes|thurs|fri|satur|sun)days?"
    r"(?: (?:morning|afternoon|evening|night)s?)?\W*$",
    r"\b(?:open(?:s|ed)?|closed?|closes|shut|hours)\b[^?.!]{0,40}\b(?:on|at|over) (?:(?:a|an|the) )?(?:week-?ends?|weekdays?|(?:public |bank |national )?holidays?"
    r"|thanksgiving|easter(?: \w+)?|christmas(?: \w+)?|new year'?s?(?: \w+)?|boxing day|good friday|labou?r day)\W*$",
)
"""Hours of every week or every year."""


def depends_on_the_moment(reading: Reading) -> bool:
    line, words = reading.line, reading.words
    if reading.is_foreign and not words.isdisjoint(_NOW_ELSEWHERE):
        return True
    if _STATUS.hold(reading) or _TOPICAL.hold(reading):
        return True
    if len(words & _CURRENCIES) > 1 and not words.isdisjoint(_CONVERTS) and words.isdisjoint(_PAYS):
        return not _is_narrated(reading)
    if not _AT_THIS_MOMENT.hold(reading) and not (_DATED.holds(reading) and not HOW_TO.search(line)):
        return False
    if not words.isdisjoint(_ABOUT_WORDS):
        return False
    if "now" in words and _URGENT.search(line) is not None:
        return False
    if _ON_ANY_DAY.search(line):
        return False
    return not _is_narrated(reading) or _NOW_WORDS.search(line) is not None


def _is_narrated(reading: Reading) -> bool:
    """Whether it tells what befell somebody. Only for a text that has words."""
    return reading.order[0] not in _ASKS_FOR_FACTS and _NARRATED.search(reading.line) is not None


def holds_regularly(reading: Reading) -> bool:
    """Whether it is hours that are asked for which hold every week or every year, whatever the wording resembles."""
    return _REGULAR_HOURS.holds(reading)
