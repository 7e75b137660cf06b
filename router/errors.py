"""The router's error tree. It knows no HTTP: `app/errors.py` maps these to status codes and bodies.

RouterError                    retryable? billed?
├── RequestInvalid             the caller's request cannot be understood; names the field
├── ModelUnknown               no model of that name on this route
├── NoCandidate                models exist, none may serve this request; says why for each
├── BudgetExceeded             a hard cap would be broken; says when it resets
├── LedgerUnavailable          the ledger file cannot be written; nothing may be acknowledged
├── Unavailable                no deployment may be called now; says when to come back
│   └── Overloaded             more is asked than can be carried; nothing was sent
└── UpstreamError              one attempt at a provider failed
    ├── UpstreamUnreachable    no connection: nothing was sent
    ├── UpstreamTimeout        sent, no answer in time: may have been billed
    ├── UpstreamCut            the answer broke off after it had begun
    ├── UpstreamMalformed      the answer is not what the protocol says
    └── UpstreamRejected       the provider answered with an error status

Every error answers two questions: `retryable` (may another attempt help?) and `billed`
(`no`, `unknown`: may the provider have charged for it?).
"""

from collections.abc import Callable
from datetime import datetime
from typing import Literal

import msgspec
from msgspec import Struct

Billed = Literal["no", "unknown"]


class RouterError(Exception):
    """Something the router refuses or could not do. `retryable` and `billed` as the module says."""

    retryable: bool = False
    billed: Billed = "no"


class RequestInvalid(RouterError):
    """`param` is the field's path in the caller's request, e.g. `messages[0].role`."""

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param

    @classmethod
    def from_validation(cls, error: msgspec.ValidationError, kind: type[Struct] | None = None) -> "RequestInvalid":
        """From msgspec's "Expected ... - at `$.messages[0].role`", or "... missing required field `x`". Of a field of
        `kind`, the struct that was expected, which takes some words only, these are named."""
        message, _, path = str(error).partition(" - at `$")
        param = path.rstrip("`").lstrip(".").replace("[...]", "[]")
        if "missing required field" in message:
            missing = message.rsplit("`", 2)[1]
            param = f"{param}.{missing}" if param else missing
        said = message[:1].lower() + message[1:] + "."
        if kind is not None and "nvalid enum value" in message and (words := _words_of(kind, param)):
            said += f" Known: {', '.join(words)}."
        return cls(f"`{param}`: {said}" if param else said, param or None)


def _words_of(kind: type[Struct], name: str) -> list[str]:
    """The words that this field takes, if it takes no others."""
    struct = msgspec.inspect.type_info(kind)
    assert isinstance(struct, msgspec.inspect.StructType)
    taken = next((field.type for field in struct.fields if field.encode_name == name), None)
    choices = taken.types if isinstance(taken, msgspec.inspect.UnionType) else (taken,)
    return [str(word) for each in choices if isinstance(each, msgspec.inspect.LiteralType) for word in each.values]


class ModelUnknown(RouterError):
    """No model of this name may be asked for on the caller's route."""

    def __init__(self, model: str, known: tuple[str, ...]) -> None:
        super().__init__(f"The model `{model}` does not exist or this key may not use it. Known: {', '.join(known)}.")
        self.model = model


class NoCandidate(RouterError):
    """Every model of the route was ruled out; `reasons` maps a model to why."""

    def __init__(self, reasons: dict[str, str]) -> None:
        said = "; ".join(f"{model}: {reason}" for model, reason in reasons.items())
        super().__init__(f"No model of this route can serve the request ({said}).")
        self.reasons = reasons


class BudgetExceeded(RouterError):
    """The worst case of this request fits no candidate under the hard cap of `budget`."""

    def __init__(self, budget: str, needed_nano: int, free_nano: int, resets_at: datetime) -> None:
        super().__init__(
            f"The budget of {budget} has ${max(free_nano, 0) / 1e9:.6f} left and this request could cost up to "
            f"${needed_nano / 1e9:.6f}. Set a lower `max_completion_tokens`, ask for a cheaper model, "
            f"or wait until the budget resets at {resets_at.isoformat()}."
        )
        self.budget = budget
        self.needed_nano = needed_nano
        self.free_nano = free_nano
        self.resets_at = resets_at


class LedgerUnavailable(RouterError):
    """The row or reservation is not in the file, so the request must not be acknowledged."""

    retryable = True


class Throttled(RouterError):
    """Somebody else's service level is broken, and this request can wait. `retry_after_s` is when to ask again."""

    retryable = True
    retry_after_s = 30.0

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"The team's service level is broken at the moment ({reason}), so only keys of env `prod` are served. "
            "Try again later."
        )


class Unavailable(RouterError):
    """Every deployment that could serve the request is out. `retry_after_s` is when one may be back."""

    retryable = True

    def __init__(self, retry_after_s: float, message: str = "No provider of this model is available now.") -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Overloaded(Unavailable):
    """The request was sent away, so that those under way are served."""

    def __init__(self, retry_after_s: float) -> None:
        super().__init__(retry_after_s, "The gateway is busy and cannot take this request. Try again later.")


class UpstreamError(RouterError):
    """One attempt failed. `status` is the provider's own, where it gave one; `retry_after_s` and `request_id`, its id
    of the call, likewise."""

    request_id: str | None = None

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        retryable: bool = True,
        billed: Billed = "no",
        code: str | None = None,
        error_type: str | None = None,
        param: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.retryable = retryable
        self.billed = billed
        self.code = code
        self.error_type = error_type
        self.param = param
        self.retry_after_s = retry_after_s

    def reword(self, said: Callable[[str], str]) -> None:
        """Puts every text of it as `said` puts it."""
        self.args = (said(str(self)),)
        self.code, self.error_type, self.param = (
            text if text is None else said(text) for text in (self.code, self.error_type, self.param)
        )


class UpstreamUnreachable(UpstreamError):
    pass


class UpstreamTimeout(UpstreamError):
    pass


class UpstreamCut(UpstreamError):
    pass


class UpstreamMalformed(UpstreamError):
    pass


class UpstreamRejected(UpstreamError):
    pass
