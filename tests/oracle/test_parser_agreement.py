"""The text that the server runs is the text that was judged.

Postgres itself is asked how it reads a text (`reading.py`), and pgwarden's analysis is
held against it, on 15, 17 and 18: on Postgres' own regression statements, on what tools
were recorded to say, on the attacks, and on texts made up from what lexers disagree on.

- What both take has the same number of statements, cut at the same places.
- What pgwarden takes and the server rejects does no harm. On the grammar's own major
  there is none; on older ones it is grammar that they lack.
- What the server takes and pgwarden rejects is refused, and must not be there.
"""

from __future__ import annotations

import gzip
import json
import os
import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from proxy.errors import TOO_LARGE
from proxy.sql.analyse import analyse
from proxy.sql.majors import NEWEST
from tests.corpus import pages
from tests.corpus.newer_grammar import FUNCTION_LIKE, NEWER
from tests.oracle import attacks
from tests.oracle.reading import Reader, Reading, ours
from tests.oracle.wire import Session
from tests.unit.sql.corpus import statements

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.fix_postgres import Database
    from tests.fix_proxy import Proxy

DEEP = bool(os.environ.get("PGWARDEN_DEEP"))
SAMPLE = Path(__file__).parents[3] / "shared" / "oracle" / "regress-sample.jsonl.gz"
pytestmark = [pytest.mark.oracle, pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture
def reader(shop: Database) -> Iterator[Reader]:
    with Reader(shop) as reading:
        yield reading


def disagreement(reader: Reader, text: bytes) -> str:
    """How pgwarden and the server differ over a text; "" where they don't."""
    analysis = analyse(text)
    theirs = reader.read(text)
    if analysis.trouble is not None:
        if theirs is Reading.REJECTED or analysis.trouble.sqlstate == TOO_LARGE:
            return ""
        return f"taken by the server alone: {analysis.trouble.message}"
    if theirs is Reading.REJECTED:
        return f"rejected by the server alone: {reader.message(text)}"
    if theirs is not ours(len(analysis.statements)):
        return f"{len(analysis.statements)} statements here, {theirs} there"
    if theirs is Reading.SEVERAL:
        pieces = [piece(text, *facts.location) for facts in analysis.statements]
        odd = [each for each in pieces if reader.read(each) is not Reading.ONE]
        if odd:
            return f"cut at other places: {odd[0]!r}"
    return ""


def piece(text: bytes, start: int, length: int) -> bytes:
    """One statement of a text."""
    return text[start : start + length] if length else text[start:]


def differences(reader: Reader, texts: list[str]) -> dict[str, str]:
    found = {text: disagreement(reader, text.encode()) for text in texts}
    return {text: how for text, how in found.items() if how}


LACKING = re.compile(
    r"rejected by the server alone: (syntax error at or near|trailing junk after"
    r"|.*(MERGE|JSON|RETURNING|numeric literal))"
)
"""What an older server says to grammar that it lacks."""


REJECTED_EARLIER = re.compile(
    r"taken by the server alone: unrecognized partitioning strategy"
)
"""What an older server rejects as well, only later: when it looks at the tree."""


NORMALISED = re.compile(
    r"rejected by the server alone: (trailing junk after parameter"
    r"|syntax error at or near \"\$\d+)"
)
"""libpg_query also reads what pg_stat_statements writes: `interval $1`, `$1and`."""


def unexplained(found: dict[str, str], major: int) -> dict[str, str]:
    """The differences that nothing above explains."""
    older = () if major == NEWEST else (LACKING, REJECTED_EARLIER)
    return {
        text: how
        for text, how in found.items()
        if not any(pattern.match(how) for pattern in (NORMALISED, *older))
    }


def of_the_sample() -> list[str]:
    if not SAMPLE.exists():
        pytest.skip(f"the regression sample is not beside the checkout: {SAMPLE.name}")
    with gzip.open(SAMPLE, "rt", encoding="utf-8") as lines:
        return [json.loads(line)["sql"] for line in lines]


def of_the_tools() -> list[str]:
    return [entry.sql for page in pages.read_all() for entry in page.entries]


def of_the_attacks() -> list[str]:
    return [text for attack in attacks.load()[1] for text in attack.sql]


def of_the_corpus() -> list[str]:
    return [case.sql for case in statements()]


@pytest.mark.parametrize(
    "corpus", [of_the_sample, of_the_tools, of_the_attacks, of_the_corpus]
)
def test_a_corpus_is_read_alike(reader: Reader, shop: Database, corpus: object) -> None:
    assert callable(corpus)
    texts = corpus()
    found = differences(reader, texts)
    assert len(texts) > 400
    assert unexplained(found, shop.cluster.major) == {}
    lacking = Counter(how.split(":")[0] for how in found.values())
    assert lacking.total() < len(texts) / 50, lacking


# --- texts made up ----------------------------------------------------------------

PIECES = [
    *("SELECT 1", "select a", "DELETE FROM prey", "COMMIT", "VALUES (1)", "TABLE prey"),
    *("SELECT", "FROM prey", "WHERE", "AS", "x", "a", "1", "(", ")", ",", ";", ";;"),
    *(
        "'",
        "''",
        "'a'",
        "E'",
        "e'\\'",
        "\\'",
        "\\",
        "U&'",
        "u&'\\0061'",
        "U&'\\+000061'",
    ),
    *("UESCAPE '!'", "uescape", "'!'", 'U&"d!0061"', 'U&"', '"', '"a"', '""', "N'a'"),
    *("B'1'", "b'", "X'1F'", "x'g'", "'a'\n'b'", "'a' 'b'", "'a'--c\n'b'", "'\n'"),
    *("$$", "$a$", "$A$", "$é$", "$1", "$1a", "$1$", "$_$", "a$1", "$", "$0", "$99999"),
    *("/*", "*/", "/**/", "/*/*", "*/*/", "--", "-- x\n", "--\r", "-", "- -", "*"),
    *("\n", "\r", "\r\n", "\t", "\f", "\v", " ", "\x01", "\x1b", "\x7f", "\u00a0"),
    *(
        "\ufeff",
        "\u2028",
        "\u0085",
        "é",
        "\u017f",
        "\u212a",
        "İ",
        "\U0001d4b3",
        "\u200b",
        "\ud7ff",
    ),
    *(
        "1_000",
        "0x1F",
        "0b1",
        "0o7",
        "1a",
        "1.",
        ".5",
        "1.e5",
        "1e",
        "1e+",
        "1..2",
        "0x",
    ),
    *(
        "1_",
        "1__0",
        "1._5",
        "999999999999999999999999",
        "1e999",
        "::int",
        ":",
        ":=",
        "=>",
    ),
    *(
        "+",
        "+-",
        "@-",
        "<>",
        "!=",
        "<=",
        "||",
        "~~",
        "!",
        "#",
        "?",
        "?|",
        "%",
        "^",
        "`",
    ),
    *("OPERATOR(", "pg_catalog.+", "[", "]", "{", "}", "x.y", "x.*", "x.*.y", "(x).y"),
    *(
        "json_scalar(",
        "IS JSON",
        "COLLATE",
        "AT LOCAL",
        "OVER ()",
        "TABLESAMPLE",
        "LIMIT",
    ),
    *("BEGIN ATOMIC", "END", "CASE", "WHEN", "CREATE FUNCTION f()", "RETURN", "WITH"),
    *(
        "a" * 70,
        '"' + "é" * 40 + '"',
        "(" * 40,
        "SELECT " * 3,
        "'" * 5,
        "$$;$$",
        "/*;*/",
    ),
]
TEXTS = st.lists(st.sampled_from(PIECES), min_size=1, max_size=12).map("".join)
SPACED = st.lists(st.sampled_from(PIECES), min_size=1, max_size=12).map(" ".join)
AROUND = st.builds(
    "SELECT 1;{}DELETE FROM prey".format,
    st.lists(st.sampled_from(PIECES), max_size=5).map("".join),
)


@settings(
    max_examples=400 if DEEP else 25,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    deadline=None,
)
@given(st.lists(st.one_of(TEXTS, SPACED, AROUND), min_size=40, max_size=80))
def test_texts_made_up_are_read_alike(
    reader: Reader, shop: Database, texts: list[str]
) -> None:
    found = differences(reader, texts)
    assert unexplained(found, shop.cluster.major) == {}


@given(names=st.lists(st.text("aé€\U0001d4b3", min_size=1, max_size=90), min_size=30))
@settings(
    max_examples=20 if DEEP else 3,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    deadline=None,
)
def test_long_names_are_cut_alike(reader: Reader, names: list[str]) -> None:
    """Two names may become one: a rule about a name must see the one that counts."""
    for name in names:
        text = f'SELECT * FROM "{name}"'
        (facts,) = analyse(text.encode()).statements
        assert reader.message(text.encode()) == (
            f'relation "{facts.relations[0].name}" does not exist'
        )


@pytest.mark.parametrize("name", NEWER)
def test_grammar_is_as_new_as_the_facts_say(
    reader: Reader, shop: Database, name: str
) -> None:
    """Before that major the same text is an error, or the call of a function."""
    shop.execute("CREATE TABLE IF NOT EXISTS bait (id int)")
    major, text = NEWER[name]
    said = reader.message(text.encode())
    if shop.cluster.major < major:
        assert said.startswith(("syntax error", "function "))
    else:
        # MERGE_ACTION() is understood, and out of place.
        assert said in {
            "",
            "MERGE_ACTION() can only be used in the RETURNING list of a MERGE command",
        }


SLY = "CREATE FUNCTION {}({}) RETURNS int LANGUAGE plpgsql AS 'BEGIN RAISE {}; END'"


@pytest.mark.parametrize("word", FUNCTION_LIKE)
def test_a_users_function_is_not_hidden_by_newer_grammar(
    shop: Database, guard: Proxy, word: str
) -> None:
    """On a server that takes the word for a function's name, it is refused as one."""
    call = FUNCTION_LIKE[word]
    arguments = ", ".join(["text"] * call.count("::"))
    body = "EXCEPTION ''called''"
    with Session(shop.dsn) as superuser:
        superuser.simple(SLY.format(word, arguments, body))
        if shop.cluster.major == 15:
            assert "called" in superuser.simple(f"SELECT {call}").message
    with Session(guard.dsn("developer", shop.name)) as session:
        answer = session.simple(f"SELECT {call}")
        assert "called" not in answer.message
