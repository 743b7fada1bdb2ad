"""The single words of actions: what a policy's misspelling is told by."""

from __future__ import annotations

import re

from proxy.policy.documents import load
from proxy.shipped import policy_path
from proxy.sql import vocabulary
from proxy.sql.analyse import analyse
from tests.unit.sql.corpus import statements, tool_statements

RARE = [
    "ALTER TYPE t RENAME ATTRIBUTE a TO b",
    "ALTER EXTENSION e ADD TABLE t",
    "ALTER INDEX i DEPENDS ON EXTENSION e",
    "REFRESH MATERIALIZED VIEW v WITH NO DATA",
]
TEXTS = [case.sql for case in statements()] + [case.sql for case in tool_statements()]
PHRASES = {
    action
    for text in [*TEXTS, *RARE]
    for facts in analyse(text.encode()).statements
    for action in facts.actions
}


def words(phrase: str) -> set[str]:
    return set(phrase.split())


def test_every_action_of_the_corpus_is_made_of_them() -> None:
    assert len(PHRASES) > 150
    assert {p for p in PHRASES if not words(p) <= vocabulary.WORDS} == set()


def test_the_table_of_the_vocabulary_is_made_of_them() -> None:
    rows = re.findall(r"^\| ([^|]+) \|", vocabulary.__doc__ or "", re.MULTILINE)
    told = " ".join(rows[2:])
    for other in ("`object`", "`what`", "and with it"):
        told = told.replace(other, "")
    assert words(told.replace(",", " ")) <= vocabulary.WORDS


def test_none_of_them_is_there_for_nothing() -> None:
    fixed = set(vocabulary._VERBS.split())
    used = {word for phrase in PHRASES for word in words(phrase)}
    assert fixed - used == set()


def test_the_shipped_policies_use_no_other() -> None:
    for name in ("production", "staging", "development"):
        text = policy_path(name).read_text()
        model = load(text, source=name).model
        rules = [*model.rules.values(), *(role.rules for role in model.roles.values())]
        for rule in (each for some in rules for each in some):
            acts = rule.permit or rule.forbid
            assert acts is not None
            for phrase in acts.actions:
                plain = {word for word in words(phrase) if "*" not in word}
                assert plain <= vocabulary.WORDS
