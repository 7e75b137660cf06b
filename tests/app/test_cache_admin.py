"""The cache through the admin API of a running gateway: what is forgotten, judged, filled in, moved and shown."""

import base64
import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from app.webhook import TOLERANCE_S, signature, signing_key
from tests.app.configuration import ENVIRONMENT, route, scripted
from tests.app.openai_error import openai_error
from tests.app.provider import Provider, chat_body, json_reply
from tests.running import RunningGateway, eventually, running_gateway

SECRET: Final = "whsec_" + base64.b64encode(bytes(range(32))).decode()
STORED: Final = "Press “Forgot password”; the link is valid for 5 minutes."
FRESH: Final = "Press “Forgot password”; the link is valid for 60 minutes."
QUESTION: Final = "How do I reset my password?"
PARAPHRASE: Final = "How can I reset my password?"
OTHERS: Final = (
    "Which payment methods do you take?",
    "Do you ship spare parts abroad?",
    "How long is the warranty on a router?",
    "Can I pause a subscription?",
)
AUDITED: Final = tuple(f"audited-{number}" for number in range(10))
"""One for each test: what a route has learnt would change what the next test sees."""
ROUTES: Final = (
    route("open", cache='start = "prior"\nmax_wrong_per_hit = 0.2\ntags = ["website"]')
    + "".join(route(name, cache='start = "prior"\nmax_wrong_per_hit = 0.2\naudit_share = 1.0') for name in AUDITED)
    + route("versioned", cache='knowledge_version = "7"')
    + route("closed")
    + route("exact", cache='mode = "exact"')
    + route("off", cache='mode = "off"')
)


def configuration(provider: Provider, cache: str = 'webhook_secret = "env:CMS_SECRET"') -> str:
    return f"{scripted(provider)}[cache]\n{cache}\n{ROUTES}"


@pytest.fixture(scope="module")
def gateway(
    upstream: Provider, tmp_path_factory: pytest.TempPathFactory, encoder_folder: Path
) -> Iterator[RunningGateway]:
    environment = ENVIRONMENT | {"CMS_SECRET": SECRET}
    with running_gateway(tmp_path_factory.mktemp("admin"), configuration(upstream), environment) as gateway:
        yield gateway


@pytest.fixture
def empty(gateway: RunningGateway, provider: Provider) -> RunningGateway:
    """The gateway with nothing stored, and a provider without scripts."""
    gateway.admin("POST", "/admin/cache/invalidate", all=True)
    return gateway


Ask = Callable[..., httpx.Response]


@pytest.fixture
def ask(empty: RunningGateway) -> Ask:
    keys: dict[tuple[str, ...], str] = {}

    def ask(text: str, *, team: str = "support", env: str = "prod", on: str = "open", **fields: Any) -> httpx.Response:
        if (team, env, on) not in keys:
            keys[team, env, on] = empty.key(team=team, env=env, route=on)
        answer = empty.chat(keys[team, env, on], text, **{"model": "large", **fields})
        assert answer.status_code == 200, answer.text
        return answer

    return ask


@pytest.fixture(scope="module")
def unused() -> Iterator[str]:
    return iter(AUDITED)


@pytest.fixture
def audited(unused: Iterator[str]) -> str:
    """A route all of whose hits are audited, and that has learnt nothing yet."""
    return next(unused)


def disposition(answer: httpx.Response) -> str:
    return str(answer.headers["x-thriftgate-cache"])


def content(answer: httpx.Response) -> str:
    return str(answer.json()["choices"][0]["message"]["content"])


def post(gateway: RunningGateway, path: str, body: bytes | Any) -> httpx.Response:
    """As an admin, without expecting that it goes well."""
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    return gateway.request("POST", path, content=sent, headers=admin_headers(gateway))


def admin_headers(gateway: RunningGateway) -> dict[str, str]:
    return {"authorization": f"Bearer {gateway.admin_token}"}


def stored(gateway: RunningGateway) -> int:
    return int(gateway.status()["cache"]["entries"])


def admin_log(gateway: RunningGateway) -> list[tuple[str, str]]:
    with closing(sqlite3.connect(gateway.data_dir / "ledger.db")) as connection:
        found = connection.execute("SELECT action, subject FROM admin_log WHERE action LIKE 'cache %' ORDER BY rowid")
        return found.fetchall()


