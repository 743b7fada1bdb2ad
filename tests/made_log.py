"""An audit log without a proxy: sessions judged as on the wire, records as it writes.

For what reads logs: any number of sessions, in any order, in no time. That a real
pgwarden writes such records is what the integration tests are for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.audit.chain import Chain
from proxy.audit.checkpoint import Checkpoint
from proxy.audit.details import SessionEnd, SessionStart
from proxy.audit.folder import file_name
from proxy.audit.records import SessionRecords, names_fragment
from proxy.cli.offline import OfflineSession
from proxy.session.judge import Judge

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

    from proxy.audit.records import Message, Status
    from proxy.policy.evaluate import Policy

BEGIN = 1_760_000_000.0
"""Time of the first record; each one after it is a millisecond later."""


class MadeLog:
    """One audit file of a folder; use as a context manager."""

    def __init__(self, folder: Path, *, worker: str = "0", at: float = BEGIN) -> None:
        folder.mkdir(mode=0o700, exist_ok=True)
        self.path = folder / file_name(worker, at, "0123456789abcdef")
        self._worker = worker
        self._at = at
        self._chain = Chain()
        self._sessions = 0
        self._file: BinaryIO = self.path.open("wb")

    def __enter__(self) -> MadeLog:
        opening = Checkpoint(
            event="open",
            records=0,
            file=self.path.name,
            worker=self._worker,
            previous=None,
        )
        self.write(opening.fragment())
        return self

    def __exit__(self, *_: object) -> None:
        closing = Checkpoint(event="close", records=self._chain.seq)
        self.write(closing.fragment())
        self._file.close()

    def write(self, *fragments: bytes) -> None:
        """Records of one write, which share their time."""
        data, self._chain.seq, self._chain.last = self._chain.extend(
            fragments, self._at
        )
        self._at += 0.001
        self._file.write(data)

    def session(
        self,
        policy: Policy | Judge,
        role: str = "developer",
        *,
        identity: str = "ana",
        application_name: str = "psql",
        database: str = "shop",
        settings: dict[str, str] | None = None,
        is_started: bool = True,
    ) -> MadeSession:
        """A session that begins now (or, not `is_started`, began before the log)."""
        self._sessions += 1
        records = SessionRecords(
            f"{self._worker}s{self._sessions}",
            identity=identity,
            role=role,
            database=database,
            application_name=application_name,
            client_address="127.0.0.1",
        )
        if is_started:
            start = SessionStart(
                authentication="scram-sha-256", settings=settings or {}
            )
            self.write(records.start(start))
        judge = (
            policy
            if isinstance(policy, Judge)
            else Judge(policy, role, database=database)
        )
        return MadeSession(self, records, judge)


class MadeSession:
    """What one client does; each method writes what a session would record."""

    def __init__(self, log: MadeLog, records: SessionRecords, judge: Judge) -> None:
        self._log = log
        self._records = records
        self._session = OfflineSession(judge)
        self._serial = 0

    @property
    def last_id(self) -> str:
        """The audit id of the last statement."""
        return self._records.audit_id(self._serial)

    def query(self, text: str, status: Status | None = "ok") -> bool:
        """A Query and its outcome (None: no outcome yet); whether it was allowed."""
        return self._send(text, "query", b"", status)

    def execute(
        self, text: str, *, name: str = "", portal: str = "", status: Status = "ok"
    ) -> bool:
        """Parse, Bind and Execute: one record, of the Parse where that is refused."""
        names = names_fragment(statement=name.encode(), portal=portal.encode())
        return self._send(text, "execute", names, status)

    def rename(self, application_name: str) -> None:
        """Postgres reports that the client calls itself otherwise."""
        detail = {"application_name": application_name}
        self._log.write(self._records.internal("application-name", detail=detail))

    def outcome(self, status: Status) -> None:
        """The outcome of the last statement."""
        self._log.write(
            self._records.outcome(self._serial, status=status, duration_s=0.001)
        )

    def record(self, fragment: bytes, message: Message = "query") -> None:
        """A statement record of one's own making."""
        self._serial += 1
        self._log.write(
            self._records.statement(self._serial, fragment, message=message)
        )

    def end(self) -> None:
        """The client hangs up."""
        self._log.write(
            self._records.end(SessionEnd(reason="terminated", duration_s=1.0))
        )

    def _send(
        self, text: str, message: Message, names: bytes, status: Status | None
    ) -> bool:
        _, judged = self._session.send(text.encode())
        assert judged is not None
        # Not the session's own: FETCH of a cursor that is not there is for Postgres to
        # refuse, and passes on the wire.
        decision = judged.decision
        self._serial += 1
        if not decision.allowed and message == "execute":
            message = "parse"
        fragments = [
            self._records.statement(
                self._serial, judged.fragment, message=message, names=names
            )
        ]
        if decision.allowed and status is not None:
            fragments.append(
                self._records.outcome(
                    self._serial, status=status, duration_s=0.001, rows=1
                )
            )
        self._log.write(*fragments)
        return decision.allowed
