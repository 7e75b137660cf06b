"""OpenAI's chat completions, strict about what they take: what the gateway makes of other requests is held to the types
of the official SDK. Replies are those of `tests/app/provider.py`."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from openai.types.chat.completion_create_params import (
    CompletionCreateParamsNonStreaming,
    CompletionCreateParamsStreaming,
)
from pydantic import TypeAdapter, ValidationError

from tests.app.provider import Call, Provider, Received, Reply, error_reply

KEY: Final = "sk-openai-only-for-the-provider"
_FORMS: Final[dict[bool, TypeAdapter[Any]]] = {
    False: TypeAdapter(CompletionCreateParamsNonStreaming),
    True: TypeAdapter(CompletionCreateParamsStreaming),
}


class StrictOpenAI(Provider):
    """Answers by script who sends the right key and nothing unknown."""

    def take(self, received: Received) -> tuple[Call, Reply]:
        if received.method == "GET":
            return super().take(received)
        wrong = None
        if received.headers.get("authorization") != f"Bearer {KEY}":
            wrong = error_reply(401, "Incorrect API key provided.")
        elif (said := mistake(received.json)) is not None:
            wrong = error_reply(400, said)
        if wrong is None:
            return super().take(received)
        call = Call(received)
        self.calls.append(call)
        return call, wrong


def mistake(body: dict[str, Any]) -> str | None:
    """What is wrong with a request; None for a right one."""
    try:
        form = evaluated(_FORMS[bool(body.get("stream"))].validate_python(body))
    except ValidationError as error:
        return str(error)
    return None if form == body else f"Unrecognized: {body} is more than {form}"


def evaluated(value: Any) -> Any:
    """The types check what is iterated over only then."""
    if isinstance(value, dict):
        return {name: evaluated(item) for name, item in value.items()}
    if isinstance(value, str | bytes | int | float | None):
        return value
    return [evaluated(item) for item in value]


@contextmanager
def running_openai() -> Iterator[StrictOpenAI]:
    simulator = StrictOpenAI()
    simulator.start()
    try:
        yield simulator
    finally:
        simulator.stop()
