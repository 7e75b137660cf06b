"""Runs the migrations of the ledger file on the connection that the caller opened."""

from alembic import context

from router.ledger.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
