"""One judged text as an audit fragment: decision, rule, reason, facts, text.

Pure, like `proxy.audit.records`, and made once a text and decision: a cached text
costs its later statement records only a concatenation. Everything a client can make
large has a ceiling here, and what was cut says so. Next: `proxy.audit.records`.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from msgspec import UNSET

from proxy.audit.ascii import json_ascii, spelled_out
from proxy.audit.judged_form import JudgedStatement, JudgedText
from proxy.policy.decision import ShadowRefusal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from proxy.policy.decision import Decision
    from proxy.sql.facts import Analysis, Facts

MAX_TEXT: Final = 65_536
"""Characters of SQL kept in a record. Longer ones keep length and SHA-256 of the whole:
an ORM's longest statements fit, a bulk INSERT does not fill the disk."""

MAX_REASON: Final = 2_000
"""Characters of a reason: a syntax error may quote a token of a megabyte."""

MAX_STATEMENTS: Final = 100
"""Statements of one text whose facts are kept; the rest is counted."""

MAX_NAMES: Final = 250
"""Relations, functions, columns, settings and so on kept of one statement."""

_TEXT_KEY: Final = b'"text":'

MAX_FACTS: Final = 262_144
"""Bytes of encoded facts of one text; above this only the kinds are kept."""


def judged_fragment(
    analysis: Analysis, decision: Decision, *, policy: str = ""
) -> bytes:
    """What a statement record says about its text and the decision on it.

    Args:
        analysis: facts, trouble and the text with secrets redacted.
        decision: the verdict.
        policy: version of the policy that gave it.
    """
    statements = analysis.statements
    trouble = analysis.trouble
    record = JudgedText(
        "allow" if decision.allowed else "deny",
        decision.rule,
        decision.reason[:MAX_REASON],
        decision.kind,
        [_facts(facts) for facts in statements[:MAX_STATEMENTS]],
        analysis.recorded_text,
        decision.sqlstate,
        decision.quarantines,
        policy,
    )
    if decision.shadow is not None:
        record.shadow = _shortened(decision.shadow)
    if trouble is not None:
        record.trouble = trouble.message[:MAX_REASON]
    if len(statements) > MAX_STATEMENTS:
        record.statements_total = len(statements)
        record.facts_truncated = True
    if len(record.text) > MAX_TEXT:
        _shorten(record)
    try:
        encoded = json_ascii(record)
    except UnicodeEncodeError:
        encoded = json_ascii(_spell_out(record))
    if len(encoded) > MAX_FACTS:
        encoded = _within_ceiling(record, encoded)
    return encoded[1:-1]


def around_text(fragment: bytes, text: str) -> tuple[bytes, bytes] | None:
    """What stands before and behind `text` in its fragment, if that can be told.

    For texts whose record differs in nothing but the text.
    """
    own = _TEXT_KEY + json_ascii(text)
    before, found, behind = fragment.partition(own)
    if not found or own in behind:
        return None
    return before + _TEXT_KEY, behind


def _shortened(shadow: ShadowRefusal) -> ShadowRefusal:
    reason = shadow.reason[:MAX_REASON]
    return ShadowRefusal(shadow.rule, reason, shadow.quarantines)


def _facts(facts: Facts) -> JudgedStatement:
    kinds = facts.kinds
    settings = facts.settings
    flags = facts.flags
    columns = facts.columns
    return JudgedStatement(
        facts.kind,
        facts.actions[:MAX_NAMES],
        sorted(kinds) if len(kinds) > 1 else UNSET,
        facts.relations[:MAX_NAMES],
        facts.functions[:MAX_NAMES],
        columns[:MAX_NAMES] if columns else (),
        _distinct([change.name for change in settings]) if settings else UNSET,
        sorted(flags) if flags else UNSET,
        facts.lock_mode,
        facts.databases,
        facts.operators[:MAX_NAMES],
    )


def _distinct(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))[:MAX_NAMES]


def _shorten(record: JudgedText) -> None:
    whole = record.text
    record.text = whole[:MAX_TEXT]
    record.text_length = len(whole)
    raw = whole.encode("utf-8", "surrogatepass")
    record.text_sha256 = hashlib.sha256(raw).hexdigest()


def _spell_out(record: JudgedText) -> JudgedText:
    """The record without lone surrogates (bytes that are not UTF-8)."""
    record.text = spelled_out(record.text)
    record.text_escaped = True
    record.reason = spelled_out(record.reason)
    record.trouble = spelled_out(record.trouble)
    shadow = record.shadow
    if shadow is not None:
        reason = spelled_out(shadow.reason)
        record.shadow = ShadowRefusal(shadow.rule, reason, shadow.quarantines)
    try:
        json_ascii(record.statements)
    except UnicodeEncodeError:
        _only_kinds(record)
    return record


def _within_ceiling(record: JudgedText, encoded: bytes) -> bytes:
    if len(json_ascii(record.statements)) <= MAX_FACTS:
        return encoded
    _only_kinds(record)
    return json_ascii(record)


def _only_kinds(record: JudgedText) -> None:
    record.statements = [JudgedStatement(each.kind) for each in record.statements]
    record.facts_truncated = True
