"""Mismatches between two questions that an embedding hardly sees: numbers, polarity, entities, roles.

Opposites ("turn on" / "turn off") lie closer in vector space than many true paraphrases; these rules block
them. English word lists; pure functions over text.
"""

import re
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from msgspec import Struct

_NUMBER_WORDS: Final = {
    word: str(value)
    for value, words in enumerate(
        "zero|one|two,both,twice,double|three,triple|four|five|six|seven|eight|nine|ten|eleven|twelve".split("|")
    )
    for word in words.split(",")
    if word != "one"  # mostly a pronoun
} | {
    "fifteen": "15", "twenty": "20", "thirty": "30", "forty": "40", "fifty": "50", "sixty": "60",
    "ninety": "90", "hundred": "100", "thousand": "1000", "first": "1", "second": "2", "third": "3",
    "once": "1", "annual": "1y", "yearly": "1y", "annually": "1y", "monthly": "1m", "weekly": "1w", "daily": "1d",
    "half": "0.5", "quarterly": "3m",
}  # fmt: skip

_NEGATIONS: Final = frozenset(
    "not no never without none cannot can't cant don't dont doesn't doesnt didn't isn't isnt aren't won't wont wouldn't"
    " shouldn't couldn't hasn't haven't wasn't weren't nor neither unable stop stopped avoid prevent except"
    " unless".split()
)

_OPPOSITES: Final = tuple(
    (frozenset(left.split("/")), frozenset(right.split("/")))
    for left, right in (
        pair.split(" : ")
        for pair in """
        on : off
        enable/enabled/enabling/activate/activating/activated/switch-on : disable/disabled/disabling/deactivate/deactivating/deactivated
        add/adding/added/include/join/joining : remove/removing/removed/delete/deleting/leave/leaving/exclude
        open/opening/create/creating : close/closing/closed/delete/deleting
        subscribe/subscribing/renew/start/begin/resume/resuming/reactivate : unsubscribe/cancel/cancelling/canceling/terminate/stop/end/pause/pausing/suspend
        upgrade/upgrading/increase/increasing/raise/raising/up/faster/bigger/larger/higher/more : downgrade/downgrading/decrease/decreasing/lower/lowering/reduce/reducing/down/slower/smaller/less/fewer
        buy/buying/purchase : sell/selling/return/returning
        send/sending/transfer-to/give/giving/lend/pay/paying : receive/receiving/get-from/borrow/collect
        before/early/earlier : after/late/later/afterwards
        show/showing/unhide/display/visible : hide/hiding/hidden
        lock/locking/freeze/block/blocking/mute/muting/ban : unlock/unlocking/unfreeze/unblock/unblocking/unmute/unban
        install/installing : uninstall/uninstalling
        connect/connecting/pair/pairing/link/linking : disconnect/disconnecting/unpair/unlink/unlinking
        login/log-in/sign-in : logout/log-out/sign-out
        allow/allowing/permit/accept/approve/grant : deny/refuse/reject/decline/forbid/block/revoke
        import/importing/upload/uploading : export/exporting/download/downloading
        inbound/incoming/inside/indoor/indoors : outbound/outgoing/outside/outdoor/outdoors
        minimum/min/least/lowest/cheapest : maximum/max/most/highest/dearest
        with : without
        public : private
        new/first : old/existing/previous/used
        manual/manually : automatic/automatically/auto
        full : partial/empty
        domestic/national : international/abroad/foreign/overseas
        personal/private/residential/home : business/company/corporate/commercial
        prepaid : postpaid
        wired/ethernet/cable : wireless/wifi/wi-fi
        temporary/temporarily : permanent/permanently
        buyer/customer/tenant/guest/member : seller/merchant/landlord/host/owner
        push : pull
        debit : credit
        weekday/weekdays : weekend/weekends
        day : night
        mute : unmute
        male : female
        employee : employer
        """.strip().splitlines()
        for pair in [pair.strip()]
    )
)

_ALTERNATIVES: Final = tuple(
    {name: kind_and_name[1] for kind_and_name in enumerate(group.split()) for name in kind_and_name[1].split("/")}
    for group in (
        "android iphone/ios/ipad/apple windows/pc mac/macos/macbook linux ubuntu chromebook",
        "paypal visa mastercard amex/american-express klarna sepa/direct-debit stripe bitcoin/crypto cheque/check cash"
        " gift-card/voucher bank-transfer/wire google-pay apple-pay",
        "chrome firefox safari edge opera",
        "email/e-mail sms/text phone/call post/letter chat whatsapp",
        "monday tuesday wednesday thursday friday saturday sunday",
        "january february march april may june july august september october november december",
        "dollar/dollars/usd euro/euros/eur pound/pounds/gbp yen franc/francs/chf",
        "germany/german france/french spain/spanish italy/italian uk/britain/england/british us/usa/america/american"
        " canada/canadian austria/austrian switzerland/swiss poland/polish netherlands/dutch portugal/portuguese",
        "berlin paris london madrid rome vienna zurich hamburg munich lyon lisbon amsterdam dublin porto milan",
        "english german french spanish italian portuguese dutch polish turkish",
        "alexa google-home/google-assistant siri/homekit",
        "roku chromecast firestick/fire-tv apple-tv playstation xbox",
        "lamp/light/bulb plug/socket camera thermostat doorbell lock sensor speaker",
        "basic standard premium family student business enterprise plus pro lite essential ultimate",
        "refund replacement/exchange credit",
        "username password pin",
        "bronze silver gold platinum",
        "mp3 mp4 pdf csv excel/xlsx word json xml",
    )
)

