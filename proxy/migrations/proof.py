"""A proof: what a migration did on staging, so that production may let the same happen.

Documents are signed (`proxy.migrations.signed`) and never changed: an approval or a
revocation is a document of its own that names the proof. Pure. Why a proof is bound to
environment, database and schema: docs/explanation/proven-migrations.md.
Next: `proxy.migrations.standing`, which says what a proof is worth now.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, ClassVar, Final, Literal

import msgspec

from proxy.migrations.schema import Scope  # noqa: TC001  (read back by msgspec)
from proxy.migrations.signed import Document, Signed, opened, sign
from proxy.migrations.statement import Sent, StatementError, fingerprint
from proxy.migrations.varying import Varying, suspected, template
from proxy.sql.analyse import analyse

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from proxy.migrations.keys import SigningKey

PROOF: Final = "proof"
APPROVAL: Final = "approval"
REVOCATION: Final = "revocation"
USE: Final = "use"
Moment = Annotated[datetime, msgspec.Meta(tz=True)]
"""A time with its zone."""
SHOWN_LENGTH: Final = 4_000
"""Characters of a statement that a proof keeps for people; the hash has all of it."""


SETTINGS: Final = (
    "array_nulls",
    "bytea_output",
    "check_function_bodies",
    "client_encoding",
    "datestyle",
    "default_table_access_method",
    "default_tablespace",
    "default_text_search_config",
    "default_transaction_isolation",
    "extra_float_digits",
    "gin_fuzzy_search_limit",
    "intervalstyle",
    "quote_all_identifiers",
    "role",
    "row_security",
    "search_path",
    "session_replication_role",
    "standard_conforming_strings",
    "timezone",
    "transaction_isolation",
    "transform_null_equals",
    "xmlbinary",
    "xmloption",
)
"""Settings under which the same text does something else: another table is meant, keys
are not checked, a string or a time is read in another way."""


class Origin(StrEnum):
    """How it came to be."""

    RECORDED = "recorded"
    """pgwarden followed a run."""
    BASELINE = "baseline"
    """A person said that this had been applied before pgwarden was there."""


class Outcome(StrEnum):
    """How the run ended."""

    COMMITTED = "committed"
    FAILED = "failed"
    PARTIAL = "partial"
    """It failed after some of it, outside a transaction, had taken effect."""


class LockTaken(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A lock on a relation, as in `pg_locks`."""

    relation: str
    mode: str


