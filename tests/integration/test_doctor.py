"""`proxy.doctor` on real servers: each finding is provoked, found, mended, and gone."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg
import pytest

from proxy.doctor.findings import CRITICAL, KINDS, NOTE, WARNING
from tests.fix_postgres import MAJORS
from tests.integration.doctoring import (
    AS_MIGRATOR,
    AS_READER,
    DATABASE,
    OWNER,
    PASSWORD,
    READER,
    run_script,
    ward_of,
)
from tests.integration.elsewhere import ELSEWHERE, relayed
from tests.integration.rig import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from proxy.doctor.findings import Finding
    from tests.integration.doctoring import Ward

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(90), pytest.mark.turns]


@pytest.fixture(scope="module", params=MAJORS, ids=lambda major: f"pg{major}")
def ward(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ward]:
    with ward_of(request.param, tmp_path_factory.mktemp("ward")) as found:
        yield found


@dataclass(frozen=True)
class Wound:
    """How a finding comes to be, and what is left to take away after it was mended."""

    kind: str
    statements: tuple[str, ...]
    after: tuple[str, ...] = ()
    since: int = 0


WOUNDS = {
    "superuser": Wound("superuser", ("ALTER ROLE {reader} SUPERUSER",)),
    "superuser by membership": Wound(
        "superuser",
        ("CREATE ROLE {evil} SUPERUSER", "GRANT {evil} TO {reader}"),
        ("DROP ROLE {evil}",),
    ),
    "superuser by membership of a membership": Wound(
        "superuser",
        (
            "CREATE ROLE {evil} SUPERUSER",
            "CREATE ROLE middle",
            "GRANT {evil} TO middle",
            "GRANT middle TO {reader}",
        ),
        ("DROP ROLE {evil}", "DROP ROLE middle"),
    ),
    "createrole": Wound("createrole", ("ALTER ROLE {reader} CREATEROLE",)),
    "createdb": Wound("createdb", ("ALTER ROLE {reader} CREATEDB",)),
    "replication": Wound("replication", ("ALTER ROLE {reader} REPLICATION",)),
    "bypassrls": Wound("bypassrls", ("ALTER ROLE {reader} BYPASSRLS",)),
    "predefined role": Wound(
        "predefined-role", ("GRANT pg_write_all_data TO {reader}",)
    ),
    "predefined role through a group": Wound(
        "predefined-role",
        (
            "CREATE ROLE {evil}",
            "GRANT pg_execute_server_program TO {evil}",
            "GRANT {evil} TO {reader}",
        ),
        ("DROP ROLE {evil}",),
    ),
    "the owner, granted by somebody else": Wound(
        "owns-relations",
        (
            "CREATE ROLE {evil}",
            "GRANT {owner} TO {evil} WITH ADMIN OPTION",
            "SET ROLE {evil}",
            "GRANT {owner} TO {reader} WITH ADMIN OPTION",
            "RESET ROLE",
        ),
        ("DROP OWNED BY {evil}", "DROP ROLE {evil}"),
    ),
    "a role that may not be set, only administered": Wound(
        "owns-relations",
        ("GRANT {owner} TO {reader} WITH ADMIN TRUE, INHERIT FALSE, SET FALSE",),
        since=16,
    ),
    "no default": Wound(
        "no-read-only-default",
        ("ALTER ROLE {reader} RESET default_transaction_read_only",),
    ),
    "default off in a database": Wound(
        "role-settings",
        (
            "ALTER ROLE {reader} IN DATABASE {database}"
            " SET default_transaction_read_only = off",
        ),
    ),
    "row security off": Wound(
        "role-settings", ("ALTER ROLE {reader} SET row_security = off",)
    ),
    "no triggers": Wound(
        "role-settings",
        ("ALTER DATABASE {database} SET session_replication_role = replica",),
    ),
    "catalog last": Wound(
        "role-settings",
        ("ALTER ROLE {reader} SET search_path = public, pg_catalog",),
    ),
    "large objects open to all": Wound(
        "role-settings", ("ALTER ROLE ALL SET lo_compat_privileges = on",)
    ),
    "a parameter": Wound(
        "parameter-privileges", ("GRANT SET ON PARAMETER log_statement TO {reader}",)
    ),
    "the configuration, for all": Wound(
        "parameter-privileges",
        ("GRANT ALTER SYSTEM ON PARAMETER work_mem TO PUBLIC",),
    ),
    "owns a database": Wound(
        "owns-server-objects",
        ("CREATE DATABASE {evil} OWNER {reader}",),
        ("DROP DATABASE {evil}", "DROP ROLE pgwarden_keeper"),
    ),
    "tablespace": Wound(
        "creates-in-tablespaces", ("GRANT CREATE ON TABLESPACE pg_default TO {reader}",)
    ),
    "owns a schema": Wound(
        "owns-schemas",
        ("CREATE SCHEMA {reader} AUTHORIZATION {reader}",),
        ("DROP OWNED BY pgwarden_keeper", "DROP ROLE pgwarden_keeper"),
    ),
    "owns a table": Wound(
        "owns-relations",
        ("CREATE TABLE mine ()", "ALTER TABLE mine OWNER TO {reader}"),
        ("DROP OWNED BY pgwarden_keeper", "DROP ROLE pgwarden_keeper"),
    ),
    "owns a function": Wound(
        "owns-functions",
        (
            "CREATE FUNCTION {evil}() RETURNS int LANGUAGE sql AS 'SELECT 1'",
            "ALTER FUNCTION {evil}() OWNER TO {reader}",
        ),
        ("DROP OWNED BY pgwarden_keeper", "DROP ROLE pgwarden_keeper"),
    ),
    "owns a type": Wound(
        "owns-other",
        ("CREATE TYPE mine AS ENUM ('a')", "ALTER TYPE mine OWNER TO {reader}"),
        ("DROP OWNED BY pgwarden_keeper", "DROP ROLE pgwarden_keeper"),
    ),
    "writes": Wound(
        "writes-relations",
        ("GRANT INSERT, UPDATE ON users, {evil}.{evil} TO {reader}",),
    ),
    "everybody writes": Wound(
        "writes-relations", ("GRANT TRUNCATE, TRIGGER, REFERENCES ON users TO PUBLIC",)
    ),
    "maintains": Wound(
        "writes-relations", ("GRANT MAINTAIN ON users TO {reader}",), since=17
    ),
    "writes and hands on": Wound(
        "writes-relations",
        (
            "GRANT DELETE ON users TO {reader} WITH GRANT OPTION",
            "SET ROLE {reader}",
            "GRANT DELETE ON users TO {migrator}",
            "RESET ROLE",
        ),
    ),
    "writes, granted by somebody else": Wound(
        "writes-relations",
        (
            "CREATE ROLE {evil}",
            "GRANT DELETE ON users TO {evil} WITH GRANT OPTION",
            "SET ROLE {evil}",
            "GRANT DELETE ON users TO {reader}",
            "RESET ROLE",
        ),
        ("DROP OWNED BY {evil}", "DROP ROLE {evil}"),
    ),
    "writes as another": Wound(
        "writes-relations",
        (
            "CREATE ROLE {evil}",
            "GRANT DELETE ON users TO {evil}",
            "GRANT {evil} TO {reader}",
        ),
        ("DROP OWNED BY {evil}", "DROP ROLE {evil}"),
    ),
    "writes a column": Wound(
        "writes-columns",
        (
            "GRANT UPDATE (name), INSERT (id) ON users TO {reader}",
            "GRANT UPDATE ({evil}) ON {evil}.{evil} TO PUBLIC",
        ),
    ),
    "stored passwords": Wound(
        "reads-secrets",
        (
            "GRANT SELECT ON pg_authid, pg_statistic TO {reader}",
            "GRANT SELECT (subconninfo) ON pg_subscription TO PUBLIC",
        ),
    ),
    "stored passwords through a group": Wound(
        "reads-secrets",
        (
            "CREATE ROLE {evil}",
            "GRANT SELECT (rolpassword) ON pg_authid TO {evil}",
            "GRANT {evil} TO {reader}",
        ),
        ("DROP OWNED BY {evil}", "DROP ROLE {evil}"),
    ),
    "sequences": Wound("uses-sequences", ("GRANT USAGE ON numbers TO {reader}",)),
    "large objects": Wound(
        "writes-large-objects",
        (
            "SELECT lo_create(4711)",
            "GRANT UPDATE ON LARGE OBJECT 4711 TO {reader}",
        ),
        ("SELECT lo_unlink(4711)",),
    ),
    "creates in a schema": Wound(
        "creates-in-schemas", ("GRANT CREATE ON SCHEMA {evil} TO PUBLIC",)
    ),
    "creates schemas": Wound(
        "creates-in-database", ("GRANT CREATE ON DATABASE {database} TO {reader}",)
    ),
    "temporary tables": Wound(
        "temp-tables", ("GRANT TEMPORARY ON DATABASE {database} TO PUBLIC",)
    ),
    "future tables": Wound(
        "default-privileges",
        (
            "ALTER DEFAULT PRIVILEGES FOR ROLE {owner} GRANT INSERT ON TABLES"
            " TO {reader}",
            "ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA {evil}"
            " GRANT UPDATE ON SEQUENCES TO PUBLIC",
        ),
    ),
    "server files": Wound(
        "dangerous-functions",
        ("GRANT EXECUTE ON FUNCTION pg_read_file(text) TO {reader}",),
    ),
    "reload for all": Wound(
        "dangerous-functions",
        ("GRANT EXECUTE ON FUNCTION pg_reload_conf() TO PUBLIC",),
    ),
    "runs as a superuser": Wound(
        "security-definer-superuser",
        (
            "CREATE FUNCTION {evil}(a {evil}.{evil}) RETURNS int SECURITY DEFINER"
            " LANGUAGE sql AS 'SELECT 1'",
        ),
        ("DROP FUNCTION {evil}",),
    ),
    "runs as the owner": Wound(
        "security-definer",
        (
            "CREATE PROCEDURE {evil}(OUT b int, VARIADIC a text[]) SECURITY DEFINER"
            " LANGUAGE sql AS 'SELECT 1'",
            "ALTER PROCEDURE {evil} OWNER TO {owner}",
        ),
        ("DROP PROCEDURE {evil}",),
    ),
    "untrusted language": Wound(
        "untrusted-languages", ("CREATE LANGUAGE {evil} HANDLER plpgsql_call_handler",)
    ),
    "wrapper": Wound(
        "foreign-data-wrappers",
        (
            "CREATE FOREIGN DATA WRAPPER {evil}",
            "GRANT USAGE ON FOREIGN DATA WRAPPER {evil} TO {reader}",
        ),
        ("DROP FOREIGN DATA WRAPPER {evil}",),
    ),
    "foreign table by a mapping of everybody": Wound(
        "foreign-tables",
        (
            "CREATE FOREIGN DATA WRAPPER {evil}",
            "CREATE SERVER {evil} FOREIGN DATA WRAPPER {evil}",
            "CREATE FOREIGN TABLE far (a int) SERVER {evil}",
            "CREATE USER MAPPING FOR PUBLIC SERVER {evil}",
            "GRANT SELECT ON far TO {reader}",
        ),
        ("DROP FOREIGN DATA WRAPPER {evil} CASCADE",),
    ),
    "foreign server": Wound(
        "foreign-servers",
        (
            "CREATE FOREIGN DATA WRAPPER {evil}",
            "CREATE SERVER {evil} FOREIGN DATA WRAPPER {evil}",
            "GRANT USAGE ON FOREIGN SERVER {evil} TO PUBLIC",
        ),
        ("DROP FOREIGN DATA WRAPPER {evil} CASCADE",),
    ),
}


def test_the_script_leaves_nothing_critical(ward: Ward) -> None:
    report = ward.report([AS_READER, AS_MIGRATOR])
    assert [each for each in report.findings if each.severity is CRITICAL] == []
    ids = {(each.id, each.login) for each in report.findings}
    # As everybody on a fresh server: told, not critical.
    assert ids & {("public-functions", "reader")}
    # What a migrator is for is a note.
    owns = [each for each in report.findings if each.id == "owns-relations"]
    assert [(each.login, each.severity) for each in owns] == [("migrator", NOTE)]


@pytest.mark.parametrize("name", WOUNDS)
def test_found_mended_gone(ward: Ward, name: str) -> None:
    wound = WOUNDS[name]
    if ward.cluster.major < wound.since:
        return  # the statement is newer than this server
    assert wound.kind not in ward.found()
    ward.run(*wound.statements)
    try:
        found = ward.found()
        (told,) = found[wound.kind]
        if wound.kind not in {"role-settings", "predefined-role"}:
            assert told.severity is KINDS[wound.kind].reader
        assert told.sql
        ward.mend(told)
        assert wound.kind not in ward.found()
    finally:
        ward.run(*wound.after)


def test_every_kind_that_is_mended_by_sql_was_provoked() -> None:
    elsewhere = {
        "can-become",  # a note
        "public-functions",
        "dangerous-extensions",
        "no-access",
        "hba-trust",
        "server-settings",
        "logins-unlogged",
        "hba-open",
        "hba-unreadable",
        "login-elsewhere",
        "direct-sessions",
        "pooler",
        "between",
        "lock-b",
        "lock-c",
        "not-checked",
    }
    assert {wound.kind for wound in WOUNDS.values()} == set(KINDS) - elsewhere


@pytest.mark.parametrize(
    ("name", "value", "severity"),
    [
        ("row_security", "off", WARNING),
        ("session_replication_role", "replica", WARNING),
        ("zero_damaged_pages", "on", WARNING),
        ("lo_compat_privileges", "on", CRITICAL),
    ],
)
def test_settings_of_the_whole_server(
    ward: Ward, name: str, value: str, severity: object
) -> None:
    def found() -> list[Finding]:
        return ward.found().get("server-settings", [])

    assert found() == []
    ward.run(f"ALTER SYSTEM SET {name} = {value}", "SELECT pg_reload_conf()")
    try:
        eventually(lambda: bool(found()))
        (told,) = found()
        assert (told.severity, told.objects) == (severity, (f"{name} = {value}",))
        # One by one, as psql runs them: ALTER SYSTEM wants no transaction.
        ward.run(*told.sql)
        eventually(lambda: not found())
    finally:
        ward.run(f"ALTER SYSTEM RESET {name}", "SELECT pg_reload_conf()")


def test_whether_logins_are_logged(ward: Ward) -> None:
    (told,) = ward.found()["logins-unlogged"]
    ward.run(*told.sql)
    try:
        eventually(lambda: "logins-unlogged" not in ward.found())
    finally:
        ward.run("ALTER SYSTEM RESET log_connections", "SELECT pg_reload_conf()")


def test_a_foreign_table_without_a_mapping_is_out_of_reach(ward: Ward) -> None:
    ward.run(
        "CREATE FOREIGN DATA WRAPPER {evil}",
        "CREATE SERVER {evil} FOREIGN DATA WRAPPER {evil}",
        "CREATE FOREIGN TABLE far (a int) SERVER {evil}",
        "CREATE USER MAPPING FOR {owner} SERVER {evil}",
        "GRANT SELECT ON far TO {reader}",
    )
    try:
        assert "foreign-tables" not in ward.found()
        ward.run("CREATE USER MAPPING FOR {reader} SERVER {evil}")
        assert ward.found()["foreign-tables"][0].severity is WARNING
    finally:
        ward.run("DROP FOREIGN DATA WRAPPER {evil} CASCADE")


def test_what_everybody_may_call(ward: Ward) -> None:
    (told,) = ward.found()["public-functions"]
    assert told.severity is WARNING
    ward.mend(told)
    try:
        assert "public-functions" not in ward.found()
        with (
            psycopg.connect(
                host=ward.cluster.host,
                port=ward.cluster.port,
                user=READER,
                password=PASSWORD,
                dbname=DATABASE,
                autocommit=True,
            ) as reader,
            pytest.raises(psycopg.errors.InsufficientPrivilege),
        ):
            reader.execute("SELECT lo_create(0)")
    finally:
        ward.run(
            *(
                statement.replace("REVOKE", "GRANT").replace("FROM PUBLIC", "TO PUBLIC")
                for statement in told.sql
            )
        )


def test_extensions(ward: Ward) -> None:
    with ward.connect() as connection:
        rows = connection.execute("SELECT name FROM pg_available_extensions").fetchall()
    here = {name for (name,) in rows} & {"dblink", "postgres_fdw", "pageinspect"}
    if ward.cluster.major == 15:
        assert "dblink" in here  # Debian's has all of contrib; a wheel may not
    for name in here:
        ward.run(f"CREATE EXTENSION {name}")
        found = ward.found()
        (told,) = found["dangerous-extensions"]
        if name == "dblink":
            (calls,) = found["dangerous-functions"]
            assert calls.severity is CRITICAL
            ward.mend(calls)
            assert "dangerous-functions" not in ward.found()
        ward.mend(told)
        assert "dangerous-extensions" not in ward.found()


@pytest.mark.parametrize(
    "statement",
    [
        "GRANT DELETE ON users TO {reader}",
        "GRANT INSERT ON users TO {reader}",
        "GRANT UPDATE ON users TO {reader}",
        "GRANT TRUNCATE ON users TO {reader}",
        "ALTER ROLE {reader} SUPERUSER",
        "GRANT pg_write_all_data TO {reader}",
    ],
)
def test_lock_c_is_tried(ward: Ward, statement: str) -> None:
    """Not only looked up: Postgres itself lets the write pass, or refuses it."""
    if "pg_write_all_data" in statement:
        ward.run(
            "ALTER ROLE {reader} INHERIT", "REVOKE pg_write_all_data FROM {reader}"
        )
        statement += " WITH INHERIT TRUE" if ward.cluster.major >= 16 else ""
    assert "lock-c" not in ward.found()
    ward.run(statement)
    try:
        (told,) = ward.found()["lock-c"]
        assert told.severity is CRITICAL
        assert "public.users" in told.objects
    finally:
        ward.run(
            "REVOKE ALL ON users FROM {reader}",
            "GRANT SELECT ON users TO {reader}",
            "ALTER ROLE {reader} NOSUPERUSER NOINHERIT",
            "REVOKE pg_write_all_data FROM {reader}",
        )


def test_the_probes_leave_nothing_behind(ward: Ward) -> None:
    """Even a superuser's doctor, with triggers that would tell."""
    ward.run(
        "CREATE TABLE traces (at text)",
        "CREATE FUNCTION trace() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN PERFORM nextval('numbers'); INSERT INTO traces VALUES (TG_OP); "
        "RETURN NULL; END $$",
        "CREATE TRIGGER trace BEFORE DELETE ON users"
        " FOR EACH STATEMENT EXECUTE FUNCTION trace()",
        "INSERT INTO users VALUES (1, 'ana')",
        "ALTER ROLE {reader} SUPERUSER",
    )
    counts = (
        "SELECT (SELECT count(*) FROM users), (SELECT count(*) FROM traces),"
        " (SELECT count(*) FROM pg_am), (SELECT last_value FROM numbers),"
        " (SELECT is_called FROM numbers),"
        " (SELECT count(*) FROM pg_class), (SELECT count(*) FROM pg_locks"
        "   WHERE pid <> pg_backend_pid())"
    )
    try:
        with ward.connect() as connection:
            before = connection.execute(counts).fetchone()
            assert "lock-c" in ward.found()
            assert connection.execute(counts).fetchone() == before
    finally:
        ward.run(
            "ALTER ROLE {reader} NOSUPERUSER",
            "DROP FUNCTION trace CASCADE",
            "DROP TABLE traces",
            "DELETE FROM users",
        )


