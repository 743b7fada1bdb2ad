"""`pgwarden migration digest|drift|baseline` on real servers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from proxy.cli.migration import migration_app
from proxy.errors import ConfigError
from tests.fix_postgres import run
from tests.unit.cli.test_migration_ledger import RUN, STAGING, Place

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from proxy.demo.postgres import Cluster

pytestmark = pytest.mark.postgres

HISTORY = """
CREATE TABLE _prisma_migrations (id varchar(36) PRIMARY KEY, checksum varchar(64),
    finished_at timestamptz, migration_name varchar(255), rolled_back_at timestamptz,
    started_at timestamptz DEFAULT now());
INSERT INTO _prisma_migrations VALUES
    ('1', 'c1', now(), '1_init', NULL, '2026-01-01'),
    ('2', 'c2', now(), '2_more', NULL, '2026-01-02'),
    ('3', 'c3', NULL, '3_failed', NULL, '2026-01-03'),
    ('4', 'c4', now(), '4_undone', now(), '2026-01-04');
CREATE TABLE item (id serial PRIMARY KEY, name varchar(20) NOT NULL);
"""


@pytest.fixture
def place(
    postgres17: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Place]:
    """A staging pgwarden with a key, and two databases alike."""
    for name in ("one", "two"):
        run(postgres17.dsn(), f"CREATE DATABASE {name}")
        run(postgres17.dsn(name), HISTORY)
        monkeypatch.setenv(f"{name.upper()}_URL", postgres17.dsn(name))
    made = Place(tmp_path / "staging", STAGING)
    made.ok("keys", "new")
    yield made
    for name in ("one", "two"):
        run(postgres17.dsn(), f"DROP DATABASE {name} WITH (FORCE)")


def drift(place: Place, *more: str) -> tuple[int, Any]:
    ran = place.run("drift", "one", "--dsn-env", "ONE_URL", *more, "--json")
    assert ran.exit_code in {0, 1}, (ran.output, ran.exception)
    return ran.exit_code, json.loads(ran.stdout)


def test_two_databases_are_compared(place: Place, postgres17: Cluster) -> None:
    first = place.json("digest", "one", "--dsn-env", "ONE_URL")
    second = place.json("digest", "two", "--dsn-env", "TWO_URL")
    assert first["digest"] == second["digest"]
    by_url = ["digest", "one", "--dsn-env", "ONE_URL", "--schema", "public", "--json"]
    ran = RUN.invoke(migration_app, by_url)
    assert json.loads(ran.stdout) == first
    assert isinstance(RUN.invoke(migration_app, by_url[:4]).exception, ConfigError)
    assert first["objects"] == second["objects"]
    other = ("--other-dsn-env", "TWO_URL")
    assert drift(place, *other)[0] == 0
    run(
        postgres17.dsn("one"),
        "ALTER TABLE item ALTER name TYPE varchar(30); CREATE INDEX extra ON item (id);"
        "ALTER TABLE item DROP CONSTRAINT item_pkey",
    )
    status, found = drift(place, *other)
    assert status == 1
    changes = {each["object"]: each for each in found["differences"]}
    assert changes["column public.item.name"]["attributes"] == {
        "type": {
            "expected": "character varying(20)",
            "found": "character varying(30)",
        }
    }
    assert changes["index public.extra"]["change"] == "unexpected"
    assert changes["constraint public.item.item_pkey"]["change"] == "missing"
    shown = place.run("drift", "one", "--dsn-env", "ONE_URL", *other).stdout
    assert "type: character varying(20) -> character varying(30)" in shown
    assert "missing: constraint public.item.item_pkey" in shown


def test_a_baseline_is_seen_signed_and_held_against_production(
    place: Place, postgres17: Cluster
) -> None:
    command = ("baseline", "one", "--tool", "prisma", "--dsn-env", "ONE_URL")
    assert "nobody is there to say yes" in place.wrong(*command).message
    assert place.json("list") == []
    said = place.ok(*command, "--yes", "--note", "seen by ana", "--by", "ana")
    assert "applied: 1_init c1" in said
    assert "3_failed" not in said
    (listed,) = place.json("list")
    whole = place.json("show", listed["id"])["proof"]
    assert whole["origin"] == "baseline"
    assert [each["name"] for each in whole["applied"]] == ["1_init", "2_more"]
    assert whole["before"] == whole["after"]
    status, found = drift(place)
    assert (status, found["differences"]) == (0, [])
    run(postgres17.dsn("one"), "DROP TABLE item")
    status, found = drift(place)
    assert status == 1
    assert {"column public.item.id", "table public.item"} <= {
        each["object"] for each in found["differences"] if each["change"] == "missing"
    }
    text = place.config.read_text()
    place.config.write_text(text.replace("keys: keys", "schemas: [other], keys: keys"))
    error = place.wrong("drift", "one", "--dsn-env", "ONE_URL")
    assert "is of other schemas" in error.message
    place.config.write_text(text)
    place.ok("revoke", listed["id"])
    error = place.wrong("drift", "one", "--dsn-env", "ONE_URL")
    assert "no proof that is believed here" in error.message


def test_it_is_asked_with_the_login_of_the_settings(
    place: Place, postgres17: Cluster
) -> None:
    """As `catalog export`: pgwarden's own way to the upstream; any login will do."""
    password = place.folder / "password"
    password.write_text("r-s3cret")
    password.chmod(0o600)
    run(postgres17.dsn(), "CREATE ROLE only_connects LOGIN PASSWORD 'r-s3cret'")
    upstream = (
        f"{{host: 127.0.0.1, port: {postgres17.port}, tls: {{mode: disable}}, logins: "
        "{reader: {user: only_connects, password_file: password}, migrator: {user: m}}}"
    )
    text = place.config.read_text()
    start, end = text.index("upstream:"), text.index("migrations:")
    try:
        place.config.write_text(f"{text[:start]}upstream: {upstream}\n{text[end:]}")
        found = place.json("digest", "one")
        assert found == place.json("digest", "one", "--dsn-env", "ONE_URL")
        assert "does not exist" in place.wrong("digest", "nowhere").message
    finally:
        run(postgres17.dsn(), "DROP ROLE only_connects")


def test_what_can_t_be_asked_is_told_in_a_line(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOWHERE", "postgresql://x:s3cret@127.0.0.1:1/x")
    for command in (
        ("digest", "one", "--dsn-env", "NOWHERE"),
        ("digest", "none", "--dsn-env", "ONE_URL"),
        ("digest", "one", "--dsn-env", "NOT_SET"),
        ("drift", "one", "--dsn-env", "ONE_URL"),
        ("baseline", "one", "--tool", "alembic", "--dsn-env", "ONE_URL", "--yes"),
        ("baseline", "one", "--tool", "pen", "--dsn-env", "ONE_URL", "--yes"),
        (
            *("baseline", "one", "--tool", "prisma", "--schema", 'x"; --'),
            *("--dsn-env", "ONE_URL", "--yes"),
        ),
    ):
        error = place.wrong(*command)
        assert "s3cret" not in f"{error.message} {error.hint}"
    assert place.json("list") == []
