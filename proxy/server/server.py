"""What the connections of one worker share: policy, identities, upstream, counters.

Sessions ask it for verdicts and upstream logins; it knows every session and takes part
in its beginning and end. Next: `proxy.server.run`, which drives it.
"""

from __future__ import annotations

import secrets
import time
from functools import partial
from typing import TYPE_CHECKING

import structlog

from proxy.audit.details import SessionStart
from proxy.audit.records import SessionRecords
from proxy.migrations.profile_advice import ToolAdviser
from proxy.migrations.profile_load import shipped_profiles
from proxy.migrations.profile_match import Tools
from proxy.policy.networks import Networks
from proxy.server.admission import Rates, Slots
from proxy.server.cancel import CancelKeys
from proxy.server.catalogs import Catalogs
from proxy.server.door import Door
from proxy.server.farewell import Farewell
from proxy.server.gate import Gate
from proxy.server.judges import Judges
from proxy.server.link import Link
from proxy.server.migrating.choice import following_of
from proxy.server.reload import reload
from proxy.server.upstream_users import catalog_login
from proxy.session.reports import JUDGED_REPORTS
from proxy.session.session import Limits, Session
from proxy.session.surroundings import Surroundings
from proxy.sql.majors import major_of
from proxy.wire.codes import IDLE
from proxy.wire.messages import BackendKeyData, ReadyForQuery

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from proxy.metrics import Metrics
    from proxy.policy.evaluate import RolePolicy
    from proxy.policy.model import RoleLimits
    from proxy.server.admission import Slot
    from proxy.server.committer import Committer
    from proxy.server.dial import Dialler
    from proxy.server.entrance import Entrance
    from proxy.server.handshake_side import Dialled
    from proxy.server.issuers import Issuers
    from proxy.server.lending import Lending
    from proxy.server.migrating.ground import Ground
    from proxy.server.sources import Sources
    from proxy.server.stored import Stored
    from proxy.server.tasks import Tasks
    from proxy.server.tls import FrontendTls
    from proxy.session.login_effects import LoginRequest
    from proxy.session.upstream_plan import UpstreamPlan
    from proxy.settings import Settings
    from proxy.wire.startup import CancelRequest

_log = structlog.get_logger("server")

ALWAYS_WATCHED = {"standard_conforming_strings": "on", "client_encoding": "UTF8"}
"""Whatever the policy says: with other values pgwarden and Postgres would read one text
in two ways."""
WATCHED_OF_READERS = ("default_transaction_read_only", "is_superuser")
"""Reported parameters that a read-only session has no way to change."""


