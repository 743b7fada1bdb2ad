"""The answer to what a session's settings are, read strictly."""

from __future__ import annotations

import json

import pytest

from proxy.errors import ConfigError
from proxy.migrations.proof import SETTINGS
from proxy.migrations.settings_inside import CURRENT_SCHEMA, QUESTION, settings_of


def test_each_has_its_name_and_what_is_unknown_has_none() -> None:
    values = [*(f"v{number}" for number in range(len(SETTINGS))), "1s", None]
    values += ["public", None]
    found = settings_of([[json.dumps(values)]])
    assert found["search_path"] == f"v{SETTINGS.index('search_path')}"
    assert found["lock_timeout"] == "1s"
    assert "statement_timeout" not in found
    assert found[CURRENT_SCHEMA] == "public"


@pytest.mark.parametrize("rows", [[], [[None]], [["{}"]], [['["x"]']], [["[1]"]]])
def test_anything_else_is_no_answer(rows: list[list[str | None]]) -> None:
    with pytest.raises(ConfigError, match="could not be read"):
        settings_of(rows)


@pytest.mark.parametrize(
    "name", ["search_path", "bytea_output", "transaction_isolation", "array_nulls"]
)
def test_what_changes_the_meaning_of_a_text_is_asked_for(name: str) -> None:
    assert f"current_setting('{name}', true)" in QUESTION
