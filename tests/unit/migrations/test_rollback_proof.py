"""What is never run on a scratch database, whatever server it is on."""

from __future__ import annotations

import pytest

from proxy.migrations.rollback import Source, WayBack
from proxy.migrations.rollback_proof import unfit


@pytest.mark.parametrize(
    "text",
    [
        "DROP DATABASE IF EXISTS postgres",
        "CREATE DATABASE pgwarden_other",
        "ALTER DATABASE postgres SET work_mem = '1MB'",
        "CREATE ROLE pgwarden_other",
        "ALTER SYSTEM SET work_mem = '1MB'",
        "REASSIGN OWNED BY postgres TO postgres",
        "DROP OWNED BY postgres",
        "COPY (SELECT 1) TO PROGRAM 'touch /x'",
        "CREATE TABLESPACE x LOCATION '/x'",
        "GRANT pg_monitor TO postgres",
        "\\connect postgres",
        "EXPLAIN ANALYZE CREATE TABLE x AS SELECT pg_read_file('/etc/passwd')",
        "SELECT 1; CREATE ROLE pgwarden_other",
        "SELECT dblink_exec('dbname=other', 'DROP TABLE t')",
        "SELECT pg_terminate_backend(1)",
    ],
)
def test_what_reaches_beyond_its_database_is_unfit(text: str) -> None:
    assert unfit(WayBack("1.sql", Source.OWN, "SELECT 1", up=(text,)))
    assert unfit(WayBack("1.sql", Source.OWN, text, up=("SELECT 1",)))


def test_what_stays_in_it_is_not() -> None:
    up = ("CREATE TABLE t (a int); GRANT SELECT ON t TO PUBLIC", "DROP TABLE u")
    assert not unfit(WayBack("1.sql", Source.DERIVED, "DROP TABLE t", up=up))
    assert not unfit(WayBack("1.sql", Source.DERIVED, "", up=("",)))


def test_what_nobody_read_is() -> None:
    assert unfit(WayBack("1.js", Source.NONE))
