"""Answers to one question in ever other words, as a model would word them on different days.

Each label has facts of its own (a menu, a choice, a number of days, a fee, a contact), drawn from a hash of the label.
A wording states all of them, in another order, length, politeness and with other synonyms each time. For some labels
there are wordings that were written by hand, which are much farther from each other.

Invented facts differ plainly between labels. The answers of a support desk do not: they are about similar matters. Such
answers are in `data/answers/support.jsonl`, each of their facts written in several ways. What chat models answer that
know what the desk says, from one sentence to a page with markup, is in `data/answers/chat.jsonl`.
"""

import hashlib
import json
import random
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct, structs

from eval.streams import Question

_ANSWERS: Final = Path(__file__).parent.parent / "data" / "answers"
SUPPORT: Final = _ANSWERS / "support.jsonl"
CHAT: Final = _ANSWERS / "chat.jsonl"

_MENUS: Final = (
    "Settings", "Profile", "Cards", "Payments", "Security", "Help", "Account", "Orders", "Documents", "Limits",
    "Transfers", "Travel", "Devices", "Statements", "Rewards", "Family", "Insurance", "Exchange", "Savings", "Activity",
)  # fmt: skip
_CHOICES: Final = (
    "Manage", "Request", "Review", "Start", "Confirm", "Report", "Change", "Submit", "Track", "Renew",
    "Dispute", "Verify",
    "Activate", "Replace", "Close", "Share", "Download", "Schedule", "Compare", "Unlock",
)  # fmt: skip
_TEAMS: Final = (
    "Meridian desk", "Juniper team", "Atlas service", "Harbour office", "Cobalt line", "Linden group", "Orchid desk",
    "Falcon team", "Marble office", "Saffron line", "Willow service", "Quartz group",
)  # fmt: skip
_OPENINGS: Final = (
    "", "", "", "Sure! ", "Of course. ", "Happy to help. ", "Thanks for your question! ", "Certainly: ",
    "Great question. ",
    "Here is what you need to know. ", "Good to hear from you. ",
)  # fmt: skip
_CLOSINGS: Final = (
    "", "", "", " Let me know if you need anything else.", " I hope this helps!",
    " Is there anything else I can do for you?",
    " Feel free to ask if something is unclear.", " Have a nice day!",
)  # fmt: skip
_WORDS: Final = "zero one two three four five six seven eight nine ten eleven twelve".split()


class Facts(Struct, frozen=True):
    """What every wording of one answer says."""

    topic: str
    menu: str
    choice: str
    days: int
    fee: int
    team: str


def facts_of(label: str) -> Facts:
    """The facts behind a label: always the same ones."""
    digest = hashlib.sha256(label.encode()).digest()
    return Facts(
        topic=" ".join(label.replace("_", " ").replace("|", " ").split())[:120],
        menu=_MENUS[digest[0] % len(_MENUS)],
        choice=_CHOICES[digest[1] % len(_CHOICES)],
        days=2 + digest[2] % 11,
        fee=1 + digest[3] % 60,
        team=_TEAMS[digest[4] % len(_TEAMS)],
    )


def worded(label: str, chance: random.Random) -> str:
    """One wording of the answer behind a label."""
    return stated(facts_of(label), chance)


def with_another_fact(facts: Facts, chance: random.Random) -> Facts:
    """The same but for one fact that every wording states."""
    kind = chance.choice(("menu", "choice", "days", "fee", "team"))
    while getattr(other := facts_of(str(chance.random())), kind) == getattr(facts, kind):
        pass
    return structs.replace(facts, **{kind: getattr(other, kind)})


