"""Statements that change definitions: CREATE, ALTER, DROP, GRANT, maintenance.

Those that need a look inside; the many that are one line of a table are in
`proxy.sql.statements_plain`. Next: that, then `proxy.sql.handlers`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxy.sql.facts import Access, Flag, Kind, Scope
from proxy.sql.parts import made
from proxy.sql.settings_change import variable_set
from proxy.sql.vocabulary import (
    ALTER_TABLE,
    CONFINED_LANGUAGES,
    HARMLESS_DROPS,
    LOSING_SUBCOMMANDS,
    OBJECTS,
)
from proxy.sql.walk import GENERIC, Handler

if TYPE_CHECKING:
    from proxy.sql.walk import Body, Node, Stack, Walk

_RELATION_OBJECTS: Final = frozenset(
    {
        "OBJECT_TABLE",
        "OBJECT_VIEW",
        "OBJECT_MATVIEW",
        "OBJECT_SEQUENCE",
        "OBJECT_INDEX",
        "OBJECT_FOREIGN_TABLE",
    }
)
_ON_RELATION: Final = frozenset({"OBJECT_TRIGGER", "OBJECT_RULE", "OBJECT_POLICY"})
"""Objects named after their table: (table ..., name)."""
_KIND_OF_OBJECT: Final = {
    "OBJECT_DATABASE": Kind.DATABASE,
    "OBJECT_ROLE": Kind.PRIVILEGE,
    "OBJECT_TABLESPACE": Kind.SYSTEM,
    "OBJECT_SUBSCRIPTION": Kind.SYSTEM,
}


def object_word(name: str) -> str:
    """The word for an ObjectType."""
    return OBJECTS[name]


def ddl_kind(object_type: str) -> Kind:
    """What kind of act defining such an object is."""
    return _KIND_OF_OBJECT.get(object_type, Kind.DDL)


def note_options(body: Body, walk: Walk) -> None:
    """Note CASCADE and CONCURRENTLY."""
    if body.get("behavior") == "DROP_CASCADE":
        walk.flag(Flag.CASCADE)
    options = [item.get("DefElem", {}) for item in body.get("params", ())]  # REINDEX
    if body.get("concurrent") or any(
        each.get("defname") == "concurrently" for each in options
    ):
        walk.flag(Flag.CONCURRENTLY)


def touch(body: Body, field: str, access: Access, stack: Stack, walk: Walk) -> None:
    """Note the relation in `field` and take it out, so that it is not read as well."""
    relation = body.pop(field, None)
    if relation is not None:
        walk.relation(relation, access)
        GENERIC["RangeVar"](relation, stack, walk)


def _named(names: list[Node], access: Access, walk: Walk) -> None:
    texts = [name["String"]["sval"] for name in names if "String" in name]
    if texts:
        walk.relations[texts[-2] if len(texts) > 1 else "", texts[-1], access] = None


def alter_table(body: Body, stack: Stack, walk: Walk) -> None:
    """ALTER TABLE and its kin: one act a subcommand."""
    what = object_word(body["objtype"])
    for command in body["cmds"]:
        fields = command["AlterTableCmd"]
        subtype = fields["subtype"]
        walk.act(Kind.DDL, f"alter {what} {ALTER_TABLE[subtype]}")
        if subtype in LOSING_SUBCOMMANDS:
            walk.flag(Flag.DESTRUCTIVE)
        note_options(fields, walk)
        partition = fields.get("def", {}).get("PartitionCmd")
        if partition:
            note_options(partition, walk)
            touch(partition, "name", Access.ALTER, stack, walk)
    touch(body, "relation", Access.ALTER, stack, walk)
    GENERIC["AlterTableStmt"](body, stack, walk)


def drop(body: Body, stack: Stack, walk: Walk) -> None:
    """DROP of most objects."""
    object_type = body["removeType"]
    walk.act(ddl_kind(object_type), f"drop {object_word(object_type)}")
    note_options(body, walk)
    if object_type not in HARMLESS_DROPS or Flag.CASCADE in walk.flags:
        walk.flag(Flag.DESTRUCTIVE)
    for item in body["objects"]:
        names = item.get("List", {}).get("items", [])
        if object_type in _RELATION_OBJECTS:
            _named(names, Access.DROP, walk)
        elif object_type in _ON_RELATION:
            _named(names[:-1], Access.ALTER, walk)
    GENERIC["DropStmt"](body, stack, walk)


def rename(body: Body, stack: Stack, walk: Walk) -> None:
    """RENAME of an object, or of a part of one."""
    renamed = body["renameType"]
    holder = {
        "OBJECT_COLUMN": " column",
        "OBJECT_ATTRIBUTE": " attribute",
        "OBJECT_TABCONSTRAINT": " constraint",
        "OBJECT_DOMCONSTRAINT": " constraint",
    }
    if renamed == "OBJECT_DOMCONSTRAINT":
        words = "alter domain rename constraint"
    elif renamed == "OBJECT_TABCONSTRAINT":
        words = "alter table rename constraint"
    elif renamed in holder:
        words = f"alter {object_word(body['relationType'])} rename{holder[renamed]}"
    else:
        words = f"alter {object_word(renamed)} rename"
    walk.act(ddl_kind(renamed), words)
    note_options(body, walk)
    if renamed == "OBJECT_DATABASE":
        walk.databases = (body["subname"],)
    touch(body, "relation", Access.ALTER, stack, walk)
    GENERIC["RenameStmt"](body, stack, walk)


def _alter_object(name: str, what: str) -> Handler:
    rest = GENERIC[name]

    def handle(body: Body, stack: Stack, walk: Walk) -> None:
        object_type = body["objectType"]
        walk.act(ddl_kind(object_type), f"alter {object_word(object_type)} {what}")
        if object_type == "OBJECT_DATABASE":
            walk.databases = (body["object"]["String"]["sval"],)
        touch(body, "relation", Access.ALTER, stack, walk)
        rest(body, stack, walk)

    return handle


def create_table_as(body: Body, stack: Stack, walk: Walk) -> None:
    """CREATE TABLE AS and CREATE MATERIALIZED VIEW; the query may be an EXECUTE."""
    materialized = body.get("objtype") == "OBJECT_MATVIEW"
    words = "create materialized view" if materialized else "create table as"
    walk.act(Kind.DDL, words)
    target = body.pop("into")
    walk.relation(target["rel"], Access.CREATE)
    made(target, stack, walk)
    GENERIC["CreateTableAsStmt"](body, stack, walk)


def create_foreign_table(body: Body, stack: Stack, walk: Walk) -> None:
    """CREATE FOREIGN TABLE: a CREATE TABLE inside."""
    walk.act(Kind.DDL, "create foreign table")
    base = body.pop("base", body.pop("base_stmt", {}))
    touch(base, "relation", Access.CREATE, stack, walk)
    GENERIC["CreateStmt"](base, stack, walk)
    GENERIC["CreateForeignTableStmt"](body, stack, walk)


def grant(body: Body, stack: Stack, walk: Walk) -> None:
    """GRANT and REVOKE on objects."""
    words = "grant" if body.get("is_grant") else "revoke"
    walk.act(Kind.PRIVILEGE, words)
    walk.act(Kind.PRIVILEGE, f"{words} on {object_word(body['objtype'])}")
    note_options(body, walk)
    for item in body.pop("objects", []):
        if "RangeVar" in item:
            walk.relation(item["RangeVar"], Access.ALTER)
            GENERIC["RangeVar"](item["RangeVar"], stack, walk)
        else:
            stack.append(item)
    GENERIC["GrantStmt"](body, stack, walk)


def grant_role(body: Body, stack: Stack, walk: Walk) -> None:
    """GRANT and REVOKE of role membership."""
    words = "grant role" if body.get("is_grant") else "revoke role"
    walk.act(Kind.PRIVILEGE, words)
    note_options(body, walk)
    GENERIC["GrantRoleStmt"](body, stack, walk)


def default_privileges(body: Body, stack: Stack, walk: Walk) -> None:
    """ALTER DEFAULT PRIVILEGES; the GRANT inside is not an act of its own."""
    walk.act(Kind.PRIVILEGE, "alter default privileges")
    GENERIC["GrantStmt"](body.pop("action"), stack, walk)
    GENERIC["AlterDefaultPrivilegesStmt"](body, stack, walk)


def _role(name: str, words: str) -> Handler:
    rest = GENERIC[name]

    def handle(body: Body, stack: Stack, walk: Walk) -> None:
        walk.act(Kind.PRIVILEGE, words)
        for option in body.get("options", []):
            if option["DefElem"]["defname"] == "password":
                walk.flag(Flag.SECRET)
        rest(body, stack, walk)

    return handle


def _stored_setting(name: str, kind: Kind, words: str) -> Handler:
    rest = GENERIC[name]

    def handle(body: Body, stack: Stack, walk: Walk) -> None:
        walk.act(kind, words)
        if "dbname" in body:
            walk.databases = (body["dbname"],)
        setting = body.pop("setstmt")
        variable_set(walk, setting, Scope.STORED)
        GENERIC["VariableSetStmt"](setting, stack, walk)
        rest(body, stack, walk)

    return handle


def option(body: Body, stack: Stack, walk: Walk) -> None:
    """An option of some statement; a SET in one is stored with a function."""
    setting = body.get("arg", {}).get("VariableSetStmt")
    if setting is not None:
        body.pop("arg")
        variable_set(walk, setting, Scope.STORED)
        GENERIC["VariableSetStmt"](setting, stack, walk)
    GENERIC["DefElem"](body, stack, walk)


def comment(body: Body, stack: Stack, walk: Walk) -> None:
    """COMMENT ON."""
    _about_object("CommentStmt", "comment on", body, stack, walk)


def security_label(body: Body, stack: Stack, walk: Walk) -> None:
    """SECURITY LABEL ON."""
    _about_object("SecLabelStmt", "security label on", body, stack, walk)


def _about_object(name: str, words: str, body: Body, stack: Stack, walk: Walk) -> None:
    object_type = body["objtype"]
    walk.act(ddl_kind(object_type), f"{words} {object_word(object_type)}")
    names = body["object"].get("List", {}).get("items", [])
    if object_type in _RELATION_OBJECTS:
        _named(names, Access.ALTER, walk)
    elif object_type in _ON_RELATION or object_type in {
        "OBJECT_COLUMN",
        "OBJECT_TABCONSTRAINT",
    }:
        _named(names[:-1], Access.ALTER, walk)
    GENERIC[name](body, stack, walk)


def note_language(options: list[Node], walk: Walk) -> None:
    """Note code in a language that may do what any program of the server may."""
    for item in options:
        fields = item["DefElem"]
        if fields["defname"] == "language":
            language = fields["arg"]["String"].get("sval", "")
            if language not in CONFINED_LANGUAGES:
                walk.flag(Flag.SERVER_PROGRAM)


def create_function(body: Body, stack: Stack, walk: Walk) -> None:
    """CREATE FUNCTION and CREATE PROCEDURE."""
    verb = "create or replace" if body.get("replace") else "create"
    what = "procedure" if body.get("is_procedure") else "function"
    walk.act(Kind.DDL, f"{verb} {what}")
    note_language(body.get("options", []), walk)
    GENERIC["CreateFunctionStmt"](body, stack, walk)


def vacuum(body: Body, stack: Stack, walk: Walk) -> None:
    """VACUUM and ANALYZE."""
    words = "vacuum" if body.get("is_vacuumcmd") else "analyze"
    walk.act(Kind.MAINTENANCE, words)
    for item in body.get("rels", []):
        touch(item["VacuumRelation"], "relation", Access.ALTER, stack, walk)
    GENERIC["VacuumStmt"](body, stack, walk)


STATEMENTS_DDL: Final[dict[str, Handler]] = {
    "AlterTableStmt": alter_table,
    "DropStmt": drop,
    "RenameStmt": rename,
    "AlterOwnerStmt": _alter_object("AlterOwnerStmt", "owner to"),
    "AlterObjectSchemaStmt": _alter_object("AlterObjectSchemaStmt", "set schema"),
    "AlterObjectDependsStmt": _alter_object(
        "AlterObjectDependsStmt", "depends on extension"
    ),
    "CreateTableAsStmt": create_table_as,
    "CreateForeignTableStmt": create_foreign_table,
    "CreateFunctionStmt": create_function,
    "GrantStmt": grant,
    "GrantRoleStmt": grant_role,
    "AlterDefaultPrivilegesStmt": default_privileges,
    "CreateRoleStmt": _role("CreateRoleStmt", "create role"),
    "AlterRoleStmt": _role("AlterRoleStmt", "alter role"),
    "AlterRoleSetStmt": _stored_setting(
        "AlterRoleSetStmt", Kind.PRIVILEGE, "alter role set"
    ),
    "AlterDatabaseSetStmt": _stored_setting(
        "AlterDatabaseSetStmt", Kind.DATABASE, "alter database set"
    ),
    "AlterSystemStmt": _stored_setting("AlterSystemStmt", Kind.SYSTEM, "alter system"),
    "DefElem": option,
    "CommentStmt": comment,
    "SecLabelStmt": security_label,
    "VacuumStmt": vacuum,
}