def test_lock_c_is_seen_past_a_lock_of_somebody_else(ward: Ward) -> None:
    ward.run("GRANT INSERT ON users TO {reader}")
    try:
        with ward.connect() as other:
            other.autocommit = False
            other.execute("LOCK TABLE users IN ACCESS EXCLUSIVE MODE")
            assert "public.users" in ward.found()["lock-c"][0].objects
    finally:
        ward.run("REVOKE INSERT ON users FROM {reader}")


def test_the_bar_of_a_migrator_is_another_one(ward: Ward) -> None:
    ward.run("GRANT INSERT ON users TO {migrator}", "ALTER ROLE {migrator} CREATEDB")
    try:
        found = ward.found(AS_MIGRATOR)
        assert {each.severity for each in found["writes-relations"]} == {NOTE}
        assert {each.severity for each in found["createdb"]} == {WARNING}
    finally:
        ward.run(
            "REVOKE INSERT ON users FROM {migrator}", "ALTER ROLE {migrator} NOCREATEDB"
        )
    for statement, undo, kind in (
        (
            "ALTER ROLE {owner} CREATEROLE",
            "ALTER ROLE {owner} NOCREATEROLE",
            "createrole",
        ),
        (
            "GRANT pg_execute_server_program TO {owner}",
            "REVOKE pg_execute_server_program FROM {owner}",
            "predefined-role",
        ),
        ("ALTER ROLE {migrator} REPLICATION", "", "replication"),
    ):
        ward.run(statement)
        try:
            (told,) = ward.found(AS_MIGRATOR)[kind]
            assert told.severity is CRITICAL
            ward.mend(told)
            after = ward.found(AS_MIGRATOR)
            assert kind not in after
            # It may still do its work.
            assert "can-become" in after
        finally:
            ward.run(*([undo] if undo else []))


