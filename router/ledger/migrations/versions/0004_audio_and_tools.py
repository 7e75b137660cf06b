"""Audio tokens and the providers' own tools, with their prices."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_COUNTS = ("audio_input_tokens", "audio_cache_read_tokens", "audio_output_tokens")
_PRICES = (
    "baseline_audio_input_price",
    "baseline_audio_output_price",
    "list_audio_input_price",
    "list_audio_cache_read_price",
    "list_audio_output_price",
    "paid_audio_input_price",
    "paid_audio_cache_read_price",
    "paid_audio_output_price",
)
_TEXTS = ("tool_calls", "baseline_tool_prices", "list_tool_prices", "paid_tool_prices")


def upgrade() -> None:
    with op.batch_alter_table("ledger") as ledger:
        for name in _COUNTS:
            ledger.add_column(sa.Column(name, sa.BigInteger(), nullable=False, server_default="0"))
        for name in _PRICES:
            ledger.add_column(sa.Column(name, sa.BigInteger(), nullable=True))
        for name in _TEXTS:
            ledger.add_column(sa.Column(name, sa.Text(), nullable=True))
