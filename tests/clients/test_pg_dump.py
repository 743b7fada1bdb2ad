"""pg_dump as developer: the schema alone and everything, and what it gives restores."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from proxy.demo.postgres import url
from tests.clients.refusals import refused_texts
from tests.clients.snapshot import snapshot
from tests.clients.tools import libpq_environment, run
from tests.fix_postgres import Database, bin_dir

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from proxy.demo.postgres import Cluster
    from tests.fix_proxy import Proxy

pytestmark = [pytest.mark.postgres, pytest.mark.client("pg_dump"), pytest.mark.slow]

DUMPS = {15: (15, 17), 17: (17, 18), 18: (18,)}
"""Server to dump programs: a pg_dump older than the server refuses by itself."""


@pytest.fixture
def scratch(shop: Database, postgres: Cluster) -> Iterator[Database]:
    """An empty database beside the shop, to restore into."""
    copy = Database(postgres, f"{shop.name}_restored", shop.logins)
    admin = Database(postgres, "postgres", shop.logins)
    admin.execute(f"CREATE DATABASE {copy.name} TEMPLATE template0")
    yield copy
    admin.execute(f"DROP DATABASE {copy.name} WITH (FORCE)")


def dump(major: int, proxy: Proxy, database: Database, *options: str | Path) -> bytes:
    program = bin_dir(major) / "pg_dump"
    environment = libpq_environment(proxy, database)
    return run([program, *options], environment=environment).ok().stdout


def restore(postgres: Cluster, database: Database, file: Path) -> None:
    """Replay a plain dump with the server's own psql, as superuser and directly."""
    dsn = url(postgres.superuser, postgres.password, postgres.port, database.name)
    run(
        [bin_dir(postgres.major) / "psql", "-X", "-q", "-f", file, dsn],
        environment={"PATH": "/usr/bin", "LC_ALL": "C.UTF-8"},
    ).ok()


def test_everything_and_back(
    guard: Proxy, shop: Database, scratch: Database, postgres: Cluster, tmp_path: Path
) -> None:
    wanted = snapshot(shop)
    for major in DUMPS[postgres.major]:
        file = tmp_path / f"full-{major}.sql"
        dump(major, guard, shop, "--file", file)
        assert not refused_texts(guard, shop.name)
    restore(postgres, scratch, tmp_path / f"full-{postgres.major}.sql")
    assert snapshot(scratch) == wanted


def test_the_schema_alone(
    guard: Proxy, shop: Database, scratch: Database, postgres: Cluster, tmp_path: Path
) -> None:
    file = tmp_path / "schema.sql"
    file.write_bytes(dump(postgres.major, guard, shop, "--schema-only"))
    text = file.read_text("utf-8")
    assert "CREATE TABLE public.customers" in text
    assert "\nCOPY " not in text
    restore(postgres, scratch, file)
    assert scratch.fetch("SELECT count(*) FROM customers") == [(0,)]
    assert set(snapshot(scratch)) == set(snapshot(shop))
    assert not refused_texts(guard, shop.name)


@pytest.mark.parametrize(
    "options",
    [
        ("--format=custom", "--compress=0"),
        ("--data-only", "--inserts", "--rows-per-insert=100"),
        ("--table=customers", "--column-inserts"),
        ("--exclude-table-data=orders", "--no-owner", "--no-privileges"),
        ("--serializable-deferrable", "--schema-only"),
        ("--enable-row-security",),
        ("--quote-all-identifiers", "--clean", "--if-exists"),
    ],
    ids=lambda options: options[0].lstrip("-"),
)
def test_other_ways_to_dump(
    guard: Proxy, shop: Database, postgres: Cluster, options: tuple[str, ...]
) -> None:
    assert len(dump(postgres.major, guard, shop, *options)) > 1000
    assert not refused_texts(guard, shop.name)


def test_in_parallel_is_refused_until_a_policy_permits_it(
    guard: Proxy, shop: Database, postgres: Cluster, tmp_path: Path
) -> None:
    """Its workers share an exported snapshot; policies/README.md has the recipe."""
    done = run(
        [bin_dir(postgres.major) / "pg_dump", "-Fd", "-j3", "-f", tmp_path / "dump"],
        environment=libpq_environment(guard, shop),
    )
    assert done.code != 0
    assert '"pg_catalog.pg_export_snapshot" is not allowed' in done.err


def test_a_restore_as_developer_is_refused(
    guard: Proxy, shop: Database, postgres: Cluster, tmp_path: Path
) -> None:
    file = tmp_path / "shop.dump"
    dump(postgres.major, guard, shop, "--format=custom", "--file", file)
    before = snapshot(shop)
    done = run(
        [bin_dir(postgres.major) / "pg_restore", "--clean", "-d", shop.name, file],
        environment=libpq_environment(guard, shop),
    )
    assert done.code != 0
    assert "is not allowed for role developer" in done.err
    assert snapshot(shop) == before
