"""The page that says which lock stops which attack says so of each, and truly."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.oracle.attacks import load

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "explanation" / "three-locks.md").read_text("utf-8")
ROWS = {
    name: (locks, test)
    for name, _, locks, test in re.findall(
        r"^\| `([a-z-]+)` \| (.*) \| ([^|]*) \| `([^|]*)` \|$", PAGE, re.MULTILINE
    )
}
GROUPS = list(dict.fromkeys(attack.group for attack in load()[1]))
STOPPED_BY = {"a": r"\ba\b", "b": r"\bb\b", "c": r"\bc\b", "alarm": "alarm"}
STOPPED_BY["catalog"] = "catalog"
TESTS = sorted(set(re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", PAGE)))


def test_each_class_has_a_row() -> None:
    assert list(ROWS) == GROUPS


@pytest.mark.parametrize("group", GROUPS)
def test_a_row_names_each_lock_that_the_corpus_names(group: str) -> None:
    locks, _ = ROWS[group]
    for attack in load()[1]:
        if attack.group == group:
            said = STOPPED_BY.get(attack.stopped_by, "nothing")
            assert re.search(said, locks), attack


@pytest.mark.parametrize(("file", "test"), TESTS)
def test_the_tests_that_it_names_exist(file: str, test: str) -> None:
    text = (ROOT / file).read_text("utf-8")
    assert f"def {test}(" in text if test else "def test_" in text


def test_enough_tests_are_named() -> None:
    assert len(TESTS) > 10
