"""No text within the bounds crashes the process that parses it, or stalls it.

Each text goes to a child process that has the usual stack and a limit on its processor
time. A child that dies names the text. `make test-deep` tries thousands.
"""

from __future__ import annotations

import os
import random
import resource
import struct
import subprocess
import sys

import pytest

DEEP = bool(os.environ.get("PGWARDEN_DEEP"))
TEXTS = 4_000 if DEEP else 120
LARGEST = 1024 * 1024
STACK = 8 * 1024 * 1024
"""Of the main thread, where pgwarden parses: the usual `ulimit -s`."""
CPU_S = 900 if DEEP else 60

CHILD = """
import struct, sys
from proxy.sql.analyse import analyse
read, write = sys.stdin.buffer, sys.stdout.buffer
while size := read.read(4):
    analyse(read.read(*struct.unpack("!i", size)))
    write.write(b".")
    write.flush()
"""
PARTS = """
    ( ) [ ] { } , ; . .. :: := => + - * / +- /* */ -- ' '' " $$ $a$ $1 E' U&' a b
    1 0x1 1e9 é 'a' NOT NULL IS AND OR CASE WHEN THEN END SELECT FROM WHERE UNION ALL
    WITH AS VALUES JOIN ON LATERAL ROW ARRAY BETWEEN LIKE COLLATE AT TIME ZONE OPERATOR
    CAST EXISTS IN ANY INSERT UPDATE SET DELETE CREATE TABLE FUNCTION BEGIN ATOMIC
    INTERVAL XMLELEMENT JSON_OBJECT JSON_TABLE GROUPING SETS OVER PARTITION BY ORDER
    password \\
""".split()  # noqa: SIM905 - a hundred words
NESTING = (
    ("(", ")"),
    ("(SELECT ", ")"),
    ("CASE WHEN ", " THEN 1 END"),
    ("ARRAY[", "]"),
    ("f(", ")"),
    ("SELECT * FROM (", ") x"),
    ("WITH x AS (", ") SELECT 1"),
    ("NOT ", ""),
    ("- ", ""),
    ("a.", "b"),
    ("", "[1]"),
    ("", "::int"),
    ("", " UNION SELECT 1"),
    ("", " IS NULL"),
    ("", "+1"),
    ("", " || ''"),
    ("", " AND 1"),
    ("", " AT TIME ZONE 'x'"),
    ("", " JOIN t ON 1"),
    ("", ".x"),
    ("EXPLAIN ", ""),
    ("PREPARE p AS ", ""),
    ("/*", "*/"),
    ("XMLELEMENT(NAME a, ", ")"),
    ("JSON_OBJECT('a': ", ")"),
    ("ROW(", ")"),
    ("CAST(", " AS int)"),
    ("UPDATE t SET (a) = (", ")"),
)


def made_up(dice: random.Random) -> bytes:
    """One text of at most `LARGEST` bytes."""
    kind = dice.random()
    size = int(10 ** dice.uniform(1, 6))
    if kind < 0.5:
        begin, end = dice.choice(NESTING)
        times = size // max(len(begin + end), 1)
        middle = dice.choice(["1", "SELECT 1", "a", "", "'x'"])
        text = f"{begin * times}{middle}{end * times}"
        if dice.random() < 0.7:
            text = "SELECT " + text
    elif kind < 0.7:
        few = [dice.choice(PARTS) for _ in range(dice.randint(1, 4))]
        run = dice.choice(["", " "]).join(few) + dice.choice(["", " "])
        text = dice.choice(["", "SELECT "]) + run * (size // len(run))
    elif kind < 0.9:
        words = [dice.choice(PARTS) for _ in range(min(size, 30_000))]
        text = dice.choice(["", " "]).join(words)
    else:
        return dice.randbytes(min(size, 100_000))
    return text.encode()[:LARGEST]


def bounded() -> None:
    resource.setrlimit(resource.RLIMIT_STACK, (STACK, STACK))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


@pytest.mark.slow
@pytest.mark.timeout(2 * CPU_S)
@pytest.mark.parametrize("seed", range(2))
def test_a_child_that_parses_anything_lives(seed: int) -> None:
    dice = random.Random(seed)
    with subprocess.Popen(
        [sys.executable, "-c", CHILD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        preexec_fn=bounded,  # noqa: PLW1509 - this process has one thread
    ) as child:
        assert child.stdin
        assert child.stdout
        for number in range(TEXTS):
            text = made_up(dice)
            child.stdin.write(struct.pack("!i", len(text)) + text)
            child.stdin.flush()
            answer = child.stdout.read(1)
            assert answer == b".", (number, text[:60], text[-60:], len(text))
        child.stdin.close()
        assert child.wait() == 0