# --- forgetting ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/admin/cache/invalidate", "/admin/cache/purge"])
@pytest.mark.parametrize(
    ("criteria", "left"),
    [
        ({"route": "open"}, {"sales", "versioned"}),
        ({"team": "support"}, {"sales"}),
        ({"env": "staging"}, {"prod", "sales", "versioned"}),
        ({"tag": "website"}, {"versioned"}),
        ({"knowledge_version": "7"}, {"prod", "staging", "sales"}),
        ({"route": "open", "team": "support"}, {"sales", "versioned"}),
        ({"route": "open", "team": "support", "env": "prod", "tag": "website"}, {"staging", "sales", "versioned"}),
        ({"tag": "website", "knowledge_version": "7"}, {"prod", "staging", "sales", "versioned"}),
        ({"tag": "WEBSITE"}, {"prod", "staging", "sales", "versioned"}),
        ({"team": "support", "all": True}, {"sales"}),
        ({"all": True}, set()),
    ],
)
def test_what_matches_all_that_is_given_is_forgotten(
    empty: RunningGateway, ask: Ask, path: str, criteria: dict[str, Any], left: set[str]
) -> None:
    callers: dict[str, dict[str, str]] = {
        "prod": {},
        "staging": {"env": "staging"},
        "sales": {"team": "sales"},
        "versioned": {"on": "versioned"},
    }
    if criteria in ({"route": "open"}, {"route": "open", "team": "support"}):
        left = left if "team" in criteria else left - {"sales"}
    for caller in callers.values():
        ask(QUESTION, **caller)

    purged = empty.admin("POST", path, **criteria)["purged"]

    assert purged == len(callers) - len(left)
    found = {name for name, caller in callers.items() if disposition(ask(QUESTION, **caller)) == "exact"}
    assert found == left


def test_one_entry_or_its_whole_group_is_forgotten(empty: RunningGateway, ask: Ask, provider: Provider) -> None:
    provider.script("large-2025", *(json_reply(chat_body(text)) for text in (STORED, STORED, FRESH)))
    for question in (QUESTION, "What is to be done about a lost password?", OTHERS[0]):
        ask(question, on="closed")
    one, other = entry(empty, QUESTION), entry(empty, OTHERS[0])

    assert empty.admin("POST", "/admin/cache/invalidate", entry="not there")["purged"] == 0
    assert empty.admin("POST", "/admin/cache/invalidate", entry=other, group=group_of(empty, one))["purged"] == 0
    assert empty.admin("POST", "/admin/cache/invalidate", group=group_of(empty, one))["purged"] == 2
    assert empty.admin("POST", "/admin/cache/invalidate", entry=other)["purged"] == 1
    assert stored(empty) == 0


def entry(gateway: RunningGateway, question: str) -> str:
    """The id of the entry that this question leads to."""
    return next(
        each["id"] for each in entries_of(export(gateway)) if question in [anchor["text"] for anchor in each["anchors"]]
    )


def group_of(gateway: RunningGateway, entry_id: str) -> int:
    with closing(sqlite3.connect(gateway.data_dir / "cache.db")) as connection:
        return int(connection.execute("SELECT group_id FROM entries WHERE id = ?", (entry_id,)).fetchone()[0])


def test_every_purge_is_in_the_admin_log(empty: RunningGateway, ask: Ask) -> None:
    ask(QUESTION)
    empty.admin("POST", "/admin/cache/invalidate", tag="website", team="support")
    assert admin_log(empty)[-1] == ("cache purged", "tag website, team support: 1 entries, by admin")


def test_purging_takes_the_doubts_and_their_texts_along(
    empty: RunningGateway, ask: Ask, provider: Provider, audited: str
) -> None:
    make_doubt(empty, ask, provider, audited)
    empty.admin("POST", "/admin/cache/invalidate", team="support", route=audited)
    assert doubts(empty) == []
    with closing(sqlite3.connect(empty.data_dir / "cache.db")) as connection:
        assert connection.execute("SELECT count(*) FROM doubts").fetchone() == (0,)


