"""What another error budget would have done, from the ledger's text-free records."""

import json
import random
from typing import Any

from msgspec import structs

from cache.certificate import Terms
from eval.replay import Recorded, Replayed, recorded_requests, replay
from router.ledger.row import COMPLAINT, LedgerRow

NANO = 1_000


def row(number: int, claim: float | None, disposition: str = "semantic", **changes: Any) -> LedgerRow:
    values: dict[str, Any] = {
        "request_id": f"req_{number}",
        "at_us": number,
        "team": "support",
        "app": "bot",
        "key_id": "key",
        "env": "prod",
        "route": "faq",
        "requested_model": "auto",
        "disposition": disposition,
        "baseline_nano": NANO,
        "decision": None if claim is None else json.dumps({"claim": claim, "group": 1, "blocked": None, "nearest": []}),
    }
    return LedgerRow(**values | changes)


def label(number: int, verdict: str | None, kind: str = "audit") -> LedgerRow:
    return row(0, None, "bypass", kind=kind, request_id=f"{kind}_{number}", refers_to=f"req_{number}", verdict=verdict)


def terms(max_wrong: float, **others: Any) -> Terms:
    return Terms(max_wrong=max_wrong, start="prior", prior_kappa=1 - max_wrong, **others)


def traffic(requests: int = 3000) -> list[Recorded]:
    """Claims that are kept: of those with p, a share of p is right."""
    chance = random.Random(1)
    claims = [1 - 0.2 * chance.random() ** 3 for _ in range(requests)]
    return [Recorded("faq", p, p >= 0.99, NANO, "right" if chance.random() < p else "wrong") for p in claims]


# --- Reading the ledger -----------------------------------------------------------------------------------------


def test_what_a_complaint_has_shown_is_no_sample_of_the_hits() -> None:
    complaint = label(1, "different")
    rows = [row(1, 0.99), label(1, "same"), structs.replace(complaint, cache_reason=COMPLAINT), row(2, 0.98)]
    rows.append(structs.replace(label(2, "different"), cache_reason=COMPLAINT))
    assert [each.label for each in recorded_requests(rows)] == ["right", None]


def test_requests_are_read_in_order_with_what_audits_and_fresh_answers_said_of_them() -> None:
    rows = [
        row(1, 0.99),
        row(2, 0.7, "miss"),
        label(2, "different", "label"),
        row(3, 0.98, "coalesced", cache_reason="equivalent"),
        label(1, "same"),
        row(4, 0.97),
        label(4, "unclear"),
        label(3, None),
    ]
    found = recorded_requests(rows)
    assert [(each.claim, each.was_served, each.label) for each in found] == [
        (0.99, True, "right"),
        (0.7, False, "wrong"),
        (0.98, True, None),
        (0.97, True, "unclear"),
    ]


def test_what_has_no_decision_is_a_request_without_a_candidate_where_the_certifier_counted_it() -> None:
    rows = [
        row(1, 0.99),
        row(2, None, "exact", cache_reason="same-text"),
        row(3, None, "miss", cache_reason="no-neighbour"),
        row(4, None, "bypass", cache_reason="personal"),
        row(5, None, "coalesced", cache_reason="in-flight"),
        row(6, None, "miss", kind="attempt"),
        row(7, None, "miss", cache_reason="short"),
        row(8, None, "exact", cache_reason="stale-while-revalidate"),
    ]
    assert [each.claim for each in recorded_requests(rows)] == [0.99, 0, 0, 0]


def test_a_route_that_never_decided_semantically_is_left_out() -> None:
    rows = [row(1, None, "exact", cache_reason="same-text", route="plain"), row(2, 0.9)]
    assert {each.route for each in recorded_requests(rows)} == {"faq"}


def test_progress_is_told_for_every_row() -> None:
    seen: list[None] = []
    recorded_requests([row(1, 0.9), label(1, "same")], lambda: seen.append(None))
    assert len(seen) == 2


# --- Deciding anew -----------------------------------------------------------------------------------------------


def test_a_looser_budget_serves_more_and_a_stricter_one_fewer() -> None:
    requests = traffic()
    hits = [replay(requests, "faq", terms(budget)).replayed.hits for budget in (0.002, 0.01, 0.05)]
    assert hits[0] < hits[1] < hits[2]
    wrong = [replay(requests, "faq", terms(budget)).replayed.expected_wrong for budget in (0.002, 0.01, 0.05)]
    assert wrong == sorted(wrong)


def test_the_same_budget_and_seed_give_the_same_figures() -> None:
    requests = traffic()
    assert replay(requests, "faq", terms(0.01)) == replay(requests, "faq", terms(0.01))


def test_what_was_is_told_beside_what_would_have_been() -> None:
    requests = [Recorded("faq", 0.999, True, 5, "right"), Recorded("faq", 0.4, False, 7, "wrong")]
    found = replay(requests, "faq", terms(0.01))
    assert found.recorded == Replayed(
        route="faq",
        requests=2,
        hits=1,
        expected_wrong=1 - 0.999,
        labelled=1,
        labelled_wrong=0,
        avoided_nano=5,
        final_kappa=None,
        state="as recorded",
    )
    assert (found.replayed.hits, found.replayed.avoided_nano) == (1, 5)


def test_only_the_routes_own_requests_count() -> None:
    requests = traffic(50) + [Recorded("shop", 0.999, True, NANO, "wrong")] * 50
    assert replay(requests, "faq", terms(0.01)) == replay(requests[:50], "faq", terms(0.01))


def test_a_closed_start_serves_nothing_before_its_labels_certify_it() -> None:
    few = [Recorded("faq", 0.9999, True, NANO, "right")] * 20
    found = replay(few, "faq", Terms(max_wrong=0.01, start="closed"))
    assert (found.replayed.hits, found.replayed.state, found.replayed.final_kappa) == (0, "learning", None)
    many = replay(few * 100, "faq", Terms(max_wrong=0.01, start="closed")).replayed
    assert many.hits > 0
    assert many.state == "certified"


def test_nothing_that_was_blocked_is_served_under_any_budget() -> None:
    found = replay([Recorded("faq", 0.0, False, NANO, None)] * 100, "faq", terms(0.2))
    assert (found.replayed.requests, found.replayed.hits) == (100, 0)


def test_many_wrong_labels_make_a_replayed_route_serve_less() -> None:
    requests = [Recorded("faq", 0.999, True, NANO, "wrong")] * 300
    assert replay(requests, "faq", terms(0.01)).replayed.hits < 100


def test_per_request_the_requests_without_a_candidate_widen_the_budget() -> None:
    requests = traffic(3000)
    diluted = [each for request in requests for each in (request, *[Recorded("faq", 0.0, False, NANO, None)] * 4)]
    alone = replay(requests, "faq", terms(0.005, per="request")).replayed.hits
    assert replay(diluted, "faq", terms(0.005, per="request")).replayed.hits > alone
