"""Where a statement differs from the proven one, in words for a person. Pure.

Next: `proxy.migrations.follower`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxy.migrations.proof import shown

if TYPE_CHECKING:
    from collections.abc import Iterable

MOST: Final = 120
"""Characters of a statement in a message."""
_BEFORE: Final = 40
"""Of them, before the first that differs."""
_ALIKE: Final = 0.6
"""Two statements that have so much of the longer one in common may be one, edited."""


def short(text: str) -> str:
    """The beginning of a text, on one line."""
    plain = " ".join(text.split())
    return plain if len(plain) <= MOST else f"{plain[:MOST]}..."


def differing(text: bytes, proven: str) -> str:
    """What is different.

    Args:
        text: the statement, as it was sent; its secrets are not told.
        proven: the other one, as its proof shows it.
    """
    sent = shown(text)
    if sent == proven:
        return "its text is the same as far as it is shown, and its values are not"
    one, other = " ".join(sent.split()), " ".join(proven.split())
    if one == other:
        one, other = sent, proven
    start = _common(one, other)
    start = start - _BEFORE if max(len(one), len(other)) > MOST else 0
    here, there = (_part(each, max(start, 0)) for each in (one, other))
    return f"it is {here!r}, proven was {there!r}"


def nearest(text: bytes, proven: Iterable[str]) -> int | None:
    """Which of the proven statements this one may be an edited form of, if any."""
    sent = shown(text)
    best, found = _ALIKE, None
    for number, each in enumerate(proven):
        longer = max(len(sent), len(each))
        if not longer or sent == each:
            continue
        begins = _common(sent, each)
        ends = _common(sent[begins:][::-1], each[begins:][::-1])
        if (begins + ends) / longer >= best:
            best, found = (begins + ends) / longer, number
    return found


def _common(one: str, other: str) -> int:
    pairs = enumerate(zip(one, other, strict=False))
    return next((n for n, (a, b) in pairs if a != b), min(len(one), len(other)))


def _part(text: str, start: int) -> str:
    end = start + MOST
    before, behind = "..." if start else "", "..." if len(text) > end else ""
    return f"{before}{text[start:end]}{behind}"
