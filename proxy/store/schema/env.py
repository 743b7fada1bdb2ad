"""What Alembic runs to upgrade a store: the caller's connection and transaction.

Not imported; `proxy.store.upgrade` has Alembic execute it.
"""

from __future__ import annotations

from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
