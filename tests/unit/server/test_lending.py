"""A worker's memory of loans: clocks that jump, a store that is gone, what is over."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from proxy.access.grant import Actor, State
from proxy.access.said import AccessRefused
from proxy.auth.claims import TokenEntry
from proxy.auth.client_certificates import CertificateName
from proxy.auth.identities import Identities, Identity
from proxy.auth.secrets import make_secret, parse_secret
from proxy.metrics import Metrics
from proxy.policy.documents import load
from proxy.policy.evaluate import Policy
from proxy.server.lending import UNREACHED_S, Lending
from proxy.store.engine import Store
from proxy.store.history import read_history
from proxy.store_settings import StoreSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from proxy.server.server import Server

POLICY = """\
version: 1
name: p
access:
  roles:
    writer: {requesters: [developer], approvers: lead, longest: 2h}
roles:
  developer: {login: permit, upstream: reader}
  lead: {login: permit, upstream: reader}
  writer: {login: permit, upstream: writer, read_only: false}
"""
DANA = Actor("dana", "developer")
LEA = Actor("lea", "lead")
REQUEST = ("writer", "30m", "INC-42: fix order 17")


class Worker:
    """One worker's lending, with clocks of ours and a real store."""

    def __init__(self, store: Store, *logins: str) -> None:
        self.wall_s = datetime(2026, 11, 26, 16, tzinfo=UTC).timestamp()
        self.clock_s = 1000.0
        self.problem = ""
        self.metrics = Metrics(version="test", started=0.0)
        self.server = SimpleNamespace(
            policy=Policy(load(POLICY, source="p")),
            identities=Identities(
                [Identity("dana", "developer", ()), Identity("lea", "lead", ())]
            ),
            settings=SimpleNamespace(
                issuers={
                    "forge": SimpleNamespace(identity_claim=""),
                    "company": SimpleNamespace(identity_claim="email"),
                },
                identities=None,
                upstream=SimpleNamespace(logins=dict.fromkeys(logins)),
            ),
            links={},
            metrics=self.metrics,
            loop=None,
            clock=lambda: self.clock_s,
            now=lambda: self.wall_s,
        )
        self.lending = Lending(
            cast("Server", self.server), store, problem=lambda: self.problem
        )

    def people(self, **changed: Identity | None) -> None:
        """These are others from now on, or gone."""
        known = {each.name: each for each in self.server.identities} | changed
        self.server.identities = Identities([each for each in known.values() if each])

    def passes(self, seconds: float) -> None:
        self.clock_s += seconds
        self.wall_s += seconds

    async def lend(self) -> str:
        grant = await self.lending.take_step(DANA, "request_access", REQUEST)
        await self.lending.take_step(LEA, "approve", (grant.id,))
        return grant.id

    @property
    def role(self) -> str:
        return self.lending.role_for("dana", "developer")[0]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = await Store.open(StoreSettings(url=f"sqlite:///{tmp_path}/store.db"))
    yield opened
    await opened.close()


@pytest.fixture
def worker(store: Store) -> Worker:
    return Worker(store, "reader", "writer")


async def test_a_role_while_it_is_lent(worker: Worker) -> None:
    assert worker.role == "developer"
    grant = await worker.lend()
    assert worker.lending.role_for("dana", "developer") == ("writer", grant)
    assert worker.lending.role_for("lea", "lead") == ("lead", "")
    assert worker.lending.role_for("dana", "lead") == ("lead", "")
    worker.passes(30 * 60 - 1)
    assert worker.role == "writer"
    worker.passes(1)
    assert worker.role == "developer"


async def test_a_clock_that_is_set_back_lends_no_longer(worker: Worker) -> None:
    await worker.lend()
    worker.passes(20 * 60)
    worker.wall_s -= 3600
    assert worker.role == "writer"
    await worker.lending.read()
    worker.passes(10 * 60)
    assert worker.role == "developer"


async def test_a_clock_that_is_set_forward_ends_it(worker: Worker) -> None:
    await worker.lend()
    worker.wall_s += 30 * 60
    assert worker.role == "developer"


async def test_what_is_over_is_written_down_once(worker: Worker, store: Store) -> None:
    told: list[tuple[str, str]] = []
    worker.lending.on_event = lambda event, grant: told.append((event, grant.id))
    grant = await worker.lend()
    other = Worker(store, "reader", "writer")
    other.lending.on_event = worker.lending.on_event
    await other.lending.read()
    for each in (worker, other):
        each.passes(30 * 60)
    for each in (worker, other, worker):
        await each.lending._lapse()
    assert told == [("requested", grant), ("approved", grant), ("ended", grant)]
    assert worker.lending.grants[grant].state is State.ENDED
    async with store.reading() as connection:
        found = await read_history(connection)
    assert [(each.action, each.actor) for each in reversed(found)] == [
        ("access.requested", "dana"),
        ("access.approved", "lea"),
        ("access.ended", "pgwarden"),
    ]


