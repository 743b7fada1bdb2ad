"""What a proof is worth: each way to be worth nothing, and the one that counts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from proxy.migrations.keys import KeyDocument
from proxy.migrations.ledger import unsigned_revocation
from proxy.migrations.proof import Outcome, ProvenStatement, Revocation
from proxy.migrations.standing import Entry, Source, State, Trust, standing
from proxy.migrations.varying import Varying
from tests.unit.migrations.made import (
    DAY,
    KEYS,
    NOW,
    Pair,
    approval,
    entry,
    pair,
    recorded,
    trust,
)

if TYPE_CHECKING:
    from proxy.migrations.signed import Signed


def revocation(of: Signed) -> Signed:
    return unsigned_revocation(Revocation(proof=of.id, by="eve", at=NOW))


def test_the_one_that_counts() -> None:
    its = standing(entry(), trust(), NOW)
    assert its.state is State.APPROVED
    assert its.counts
    assert its.reasons == ()
    assert its.serves == ("shop",)
    assert [each.by for each in its.approvals] == ["ana"]


UNTRUSTED: list[tuple[str, Entry, Trust]] = [
    ("another database", entry(database="crm"), trust()),
    ("another environment", entry(environment="dev"), trust()),
    ("an unknown key", entry(pair(seed=2)), trust()),
    ("no key at all", entry(), trust(keys=KeyDocument(version=1))),
    ("a key of another environment", entry(), trust(pair("dev"))),
    ("a key that only approves", entry(), trust(pair(uses=("approve",)))),
    ("a distrusted key", entry(), trust(pair(distrusted=True))),
    ("a key retired before", entry(), trust(pair(retired_at=NOW - 2 * DAY))),
    ("a key not yet valid", entry(recorded_at=NOW - 101 * DAY), trust()),
    ("a key past its time", entry(), trust(pair(days=-2))),
    ("a clock ahead", entry(recorded_at=NOW + DAY), trust()),
    ("nowhere is believed", entry(), trust(sources=())),
    (
        "good for here, but not from there",
        entry(database="shop_staging"),
        trust(sources=(Source("staging", "shop", "shop_staging"),)),
    ),
    ("an approval in its place", Entry(approval(recorded())), trust()),
]


@pytest.mark.parametrize(
    ("proven", "believed"),
    [each[1:] for each in UNTRUSTED],
    ids=[each[0] for each in UNTRUSTED],
)
def test_it_is_not_believed(proven: Entry, believed: Trust) -> None:
    its = standing(proven, believed, NOW)
    assert its.state is State.UNTRUSTED or its.proof is None
    assert not its.counts
    assert its.reasons


@pytest.mark.parametrize("field", ["database", "statements", "before", "expires_at"])
def test_a_changed_field_is_named(field: str) -> None:
    good = entry()
    body = {**good.signed.body, field: None}
    changed = Entry(msgspec.structs.replace(good.signed, body=body), good.approvals)
    its = standing(changed, trust(), NOW)
    assert its.state is State.UNTRUSTED
    assert its.reasons == (f'field "{field}" was changed',)


def test_a_retired_key_keeps_what_it_signed_before() -> None:
    rotated = [pair(retired_at=NOW), pair(seed=2)]
    assert standing(entry(), trust(*rotated), NOW).counts
    new = entry(rotated[1], recorded_at=NOW - DAY)
    assert standing(new, trust(*rotated), NOW).counts


def test_it_expires_by_the_clock_whatever_its_zone() -> None:
    proven = entry(expires_at=NOW + DAY)
    east = timezone(timedelta(hours=9))
    assert standing(proven, trust(), (NOW + DAY / 2).astimezone(east)).counts
    for now in (NOW + DAY, NOW + 2 * DAY, (NOW + DAY).astimezone(east)):
        its = standing(proven, trust(), now)
        assert its.state is State.EXPIRED
        assert not its.counts
    assert standing(entry(expires_at=None), trust(), NOW + 300 * DAY).counts


def test_a_clock_that_was_set_back_brings_no_proof_of_tomorrow() -> None:
    early = NOW - 3 * DAY
    assert standing(entry(), trust(), early).state is State.UNTRUSTED
    assert standing(entry(), trust(), NOW - DAY - timedelta(minutes=4)).reasons


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.PARTIAL])
def test_only_what_committed_counts(outcome: Outcome) -> None:
    its = standing(entry(outcome=outcome), trust(), NOW)
    assert its.state is State.RECORDED
    assert "not committed" in its.reasons[0]


def test_a_revocation_is_for_good_whoever_signed_it() -> None:
    good = entry()
    revoked = Entry(good.signed, good.approvals, (revocation(good.signed),))
    assert standing(revoked, trust(), NOW).state is State.REVOKED


NOT_APPROVALS: list[tuple[str, dict[str, Any], Pair]] = [
    ("of another proof", {"proof": "0" * 64}, KEYS),
    ("of who ran it", {"by": "deploy"}, KEYS),
    ("of a key that records", {}, pair(uses=("record",))),
    ("of an unknown key", {}, pair(seed=3)),
    ("of another environment's key", {"environment": "dev"}, KEYS),
    ("before the proof", {"at": NOW - 2 * DAY}, KEYS),
    ("of tomorrow", {"at": NOW + DAY}, KEYS),
]


@pytest.mark.parametrize(
    ("changed", "key"),
    [each[1:] for each in NOT_APPROVALS],
    ids=[each[0] for each in NOT_APPROVALS],
)
def test_an_approval_that_does_not_count(changed: dict[str, Any], key: Pair) -> None:
    recorder = pair(seed=5)
    signed = recorded(recorder)
    its = standing(
        Entry(signed, (approval(signed, key=key, **changed),)),
        trust(recorder, *([key] if key.public != pair(seed=3).public else [])),
        NOW,
    )
    assert its.state is State.RECORDED
    assert its.approvals == ()


def test_one_person_counts_once() -> None:
    signed = recorded()
    twice = tuple(approval(signed, at=NOW - DAY / n) for n in (2, 3))
    two = trust(approvals=2)
    its = standing(Entry(signed, twice), two, NOW)
    assert its.state is State.RECORDED
    assert its.reasons == ("it lacks 1 of 2 approvals",)
    both = (*twice, approval(signed, "bea"))
    assert standing(Entry(signed, both), two, NOW).counts


def test_none_is_needed_where_the_policy_says_so() -> None:
    assert standing(Entry(recorded()), trust(approvals=0), NOW).counts


def test_where_it_was_recorded_it_serves_the_same_database() -> None:
    here = trust(environment="staging", sources=())
    assert standing(entry(), here, NOW).serves == ("shop",)


def test_one_source_may_serve_several_databases_and_no_others() -> None:
    served = (Source("staging", "shop", "eu"), Source("staging", "shop", "us"))
    assert standing(entry(), trust(sources=served), NOW).serves == ("eu", "us")


def test_times_without_a_zone_are_no_time() -> None:
    with pytest.raises(TypeError):
        standing(entry(), trust(), datetime(2026, 1, 1))  # noqa: DTZ001 - the point
    assert datetime.now(UTC).tzinfo is not None


SUSPECTED = (
    ProvenStatement(sha256="a" * 64, shown="CREATE TABLE t (id uuid)", message=1),
    *(
        ProvenStatement(
            sha256="b" * 64,
            shown="INSERT INTO t VALUES ($1)",
            message=number,
            suspected=(Varying("uuid", "parameter", 1),),
            template_sha256="e" * 64,
        )
        for number in (2, 3)
    ),
)


def varying(
    needed: int, *said: tuple[str, tuple[int, ...]], **of_key: Any
) -> frozenset[int]:
    """What may vary after these people said so."""
    signed = recorded(statements=SUSPECTED)
    key = pair(**of_key)
    yes = tuple(approval(signed, by, key, varying=which) for by, which in said)
    its = standing(Entry(signed, yes), trust(approvals=needed), NOW)
    again = standing(Entry(signed, yes[::-1]), trust(approvals=needed), NOW)
    assert again.varying == its.varying, "the order of approvals is not signed"
    return its.varying


def test_as_many_let_values_vary_as_a_proof_needs() -> None:
    assert varying(1, ("ana", ())) == set()
    assert varying(1, ("ana", (2,))) == {2}
    assert varying(1, ("ana", ()), ("bea", (2, 3))) == {2, 3}
    assert varying(2, ("ana", (2,)), ("bea", ())) == set()
    assert varying(2, ("ana", (2, 3)), ("bea", (2,))) == {2}
    assert varying(2, ("ana", ()), ("bea", (3,)), ("cem", (3,))) == {3}


def test_one_person_may_say_it_later_and_counts_once() -> None:
    assert varying(1, ("ana", ()), ("ana", (2,))) == {2}
    assert varying(2, ("ana", (2,)), ("ana", (2,)), ("bea", ())) == set()
    assert varying(2, ("ana", (2, 2, 2)), ("bea", ())) == set()


def test_nothing_varies_where_nobody_has_a_right_to_say_so() -> None:
    assert varying(0, ("ana", (2, 3))) == set()
    assert varying(1, ("ana", ()), ("deploy", (2,))) == set()
    assert varying(2, ("ana", (2,))) == set()
    assert varying(1, ("ana", (1, 4, 0, -1))) == set()
    assert varying(1, ("ana", (2,)), seed=9) == set()


def test_who_writes_the_store_lets_nothing_vary() -> None:
    signed = recorded(statements=SUSPECTED)
    yes = approval(signed)
    body = {**yes.body, "varying": [2]}
    forged = msgspec.structs.replace(yes, body=body)
    assert standing(Entry(signed, (forged,)), trust(), NOW).varying == set()
    both = standing(Entry(signed, (yes, forged)), trust(), NOW)
    assert both.state is State.APPROVED
    assert both.varying == set()


# --- the way back -------------------------------------------------------------


def _said(*said: Signed, of: Signed) -> Entry:
    return Entry(of, said)


def test_where_it_is_asked_for_somebody_has_to_say_how_to_take_it_back() -> None:
    asking = trust(needs_way_back=True)
    its = standing(entry(), asking, NOW)
    assert its.state is State.RECORDED
    (why,) = its.reasons
    assert why.startswith("nobody has said how to take it back")
    assert f"approve {entry().signed.id[:12]} --way-back" in why
    assert standing(entry(), trust(), NOW).counts
    of = recorded()
    for word in ("tried", "none"):
        its = standing(_said(approval(of, way_back=word), of=of), asking, NOW)
        assert its.counts, its.reasons
        assert its.way_back == word


def test_it_is_asked_for_where_no_approval_is() -> None:
    of = recorded()
    asking = trust(needs_way_back=True, approvals=0)
    assert not standing(Entry(of), asking, NOW).counts
    assert standing(_said(approval(of, way_back="none"), of=of), asking, NOW).counts


def test_only_an_approval_that_counts_says_it() -> None:
    of = recorded()
    back: dict[str, Any] = {"way_back": "tried", "way_back_script": "DROP TABLE t;"}
    good = approval(of)
    forged = approval(of, "eve", **back)
    body = {**good.body, **back}
    for wrong in (
        approval(of, "deploy", **back),  # who ran it
        approval(of, "bea", pair(seed=2), **back),  # a key that nobody knows
        approval(recorded(name="other"), "bea", **back),  # of another proof
        approval(of, "bea", at=NOW + DAY, **back),  # dated ahead
        msgspec.structs.replace(good, body=body),  # put in afterwards
        msgspec.structs.replace(forged, body={**forged.body, "by": "bea"}),
    ):
        its = standing(_said(good, wrong, of=of), trust(needs_way_back=True), NOW)
        assert not its.counts
        assert its.way_back == ""


def test_of_one_person_the_last_way_back_counts_in_whichever_order_they_came() -> None:
    of = recorded()
    hour = timedelta(hours=1)
    said = [
        approval(of, way_back="none", at=NOW - 3 * hour),
        approval(
            of, way_back="tried", way_back_script="DROP TABLE t;", at=NOW - 2 * hour
        ),
        approval(of, varying=(2,), at=NOW - hour),  # unsays nothing
    ]
    for order in ([0, 1, 2], [2, 1, 0], [1, 2, 0]):
        its = standing(_said(*(said[n] for n in order), of=of), trust(), NOW)
        (one,) = its.approvals
        assert (its.way_back, one.way_back_script) == ("tried", "DROP TABLE t;")
        assert one.varying == (2,)
    changed = approval(of, way_back="none", at=NOW)
    assert standing(_said(*said, changed, of=of), trust(), NOW).way_back == "none"
