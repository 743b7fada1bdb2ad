"""How Postgres spells a boolean: src/backend/utils/adt/bool.c.

Pure, imports nothing. Next: `proxy.policy.rules`.
"""

from __future__ import annotations

from typing import Final

TRUE_WORDS: Final = frozenset({"on", "true", "tru", "tr", "t", "yes", "ye", "y", "1"})
FALSE_WORDS: Final = frozenset(
    {"off", "of", "false", "fals", "fal", "fa", "f", "no", "n", "0"}
)


def spellings(value: str) -> frozenset[str]:
    """What else a setting's value may be written as, lower case."""
    lower = value.lower()
    if lower == "on":
        return TRUE_WORDS
    if lower == "off":
        return FALSE_WORDS
    return frozenset({lower})
