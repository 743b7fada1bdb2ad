"""The gates before the first change of a migration, one after the other.

Is the schema the one that it was proven against, is no other deploy under way, is there
a fresh backup, and a point to come back to? Each says no as a `GateError`, in words for
whoever deploys. Whoever waits is told for what, and can cancel.
Next: `proxy.server.deploy`, `proxy.server.backup_gate`.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, TypeVar, cast

from proxy.errors import GATE_UNSATISFIED, QUERY_CANCELED, PgwardenError
from proxy.migrations.gates import restore_point_name
from proxy.migrations.schema_digest import differences
from proxy.policy.decision import Decision
from proxy.server.deploy import Deploy
from proxy.server.migrating.following import digest_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from proxy.migrations.candidates import Candidate
    from proxy.migrations.gates import GateAnswer
    from proxy.migrations.schema import Snapshot
    from proxy.server.migrating.gatekeeper import Gatekeeper

T = TypeVar("T")
TELL_AFTER_S: Final = 1.0
"""What is quicker needs no word."""
BACKUP_GOOD_S: Final = 600.0
"""One look at the backup is enough for the migrations of one deploy."""
MOST_DIFFERENCES: Final = 3
_OF: Final = {"backup": "the backup", "deploy": "another deploy",
              "restore_point": "the restore point"}  # fmt: skip


class GateError(PgwardenError):
    """A gate says no."""

    def __init__(
        self, rule: str, reason: str, hint: str = "", *, sqlstate: str
    ) -> None:
        super().__init__(reason, sqlstate=sqlstate, hint=hint)
        self.rule = rule

    def decision(self, kind: str) -> Decision:
        """The refusal."""
        return Decision(
            allowed=False,
            rule=self.rule,
            reason=self.message,
            sqlstate=self.sqlstate,
            hint=self.hint,
            kind=kind,
        )


class Gates:
    """Those of one session.

    Attributes:
        evidence: what the last run's gates found, for the record.
        way_back: the restore point, or the position in the WAL, for people.
    """

    def __init__(self, keeper: Gatekeeper) -> None:
        self.evidence: dict[str, str] = {}
        self.way_back = ""
        self._keeper = keeper
        self._deploy: Deploy | None = None
        self._backup: tuple[GateAnswer, float] | None = None
        self._waiting: asyncio.Task[object] | None = None

    async def pass_(
        self, begins: Sequence[Candidate], schema: Snapshot
    ) -> list[Candidate]:
        """The proofs whose gates are all open.

        Args:
            begins: proofs that fit what is about to begin.
            schema: as the session sees it now.

        Raises:
            GateError: there is none.
        """
        kept = await self._of_this_schema(begins, schema)
        self.evidence = {"schema": digest_of(schema)}
        if await self._alone():
            await self._unchanged(schema)
        await self._backed_up()
        await self._restorable(kept[0])
        return kept

    async def still_hold(self, *, may_return: bool) -> None:
        """Other deploys are still kept out, in the middle of a migration.

        Args:
            may_return: it does no harm if one has come in meanwhile, and has ended.

        Raises:
            GateError: the connection that does so is gone, and one has come in.
        """
        if self._deploy is None or await self._deploy.still_holds():
            return
        await self.close()
        if not may_return:
            raise GateError(
                "migration.deploy",
                "the connection that kept other deploys out is gone",
                "ROLLBACK, and run the migration again",
                sqlstate=GATE_UNSATISFIED,
            )
        await self._alone()

    async def close(self) -> None:
        """Let others deploy."""
        deploy, self._deploy = self._deploy, None
        if deploy is not None:
            await deploy.close()

    def cancel(self) -> None:
        """Whoever waits for a gate does not want to wait any longer."""
        if self._waiting is not None:
            self._waiting.cancel()

    # --- one by one ----------------------------------------------------------

    async def _of_this_schema(
        self, begins: Sequence[Candidate], schema: Snapshot
    ) -> list[Candidate]:
        found = digest_of(schema)
        scope = self._keeper.ground.scope
        ours = [each for each in begins if each.proof.scope == scope]
        kept = [each for each in ours if each.proof.before == found]
        if kept:
            return kept
        last = begins[-1]
        if not ours:
            raise GateError(
                "migration.scope",
                f'the proof of migration "{last.name}" is of other schemas or '
                "bookkeeping tables than the settings here name",
                'make "migrations.schemas", "bookkeeping" and "privileges" the same on '
                "staging and here",
                sqlstate=GATE_UNSATISFIED,
            )
        wanted = await self._keeper.ground.snapshot(last.proof.before)
        shown = ""
        if wanted is not None:
            several = list(differences(wanted, schema))
            names = [f"{d.object} is {d.change}" for d in several[:MOST_DIFFERENCES]]
            more = len(several) - len(names)
            shown = ": " + "; ".join(names) + (f"; and {more} more" if more else "")
        raise GateError(
            "migration.schema",
            f'the schema is not the one that migration "{last.name}" was proven '
            f"against{shown}",
            "compare: pgwarden migration drift; or record it anew on a staging that "
            "has this schema",
            sqlstate=GATE_UNSATISFIED,
        )

    async def _unchanged(self, schema: Snapshot) -> None:
        """No other deploy has come between the look at the schema and the lock.

        Asked from outside: the session may look at a snapshot of long ago.
        """
        keeper, deploy = self._keeper, self._deploy
        if deploy is None or keeper.has_own_changes:
            return
        found = await self._waited(deploy.digest(keeper.ground.scope), "the schema")
        if digest_of(found) != digest_of(schema):
            raise GateError(
                "migration.schema",
                "the schema is another one than this session sees",
                "ROLLBACK, and try again",
                sqlstate=GATE_UNSATISFIED,
            )

    async def _alone(self) -> bool:
        """Keep other deploys out; whether they were not before."""
        if self._deploy is not None and await self._deploy.still_holds():
            return False
        await self.close()
        link = self._keeper.link
        server, request = link.server, link.request
        deploy = await Deploy.open(
            server.dialler,
            server.policy.role(request.role).upstream,
            request.database,
            who=request.identity,
            lost=_lost,
        )
        self._deploy = deploy
        if deploy.place != link.ready.place:
            raise GateError(
                "migration.deploy",
                "pgwarden's own connection leads to another server than this session",
                "reconnect",
                sqlstate=GATE_UNSATISFIED,
            )
        within_s = self._keeper.ground.settings.gates.deploy_wait_s
        answer = await self._waited(
            deploy.exclude_others(within_s, self._keeper.say), "another deploy"
        )
        self._checked(answer, "try again when it has ended")
        return True

    async def _backed_up(self) -> None:
        keeper = self._keeper
        now_s = keeper.link.server.clock()
        if self._backup is not None and now_s - self._backup[1] < BACKUP_GOOD_S:
            self._checked(self._backup[0])
            return
        answer = await self._waited(
            keeper.ground.backup.check(keeper.link.request.database), "the backup check"
        )
        self._checked(answer, "take a backup first, or have a look at its check")
        self._backup = (answer, now_s)

    async def _restorable(self, first: Candidate) -> None:
        deploy, keeper = self._deploy, self._keeper
        if deploy is None:
            return
        login = keeper.ground.settings.gates.restore_point_login
        name = restore_point_name(first.id, keeper.ground.now())
        answer = await self._waited(
            deploy.restore_point(login, name), "the restore point"
        )
        self._checked(answer, "tell whoever runs pgwarden")
        point = f'restore point "{name}"' if login else "position in the WAL"
        self.way_back = f"{point} at {self.evidence.get('lsn', '?')}"

    def _checked(self, answer: GateAnswer, hint: str = "") -> None:
        self.evidence.update(answer.evidence)
        if not answer.is_satisfied:
            self._keeper.note_gate(answer)
            raise GateError(
                f"migration.{answer.gate.replace('_', '-')}",
                answer.detail,
                hint,
                sqlstate=GATE_UNSATISFIED,
            )

    async def _waited(self, work: Awaitable[T], what: str) -> T:
        """Wait for one of them; the client can cancel that, and is told of it."""
        keeper = self._keeper
        loop = keeper.link.server.loop
        told = loop.call_later(TELL_AFTER_S, keeper.say, f"waiting for {what}")
        task = loop.create_task(_awaited(work))
        self._waiting = cast("asyncio.Task[object]", task)
        try:
            return await task
        except asyncio.CancelledError:
            if not keeper.is_cancelled:
                raise
            raise GateError(
                "migration.cancelled",
                "canceling statement due to user request",
                sqlstate=QUERY_CANCELED,
            ) from None
        finally:
            told.cancel()
            self._waiting = None


async def _awaited(work: Awaitable[T]) -> T:
    return await work


def _lost(_reason: str) -> None:
    """Noticed at the next change: see `still_hold`."""
