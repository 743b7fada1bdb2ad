"""The hash of a statement: what counts, what does not, and where a text is cut."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, strategies as st

from proxy.migrations.framing import framed
from proxy.migrations.statement import (
    BindValue,
    Sent,
    StatementError,
    exact,
    fingerprint,
    split,
)

FILE = """\
-- CreateTable; é
CREATE TABLE "é" (a text DEFAULT ';'); -- one

/* two; /* nested */ */
INSERT INTO "é" VALUES ('-- no comment', E'it\\'s;');
CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $body$ SELECT 1; SELECT 2; $body$;;
CREATE FUNCTION g() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT 2; END;
  CREATE RULE r AS ON INSERT TO t DO ALSO (DELETE FROM u; DELETE FROM v) -- end ;
"""
PIECES = (
    """CREATE TABLE "é" (a text DEFAULT ';')""",
    """INSERT INTO "é" VALUES ('-- no comment', E'it\\'s;')""",
    "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $body$ SELECT 1; SELECT 2; $body$",
    "CREATE FUNCTION g() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT 2; END",
    "CREATE RULE r AS ON INSERT TO t DO ALSO (DELETE FROM u; DELETE FROM v)",
)
SAME = [
    b"ALTER TABLE t ADD a int",
    b"  ALTER TABLE t ADD a int;\n",
    b"-- AlterTable\nALTER TABLE t ADD a int ; -- done",
    b"/* a */ ALTER TABLE t ADD a int /* /* b; */ */ ;;",
    b"\n;\n-- x\nALTER TABLE t ADD a int",
]
OTHER = [
    b"alter TABLE t ADD a int",
    b"ALTER TABLE t ADD  a int",
    b"ALTER TABLE t /* here */ ADD a int",
    b"ALTER TABLE t ADD a int\0",
    b"ALTER TABLE t ADD a int; SELECT 1",
    "ALTER TABLE t ADD a int\u00a0".encode(),
    b"ALTER TABLE t ADD a int - ",
]


def test_a_file_is_cut_where_the_grammar_says() -> None:
    assert split(FILE.encode()) == tuple(each.encode() for each in PIECES)


def test_both_engines_of_prisma_fit_one_proof() -> None:
    """The native one sends the file; the other cuts it and drops the terminators."""
    file = (
        b"-- CreateTable\nCREATE TABLE a (b int);\n\n"
        b"-- AlterTable\nALTER TABLE a ADD c int;\n"
    )
    first, second = file.split(b";")[:2]
    single = [first, second]
    whole = [fingerprint(Sent(each)) for each in split(file)]
    assert whole == [fingerprint(Sent(each)) for each in single]


@pytest.mark.parametrize("text", SAME)
def test_what_is_around_does_not_count(text: bytes) -> None:
    assert exact(text) == SAME[0]
    assert fingerprint(Sent(text)) == fingerprint(Sent(SAME[0]))


@pytest.mark.parametrize("text", OTHER)
def test_all_else_counts(text: bytes) -> None:
    assert fingerprint(Sent(text)) != fingerprint(Sent(SAME[0]))


@pytest.mark.parametrize(
    "tail",
    [
        b"\xf0\x9f\x98\x80E'\\' -- ' ",
        b' AS "x -- " ',
        b", $a$ -- $a$",
        b", U&'\\0041 --' ",
        b", E'\\' -- '",
        b", 'a' -- c\n'b'",
    ],
)
def test_no_lexing_trick_hides_a_part_behind_a_comment(tail: bytes) -> None:
    """Whatever our lexer makes of it, the parser has to see the same statement."""
    text = b"SELECT 1" + tail
    assert exact(text) == text.strip()


def test_nothing_is_no_statement() -> None:
    for text in (b"", b" ;; ", b"-- only this", b"/* and */ ; -- this"):
        assert split(text) == ()


@pytest.mark.parametrize(
    "text", [b"SELECT (", b"SELECT '\xff'", b"SELECT 1\0", b"/*" * 100, b"+-" * 200]
)
def test_what_cannot_be_read_is_refused(text: bytes) -> None:
    with pytest.raises(StatementError):
        split(text)


def test_what_nests_too_deep_is_refused() -> None:
    for depth in (2_000, 100_000):
        with pytest.raises(StatementError):
            split(b"SELECT " + b"a || " * depth + b"a")


VALUES = [
    (),
    (BindValue(None),),
    (BindValue(b""),),
    (BindValue(b"null"),),
    (BindValue(b"", format=1),),
    (BindValue(b"", type_oid=25),),
    (BindValue(b""), BindValue(b"")),
    (BindValue(b"ab"), BindValue(b"c")),
    (BindValue(b"a"), BindValue(b"bc")),
    (BindValue(b"a"), BindValue(None)),
    (BindValue(None), BindValue(b"a")),
    (BindValue(b"1:a"),),
]


def test_values_that_differ_have_another_hash() -> None:
    text = b"INSERT INTO t VALUES ($1, $2)"
    hashes = [fingerprint(Sent(text, each)) for each in VALUES]
    for one, other in itertools.combinations(range(len(VALUES)), 2):
        assert hashes[one] != hashes[other], (VALUES[one], VALUES[other])


def test_a_type_that_means_something_else_elsewhere_is_refused() -> None:
    with pytest.raises(StatementError, match=r"parameter \$2 .* database's own"):
        fingerprint(
            Sent(b"SELECT $1, $2", (BindValue(b"1"), BindValue(b"1", 0, 16384)))
        )


@given(st.lists(st.binary(max_size=20)), st.lists(st.binary(max_size=20)))
def test_framing_is_read_in_one_way_only(one: list[bytes], other: list[bytes]) -> None:
    assert (framed(*one) == framed(*other)) == (one == other)


@given(
    st.lists(
        st.builds(
            BindValue,
            st.none() | st.binary(max_size=4),
            st.sampled_from([0, 1]),
            st.sampled_from([0, 23, 25]),
        ),
        max_size=3,
    ),
    st.lists(st.builds(BindValue, st.none() | st.binary(max_size=4)), max_size=3),
)
def test_equal_hashes_mean_equal_values(
    one: list[BindValue], other: list[BindValue]
) -> None:
    hashes = [fingerprint(Sent(b"SELECT 1", tuple(each))) for each in (one, other)]
    assert (hashes[0] == hashes[1]) == (one == other)


@given(
    st.sampled_from([" ", "\n", ";", "-- x\n", "/* y */", "/* ; -- */"]).flatmap(
        lambda each: st.lists(
            st.just(each) | st.sampled_from([" ", "\n", "--\n", "/**/"])
        )
    )
)
def test_any_surroundings_are_taken_away(around: list[str]) -> None:
    edge = "".join(around).encode()
    assert exact(edge + b"SELECT 'a'" + edge) == b"SELECT 'a'"
