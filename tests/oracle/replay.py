"""Says a recorded statement again, in the form in which the tool said it.

Raw protocol, because libpq binds no named portal and declares types in its own way.
Parameters are NULL: a value decides nothing in pgwarden. Next: `test_tools_replayed`.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.oracle.raw import RawClient
from tests.unit.session.playbook import (
    bind,
    describe,
    error_fields,
    execute,
    frame,
    query,
)

if TYPE_CHECKING:
    from tests.corpus.sift import Entry

SYNC, FLUSH = frame("S"), frame("H")
_PARAMETER = re.compile(r"\$\d")
_NAME = "replayed"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: "" twice if all went well.

    Attributes:
        sqlstate: of the first error.
        detail: of the same; a refusal of pgwarden's names rule and audit id in it.
    """

    sqlstate: str = ""
    detail: str = ""

    @property
    def rule(self) -> str:
        """The rule that refused, or "" if none did."""
        found = re.fullmatch(r"rule (\S+), audit id \S+", self.detail)
        return found[1] if found else ""


class Replayer(RawClient):
    """One connection on which statements are said again, each in a clean session."""

    _status = "I"

    def say(self, entry: Entry) -> Answer:
        """Say an entry after all that must go before it."""
        for before in entry.after:
            if isinstance(before, tuple):
                kind, name, sql = before
                if kind == "portal":
                    answer = self._extended(sql, portal=name, rows=1)
                else:
                    answer = self._extended(sql, name, runs=False)
            elif _PARAMETER.search(before):
                answer = self._extended(before)
            else:
                answer = self._simple(before)
            if answer.rule:
                return answer
        form, _, described = entry.form.partition(" ")
        if form == "simple":
            return self._simple(entry.sql)
        name = _NAME if form == "named" else ""
        return self._extended(entry.sql, name, entry.types, runs=not described)

    def clean(self) -> None:
        """Leave nothing of a statement behind for the next one."""
        if self._status != "I":
            self._simple("ROLLBACK")
        answer = self._simple("DISCARD ALL")
        assert not answer.sqlstate, answer

    def _simple(self, sql: str) -> Answer:
        self.send(query(sql))
        return self._ready([])

    def _extended(
        self,
        sql: str,
        name: str = "",
        types: tuple[int, ...] = (),
        *,
        portal: str = "",
        rows: int = 0,
        runs: bool = True,
    ) -> Answer:
        self.send(_parse(sql, name, types) + describe("S", name) + FLUSH)
        got = self.receive("TnE")
        count = next((_count(body) for kind, body in got if kind == "t"), 0)
        run = bind(name, portal, *[None] * count) + execute(portal, rows)
        self.send(SYNC if _answer(got).sqlstate or not runs else run + SYNC)
        return self._ready(got)

    def _ready(self, got: list[tuple[str, bytes]]) -> Answer:
        got = got + self.receive("Z")
        self._status = got[-1][1].decode()
        return _answer(got)


def _parse(sql: str, name: str, types: tuple[int, ...]) -> bytes:
    head = name.encode() + b"\0" + sql.encode() + b"\0"
    return frame("P", head + struct.pack(f"!H{len(types)}I", len(types), *types))


def _count(body: bytes) -> int:
    return int.from_bytes(body[:2])


def _answer(messages: list[tuple[str, bytes]]) -> Answer:
    for kind, body in messages:
        if kind == "E":
            fields = error_fields(body)
            return Answer(fields["C"], fields.get("D", ""))
    return Answer()