class Server:
    """The shared state of one worker."""

    def __init__(  # noqa: PLR0913 - everything that sessions share
        self,
        settings: Settings,
        *,
        loop: asyncio.AbstractEventLoop,
        metrics: Metrics,
        committer: Committer,
        dialler: Dialler,
        tasks: Tasks,
        sources: Sources,
        tls: FrontendTls | None,
        issuers: Issuers,
        worker: int = 0,
        gate: Gate | None = None,
    ) -> None:
        """Begin without any session."""
        self.gate = gate or Gate()
        self.settings = settings
        self.loop = loop
        self.metrics = metrics
        self.committer = committer
        self.dialler = dialler
        self.tasks = tasks
        self.tls = tls
        self.issuers = issuers
        self.clock = time.perf_counter
        self.now = time.time  # noqa: TID251 - here it is handed on to the sessions
        self.mock_key = secrets.token_bytes(32)
        self.worker = worker
        self.cancel_keys = CancelKeys(worker)
        self.entrances: set[Entrance] = set()
        self.links: dict[Link, tuple[Slot, int]] = {}
        self.farewells: set[Farewell] = set()
        self.policy = sources.policy
        self.identities = sources.identities
        self.keys = sources.keys
        self.stored: Stored | None = None
        self.catalogs = Catalogs(
            dialler,
            tasks=tasks,
            metrics=metrics,
            clock=self.clock,
            login=self._catalog_login,
        )
        self.catalogs.changed = self._catalog_changed
        self.judges = Judges(self.policy, self.catalogs)
        self.tools = Tools(shipped_profiles())
        self.slots = Slots(settings.limits)
        self.rates = Rates()
        self.lending: Lending | None = None
        self.ground: Ground | None = None
        self.door = Door(
            settings.limits, metrics=metrics, committer=committer, clock=self.clock
        )
        balancers = settings.proxy_protocol
        self._balancers = Networks(balancers.balancers if balancers else ())
        self.pass_on_cancel: Callable[[int, bytes], None] | None = None
        self.stop: Callable[[], None] = lambda: None
        self._limits = Limits(
            statement_bytes=settings.limits.statement_bytes,
            statements=settings.limits.prepared_statements,
            portals=settings.limits.portals,
        )
        metrics.policy_reload("ok", self.policy.version)

    def is_balancer(self, address: str) -> bool:
        """Whether a connection from there begins with a PROXY header."""
        return self._balancers.have(address)

    # --- admission -----------------------------------------------------------

    def limits_of(self, role: str) -> RoleLimits:
        """What the sessions of a role may take."""
        return self.policy.limits_of(role)

    def plan(self, request: LoginRequest) -> UpstreamPlan:
        """How to log in upstream for this client."""
        rules = self.policy.role(request.role)
        return self.dialler.plan(
            rules.upstream,
            request,
            is_read_only=rules.read_only,
            defaults=self._defaults_of(rules),
        )

    def _defaults_of(self, rules: RolePolicy) -> tuple[tuple[str, str], ...]:
        """Settings that sessions which migrate begin with."""
        migrations = self.settings.migrations
        if rules.migrations is None or migrations is None:
            return ()
        return migrations.gates.session_defaults()

    # --- sessions ------------------------------------------------------------

    def begin(  # noqa: PLR0913 - what a login has gathered
        self,
        request: LoginRequest,
        dialled: Dialled,
        *,
        client: asyncio.Transport,
        address: str,
        port: int,
        opened_s: float,
        leftover: bytes,
        slot: Slot,
    ) -> None:
        """Both sides are logged in: let them talk."""
        ready = dialled.ready
        session_id = secrets.token_hex(8)
        records = SessionRecords(
            session_id,
            identity=request.identity,
            role=request.role,
            database=request.database,
            application_name=request.application_name,
            client_address=address,
            grant=request.grant,
        )
        rules = self.policy.role(request.role)
        major = major_of(ready.parameters.get("server_version", ""))
        names = WATCHED_OF_READERS if rules.read_only else ()
        watched = ALWAYS_WATCHED | {
            name: ready.parameters[name]
            for name in (*names, *JUDGED_REPORTS)
            if name in ready.parameters
        }
        surroundings = Surroundings(
            address=address,
            application=request.application_name,
            reported=ready.parameters.get("application_name", ""),
            now=self.now,
        )
        session = Session(
            surroundings.adopt(
                rules.situations,
                partial(self.judges.of, request.role, request.database, major),
            ),
            records,
            token=secrets.token_hex(8),
            clock=self.clock,
            tally=self.metrics.tally,
            limits=self._limits,
            watched=watched,
            rate=self.rates.of(request, self.policy),
            surroundings=surroundings,
        )
        session.adviser = ToolAdviser(self.tools)
        link = Link(
            self,
            request,
            session,
            records=records,
            client=client,
            upstream=dialled.transport,
            ready=ready,
            opened_s=opened_s,
        )
        if self.ground is not None:
            session.migrating = following_of(link, self.ground)
        pid, key = self.cancel_keys.issue(link, minor=request.minor)
        self.links[link] = (slot, pid)
        self.metrics.session_opened(request.role)
        self.metrics.upstream_open += 1
        tls = client.get_extra_info("ssl_object")
        session.records.append(
            records.start(
                SessionStart(
                    authentication=request.authentication,
                    login_rule=request.login_rule,
                    proof=dict(request.proof),
                    client_port=port,
                    tls=tls.version() if tls is not None else "",
                    protocol=f"3.{request.minor}",
                    upstream=self.dialler.hosts.name_of(ready.place),
                    upstream_user=dialled.user,
                    backend_pid=ready.pid,
                    policy=self.policy.version,
                    settings=dict(request.settings),
                    shadow=dict(request.shadows),
                )
            )
        )
        if self.stored is not None:
            self.stored.came_in(request, address)
        for _, shadow in request.shadows:
            self.metrics.tally.would_refuse(request.role, shadow.rule)
        client.write(
            ready.relay
            + ready.notices
            + (self.lending.greeting(request) if self.lending else b"")
            + BackendKeyData(pid, key).encode()
            + ReadyForQuery(IDLE).encode()
        )
        if self.lending is not None:
            self.lending.joined(link)
        client.set_protocol(link.frontend_side)
        dialled.transport.set_protocol(link.backend_side)
        if ready.leftover:
            session.from_backend(ready.leftover)
        if leftover:
            session.from_frontend(leftover)
        link.after_frontend()
        client.resume_reading()
        dialled.transport.resume_reading()

    def closed(self, link: Link) -> None:
        """A link has closed its connections."""
        known = self.links.pop(link, None)
        if known is None:
            return
        slot, pid = known
        slot.release()
        if link.session.migrating is not None:
            link.session.migrating.ended()
        self.cancel_keys.forget(pid)
        request = link.request
        self.metrics.session_closed(request.role)
        roles = self.policy.roles
        if request.role in roles and not self.policy.role(request.role).read_only:
            self.catalogs.may_have_changed(request.database)
        self.metrics.upstream_open -= 1
        self.metrics.bytes_received += link.bytes_in
        self.metrics.bytes_sent += link.bytes_out

    def farewell(self, link: Link, grace_s: float) -> None:
        """Let the upstream of a session that is over finish, or cancel it."""
        self.farewells.add(
            Farewell(link, grace_s=grace_s, ended=self.farewells.discard)
        )

    def _catalog_login(self) -> str | None:
        """The login that asks for catalogs."""
        return catalog_login(self.settings.upstream, self.policy)

    def _catalog_changed(self, database: str) -> None:
        """Sessions are judged by the new catalog from their next statement."""
        self.judges.forget(database)
        for link in self.links:
            if link.request.database == database:
                link.session.look_again()

    def problems(self) -> list[str]:
        """What keeps this worker from being ready, one short line each."""
        found = []
        if not self.committer.is_available:
            found.append("the audit log can't be written; statements are refused")
        if problem := self.gate.problem(self.policy):
            found.append(problem)
        if self.stored is not None and self.stored.watch.refusal() is not None:
            found.append("the store can't be read; nobody new may come in")
        return found + self.issuers.problems() + self.dialler.health.problems()

    # --- cancel --------------------------------------------------------------

    def cancel_requested(self, request: CancelRequest) -> None:
        """Somebody wants a statement stopped; only who holds the key is heard."""
        keys = self.cancel_keys
        if self.pass_on_cancel is not None and not keys.are_ours(request.pid):
            self.pass_on_cancel(request.pid, request.key)
        else:
            self.cancel_here(request.pid, request.key)

    def cancel_here(self, pid: int, key: bytes) -> None:
        """Stop a statement of this worker, if the key is right."""
        link = self.cancel_keys.find(pid, key)
        if link is None:
            self.metrics.cancel_request("unknown")
            return
        if link.session.migrating is not None:
            link.session.migrating.cancel()
        self.tasks.start(self._cancel(link, is_asked=True))

    def cancel_upstream(self, link: Link) -> None:
        """Have the upstream stop what this session runs, on our own account."""
        self.tasks.start(self.cancel_now(link))

    async def cancel_now(self, link: Link) -> None:
        """The same; returns when the upstream has taken it, or could not be reached."""
        await self._cancel(link, is_asked=False)

    async def _cancel(self, link: Link, *, is_asked: bool) -> None:
        try:
            await self.dialler.cancel(link.ready)
        except (OSError, TimeoutError) as error:
            if is_asked:
                self.metrics.cancel_request("failed")
            _log.warning("cancel_failed", error=str(error))
        else:
            if is_asked:
                self.metrics.cancel_request("forwarded")

    # --- reload --------------------------------------------------------------

    def reload(self) -> None:
        """Read the files again; what is broken is refused as a whole."""
        reload(self)
