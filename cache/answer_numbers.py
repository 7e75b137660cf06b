"""The numbers among an answer's tokens: with their units, as times of day, as how often something happens.

Owns how numbers are written and said, in figures and words, alone, in ranges and with fractions. Refuses to know
what is counted. Two weeks and 14 days are one quantity, 2 pm and 14:00 are another.
"""

from collections.abc import Sequence
from typing import Final

from cache import answer_words
from cache.answer_text import Quantity, Token, number_text

BARE: Final = ""
"""The dimension of a number without a unit."""
RANGE: Final = "range"
"""The dimension of the ends of a range without a unit: "nine to five" may be hours or anything else."""
CLOCK: Final = "clock"
"""The dimension of a time of day, in minutes; `VAGUE_CLOCK` if it may be in either half of the day."""
VAGUE_CLOCK: Final = "clock?"
HALF_DAY: Final = 720

_SEPARATORS: Final = frozenset(("x", "by", "to", "and", "or", "-", "/", "until", "till", "through", ","))
_RANGES: Final = frozenset(("to", "and", "-", "until", "till", "through"))
_ENDS: Final = frozenset(".!?;:\n")
_SHARES: Final = {"half": 0.5, "quarter": 0.25}
_SPECIAL: Final = (
    frozenset("noon midday midnight twice thrice half quarter a an single".split()) | answer_words.ORDINALS.keys()
)
_EVERY: Final = frozenset(("per", "every", "each", "/"))
_BEGINNINGS: Final = (
    _SPECIAL | _EVERY | answer_words.RATES.keys() | answer_words.NUMBERS.keys() | answer_words.CURRENCIES
) | {"hundred", "thousand"}
_SPANS: Final = frozenset(("minute", "month", "workday", "night"))
"""Dimensions that can be repeated."""
_COMPOUND: Final = _SPANS | {"metre", "gram", "eur", "usd", "gbp", "chf"}
"""Dimensions whose quantities are said in two parts: 1 h 30 min, 19 euros and 50 cents."""
_HUNDREDTHS: Final = frozenset(("metre", "eur", "usd", "gbp", "chf"))
"""Dimensions in which "one euro forty" and "1 m 40" are said."""
_YEARS: Final = range(1900, 2101)
_AND_A_HALF: Final = ["and", "a", "half"]
_MOST_IN_WORDS: Final = 10
_WEEK: Final = 10_080
_HOURS: Final = 24


def with_quantities(tokens: Sequence[Token]) -> list[Token]:
    """The tokens, those that make a number or a rate replaced by one of the kind `quantity` or `rate`."""
    reader = _Numbers(tokens)
    reader.read()
    return reader.found


