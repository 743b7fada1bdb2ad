"""What in a migration destroys data, or breaks what runs: a table, and four looks.

The facts say what a statement does, nested statements included; the raw tree tells
what facts don't: the new type of a column, a NOT NULL, a name.
Next: `proxy.migrations.check`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from proxy.migrations.check_findings import Level
from proxy.migrations.check_types import Change, change, type_of
from proxy.sql.facts import Access, Flag, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proxy.migrations.check_columns import Columns
    from proxy.migrations.check_fresh import Fresh
    from proxy.migrations.check_statements import Statement


class Said(NamedTuple):
    """A rule with its words, of no place yet."""

    rule: str
    level: Level
    message: str
    hint: str = ""


_LATER: Final = "Stop using it first, deploy that, and drop it in a later migration."
_NO_DEPLOY: Final = "This is never a deploy's work: have it done by hand, once."

LOSSES: Final = {
    "drop database": Said(
        "drop-database",
        Level.ERROR,
        "drops a database with all that is in it",
        _NO_DEPLOY,
    ),
    "drop schema": Said(
        "drop-schema", Level.ERROR, "drops a schema and what is in it", _NO_DEPLOY
    ),
    "drop owned": Said(
        "drop-owned", Level.ERROR, "drops everything that a role owns", _NO_DEPLOY
    ),
    "drop table": Said("drop-table", Level.ERROR, "drops a table and its rows", _LATER),
    "drop foreign table": Said(
        "drop-table", Level.ERROR, "drops a foreign table", _LATER
    ),
    "drop materialized view": Said(
        "drop-view", Level.ERROR, "drops a materialized view and its rows", _LATER
    ),
    "drop view": Said(
        "drop-view", Level.WARNING, "drops a view: what reads it breaks", _LATER
    ),
    "drop sequence": Said(
        "drop-sequence", Level.ERROR, "drops a sequence and the number it has reached"
    ),
    "drop type": Said("drop-type", Level.ERROR, "drops a type", _LATER),
    "drop domain": Said("drop-type", Level.ERROR, "drops a domain", _LATER),
    "drop extension": Said(
        "drop-extension", Level.ERROR, "drops an extension with its types and functions"
    ),
    "alter table drop column": Said(
        "drop-column", Level.ERROR, "drops a column and its values", _LATER
    ),
    "alter foreign table drop column": Said(
        "drop-column", Level.ERROR, "drops a column", _LATER
    ),
    "alter type drop column": Said(
        "drop-column", Level.ERROR, "drops an attribute and its values", _LATER
    ),
    "alter table drop identity": Said(
        "drop-sequence", Level.ERROR, "drops the sequence behind the column"
    ),
    "alter table set column expression": Said(
        "rewrite-values", Level.ERROR, "replaces every stored value of the column"
    ),
    "alter table set unlogged": Said(
        "set-unlogged", Level.ERROR, "an unlogged table is empty after a crash"
    ),
    "truncate": Said(
        "truncate", Level.ERROR, "empties a table", "DELETE ... WHERE names the rows."
    ),
    "refresh materialized view with no data": Said(
        "truncate", Level.ERROR, "empties the view", "Leave out WITH NO DATA."
    ),
    "merge": Said(
        "merge", Level.WARNING, "its branches may change or delete any row of the table"
    ),
    "do": Said(
        "hidden-code",
        Level.WARNING,
        "what a DO block runs can't be seen from the statement",
        "Write the statements themselves into the migration.",
    ),
    "call": Said(
        "hidden-code",
        Level.WARNING,
        "what the procedure runs can't be seen from the statement",
    ),
}
"""By the action's words, see `proxy.sql.vocabulary`."""

_EVERY_ROW: Final = "Add a WHERE that names the rows, in batches if there are many."
_ANY_DATA: Final = Access.DELETE, Access.UPDATE, Access.TRUNCATE
_TOUCHED: Final = frozenset({Access.DROP, Access.ALTER, *_ANY_DATA})


def losses(statement: Statement, fresh: Fresh, columns: Columns) -> Iterator[Said]:
    """All that a statement destroys or breaks, but for what the text itself made."""
    facts = statement.facts
    is_of_its_own = fresh.holds(
        each for each in facts.relations if each.access in _TOUCHED
    )
    if Flag.CASCADE in facts.flags and any(
        action.startswith("drop ") or " drop " in action for action in facts.actions
    ):
        yield Said(
            "cascade",
            Level.ERROR,
            "CASCADE also drops whatever depends on it",
            "Name each thing to drop, and leave out CASCADE.",
        )
    if is_of_its_own:
        return
    named = [LOSSES[action] for action in facts.actions if action in LOSSES]
    yield from named
    yield from _rows(statement)
    yield from _commands(statement, columns)
    yield from _renamed(statement)
    is_told = bool(named)
    is_retyped = any(action.endswith("alter column type") for action in facts.actions)
    if Flag.DESTRUCTIVE in facts.flags and not is_told and not is_retyped:
        if _drops_only_code(facts.actions):
            return
        yield Said("destructive", Level.ERROR, "can lose data")


