"""Mismatches between two questions that an embedding hardly sees: numbers, polarity, entities, roles.

Opposites ("turn on" / "turn off") lie closer in vector space than many true paraphrases; these rules block
them. A rule that fires in vain costs a hit, one that does not fire may cost a wrong answer, so they lean to
the first. English word lists, compared by their stems; pure functions over text.
"""

import re
from functools import lru_cache
from typing import Final

from msgspec import Struct


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


# --- words ---

_PHRASES: Final = tuple(
    (re.compile(rf"\b(?:{pattern})\b"), replacement)
    for pattern, replacement in (
        (r"shut(?:ting)? (?:down|off)", "close"),
        (r"(?:turn|switch|power|put|leave)(?:ing|ed|s|es)?((?: (?!off|on|to)\S+){0,5}?) on(?!to)", r"enable\1"),
        (r"(?:turn|switch|power|put)(?:ing|ed|s|es)?((?: (?!off|on|to)\S+){0,5}?) off", r"disable\1"),
        (r"off(?= *$| *[.?!,;:])", "disable"),
        (r"(?:turn|put|bring|scale)(?:ing|ed|s)?((?: (?!up|down)\S+){0,3}?) up|(?:mov|go|step)(?:e|ing|ed)? up", r"increase\1"),
        (r"(?:turn|put|bring|scale)(?:ing|ed|s)?((?: (?!up|down)\S+){0,3}?) down|(?:mov|go|step)(?:e|ing|ed)? down", r"decrease\1"),
        (r"bring(?:ing)?((?: (?!back)\S+){0,4}?) back", r"restore\1"),
        (r"tak(?:e|ing|en)((?: (?!off)\S+){0,4}?) (?:off|away)", r"remove\1"),
        (r"(?:log|sign)(?:ging|ing|ged|ed|s)?[ -]?(?:in|on)(?:to)?", "login"),
        (r"(?:log|sign)(?:ging|ing|ged|ed|s)?[ -]?(?:out|off)", "logout"),
        (r"(?:get|getting|got) (?:rid|out) of|(?:giv(?:e|ing)|break(?:ing)?|call(?:ing)?|back(?:ing)?) (?:up|off|out)", "cancel"),
        (r"opt(?:ing)?[ -]?(?:out|off)|no (?:longer|more)|(?:do not|don't|dont|not) (?:want|need|like)(?: to)?", "stop"),
        (r"opt(?:ing)?[ -]?in|sign(?:ing|ed)?[ -]?up", "subscribe"),
        (r"set(?:ting)?[ -]?up", "setup"),
        (r"on hold", "pause"),
        (r"restor(?:e|ing)(?= (?:the )?(?:default|factory))", "reset"),
        (r"open(?:s|ing)? (?:hours?|times?)|open(?:s|ing)? and clos(?:e|es|ing)", "hours"),
        (r"wi[ -]?fi|wlan", "wifi"),
        (r"e-mails?", "email"),
        (r"(gift|credit|debit|direct|bank|google|apple|fire|american) (card|transfer|debit|pay|home|assistant|watch|tv|express)", r"\1\2"),
        (r"one(?=[ -](?:year|month|week|day|hour))", "1"),
    )
)  # fmt: skip
"""Several words that act as one, or that turn a verb round."""

_NUMBER_WORDS: Final = {
    word: str(value)
    for value, words in enumerate("zero|_|two both twice|three|four|five|six|seven|eight|nine|ten|eleven|twelve".split("|"))
    for word in words.split()  # "one" is mostly a pronoun
} | {
    "fifteen": "15", "twenty": "20", "thirty": "30", "forty": "40", "fifty": "50", "sixty": "60", "seventy": "70",
    "eighty": "80", "ninety": "90", "hundred": "100", "thousand": "1000",
}  # fmt: skip

_NEGATIONS: Final = _stems("not no never without none cannot neither nor unable dont cant doesnt didnt isnt wont")

_DECISIVE: Final = (
    _stems(
        "disable deactivate stop end remove delete erase unsubscribe leave quit exit close cancel cancellation terminate"
        " termination disconnect uninstall unlink unpair revoke withdraw wipe undo detach logout"
    ),
    _stems("restore resume reactivate reopen undelete unfreeze reinstate reinstall"),
    _stems("pause suspend freeze interrupt"),
)
"""To end, to bring back, to pause: where only one of two questions names it, they ask for different things."""

