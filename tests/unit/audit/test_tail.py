"""The end of the log: merged by time, filtered, followed, safe to print."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from proxy.audit import tail as module
from proxy.audit.tail import Filter, Tail, moment, printable
from proxy.audit.writer import ChainWriter
from proxy.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

T0 = 1_700_000_000.0


def record(number: int, identity: str = "ana", decision: str = "allow") -> bytes:
    return (
        b'"kind":"statement","session":"s%d","identity":"%b","decision":"%b","n":%d'
        % (number % 2, identity.encode(), decision.encode(), number)
    )


def numbers(tail: list[tuple[bytes, dict[str, int]]]) -> list[int]:
    return [each["n"] for _, each in tail if "n" in each]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Two workers that took turns: records 0 to 99, a second apart."""
    writers = [ChainWriter(tmp_path, worker=str(n), at=T0) for n in range(2)]
    for number in range(100):
        identity = "bob" if number % 10 == 0 else "ana"
        decision = "deny" if number % 25 == 0 else "allow"
        fragment = record(number, identity, decision)
        writers[number % 2].append([fragment], T0 + 1 + number)
    for writer in writers:
        writer.close(T0 + 200)
    return tmp_path


@pytest.mark.parametrize("block", [16, 65_536])
def test_the_latest_of_all_files_in_order_of_time(
    log: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(module, "_BLOCK", block)
    only = Filter(kinds=frozenset({"statement"}))
    assert numbers(Tail(log, only).latest(7)) == list(range(93, 100))
    assert numbers(Tail(log, only).latest(1000)) == list(range(100))
    assert Tail(log, only).latest(0) == []


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (Filter(identities=frozenset({"bob"})), list(range(0, 100, 10))),
        (Filter(decision="deny"), [0, 25, 50, 75]),
        (Filter(kinds=frozenset({"outcome"})), []),
        (
            Filter(sessions=frozenset({"s1"}), identities=frozenset({"ana"})),
            list(range(1, 100, 2)),
        ),
        (Filter(since=moment("2s", T0 + 100)), [97, 98, 99]),
        (Filter(until=moment("98s", T0 + 100)), [0, 1]),
    ],
)
def test_filters(log: Path, wanted: Filter, expected: list[int]) -> None:
    assert numbers(Tail(log, wanted).latest(1000)) == expected


def test_reading_stops_where_the_time_does(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded = []
    real = module._decode

    def counted(line: bytes) -> module.Record | None:
        decoded.append(line)
        return real(line)

    monkeypatch.setattr(module, "_decode", counted)
    Tail(log, Filter(since=moment("2s", T0 + 100))).latest(1000)
    assert len(decoded) == 5  # three records and two closing checkpoints


def test_following_sees_new_records_and_new_files(tmp_path: Path) -> None:
    first = ChainWriter(tmp_path, worker="0", at=T0)
    first.append([record(1)], T0)
    tail = Tail(tmp_path, Filter(kinds=frozenset({"statement"})))
    assert numbers(tail.latest(10)) == [1]
    assert tail.more() == []
    second = ChainWriter(tmp_path, worker="1", at=T0)
    first.append([record(3)], T0 + 3)
    second.append([record(2)], T0 + 2)
    assert numbers(tail.more()) == [2, 3]
    assert tail.more() == []
    first.close(T0)
    second.close(T0)


def test_half_a_line_waits_for_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "audit-0-20260101T000000.000000Z-00000000.jsonl"
    path.write_bytes(b'{"at":"2026-01-01T00:00:00.000000Z","n":1}\n{"n"')
    tail = Tail(tmp_path, Filter())
    assert numbers(tail.latest(10)) == [1]
    assert tail.more() == []
    with path.open("ab") as file:
        file.write(b":2}\nnot json\n")
    assert numbers(tail.more()) == [2]


def test_a_file_with_no_whole_line_has_no_records(tmp_path: Path) -> None:
    path = tmp_path / "audit-0-20260101T000000.000000Z-00000000.jsonl"
    path.write_bytes(b"x" * 100)
    assert Tail(tmp_path, Filter()).latest(10) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10m", "2023-11-14T22:03:20.000000Z"),
        ("1.5h", "2023-11-14T20:43:20.000000Z"),
        ("2 d", "2023-11-12T22:13:20.000000Z"),
        ("2026-07-29T10:00:00+02:00", "2026-07-29T08:00:00.000000Z"),
    ],
)
def test_times(text: str, expected: str) -> None:
    assert moment(text, T0) == expected


def test_a_time_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match='"soon" is not a time'):
        moment("soon", T0)


def test_nothing_reaches_the_terminal_unescaped() -> None:
    hostile = "a\x1b[2J\n\tb\u2028c\u202ed\x9b\x00é🐘\ud800"
    shown = printable(hostile)
    assert shown == r"a\x1b[2J b c\u202ed\x9b\x00é🐘\ud800"
    assert shown.isprintable()
