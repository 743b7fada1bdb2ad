"""Signed documents: one form, and every change found and named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings, strategies as st
from msgspec import json

from proxy.errors import ConfigError
from proxy.migrations import signed as signing
from proxy.migrations.proof import Proof, read_approval, read_proof, read_usage
from proxy.migrations.signed import (
    Signed,
    changed_fields,
    decoded,
    encoded,
    sign,
    signature_fits,
)
from proxy.migrations.standing import Entry, State, standing
from tests.unit.migrations.made import (
    KEYS,
    NOW,
    approval,
    pair,
    proof,
    recorded,
    trust,
)

FIELDS = [each.name for each in msgspec.structs.fields(Proof)]
PUBLIC = KEYS.public.loaded()


class Paper(msgspec.Struct, frozen=True):
    """A document of a test's own."""

    title: str
    pages: list[int]
    more: dict[str, str | None]


PAPERS = st.builds(
    Paper,
    st.text(max_size=10),
    st.lists(st.integers(-(2**53), 2**53), max_size=4),
    st.dictionaries(st.text(max_size=5), st.none() | st.text(max_size=5), max_size=4),
)


def paper(made: Paper) -> Signed:
    return sign("paper", made, key_id=KEYS.private.id, key=KEYS.private.private)


def test_it_comes_back_as_it_was() -> None:
    signed = recorded()
    assert read_proof(decoded(encoded(signed))) == proof()
    assert decoded(encoded(signed)) == signed
    assert changed_fields(signed) == []
    assert signature_fits(signed, PUBLIC)


@settings(max_examples=60)
@given(PAPERS, PAPERS)
def test_there_is_one_form(one: Paper, other: Paper) -> None:
    first, second = paper(one), paper(other)
    assert encoded(decoded(encoded(first))) == encoded(first)
    assert (encoded(first) == encoded(second)) == (one == other)
    assert (first.id == second.id) == (one == other)
    assert signature_fits(second, PUBLIC)
    mixed = msgspec.structs.replace(first, digests=second.digests)
    assert signature_fits(mixed, PUBLIC) == (one == other)


@pytest.mark.parametrize("field", FIELDS)
def test_each_field_that_is_changed_is_named(field: str) -> None:
    signed = recorded()
    values: tuple[object, ...] = (None, "", 5, [], {"a": 1}, "x")
    for value in values:
        if signed.body[field] != value:
            body = {**signed.body, field: value}
            assert changed_fields(_with(signed, body=body)) == [field]
    without = {key: each for key, each in signed.body.items() if key != field}
    assert changed_fields(_with(signed, body=without)) == [field]


@pytest.mark.parametrize("field", FIELDS)
def test_a_field_with_its_digest_changed_does_not_fit_the_signature(field: str) -> None:
    signed = recorded()
    body = {**signed.body, field: "x"}
    forged = _with(signed, body=body, digests=signing._digests("proof", body))
    assert changed_fields(forged) == []
    assert not signature_fits(forged, PUBLIC)


def test_fields_that_are_added_or_moved_are_found() -> None:
    signed = recorded()
    more = _with(signed, body={**signed.body, "extra": 1})
    assert changed_fields(more) == ["extra"]
    # A digest is of its field's name, so two alike can't be exchanged.
    swapped = {**signed.digests, "before": signed.digests["after"]}
    assert changed_fields(_with(signed, digests=swapped)) == ["before"]
    assert not signature_fits(_with(signed, digests=swapped), PUBLIC)


def test_another_kind_key_or_signature_does_not_fit() -> None:
    signed = recorded()
    other = approval(signed)
    for changed in (
        _with(signed, kind="approval"),
        _with(signed, key="K-0000000000000000"),
        _with(signed, signature=other.signature),
        _with(signed, signature=""),
        _with(signed, signature="é"),
        _with(signed, signature=signed.signature + "=="),
        _with(signed, signature=signed.signature[:-4] + "AAA="),
    ):
        assert not signature_fits(changed, PUBLIC)
    assert not signature_fits(signed, pair(seed=9).public.loaded())