_OPPOSITES: Final = (
    ("enable activate start begin add subscribe join open create connect install include resume",
     "disable deactivate stop end remove delete unsubscribe leave close cancel terminate disconnect uninstall"),
    ("increase raise upgrade faster bigger larger higher more boost enlarge strengthen",
     "decrease lower downgrade reduce slower smaller less fewer weaken shrink"),
    ("buy purchase", "sell return"),
    ("send transfer give pay lend", "receive accept collect borrow"),
    ("before early earlier", "after late later afterwards"),
    ("show unhide display visible", "hide hidden invisible"),
    ("lock block mute ban", "unlock unblock unmute unban"),
    ("link pair connect attach", "unlink unpair disconnect detach"),
    ("login", "logout"),
    ("allow permit accept approve grant", "deny refuse reject decline forbid revoke block"),
    ("import upload upstream", "export download downstream"),
    ("inbound incoming inside indoor", "outbound outgoing outside outdoor"),
    ("minimum min least lowest cheapest", "maximum max most highest"),
    ("public", "private"),
    ("existing current", "new"),
    ("manual manually", "automatic automatically auto"),
    ("full", "partial empty"),
    ("domestic national", "international abroad foreign overseas"),
    ("personal private residential home", "business company corporate commercial"),
    ("prepaid", "postpaid"),
    ("wired ethernet cable", "wireless wifi"),
    ("temporary temporarily", "permanent permanently"),
    ("buyer customer tenant guest member employee", "seller merchant landlord host owner employer"),
    ("weekday", "weekend"),
    ("day", "night"),
)  # fmt: skip

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

_LEFTS: Final = [_stems(left) for left, _ in _OPPOSITES]
_RIGHTS: Final = [_stems(right) for _, right in _OPPOSITES]
_MEMBERS: Final = {
    stem(name): tuple(
        (number, member)
        for number, other_group in enumerate(_ALTERNATIVES)
        for member, other_names in enumerate(other_group.split())
        if name in other_names.split("/")
    )
    for group in _ALTERNATIVES
    for names in group.split()
    for name in names.split("/")
}
"""Word -> the (group, member) pairs that it stands for."""

_SYNONYMS: Final = {
    stem(word): stem(group.split()[0])
    for group in (
        "cost price fee charge rate expensive much",
        "bill invoice statement",
        "phone mobile telephone cellphone smartphone handset",
        "change edit modify update amend alter adjust",
        "cancel end terminate stop quit exit",
        "delete remove erase wipe clear",
        "enable activate start begin",
        "disable deactivate",
        "add include register",
        "connect link pair join",
        "buy purchase order book",
        "receive get obtain",
        "help assist assistance support",
        "shop store branch",
        "find locate see view check look show",
        "wifi wireless network",
        "film movie",
        "delivery shipping shipment",
        "broken faulty defective damaged",
        "make create setup generate",
        "internet connection line",
        "plan tariff subscription package",
        "problem issue error trouble",
        "use work",
    )
    for word in group.split()
}
"""Words whose exchange does not make another question."""

_LITTLE: Final = _stems(
    "a an the i you we he she it its they them this that these those there is are was were be been am do does did can"
    " could would should will shall may might must have has had how what when where which who whom why if of for to in"
    " on at by with from about as and or but so my your our their his her me us please i'd i'm i'll i've it's what's"
    " where's how's there's let's we're we've want need like know tell explain way possible is able hi hello hey thanks"
    " thank just also some any every each one ones into onto via per than then now too very s d m ve re ll t up down out"
    " off over again instead rather own using go going whats ok okay"
)
_PRONOUNS: Final = frozenset("i we you it one there this that he she they someone somebody".split())

