"""The gate's examiner: which critical findings stand, once waivers are taken off.

`at_start` is asked before anybody is answered and refuses the start. Where the database
can't be reached then, pgwarden starts all the same, lets nobody in, and
`proxy.doctor.watch` asks again and again.
Next: `proxy.server.gate`, the state; `proxy.cli.serve`.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

import structlog

from proxy.doctor.examine import each_login, examine, logins_of
from proxy.doctor.findings import CRITICAL, KINDS
from proxy.doctor.quoting import one_line
from proxy.errors import ConfigError, UnavailableError
from proxy.policy.patterns import nearest
from proxy.policy.problems import PolicyError, Problem
from proxy.server.dial import Dialler
from proxy.server.health import UpstreamError
from proxy.server.tasks import Tasks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from proxy.doctor.findings import Finding
    from proxy.policy.evaluate import Policy
    from proxy.policy.model import Waiver
    from proxy.server.sources import Sources
    from proxy.settings import Settings
    from proxy.settings_upstream import UpstreamSettings

_log = structlog.get_logger("doctor")

MOST_DAYS: Final = 366
"""A waiver that lasts longer is none: it would outlive everybody's memory."""
START_WITHIN_S: Final = 20.0
"""A start waits no longer for the database; then it goes on with the gate closed."""


@dataclass(slots=True)
class Verdict:
    """What stands, what was waived, and which waivers do not count."""

    standing: list[Finding] = field(default_factory=list)
    waived: list[tuple[Finding, Waiver]] = field(default_factory=list)
    void: list[str] = field(default_factory=list)


def verdict(
    findings: Sequence[Finding], waivers: Sequence[Waiver], today: date
) -> Verdict:
    """Take the waivers off the critical findings. Pure."""
    found = Verdict()
    valid = []
    for waiver in waivers:
        if waiver.finding not in KINDS:
            found.void.append(f'a waiver names no finding: "{waiver.finding}"')
        elif waiver.until < today:
            found.void.append(f'the waiver of "{waiver.finding}" ended {waiver.until}')
        elif waiver.until > today + timedelta(days=MOST_DAYS):
            found.void.append(
                f'the waiver of "{waiver.finding}" lasts until {waiver.until}: '
                "more than a year is none"
            )
        else:
            valid.append(waiver)
    for each in findings:
        if each.severity is not CRITICAL:
            continue
        waiver_of = next((waiver for waiver in valid if _fits(waiver, each)), None)
        if waiver_of is None:
            found.standing.append(each)
        else:
            found.waived.append((each, waiver_of))
    return found


def _fits(waiver: Waiver, finding: Finding) -> bool:
    return (
        waiver.finding == finding.id
        and fnmatchcase(finding.login, waiver.login)
        and fnmatchcase(finding.database, waiver.database)
    )


def check_waivers(policy: Policy) -> None:
    """Refuse a policy that waives what does not exist: a slip of the pen.

    Raises:
        PolicyError: each with its line.
    """
    document = policy.document
    problems = [
        Problem(
            document.loaded.line(("doctor", "waive", index, "finding")),
            f'no finding "{waiver.finding}"{nearest(waiver.finding, KINDS)}',
        )
        for index, waiver in enumerate(document.model.doctor.waive)
        if waiver.finding not in KINDS
    ]
    if problems:
        raise PolicyError(document.source, problems)


async def ask(dialler: Dialler, policy: Policy) -> Verdict:
    """Examine every login of this policy.

    Raises:
        UpstreamError: the database can't be reached, or refuses a login.
        UnavailableError: there is nothing to look at.
    """
    upstream = dialler.settings
    users = {name: each.user for name, each in upstream.logins.items()}
    logins = each_login(logins_of(policy, users), upstream, dialler.keys)
    report = await examine(dialler, list(logins))
    today = datetime.now(UTC).date()
    return verdict(report.findings, policy.document.model.doctor.waive, today)


@dataclass(frozen=True, slots=True)
class Passed:
    """The outcome of a start.

    Attributes:
        version: of the policy that was found good; "" where nobody could be asked.
        note: what to tell, "" for nothing.
        found: what was found, where somebody could be asked.
    """

    version: str
    note: str = ""
    found: Verdict = field(default_factory=Verdict)


def at_start(settings: Settings, sources: Sources) -> Passed:
    """Ask before anything is opened. Quick where the policy wants no gate.

    Raises:
        ConfigError: a critical finding stands, or a waiver names none.
    """
    policy = sources.policy
    check_waivers(policy)
    if not policy.document.model.doctor.gate:
        return Passed(policy.version)
    try:
        found = asyncio.run(_ask_in_time(settings.upstream, sources))
    except (UpstreamError, UnavailableError, TimeoutError) as error:
        return Passed("", f"the gate waits: {why(error)}")
    if found.standing:
        raise ConfigError(
            "\n".join(
                [
                    "critical findings of the doctor stand, so this is not served",
                    *(said(each) for each in found.standing),
                    *found.void,
                ]
            ),
            hint="`pgwarden doctor` has the SQL that mends them; to waive one for a "
            f'while: "doctor" in {policy.document.source}',
        )
    return Passed(policy.version, found=found)


async def _ask_in_time(upstream: UpstreamSettings, sources: Sources) -> Verdict:
    dialler = Dialler(upstream, tasks=Tasks(), keys=sources.keys)
    async with asyncio.timeout(START_WITHIN_S):
        return await ask(dialler, sources.policy)


def said(finding: Finding) -> str:
    """A standing finding in one line."""
    where = f" in {one_line(finding.database)}" if finding.database else ""
    more = f" ({finding.detail})" if finding.detail else ""
    return (
        f"{finding.id}: login {finding.login} ({one_line(finding.user)}){where}: "
        f"{finding.means}{more}"
    )


def words_of(found: Verdict) -> list[str]:
    """What was waived, and what no longer is, one line each."""
    return [
        f"waived until {waiver.until}: {said(each)}" for each, waiver in found.waived
    ] + found.void


def tell(found: Verdict) -> None:
    """The same for the operations log."""
    for each, waiver in found.waived:
        _log.warning(
            "finding_waived",
            finding=each.id,
            login=each.login,
            database=each.database,
            until=waiver.until.isoformat(),
            reason=waiver.reason,
        )
    for text in found.void:
        _log.warning("waiver_does_not_count", note=text)


def why(error: Exception) -> str:
    """Why nobody could be asked."""
    if isinstance(error, UpstreamError):
        return error.note
    if isinstance(error, UnavailableError):
        return error.message
    return f"no answer within {START_WITHIN_S:g} s"
