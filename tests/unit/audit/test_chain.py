"""The chain's bytes, as anyone can check them with sha256sum."""

from __future__ import annotations

import hashlib
import json

from proxy.audit.chain import NO_HASH, Chain, hash_of, stamp
from proxy.audit.checkpoint import Checkpoint, Link, read_checkpoint


def test_a_line_is_exactly_what_is_documented() -> None:
    chain = Chain()
    data, seq, last = chain.extend([b'"kind":"outcome"', b'"kind":"internal"'], 0.5)
    body = b'{"v":1,"seq":1,"at":"1970-01-01T00:00:00.500000Z","kind":"outcome"'
    first = hashlib.sha256(b"0" * 64 + body).hexdigest()
    lines = data.splitlines(keepends=True)
    assert lines[0] == body + b',"hash":"' + first.encode() + b'"}\n'
    body = b'{"v":1,"seq":2,"at":"1970-01-01T00:00:00.500000Z","kind":"internal"'
    second = hashlib.sha256(first.encode() + body).hexdigest()
    assert lines[1] == body + b',"hash":"' + second.encode() + b'"}\n'
    assert (seq, last) == (2, second.encode())
    assert hash_of(first.encode(), body) == last


def test_the_chain_moves_only_when_told() -> None:
    chain = Chain()
    assert chain.extend([b'"a":1'], 1.0) == chain.extend([b'"a":1'], 1.0)
    assert (chain.seq, chain.last) == (0, NO_HASH)


def test_time_has_a_fixed_width() -> None:
    assert stamp(0) == b"1970-01-01T00:00:00.000000Z"
    assert stamp(1_700_000_000.000001) == b"2023-11-14T22:13:20.000001Z"


def test_a_checkpoint_reads_back_and_names_no_session() -> None:
    checkpoint = Checkpoint(
        event="open", records=0, file="f", previous=Link("e", 9, "ab", torn_bytes=3)
    )
    data, _, _ = Chain().extend([checkpoint.fragment()], 1.0)
    assert read_checkpoint(data) == checkpoint
    record = json.loads(data)
    for field in ("session", "identity", "role", "database", "application_name"):
        assert record[field] is None


def test_other_records_are_no_checkpoints() -> None:
    for line in (b"", b"{", b'{"kind":"outcome","records":1,"event":"open"}', b"\xff"):
        assert read_checkpoint(line) is None
