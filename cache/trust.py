"""Whether hits can be trusted: one certifier for each route, its evidence kept in the cache file.

Ties what the certifier says to what the cache does: from which probability on a route serves, which hits are
audited, what a label changes.
"""

import random
from collections.abc import Callable
from typing import Final

from msgspec import Struct

from cache.certificate import Certificate, Certifier, Label, Observation, Terms
from cache.decision import Judgement, Prior
from cache.entries import EntryStore
from cache.query import CachePolicy

_SAVE_EVERY: Final = 200
"""Observations between two snapshots of a route's evidence; what a killed process loses is the last ones. A kappa or a
state that changes is saved at once: a route that was closed stays closed."""


class _Route(Struct):
    certifier: Certifier
    terms: Terms
    unsaved: int = 0

    def standing(self) -> tuple[float, str]:
        """What it serves, and how much that can be trusted."""
        return self.certifier.kappa, "stale" if self.certifier.is_stale else self.certifier.state


class Trust:
    """The certifiers of all routes. Call from one thread."""

    def __init__(self, store: EntryStore, prior: Prior, chance: random.Random, now_us: Callable[[], int]) -> None:
        self._store = store
        self._prior = prior
        self._chance = chance
        self._now_us = now_us
        self._routes: dict[str, _Route] = {}
        self._stored = store.load_certificates()

    def kappa(self, route: str, policy: CachePolicy) -> float:
        """Serve if and only if the claim is at least this; infinite = serve nothing."""
        return self._route(route, policy).certifier.kappa

    def state(self, route: str, policy: CachePolicy) -> str:
        """For the header: how much the hit can be trusted."""
        return self._route(route, policy).standing()[1]

    def certificates(self) -> dict[str, Certificate]:
        """Route -> what is known of it, for the routes that have been asked since the start or have evidence."""
        return {name: each.certifier.certificate() for name, each in self._routes.items()}

    def open(self, route: str, policy: CachePolicy) -> None:
        """Makes the route known, with the evidence of earlier runs, on the terms that the operator states now: on other
        terms than before it begins anew, since old evidence says nothing of them."""
        each = self._route(route, policy)
        terms = terms_of(policy, self._prior)
        if each.terms != terms:
            anew = Certifier.restore(each.certifier.snapshot(), terms, self._prior.fingerprint)
            self._routes[route] = _Route(anew, terms)

    def draw(self, route: str, policy: CachePolicy, judgement: Judgement, *, may_audit: bool) -> float | None:
        """Whether to audit this hit: the propensity if chance chose it, else None; the hit is then recorded. While
        there is no money for audits, none is drawn and the hit is recorded as unaudited."""
        each = self._route(route, policy)
        propensity = each.certifier.audit_propensity(judgement.claim) if may_audit else 0.0
        if self._chance.random() < propensity:
            return propensity
        self._record(route, each, Observation(judgement.claim, propensity, None, True))
        return None

    def hit_labelled(
        self, route: str, policy: CachePolicy, judgement: Judgement, propensity: float, label: Label
    ) -> None:
        """The outcome of an audit."""
        self._record(route, self._route(route, policy), Observation(judgement.claim, propensity, label, True))

    def miss_labelled(self, route: str, policy: CachePolicy, judgement: Judgement, label: Label) -> None:
        """The fresh answer to a question that was not served has shown what serving it would have been."""
        self._record(route, self._route(route, policy), Observation(judgement.claim, 1.0, label, False))

    def without_candidate(self, route: str, policy: CachePolicy) -> None:
        """A request for which nothing could have served."""
        each = self._route(route, policy)
        before = each.standing()
        each.certifier.record_request()
        if each.standing() != before:
            self._save(route, each)

    def complained(self, route: str, policy: CachePolicy, by: str, about: int) -> bool:
        """An asker called an answer of this group wrong; whether that counts."""
        each = self._route(route, policy)
        is_counted = each.certifier.record_complaint(by, about)
        if is_counted:
            self._save(route, each)
        return is_counted

    def complaint_stands(self, route: str, policy: CachePolicy, claim: float, by: str, *, is_settled: bool) -> None:
        """A hit that was called wrong has been found wrong, or it could not be settled."""
        each = self._route(route, policy)
        each.certifier.charge_complaint(claim, by, is_settled=is_settled)
        self._save(route, each)

    def ruled_wrong(self, route: str, claim: float, by: str, about: int) -> None:
        """A person called a hit wrong of which its audit could not tell: like a complaint that was settled, once for
        each `by`. Of a route that is not known nothing is changed."""
        each = self._routes.get(route)
        if each is not None and each.certifier.record_complaint(by, about):
            each.certifier.charge_complaint(claim, by, is_settled=True)
            self._save(route, each)

    def forget(self, route: str) -> None:
        """Drops a route's evidence, as when the knowledge behind its answers was replaced."""
        if route in self._routes:
            self._routes[route].certifier.forget()
            self._save(route, self._routes[route])

    def save(self) -> None:
        for name, each in self._routes.items():
            self._save(name, each)

    def _route(self, route: str, policy: CachePolicy) -> _Route:
        each = self._routes.get(route)
        if each is not None:
            return each
        terms = terms_of(policy, self._prior)
        stored = self._stored.get(route)
        model = self._prior.fingerprint
        certifier = Certifier(terms, model) if stored is None else Certifier.restore(stored, terms, model)
        each = self._routes[route] = _Route(certifier, terms)
        return each

    def _record(self, route: str, each: _Route, observation: Observation) -> None:
        before = each.standing()
        each.certifier.record(observation)
        each.unsaved += 1
        if each.unsaved >= _SAVE_EVERY or each.standing() != before:
            self._save(route, each)

    def _save(self, route: str, each: _Route) -> None:
        each.unsaved = 0
        self._store.save_certificate(route, each.certifier.snapshot(), self._now_us())


def terms_of(policy: CachePolicy, prior: Prior) -> Terms:
    """What the operator states for the route, with the shipped kappa for it."""
    return Terms(
        max_wrong=policy.max_wrong,
        per=policy.per,
        start=policy.start,
        prior_kappa=min(prior.kappa(policy.max_wrong), 0.999),
        audit_share=policy.audit_share,
        audit_share_uncertified=max(0.2, policy.audit_share),
    )
