from __future__ import annotations

from datetime import UTC, datetime

import pytest

from proxy.migrations.gates import (
    MAX_RESTORE_POINT,
    MOST_SHOWN,
    GateAnswer,
    GateState,
    restore_point_name,
    shown,
)

AT = datetime(2026, 11, 27, 3, 4, 5, tzinfo=UTC)


def test_only_satisfied_lets_pass() -> None:
    passing = [s for s in GateState if GateAnswer("backup", s, "").is_satisfied]
    assert passing == [GateState.SATISFIED]


@pytest.mark.parametrize(
    ("said", "seen"),
    [
        ("backup of 03:00, 12 GB", "backup of 03:00, 12 GB"),
        ("  padded\t", "padded"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x9b31mred", "red"),
        ("\x1b]0;a title\x07here", "here"),
        ("\x1b]8;;http://evil/\x1b\\click\x1b]8;;\x1b\\", "click"),
        ("\x1bPa device control\x1b\\here", "here"),
        ("\x1b[2J\x1b[Hcleared", "cleared"),
        ("\x1b", ""),
        ("\x1b[", ""),
        ("old\rnew", "oldnew"),
        ("a\x00b\x08c\x7f", "abc"),
        ("\u202egnp.exe\u2066", "gnp.exe"),
        ("one\u2028two", "onetwo"),
        ("größer, 日本", "größer, 日本"),
        ("x" * 200, "x" * 200),
    ],
)
def test_what_others_say_can_do_nothing_to_a_terminal(said: str, seen: str) -> None:
    assert shown(said) == seen


def test_what_others_say_is_short() -> None:
    assert shown("x" * 100_000) == "x" * (MOST_SHOWN - 1) + "…"


def test_the_name_of_a_restore_point() -> None:
    name = restore_point_name("0123456789abcdef" * 4, AT)
    assert name == "pgwarden-0123456789ab-20261127T030405Z"
    assert len(name.encode()) <= MAX_RESTORE_POINT


@pytest.mark.parametrize("wrong", ["", "x'); DROP TABLE t; --", "ä" * 12, "a" * 65])
def test_no_name_of_what_is_no_proof(wrong: str) -> None:
    with pytest.raises(ValueError, match="no id"):
        restore_point_name(wrong, AT)