def test_a_database_of_ones_own(ward: Ward) -> None:
    """Owner of the database is a member of pg_database_owner, who owns "public"."""
    ward.run("CREATE DATABASE {evil} OWNER {reader}")
    try:
        found = ward.found(databases=["x\"; DROP TABLE users; --\n'$$\\"])
        assert "owns-server-objects" in found
        assert "creates-in-database" not in found  # told once, as ownership
    finally:
        ward.run("DROP DATABASE {evil}")


def test_a_check_that_can_not_run_is_a_finding(ward: Ward) -> None:
    ward.run("REVOKE SELECT ON pg_catalog.pg_shdepend FROM PUBLIC")
    try:
        found = ward.found()["not-checked"]
        assert {each.severity for each in found} == {CRITICAL}
        assert {name for each in found for name in each.objects} == {
            "what it owns",
            "what it owns of the server",
        }
        # For a migrator it would have been a note.
        assert {each.severity for each in ward.found(AS_MIGRATOR)["not-checked"]} == {
            NOTE
        }
    finally:
        ward.run("GRANT SELECT ON pg_catalog.pg_shdepend TO PUBLIC")


def test_a_hijacked_built_in_changes_nothing(ward: Ward) -> None:
    """A function and an operator that stand before pg_catalog's in the search path."""
    ward.run(
        "CREATE FUNCTION public.json_agg(text) RETURNS text LANGUAGE sql AS"
        " $$ SELECT '[]' $$",
        "CREATE FUNCTION public.no(oid, oid) RETURNS bool LANGUAGE sql AS"
        " 'SELECT false'",
        "CREATE OPERATOR public.="
        " (LEFTARG = oid, RIGHTARG = oid, FUNCTION = public.no)",
        "ALTER ROLE {reader} SET search_path = public, pg_catalog",
        "GRANT INSERT ON users TO {reader}",
    )
    try:
        found = ward.found()
        assert {"writes-relations", "role-settings", "lock-c"} <= set(found)
        assert "not-checked" not in found
    finally:
        ward.run(
            "REVOKE INSERT ON users FROM {reader}",
            "ALTER ROLE {reader} RESET search_path",
            "DROP OPERATOR public.= (oid, oid)",
            "DROP FUNCTION public.no, public.json_agg(text)",
        )


