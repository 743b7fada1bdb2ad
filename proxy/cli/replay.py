"""`pgwarden replay`: last month's log, judged again by a candidate policy.

`proxy.cli.main` registers `replay`. Exit status: 0 nothing is newly refused, 1
something is, 2 usage. Next: `proxy.replay.replay`.
"""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from msgspec import structs
from rich.table import Table
from rich.text import Text

from proxy.audit.tail import printable
from proxy.catalog.model import decode
from proxy.cli.logs import reading, wanted
from proxy.cli.mistakes import fail
from proxy.cli.offline import (
    NO_CATALOG,
    load_policy,
    load_resolver,
    policy_file,
    read_text,
)
from proxy.cli.options import (
    CatalogFiles,
    Identities,
    Jobs,
    LogFolder,
    PolicyFile,
    Roles,
    Since,
    Until,
)
from proxy.cli.output import counted, output
from proxy.errors import ConfigError
from proxy.replay.records import log_files
from proxy.replay.replay import Replay, replay as replayed
from proxy.replay.sessions import Change

if TYPE_CHECKING:
    from pathlib import Path

    from proxy.policy.evaluate import Policy
    from proxy.replay.tally import Group, Tally

SHOWN_CHARACTERS: Final = 120
"""Of a statement's shape in the table."""


def replay(
    log: LogFolder,
    *,
    policy: PolicyFile = None,
    catalog: CatalogFiles = None,
    identity: Identities = None,
    role: Roles = None,
    since: Since = "",
    until: Until = "",
    most: Annotated[
        int,
        typer.Option("--groups", metavar="N", min=1, help="Groups shown of each sort."),
    ] = 30,
    jobs: Jobs = 0,
    is_strict: Annotated[
        bool, typer.Option("--strict", help="Exit 1 on what is newly allowed, too.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object with every group.")
    ] = False,
) -> None:
    """Say what a policy would newly refuse or newly allow of what a log holds.

    Every statement of every session is judged again as the wire would judge it, and
    compared with the recorded decision; what changes is grouped by identity,
    application and shape of the statement. What the log holds only in part (secrets
    redacted, long texts cut) is counted apart and never guessed.

    Exit status: 0 nothing is newly refused, 1 something is, 2 wrong usage, or a policy
    or log that does not load.

    Example: pgwarden replay --log /var/log/pgwarden --policy new.yaml --since 30d
    """
    try:
        loaded = load_policy(policy)
        path = policy_file(policy)
        wish = Replay(
            tuple(log_files(log)),
            read_text(path),
            str(path),
            wanted(identity, role, since=since, until=until),
            _catalogs(catalog or []),
        )
        started = time.monotonic()
        with reading(wish.files, jobs=jobs, is_quiet=as_json) as (processes, progress):
            tally = replayed(wish, processes, progress)
    except (ConfigError, OSError) as error:
        fail(error if isinstance(error, ConfigError) else ConfigError(str(error)))
    seconds = time.monotonic() - started
    if as_json:
        _print_json(loaded, tally, seconds, known=_known(wish))
    else:
        _print_report(loaded, tally, most)
        sys.stderr.write(
            f"note: {_note(_known(wish))}\n"
            f"note: read {tally.records:,} records in {seconds:.1f} s, "
            f"{tally.records / seconds:,.0f} a second\n"
        )
    raise typer.Exit(_status(tally, is_strict=is_strict))


def _catalogs(files: list[Path]) -> tuple[bytes, ...]:
    for file in files:
        load_resolver(file)  # a mistake is told before the log is read
    return tuple(file.read_bytes() for file in files)


def _known(wish: Replay) -> dict[str, str]:
    """The databases whose catalog is at hand, with its version."""
    catalogs = [decode(data, source="catalog") for data in wish.catalogs]
    return {each.database: each.version for each in catalogs}


def _note(known: dict[str, str]) -> str:
    if not known:
        return NO_CATALOG
    named = ", ".join(f"{database} ({version})" for database, version in known.items())
    return f"judged with the catalog of {named}; of other databases strictly"


def _status(tally: Tally, *, is_strict: bool) -> int:
    refused = tally.statements.newly_refused + tally.logins.newly_refused
    allowed = tally.statements.newly_allowed if is_strict else 0
    return 1 if refused or allowed else 0


