"""What a person reads when a statement is refused, whatever tool they use.

Each driver's test takes SQLSTATE, message, DETAIL and HINT out of that driver's own
error and hands them to `check_refusal`. Next: any `test_*.py` beside this file.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.fix_proxy import whole_lines

if TYPE_CHECKING:
    from tests.fix_proxy import Proxy

_DETAIL = re.compile(r"rule (?P<rule>[a-z0-9.-]+), audit id (?P<audit_id>\S+)")
REFUSED = "42501"  # insufficient_privilege


@dataclass(frozen=True, slots=True)
class Refusal:
    """The fields of an ErrorResponse, as a driver gives them."""

    sqlstate: str | None
    message: str | None
    detail: str | None
    hint: str | None


def check_refusal(
    proxy: Proxy, refusal: Refusal, rule: str, role: str = "developer"
) -> dict[str, Any]:
    """The refusal is `rule`'s, complete, and leads to its record, which is returned.

    Args:
        proxy: Whose audit log has the record.
        refusal: What the driver got.
        rule: The rule that refuses, by its id.
        role: Named in the message; "" for refusals that are not the policy's.
    """
    assert refusal.sqlstate == REFUSED
    message = refusal.message or ""
    assert f" is not allowed for role {role}: " in message or not role
    assert refusal.hint, "a refusal says what to do next"
    found = _DETAIL.search(refusal.detail or "")
    assert found, refusal.detail
    assert found["rule"] == rule
    return record_of(proxy, found["audit_id"])


def record_of(proxy: Proxy, audit_id: str) -> dict[str, Any]:
    """The record of a refused statement."""
    (record,) = _statements(proxy, f'"audit_id":"{audit_id}"')
    assert record["decision"] == "deny"
    return record


def statements(proxy: Proxy, database: str) -> list[dict[str, Any]]:
    """The statement records of one database (each test has its own), in order."""
    return _statements(proxy, f'"database":"{database}"')


def _statements(proxy: Proxy, part: str) -> list[dict[str, Any]]:
    """Only the lines with `part` are parsed: a shared log grows long."""
    return [
        json.loads(line)
        for file in sorted(proxy.audit_folder.rglob("*.jsonl"))
        for line in whole_lines(file)
        if part in line and '"kind":"statement"' in line
    ]


def refused_texts(proxy: Proxy, database: str) -> list[str]:
    """The texts of what was refused in one database."""
    return [
        one["text"] for one in statements(proxy, database) if one["decision"] == "deny"
    ]
