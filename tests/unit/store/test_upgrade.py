"""Upgrades: a store of yesterday opens, one of tomorrow is refused."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import text

from proxy.errors import ConfigError
from proxy.store import sqlite
from proxy.store.engine import Store
from proxy.store.upgrade import SCHEMA_FOLDER, revisions, upgrade
from proxy.store_settings import StoreSettings
from tests.storing import add, roll

if TYPE_CHECKING:
    from pathlib import Path

TOMORROW = """
import sqlalchemy as sa
from alembic import op

revision = "9999"
down_revision = {head!r}

def upgrade():
    op.create_table("more", sa.Column("id", sa.Integer, primary_key=True))
    op.execute("insert into more values (7)")
    {then}
"""


def schema_of_tomorrow(tmp_path: Path, then: str = "") -> Path:
    """Our revisions and one more, whose author we do not know yet."""
    folder = tmp_path / "schema"
    shutil.copytree(SCHEMA_FOLDER, folder)
    versions = folder / "versions"
    head = revisions(folder)[-1]
    (versions / "r9999_tomorrow.py").write_text(TOMORROW.format(head=head, then=then))
    return folder


async def test_a_store_is_upgraded_with_what_it_holds(tmp_path: Path) -> None:
    settings = StoreSettings(url=f"sqlite:///{tmp_path}/store.db")
    store = await Store.open(settings)
    await add(store)
    engine = sqlite.engine(tmp_path / "store.db")
    folder = schema_of_tomorrow(tmp_path)
    for _ in range(2):
        await upgrade(engine, place="x", folder=folder)
    async with engine.connect() as connection:
        assert await connection.scalar(text("select id from more")) == 7
    await engine.dispose()
    assert [each.name for each in (await roll(store)).entries] == ["ana"]
    await store.close()
    # And today's pgwarden, started by mistake, keeps its hands off.
    with pytest.raises(ConfigError, match=r'newer pgwarden \(to revision "9999"'):
        await Store.open(settings)


async def test_an_upgrade_that_fails_leaves_the_store_as_it_was(
    tmp_path: Path,
) -> None:
    settings = StoreSettings(url=f"sqlite:///{tmp_path}/store.db")
    store = await Store.open(settings)
    await add(store)
    engine = sqlite.engine(tmp_path / "store.db")
    with pytest.raises(ZeroDivisionError):
        await upgrade(engine, place="x", folder=schema_of_tomorrow(tmp_path, "1 / 0"))
    async with engine.connect() as connection:
        tables = await connection.execute(text("select name from sqlite_master"))
        assert "more" not in {name for (name,) in tables}
    await engine.dispose()
    await store.close()
    await (await Store.open(settings)).close()


def test_a_revision_is_named_as_its_file() -> None:
    """Whether a store is up to date is told from the names alone."""
    config = Config()
    config.set_main_option("script_location", str(SCHEMA_FOLDER))
    config.set_main_option("path_separator", "os")
    scripts = ScriptDirectory.from_config(config)
    found = [each.revision for each in scripts.walk_revisions()]
    assert sorted(found) == revisions(SCHEMA_FOLDER)
    assert scripts.get_heads() == [revisions(SCHEMA_FOLDER)[-1]]
    files = (SCHEMA_FOLDER / "versions").glob("[!_]*.py")
    assert len(list(files)) == len(found)
