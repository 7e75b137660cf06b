"""The tables of the cache file. Their history is in `migrations/`; a test holds the two together."""

from typing import Final

import sqlalchemy as sa

metadata: Final = sa.MetaData()

entries: Final = sa.Table(
    "entries",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("scope", sa.LargeBinary, nullable=False),
    sa.Column("team", sa.Text, nullable=False),
    sa.Column("env", sa.Text, nullable=False),
    sa.Column("route", sa.Text, nullable=False),
    sa.Column("model", sa.Text, nullable=False),
    sa.Column("tier", sa.Integer, nullable=False),
    sa.Column("is_rationed", sa.Boolean, nullable=False),
    sa.Column("output_tokens", sa.Integer, nullable=False),
    sa.Column("answer", sa.LargeBinary, nullable=False),
    sa.Column("created_us", sa.BigInteger, nullable=False),
    sa.Column("expires_us", sa.BigInteger, nullable=False),
    sa.Column("payload", sa.LargeBinary, nullable=False),
)

anchors: Final = sa.Table(
    "anchors",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("entry_id", sa.Text, sa.ForeignKey("entries.id", ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("exact_key", sa.LargeBinary, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("encoder", sa.Text),
    sa.Column("vector", sa.LargeBinary),
)
"""A prompt that leads to an entry. `vector` (float32, little endian) belongs to the vector space that `encoder`
names; null for prompts that only serve exactly."""
