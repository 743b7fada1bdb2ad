"""The walk over one statement's raw tree, and what it gathers on the way.

Every node of the tree is visited, lists inside lists included, and every class and
field is looked up in `proxy.sql.grammar`: what is not there ends the walk with an
error, never with a guess. The walk keeps its own stack, so that deep trees can't
exhaust Python's; only a WITH clause nests calls, and those are counted. It consumes the
tree.

Imports the grammar and the facts. Next: `proxy.sql.parts` and `proxy.sql.statements`,
which register what particular classes mean.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from proxy.sql.facts import (
    Access,
    Facts,
    Flag,
    FunctionUse,
    Kind,
    NameEffect,
    RelationUse,
    SettingChange,
    strongest,
)
from proxy.sql.grammar import CLASSES, Content, Field

Body = dict[str, Any]
"""The fields of one node."""
Node = dict[str, Any]
"""One node under its class name: {"ColumnRef": body}; {} is a null in a list."""
Stack = list[Node]
Handler = Callable[[Body, Stack, "Walk"], None]

MAX_WITH_DEPTH: Final = 64
"""WITH clauses inside one another. People write two or three; each costs frames."""

NO_NAMES: Final[frozenset[str]] = frozenset()
NO_FLAGS: Final[frozenset[Flag]] = frozenset()
NO_KINDS: Final[frozenset[Kind]] = frozenset()
ONLY_READ: Final = frozenset({Kind.READ})
ONLY_SELECT: Final[tuple[str, ...]] = ("select",)
READING_VERBS: Final = frozenset(
    {"SelectStmt", "ExplainStmt", "DeclareCursorStmt", "PrepareStmt", "CopyStmt"}
)
"""Statements that look like reads, whatever is inside."""
WRITES: Final = frozenset({Kind.INSERT, Kind.UPDATE, Kind.DELETE, Kind.MERGE, Kind.DDL})


class UnknownGrammarError(ValueError):
    """The tree has a class or field that nobody has classified."""


class TooDeepError(ValueError):
    """The statement nests further than any that a person writes."""


class Walk:
    """What has been gathered from one statement so far.

    What is gathered may come twice: the fields are dicts used as ordered sets, or made
    anew where few statements need them.
    """

    __slots__ = (
        "actions",
        "columns",
        "databases",
        "flags",
        "functions",
        "handlers",
        "kinds",
        "lock_mode",
        "names",
        "operators",
        "prepared",
        "relations",
        "selects",
        "settings",
        "since",
        "transaction",
        "with_depth",
        "with_names",
    )

    def __init__(self, handlers: Mapping[str, Handler]) -> None:
        self.handlers = handlers
        self.relations: dict[tuple[str, str, Access], None] = {}
        self.functions: dict[tuple[str, str], FunctionUse] = {}
        self.columns: dict[tuple[str, str], None] = {}
        self.kinds: frozenset[Kind] = NO_KINDS
        self.flags: frozenset[Flag] = NO_FLAGS
        self.actions: tuple[str, ...] = ()
        self.settings: tuple[SettingChange, ...] = ()
        self.names: tuple[NameEffect, ...] = ()
        self.operators: tuple[tuple[str, str], ...] = ()
        self.databases: tuple[str, ...] = ()
        self.lock_mode = ""
        self.transaction = ""
        self.since = 0
        self.prepared: Facts | None = None
        self.with_names = NO_NAMES
        self.with_depth = 0
        self.selects = False

    def run(self, stack: Stack) -> None:
        """Visit every node on `stack` and below.

        Raises:
            UnknownGrammarError: a class or field is not in the grammar tables.
            TooDeepError: WITH clauses nest too deep.
        """
        handlers = self.handlers
        pop = stack.pop
        try:
            while stack:
                node = pop()
                if node:
                    name, body = node.popitem()
                    handlers[name](body, stack, self)
        except KeyError as unknown:
            raise UnknownGrammarError(str(unknown)) from unknown

    def act(self, kind: Kind, action: str, *flags: Flag) -> None:
        """Note that the statement does `action`, which is of `kind`."""
        self.kinds = self.kinds | {kind}
        if action:
            self.actions = (*self.actions, action)
        if flags:
            self.flags = self.flags | frozenset(flags)

    def flag(self, flag: Flag) -> None:
        """Note a property of the statement."""
        self.flags = self.flags | {flag}

    def relation(self, body: Body, access: Access) -> None:
        """Note a relation that is the target of a statement: never a CTE's name."""
        self.relations[body.get("schemaname", ""), body["relname"], access] = None

    def change(self, setting: SettingChange) -> None:
        """Note a changed run-time parameter."""
        self.settings = (*self.settings, setting)

    def name(
        self, verb: str, name: str | None, args: tuple[str, ...] | None = ()
    ) -> None:
        """Note an effect on the session's statement and cursor names."""
        self.names = (*self.names, NameEffect(verb, name, args))

    def operator(self, names: list[Node]) -> None:
        """Note an operator that is qualified with a schema other than pg_catalog."""
        schema = names[-2]["String"]["sval"]
        if schema != "pg_catalog":
            operator = (schema, names[-1]["String"]["sval"])
            self.operators = (*self.operators, operator)

    def needs(self, major: int) -> None:
        """Note that only servers of this major and later read the text so."""
        self.since = max(self.since, major)

    def scoped(self, body: Body, rest: Handler) -> None:
        """Visit a statement with a WITH clause: its names hide tables, where they may.

        A CTE sees the ones before it, or all of them if the clause is RECURSIVE; the
        statement sees all. Source: src/backend/parser/parse_cte.c.
        """
        outer = self.with_names
        self.with_depth += 1
        if self.with_depth > MAX_WITH_DEPTH:
            msg = f"WITH clauses nest more than {MAX_WITH_DEPTH} deep"
            raise TooDeepError(msg)
        clause = body.pop("withClause")
        ctes = clause.pop("ctes")
        recursive = clause.get("recursive", False)
        names = [cte["CommonTableExpr"]["ctename"] for cte in ctes]
        self.run([{"WithClause": clause}])
        if recursive:
            self.with_names = outer.union(names)
        for cte, name in zip(ctes, names, strict=True):
            self.run([cte])
            self.with_names = self.with_names | {name}
        stack: Stack = []
        rest(body, stack, self)
        self.run(stack)
        self.with_names = outer
        self.with_depth -= 1

    def facts(self, verb: str, location: tuple[int, int]) -> Facts:
        """All that was gathered, as facts."""
        kinds: frozenset[Kind]
        if self.kinds:
            kinds = self.kinds
            if self.selects:
                kinds |= ONLY_READ
            kind = strongest(kinds)
            actions = tuple(dict.fromkeys(self.actions))
        else:
            kinds, kind, actions = ONLY_READ, Kind.READ, ONLY_SELECT
        if verb == "SelectStmt" and actions is not ONLY_SELECT:
            actions = ("select", *actions)
        if verb in READING_VERBS and not kinds.isdisjoint(WRITES):
            self.flags = self.flags | {Flag.HIDDEN_WRITE}
        relations = self.relations
        return Facts(
            kind,
            kinds,
            actions,
            verb,
            tuple([RelationUse(*key) for key in reversed(relations)]),
            tuple(self.functions.values()),
            self.settings,
            self.flags,
            self.names,
            self.lock_mode,
            self.transaction,
            self.prepared,
            tuple(self.columns),
            location,
            self.operators,
            self.databases,
            self.since,
        )


def generic(fields: dict[str, Field]) -> Handler:
    """A handler that means nothing by itself: it checks each field and visits below."""
    contents = {name: int(field.content) for name, field in fields.items()}
    classes = {name: field.of for name, field in fields.items()}
    # Plain ints: an enum member's comparison is a Python call.
    plain, node, several, one_body, names = map(int, list(Content)[:5])

    def handle(body: Body, stack: Stack, walk: Walk) -> None:  # noqa: ARG001
        for name, value in body.items():
            content = contents[name]
            if content == plain:
                pass
            elif content == several:
                stack.extend(value)
            elif content == node:
                stack.append(value)
            elif content == one_body:
                stack.append({classes[name]: value})
            elif content != names:
                raise KeyError(name)

    return handle


GENERIC: Final = {name: generic(fields) for name, fields in CLASSES.items()}
"""For each class, the handler that only checks and descends."""
