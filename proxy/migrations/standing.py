"""What a proof is worth now, and here: its state, and each reason against it. Pure.

A proof counts only where all of it fits: every field and the signature, a key that was
valid for it, the environment and database that the settings take proofs from, its time,
its outcome, and the approvals. Anything that can't be read, or is of another time or
place, makes it worth nothing. Next: `proxy.migrations.ledger`, which finds it all.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Literal

from msgspec import structs

from proxy.errors import ConfigError
from proxy.migrations.proof import (
    PROOF,
    Approval,
    Outcome,
    Proof,
    read_approval,
    read_proof,
)
from proxy.migrations.signed import changed_fields, signature_fits

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from proxy.migrations.keys import KeyDocument, Use
    from proxy.migrations.proof import Usage
    from proxy.migrations.signed import Signed

AHEAD: Final = timedelta(minutes=5)
"""Clocks of two machines may differ by so much; what is dated later is not believed."""
_SHOWN_ID: Final = 12
"""As `ledger.SHOWN_ID`."""


class State(StrEnum):
    """Where a proof stands; only an approved one lets anything pass."""

    RECORDED = "recorded"
    """It is whole and believed, and lacks approvals, or did not commit."""
    APPROVED = "approved"
    EXPIRED = "expired"
    REVOKED = "revoked"
    UNTRUSTED = "untrusted"
    """It was changed, or its key, place or time do not count here."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where proofs may come from, and for which database here.

    Attributes:
        environment, database: where they were recorded.
        serves: the database here that they are good for.
    """

    environment: str
    database: str
    serves: str


@dataclass(frozen=True, slots=True)
class Trust:
    """What this pgwarden believes.

    Attributes:
        keys: the public keys.
        environment: what this one is called in proofs.
        sources: where proofs may come from; () for only here, each for the database of
            its own name.
        approvals: how many different people have to say yes; 0 for none.
        needs_way_back: one of those who say yes has to say how to take it back.
    """

    keys: KeyDocument
    environment: str
    sources: tuple[Source, ...] = ()
    approvals: int = 1
    needs_way_back: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """A proof in the ledger, and what was said of it since.

    Attributes:
        signed: the proof.
        approvals: documents that approve it.
        revocations: documents that revoke it; they need no signature.
        uses: what was written down of the runs here that it let pass.
    """

    signed: Signed
    approvals: tuple[Signed, ...] = ()
    revocations: tuple[Signed, ...] = ()
    uses: tuple[Usage, ...] = ()


@dataclass(frozen=True, slots=True)
class Standing:
    """What a proof is worth.

    Attributes:
        state: in a word.
        reasons: what is against it, each in words; () for an approved one.
        proof: what it says; None where it can't be believed to say anything.
        approvals: those that count, one of each person, with all the statements that
            this person lets vary, and the way back that they named last.
        serves: the databases here that it is good for.
        varying: numbers, from 1, of the statements whose suspected values may differ.
    """

    state: State
    reasons: tuple[str, ...]
    proof: Proof | None
    approvals: tuple[Approval, ...] = ()
    serves: tuple[str, ...] = ()
    varying: frozenset[int] = frozenset()

    @property
    def counts(self) -> bool:
        """Whether it lets its migration pass."""
        return self.state is State.APPROVED

    @property
    def way_back(self) -> Literal["", "tried", "none"]:
        """What those who approve say of it: a tried one counts more than none."""
        said = {each.way_back for each in self.approvals}
        if "tried" in said:
            return "tried"
        return "none" if "none" in said else ""


def standing(entry: Entry, trust: Trust, now: datetime) -> Standing:
    """What a proof is worth at this moment, which must be an aware one."""
    wrong = troubles(entry.signed, trust.keys)
    if not wrong and entry.signed.kind != PROOF:
        wrong = [f'it is a "{entry.signed.kind:.40}" and no proof']
    if wrong:
        return Standing(State.UNTRUSTED, tuple(wrong), None)
    proof = read_proof(entry.signed)
    serves = _serves(proof, trust)
    yes = tuple(_approvals(entry, proof, trust, now))
    untrusted = _misplaced(proof, trust, serves, now)
    if untrusted:
        return Standing(State.UNTRUSTED, tuple(untrusted), proof, yes)
    if entry.revocations:
        return Standing(State.REVOKED, ("it was revoked",), proof, yes, serves)
    if proof.expires_at is not None and now >= proof.expires_at:
        why = f"it expired at {proof.expires_at.isoformat()}"
        return Standing(State.EXPIRED, (why,), proof, yes, serves)
    reasons = []
    if proof.outcome is not Outcome.COMMITTED:
        reasons.append(f"its run ended as {proof.outcome}, not committed")
    lacks = trust.approvals - len(yes)
    if lacks > 0:
        reasons.append(f"it lacks {lacks} of {trust.approvals} approvals")
    if trust.needs_way_back and not any(each.way_back for each in yes):
        reasons.append(
            "nobody has said how to take it back: pgwarden migration approve "
            f"{entry.signed.id[:_SHOWN_ID]} --way-back PLAN.json, or --no-way-back"
        )
    if reasons:
        return Standing(State.RECORDED, tuple(reasons), proof, yes, serves)
    may = _varying(proof, yes, trust.approvals)
    return Standing(State.APPROVED, (), proof, yes, serves, may)


def troubles(signed: Signed, keys: KeyDocument) -> list[str]:
    """Why a document is not what somebody with a valid key signed; [] if it is."""
    key = keys.find(signed.key)
    if key is None:
        return [f'its key "{signed.key:.40}" is not among the public keys']
    changed = changed_fields(signed)
    if not signature_fits(signed, key.loaded()):
        # Who changes a field and its digest as well shows here only.
        where = ", ".join(f'"{name}"' for name in changed)
        also = f", and so were the fields {where}" if changed else ""
        return [f"its list of digests, or its signature, was changed{also}"]
    if changed:
        return [f'field "{name}" was changed' for name in changed]
    try:
        moment, use, environment = _claims(signed)
    except ConfigError as error:
        return [error.message]
    why = key.trouble_at(moment, use, environment)
    return [why] if why else []


def _claims(signed: Signed) -> tuple[datetime, Use, str]:
    if signed.kind == "approval":
        approval = read_approval(signed)
        return approval.at, "approve", approval.environment
    proof = read_proof(signed)
    return proof.recorded_at, "record", proof.environment


def _serves(proof: Proof, trust: Trust) -> tuple[str, ...]:
    if not trust.sources:
        return (proof.database,) if proof.environment == trust.environment else ()
    return tuple(
        sorted(
            each.serves
            for each in trust.sources
            if (each.environment, each.database) == (proof.environment, proof.database)
        )
    )


def _misplaced(
    proof: Proof, trust: Trust, serves: tuple[str, ...], now: datetime
) -> list[str]:
    wrong = []
    if not serves:
        known = [f'"{each.database}" of {each.environment}' for each in trust.sources]
        wrong.append(
            f'it is of database "{proof.database}" of {proof.environment}; here proofs '
            f"are taken of {', '.join(known) or f'{trust.environment} only'}"
        )
    if proof.recorded_at > now + AHEAD:
        at = proof.recorded_at.isoformat()
        wrong.append(f"it says that it was recorded at {at}, which is yet to come")
    return wrong


def _approvals(
    entry: Entry, proof: Proof, trust: Trust, now: datetime
) -> Sequence[Approval]:
    """Those that count, one of each person, never of who ran the migration."""
    found: dict[str, list[Approval]] = {}
    for signed in entry.approvals:
        if signed.kind != "approval" or troubles(signed, trust.keys):
            continue
        approval = read_approval(signed)
        if approval.proof != entry.signed.id or approval.by == proof.identity:
            continue
        if not proof.recorded_at <= approval.at <= now + AHEAD:
            continue
        found.setdefault(approval.by, []).append(approval)
    return [_of_one(said) for said in found.values()]


def _of_one(said: Sequence[Approval]) -> Approval:
    """All that one person has said: each statement that varies, the last way back."""
    back = max(
        said,
        key=lambda e: (bool(e.way_back), e.at, e.way_back, e.way_back_script),
    )
    return structs.replace(
        said[0],
        varying=tuple(sorted({number for each in said for number in each.varying})),
        way_back=back.way_back,
        way_back_script=back.way_back_script,
        way_back_loses=back.way_back_loses,
    )


def _varying(
    proof: Proof, approvals: Sequence[Approval], needed: int
) -> frozenset[int]:
    """Statements of which as many people as a proof needs said that they may vary.

    Letting values vary is the wider yes, so it needs as many as the yes itself: with
    two needed, one alone widens nothing. Who gave the narrower yes besides has not said
    no to it: a no is a revocation. The order in which approvals came, which nobody
    signs, changes nothing. Where nobody is asked, nothing varies.
    """
    said = Counter(number for each in approvals for number in set(each.varying))
    return frozenset(
        number
        for number, statement in enumerate(proof.statements, 1)
        if statement.suspected and 0 < needed <= said[number]
    )
