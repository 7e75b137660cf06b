"""One text as the rules of cacheability see it, and what a rule is.

Owns slips of the pen, quotation marks, the words that name nothing, and the question whether a text is English.
Refuses to know what becomes of a text.
"""

import re
from collections.abc import Iterable
from typing import Final

from msgspec import Struct

# The rules see one line with straight apostrophes; those in small letters see it in small letters, with the usual
# slips of the pen mended and without what stands in quotation marks: that is spoken of, not said.


def word_set(words: str) -> frozenset[str]:
    return frozenset(words.split())


WORD: Final = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_QUOTED: Final = re.compile(r"(?<!\w)(?:'[^']{1,80}'|\"[^\"]{1,80}\"|“[^”]{1,80}”|«[^»]{1,80}»|`[^`]{1,80}`)(?!\w)")
_TITLE_WORDS: Final = word_set("yesterday tomorrow today tonight now")
_TITLE: Final = re.compile(
    r"(?<=[a-z,] )(?:The Day After )?(?:Yesterday|Tomorrow|Today|Tonight|Now)\b(?!['\w]| at| in| for)|\bThe Day After Tomorrow\b"
)

# --- slips of the pen ---

_OFTEN_MISSPELT: Final = word_set(
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

# --- words ---

GENERIC: Final = word_set(
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
_OTHER_LANGUAGES: Final = word_set(
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
    # what tells of oneself and of the moment, in any of them
    " bin bist habe hab schon noch mehr immer kein keine keinen mir dir sehr j'ai c'est qu'est-ce n'ai ai-je suis-je elle quels cet cette"
    " tengo quiero puede ya no han está estoy nuestra aquí aún todavía dei delle nel nella ancora già quanto quanta sono agora aberta aberto foi são já não ainda uma em da do dos das"
    " hoeveel heb hebben deze dit wordt welke waarom mag moet jullie ons zijn nog over dan mij geen wie wordt"
) - word_set(
    "do no over dan wie has a an i me no on in is was wat war die o ha come do for sole he on es sur par pas con y el il mi ma un le"
)
HOW_TO: Final = re.compile(
    r"\bhow (?:do|can|could|would|should|might|to|does (?:one|someone)|(?:is|are)(?! (?:you|my|our)\b))\b"
    r"|\b(?:can|could|may|should|must|shall|would|do) (?:i|we|one) \w+"
    r"|\bwhat(?:'s| is| are)? the (?:best |easiest |right |usual )?(?:way|procedure|process|steps?|polic(?:y|ies)|rules?|deadline)\b"
    r"|\bwhat (?:do(?:es)?|can|should|must) (?:(?:i|we|one|you) (?:do|need)|[^?.!]{0,60} (?:mean|stand for))\b"
    r"|\b(?:steps?|ways?) (?:to|for)\b|\bhow\W*$"
)
"""A question for everybody; the asker's own affairs are only its occasion."""


class Reading(Struct, frozen=True):
    """A text as the rules see it."""

    text: str
    """On one line, with straight apostrophes."""
    line: str
    """In small letters, mended, without what is quoted and without marks at the beginning."""
    order: list[str]
    """The words of `line`."""
    words: frozenset[str]
    is_foreign: bool


def read(text: str) -> Reading:
    text = " ".join(text.split()).replace("’", "'")
    line = text
    if "'" in line or '"' in line or "“" in line or "`" in line or "«" in line:
        line = _QUOTED.sub("quotation", line)
    lower = line.lower()
    order = WORD.findall(lower)
    words = frozenset(order)
    has_title = not words.isdisjoint(_TITLE_WORDS)
    if has_title:
        lower = _TITLE.sub("title", line).lower()
    has_slips = not words.isdisjoint(_MENDED)
    if has_slips:
        lower = WORD.sub(lambda word: _MENDED.get(word[0], word[0]), lower)
    if has_title or has_slips:
        order = WORD.findall(lower)
        words = frozenset(order)
    return Reading(text, lower.lstrip(" .,;:!?-*>(¿¡"), order, words, _is_foreign(text, order, words))


def _is_foreign(text: str, order: list[str], words: frozenset[str]) -> bool:
    """Whether a text is rather in another language than in English."""
    if not text.isascii():
        if "¿" in text or "¡" in text:
            return True
        if sum(letter > "ʯ" for letter in text) * 2 > len(text):  # beyond the Latin letters
            return True
    return not words.isdisjoint(_OTHER_LANGUAGES) and sum(word in _OTHER_LANGUAGES for word in order) > sum(
        word in GENERIC for word in order
    )


# --- rules ---


class Rule(Struct, frozen=True):
    """An expression for texts that have one of these words: hardly any rule needs to be tried on a given text."""

    words: frozenset[str]
    expression: re.Pattern[str]
    opens: bool
    """Whether it is about how a text begins."""
    beside: frozenset[str]
    """Words of which the text must have one as well; none = any text."""

    def holds(self, reading: Reading) -> bool:
        return not self.words.isdisjoint(reading.words) and self.is_found(reading)

    def is_found(self, reading: Reading) -> bool:
        """Whether it holds for a text that has one of the words."""
        if self.beside and self.beside.isdisjoint(reading.words):
            return False
        found = self.expression.match(reading.line) if self.opens else self.expression.search(reading.line)
        return found is not None


def rule(words: str, *alternatives: str, opens: bool = False, beside: str = "") -> Rule:
    return Rule(word_set(words), re.compile("|".join(alternatives)), opens, word_set(beside))


class Rules:
    """Rules of which one is enough, found by the words of a text: hardly any has one of them."""

    def __init__(self, *rules: Rule) -> None:
        self._rules = rules
        self._words = frozenset[str]().union(*(each.words for each in rules))
        self._by_word = {
            word: tuple(place for place, each in enumerate(rules) if word in each.words) for word in self._words
        }

    def hold(self, reading: Reading) -> bool:
        common = self._words & reading.words
        if not common:
            return False
        possible = {place for word in common for place in self._by_word[word]}
        return any(self._rules[place].is_found(reading) for place in possible)
