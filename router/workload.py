"""What kind of work a prompt asks for: chat, extraction, code, reasoning or summarising.

Owns the cues: words, phrases and signs that speak for a class, each with a weight. Pure, from the text alone; refuses
to know models, prices and what follows from the class.
"""

import re
from collections.abc import Iterator, Mapping
from enum import IntEnum
from typing import Final


class Workload(IntEnum):
    """The classes, as they are stored: never renumber."""

    CHAT = 0
    EXTRACTION = 1
    CODE = 2
    REASONING = 3
    SUMMARISING = 4

    @property
    def label(self) -> str:
        return self.name.lower()

    @classmethod
    def of(cls, label: str) -> "Workload":
        return cls[label.upper()]


_HEAD: Final = 500
_TAIL: Final = 300
"""Characters that are read: a task stands at the start or the end, what lies between is material."""
_OPENING: Final = 160
"""Characters in which words count double: the task, more often than not."""
_LEAST: Final = 2.0
"""Weight below which a prompt is chat."""

_SPLIT: Final = re.compile(r"[^\W\d_]+")

# Weights: 3 says it nearly by itself, 2 with little help, 1 only leans.
_WORDS: Final[Mapping[Workload, Mapping[int, str]]] = {
    Workload.EXTRACTION: {
        3: """extract extracts extracting extraction classify classifies categorise categorize tag label labels annotate
            identify sentiment entities entity intent parse pii keywords allergens normalise normalize extrahiere
            klassifiziere extrae clasifica""",
        2: """detect find list mark highlight pull categories category fields field json csv schema hashtags urgency
            positive negative neutral spam mentioned mention requested match span""",
        1: """table ticket review message receipt email invoice address addresses names dates text following
            note passage output fill split copy transcript clause""",
    },
    Workload.CODE: {
        3: """python javascript typescript java kotlin rust golang haskell ruby php perl scala swift bash powershell sql
            regex dockerfile docker kubernetes terraform git github react vue angular django flask fastapi pandas numpy
            pytest npm pip compiler refactor debug mutex pointer nullpointerexception typeerror valueerror keyerror
            stacktrace segfault css html vba lua redis makefile makefiles xslt webpack aiohttp excel""",
        2: """code function functions method class script query queries api endpoint decorator async loop loops variable
            array arrays string strings struct null exception bug unit tests database schema linter macro http rest
            openapi comprehension recursion algorithm algorithms commit branch merge shell module package
            fixtures props component getter setter constructor iterator funktion función""",
        1: """implement error line file files table field parser type hints program index insert select sort server
            convert port generate formula""",
    },
    Workload.REASONING: {
        3: """prove proof derive disprove probability calculate compute integral integrate derivative equation solve
            syllogism theorem converges triangle rectangle assess critique criticise rational irrational
            beweise berechne calcula demuestra""",
        2: """evaluate analyse analyze compare weigh tradeoffs deduce infer justify logic
            logical argument reasoning reason assumptions estimate determine flaw valid evidence plan route
            twice percent chance likely odds larger smallest largest least optimal cheapest total together integer
            prime sum average speed km steps puzzle dice coins causes strategy why""",
        1: """if how each per than every many much left hours minutes days weeks litre litres cost costs recommend
            price buys gives exactly explain best choose correct next number larger same""",
    },
    Workload.SUMMARISING: {
        5: """summarise summarize summary summarised summarized tldr condense abridge synopsis gist zusammenfassung""",
        3: """summaries summarises summarising summarizing recap digest distil distill takeaways boil fasse resume
            resúmelo résume condensed""",
        2: """shorten shorter overview abstract highlights essence nutshell outline brief compress reduce main minutes
            bullets bullet conclusions findings sum""",
        1: """points article report meeting paragraph sentences sentence document transcript thread below short
            attached paper notes chapter lines words""",
    },
}  # fmt: skip

