"""The way back that somebody approves a proof with, out of a plan that was tried.

The plan is what `pgwarden migration rollback-plan --json` wrote. It is taken only if it
is of the migration that was proven, and its trial held; and its script only if psql can
be given it without reading anything else in it than the server does.
Next: `proxy.migrations.rollback`, `proxy.migrations.rollback_proof`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import json

from proxy.errors import ConfigError, reason_of
from proxy.migrations.check_proven import difference, sums_the_file
from proxy.migrations.check_statements import read_statements
from proxy.migrations.folder import Migration
from proxy.migrations.rollback import Source, WayBack
from proxy.migrations.rollback_proof import Proof as Trial, unfit
from proxy.sql.facts import Effect, Flag, Kind, Trouble

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from proxy.migrations.check_proven import Known
    from proxy.migrations.proof import Approval

MAX_PLAN: Final = 64 * 1024 * 1024
"""Bytes of a plan: it has the text of each migration of a folder."""
MAX_SCRIPT: Final = 100_000
"""Bytes of a script, and of what it loses. Linux takes 131,071 as one argument, which
is how the script is best given to psql (`psql -c "$(pgwarden ...)"`)."""


class Tried(WayBack, frozen=True):
    """One migration of a plan.

    Attributes:
        proof: what came of its trial; None where it was not tried.
    """

    proof: Trial | None = None


class Plan(msgspec.Struct, frozen=True):
    """What `rollback-plan --json` writes."""

    tried: bool
    migrations: tuple[Tried, ...]


def read_plan(path: Path) -> Plan:
    """A plan whose ways back were tried.

    Raises:
        ConfigError: it can't be read, is none, or was not tried.
    """
    try:
        with path.open("rb") as file:
            text = file.read(MAX_PLAN + 1)
    except OSError as error:
        raise ConfigError(f"{path}: {reason_of(error)}") from None
    if len(text) > MAX_PLAN:
        raise ConfigError(f"{path}: a plan has {MAX_PLAN:,} bytes at most")
    try:
        plan = json.decode(text, type=Plan)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise ConfigError(
            f"{path}: it is no plan",
            hint="pgwarden migration rollback-plan PATH --json > plan.json",
        ) from None
    if not plan.tried:
        raise ConfigError(
            f"{path}: nothing of this plan was tried (--no-proof)",
            hint="pgwarden migration rollback-plan PATH --json > plan.json",
        )
    return plan


def taken(plan: Plan, known: Known) -> Tried:
    """The way back of a proven migration.

    Raises:
        ConfigError: the plan has none that was tried and held, or of another migration.
    """
    found = _of(plan, known)
    name = known.proof.name
    if found.source is Source.NONE:
        why = "; ".join(f"line {line}: {said}" for line, said in found.why_not)
        raise ConfigError(
            f'migration "{name}" can\'t be reversed: {why or "no reason is given"}',
            hint="If it may run all the same, say so: --no-way-back",
        )
    if found.proof is None:
        raise ConfigError(
            f'the way back of migration "{name}" was not tried: one before it does not '
            "run"
        )
    if not found.proof.holds:
        raise ConfigError(
            f'the way back of migration "{name}" was tried and did not hold: '
            f"{found.proof.trouble}",
            hint="Mend it and try it again, or say that there is none: --no-way-back",
        )
    wrong = unfit(found) or _misread(found.script) or _too_long(found)
    if wrong:
        raise ConfigError(f'the way back of migration "{name}" is not taken: {wrong}')
    return found


def scripts(approvals: Sequence[Approval]) -> dict[str, list[str]]:
    """Each script that was tried, with those who name it."""
    found: dict[str, list[str]] = {}
    for each in approvals:
        if each.way_back == "tried":
            found.setdefault(each.way_back_script, []).append(each.by)
    return found


def _of(plan: Plan, known: Known) -> Tried:
    """The one entry that is of this migration, and of what was proven of it."""
    proof = known.proof
    found = [
        each
        for each in plan.migrations
        if each.name and (each.tool, each.name) == (proof.tool, proof.name)
    ]
    if not found:
        # A script of psql's has no name that the file says: its statements say it.
        found = [
            each
            for each in plan.migrations
            if each.tool == "sql" and proof.statements and not _differs(each, known)
        ]
    if len(found) != 1:
        files = ", ".join(f'"{each.file}"' for each in found[:3])
        raise ConfigError(
            f'the plan has migration "{proof.name}" of {proof.tool} '
            + (f"{len(found)} times: {files}" if found else "nowhere"),
            hint="pgwarden migration rollback-plan PATH --json > plan.json, of the "
            "folder that has it",
        )
    wrong = _differs(found[0], known)
    if wrong:
        raise ConfigError(
            f"the plan is of something else than the proof: {wrong}",
            hint="Plan it from the files that ran on staging, or prove it anew.",
        )
    return found[0]


def _differs(tried: Tried, known: Known) -> str:
    """In what the migration that was tried is not the one that was proven; or ""."""
    checksum = tried.sha256 if sums_the_file(tried.tool) else ""
    migration = Migration(
        tried.file,
        tried.tool,
        # Pieces without their ends; a comment at one's end must not take it away.
        "\n;\n".join(tried.up).encode(),
        is_written_by_tool=not tried.sha256,
    )
    found = difference(migration, known, checksum)
    return "" if found is None else found.message


def _misread(script: str) -> str:
    """Why psql could take something in it for its own; or "".

    It reads commands behind a backslash that is in no string, and where a string ends
    hangs on settings of the session. Behind COPY FROM STDIN it reads data.
    """
    statements = read_statements(script.encode())
    if isinstance(statements, Trouble):
        return "it can't be read"
    facts = [each.facts for each in statements]
    if any(Kind.COPY_IN in each.kinds for each in facts):
        return "COPY FROM STDIN takes what stands behind it for data"
    if any(Flag.SECRET in each.flags for each in facts):
        return "it has a secret in it, and a ledger is no place for one"
    sets = any(
        Kind.SESSION in each.kinds
        or any(use.effect is Effect.SETTING for use in each.functions)
        for each in facts
    )
    if sets and "\\" in script:
        return "it changes settings, and has a backslash, which psql may read by them"
    return ""


def _too_long(tried: Tried) -> str:
    loses = sum(len(each.encode()) for each in tried.loses)
    if len(tried.script.encode()) > MAX_SCRIPT or loses > MAX_SCRIPT:
        return f"it has more than {MAX_SCRIPT:,} bytes"
    return ""
