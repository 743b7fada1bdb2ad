from __future__ import annotations

import pytest

from proxy.cli.offline import OfflineSession, load_policy
from proxy.session.judge import Judge
from proxy.sql.analyse import analyse
from proxy.sql.grammar import CLASSES
from proxy.sql.majors import NEWEST, OLDEST, major_of
from proxy.sql.parse import GRAMMAR_VERSION
from proxy.sql.parts import SINCE
from tests.corpus.newer_grammar import FUNCTION_LIKE, NEWER

BELOW_ANOTHER = {
    *("JsonArgument", "JsonBehavior", "JsonFormat", "JsonKeyValue", "JsonOutput"),
    *("JsonReturning", "JsonTableColumn", "JsonTablePathSpec", "JsonValueExpr"),
}
"""SQL/JSON classes that stand in one that is listed."""


def test_the_grammar_is_that_of_the_newest_major() -> None:
    assert GRAMMAR_VERSION // 10_000 == NEWEST


@pytest.mark.parametrize(
    ("version", "major"),
    [
        ("15.18 (Debian 15.18-1)", 15),
        ("18.0", 18),
        ("19beta1", 19),
        ("9.6.24", 9),
        ("150004", 0),
        ("", 0),
        ("EDB", 0),
    ],
)
def test_major_of(version: str, major: int) -> None:
    assert major_of(version) == major


def test_every_class_of_sql_json_says_since_when() -> None:
    json = {name for name in CLASSES if name.startswith("Json")}
    assert json - BELOW_ANOTHER <= set(SINCE)
    assert set(SINCE) == set(NEWER)


@pytest.mark.parametrize("name", NEWER)
def test_a_text_says_which_major_it_needs(name: str) -> None:
    major, text = NEWER[name]
    assert SINCE[name] == major
    for wrapped in (text, f"EXPLAIN {text}", f"PREPARE p AS {text}"):
        (facts,) = analyse(wrapped.encode()).statements
        assert facts.since == major, wrapped
    assert analyse(b"SELECT 1").statements[0].since == 0


READS = {name: case for name, case in NEWER.items() if not case[1].startswith("INSERT")}


@pytest.mark.parametrize("server", [0, 15, 16, 17, 18])
@pytest.mark.parametrize("name", READS)
def test_the_server_decides(name: str, server: int) -> None:
    major, text = READS[name]
    judge = Judge(load_policy(None), "developer", server_major=server)
    for sent in (text, f"SELECT 1; {text}"):
        decision, _ = OfflineSession(judge).send(sent.encode())
        assert decision.allowed is ((server or OLDEST) >= major)
        if not decision.allowed:
            assert decision.rule == "pgwarden.grammar"
            assert f"PostgreSQL {major}" in decision.reason


@pytest.mark.parametrize("call", FUNCTION_LIKE.values())
def test_what_an_older_server_calls_is_not_hidden(call: str) -> None:
    """Refused for want of grammar, or the call of a function by its bare name."""
    (facts,) = analyse(f"SELECT {call}".encode()).statements
    bare = [use for use in facts.functions if use.schema == ""]
    assert facts.since > OLDEST or bare


def test_json_object_is_looked_up_like_any_function() -> None:
    (facts,) = analyse(b"SELECT json_object('{a,b}')").statements
    assert [(use.schema, use.name) for use in facts.functions] == [("", "json_object")]
