"""What a migration destroys: each statement with the rules that must be told."""

from __future__ import annotations

import pytest

from proxy.migrations.check_columns import Columns
from proxy.migrations.check_fresh import Fresh
from proxy.migrations.check_losses import losses
from proxy.migrations.check_statements import read_statements


def rules(text: str, *, before: str = "") -> list[str]:
    """The rules told of a text, with earlier migrations for context."""
    columns, fresh = Columns(), Fresh()
    earlier = read_statements(before.encode())
    found = read_statements(text.encode())
    assert isinstance(earlier, list)
    assert isinstance(found, list)
    for each in earlier:
        columns.follow(each)
    said = []
    for each in found:
        said += [one.rule for one in losses(each, fresh, columns)]
        fresh.follow(each)
        columns.follow(each)
    return said


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("DROP TABLE t", ["drop-table"]),
        ("DROP TABLE IF EXISTS a.t, u", ["drop-table"]),
        ("DROP TABLE t CASCADE", ["cascade", "drop-table"]),
        ("DROP SCHEMA s", ["drop-schema"]),
        ("DROP DATABASE d", ["drop-database"]),
        ("DROP OWNED BY r", ["drop-owned"]),
        ("DROP VIEW v", ["drop-view"]),
        ("DROP MATERIALIZED VIEW v", ["drop-view"]),
        ("DROP SEQUENCE s", ["drop-sequence"]),
        ("DROP TYPE s", ["drop-type"]),
        ("DROP DOMAIN s", ["drop-type"]),
        ("DROP EXTENSION x", ["drop-extension"]),
        ("TRUNCATE t", ["truncate"]),
        ("DELETE FROM t", ["delete-every-row"]),
        ("DELETE FROM t WHERE true", ["delete-every-row"]),
        ("DELETE FROM t WHERE id = 1", ["delete-rows"]),
        ("WITH d AS (DELETE FROM t RETURNING *) SELECT * FROM d", ["delete-every-row"]),
        ("UPDATE t SET a = 1", ["update-every-row"]),
        ("ALTER TABLE t DROP COLUMN a", ["drop-column"]),
        ("ALTER TABLE t DROP COLUMN a CASCADE", ["cascade", "drop-column"]),
        ("ALTER TABLE t DROP CONSTRAINT a CASCADE", ["cascade"]),
        ("ALTER TABLE t ALTER a DROP IDENTITY", ["drop-sequence"]),
        ("ALTER TABLE t SET UNLOGGED", ["set-unlogged"]),
        ("ALTER TABLE t ALTER a SET EXPRESSION AS (1)", ["rewrite-values"]),
        ("ALTER TABLE t ADD a int NOT NULL", ["not-null-without-default"]),
        ("ALTER TABLE t ADD a int PRIMARY KEY", ["not-null-without-default"]),
        ("ALTER TABLE t ADD a int NOT NULL DEFAULT NULL", ["not-null-without-default"]),
        ("ALTER TABLE t ADD a int, ADD b int NOT NULL", ["not-null-without-default"]),
        ("ALTER TABLE t ALTER a TYPE int", ["narrow-type"]),
        ("ALTER TABLE t RENAME TO u", ["rename"]),
        ("ALTER TABLE t RENAME a TO b", ["rename"]),
        ("ALTER TABLE t SET SCHEMA s", ["rename"]),
        ("ALTER VIEW v RENAME TO w", ["rename"]),
        ("ALTER TYPE e RENAME VALUE 'a' TO 'b'", ["rename"]),
        ("DO $$ BEGIN DROP TABLE t; END $$", ["hidden-code"]),
        ("CALL p()", ["hidden-code"]),
        ("REFRESH MATERIALIZED VIEW v WITH NO DATA", ["truncate"]),
        ("PREPARE p AS DELETE FROM t", ["delete-every-row"]),
        ("EXPLAIN ANALYZE DELETE FROM t", ["delete-every-row"]),
        ("DROP SERVER s", ["destructive"]),
    ],
)
def test_what_destroys_is_told(sql: str, expected: list[str]) -> None:
    assert rules(sql) == expected


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TABLE t (a int NOT NULL)",
        "CREATE INDEX ON t (a)",
        "DROP INDEX i",
        "DROP FUNCTION f",
        "ALTER TABLE t ADD a int",
        "ALTER TABLE t ADD a int NOT NULL DEFAULT 0",
        "ALTER TABLE t ADD a serial NOT NULL",
        "ALTER TABLE t ADD a bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
        "ALTER TABLE t ADD a int NOT NULL GENERATED ALWAYS AS (1) STORED",
        "ALTER TABLE t DROP CONSTRAINT c",
        "ALTER INDEX i RENAME TO j",
        "ALTER TABLE t RENAME CONSTRAINT c TO d",
        "INSERT INTO t VALUES (1)",
        "UPDATE t SET a = 1 WHERE id = 1",
        "SELECT 'DROP TABLE t'",
        "-- DROP TABLE t\nSELECT 1",
        "CREATE TABLE n (a int); DROP TABLE n",
        "CREATE TABLE n (a int); ALTER TABLE n ADD b int NOT NULL; UPDATE n SET a = 1",
        "CREATE TABLE n AS SELECT 1 a; ALTER TABLE n RENAME a TO b; DELETE FROM n",
        "BEGIN; CREATE TABLE n (a int); TRUNCATE n; DROP TABLE n; COMMIT",
    ],
)
def test_what_does_not_is_left_alone(sql: str) -> None:
    assert rules(sql) == []


