"""What a ledger knows of a file: changed after it was proven, or not proven yet.

The file stands for what the tool will send: its statements are compared with those of
the proof as a session's would be, and its checksum where the tool's is of the file.
Next: `proxy.migrations.check`, which asks; `proxy.migrations.folder_names`.
"""

from __future__ import annotations

import hashlib
from functools import cache
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from proxy.migrations.check_findings import Finding, Level
from proxy.migrations.check_statements import read_statements, shown
from proxy.migrations.folder_names import history_name
from proxy.migrations.ledger import SHOWN_ID
from proxy.migrations.profile_load import shipped_profiles
from proxy.migrations.proof import Origin, Outcome, Proof, fits
from proxy.migrations.standing import State
from proxy.migrations.statement import Sent
from proxy.sql.facts import Kind, Trouble

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from proxy.migrations.check_statements import Statement
    from proxy.migrations.folder import Migration
    from proxy.migrations.profile import Script
    from proxy.migrations.standing import Entry, Standing

CHANGED: Final = "changed-after-proof"
NOT_PROVEN: Final = "not-proven"
_UNRECORDED: Final = frozenset(
    {
        Kind.READ,
        Kind.CURSOR,
        Kind.COPY_OUT,
        Kind.SESSION,
        Kind.EXECUTE,
        Kind.TRANSACTION,
    }
)
"""What is no part of a migration that was not announced (`recogniser.Part`)."""
_ANEW: Final = "Leave it as it was and write a new migration, or prove it anew."


@cache
def _scripts() -> dict[str, Script]:
    """How each tool runs a migration, by the id of its profile."""
    return {each.tool: each.model.script for each in shipped_profiles()}


def sums_the_file(tool: str) -> bool:
    """Whether a tool's checksum is the SHA-256 of the file's bytes."""
    script = _scripts().get(tool)
    return script is not None and script.checksum == "sha256"


class Known(Struct, frozen=True):
    """One proof that is believed here.

    Attributes:
        id: as it is shown.
        proof: what it says.
        its: what it is worth.
    """

    id: str
    proof: Proof
    its: Standing


class Ledger:
    """What is known, by tool and name."""

    def __init__(
        self, rows: Iterable[tuple[Entry, Standing]], database: str = ""
    ) -> None:
        """Take what is believed.

        Args:
            rows: proofs, oldest first.
            database: only those that are good for this one here; "" for any.
        """
        self._known: dict[tuple[str, str], list[Known]] = {}
        self._applied: dict[tuple[str, str], set[str]] = {}
        for entry, its in rows:
            if its.proof is None or its.state in {State.UNTRUSTED, State.REVOKED}:
                continue
            if not database or database in its.serves:
                self._add(Known(entry.signed.id[:SHOWN_ID], its.proof, its))

    def _add(self, known: Known) -> None:
        proof = known.proof
        if proof.origin is Origin.BASELINE:
            for each in proof.applied:
                checksums = self._applied.setdefault((proof.tool, each.name), set())
                checksums.add(each.checksum)
        elif proof.outcome is Outcome.COMMITTED:
            self._known.setdefault((proof.tool, proof.name), []).append(known)

    def findings(self, migration: Migration) -> Iterator[Finding]:
        """What there is to say of a migration; nothing where its proof counts."""
        name = history_name(migration)
        key = migration.tool, name
        known = self._known.get(key, []) if name else []
        checksum = ""
        if not migration.is_written_by_tool and sums_the_file(migration.tool):
            checksum = hashlib.sha256(migration.up).hexdigest()
        if not known:
            yield from self._without_proof(migration, name, checksum)
            return
        wrong = {each.id: difference(migration, each, checksum) for each in known}
        fitting = [each for each in known if wrong[each.id] is None]
        if any(each.its.counts for each in fitting):
            return
        if fitting:
            reasons = "; ".join(fitting[-1].its.reasons)
            yield _note(
                migration, f"proof {fitting[-1].id} lets nothing pass: {reasons}"
            )
            return
        alive = [each for each in known if each.its.state is not State.EXPIRED]
        found = wrong[alive[-1].id] if alive else None
        yield found or _note(migration, "it is not proven yet: what was, has expired")

    def _without_proof(
        self, migration: Migration, name: str, checksum: str
    ) -> Iterator[Finding]:
        applied = self._applied.get((migration.tool, name), set()) if name else set()
        if not applied:
            yield _note(migration, "it is not proven yet")
        elif checksum and "" not in applied and checksum not in applied:
            yield Finding(
                migration.file,
                1,
                CHANGED,
                Level.ERROR,
                "a baseline has it as applied, with another checksum: it was changed",
                "Leave it as it was, and write a new migration.",
            )


def difference(migration: Migration, known: Known, checksum: str) -> Finding | None:
    """In what a file is not what was proven; None if it is.

    Args:
        migration: the file.
        known: the proof.
        checksum: of the file as its tool takes it; "" where that is another one.
    """
    if migration.is_written_by_tool:
        # The tool binds values when it runs, and writes them here: only the name
        # can be compared.
        return None
    if checksum and checksum == known.proof.checksum:
        return None
    statements = read_statements(migration.up)
    if isinstance(statements, Trouble):
        return _changed(migration, 1, "it can't be read as SQL now", known)
    script = _scripts().get(migration.tool)
    is_strict = script is not None and script.order == "announced"
    found = _first_difference(migration, statements, known, is_strict=is_strict)
    if found is None and checksum and known.proof.checksum:
        what = (
            "its statements are those that were proven, and its checksum is not: "
            "a comment or a blank was changed"
        )
        return _changed(migration, 1, what, known)
    return found


def _first_difference(
    migration: Migration,
    statements: Sequence[Statement],
    known: Known,
    *,
    is_strict: bool,
) -> Finding | None:
    proven = known.proof.statements
    varying = known.its.varying
    position = 0
    for each in statements:
        expected = proven[position] if position < len(proven) else None
        may_vary = position + 1 in varying
        if expected and fits(expected, Sent(each.text), may_vary=may_vary):
            position += 1
            continue
        if not is_strict and each.facts.kinds <= _UNRECORDED:
            continue
        what = (
            f"it has more than the {len(proven)} statements that were proven"
            if expected is None
            else f"statement {position + 1} of {len(proven)} is not the proven one, "
            f"which was: {shown(expected.shown.encode())}"
        )
        return _changed(migration, each.line, what, known, each.shown)
    if position < len(proven):
        lacks = shown(proven[position].shown.encode())
        what = f"it lacks statement {position + 1} of {len(proven)} that ran: {lacks}"
        line = statements[-1].line if statements else 1
        return _changed(migration, line, what, known)
    return None


def _changed(
    migration: Migration, line: int, what: str, known: Known, statement: str = ""
) -> Finding:
    return Finding(
        migration.file,
        line,
        CHANGED,
        Level.ERROR,
        f"it was changed after it was proven (proof {known.id}): {what}",
        _ANEW,
        statement,
    )


def _note(migration: Migration, message: str) -> Finding:
    return Finding(
        migration.file,
        1,
        NOT_PROVEN,
        Level.NOTE,
        message,
        "Run it on staging through pgwarden, and have it approved.",
    )
