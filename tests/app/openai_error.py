"""The one shape of every error: asserted here, over every route and every failure."""

import json
from pathlib import Path
from typing import Any, Final

import httpx

_TYPES: Final = {"invalid_request_error", "insufficient_quota", "rate_limit_error", "server_error", "scripted_error"}
_NEVER_IN_A_BODY: Final = (
    "Traceback",
    'File "',
    ".py",
    "127.0.0.1",
    "localhost",
    str(Path(__file__).parents[2]),
    "/tmp/",
    "site-packages",
    " object at 0x",
    "sk-",
    "tg-",
    "Exception",
    "sqlite",
)


def openai_error(
    answer: httpx.Response, status: int, code: str | None = ..., param: str | None = ...
) -> dict[str, Any]:  # type: ignore[assignment]
    """The error of an answer with this status, after checking that it has the one shape and tells no secrets."""
    assert answer.status_code == status, (answer.status_code, answer.text)
    assert answer.headers["content-type"] == "application/json"
    error = error_object(answer.content)
    assert code is ... or error["code"] == code, error
    assert param is ... or error["param"] == param, error
    if status == 401:
        assert answer.headers["www-authenticate"] == "Bearer"
    if error["type"] == "insufficient_quota":
        assert int(answer.headers["retry-after"]) > 0
    return error


def error_object(body: bytes) -> dict[str, Any]:
    """The error in a body, after the same checks."""
    decoded = json.loads(body)
    assert list(decoded) == ["error"], decoded
    error = decoded["error"]
    assert set(error) == {"message", "type", "param", "code"}, error
    assert isinstance(error["message"], str)
    assert len(error["message"]) > 10, error
    assert error["message"].rstrip()[-1] in ".`)", error  # a sentence
    assert error["type"] in _TYPES, error
    assert error["param"] is None or (isinstance(error["param"], str) and error["param"]), error
    assert error["code"] is None or (isinstance(error["code"], str) and error["code"]), error
    for found in _NEVER_IN_A_BODY:
        assert found not in body.decode(), (found, body)
    return dict(error)
