"""What the connections of one worker share: policy, identities, upstream, counters.

Sessions ask it for verdicts and upstream logins; it knows every session and takes part
in its beginning and end. Next: `proxy.server.run`, which drives it.
"""

from __future__ import annotations

import secrets
import time
from collections import Counter
from typing import TYPE_CHECKING

import structlog

from proxy.audit.records import SessionRecords, SessionStart
from proxy.auth.identities import load_identities
from proxy.errors import (
    INVALID_AUTHORIZATION,
    INVALID_CATALOG_NAME,
    TOO_MANY_CONNECTIONS,
    ConfigError,
    ErrorReport,
)
from proxy.metrics import pack
from proxy.policy.decision import Decision
from proxy.policy.documents import load
from proxy.policy.evaluate import Policy, UnknownRoleError
from proxy.policy.yaml import load_yaml
from proxy.server.cancel import CancelKeys
from proxy.server.control import Numbers
from proxy.server.link import Link
from proxy.session.judge import Judge
from proxy.session.login_effects import LoginRules
from proxy.session.session import Limits, Session
from proxy.wire.codes import IDLE
from proxy.wire.messages import BackendKeyData, ReadyForQuery

if TYPE_CHECKING:
    import asyncio
    import ssl
    from collections.abc import Callable
    from pathlib import Path

    from proxy.auth.identities import Identities
    from proxy.metrics import Metrics
    from proxy.server.committer import Committer
    from proxy.server.dial import Dialled, Dialler
    from proxy.server.entrance import Entrance
    from proxy.server.tasks import Tasks
    from proxy.session.login_effects import LoginRequest
    from proxy.session.upstream_plan import UpstreamPlan
    from proxy.settings import Settings
    from proxy.wire.startup import CancelRequest

_log = structlog.get_logger("server")

ALWAYS_WATCHED = {"standard_conforming_strings": "on", "client_encoding": "UTF8"}
"""Whatever the policy says: with other values pgwarden and Postgres would read one text
in two ways."""
WATCHED_OF_READERS = (
    "default_transaction_read_only",
    "session_authorization",
    "is_superuser",
)
"""Reported parameters that a read-only session has no way to change."""


