"""Whatever is done to a log after the fact is found, and named."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from proxy.audit.chain import NO_HASH, Chain, hash_of
from proxy.audit.checkpoint import Checkpoint
from proxy.audit.folder import audit_files
from proxy.audit.verify import Report, verify_folder
from proxy.audit.writer import ChainWriter

if TYPE_CHECKING:
    from pathlib import Path

T0 = 1_700_000_000.0


def a(number: int) -> bytes:
    return b'"kind":"outcome","n":%d' % number


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three chained files of one worker, all closed."""
    folder = tmp_path_factory.mktemp("sound")
    for run in range(3):
        writer = ChainWriter(folder, at=T0 + run, checkpoint_every=4)
        for number in range(8):
            writer.append([a(number)], T0 + run)
        writer.close(T0 + run)
    report = verify_folder(folder)
    assert (report.findings, report.notices) == ([], [])
    return folder


@pytest.fixture
def log(sound: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "log"
    shutil.copytree(sound, folder)
    return folder


def file(folder: Path, number: int) -> Path:
    return audit_files(folder)[number]


def lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


def whats(report: Report) -> list[tuple[int, int, str]]:
    return [(f.line, f.seq, f.what) for f in report.findings]


def test_a_changed_record_is_named(log: Path) -> None:
    path = file(log, 1)
    path.write_bytes(path.read_bytes().replace(b'"n":3', b'"n":4'))
    (finding,) = verify_folder(log).findings
    assert (finding.file, finding.line, finding.seq) == (path.name, 6, 6)
    assert finding.what == "record 6 was changed: it does not fit its hash"


def test_a_changed_hash_is_one_finding(log: Path) -> None:
    path = file(log, 1)
    all_lines = lines(path)
    digit = b"0" if all_lines[4][-4:-3] != b"0" else b"1"
    all_lines[4] = all_lines[4][:-4] + digit + all_lines[4][-3:]
    path.write_bytes(b"".join(all_lines))
    assert whats(verify_folder(log)) == [
        (5, 5, "record 5 was changed: it does not fit its hash")
    ]


def test_a_deleted_record_is_named(log: Path) -> None:
    path = file(log, 1)
    all_lines = lines(path)
    path.write_bytes(b"".join(all_lines[:4] + all_lines[5:]))
    assert whats(verify_folder(log)) == [(5, 6, "record 5 is missing before this one")]


def test_deleted_records_are_counted(log: Path) -> None:
    path = file(log, 1)
    all_lines = lines(path)
    path.write_bytes(b"".join(all_lines[:2] + all_lines[6:]))
    assert whats(verify_folder(log)) == [
        (3, 7, "record 3 to 6 is missing before this one")
    ]


def test_a_repeated_record_is_named(log: Path) -> None:
    path = file(log, 1)
    all_lines = lines(path)
    path.write_bytes(b"".join(all_lines[:6] + all_lines[2:3] + all_lines[6:]))
    assert whats(verify_folder(log)) == [
        (7, 3, "record 3 again: repeated, inserted or moved here")
    ]


def test_swapped_records_are_named(log: Path) -> None:
    path = file(log, 1)
    all_lines = lines(path)
    all_lines[3], all_lines[4] = all_lines[4], all_lines[3]
    path.write_bytes(b"".join(all_lines))
    assert [(line, seq) for line, seq, _ in whats(verify_folder(log))] == [
        (4, 5),
        (5, 4),
    ]


@pytest.mark.parametrize("garbage", [b"\n", b"{}\n", b"\xff\xfe\n", b'{"v":1}\n'])
def test_an_inserted_line_is_one_finding(log: Path, garbage: bytes) -> None:
    path = file(log, 1)
    all_lines = lines(path)
    path.write_bytes(b"".join([*all_lines[:4], garbage, *all_lines[4:]]))
    assert whats(verify_folder(log)) == [
        (5, 5, "this line is not a record: changed or inserted")
    ]


def test_a_record_turned_into_garbage_is_one_finding(log: Path) -> None:
    path = file(log, 1)
    all_lines = lines(path)
    all_lines[4] = b"#" + all_lines[4][1:]
    path.write_bytes(b"".join(all_lines))
    assert whats(verify_folder(log)) == [
        (5, 5, "this line is not a record: changed or inserted")
    ]


def test_an_end_cut_off_is_found_by_what_the_next_file_states(log: Path) -> None:
    path = file(log, 1)
    path.write_bytes(b"".join(lines(path)[:-3]))
    (finding,) = verify_folder(log).findings
    assert finding.file == path.name
    assert finding.what.startswith("3 records are missing at its end, by what audit-0-")


def test_a_forged_end_is_found_by_what_the_next_file_states(log: Path) -> None:
    path = file(log, 0)
    all_lines = lines(path)
    chain = Chain(len(all_lines), all_lines[-1][-67:-3])
    path.write_bytes(path.read_bytes() + chain.extend([a(99)], T0)[0])
    found = [what for _, _, what in whats(verify_folder(log))]
    assert found[0] == "a record after the closing checkpoint"
    assert found[1].startswith("1 records were added at its end")


def test_a_removed_file_is_named_by_its_successor(log: Path) -> None:
    gone = file(log, 1)
    gone.unlink()
    (finding,) = verify_folder(log).findings
    assert finding.what == f"the file before it, {gone.name}, is missing"


def test_a_renamed_and_a_copied_file_are_found(log: Path) -> None:
    path = file(log, 2)
    other = path.with_name(path.name.replace("audit-0-", "audit-1-"))
    shutil.copy(path, other)
    found = [finding.what for finding in verify_folder(log).findings]
    assert any("renamed or copied" in what for what in found)
    assert any("as another one does" in what for what in found)


def test_a_whole_new_chain_beside_the_old_one_is_found(log: Path) -> None:
    forged = log / file(log, 0).name.replace("2023", "2024")
    opening = Checkpoint(
        event="open", records=0, file=forged.name, worker="0", previous=None
    )
    forged.write_bytes(Chain().extend([opening.fragment()], T0)[0])
    (finding,) = verify_folder(log).findings
    assert finding.what == "the file claims that no other came before it"


def test_a_file_without_its_beginning_is_found(log: Path) -> None:
    path = file(log, 2)
    path.write_bytes(b"".join(lines(path)[1:]))
    report = verify_folder(log)
    assert [f.what for f in report.findings] == [
        "record 1 is missing before this one",
        "the file has lost its opening record",
    ]


def test_a_checkpoint_that_counts_wrong_is_found(tmp_path: Path) -> None:
    name = "audit-0-20260101T000000.000000Z-00000000.jsonl"
    opening = Checkpoint(
        event="open", records=0, file=name, worker="0", previous=None
    ).fragment()
    wrong = Checkpoint(event="close", records=9).fragment()
    data, _, _ = Chain().extend([opening, wrong], T0)
    (tmp_path / name).write_bytes(data)
    assert whats(verify_folder(tmp_path)) == [
        (2, 2, "the checkpoint counts 9 records, not 1")
    ]


def test_a_first_record_that_is_no_opening_is_found(tmp_path: Path) -> None:
    name = "audit-0-20260101T000000.000000Z-00000000.jsonl"
    (tmp_path / name).write_bytes(Chain().extend([a(1)], T0)[0])
    assert verify_folder(tmp_path).findings[0].what == (
        "the first record is not an opening"
    )


def test_the_end_of_the_last_file_needs_an_anchor(log: Path) -> None:
    """What a chain alone can't prove is said, and an anchor proves it."""
    path = file(log, 2)
    head = lines(path)[-1][-67:-3].decode()
    assert verify_folder(log, anchors=[head]).findings == []
    path.write_bytes(b"".join(lines(path)[:-2]))
    report = verify_folder(log)
    assert report.findings == []
    assert [n.what for n in report.notices] == [
        "was not closed: whether records are missing at its end is unknown"
    ]
    (finding,) = verify_folder(log, anchors=[head]).findings
    assert finding.what == f"no record has the anchored hash {head}"


def test_a_torn_tail_is_told_apart_from_tampering(log: Path) -> None:
    path = file(log, 2)
    data = path.read_bytes()
    path.write_bytes(data[: -len(lines(path)[-1])] + b'{"v":1,"seq":12,"at":"20')
    report = verify_folder(log)
    assert report.findings == []
    assert report.notices[0].what.startswith("torn tail: 24 bytes")
    writer = ChainWriter(log, at=T0 + 9)
    writer.close(T0 + 9)
    report = verify_folder(log)
    assert report.findings == []
    assert report.notices[0].what.endswith("as the next file states")
    path.write_bytes(path.read_bytes() + b"x")
    assert verify_folder(log).findings_total == 1


def test_a_tail_that_no_crash_leaves_is_tampering(log: Path) -> None:
    path = file(log, 2)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + b" ")
    assert verify_folder(log).findings[0].what == "the end of the file was changed"
    path.write_bytes(whole + b"# signed off")
    assert verify_folder(log).findings[0].what == "the end of the file was changed"


