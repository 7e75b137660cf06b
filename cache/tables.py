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
    sa.Column("shared", sa.Text),
    sa.Column("model", sa.Text, nullable=False),
    sa.Column("tier", sa.Integer, nullable=False),
    sa.Column("is_rationed", sa.Boolean, nullable=False),
    sa.Column("output_tokens", sa.Integer, nullable=False),
    sa.Column("group_id", sa.Integer, nullable=False, index=True),
    sa.Column("created_us", sa.BigInteger, nullable=False),
    sa.Column("expires_us", sa.BigInteger, nullable=False),
    sa.Column("knowledge_version", sa.Text, nullable=False),
    sa.Column("tags", sa.Text, nullable=False),
    sa.Column("is_curated", sa.Boolean, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("writer", sa.Text, nullable=False),
    sa.Column("askers", sa.Text, nullable=False),
    sa.Column("worth", sa.BigInteger, nullable=False),
    sa.Column("payload", sa.LargeBinary, nullable=False),
)
"""A stored answer. `tags` and `askers` are JSON lists. `payload` is last: SQLite need not read it to reach the rest."""

anchors: Final = sa.Table(
    "anchors",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("entry_id", sa.Text, sa.ForeignKey("entries.id", ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("exact_key", sa.LargeBinary, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("is_quarantined", sa.Boolean, nullable=False),
    sa.Column("encoder", sa.Text),
    sa.Column("vector", sa.LargeBinary),
)
"""A prompt that leads to an entry. `vector` (float32, little endian) belongs to the vector space that `encoder`
names; null for prompts that only serve exactly."""

groups: Final = sa.Table(
    "groups",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("scope", sa.LargeBinary, nullable=False),
    sa.Column("identity", sa.LargeBinary, nullable=False),
    sa.Column("answer", sa.Text, nullable=False),
    sa.Column("encoder", sa.Text),
    sa.Column("vector", sa.LargeBinary),
    sa.Column("evidence", sa.LargeBinary, nullable=False),
)
"""Entries whose answers say the same. `identity` is a hash of the founder's normalised answer, `answer` the start of
its text, `vector` that of the answer (as in `anchors`), `evidence` what is known of the group's hits."""

wordings: Final = sa.Table(
    "wordings",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("group_id", sa.Integer, nullable=False, index=True),
    sa.Column("strain", sa.Integer, nullable=False),
    sa.Column("answer", sa.Text, nullable=False),
    sa.Column("encoder", sa.Text, nullable=False),
    sa.Column("vector", sa.LargeBinary, nullable=False),
)
"""Other answers that say what a group says, by which it is found and compared too. An id was that of the group which
the answer had founded; those of one `strain` are linked by their words."""

scopes: Final = sa.Table(
    "scopes",
    metadata,
    sa.Column("scope", sa.LargeBinary, primary_key=True),
    sa.Column("evidence", sa.LargeBinary, nullable=False),
)
"""What the answers and the labels of a scope have shown, as JSON."""

certificates: Final = sa.Table(
    "certificates",
    metadata,
    sa.Column("route", sa.Text, primary_key=True),
    sa.Column("snapshot", sa.LargeBinary, nullable=False),
    sa.Column("saved_us", sa.BigInteger, nullable=False),
)
"""What each route has learnt of its risk."""

doubts: Final = sa.Table(
    "doubts",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("at_us", sa.BigInteger, nullable=False),
    sa.Column("route", sa.Text, nullable=False),
    sa.Column("team", sa.Text, nullable=False),
    sa.Column("anchor_id", sa.Integer, nullable=False),
    sa.Column("entry_id", sa.Text, nullable=False),
    sa.Column("group_id", sa.Integer, nullable=False),
    sa.Column("request_id", sa.Text, nullable=False),
    sa.Column("asked", sa.Text, nullable=False),
    sa.Column("stored_question", sa.Text, nullable=False),
    sa.Column("stored_answer", sa.Text, nullable=False),
    sa.Column("fresh_answer", sa.Text, nullable=False),
    sa.Column("p", sa.Float, nullable=False),
    sa.Column("verdict", sa.Text, nullable=False),
    sa.Column("ruling", sa.Text),
    sa.Index("ix_doubts_route_ruling", "route", "ruling"),
    sqlite_autoincrement=True,
)
"""Hits whose audit did not say "same", for a person to rule on. An id is never given twice."""

webhooks: Final = sa.Table(
    "webhooks",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("until_us", sa.BigInteger, nullable=False),
)
"""Ids of the content system's webhooks that were obeyed, and until when their signatures are good."""

embeddings: Final = sa.Table(
    "embeddings",
    metadata,
    sa.Column("key", sa.LargeBinary, primary_key=True),
    sa.Column("team", sa.Text, nullable=False),
    sa.Column("env", sa.Text, nullable=False),
    sa.Column("route", sa.Text, nullable=False),
    sa.Column("knowledge_version", sa.Text, nullable=False),
    sa.Column("model", sa.Text, nullable=False),
    sa.Column("tokens", sa.Integer, nullable=False),
    sa.Column("created_us", sa.BigInteger, nullable=False, index=True),
    sa.Column("vector", sa.LargeBinary, nullable=False),
)
"""Vectors as the JSON that their provider wrote. `key` is a hash of tenant, model, input and options."""