def test_who_else_is_here(ward: Ward) -> None:
    with ward.connect():
        (told,) = ward.found()["direct-sessions"]
    assert told.severity is NOTE
    assert ward.cluster.superuser in told.objects[0]


@contextmanager
def hba(ward: Ward, *lines: str) -> Iterator[None]:
    """More lines at the head of pg_hba.conf, in force."""
    file = ward.cluster.plan.data / "pg_hba.conf"
    before = file.read_text()
    file.write_text("\n".join([*lines, before]))
    ward.run("SELECT pg_reload_conf()")
    try:
        yield
    finally:
        file.write_text(before)
        ward.run("SELECT pg_reload_conf()")


def as_reader(ward: Ward, port: int) -> psycopg.Connection:
    return psycopg.connect(
        host=ward.cluster.host,
        port=port,
        user=READER,
        password=PASSWORD,
        dbname=DATABASE,
    )


def test_a_login_from_elsewhere(ward: Ward) -> None:
    """Postgres shows the reader whence its own kind comes, and that is not pgwarden."""
    assert "login-elsewhere" not in ward.found()
    with as_reader(ward, ward.cluster.port):
        # From pgwarden's address it can't be told from pgwarden's own.
        assert "login-elsewhere" not in ward.found()
    with (
        hba(ward, f"host all all {ELSEWHERE}/32 scram-sha-256"),
        relayed(ward.cluster) as port,
    ):
        eventually(lambda: is_let_in(ward, port))
        with as_reader(ward, port):
            (told,) = ward.found()["login-elsewhere"]
            assert told.severity is WARNING
            assert told.objects[0].endswith(f" from {ELSEWHERE}: 1")
            # The migrator is told of its own sessions alone.
            assert "login-elsewhere" not in ward.found(AS_MIGRATOR)
    eventually(lambda: "login-elsewhere" not in ward.found())


