"""Other wordings of an answer, and what the answers and labels of a scope have shown."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    for table in ("wordings", "scopes"):  # an upgrade that was killed half-way runs again
        op.drop_table(table, if_exists=True)
    op.create_table(
        "wordings",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("group_id", sa.Integer(), nullable=False),
        sa.Column("strain", sa.Integer(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("encoder", sa.Text(), nullable=False),
        sa.Column("vector", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_wordings_group_id", "wordings", ["group_id"])
    op.create_table(
        "scopes",
        sa.Column("scope", sa.LargeBinary(), nullable=False),
        sa.Column("evidence", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("scope"),
    )