def _ordered(tally: Tally, change: Change) -> list[Group]:
    """The groups of one sort, the most frequent first."""
    found = [group for group in tally.groups if group.change is change]
    return sorted(found, key=lambda group: (-group.count, group.key()))


# --- for machines ------------------------------------------------------------


def _print_json(
    policy: Policy, tally: Tally, seconds: float, *, known: dict[str, str]
) -> None:
    plain: dict[str, Any] = {
        "policy": policy.name,
        "policy_version": policy.version,
        "catalog": known or None,
        "note": _note(known),
        "records": tally.records,
        "unreadable": tally.unreadable,
        "sessions": tally.sessions,
        "sessions_begun_before": tally.begun_before,
        "statements": structs.asdict(tally.statements),
        "logins": structs.asdict(tally.logins),
        "seconds": round(seconds, 3),
    }
    for key, change in (
        ("newly_refused", Change.REFUSED),
        ("newly_allowed", Change.ALLOWED),
        ("not_replayable", Change.UNKNOWN),
    ):
        plain[key] = [_plain(group) for group in _ordered(tally, change)]
    sys.stdout.write(json.dumps(plain, indent=2) + "\n")


def _plain(group: Group) -> dict[str, Any]:
    plain = structs.asdict(group)
    del plain["change"]
    return plain


# --- for people --------------------------------------------------------------


def _print_report(policy: Policy, tally: Tally, most: int) -> None:
    console = output()
    for change, style in (
        (Change.REFUSED, "bold red"),
        (Change.ALLOWED, "bold yellow"),
        (Change.UNKNOWN, "bold"),
    ):
        groups = _ordered(tally, change)
        if not groups:
            continue
        total = sum(group.count for group in groups)
        of = counted(len(groups), "group")
        console.print(Text(f"{change}: {total:,} in {of}", style))
        console.print(_table(groups[:most]))
        if len(groups) > most:
            more = counted(len(groups) - most, "group")
            console.print(Text(f"and {more} more: --groups or --json"))
        console.print()
    for line in _summary(policy, tally):
        console.print(Text(line))


def _table(groups: list[Group]) -> Table:
    """Two lines a group: who and what; below, by which name and which rule."""
    table = Table(box=None, pad_edge=False)
    table.add_column("count", justify="right")
    table.add_column("who", overflow="fold")
    table.add_column("what", overflow="fold")
    for group in groups:
        after = group.rule_after or group.reason.partition(":")[0]
        when = group.last[:16].replace("T", " ")
        rules = f"{group.rule_before or 'none'} → {after}"
        table.add_row(
            Text(f"{group.count:,}"),
            Text.assemble(
                printable(f"{group.identity} ({group.role})"),
                (f"\n{printable(group.application_name)}", "dim"),
            ),
            Text.assemble(
                _cut(printable(group.shape)),
                (f"\n{printable(f'{rules}, last {when}, {group.example}')}", "dim"),
            ),
        )
    return table


def _cut(shape: str) -> str:
    if len(shape) <= SHOWN_CHARACTERS:
        return shape
    return shape[: SHOWN_CHARACTERS - 1] + "…"


def _summary(policy: Policy, tally: Tally) -> list[str]:
    counts = tally.statements
    lines = [
        f"{counted(counts.total, 'statement')} of {counted(tally.sessions, 'session')} "
        f"by policy {policy.name} ({policy.version}): {counts.same:,} as before, "
        f"{counts.newly_refused:,} newly refused, {counts.newly_allowed:,} newly "
        f"allowed, {counts.not_replayable:,} not replayable",
    ]
    if tally.logins.newly_refused:
        lines.append(
            f"{tally.logins.newly_refused:,} of {counted(tally.logins.total, 'login')} "
            "refused; what they sent is judged all the same"
        )
    if tally.begun_before:
        lines.append(
            f"{counted(tally.begun_before, 'session')} began before the log: judged "
            "as far as can be told"
        )
    if tally.unreadable:
        lines.append(
            f"{counted(tally.unreadable, 'line')} of the log passed over, being no "
            "record: see `pgwarden audit verify`"
        )
    return lines
