"""What is lent now, as one worker knows it: who borrows what, and until when.

Read from the store after each change; every step of a loan is a change of the store.
Sessions under a grant end when it does: on time by the clock on the wall and by one
that nobody sets, whichever comes first, and within a second of a revocation. While the
store can't be reached a revocation could not arrive either, so after `UNREACHED_S` they
end as well.
Next: `proxy.access.lending` for the rules, `proxy.server.desk` for who asks.
"""

from __future__ import annotations

import asyncio
import secrets
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import structlog

from proxy.access import lending as steps
from proxy.access.grant import Actor, Grant, State, id_of
from proxy.access.said import AccessRefused, checked_id, unknown
from proxy.errors import GATE_UNSATISFIED, ConfigError
from proxy.server.desk import Desk
from proxy.server.lent_end import end_lent
from proxy.server.lent_news import greeting, tell_sessions
from proxy.server.lent_people import People
from proxy.store import grants as kept
from proxy.store.engine import Change, StoreUnavailable, note

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from proxy.policy.model import Lendable
    from proxy.server.link import Link
    from proxy.server.server import Server
    from proxy.session.login_effects import LoginRequest
    from proxy.store.engine import Store

_log = structlog.get_logger("access")

LOOK_EVERY_S: Final = 0.5
UNREACHED_S: Final = 30.0
"""A store that is restarted is back by then."""
NEVER_LENT_KEPT: Final = timedelta(days=30)
"""The audit log keeps them for ever; the store only what people still look for."""
FOUR_EYES: Final = frozenset({"approve", "deny", "review"})
"""Steps that nobody takes on what they asked for."""
Event = tuple[str, Grant]


