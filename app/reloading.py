"""A changed configuration file, taken up while the server runs: what differs is replaced, everything else stays.

Cache, ledger, counters, breakers and open answers are not touched. A file with a mistake changes nothing at all.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct

from app.services import Services, deployments_of, models_of, routes_of, team_baselines_of
from app.settings import Settings
from router.upstream import open_transport

_LIVE_TABLES: Final = ("providers", "models", "routes", "secrets")
_LIVE_SERVER: Final = ("max_body_mib", "max_in_flight")


class Reloaded(Struct, frozen=True):
    """What became of a new configuration, by the names of its tables and settings."""

    changed: list[str]
    needs_restart: list[str]
    """Settings that differ from those in force, and go on being different until the next start."""


def reload(services: Services) -> Reloaded:
    """Reads the configuration again and puts it in force, in one step without a pause. Raises SettingsInvalid; then
    the old one stays."""
    old = services.settings
    wanted = services.reread()
    new = _as_far_as_possible(old, wanted)
    found = Reloaded(sorted(_differences(old, new)), sorted(_differences(new, wanted)))
    models = models_of(new)
    routes = routes_of(new, models)
    for model in models.values():
        for deployment in model.deployments:
            if not services.upstream.knows(deployment.provider.name):
                services.upstream.add(deployment.provider.name, open_transport(deployment.provider))
    # Whoever holds these maps sees the new content at once.
    _refill(services.models, models)
    _refill(services.routes, routes)
    _refill(services.policies, {name: route.routing for name, route in routes.items()})
    _refill(services.team_baselines, team_baselines_of(new))
    services.fleet.replace(deployments_of(models))
    services.gate.at_most = new.server.max_in_flight
    for name, route in routes.items():
        if route.cache.mode == "semantic":
            services.cache.trust.open(name, route.cache)
    services.settings = new
    services.observer.reloaded(found.changed, found.needs_restart)
    return found


def _as_far_as_possible(old: Settings, wanted: Settings) -> Settings:
    """The wanted settings, with the old ones where only a start can change them."""
    live: dict[str, Any] = {name: getattr(wanted, name) for name in _LIVE_TABLES}
    server = msgspec.structs.replace(old.server, **{name: getattr(wanted.server, name) for name in _LIVE_SERVER})
    teams = {
        name: msgspec.structs.replace(team, baseline=wanted.teams[name].baseline) if name in wanted.teams else team
        for name, team in old.teams.items()
    }
    return msgspec.structs.replace(old, server=server, teams=teams, **live)


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
