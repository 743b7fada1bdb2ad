"""What pgwarden answers itself, by having Postgres say it.

`SHOW pgwarden.access` and `CALL pgwarden.approve(...)` are replaced by a SELECT of the
rows that are the answer, so that descriptions, transaction status and pipelines come
from Postgres as always. A command first acts, at the desk, while its message is held:
alone, as a simple query, with nothing unanswered and no transaction open, so that what
Postgres does next can't take it back. Pure.
Next: `proxy.access.statements`, `proxy.server.desk`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from proxy.access.statements import COMMAND, not_extended, own_effect
from proxy.audit.judged import judged_fragment
from proxy.errors import (
    ACTIVE_TRANSACTION,
    GATE_UNSATISFIED,
    UNDEFINED_PREPARED_STATEMENT,
)
from proxy.policy.decision import Decision
from proxy.session.expected import OWED_QUERY, Expected
from proxy.session.owing import expect, send
from proxy.session.rate import within_rate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from proxy.session.judge import Judged
    from proxy.session.session import Session

HOLD: Final = b"hold"
"""Sentinel, compared by identity: wait before handling this message."""

_IDLE: Final = ord("I")
_OWN_UNDER: Final = "own:"


class Rows(NamedTuple):
    """An answer.

    Attributes:
        name: what the row set is called.
        columns: name and type of each column, the types of pg_catalog.
        rows: the values, as Postgres reads them; None for NULL.
    """

    name: str
    columns: Sequence[tuple[str, str]]
    rows: Sequence[Sequence[str | None]]


class Desk(Protocol):
    """Where a session's own statements are carried out.

    Attributes:
        answer: of the command that was given in, once it is there.
        is_busy: a command was given in, and its answer not taken yet.
    """

    answer: Rows | Decision | None
    is_busy: bool

    @property
    def version(self) -> int:
        """Another one whenever a view may say something else."""

    def ask(self, name: str, args: tuple[str, ...], kind: str) -> None:
        """Begin a command; the session is resumed when `answer` is there."""

    def view(self, name: str) -> Rows:
        """What a view shows now."""


def is_own(judged: Judged) -> bool:
    """Whether the text is a statement of pgwarden's own, and nothing else."""
    return own_effect(judged.statements) is not None


def on_own_query(session: Session, judged: Judged, start: int) -> bytes:
    """Answer, refuse or hold a Query; it begins at `start` of what was received."""
    desk = session.desk
    answer: Rows | Decision | None
    if desk is not None and desk.is_busy:
        answer = desk.answer
        if answer is not None:
            desk.answer, desk.is_busy = None, False
    elif not judged.decision.allowed:
        answer = judged.decision
    elif desk is None:
        answer = _no_desk(judged)
    else:
        answer = _asked(session, judged, desk)
    if answer is None:
        return HOLD
    session.in_segment = False
    session.segment += 1
    if isinstance(answer, Decision):
        return _refuse(session, judged, answer)
    return _forward(session, judged, query_message(answer), start)


def _asked(session: Session, judged: Judged, desk: Desk) -> Rows | Decision | None:
    """The answer to a statement that is new here; None while it is awaited."""
    effect = own_effect(judged.statements)
    if effect is None or effect.name is None:
        return _no_desk(judged)
    if effect.verb == COMMAND:
        if session.queue and _answers_come(session):
            return None
        untimely = _untimely(session, judged)
        if untimely is not None:
            return untimely
    limited = within_rate(session, judged).decision
    if not limited.allowed:
        return limited
    if effect.verb != COMMAND:
        return desk.view(effect.name)
    desk.ask(effect.name, effect.args or (), judged.kind)
    return None


def _refuse(session: Session, judged: Judged, decision: Decision) -> bytes:
    fragment = judged.fragment
    if decision is not judged.decision:
        fragment = judged_fragment(
            judged.analysis, decision, policy=session.judge.version
        )
    refusal = session.refuse(decision, fragment, "query")
    expect(session, Expected(OWED_QUERY, refusal=refusal))
    return refusal.as_query()


def _forward(session: Session, judged: Judged, instead: bytes, start: int) -> bytes:
    """Send `instead` in the place of the recorded message."""
    expected = session.allow(judged, "query", start, start)
    execution = expected.execution
    if execution is not None:
        # Where the stand-in will lie, should its record not be written: a piece of its
        # own, behind what came before it in what was received.
        execution.piece = len(session.to_backend) + (1 if session.run < start else 0)
        execution.start, execution.end = 0, len(instead)
    send(session, judged, expected, renames=False)
    session.segment += 1
    return instead


