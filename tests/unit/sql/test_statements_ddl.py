from __future__ import annotations

import pytest

from proxy.sql.analyse import analyse
from proxy.sql.facts import Flag


@pytest.mark.parametrize(
    ("sql", "actions"),
    [
        ("CREATE TABLE t ()", ["create table"]),
        ("CREATE OR REPLACE VIEW v AS SELECT 1", ["create or replace view"]),
        (
            "CREATE OR REPLACE PROCEDURE p() LANGUAGE sql AS ''",
            ["create or replace procedure"],
        ),
        ("CREATE AGGREGATE a(int) (sfunc = f, stype = int)", ["create aggregate"]),
        ("CREATE TEXT SEARCH PARSER p (start = f)", ["create text search parser"]),
        ("DROP TABLE t", ["drop table"]),
        ("DROP MATERIALIZED VIEW t", ["drop materialized view"]),
        ("DROP OPERATOR CLASS c USING btree", ["drop operator class"]),
        ("DROP OWNED BY a", ["drop owned"]),
        ("DROP DATABASE d", ["drop database"]),
        ("DROP SUBSCRIPTION s", ["drop subscription"]),
        ("DROP USER MAPPING FOR a SERVER s", ["drop user mapping"]),
        (
            "ALTER TABLE t ADD a int, DROP b, ALTER c TYPE text",
            [
                "alter table add column",
                "alter table drop column",
                "alter table alter column type",
            ],
        ),
        ("ALTER VIEW v ALTER a SET DEFAULT 1", ["alter view set column default"]),
        ("ALTER TYPE t DROP ATTRIBUTE a", ["alter type drop column"]),
        ("ALTER INDEX i SET TABLESPACE x", ["alter index set tablespace"]),
        ("ALTER TABLE t DETACH PARTITION p", ["alter table detach partition"]),
        ("ALTER TABLE t RENAME TO u", ["alter table rename"]),
        ("ALTER TABLE t RENAME a TO b", ["alter table rename column"]),
        ("ALTER VIEW v RENAME COLUMN a TO b", ["alter view rename column"]),
        ("ALTER TABLE t RENAME CONSTRAINT a TO b", ["alter table rename constraint"]),
        ("ALTER DOMAIN d RENAME CONSTRAINT a TO b", ["alter domain rename constraint"]),
        ("ALTER TYPE t RENAME ATTRIBUTE a TO b", ["alter type rename attribute"]),
        ("ALTER TRIGGER a ON t RENAME TO b", ["alter trigger rename"]),
        ("ALTER ROLE a RENAME TO b", ["alter role rename"]),
        ("ALTER SCHEMA s OWNER TO a", ["alter schema owner to"]),
        ("ALTER TABLE t OWNER TO a", ["alter table owner to"]),
        ("ALTER FUNCTION f SET SCHEMA s", ["alter function set schema"]),
        ("ALTER INDEX i DEPENDS ON EXTENSION e", ["alter index depends on extension"]),
        ("ALTER TABLE ALL IN TABLESPACE a SET TABLESPACE b", ["alter table move all"]),
        ("ALTER EXTENSION e UPDATE", ["alter extension"]),
        ("ALTER EXTENSION e ADD TABLE t", ["alter extension contents"]),
        ("ALTER SYSTEM SET a = 1", ["alter system"]),
        ("ALTER DATABASE d SET a = 1", ["alter database set"]),
        ("ALTER ROLE r SET a = 1", ["alter role set"]),
        ("GRANT SELECT ON t TO a", ["grant", "grant on table"]),
        ("REVOKE SELECT ON t FROM a", ["revoke", "revoke on table"]),
        (
            "GRANT ALTER SYSTEM ON PARAMETER work_mem TO a",
            ["grant", "grant on parameter"],
        ),
        (
            "GRANT USAGE ON ALL SEQUENCES IN SCHEMA s TO a",
            ["grant", "grant on sequence"],
        ),
        ("GRANT a TO b", ["grant role"]),
        ("REVOKE a FROM b", ["revoke role"]),
        (
            "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO a",
            ["alter default privileges"],
        ),
        ("COMMENT ON TABLE t IS ''", ["comment on table"]),
        ("SECURITY LABEL ON ROLE a IS ''", ["security label on role"]),
        ("REINDEX TABLE t", ["reindex table"]),
        ("VACUUM t", ["vacuum"]),
        ("ANALYZE t", ["analyze"]),
        (
            "CREATE SCHEMA s CREATE TABLE t () GRANT SELECT ON t TO a",
            ["create schema", "grant", "grant on table", "create table"],
        ),
    ],
)
def test_actions(sql: str, actions: list[str]) -> None:
    analysis = analyse(sql.encode())
    assert analysis.trouble is None
    assert list(analysis.statements[0].actions) == actions


@pytest.mark.parametrize(
    ("sql", "databases"),
    [
        ("CREATE DATABASE a", ("a",)),
        ('DROP DATABASE "A"', ("A",)),
        ("ALTER DATABASE a RENAME TO b", ("a",)),
        ("ALTER DATABASE a SET b = 1", ("a",)),
        ("ALTER DATABASE a OWNER TO b", ("a",)),
        ("ALTER DATABASE a SET TABLESPACE b", ("a",)),
        ("DROP TABLE a", ()),
    ],
)
def test_databases_are_named(sql: str, databases: tuple[str, ...]) -> None:
    assert analyse(sql.encode()).statements[0].databases == databases


@pytest.mark.parametrize(
    ("sql", "is_flagged"),
    [
        ("REINDEX TABLE t", False),
        ("REINDEX TABLE CONCURRENTLY t", True),
        ("REINDEX (VERBOSE, CONCURRENTLY) TABLE t", True),
        ("CREATE INDEX CONCURRENTLY i ON t (a)", True),
        ("ALTER TABLE t DETACH PARTITION p CONCURRENTLY", True),
        ("CLUSTER (VERBOSE) t", False),
    ],
)
def test_concurrently(sql: str, is_flagged: bool) -> None:
    flags = analyse(sql.encode()).statements[0].flags
    assert (Flag.CONCURRENTLY in flags) is is_flagged


@pytest.mark.parametrize(
    ("sql", "is_flagged"),
    [
        ("CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'", False),
        ("CREATE FUNCTION f() RETURNS int RETURN 1", False),
        ("CREATE FUNCTION f() RETURNS int LANGUAGE PLpgSQL AS ''", False),
        ("CREATE FUNCTION f() RETURNS int AS 'libc', 'system' LANGUAGE C", True),
        ("CREATE FUNCTION f() RETURNS int LANGUAGE 'internal' AS 'int4in'", True),
        ("CREATE OR REPLACE PROCEDURE f() LANGUAGE plpython3u AS ''", True),
        ("CREATE FUNCTION f() RETURNS int LANGUAGE '' AS ''", True),
        ("DO ''", False),
        ("DO LANGUAGE plpgsql ''", False),
        ("DO '' LANGUAGE plperlu", True),
    ],
)
def test_code_that_no_role_confines(sql: str, is_flagged: bool) -> None:
    flags = analyse(sql.encode()).statements[0].flags
    assert (Flag.SERVER_PROGRAM in flags) is is_flagged