class Applied(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A migration that a tool's history table calls applied."""

    name: str
    checksum: str = ""


class ProvenStatement(Document, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One statement of the run, in its order.

    Attributes:
        sha256: `statement.fingerprint`, or `varying.template` if something varies.
        shown: the beginning of its text for people, secrets taken out.
        message: number of the client's message that it came in, from 1: statements of
            one message are one implicit transaction.
        in_block: whether it ran in a transaction that BEGIN had opened.
        tag: command tag of its end.
        varying: the values that may differ; shown to whoever approves.
        copied_sha256: SHA-256 of the CopyData payloads that followed; "" without any.
        settings: those of the session that were no longer as the proof has them.
        suspected: values that look as if the run had made them up. They count by the
            byte, too, until those who approve say that this statement's may differ.
        template_sha256: `varying.template` with those varying as well; "" without any.
    """

    ADDED: ClassVar = frozenset({"settings", "suspected", "template_sha256"})

    sha256: str
    shown: str
    message: int
    in_block: bool = False
    tag: str = ""
    varying: tuple[Varying, ...] = ()
    copied_sha256: str = ""
    settings: dict[str, str] = msgspec.field(default_factory=dict)
    suspected: tuple[Varying, ...] = ()
    template_sha256: str = ""


class Proof(Document, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One migration as it ran.

    Attributes:
        tool: id of the tool's profile.
        name: of the migration, as the tool writes it down.
        checksum: as the tool writes it down; "" where it has none.
        environment, database: where it ran.
        server_version: of the Postgres, as in "17.2".
        identity: who ran it.
        statements: without the tool's bookkeeping.
        scope: what the two digests are of.
        before, after: schema digests, in hex.
        settings: those of `SETTINGS` as they were when the first statement came, by
            their names in lower case.
        in_transaction: its statements ran in one transaction; else each by itself.
        with_row: the row of history was written in that transaction, too.
        follows: id of the proof of the migration before it in the same transaction,
            between which nobody can look at the schema; then `before` is "", and so is
            the `after` of that one. "" for one that stands by itself.
        locks: taken on relations that were there before.
        duration_ms: of the whole.
        started_at, recorded_at, expires_at: aware times; no end for None.
        applied: of a baseline, what the tool's history table has; it says nothing of
            statements, and its `before` is its `after`.
        note: of a baseline, what the person said.
    """

    ADDED: ClassVar = frozenset({"in_transaction", "with_row"})

    v: Literal[1] = 1
    origin: Origin
    tool: str
    name: str
    checksum: str
    environment: str
    database: str
    server_version: str
    identity: str
    statements: tuple[ProvenStatement, ...]
    scope: Scope
    before: str
    after: str
    outcome: Outcome
    sqlstate: str = ""
    settings: dict[str, str] = msgspec.field(default_factory=dict)
    in_transaction: bool = False
    with_row: bool = False
    follows: str = ""
    locks: tuple[LockTaken, ...] = ()
    duration_ms: int
    started_at: Moment
    recorded_at: Moment
    expires_at: Moment | None = None
    applied: tuple[Applied, ...] = ()
    note: str = ""


class Approval(Document, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Somebody's yes to one proof, of which it names the whole by its hash.

    Attributes:
        varying: numbers, from 1, of the statements whose suspected values may differ.
        way_back: what this person says of it: "tried", or "none" where only a restore
            brings back what was; "" says nothing.
        way_back_script: of a tried one; "" where there is nothing to undo.
        way_back_loses: what goes with it that was written since, in words.
    """

    ADDED: ClassVar = frozenset(
        {"varying", "way_back", "way_back_script", "way_back_loses"}
    )

    v: Literal[1] = 1
    proof: str
    by: str
    environment: str
    at: Moment
    note: str = ""
    varying: tuple[int, ...] = ()
    way_back: Literal["", "tried", "none"] = ""
    way_back_script: str = ""
    way_back_loses: tuple[str, ...] = ()


class Revocation(Document, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Somebody's no, for good. Counts whoever signed it: a no does no harm."""

    v: Literal[1] = 1
    proof: str
    by: str
    at: Moment
    note: str = ""


class Used(StrEnum):
    """How far a use of a proof has come."""

    BEGUN = "begun"
    COMMITTING = "committing"
    """All of it has run, and may be committed from here on."""
    COMMITTED = "committed"
    ROLLED_BACK = "rolled back"
    PARTIAL = "partial"
    """It failed, and some of it stays: what is to be done, a person has to say."""


class Usage(Document, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One word on a run that a proof let pass. Unsigned: production has no key.

    Attributes:
        proof: its id.
        database: where, as it is called here.
        run: random, the same in all words on one run.
        step: how far it came.
        identity: whose run it is.
        at: when this was written down.
        settled_by: who says so, of a word on an end that nobody saw; "" for pgwarden.
        note: of such a word, what the person said.
    """

    ADDED: ClassVar = frozenset({"settled_by", "note"})

    v: Literal[1] = 1
    proof: str
    database: str
    run: str
    step: Used
    identity: str
    at: Moment
    settled_by: str = ""
    note: str = ""


def proven_statement(
    sent: Sent, now: datetime, *, message: int, in_block: bool = False
) -> ProvenStatement:
    """A statement as a proof has it, with what is suspected of varying.

    Args:
        sent: as it ran.
        now: when, an aware time.
        message: number of the client's message, from 1.
        in_block: whether it ran in a transaction that BEGIN had opened.

    Raises:
        StatementError: it can't be proven.
    """
    found = suspected(sent, now)
    return ProvenStatement(
        sha256=fingerprint(sent),
        shown=shown(sent.text),
        message=message,
        in_block=in_block,
        suspected=found,
        template_sha256=template(sent, found) if found else "",
    )


def fits(proven: ProvenStatement, sent: Sent, *, may_vary: bool) -> bool:
    """Whether a statement is the one that was proven, by its text and its values.

    Args:
        proven: the statement.
        sent: the one that wants to pass.
        may_vary: whether those who approved let its suspected values differ:
            `Standing.varying` has its number.
    """
    try:
        found = template(sent, proven.varying) if proven.varying else fingerprint(sent)
        if found == proven.sha256:
            return True
        if not (may_vary and proven.suspected):
            return False
        both = (*proven.varying, *proven.suspected)
        return template(sent, both) == proven.template_sha256
    except StatementError:
        return False


def settings_that_differ(proof: Proof, now: Mapping[str, str]) -> list[str]:
    """Of `SETTINGS`, those that are not as they were; one unknown on one side counts.

    Args:
        proof: what was recorded.
        now: the same settings of the session that wants to follow it.
    """
    return [name for name in SETTINGS if proof.settings.get(name) != now.get(name)]


def shown(text: bytes) -> str:
    """The beginning of a statement for people, as the audit log would record it."""
    recorded = analyse(text).recorded_text
    if len(recorded) <= SHOWN_LENGTH:
        return recorded
    return f"{recorded[:SHOWN_LENGTH]} ..."


def sign_proof(proof: Proof, key: SigningKey) -> Signed:
    """Sign what was recorded."""
    return sign(PROOF, proof, key_id=key.id, key=key.private)


def sign_approval(approval: Approval, key: SigningKey) -> Signed:
    """Sign a yes."""
    return sign(APPROVAL, approval, key_id=key.id, key=key.private)


def read_proof(signed: Signed) -> Proof:
    """What a document says, if it is a proof; whether to believe it is `standing`'s.

    Raises:
        ConfigError: it is none.
    """
    return opened(signed, PROOF, Proof)


def read_approval(signed: Signed) -> Approval:
    """The same of an approval."""
    return opened(signed, APPROVAL, Approval)


def read_revocation(signed: Signed) -> Revocation:
    """The same of a revocation."""
    return opened(signed, REVOCATION, Revocation)


def read_usage(signed: Signed) -> Usage:
    """The same of a use."""
    return opened(signed, USE, Usage)


def is_spent(uses: Iterable[Usage], database: str) -> bool:
    """Whether a proof has been used in this database, so that it lets nothing pass.

    A migration that only changes data leaves the schema as it was, and would else pass
    again and again. Only a run that was rolled back as a whole leaves it unspent; one
    that has not ended, or whose end nobody saw, does not.
    """
    steps: dict[str, set[Used]] = {}
    for use in uses:
        if use.database == database:
            steps.setdefault(use.run, set()).add(use.step)
    ended = {Used.BEGUN, Used.COMMITTING, Used.ROLLED_BACK}
    return any(
        Used.ROLLED_BACK not in its or not its <= ended for its in steps.values()
    )
