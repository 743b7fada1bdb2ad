"""Statements about the session: settings, transactions, prepared statements, cursors.

Next: `proxy.sql.statements_ddl`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxy.sql.facts import Access, Flag, Kind, Scope, SettingChange
from proxy.sql.settings_change import modes, note_change, variable_set
from proxy.sql.statements_ddl import note_language
from proxy.sql.vocabulary import LOCK_MODES, TRANSACTIONS, TWO_PHASE
from proxy.sql.walk import GENERIC, Handler, Walk

if TYPE_CHECKING:
    from proxy.sql.walk import Body, Node, Stack

OWN_PREFIX: Final = "pgwarden."
"""`SHOW pgwarden.anything` and `CALL pgwarden.anything` never reach Postgres."""
CURSOR_OPT_HOLD: Final = 0x20
"""src/include/nodes/parsenodes.h."""
KEPT_BY_EXPLAIN: Final = frozenset({Flag.ATTRIBUTE_CALL, Flag.SECRET, Flag.READ_WRITE})
"""Flags that EXPLAIN without ANALYZE leaves: planning may call functions."""


def _query(body: Body, walk: Walk) -> None:
    """Note the query of a statement that carries one, if it is a SELECT."""
    if "SelectStmt" in body["query"]:
        walk.act(Kind.READ, "select")


def set_variable(body: Body, stack: Stack, walk: Walk) -> None:
    """SET and RESET of every shape."""
    scope = Scope.LOCAL if body.get("is_local") else Scope.SESSION
    walk.act(Kind.SESSION, variable_set(walk, body, scope))
    GENERIC["VariableSetStmt"](body, stack, walk)


def show(body: Body, stack: Stack, walk: Walk) -> None:
    """SHOW reads."""
    walk.act(Kind.READ, "show")
    shown = body["name"].lower()
    if shown.startswith(OWN_PREFIX):
        walk.name("view", shown.removeprefix(OWN_PREFIX))
    GENERIC["VariableShowStmt"](body, stack, walk)


def call(body: Body, stack: Stack, walk: Walk) -> None:
    """CALL of a procedure, or of a command of pgwarden's own."""
    walk.act(Kind.PROCEDURE, "call")
    called = body["funccall"]
    match called["funcname"]:
        case [{"String": {"sval": "pgwarden"}}, {"String": {"sval": name}}]:
            walk.name("command", name, _plain_texts(called))
        case _:
            pass
    GENERIC["CallStmt"](body, stack, walk)


def _plain_texts(called: Body) -> tuple[str, ...] | None:
    """The arguments of a call, if it has nothing but text constants."""
    if set(called) - {"funcname", "args", "funcformat", "location"}:
        return None
    found = []
    for argument in called.get("args", []):
        match argument:
            case {"A_Const": {"sval": {"sval": text}}}:
                found.append(text)
            case {"A_Const": {"sval": {}}}:
                found.append("")
            case _:
                return None
    return tuple(found)


def discard(body: Body, stack: Stack, walk: Walk) -> None:
    """DISCARD; ALL also resets settings and forgets names."""
    what = body["target"].removeprefix("DISCARD_").lower()
    walk.act(Kind.SESSION, f"discard {what}")
    if what == "all":
        note_change(walk, SettingChange("*", None, Scope.SESSION, is_reset=True))
        walk.name("discard", None)
    GENERIC["DiscardStmt"](body, stack, walk)


def transaction(body: Body, stack: Stack, walk: Walk) -> None:
    """BEGIN to ROLLBACK, savepoints and two-phase commit."""
    kind = body["kind"]
    if kind in TWO_PHASE:
        walk.act(Kind.TWO_PHASE, TWO_PHASE[kind])
        words = TWO_PHASE[kind]
        walk.transaction = "prepare" if words == "prepare transaction" else words
    else:
        walk.transaction = TRANSACTIONS[kind]
        walk.act(Kind.TRANSACTION, walk.transaction)
    modes(walk, body.get("options", []), Scope.LOCAL)
    GENERIC["TransactionStmt"](body, stack, walk)


def prepare(body: Body, stack: Stack, walk: Walk) -> None:
    """PREPARE, with the facts of its body apart as well."""
    walk.act(Kind.SESSION, "prepare")
    walk.name("prepare", body["name"])
    query = body.pop("query")
    (verb,) = query
    inner = Walk(walk.handlers)
    inner.with_depth = walk.with_depth + 1
    inner.run([query])
    walk.prepared = inner.facts(verb, (0, 0))
    absorb(walk, inner)
    GENERIC["PrepareStmt"](body, stack, walk)


def absorb(walk: Walk, inner: Walk) -> None:
    """Add everything that a nested walk gathered."""
    facts = inner.facts("", (0, 0))
    walk.kinds = walk.kinds | facts.kinds
    walk.actions += facts.actions
    walk.flags = walk.flags | facts.flags
    walk.relations.update(inner.relations)
    walk.functions.update(inner.functions)
    walk.columns.update(inner.columns)
    walk.settings += inner.settings
    walk.names += inner.names
    walk.operators += inner.operators
    walk.lock_mode = walk.lock_mode or inner.lock_mode
    walk.needs(inner.since)


def execute(body: Body, stack: Stack, walk: Walk) -> None:
    """EXECUTE: its arguments are expressions, and what it runs is known by name."""
    walk.act(Kind.EXECUTE, "execute")
    walk.name("execute", body["name"])
    GENERIC["ExecuteStmt"](body, stack, walk)