# --- the content system's webhook ------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["admin", "webhook"])
def test_a_purge_that_was_answered_survives_a_kill(
    start_gateway: Callable[..., RunningGateway], provider: Provider, by: str
) -> None:
    gateway = start_gateway(configuration(provider), **ENVIRONMENT, CMS_SECRET=SECRET)
    key = gateway.key(route="open")
    gateway.chat(key, QUESTION, model="large")
    gateway.restart()  # the entry is in the file
    for other in OTHERS:
        gateway.chat(key, other, model="large")

    change = {"tags": ["website"]}
    answer = webhook(gateway, change) if by == "webhook" else post(gateway, "/admin/cache/invalidate", {"all": True})
    gateway.kill()
    gateway.start()

    assert answer.json() == {"purged": 1 + len(OTHERS)}
    assert stored(gateway) == 0


def test_a_purge_that_the_file_does_not_take_says_so(
    start_gateway: Callable[..., RunningGateway], provider: Provider
) -> None:
    gateway = start_gateway(configuration(provider), **ENVIRONMENT, CMS_SECRET=SECRET)
    key = gateway.key(route="open")
    gateway.chat(key, QUESTION, model="large")
    gateway.restart()
    with closing(sqlite3.connect(gateway.data_dir / "cache.db")) as connection:
        connection.execute("ALTER TABLE anchors RENAME TO elsewhere")
        error = openai_error(webhook(gateway, {"tags": ["website"]}, webhook_id="msg_again"), 503, "purge_unwritten")
        assert "purge again" in error["message"]
        assert disposition(gateway.chat(key, QUESTION, model="large")) == "miss"
        connection.execute("ALTER TABLE elsewhere RENAME TO anchors")
    assert webhook(gateway, {"tags": ["website"]}, webhook_id="msg_again").json() == {"purged": 1}


_ids = iter(range(10**6))


def webhook(
    gateway: RunningGateway, body: bytes | Any, *, webhook_id: str | None = None, late_s: int = 0, **other: str
) -> httpx.Response:
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    webhook_id = webhook_id or f"msg_{next(_ids)}"
    at = str(int(time.time()) - late_s)
    headers = {
        "webhook-id": webhook_id,
        "webhook-timestamp": at,
        "webhook-signature": signature(signing_key(SECRET), webhook_id, at, sent),
    }
    return gateway.request("POST", "/webhooks/cms", content=sent, headers=headers | other)


@pytest.mark.parametrize(
    ("change", "purged"),
    [
        ({"tags": ["website"]}, 3),
        ({"tags": ["website", "other"]}, 3),
        ({"tags": ["other"]}, 0),
        ({"routes": ["open", "versioned"]}, 4),
        ({"routes": ["versioned"], "tags": ["website"]}, 0),
        ({"tags": ["website"], "routes": ["open", "closed"]}, 3),
        ({"knowledge_version": "7"}, 1),
        ({"entries": ["none", "neither"]}, 0),
    ],
)
def test_a_signed_webhook_forgets_what_has_changed(
    empty: RunningGateway, ask: Ask, change: dict[str, Any], purged: int
) -> None:
    for caller in ({}, {"env": "staging"}, {"team": "sales"}, {"on": "versioned"}):
        ask(QUESTION, **caller)

    answer = webhook(empty, change)

    assert (answer.status_code, answer.json()) == (200, {"purged": purged})
    assert stored(empty) == 4 - purged
    if purged:
        assert admin_log(empty)[-1][1].endswith("entries, by webhook")


def test_a_webhook_names_entries_as_the_answers_headers_do(empty: RunningGateway, ask: Ask) -> None:
    ask(QUESTION)
    hit = ask(QUESTION)
    assert webhook(empty, {"entries": [hit.headers["x-thriftgate-entry"]]}).json() == {"purged": 1}
    assert disposition(ask(QUESTION)) == "miss"


def test_a_webhook_with_a_bad_signature_changes_nothing(empty: RunningGateway, ask: Ask) -> None:
    ask(QUESTION)
    change = {"tags": ["website"]}
    for answer in (
        webhook(empty, change, **{"webhook-signature": "v1," + base64.b64encode(bytes(32)).decode()}),
        webhook(empty, change, **{"webhook-id": "another"}),
        webhook(empty, change, late_s=TOLERANCE_S + 60),
        webhook(empty, change, late_s=-TOLERANCE_S - 60),
        empty.request("POST", "/webhooks/cms", json=change),
        empty.request("POST", "/webhooks/cms", json=change, headers=admin_headers(empty)),
    ):
        error = openai_error(answer, 403, "invalid_webhook_signature")
        assert SECRET not in error["message"]
    assert stored(empty) == 1


