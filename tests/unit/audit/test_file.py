"""One open file: made by us alone, whole batches only."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from proxy.audit.file import AppendFile
from proxy.audit.folder import is_being_written


def test_it_must_be_new(tmp_path: Path) -> None:
    (tmp_path / "there").touch()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for name in ("there", "link"):
        with pytest.raises(FileExistsError):
            AppendFile.create(tmp_path / name)
    assert not (tmp_path / "elsewhere").exists()


def test_it_is_locked_while_open(tmp_path: Path) -> None:
    file = AppendFile.create(tmp_path / "a")
    assert is_being_written(tmp_path / "a")
    file.close()
    assert not is_being_written(tmp_path / "a")


def test_a_file_that_cannot_be_locked_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_descriptor: int, _operation: int) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    before = len([*Path("/proc/self/fd").iterdir()])
    with pytest.raises(OSError, match="No locks"):
        AppendFile.create(tmp_path / "a")
    assert len([*Path("/proc/self/fd").iterdir()]) == before


def test_appending_and_being_in_place(tmp_path: Path) -> None:
    path = tmp_path / "a"
    file = AppendFile.create(path)
    file.append(b"one\n", is_synced=False)
    file.append(b"two\n", is_synced=True)
    assert path.read_bytes() == b"one\ntwo\n"
    assert (file.size, file.is_clean, file.is_in_place()) == (8, True, True)
    path.rename(tmp_path / "b")
    assert not file.is_in_place()
    path.touch()
    assert not file.is_in_place()
    file.close()


def test_a_sync_that_fails_takes_the_batch_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    path = tmp_path / "a"
    file = AppendFile.create(path)
    file.append(b"one\n", is_synced=False)
    monkeypatch.setattr(os, "fdatasync", fail)
    with pytest.raises(OSError, match="Input/output"):
        file.append(b"two\n", is_synced=True)
    assert path.read_bytes() == b"one\n"
    assert (file.size, file.is_clean) == (4, True)
    file.close()