_TOKEN: Final = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d_]+(?:['’-][^\W\d_]+)*")
_PHRASES: Final = tuple(
    (re.compile(pattern, re.I), replacement)
    for pattern, replacement in (
        (r"\b(turn|switch|power)(?:ing|ed)?\b((?:\s+\S+){0,3}?)\s+on\b", r"enable\2"),
        (r"\b(turn|switch|power|shut)(?:ing|ed)?\b((?:\s+\S+){0,3}?)\s+off\b", r"disable\2"),
        (r"\b(log|sign)(?:ging|ing|ged|ed)?[ -]?in(?:to)?\b", "login"),
        (r"\b(log|sign)(?:ging|ing|ged|ed)?[ -]?out\b", "logout"),
        (r"\bget(?:ting)? rid of\b", "remove"),
        (r"\bopt(?:ing)?[ -]?out\b", "unsubscribe"),
        (r"\bopt(?:ing)?[ -]?in\b", "subscribe"),
        (r"\bsign(?:ing)? up\b", "subscribe"),
        (r"\bset(?:ting)? up\b", "setup"),
        (r"\b(?:gift|bank|direct|google|apple|fire|american) (?:card|transfer|debit|pay|home|assistant|tv|express)\b",
         lambda found: found.group().replace(" ", "-")),
        (r"\bno longer\b", "not"),
        (r"\bwhy (?:can't|cant|cannot|won't|doesn't|isn't)\b", "why"),
    )
)  # fmt: skip
_ROLE_MARKERS: Final = frozenset("to from for by into onto between".split())
_UNIT: Final = re.compile(
    r"(?<=\d)\s*-?\s*(?=(?:g(?:b|hz)?|m(?:b(?:ps|it)?|hz)?|kb|tb|w|kwh|days?|months?|years?|hours?)\b)", re.I
)


class Traits(Struct, frozen=True):
    """What the rules look at in one text."""

    tokens: tuple[str, ...]
    numbers: frozenset[str]
    negations: int


@lru_cache(maxsize=8192)
def traits(text: str) -> Traits:
    for pattern, replacement in _PHRASES:
        text = pattern.sub(replacement, text)
    tokens = tuple(token.lower().replace("’", "'") for token in _TOKEN.findall(text))
    numbers = frozenset(
        _NUMBER_WORDS.get(token, token.replace(",", "."))
        for token in tokens
        if token[0].isdigit() or token in _NUMBER_WORDS
    )
    return Traits(tokens, numbers, sum(token in _NEGATIONS for token in tokens))


def mismatch(left: str, right: str) -> str | None:
    """`number`, `polarity`, `entity` or `role` if the texts differ in it, else None."""
    first, second = traits(left), traits(right)
    if first.numbers != second.numbers:
        return "number"
    words, others = frozenset(first.tokens), frozenset(second.tokens)
    if first.negations % 2 != second.negations % 2 or _are_opposite(words, others):
        return "polarity"
    if _name_others(words, others):
        return "entity"
    if _swap_roles(first.tokens, second.tokens):
        return "role"
    return None


def _are_opposite(words: frozenset[str], others: frozenset[str]) -> bool:
    """Whether one text says one side of a pair of opposites and the other text only the other side."""
    for left, right in _OPPOSITES:
        one = bool(words & left), bool(words & right)
        two = bool(others & left), bool(others & right)
        if (one, two) in (((True, False), (False, True)), ((False, True), (True, False))):
            return True
    return False


def _name_others(words: frozenset[str], others: frozenset[str]) -> bool:
    """Whether the texts name different members of one group of alternatives."""
    for group in _ALTERNATIVES:
        one, two = _members(words, group), _members(others, group)
        if one and two and one != two:
            return True
    return False


def _members(words: Iterable[str], group: dict[str, str]) -> set[str]:
    return {group[word] for word in words if word in group}


def _swap_roles(first: tuple[str, ...], second: tuple[str, ...]) -> bool:
    """The same words in another order around a word of direction: "from A to B", "from B to A"."""
    return first != second and Counter(first) == Counter(second) and bool(_ROLE_MARKERS & set(first))