def test_a_webhook_is_obeyed_once_and_its_sender_hears_of_success_each_time(empty: RunningGateway, ask: Ask) -> None:
    """Standard Webhooks: whatever is answered otherwise than with 2xx is sent again and again."""
    assert webhook(empty, {"tags": ["website"]}, webhook_id="msg_replayed").status_code == 200
    ask(QUESTION)
    again = webhook(empty, {"tags": ["website"]}, webhook_id="msg_replayed")
    assert (again.status_code, again.json()) == (200, {"purged": 0, "repeated": True})
    assert stored(empty) == 1


@pytest.mark.parametrize("how", ["restart", "kill"])
def test_a_webhook_is_obeyed_once_whatever_befalls_the_server(
    start_gateway: Callable[..., RunningGateway], provider: Provider, how: str
) -> None:
    gateway = start_gateway(configuration(provider), **ENVIRONMENT, CMS_SECRET=SECRET)
    key = gateway.key(route="open")
    body, at = json.dumps({"tags": ["website"]}).encode(), str(int(time.time()))
    headers = {"webhook-id": "msg_1", "webhook-timestamp": at}
    headers["webhook-signature"] = signature(signing_key(SECRET), "msg_1", at, body)

    def deliver() -> httpx.Response:
        return gateway.request("POST", "/webhooks/cms", content=body, headers=headers)

    assert deliver().status_code == 200
    if how == "restart":
        gateway.stop()
    else:
        gateway.kill()
    gateway.start()
    assert disposition(gateway.chat(key, QUESTION, model="large")) == "miss"
    assert deliver().json() == {"purged": 0, "repeated": True}
    assert disposition(gateway.chat(key, QUESTION, model="large")) == "exact"
    signed_before = webhook(gateway, {"tags": ["website"]}, late_s=TOLERANCE_S - 60)  # before the server had begun
    assert signed_before.json() == {"purged": 1}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        {},
        {"tags": []},
        {"tags": "website"},
        {"tags": [""]},
        {"tags": ["x" * 201]},
        {"tag": "website"},
        {"tags": [f"tag-{n}" for n in range(101)]},
        {"tags": [f"tag-{n}" for n in range(20)], "routes": [f"route-{n}" for n in range(20)]},
        {"tags": ["x"] * 5000, "entries": ["x"] * 5000, "routes": ["x"] * 5000},
    ],
)
def test_a_signed_webhook_that_says_nothing_useful_is_refused_and_may_be_mended(
    empty: RunningGateway, ask: Ask, body: bytes | Any
) -> None:
    ask(QUESTION)
    webhook_id = f"msg_mended_{next(_ids)}"
    openai_error(webhook(empty, body, webhook_id=webhook_id), 400)
    assert stored(empty) == 1
    assert webhook(empty, {"tags": ["website"]}, webhook_id=webhook_id).json() == {"purged": 1}


def test_without_a_secret_there_is_no_webhook(start_gateway: Callable[..., RunningGateway], provider: Provider) -> None:
    gateway = start_gateway(configuration(provider, cache=""), **ENVIRONMENT)
    error = openai_error(webhook(gateway, {"tags": ["website"]}), 404, "not_found")
    assert "webhook_secret" in error["message"]


def test_the_webhooks_secret_is_nowhere_in_the_log(gateway: RunningGateway) -> None:
    assert SECRET not in gateway.log


# --- trust -----------------------------------------------------------------------------------------------------


def doubts(gateway: RunningGateway, query: str = "") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = gateway.admin("GET", f"/admin/cache/doubts{query}")
    return found


