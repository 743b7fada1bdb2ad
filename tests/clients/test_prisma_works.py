"""Prisma's CLI and client doing their daily work under production's policy."""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from tests.clients.refusals import Refusal, check_refusal, refused_texts, statements
from tests.clients.snapshot import snapshot

if TYPE_CHECKING:
    from tests.clients.prisma_project import PrismaProject
    from tests.fix_postgres import Database
    from tests.fix_proxy import Proxy

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.client("prisma"),
    pytest.mark.slow,
    pytest.mark.timeout(180),
]

BASELINE = "20240101000000_shop"
REVIEWS = "20240201000000_reviews"


@pytest.fixture
def empty17(shop17: Database) -> Database:
    """The shop's database with nothing in it, as before the first deploy."""
    shop17.execute(
        "DROP OWNED BY pgwarden_migrator CASCADE;"
        f"GRANT CONNECT, CREATE, TEMPORARY ON DATABASE {shop17.name}"
        " TO pgwarden_migrator; GRANT USAGE, CREATE ON SCHEMA public"
        " TO pgwarden_migrator; GRANT EXECUTE ON FUNCTION pg_advisory_lock(bigint)"
        " TO pgwarden_migrator"
    )
    return shop17


def models(schema: str) -> set[str]:
    """Each model and enum of a schema, its lines without layout and comments."""
    blocks = re.findall(r"^(?:model|enum) .*?^}", schema, re.DOTALL | re.MULTILINE)
    return {" ".join(block.split()) for block in blocks}


def test_a_developer_pulls_the_schema(
    guard17: Proxy, shop17: Database, prisma: PrismaProject
) -> None:
    schema = prisma.schema_path.read_text("utf-8")
    header = schema.partition("model ")[0]
    prisma.schema_path.write_text(header)
    prisma.cli(guard17.dsn("developer", shop17.name), "db pull").ok()
    assert models(prisma.schema_path.read_text("utf-8")) == models(schema)
    assert len(models(schema)) == 5
    assert not refused_texts(guard17, shop17.name)


def test_the_way_of_an_existing_shop(
    guard17: Proxy, shop17: Database, prisma: PrismaProject
) -> None:
    """Baseline, status, deploy, status, deploy again: each as its own identity."""
    developer = guard17.dsn("developer", shop17.name)
    migrator = guard17.dsn("migrator", shop17.name)
    before = snapshot(shop17)

    pending = prisma.cli(developer, "migrate status")
    assert pending.code == 1
    assert "have not yet been applied" in pending.out
    refused = prisma.cli(migrator, "migrate deploy")
    assert "P3005" in refused.err  # not empty and no history: Prisma itself stops
    prisma.cli(migrator, f"migrate resolve --applied {BASELINE}").ok()
    deployed = prisma.cli(migrator, "migrate deploy").ok()
    assert REVIEWS in deployed.out
    assert "up to date" in prisma.cli(developer, "migrate status").ok().out
    assert "No pending" in prisma.cli(migrator, "migrate deploy").ok().out

    assert not refused_texts(guard17, shop17.name)
    rows = shop17.fetch("SELECT migration_name, checksum FROM _prisma_migrations")
    file = prisma.migrations / REVIEWS / "migration.sql"
    assert dict(rows)[REVIEWS] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert shop17.fetch("SELECT count(*) FROM reviews") == [(3,)]
    assert shop17.fetch("SELECT count(*) FROM customers WHERE locale = 'de'") == [
        (100,)
    ]
    untouched = set(before) - {"public.customers"}
    after = snapshot(shop17)
    assert {name: after[name] for name in untouched} == {
        name: before[name] for name in untouched
    }


def test_deploy_to_an_empty_database(
    guard17: Proxy, empty17: Database, prisma: PrismaProject
) -> None:
    prisma.cli(guard17.dsn("migrator", empty17.name), "migrate deploy").ok()
    names = empty17.fetch(
        "SELECT migration_name FROM _prisma_migrations"
        " WHERE finished_at IS NOT NULL ORDER BY 1"
    )
    assert names == [(BASELINE,), (REVIEWS,)]
    assert not refused_texts(guard17, empty17.name)


def test_a_developer_can_t_deploy(
    guard17: Proxy, empty17: Database, prisma: PrismaProject
) -> None:
    before = snapshot(empty17)
    done = prisma.cli(guard17.dsn("developer", empty17.name), "migrate deploy")
    assert done.code != 0
    assert "is not allowed for role developer" in done.err
    assert snapshot(empty17) == before


