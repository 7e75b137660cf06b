"""A changed configuration file, taken up while the server runs: what differs is replaced, everything else stays.

Cache, ledger, counters, breakers and open answers are not touched. A file with a mistake changes nothing at all.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct

from app.budgets import named, replace_budgets
from app.services import (
    Services,
    deployments_of,
    models_of,
    now,
    routes_of,
    team_baselines_of,
    unpriced,
    versions_of,
    watches_of,
)
from app.settings import Settings
from router.catalogue import Model
from router.service_level import Watch
from router.upstream import open_transport

_LIVE_TABLES: Final = ("providers", "models", "routes", "organisation", "teams", "keys", "secrets")
_LIVE_SERVER: Final = ("max_body_mib", "max_in_flight", "max_bodies_mib")
_LIVE_CACHE: Final = ("max_entries", "max_mib")


class Reloaded(Struct, frozen=True):
    """What became of a new configuration, by the names of its tables and settings."""

    changed: list[str]
    needs_restart: list[str]
    """Settings that differ from those in force, and go on being different until the next start."""


async def reload(services: Services) -> Reloaded:
    """Reads the configuration again and puts it in force. Raises SettingsInvalid, or LedgerUnavailable if budgets have
    changed and it cannot be said what they have spent; then the old one stays."""
    async with services.reloading:
        return await _reload(services)


async def _reload(services: Services) -> Reloaded:
    old = services.settings
    wanted = services.reread()
    new = _as_far_as_possible(old, wanted)
    found = Reloaded(sorted(_differences(old, new)), sorted(_differences(new, wanted)))
    models = models_of(new)
    routes = routes_of(new, models)
    has_other_budgets = dict(named(old)) != dict(named(new))
    if has_other_budgets:
        await replace_budgets(services.budgets, new, services.ledger_engine, services.ledger, now())
    _open_transports(services, models)
    known_as_unpriced = set(unpriced(services.models, now()))
    # Whoever holds these maps sees the new content at once.
    _refill(services.models, models)
    _refill(services.routes, routes)
    _refill(services.policies, {name: route.routing for name, route in routes.items()})
    _refill(services.team_baselines, team_baselines_of(new))
    services.experience.know(models)
    services.observer.unpriced(name for name in unpriced(models, now()) if name not in known_as_unpriced)
    _refill(services.watches, _kept_where_equal(services.watches, watches_of(new)))
    services.fleet.replace(deployments_of(models))
    services.store.know_versions(versions_of(new))
    services.store.bound(new.cache.max_entries, new.cache.max_mib * 1024 * 1024)
    services.gate.at_most = new.server.max_in_flight
    services.gate.bytes_at_most = new.server.max_bodies_mib * 1024 * 1024
    for name, route in routes.items():
        if route.cache.mode == "semantic":
            services.cache.trust.open(name, route.cache)
    services.keys.simulates = new.simulates
    services.settings = new
    services.observer.reloaded(found.changed, found.needs_restart)
    if has_other_budgets:
        await services.upkeep.learn_anew()
    return found


def _open_transports(services: Services, models: Mapping[str, Model]) -> None:
    """For providers that are new, or that are simulated now and were not, or the other way round."""
    before = {deployment.provider.name: deployment.provider for deployment in deployments_of(services.models)}
    for provider in {deployment.provider.name: deployment.provider for deployment in deployments_of(models)}.values():
        was = before.get(provider.name, provider)
        if not services.upstream.knows(provider.name) or was.simulation != provider.simulation:
            services.upstream.add(provider.name, open_transport(provider))


def _as_far_as_possible(old: Settings, wanted: Settings) -> Settings:
    """The wanted settings, with the old ones where only a start can change them."""
    live: dict[str, Any] = {name: getattr(wanted, name) for name in _LIVE_TABLES}
    server = msgspec.structs.replace(old.server, **{name: getattr(wanted.server, name) for name in _LIVE_SERVER})
    cache = msgspec.structs.replace(old.cache, **{name: getattr(wanted.cache, name) for name in _LIVE_CACHE})
    return msgspec.structs.replace(old, server=server, cache=cache, **live)


def _differences(one: Settings, other: Settings) -> Iterator[str]:
    """The names of what differs: `routes.default`, `server.port`. Never a value: some are secrets."""
    for table in Settings.__struct_fields__:
        before, after = _fields(getattr(one, table)), _fields(getattr(other, table))
        for name in before.keys() | after.keys():
            if before.get(name) != after.get(name):
                yield name if table == "secrets" else f"{table}.{name}"


def _fields(table: Any) -> Mapping[str, Any]:
    return table if isinstance(table, dict) else msgspec.structs.asdict(table)


def _refill(held: dict[str, Any], content: Mapping[str, Any]) -> None:
    held.clear()
    held.update(content)


def _kept_where_equal(held: Mapping[str, Watch], wanted: Mapping[str, Watch]) -> dict[str, Watch]:
    """What is wanted, with what was seen of those whose promise is as it was."""
    return {
        team: held[team] if team in held and held[team].level == watch.level else watch
        for team, watch in wanted.items()
    }
