"""Audits of semantic hits, refreshes and complaints: through the running server, with every call that they make."""

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from router.ledger.row import LedgerRow
from tests.app.configuration import ENVIRONMENT, budget, route, scripted
from tests.app.provider import CUT, Provider, chat_body, error_reply, json_reply, stream_reply, streamed
from tests.running import RunningGateway, eventually, running_gateway

NEVER_RATIONED = {"mid_from": 2.0, "economy_from": 3.0}
WORDINGS = ("How do I reset my password?", "How can I reset a password?", "How could I reset my password?")
NEAR = "How can I reset my password?"
RIGHT = "Choose “Forgot password” on the sign-in page and follow the link that we email you within 5 minutes."
REWORDED = "Sure! " + RIGHT
WRONG = "Choose “Forgot password” on the sign-in page and follow the link that we email you within 90 minutes."
DIFFERENTLY_WORDED = (
    "Open the sign-in page, use the option for a lost password, and open the link in the message we send."
)
COST = 12 * 10_000 + 7 * 40_000  # of one scripted answer of `large`
WORST = 60_000_000  # more than one request without an output limit may cost

PRIOR = 'start = "prior"'
PLACES = 19
CONFIGURATION = (
    "".join(route(f"place{number}", cache=PRIOR) for number in range(PLACES))
    + route("lenient", cache=f"{PRIOR}\nmax_wrong_per_hit = 0.2")
    + route("auto", cache=PRIOR, floor="economy", clamp_output=True, baseline="large", strategy="pinned")
    + route("stale", cache=f"{PRIOR}\nttl_s = 1\nstale_while_revalidate_s = 3600")
    + "".join(
        route(f"judged-{says}", cache=f"{PRIOR}\naudit_share = 1.0", judge="medium")
        for says in ("true", "false", "maybe")
    )
    + budget("teams.counted", 10**12, audits_share=0.5, **NEVER_RATIONED)
    + budget("teams.thrifty", 10**12, audits_share=0.0, **NEVER_RATIONED)
    + budget("teams.short", 4 * WORST, audits_share=0.01, **NEVER_RATIONED)
    + budget("teams.used", 10**9, audits_share=0.0023, **NEVER_RATIONED)
    + budget("teams.rationed", 10**9, audits_share=0.5, mid_from=0.001, economy_from=3.0)
)
Ask = Callable[..., httpx.Response]


@pytest.fixture(scope="module")
def gateway(
    upstream: Provider, tmp_path_factory: pytest.TempPathFactory, encoder_folder: Path
) -> Iterator[RunningGateway]:
    with running_gateway(tmp_path_factory.mktemp("audits"), scripted(upstream) + CONFIGURATION, ENVIRONMENT) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def unused() -> Iterator[str]:
    """Routes, each for one test: what audits say of a route stays with it."""
    return iter([f"place{number}" for number in range(PLACES)])


@pytest.fixture
def place(unused: Iterator[str]) -> str:
    return next(unused)


@pytest.fixture
def ask(gateway: RunningGateway, provider: Provider) -> Ask:
    """Asks `large`, unless told otherwise, with nothing stored before the test."""
    gateway.admin("POST", "/admin/cache/purge", all=True)
    keys: dict[tuple[str, str], str] = {}

    def ask(text: str, on: str, *, team: str = "support", **fields: Any) -> httpx.Response:
        if (team, on) not in keys:
            keys[team, on] = gateway.key(team=team, route=on)
        return gateway.chat(keys[team, on], text, **{"model": "large", **fields})

    return ask


@pytest.fixture
def teach(ask: Ask, gateway: RunningGateway, provider: Provider) -> Callable[..., None]:
    """Stores one answer to three wordings of a question, so that a fourth is served. Afterwards no call is noted."""

    def teach(on: str, *, team: str = "support", **fields: Any) -> None:
        for name in ("large", "medium", "small"):
            provider.script(f"{name}-2025", json_reply(chat_body(RIGHT)))
        for wording in WORDINGS:
            ask(wording, on, team=team, headers={"cache-control": "no-cache"}, **fields)

        def is_linked() -> bool:
            found = gateway.status()["cache"]
            return (found["entries"], found["groups"]) == (len(WORDINGS), 1)

        eventually(is_linked)
        provider.reset()

    return teach


