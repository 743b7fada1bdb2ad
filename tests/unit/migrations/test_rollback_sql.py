"""Derived ways back: each statement with what undoes it, and what nothing undoes."""

from __future__ import annotations

import pytest

from proxy.migrations.folder import Migration
from proxy.migrations.rollback import Source, plan

BEFORE = b"CREATE TABLE t (n int, name varchar(50));"


def way(text: str, down: str | None = None) -> tuple[Source, str]:
    migrations = [
        Migration("0.sql", "sql", BEFORE),
        Migration("1.sql", "sql", text.encode(), down.encode() if down else None),
    ]
    found = plan(migrations)[1]
    return found.source, found.script.strip()


@pytest.mark.parametrize(
    ("up", "down"),
    [
        ("CREATE TABLE a.b (x int)", 'DROP TABLE "a"."b";'),
        ('CREATE TABLE "o""dd" (x int)', 'DROP TABLE "o""dd";'),
        ("CREATE TABLE b AS SELECT 1", 'DROP TABLE "b";'),
        (
            "CREATE MATERIALIZED VIEW b AS SELECT 1",
            'DROP MATERIALIZED VIEW "b";',
        ),
        ("CREATE VIEW b AS SELECT 1", 'DROP VIEW "b";'),
        ("CREATE SEQUENCE b", 'DROP SEQUENCE "b";'),
        ("CREATE SCHEMA b", 'DROP SCHEMA "b";'),
        ("CREATE EXTENSION b", 'DROP EXTENSION "b";'),
        ("CREATE TYPE a.b AS ENUM ('x')", 'DROP TYPE "a"."b";'),
        ("CREATE TYPE b AS (x int)", 'DROP TYPE "b";'),
        ("CREATE DOMAIN b AS int", 'DROP DOMAIN "b";'),
        ("CREATE STATISTICS b ON n, name FROM t", 'DROP STATISTICS "b";'),
        ("CREATE INDEX i ON a.t (n)", 'DROP INDEX "a"."i";'),
        (
            "CREATE INDEX CONCURRENTLY i ON t (n)",
            'DROP INDEX CONCURRENTLY "i";',
        ),
        (
            "CREATE FUNCTION f(x int, VARIADIC y text[], OUT z int) LANGUAGE sql AS ''",
            'DROP FUNCTION "f"("pg_catalog"."int4", "text"[]);',
        ),
        ("CREATE PROCEDURE f() LANGUAGE sql AS ''", 'DROP PROCEDURE "f"();'),
        (
            "CREATE TRIGGER g BEFORE INSERT ON t EXECUTE FUNCTION f()",
            'DROP TRIGGER "g" ON "t";',
        ),
        ("CREATE POLICY p ON t USING (true)", 'DROP POLICY "p" ON "t";'),
        ("ALTER TABLE t ADD a int", 'ALTER TABLE "t" DROP COLUMN "a";'),
        (
            "ALTER TABLE t ADD a int, ADD CONSTRAINT c CHECK (a > 0)",
            'ALTER TABLE "t" DROP CONSTRAINT "c", DROP COLUMN "a";',
        ),
        (
            "ALTER TABLE t ALTER n SET NOT NULL",
            'ALTER TABLE "t" ALTER COLUMN "n" DROP NOT NULL;',
        ),
        (
            "ALTER TABLE t ALTER n DROP NOT NULL",
            'ALTER TABLE "t" ALTER COLUMN "n" SET NOT NULL;',
        ),
        (
            "ALTER TABLE t ALTER name TYPE text",
            'ALTER TABLE "t" ALTER COLUMN "name" TYPE varchar(50);',
        ),
        (
            "ALTER TABLE t ENABLE ROW LEVEL SECURITY",
            'ALTER TABLE "t" DISABLE ROW LEVEL SECURITY;',
        ),
        (
            "ALTER TABLE t ATTACH PARTITION p FOR VALUES IN (1)",
            'ALTER TABLE "t" DETACH PARTITION "p";',
        ),
        ("ALTER TABLE a.t RENAME TO u", 'ALTER TABLE "a"."u" RENAME TO "t";'),
        ("ALTER INDEX i RENAME TO j", 'ALTER INDEX "j" RENAME TO "i";'),
        (
            "ALTER TABLE t RENAME n TO m",
            'ALTER TABLE "t" RENAME COLUMN "m" TO "n";',
        ),
        (
            "ALTER TYPE e RENAME VALUE 'a''b' TO 'c'",
            "ALTER TYPE \"e\" RENAME VALUE 'c' TO 'a''b';",
        ),
        ("SET lock_timeout = '1s'; SELECT 1", ""),
        (
            "CREATE TABLE b (x int); CREATE INDEX i ON b (x)",
            'DROP INDEX "i";\nDROP TABLE "b";',
        ),
    ],
)
def test_what_can_be_undone(up: str, down: str) -> None:
    assert way(up) == (Source.DERIVED, down)


@pytest.mark.parametrize(
    "up",
    [
        "DROP TABLE t",
        "ALTER TABLE t DROP COLUMN n",
        "DROP INDEX i",
        "TRUNCATE t",
        "DELETE FROM t WHERE n = 1",
        "UPDATE t SET n = 1 WHERE n = 2",
        "INSERT INTO t VALUES (1)",
        "MERGE INTO t USING u ON t.n = u.n WHEN MATCHED THEN DELETE",
        "SELECT setval('s', 1)",
        "SELECT my_function()",
        "WITH d AS (DELETE FROM t RETURNING 1) SELECT * FROM d",
        "DO $$ BEGIN NULL; END $$",
        "CALL p()",
        "CREATE TABLE IF NOT EXISTS b (x int)",
        "CREATE INDEX IF NOT EXISTS i ON t (n)",
        "CREATE OR REPLACE VIEW v AS SELECT 1",
        "CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql AS ''",
        "CREATE INDEX ON t (n)",
        "ALTER TABLE t ADD COLUMN IF NOT EXISTS a int",
        "ALTER TABLE IF EXISTS t ADD COLUMN a int",
        "ALTER TABLE t ADD CHECK (n > 0)",
        "ALTER TABLE t ALTER n SET DEFAULT 1",
        "ALTER TABLE t ALTER name TYPE int USING 1",
        "ALTER TABLE u ALTER name TYPE text",
        "ALTER TABLE t ADD a int, DROP COLUMN n",
        "ALTER TYPE e ADD VALUE 'x'",
        "ALTER VIEW v ALTER c SET DEFAULT 1",
        "COMMENT ON TABLE t IS 'x'",
        "GRANT SELECT ON t TO r",
        "CREATE TABLE b (x int); DROP TABLE t",  # whole or not at all
        "SELECT ,",
    ],
)
def test_what_can_not_has_no_half_a_script(up: str) -> None:
    assert way(up) == (Source.NONE, "")


def test_the_tools_own_script_wins_and_still_tells_what_it_can_not_bring_back() -> None:
    migration = Migration("1.sql", "sql", b"DROP TABLE t", b"CREATE TABLE t (n int)")
    (found,) = plan([migration])
    assert (found.source, found.script) == (Source.OWN, "CREATE TABLE t (n int)")
    assert found.loses == ("line 1: what it takes away is not in the text",)
