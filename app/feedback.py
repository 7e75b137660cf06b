"""What a client says of an answer. Pure; knows neither the server nor what becomes of it."""

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

PREFERRED_AT_MOST: Final = 32_000


class Feedback(Struct, frozen=True, forbid_unknown_fields=True):
    """Body of `POST /v1/feedback`: a thumb, a score or the answer that would have been right."""

    request_id: Annotated[str, Meta(min_length=1, max_length=128)]
    """The `x-request-id` of the answer. Feedback may come long after it."""
    thumb: Literal["up", "down"] | None = None
    score: Annotated[float, Meta(ge=0, le=1)] | None = None
    preferred: Annotated[str, Meta(min_length=1, max_length=PREFERRED_AT_MOST)] | None = None

    def __post_init__(self) -> None:
        if self.thumb is not None and self.score is not None:
            raise ValueError("give `thumb` or `score`, not both")
        if self.thumb is None and self.score is None and self.preferred is None:
            raise ValueError("give `thumb`, `score` or `preferred`")

    @property
    def is_complaint(self) -> bool:
        """Whether it calls the answer wrong. Who only names a better one does."""
        if self.thumb is not None:
            return self.thumb == "down"
        return self.score is None or self.score < 0.5

    @property
    def value(self) -> float:
        """How good the answer was, 0 to 1. Who only names a better one calls it wrong."""
        if self.thumb is not None:
            return float(self.thumb == "up")
        return 0.0 if self.score is None else self.score

    @property
    def kind(self) -> Literal["right", "wrong"]:
        return "wrong" if self.is_complaint else "right"
