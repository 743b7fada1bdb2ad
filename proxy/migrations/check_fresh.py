"""Which tables a migration has made itself: to drop one of those loses nothing.

Strict where a name could come to mean another table: what was made is forgotten when
the search path, the transaction or hidden code may have changed what the name means.
Next: `proxy.migrations.check_losses`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxy.sql.facts import Access, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from proxy.migrations.check_statements import Statement
    from proxy.sql.facts import RelationUse

_STEADY: Final = frozenset({"begin", "savepoint", "release"})
_HIDDEN: Final = frozenset({Kind.PROCEDURE, Kind.EXECUTE, Kind.UNKNOWN})
_MOVES: Final = frozenset({"search_path", "role", "session_authorization", "*", ""})
_TIES: Final = (
    "discard",
    "alter table attach partition",
    "alter table inherit",
    "create rule",
    "create or replace rule",
    "create trigger",
    "create or replace trigger",
)
"""After these a table of its own may hold, or lead to, the rows of another one."""


class Fresh:
    """The tables that were made so far in one text, by the names that the text uses."""

    def __init__(self) -> None:
        self._made: set[tuple[str, str]] = set()

    def holds(self, touched: Iterable[RelationUse]) -> bool:
        """Whether there are any, and all were made here."""
        names = {(each.schema, each.name) for each in touched}
        return bool(names) and names <= self._made

    def follow(self, statement: Statement) -> None:
        """Take in what a statement made, after it was looked at."""
        facts = statement.facts
        if self._is_shaken_by(statement):
            self._made.clear()
            return
        for each in facts.relations:
            if (
                each.access in {Access.DROP, Access.ALTER} and _renames(statement)
            ) or each.access is Access.DROP:
                self._made.discard((each.schema, each.name))
            elif each.access is Access.CREATE and _is_new_table(statement):
                self._made.add((each.schema, each.name))

    def _is_shaken_by(self, statement: Statement) -> bool:
        """Whether names may mean something else from here on."""
        facts = statement.facts
        return (
            bool(facts.transaction and facts.transaction not in _STEADY)
            or not facts.kinds.isdisjoint(_HIDDEN)
            or any(each.name in _MOVES for each in facts.settings)
            or any(action.startswith(_TIES) for action in facts.actions)
        )


def _renames(statement: Statement) -> bool:
    if statement.verb == "AlterObjectSchemaStmt":
        return True
    parts = {"OBJECT_COLUMN", "OBJECT_TABCONSTRAINT"}
    return statement.verb == "RenameStmt" and statement.body["renameType"] not in parts


def _is_new_table(statement: Statement) -> bool:
    """A view stands for rows of others; IF NOT EXISTS takes what is there.

    A temporary table hides another one, which is there again when it is gone.
    """
    body = statement.body
    match statement.verb:
        case "CreateStmt":
            relation = body["relation"]
        case "CreateTableAsStmt" if body.get("objtype") == "OBJECT_TABLE":
            relation = body["into"]["rel"]
        case "SelectStmt" if "intoClause" in body:
            relation = body["intoClause"]["rel"]
        case _:
            return False
    is_lasting = relation.get("relpersistence") == "p"
    return is_lasting and not body.get("if_not_exists")
