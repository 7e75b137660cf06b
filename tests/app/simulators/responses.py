"""OpenAI's Responses with what it keeps: made by `POST`, then found, listed, cancelled and deleted by id.

Each key is an account of its own: what one has made the others do not know. Replies are as the API reference has them.
"""

import itertools
from contextlib import AbstractContextManager
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from tests.app.provider import Call, Provider, Received, Reply, json_reply, running
from tests.app.responses_provider import message, response

KEYS: Final = ("sk-first-account-only", "sk-second-account-only")


class Responses(Provider):
    """Keeps what it makes, unless it is told not to."""

    def __init__(self) -> None:
        super().__init__()
        self._numbers = itertools.count(1)
        self._kept: dict[tuple[str, str], tuple[dict[str, Any], list[dict[str, Any]]]] = {}
        self.questions: list[Received] = []
        """About what is kept."""

    def reset(self) -> None:
        super().reset()
        self.questions = []

    def take(self, received: Received) -> tuple[Call, Reply]:
        path = urlsplit(received.target).path
        if not path.startswith("/v1/responses"):
            return super().take(received)
        account = received.headers.get("authorization", "").removeprefix("Bearer ")
        if account not in KEYS:
            return Call(received), _failure(401, "Incorrect API key provided.", "invalid_api_key")
        if path == "/v1/responses":
            call = Call(received)
            self.calls.append(call)
            return call, self._made(account, received.json)
        self.questions.append(received)
        _, _, response_id, *rest = path.removeprefix("/").split("/")
        return Call(received), self._told(account, received, response_id, rest)

    def _made(self, account: str, asked: dict[str, Any]) -> Reply:
        known = asked.get("previous_response_id")
        if known is not None and (account, known) not in self._kept:
            text = f"Previous response with id '{known}' not found."
            return _failure(400, text, "previous_response_not_found", "previous_response_id")
        number = next(self._numbers)
        item = message(f"Answer {number}.", item_id=f"msg_{number}")
        made = response(item, response_id=f"resp_{number}", store=asked.get("store", True))
        if made["store"]:
            content = [{"type": "input_text", "text": asked["input"]}]
            given = {"id": f"msg_in{number}", "type": "message", "role": "user", "content": content}
            self._kept[account, made["id"]] = made, [given]
        return json_reply(made)

    def _told(self, account: str, received: Received, response_id: str, rest: list[str]) -> Reply:
        if (account, response_id) not in self._kept:
            return _failure(404, f"Response with id '{response_id}' not found.", None)
        made, items = self._kept[account, response_id]
        match received.method, rest:
            case "GET", []:
                return json_reply(made)
            case "DELETE", []:
                del self._kept[account, response_id]
                return json_reply({"id": response_id, "object": "response.deleted", "deleted": True})
            case "GET", ["input_items"]:
                limit = int(parse_qs(urlsplit(received.target).query).get("limit", ["20"])[0])
                page = items[:limit]
                ends = {"first_id": page[0]["id"], "last_id": page[-1]["id"], "has_more": len(items) > limit}
                return json_reply({"object": "list", "data": page, **ends})
            case "POST", ["cancel"]:
                return _failure(400, "Only responses created with background=true can be cancelled.", None)
            case _:
                return _failure(405, "Method not allowed.", None)


def _failure(status: int, text: str, code: str | None, param: str | None = None) -> Reply:
    error = {"message": text, "type": "invalid_request_error", "param": param, "code": code}
    return json_reply({"error": error}, status)


def running_responses() -> AbstractContextManager[Responses]:
    return running(Responses())
