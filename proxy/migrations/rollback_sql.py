"""The statement that undoes a statement, where the text alone says what it is.

Only where nothing has to be guessed: what was dropped, replaced or overwritten is not
in the text, and then there is no way back but a backup. What comes out is tried on a
scratch database (`proxy.migrations.rollback_proof`), which finds what this can't know.
Next: `proxy.migrations.rollback`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from proxy.sql.facts import Effect, Kind

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxy.migrations.check_columns import Columns
    from proxy.migrations.check_statements import Statement
    from proxy.sql.facts import Facts

Body = dict[str, Any]


class Reverse(Struct, frozen=True):
    """A way back: `sql` is "" where there is nothing to undo; `loses` is what goes."""

    sql: str = ""
    loses: str = ""


class OneWay(Struct, frozen=True):
    """No way back, and why."""

    why: str


_HARMLESS: Final = frozenset({Kind.READ, Kind.SESSION, Kind.TRANSACTION, Kind.LOCK})
_QUIET: Final = frozenset({Effect.NONE, Effect.STABLE, Effect.SETTING})
_GONE: Final = OneWay("what it takes away is not in the text")
_MAY_HAVE_BEEN_THERE: Final = OneWay("IF NOT EXISTS: it may have been there before")
_REPLACED: Final = OneWay("what it replaced is not in the text")


def reverse(statement: Statement, columns: Columns) -> Reverse | OneWay:
    """What undoes a statement; `columns` are as the statement found them."""
    body, verb = statement.body, statement.verb
    if body.get("if_not_exists") or body.get("missing_ok"):
        return _MAY_HAVE_BEEN_THERE
    if body.get("replace"):
        return _REPLACED
    if verb == "AlterTableStmt":
        return _altered(body, columns)
    return _MAKES[verb](body) if verb in _MAKES else _other(statement.facts)


def _other(facts: Facts) -> Reverse | OneWay:
    if facts.kinds <= _HARMLESS and all(e.effect in _QUIET for e in facts.functions):
        return Reverse()
    if not facts.kinds.isdisjoint({Kind.INSERT, Kind.COPY_IN}):
        return OneWay("which rows it adds is not in the text")
    return _GONE


def quoted(name: str) -> str:
    """A name as SQL takes it, whatever it holds."""
    return '"' + name.replace('"', '""') + '"'


def _relation(node: Body) -> str:
    parts = (node.get("catalogname"), node.get("schemaname"), node["relname"])
    return ".".join(quoted(part) for part in parts if part)


def _names(nodes: list[Body]) -> str:
    return ".".join(quoted(each["String"]["sval"]) for each in nodes)


def _of_relation(words: str, loses: str = "") -> Callable[[Body], Reverse | OneWay]:
    def made(body: Body) -> Reverse | OneWay:
        node = body.get("relation") or body.get("sequence") or body.get("view")
        node = node or body.get("typevar") or body["into"]["rel"]
        name = _relation(node)
        return Reverse(f"{words} {name};", f"{loses}{name}" if loses else "")

    return made


def _of_names(words: str, key: str) -> Callable[[Body], Reverse | OneWay]:
    return lambda body: Reverse(f"{words} {_names(body[key])};")


def _of_word(words: str, key: str) -> Callable[[Body], Reverse | OneWay]:
    return lambda body: Reverse(f"{words} {quoted(body[key])};")


def _on_table(words: str, key: str, table: str) -> Callable[[Body], Reverse | OneWay]:
    return lambda body: Reverse(
        f"{words} {quoted(body[key])} ON {_relation(body[table])};"
    )


def _index(body: Body) -> Reverse | OneWay:
    if "idxname" not in body:
        return OneWay("the index has no name in the text")
    # An index lives in the schema of its table.
    name = _relation({**body["relation"], "relname": body["idxname"]})
    how = "CONCURRENTLY " if body.get("concurrent") else ""
    return Reverse(f"DROP INDEX {how}{name};")


def _schema(body: Body) -> Reverse | OneWay:
    if "schemaname" not in body:
        return OneWay("the schema has no name in the text")
    return Reverse(f"DROP SCHEMA {quoted(body['schemaname'])};")


def _table_as(body: Body) -> Reverse | OneWay:
    if body.get("objtype") == "OBJECT_MATVIEW":
        return _of_relation("DROP MATERIALIZED VIEW")(body)
    return _of_relation("DROP TABLE", "the rows of ")(body)


def _function(body: Body) -> Reverse | OneWay:
    what = "PROCEDURE" if body.get("is_procedure") else "FUNCTION"
    ways_in = {"FUNC_PARAM_DEFAULT", "FUNC_PARAM_IN", "FUNC_PARAM_INOUT"}
    ways_in.add("FUNC_PARAM_VARIADIC")
    types = [
        _type(each["FunctionParameter"]["argType"])
        for each in body.get("parameters", ())
        if each["FunctionParameter"].get("mode") in ways_in
    ]
    return Reverse(f"DROP {what} {_names(body['funcname'])}({', '.join(types)});")


def _type(node: Body) -> str:
    return _names(node["names"]) + "[]" * bool(node.get("arrayBounds"))


def _enum(body: Body) -> Reverse | OneWay:
    if "oldVal" not in body:
        return OneWay("a value of an enum can't be dropped")
    name = _names(body["typeName"])
    old, new = _literal(body["oldVal"]), _literal(body["newVal"])
    return Reverse(f"ALTER TYPE {name} RENAME VALUE {new} TO {old};")


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


_RENAMED: Final = {
    "OBJECT_TABLE": "TABLE",
    "OBJECT_VIEW": "VIEW",
    "OBJECT_MATVIEW": "MATERIALIZED VIEW",
    "OBJECT_INDEX": "INDEX",
    "OBJECT_SEQUENCE": "SEQUENCE",
}


def _renamed(body: Body) -> Reverse | OneWay:
    what, relation = body["renameType"], body.get("relation")
    if relation is None:
        return _GONE
    if what in _RENAMED:
        moved = _relation({**relation, "relname": body["newname"]})
        old = quoted(relation["relname"])
        return Reverse(f"ALTER {_RENAMED[what]} {moved} RENAME TO {old};")
    part = {"OBJECT_COLUMN": "COLUMN", "OBJECT_TABCONSTRAINT": "CONSTRAINT"}.get(what)
    if part is None or body.get("relationType", "OBJECT_TABLE") != "OBJECT_TABLE":
        return _GONE
    return Reverse(
        f"ALTER TABLE {_relation(relation)} RENAME {part} {quoted(body['newname'])} "
        f"TO {quoted(body['subname'])};"
    )


_MAKES: Final[dict[str, Callable[[Body], Reverse | OneWay]]] = {
    "CreateStmt": _of_relation("DROP TABLE", "the rows of "),
    "CreateTableAsStmt": _table_as,
    "CreateSeqStmt": _of_relation("DROP SEQUENCE", "the number reached by "),
    "ViewStmt": _of_relation("DROP VIEW"),
    "CompositeTypeStmt": _of_relation("DROP TYPE"),
    "CreateEnumStmt": _of_names("DROP TYPE", "typeName"),
    "CreateRangeStmt": _of_names("DROP TYPE", "typeName"),
    "CreateDomainStmt": _of_names("DROP DOMAIN", "domainname"),
    "CreateStatsStmt": _of_names("DROP STATISTICS", "defnames"),
    "CreateExtensionStmt": _of_word("DROP EXTENSION", "extname"),
    "CreateSchemaStmt": _schema,
    "CreateFunctionStmt": _function,
    "CreateTrigStmt": _on_table("DROP TRIGGER", "trigname", "relation"),
    "CreatePolicyStmt": _on_table("DROP POLICY", "policy_name", "table"),
    "IndexStmt": _index,
    "RenameStmt": _renamed,
    "AlterEnumStmt": _enum,
}


def _altered(body: Body, columns: Columns) -> Reverse | OneWay:
    """ALTER TABLE: each subcommand undone, the last one first."""
    if body.get("objtype") != "OBJECT_TABLE":
        return _GONE
    found = [_command(item["AlterTableCmd"], body, columns) for item in body["cmds"]]
    undone: list[Reverse] = []
    for each in reversed(found):
        if isinstance(each, OneWay):
            return each
        undone.append(each)
    table = _relation(body["relation"])
    return Reverse(
        f"ALTER TABLE {table} {', '.join(each.sql for each in undone)};",
        ", ".join(each.loses for each in undone if each.loses),
    )


_SWITCHES: Final = {
    "AT_EnableRowSecurity": "DISABLE ROW LEVEL SECURITY",
    "AT_DisableRowSecurity": "ENABLE ROW LEVEL SECURITY",
    "AT_ForceRowSecurity": "NO FORCE ROW LEVEL SECURITY",
    "AT_NoForceRowSecurity": "FORCE ROW LEVEL SECURITY",
}
_COLUMN_SWITCHES: Final = {
    "AT_SetNotNull": "DROP NOT NULL",
    "AT_DropNotNull": "SET NOT NULL",
}


def _command(command: Body, body: Body, columns: Columns) -> Reverse | OneWay:
    kind = command["subtype"]
    if command.get("missing_ok"):
        return _MAY_HAVE_BEEN_THERE
    if kind in _SWITCHES:
        return Reverse(_SWITCHES[kind])
    if kind in _COLUMN_SWITCHES:
        column = quoted(command["name"])
        return Reverse(f"ALTER COLUMN {column} {_COLUMN_SWITCHES[kind]}")
    if kind not in _COMMANDS:
        return _GONE
    return _COMMANDS[kind](command, body["relation"], columns)


def _added(command: Body, relation: Body, _: Columns) -> Reverse | OneWay:
    name = quoted(command["def"]["ColumnDef"]["colname"])
    return Reverse(f"DROP COLUMN {name}", f"the values of {_relation(relation)}.{name}")


def _constrained(command: Body, _: Body, __: Columns) -> Reverse | OneWay:
    name = command["def"]["Constraint"].get("conname")
    if name is None:
        return OneWay("the constraint has no name in the text")
    return Reverse(f"DROP CONSTRAINT {quoted(name)}")


def _attached(command: Body, _: Body, __: Columns) -> Reverse | OneWay:
    partition = _relation(command["def"]["PartitionCmd"]["name"])
    return Reverse(f"DETACH PARTITION {partition}")


def _retyped(command: Body, relation: Body, columns: Columns) -> Reverse | OneWay:
    old = columns.type_of(relation, command["name"])
    if old is None:
        return OneWay("the old type is not in the folder")
    if "raw_default" in command["def"]["ColumnDef"]:
        return OneWay("its USING may have changed any value")
    return Reverse(f"ALTER COLUMN {quoted(command['name'])} TYPE {old}")


_COMMANDS: Final[dict[str, Callable[[Body, Body, Columns], Reverse | OneWay]]] = {
    "AT_AddColumn": _added,
    "AT_AddConstraint": _constrained,
    "AT_AlterColumnType": _retyped,
    "AT_AttachPartition": _attached,
}