def answers(provider: Provider, *texts: str, model: str = "large-2025") -> None:
    """What the next calls are answered with."""
    provider.script(model, *(json_reply(chat_body(text)) for text in texts))


def how(answer: httpx.Response) -> str:
    assert answer.status_code == 200, answer.text
    return str(answer.headers["x-thriftgate-cache"])


def content(answer: httpx.Response) -> str:
    return str(answer.json()["choices"][0]["message"]["content"])


def follow_up(gateway: RunningGateway, hit: httpx.Response, kind: str = "audit") -> LedgerRow:
    """The row of what followed this hit, as soon as it is there."""
    return gateway.row(kind=kind, refers_to=hit.headers["x-request-id"])


def certificate(gateway: RunningGateway, on: str) -> dict[str, Any]:
    """What is known of the route, counts and all."""
    found = gateway.admin("GET", "/admin/cache/certificates")[on]
    return dict(found.get("certificate") or found)


def doubts(gateway: RunningGateway, on: str) -> list[dict[str, Any]]:
    return list(gateway.admin("GET", f"/admin/cache/doubts?route={on}"))


# --- An audit ---------------------------------------------------------------------------------------------------


def test_a_hit_is_followed_by_the_same_question_to_the_model_that_a_miss_would_have_used(
    ask: Ask, teach: Callable[..., None], gateway: RunningGateway, provider: Provider, place: str
) -> None:
    teach(place, temperature=0.2)
    answers(provider, REWORDED)

    hit = ask(NEAR, place, temperature=0.2)

    assert (how(hit), content(hit)) == ("semantic", RIGHT)
    row = follow_up(gateway, hit)
    (call,) = provider.calls
    assert (call.received.model, call.received.text, call.received.json["temperature"]) == ("large-2025", NEAR, 0.2)
    assert (row.verdict, row.status, row.served_model, row.team) == ("same", "ok", "large", "support")
    assert (row.actual_nano, row.overhead_nano, row.overhead_reason) == (COST, COST, "audit")
    assert row.baseline_nano is None
    assert gateway.row(request_id=hit.headers["x-request-id"]).actual_nano == 0
    found = certificate(gateway, place)
    assert (found["hits"], found["audited"], found["wrong"]) == (1, 1, 0)
    assert doubts(gateway, place) == []


def test_an_audit_is_overhead_in_the_savings_report_and_the_ledger_verifies(
    ask: Ask, teach: Callable[..., None], gateway: RunningGateway, provider: Provider, place: str
) -> None:
    team = "reported"
    teach(place, team=team)
    answers(provider, RIGHT)
    hit = ask(NEAR, place, team=team)
    follow_up(gateway, hit)

    report = gateway.command("report", "savings", "--team", team, "--format", "json")
    verified = gateway.command("ledger", "verify")

    assert report.returncode == 0, report.stderr
    assert verified.returncode == 0, verified.stdout
    assert "verifies" in verified.stdout
    total = json.loads(report.stdout)["total"]
    assert (total["overhead_audit_nano"], total["overhead_nano"]) == (COST, COST)
    assert total["requests"] == len(gateway.rows(team=team, kind="request")) == len(WORDINGS) + 1


def test_the_client_does_not_wait_for_the_audit(
    ask: Ask, teach: Callable[..., None], gateway: RunningGateway, provider: Provider, place: str
) -> None:
    teach(place)
    gate = provider.gate()
    provider.script("large-2025", [gate, *json_reply(chat_body(RIGHT))])

    hit = ask(NEAR, place)

    assert (how(hit), content(hit)) == ("semantic", RIGHT)
    eventually(lambda: gate.arrived)
    assert gateway.rows(kind="audit", refers_to=hit.headers["x-request-id"]) == []
    gate.open()
    assert follow_up(gateway, hit).verdict == "same"


