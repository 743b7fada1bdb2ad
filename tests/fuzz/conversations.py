"""Random conversations, dense in what matters: names, portals, errors, refusals.

A weighted writer finds more per second here than lists of hypothesis strategies, whose
examples are mostly short; hypothesis still chooses, and shrinks, seed and length.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from tests.unit.session.playbook import (
    COPY_DONE,
    FLUSH,
    FUNCTION_CALL,
    SYNC,
    bind,
    close,
    copy_data,
    copy_fail,
    describe,
    execute,
    parse,
    query,
)

if TYPE_CHECKING:
    from random import Random

T = TypeVar("T")
DENIED = ["DO $$BEGIN END$$", "SELECT pg_sleep(9)", "SELECT 1; LISTEN x"]
READS = ["SELECT 1", "SELECT 2", "SELECT 3", ""]
FAILING = ["SELECT 1/0", "SELECT nope"]
TRANSACTIONS = ["BEGIN", "BEGIN", "COMMIT", "ROLLBACK", "ROLLBACK"]
PREPARED = ["PREPARE a AS SELECT 1", "PREPARE b AS SELECT 2", "DEALLOCATE a"]
PREPARED += ["DEALLOCATE ALL", "DISCARD ALL"]
EXECUTED = ["EXECUTE a", "EXECUTE a", "EXECUTE b"]
CURSORS = ["DECLARE p CURSOR FOR SELECT 1", "CLOSE p"]
CURSORS += ["DECLARE p CURSOR WITH HOLD FOR SELECT 1"]
FETCHES = ["FETCH 1 FROM p"]
SEVERAL = ["SELECT 1; SELECT 2", "SELECT 1; SELECT 1/0", "BEGIN; SELECT 1; COMMIT"]
SEVERAL += ["DEALLOCATE a; PREPARE a AS SELECT 2", "PREPARE a AS SELECT 2; SELECT 1/0"]
COPIES = ["COPY t FROM STDIN", "COPY t FROM STDIN; SELECT 1"]


class Writer:
    """Writes one conversation; what it leaves out makes it comparable to another."""

    def __init__(
        self, random: Random, *, copies: bool = False, by_name: bool = True
    ) -> None:
        self._random = random
        self._copies = copies
        self._groups = [(READS, 8), (FAILING, 3), (TRANSACTIONS, 5), (DENIED, 3)]
        self._groups += [(PREPARED, 3), (CURSORS, 2)]
        if by_name:
            self._groups += [(EXECUTED, 4), (FETCHES, 3)]

    def script(self, length: int) -> list[bytes]:
        return [self._step() for _ in range(length)] + [SYNC]

    def _step(self) -> bytes:
        pick = self._random.random()
        if self._copies and pick < 0.2:
            return self._copy()
        if pick < 0.45:
            return query(self._text(several=True))
        if pick < 0.48:
            return FUNCTION_CALL
        message = self._run() if pick < 0.75 else self._extended()
        return message + self._one([b"", SYNC, SYNC, FLUSH])

    def _run(self) -> bytes:
        name, portal = self._name(), self._portal()
        parts = [
            parse(self._text(), name),
            describe("S", name),
            bind(name, portal),
            execute(portal, self._rows()),
            execute(portal, self._rows()),
        ]
        kept = [p for p in parts if self._random.random() < 0.8]
        return b"".join(kept)

    def _extended(self) -> bytes:
        name, portal = self._name(), self._portal()
        return self._one(
            [
                parse(self._text(), name),
                bind(name, portal),
                bind(name, portal),
                execute(portal, self._rows()),
                execute(portal, self._rows()),
                describe("P", portal),
                close("S", name),
                close("P", portal),
            ]
        )

    def _copy(self) -> bytes:
        data = [copy_data(), copy_data(), copy_data(b"bad"), FLUSH, SYNC]
        body = b"".join(self._one(data) for _ in range(self._random.randrange(4)))
        end = self._one([COPY_DONE, COPY_DONE, copy_fail()])
        if self._random.random() < 0.5:
            return query(self._one(COPIES)) + body + end
        begin = parse(COPIES[0]) + bind() + execute() + self._one([b"", SYNC])
        return begin + body + end + SYNC

    def _text(self, *, several: bool = False) -> str:
        groups = [*self._groups, (SEVERAL, 3)] if several else self._groups
        texts, weights = zip(*groups, strict=True)
        chosen: list[str] = self._random.choices(texts, weights)[0]
        return self._one(chosen)

    def _name(self) -> str:
        return self._one(["", "a", "b"])

    def _portal(self) -> str:
        return self._one(["", "p", "p"])

    def _rows(self) -> int:
        return self._one([0, 1, 2])

    def _one(self, choices: list[T]) -> T:
        return self._random.choice(choices)