def make_doubt(gateway: RunningGateway, ask: Ask, provider: Provider, audited: str) -> dict[str, Any]:
    """A semantic hit whose audit found another answer."""
    provider.script("large-2025", json_reply(chat_body(STORED)), json_reply(chat_body(FRESH)))
    ask(QUESTION, on=audited)
    hit = ask(PARAPHRASE, on=audited)
    assert (disposition(hit), content(hit)) == ("semantic", STORED), dict(hit.headers)
    (found,) = eventually(lambda: doubts(gateway, f"?route={audited}"))
    return dict(found)


def test_every_route_has_a_certificate_or_says_why_not(empty: RunningGateway) -> None:
    found = empty.admin("GET", "/admin/cache/certificates")

    assert set(found) == {"open", "versioned", "closed", "exact", "off", *AUDITED}
    assert found["off"] == {"mode": "off", "start": "closed", "doubts": 0, "certificate": None}
    assert found["exact"]["certificate"] is None
    assert found["closed"]["certificate"]["state"] == "learning"
    assert found["open"]["certificate"]["state"] == "uncertified"
    assert found["closed"]["certificate"]["kappa"] is None
    assert found["closed"]["certificate"]["max_wrong"] == 0.01
    assert found["open"]["certificate"]["reason"].endswith(".")
    assert empty.status()["certificates"].keys() == found.keys()


def test_a_wrong_hit_is_listed_with_both_prompts_and_both_answers(
    empty: RunningGateway, ask: Ask, provider: Provider, audited: str
) -> None:
    doubt = make_doubt(empty, ask, provider, audited)

    assert (doubt["asked"], doubt["stored_question"]) == (PARAPHRASE, QUESTION)
    assert (doubt["stored_answer"], doubt["fresh_answer"]) == (STORED, FRESH)
    assert (doubt["verdict"], doubt["route"], doubt["team"], doubt["ruling"]) == ("wrong", audited, "support", None)
    assert 0 < doubt["p"] < 1
    found = empty.admin("GET", "/admin/cache/certificates")[audited]
    assert (found["doubts"], found["certificate"]["audited"], found["certificate"]["wrong"]) == (1, 1, 1)


def test_doubts_are_listed_by_route_and_newest_first(
    empty: RunningGateway, ask: Ask, provider: Provider, unused: Iterator[str]
) -> None:
    routes = [next(unused), next(unused)]
    first, second = [make_doubt(empty, ask, provider, audited) for audited in routes]

    assert doubts(empty) == [second, first]
    assert doubts(empty, "?limit=1") == [second]
    assert doubts(empty, f"?route={routes[0]}&limit=1000") == [first]
    assert doubts(empty, "?route=no%20such") == []


@pytest.mark.parametrize("limit", ["", "0", "-1", "1001", "ten", "1e2", "٣", "9" * 30])
def test_a_limit_is_a_small_whole_number(empty: RunningGateway, limit: str) -> None:
    answer = empty.request("GET", f"/admin/cache/doubts?limit={limit}", headers=admin_headers(empty))
    openai_error(answer, 400, param="limit")


def test_a_person_rules_on_a_doubt(empty: RunningGateway, ask: Ask, provider: Provider, audited: str) -> None:
    doubt = make_doubt(empty, ask, provider, audited)
    path = f"/admin/cache/doubts/{doubt['id']}"

    assert empty.admin("POST", path, ruling="right") == {"id": doubt["id"], "ruling": "right"}

    assert doubt["id"] not in [each["id"] for each in doubts(empty)]
    assert admin_log(empty)[-1] == ("cache hit judged", f"doubt {doubt['id']}: right")


@pytest.mark.parametrize("doubt_id", ["999999", "0", "-1", "x", "1.5", "٣", "9" * 30, "%00"])
def test_an_unknown_doubt_is_not_found(empty: RunningGateway, doubt_id: str) -> None:
    error = openai_error(post(empty, f"/admin/cache/doubts/{doubt_id}", {"ruling": "right"}), 404, "not_found")
    assert "inspect" in error["message"]


# --- warming ---------------------------------------------------------------------------------------------------

FAQ: Final = [
    {"question": QUESTION, "answer": STORED, "tags": ["login"]},
    {"question": "What does plan 500 cost?", "answer": "$39 a month.", "source": "prices.csv:7"},
]


