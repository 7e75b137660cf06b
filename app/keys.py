"""Virtual keys: who calls. A key authenticates one app of one team in one environment, on one route.

Keys are random and long, so their SHA-256 is kept and nothing else; a lookup is one dictionary access.
"""

import hashlib
import secrets
from typing import Any, Final

import sqlalchemy as sa
from msgspec import Struct

from app.errors import KeyInvalid
from router.budgets import budget_names
from router.ledger import tables

PREFIX: Final = "tg-"


class Key(Struct, frozen=True):
    """One key, without its secret. Times in microseconds since the epoch."""

    id: str
    team: str
    app: str
    env: str
    route: str
    created_us: int
    expires_us: int | None = None
    revoked_us: int | None = None
    is_development: bool = False
    """Valid only from this machine and only while every provider is simulated."""

    def state(self, now_us: int) -> str:
        """`valid`, `expired` or `revoked`, and whether it is the development key."""
        is_expired = self.expires_us is not None and now_us >= self.expires_us
        state = "revoked" if self.revoked_us is not None else "expired" if is_expired else "valid"
        return f"{state}, development" if self.is_development else state


class Caller(Struct, frozen=True):
    """Who is calling, as the rest of the gateway sees it."""

    team: str
    app: str
    env: str
    key_id: str
    route: str

    @property
    def budgets(self) -> tuple[str, ...]:
        """The names of all budgets that this caller spends from."""
        return budget_names(self.team, self.app, self.key_id, self.env)


class Keys:
    """All keys of the ledger file, in memory. Changes go to the file first."""

    def __init__(self, engine: sa.Engine, *, simulates: bool) -> None:
        self._engine = engine
        self.simulates = simulates
        self._by_hash: dict[bytes, Key] = {}
        self.load()

    def load(self) -> None:
        with self._engine.connect() as connection:
            rows = connection.execute(sa.select(tables.keys).order_by(tables.keys.c.created_us)).mappings()
            self._by_hash = {row["hash"]: _key(row) for row in rows}

    def list(self) -> list[Key]:
        return list(self._by_hash.values())

    def create(
        self,
        *,
        team: str,
        app: str,
        env: str,
        route: str,
        now_us: int,
        expires_us: int | None = None,
        is_development: bool = False,
    ) -> tuple[Key, str]:
        """A new key and its secret, which is shown once and cannot be had again."""
        secret = PREFIX + secrets.token_urlsafe(32)
        key = Key(
            id="key_" + secrets.token_hex(6),
            team=team,
            app=app,
            env=env,
            route=route,
            created_us=now_us,
            expires_us=expires_us,
            is_development=is_development,
        )
        digest = _digest(secret)
        values = {name: getattr(key, name) for name in Key.__struct_fields__}
        with self._engine.begin() as connection:
            connection.execute(tables.keys.insert().values(**values, hash=digest))
            log_action(connection, now_us, "key created", key.id)
        self._by_hash[digest] = key
        return key, secret

    def revoke(self, key_id: str, now_us: int) -> bool:
        """Ends a key at once; whether there was such a key."""
        with self._engine.begin() as connection:
            found = connection.execute(
                tables.keys.update()
                .where(tables.keys.c.id == key_id, tables.keys.c.revoked_us.is_(None))
                .values(revoked_us=now_us)
            )
            if found.rowcount:
                log_action(connection, now_us, "key revoked", key_id)
        self.load()
        return bool(found.rowcount)

    def authenticate(self, authorization: str | None, *, is_loopback: bool, now_us: int) -> Caller:
        """The caller behind an `Authorization: Bearer` header. Raises KeyInvalid, which never says more
        than the caller needs."""
        if not authorization:
            raise KeyInvalid("No API key. Send `Authorization: Bearer <key>`; `thriftgate keys create` makes one.")
        scheme, _, secret = authorization.partition(" ")
        key = self._by_hash.get(_digest(secret.strip())) if scheme.lower() == "bearer" else None
        if key is None or key.revoked_us is not None:
            raise KeyInvalid("This API key is not known or was revoked. `thriftgate keys create` makes one.")
        if key.expires_us is not None and now_us >= key.expires_us:
            raise KeyInvalid("This API key has expired. `thriftgate keys create` makes a new one.")
        if key.is_development and not (is_loopback and self.simulates):
            raise KeyInvalid(
                "The development key is valid only from this machine and with the simulated provider. "
                "`thriftgate keys create` makes a real one."
            )
        return Caller(team=key.team, app=key.app, env=key.env, key_id=key.id, route=key.route)


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def _key(row: Any) -> Key:
    return Key(**{name: row[name] for name in Key.__struct_fields__})


def log_action(connection: sa.Connection, now_us: int, action: str, subject: str) -> None:
    """A line in the admin log."""
    connection.execute(tables.admin_log.insert().values(at_us=now_us, action=action, subject=subject))
