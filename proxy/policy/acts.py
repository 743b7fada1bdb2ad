"""A statement taken apart into acts: the single things that a rule permits or forbids.

Every kind, action, flag, function, setting, relation and lock mode is one act, and a
statement is allowed only if each of its acts is. Pure.
Next: `proxy.policy.rules`, which matches acts, and `proxy.policy.evaluate`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct

from proxy.sql.columns import ALL
from proxy.sql.facts import (
    Access,
    ColumnUse,
    Effect,
    Facts,
    Flag,
    FunctionUse,
    Kind,
    RelationUse,
    SettingChange,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from proxy.policy.rules import CompiledRule

_TOLD_BY_ACTION: Final = frozenset({Flag.DESTRUCTIVE, Flag.CASCADE})


class KindAct(Struct, frozen=True):
    """The statement is of this kind, among others."""

    kind: Kind


class ActionAct(Struct, frozen=True):
    """The statement does this, in words ("drop table")."""

    action: str


class FlagAct(Struct, frozen=True):
    """The statement has this property."""

    flag: Flag


class LockAct(Struct, frozen=True):
    """The statement takes a table lock of this mode."""

    mode: str


class DatabaseAct(Struct, frozen=True):
    """The statement creates, alters or drops this database."""

    database: str


Act = (
    KindAct
    | ActionAct
    | FlagAct
    | LockAct
    | DatabaseAct
    | FunctionUse
    | SettingChange
    | RelationUse
    | ColumnUse
)

_FLAGS_IN_WORDS: Final[dict[Flag, str]] = {
    Flag.UNFILTERED: "changing every row",
    Flag.DESTRUCTIVE: "losing data",
    Flag.HIDDEN_WRITE: "a write inside a read",
    Flag.INTO: "SELECT INTO",
    Flag.ROW_LOCK: "locking rows (FOR UPDATE or FOR SHARE)",
    Flag.SERVER_FILE: "a file on the server",
    Flag.SERVER_PROGRAM: "a program on the server",
    Flag.READ_WRITE: "asking for a READ WRITE transaction or session",
    Flag.WITH_HOLD: "a cursor WITH HOLD",
    Flag.EXPLAIN_ANALYZE: "EXPLAIN ANALYZE",
    Flag.ATTRIBUTE_CALL: "attribute notation, which may call a function",
    Flag.SECRET: "a password in the statement",
    Flag.CASCADE: "CASCADE",
    Flag.CONCURRENTLY: "CONCURRENTLY",
}

_ACCESS_IN_WORDS: Final[dict[Access, str]] = {
    Access.READ: "reading",
    Access.READ_FOREIGN: "reaching another server through foreign table",
    Access.INSERT: "inserting into",
    Access.UPDATE: "updating",
    Access.DELETE: "deleting from",
    Access.TRUNCATE: "truncating",
    Access.LOCK: "locking",
    Access.CREATE: "creating",
    Access.ALTER: "altering",
    Access.DROP: "dropping",
}


def acts_of(facts: Facts, effects: Mapping[str, Effect]) -> list[Act]:
    """Every act of a statement, the most telling first.

    `effects` are the built-in functions that do more than return a value:
    `t.f` and `(x).f` may call them without any call showing in the tree. An operator
    of another schema runs a function that can't be seen either.
    """
    acts: list[Act] = [ActionAct(action) for action in facts.actions]
    acts.extend(facts.functions)
    acts.extend(
        FunctionUse("", name, effects[name])
        for _, name in facts.columns
        if name in effects
    )
    acts.extend(FunctionUse(*operator, Effect.UNKNOWN) for operator in facts.operators)
    acts.extend(facts.settings)
    acts.extend(facts.relations)
    if facts.lock_mode:
        acts.append(LockAct(facts.lock_mode))
    acts.extend(DatabaseAct(name) for name in facts.databases)
    acts.extend(FlagAct(flag) for flag in sorted(facts.flags))
    acts.extend(KindAct(kind) for kind in sorted(facts.kinds))
    return acts


def in_words(act: Act) -> str:  # noqa: PLR0911 - one return a case
    """The act as the subject of "... is not allowed"."""
    match act:
        case ActionAct(action=action):
            return action.upper()
        case KindAct(kind=kind):
            return f"a statement of kind {kind.value}"
        case FlagAct(flag=flag):
            return _FLAGS_IN_WORDS[flag]
        case LockAct(mode=mode):
            return f"LOCK TABLE in {mode.upper()} mode"
        case DatabaseAct(database=database):
            return f'creating, altering or dropping database "{database}"'
        case SettingChange():
            return _setting_in_words(act)
        case FunctionUse(schema=schema, name=name):
            return _named("function", schema, name)
        case RelationUse(schema=schema, name=name, access=access):
            return _named(_ACCESS_IN_WORDS[access], schema, name)
        case ColumnUse():
            return _column_in_words(act)


def as_listed(act: Act) -> tuple[str, str]:  # noqa: PLR0911 - one return a case
    """The key of a rule under which the act is listed, and the act in its words."""
    match act:
        case ActionAct(action=action):
            return "actions", action
        case KindAct(kind=kind):
            return "kinds", kind.value
        case FlagAct(flag=flag):
            return "flags", flag.value
        case LockAct(mode=mode):
            return "lock_modes", mode
        case DatabaseAct(database=database):
            return "databases", database
        case SettingChange():
            return _listed_setting(act)
        case FunctionUse(schema=schema, name=name, effect=effect):
            return "functions", f"{_dotted(schema, name)} ({effect.value})"
        case RelationUse(schema=schema, name=name, access=access):
            return "relations", f"{access.value} {_dotted(schema, name)}"
        case ColumnUse(schema=schema, relation=relation, name=name, access=access):
            return "relations", f"{access.value} {_dotted(schema, relation)}.{name}"


def _dotted(schema: str, name: str) -> str:
    return f"{schema}.{name}" if schema else name


def _listed_setting(change: SettingChange) -> tuple[str, str]:
    if change.is_reset:
        return "resets", "all" if change.name == "*" else change.name or "computed"
    value = "a computed value" if change.value is None else change.value
    return "settings", f"{change.name or 'computed'} = {value}"


def _named(what: str, schema: str, name: str) -> str:
    return f'{what} "{schema}.{name}"' if schema else f'{what} "{name}"'


def _column_in_words(use: ColumnUse) -> str:
    """Where "*" stands the statement names it: nobody then asks where the column is."""
    how = _ACCESS_IN_WORDS[use.access]
    where = _dotted(use.schema, use.relation)
    if use.name == ALL:
        return f'{how} every column of "{where}"'
    through = ", through a view" if use.is_behind else ""
    return f'{how} column "{where}.{use.name}"{through}'


def column_acts(facts: Facts) -> list[ColumnUse]:
    """The columns of a statement; all of its relations' where nobody has looked."""
    if facts.column_uses is not None:
        return [*facts.column_uses]
    return [
        ColumnUse(use.schema, use.name, ALL, use.access)
        for use in facts.relations
        if use.access in _OF_COLUMNS
    ]


_OF_COLUMNS: Final = frozenset({Access.READ, Access.INSERT, Access.UPDATE})


def _setting_in_words(change: SettingChange) -> str:
    if change.name == "*":
        return "RESET ALL"
    if not change.name:
        return "set_config() with a computed name"
    if change.is_reset:
        return f'resetting "{change.name}"'
    # Not the value: it may be a secret, and reasons are recorded.
    return f'setting "{change.name}"'


def telling(act: Act, facts: Facts, permits: Sequence[CompiledRule]) -> Act:
    """For a kind or flag, the action behind it: "DROP TABLE" tells more than "ddl".

    A flag of a permitted action (SELECT ... FOR UPDATE) is told as the flag.
    """
    if not isinstance(act, KindAct | FlagAct | DatabaseAct):
        return act
    actions = [ActionAct(action) for action in facts.actions]
    for action in actions:
        if not any(rule.covers(action) for rule in permits):
            return action
    is_told = isinstance(act, FlagAct) and act.flag not in _TOLD_BY_ACTION
    return act if is_told or not actions else actions[0]
