"""The admin surface: keys, the cache and its certificates, behind the admin token; and the content system's webhook."""

import asyncio
import itertools
import time
from typing import Annotated, Any, Final, Literal

import msgspec
import sqlalchemy as sa
from litestar import Response, delete, get, post
from litestar.response import Stream
from litestar.types import ControllerRouterHandler
from msgspec import Meta

from app.errors import NotFound, PurgeUnwritten
from app.handling import HttpRequest, body_of, closing, decoded, json_answer, services_for_admin, services_of
from app.reloading import reload
from app.services import Services, now_us
from app.settings import WEBHOOK, SettingsInvalid
from app.warming import LONGEST_NAME, Curated, Tag
from app.webhook import signing_key, verified_id
from router.errors import RequestInvalid

_DOUBTS_AT_MOST: Final = 1000
_ITEMS_AT_MOST: Final = 10_000
_PURGES_AT_MOST: Final = 100
"""So many combinations of what a webhook names."""

Name = Annotated[str, Meta(min_length=1, max_length=LONGEST_NAME)]


@get("/admin/status")
async def status(request: HttpRequest) -> Response[Any]:
    return json_answer(services_for_admin(request).status())


@get("/admin/deployments")
async def list_deployments(request: HttpRequest) -> Response[Any]:
    """How every deployment fares: breaker, load, latency, keys."""
    return json_answer(services_for_admin(request).fleet.states())


@post("/admin/deployments/reset", status_code=200)
async def reset_deployments(request: HttpRequest) -> Response[Any]:
    """Closes every breaker and lets every key return, after what was wrong has been mended."""
    services = services_for_admin(request)
    services.fleet.reset()
    return json_answer(services.fleet.states())


@post("/admin/reload", status_code=200)
async def reload_configuration(request: HttpRequest) -> Response[Any]:
    """Takes up the changed configuration file. A wrong one changes nothing."""
    services = services_for_admin(request)
    try:
        return json_answer(await reload(services))
    except SettingsInvalid as error:
        services.observer.not_reloaded(error)
        problems = "; ".join(error.problems)
        raise RequestInvalid(f"The changed configuration is wrong, so the old one stays: {problems}.") from None


# --- keys ----------------------------------------------------------------------------------------------------


class NewKey(msgspec.Struct, forbid_unknown_fields=True):
    """Body of `POST /admin/keys`."""

    team: str
    app: str
    env: str = "prod"
    route: str | None = None
    expires_us: Annotated[int, Meta(ge=0, le=2**53)] | None = None
    """Microseconds since the epoch."""


@get("/admin/keys")
async def list_keys(request: HttpRequest) -> Response[Any]:
    return json_answer(services_for_admin(request).keys.list())


@post("/admin/keys", status_code=201)
async def create_key(request: HttpRequest) -> Response[Any]:
    services = services_for_admin(request)
    wanted = decoded(await body_of(request, services.max_body_bytes), NewKey)
    key, secret = services.create_key(wanted.team, wanted.app, wanted.env, wanted.route, wanted.expires_us)
    return json_answer({"key": key, "secret": secret}, 201)


@delete("/admin/keys/{key_id:str}", status_code=200)
async def revoke_key(request: HttpRequest) -> Response[Any]:
    services, key_id = services_for_admin(request), request.path_params["key_id"]
    if not services.keys.revoke(key_id, now_us()):
        raise RequestInvalid(f"There is no valid key `{key_id}`; `thriftgate keys list` shows them all.", "key_id")
    return json_answer({"revoked": key_id})


# --- budgets -------------------------------------------------------------------------------------------------


@post("/admin/budgets/reconcile", status_code=200)
async def reconcile_budgets(request: HttpRequest) -> Response[Any]:
    """Compares every counter with the ledger."""
    found = await services_for_admin(request).upkeep.reconcile()
    return json_answer({**msgspec.structs.asdict(found), "is_good": found.is_good})


# --- forgetting ------------------------------------------------------------------------------------------------


