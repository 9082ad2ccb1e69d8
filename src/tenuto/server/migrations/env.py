"""Run by Alembic with the connection that `tenuto.server.migrate` hands over."""

from alembic import context

from tenuto.server.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True)
context.run_migrations()
