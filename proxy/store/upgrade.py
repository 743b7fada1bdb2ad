"""Whether a store's tables have the form that this pgwarden knows; if not, upgrade it.

Revisions travel in the package (`schema/versions`); the number in a file's name is its
revision, and the highest is ours. Several processes may open a store at once: one
upgrades, the others wait and find it done. Next: `revisions`, which runs them.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy import inspect, text

from proxy.errors import ConfigError
from proxy.store.sqlite import WRITES

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.ext.asyncio import AsyncEngine

SCHEMA_FOLDER: Final = Path(__file__).parent / "schema"
_FILE: Final = re.compile(r"r(\d{4})_[a-z_]+\.py")


def revisions(folder: Path) -> list[str]:
    """The revisions there, the oldest first."""
    names = (_FILE.fullmatch(each.name) for each in (folder / "versions").iterdir())
    return sorted(name[1] for name in names if name)


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
    known = revisions(folder)
    async with engine.connect() as connection, connection.begin():
        found = await connection.run_sync(_revision)
    if found is not None and found not in known:
        raise ConfigError(
            f'the store "{place}" was upgraded by a newer pgwarden (to revision '
            f'"{found}", which this one does not know)',
            hint="run that version, or restore the store from before the upgrade",
        )
    if found == known[-1]:
        return
    # Alembic takes as long to load as everything else of the store, and is needed
    # once a version.
    # It tells of each step and plugin, also while it loads: no events of ours.
    logging.getLogger("alembic").setLevel(logging.WARNING)
    from proxy.store.revisions import run  # noqa: PLC0415 - see above

    writing = engine.execution_options(**{WRITES: True})
    async with writing.connect() as connection, connection.begin():
        await connection.run_sync(run, folder)


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    found = connection.scalar(text("select version_num from alembic_version"))
    return None if found is None else str(found)
