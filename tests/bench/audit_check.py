"""Is every statement that was sent in the audit log, once, with its outcome?

Runs last, on the log of the pgwarden that all other parts used, after it was stopped:
`pgwarden audit verify --strict`, then a count by application name against what the
clients report. Next: `proxy.audit.verify`.
"""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.json import Decoder

from proxy.audit.folder import audit_files
from tests.bench import bulk, connections, throughput
from tests.bench.results import Section

if TYPE_CHECKING:
    from pathlib import Path

    from tests.bench.plan import Tally
    from tests.bench.progress import Ticks

NAME = "audit"
COLUMNS = (
    "application",
    "sent, as the\nclients report",
    "statements\nrecorded",
    "outcomes\nrecorded",
    "pgbench's own\nlook around",
    "whole?",
)
# What each part sends; everything else of pgbench is its look at its tables.
_MINE = {
    throughput.APPLICATION: "SELECT abalance FROM pgbench_accounts WHERE aid = ",
    connections.APPLICATION: "SELECT 1",
    bulk.APPLICATION: "",
}


class _Record(Struct):
    kind: str
    application_name: str | None = None
    text: str = ""
    decision: str = ""
    status: str = ""


_DECODER = Decoder(_Record)


class Counted(Struct):
    """What one application left in the log."""

    mine: int = 0
    others: int = 0
    denied: int = 0
    outcomes: int = 0


def measure(folder: Path, tally: Tally, tick: Ticks) -> Section:
    """Verify and count."""
    section = Section(NAME, "Every record kept", COLUMNS)
    verified = subprocess.run(
        [sys.executable, "-m", "proxy.cli.main", "audit", "verify", "--strict", folder],
        capture_output=True,
        text=True,
        check=False,
    )
    tick()
    counted = count(folder)
    tick()
    is_whole = verified.returncode == 0 and bool(tally.sent)
    for application, sent in sorted(tally.sent.items()):
        found = counted.get(application, Counted())
        statements = found.mine + found.others
        fits = found.mine == sent and found.outcomes == statements and not found.denied
        is_whole = is_whole and fits
        section.figures[f"{application}.sent"] = sent
        section.figures[f"{application}.recorded"] = found.mine
        section.rows.append(
            (
                application,
                f"{sent:,}",
                f"{found.mine:,}",
                f"{found.outcomes - found.others:,}",
                f"{found.others:,}",
                "yes" if fits else "NO",
            )
        )
    size = sum(file.stat().st_size for file in audit_files(folder))
    section.figures["bytes"] = size
    section.figures["is_whole"] = float(is_whole)
    said = (verified.stdout or verified.stderr).strip().splitlines()
    section.notes.append(
        f"pgwarden audit verify --strict: exit {verified.returncode}"
        + (f", {said[0]}" if said else "")
    )
    section.notes.append(f"{size / (1 << 20):,.0f} MiB of log.")
    return section


def count(folder: Path) -> dict[str, Counted]:
    """Statements and outcomes of each application, over all files of a folder."""
    found: dict[str, Counted] = {}
    for path in audit_files(folder):
        with path.open("rb", buffering=1 << 20) as file:
            for line in file:
                record = _DECODER.decode(line)
                name = record.application_name or ""
                of = found.setdefault(name, Counted())
                if record.kind == "outcome":
                    of.outcomes += record.status == "ok"
                elif record.kind == "statement":
                    of.denied += record.decision != "allow"
                    is_mine = record.text.startswith(_MINE.get(name, ""))
                    of.mine += is_mine
                    of.others += not is_mine
    return found