def test_a_line_without_end_does_not_take_all_memory(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.audit.verify.MAX_LINE", 1000)
    path = file(log, 2)
    path.write_bytes(path.read_bytes() + b"x" * 5000)
    what = verify_folder(log).findings[0].what
    assert what == "this line is longer than any record"


def test_findings_are_kept_up_to_a_ceiling(log: Path) -> None:
    path = file(log, 2)
    path.write_bytes(path.read_bytes() + b"x\n" * 3000)
    report = verify_folder(log)
    assert (len(report.findings), report.findings_total) == (1000, 3000)


def test_a_file_being_written_is_a_notice(tmp_path: Path) -> None:
    writer = ChainWriter(tmp_path, at=T0)
    writer.append([a(1)], T0)
    report = verify_folder(tmp_path)
    assert report.findings == []
    assert [notice.what for notice in report.notices] == ["is being written now"]
    writer.close(T0)


def test_progress_adds_up_to_the_bytes(sound: Path) -> None:
    seen: list[int] = []
    verify_folder(sound, on_progress=seen.append)
    assert sum(seen) == sum(path.stat().st_size for path in audit_files(sound))


def test_the_documented_check_in_three_lines(sound: Path) -> None:
    """docs/reference/audit-log.md tells readers to do this."""
    previous = NO_HASH
    for line in lines(file(sound, 0)):
        body, stated = line[:-76], line[-67:-3]
        assert hash_of(previous, body) == stated
        previous = stated


EXAMPLES = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def with_first_file(log: Path, data: bytes) -> Report:
    """Verify with other bytes in the first of three files."""
    path = file(log, 0)
    whole = path.read_bytes()
    path.write_bytes(data)
    try:
        return verify_folder(log)
    finally:
        path.write_bytes(whole)


@EXAMPLES
@given(st.data())
def test_any_flipped_bit_is_found(log: Path, data: st.DataObject) -> None:
    changed = bytearray(file(log, 0).read_bytes())
    place = data.draw(st.integers(0, len(changed) - 1))
    changed[place] ^= 1 << data.draw(st.integers(0, 7))
    assert with_first_file(log, bytes(changed)).findings


@EXAMPLES
@given(st.data())
def test_a_flipped_bit_in_the_last_file_is_found(
    log: Path, data: st.DataObject
) -> None:
    path = file(log, 2)
    whole = path.read_bytes()
    changed = bytearray(whole)
    place = data.draw(st.integers(0, len(changed) - 1))
    changed[place] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(changed)
    report = verify_folder(log)
    path.write_bytes(whole)
    assert report.findings


@EXAMPLES
@given(st.data())
def test_any_truncation_of_an_earlier_file_is_found(
    log: Path, data: st.DataObject
) -> None:
    whole = file(log, 0).read_bytes()
    assert with_first_file(
        log, whole[: data.draw(st.integers(0, len(whole) - 1))]
    ).findings


@EXAMPLES
@given(st.data())
def test_a_truncated_last_file_never_looks_closed(
    log: Path, data: st.DataObject
) -> None:
    path = file(log, 2)
    whole = path.read_bytes()
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    report = verify_folder(log)
    path.write_bytes(whole)
    assert report.findings or report.notices


@EXAMPLES
@given(st.data())
def test_any_line_dropped_moved_or_doubled_is_found(
    log: Path, data: st.DataObject
) -> None:
    all_lines = lines(file(log, 0))
    index = st.integers(0, len(all_lines) - 1)
    line = all_lines.pop(data.draw(index))
    for _ in range(data.draw(st.integers(0, 2))):
        all_lines.insert(data.draw(st.integers(0, len(all_lines))), line)
    changed = b"".join(all_lines)
    if changed != file(log, 0).read_bytes():
        assert with_first_file(log, changed).findings
