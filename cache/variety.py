"""Whether chance, something new or one of many good answers is asked for. Pure."""

from typing import Final

from cache.reading import Reading, Rules, rule, word_set

_WANTS: Final = r"(?:i(?:'d like| would like| need| want|'m looking for| am looking for| could use)|we(?:'d like| need| want|'re looking for)|help me (?:write|find|with|come up with|think of)|looking for|got) (?:to have )?"
_PLEASE: Final = r"(?:hey |hi )?(?:please )?(?:(?:can|could|would|will) you )?(?:please )?(?:just )?"
_CHANCE: Final = Rules(
    rule(
        "surprise random randomly randomised randomized flip toss roll spin shuffle pick choose draw password passwords passphrase uuid guid uuids lottery nonce",
        _PLEASE
        + r"(?:surprise me|(?:give|pick|choose|generate|make|recommend|suggest|select|name|tell|show|create|draw|say|surprise)\b[^?.!]{0,60}\brandom(?:ly|ised|ized)?\b"
        r"|(?:flip|toss|roll|spin|shuffle) (?:a|an|the|two|three|some|these|those|this|me|it|\d)|draw (?:a|one|two|three|me) (?:\w+ )?cards?\b|(?:pick|choose|draw) (?:a|an|any|one|two|me)\b"
        r"|(?:generate|create|make|give|suggest|invent)(?: me)? (?:an? |some |another |\d+ )?(?:\w+ ){0,2}(?:password|passphrase|uuid|guid|lottery numbers|nonce)s?\b)",
        opens=True,
    ),
    rule(
        "coin heads dice die",
        r"^(?!.*\b(?:probability|chances?|odds|expected|how many|why|what (?:is|are|does)|python|function|number of)\b).*(?:\b(?:coin (?:flip|toss)|(?:flip|toss|flipping|tossing)\b.{0,20}\bcoin|heads or tails)\b"
        r"|\b(?:roll(?:ed|ing)?|shoot|throw|role)\b.{0,25}\b(?:dice|die)\b|\b(?:dice|die) (?:a )?roll(?:ed)?\b)",
    ),
    rule(
        "another more different new alternative else something regenerate reroll again",
        _PLEASE
        + r"(?:(?:give|tell|show|write|make|generate|create|suggest|do|try|find|say|produce)(?: me| us)? (?:just )?(?:another|one more|some more|a different"
        r"|an? (?:new|alternative)(?= (?:one|version|idea|joke|poem|story|name|quote|recipe|riddle|headline|title))"
        r"|something (?:else|new|different|funny|random|i)|a few more|(?:two|three|four|five|six|ten|\d+) more|different)\b|(?:regenerate|reroll|try again|again|another one|one more|something else)\b)",
        opens=True,
    ),
    rule(
        "play game quiz ask test roast entertain amuse inspire motivate rock truth",
        _PLEASE
        + r"(?:(?:let's|let us|i want to|wanna|shall we) play\b|play (?:a|an|some|with|the) (?:\w+ ){0,3}(?:game|adventure|round|quiz)"
        r"|(?:quiz|ask|test|roast|entertain|amuse|inspire|motivate) (?:me|us|my)\b|rock\W+paper\W+scissors|truth or dare)",
        opens=True,
    ),
    rule(
        "random time surprises surprise whatever different any",
        r"\bat random\W*$|\beach time\b(?=[^?]{0,20}\bask)|\bi (?:like|love) surprises\b|\bwhatever you (?:like|want|fancy)\b|\ball different\b|\bsurprise me\b|\b(?:but|make it) different this time\b|\bany (?:card|number),",
        r"\brandom (?:\w+ ){0,2}(?:character|name|fact|prompt|password|number between|joke|topic|movie|recipe|word)\W*$",
    ),
    rule(
        "names winner winners number numbers draw pick think",
        _PLEASE
        + r"(?:(?:draw|pick|choose|select)(?: me| us)? (?:an? |the |\w+ )?(?:names?|winners?|numbers?)\b|think of (?:a|any|some) (?:number|card|word|animal|colou?r)\b|pick one\b)",
        opens=True,
    ),
    rule(
        "fake dummy sample mock made invented",
        _PLEASE
        + r"(?:generate|create|make|make up|give|invent|write|produce)\b[^?.!]{0,30}\b(?:fake|dummy|mock|made[- ]up|invented|fictitious) (?:\w+ ){0,2}(?:data|names?|customers?|addresses|address|users?|records|people|companies|rows|reviews?)\b",
        opens=True,
    ),
)
_WORKS: Final = (
    "poem poems haiku haikus limerick limericks sonnet sonnets ballad ballads story stories song songs lyrics rap raps verse verses joke jokes pun puns riddle riddles trivia"
    " dialogue dialogues monologue monologues sketch slogan slogans tagline taglines headline headlines nickname nicknames character characters fairytale tale tales fictional quote"
    " quotes compliment compliments insult insults parody toast speech vows"
    " username usernames icebreaker icebreakers brainteaser brainteasers motto mottos jingle jingles caption captions hashtag hashtags pseudonym pseudonyms anagram acrostic tongue-twister scene scenes essay essays"
)
_CREATIVE: Final = Rules(
    rule(
        _WORKS + " fact facts conversation names name ideas idea new lines line script scripts board pickup something",
        _PLEASE
        + r"(?:write|compose|create|make up|make|invent|imagine|come up with|generate|tell|give|draft|design|say|think of|suggest|recommend|propose|brainstorm|improvise)\b(?: me| us)?[^?.!]{0,60}"
        rf"\b(?:{'|'.join(_WORKS.split())}|(?:fun|interesting|cool|crazy) facts?|conversation between|names? for|ideas? for|new (?:\w+ )?(?:idea|name|recipe|game|word)s?"
        r"|opening lines?|scripts? for a (?:play|film)|board games?|pick-?up lines?|something funny)\b",
        opens=True,
    ),
    rule(
        "invent imagine brainstorm make suggest recommend",
        _PLEASE + r"(?:invent\b|imagine (?:a|an|that|you)\b|brainstorm\b|make up (?:a|an|some)\b"
        r"|(?:suggest|recommend)(?: me)? (?:a|an|some|me|\w+ing) (?:\w+ ){0,3}?(?:name|hobby|book|movie|film|song|dinner|gift|game|activity|title|unusual)\w*\b)",
        opens=True,
    ),
    rule(
        "joke jokes laugh giggle smile one-liners liners",
        r"^(?!.*\b(?:explain|meaning|understand|why|origin|what is a joke)\b).*\b(?:tell|know|give|hear|hit|heard|want|share|got|favou?rite|funniest|best|good|have|any|recite|say)\b.*\b(?:jokes?|one[- ]liners)\b|\bmakes? me (?:laugh|giggle|smile)\b|\bneed a (?:good )?laugh\b",
    ),
    rule(
        "fact facts trivia tidbit tidbits",
        r"\b(?:fun|interesting|amazing|cool|crazy|surprising|trivia) (?:\w+ )?(?:facts?|tidbits?)\b|\btrivia\b(?! (?:night|rules|app))|^(?:please )?(?:tell|give) me (?:a|some|one) facts?\b",
    ),
    rule(
        "good funny something",
        r"\bwhat(?:'s| is) a good (?:pun|joke|name|slogan|title)\b|\btell me something (?:i don't|interesting|funny|new|cool)\b|\b(?:good|funny) (?:pun|joke)s? about\b",
    ),
    rule(
        _WORKS + " name names idea ideas question message twister",
        rf"{_WANTS}(?:an? |some |the |\w+ )?(?:[\w-]+ ){{0,3}}?(?:{'|'.join(_WORKS.split())}|names? for|ideas? for)\b",
        rf"(?!no\b|not\b|without\b)(?:\w+ ){{0,3}}?(?:{'|'.join(_WORKS.split())}|quiz question|rather question|fortune cookie message|quote of the day)s?,? (?:please|pls)\b",
        r"(?:a |some )?(?:\w+ )?names? for (?:a|an|my|our) (?!(?:variable|file)\b)\w+",
        r"(?:any|some) (?:\w+ )?ideas? for (?:a|an|my|our|the)\b|(?:tell|give) (?:me|us) (?:a|some) tongue[ -]twisters?\b|(?:write|draft|compose) (?:me |us )?(?:a|an) (?:\w+ ){0,2}(?:birthday|wedding|love|farewell|christmas|thank[ -]you|condolence) (?:message|letter|card|note|wish)\b",
        opens=True,
    ),
    rule(
        "brainstorm come catchy call slogan slogans names titles topics idea ideas description",
        r"(?:\w+ ){0,3}(?:brainstorm\b|come up with (?:a|an|some|\d+|\w+ \w+))",
        r"[^?.!]{0,120}[.!] (?:please |can you |could you )?(?:give|suggest|write|find|make|tell) (?:me|us) (?:\w+ ){0,6}(?:catchy|slogans?|names?|ideas?|titles?)\b",
        r"(?:suggest|recommend|propose|give me)(?: me| us)? (?:a|an|some|\d+|two|three|four|five|six|ten) (?:\w+ ){0,3}?(?:ideas?|topics|titles|names|slogans)\b|what (?:should|could|shall) (?:we|i) (?:call|name) (?:our|my|the)\b|(?:write|draft|compose)(?: me| us)? (?:a|an) (?:\w+ ){0,2}product description\b",
        opens=True,
    ),
)
_PIECE_OF_WORK: Final = word_set(
    "function script query program code sql python javascript java regex class method test tests api command excel formula bash algorithm how"
)
"""Its right form does not depend on taste."""


def asks_for_chance(reading: Reading) -> bool:
    return _CHANCE.hold(reading) and reading.words.isdisjoint(_PIECE_OF_WORK)


def asks_for_a_work(reading: Reading) -> bool:
    """Whether one of many good answers is wanted."""
    return _CREATIVE.hold(reading) and reading.words.isdisjoint(_PIECE_OF_WORK)
