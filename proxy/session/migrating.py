"""Where a session that runs migrations stops to think: before a change leaves.

A session of a role with `migrations:` in the policy has a `Migrating` beside it. Each
message that runs something is shown to it once its verdict is known; it may let the
verdict stand, give another one, or have the message held while it looks at the ledger,
the gates or the schema. What is looked at in the client's own session, inside its own
transaction, is asked here as well: `ask` sends a Query of pgwarden's own while nothing
of the client's is unanswered, and `take_answer` keeps its answer from the client. Pure.
Next: `proxy.migrations.course` and `proxy.server.migrating`, which do the thinking.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from proxy.errors import BackendError
from proxy.wire.errors_wire import parse_error_fields
from proxy.wire.frames import HEADER_BYTES, uint32_at

if TYPE_CHECKING:
    from proxy.session.judge import Judged
    from proxy.session.names import Bound
    from proxy.session.session import Session

MOST_ANSWER_BYTES: Final = 256 * 1024 * 1024
"""Of one answer: the definitions of a very large schema."""
_DATA_ROW: Final = 0x44
_COMMAND_COMPLETE: Final = 0x43
_ERROR: Final = 0x45
_READY: Final = 0x5A
_ASYNCHRONOUS: Final = frozenset({0x4E, 0x41, 0x53})
"""NoticeResponse, NotificationResponse, ParameterStatus: the client's, whoever asks."""


class Migrating(Protocol):
    """Follows the migrations of one session.

    Attributes:
        is_recorder: it writes proofs, and holds nobody to them.
        era: another one whenever a setting of the session may be another.
    """

    is_recorder: bool
    era: int

    def begin_late(self, session: Session) -> None:
        """Follow a session that was there before."""

    def attend(
        self, session: Session, judged: Judged, portal: Bound | None
    ) -> Judged | None:
        """The verdict to go by for what is about to run; None to hold the message.

        Args:
            session: which; resumed by whoever had it held.
            judged: the verdict by the rules.
            portal: of an Execute; None for a Query.
        """

    def begin(self, session: Session, judged: Judged) -> bool:
        """A Parse or Bind begins a segment; whether it may, or has to be held."""

    def lenient(self, judged: Judged, under: str) -> Judged:
        """The verdict on what is only prepared: what may run later, if proven."""

    def failed(self) -> None:
        """Postgres, or pgwarden in its place, has said no to something."""

    def ready(self, session: Session) -> None:
        """Postgres has answered all up to a Sync or Query."""

    def told(self, asking: Asking) -> None:
        """A question of its own has been answered."""

    def cancel(self) -> None:
        """The client does not want to wait any longer."""

    def ended(self) -> None:
        """The session is over."""


def prepare(session: Session, judged: Judged) -> Judged | None:
    """The verdict on a Parse; None where it has to be held."""
    migrating = session.migrating
    if migrating is None:
        return judged
    if not migrating.begin(session, judged):
        return None
    return migrating.lenient(judged, session.under)


def may_begin(session: Session, judged: Judged | None) -> bool:
    """Whether a Bind of this may go on, or has to be held."""
    migrating = session.migrating
    return migrating is None or judged is None or migrating.begin(session, judged)


def lenient(session: Session, judged: Judged) -> Judged:
    """The verdict on what is only prepared."""
    migrating = session.migrating
    return judged if migrating is None else migrating.lenient(judged, session.under)


class Asking:
    """A question of pgwarden's own that is under way in a client's session.

    Attributes:
        rows: the columns of each row so far, as text; None for NULL.
        error: SQLSTATE and message, if Postgres refused it.
        is_done: it has been answered.
    """

    __slots__ = ("_rest", "error", "is_done", "rows")

    def __init__(self) -> None:
        self.rows: list[list[str | None]] = []
        self.error: tuple[str, str] | None = None
        self.is_done = False
        self._rest = b""

    def take(self, session: Session, data: bytes) -> bytes:
        """Take what belongs to the answer; what is left is the client's.

        Raises:
            BackendError: this is no answer to a Query.
        """
        data = self._rest + data
        pos = 0
        passed = []
        while pos + HEADER_BYTES <= len(data) and not self.is_done:
            length = uint32_at(data, pos + 1)
            if not HEADER_BYTES - 1 <= length <= MOST_ANSWER_BYTES:
                raise BackendError("invalid message length from the server")
            end = pos + 1 + length
            if end > len(data):
                break
            kind = data[pos]
            if kind in _ASYNCHRONOUS or self._is_fatal(kind, data[pos:end]):
                passed.append(data[pos:end])
            else:
                self._told(session, kind, data[pos + HEADER_BYTES : end])
            pos = end
        self._rest = b"" if self.is_done else data[pos:]
        if self.is_done:
            passed.append(data[pos:])
        return b"".join(passed)

    def _is_fatal(self, kind: int, message: bytes) -> bool:
        """Whether the server ends the session: that is for the client to know."""
        return kind == _ERROR and b"\0VFATAL\0" in message

    def _told(self, session: Session, kind: int, body: bytes) -> None:
        if kind == _DATA_ROW:
            self.rows.append(_columns(body))
        elif kind == _ERROR:
            fields = parse_error_fields(body)
            self.error = (fields.get("C", "XX000"), fields.get("M", ""))
        elif kind == _READY and len(body) == 1:
            # A question that fails in a transaction has failed that transaction.
            session.status = body[0]
            self.is_done = True


def ask(session: Session, text: str) -> Asking:
    """Send a Query of pgwarden's own.

    Only in a session that is pondered, while nothing of the client's is unanswered and
    no segment is open.
    """
    if session.queue or session.in_segment or session.asking is not None:
        raise RuntimeError("a question of pgwarden's own at the wrong time")
    asking = session.asking = Asking()
    body = text.encode() + b"\0"
    session.to_backend.append(b"Q" + (len(body) + 4).to_bytes(4, "big") + body)
    return asking


def _columns(body: bytes) -> list[str | None]:
    """The columns of a DataRow, all in text."""
    found: list[str | None] = []
    pos = 2
    for _ in range(int.from_bytes(body[:2], "big")):
        length = int.from_bytes(body[pos : pos + 4], "big", signed=True)
        pos += 4
        if length < 0:
            found.append(None)
            continue
        found.append(body[pos : pos + length].decode("utf-8", "replace"))
        pos += length
    return found
