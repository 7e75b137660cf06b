"""The tables of the ledger file: rows, open reservations, keys, kept answers, the chain's identity and the admin log.

Their history is in `migrations/`; a test holds the two together.
"""

from typing import Any, Final, get_args, get_type_hints

import sqlalchemy as sa

from router.ledger.row import LedgerRow

metadata: Final = sa.MetaData()

_TYPES: Final = {int: sa.BigInteger, str: sa.Text, bool: sa.Boolean, float: sa.Float}


def _column(name: str, hint: Any) -> sa.Column[Any]:
    """A column for a field of LedgerRow: `int | None` is a nullable integer, a Literal is text."""
    alternatives = [kind for kind in get_args(hint) if kind is not type(None)]
    is_nullable = type(None) in get_args(hint)
    kind = alternatives[0] if is_nullable else hint
    return sa.Column(name, _TYPES.get(kind, sa.Text), nullable=is_nullable)


rows: Final = sa.Table(
    "ledger",
    metadata,
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("schema", sa.Integer, nullable=False),
    sa.Column("previous_hash", sa.LargeBinary, nullable=False),
    sa.Column("hash", sa.LargeBinary, nullable=False),
    *(_column(name, hint) for name, hint in get_type_hints(LedgerRow).items()),
    sa.Index("ledger_at", "at_us"),
    sa.Index("ledger_request", "request_id"),
)

reservations: Final = sa.Table(
    "reservations",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("amount_nano", sa.BigInteger, nullable=False),
    sa.Column("draft", sa.LargeBinary, nullable=False),
)
"""What is under way: `draft` is the row (JSON) that is booked if the process dies."""

chain: Final = sa.Table("chain", metadata, sa.Column("id", sa.Text, primary_key=True))

keys: Final = sa.Table(
    "keys",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("hash", sa.LargeBinary, nullable=False, unique=True),
    sa.Column("team", sa.Text, nullable=False),
    sa.Column("app", sa.Text, nullable=False),
    sa.Column("env", sa.Text, nullable=False),
    sa.Column("route", sa.Text, nullable=False),
    sa.Column("created_us", sa.BigInteger, nullable=False),
    sa.Column("expires_us", sa.BigInteger),
    sa.Column("revoked_us", sa.BigInteger),
    sa.Column("is_development", sa.Boolean, nullable=False),
)

kept: Final = sa.Table(
    "kept",
    metadata,
    sa.Column("team", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("deployment", sa.Text, nullable=False),
    sa.Column("until_us", sa.BigInteger, nullable=False),
    sa.Index("kept_until", "until_us"),
)
"""Which deployment keeps which answer, for whom and until when."""

admin_log: Final = sa.Table(
    "admin_log",
    metadata,
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("at_us", sa.BigInteger, nullable=False),
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
)
"""Who may do what was changed when: keys created and revoked, caches purged."""