_TOKEN: Final = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d_]+(?:'[^\W\d_]+)*")
_ARROW: Final = re.compile(r"[-=]+>|→")
_NAME: Final = re.compile(r"(?<=[^.!?:] )[a-z]?[A-Z]\w+")
_DIRECTION: Final = re.compile(r"\b(from|instead of|than|to|into|become)(?=((?: \w+){1,4}))")
_PARTY: Final = re.compile(r"\b(for|about|by|with) (?:(?:a|an|the|my|another|other|any|new|some) )*(\w+)")
_SUBJECT: Final = re.compile(
    r"\b(?:do|does|did|can|could|will|would|may|should|must|when|if)"
    r" (?:(?:a|an|the|my|your|our|any|another|new|existing|other) )*(\w+)"
    r"(?!.{0,150}\b(?:be|been|being|gets? \w+(?:ed|en|set)\b))"  # in the passive it does nothing
)


# --- one text ---


class Traits(Struct, frozen=True):
    """What the rules look at in one text. All words are stems."""

    mentions: frozenset[str]
    words: tuple[str, ...]
    """Without the little words and numbers, in order, synonyms made equal."""
    numbers: frozenset[str]
    names: frozenset[str]
    is_negated: bool
    decisive: tuple[bool, ...]
    lefts: frozenset[int]
    """Pairs of opposites of which only the left side is mentioned; `rights` likewise."""
    rights: frozenset[int]
    members: frozenset[tuple[int, int]]
    """(group, member) of the alternatives that are mentioned."""
    sources: frozenset[str]
    """What follows "from" and "instead of"; `targets` what follows "to" and "into"."""
    targets: frozenset[str]
    parties: frozenset[tuple[str, str]]
    """(preposition, word): for me, about a member."""
    subject: str | None
    """Who does it: the "member" in "how can a member leave"; None if that is a pronoun or in doubt."""
    has_pronoun_subject: bool


@lru_cache(maxsize=2048)
def traits(text: str) -> Traits:
    names = frozenset(stem(name.lower()) for name in _NAME.findall(text))
    text = " ".join(_ARROW.sub(" to ", text.lower().replace("’", "'")).split())
    for pattern, replacement in _PHRASES:
        text = pattern.sub(replacement, text)
    text = text.replace("-", " ")
    tokens = _TOKEN.findall(text)
    numerals = {token for token in tokens if token[0].isdigit() or token in _NUMBER_WORDS}
    mentions = frozenset(map(stem, tokens))
    words = tuple(stem(token) for token in tokens if token not in numerals)
    lefts = frozenset(pair for pair, side in enumerate(_LEFTS) if not mentions.isdisjoint(side))
    rights = frozenset(pair for pair, side in enumerate(_RIGHTS) if not mentions.isdisjoint(side))
    sources, targets = _directions(text)
    subject = found.group(1) if (found := _SUBJECT.search(text)) else None
    return Traits(
        mentions=mentions,
        words=tuple(_SYNONYMS.get(word, word) for word in words if word not in _LITTLE),
        numbers=frozenset(_NUMBER_WORDS.get(numeral, numeral.replace(",", ".")) for numeral in numerals),
        names=(names & mentions) - _LITTLE,  # what a phrase has replaced is no name any more
        is_negated=not mentions.isdisjoint(_NEGATIONS) or "n't" in text,
        decisive=tuple(not mentions.isdisjoint(kind) for kind in _DECISIVE),
        lefts=lefts - rights,
        rights=rights - lefts,
        members=frozenset(member for word in mentions & _MEMBERS.keys() for member in _MEMBERS[word]),
        sources=sources,
        targets=targets,
        parties=frozenset(_PARTY.findall(text)),
        subject=stem(subject) if subject is not None and subject not in _PRONOUNS else None,
        has_pronoun_subject=subject in _PRONOUNS,
    )


def _directions(text: str) -> tuple[frozenset[str], frozenset[str]]:
    sources: set[str] = set()
    targets: set[str] = set()
    for marker, following in _DIRECTION.findall(text):
        side = targets if marker in ("to", "into", "become") else sources
        for word in following.split():
            if word in ("to", "from", "into", "instead", "rather", "and"):
                break
            if word == "me" or stem(word) not in _LITTLE:
                side.add(stem(word))
    return frozenset(sources), frozenset(targets)


# --- two texts ---


def mismatch(left: str, right: str) -> str | None:
    """`number`, `polarity`, `entity` or `role` if the texts differ in it, else None."""
    one, two = traits(left), traits(right)
    if one.numbers != two.numbers:
        return "number"
    if _are_opposite(one, two):
        return "polarity"
    if _name_others(one, two):
        return "entity"
    if _swap_roles(one, two):
        return "role"
    return None


def _are_opposite(one: Traits, two: Traits) -> bool:
    if one.is_negated != two.is_negated or one.decisive != two.decisive:
        return True
    return not one.lefts.isdisjoint(two.rights) or not one.rights.isdisjoint(two.lefts)


def _name_others(one: Traits, two: Traits) -> bool:
    """Whether each names a name or an alternative that the other does not, or one word was exchanged."""
    if not one.names <= two.mentions and not two.names <= one.mentions:
        return True
    groups = {group for group, _ in one.members - two.members}
    if any(group in groups for group, _ in two.members - one.members):
        return True
    mine, others = set(one.words), set(two.words)
    only_one, only_two = mine - others, others - mine
    return len(only_one) == len(only_two) == 1 and len(mine) > 2 and not _is_typo(*only_one, *only_two)


def _is_typo(word: str, other: str) -> bool:
    return min(len(word), len(other)) > 4 and word[0] == other[0] and len(set(word) ^ set(other)) <= 1


def _swap_roles(one: Traits, two: Traits) -> bool:
    """Whether "from A to B" meets "from B to A", "for me" meets "for someone else", or the one who does it
    in one text is only mentioned in the other."""
    if (one.sources - two.sources) & (two.targets - one.targets) or (two.sources - one.sources) & (
        one.targets - two.targets
    ):
        return True
    is_reordered = one.words != two.words and (one.sources, one.targets) != (two.sources, two.targets)
    if is_reordered and sorted(one.words) == sorted(two.words):
        return True
    return _has_other_party(one, two) or _has_other_subject(one, two) or _has_other_subject(two, one)


def _has_other_party(one: Traits, two: Traits) -> bool:
    for preposition in ("for", "about", "by", "with"):
        mine = {party for marker, party in one.parties if marker == preposition}
        theirs = {party for marker, party in two.parties if marker == preposition}
        if mine and theirs and ("me" in mine) != ("me" in theirs):
            return True
    return False


def _has_other_subject(one: Traits, two: Traits) -> bool:
    if one.subject is None or one.subject == two.subject:
        return False
    return (two.subject is not None or two.has_pronoun_subject) and one.subject in two.mentions
