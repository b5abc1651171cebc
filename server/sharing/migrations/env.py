"""Alembic runs this around the scripts in versions/, on the connection that upgrade() gives it."""

from alembic import context

from server.sharing.database import Base

context.configure(connection=context.config.attributes["connection"], target_metadata=Base.metadata)
with context.begin_transaction():
    context.run_migrations()