@pytest.mark.parametrize(
    "sql",
    [
        "DROP TABLE t; CREATE TABLE t (a int)",
        "CREATE TABLE IF NOT EXISTS t (a int); DROP TABLE t",
        "CREATE TEMP TABLE t (a int); DROP TABLE t",
        "CREATE TABLE t (a int); DROP TABLE t; DROP TABLE t",
        "CREATE TABLE t (a int); DROP TABLE t, u",
        "CREATE TABLE t (a int); DROP TABLE public.t",
        "CREATE TABLE a.t (a int); DROP TABLE t",
        "CREATE TABLE t (a int); ALTER TABLE t RENAME TO x; DROP TABLE t",
        "BEGIN; CREATE TABLE t (a int); ROLLBACK; DROP TABLE t",
        "SAVEPOINT s; CREATE TABLE t (a int); ROLLBACK TO s; DROP TABLE t",
        "CREATE TABLE t (a int); SET search_path TO other; DROP TABLE t",
        "CREATE TABLE t (a int); SELECT set_config('search_path', 'o', false);"
        " DROP TABLE t",
        "CREATE TABLE t (a int); SELECT set_config('search' || '_path', 'o', false);"
        " DROP TABLE t",
        "CREATE TABLE t (a int); RESET ALL; DROP TABLE t",
        "CREATE TABLE t (a int); DISCARD ALL; DROP TABLE t",
        "CREATE TABLE t (a int); DO $$ BEGIN DROP TABLE t; END $$; DROP TABLE t",
        "CREATE TABLE t (a int); PREPARE p AS SELECT 1; EXECUTE p; DROP TABLE t",
        "CREATE TABLE t (a int); SET ROLE other; DROP TABLE t",
        "CREATE TABLE t (a int) PARTITION BY LIST (a);"
        " ALTER TABLE t ATTACH PARTITION users DEFAULT; DROP TABLE t",
        "CREATE UNLOGGED TABLE t (a int); DROP TABLE t",
    ],
)
def test_a_table_of_its_own_is_no_way_round(sql: str) -> None:
    assert "drop-table" in rules(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE VIEW v AS SELECT * FROM users; DELETE FROM v",
        "CREATE TABLE v (a int); ALTER TABLE users INHERIT v; DELETE FROM v",
        "CREATE TABLE v (a int); CREATE RULE r AS ON DELETE TO v"
        " DO ALSO DELETE FROM users; DELETE FROM v",
        "CREATE TABLE v (a int); CREATE TRIGGER x BEFORE DELETE ON v"
        " EXECUTE FUNCTION f(); DELETE FROM v",
        "CREATE FOREIGN TABLE v (a int) SERVER s; DELETE FROM v",
        "CREATE TABLE v (a int); WITH d AS (DELETE FROM users) DELETE FROM v",
    ],
)
def test_rows_of_others_are_not_its_own(sql: str) -> None:
    assert "delete-every-row" in rules(sql)


BEFORE = """
CREATE TABLE t (
    short varchar(50), long text, n integer, d numeric(10, 2), s smallint, a int[],
    j jsonb, f char(5));
ALTER TABLE t ADD COLUMN later varchar(20);
ALTER TABLE t RENAME COLUMN short TO name;
"""


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ("name TYPE varchar(100)", "change-type"),
        ("name TYPE text", "change-type"),
        ("later TYPE varchar", "change-type"),
        ("long TYPE varchar", "change-type"),
        ("n TYPE bigint", "change-type"),
        ("n TYPE numeric", "change-type"),
        ("s TYPE integer", "change-type"),
        ("d TYPE numeric(12, 2)", "change-type"),
        ("d TYPE numeric(12, 4)", "change-type"),
        ("name TYPE varchar(49)", "narrow-type"),
        ("name TYPE char(50)", "narrow-type"),
        ("long TYPE varchar(100)", "narrow-type"),
        ("n TYPE smallint", "narrow-type"),
        ("n TYPE real", "narrow-type"),
        ("n TYPE numeric(5)", "narrow-type"),
        ("n TYPE int[] USING ARRAY[n]", "narrow-type"),
        ("d TYPE numeric(10, 4)", "narrow-type"),
        ("d TYPE numeric(12, 1)", "narrow-type"),
        ("d TYPE integer", "narrow-type"),
        ("a TYPE bigint", "narrow-type"),
        ("j TYPE text", "narrow-type"),
        ("f TYPE char", "narrow-type"),
        ("name TYPE text USING left(name, 1)", "narrow-type"),
        ("short TYPE text", "narrow-type"),  # it is called otherwise now
        ("unknown TYPE bigint", "narrow-type"),
    ],
)
def test_a_new_type_is_judged_by_the_old_one(change: str, rule: str) -> None:
    assert rules(f"ALTER TABLE t ALTER {change}", before=BEFORE) == [rule]
    assert rules(f"ALTER TABLE public.t ALTER {change}", before=BEFORE) == [rule]


@pytest.mark.parametrize(
    "between",
    [
        "DROP TABLE t",
        "CREATE TABLE IF NOT EXISTS t (n smallint)",
        "ALTER TABLE t ADD COLUMN IF NOT EXISTS n smallint",
        "ALTER TABLE t DROP COLUMN n",
        "DO $$ BEGIN NULL; END $$",
        "ALTER TABLE t RENAME TO u",
    ],
)
def test_an_old_type_that_may_have_changed_is_not_trusted(between: str) -> None:
    before = BEFORE + between + ";"
    assert rules("ALTER TABLE t ALTER n TYPE bigint", before=before) == ["narrow-type"]
