"""Load scenarios for locust: a repeat-heavy support bot, unique prompts, streams, and a team that has spent its budget.

By hand, from the repository's root, against a running gateway:

    export THRIFTGATE_KEY=$(cat .thriftgate/development-key)
    export THRIFTGATE_CAPPED_KEY=tg-...        # a key of a team whose budget is (nearly) spent; without it
                                               # BudgetCappedTeam does not run
    locust -f benchmarks/locustfile.py --host http://127.0.0.1:8080                  # web page on :8089
    locust -f benchmarks/locustfile.py --host http://127.0.0.1:8080 --headless -u 32 -t 30s
    locust -f benchmarks/locustfile.py --host http://127.0.0.1:8080 --headless -u 8 -t 30s Streaming

Rows are named by what happened, as the `x-thriftgate-cache` header says: `exact`, `semantic`, `coalesced`, `miss`,
`bypass`; `stream hit` and `stream miss` (to the end of the stream, and `..., first byte`); `capped` for a refusal
with `budget_exceeded`, which is what BudgetCappedTeam expects. Every other refusal, and a stream without `[DONE]`,
is a failure.

In other words only what the provider knows is answered rightly: THRIFTGATE_WORDINGS names a file with one wording of
a FAQ question in each line, which the benchmark gives to both. Without it a simulated provider makes up an answer to
each new wording, and audits then rightly close the route.

locust rounds to milliseconds and shares this machine's processors with the gateway: latencies of a hit are
measured by `python -m benchmarks.bench`, this shows behaviour under load.
"""

import itertools
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from locust import FastHttpUser, constant, task

from benchmarks.traffic import chat, fresh_wordings, new_questions, questions, zipf_weights

KEY = os.environ.get("THRIFTGATE_KEY", "")
CAPPED_KEY = os.environ.get("THRIFTGATE_CAPPED_KEY", "")
PATH = "/v1/chat/completions"


def _known_wordings() -> Iterator[str] | None:
    path = os.environ.get("THRIFTGATE_WORDINGS")
    return itertools.cycle(Path(path).read_text(encoding="utf-8").splitlines()) if path else None


_QUESTIONS = questions()
_WEIGHTS = list(itertools.accumulate(zipf_weights(len(_QUESTIONS))))
_WORDINGS = _known_wordings() or fresh_wordings(_QUESTIONS, random.Random())
# Two runs against one server should not ask the same: each begins somewhere else.
_NEW = new_questions(random.randrange(9000, 8_000_000))


def _asked_often() -> str:
    """A question of the FAQ, a few of them most of the time."""
    return random.choices(_QUESTIONS, cum_weights=_WEIGHTS)[0]


class _Client(FastHttpUser):
    abstract = True
    wait_time = constant(0)
    key = KEY

    def on_start(self) -> None:
        if not self.key:
            raise SystemExit("Set THRIFTGATE_KEY to a virtual key of the gateway under load.")

    @property
    def _headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.key}"}

    def ask(self, body: dict[str, Any], *, may_be_capped: bool = False) -> None:
        """One JSON request, counted under what happened to it."""
        with self.client.post(PATH, json=body, headers=self._headers, catch_response=True) as response:
            meta = response.request_meta
            meta["request_type"] = "chat"
            if response.status_code == 200:
                meta["name"] = response.headers.get("x-thriftgate-cache", "no header")
                response.success()
            elif may_be_capped and response.status_code == 429 and b"budget_exceeded" in (response.content or b""):
                meta["name"] = "capped"
                response.success()
            else:
                meta["name"] = "refused"
                response.failure(f"status {response.status_code}: {(response.text or '')[:200]}")

    def ask_for_stream(self, body: dict[str, Any]) -> None:
        """One stream: a row for its first byte and one for its end."""
        started = time.perf_counter()
        with self.client.post(PATH, json=body, headers=self._headers, catch_response=True, stream=True) as response:
            meta = response.request_meta
            meta["request_type"] = "chat"
            if response.status_code != 200:
                meta["name"] = "refused"
                response.failure(f"status {response.status_code}: {(response.text or '')[:200]}")
                return
            wire = response._response  # the client's own reader: `iter_content` would wait for a whole kilobyte
            first = wire.read(1)
            first_byte_ms = (time.perf_counter() - started) * 1000
            whole = first + wire.read()
            is_hit = response.headers.get("x-thriftgate-cache") in ("exact", "semantic", "coalesced")
            meta["name"] = "stream hit" if is_hit else "stream miss"
            meta["response_time"] = (time.perf_counter() - started) * 1000
            meta["response_length"] = len(whole)
            if not whole.endswith(b"data: [DONE]\n\n"):
                response.failure("the stream ended without [DONE]")
                return
            response.success()
        self.environment.events.request.fire(
            **{**meta, "name": f"{meta['name']}, first byte", "response_time": first_byte_ms, "response_length": 1}
        )


class RepeatHeavyFaq(_Client):
    """A support bot: the same questions again and again, now and then in words that nobody has used yet."""

    weight = 5

    @task(4)
    def same_words(self) -> None:
        self.ask(chat(_asked_often()))

    @task(1)
    def other_words(self) -> None:
        self.ask(chat(next(_WORDINGS)))


class UniquePrompts(_Client):
    """Nothing is ever asked twice: all misses."""

    weight = 1

    @task
    def new_question(self) -> None:
        self.ask(chat(next(_NEW), system="You sell hardware."))


class Streaming(_Client):
    """Streams, replayed from the cache and live."""

    weight = 2

    @task(3)
    def same_words(self) -> None:
        self.ask_for_stream(chat(_asked_often(), stream=True))

    @task(1)
    def new_question(self) -> None:
        self.ask_for_stream(chat(next(_NEW), system="You sell hardware.", stream=True))


class BudgetCappedTeam(_Client):
    """A team that has spent its budget and goes on asking: 429 with `budget_exceeded` is what it should get."""

    weight = 1 if CAPPED_KEY else 0
    abstract = not CAPPED_KEY
    key = CAPPED_KEY

    @task(3)
    def new_question(self) -> None:
        self.ask(chat(next(_NEW)), may_be_capped=True)

    @task(1)
    def same_words(self) -> None:
        self.ask(chat(_asked_often()), may_be_capped=True)
