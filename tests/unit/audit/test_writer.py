"""The writer: one write a batch, all or nothing, and a chain from file to file."""

from __future__ import annotations

import errno
import json
import os
import stat
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from proxy.audit import writer as module
from proxy.audit.folder import audit_files
from proxy.audit.verify import verify_folder
from proxy.audit.writer import ChainWriter
from proxy.errors import AuditUnavailable, ConfigError

if TYPE_CHECKING:
    from pathlib import Path

T0 = 1_700_000_000.0


def a(number: int) -> bytes:
    return b'"kind":"outcome","n":%d' % number


def records(folder: Path) -> list[dict[str, Any]]:
    return [
        json.loads(line)
        for path in audit_files(folder)
        for line in path.read_bytes().splitlines()
    ]


def numbers(folder: Path) -> list[int]:
    return [record["n"] for record in records(folder) if "n" in record]


def events(folder: Path) -> list[str]:
    return [record["event"] for record in records(folder) if "event" in record]


def test_files_are_private_and_whole(tmp_path: Path) -> None:
    folder = tmp_path / "audit"
    writer = ChainWriter(folder, at=T0)
    writer.append([a(1), a(2)], T0)
    writer.append([], T0)
    writer.append([a(3)], T0 + 0.5)
    writer.close(T0 + 1)
    (path,) = audit_files(folder)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [r["seq"] for r in records(folder)] == [1, 2, 3, 4, 5]
    assert events(folder) == ["open", "close"]
    assert numbers(folder) == [1, 2, 3]
    assert writer.counters.records == 3
    assert writer.counters.bytes == path.stat().st_size
    report = verify_folder(folder)
    assert (report.records, report.findings, report.notices) == (5, [], [])


def test_a_batch_is_one_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = ChainWriter(tmp_path, at=T0)
    sizes = []
    real = os.write

    def counted(descriptor: int, data: bytes) -> int:
        sizes.append(len(data))
        return real(descriptor, data)

    monkeypatch.setattr(os, "write", counted)
    writer.append([a(n) for n in range(500)], T0)
    monkeypatch.undo()
    writer.close(T0)
    assert len(sizes) == 1
    assert numbers(tmp_path) == list(range(500))


def test_a_new_file_continues_the_one_before(tmp_path: Path) -> None:
    for start in range(3):
        writer = ChainWriter(tmp_path, at=T0 - start)  # a clock that goes back
        writer.append([a(start)], T0)
        writer.close(T0)
    first, *others = (r for r in records(tmp_path) if r.get("event") == "open")
    assert len(others) == 2
    links = {r["file"]: r["previous"] for r in (first, *others)}
    assert sum(link is None for link in links.values()) == 1
    assert {link["records"] for link in links.values() if link} == {3}
    report = verify_folder(tmp_path)
    assert (report.findings, report.notices) == ([], [])


def test_workers_have_chains_of_their_own(tmp_path: Path) -> None:
    writers = [ChainWriter(tmp_path, worker=name, at=T0) for name in ("0", "1")]
    for number, writer in enumerate(writers):
        writer.append([a(number)], T0)
        writer.close(T0)
    assert verify_folder(tmp_path).findings == []
    assert sorted(numbers(tmp_path)) == [0, 1]


def test_two_writers_of_one_name_are_refused(tmp_path: Path) -> None:
    writer = ChainWriter(tmp_path, at=T0)
    with pytest.raises(ConfigError, match='another pgwarden writes as worker "0"'):
        ChainWriter(tmp_path, at=T0)
    writer.close(T0)
    ChainWriter(tmp_path, at=T0).close(T0)


def test_unusable_folders_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="can't be used"):
        ChainWriter(tmp_path / "file", at=T0)
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    with pytest.raises(ConfigError, match="may be written by others"):
        ChainWriter(tmp_path / "open", at=T0)
    with pytest.raises(ConfigError, match="worker name"):
        ChainWriter(tmp_path, worker="../x", at=T0)