OUT = Identity("dana", "developer", (), disabled=True)


@pytest.mark.parametrize(
    "dana",
    [
        OUT,
        Identity("dana", "lead", ()),
        Identity("dana", "developer", (), valid_until=datetime(2026, 1, 1, tzinfo=UTC)),
        None,
    ],
)
async def test_whoever_is_out_for_a_moment_has_lost_it_for_good(
    worker: Worker, dana: Identity | None
) -> None:
    """Neither who is enabled again nor another person of that name has it then."""
    told: list[str] = []
    worker.lending.on_event = lambda event, _grant: told.append(event)
    lent = await worker.lend()
    worker.passes(6)
    back = worker.server.identities.find("dana")
    worker.people(dana=dana)
    await worker.lending._lapse()
    worker.people(dana=back)
    assert worker.role == "developer"
    grant = worker.lending.grants[lent]
    assert (grant.state, grant.closed_by) == (State.REVOKED, "pgwarden")
    assert grant.is_unreviewed
    assert told == ["requested", "approved", "revoked"]


async def test_a_request_is_lost_with_who_asked(worker: Worker) -> None:
    """Approved after they are back, it would be somebody else's wish."""
    grant = await worker.lending.take_step(DANA, "request_access", REQUEST)
    worker.passes(6)
    back = worker.server.identities.find("dana")
    worker.people(dana=OUT)
    with pytest.raises(AccessRefused, match="is withdrawn already"):
        await worker.lending.take_step(LEA, "approve", (grant.id,))
    worker.people(dana=back)
    with pytest.raises(AccessRefused, match="is withdrawn already"):
        await worker.lending.take_step(LEA, "approve", (grant.id,))
    assert worker.role == "developer"


async def test_who_is_only_not_in_this_file_has_lost_nothing(worker: Worker) -> None:
    """Of two pgwardens with one store, each has a file of its own."""
    await worker.lend()
    worker.passes(6)
    worker.server.settings.identities = "identities.yaml"
    dana = worker.server.identities.find("dana")
    worker.people(dana=None)
    await worker.lending._lapse()
    worker.people(dana=dana)
    assert worker.role == "writer"
    worker.people(dana=OUT)
    await worker.lending._lapse()
    worker.people(dana=dana)
    assert worker.role == "developer"


@pytest.mark.parametrize(
    "lea",
    [
        Identity("lea", "lead", (), disabled=True),
        Identity("lea", "developer", ()),
        Identity("lea", "lead", (), valid_until=datetime(2026, 1, 1, tzinfo=UTC)),
        None,
    ],
)
async def test_who_is_out_takes_no_step_in_the_moment_that_is_left(
    worker: Worker, lea: Identity | None
) -> None:
    """A session ends within two seconds; an approval takes one."""
    grant = await worker.lending.take_step(DANA, "request_access", REQUEST)
    worker.people(lea=lea)
    for name in ("approve", "deny", "revoke"):
        with pytest.raises(AccessRefused, match='"lea" is disabled or changed'):
            await worker.lending.take_step(LEA, name, (grant.id,))
    assert worker.lending.grants[grant.id].state is State.PENDING


SECRET = parse_secret(make_secret("one", salt=bytes(16)).encode())
CARD = CertificateName(email="dana@example.com")
JOB = TokenEntry(issuer="forge", claims={"repository": ("acme/shop",)})
ONE_PERSON = [
    ("password", {"secrets": (SECRET,)}),
    ("certificate", {"certificate": CARD}),
    ("token", {"token": JOB}),
]


@pytest.mark.parametrize(("what", "proof"), ONE_PERSON)
async def test_one_person_with_two_names_has_two_eyes(
    worker: Worker, what: str, proof: dict[str, Any]
) -> None:
    """Asked as one of them, approved and reviewed as the other."""
    worker.people(
        dana=Identity("dana", "developer", **{"secrets": ()} | proof),
        lea=Identity("lea", "lead", **{"secrets": ()} | proof),
        leo=Identity("leo", "lead", ()),
    )
    asked = await worker.lending.take_step(DANA, "request_access", REQUEST)
    for name in ("approve", "deny"):
        with pytest.raises(AccessRefused, match=f"by the same {what}") as caught:
            await worker.lending.take_step(LEA, name, (asked.id,))
        assert caught.value.rule == "access.same-person"
    await worker.lending.take_step(Actor("leo", "lead"), "approve", (asked.id,))
    # Who may end it, may end their own.
    await worker.lending.take_step(LEA, "revoke", (asked.id,))
    with pytest.raises(AccessRefused, match=f"by the same {what}"):
        await worker.lending.take_step(LEA, "review", (asked.id, "all was well"))


