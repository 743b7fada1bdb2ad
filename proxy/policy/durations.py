"""Lengths of time as people write them: "30m", "2h". Pure.

Next: `proxy.policy.model`, whose section `access` has some.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Final

SHORTEST_LOAN_S: Final = 5
"""Time for one statement that is ready to be pasted."""

_FORM: Final = re.compile(r"([1-9][0-9]{0,4})([smhd])", re.ASCII)
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def seconds(text: str) -> int:
    """The seconds of a whole number with its unit: s, m, h or d.

    One number and one unit, so that nobody has to wonder what "1h30" means.

    Raises:
        ValueError: it is none.
    """
    found = _FORM.fullmatch(text)
    if found is None:
        raise ValueError(
            f'"{text[:20]}" is no length of time: give a whole number and s, m, h or '
            'd, as in "30m"'
        )
    return int(found[1]) * _UNITS[found[2]]


def duration(text: str) -> timedelta:
    """The same as a timedelta."""
    return timedelta(seconds=seconds(text))


def in_words(length_s: float) -> str:
    """The shortest way to write it: "30m", "2h", "90m"."""
    whole = round(length_s)
    for unit in ("d", "h", "m"):
        if whole and whole % _UNITS[unit] == 0:
            return f"{whole // _UNITS[unit]}{unit}"
    return f"{whole}s"