def test_deploy_of_a_migration_that_drops_stops_there(
    guard17: Proxy, shop17: Database, prisma: PrismaProject
) -> None:
    migrator = guard17.dsn("migrator", shop17.name)
    prisma.cli(migrator, f"migrate resolve --applied {BASELINE}").ok()
    later = prisma.migrations / "20240301000000_drop_note"
    later.mkdir()
    (later / "migration.sql").write_text('ALTER TABLE "orders" DROP COLUMN "note";\n')
    done = prisma.cli(migrator, "migrate deploy")
    assert done.code != 0
    assert "the column's data would be gone" in done.err
    assert shop17.fetch("SELECT count(note) FROM orders") == [(200,)]
    assert shop17.fetch("SELECT count(*) FROM reviews") == [(3,)]


def test_a_whole_migration_file_as_one_query(guard17: Proxy, shop17: Database) -> None:
    """The native engine's form; psycopg too sends a parameterless text as one Query."""
    script = """
        -- CreateTable
        CREATE TABLE "wishes" ("id" SERIAL NOT NULL, "text" TEXT NOT NULL,
            CONSTRAINT "wishes_pkey" PRIMARY KEY ("id"));
        ALTER TABLE "customers" ADD COLUMN "wish_id" INTEGER;
        CREATE FUNCTION wished() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN NEW.text := trim(NEW.text); RETURN NEW; END; $$;
        CREATE TRIGGER wished BEFORE INSERT ON "wishes"
            FOR EACH ROW EXECUTE FUNCTION wished();
        CREATE INDEX "customers_wish_id_idx" ON "customers"("wish_id");
        ALTER TABLE "customers" ADD CONSTRAINT "customers_wish_id_fkey"
            FOREIGN KEY ("wish_id") REFERENCES "wishes"("id");
        INSERT INTO "wishes" ("text") VALUES (' one '), ('two');
    """
    url = guard17.dsn("migrator", shop17.name)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(72707369)")
        connection.execute(script.encode())
    assert shop17.fetch('SELECT text FROM "wishes" ORDER BY id') == [("one",), ("two",)]
    texts = [one["text"] for one in statements(guard17, shop17.name)]
    assert script in texts


def test_one_bad_statement_in_a_file_refuses_the_file(
    guard17: Proxy, shop17: Database
) -> None:
    """A multi-statement Query is judged whole: the good half doesn't run either."""
    before = snapshot(shop17)
    script = b'CREATE TABLE "a" ("id" INT); ALTER TABLE "orders" DROP COLUMN "note";'
    url = guard17.dsn("migrator", shop17.name)
    with psycopg.connect(url, autocommit=True) as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(script)
        assert connection.execute("SELECT count(*) FROM orders").fetchone() == (5000,)
    assert snapshot(shop17) == before


CLIENT_ACTS: dict[str, dict[str, Any]] = {
    "reads": {
        "first": "grace.sorensen1@example.com",
        "joined": 3,
        "lines": True,
        "page": 5,
        "groups": 5,
    },
    "raw": {"rows": 500, "unsafe": 3},
    "transactions": {"customers": 1000, "orders": 5000, "inside": 1120},
    "reuse": {"names": 50},
    "parallel": {"right": True},
    "large": {"length": 4_000_000},
}


@pytest.fixture
def generated(guard17: Proxy, shop17: Database, prisma: PrismaProject) -> PrismaProject:
    prisma.cli(guard17.dsn("developer", shop17.name), "generate").ok()
    return prisma


def test_the_client_as_developer(
    guard17: Proxy, shop17: Database, generated: PrismaProject
) -> None:
    for act, expected in CLIENT_ACTS.items():
        url = guard17.dsn("developer", shop17.name)
        proxied = json.loads(generated.node(url, "client.mjs", act).ok().out)
        direct = json.loads(generated.node(shop17.dsn, "client.mjs", act).ok().out)
        assert proxied == direct
        assert expected.items() <= proxied.items()
    assert not refused_texts(guard17, shop17.name)


def test_every_write_of_the_client_is_refused(
    guard17: Proxy, shop17: Database, generated: PrismaProject
) -> None:
    before = snapshot(shop17)
    url = guard17.dsn("developer", shop17.name)
    answers = json.loads(generated.node(url, "client.mjs", "refused").ok().out)
    assert len(answers) == 12
    for name, answer in answers.items():
        rule = "developer.schema" if name == "drop" else "developer.write"
        found = Refusal(
            *(answer.get(key) for key in ("sqlstate", "message", "detail", "hint"))
        )
        check_refusal(guard17, found, rule)
        assert answer["usable"], name
    assert snapshot(shop17) == before