class Slot:
    """A place among the sessions of an identity; released once."""

    def __init__(self, taken: Counter[str], identity: str) -> None:
        self._taken = taken
        self._identity = identity
        taken[identity] += 1

    def release(self) -> None:
        """Give the place back."""
        if self._identity:
            self._taken[self._identity] -= 1
            if not self._taken[self._identity]:
                del self._taken[self._identity]
            self._identity = ""


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
        tls_context: ssl.SSLContext | None,
        worker: int = 0,
    ) -> None:
        """Load policy and identities.

        Raises:
            ConfigError: one of them can't be used.
        """
        self.settings = settings
        self.loop = loop
        self.metrics = metrics
        self.committer = committer
        self.dialler = dialler
        self.tasks = tasks
        self.tls_context = tls_context
        self.clock = time.perf_counter
        self.mock_key = secrets.token_bytes(32)
        self.cancel_keys = CancelKeys(worker)
        self.entrances: set[Entrance] = set()
        self.links: dict[Link, tuple[Slot, int]] = {}
        self.policy = read_policy(settings.policy, settings)
        self.identities: Identities = read_identities(settings.identities)
        self._judges: dict[tuple[str, str], Judge] = {}
        self._taken: Counter[str] = Counter()
        self.upstream_problem = ""
        self.pass_on_cancel: Callable[[int, bytes], None] | None = None
        self.stop: Callable[[], None] = lambda: None
        self._limits = Limits(
            statement_bytes=settings.limits.statement_bytes,
            statements=settings.limits.prepared_statements,
            portals=settings.limits.portals,
        )
        metrics.policy_reload("ok", self.policy.version)

    # --- admission -----------------------------------------------------------

    def login_rules(self, *, is_loopback: bool) -> LoginRules:
        """The rules for a connection that begins now."""
        return LoginRules(
            tls_available=self.tls_context is not None,
            plaintext_allowed=is_loopback,
            may_login=self._may_login,
            judge_setting=self.policy.decide_setting,
        )

    def _may_login(self, role: str, _database: str) -> Decision:
        try:
            rules = self.policy.role(role)
        except UnknownRoleError as error:
            return Decision(
                allowed=False,
                rule="login.unknown-role",
                reason=error.message,
                sqlstate=INVALID_AUTHORIZATION,
            )
        if not rules.may_login:
            return Decision(
                allowed=False,
                rule="login.refused",
                reason=rules.login_reason,
                sqlstate=INVALID_AUTHORIZATION,
                hint=rules.login_hint,
            )
        return Decision(allowed=True, rule="login", reason="the role may log in")

    def admission_problem(self, request: LoginRequest) -> ErrorReport | None:
        """Why a proven client can't come in now, or None."""
        limits = self.settings.limits
        if not self.settings.upstream.serves(request.database):
            return ErrorReport(
                INVALID_CATALOG_NAME,
                f'database "{request.database}" is not served here',
                hint="ask for one of: " + ", ".join(self.settings.upstream.databases),
                severity="FATAL",
            )
        if self._taken.total() >= limits.sessions:
            return _too_many(f"pgwarden has {limits.sessions} sessions already")
        if self._taken[request.identity] >= limits.sessions_per_identity:
            return _too_many(
                f'"{request.identity}" has {limits.sessions_per_identity} sessions '
                "already"
            )
        return None

    def take_slot(self, request: LoginRequest) -> Slot:
        """Count a session that is about to begin."""
        return Slot(self._taken, request.identity)

    def plan(self, request: LoginRequest) -> UpstreamPlan:
        """How to log in upstream for this client."""
        rules = self.policy.role(request.role)
        return self.dialler.plan(rules.upstream, request, is_read_only=rules.read_only)

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
        )
        rules = self.policy.role(request.role)
        watched = dict(ALWAYS_WATCHED)
        if rules.read_only:
            watched |= {
                name: ready.parameters[name]
                for name in WATCHED_OF_READERS
                if name in ready.parameters
            }
        session = Session(
            self._judge(request.role, request.database),
            records,
            token=secrets.token_hex(8),
            clock=self.clock,
            meter=self.metrics,
            limits=self._limits,
            watched=watched,
        )
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
        pid, key = self.cancel_keys.issue(link, minor=request.minor)
        self.links[link] = (slot, pid)
        self.metrics.session_opened(request.role)
        self.metrics.upstream_open += 1
        tls = client.get_extra_info("ssl_object")
        session.records.append(
            records.start(
                SessionStart(
                    authentication="scram-sha-256",
                    client_port=port,
                    tls=tls.version() if tls is not None else "",
                    protocol=f"3.{request.minor}",
                    upstream_user=self.dialler.settings.logins[rules.upstream].user,
                    backend_pid=ready.pid,
                    policy=self.policy.version,
                    settings=dict(request.settings),
                )
            )
        )
        client.write(
            ready.relay
            + ready.notices
            + BackendKeyData(pid, key).encode()
            + ReadyForQuery(IDLE).encode()
        )
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
        self.cancel_keys.forget(pid)
        self.metrics.session_closed(link.request.role)
        self.metrics.upstream_open -= 1
        self.metrics.bytes_received += link.bytes_in
        self.metrics.bytes_sent += link.bytes_out

    def _judge(self, role: str, database: str) -> Judge:
        judge = self._judges.get((role, database))
        if judge is None:
            judge = Judge(self.policy, role, database=database)
            self._judges[role, database] = judge
        return judge

    def problems(self) -> list[str]:
        """What keeps this worker from being ready, one short line each."""
        found = []
        if not self.committer.is_available:
            found.append("the audit log can't be written; statements are refused")
        if self.upstream_problem:
            found.append("the database can't be reached")
        return found

    def numbers(self) -> Numbers:
        """What this worker tells its parent."""
        snapshot = self.metrics.snapshot(time.monotonic())
        return Numbers(pack(snapshot), self.problems())

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
        self.cancel_upstream(link)

    def cancel_upstream(self, link: Link) -> None:
        """Have the upstream stop what this session runs."""
        self.tasks.start(self._cancel(link))

    async def _cancel(self, link: Link) -> None:
        try:
            await self.dialler.cancel(link.ready.pid, link.ready.key)
        except (OSError, TimeoutError) as error:
            self.metrics.cancel_request("failed")
            _log.warning("cancel_failed", error=str(error))
        else:
            self.metrics.cancel_request("forwarded")

    # --- reload --------------------------------------------------------------

    def reload(self) -> None:
        """Read policy and identities again; what is broken is refused as a whole."""
        try:
            policy = read_policy(self.settings.policy, self.settings)
            identities = read_identities(self.settings.identities)
        except ConfigError as error:
            self.metrics.policy_reload("refused", self.policy.version)
            _log.error(
                "reload_refused", error=error.message, in_force=self.policy.version
            )
            return
        self.identities = identities
        if policy.version == self.policy.version:
            return
        self.policy = policy
        self._judges = {}
        for link in self.links:
            link.session.follow(self._judge(link.request.role, link.request.database))
        self.metrics.policy_reload("ok", policy.version)
        _log.info("policy_reloaded", version=policy.version, sessions=len(self.links))


def read_policy(path: Path, settings: Settings) -> Policy:
    """The policy in this file.

    Raises:
        ConfigError: it can't be read or used, or names an upstream login that the
            settings do not have.
    """
    policy = Policy(load(_read(path, "policy"), source=str(path)))
    known = settings.upstream.logins
    for name in policy.roles:
        role = policy.role(name)
        if role.may_login and role.upstream not in known:
            raise ConfigError(
                f'{path}: role "{name}" wants upstream login "{role.upstream}", which '
                f"the settings do not have (they have: {', '.join(known)})"
            )
    return policy


def read_identities(path: Path) -> Identities:
    """The identities in this file.

    Raises:
        ConfigError: it can't be read or used.
    """
    loaded = load_yaml(_read(path, "identities"), source=str(path))
    value = loaded.value
    if not isinstance(value, dict):
        raise ConfigError(f"{path}: the document must be a mapping of keys to values")
    return load_identities(value, source=str(path))


def _read(path: Path, what: str) -> str:
    try:
        return path.read_text()
    except OSError as error:
        raise ConfigError(
            f'{what} file "{path}" can\'t be read: {error.strerror}'
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f'{what} file "{path}" is not UTF-8') from error


def _too_many(message: str) -> ErrorReport:
    return ErrorReport(
        TOO_MANY_CONNECTIONS,
        f"too many connections: {message}",
        hint="close some, or try again later",
        severity="FATAL",
    )
