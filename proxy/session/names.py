"""The session's prepared statements and portals: which text a name stands for.

Protocol-level Parse and Bind share their name spaces with SQL PREPARE and DECLARE.
Every change is speculative until Postgres has answered it: a Parse of an existing name
fails with 42P05 and the old statement stays. Pure.
Source: PostgreSQL src/backend/commands/prepare.c and utils/mmgr/portalmem.c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from proxy.session.judge import Judged
    from proxy.sql.facts import Facts


class Bound:
    """What a name stands for, or (no `judged`) that it was closed.

    A change that Postgres has not confirmed is tied to the message that makes it.

    Attributes:
        space: the name space it is in.
        name: the statement's or portal's name, b"" for the unnamed one.
        judged: the text behind it with its verdict; None for a closed name.
        settled: Postgres has confirmed it.
        segment: number of the segment (up to a Sync or Query) that set it.
        after: how many statements of the message that sets it must complete first.
        before: what the name stood for before, while not settled.
        execution: for a portal, its recorded run, once it was executed.
        is_cursor: a portal made by DECLARE.
        is_held: a cursor WITH HOLD, which outlives its transaction.
        runs_text: executing it runs `judged` itself (a Parse); else only the body of
            an SQL PREPARE or DECLARE in it.
        facts: for a statement, what EXECUTE of it does.
        names: the client's names of statement and portal, as the records show them.
        types: of parameters, as the Parse had them; kept where migrations are followed.
        values: likewise all of a Bind behind its names; None where it was not kept.
        era: likewise, of the settings when Postgres read the text, see `Migrating`.
        is_limited: likewise, whether its Execute asks for some of the rows alone.
    """

    __slots__ = (
        "after",
        "before",
        "era",
        "execution",
        "facts",
        "is_cursor",
        "is_held",
        "is_limited",
        "judged",
        "name",
        "names",
        "runs_text",
        "segment",
        "settled",
        "space",
        "types",
        "values",
    )

    def __init__(
        self,
        space: NameSpace,
        name: bytes,
        judged: Judged | None,
        *,
        segment: int,
        before: Bound | None = None,
    ) -> None:
        self.space = space
        self.name = name
        self.judged = judged
        self.segment = segment
        self.after = 0
        self.settled = False
        self.before = before
        self.execution: Execution | None = None
        self.is_cursor = False
        self.is_held = False
        self.runs_text = True
        self.facts: Facts | None = None
        self.names = b""
        self.types = b""
        self.values: bytes | None = None
        self.era = 0
        self.is_limited = False

    def is_uncertain(self, segment: int) -> bool:
        """Whether the name may also stand for `before`, by answers still to come.

        Within a segment there is no doubt: had the earlier message failed, Postgres
        would skip the later one too.
        """
        return not self.settled and self.before is not None and self.segment != segment


class Execution:
    """One recorded run of a statement: what its outcome will say.

    Attributes:
        serial: number of its audit record within the session.
        started_s: when it was forwarded, on the shell's monotonic clock.
        tag: the last command tag seen.
        rows: rows returned or changed so far.
        sqlstate: of the error that ended it, or "".
        ran: Postgres has answered at least one fetch of it.
        finished: its outcome has been recorded.
        piece, start, end: until its record is written, where its message lies in the
            session's `to_backend`: index, and offsets within that piece.
        record: likewise, the index of its record in the session's `records`.
    """

    __slots__ = (
        "end",
        "finished",
        "judged",
        "piece",
        "ran",
        "record",
        "rows",
        "serial",
        "sqlstate",
        "start",
        "started_s",
        "tag",
    )

    def __init__(self, serial: int, judged: Judged, started_s: float) -> None:
        self.serial = serial
        self.judged = judged
        self.started_s = started_s
        self.tag = b""
        self.rows = 0
        self.sqlstate = ""
        self.ran = False
        self.finished = False
        self.piece = 0
        self.start = 0
        self.end = 0
        self.record = 0


class NameSpace(dict[bytes, Bound]):
    """One of the two name spaces of a session: what each name stands for.

    That is, if all that was sent succeeds. A name may stand for a closed one.
    """

    __slots__ = ()

    def put(self, name: bytes, judged: Judged | None, *, segment: int) -> Bound:
        """Speculatively let `name` stand for `judged` (None: closed)."""
        bound = Bound(self, name, judged, segment=segment, before=self.get(name))
        self[name] = bound
        return bound

    def settle(self, bound: Bound) -> None:
        """Postgres confirmed `bound`."""
        bound.settled = True
        bound.before = None
        if bound.judged is None and self.get(bound.name) is bound:
            del self[bound.name]

    def undo(self, bound: Bound) -> None:
        """Postgres refused or skipped `bound`: what it replaced stands again."""
        current = self.get(bound.name)
        if current is bound:
            before = bound.before
            if before is None or (before.judged is None and before.settled):
                del self[bound.name]
            else:
                self[bound.name] = before
            return
        while current is not None:
            if current.before is bound:
                current.before = bound.before
                return
            current = current.before

    def is_uncertain(self, name: bytes, *, segment: int) -> bool:
        """Whether `name` may stand for either of two things; see `Bound`."""
        bound = self.get(name)
        return bound is not None and bound.is_uncertain(segment)

    def may_be_unrun(self, name: bytes) -> bool:
        """Whether `name` may be a portal that was bound, and never executed."""
        bound = self.get(name)
        while bound is not None:
            if bound.judged and not bound.is_cursor and bound.execution is None:
                return True
            bound = bound.before
        return False

    def keep_held(self) -> None:
        """Forget all but cursors WITH HOLD: the transaction has ended."""
        held = [bound for bound in self.values() if bound.is_held]
        self.clear()
        for bound in held:
            self[bound.name] = bound