@pytest.mark.parametrize("streams", [False, True])
def test_a_hit_is_audited_in_the_form_in_which_it_was_asked(
    ask: Ask, teach: Callable[..., None], gateway: RunningGateway, provider: Provider, streams: bool
) -> None:
    on, team = "auto", f"team-{streams}"
    teach(on, team=team)
    provider.script(
        "large-2025", stream_reply(streamed([RIGHT[:20], RIGHT[20:]])) if streams else json_reply(chat_body(RIGHT))
    )
    hit = ask(NEAR, on, team=team, stream=streams)
    assert how(hit) == "semantic"
    assert follow_up(gateway, hit).verdict == "same"
    assert provider.calls[-1].received.streams is streams


def test_an_audit_is_no_request_in_the_metrics(
    ask: Ask, teach: Callable[..., None], gateway: RunningGateway, provider: Provider, place: str
) -> None:
    team = "metered"
    teach(place, team=team)
    answers(provider, RIGHT)
    follow_up(gateway, ask(NEAR, place, team=team))

    lines = gateway.request("GET", "/metrics").text.splitlines()

    counted = [line for line in lines if line.startswith("thriftgate_requests_total") and f'team="{team}"' in line]
    assert sum(float(line.rpartition(" ")[2]) for line in counted) == len(WORDINGS) + 1


# --- A wrong hit ------------------------------------------------------------------------------------------------


def test_a_wrong_hit_is_listed_with_both_prompts_and_the_fresh_answer_is_served_from_then_on(
    ask: Ask, teach: Callable[..., None], gateway: RunningGateway, provider: Provider, place: str
) -> None:
    teach(place)
    answers(provider, WRONG)
    hit = ask(NEAR, place)

    assert follow_up(gateway, hit).verdict == "different"
    (doubt,) = doubts(gateway, place)
    assert doubt["asked"] == NEAR
    assert doubt["stored_question"] in WORDINGS
    assert (doubt["stored_answer"], doubt["fresh_answer"]) == (RIGHT, WRONG)
    assert doubt["request_id"] == hit.headers["x-request-id"]
    assert certificate(gateway, place)["wrong"] == 1
    again = ask(NEAR, place)
    assert (how(again), content(again)) == ("exact", WRONG)
    only = {"cache-control": "only-if-cached"}
    blamed = ask(doubt["stored_question"], place, headers=only)
    assert blamed.status_code == 504 or how(blamed) == "semantic"  # its own anchor is in quarantine

    gateway.admin("POST", f"/admin/cache/doubts/{doubt['id']}", ruling="right")
    assert how(ask(doubt["stored_question"], place, headers=only)) == "exact"
    assert doubts(gateway, place) == []


def test_what_was_purged_while_it_was_audited_leaves_no_trace(
    ask: Ask, teach: Callable[..., None], gateway: RunningGateway, provider: Provider, place: str
) -> None:
    teach(place)
    gate = provider.gate()
    provider.script("large-2025", [gate, *json_reply(chat_body(WRONG))])
    hit = ask(NEAR, place)
    eventually(lambda: gate.arrived)
    gateway.admin("POST", "/admin/cache/purge", route=place)
    gate.open()

    row = follow_up(gateway, hit)
    assert (row.verdict, row.status, row.actual_nano) == (None, "ok", COST)
    assert doubts(gateway, place) == []
    assert gateway.status()["cache"]["entries"] == 0
    found = certificate(gateway, place)
    assert (found["audited"], found["failed"]) == (0, 1)


def test_an_audit_that_fails_is_no_evidence_and_costs_no_hit(
    ask: Ask, teach: Callable[..., None], gateway: RunningGateway, provider: Provider, place: str
) -> None:
    teach(place)
    for name in ("large", "medium", "small"):
        provider.script(f"{name}-2025", error_reply(503))
    hit = ask(NEAR, place)

    row = follow_up(gateway, hit)
    assert (how(hit), row.status, row.verdict) == ("semantic", "upstream_error", None)
    found = certificate(gateway, place)
    assert (found["audited"], found["failed"], found["wrong"]) == (0, 1, 0)
    assert how(ask(NEAR, place)) == "semantic"


