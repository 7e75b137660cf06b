"""OpenAI's chat completions, strict about what they take: what the gateway makes of other requests is held to the types
of the official SDK. Replies are those of `tests/app/provider.py`."""

from contextlib import AbstractContextManager
from typing import Any, Final

from openai.types.chat.completion_create_params import (
    CompletionCreateParamsNonStreaming,
    CompletionCreateParamsStreaming,
)
from pydantic import TypeAdapter, ValidationError

from tests.app.provider import Provider, Received, Reply, error_reply, running

KEY: Final = "sk-openai-only-for-the-provider"
_FORMS: Final[dict[bool, TypeAdapter[Any]]] = {
    False: TypeAdapter(CompletionCreateParamsNonStreaming),
    True: TypeAdapter(CompletionCreateParamsStreaming),
}


class StrictOpenAI(Provider):
    """Answers by script who sends the right key and nothing unknown."""

    def fault(self, received: Received) -> Reply | None:
        if received.headers.get("authorization") != f"Bearer {KEY}":
            return error_reply(401, "Incorrect API key provided.")
        said = mistake(received.json)
        return None if said is None else error_reply(400, said)


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


def running_openai() -> AbstractContextManager[StrictOpenAI]:
    return running(StrictOpenAI())