class _Numbers:
    """The state while tokens are read, once, from left to right."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self.found: list[Token] = []
        self._tokens = tokens
        self._texts = [token.text for token in tokens]
        self._waiting: list[float] = []
        """Numbers that take the unit of the next one: 55 x 40 x 20 cm."""
        self._is_range = False
        self._shared = ""
        """The unit of the last number, for the next one: EUR 5 to 10."""
        self._last_at = -99
        """Where the last quantity ended."""
        self._last_factor = 0.0

    def read(self) -> None:
        at = 0
        while at < len(self._tokens):
            token = self._tokens[at]
            after = None
            if token.kind == "number" or token.text in _BEGINNINGS:
                after = self._rate(at) or self._quantity(at)
            if after is None:
                if token.text in _ENDS or token.kind == "code":
                    self._flush()
                self.found.append(token)
                after = at + 1
            at = after
        self._flush()

    def _text(self, at: int) -> str:
        return self._texts[at] if 0 <= at < len(self._texts) else ""

    # what has been found

    def _flush(self) -> None:
        for value in self._waiting:
            self._add(value, RANGE if self._is_range else BARE, 0)
        self._waiting.clear()
        self._is_range = False
        self._shared = ""

    def _add(self, value: str | float, unit: str, at: int, *, is_small: bool = False) -> None:
        """Notes a number of this unit that ends at `at`; hours and minutes in a row are one quantity."""
        factor, dimension = answer_words.UNITS.get(unit, (1, unit))
        if isinstance(value, str):  # a version such as 1.2.3, which counts nothing
            return self._note((value, BARE, value), at)
        last = self.found[-1] if self.found else None
        if last is not None and last.text == "and" and len(self.found) > 1 and self._text(at - 4) != "between":
            last = self.found[-2]
        if (
            last is not None
            and last.quantity is not None
            and last.quantity[1] == dimension in _COMPOUND
            and at - self._last_at <= 3
            and value * factor < self._last_factor
        ):
            while self.found.pop() is not last:
                pass
            total = float(last.quantity[0]) + value * factor
            self._note((number_text(round(total, 6)), dimension, last.quantity[2]), at)
        else:
            self._note((number_text(round(value * factor, 6)), dimension, number_text(value)), at, is_small=is_small)
        self._last_factor = factor
        return None

    def _note(self, quantity: Quantity, at: int, *, is_small: bool = False) -> None:
        self.found.append(Token("quantity", quantity[2], quantity=quantity, is_small=is_small))
        self._last_at = at
        self._last_factor = 0.0

    def _clock(self, minutes: float, at: int, *, is_sure: bool = True) -> int:
        """Notes a time of day that ends before `at`; the hours before it in a range are times of day as well."""
        for hour in self._waiting:
            later = 60 * (hour % 12 + 12)
            is_later = is_sure and HALF_DAY <= later < minutes  # 2 to 7 pm
            self._note_clock(later if is_later else 60 * hour, at, is_sure and hour <= _HOURS)
        self._waiting.clear()
        self._note_clock(minutes, at, is_sure)
        return at

    def _clock_of_day(self, quantity: Quantity, at: int) -> int:
        """A written time; "3:30 in the afternoon" says of which half of the day."""
        minutes, part = float(quantity[0]), self._day_part(at)
        if part is None or part[0] == "o'clock" or minutes >= HALF_DAY + 60:
            return self._clock(minutes, at)
        is_later = part[0] not in ("morning", "am") and minutes < HALF_DAY
        return self._clock(minutes + HALF_DAY * is_later, part[1])

    def _note_clock(self, minutes: float, at: int, is_sure: bool) -> None:
        written = number_text(minutes // 60 % 12 or 12)
        self._note((number_text(minutes), CLOCK if is_sure else VAGUE_CLOCK, written), at)

    def _note_rate(self, value: float, dimension: str, at: int) -> int:
        last = self.found[-1] if self.found else None
        if last is not None and last.quantity is not None and last.quantity[1] == "times" and at - self._last_at <= 3:
            value /= float(last.quantity[0]) or 1  # three times a day
            self.found.pop()
        elif last is not None and last.quantity is not None and self._is_days_a_week(last.quantity, value, at):
            self.found.pop()  # six days a week
            self._note((last.quantity[2], f"{last.quantity[1]} a week", last.quantity[2]), at)
            return at
        self.found.append(Token("rate", "", rate=(number_text(round(value, 4)), dimension)))
        return at

    def _is_days_a_week(self, quantity: Quantity, value: float, at: int) -> bool:
        is_days = quantity[1] == "minute" and float(quantity[0]) in range(1440, _WEEK, 1440)
        return is_days and value == _WEEK and at - self._last_at <= 2

    # numbers

    def _keep(self, value: str | float, unit: str, after: int, *, is_small: bool = False) -> int:
        """Notes a number; without a unit of its own it waits for one if a range or a list of sizes goes on."""
        goes_on = self._text(after) in _SEPARATORS and self._goes_on(after + 1)
        if self._text(after) == ",":  # 6, 12 or 24 months, but not "in 2024, 30 days"
            goes_on = goes_on and not unit and value not in _YEARS
        if unit:
            if self._texts[after : after + 3] == _AND_A_HALF and not isinstance(value, str):
                value, after = value + 0.5, after + 3
            for waiting in self._waiting:
                self._add(waiting, unit, 0)
            self._waiting.clear()
            self._add(value, unit, after)
            self._shared = unit if unit in answer_words.CURRENCIES else ""
        elif self._shared:
            self._add(value, self._shared, after)
        elif goes_on and not isinstance(value, str):
            self._waiting.append(value)
            self._is_range = self._text(after) in _RANGES
            return after + 1
        elif self._waiting and not isinstance(value, str):
            self._waiting.append(value)
            self._flush()
        else:
            self._flush()
            self._add(value, BARE, after, is_small=is_small)
        if not goes_on:
            self._flush()
            return after
        return after + 1

    def _goes_on(self, at: int) -> bool:
        """Whether a number follows, maybe after its currency or a word like "to"."""
        if self._text(at) in answer_words.CURRENCIES or self._text(at) in ("to", "up", "a"):
            at += 1
        if at >= len(self._tokens):
            return False
        is_clock = self._text(at) in _SHARES and self._text(at + 1) in ("past", "to")
        return self._tokens[at].kind == "number" or self._text(at) in answer_words.NUMBERS or is_clock

    def _unit(self, at: int) -> tuple[str, int]:
        """The unit at `at` and the place after it; ("", at) if there is none."""
        for place in (at, at + 1):
            text = self._text(place).removesuffix("'s")
            after = place + 1
            if text in answer_words.UNITS:
                following = self._text(after)
                if text in ("degree", "degrees", "°"):
                    if following in ("c", "celsius", "centigrade"):
                        return "celsius", after + 1
                    if following in ("f", "fahrenheit"):
                        return "fahrenheit", after + 1
                if text in ("kilowatt", "kw") and following in ("hour", "hours"):
                    return "kwh", after + 1
                return text, after
            if text not in answer_words.FILLERS and text != "+":
                break
        return "", at

    def _quantity(self, at: int) -> int | None:
        """Notes the number at `at`, if there is one, and returns the place after it."""
        token = self._tokens[at]
        if token.quantity is not None:
            return self._clock_of_day(token.quantity, at + 1)
        if token.text in _SPECIAL and (after := self._special(at)) is not None:
            return after
        if token.text in answer_words.CURRENCIES:
            found = _value(self._tokens, at + 1)
            return None if found is None else self._keep(_money(found[0], self._text(at + 1)), token.text, found[1])
        found = _value(self._tokens, at)
        if found is None:
            return None
        value, after = found
        unit, end = self._unit(after)
        if (clock := self._past(value, end, is_minutes=unit in ("minute", "minutes"))) is not None:
            return clock
        if unit in answer_words.CURRENCIES or unit in ("euro", "euros", "dollar", "dollars"):
            value = _money(value, token.text)
        if unit or isinstance(value, str):
            return self._keep(value, unit, end)
        if self._is_hundredths(value, at):
            self._add(value / 100, _unit_of(self.found[-1]), after)
            return after
        if value <= _HOURS and (day_part := self._day_part(after)) is not None:
            return self._hour(value, *day_part)
        if (part := self._fraction(value, after)) is not None:
            return part
        if token.text == "one" and value == 1 and not (self._waiting or self._shared or self._is_size(after)):
            return None  # a pronoun or an article as often as a number
        if self._waiting and token.kind == "number" and (minutes := _dotted_time(token.text)) is not None:
            return self._clock(minutes, after)  # 9 to 17.30
        return self._keep(value, "", after, is_small=token.kind == "word" and value <= _MOST_IN_WORDS)

    def _is_hundredths(self, value: float, at: int) -> bool:
        last = self.found[-1].quantity if self.found else None
        is_whole = last is not None and last[1] in _HUNDREDTHS and self._last_factor == 1
        return is_whole and self._last_at == at and 10 <= value < 100 and float(value).is_integer()

    def _past(self, minutes: str | float, at: int, *, is_minutes: bool) -> int | None:
        """Ten past six, twenty minutes to nine in the evening."""
        sign = {"past": 1, "to": -1 if is_minutes else 0}.get(self._text(at), 0)
        found = _value(self._tokens, at + 1) if sign else None
        if found is None or isinstance(found[0], str) or isinstance(minutes, str) or minutes >= 60 or found[0] > _HOURS:
            return None
        part = self._day_part(found[1])
        is_later = part is not None and part[0] not in ("morning", "am", "o'clock") and found[0] < 12
        time = max(60 * found[0] + sign * minutes, 0) + HALF_DAY * is_later
        is_sure = found[0] > 12 or (part is not None and part[0] != "o'clock")
        return self._clock(time, part[1] if part else found[1], is_sure=is_sure)

    def _hour(self, value: float, part: str, end: int) -> int:
        if part == "o'clock":
            return self._clock(60 * value, end, is_sure=value > 12)
        if value == 12:
            return self._clock(0 if part in ("night", "am") else HALF_DAY, end)
        return self._clock(60 * (value % 12 + (0 if part in ("morning", "am") else 12)), end)

    def _day_part(self, at: int) -> tuple[str, int] | None:
        """(part, place after it) of pm, "o'clock" and "in the evening" after an hour."""
        first = self._text(at)
        if first == "o'clock":
            return self._day_part(at + 1) or ("o'clock", at + 1)
        if first in ("am", "pm"):
            return first, at + 1
        if first == "at" and self._text(at + 1) == "night":
            return "night", at + 2
        if first == "in" and self._text(at + 1) == "the" and self._text(at + 2) in ("morning", "afternoon", "evening"):
            return self._text(at + 2), at + 3
        return None

    def _is_size(self, at: int) -> bool:
        return self._text(at) in ("x", "by", "-", "to") and self._goes_on(at + 1)

    def _fraction(self, value: float, at: int) -> int | None:
        """Two thirds, one fifth, three quarters."""
        name = self._text(at).removesuffix("s")
        parts = {"quarter": 4, "half": 2, **answer_words.ORDINALS}.get(name)
        if (
            parts is None
            or value >= parts
            or not float(value).is_integer()
            or (value > 1) != (self._text(at)[-1] == "s")
        ):
            return None
        return self._keep(round(100 * value / parts), "%", at + 1)

    def _special(self, at: int) -> int | None:
        """Halves, quarters, ordinals, noon, "half past six", "a week"."""
        text, following = self._text(at), self._text(at + 1)
        if text in ("noon", "midday", "midnight"):
            return self._clock(0 if text == "midnight" else HALF_DAY, at + 1)
        if text in ("twice", "thrice"):
            self._add(2 if text == "twice" else 3, "times", at + 1)
            return at + 1
        if text in answer_words.ORDINALS:
            is_part = self._text(at - 1) == "a" and following in (
                "",
                "of",
                "compared",
                "less",
                "more",
                "off",
                "cheaper",
            )
            if is_part:
                return self._keep(round(100 / answer_words.ORDINALS[text]), "%", at + 1)
            self._add(answer_words.ORDINALS[text], BARE, at + 1)
            return at + 1
        return self._share(at) if text in _SHARES else self._single(at)

    def _share(self, at: int) -> int | None:
        text, following = self._text(at), self._text(at + 1)
        share = _SHARES[text]
        found = _value(self._tokens, at + 2) if following in ("past", "to") else None
        if found is not None and not isinstance(found[0], str):
            minutes = max(60 * found[0] + 60 * (share if following == "past" else -share), 0)
            part = self._day_part(found[1])
            if part is None or part[0] == "o'clock":
                return self._clock(minutes, part[1] if part else found[1], is_sure=False)
            is_second = part[0] not in ("morning", "am") and minutes < HALF_DAY
            return self._clock(minutes + HALF_DAY * is_second, part[1])
        place = at + 1
        while self._text(place) in ("a", "an", "of") and place < at + 3:
            place += 1
        unit = self._text(place)
        if answer_words.UNITS.get(unit, (0, ""))[1] == "%" and self._text(at + 1) in ("a", unit):
            return self._keep(share, unit, place + 1)  # half a percent
        is_unit = unit in answer_words.UNITS and answer_words.UNITS[unit][1] not in ("%", "eur", "usd")
        if is_unit and (place > at + 1 or text == "half"):
            return self._keep(share, unit, place + 1)
        if text == "half" or following == "of" or self._text(at - 1) == "a":
            return self._keep(100 * share, "%", at + 1)
        return None

    def _single(self, at: int) -> int | None:
        """ "Within a week" is a quantity, "5 euros a week" says how often."""
        text = self._text(at)
        place = at + 2 if self._text(at + 1) == "single" else at + 1
        unit = self._text(place).removesuffix("'s")
        if unit in ("quarter", "second") or answer_words.UNITS.get(unit, (0, ""))[1] not in _SPANS:
            return None
        before = self._text(at - 1)
        is_often = before in ("once", "times", "time") or (
            at - self._last_at <= 3 and before not in ("within", "in", "after", "for", "than", "by", ",")
        )
        if is_often and place == at + 1 and text != "single":
            return self._note_rate(*answer_words.UNITS[unit], place + 1)
        return self._keep(1, unit, place + 1)

    def _rate(self, at: int) -> int | None:
        text = self._text(at)
        if text in answer_words.RATES:
            return self._note_rate(*answer_words.RATES[text], at + 1)
        if text not in _EVERY:
            return None
        value = 1.0
        after = at + 1
        following = self._text(after)
        found = _value(self._tokens, after) if text == "every" else None
        if text == "every" and following in _SHARES:
            value, after = _SHARES[following], after + 1
            while self._text(after) in ("a", "an", "of"):
                after += 1
            if following == "quarter" and after == at + 2:
                value, after = 1.0, at + 1
        elif found is not None and not isinstance(found[0], str):
            value, after = found[0], found[1]
        elif following in ("other", "single", "calendar", "new") or (text == "every" and following == "second"):
            value, after = (2.0 if following in ("other", "second") else 1.0), after + 1
        factor, dimension = answer_words.UNITS.get(self._text(after), (0, ""))
        return self._note_rate(value * factor, dimension, after + 1) if dimension in _SPANS else None


def _unit_of(token: Token) -> str:
    """A unit in which the quantity of a token is a whole number."""
    assert token.quantity is not None
    return {"metre": "m"}.get(token.quantity[1], token.quantity[1])


def _value(tokens: Sequence[Token], at: int) -> tuple[str | float, int] | None:
    """The number that begins at `at` and the place after it. A text if it is no decimal number: 1.2.3, 007."""
    if at >= len(tokens) or tokens[at].quantity is not None:
        return None
    token = tokens[at]
    value: float
    if token.kind == "number":
        text = token.text
        at += 1
        whole, *groups = text.partition(".")[0].split(",")
        if groups and all(len(group) == 3 for group in groups):
            text = text.replace(",", "")
        elif len(groups) == 1 and "." not in text:
            text = f"{whole}.{groups[0]}"  # a decimal comma
        is_name = len(text) > 1 and text[0] == "0" and text.isdigit()
        if text.count(".") > 1 or "," in text or len(text) > 15 or is_name:
            return text, at
        value = float(text)
    elif token.text in answer_words.NUMBERS:
        value = answer_words.NUMBERS[token.text]
        at += 1
        if value >= 20 and at < len(tokens) and 0 < answer_words.NUMBERS.get(tokens[at].text, 0) < 10:
            value += answer_words.NUMBERS[tokens[at].text]
            at += 1
    elif token.text in ("hundred", "thousand") and at and tokens[at - 1].text == "a":
        value = 1
    else:
        return None
    value, at = _multiplied(tokens, at, value)
    if [each.text for each in tokens[at : at + 3]] == _AND_A_HALF:
        value, at = _multiplied(tokens, at + 3, value + 0.5)
    return value, at


def _multiplied(tokens: Sequence[Token], at: int, value: float) -> tuple[float, int]:
    """`value` with the hundreds and thousands that follow it, and the place after them."""
    while at < len(tokens) and tokens[at].text in answer_words.MULTIPLIERS:
        factor = answer_words.MULTIPLIERS[tokens[at].text]
        part = value % 1000 if factor == 100 and value > 1000 else value  # one thousand five hundred
        value += part * (factor - 1)
        at += 1
        if at + 1 < len(tokens) and tokens[at].text == "and" and tokens[at + 1].text in answer_words.NUMBERS:
            at += 1
        for _ in range(2):
            if at < len(tokens) and tokens[at].text in answer_words.NUMBERS:
                value += answer_words.NUMBERS[tokens[at].text]
                at += 1
    return value, at


def _money(value: str | float, text: str) -> str | float:
    """Of 2.400 euros the point groups digits: no price has three decimals."""
    is_grouped = not isinstance(value, str) and text.count(".") == 1 and len(text.partition(".")[2]) == 3
    return float(value) * 1000 if is_grouped else value


def _dotted_time(text: str) -> float | None:
    """17.30 as minutes of the day, if it can be a time."""
    hours, point, minutes = text.partition(".")
    if not point or len(minutes) != 2 or not hours.isdigit() or int(hours) > _HOURS or int(minutes) > 59:
        return None
    return 60 * int(hours) + int(minutes)
