"""What no policy can permit, because a decision would mean nothing afterwards.

pgwarden judges the text that it reads; the server must read the same. It does so only
in UTF-8 and with standard strings: with `standard_conforming_strings` off, or in an
encoding whose second bytes hold a backslash (SJIS, BIG5, GBK), a literal ends
elsewhere, and the server runs statements that nobody judged. Pure.
Next: `proxy.policy.evaluate`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxy.policy.spellings import TRUE_WORDS

if TYPE_CHECKING:
    from proxy.sql.facts import SettingChange

RULE: Final = "pgwarden.text"
REASON: Final = (
    "pgwarden reads statements as UTF-8 with standard strings, so the server must"
)
HINT: Final = (
    "Leave client_encoding at UTF8 and standard_conforming_strings at on, and give a "
    "setting's name and value as constants."
)

HARMLESS_COMPUTED_VALUE: Final = "view, foreign-table"
"""pg_dump since 12.20 sets restrict_nonsystem_relation_kind to it, by a name out of
pg_settings. No other setting that matters takes this value."""

_UTF8: Final = frozenset({"utf8", "unicode"})


def breaks_reading(change: SettingChange) -> bool:
    """Whether the server could read later texts otherwise than pgwarden does."""
    if change.name == "client_encoding":
        return not change.is_reset and _encoding(change.value) not in _UTF8
    if change.name == "standard_conforming_strings":
        return not change.is_reset and (change.value or "").lower() not in TRUE_WORDS
    if change.name == "":
        return change.value != HARMLESS_COMPUTED_VALUE
    return False


def _encoding(value: str | None) -> str:
    """An encoding's name as Postgres compares it: src/common/encnames.c."""
    return "".join(filter(str.isalnum, value or "")).lower()
