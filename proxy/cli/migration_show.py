"""How proofs and differences of schemas are shown, to people and to machines.

Next: `proxy.cli.migration_ledger`, `proxy.cli.migration_schema`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import typer
from msgspec import to_builtins
from rich.markup import escape
from rich.table import Table

from proxy.audit.tail import printable
from proxy.cli.migration_way_back import show_ways_back
from proxy.cli.output import counted, output
from proxy.errors import ConfigError
from proxy.migrations import uses, varying
from proxy.migrations.ledger import SHOWN_ID
from proxy.migrations.proof import read_proof

if TYPE_CHECKING:
    from collections.abc import Sequence

    from proxy.migrations.proof import Approval, Proof, ProvenStatement, Usage
    from proxy.migrations.schema_digest import Difference
    from proxy.migrations.standing import Entry, Standing

SHOWN_DIGEST: Final = 16
_QUOTED_WORD: Final = re.compile(r'"([a-z_][a-z0-9_]*)"')


def as_json(entry: Entry, its: Standing, *, is_whole: bool = False) -> dict[str, Any]:
    """A proof for machines."""
    proof = _claimed(entry, its)
    values: dict[str, Any] = {
        "id": entry.signed.id,
        "state": its.state.value,
        "reasons": list(its.reasons),
        "serves": list(its.serves),
        "approvals": [to_builtins(each) for each in its.approvals],
        "varying": sorted(its.varying),
        "way_back": its.way_back,
        "uses": [to_builtins(each) for each in entry.uses],
        "open_in": [each.begun.database for each in uses.open_runs(entry.uses)],
        "key": entry.signed.key,
    }
    if proof is not None:
        said = to_builtins(proof)
        short = ("origin", "tool", "name", "checksum", "environment", "database")
        keys = said if is_whole else (*short, "before", "after", "recorded_at")
        values |= {"proof": {key: said[key] for key in keys}}
    return values


def ledger_table(rows: Sequence[tuple[Entry, Standing]]) -> Table:
    """Proofs for people, one a row."""
    made = Table(box=None, pad_edge=False)
    for head in ("id", "state", "tool", "migration", "from", "recorded", "approved by"):
        made.add_column(head)
    for entry, its in rows:
        proof = _claimed(entry, its)
        made.add_row(
            entry.signed.id[:SHOWN_ID],
            its.state.value,
            *(escape(printable(each)) for each in _said(proof)),
            escape(printable(", ".join(each.by for each in its.approvals))),
        )
    return made


def show_proof(entry: Entry, its: Standing) -> None:
    """One proof for people, with all that they are asked to say yes to."""
    proof = _claimed(entry, its)
    table = Table(box=None, pad_edge=False, show_header=False)
    for name, value in _facts(entry, its, proof):
        table.add_row(name, escape(printable(value)))
    output().print(table)
    if proof is None:
        return
    for number, each in enumerate(proof.statements, 1):
        typer.echo(f"\n-- {number}, {each.sha256[:SHOWN_DIGEST]}{_around(each)}")
        typer.echo(printable(each.shown))
        for line in suspicions(each, may_vary=number in its.varying):
            typer.echo(printable(f"  {line}"))
    for applied in proof.applied:
        typer.echo(printable(f"  applied: {applied.name} {applied.checksum}"))
    show_ways_back(its.approvals)


def _facts(entry: Entry, its: Standing, proof: Proof | None) -> list[tuple[str, str]]:
    found = [("proof", entry.signed.id), ("state", its.state.value)]
    found += [("", reason) for reason in its.reasons]
    found += [("signed by", f"{entry.signed.key} (signature and place checked here)")]
    if proof is None:
        return found
    checksum = f", checksum {proof.checksum}" if proof.checksum else ""
    found += [
        ("migration", f"{proof.name} of {proof.tool}{checksum}"),
        ("origin", proof.origin.value),
        ("ran on", f"{proof.database} of {proof.environment}, {proof.server_version}"),
        ("by", proof.identity),
        ("at", f"{proof.started_at.isoformat()}, for {proof.duration_ms:,} ms"),
        ("outcome", f"{proof.outcome} {proof.sqlstate}".strip()),
        ("schemas", ", ".join(proof.scope.schemas)),
        ("before", proof.before or f"unknown; follows {proof.follows[:SHOWN_ID]}"),
        ("after", proof.after or "unknown; another one follows"),
        ("expires", proof.expires_at.isoformat() if proof.expires_at else "never"),
        ("good for", ", ".join(its.serves) or "no database here"),
        ("statements", counted(len(proof.statements), "statement")),
    ]
    found += [("setting", f"{key} = {each}") for key, each in proof.settings.items()]
    found += [("lock", f"{each.mode} on {each.relation}") for each in proof.locks]
    found += [
        ("approved by", f"{each.by} at {each.at.isoformat()}{_widened(each)}")
        for each in its.approvals
    ]
    found += [("run here", _use(each)) for each in entry.uses]
    found += [("used", each) for each in open_words(entry)]
    return found + ([("note", proof.note)] if proof.note else [])


def _widened(approval: Approval) -> str:
    numbers = ", ".join(map(str, approval.varying))
    said = f", may vary: {numbers}" if numbers else ""
    return said + (f" {approval.note}" if approval.note else "")


def _use(use: Usage) -> str:
    said = f"{use.step} in {use.database} at {use.at.isoformat()} by {use.identity}"
    if use.settled_by:
        said += f"; {use.settled_by} said so" + (f": {use.note}" if use.note else "")
    return said


def open_words(entry: Entry) -> list[str]:
    """Of each run whose end nobody saw: what is known, and what to do."""
    return [
        f'in "{each.begun.database}": {uses.told(each)}: '
        f"{uses.settling(entry.signed.id[:SHOWN_ID], each.begun.database)}"
        for each in uses.open_runs(entry.uses)
    ]


def suspicions(statement: ProvenStatement, *, may_vary: bool = False) -> list[str]:
    """What a run may have made up in a statement, and whether that may differ."""
    may = "may differ" if may_vary else "must be the same by the byte, so far"
    return [
        f"looks made up by the run, {may}: {each}"
        for each in varying.told(statement.shown, statement.suspected)
    ]


def _around(statement: ProvenStatement) -> str:
    said = "".join(
        f"; {each.place} {each.number} may be any {each.kind}"
        for each in statement.varying
    )
    return said + ("; with data of COPY" if statement.copied_sha256 else "")


def _said(proof: Proof | None) -> tuple[str, str, str, str]:
    if proof is None:
        return "?", "?", "?", "?"
    place = f"{proof.database} of {proof.environment}"
    return proof.tool, proof.name, place, f"{proof.recorded_at:%Y-%m-%d %H:%M}Z"


def _claimed(entry: Entry, its: Standing) -> Proof | None:
    """What it says, to be shown even where it isn't believed."""
    if its.proof is not None:
        return its.proof
    try:
        return read_proof(entry.signed)
    except ConfigError:
        return None


def difference_json(each: Difference) -> dict[str, Any]:
    """A difference for machines."""
    changed = {
        key: {"expected": was, "found": now}
        for key, (was, now) in each.attributes.items()
    }
    return {"object": each.object, "change": each.change, "attributes": changed}


def show_difference(each: Difference) -> None:
    """A difference for people."""
    typer.echo(printable(f"{each.change}: {plain(each.object)}"))
    for key, (was, now) in each.attributes.items():
        typer.echo(printable(f"    {key}: {_value(was)} -> {_value(now)}"))


def _value(value: object) -> str:
    match value:
        case None:
            return "none"
        case bool():
            return "yes" if value else "no"
        case list():
            return plain("[" + ", ".join(map(str, value)) + "]")
        case _:
            return plain(" ".join(str(value).split()))


def plain(text: str) -> str:
    """Without the quotes that Postgres was told to write around every name."""
    return _QUOTED_WORD.sub(r"\1", text)
