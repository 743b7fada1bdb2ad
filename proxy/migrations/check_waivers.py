"""Waivers: a comment above a statement that takes one finding off, for a while.

`-- pgwarden: allow drop-column until 2027-01-31: nobody reads it since release 12`.
Without a reason, a date or a known form it is no waiver but a finding, so a slip of the
pen never opens anything. Next: `proxy.migrations.check`.
"""

from __future__ import annotations

import re
from datetime import date, timedelta
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

from msgspec import Struct, structs

from proxy.migrations.check_findings import Finding, Level

if TYPE_CHECKING:
    from collections.abc import Sequence

    from proxy.policy.model import MigrationWaiver

MOST_DAYS: Final = 366
"""A waiver that lasts longer is none: it would outlive everybody's memory."""

_OURS: Final = re.compile(r"pgwarden:(.*)", re.IGNORECASE)
_FORM: Final = re.compile(
    r"\s*allow\s+(?P<rules>[\w/.-]+(?:\s*,\s*[\w/.-]+)*)"
    r"(?:\s+until\s+(?P<until>\S+?))?\s*:\s*(?P<reason>\S.*)"
)


class Waiver(Struct, frozen=True):
    """A finding that is known and accepted.

    `until` is the last day on which it holds; None: for good.
    """

    rules: frozenset[str]
    reason: str
    until: date | None = None


def waiver_in(
    comment: str, today: date, *, needs_date: bool = True
) -> Waiver | str | None:
    """The waiver in a line, what is wrong with it, or None where none is meant."""
    said = _OURS.search(comment)
    if said is None:
        return None
    form = _FORM.fullmatch(said[1].removesuffix("*/").rstrip())
    if form is None or (needs_date and form["until"] is None):
        when = " until YYYY-MM-DD" if needs_date else ""
        return f'not understood: write "pgwarden: allow RULE{when}: the reason"'
    rules = frozenset(each.strip() for each in form["rules"].split(","))
    if form["until"] is None:
        return Waiver(rules, form["reason"])
    try:
        until = date.fromisoformat(form["until"])
    except ValueError:
        return f'"{form["until"]}" is no date like 2027-01-31'
    if why := _why_not(until, today):
        return why
    return Waiver(rules, form["reason"], until)


def _why_not(until: date, today: date) -> str:
    if until < today:
        return f"it ended on {until}"
    if until > today + timedelta(days=MOST_DAYS):
        return f"it lasts until {until}: at most {MOST_DAYS} days are accepted"
    return ""


def apply_policy(
    finding: Finding, waivers: Sequence[MigrationWaiver], today: date
) -> Finding:
    """The finding with the policy's own waivers taken into account."""
    if finding.waived or finding.rule == "waiver":
        return finding
    for each in waivers:
        if fnmatchcase(finding.rule, each.finding) and _is_of(each.files, finding.file):
            if not (why := _why_not(each.until, today)):
                reason = f"{each.reason} (until {each.until}, by the policy)"
                return structs.replace(finding, waived=reason)
            message = f"{finding.message} (the policy's waiver does not count: {why})"
            finding = structs.replace(finding, message=message)
    return finding


def _is_of(pattern: str, file: str) -> bool:
    """Whether the end of the path fits: checks run in more than one folder."""
    return fnmatchcase(file, pattern) or fnmatchcase(file, f"*/{pattern}")


def apply(
    findings: list[Finding], comments: str, today: date, *, file: str, line: int
) -> list[Finding]:
    """The findings of one statement, waived where its comments say so."""
    waivers: list[Waiver] = []
    said: list[Finding] = []
    for each in comments.splitlines():
        found = waiver_in(each, today)
        if isinstance(found, str):
            message = f"the waiver does not count: {found}"
            said.append(Finding(file, line, "waiver", Level.ERROR, message))
        elif found is not None:
            waivers.append(found)
            unused = found.rules - {finding.rule for finding in findings}
            said += [
                Finding(
                    file,
                    line,
                    "waiver",
                    Level.NOTE,
                    f'the waiver of "{rule}" waives nothing here',
                )
                for rule in sorted(unused)
            ]
    return [*(_waived(each, waivers) for each in findings), *said]


def _waived(finding: Finding, waivers: list[Waiver]) -> Finding:
    for each in waivers:
        if finding.rule in each.rules:
            until = f" (until {each.until})" if each.until else ""
            return structs.replace(finding, waived=each.reason + until)
    return finding
