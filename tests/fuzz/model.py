"""A small honest Postgres: its message loop, and no more of SQL than names and status.

It follows PostgresMain, SocketBackend and CopyGetData of PostgreSQL (tcop/postgres.c,
commands/copyfromparse.c): skip until Sync, COPY-in, prepared statements and portals,
transaction status, answers held back until a flush. What ran is kept in `ran`, to be
compared with the audit log.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from tests.unit.session.playbook import (
    BOUND,
    CLOSED,
    COLUMNS,
    COPY_IN,
    EMPTY,
    NO_DATA,
    PARSED,
    ROW,
    SUSPENDED,
    done,
    failed,
    parameters,
    ready,
)

_HANDLERS = {
    "Q": "_query",
    "P": "_parse",
    "B": "_bind",
    "E": "_execute",
    "D": "_describe",
    "C": "_close",
    "H": "_flush_now",
    "S": "_sync",
    "F": "_function_call",
}


class PgError(Exception):
    """An ErrorResponse."""

    def __init__(self, sqlstate: str, message: str, position: int = 0) -> None:
        super().__init__(message)
        self.answer = failed(sqlstate, message, position=position)


@dataclass
class Portal:
    text: str
    rows_left: int
    is_held: bool = False
    is_cursor: bool = False
    has_run: bool = False
    is_failed: bool = False


@dataclass
class ModelPostgres:
    """Feed it bytes; `out` is what a client could read by now."""

    rows: int = 3
    trigger_fails: bool = False
    out: bytes = b""
    ran: list[str] = field(default_factory=list)
    closed: bool = False

    def __post_init__(self) -> None:
        self._in = b""
        self._held = b""
        self._skip = False
        self._copy: str = ""
        self._statements: dict[str, str] = {}
        self._portals: dict[str, Portal] = {}
        self._status = "I"
        self._rest: list[str] = []

    def feed(self, data: bytes) -> None:
        self._in += data
        while len(self._in) >= 5 and not self.closed:
            (length,) = struct.unpack_from(">i", self._in, 1)
            if len(self._in) < length + 1:
                return
            kind, body = chr(self._in[0]), self._in[5 : length + 1]
            self._in = self._in[length + 1 :]
            self._message(kind, body)

    # --- the loop ---

    def _message(self, kind: str, body: bytes) -> None:
        if self._copy:
            self._copy_message(kind, body)
            return
        if kind == "S":
            self._skip = False
        if kind == "X":
            self.closed = True
            return
        if self._skip or kind in "dcf":
            return
        try:
            getattr(self, _HANDLERS[kind])(body)
        except PgError as error:
            self._fail(error, skip=kind in "PBEDCH")
            if kind in "QFS":
                self._ready()

    def _fail(self, error: PgError, *, skip: bool) -> None:
        self._say(error.answer)
        self._flush()
        self._rest = []
        if self._status == "T":
            self._status = "E"
        if self._status == "I":
            self._portals.clear()
        for portal in self._portals.values():
            portal.is_failed = not portal.is_held
        self._skip = skip

    def _copy_message(self, kind: str, body: bytes) -> None:
        mode = self._copy
        if kind in "SH":
            return
        if kind == "d" and b"bad" not in body:
            return
        self._copy = ""
        if kind == "c":
            self._say(done("COPY 1"))
            if mode == "Q":
                self._go_on()
            return
        if kind in "df":
            error = PgError("57014", "COPY failed")
        else:
            error = PgError("08P01", f"unexpected message type {kind}")
            self.closed = True
        self._fail(error, skip=mode == "E")
        if mode == "Q" and not self.closed:
            self._ready()

    def _say(self, data: bytes) -> None:
        self._held += data

    def _flush(self) -> None:
        self.out += self._held
        self._held = b""

    def _ready(self) -> None:
        if self._status == "I":
            self._portals = {n: p for n, p in self._portals.items() if p.is_held}
        self._say(ready(self._status))
        self._flush()

    # --- messages ---

    def _query(self, body: bytes) -> None:
        text = body[:-1].decode()
        self._statements.pop("", None)
        self._portals.pop("", None)
        self._check_syntax(text)
        self.ran.append(text)
        self._rest = [part.strip() for part in text.split(";") if part.strip()]
        if not self._rest:
            self._say(EMPTY)
        self._go_on()

    def _go_on(self) -> None:
        """The rest of a Query; a COPY-in interrupts it."""
        try:
            while self._rest:
                self._run(self._rest.pop(0), "Q")
                if self._copy:
                    return
        except PgError as error:
            self._fail(error, skip=False)
        self._ready()

    def _function_call(self, body: bytes) -> None:
        self.ran.append("a function call")
        self._ready()

    def _parse(self, body: bytes) -> None:
        name, text = (part.decode() for part in body.split(b"\0")[:2])
        if not name:
            self._statements.pop("", None)
        self._check_syntax(text)
        self._check_status(text)
        if "nope" in text:
            raise PgError("42703", "nope")
        if name in self._statements:
            raise PgError("42P05", "exists")
        self._statements[name] = text
        self._say(PARSED)

    def _bind(self, body: bytes) -> None:
        portal, name = (part.decode() for part in body.split(b"\0")[:2])
        if name not in self._statements:
            raise PgError("26000", "no statement")
        text = self._statements[name]
        self._check_status(text)
        if portal and portal in self._portals:
            raise PgError("42P03", "exists")
        self._portals[portal] = Portal(text, self.rows)
        self._say(BOUND)

    def _execute(self, body: bytes) -> None:
        name = body[:-5].decode()
        (most,) = struct.unpack(">i", body[-4:])
        portal = self._portals.get(name)
        if portal is None:
            raise PgError("34000", "no portal")
        self._check_status(portal.text)
        if portal.is_failed:
            raise PgError("55000", "can't be run")
        if not portal.has_run:
            self.ran.append(portal.text)
        self._fetch(portal, most)

    def _fetch(self, portal: Portal, most: int) -> None:
        is_first = not portal.has_run
        portal.has_run = True
        verb = portal.text.split(maxsplit=1)[0] if portal.text else ""
        if verb != "SELECT" and not portal.is_cursor:
            if not is_first:
                raise PgError("55000", "can't be run")
            if not portal.text:
                self._say(EMPTY)
            else:
                self._run(portal.text, "E")
            return
        if "1/0" in portal.text:
            raise PgError("22012", "division by zero")
        count = min(most or self.rows, portal.rows_left)
        portal.rows_left -= count
        self._say(ROW * count)
        if most and count == most:
            self._say(SUSPENDED)
        else:
            self._say(done(f"SELECT {count}"))

    def _describe(self, body: bytes) -> None:
        kind, name = chr(body[0]), body[1:-1].decode()
        if kind == "S":
            if name not in self._statements:
                raise PgError("26000", "no statement")
            self._say(parameters() + COLUMNS)
        else:
            if name not in self._portals:
                raise PgError("34000", "no portal")
            self._say(NO_DATA)

    def _close(self, body: bytes) -> None:
        space = self._statements if body[:1] == b"S" else self._portals
        space.pop(body[1:-1].decode(), None)
        self._say(CLOSED)

    def _flush_now(self, body: bytes) -> None:
        self._flush()

    def _sync(self, body: bytes) -> None:
        self._ready()

    # --- statements ---

    def _check_syntax(self, text: str) -> None:
        word = text.split(maxsplit=1)[0] if text else ""
        if word.startswith(("pgwarden_", "syntax_")):
            raise PgError("42601", f'syntax error at or near "{word}"', 1)

    def _check_status(self, text: str) -> None:
        if self._status == "E" and text and not text.startswith(("ROLLBACK", "COMMIT")):
            raise PgError("25P02", "aborted")

    def _run(self, text: str, mode: str) -> None:
        self._check_status(text)
        verb, *words = text.split()
        if verb in {"BEGIN", "COMMIT", "ROLLBACK"}:
            is_rolled_back = self._status == "E"
            self._status = "T" if verb == "BEGIN" else "I"
            if verb != "BEGIN":
                kept = {n: p for n, p in self._portals.items() if p.is_held}
                self._portals = kept
            self._say(done("ROLLBACK" if is_rolled_back else verb))
        elif verb in {"PREPARE", "DEALLOCATE", "DISCARD", "EXECUTE"}:
            self._run_prepared(verb, words, text, mode)
        elif verb in {"DECLARE", "FETCH", "CLOSE"}:
            self._run_cursor(verb, words, text)
        elif verb == "COPY":
            self._copy = mode
            self._say(COPY_IN)
            self._flush()
            if self.trigger_fails:
                self._copy = ""
                raise PgError("P0001", "by a trigger")
        elif "1/0" in text:
            raise PgError("22012", "division by zero")
        else:
            if mode == "Q":
                self._say(COLUMNS)
            self._say(ROW * self.rows + done(f"SELECT {self.rows}"))

    def _run_prepared(self, verb: str, words: list[str], text: str, mode: str) -> None:
        if verb == "PREPARE":
            if words[0] in self._statements:
                raise PgError("42P05", "exists")
            self._statements[words[0]] = text.split(" AS ")[1]
            self._say(done(verb))
        elif verb == "DEALLOCATE":
            self._deallocate(words[0])
        elif verb == "DISCARD":
            if self._status != "I":
                raise PgError("25001", "in a transaction")
            self._deallocate("ALL")
            self._portals.clear()
        elif verb == "EXECUTE":
            if words[0] not in self._statements:
                raise PgError("26000", "no statement")
            body = self._statements[words[0]]
            self.ran.append(f"by name: {body}")
            self._run(body, mode)

    def _run_cursor(self, verb: str, words: list[str], text: str) -> None:
        if verb == "DECLARE":
            if words[0] in self._portals:
                raise PgError("42P03", "exists")
            held = "HOLD" in words
            if self._status == "I" and not held:
                raise PgError("25P01", "no transaction")
            self._portals[words[0]] = Portal(
                text, self.rows, is_held=held, is_cursor=True
            )
            self._say(done("DECLARE CURSOR"))
        elif verb == "FETCH":
            self._sql_fetch(words[-1])
        elif verb == "CLOSE":
            if self._portals.pop(words[0], None) is None:
                raise PgError("34000", "no cursor")
            self._say(done("CLOSE CURSOR"))

    def _deallocate(self, name: str) -> None:
        if name == "ALL":
            unnamed = self._statements.get("")
            self._statements.clear()
            if unnamed is not None:
                self._statements[""] = unnamed
        elif self._statements.pop(name, None) is None:
            raise PgError("26000", "no statement")
        self._say(done("DEALLOCATE"))

    def _sql_fetch(self, name: str) -> None:
        portal = self._portals.get(name)
        if portal is None or portal.is_failed:
            raise PgError("34000", "no cursor")
        if not portal.has_run and not portal.is_cursor:
            self.ran.append(f"by FETCH: {portal.text}")
        portal.has_run = True
        self._say(ROW + done("FETCH 1"))
