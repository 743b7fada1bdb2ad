"""Bring a store's tables to the form that this pgwarden knows.

Alembic's revisions travel in the package (`schema/versions`). Several processes may
open a store at once: one upgrades, the others wait and find it done.
Next: `schema/env.py`, which Alembic runs.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from proxy.errors import ConfigError
from proxy.store.postgres import UPGRADE_LOCK
from proxy.store.sqlite import WRITES

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.ext.asyncio import AsyncEngine

SCHEMA_FOLDER: Final = Path(__file__).parent / "schema"


def _configuration(folder: Path) -> Config:
    """Where the revisions are, and nothing else."""
    config = Config()
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


async def upgrade(
    engine: AsyncEngine, *, place: str, folder: Path = SCHEMA_FOLDER
) -> None:
    """Run the revisions that the store has not seen.

    Args:
        engine: the store.
        place: what to call it in errors.
        folder: where the revisions are.

    Raises:
        ConfigError: the store has been upgraded by a newer pgwarden.
    """
    scripts = ScriptDirectory.from_config(_configuration(folder))
    known = {each.revision for each in scripts.walk_revisions()}
    async with engine.connect() as connection, connection.begin():
        found = await connection.run_sync(_revision)
    if found is not None and found not in known:
        raise ConfigError(
            f'the store "{place}" was upgraded by a newer pgwarden (to revision '
            f'"{found}", which this one does not know)',
            hint="run that version, or restore the store from before the upgrade",
        )
    if found == scripts.get_current_head():
        return
    writing = engine.execution_options(**{WRITES: True})
    async with writing.connect() as connection, connection.begin():
        await connection.run_sync(_run, folder)


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _run(connection: Connection, folder: Path) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"select pg_advisory_xact_lock({UPGRADE_LOCK})"))
    config = _configuration(folder)
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
