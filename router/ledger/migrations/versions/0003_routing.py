"""What the router decided, for which conversation, and what was thought of the answer."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    with op.batch_alter_table("ledger") as ledger:
        ledger.add_column(sa.Column("conversation", sa.Text(), nullable=True))
        ledger.add_column(sa.Column("routing", sa.Text(), nullable=True))
        ledger.add_column(sa.Column("score", sa.Float(), nullable=True))
        ledger.add_column(sa.Column("upstream_request_id", sa.Text(), nullable=True))