def test_every_changed_byte_is_found() -> None:
    """Of what is kept in the store and sent: each byte, each way that is cheap."""
    signed = recorded(statements=(), applied=())
    data = encoded(signed)
    for place in range(len(data)):
        for byte in (data[place] ^ 1, data[place] ^ 0x20, 0x20):
            broken = data[:place] + bytes([byte]) + data[place + 1 :]
            assert broken == data or not _is_believed(broken), (place, byte)
    assert _is_believed(data)


def test_other_writings_of_the_same_are_refused() -> None:
    data = encoded(recorded())
    for other in (
        data + b"\n",
        b" " + data,
        data.replace(b'"kind"', b'"kind" ', 1),
        data.replace(b"{", b'{"kind":"approval",', 1),
        data.replace("é".encode(), rb"\u00e9"),
        json.format(data),
        data[:-1],
        b"",
        b"[]",
        b"[" * 100_000,
        b"\xff",
    ):
        with pytest.raises(ConfigError):
            decoded(other)


def test_a_proof_of_another_version_or_shape_is_refused() -> None:
    good = recorded().body
    for body in (
        {**good, "v": 2},
        {**good, "extra": 1},
        {key: each for key, each in good.items() if key != "v"},
        {**good, "duration_ms": "17"},
        {**good, "recorded_at": "2026-11-19T12:00:00"},
        {**good, "outcome": "fine"},
    ):
        with pytest.raises(ConfigError):
            read_proof(_with(recorded(), body=body))
    with pytest.raises(ConfigError, match='no "approval"'):
        read_approval(recorded())


def test_times_are_kept_to_the_microsecond() -> None:
    at = NOW.replace(microsecond=123456)
    assert read_proof(recorded(recorded_at=at)).recorded_at == at


def _is_believed(data: bytes) -> bool:
    try:
        found = decoded(data)
    except ConfigError:
        return False
    fits = signature_fits(found, PUBLIC) and found.key == KEYS.private.id
    return fits and not changed_fields(found)


def _with(signed: Signed, **changed: Any) -> Signed:
    return msgspec.structs.replace(signed, **changed)


BEFORE = Path(__file__).parent / "before_suspected.ledger"
"""A proof, its approval and a use, written before values could be suspected."""


def test_what_was_signed_before_a_field_came_still_counts() -> None:
    lines = BEFORE.read_bytes().splitlines()
    old, yes, use = map(decoded, lines)
    assert [encoded(each) for each in (old, yes, use)] == lines
    assert b"suspected" not in lines[0]
    assert b"suspected" in encoded(recorded())
    assert read_proof(old) == proof()
    assert read_approval(yes) == read_approval(approval(old))
    its = standing(Entry(old, (yes,)), trust(), NOW)
    assert (its.state, its.varying) == (State.APPROVED, frozenset())
    assert read_usage(use).settled_by == ""
    assert changed_fields(use) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("shown", "shown "),  # another name
        ("shown", "suspected"),  # of another type
        ("copied_sha256", "template_sha256"),  # a new one for an old one
    ],
)
def test_no_other_field_may_be_missing(old: str, new: str) -> None:
    """Whoever signs it: what is left out would read as its default."""
    body = json.decode(BEFORE.read_bytes().splitlines()[0])["body"]
    first = body["statements"][0]
    first[new] = first.pop(old)
    made = msgspec.defstruct("Made", [(name, Any) for name in body])(**body)
    signed = sign("proof", made, key_id=KEYS.private.id, key=KEYS.private.private)
    assert signature_fits(signed, PUBLIC)
    with pytest.raises(ConfigError, match="its fields"):
        read_proof(signed)


def test_a_field_that_is_left_out_at_the_top_is_missed() -> None:
    for name in ("settings", "note", "applied"):
        body = {key: each for key, each in recorded().body.items() if key != name}
        made = msgspec.defstruct("Made", [(key, Any) for key in body])(**body)
        signed = sign("proof", made, key_id=KEYS.private.id, key=KEYS.private.private)
        with pytest.raises(ConfigError, match="not in the form"):
            read_proof(signed)
