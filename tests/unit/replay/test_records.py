"""Reading a log: shares, spans, torn ends, and lines that are no records."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from proxy.audit.folder import file_name
from proxy.errors import ConfigError
from proxy.replay import records
from proxy.replay.records import Progress, Reader, Share, decode, log_files
from tests.made_log import BEGIN, MadeLog
from tests.unit.replay.replaying import READING, policy

if TYPE_CHECKING:
    from pathlib import Path

    from proxy.replay.records import Line


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rules = policy(READING)
    with MadeLog(tmp_path / "audit") as log:
        sessions = [log.session(rules, identity=f"p{n}") for n in range(30)]
        for session in sessions:
            session.query("SELECT 1")
            session.end()
    return tmp_path / "audit"


def read(
    folder: Path, share: Share | None = None, until: str = ""
) -> tuple[list[Line], Reader]:
    reader = Reader(share or Share(), until, on_progress=lambda _: None)
    return [line for path in log_files(folder) for line in reader.lines(path)], reader


def test_each_line_of_a_session_is_read_with_its_head(folder: Path) -> None:
    lines, reader = read(folder)
    whole = [json.loads(line.whole) for line in lines]
    assert [line.kind.decode() for line in lines] == [each["kind"] for each in whole]
    assert [line.session.decode() for line in lines] == [
        each["session"] for each in whole
    ]
    assert [line.at for line in lines] == [each["at"] for each in whole]
    assert (reader.records, reader.unreadable) == (len(lines) + 2, 0)


def test_a_record_has_what_the_line_says(folder: Path) -> None:
    lines, _ = read(folder)
    record = decode(next(line for line in lines if line.kind == b"statement").whole)
    assert (record.identity, record.role, record.text, record.message) == (
        "p0",
        "developer",
        "SELECT 1",
        "query",
    )
    assert record.is_allowed


def test_shares_are_whole_sessions_and_make_up_the_log(folder: Path) -> None:
    shares = [read(folder, Share(n, 3)) for n in range(3)]
    sessions = [{line.session for line in lines} for lines, _ in shares]
    assert sum(map(len, sessions)) == len(set.union(*sessions)) == 30
    assert all(sessions)
    assert sum(reader.records for _, reader in shares) == read(folder)[1].records


def test_a_last_line_without_newline_is_passed_over(folder: Path) -> None:
    (path,) = log_files(folder)
    before, _ = read(folder)
    with path.open("ab") as file:
        file.write(before[0].whole[:-1])
    lines, reader = read(folder)
    assert lines == before
    assert reader.unreadable == 0


def test_lines_that_are_no_records_are_counted_once(folder: Path) -> None:
    (path,) = log_files(folder)
    before, _ = read(folder)
    path.write_bytes(b'nonsense\n{"v":2,"seq":1}\n' + path.read_bytes())
    for share in (Share(0, 2), Share(1, 2)):
        lines, reader = read(folder, share)
        assert reader.unreadable == (2 if share.number == 0 else 0)
        assert len(lines) < len(before)


def test_reading_ends_at_the_end_of_the_span(folder: Path) -> None:
    lines, _ = read(folder)
    until = lines[7].at
    assert [line.at for line in read(folder, until=until)[0]] == [
        line.at for line in lines if line.at <= until
    ]


@pytest.mark.parametrize("every", [1, 1 << 20])
def test_progress_tells_every_byte_and_record(
    folder: Path, every: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "_PROGRESS_BYTES", every)
    told: list[Progress] = []
    reader = Reader(Share(), "", on_progress=told.append)
    (path,) = log_files(folder)
    assert list(reader.lines(path))
    assert sum(each.bytes for each in told) == path.stat().st_size
    assert sum(each.records for each in told) == reader.records


def test_files_come_by_worker_and_time(tmp_path: Path) -> None:
    names = [file_name(w, at, "0" * 8) for w in "01" for at in (BEGIN, BEGIN + 1)]
    for name in reversed(names):
        (tmp_path / name).touch()
    assert [path.name for path in log_files(tmp_path)] == names


def test_a_folder_without_a_log_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no audit files"):
        log_files(tmp_path)
    with pytest.raises(ConfigError, match="is not a folder"):
        log_files(tmp_path / "gone")