def test_evidence_survives_a_restart(start_gateway: Callable[..., RunningGateway], provider: Provider) -> None:
    gateway = start_gateway(scripted(provider) + route("default", cache=PRIOR), **ENVIRONMENT)
    key = gateway.key()
    answers(provider, RIGHT)
    for wording in WORDINGS:
        gateway.chat(key, wording, model="large", headers={"cache-control": "no-cache"})
    eventually(lambda: gateway.status()["cache"]["groups"] == 1)
    answers(provider, WRONG)
    hit = gateway.chat(key, NEAR, model="large")
    assert follow_up(gateway, hit).verdict == "different"

    gateway.restart()

    found = certificate(gateway, "default")
    assert (found["hits"], found["audited"], found["wrong"]) == (1, 1, 1)
    assert len(doubts(gateway, "default")) == 1
    assert how(gateway.chat(key, NEAR, model="large")) == "exact"
    looser = gateway.command("replay", "--max-wrong-per-hit", "0.05", "--json")
    assert looser.returncode == 0, looser.stderr
    (replayed,) = json.loads(looser.stdout)["cache"]
    assert (replayed["recorded"]["hits"], replayed["recorded"]["labelled_wrong"]) == (1, 1)
    unknown = gateway.command("replay", "--max-wrong-per-hit", "0.05", "--route", "gone")
    assert (unknown.returncode, unknown.stdout) == (2, "")
    assert "There is no route `gone`" in unknown.stderr


# --- A judge's second opinion -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("says", "verdict"), [("true", "same"), ("false", "different"), ("maybe", "unclear")])
def test_what_words_cannot_tell_the_judge_decides(
    ask: Ask, teach: Callable[..., None], gateway: RunningGateway, provider: Provider, says: str, verdict: str
) -> None:
    on = f"judged-{says}"
    teach(on)
    provider.script("large-2025", json_reply(chat_body(DIFFERENTLY_WORDED)))
    provider.script("medium-2025", json_reply(chat_body(f'{{"same": {says}}}')))

    hit = ask(NEAR, on)

    assert how(hit) == "semantic"
    row = eventually(lambda: next(iter(gateway.rows(kind="audit", refers_to=hit.headers["x-request-id"])), None))
    assert row.verdict == verdict
    asked = [call.received.json["messages"][-1]["content"] for call in provider.calls_to("medium-2025")]
    assert len(asked) == (1 if says == "maybe" else 2)  # who has no word in one order is not asked in the other
    assert all(json.dumps(DIFFERENTLY_WORDED, ensure_ascii=False) in text for text in asked)


# --- Money ------------------------------------------------------------------------------------------------------


def test_an_audit_is_paid_from_its_callers_budget_and_from_the_part_for_audits(
    ask: Ask, teach: Callable[..., None], gateway: RunningGateway, provider: Provider, place: str
) -> None:
    teach(place, team="counted")
    before = gateway.budget("team:counted")["spent_nano"]
    answers(provider, RIGHT)
    follow_up(gateway, ask(NEAR, place, team="counted"))

    after = gateway.budget("team:counted")
    assert (after["spent_nano"] - before, after["audits_spent_nano"], after["reserved_nano"]) == (COST, COST, 0)


def test_a_team_without_money_for_audits_is_served_without_them(
    ask: Ask, teach: Callable[..., None], gateway: RunningGateway, provider: Provider, place: str
) -> None:
    teach(place, team="thrifty")
    hits = [ask(NEAR, place, team="thrifty") for _ in range(5)]
    assert [how(hit) for hit in hits] == ["semantic"] * 5
    assert provider.calls == []
    found = certificate(gateway, place)
    assert (found["hits"], found["audited"]) == (5, 0)


def test_audits_stop_once_their_part_is_used_up(
    ask: Ask, teach: Callable[..., None], gateway: RunningGateway, provider: Provider, place: str
) -> None:
    """The part holds the worst case of one audit, and what that one leaves does not hold a second."""
    limited = {"max_completion_tokens": 8}
    teach(place, team="used", **limited)
    answers(provider, RIGHT)
    hits = [ask(NEAR, place, team="used", **limited)]
    assert follow_up(gateway, hits[0]).verdict == "same"
    for _ in range(3):
        hits.append(ask(NEAR, place, team="used", **limited))
        assert follow_up(gateway, hits[-1]).error_class == "BudgetExceeded"
    assert [how(hit) for hit in hits] == ["semantic"] * 4
    after = gateway.budget("team:used")
    assert (len(provider.calls), after["audits_spent_nano"], after["reserved_nano"]) == (1, COST, 0)
    found = certificate(gateway, place)
    assert (found["hits"], found["audited"], found["failed"]) == (4, 1, 3)


