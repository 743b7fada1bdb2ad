"""A folder held against a ledger: changed after the proof, or not proven yet."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import pytest

from proxy.migrations.check_findings import Level
from proxy.migrations.check_proven import Ledger
from proxy.migrations.folder import Migration, read_folder
from proxy.migrations.ledger import unsigned_revocation
from proxy.migrations.proof import (
    Applied,
    Origin,
    Outcome,
    Revocation,
    proven_statement,
)
from proxy.migrations.standing import Entry, standing
from proxy.migrations.statement import Sent, split
from tests.unit.migrations.made import DAY, NOW, approval, pair, recorded, trust
from tests.unit.migrations.test_folder import lay

if TYPE_CHECKING:
    from pathlib import Path

    from proxy.migrations.signed import Signed

PRISMA = "20261101_add/migration.sql"
FLYWAY = "V1__add.sql"
GO = "1_add.up.sql"
TEXT = """\
-- adds
CREATE TABLE t (id uuid);
INSERT INTO t VALUES ('123e4567-e89b-12d3-a456-426614174000');
"""
OTHER_ID = TEXT.replace("123e", "223e")


def proof(text: str = TEXT, **changed: Any) -> Signed:
    pieces = split(text.encode())
    values = {
        "checksum": hashlib.sha256(text.encode()).hexdigest(),
        "statements": tuple(
            proven_statement(Sent(piece), NOW, message=number)
            for number, piece in enumerate(pieces, 1)
        ),
    }
    return recorded(**{**values, **changed})


def flyway(text: str = TEXT, **changed: Any) -> Signed:
    return proof(text, **{"tool": "flyway", "name": "1", "checksum": "-1", **changed})


def approved(of: Signed, **changed: Any) -> Entry:
    return Entry(of, (approval(of, **changed),))


def said(
    folder: Path, files: dict[str, str], *entries: Entry, database: str = ""
) -> list[tuple[int, str, Level, str]]:
    lay(folder, files)
    rows = [(each, standing(each, trust(), NOW)) for each in entries]
    ledger = Ledger(rows, database)
    return [
        (each.line, each.rule, each.level, each.message)
        for migration in read_folder([folder])[0]
        for each in ledger.findings(migration)
    ]


def rules(
    folder: Path, files: dict[str, str], *entries: Entry
) -> list[tuple[int, str]]:
    return [(line, rule) for line, rule, _, _ in said(folder, files, *entries)]


def test_what_is_proven_is_not_spoken_of(tmp_path: Path) -> None:
    both = (approved(proof()), approved(flyway()))
    assert said(tmp_path, {PRISMA: TEXT, FLYWAY: TEXT}, *both) == []
    assert said(tmp_path, {}, *both, database="shop") == []


def test_what_is_not_proven_is_a_note(tmp_path: Path) -> None:
    other = approved(proof(name="20261102_other"))
    ((_, rule, level, message),) = said(tmp_path, {PRISMA: TEXT}, other)
    assert (rule, level) == ("not-proven", Level.NOTE)
    assert message == "it is not proven yet"


def test_only_a_proof_that_is_good_for_the_database(tmp_path: Path) -> None:
    entry = approved(proof())
    found = said(tmp_path, {PRISMA: TEXT}, entry, database="crm")
    assert [rule for _, rule, _, _ in found] == ["not-proven"]


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        (TEXT.replace("uuid", "text"), 2, "statement 1 of 2 is not the proven one"),
        (OTHER_ID, 3, "statement 2 of 2 is not the proven one"),
        (TEXT.replace("INTO t", "INTO  t"), 3, "statement 2 of 2"),
        (TEXT + "DROP TABLE account;\n", 4, "more than the 2 statements"),
        ("".join(TEXT.splitlines(keepends=True)[:2]), 2, "lacks statement 2 of 2"),
        ("-- nothing\n", 1, "lacks statement 1 of 2"),
        (TEXT + "SELECT ,;\n", 1, "can't be read as SQL now"),
    ],
)
def test_the_first_statement_that_was_changed_is_named(
    tmp_path: Path, text: str, line: int, message: str
) -> None:
    for number, (file, signed) in enumerate(((PRISMA, proof()), (FLYWAY, flyway()))):
        folder = tmp_path / str(number)
        folder.mkdir()
        (found,) = said(folder, {file: text}, approved(signed))
        assert found[:3] == (line, "changed-after-proof", Level.ERROR)
        assert f"(proof {signed.id[:12]})" in found[3]
        assert message in found[3]


def test_a_comment_counts_where_the_checksum_is_of_the_file(tmp_path: Path) -> None:
    files = {PRISMA: f"-- more\n{TEXT}", FLYWAY: f"-- more\n{TEXT}"}
    (found,) = said(tmp_path, files, approved(proof()), approved(flyway()))
    assert found[:2] == (1, "changed-after-proof")
    assert "a comment or a blank was changed" in found[3]


def test_what_a_proof_does_not_hold_is_passed_over(tmp_path: Path) -> None:
    """What only reads, and BEGIN and COMMIT, belong to no migration; but to a script
    that was announced, as golang-migrate's, they do."""
    text = f"BEGIN;\nSELECT 1;\nSET search_path = public;\n{TEXT}COMMIT;\n"
    gone = proof(tool="golang-migrate", name="1", checksum="")
    assert rules(tmp_path, {FLYWAY: text}, approved(flyway())) == []
    (tmp_path / FLYWAY).unlink()
    assert rules(tmp_path, {GO: TEXT}, approved(gone)) == []
    assert rules(tmp_path, {GO: text}, approved(gone)) == [(1, "changed-after-proof")]


