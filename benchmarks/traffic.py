"""What is asked: a support bot's questions, endless fresh wordings of them, and questions that nobody asked before.

Owns the texts and the request bodies. Refuses to know clients, servers and clocks.
"""

import itertools
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
FAQ = ROOT / "data" / "faq" / "questions.jsonl"

_OPENINGS = (
    "|Hi, |Hello, |Hi there, |Hello there, |Hey, |Good morning, |Good afternoon, |Good evening, |Please help: |"
    "Quick question: |A question: |Short question: |Question: |My question: |Hi support, |Hello support, |Hey there, |"
    "Greetings, |Excuse me, |Pardon me, |Help please: |Hi all, |Hello all, |Hi folks, |Hi Larkspur, |Hello Larkspur, |"
    "Hey Larkspur, |Simple question: |One question: |Please, |Sorry, "
).split("|")
_CLOSINGS = (
    "| Thanks!| Thank you!| Thanks| Thank you| Many thanks| Thanks a lot!| Cheers| Cheers!| Regards| Thx| thx!| Ta!|"
    " Ta| :)| Thanks :)| !| ??| ...| Please| please!| Pls| pls!| Thanks so much| Greetings| Bye| Bye!| ty| TIA|"
    " Thanks a lot"
).split("|")

_SUBJECTS = (
    "walnut shelf|garden hose|copper kettle|bicycle pump|linen curtain|desk drawer|oak ladder|brass hinge|tent pole|"
    "piano stool|window blind|steel bracket|wool blanket|glass lantern|rubber gasket|paint roller|leather strap|"
    "ceramic tile|watering can|plastic crate"
).split("|")
_ASPECTS = (
    "weigh|cost|cost to ship|cost to insure|cost to repair|shrink when washed|hold|carry|measure across|"
    "expand when warm"
).split("|")


def load_faq() -> list[dict[str, Any]]:
    """Items with `question`, `answer` and `paraphrases`."""
    return [json.loads(line) for line in FAQ.read_text(encoding="utf-8").splitlines()]


def questions() -> list[str]:
    return [item["question"] for item in load_faq()]


def paraphrases() -> list[str]:
    return [text for item in load_faq() for text in item["paraphrases"]]


def worded(texts: list[str], chance: random.Random) -> Iterator[tuple[str, str]]:
    """(a wording that was never sent before, the text that it words): each text with every opening and closing, in
    random order and without repetition, so that neither the exact tier nor the encoder's memory can know them."""
    frames = [frame for frame in itertools.product(_OPENINGS, _CLOSINGS) if frame != ("", "")]
    chance.shuffle(frames)
    for opening, closing in frames:
        for text in chance.sample(texts, len(texts)):
            yield opening + (text[0].lower() + text[1:] if opening and not text.isupper() else text) + closing, text


def fresh_wordings(texts: list[str], chance: random.Random) -> Iterator[str]:
    """The wordings of `worded` alone."""
    return (wording for wording, _ in worded(texts, chance))


def answers_file(wordings: list[tuple[str, str]]) -> str:
    """JSON Lines for the simulated provider: the FAQ, and the answers to these wordings of its questions. Without them
    the audit of a wording's hit would compare the right answer with a made-up one, and call the hit wrong."""
    items = load_faq()
    answers = {item["question"]: item["answer"] for item in items}
    known = [{name: item[name] for name in ("question", "answer", "paraphrases")} for item in items]
    return "".join(
        json.dumps(item) + "\n" for item in [*known, *({"question": w, "answer": answers[t]} for w, t in wordings)]
    )


def new_questions(start: int = 0) -> Iterator[str]:
    """Questions that differ from each other in a number, so that none may be answered with another's answer.
    Numbers of four digits: longer ones look like somebody's order or account."""
    for at in itertools.count(start):
        series, number = divmod(at, 9000)
        subject = _SUBJECTS[(at + series) % len(_SUBJECTS)]
        aspect = _ASPECTS[at // len(_SUBJECTS) % len(_ASPECTS)]
        model = f"model {1000 + number}" + (f" of series {99 + series}" if series else "")
        yield f"How much does the {subject} {model} {aspect}?"


def zipf_weights(count: int, exponent: float = 1.1) -> list[float]:
    """How often the most asked, the second most asked, ... question comes."""
    return [1.0 / rank**exponent for rank in range(1, count + 1)]


def chat(text: str, *, system: str | None = None, stream: bool = False, model: str = "auto") -> dict[str, Any]:
    """The body of one chat completion request."""
    messages = [{"role": "user", "content": text}]
    if system is not None:
        messages.insert(0, {"role": "system", "content": system})
    body: dict[str, Any] = {"model": model, "messages": messages}
    return body | {"stream": True} if stream else body
