from __future__ import annotations

import time

import pytest

from proxy.errors import SYNTAX_ERROR, TOO_LARGE
from proxy.sql.analyse import analyse
from proxy.sql.multi_assign import MAX_COPIES, multiplies
from proxy.sql.prescan import MAX_TEXT_BYTES, trouble_with

BANNER = "-- " + "=" * 70 + "\n-- " + "-" * 200 + "\n/" + "*" * 300 + "/\n"
TABLE = "-- +" + "-" * 40 + "+" + "-" * 40 + "+\n"


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 1",
        BANNER + "SELECT 1",
        TABLE * 3 + "SELECT 1",
        "SELECT 'src/*/*/*/*.py', '/*/*/*', '+++ b/file'",
        "/* a /* b /* c */ */ */ SELECT 1",
        "SELECT 1 - -1 + +1",
        "UPDATE t SET (a, b) = (1, 2) WHERE (c, d) = (3, 4)",
        "SELECT 1" + " " * 1000 + "-- é $1 $a$",
    ],
)
def test_ordinary_texts_pass(text: str) -> None:
    assert trouble_with(text.encode()) is None


@pytest.mark.parametrize(
    ("text", "sqlstate"),
    [
        (b" " * (MAX_TEXT_BYTES + 1), TOO_LARGE),
        (b"SELECT 1\0", SYNTAX_ERROR),
        (b"/*" * 17 + b"*/" * 17 + b"SELECT 1", TOO_LARGE),
        (b"/**+/**-" * 17 + b"SELECT 1", TOO_LARGE),
        (b"SELECT 1" + b"+-" * 17 + b"1", TOO_LARGE),
        (b"SELECT 1" + b"+" * 33 + b"1", TOO_LARGE),
    ],
)
def test_what_costs_too_much_is_refused(text: bytes, sqlstate: str) -> None:
    trouble = trouble_with(text)
    assert trouble is not None
    assert trouble.sqlstate == sqlstate


def test_the_longest_text_passes() -> None:
    assert trouble_with(b" " * MAX_TEXT_BYTES) is None


HALF_MIB = 512 * 1024
WORST = [
    "/*",
    "/* ",
    "+-",
    "+" * 32 + "1",
    "-+-",
    "<+",
    "@+",
    "*",
    "/*" * 16 + "*" * 400_000,
    ("/*" * 16 + " ") * 15_000,
    "'",
    '"',
    "$",
    "$a$b",
    "$é",
    "select 'é';",
    "select 1;",
    ")=",
    "set (",
    "e'\\'",
    "/*x*/",
    "\n'a'",
    "(",
    "a.",
    "[1]",
    "1+",
    "not ",
    "case when ",
    " union select 1",
    "pass",
    "password ",
    "a://b:",
    "--",
    "\u2028",
    "'' -- ",
    "'a'--",
    "'a' --\n",
    "e'' --\t",
    "password --",
]


@pytest.mark.slow
@pytest.mark.parametrize("piece", WORST, ids=lambda piece: piece[:12])
@pytest.mark.parametrize("start", ["", "select 1"])
def test_half_a_mebibyte_of_anything_is_read_in_bounded_time(
    piece: str, start: str
) -> None:
    times = max(1, HALF_MIB // len(piece.encode()))
    started = time.process_time()
    analyse((start + piece * times).encode())
    assert time.process_time() - started < 5


def nested_assignments(depth: int, between: str = " = ", wrap: str = "(%s)") -> str:
    sql = "SELECT 1"
    for _ in range(depth):
        right = wrap % sql
        sql = f"WITH x AS (UPDATE t SET (a, b){between}{right} RETURNING 1) SELECT 1"
    return sql


@pytest.mark.parametrize(
    "text",
    [
        nested_assignments(20),
        nested_assignments(20, " /* = */ /* */ = "),
        nested_assignments(20, " -- =\n = "),
        nested_assignments(20, wrap="ARRAY[1, (%s)]"),
        nested_assignments(20, wrap="ROW(1, (%s))"),
        nested_assignments(20).replace("SET", "sEt"),
        nested_assignments(20, wrap="(%s)").replace("UPDATE t", "UPDATE é"),
        "UPDATE t SET ({}) = (SELECT {})".format(
            ",".join(f"c{n}" for n in range(300)), ",".join("1" for _ in range(300))
        ),
        "UPDATE t SET (a) = (1) WHERE b = $é$ $é$",
    ],
)
def test_assignments_that_multiply_are_refused(text: str) -> None:
    assert multiplies(text.encode())


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 1",
        "UPDATE t SET a = 1 WHERE (b) = 2",
        "UPDATE t SET (a, b) = (SELECT c, d FROM u WHERE (e) = 1) WHERE f = 2",
        "UPDATE t SET (a, b) = (1, 2), (c, d) = (3, 4);" * 500,
        nested_assignments(3),
        "UPDATE t SET (a, b) = (1, 'it''s) = ')",
        "UPDATE t SET (a = 'unterminated",
        "SELECT ')=' OFFSET 3",
    ],
)
def test_ordinary_assignments_pass(text: str) -> None:
    assert not multiplies(text.encode())


def test_the_ceiling_bounds_the_tree() -> None:
    # Just below the ceiling: the tree is large, but not absurdly so.
    columns = int((MAX_COPIES / 4) ** 0.5) - 10
    names = ",".join(f"c{n}" for n in range(columns))
    text = f"UPDATE t SET ({names}) = (SELECT {names}) WHERE id = 1"
    started = time.process_time()
    assert analyse(text.encode()).trouble is None
    assert time.process_time() - started < 5
