"""Upgrades: a store of yesterday opens, one of tomorrow is refused."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from proxy.errors import ConfigError
from proxy.store import sqlite
from proxy.store.engine import Store
from proxy.store.upgrade import SCHEMA_FOLDER, upgrade
from proxy.store_settings import StoreSettings
from tests.storing import add, roll

if TYPE_CHECKING:
    from pathlib import Path

TOMORROW = """
import sqlalchemy as sa
from alembic import op

revision = "tomorrow"
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
    head = max(each.name[1:5] for each in versions.glob("r*.py"))
    (versions / "tomorrow.py").write_text(TOMORROW.format(head=head, then=then))
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
    with pytest.raises(ConfigError, match=r'newer pgwarden \(to revision "tomorrow"'):
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
