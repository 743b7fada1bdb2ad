"""Values that may vary: written ones, of three kinds, and never anything around."""

from __future__ import annotations

import pytest

from proxy.migrations.statement import BindValue, Sent, StatementError, fingerprint
from proxy.migrations.varying import Varying, template, varying_between

UUIDS = ("123e4567-e89b-12d3-a456-426614174000", "223E4567-e89b-12d3-a456-426614174000")
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
