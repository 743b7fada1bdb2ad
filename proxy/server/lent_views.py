"""What `SHOW pgwarden.access` and its like show, as rows.

Next: `proxy.session.own`, which has Postgres send them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxy.access.grant import Grant, State
from proxy.policy.durations import in_words
from proxy.session.own import Rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from proxy.access.grant import Actor
    from proxy.policy.model import Lendable
    from proxy.session.login_effects import LoginRequest

TEXT: Final = "text"
TIME: Final = "timestamptz"
_REQUEST: Final = (
    ("id", TEXT),
    ("state", TEXT),
    ("identity", TEXT),
    ("role", TEXT),
    ("length", TEXT),
    ("reason", TEXT),
    ("requested_at", TIME),
)
COLUMNS: Final = {
    "access": (
        *_REQUEST,
        ("approved_by", TEXT),
        ("until", TIME),
        ("closed_by", TEXT),
        ("note", TEXT),
        ("reviewed_by", TEXT),
        ("review", TEXT),
    ),
    "requests": (*_REQUEST, ("approved_by", TEXT), ("pending_until", TIME)),
    "unreviewed": (*_REQUEST, ("approved_by", TEXT), ("until", TIME)),
}


def view(
    name: str,
    found: Iterable[Grant],
    actor: Actor,
    lent: Mapping[str, Lendable],
    *,
    is_ascii: bool,
) -> Rows:
    """The rows of a view about requests, as far as this one may see them.

    Args:
        name: access, requests or unreviewed.
        found: all that are known, the newest first.
        actor: who looks.
        lent: the policy's section.
        is_ascii: the database can't hold every letter: spell out what is none of ASCII.
    """
    wanted = [each for each in found if _is_in(name, each) and sees(actor, each, lent)]
    columns = COLUMNS[name]
    return Rows(
        name, columns, [_row(each, columns, is_ascii=is_ascii) for each in wanted]
    )


def answer(grant: Grant, said: str, *, is_ascii: bool) -> Rows:
    """The one row that a command answers with."""
    values = [grant.id, str(grant.state), grant.identity, grant.role]
    return Rows(
        "access",
        [("id", TEXT), ("state", TEXT), ("identity", TEXT), ("role", TEXT),
         ("until", TIME), ("next", TEXT)],
        [[*[_text(each, is_ascii=is_ascii) for each in values], _time(grant.ends_at),
          said]],
    )  # fmt: skip


def session_view(request: LoginRequest, grant: Grant | None) -> Rows:
    """As whom a session acts."""
    return Rows(
        "session",
        [("identity", TEXT), ("role", TEXT), ("own_role", TEXT), ("grant", TEXT),
         ("until", TIME)],
        [[
            request.identity,
            request.role,
            request.own_role or request.role,
            request.grant or None,
            _time(grant.ends_at) if grant is not None else None,
        ]],
    )  # fmt: skip


def sees(actor: Actor, grant: Grant, lent: Mapping[str, Lendable]) -> bool:
    """Whether somebody may see a request: their own, or one to decide or review."""
    rules = lent.get(grant.role)
    if grant.identity == actor.name:
        return True
    return rules is not None and actor.role in {
        *rules.approvers,
        *(rules.reviewers or ()),
    }


def _is_in(name: str, grant: Grant) -> bool:
    if name == "requests":
        return grant.state is State.PENDING
    return name == "access" or grant.is_unreviewed


def _row(
    grant: Grant, columns: Iterable[tuple[str, str]], *, is_ascii: bool
) -> list[str | None]:
    until = grant.ends_at if grant.state is State.ACTIVE else None
    values: dict[str, str | None] = {
        "id": grant.id,
        "state": "reviewed" if grant.reviewed_at is not None else str(grant.state),
        "identity": grant.identity,
        "role": grant.role,
        "length": in_words(grant.length_s),
        "reason": grant.reason,
        "requested_at": _time(grant.requested_at),
        "approved_by": ", ".join(each.name for each in grant.approvals) or None,
        "until": _time(until or grant.closed_at),
        "pending_until": _time(grant.pending_until),
        "closed_by": grant.closed_by or None,
        "note": grant.note or None,
        "reviewed_by": grant.reviewed_by or None,
        "review": grant.review or None,
    }
    return [_text(values[name], is_ascii=is_ascii) for name, _ in columns]


def _time(at: datetime | None) -> str | None:
    """As every DateStyle reads it."""
    return None if at is None else at.isoformat(sep=" ", timespec="seconds")


def _text(value: str | None, *, is_ascii: bool) -> str | None:
    if value is None or not is_ascii:
        return value
    return value.encode("ascii", "backslashreplace").decode()