def test_checkpoints_come_every_so_often(tmp_path: Path) -> None:
    writer = ChainWriter(tmp_path, at=T0, checkpoint_every=10)
    for number in range(25):
        writer.append([a(number)], T0)
    writer.close(T0)
    assert events(tmp_path) == ["open", "periodic", "periodic", "close"]
    assert verify_folder(tmp_path).findings == []


def is_refusing(writer: ChainWriter) -> bool:
    return not writer.is_available


class Disk:
    """Stands in for os.write and os.ftruncate: a disk that can fail."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.takes: int | None = None
        self.can_truncate = True
        self._write, self._truncate = os.write, os.ftruncate
        monkeypatch.setattr(os, "write", self.write)
        monkeypatch.setattr(os, "ftruncate", self.ftruncate)

    def write(self, descriptor: int, data: bytes) -> int:
        if self.takes is None:
            return self._write(descriptor, data)
        if self.takes == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return self._write(descriptor, data[: self.takes])

    def ftruncate(self, descriptor: int, length: int) -> None:
        if not self.can_truncate:
            raise OSError(errno.EIO, "Input/output error")
        self._truncate(descriptor, length)


@pytest.mark.parametrize("takes", [0, 1, 150])
def test_a_failed_write_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, takes: int
) -> None:
    disk = Disk(monkeypatch)
    writer = ChainWriter(tmp_path, at=T0)
    writer.append([a(1)], T0)
    path = writer.path
    assert path is not None
    before = path.read_bytes()
    disk.takes = takes
    with structlog.testing.capture_logs() as logs:
        for _ in range(3):
            with pytest.raises(AuditUnavailable) as raised:
                writer.append([a(2), a(3)], T0 + 1)
            assert raised.value.report().sqlstate == "58030"
        assert path.read_bytes() == before
        assert is_refusing(writer)
        assert (writer.counters.unavailable, writer.counters.write_errors) == (1, 3)
        disk.takes = None
        writer.append([a(4)], T0 + 5)
    assert [log["event"] for log in logs] == ["audit_unavailable", "audit_recovered"]
    assert not is_refusing(writer)
    assert (writer.counters.unavailable, writer.counters.lag_s) == (0, 0.0)
    writer.append([a(5)], T0 + 6)
    writer.close(T0 + 6)
    assert numbers(tmp_path) == [1, 4, 5]
    recovered = next(r for r in records(tmp_path) if r.get("event") == "recovered")
    assert (recovered["failed_appends"], recovered["outage_s"]) == (3, 4.0)
    report = verify_folder(tmp_path)
    assert (report.findings, report.notices) == ([], [])


def test_nothing_is_written_while_a_torn_write_cannot_be_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(monkeypatch)
    writer = ChainWriter(tmp_path, at=T0)
    disk.takes, disk.can_truncate = 50, False
    with pytest.raises(AuditUnavailable):
        writer.append([a(1)], T0)
    disk.takes = None
    with pytest.raises(AuditUnavailable):
        writer.append([a(2)], T0)
    disk.can_truncate = True
    writer.append([a(3)], T0)
    writer.close(T0)
    assert numbers(tmp_path) == [3]
    assert verify_folder(tmp_path).findings == []


def test_a_writer_may_begin_on_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(monkeypatch)
    disk.takes = 10
    writer = ChainWriter(tmp_path, at=T0)
    assert is_refusing(writer)
    with pytest.raises(AuditUnavailable):
        writer.append([a(1)], T0)
    disk.takes = None
    writer.append([], T0 + 2)
    assert not is_refusing(writer)
    writer.append([a(2)], T0 + 2)
    writer.close(T0)
    assert events(tmp_path) == ["open", "recovered", "close"]
    assert verify_folder(tmp_path).findings == []


def test_what_has_happened_waits_out_an_outage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(monkeypatch)
    writer = ChainWriter(tmp_path, at=T0)
    disk.takes = 0
    writer.keep([a(1)])
    with pytest.raises(AuditUnavailable):
        writer.append([a(2)], T0)
    writer.keep([a(3)])
    disk.takes = None
    writer.append([a(4)], T0)
    writer.append([], T0)
    writer.close(T0)
    assert numbers(tmp_path) == [1, 3, 4]
    assert writer.counters.records == 3


def test_what_waits_has_a_ceiling_and_the_log_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(monkeypatch)
    writer = ChainWriter(tmp_path, at=T0, max_kept_bytes=50)
    disk.takes = 0
    with pytest.raises(AuditUnavailable):
        writer.append([a(0)], T0)
    writer.keep([a(n) for n in range(5)])
    disk.takes = None
    writer.append([], T0)
    writer.close(T0)
    assert numbers(tmp_path) == [0, 1]
    recovered = next(r for r in records(tmp_path) if r.get("event") == "recovered")
    assert recovered["lost_records"] == writer.counters.lost == 3


@pytest.mark.parametrize("how", ["moved", "removed", "grown", "cut"])
def test_a_file_touched_by_others_is_left_and_reported(
    tmp_path: Path, how: str
) -> None:
    writer = ChainWriter(tmp_path, at=T0)
    writer.append([a(1)], T0)
    path = writer.path
    assert path is not None
    match how:
        case "moved":
            path.rename(tmp_path / "elsewhere")
        case "removed":
            path.unlink()
        case "grown":
            path.write_bytes(path.read_bytes() + b"{}\n")
        case _:
            os.truncate(path, 100)
    writer.append([a(2)], T0 + 1.5)
    writer.close(T0 + 2)
    assert writer.counters.foreign_changes == 1
    assert writer.path != path
    assert numbers(tmp_path)[-1] == 2 if how != "cut" else True
    assert verify_folder(tmp_path).findings_total > 0


def test_a_newline_in_a_record_is_refused(tmp_path: Path) -> None:
    writer = ChainWriter(tmp_path, at=T0)
    with pytest.raises(AuditUnavailable):
        writer.append([b'"text":"a\nb"'], T0)
    writer.close(T0)
    assert verify_folder(tmp_path).findings == []


def test_each_append_is_synced_where_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fdatasync", synced.append)
    writer = ChainWriter(tmp_path, at=T0, durability="fdatasync")
    writer.append([a(1)], T0)
    writer.close(T0)
    assert len(synced) == 3


def test_closing_twice_and_writing_after_it(tmp_path: Path) -> None:
    writer = ChainWriter(tmp_path, at=T0)
    writer.close(T0)
    writer.close(T0)
    with pytest.raises(AuditUnavailable):
        writer.append([a(1)], T0)
    assert len(audit_files(tmp_path)) == 1


def test_a_newline_in_what_is_kept_blocks_nothing(tmp_path: Path) -> None:
    writer = ChainWriter(tmp_path, at=T0)
    writer.keep([b'"text":"a\nb"', a(1)])
    writer.append([a(2)], T0)
    writer.close(T0)
    assert numbers(tmp_path) == [1, 2]
    assert writer.counters.lost == 1


def test_closing_in_an_outage_is_not_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(monkeypatch)
    writer = ChainWriter(tmp_path, at=T0)
    disk.takes = 0
    writer.keep([a(1)])
    with structlog.testing.capture_logs() as logs:
        writer.close(T0)
    assert [log["event"] for log in logs] == ["audit_unavailable", "audit_not_closed"]
    disk.takes = None
    ChainWriter(tmp_path, at=T0 + 1).close(T0 + 1)
    report = verify_folder(tmp_path)
    assert (report.findings, report.notices) == ([], [])


def test_a_file_before_that_cannot_be_read_is_a_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_folder: Path, _worker: str) -> None:
        raise OSError(5, "Input/output error", "audit-0.jsonl")

    monkeypatch.setattr(module, "latest_link", fail)
    with pytest.raises(ConfigError, match="be read: Input"):
        ChainWriter(tmp_path, at=T0)
    monkeypatch.undo()
    ChainWriter(tmp_path, at=T0).close(T0)
