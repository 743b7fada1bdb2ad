"""The columns that earlier migrations of a folder have made, with their types.

Only what the texts say outright: a table of which something is not understood is
forgotten, and then a change of type may lose something. Next: `proxy.migrations.check`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from proxy.migrations.check_types import ColumnType, type_of

if TYPE_CHECKING:
    from proxy.migrations.check_statements import Statement

Table = dict[str, ColumnType]


class Columns:
    """The tables of a folder as its migrations have left them so far."""

    def __init__(self) -> None:
        self._tables: dict[tuple[str, str], Table] = {}

    def type_of(self, relation: dict[str, Any], column: str) -> ColumnType | None:
        """The type of a column now, or None where it is not known."""
        return self._tables.get(_key(relation), {}).get(column)

    def follow(self, statement: Statement) -> None:
        """Take in what a statement makes of the tables."""
        body = statement.body
        match statement.verb:
            case "CreateStmt":
                self._create(body)
            case "AlterTableStmt":
                table = self._tables.get(_key(body["relation"]), {})
                for command in body["cmds"]:
                    _alter(table, command["AlterTableCmd"])
            case "RenameStmt" if "relation" in body:
                self._rename(body)
            case "DropStmt" | "AlterObjectSchemaStmt" | "DoStmt" | "CallStmt":
                self._tables.clear()  # rare, and what goes may be made anew
            case _:
                pass

    def _create(self, body: dict[str, Any]) -> None:
        key = _key(body["relation"])
        if body.get("if_not_exists"):
            # The table that was there may be another one.
            self._tables.pop(key, None)
            return
        table: Table = {}
        for each in body.get("tableElts", ()):
            if "ColumnDef" in each:
                _define(table, each["ColumnDef"])
        self._tables[key] = table

    def _rename(self, body: dict[str, Any]) -> None:
        key = _key(body["relation"])
        table = self._tables.pop(key, None)
        if table is None:
            return
        if body["renameType"] == "OBJECT_TABLE":
            key = (key[0], body["newname"])
        elif body["renameType"] == "OBJECT_COLUMN":
            kind = table.pop(body["subname"], None)
            if kind is not None:
                table[body["newname"]] = kind
        self._tables[key] = table


def _key(relation: dict[str, Any]) -> tuple[str, str]:
    schema = relation.get("schemaname", "")
    return "" if schema == "public" else schema, relation["relname"]


def _define(table: Table, definition: dict[str, Any]) -> None:
    kind = type_of(definition["typeName"])
    table.pop(definition["colname"], None)
    if kind is not None:
        table[definition["colname"]] = kind


def _alter(table: Table, command: dict[str, Any]) -> None:
    match command["subtype"]:
        case "AT_AddColumn":
            if command.get("missing_ok"):
                table.pop(command["def"]["ColumnDef"]["colname"], None)
            else:
                _define(table, command["def"]["ColumnDef"])
        case "AT_DropColumn":
            table.pop(command["name"], None)
        case "AT_AlterColumnType":
            _define(table, {"colname": command["name"], **command["def"]["ColumnDef"]})
        case _:
            pass