def test_a_value_that_may_vary_is_no_change(tmp_path: Path) -> None:
    signed = flyway()
    assert rules(tmp_path, {FLYWAY: OTHER_ID}, approved(signed)) == [
        (3, "changed-after-proof")
    ]
    assert rules(tmp_path, {FLYWAY: OTHER_ID}, approved(signed, varying=(2,))) == []


def test_a_proof_that_does_not_count_yet(tmp_path: Path) -> None:
    ((_, rule, level, message),) = said(tmp_path, {PRISMA: TEXT}, Entry(proof()))
    assert (rule, level) == ("not-proven", Level.NOTE)
    assert "it lacks 1 of 1 approvals" in message
    changed = said(tmp_path, {PRISMA: OTHER_ID}, Entry(proof()))
    assert [rule for _, rule, _, _ in changed] == ["changed-after-proof"]


def test_one_that_was_proven_anew_is_proven(tmp_path: Path) -> None:
    entries = (approved(proof()), approved(proof(OTHER_ID)))
    assert rules(tmp_path, {PRISMA: TEXT}, *entries) == []
    assert rules(tmp_path, {PRISMA: OTHER_ID}, *entries) == []


def test_what_is_not_believed_or_over_says_nothing(tmp_path: Path) -> None:
    """A revoked proof is why a file is changed; anybody could write another one."""
    signed = proof()
    word = unsigned_revocation(Revocation(proof=signed.id, by="eve", at=NOW))
    expired = proof(expires_at=NOW - DAY / 4)
    for entry in (
        Entry(signed, (approval(signed),), (word,)),
        approved(proof(environment="dev")),
        Entry(recorded(pair(seed=9))),
        approved(proof(outcome=Outcome.FAILED)),
        approved(expired),
    ):
        ((_, rule, level, _),) = said(tmp_path, {PRISMA: OTHER_ID}, entry)
        assert (rule, level) == ("not-proven", Level.NOTE)
    ((_, rule, _, message),) = said(tmp_path, {PRISMA: TEXT}, approved(expired))
    assert (rule, "it expired at" in message) == ("not-proven", True)


def test_what_a_baseline_has_needs_no_proof(tmp_path: Path) -> None:
    checksum = hashlib.sha256(TEXT.encode()).hexdigest()

    def baseline(its: str) -> Entry:
        applied = (Applied("20261101_add", its),)
        return Entry(recorded(origin=Origin.BASELINE, statements=(), applied=applied))

    assert rules(tmp_path, {PRISMA: TEXT}, baseline(checksum)) == []
    assert rules(tmp_path, {PRISMA: TEXT}, baseline("")) == []
    assert rules(tmp_path, {PRISMA: OTHER_ID}, baseline(checksum)) == [
        (1, "changed-after-proof")
    ]


def test_of_what_the_tool_writes_only_the_name_counts(tmp_path: Path) -> None:
    file = tmp_path / "x.py"
    file.write_text('revision = "a1"\n')
    entry = approved(proof(tool="alembic", name="a1", checksum=""))
    ledger = Ledger([(entry, standing(entry, trust(), NOW))])
    written = Migration(str(file), "alembic", b"SELECT 1", is_written_by_tool=True)
    assert list(ledger.findings(written)) == []
    file.write_text('revision = "a2"\n')
    (note,) = ledger.findings(written)
    assert note.rule == "not-proven"
