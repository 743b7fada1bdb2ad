"""One session of the log, judged again statement by statement.

A verdict may depend on what came before: quarantine, PREPARE and EXECUTE, cursors. The
session is followed under the candidate policy as the wire would follow it, with what
the log says Postgres made of each statement. Where the log does not hold what a verdict
needs, the answer is `UNKNOWN` and never a guess.
Next: `proxy.replay.names` and `proxy.replay.verdicts`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from proxy.policy.refusals import QUARANTINE
from proxy.replay.names import Names
from proxy.sql.redact import HIDDEN

if TYPE_CHECKING:
    from proxy.replay.records import Record
    from proxy.replay.verdicts import Verdict, Verdicts
    from proxy.session.judge import Judged
    from proxy.sql.facts import Facts


class Change(StrEnum):
    """What the candidate policy would change about a statement."""

    NONE = "same"
    REFUSED = "newly refused"
    ALLOWED = "newly allowed"
    UNKNOWN = "not replayable"


class Answer(Struct, frozen=True):
    """What becomes of a statement.

    Attributes:
        change: whether it is another decision than the recorded one.
        rule: the rule that decides now; "" where that is unknown.
        reason: of the decision, or why there is none.
        statements: the facts judged, where the verdicts keep them.
    """

    change: Change
    rule: str
    reason: str = ""
    statements: tuple[Facts, ...] = ()


REDACTED: Final = "redacted: a secret was taken out of the text"
TRUNCATED: Final = "truncated: the text is longer than the log keeps"
ESCAPED: Final = "escaped: the text is not UTF-8"
NO_TEXT: Final = "no text: it names what a refused message would have prepared"
UNSEEN_NAME: Final = "unseen name: it runs a prepared statement that is not in the log"

UNPREPARED: Final = "session.unknown-prepared-statement"
OWN_REFUSALS: Final = frozenset(
    {
        "audit.unavailable",
        "limit.names",
        "limit.statement-size",
        "limits.statements-per-minute",
        "protocol.function-call",
        "session.fetch-of-portal",
        "session.reserved-name",
    }
)
"""Rules that refuse whatever the policy says: pgwarden's own."""
ACCESS: Final = "access."
"""Rules of what pgwarden answers itself begin so. They hang on who has asked for what
by then, which no log of statements holds."""


def is_own_refusal(rule: str) -> bool:
    """Whether a rule refuses whatever the policy says."""
    return rule in OWN_REFUSALS or rule.startswith(ACCESS)


class Session:
    """A session's state under the candidate policy."""

    def __init__(self, verdicts: Verdicts, *, is_whole: bool) -> None:
        """`is_whole` says that the log holds the session from its start."""
        self._verdicts = verdicts
        self._is_whole = is_whole
        self._is_quarantined = False
        self._has_moved = False
        self._names = Names(verdicts)

    @property
    def awaits_outcome(self) -> bool:
        """Whether some outcome still decides what a name stands for."""
        return self._names.awaits_outcome

    def follow(self, verdicts: Verdicts) -> None:
        """Judge by these from now on: the situation is another."""
        self._has_moved |= verdicts is not self._verdicts
        self._verdicts = verdicts

    def outcome(self, record: Record) -> None:
        """Take an outcome record: what Postgres made of a statement."""
        self._names.settle(record.audit_id, is_ok=record.status == "ok")

    def statement(self, record: Record) -> Answer:
        """Judge a statement record again."""
        if record.rule == QUARANTINE and not self._is_whole:
            self._be_as_recorded(is_quarantined=True)  # by what came before the log
        if record.trouble:
            return Answer(Change.NONE, record.rule)
        if not record.text and not record.is_allowed:
            return self._without_text(record)
        reason = _why_not_exact(record)
        if reason:
            return self._unknown(record, reason)
        verdict = self._verdicts.of(
            record.text, quarantined=self._is_quarantined, prepared=self._names
        )
        judged = verdict.judged
        if judged is not None and verdict.touches_names:
            return self._with_names(record, verdict, judged)
        answer = self._answer(record, verdict)
        if record.message != "query":
            self._names.bind(record, is_allowed=verdict.allowed)
        return answer

    def _with_names(self, record: Record, verdict: Verdict, judged: Judged) -> Answer:
        names = self._names
        if judged.executes:
            if record.rule == UNPREPARED and not names.are_added(judged):
                return Answer(Change.NONE, UNPREPARED)
            if verdict.rule == UNPREPARED and names.are_unseen(judged):
                return self._unknown(record, UNSEEN_NAME)
        if verdict.allowed and (self._is_quarantined or self._has_moved):
            verdict = self._unfit_cursor(judged) or verdict
        answer = self._answer(record, verdict)
        if record.message != "query":
            names.bind(record, is_allowed=verdict.allowed)
        if not is_own_refusal(record.rule) and not names.is_body_only(record):
            names.rename(record, judged, is_allowed=verdict.allowed)
        return answer

    def _answer(self, record: Record, verdict: Verdict) -> Answer:
        self._is_quarantined |= verdict.quarantines
        if record.is_allowed == verdict.allowed or (
            not record.is_allowed and is_own_refusal(record.rule)
        ):
            change = Change.NONE
        else:
            change = Change.ALLOWED if verdict.allowed else Change.REFUSED
        statements = verdict.judged.statements if verdict.judged is not None else ()
        return Answer(change, verdict.rule, verdict.reason, statements)

    def _unknown(self, record: Record, reason: str) -> Answer:
        """It is taken to do to its session what it did."""
        self._be_as_recorded(is_quarantined=record.quarantines)
        return Answer(Change.UNKNOWN, "", reason)

    def _be_as_recorded(self, *, is_quarantined: bool) -> None:
        """Take the quarantine from the log, if the candidate knows such a thing."""
        self._is_quarantined |= is_quarantined and self._verdicts.may_quarantine

    def _without_text(self, record: Record) -> Answer:
        """A refusal of pgwarden's own, by a name or a length."""
        if not is_own_refusal(record.rule) and self._names.has_added:
            return self._unknown(record, NO_TEXT)
        return Answer(Change.NONE, record.rule)

    def _unfit_cursor(self, judged: Judged) -> Verdict | None:
        """Why a cursor may not be fetched from by now, or None."""
        quarantined = self._is_quarantined
        for text in self._names.fetched_texts(judged):
            verdict = self._verdicts.of(
                text, quarantined=quarantined, prepared=self._names
            )
            if not verdict.allowed:
                return verdict
        return None


def _why_not_exact(record: Record) -> str:
    """Why the recorded text is not the text that was judged, "" where it is."""
    if record.text_length:
        return TRUNCATED
    if record.text_escaped:
        return ESCAPED
    return REDACTED if HIDDEN in record.text else ""
