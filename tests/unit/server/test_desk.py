"""The desk: nothing is done before it is in the log, and an answer always comes."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar, cast

from proxy.audit.records import SessionRecords
from proxy.errors import AuditUnavailable
from proxy.policy.decision import Decision
from proxy.server.committer import Committer
from proxy.server.desk import Desk
from proxy.server.tasks import Tasks
from proxy.store.engine import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from proxy.server.lending import Lending
    from proxy.server.link import Link


class Log:
    """An audit log that can, or can't, be written."""

    def __init__(self, *, is_available: bool) -> None:
        self.is_available = is_available
        self.written: list[bytes] = []

    def append(self, fragments: Sequence[bytes], _at: float, /) -> None:
        if not self.is_available:
            raise AuditUnavailable("the disk is full")
        self.written += fragments

    def keep(self, fragments: Sequence[bytes], /) -> None:
        assert not fragments

    def close(self, _at: float, /) -> None:
        """Nothing to close."""


class Lends:
    """Takes every step, or can't."""

    version = 1
    lent: ClassVar[dict[str, Any]] = {}

    def __init__(self, log: Log, *, problem: Exception | None = None) -> None:
        self.log = log
        self.problem = problem
        self.steps: list[str] = []

    async def take_step(self, _actor: object, name: str, _args: object) -> object:
        assert len(self.log.written) == 1, "recorded before it happens"
        self.steps.append(name)
        if self.problem is not None:
            raise self.problem
        raise AssertionError("not asked for here")


async def answer_of(log: Log, lends: Lends) -> object:
    loop = asyncio.get_running_loop()
    released = asyncio.Event()
    committer = Committer(loop, log, wall_clock=lambda: 0.0)
    records = SessionRecords(
        "s1",
        identity="lea",
        role="lead",
        database="shop",
        application_name="t",
        client_address="::1",
    )
    link = SimpleNamespace(
        request=SimpleNamespace(identity="lea", role="lead", own_role="", grant=""),
        ready=SimpleNamespace(parameters={}),
        records=records,
        release=released.set,
        server=SimpleNamespace(committer=committer, loop=loop, tasks=Tasks()),
    )
    desk = Desk(cast("Link", link), cast("Lending", lends))
    desk.ask("approve", ("G-7K3QX2MA",), "procedure")
    assert desk.is_busy
    async with asyncio.timeout(2):
        await released.wait()
    return desk.answer


async def test_what_can_not_be_recorded_is_not_done() -> None:
    log = Log(is_available=False)
    lends = Lends(log)
    answer = await answer_of(log, lends)
    assert isinstance(answer, Decision)
    assert (answer.allowed, answer.rule) == (False, "audit.unavailable")
    assert lends.steps == []


async def test_it_is_recorded_first_and_a_store_that_is_gone_is_told() -> None:
    log = Log(is_available=True)
    lends = Lends(log, problem=StoreUnavailable("gone"))
    answer = await answer_of(log, lends)
    assert isinstance(answer, Decision)
    assert (answer.rule, answer.sqlstate) == ("access.store", "58030")
    assert lends.steps == ["approve"]
    assert b'"purpose":"access.command"' in log.written[0]
    assert b"G-7K3QX2MA" in log.written[0]
