"""Values that may vary: written ones, of three kinds, and never anything around."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from proxy.migrations.statement import BindValue, Sent, StatementError, fingerprint
from proxy.migrations.varying import (
    Varying,
    suspected,
    template,
    told,
    varying_between,
)

UUIDS = ("123e4567-e89b-12d3-a456-426614174000", "223E4567-e89b-12d3-a456-426614174000")
PLAIN = "123e4567e89b12d3a456426614174000"
TIMES = ("2026-01-02 03:04:05.678+00", "2026-02-02T03:04:05Z")
INSERT = "INSERT INTO t (id, at, n) VALUES ('{}', '{}'::timestamptz, {})"


def sent(text: str, *values: bytes | None, form: int = 0, type_oid: int = 0) -> Sent:
    return Sent(text.encode(), tuple(BindValue(v, form, type_oid) for v in values))


def test_two_runs_tell_what_varies() -> None:
    first = sent(INSERT.format(UUIDS[0], TIMES[0], 7))
    second = sent(INSERT.format(UUIDS[1], TIMES[1], 12345678901))
    found = varying_between(first, second)
    assert found == (
        Varying("uuid", "literal", 1),
        Varying("timestamp", "literal", 2),
        Varying("integer", "literal", 3),
    )
    assert template(first, found) == template(second, found)
    assert template(first, found) != fingerprint(first)


def test_parameters_vary_as_text_and_as_binary() -> None:
    text = "UPDATE t SET key = $1 WHERE id = $2"
    one = sent(text, UUIDS[0].encode(), b"5")
    other = sent(text, UUIDS[1].encode(), b"5")
    assert varying_between(one, other) == (Varying("uuid", "parameter", 1),)
    binary = [
        Sent(b"INSERT INTO t VALUES ($1)", (BindValue(bytes([n]) * 16, 1, 2950),))
        for n in (1, 2)
    ]
    assert varying_between(*binary) == (Varying("uuid", "parameter", 1),)


def test_nothing_varies_between_equals() -> None:
    one = sent("CREATE TABLE t (a int)")
    with_comment = sent("-- x\nCREATE TABLE t (a int);")
    assert varying_between(one, with_comment) == ()
    assert template(one, ()) == fingerprint(one)


NEVER = [
    ("DELETE FROM t WHERE id < 5", "DELETE FROM t WHERE id < 6"),
    ("UPDATE t SET a = 1 WHERE id = 5", "UPDATE t SET a = 1 WHERE id = 6"),
    ("UPDATE t SET a = b + 1", "UPDATE t SET a = b + 2"),
    ("INSERT INTO t VALUES (f(1))", "INSERT INTO t VALUES (f(2))"),
    ("INSERT INTO t VALUES ((SELECT 1))", "INSERT INTO t VALUES ((SELECT 2))"),
    ("INSERT INTO t SELECT 1", "INSERT INTO t SELECT 2"),
    ("INSERT INTO t VALUES (-1)", "INSERT INTO t VALUES (-2)"),
    ("INSERT INTO t VALUES (1.5)", "INSERT INTO t VALUES (2.5)"),
    ("INSERT INTO t VALUES (1)", "INSERT INTO u VALUES (2)"),
    ("INSERT INTO t VALUES (1)", "INSERT INTO t VALUES (2), (3)"),
    ("INSERT INTO t VALUES ('a')", "INSERT INTO t VALUES ('b')"),
    ("ALTER SEQUENCE s RESTART 5", "ALTER SEQUENCE s RESTART 6"),
    ("CREATE TABLE t (a varchar(5))", "CREATE TABLE t (a varchar(6))"),
    ("SET x = 5", "SET x = 6"),
]


@pytest.mark.parametrize(("one", "other"), NEVER)
def test_nothing_else_may_vary(one: str, other: str) -> None:
    with pytest.raises(StatementError):
        varying_between(sent(one), sent(other))


def test_a_parameter_that_also_picks_rows_may_not_vary() -> None:
    text = "UPDATE t SET a = $1 WHERE b = $1"
    with pytest.raises(StatementError):
        varying_between(sent(text, b"1"), sent(text, b"2"))
    with pytest.raises(StatementError, match="not a value that it writes"):
        template(sent(text, b"1"), (Varying("integer", "parameter", 1),))


ATTACKS = [
    INSERT.format(UUIDS[0] + "'); DROP TABLE t; --", TIMES[0], 1),
    INSERT.format("' || secret() || '", TIMES[0], 1),
    INSERT.format(UUIDS[0], "now", 1),
    INSERT.format(UUIDS[0], TIMES[0], "(SELECT 1)"),
    INSERT.format(UUIDS[0], TIMES[0], "1) ON CONFLICT DO NOTHING --"),
    INSERT.format(UUIDS[0], TIMES[0], "1, 2"),
    INSERT.format(UUIDS[0] + "'\n'", TIMES[0], 1),
    INSERT.format(UUIDS[0], TIMES[0], "1e5"),
    INSERT.format(UUIDS[0], TIMES[0], "0x10"),
    INSERT.format(UUIDS[0], TIMES[0], "NULL"),
    INSERT.format("x", TIMES[0], 1),
    INSERT.format(UUIDS[0], TIMES[0], "1::int"),
    INSERT.format(UUIDS[0], TIMES[0], 1) + "; DROP TABLE t",
    INSERT.format(UUIDS[0], TIMES[0], 1) + " RETURNING *",
]


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_varying_value_is_no_way_in(attack: str) -> None:
    varying = (
        Varying("uuid", "literal", 1),
        Varying("timestamp", "literal", 2),
        Varying("integer", "literal", 3),
    )
    proven = template(sent(INSERT.format(UUIDS[1], TIMES[1], 5)), varying)
    try:
        found = template(sent(attack), varying)
    except StatementError:
        return
    assert found != proven


@pytest.mark.parametrize(
    "value",
    [
        BindValue(None),
        BindValue(b"x"),
        BindValue(b"5'"),
        BindValue(b"5", 1),
        BindValue(b"\0\0\0\5", 1, 25),
        BindValue(b"\0\0\0\5", 0, 23),
        BindValue(b"5", 0, 20),
    ],
)
def test_a_parameter_must_be_of_its_kind_and_form(value: BindValue) -> None:
    text = b"INSERT INTO t VALUES ($1)"
    varying = (Varying("integer", "parameter", 1),)
    proven = template(Sent(text, (BindValue(b"7"),)), varying)
    try:
        found = template(Sent(text, (value,)), varying)
    except StatementError:
        return
    assert found != proven


NOW = datetime(2026, 1, 2, 3, 4, 6, tzinfo=UTC)
HERE = NOW.astimezone(timezone(timedelta(hours=-8)))
BINARY_NOW = bytes.fromhex("0002ea5dbb245580")
"""What timestamptz_send and timestamp_send of PostgreSQL 17 make of NOW."""


@pytest.mark.parametrize("now", [NOW, HERE])
@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        (INSERT.format(UUIDS[0], TIMES[0], 7), ["uuid", "timestamp"]),
        (f"UPDATE t SET id = '{UUIDS[1]}'::uuid WHERE n = 1", ["uuid"]),
        # as Django writes it on psycopg 3
        (f"INSERT INTO t VALUES ('{PLAIN}'::uuid, 'x')", ["uuid"]),
        (f"INSERT INTO t VALUES ('{PLAIN}'::pg_catalog.uuid)", ["uuid"]),
        (f"INSERT INTO t VALUES ('{PLAIN}')", []),  # any checksum
        (f"INSERT INTO t VALUES ('{PLAIN}'::text)", []),
        (f"INSERT INTO t VALUES ('{PLAIN}'::app.uuid)", []),
        (f"INSERT INTO t VALUES ('{PLAIN}0'::uuid)", []),
        (f"INSERT INTO t VALUES ('{UUIDS[0]}'), ('{UUIDS[1]}')", ["uuid", "uuid"]),
        ("INSERT INTO t VALUES ('2026-01-03 03:04:05Z')", ["timestamp"]),
        ("INSERT INTO t VALUES ('2026-01-03 11:00:00+08')", ["timestamp"]),
        ("INSERT INTO t VALUES ('2026-01-03 00:00:00-03:30')", []),
        ("INSERT INTO t VALUES ('2026-01-04 00:00:00')", []),
        ("INSERT INTO t VALUES ('1999-12-31 23:59:59')", []),
        ("INSERT INTO t VALUES ('2026-02-31 00:00:00', '9999-12-31 23:59:59-12')", []),
        ("INSERT INTO t VALUES (20260102030405, 7, '7')", []),
        (f"INSERT INTO t VALUES (lower('{UUIDS[0]}'))", []),
        (f"UPDATE t SET a = 1 WHERE id = '{UUIDS[0]}'", []),
        (f"INSERT INTO t SELECT '{UUIDS[0]}'", []),
        (f"CREATE TABLE t (id uuid DEFAULT '{UUIDS[0]}')", []),
        ("SELECT (", []),
        ("", []),
    ],
)  # fmt: skip
def test_what_looks_made_up(text: str, kinds: list[str], now: datetime) -> None:
    assert [each.kind for each in suspected(sent(text), now)] == kinds


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (BindValue(UUIDS[0].encode()), "uuid"),
        (BindValue(bytes(range(16)), 1, 2950), "uuid"),
        (BindValue(PLAIN.encode(), 0, 2950), "uuid"),
        (BindValue(bytes(range(16)), 1, 0), None),
        (BindValue(bytes(range(16)), 1, 17), None),
        (BindValue(TIMES[0].encode(), 0, 1184), "timestamp"),
        (BindValue(BINARY_NOW, 1, 1114), "timestamp"),
        (BindValue(BINARY_NOW, 1, 20), None),
        (BindValue((2**63 - 1).to_bytes(8), 1, 1184), None),  # infinity
        (BindValue((0).to_bytes(8), 1, 1184), None),
        (BindValue(b"7"), None),
        (BindValue(None, 0, 2950), None),
    ],
)  # fmt: skip
def test_a_parameter_that_looks_made_up(value: BindValue, kind: str | None) -> None:
    found = suspected(Sent(b"INSERT INTO t VALUES ($1)", (value,)), NOW)
    assert [each.kind for each in found] == ([kind] if kind else [])
    text = b"UPDATE t SET a = $1 WHERE b = $1"
    assert suspected(Sent(text, (value,)), NOW) == ()


def test_a_uuid_without_its_dashes_may_vary_only_as_a_uuid() -> None:
    one = sent(f"INSERT INTO t VALUES ('{PLAIN}'::uuid, '{PLAIN}')")
    other = sent(f"INSERT INTO t VALUES ('{'0' * 32}'::uuid, '{PLAIN}')")
    varying = suspected(one, NOW)
    assert varying == (Varying("uuid", "literal", 1),)
    assert varying_between(one, other) == varying
    assert template(one, varying) == template(other, varying)
    assert told(one.text.decode(), varying) == [f"a uuid: constant 1, '{PLAIN}'"]
    wider = sent(f"INSERT INTO t VALUES ('{PLAIN}'::uuid, '{'0' * 32}')")
    assert template(wider, varying) != template(one, varying)
    with pytest.raises(StatementError):
        template(sent(f"INSERT INTO t VALUES ('{'x' * 32}'::uuid, 'a')"), varying)


def test_what_is_suspected_is_told_as_it_is_shown() -> None:
    one = sent(INSERT.format(UUIDS[0], TIMES[0], "$1"), UUIDS[1].encode())
    said = [
        f"a uuid: constant 1, '{UUIDS[0]}'",
        f"a timestamp: constant 2, '{TIMES[0]}'",
        "a uuid: $1",
    ]
    found = suspected(one, NOW)
    assert told(one.text.decode(), found) == said
    # Shortened text can't be read, and one that is another does not name its values.
    assert told(one.text.decode()[:20], found)[0] == "a uuid: constant 1"
    assert told("INSERT INTO t VALUES ('x')", found)[0] == "a uuid: constant 1"


def test_many_values_are_no_trouble() -> None:
    """Each is looked at once, not once for each other one."""
    rows = ", ".join(f"('{UUIDS[0]}', ${n})" for n in range(1, 4001))
    one = sent(f"INSERT INTO t VALUES {rows}", *[UUIDS[1].encode()] * 4000)
    found = suspected(one, NOW)
    assert len(found) == 8000
    assert template(one, found)
