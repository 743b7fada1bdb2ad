"""Each step of a loan, and every way to take one that is not allowed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from proxy.access.grant import ID_FORM, Actor, Grant, State, id_of
from proxy.access.lending import (
    approve,
    deny,
    lapse,
    request,
    review,
    revoke,
    still_lent,
)
from proxy.access.said import AccessRefused, checked_id
from proxy.policy.model import Lendable

if TYPE_CHECKING:
    from collections.abc import Callable

NOW = datetime(2026, 11, 26, 16, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
LENT = {
    "writer": Lendable(
        requesters=["developer", "lead"], approvers=["lead"], longest="2h"
    )
}
TWO = {"writer": LENT["writer"].model_copy(update={"approvals": 2})}
DEV = Actor("dev", "developer")
LEA = Actor("lea", "lead")
LEO = Actor("leo", "lead")
REASON = "INC-42: fix order 17"
ID = "G-7K3QX2MA"


class Roster(dict[str, str]):
    def role_of(self, name: str) -> str | None:
        return self.get(name)


ALL = Roster(dev="developer", lea="lead", leo="lead")


def asked(actor: Actor = DEV, **change: Any) -> Grant:
    settings: dict[str, Any] = {
        "length": "30m",
        "reason": REASON,
        "new_id": ID,
        "now": NOW,
        "live": (),
    } | change
    lent = settings.pop("lent", LENT)
    return request(lent, actor, settings.pop("role", "writer"), **settings)


def approved(grant: Grant, actor: Actor = LEA, **change: Any) -> Grant:
    settings: dict[str, Any] = {"now": NOW, "live": (), "roster": ALL} | change
    return approve(settings.pop("lent", LENT), grant, actor, **settings)


def refused(step: Callable[[], object]) -> str:
    with pytest.raises(AccessRefused) as caught:
        step()
    assert caught.value.message
    return caught.value.rule.removeprefix("access.")


# --- the way as it should be --------------------------------------------------


def test_from_request_to_review() -> None:
    grant = asked()
    assert (grant.state, grant.length_s) == (State.PENDING, 1800)
    grant = approved(grant, now=NOW + MINUTE)
    assert grant.state is State.ACTIVE
    assert grant.ends_at == NOW + 31 * MINUTE
    assert not grant.is_unreviewed
    over = lapse(grant, NOW + 31 * MINUTE)
    assert (over.state, over.closed_by) == (State.ENDED, "")
    assert over.is_unreviewed
    done = review(LENT, over, LEA, note="one row, as said", now=NOW + 40 * MINUTE)
    assert (done.reviewed_by, done.is_unreviewed) == ("lea", False)


def test_two_have_to_say_yes() -> None:
    first = approved(asked(lent=TWO), lent=TWO)
    assert first.state is State.PENDING
    assert refused(lambda: approved(first, lent=TWO)) == "approved-twice"
    assert approved(first, LEO, lent=TWO).state is State.ACTIVE


def test_the_yes_of_who_is_gone_does_not_count() -> None:
    first = approved(asked(lent=TWO), lent=TWO)
    gone = Roster(dev="developer", leo="lead")
    assert approved(first, LEO, lent=TWO, roster=gone).state is State.PENDING
    moved = Roster(dev="developer", lea="developer", leo="lead")
    assert approved(first, LEO, lent=TWO, roster=moved).state is State.PENDING


# --- four eyes ----------------------------------------------------------------


def test_nobody_decides_on_their_own() -> None:
    own = asked(LEA)
    assert refused(lambda: approved(own, LEA)) == "own-request"
    assert refused(lambda: deny(LENT, own, LEA, note="", now=NOW)) == "own-request"
    assert approved(own, LEO).state is State.ACTIVE
    # Another role makes nobody another person.
    assert refused(lambda: approved(asked(), Actor("dev", "lead"))) == "own-request"


def test_who_may_not_approve() -> None:
    grant = asked()
    other = Actor("eve", "developer")
    assert refused(lambda: approved(grant, other)) == "not-an-approver"
    assert refused(lambda: approved(grant, Actor("w", "writer"))) == "not-an-approver"
    assert refused(lambda: deny(LENT, grant, other, note="", now=NOW)) == (
        "not-an-approver"
    )


def test_who_may_not_review() -> None:
    over = lapse(approved(asked(LEA), LEO), NOW + 31 * MINUTE)
    later = {"note": "looked at it all", "now": NOW + 40 * MINUTE}

    def by(actor: Actor) -> str:
        return refused(lambda: review(LENT, over, actor, **later))  # type: ignore[arg-type]

    assert by(LEA) == "own-request"
    assert by(DEV) == "not-a-reviewer"
    running = approved(asked(), LEA, now=NOW + 30 * MINUTE)
    assert refused(lambda: review(LENT, running, LEO, **later)) == "not-to-review"  # type: ignore[arg-type]
    done = review(LENT, over, LEO, **later)  # type: ignore[arg-type]
    assert refused(lambda: review(LENT, done, LEO, **later)) == "not-to-review"  # type: ignore[arg-type]


# --- what can't be asked for --------------------------------------------------


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"role": "migrator"}, "not-lendable"),
        ({"role": "w" * 10_000}, "not-lendable"),
        ({"lent": {}}, "not-lendable"),
        ({"actor": Actor("dep", "migrator")}, "not-a-requester"),
        ({"length": "3h"}, "length"),
        ({"length": "4s"}, "length"),
        ({"length": "99999h"}, "length"),
        ({"length": "half an hour"}, "length"),
        ({"reason": ""}, "reason"),
        ({"reason": "INC-42"}, "reason"),
        ({"reason": "       x       "}, "reason"),
        ({"reason": "x" * 501}, "reason"),
        ({"reason": "INC-42: one\nINC-43: two"}, "reason"),
        ({"reason": "INC-42: \x1b[2J all fine"}, "reason"),
        ({"reason": "INC-42: \u202eenil eno"}, "reason"),
    ],
)
def test_requests_that_are_refused(change: dict[str, Any], rule: str) -> None:
    actor = change.pop("actor", DEV)
    assert refused(lambda: asked(actor, **change)) == rule


def test_no_flood_of_requests() -> None:
    waiting = [replace(asked(), id=id_of(number)) for number in range(3)]
    assert refused(lambda: asked(live=waiting)) == "too-many-requests"
    others = [replace(each, identity="eve") for each in waiting]
    assert asked(live=others).state is State.PENDING


def test_one_loan_at_a_time() -> None:
    running = approved(asked())
    assert refused(lambda: asked(live=[running])) == "one-at-a-time"
    second = replace(asked(), id=id_of(2))
    assert refused(lambda: approved(second, live=[running])) == "one-at-a-time"


# --- too late -----------------------------------------------------------------


@pytest.mark.parametrize(
    "state",
    [State.DENIED, State.EXPIRED, State.WITHDRAWN, State.ENDED, State.REVOKED],
)
def test_what_is_over_stays_over(state: State) -> None:
    grant = replace(approved(asked()), state=state)
    assert refused(lambda: approved(grant)) == "too-late"
    assert refused(lambda: deny(LENT, grant, LEA, note="", now=NOW)) == "too-late"
    assert refused(lambda: revoke(LENT, grant, DEV, note="", now=NOW)) == "too-late"
    assert lapse(grant, NOW + 500 * MINUTE) == grant


def test_a_request_that_waited_too_long() -> None:
    grant = asked()
    assert refused(lambda: approved(grant, now=NOW + 60 * MINUTE)) == "too-late"
    assert approved(grant, now=NOW + 59 * MINUTE).state is State.ACTIVE
    assert lapse(grant, NOW + 60 * MINUTE).state is State.EXPIRED


def test_an_approved_one_is_not_approved_or_denied_again() -> None:
    running = approved(asked())
    assert refused(lambda: approved(running, LEO)) == "too-late"
    assert refused(lambda: deny(LENT, running, LEO, note="", now=NOW)) == "too-late"


def test_the_policy_at_the_time_of_the_yes_counts() -> None:
    grant = asked()
    short = {"writer": LENT["writer"].model_copy(update={"longest": "10m"})}
    assert refused(lambda: approved(grant, lent=short)) == "length"
    assert refused(lambda: approved(grant, lent={})) == "not-lendable"
    fired = Roster(lea="lead")
    assert refused(lambda: approved(grant, roster=fired)) == "not-a-requester"
    moved = Roster(dev="migrator", lea="lead")
    assert refused(lambda: approved(grant, roster=moved)) == "not-a-requester"


# --- giving back --------------------------------------------------------------


def test_who_may_end_it_early() -> None:
    running = approved(asked(), LEA)
    for actor in (DEV, LEA, LEO):
        ended = revoke(LENT, running, actor, note="done", now=NOW + MINUTE)
        assert (ended.state, ended.closed_by) == (State.REVOKED, actor.name)
        assert ended.is_unreviewed
    eve = Actor("eve", "developer")
    assert refused(lambda: revoke(LENT, running, eve, note="", now=NOW)) == (
        "not-an-approver"
    )
    # Also of a role that is not lent any more.
    assert revoke({}, running, DEV, note="", now=NOW).state is State.REVOKED


def test_a_request_can_be_taken_back() -> None:
    assert revoke(LENT, asked(), DEV, note="", now=NOW).state is State.WITHDRAWN
    assert refused(lambda: revoke(LENT, asked(), LEA, note="", now=NOW)) == "not-yours"


# --- in use -------------------------------------------------------------------


def test_while_it_is_lent() -> None:
    running = approved(asked())
    assert still_lent(LENT, running, "developer", NOW + 29 * MINUTE)
    assert not still_lent(LENT, running, "developer", NOW + 30 * MINUTE)
    assert not still_lent(LENT, running, "lead", NOW)
    assert not still_lent(LENT, running, None, NOW)
    assert not still_lent({}, running, "developer", NOW)
    assert not still_lent(LENT, asked(), "developer", NOW)


# --- ids ----------------------------------------------------------------------


def test_ids() -> None:
    for number in (0, 1, 2**40 - 1, 2**63):
        assert ID_FORM.fullmatch(id_of(number))
    assert checked_id(" g-7k3qx2ma ") == ID


@pytest.mark.parametrize("text", ["", "G-", "7K3QX2MA", "G-7K3QX2MA'--", "G-OOOOOOOO"])
def test_what_is_no_id(text: str) -> None:
    assert refused(lambda: checked_id(text)) == "unknown-request"