@pytest.mark.parametrize(("what", "proof"), ONE_PERSON)
async def test_one_person_with_two_names_approves_once(
    worker: Worker, what: str, proof: dict[str, Any]
) -> None:
    two = POLICY.replace("approvers: lead", "approvers: lead, approvals: 2")
    worker.server.policy = Policy(load(two, source="p"))
    worker.people(
        lea=Identity("lea", "lead", **{"secrets": ()} | proof),
        leo=Identity("leo", "lead", **{"secrets": ()} | proof),
    )
    asked = await worker.lending.take_step(DANA, "request_access", REQUEST)
    await worker.lending.take_step(LEA, "approve", (asked.id,))
    with pytest.raises(AccessRefused, match=f"by the same {what}"):
        await worker.lending.take_step(Actor("leo", "lead"), "approve", (asked.id,))
    assert worker.role == "developer"


async def test_people_of_one_issuer_are_told_apart_by_their_name(
    worker: Worker,
) -> None:
    """Of the same issuer, with the same claims; but it says who each of them is."""
    token = TokenEntry(issuer="company", claims={"groups": ("db",)})
    worker.people(
        dana=Identity("dana", "developer", (), token=token),
        lea=Identity("lea", "lead", (), token=token),
    )
    await worker.lend()
    assert worker.role == "writer"


async def test_two_workers_count_one_person_once(worker: Worker, store: Store) -> None:
    """And two who approve at once lend it once."""
    two = POLICY.replace("approvers: lead", "approvers: lead, approvals: 2")
    policy = Policy(load(two, source="p"))
    other = Worker(store, "reader", "writer")
    for each in (worker, other):
        each.server.policy = policy
        each.people(leo=Identity("leo", "lead", ()))
    asked = await worker.lending.take_step(DANA, "request_access", REQUEST)
    found = await asyncio.gather(
        worker.lending.take_step(LEA, "approve", (asked.id,)),
        other.lending.take_step(LEA, "approve", (asked.id,)),
        return_exceptions=True,
    )
    (refused,) = [each for each in found if isinstance(each, AccessRefused)]
    assert refused.rule == "access.approved-twice"
    assert worker.role == "developer"
    leo = Actor("leo", "lead")
    found = await asyncio.gather(
        worker.lending.take_step(leo, "approve", (asked.id,)),
        other.lending.take_step(leo, "approve", (asked.id,)),
        return_exceptions=True,
    )
    (refused,) = [each for each in found if isinstance(each, AccessRefused)]
    assert refused.rule == "access.too-late"
    await worker.lending.read()
    assert worker.role == "writer"


async def test_a_clock_that_is_set_back_revives_no_request(worker: Worker) -> None:
    grant = await worker.lending.take_step(DANA, "request_access", REQUEST)
    worker.passes(3600)
    await worker.lending._lapse()
    worker.wall_s -= 7200
    with pytest.raises(AccessRefused, match="is expired already"):
        await worker.lending.take_step(LEA, "approve", (grant.id,))


async def test_while_the_store_can_not_be_reached(worker: Worker) -> None:
    await worker.lend()
    worker.problem = "gone"
    worker.lending.look()
    worker.passes(UNREACHED_S - 1)
    worker.lending.look()
    assert worker.role == "writer"
    worker.passes(1)
    assert worker.role == "developer"
    worker.problem = ""
    worker.lending.look()
    assert worker.role == "writer"


async def test_without_the_login_nothing_is_lent(store: Store) -> None:
    worker = Worker(store, "reader")
    with pytest.raises(AccessRefused, match='no upstream login "writer"') as caught:
        await worker.lend()
    assert "deploy/writer.sql" in caught.value.hint


async def test_a_step_that_is_refused_changes_nothing(
    worker: Worker, store: Store
) -> None:
    grant = await worker.lending.take_step(DANA, "request_access", REQUEST)
    before = await store.generation()
    with pytest.raises(AccessRefused, match="your own request"):
        await worker.lending.take_step(DANA, "approve", (grant.id,))
    assert await store.generation() == before
    assert worker.lending.grants[grant.id] == grant


async def test_it_is_counted(worker: Worker) -> None:
    await worker.lend()
    series: Any = worker.metrics.snapshot(0.0).values["pgwarden_access_grants"]
    assert sorted(series) == [
        (["active"], 1),
        (["pending"], 0),
        (["unreviewed"], 0),
    ]


async def test_what_was_never_lent_is_forgotten_in_time(worker: Worker) -> None:
    grant = await worker.lending.take_step(DANA, "request_access", REQUEST)
    await worker.lending.take_step(LEA, "deny", (grant.id,))
    worker.passes(timedelta(days=31).total_seconds())
    await worker.lending.take_step(DANA, "request_access", REQUEST)
    assert grant.id not in worker.lending.grants
    assert len(worker.lending.grants) == 1
