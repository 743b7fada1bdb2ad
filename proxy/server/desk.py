"""One session's desk: carries out its commands, and has the client wait for that.

The command is in the audit log before it acts, and the statement with its answer before
that leaves for Postgres. Whoever acts is the identity, with the role that is its own,
whatever it has borrowed. Next: `proxy.session.own`, `proxy.server.lending`.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from proxy.access.grant import Actor, Grant, State
from proxy.access.said import AccessRefused
from proxy.errors import AUDIT_UNAVAILABLE, ConfigError
from proxy.policy.decision import Decision
from proxy.server.lent_views import answer, session_view, view
from proxy.session.own_rules import AUDIT_IS_UNAVAILABLE
from proxy.store.engine import StoreUnavailable

if TYPE_CHECKING:
    from proxy.server.lending import Lending
    from proxy.server.link import Link
    from proxy.session.own import Rows

ANSWER_WITHIN_S: Final = 5.0
"""A change takes milliseconds; a person at a terminal waits no longer than this."""


class Desk:
    """See `proxy.session.own.Desk`; takes part in commits beside its session."""

    def __init__(self, link: Link, lending: Lending) -> None:
        request = link.request
        self.answer: Rows | Decision | None = None
        self.is_busy = False
        self.is_listed = False
        self._link = link
        self._lending = lending
        self._actor = Actor(request.identity, request.own_role or request.role)
        encoding = link.ready.parameters.get("server_encoding", "UTF8")
        self._is_ascii = encoding != "UTF8"
        self._command: tuple[str, tuple[str, ...]] = ("", ())
        self._kind = ""
        self._records: list[bytes] = []

    # --- what the session asks -----------------------------------------------

    @property
    def version(self) -> int:
        """Another one whenever a view may say something else."""
        return self._lending.version

    def view(self, name: str) -> Rows:
        """What a view shows now."""
        lending = self._lending
        if name == "session":
            request = self._link.request
            return session_view(request, lending.grants.get(request.grant))
        found = lending.grants.values()
        return view(name, found, self._actor, lending.lent, is_ascii=self._is_ascii)

    def ask(self, name: str, args: tuple[str, ...], kind: str) -> None:
        """Begin a command: first of all into the audit log."""
        self.is_busy = True
        self.answer = None
        self._command, self._kind = (name, args), kind
        self._records = [
            self._link.records.internal(
                "access.command",
                detail={"command": name, "arguments": " | ".join(args)},
            )
        ]
        self._link.server.committer.soon(self)

    # --- what the committer calls --------------------------------------------

    def take_records(self) -> list[bytes]:
        """The record of the command, now."""
        records, self._records = self._records, []
        return records

    def unrecorded(self) -> list[bytes]:
        """It could not be written, so nothing is done."""
        self.answer = AUDIT_IS_UNAVAILABLE
        return []

    def recorded(self) -> None:
        """It is written: act."""
        server = self._link.server
        if self.answer is None:
            server.tasks.start(self._carry_out())
        else:
            server.loop.call_soon(self._link.release)

    def broken(self) -> None:
        """Something of ours failed."""
        self._link.broken()

    # --- acting --------------------------------------------------------------

    async def _carry_out(self) -> None:
        try:
            self.answer = await self._answered()
        finally:
            if self.answer is None:
                self.answer = self._no("store", "the command could not be carried out")
            self._link.release()

    async def _answered(self) -> Rows | Decision:
        name, args = self._command
        lending, actor = self._lending, self._actor
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                grant = await lending.take_step(actor, name, args)
        except AccessRefused as refused:
            return Decision(
                allowed=False,
                rule=refused.rule,
                reason=refused.message,
                sqlstate=refused.sqlstate,
                hint=refused.hint,
                kind=self._kind,
            )
        except (StoreUnavailable, ConfigError, TimeoutError):
            return self._no("store", "the store did not take it, or not in time")
        return answer(grant, self._next(name, grant), is_ascii=self._is_ascii)

    def _next(self, name: str, grant: Grant) -> str:
        """What happens next, in a few words."""
        if name == "review":
            return "reviewed"
        match grant.state:
            case State.PENDING:
                rules = self._lending.lent.get(grant.role)
                wanted = (rules.approvals if rules else 1) - len(grant.approvals)
                yes = "one approval" if wanted <= 1 else f"{wanted} approvals"
                return f"waits for {yes}"
            case State.ACTIVE:
                return f"{grant.identity} has to reconnect to use it"
            case State.REVOKED:
                return "its sessions end now; it waits for a review"
            case _:
                return str(grant.state)

    def _no(self, rule: str, reason: str) -> Decision:
        return Decision(
            allowed=False,
            rule=f"access.{rule}",
            reason=reason,
            sqlstate=AUDIT_UNAVAILABLE,
            hint="SHOW pgwarden.access tells whether it took effect; then try again",
            kind=self._kind,
        )
