"""What the gatekeeper says no with, and what it asks of a message. Pure.

Next: `proxy.server.migrating.gatekeeper`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import structs

from proxy.errors import DENIED, GATE_UNSATISFIED, QUERY_CANCELED, PgwardenError
from proxy.migrations.course import FAILED
from proxy.migrations.follower import NOT_PROVEN
from proxy.migrations.following import Progress, Unproven
from proxy.migrations.profile_reading import Happening
from proxy.policy.decision import Decision
from proxy.policy.patterns import Pattern
from proxy.server.migrating.choice import wanted_of

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

    from proxy.migrations.course import Looked
    from proxy.migrations.following import Followed
    from proxy.server.link import Link
    from proxy.server.migrating.ground import Worthless
    from proxy.session.judge import Judged
    from proxy.session.names import Bound
    from proxy.session.session import Session

DRIFT: Final = "migration.drift"
CANCELLED: Final = "migration.cancelled"
AMID: Final = Unproven(
    NOT_PROVEN,
    "a migration begins in the middle of a pipeline, where the schema can't be looked "
    "at",
    "Send a Sync before its first statement.",
)
MIXED: Final = Unproven(
    "migration.uncertain",
    "what handles the transaction stands between changes in one message",
    "Send BEGIN, COMMIT and ROLLBACK by themselves.",
)
SEVERAL: Final = Unproven(
    "migration.uncertain",
    "one message has several migrations, between which nobody can look at the schema",
    "Send each by itself.",
)
UNSEEN: Final = Unproven(
    "migration.uncertain",
    "what a migration has done is looked at before it is committed",
    "Send COMMIT by itself, behind the answer to the row of history.",
)
UNCERTAIN: Final = Unproven(
    "migration.uncertain",
    "a part of a migration may have been rolled back in this transaction",
    "ROLLBACK, and run the migration again.",
)


class Commands:
    """The commands that a role may run although they only write history."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def __contains__(self, command: object) -> bool:
        wanted = wanted_of(self._link)
        if wanted is None or not isinstance(command, str):
            return False
        return Pattern(list(wanted.commands)).matches(command)


def fails_anyway(session: Session, looked: Looked, portal: Bound | None) -> bool:
    """Postgres says itself that the transaction has failed: nothing gets past that."""
    return (
        session.status == FAILED
        and portal is None
        and not session.in_segment
        and len(looked.pieces) == 1
    )


def refused(judged: Judged, why: Unproven) -> Judged:
    """The same text, refused for what the follower says."""
    return judged.refused_by(
        Decision(
            allowed=False,
            rule=why.rule,
            reason=why.reason,
            sqlstate=DENIED,
            hint=why.hint,
            quarantines=judged.decision.quarantines,
            kind=judged.kind,
        )
    )


def worthless_that_fits(
    looked: Looked, worthless: Sequence[Worthless]
) -> Worthless | None:
    """A proof that this would follow, if it counted."""
    named = {event.name for r in looked.readings for event in r.events}
    for each in reversed(worthless):
        found = each.candidate
        if found.name in named:
            return each
        first = looked.pieces[0] if looked.pieces else None
        if first is not None and found.length and found.fits(0, first):
            return each
    return None


def told_of(worthless: Worthless | None, why: Unproven) -> Unproven:
    """The same, with why the proof does not count that it has."""
    if worthless is None or why.rule != NOT_PROVEN:
        return why
    found = worthless.candidate
    return Unproven(
        why.rule,
        f'migration "{found.name}" has a proof, {found.id[:12]}, which does not '
        f"count here: {worthless.why}",
        f"pgwarden migration show {found.id[:12]}",
    )


def is_of_proof(before: Progress, looked: Looked, followed: Followed) -> bool:
    """Whether a proof has a part in a message; else only the rules have."""
    after = followed.progress
    is_act = any(
        event.happening in {Happening.ACT, Happening.REVERTED}
        for reading in looked.readings
        for event in reading.events
    )
    is_run = before.is_running or after.is_running or bool(followed.begins)
    return is_run or is_act or after.ended != before.ended


def has_several(before: Progress, followed: Followed) -> bool:
    """Whether a migration begins in a message that has another one as well."""
    after = followed.progress
    ended = len(after.ended) - len(before.ended)
    return bool(followed.begins) and before.is_running + ended + after.is_running > 1


def surviving(followed: Followed) -> frozenset[str]:
    """The proofs that this begins and that fit all of it: no other may open it."""
    fitting = {c.proof.id for c in followed.progress.cursors}
    fitting |= {each.id for each in followed.progress.ended}
    return frozenset(each.id for each in followed.begins if each.id in fitting)


def narrowed(progress: Progress, kept: Container[str]) -> Progress:
    """Only what the gates let through is followed on."""
    cursors = tuple(c for c in progress.cursors if c.proof.id in kept)
    return structs.replace(progress, cursors=cursors)


def unavailable(error: PgwardenError, kind: str) -> Decision:
    """What has to be looked at can't be."""
    return Decision(
        allowed=False,
        rule="migration.unavailable",
        reason=error.message,
        sqlstate=GATE_UNSATISFIED,
        hint=error.hint or "try again; tell whoever runs pgwarden if it goes on",
        kind=kind,
    )


def cancelled(kind: str) -> Decision:
    """The client did not want to wait."""
    return Decision(
        allowed=False,
        rule=CANCELLED,
        reason="canceling statement due to user request",
        sqlstate=QUERY_CANCELED,
        kind=kind,
    )