def test_an_audit_never_falls_back_to_another_model(
    ask: Ask, teach: Callable[..., None], gateway: RunningGateway, provider: Provider
) -> None:
    """What is left for audits is enough for `small` only: its answer would measure something else."""
    teach("auto", team="short", model="auto", max_completion_tokens=500)
    hit = ask(NEAR, "auto", team="short", model="auto", max_completion_tokens=500)
    assert how(hit) == "semantic"
    row = follow_up(gateway, hit)
    assert (row.status, row.error_class, row.actual_nano) == ("refused", "BudgetExceeded", 0)
    assert provider.calls == []


def test_a_team_that_is_rationed_makes_no_audits(
    ask: Ask, teach: Callable[..., None], gateway: RunningGateway, provider: Provider, place: str
) -> None:
    teach(place, team="rationed")
    assert gateway.budget("team:rationed")["spent_nano"] > 0.001 * 10**9
    hit = ask(NEAR, place, team="rationed")
    assert how(hit) == "semantic"
    assert provider.calls == []


# --- Refreshes --------------------------------------------------------------------------------------------------


def test_an_answer_whose_time_is_over_is_served_and_fetched_anew_at_the_gateways_cost(
    ask: Ask, gateway: RunningGateway, provider: Provider
) -> None:
    answers(provider, RIGHT)
    ask(WORDINGS[0], "stale")
    provider.reset()
    answers(provider, REWORDED)

    def stale() -> httpx.Response | None:
        answer = ask(WORDINGS[0], "stale")
        return answer if answer.headers["x-thriftgate-cache-reason"] == "stale-while-revalidate" else None

    hit = eventually(stale)
    assert hit is not None
    assert (how(hit), content(hit)) == ("exact", RIGHT)
    row = follow_up(gateway, hit, "refresh")
    assert (row.actual_nano, row.overhead_nano, row.overhead_reason, row.verdict) == (COST, COST, "refresh", None)
    assert content(ask(WORDINGS[0], "stale")) == REWORDED
    assert len(provider.calls) >= 1
    assert not gateway.verification().problems


# --- Complaints -------------------------------------------------------------------------------------------------


def complain(gateway: RunningGateway, about: httpx.Response, on: str, team: str) -> bool:
    answer = gateway.request(
        "POST",
        "/v1/feedback",
        json={"request_id": about.headers["x-request-id"], "thumb": "down"},
        headers={"authorization": f"Bearer {gateway.key(team=team, route=on)}"},
    )
    assert answer.status_code == 200, answer.text
    return bool(answer.json()["counted"])


def unaudited(gateway: RunningGateway, ask: Ask, on: str, team: str) -> httpx.Response:
    """A hit whose drawn audit brought nothing, so that nobody knows yet."""
    hit = ask(NEAR, on, team=team, user="someone")
    assert how(hit) == "semantic"
    assert follow_up(gateway, hit).verdict is None
    return hit


@pytest.mark.parametrize(("fresh", "verdict"), [(RIGHT, "same"), (WRONG, "different")])
def test_a_complaint_is_settled_by_an_audit_that_is_paid_as_others_are(
    ask: Ask,
    teach: Callable[..., None],
    gateway: RunningGateway,
    provider: Provider,
    place: str,
    fresh: str,
    verdict: str,
) -> None:
    team = f"complains-{verdict}"
    teach(place, team=team)
    provider.script("large-2025", error_reply(400))
    hit = unaudited(gateway, ask, place, team)
    provider.reset()
    answers(provider, fresh)

    assert complain(gateway, hit, place, team)

    row = eventually(
        lambda: next(
            (each for each in gateway.rows(kind="audit", refers_to=hit.headers["x-request-id"]) if each.verdict), None
        )
    )
    assert (row.verdict, row.kind, row.actual_nano, row.overhead_reason) == (verdict, "audit", COST, "audit")
    assert row.cache_reason == "complaint"
    (call,) = provider.calls
    assert call.received.json["messages"] == [{"role": "user", "content": NEAR}]
    assert call.received.json["user"] == "someone"
    found = certificate(gateway, place)
    assert (found["complaints"], found["audited"], found["failed"]) == (1, 0, 1)
    assert [doubt["verdict"] for doubt in doubts(gateway, place)] == (["wrong"] if verdict == "different" else [])
    assert (how(ask(NEAR, place, team=team)) == "exact") is (verdict == "different")
    assert not gateway.verification().problems