def _drops_only_code(actions: tuple[str, ...]) -> bool:
    """Functions and their like are made again from their definitions."""
    code = ("function", "procedure", "routine", "aggregate", "operator", "text search")
    return all(
        not action.startswith("drop ") or action.removeprefix("drop ").startswith(code)
        for action in actions
    )


def _rows(statement: Statement) -> Iterator[Said]:
    facts = statement.facts
    if Flag.UNFILTERED in facts.flags:
        # An UPDATE beside a DELETE shares the flag, and then both are named.
        if Kind.DELETE in facts.kinds:
            yield Said("delete-every-row", Level.ERROR, "deletes every row", _EVERY_ROW)
        if Kind.UPDATE in facts.kinds:
            yield Said(
                "update-every-row", Level.ERROR, "overwrites every row", _EVERY_ROW
            )
    elif Kind.DELETE in facts.kinds:
        yield Said("delete-rows", Level.WARNING, "deletes rows")


def _commands(statement: Statement, columns: Columns) -> Iterator[Said]:
    """The subcommands of ALTER TABLE that need a look at the column."""
    if statement.verb != "AlterTableStmt":
        return
    body = statement.body
    for item in body["cmds"]:
        command = item["AlterTableCmd"]
        if command["subtype"] == "AT_AddColumn":
            yield from _added(command["def"]["ColumnDef"])
        elif command["subtype"] == "AT_AlterColumnType":
            yield _retyped(body["relation"], command, columns)


def _added(definition: dict[str, Any]) -> Iterator[Said]:
    kinds = {
        each["Constraint"]["contype"]: each["Constraint"]
        for each in definition.get("constraints", ())
    }
    is_required = "CONSTR_NOTNULL" in kinds or "CONSTR_PRIMARY" in kinds
    fills = {"CONSTR_GENERATED", "CONSTR_IDENTITY"}.intersection(kinds)
    default = kinds.get("CONSTR_DEFAULT", {}).get("raw_expr", {})
    has_default = bool(default) and not default.get("A_Const", {}).get("isnull")
    kind = definition["typeName"]["names"][-1]["String"]["sval"]
    if is_required and not fills and not has_default and "serial" not in kind:
        yield Said(
            "not-null-without-default",
            Level.ERROR,
            f'column "{definition["colname"]}" is NOT NULL and has no default: it '
            "fails where the table has rows",
            "Give it a default, or add it without NOT NULL, fill it, and set NOT NULL "
            "then.",
        )


def _retyped(
    relation: dict[str, Any], command: dict[str, Any], columns: Columns
) -> Said:
    definition = command["def"]["ColumnDef"]
    name = command["name"]
    new = type_of(definition["typeName"])
    old = columns.type_of(relation, name)
    if "raw_default" in definition:
        why = "its USING may change any value"
    elif old is None or new is None:
        why = "the values that don't fit are cut, or refused"
    elif change(old, new) is Change.KEEPS:
        return Said(
            "change-type",
            Level.WARNING,
            f'column "{name}" goes from {old} to {new}: no value is lost, but what '
            "reads it may expect the old type",
        )
    else:
        why = f"not every {old} is a {new}"
    return Said(
        "narrow-type",
        Level.ERROR,
        f'column "{name}" changes its type: {why}',
        "Add a new column of the new type, fill it, and move the application over.",
    )


def _renamed(statement: Statement) -> Iterator[Said]:
    if statement.verb == "AlterEnumStmt" and "oldVal" in statement.body:
        yield Said(
            "rename", Level.WARNING, "renames a value that running code may send"
        )
        return
    if statement.verb not in {"RenameStmt", "AlterObjectSchemaStmt"}:
        return
    body = statement.body
    what = body.get("renameType") or body.get("objectType", "")
    # Nobody speaks to these by name.
    if what in {"OBJECT_INDEX", "OBJECT_TABCONSTRAINT", "OBJECT_DOMCONSTRAINT"} or (
        what in {"OBJECT_TRIGGER", "OBJECT_POLICY", "OBJECT_RULE"}
    ):
        return
    yield Said(
        "rename",
        Level.WARNING,
        "renames what running code may use: it breaks between the migration and the "
        "deploy",
        "Add the new one beside the old one, move the application over, drop the old "
        "one later.",
    )
