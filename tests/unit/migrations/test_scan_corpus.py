"""The corpus of `pgwarden migration scan`: what is found, and what is left alone."""

from __future__ import annotations

from datetime import date
from pathlib import PurePath

import pytest

from proxy.migrations.scan import scan_text
from tests.unit.migrations.scan_corpus import FINE, FOUND

TODAY = date(2026, 11, 26)


def test_there_are_enough() -> None:
    assert len(FOUND) >= 60
    assert len(FINE) >= 60


@pytest.mark.parametrize(("file", "text", "rule"), FOUND)
def test_it_is_found(file: str, text: str, rule: str) -> None:
    found = scan_text(PurePath(file), text, TODAY)
    assert rule in {each.rule for each in found}
    assert all(not each.waived for each in found)
    lines = text.count("\n") + 1
    assert all(1 <= each.line <= lines for each in found)


@pytest.mark.parametrize(("file", "text"), FINE)
def test_it_is_left_alone(file: str, text: str) -> None:
    assert scan_text(PurePath(file), text, TODAY) == []