def stated(facts: Facts, chance: random.Random) -> str:
    """One wording that states these facts."""
    days = _WORDS[facts.days] if chance.random() < 0.3 else str(facts.days)
    fee = chance.choice((f"{facts.fee} euros", f"EUR {facts.fee}", f"€{facts.fee}"))
    steps = chance.choice(
        (
            f"Open {facts.menu} and choose {facts.choice}.",
            f"Go to {facts.menu}, then select {facts.choice}.",
            f"In {facts.menu}, pick {facts.choice}.",
            f"Please open {facts.menu} in the app and tap {facts.choice}.",
        )
    )
    rest = [
        chance.choice((f"It takes {days} days.", f"This takes {days} days.", f"Allow {days} days for it.")),
        chance.choice((f"The fee is {fee}.", f"It costs {fee}.", f"There is a charge of {fee}.")),
        chance.choice(
            (
                f"The {facts.team} can help.",
                f"For help, contact the {facts.team}.",
                f"You can ask the {facts.team} for help.",
            )
        ),
    ]
    chance.shuffle(rest)
    about = chance.choice(("", "", f"About {facts.topic}: ", f"Regarding {facts.topic}: "))
    return chance.choice(_OPENINGS) + about + " ".join([steps, *rest]) + chance.choice(_CLOSINGS)


class SupportAnswer(Struct, frozen=True):
    """What a support desk answers to the questions of one label of a stream."""

    stream: str
    label: str
    facts: tuple[tuple[str, ...], ...]
    """Each fact in several ways, of which a wording says one."""
    more: tuple[str, ...]
    """Explanations, which a wording may leave out."""


def read_support(path: Path = SUPPORT) -> list[SupportAnswer]:
    return msgspec.json.Decoder(SupportAnswer).decode_lines(path.read_bytes())


def support_text(answer: SupportAnswer) -> str:
    """The answer of a desk that always sends the same text: the first way of each fact, in their order."""
    return " ".join(ways[0] for ways in answer.facts)


def support_worded(answer: SupportAnswer, chance: random.Random) -> str:
    """One wording that says all facts, in any order, and perhaps explanations after them."""
    said = [chance.choice(ways) for ways in answer.facts]
    chance.shuffle(said)
    said += [text for text in answer.more if chance.random() < 0.3]
    return chance.choice(_OPENINGS) + " ".join(said) + chance.choice(_CLOSINGS)


def support_wordings(
    stream: str, answers: Iterable[SupportAnswer], wordings: int = 12, seed: int = 1
) -> dict[str, tuple[str, ...]]:
    """Label -> so many wordings of the support desk's answer, for the labels of the stream that have one. A single
    wording is always the same text."""
    chance = random.Random(seed)
    return {
        answer.label: (support_text(answer),)
        if wordings == 1
        else tuple(support_worded(answer, chance) for _ in range(wordings))
        for answer in answers
        if answer.stream == stream
    }


class ChatAnswer(Struct, frozen=True):
    """What chat models answer to the questions of one label of a stream, who all know the same of it."""

    stream: str
    label: str
    wordings: tuple[str, ...]


def chat_wordings(stream: str, path: Path = CHAT) -> dict[str, tuple[str, ...]]:
    """Label -> the answers of chat models, for the labels of the stream that have some."""
    answers = msgspec.json.Decoder(ChatAnswer).decode_lines(path.read_bytes())
    return {answer.label: answer.wordings for answer in answers if answer.stream == stream}


def only_of(labels: Collection[str], questions: Iterable[Question]) -> list[Question]:
    """The questions of these labels, in their order."""
    return [question for question in questions if question.answer in labels]


def answers_file(
    questions: Sequence[Question],
    wordings: int = 12,
    seed: int = 1,
    written: Mapping[str, Sequence[str]] | None = None,
) -> Iterator[str]:
    """JSON Lines for the simulated provider, as `thriftgate eval wordings` writes them: each question with several
    wordings of its answer, and the `label` by which a reader tells which answer it got: the wordings of one label are
    the same for all its questions. Of labels that have some, the `written` ones, as many at most."""
    chance = random.Random(seed)
    made: dict[str, Sequence[str]] = {}
    for question in questions:
        label = question.answer
        if label not in made:
            by_hand = (written or {}).get(label.strip().replace(" ", "_"), ())
            made[label] = by_hand[:wordings] or [worded(label, chance) for _ in range(wordings)]
        first, *others = made[label]
        yield json.dumps({"question": question.text, "answer": first, "wordings": others, "label": label})
