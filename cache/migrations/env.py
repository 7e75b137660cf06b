"""Runs the migrations of the cache file on the connection that the caller opened."""

from alembic import context

from cache.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