def _answers_come(session: Session) -> bool:
    """Whether what is unanswered will be, whatever the client does next."""
    return not (
        session.in_segment
        or session.in_doubt
        or session.copying_in
        or session.reading_copy
    )


def _untimely(session: Session, judged: Judged) -> Decision | None:
    """Why a command can't act just now."""
    if (
        session.status == _IDLE
        and not session.in_segment
        and not session.skipping
        and not session.queue
    ):
        return None
    return Decision(
        allowed=False,
        rule="access.in-transaction",
        reason="a command of pgwarden's can't run in a transaction, which could not "
        "take it back",
        sqlstate=ACTIVE_TRANSACTION,
        hint="COMMIT or ROLLBACK first",
        kind=judged.kind,
    )


def _no_desk(judged: Judged) -> Decision:
    return Decision(
        allowed=False,
        rule="access.off",
        reason="no role is lent here: this pgwarden has no store",
        sqlstate=GATE_UNSATISFIED,
        hint='its operator names one in the settings, under "store"',
        kind=judged.kind,
    )


# --- prepared ----------------------------------------------------------------


def prepared_own(
    session: Session, judged: Judged, name: bytes, tail: bytes
) -> tuple[Judged, bytes | None]:
    """The verdict on a Parse, and what is sent instead, if anything is.

    A view is prepared with the rows that it has now, under the same name. `tail` is
    what follows the text: its NUL and the types of parameters.
    """
    effect = own_effect(judged.statements)
    desk = session.desk
    if not judged.decision.allowed or effect is None:
        return judged, None
    if effect.verb == COMMAND:
        return judged.refused_by(not_extended(judged.kind)), None
    if desk is None:
        return judged.refused_by(_no_desk(judged)), None
    body = name + b"\0" + _sql(desk.view(effect.name or "")) + tail
    message = b"P" + (len(body) + 4).to_bytes(4, "big") + body
    return judged.standing_under(f"{_OWN_UNDER}{desk.version}"), message


def judged_again(session: Session, judged: Judged) -> Judged:
    """The verdict on a prepared text that was judged under something else.

    A view that was prepared with rows which are no longer true is refused as if it were
    not there: drivers that keep statements prepare it anew.
    """
    if not judged.renames or not is_own(judged):
        return session.verdict(judged.text)
    now = session.verdict(judged.text)
    desk = session.desk
    if not now.decision.allowed or desk is None:
        return now if desk is not None else now.refused_by(_no_desk(now))
    if judged.under == f"{_OWN_UNDER}{desk.version}":
        return judged
    return now.refused_by(
        Decision(
            allowed=False,
            rule="access.outdated",
            reason="what this prepared statement would show is no longer true",
            sqlstate=UNDEFINED_PREPARED_STATEMENT,
            hint="prepare it anew",
            kind=now.kind,
        )
    )


# --- the rows as SQL ---------------------------------------------------------


def query_message(rows: Rows) -> bytes:
    """A Query whose answer is these rows."""
    text = _sql(rows) + b"\0"
    return b"Q" + (len(text) + 4).to_bytes(4, "big") + text


def _sql(rows: Rows) -> bytes:
    # In quotes, as a word of ours may be one of the grammar's; none holds a quote.
    names = ", ".join(f'"{name}"' for name, _ in rows.columns)
    types = [type_ for _, type_ in rows.columns]
    # A row that is never shown gives the columns their types, and says NULL for none.
    nothing: list[str | None] = [None] * len(types)
    values = ", ".join(
        "(" + ", ".join(map(_literal, row, types)) + ")"
        for row in [nothing, *rows.rows]
    )
    shown = f"SELECT {names} FROM (VALUES {values})"  # noqa: S608 - see `_literal`
    return f'{shown} AS "{rows.name}"({names}) OFFSET 1'.encode()


def _literal(value: str | None, type_: str) -> str:
    """A value that ends where it ends, whatever is in it.

    A backslash means itself or an escape, by a setting of the session; in E'' it means
    one thing only.
    """
    if value is None:
        return f"NULL::pg_catalog.{type_}"
    quoted = value.replace("\0", "").replace("'", "''")
    if "\\" in quoted:
        escaped = quoted.replace("\\", "\\\\")
        return f"E'{escaped}'::pg_catalog.{type_}"
    return f"'{quoted}'::pg_catalog.{type_}"