def deallocate(body: Body, stack: Stack, walk: Walk) -> None:
    """DEALLOCATE one or ALL."""
    walk.act(Kind.SESSION, "deallocate")
    walk.name("deallocate", None if body.get("isall") else body.get("name", ""))
    GENERIC["DeallocateStmt"](body, stack, walk)


def declare(body: Body, stack: Stack, walk: Walk) -> None:
    """DECLARE CURSOR: its query runs at FETCH, or at COMMIT if WITH HOLD."""
    walk.act(Kind.CURSOR, "declare cursor")
    walk.name("declare", body["portalname"])
    if body.get("options", 0) & CURSOR_OPT_HOLD:
        walk.flag(Flag.WITH_HOLD)
    _query(body, walk)
    GENERIC["DeclareCursorStmt"](body, stack, walk)


def fetch(body: Body, stack: Stack, walk: Walk) -> None:
    """FETCH and MOVE, which both run the cursor's query."""
    walk.act(Kind.CURSOR, "move" if body.get("ismove") else "fetch")
    walk.name("fetch", body["portalname"])
    GENERIC["FetchStmt"](body, stack, walk)


def close(body: Body, stack: Stack, walk: Walk) -> None:
    """CLOSE one or ALL."""
    walk.act(Kind.CURSOR, "close")
    walk.name("close", body.get("portalname"))
    GENERIC["ClosePortalStmt"](body, stack, walk)


def explain(body: Body, stack: Stack, walk: Walk) -> None:
    """EXPLAIN: a read, unless ANALYZE is mentioned at all.

    Options may be repeated (the last wins) and spelt in many ways, so any mention
    counts. Without it nothing is executed, but planning may still call functions that
    are marked STABLE or IMMUTABLE: those stay in the facts.
    """
    options = [option["DefElem"] for option in body.get("options", [])]
    if any(option["defname"].lower() == "analyze" for option in options):
        walk.act(Kind.READ, "explain analyze", Flag.EXPLAIN_ANALYZE)
        _query(body, walk)
        GENERIC["ExplainStmt"](body, stack, walk)
        return
    walk.act(Kind.READ, "explain")
    inner = Walk(walk.handlers)
    inner.with_depth = walk.with_depth + 1
    inner.run([body.pop("query")])
    _planned_only(inner)
    kinds, actions = walk.kinds, walk.actions
    absorb(walk, inner)
    walk.kinds, walk.actions = kinds, actions
    if any(name.verb == "execute" for name in inner.names):
        walk.act(Kind.EXECUTE, "execute")
    GENERIC["ExplainStmt"](body, stack, walk)


def _planned_only(inner: Walk) -> None:
    """Take from a walk what only execution would do."""
    inner.flags = inner.flags & KEPT_BY_EXPLAIN
    inner.relations = {
        (schema, name, Access.READ): None
        for schema, name, access in inner.relations
        if access is not Access.CREATE
    }
    inner.names = tuple(name for name in inner.names if name.verb == "execute")


def lock(body: Body, stack: Stack, walk: Walk) -> None:
    """LOCK TABLE, in a mode."""
    walk.act(Kind.LOCK, "lock table")
    walk.lock_mode = LOCK_MODES[body["mode"]]
    for relation in body.pop("relations"):
        walk.relation(relation["RangeVar"], Access.LOCK)
        GENERIC["RangeVar"](relation["RangeVar"], stack, walk)
    GENERIC["LockStmt"](body, stack, walk)


def plain(name: str, kind: Kind, action: str) -> Handler:
    """A statement that is its kind and action, and whatever is below it."""
    rest = GENERIC[name]

    def handle(body: Body, stack: Stack, walk: Walk) -> None:
        walk.act(kind, action)
        rest(body, stack, walk)

    return handle


def do(body: Body, stack: Stack, walk: Walk) -> None:
    """DO: what the block does is not looked into."""
    walk.act(Kind.PROCEDURE, "do")
    note_language(body["args"], walk)
    GENERIC["DoStmt"](body, stack, walk)


def constraints(body: Body, stack: Stack, walk: Walk) -> None:
    """SET CONSTRAINTS. Its names are constraints, not relations."""
    walk.act(Kind.SESSION, "set constraints")
    named: list[Node] = body.pop("constraints", [])
    for constraint in named:
        GENERIC["RangeVar"](constraint["RangeVar"], stack, walk)
    GENERIC["ConstraintsSetStmt"](body, stack, walk)


STATEMENTS_SESSION: Final[dict[str, Handler]] = {
    "VariableSetStmt": set_variable,
    "VariableShowStmt": show,
    "DiscardStmt": discard,
    "TransactionStmt": transaction,
    "PrepareStmt": prepare,
    "ExecuteStmt": execute,
    "DeallocateStmt": deallocate,
    "DeclareCursorStmt": declare,
    "FetchStmt": fetch,
    "ClosePortalStmt": close,
    "ExplainStmt": explain,
    "LockStmt": lock,
    "ConstraintsSetStmt": constraints,
    "ListenStmt": plain("ListenStmt", Kind.NOTIFY, "listen"),
    # UNLISTEN only makes the session deaf; drivers send it when they reset one.
    "UnlistenStmt": plain("UnlistenStmt", Kind.SESSION, "unlisten"),
    "NotifyStmt": plain("NotifyStmt", Kind.NOTIFY, "notify"),
    "DoStmt": do,
    "CallStmt": call,
    "LoadStmt": plain("LoadStmt", Kind.SYSTEM, "load"),
    "CheckPointStmt": plain("CheckPointStmt", Kind.MAINTENANCE, "checkpoint"),
}