def test_curated_answers_serve_whatever_the_model_and_its_parameters_are(
    empty: RunningGateway, ask: Ask, provider: Provider
) -> None:
    assert empty.admin("POST", "/admin/cache/warm", team="support", route="open", items=FAQ) == {
        "stored": 2,
        "purged": 0,
    }

    for answer in (
        ask(QUESTION),
        ask(QUESTION, model="small", temperature=0.3),
        ask(QUESTION, env="staging"),
        ask(QUESTION, messages=[{"role": "system", "content": "Be nice."}, {"role": "user", "content": QUESTION}]),
    ):
        assert (disposition(answer), content(answer)) == ("exact", FAQ[0]["answer"])
        assert answer.headers["x-thriftgate-model"] == "curated"
    assert provider.calls == []
    for caller in ({"team": "sales"}, {"on": "versioned"}):
        assert disposition(ask(QUESTION, **caller)) == "miss"


def test_a_paraphrase_of_a_curated_question_is_served_semantically(empty: RunningGateway, ask: Ask) -> None:
    empty.admin("POST", "/admin/cache/warm", team="support", route="open", items=FAQ)
    answer = ask(PARAPHRASE)
    assert (disposition(answer), content(answer)) == ("semantic", FAQ[0]["answer"])


def test_a_curated_answer_is_streamed_like_any_other(empty: RunningGateway, ask: Ask) -> None:
    empty.admin("POST", "/admin/cache/warm", team="support", route="open", items=FAQ)
    answer = ask(QUESTION, stream=True)
    assert disposition(answer) == "exact"
    assert answer.content.endswith(b"data: [DONE]\n\n")


def test_warming_again_replaces_and_keeps_the_rest(empty: RunningGateway, ask: Ask) -> None:
    empty.admin("POST", "/admin/cache/warm", team="support", route="open", items=FAQ)
    newer = [{"question": QUESTION + " ", "answer": "Ask the hotline."}]
    empty.admin("POST", "/admin/cache/warm", team="support", route="open", items=newer)

    assert stored(empty) == 2
    assert content(ask(QUESTION)) == "Ask the hotline."
    assert content(ask(str(FAQ[1]["question"]))) == FAQ[1]["answer"]
    assert admin_log(empty)[-1] == ("cache warmed", "team support, route open: 1 entries")


def test_what_was_purged_since_warming_began_is_left_out(empty: RunningGateway) -> None:
    began_us = int(time.time() * 1e6)
    empty.admin("POST", "/admin/cache/invalidate", tag="login")
    wanted: dict[str, Any] = {"team": "support", "route": "open", "items": FAQ}
    stored_since = empty.admin("POST", "/admin/cache/warm", **wanted, since_us=began_us)
    assert stored_since == {"stored": 1, "purged": 1}
    assert empty.admin("POST", "/admin/cache/warm", **wanted) == {"stored": 2, "purged": 0}


def test_curated_answers_survive_a_restart_and_go_by_tag(empty: RunningGateway, ask: Ask) -> None:
    empty.admin("POST", "/admin/cache/warm", team="support", route="open", items=FAQ)
    empty.restart()

    assert content(ask(QUESTION)) == FAQ[0]["answer"]
    assert empty.admin("POST", "/admin/cache/invalidate", tag="login")["purged"] == 1
    assert disposition(ask(QUESTION)) == "miss"


def test_a_curated_answer_ends_with_its_time(empty: RunningGateway, ask: Ask) -> None:
    item = {"question": QUESTION, "answer": "Only for a moment.", "ttl_s": 1}
    empty.admin("POST", "/admin/cache/warm", team="support", route="open", items=[item])
    eventually(lambda: content(ask(QUESTION)) != "Only for a moment.")


def test_a_route_without_cache_takes_no_curated_answers(empty: RunningGateway) -> None:
    body = {"team": "support", "route": "off", "items": FAQ}
    openai_error(post(empty, "/admin/cache/warm", body), 400, param="route")


def test_one_bad_item_is_named_and_nothing_is_stored(empty: RunningGateway) -> None:
    items = [*FAQ, {"question": " ", "answer": "So."}]
    error = openai_error(post(empty, "/admin/cache/warm", {"team": "support", "route": "open", "items": items}), 400)
    assert error["param"] == "items[2]"
    assert stored(empty) == 0


# --- out and in ------------------------------------------------------------------------------------------------


