"""Time-outs that sessions which migrate begin with, on a real Postgres."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import yaml

from tests.fix_proxy import serve_command
from tests.integration.rig import events

if TYPE_CHECKING:
    from tests.fix_postgres import Database
    from tests.fix_proxy import Proxy, StartProxy

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(90)]

ASK = "SELECT current_setting('lock_timeout'), current_setting('statement_timeout')"


def migrating(folder: Path, **gates: Any) -> dict[str, Any]:
    """The section `migrations`, with a store."""
    store = folder / "store"
    store.mkdir(mode=0o700)
    section = {"environment": "test", "keys": str(folder / "keys.yaml")}
    return {
        "store": {"url": f"sqlite:///{store}/pgwarden.db"},
        "migrations": {**section, "gates": gates},
    }


def asked(proxy: Proxy, shop: Database, role: str, **options: Any) -> tuple[str, str]:
    with psycopg.connect(proxy.dsn(role, shop.name), **options) as connection:
        row = connection.execute(ASK).fetchone()
    assert row is not None
    return row[0], row[1]


def test_who_migrates_waits_for_no_lock_for_long(
    start_proxy: StartProxy, shop: Database, tmp_path: Path
) -> None:
    settings = migrating(tmp_path, lock_timeout_s=0.3, statement_timeout_s=90)
    proxy = start_proxy(shop.cluster, settings=settings)
    assert asked(proxy, shop, "developer") == ("0", "0")
    assert asked(proxy, shop, "migrator") == ("300ms", "90s")
    # What the client asks for counts more, in whatever letters.
    for options in ("-c lock_timeout=7s", "-c LOCK_TIMEOUT=7000"):
        assert asked(proxy, shop, "migrator", options=options) == ("7s", "90s")
    with (
        psycopg.connect(proxy.dsn("migrator", shop.name), autocommit=True) as one,
        psycopg.connect(proxy.dsn("migrator", shop.name), autocommit=True) as other,
    ):
        one.execute("SET lock_timeout = '9s'")
        assert one.execute(ASK).fetchone() == ("9s", "90s")
        for back in ("RESET lock_timeout", "DISCARD ALL"):
            one.execute("SET lock_timeout = 0")
            one.execute(back.encode())
            assert one.execute(ASK).fetchone() == ("300ms", "90s")
        other.execute("BEGIN")
        other.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            one.execute("ALTER TABLE orders ADD COLUMN later int")
        other.execute("ROLLBACK")
    assert events(proxy, "migrations_not_followed") == []


def test_without_the_section_sessions_are_as_before_and_it_is_told(
    start_proxy: StartProxy, shop17: Database
) -> None:
    proxy = start_proxy(shop17.cluster)
    assert asked(proxy, shop17, "migrator") == ("0", "0")
    (told,) = events(proxy, "migrations_not_followed")
    assert told["level"] == "warning"
    assert 'migrations of "migrator" go by the rules alone' in told["problem"]
    done = check(proxy)
    assert done.returncode == 0
    assert told["problem"] in done.stdout


def test_a_start_that_would_refuse_every_migration_is_refused(
    start_proxy: StartProxy, shop17: Database, tmp_path: Path
) -> None:
    proxy = start_proxy(shop17.cluster)
    settings = yaml.safe_load(proxy.settings_path.read_text())
    policy = tmp_path / "requires.yaml"
    shipped = Path(settings["policy"]).read_text()
    policy.write_text(shipped.replace("proofs: accept", "proofs: require"))
    proxy.settings_path.write_text(yaml.safe_dump(settings | {"policy": str(policy)}))
    done = check(proxy)
    assert done.returncode == 2
    assert 'role "migrator" has "proofs: require"' in done.stderr
    assert 'the settings have no "migrations"' in done.stderr
    assert "hint: " in done.stderr


def check(proxy: Proxy) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*serve_command(proxy.settings_path), "--check"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
