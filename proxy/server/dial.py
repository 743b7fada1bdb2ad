"""Reach the upstream: choose a host, log in there. One connection a client session.

One attempt at one address is `proxy.server.handshake_side`; what is known of the hosts
is `proxy.server.upstream_hosts`. As in libpq, the next host is tried where one does not
answer, takes nobody now (57P03) or is of the wrong kind, and never after a refusal.
Also sends CancelRequests. Next: `proxy.server.link`.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import structlog

from proxy.addresses import is_loopback
from proxy.auth.scram_client import SaltedPasswords
from proxy.errors import (
    CANNOT_CONNECT,
    CANNOT_CONNECT_NOW,
    CONNECTION_REJECTED,
    ConfigError,
    ErrorReport,
    UnavailableError,
)
from proxy.server.handshake_side import Within, log_in, unsafe
from proxy.server.health import Health, UpstreamError
from proxy.server.upstream_hosts import Hosts
from proxy.server.upstream_passwords import Passwords, Where
from proxy.server.upstream_tls import Contexts
from proxy.server.upstream_users import Key, resolved
from proxy.session.upstream_plan import (
    ChannelBinding,
    TlsMode,
    UpstreamPlan,
    shown_name,
)
from proxy.session.upstream_refusal import explain_to_person
from proxy.session.upstream_target import Kind, Target
from proxy.wire.queries import terminate
from proxy.wire.startup import CancelRequest, SSLRequest

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from proxy.server.handshake_side import Dialled
    from proxy.server.tasks import Tasks
    from proxy.server.upstream_hosts import Why
    from proxy.session.login_effects import LoginRequest
    from proxy.session.upstream_effects import UpstreamReady
    from proxy.session.upstream_plan import Place
    from proxy.settings_upstream import UpstreamSettings

_log = structlog.get_logger("upstream")

TCP_WITHIN_S: Final = 3.0
"""For the TCP connection alone, where another host waits to be tried: the first SYN is
sent again after one second, the second after two more. A client gives up at some point,
and a machine that is off answers nothing."""
MOST_TRIES: Final = 3
"""Passwords of one login: the new one, written before the role is altered; the old one,
as it is being altered; the new one again. Without a change there is one try."""
WRONG_PASSWORD: Final = "28P01"  # noqa: S105 - an SQLSTATE


class Dialler:
    """Opens connections to the one upstream of the settings."""

    def __init__(
        self, settings: UpstreamSettings, *, tasks: Tasks, keys: Iterable[Key]
    ) -> None:
        """Read what can be read now, so that a mistake shows at the start.

        Args:
            settings: the upstream and pgwarden's logins there.
            tasks: starts what nobody waits for.
            keys: the logins whose passwords are needed.

        Raises:
            ConfigError: a CA, certificate, key or password file can't be used.
        """
        self.settings = settings
        self.health = Health(settings.logins, clock=time.monotonic)
        self.hosts = Hosts(settings, clock=time.monotonic)
        self._tasks = tasks
        self._salted = SaltedPasswords()
        keys = tuple(keys)
        self._contexts = Contexts(settings, keys)
        self._passwords = Passwords(settings, keys, clock=time.monotonic)

    @property
    def keys(self) -> tuple[Key, ...]:
        """The logins whose passwords are known."""
        return self._passwords.keys

    def renew(self, keys: Iterable[Key]) -> None:
        """Read certificates and passwords again; all are replaced, or none.

        Raises:
            ConfigError: one of the files can't be used.
        """
        keys = tuple(keys)
        contexts = Contexts(self.settings, keys)
        passwords = Passwords(self.settings, keys, clock=time.monotonic)
        passwords.adopt(self._passwords)
        self._contexts, self._passwords = contexts, passwords

    def plan(
        self,
        login: str,
        request: LoginRequest,
        *,
        is_read_only: bool,
        defaults: tuple[tuple[str, str], ...] = (),
    ) -> UpstreamPlan:
        """How to log in for this client, as the named upstream login.

        Args:
            login: the login's name in the settings.
            request: who comes in, and what they ask for.
            is_read_only: begin with default_transaction_read_only=on.
            defaults: settings to begin with, where the client asks for none.
        """
        return replace(
            self.own_plan(
                login,
                request.database,
                identity=request.identity,
                is_read_only=is_read_only,
            ),
            application_name=shown_name(request.identity, request.application_name),
            settings=request.settings,
            defaults=defaults,
            minor=request.minor,
        )

    def own_plan(
        self, login: str, database: str, *, identity: str = "", is_read_only: bool
    ) -> UpstreamPlan:
        """How to log in for pgwarden itself; as `identity`, if each has its own role.

        Raises:
            ConfigError: the identity's name can't be part of the upstream user.
            UnavailableError: no password is known for it.
        """
        settings = self.settings
        found = settings.logins[login]
        key = Key(login, identity if found.is_per_identity else "")
        user = resolved(found, key.identity).user
        if key not in self._passwords:
            raise UnavailableError(
                f'pgwarden holds no password for "{user}", its login to the database '
                "for you",
                hint="Your own password was right; tell pgwarden's operator.",
                sqlstate=CONNECTION_REJECTED,
            )
        return UpstreamPlan(
            user=user,
            database=database,
            password_id="/".join(key),
            login=login,
            identity=key.identity,
            read_only=is_read_only,
            tls_mode=TlsMode(settings.tls.mode),
            channel_binding=ChannelBinding(settings.tls.channel_binding),
            allow_md5=settings.allow_md5,
            allow_password=settings.allow_password,
            allow_trust=True,
        )

    async def dial(self, plan: UpstreamPlan, *, is_probe: bool = False) -> Dialled:
        """Connect and log in, and note how that went.

        Raises:
            UpstreamError: it can't be reached, refuses us, or takes too long.
        """
        try:
            dialled = await self.connect(plan)
        except UpstreamError as error:
            told = error
            if plan.identity and error.reason == "login":
                report, note = explain_to_person(
                    error.report, error.note, user=plan.user
                )
                told = UpstreamError(report, note, error.reason)
            self.health.failed(
                plan.login, told, is_probe=is_probe, is_personal=bool(plan.identity)
            )
            raise told from error
        self.health.succeeded(plan.login)
        return dialled

    async def connect(self, plan: UpstreamPlan) -> Dialled:
        """The same without a note: for looks that say themselves what they found.

        Raises:
            UpstreamError: it can't be reached, refuses us, or takes too long.
        """
        places, notes = await self.hosts.places()
        waiting = self.hosts.attempts(places, self._target_of(plan))
        last: UpstreamError | None = None
        is_other_kind = False
        while waiting:
            (place, wanted), *waiting = waiting
            try:
                dialled = await self._at(place, plan, has_others=bool(waiting))
            except UpstreamError as error:
                label = _goes_on(error)
                if label is None:
                    raise
                self._failed(place, error)
                self.hosts.passed_over(label)
                notes.append(error.note)
                last = error
                waiting = [each for each in waiting if each[0] != place]
                continue
            kind = Kind.of(dialled.ready.parameters, is_ours=plan.read_only)
            self.hosts.reached(place, kind)
            if kind.suits(wanted):
                return dialled
            _leave(dialled)
            self.hosts.passed_over("unsuitable")
            is_other_kind = True
            notes.append(f"upstream {place}: not {wanted}, as target_session_attrs is")
        raise _nobody(notes, last, is_other_kind=is_other_kind)

    async def look_at(self, place: Place, plan: UpstreamPlan) -> None:
        """Whether a host that was down is back."""
        try:
            dialled = await self._at(place, plan, has_others=True)
        except UpstreamError as error:
            if _goes_on(error) is None:
                # It answers; that it does not like this login is another matter.
                self.hosts.reached(place, Kind(None, None))
            else:
                self._failed(place, error)
        else:
            kind = Kind.of(dialled.ready.parameters, is_ours=plan.read_only)
            self.hosts.reached(place, kind)
            _leave(dialled)

    def _target_of(self, plan: UpstreamPlan) -> Target:
        own = self.settings.logins[plan.login].target_session_attrs
        return Target(own or self.settings.target_session_attrs)

    def _failed(self, place: Place, error: UpstreamError) -> None:
        why = error.note.removeprefix(f"upstream {place}: ")
        if error.reason != "connect":
            why = "it does not accept connections now"
        self.hosts.failed(place, why)

    async def _at(
        self, place: Place, plan: UpstreamPlan, *, has_others: bool
    ) -> Dialled:
        """Log in at one address, with another password where the first is refused."""
        key = Key(plan.login, plan.identity)
        where = Where(place.host, place.port, plan.database, plan.user)
        passwords = self._passwords
        try:
            password = await passwords.current(key, where)
        except ConfigError as problem:
            raise _no_password(problem) from problem
        tries = 1
        while True:
            began_s = time.monotonic()
            try:
                dialled = await self._once(place, plan, password, has_others=has_others)
            except UpstreamError as error:
                if error.sqlstate != WRONG_PASSWORD:
                    raise
                another = await passwords.after(password, key, where, since_s=began_s)
                if another is None or tries == MOST_TRIES:
                    raise
                tries += 1
                _log.warning("password_refused", login=plan.login, then="try another")
                password = another
            else:
                passwords.worked(password, key, where)
                return dialled

    async def _once(
        self, place: Place, plan: UpstreamPlan, password: str, *, has_others: bool
    ) -> Dialled:
        try:
            context = self._contexts.of(Key(plan.login, plan.identity))
        except ConfigError as problem:
            raise unsafe(problem.message) from problem
        all_s = self.settings.connect_timeout_s
        return await log_in(
            replace(
                plan,
                place=place,
                password=password or None,
                is_loopback=is_loopback(place.host),
            ),
            place,
            context=context,
            salted=self._salted,
            tasks=self._tasks,
            within=Within(min(TCP_WITHIN_S, all_s) if has_others else all_s, all_s),
        )

    async def cancel(self, ready: UpstreamReady) -> None:
        """Ask the server of this session to cancel what it runs; it answers nothing.

        Raises:
            OSError: it can't be reached (safely), or takes too long.
        """
        place, context = ready.place, self._contexts.common
        if place is None:
            raise ConnectionError("nobody knows where the session is")
        async with asyncio.timeout(self.settings.connect_timeout_s):
            reader, writer = await asyncio.open_connection(place.address, place.port)
            try:
                if context is not None:
                    writer.write(SSLRequest().encode())
                    if await reader.read(1) == b"S":
                        await writer.start_tls(context, server_hostname=place.host)
                    elif self.settings.tls.mode != "prefer":
                        raise ConnectionError("the upstream does not speak TLS")
                writer.write(CancelRequest(ready.pid, ready.key).encode())
                await writer.drain()
                # Postgres closes once the signal is sent; only then is it certain.
                with contextlib.suppress(ConnectionResetError):
                    await reader.read(1)
            finally:
                writer.close()


def _goes_on(error: UpstreamError) -> Why | None:
    """Whether another host may do, as in libpq: nothing was said about this login."""
    if error.reason == "connect":
        return "connect"
    return "not-now" if error.report.sqlstate == CANNOT_CONNECT_NOW else None


def _leave(dialled: Dialled) -> None:
    dialled.transport.write(terminate())
    dialled.transport.close()


def _nobody(
    notes: Sequence[str], last: UpstreamError | None, *, is_other_kind: bool
) -> UpstreamError:
    """None of the hosts would do."""
    note = "; ".join(notes)
    if is_other_kind:
        message = "pgwarden finds no database server of the kind that is wanted"
    elif last is not None:
        return UpstreamError(last.report, note, last.reason, last.sqlstate)
    else:
        message = "pgwarden can't reach the database"
    report = ErrorReport(
        CANNOT_CONNECT,
        message,
        hint="try again; tell whoever runs pgwarden if it goes on",
        severity="FATAL",
    )
    return UpstreamError(report, note, "connect")


def _no_password(problem: ConfigError) -> UpstreamError:
    return UpstreamError(
        ErrorReport(
            CONNECTION_REJECTED,
            "pgwarden has no password for its own login to the database",
            hint="Your own password was right; tell pgwarden's operator.",
            severity="FATAL",
        ),
        problem.message,
        "login",
    )