_PHRASES: Final[Mapping[Workload, Mapping[int, tuple[str, ...]]]] = {
    Workload.EXTRACTION: {
        3: (
            "named entit", "as json", "json array", "json object", "yes or no", "true or false", "key-value", "yes, no",
            "comma separated", "one per line", "which language is this", "from this text", "from the text",
            "positive, negative", "one of these categories", "as csv", "into csv", "only the",
        ),
        2: (
            "list every", "list all", "find all", "find the", "get me all", "all the", "does the text",
            "is the following",
            "is this sentence", "in this email", "in this text", "in this message", "in this list", "from the message",
            "on this label", "on this receipt", "into first", "into fields", "for each", "number only",
            "which of these",
            "does this", "what are the", "who is the", "what is the invoice",
        ),
    },
    Workload.CODE: {
        3: ("```", "stack trace", "pull request", "unit test", "type hint", "null pointer", "segmentation fault",
            "time complexity", "list comprehension", "primary key", "environment variable"),
    },
    Workload.REASONING: {
        3: (
            "step by step", "how many ways", "show your reasoning", "pros and cons", "trade-off", "what is the chance",
            "what is the probability", "solve for", "first principles", "what would happen", "who is lying",
            "reason it",
            "how old is", "next number", "think carefully", "which of the following", "justify your",
        ),
        2: (
            "how many", "how much", "how long do", "how long does it take", "what day", "is it cheaper", "should we",
            "how strong", "which one", "how do you find", "at least one", "break-even", "work out", "if all",
            "as old as",
        ),
    },
    Workload.SUMMARISING: {
        3: (
            "tl;dr", "in short", "short version", "main point", "main idea", "main finding", "main statement",
            "key point",
            "key takeaway", "in a nutshell", "sum up", "boil this down", "half its length", "bring me up to speed",
            "what did i miss", "most important", "in one sentence", "one-line", "in bullet points", "executive summary",
            "essential argument", "central idea", "what matters", "no time to read",
        ),
        2: (
            "one sentence", "two sentences", "three sentences", "one paragraph", "few words", "at most", "wrap this up",
            "cut this", "in two lines", "write an abstract", "in five bullets", "notes into",
        ),
    },
}  # fmt: skip

# Each begins with a rare sign: searching for one is fast, for any word followed by one it is not.
_CODE_SIGNS: Final = re.compile(
    r"[{};]\s*$|\(\)|=>|[=!+]=|</?\w+>|(?<=\w)_(?=\w)|(?<=\w)\.\w+\(|(?<=\w)\.(?:py|js|ts|java|go|rs|sh)\b", re.M
)
_CODE_WORDS: Final = ("def ", "SELECT ", "int i", "import ")
_SUMS: Final = re.compile(r"(?<=\d)\s?[-+*/^=<>]\s?[\d(a-z]|(?<=\d)\s?%|P\(")
_NUMBER: Final = re.compile(r"\d+(?:[.,]\d+)*")
_OPTION: Final = re.compile(r"(?:^|\s)\(?[A-E][).]\s")


def _by_word() -> Mapping[str, tuple[tuple[Workload, int], ...]]:
    found: dict[str, tuple[tuple[Workload, int], ...]] = {}
    for kind, weights in _WORDS.items():
        for weight, words in weights.items():
            for word in words.split():
                found[word] = (*found.get(word, ()), (kind, weight))
    return found


_BY_WORD: Final = _by_word()
_BY_PHRASE: Final = tuple(
    (phrase, kind, weight)
    for kind, weights in _PHRASES.items()
    for weight, phrases in weights.items()
    for phrase in phrases
)


def workload(text: str) -> Workload:
    """The class of a prompt; CHAT where little speaks for another."""
    read = text if len(text) <= _HEAD + _TAIL else f"{text[:_HEAD]}\n{text[-_TAIL:]}"
    weights = dict.fromkeys(Workload, 0.0)
    for kind, weight in _spoken(read):
        weights[kind] += weight
    for kind, weight in _seen(read):
        weights[kind] += weight
    best = max(weights, key=lambda kind: weights[kind])
    return best if weights[best] >= _LEAST else Workload.CHAT


def _spoken(read: str) -> Iterator[tuple[Workload, float]]:
    """What the words say; those of the opening count double, and each word once."""
    lower = read.lower()
    opening = set(_SPLIT.findall(lower[:_OPENING]))
    for word in opening:
        for kind, weight in _BY_WORD.get(word, ()):
            yield kind, 1.0 * weight
    for word in set(_SPLIT.findall(lower[_OPENING:])) - opening:
        for kind, weight in _BY_WORD.get(word, ()):
            yield kind, 0.5 * weight
    for phrase, kind, weight in _BY_PHRASE:
        if phrase in lower:
            yield kind, weight


def _seen(read: str) -> Iterator[tuple[Workload, float]]:
    """What the signs say."""
    if signs := len(_CODE_SIGNS.findall(read)) + sum(map(read.count, _CODE_WORDS)):
        yield Workload.CODE, min(signs, 3)
    if sums := len(_SUMS.findall(read)):
        yield Workload.REASONING, min(sums, 3)
    if len(_NUMBER.findall(read)) >= 2 and "?" in read:
        yield Workload.REASONING, 1
    if len(_OPTION.findall(read)) >= 3:
        yield Workload.REASONING, 3
