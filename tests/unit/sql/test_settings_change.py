from __future__ import annotations

import pytest

from proxy.sql.analyse import analyse
from proxy.sql.facts import Flag, Scope, SettingChange as Change

LOCAL, SESSION, STORED = Scope.LOCAL, Scope.SESSION, Scope.STORED


@pytest.mark.parametrize(
    ("sql", "changes"),
    [
        ("SET a = 'x'", [Change("a", "x", SESSION)]),
        ("SET LOCAL A TO 3", [Change("a", "3", LOCAL)]),
        ('SET "A.b" = on', [Change("a.b", "on", SESSION)]),
        ("SET a = 1.5, b, 'c d'", [Change("a", "1.5, b, c d", SESSION)]),
        ("SET a = -1", [Change("a", "-1", SESSION)]),
        ("SET a TO DEFAULT", [Change("a", None, SESSION, is_reset=True)]),
        ("SET a FROM CURRENT", [Change("a", None, SESSION)]),
        ("RESET a", [Change("a", None, SESSION, is_reset=True)]),
        ("RESET ALL", [Change("*", None, SESSION, is_reset=True)]),
        ("DISCARD ALL", [Change("*", None, SESSION, is_reset=True)]),
        ("DISCARD PLANS", []),
        ("SET TIME ZONE 'UTC'", [Change("timezone", "UTC", SESSION)]),
        ("SET TIME ZONE LOCAL", [Change("timezone", None, SESSION, is_reset=True)]),
        (
            "SET TIME ZONE INTERVAL '+00:00' HOUR TO MINUTE",
            [Change("timezone", "+00:00", SESSION)],
        ),
        ("SET NAMES 'SJIS'", [Change("client_encoding", "SJIS", SESSION)]),
        ("SET SCHEMA 'x'", [Change("search_path", "x", SESSION)]),
        ("SET ROLE x", [Change("role", "x", SESSION)]),
        ("SET ROLE NONE", [Change("role", "none", SESSION)]),
        ("RESET ROLE", [Change("role", None, SESSION, is_reset=True)]),
        (
            "SET LOCAL SESSION AUTHORIZATION x",
            [Change("session_authorization", "x", LOCAL)],
        ),
        (
            "RESET SESSION AUTHORIZATION",
            [Change("session_authorization", None, SESSION, is_reset=True)],
        ),
        ("SET TRANSACTION READ WRITE", [Change("transaction_read_only", "off", LOCAL)]),
        (
            "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE, NOT DEFERRABLE",
            [
                Change("transaction_isolation", "serializable", LOCAL),
                Change("transaction_deferrable", "off", LOCAL),
            ],
        ),
        (
            "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
            [Change("default_transaction_read_only", "on", SESSION)],
        ),
        ("SET TRANSACTION SNAPSHOT 'x'", [Change("transaction_snapshot", "x", LOCAL)]),
        ("BEGIN READ ONLY", [Change("transaction_read_only", "on", LOCAL)]),
        ("BEGIN", []),
        ("SELECT set_config('A', 'x', false)", [Change("a", "x", SESSION)]),
        ("SELECT set_config('a', 'x', true)", [Change("a", "x", LOCAL)]),
        ("SELECT set_config('a', $1, 'f')", [Change("a", None, SESSION)]),
        ("SELECT set_config('a'::text, 'x'::text, $1)", [Change("a", "x", SESSION)]),
        (
            "SELECT set_config('a', NULL, true)",
            [Change("a", None, LOCAL, is_reset=True)],
        ),
        ("SELECT set_config('a' || 'b', 'x', true)", [Change("", "x", LOCAL)]),
        ("SELECT set_config($1, 'x', true)", [Change("", "x", LOCAL)]),
        ("SELECT set_config(NULL, 'x', true)", [Change("", "x", LOCAL)]),
        (
            "SELECT set_config(new_value => 'a', setting_name => 'b', is_local => 't')",
            [Change("", None, SESSION)],
        ),
        ("SELECT set_config('a', 'b')", [Change("", None, SESSION)]),
        ("SELECT set_config(VARIADIC ARRAY['a'])", [Change("", None, SESSION)]),
        ("EXPLAIN SELECT set_config('a', 'x', true)", [Change("a", "x", LOCAL)]),
        ("ALTER ROLE r SET a = 1", [Change("a", "1", STORED)]),
        ("ALTER ROLE r RESET ALL", [Change("*", None, STORED, is_reset=True)]),
        ("ALTER DATABASE d SET a FROM CURRENT", [Change("a", None, STORED)]),
        ("ALTER SYSTEM SET a = 1", [Change("a", "1", STORED)]),
        ("ALTER SYSTEM RESET a", [Change("a", None, STORED, is_reset=True)]),
        ("ALTER FUNCTION f SET a = 1", [Change("a", "1", STORED)]),
        (
            "CREATE FUNCTION f() RETURNS int LANGUAGE sql SET a = 1 AS ''",
            [Change("a", "1", STORED)],
        ),
    ],
)
def test_settings_changed(sql: str, changes: list[Change]) -> None:
    analysis = analyse(sql.encode())
    assert analysis.trouble is None
    (facts,) = analysis.statements
    assert list(facts.settings) == changes


@pytest.mark.parametrize(
    "value", ["on", "true", "TRUE", "yes", "y", "1", "' on '", "'T'"]
)
def test_reading_only_is_no_flag(value: str) -> None:
    facts = analyse(f"SET transaction_read_only = {value}".encode()).statements[0]
    assert Flag.READ_WRITE not in facts.flags


@pytest.mark.parametrize("value", ["off", "0", "f", "n", "''", "'o'", "'maybe'", "2"])
def test_anything_else_may_write(value: str) -> None:
    facts = analyse(f"SET transaction_read_only = {value}".encode()).statements[0]
    assert Flag.READ_WRITE in facts.flags
