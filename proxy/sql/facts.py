"""What is known of one statement: facts, never verdicts.

Plain frozen values that `proxy.sql.analyse` makes from libpg_query's tree and
`proxy.policy` reads. No pglast here. Next: `proxy.sql.analyse`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, TypeVar

from msgspec import Struct, structs

T = TypeVar("T")


class Kind(StrEnum):
    """What a statement does. One statement may do several (a CTE that deletes)."""

    READ = "read"
    EXECUTE = "execute"
    CURSOR = "cursor"
    SESSION = "session"
    TRANSACTION = "transaction"
    TWO_PHASE = "two_phase"
    INSERT = "insert"
    UPDATE = "update"
    DELETE = "delete"
    MERGE = "merge"
    TRUNCATE = "truncate"
    DDL = "ddl"
    DATABASE = "database"
    PRIVILEGE = "privilege"
    MAINTENANCE = "maintenance"
    PROCEDURE = "procedure"
    COPY_IN = "copy_in"
    COPY_OUT = "copy_out"
    COPY_FILE = "copy_file"
    LOCK = "lock"
    NOTIFY = "notify"
    SYSTEM = "system"
    UNKNOWN = "unknown"


class Access(StrEnum):
    """How a statement touches a relation."""

    READ = "read"
    READ_FOREIGN = "read_foreign"
    """Reads a foreign table, here or behind a view: it reaches another server, a file
    or a program. Only a catalog tells; beside READ."""
    INSERT = "insert"
    UPDATE = "update"
    DELETE = "delete"
    TRUNCATE = "truncate"
    LOCK = "lock"
    CREATE = "create"
    ALTER = "alter"
    DROP = "drop"


class Effect(StrEnum):
    """What calling a function can do beyond returning a value. NONE: an allow-list."""

    NONE = "none"
    UNKNOWN = "unknown"
    STABLE = "stable"
    """A user's function that the catalog calls STABLE or IMMUTABLE, with the rights of
    who calls it, in a language that confines it to SQL."""
    VOLATILE = "volatile"
    """A user's function that may write: it says so, or says nothing."""
    DEFINER = "definer"
    """A user's function that runs with its owner's rights (SECURITY DEFINER)."""
    SETTING = "setting"
    SEQUENCE = "sequence"
    LARGE_OBJECT = "large_object"
    SIGNAL = "signal"
    ADVISORY_LOCK = "advisory_lock"
    FILE = "file"
    SQL_TEXT = "sql_text"
    NETWORK = "network"
    NOTIFY = "notify"
    WAL = "wal"
    STATISTICS = "statistics"
    CATALOG = "catalog"
    INDEX = "index"
    TRANSACTION = "transaction"
    SLEEP = "sleep"
    OTHER = "other"


class Flag(StrEnum):
    """A property of a statement that a rule may ask for."""

    UNFILTERED = "unfiltered"
    """UPDATE or DELETE with no WHERE, or with one that is constant true."""
    DESTRUCTIVE = "destructive"
    """Can lose data: drops, truncates, rewrites or retypes."""
    HIDDEN_WRITE = "hidden_write"
    """Writes from inside something that looks like a read."""
    INTO = "into"
    """SELECT INTO: creates a table."""
    ROW_LOCK = "row_lock"
    """FOR UPDATE, NO KEY UPDATE, SHARE or KEY SHARE, at any depth."""
    SERVER_FILE = "server_file"
    SERVER_PROGRAM = "server_program"
    """COPY ... PROGRAM, or code in a language that Postgres does not confine."""
    READ_WRITE = "read_write"
    """Asks for a transaction or session that may write."""
    WITH_HOLD = "with_hold"
    EXPLAIN_ANALYZE = "explain_analyze"
    ATTRIBUTE_CALL = "attribute_call"
    """`(x).f` or `t.f` may call function f: no FuncCall shows it."""
    SECRET = "secret"  # noqa: S105 - a name
    """The text holds a password or connection string; it is redacted in records."""
    CASCADE = "cascade"
    CONCURRENTLY = "concurrently"


class Scope(StrEnum):
    """How long a changed setting lasts, or where it came from."""

    SESSION = "session"
    LOCAL = "local"
    STARTUP = "startup"
    STORED = "stored"
    """For later sessions or calls: ALTER ROLE or DATABASE SET, a function's SET."""


class RelationUse(Struct, frozen=True, gc=False):
    """A relation as the text names it; `schema` is "" where the text gives none."""

    schema: str
    name: str
    access: Access


class FunctionUse(Struct, frozen=True, gc=False):
    """A called function as the text names it, and the effect its name may have."""

    schema: str
    name: str
    effect: Effect


class ColumnUse(Struct, frozen=True, gc=False):
    """A column that a statement may read or write; `name` is "*" for all of them.

    `is_behind` says that a view it names reads the column.
    """

    schema: str
    relation: str
    name: str
    access: Access
    is_behind: bool = False


class SettingChange(Struct, frozen=True, gc=False):
    """A run-time parameter that is set.

    `name` is lower case, "" where it is computed (`set_config(x, ...)`), "*" for RESET
    ALL and DISCARD ALL. `value` is None where it is computed, bound or the default;
    `is_reset` tells the last one apart.
    """

    name: str
    value: str | None
    scope: Scope
    is_reset: bool = False


