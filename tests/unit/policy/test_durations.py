"""Lengths of time as people write them."""

from __future__ import annotations

import pytest

from proxy.policy.durations import in_words, seconds


@pytest.mark.parametrize(
    ("text", "length_s"), [("30m", 1800), ("2h", 7200), ("90s", 90), ("1d", 86_400)]
)
def test_what_people_write(text: str, length_s: int) -> None:
    assert seconds(text) == length_s


@pytest.mark.parametrize(
    "text",
    ["", "30", "m", "1h30m", "-5m", "+5m", "5 m", "0m", "1e3s", "5M", "5m\n",
     "\u0663\u0660m", "999999s", "1.5h", "0x1h"],
)  # fmt: skip
def test_what_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="no length of time"):
        seconds(text)


@pytest.mark.parametrize(
    ("length_s", "words"), [(1800, "30m"), (7200, "2h"), (5400, "90m"), (61, "61s")]
)
def test_in_words(length_s: int, words: str) -> None:
    assert in_words(length_s) == words