def export(gateway: RunningGateway) -> bytes:
    answer = gateway.request("GET", "/admin/cache/export", headers=admin_headers(gateway))
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/x-ndjson")
    return answer.content


def entries_of(exported: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in exported.splitlines()[1:]]


def take_in(gateway: RunningGateway, exported: bytes) -> dict[str, int]:
    answer = post(gateway, "/admin/cache/import", exported)
    assert answer.status_code == 200, answer.text
    return {name: count for name, count in answer.json().items() if count}


def test_what_was_exported_serves_again_after_an_import(empty: RunningGateway, ask: Ask, provider: Provider) -> None:
    empty.admin("POST", "/admin/cache/warm", team="support", route="open", items=FAQ[1:])
    texts = {question: content(ask(question)) for question in (QUESTION, *OTHERS)}
    calls = len(provider.calls)
    before = empty.status()["cache"] | {"bytes": 0}
    exported = export(empty)
    empty.admin("POST", "/admin/cache/invalidate", all=True)

    assert take_in(empty, exported) == {"imported": 6}
    assert empty.status()["cache"] | {"bytes": 0} == before

    for question, text in texts.items():
        answer = ask(question)
        assert (disposition(answer), content(answer)) == ("exact", text)
    assert content(ask(str(FAQ[1]["question"]), model="small")) == FAQ[1]["answer"]
    assert len(provider.calls) == calls
    assert {each["id"] for each in entries_of(export(empty))} == {each["id"] for each in entries_of(exported)}
    assert disposition(ask(QUESTION, team="sales")) == "miss"


def test_what_was_imported_is_found_by_its_meaning(empty: RunningGateway, ask: Ask) -> None:
    text = content(ask(QUESTION))
    exported = export(empty)
    empty.admin("POST", "/admin/cache/invalidate", all=True)
    take_in(empty, exported)

    answer = ask(PARAPHRASE)

    assert (disposition(answer), content(answer)) == ("semantic", text)


def test_an_export_keeps_scope_age_and_expiry_and_has_no_vectors(empty: RunningGateway, ask: Ask) -> None:
    ask(QUESTION)
    before = export(empty)
    empty.admin("POST", "/admin/cache/invalidate", all=True)
    take_in(empty, before)

    assert export(empty) == before
    (found,) = entries_of(before)
    assert found["anchors"] == [{"text": QUESTION, "is_quarantined": False}]
    assert json.loads(base64.b64decode(found["payload"]))["body"]["object"] == "chat.completion"
    assert not {"vector", "encoder", "vectors"} & found.keys()


def test_importing_twice_stores_nothing_twice(empty: RunningGateway, ask: Ask) -> None:
    ask(QUESTION)
    exported = export(empty)
    assert take_in(empty, exported) == {"present": 1}
    assert stored(empty) == 1


def test_a_newer_answer_is_not_replaced_by_an_imported_one(empty: RunningGateway, ask: Ask) -> None:
    ask(QUESTION)
    exported = export(empty)
    newer = (
        ask(QUESTION, cache_control_is=None)
        if False
        else empty.chat(empty.key(route="open"), QUESTION, model="large", headers={"cache-control": "no-cache"})
    )
    assert take_in(empty, exported) == {"present": 1}
    assert content(ask(QUESTION)) == content(newer)


def test_what_was_quarantined_stays_so(empty: RunningGateway, ask: Ask, provider: Provider, audited: str) -> None:
    make_doubt(empty, ask, provider, audited)
    exported = export(empty)
    assert [anchor["is_quarantined"] for each in entries_of(exported) for anchor in each["anchors"]].count(True) == 1
    empty.admin("POST", "/admin/cache/invalidate", all=True)
    take_in(empty, exported)
    assert export(empty) == exported


def test_what_has_expired_or_has_no_route_here_is_left_out(empty: RunningGateway, ask: Ask) -> None:
    ask(QUESTION)
    head, line = export(empty).splitlines()
    empty.admin("POST", "/admin/cache/invalidate", all=True)
    known = json.loads(line)
    lines = [json.dumps(known | {"id": "a", "expires_us": 5}), json.dumps(known | {"id": "b", "route": "gone"})]
    assert take_in(empty, b"\n".join([head, *(each.encode() for each in lines)])) == {"expired": 1, "unknown-route": 1}
    assert stored(empty) == 0