def is_let_in(ward: Ward, port: int) -> bool:
    try:
        as_reader(ward, port).close()
    except psycopg.OperationalError:
        return False
    return True


def test_pg_hba(ward: Ward) -> None:
    (told,) = ward.found()["hba-unreadable"]
    with ward.connect() as connection:
        assert connection.execute(told.sql[0].encode()).fetchall()
    ward.run(
        "GRANT EXECUTE ON FUNCTION pg_hba_file_rules() TO {reader}",
        "GRANT SELECT ON pg_hba_file_rules TO {reader}",
    )
    file = ward.cluster.plan.data / "pg_hba.conf"
    before = file.read_text()
    try:
        found = ward.found()
        assert not {"hba-unreadable", "hba-trust"} & set(found)
        file.write_text(
            before
            + "host all all 10.0.0.0/8 trust\n"
            + "host all all 0.0.0.0/0 scram-sha-256\n"
            + "host app ana 10.1.1.1/32 scram-sha-256\n"
            + "host all all 10.2.2.2/32 reject\n"
        )
        found = ward.found()
        (trust,), (opened,) = found["hba-trust"], found["hba-open"]
        assert trust.severity is CRITICAL
        assert [each.partition(": ")[2] for each in trust.objects] == [
            "host all all 10.0.0.0 255.0.0.0 trust"
        ]
        assert [each.partition(": ")[2] for each in opened.objects] == [
            "host all all 0.0.0.0 0.0.0.0 scram-sha-256"
        ]
    finally:
        file.write_text(before)
        ward.run(
            "REVOKE EXECUTE ON FUNCTION pg_hba_file_rules() FROM {reader}",
            "REVOKE SELECT ON pg_hba_file_rules FROM {reader}",
        )


