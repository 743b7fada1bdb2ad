"""Run Alembic's revisions in a connection of ours.

Next: `schema/env.py`, which Alembic executes, and `schema/versions`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config
from sqlalchemy import text

from proxy.store.postgres import UPGRADE_LOCK

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Connection


def run(connection: Connection, folder: Path) -> None:
    """Bring the store to the newest revision of the folder, in this transaction."""
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"select pg_advisory_xact_lock({UPGRADE_LOCK})"))
    config = Config()
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