def broken_exports(exported: bytes) -> dict[str, bytes]:
    head, line = exported.splitlines()
    known = json.loads(line)

    def entry_with(**fields: Any) -> bytes:
        return head + b"\n" + line + b"\n" + json.dumps(known | {"id": "new"} | fields).encode()

    return {
        "no head": line,
        "another format": head.replace(b"thriftgate-cache", b"other") + b"\n" + line,
        "a later version": head.replace(b'"version":1', b'"version":2') + b"\n" + line,
        "other scopes": head.replace(b'"scope_version":', b'"scope_version":9') + b"\n" + line,
        "half a line": head + b"\n" + line + b"\n" + line[:50],
        "a payload that is no answer": entry_with(payload=base64.b64encode(b'{"body":{},"usage":{}}').decode()),
        "a payload that is no json": entry_with(payload="AAAA"),
        "a payload that is no base64": entry_with(payload="??"),
        "a short scope": entry_with(scope="AAAA"),
        "no question": entry_with(anchors=[]),
        "no id": entry_with(id=""),
        "an endless id": entry_with(id="x" * 201),
        "a tier that no model has": entry_with(tier=9),
        "a number that no file holds": entry_with(worth=2**63),
        "a time before all times": entry_with(created_us=-1),
        "a field of later days": entry_with(colour="red"),
        "deep": head + b"\n" + b"[" * 100_000,
        "not utf-8": head + b"\n" + line.replace(b"password", b"pass\xff"),
    }


def test_a_broken_export_is_refused_whole(empty: RunningGateway, ask: Ask) -> None:
    ask(QUESTION)
    exported = export(empty)
    empty.admin("POST", "/admin/cache/invalidate", all=True)
    for name, broken in broken_exports(exported).items():
        error = openai_error(post(empty, "/admin/cache/import", broken), 400)
        assert stored(empty) == 0, name
        if "version" in name or "scopes" in name:
            assert "form" in error["message"]
    assert take_in(empty, exported) == {"imported": 1}


def test_an_export_under_traffic_is_whole(empty: RunningGateway, ask: Ask) -> None:
    questions = [f"What is the price of article number {number}?" for number in range(100)]
    with ThreadPoolExecutor(8) as pool:
        asking = pool.map(ask, questions)
        exports = [export(empty) for _ in range(5)]
        list(asking)
    for exported in [*exports, export(empty)]:
        found = entries_of(exported)
        assert len({each["id"] for each in found}) == len(found)
    assert len(entries_of(export(empty))) == stored(empty)


# --- metrics ---------------------------------------------------------------------------------------------------


def samples(gateway: RunningGateway) -> dict[str, float]:
    text = gateway.request("GET", "/metrics").text
    lines = [line.rpartition(" ") for line in text.splitlines() if line.startswith("thriftgate_cache")]
    return {name: float(value) for name, _, value in lines}


def test_metrics_show_how_far_each_route_can_be_trusted(
    empty: RunningGateway, ask: Ask, provider: Provider, audited: str
) -> None:
    make_doubt(empty, ask, provider, audited)
    after = samples(empty)

    for name in ("hits_audited", "hits_wrong", "doubts_open"):
        assert after[f'thriftgate_cache_{name}{{route="{audited}"}}'] == 1
    assert after['thriftgate_cache_kappa{route="closed"}'] == float("inf")
    assert 0 < after['thriftgate_cache_kappa{route="open"}'] < 1
    assert after['thriftgate_cache_budget{route="closed"}'] == 0.01
    for name in ("bound", "bound_with_unclear"):
        assert 0 < after[f'thriftgate_cache_{name}{{route="open"}}'] <= 1
    assert after['thriftgate_cache_state{route="closed",state="learning"}'] == 1
    assert sum(value for name, value in after.items() if name.startswith('thriftgate_cache_state{route="closed"')) == 1
    assert 'thriftgate_cache_kappa{route="exact"}' not in after
    assert after["thriftgate_cache_entries"] == stored(empty)
    assert after["thriftgate_cache_groups"] >= 1
    assert after["thriftgate_cache_bytes"] > 0