class Lending:
    """One worker's knowledge of all loans, and the way to change them.

    Attributes:
        grants: those that are live, unreviewed, or among the last, the newest first.
        version: another one whenever these have changed.
        on_event: told of each step that this worker has taken.
    """

    def __init__(
        self, server: Server, store: Store, *, problem: Callable[[], str]
    ) -> None:
        """Begin without knowing anything: call `read` before sessions come.

        Args:
            server: whose sessions these are.
            store: where grants are kept.
            problem: why the store can't be reached now, "" if it can.
        """
        self._server = server
        self._people = People(server)
        self._store = store
        self._problem = problem
        self._unreached_since_s: float | None = None
        self._reading = asyncio.Lock()
        self._ends_s: dict[str, float] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._has_read = False
        self.grants: dict[str, Grant] = {}
        self.version = 0
        self.on_event: Callable[[str, Grant], None] = lambda _event, _grant: None

    # --- who may what --------------------------------------------------------

    @property
    def lent(self) -> Mapping[str, Lendable]:
        """The roles that are lent here: by the policy, with a login in the settings."""
        policy, logins = self._server.policy, self._server.settings.upstream.logins
        return {
            name: rules
            for name, rules in policy.document.model.access.roles.items()
            if policy.role(name).upstream in logins
        }

    @property
    def now(self) -> datetime:
        """The time on the wall."""
        return datetime.fromtimestamp(self._server.now(), UTC)

    def role_for(self, name: str, own_role: str) -> tuple[str, str]:
        """The role that somebody's new session gets, and the grant that gives it."""
        for grant in self.grants.values():
            if grant.identity == name and self._is_usable(grant, own_role):
                return grant.role, grant.id
        return own_role, ""

    def problem_of(self, request: LoginRequest) -> str:
        """Why a session under a grant may not begin or go on, "" if it may."""
        grant = self.grants.get(request.grant)
        if grant is None:
            return f"grant {request.grant} is not known any more"
        if self._is_usable(grant, request.own_role):
            return ""
        named = f'grant {grant.id} (role "{grant.role}")'
        if grant.state is State.REVOKED:
            return f"{named} was revoked by {grant.closed_by}"
        if grant.state is State.ENDED or self._is_over(grant):
            return f"{named} has ended: its time is over"
        if self._is_unreached():
            return f"{named} can't be looked after: the store can't be reached"
        return f"{named} does not hold any more"

    def _is_usable(self, grant: Grant, own_role: str) -> bool:
        return (
            steps.still_lent(self.lent, grant, own_role, self.now)
            and not self._is_over(grant)
            and not self._is_unreached()
        )

    def _is_over(self, grant: Grant) -> bool:
        ends_s = self._ends_s.get(grant.id)
        return grant.is_due(self.now) or (
            ends_s is not None and self._server.clock() >= ends_s
        )

    def _is_unreached(self) -> bool:
        since_s = self._unreached_since_s
        return since_s is not None and self._server.clock() - since_s >= UNREACHED_S

    # --- steps ---------------------------------------------------------------

    async def take_step(self, actor: Actor, name: str, args: tuple[str, ...]) -> Grant:
        """Carry out a command, and return what has become of the grant.

        Whoever is out may have a moment left before their session ends.

        Raises:
            AccessRefused: it is not allowed.
            StoreUnavailable: the store can't be written.
            ConfigError: there is another store in its place.
        """
        self._people.check_in(actor)
        await self._lapse()
        async with self._store.changing() as connection:
            live = await kept.read_live(connection)
            if name == "request_access":
                self._check_login(args[0])
                grant = steps.request(
                    self.lent,
                    actor,
                    args[0],
                    length=args[1],
                    reason=args[2],
                    new_id=id_of(secrets.randbits(64)),
                    now=self.now,
                    live=live,
                )
                await kept.add(connection, grant)
                await kept.forget(connection, self.now - NEVER_LENT_KEPT)
            else:
                known = await kept.find(connection, checked_id(args[0]))
                if known is None:
                    raise unknown(args[0])
                grant = self._next(actor, name, known, args[1:], live)
                await kept.replace(connection, grant)
            event = event_of(name, grant)
            await note(connection, _change(actor.name, event, grant))
        await self.read()
        self.on_event(event, grant)
        return grant

    def _check_login(self, role: str) -> None:
        """Say what is missing where the policy lends a role and the settings can't."""
        policy = self._server.policy
        if role in policy.document.model.access.roles and role not in self.lent:
            raise AccessRefused(
                "not-lendable",
                f'role "{role}" is not lent here yet: pgwarden has no upstream login '
                f'"{policy.role(role).upstream}"',
                hint="its operator makes one with deploy/writer.sql, and names it in "
                'the settings under "upstream.logins"',
                sqlstate=GATE_UNSATISFIED,
            )

    def _next(
        self,
        actor: Actor,
        name: str,
        grant: Grant,
        more: tuple[str, ...],
        live: list[Grant],
    ) -> Grant:
        said, now = (more[0] if more else ""), self.now
        if name in FOUR_EYES:
            self._people.check_person(actor, grant)
        match name:
            case "approve":
                return steps.approve(
                    self.lent, grant, actor, now=now, live=live, roster=self._people
                )
            case "deny":
                return steps.deny(self.lent, grant, actor, note=said, now=now)
            case "revoke":
                return steps.revoke(self.lent, grant, actor, note=said, now=now)
            case "review":
                return steps.review(self.lent, grant, actor, note=said, now=now)
            case _:
                raise AccessRefused("unknown", f'there is no command "{name}"')

    async def _lapse(self) -> None:
        """Write down what is over by itself; one worker does, and tells."""
        if not any(self._lapsed(each) is not each for each in self.grants.values()):
            return
        done: list[Event] = []
        async with self._store.changing() as connection:
            for known in await kept.read_live(connection):
                grant = self._lapsed(known)
                if grant is not known:
                    await kept.replace(connection, grant)
                    await note(connection, _change(steps.ITSELF, grant.state, grant))
                    done.append((grant.state, grant))
        await self.read()
        for event, grant in done:
            self.on_event(event, grant)

    def _lapsed(self, grant: Grant) -> Grant:
        """What it is by now; the same where time and people have left it as it was."""
        if self._people.has_lost(grant):
            return steps.lost(grant, self.now)
        return steps.lapse(grant, self.now)

    # --- knowing -------------------------------------------------------------

    async def read(self, _store: Store | None = None) -> None:
        """Read everything again.

        Raises:
            StoreUnavailable: it can't be read.
            ConfigError: there is another store in its place.
        """
        # One after the other, so that what was read later is also taken later.
        async with self._reading:
            async with self._store.reading() as connection:
                found = await kept.read_recent(connection)
            self._take({grant.id: grant for grant in found})

    def _take(self, found: dict[str, Grant]) -> None:
        before, self.grants = self.grants, found
        if found != before:
            self.version += 1
        server = self._server
        clock_s, now = server.clock(), self.now
        for grant in found.values():
            if grant.state is State.ACTIVE and grant.ends_at is not None:
                # From here on, setting the clock back lends nothing longer.
                ends_s = clock_s + (grant.ends_at - now).total_seconds()
                self._ends_s[grant.id] = min(ends_s, self._ends_s.get(grant.id, ends_s))
        for gone in self._ends_s.keys() - found.keys():
            del self._ends_s[gone]
        server.metrics.lent = {
            ("pending",): sum(each.state is State.PENDING for each in found.values()),
            ("active",): sum(each.state is State.ACTIVE for each in found.values()),
            ("unreviewed",): sum(each.is_unreviewed for each in found.values()),
        }
        if self._has_read:
            tell_sessions(server.links, before, found, self.lent)
        self._has_read = True
        self.check()

    async def follow(self) -> None:
        """See to it that what is over ends, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            self.look()
            try:
                await self._lapse()
            except (StoreUnavailable, ConfigError) as error:
                # The watch tells of it; the sessions have ended all the same.
                _log.debug("lapse_waits", problem=error.message)

    def look(self) -> None:
        """Note whether the store can be reached; end what does not hold any more."""
        if not self._problem():
            self._unreached_since_s = None
        elif self._unreached_since_s is None:
            self._unreached_since_s = self._server.clock()
        self.check()

    def check(self) -> None:
        """End every session whose grant does not hold any more."""
        for link in list(self._server.links):
            if link.request.grant and (problem := self.problem_of(link.request)):
                end_lent(link, problem)
        self._set_timer()

    def greeting(self, request: LoginRequest) -> bytes:
        """What a session under a grant is told first; nothing for any other."""
        grant = self.grants.get(request.grant)
        return b"" if grant is None else greeting(grant)

    def joined(self, link: Link) -> None:
        """A session has begun."""
        link.session.desk = Desk(link, self)
        if link.request.grant:
            if problem := self.problem_of(link.request):
                end_lent(link, problem)
            self._set_timer()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        used = {link.request.grant for link in self._server.links}
        ends_s = [self._ends_s[each] for each in used if each in self._ends_s]
        if ends_s:
            wait_s = max(0.0, min(ends_s) - self._server.clock())
            self._timer = self._server.loop.call_later(wait_s, self.check)


def event_of(command: str, grant: Grant) -> str:
    """What a command has brought about, in a word."""
    if command == "request_access":
        return "requested"
    if command == "review":
        return "reviewed"
    if grant.state is State.PENDING:
        return "approved once"
    return "approved" if grant.state is State.ACTIVE else str(grant.state)


def _change(actor: str, event: str, grant: Grant) -> Change:
    detail = {
        "identity": grant.identity,
        "role": grant.role,
        "state": str(grant.state),
        "reason": grant.reason,
    }
    if grant.ends_at is not None:
        detail["until"] = grant.ends_at.isoformat(timespec="seconds")
    if grant.approvals:
        detail["approved_by"] = ", ".join(each.name for each in grant.approvals)
    if said := grant.review or grant.note:
        detail["note"] = said
    return Change(actor, f"access.{event.replace(' ', '-')}", grant.id, detail)