class NameEffect(Struct, frozen=True, gc=False):
    """What a statement does to the session's name spaces.

    `verb` is one of prepare, execute, deallocate, declare, fetch, close, discard.
    `name` is None for ALL. Two more verbs stand for what pgwarden answers itself, of
    which Postgres knows nothing: command (`CALL pgwarden.name(args)`) and view (`SHOW
    pgwarden.name`). `args` is None where they are not all plain text.
    """

    verb: str
    name: str | None
    args: tuple[str, ...] | None = ()


class Facts(Struct, frozen=True, gc=False):
    """All that is known of one statement.

    Attributes:
        kind: the strongest thing it does (first of `kinds`).
        kinds: everything it does, nested statements included.
        actions: its acts in words, lower case: "select", "drop table",
            "alter table drop column", "create database", "set", "copy to stdout".
        verb: the grammar's statement class ("SelectStmt").
        relations: relations named in the text, with access; CTE names excluded.
        functions: functions called by name, with effect.
        settings: run-time parameters changed.
        flags: see `Flag`.
        names: effects on prepared-statement and cursor names, in order.
        lock_mode: for LOCK: lower-case mode ("access share"), else "".
        transaction: begin, commit, rollback, savepoint, release, rollback to,
            prepare, ... or "".
        prepared: for PREPARE, the facts of the body (which `kinds` etc. include too).
        columns: (qualifier, name) pairs of two-part column references and attribute
            notation, which may be function calls.
        location: byte offset and length of the statement in its text (length 0:
            to the end).
        operators: (schema, operator) pairs of operators written OPERATOR(schema.op)
            with a schema other than pg_catalog: they may run any function.
        databases: databases that are created, altered or dropped, by name.
        since: the oldest major of PostgreSQL that reads the text as this tree; 0 where
            every supported one does.
        behind: relations that are read behind the views it names; only a catalog tells.
            A forbid counts for them, a permit need not name them.
        column_uses: columns of its relations that are read or written; None where
            nobody has looked, because no rule of the policy names columns.
    """

    kind: Kind
    kinds: frozenset[Kind]
    actions: tuple[str, ...]
    verb: str
    relations: tuple[RelationUse, ...] = ()
    functions: tuple[FunctionUse, ...] = ()
    settings: tuple[SettingChange, ...] = ()
    flags: frozenset[Flag] = frozenset()
    names: tuple[NameEffect, ...] = ()
    lock_mode: str = ""
    transaction: str = ""
    prepared: Facts | None = None
    columns: tuple[tuple[str, str], ...] = ()
    location: tuple[int, int] = (0, 0)
    operators: tuple[tuple[str, str], ...] = ()
    databases: tuple[str, ...] = ()
    since: int = 0
    behind: tuple[RelationUse, ...] = ()
    column_uses: tuple[ColumnUse, ...] | None = None


class Trouble(Struct, frozen=True, gc=False):
    """Why a text has no facts. `position` is a 1-based character offset, or 0."""

    sqlstate: str
    message: str
    position: int = 0
    hint: str = ""


class Analysis(Struct, frozen=True, gc=False):
    """The facts of one text: its statements in order, or the trouble with it.

    `recorded_text` is the text with secrets redacted, for the audit log.
    An empty text has no statements and no trouble.
    """

    statements: tuple[Facts, ...]
    recorded_text: str
    trouble: Trouble | None = None


# What a statement's single `kind` is, where it does several things: the first of these.
STRONGEST_FIRST: Final = (
    Kind.UNKNOWN,
    Kind.COPY_FILE,
    Kind.SYSTEM,
    Kind.DATABASE,
    Kind.PRIVILEGE,
    Kind.TRUNCATE,
    Kind.DDL,
    Kind.MERGE,
    Kind.DELETE,
    Kind.UPDATE,
    Kind.INSERT,
    Kind.COPY_IN,
    Kind.PROCEDURE,
    Kind.TWO_PHASE,
    Kind.MAINTENANCE,
    Kind.LOCK,
    Kind.NOTIFY,
    Kind.EXECUTE,
    Kind.TRANSACTION,
    Kind.SESSION,
    Kind.CURSOR,
    Kind.COPY_OUT,
    Kind.READ,
)
_STRENGTH: Final = {kind: rank for rank, kind in enumerate(STRONGEST_FIRST)}


def strongest(kinds: frozenset[Kind]) -> Kind:
    """The kind that decides how a statement is counted."""
    return min(kinds, key=_STRENGTH.__getitem__)


def merge_executed(execute: Facts, prepared: Facts) -> Facts:
    """The facts of an EXECUTE with those of what it runs folded in.

    `prepared` is either a PREPARE, of which only the body counts, or any other
    statement (a protocol-level Parse shares the name space).
    """
    body = prepared.prepared or prepared
    kinds = execute.kinds | body.kinds
    return structs.replace(
        execute,
        kind=strongest(kinds),
        kinds=kinds,
        actions=_union(execute.actions, body.actions),
        relations=_union(execute.relations, body.relations),
        functions=_union(execute.functions, body.functions),
        settings=_union(execute.settings, body.settings),
        flags=execute.flags | body.flags,
        names=_union(execute.names, body.names),
        lock_mode=execute.lock_mode or body.lock_mode,
        transaction=execute.transaction or body.transaction,
        columns=_union(execute.columns, body.columns),
        operators=_union(execute.operators, body.operators),
        behind=_union(execute.behind, body.behind),
        column_uses=(
            None
            if execute.column_uses is None or body.column_uses is None
            else _union(execute.column_uses, body.column_uses)
        ),
        since=max(execute.since, body.since),
    )


def _union(first: tuple[T, ...], second: tuple[T, ...]) -> tuple[T, ...]:
    return tuple(dict.fromkeys(first + second)) if second else first
