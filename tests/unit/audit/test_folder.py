"""Names, order and ends of audit files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from proxy.audit.chain import NO_HASH, Chain
from proxy.audit.checkpoint import Checkpoint, Link
from proxy.audit.folder import (
    FileEnd,
    audit_files,
    end_of,
    file_name,
    latest_link,
    seq_of,
    stated_hash,
    worker_of,
)

if TYPE_CHECKING:
    from pathlib import Path

NAME = "audit-w_1-20231114T221320.500000Z-0123abcd.jsonl"


def test_names() -> None:
    assert file_name("w_1", 1_700_000_000.5, "0123abcdef") == NAME
    assert worker_of(NAME) == "w_1"
    for other in ("audit.jsonl", NAME + ".gz", "x" + NAME, NAME.replace("w_1", "W")):
        assert worker_of(other) == ""


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    for name in (NAME, ".writer-0.lock", "notes.jsonl"):
        (tmp_path / name).touch()
    assert [path.name for path in audit_files(tmp_path)] == [NAME]


def test_what_a_line_states() -> None:
    line, _, last = Chain(41, NO_HASH).extend([b'"kind":"outcome"'], 1.0)
    assert seq_of(line) == 42
    assert stated_hash(line) == last.decode()
    for other in (b"", b"\n", b"{}\n", line[:-1], b'{"v":1,"seq":0,"at":"'):
        assert not seq_of(other) or not stated_hash(other)


@pytest.mark.parametrize("length", [10, 70_000, 300_000])
@pytest.mark.parametrize("torn", [b"", b'{"v":1', b"x" * 200_000])
def test_the_end_of_a_file(tmp_path: Path, length: int, torn: bytes) -> None:
    fragment = b'"text":"%b"' % (b"x" * length)
    data, seq, last = Chain().extend([fragment] * 3, 1.0)
    path = tmp_path / NAME
    path.write_bytes(data + torn)
    assert end_of(path) == FileEnd(seq, last.decode(), len(torn))


@pytest.mark.parametrize("content", [b"", b"torn"])
def test_a_file_without_a_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / NAME
    path.write_bytes(content)
    assert end_of(path) == FileEnd(0, "", len(content))
    assert latest_link(tmp_path, "w_1") == Link(NAME, 0, "", len(content))


def test_the_latest_file_is_the_one_no_other_continues(tmp_path: Path) -> None:
    assert latest_link(tmp_path, "0") is None
    previous = None
    for when in (3, 1, 2):  # a clock that goes back
        name = file_name("0", when, f"{when:08}")
        opening = Checkpoint(event="open", records=0, file=name, previous=previous)
        data, seq, last = Chain().extend([opening.fragment()], 1.0)
        (tmp_path / name).write_bytes(data)
        previous = Link(name, seq, last.decode())
    assert latest_link(tmp_path, "0") == previous
    assert latest_link(tmp_path, "1") is None
