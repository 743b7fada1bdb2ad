"""One client and one upstream connection, and the session between them.

The two protocol classes are the hot path of the shell: bytes in, `Session`, bytes out.
Reading one side pauses while the other can't take more, so memory stays flat whatever
passes through. When one side goes, the other follows at once.
Next: `proxy.server.server`.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from typing_extensions import override

from proxy.audit.details import SessionEnd
from proxy.errors import ADMIN_SHUTDOWN, CONNECTION_FAILURE, ErrorReport
from proxy.server.farewell import ABORT_AFTER_S
from proxy.wire.errors_wire import encode_error

if TYPE_CHECKING:
    from proxy.audit.records import SessionRecords
    from proxy.server.overtime import Overtime
    from proxy.server.server import Server
    from proxy.session.login_effects import LoginRequest
    from proxy.session.session import Session
    from proxy.session.upstream_effects import UpstreamReady

TERMINATE = b"X\x00\x00\x00\x04"
GRACE_S = 0.1
"""What a client that vanished had sent may take so long before it is cancelled: a short
statement finishes, a long one is stopped at once."""
GOODBYE_GRACE_S = 0.5
"""The same where the client said Terminate behind it: Postgres would let it finish."""
TELL_AGAIN_S = 0.1
"""When a message is half sent, another one has to wait."""
CLIENT_ABORT_AFTER_S = 30.0
"""How long a client may take to read the last bytes of its session."""


class Link:
    """A client's session while it lasts.

    Attributes:
        is_listed: the committer has it on its list.
        active: whether anything came from the client since the last sweep.
        overtime: holds it to the time that its role may take, if that is limited.
    """

    def __init__(  # noqa: PLR0913 - everything that a session is made of
        self,
        server: Server,
        request: LoginRequest,
        session: Session,
        *,
        records: SessionRecords,
        client: asyncio.Transport,
        upstream: asyncio.Transport,
        ready: UpstreamReady,
        opened_s: float,
    ) -> None:
        """Take over two connections that are logged in."""
        self.server = server
        self.request = request
        self.session = session
        self.records = records
        self.client = client
        self.upstream = upstream
        self.ready = ready
        self.is_listed = False
        self.active = True
        self.overtime: Overtime | None = None
        self.idle_s = 0.0
        self.bytes_in = 0
        self.bytes_out = 0
        self._opened_s = opened_s
        self._is_closing = False
        self._is_unanswered = False
        self._is_client_paused = False
        self._bytes_in_when_paused = -1
        self._is_upstream_full = False
        self._committer = server.committer
        self.frontend_side = FrontendSide(self)
        self.backend_side = BackendSide(self)

    # --- the path of every statement -----------------------------------------

    def after_frontend(self) -> None:
        """The session has taken bytes from the client: record, then forward."""
        if self.is_listed or self.session.records:
            self._committer.soon(self)
        else:
            self.push()

    def after_backend(self) -> None:
        """The session has taken bytes from Postgres: pass on, record the outcome."""
        session = self.session
        if session.to_frontend:
            self._to_client()
        if session.to_backend or session.ending is not None:
            self.after_frontend()
        elif session.records:
            self._committer.later(self)
        if self._is_client_paused:
            self._match_reading()

    def push(self) -> None:
        """Let go what needs no record any more."""
        session = self.session
        if session.to_backend:
            pieces = session.to_backend
            session.to_backend = []
            if not self.upstream.is_closing():
                self.upstream.write(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        if session.to_frontend:
            self._to_client()
        if session.ending is not None:
            self._end()
        elif session.is_full:
            self._match_reading()

    def _to_client(self) -> None:
        pieces = self.session.to_frontend
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        self.session.to_frontend = []
        if not self.client.is_closing():
            self.bytes_out += len(data)
            self.client.write(data)

    def _match_reading(self) -> None:
        wanted = self._is_upstream_full or self.session.is_full
        if wanted and not self._is_client_paused:
            self._is_client_paused = True
            self.client.pause_reading()
        elif not wanted and self._is_client_paused:
            self._is_client_paused = False
            self.client.resume_reading()

    def upstream_full(self, *, is_full: bool) -> None:
        """The upstream can, or can't, take more."""
        self._is_upstream_full = is_full
        if not self._is_closing:
            self._match_reading()

    # --- what the committer calls --------------------------------------------

    def take_records(self) -> list[bytes]:
        """The records to write, now."""
        return self.session.records

    def unrecorded(self) -> list[bytes]:
        """They could not be written: refuse, and say what to write later."""
        self.session.refuse_unrecorded()
        return self.session.records

    def recorded(self) -> None:
        """They are written, or refused: let the bytes go."""
        session = self.session
        was_closing = self._is_closing
        if session.records:
            session.records = []
        if session.uncommitted:
            session.committed()
        self.push()
        if was_closing:
            self._close_transports()

    def broken(self) -> None:
        """Something of ours failed: nothing more leaves, in either direction."""
        self._is_closing = True
        self.session.to_backend = []
        self.session.records = []
        self.client.abort()
        self.upstream.abort()
        self._committer.record(
            self.records.end(
                SessionEnd(
                    reason="pgwarden failed; its log says how",
                    duration_s=round(self.server.clock() - self._opened_s, 6),
                )
            )
        )
        self.server.closed(self)

    # --- the end -------------------------------------------------------------

    def client_lost(self) -> None:
        """The client is gone: forward what it sent, stop what runs, close."""
        if self.session.ending is not None:
            self._end()
        else:
            self._close("client closed the connection")

    def upstream_lost(self) -> None:
        """Postgres is gone: the client is told, unless Postgres has told it already."""
        if self._is_closing:
            return
        report = None
        if not self.session.said_fatal:
            report = ErrorReport(
                CONNECTION_FAILURE,
                "the database closed the connection",
                hint="reconnect and look whether the last statement took effect",
                severity="FATAL",
            )
        self.server.metrics.upstream_error("lost")
        self._close("the database closed the connection", report=report)

    def shut_down(self) -> None:
        """End the session as Postgres would: pgwarden goes down."""
        report = ErrorReport(
            ADMIN_SHUTDOWN,
            "terminating connection because pgwarden is shutting down",
            hint="reconnect",
            severity="FATAL",
        )
        self._close("pgwarden shut down", report=report)

    def expel(self, reason: str) -> None:
        """End the session: the identity may not go on."""
        report = ErrorReport(
            ADMIN_SHUTDOWN,
            f"terminating connection: {reason}",
            hint="reconnect",
            severity="FATAL",
        )
        self._close(reason, report=report)

    def end_overdue(self, reason: str, report: ErrorReport) -> None:
        """A limit of time has ended the session."""
        self._close(reason, report=report)

    def tell(self, notice: bytes, *, tries: int = 50) -> None:
        """Send a whole NoticeResponse, between two messages of Postgres."""
        if self._is_closing or not tries:
            return
        if self.session.is_mid_reply:
            loop = self.server.loop
            loop.call_later(TELL_AGAIN_S, lambda: self.tell(notice, tries=tries - 1))
            return
        self.session.to_frontend.append(notice)
        self._to_client()

    # --- what a statement that runs too long needs ---------------------------

    def note(self, record: bytes) -> None:
        """Record something that no bytes wait for."""
        self.session.records.append(record)
        self._committer.later(self)

    def hold(self) -> None:
        """Forward nothing more of the client, until `release`."""
        self.session.held = True
        if not self._is_closing:
            self._match_reading()

    def release(self) -> None:
        """Go on with what the client has sent meanwhile."""
        if self._is_closing:
            return
        self.session.resume()
        self.after_frontend()
        self._match_reading()

    @property
    def is_quiet(self) -> bool:
        """Whether no statement runs and no transaction is open."""
        session = self.session
        return not session.queue and session.status == ord("I")

    def is_stalled(self) -> bool:
        """Whether the client is not read from, and was not since the last question."""
        if self._is_closing or not self._is_client_paused:
            self._bytes_in_when_paused = -1
            return False
        before, self._bytes_in_when_paused = self._bytes_in_when_paused, self.bytes_in
        return before == self.bytes_in

    def client_descriptor(self) -> int:
        """The client's socket, -1 if it is closed."""
        client = self.client.get_extra_info("socket")
        return -1 if client is None else client.fileno()

    def _end(self) -> None:
        ending = self.session.ending
        if ending is not None:
            self._close(ending.reason, report=ending.report)

    def _close(self, reason: str, *, report: ErrorReport | None = None) -> None:
        if self._is_closing:
            return
        self._is_closing = True
        session = self.session
        self._is_unanswered = bool(session.queue)
        # In the middle of a message anything more would be taken for a part of it.
        if not session.said_goodbye and not session.is_mid_request:
            session.to_backend.append(TERMINATE)
        if report is not None and not session.is_mid_reply:
            session.to_frontend.append(encode_error(report))
        session.lost()
        session.records.append(
            self.records.end(
                SessionEnd(
                    reason=reason,
                    duration_s=round(self.server.clock() - self._opened_s, 6),
                    sqlstate=report.sqlstate if report else "",
                    statements=session.statements_recorded,
                    denied=session.statements_denied,
                    bytes_in=self.bytes_in,
                    bytes_out=self.bytes_out,
                )
            )
        )
        session.end(reason, None)
        self._committer.soon(self)

    def _close_transports(self) -> None:
        """Everything is recorded and written: close both sides."""
        server = self.server
        if not self.client.is_closing():
            self.client.close()
            server.loop.call_later(CLIENT_ABORT_AFTER_S, self.client.abort)
        if self._is_unanswered and not self.upstream.is_closing():
            grace_s = GOODBYE_GRACE_S if self.session.said_goodbye else GRACE_S
            server.farewell(self, grace_s)
        else:
            self.upstream.close()
            server.loop.call_later(ABORT_AFTER_S, self.upstream.abort)
        server.closed(self)


class FrontendSide(asyncio.Protocol):
    """The client's socket."""

    def __init__(self, link: Link) -> None:
        self._link = link

    @override
    def data_received(self, data: bytes) -> None:
        link = self._link
        link.active = True
        link.bytes_in += len(data)
        link.session.from_frontend(data)
        link.after_frontend()

    @override
    def pause_writing(self) -> None:
        self._link.upstream.pause_reading()

    @override
    def resume_writing(self) -> None:
        self._link.upstream.resume_reading()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._link.client_lost()


class BackendSide(asyncio.Protocol):
    """The upstream's socket."""

    def __init__(self, link: Link) -> None:
        self._link = link

    @override
    def data_received(self, data: bytes) -> None:
        link = self._link
        link.session.from_backend(data)
        link.after_backend()

    @override
    def pause_writing(self) -> None:
        self._link.upstream_full(is_full=True)

    @override
    def resume_writing(self) -> None:
        self._link.upstream_full(is_full=False)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._link.upstream_lost()