class Purge(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of `POST /admin/cache/invalidate`: what matches all that is given goes."""

    entry: Name | None = None
    """The `x-thriftgate-entry` of an answer."""
    group: int | None = None
    """All entries whose answers say the same."""
    tag: Tag | None = None
    route: Name | None = None
    team: Name | None = None
    env: Name | None = None
    """Curated entries have none."""
    knowledge_version: Annotated[str, Meta(max_length=200)] | None = None
    all: bool = False
    """Needed if nothing else is given."""

    def criteria(self) -> dict[str, Any]:
        """In the words of `Cache.purge`, without what is not given."""
        named = {"entry": "id", "group": "group_id"}
        given = {named.get(name, name): value for name, value in msgspec.structs.asdict(self).items() if name != "all"}
        return {name: value for name, value in given.items() if value is not None}


@post(["/admin/cache/invalidate", "/admin/cache/purge"], status_code=200)
async def invalidate(request: HttpRequest) -> Response[Any]:
    services = services_for_admin(request)
    wanted = decoded(await body_of(request, services.max_body_bytes), Purge)
    if not wanted.criteria() and not wanted.all:
        names = ", ".join(f"`{name}`" for name in Purge.__struct_fields__ if name != "all")
        raise RequestInvalid(f"Say what to purge: {names}, or `all`.")
    return json_answer({"purged": await services.purge([wanted.criteria()])})


class ContentChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of `POST /webhooks/cms`. Of one kind any is enough, of several kinds all must match."""

    tags: list[Tag] = []
    entries: list[Name] = []
    routes: list[Name] = []
    knowledge_version: Annotated[str, Meta(max_length=200)] | None = None

    def __post_init__(self) -> None:
        if not (self.tags or self.entries or self.routes or self.knowledge_version is not None):
            raise ValueError("say what has changed: `tags`, `entries`, `routes` or `knowledge_version`")
        if len(self.purges()) > _PURGES_AT_MOST:
            raise ValueError(f"names more than {_PURGES_AT_MOST} things at once; send several webhooks")

    def purges(self) -> list[Purge]:
        kinds: list[list[Any]] = [self.tags or [None], self.entries or [None], self.routes or [None]]
        found = []
        for tag, entry, route in itertools.islice(itertools.product(*kinds), _PURGES_AT_MOST + 1):
            found.append(Purge(tag=tag, entry=entry, route=route, knowledge_version=self.knowledge_version))
        return found


@post("/webhooks/cms", status_code=200)
async def content_changed(request: HttpRequest) -> Response[Any]:
    """A content system says what has changed. It hears of success, too, where that was obeyed before: senders repeat
    whatever is answered otherwise."""
    services = services_of(request)
    secret = services.settings.secrets.get(WEBHOOK)
    if secret is None:
        raise NotFound("No webhook is configured. Set `[cache] webhook_secret` to open this path.")
    body = await body_of(request, services.max_body_bytes)
    webhook_id = verified_id(signing_key(secret), request.headers, body, time.time())
    change = decoded(body, ContentChange)
    if not services.webhooks.take(webhook_id, time.time()):
        return json_answer({"purged": 0, "repeated": True})
    try:
        purged = await services.purge([each.criteria() for each in change.purges()], by="webhook")
        await asyncio.to_thread(services.webhooks.keep, webhook_id, time.time())
    except sa.exc.DatabaseError:
        services.webhooks.drop(webhook_id)
        raise PurgeUnwritten from None
    except BaseException:
        services.webhooks.drop(webhook_id)  # its sender may try again
        raise
    return json_answer({"purged": purged})


# --- trust -----------------------------------------------------------------------------------------------------


class Ruling(msgspec.Struct, forbid_unknown_fields=True):
    """Body of `POST /admin/cache/doubts/{id}`."""

    ruling: Literal["right", "wrong"]


@get("/admin/cache/certificates")
async def certificates(request: HttpRequest) -> Response[Any]:
    """What is known of each route's wrong hits."""
    return json_answer(services_for_admin(request).certificates())


@get("/admin/cache/doubts")
async def list_doubts(request: HttpRequest) -> Response[Any]:
    """Hits that wait for a person to judge them, newest first, with their texts."""
    services, asked = services_for_admin(request), request.query_params
    limit = asked.get("limit", "100")
    if not limit.isascii() or not limit.isdigit() or not 1 <= int(limit[:9]) <= _DOUBTS_AT_MOST:
        raise RequestInvalid(f"`limit`: must be a whole number from 1 to {_DOUBTS_AT_MOST}.", "limit")
    return json_answer(await services.doubts(asked.get("route"), int(limit)))


@post("/admin/cache/doubts/{doubt_id:str}", status_code=200)
async def rule_on_doubt(request: HttpRequest) -> Response[Any]:
    """A person says whether the hit was right."""
    services, given = services_for_admin(request), str(request.path_params["doubt_id"])
    wanted = decoded(await body_of(request, services.max_body_bytes), Ruling)
    is_id = given.isascii() and given.isdigit() and len(given) < 16
    if not is_id or not services.rule(int(given), wanted.ruling):
        raise NotFound(f"There is no doubtful hit `{given[:32]}`; `thriftgate cache inspect` shows them all.", "id")
    return json_answer({"id": int(given), "ruling": wanted.ruling})


# --- filling ---------------------------------------------------------------------------------------------------


class Warm(msgspec.Struct, forbid_unknown_fields=True):
    """Body of `POST /admin/cache/warm`: curated answers for a team and a route."""

    team: str
    route: str
    items: Annotated[list[Curated], Meta(min_length=1, max_length=_ITEMS_AT_MOST)]
    since_us: Annotated[int, Meta(ge=0, le=2**53)] | None = None
    """Microseconds since the epoch: what a purge has named since then is left out. None = since this request came."""


@post("/admin/cache/warm", status_code=200)
async def warm(request: HttpRequest) -> Response[Any]:
    services = services_for_admin(request)
    wanted = decoded(await body_of(request, services.max_body_bytes), Warm)
    stored = await services.warm(wanted.team, wanted.route, wanted.items, wanted.since_us)
    return json_answer({"stored": stored.written, "purged": stored.purged})


@get("/admin/cache/export")
async def export(request: HttpRequest) -> Stream:
    """The whole cache as JSON Lines."""
    services = services_for_admin(request)
    return Stream(closing(services.export()), media_type="application/x-ndjson", headers={"cache-control": "no-store"})


@post("/admin/cache/import", status_code=200)
async def import_entries(request: HttpRequest) -> Response[Any]:
    """Takes in what an export gave, or a part of it below its first line."""
    services: Services = services_for_admin(request)
    return json_answer(await services.take_in(await body_of(request, services.max_body_bytes)))


HANDLERS: Final[list[ControllerRouterHandler]] = [
    status,
    list_deployments,
    reset_deployments,
    reload_configuration,
    list_keys,
    create_key,
    revoke_key,
    reconcile_budgets,
    invalidate,
    content_changed,
    certificates,
    list_doubts,
    rule_on_doubt,
    warm,
    export,
    import_entries,
]
