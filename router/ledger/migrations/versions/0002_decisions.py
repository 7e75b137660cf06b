"""What the cache decided, and what audits said of it."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    with op.batch_alter_table("ledger") as ledger:
        ledger.add_column(sa.Column("confidence", sa.Float(), nullable=True))
        ledger.add_column(sa.Column("kappa", sa.Float(), nullable=True))
        ledger.add_column(sa.Column("decision", sa.Text(), nullable=True))
        ledger.add_column(sa.Column("verdict", sa.Text(), nullable=True))