def test_a_complaint_counts_once_and_without_money_for_audits_it_is_listed_for_a_person(
    ask: Ask, teach: Callable[..., None], gateway: RunningGateway, provider: Provider, place: str
) -> None:
    teach(place, team="thrifty")
    hit, again = (ask(NEAR, place, team="thrifty") for _ in range(2))

    assert [complain(gateway, each, place, "thrifty") for each in (hit, hit, again)] == [True, False, False]

    assert provider.calls == []
    found = certificate(gateway, place)
    assert (found["complaints"], found["wrong"]) == (1, 0)
    (doubt,) = doubts(gateway, place)
    assert (doubt["request_id"], doubt["verdict"]) == (hit.headers["x-request-id"], "unclear")


def test_complaints_of_several_about_one_answer_stop_it_until_it_is_confirmed(
    ask: Ask, teach: Callable[..., None], gateway: RunningGateway, provider: Provider
) -> None:
    place = "lenient"
    teach(place, team="thrifty")
    for user in ("one", "two", "three"):
        hit = ask(NEAR, place, team="thrifty", user=user)
        assert how(hit) == "semantic"
        assert complain(gateway, hit, place, "thrifty")
    answers(provider, RIGHT)
    stopped = ask(NEAR, place, team="thrifty")
    assert (how(stopped), stopped.headers["x-thriftgate-cache-reason"]) == ("miss", "doubted")


def test_a_complaint_about_what_was_not_joined_in_the_end_is_none_about_a_hit(
    ask: Ask, gateway: RunningGateway, provider: Provider, place: str
) -> None:
    """The equivalent question that is on its way is answered by a model that is not acceptable here."""
    gate = provider.gate()
    provider.script("large-2025", [gate, CUT], json_reply(chat_body(RIGHT)))
    with ThreadPoolExecutor(2) as pool:
        leader = pool.submit(ask, NEAR, place)
        eventually(lambda: gate.arrived)
        follower = pool.submit(ask, NEAR.upper(), place)
        eventually(lambda: gateway.status()["in_flight"] == 2)
        time.sleep(0.2)  # it is looked up
        assert len(provider.calls) == 1
        gate.open()
    assert leader.result().headers["x-thriftgate-model"] == "medium"
    assert (how(follower.result()), follower.result().headers["x-thriftgate-model"]) == ("miss", "large")
    complain(gateway, follower.result(), place, "support")
    found = certificate(gateway, place)
    assert (found["hits"], found["complaints"]) == (0, 0)


def test_an_answer_that_was_joined_and_broke_off_is_not_paid_for_again(
    gateway: RunningGateway, provider: Provider, place: str
) -> None:
    gateway.admin("POST", "/admin/cache/purge", all=True)
    gate = provider.gate()
    provider.script("large-2025", [*stream_reply(streamed(["Half ", "of it"]))[:3], gate, CUT])
    key = gateway.key(route=place)
    with gateway.begin(key, NEAR, model="large", stream=True) as leader:
        assert leader.recv(65536)
        with gateway.begin(key, NEAR.upper(), model="large", stream=True) as follower:
            assert b"x-thriftgate-cache: coalesced" in follower.recv(65536)
            gate.open()
            row = gateway.row(kind="request", route=place, disposition="coalesced")

    assert (row.status, row.actual_nano, row.avoided_coalesced_nano) == ("upstream_cut", 0, 0)
    found = eventually(lambda: each if (each := certificate(gateway, place))["failed"] else None)
    assert (found["hits"], found["audited"], found["failed"]) == (1, 0, 1)
    assert len(provider.calls) == 1
    assert gateway.rows(kind="audit", route=place) == []
