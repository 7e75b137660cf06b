"""Hard negatives made from a question: texts that an embedding takes for the same and that need another answer.

By negation, antonym, number, entity and role. Used for fitting only; what is measured was written by hand.
"""

import random
import re
from typing import Final

_ANTONYMS: Final = (
    ("enable", "disable"), ("activate", "deactivate"), ("open", "close"), ("start", "stop"), ("add", "remove"),
    ("increase", "decrease"), ("upgrade", "downgrade"), ("buy", "sell"), ("send", "receive"), ("before", "after"),
    ("with", "without"), ("lock", "unlock"), ("subscribe", "unsubscribe"), ("show", "hide"), ("connect", "disconnect"),
    ("import", "export"), ("upload", "download"), ("allow", "block"),
    ("cheapest", "most expensive"), ("lend", "borrow"),
    ("minimum", "maximum"), ("incoming", "outgoing"), ("on", "off"), ("install", "uninstall"), ("deposit", "withdraw"),
)  # fmt: skip
_OPPOSITE_OF: Final = dict(_ANTONYMS) | {right: left for left, right in _ANTONYMS}
_ENTITIES: Final = (
    "Android iPhone Windows Mac Linux".split(), "PayPal Visa Mastercard Klarna".split(),
    "Germany France Spain Italy Poland Japan Canada".split(), "Monday Tuesday Friday Sunday".split(),
    "English German French Spanish".split(), "January March June October".split(), "USD EUR GBP CHF".split(),
)  # fmt: skip
_AUXILIARY: Final = re.compile(r"\b(can|do|does|did|is|are|will|should|could|would|may|must)\b", re.IGNORECASE)
_FROM_TO: Final = re.compile(r"\bfrom (\w+) to (\w+)\b|\b(\w+) to (\w+)\b", re.IGNORECASE)


def negated(text: str) -> str | None:
    """With "not" after its first auxiliary; None if it has none."""
    if not _AUXILIARY.search(text) or re.search(r"\bnot\b|n't", text):
        return None
    return _AUXILIARY.sub(lambda found: f"{found.group()} not", text, count=1)


def opposite(text: str) -> str | None:
    """With one word turned into its antonym."""
    for word in re.findall(r"\w+", text):
        if (other := _OPPOSITE_OF.get(word.lower())) is not None:
            return re.sub(rf"\b{word}\b", other, text, count=1)
    return None


def renumbered(text: str, rng: random.Random) -> str | None:
    """With another number."""
    numbers = re.findall(r"\d+", text)
    if not numbers:
        return None
    number = rng.choice(numbers)
    return text.replace(number, str(int(number) + rng.choice((1, 2, 5, 10, 100))), 1)


def renamed(text: str, rng: random.Random) -> str | None:
    """With another thing of the same kind in the place of one that it names."""
    for group in _ENTITIES:
        for name in group:
            if re.search(rf"\b{name}\b", text, re.IGNORECASE):
                other = rng.choice([each for each in group if each != name])
                return re.sub(rf"\b{name}\b", other, text, count=1, flags=re.IGNORECASE)
    return None


def turned_round(text: str) -> str | None:
    """With the two sides of "from A to B" exchanged."""
    found = re.search(r"\bfrom (\w+(?: \w+)?) to (\w+(?: \w+)?)\b", text, re.IGNORECASE)
    if found is None or found.group(1).lower() == found.group(2).lower():
        return None
    return f"{text[: found.start()]}from {found.group(2)} to {found.group(1)}{text[found.end() :]}"


def hard_negatives(text: str, rng: random.Random) -> list[str]:
    """All that can be made of this text."""
    made = (negated(text), opposite(text), renumbered(text, rng), renamed(text, rng), turned_round(text))
    return [other for other in made if other is not None and other != text]