def test_a_named_database_that_is_closed_or_missing(ward: Ward) -> None:
    ward.run("CREATE DATABASE closed", "REVOKE CONNECT ON DATABASE closed FROM PUBLIC")
    try:
        found = ward.found(databases=["missing", "closed", DATABASE])
        assert {each.database for each in found["no-access"]} == {"missing", "closed"}
        assert {each.database for each in found["public-functions"]} == {DATABASE}
    finally:
        ward.run("DROP DATABASE closed")


def test_wildcards_are_looked_up(ward: Ward) -> None:
    report = ward.report(databases=["*"])
    assert report.databases[READER] == sorted([DATABASE, "postgres", "template1"])


def test_the_script_can_take_the_functions_too(ward: Ward, tmp_path: Path) -> None:
    (before,) = ward.found()["public-functions"]
    run_script(ward, tmp_path, "--set=public_functions=revoke")
    try:
        assert "public-functions" not in ward.found()
        with psycopg.connect(
            host=ward.cluster.host,
            port=ward.cluster.port,
            user=AS_MIGRATOR.user,
            password=PASSWORD,
            dbname=DATABASE,
            autocommit=True,
        ) as migrator:
            migrator.execute("SELECT pg_advisory_lock(1)")
            assert migrator.execute("SELECT current_user").fetchone() == (OWNER,)
    finally:
        ward.run(
            *(
                statement.replace("REVOKE", "GRANT").replace("FROM PUBLIC", "TO PUBLIC")
                for statement in before.sql
            )
        )
