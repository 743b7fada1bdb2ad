"""The file that carries a ledger: whatever is changed in it is found and named."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings, strategies as st

from proxy.errors import ConfigError
from proxy.migrations import bundle
from proxy.migrations.ledger import packed, unpacked, unsigned_revocation
from proxy.migrations.proof import Revocation
from proxy.migrations.schema_digest import digest
from proxy.migrations.signed import encoded
from tests.unit.migrations.made import (
    AFTER,
    BEFORE,
    DAY,
    KEYS,
    NOW,
    Pair,
    approval,
    pair,
    recorded,
    trust,
)

PROOF = recorded()
DOCUMENTS = (
    PROOF,
    approval(PROOF),
    unsigned_revocation(Revocation(proof=PROOF.id, by="eve", at=NOW, note="no")),
)
SCHEMAS = {digest(each): packed(each) for each in (BEFORE, AFTER)}


def file(key: Pair = KEYS, environment: str = "staging") -> bytes:
    return bundle.written(
        DOCUMENTS, SCHEMAS, environment=environment, made_at=NOW - DAY, key=key.private
    )


FILE = file()


def read(data: bytes, *keys: Pair) -> bundle.Bundle:
    return bundle.read(data, trust(*keys).keys)


def test_it_carries_everything() -> None:
    found = read(FILE)
    assert found.problems == ()
    assert found.documents == DOCUMENTS
    assert found.schemas == SCHEMAS
    assert sorted(digest(unpacked(each)) for each in found.schemas.values()) == (
        sorted(SCHEMAS)
    )
    assert bundle.summary(found) == {
        "proofs": 1,
        "approvals": 1,
        "revocations": 1,
        "schemas": 2,
    }


@pytest.mark.timeout(120)
def test_every_changed_byte_is_found_and_its_line_named() -> None:
    starts = [0, *(n + 1 for n, b in enumerate(FILE) if b == 0x0A)]
    for place in range(0, len(FILE), 3):
        line = sum(start <= place for start in starts)
        changed = FILE[:place] + bytes([FILE[place] ^ 1]) + FILE[place + 1 :]
        problems = read(changed).problems
        assert problems, place
        if FILE[place] != 0x0A:
            assert any(f"line {line}" in each for each in problems), (place, problems)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_damage_is_found(data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(FILE)))
    end = data.draw(st.integers(start, min(len(FILE), start + 40)))
    new = data.draw(st.binary(max_size=20))
    changed = FILE[:start] + new + FILE[end:]
    assert (read(changed).problems == ()) == (changed == FILE)


@pytest.mark.parametrize("field", ["database", "tool", "after", "statements"])
def test_a_field_is_named(field: str) -> None:
    line = FILE.split(b"\n")[1]
    place = line.index(b'"%b":' % field.encode()) + len(field) + 5
    old = line[place : place + 1]
    changed = line[:place] + (b"z" if old != b"z" else b"y") + line[place + 1 :]
    if field == "statements":
        changed = line.replace(b"CREATE TABLE t", b"CREATE TABLE u", 1)
    (problem,) = read(FILE.replace(line, changed)).problems
    assert problem.startswith("line 2, proof ")
    assert f'field "{field}" was changed' in problem


def test_lines_that_are_missing_added_or_moved() -> None:
    lines = FILE.splitlines(keepends=True)
    for changed in (
        lines[:-1],
        [*lines, lines[1]],
        [lines[0], lines[2], lines[1], *lines[3:]],
        [lines[0]],
        lines[1:],
        [lines[0], b"\n", *lines[1:]],
        [],
    ):
        assert read(b"".join(changed)).problems


def test_a_proof_of_a_stranger_is_found_in_a_file_of_a_friend() -> None:
    strange = recorded(pair(seed=7))
    data = bundle.written(
        [strange], {}, environment="staging", made_at=NOW, key=KEYS.private
    )
    (problem,) = read(data).problems
    assert "is not among the public keys" in problem


def test_a_file_of_a_stranger_is_refused_whatever_is_in_it() -> None:
    assert "is not known" in read(file(pair(seed=7))).problems[0]
    assert "distrusted" in read(FILE, pair(distrusted=True)).problems[0]
    assert 'is of "staging"' in read(file(environment="dev")).problems[0]


def test_a_schema_must_be_what_its_digest_says() -> None:
    data = bundle.written(
        [], {digest(BEFORE): packed(AFTER)}, environment="staging", made_at=NOW,
        key=KEYS.private,
    )  # fmt: skip
    (problem,) = read(data).problems
    assert "it is not what its digest says" in problem


def test_a_schema_that_would_unpack_to_gigabytes_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("proxy.migrations.ledger.MAX_SNAPSHOT", 100)
    with pytest.raises(ConfigError, match="too large"):
        unpacked(packed(AFTER))


def test_an_unsigned_proof_or_another_kind_has_no_place() -> None:
    for kind, key in (("proof", ""), ("export", KEYS.private.id), ("letter", "")):
        odd = msgspec.structs.replace(PROOF, kind=kind, key=key)
        assert encoded(odd) != encoded(PROOF)
        data = bundle.written(
            [odd], {}, environment="staging", made_at=NOW, key=KEYS.private
        )
        assert read(data).problems
