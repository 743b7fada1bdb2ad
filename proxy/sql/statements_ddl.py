"""Statements that change definitions: CREATE, ALTER, DROP, GRANT, maintenance.

Most are one line of a table: kind, action, how they touch which relation, flags.
Next: `proxy.sql.handlers`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxy.sql.facts import Access, Flag, Kind, Scope
from proxy.sql.parts import made
from proxy.sql.settings_change import variable_set
from proxy.sql.vocabulary import (
    ALTER_TABLE,
    HARMLESS_DROPS,
    LOSING_SUBCOMMANDS,
    OBJECTS,
)
from proxy.sql.walk import GENERIC, Handler

if TYPE_CHECKING:
    from collections.abc import Callable

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


def _object(name: str) -> str:
    return OBJECTS[name]


def _ddl_kind(object_type: str) -> Kind:
    return _KIND_OF_OBJECT.get(object_type, Kind.DDL)


def _common(body: Body, walk: Walk) -> None:
    if body.get("behavior") == "DROP_CASCADE":
        walk.flag(Flag.CASCADE)
    if body.get("concurrent"):
        walk.flag(Flag.CONCURRENTLY)


def _touch(body: Body, field: str, access: Access, stack: Stack, walk: Walk) -> None:
    """Note the relation in `field` and take it out, so that it is not read as well."""
    relation = body.pop(field, None)
    if relation is not None:
        walk.relation(relation, access)
        GENERIC["RangeVar"](relation, stack, walk)


def _named(names: list[Node], access: Access, walk: Walk) -> None:
    texts = [name["String"]["sval"] for name in names if "String" in name]
    if texts:
        walk.relations[texts[-2] if len(texts) > 1 else "", texts[-1], access] = None


Words = "str | Callable[[Body], str]"


def _plain(
    name: str,
    kind: Kind,
    action: str | Callable[[Body], str],
    access: dict[str, Access] | None = None,
    flags: tuple[Flag, ...] = (),
) -> Handler:
    rest = GENERIC[name]
    touched = tuple((access or {}).items())

    def handle(body: Body, stack: Stack, walk: Walk) -> None:
        words = action if isinstance(action, str) else action(body)
        walk.act(kind, words, *flags)
        _common(body, walk)
        if kind is Kind.DATABASE:
            walk.databases = (body["dbname"],)
        for field, how in touched:
            _touch(body, field, how, stack, walk)
        rest(body, stack, walk)

    return handle


def _create(name: str) -> Callable[[Body], str]:
    return lambda body: (
        f"create or replace {name}" if body.get("replace") else f"create {name}"
    )


def _create_function(body: Body) -> str:
    what = "procedure" if body.get("is_procedure") else "function"
    return _create(what)(body)


def _define(body: Body) -> str:
    return _create(_object(body["kind"]))(body)


def alter_table(body: Body, stack: Stack, walk: Walk) -> None:
    """ALTER TABLE and its kin: one act a subcommand."""
    what = _object(body["objtype"])
    for command in body["cmds"]:
        fields = command["AlterTableCmd"]
        subtype = fields["subtype"]
        walk.act(Kind.DDL, f"alter {what} {ALTER_TABLE[subtype]}")
        if subtype in LOSING_SUBCOMMANDS:
            walk.flag(Flag.DESTRUCTIVE)
        _common(fields, walk)
        partition = fields.get("def", {}).get("PartitionCmd")
        if partition:
            _common(partition, walk)
            _touch(partition, "name", Access.ALTER, stack, walk)
    _touch(body, "relation", Access.ALTER, stack, walk)
    GENERIC["AlterTableStmt"](body, stack, walk)


def drop(body: Body, stack: Stack, walk: Walk) -> None:
    """DROP of most objects."""
    object_type = body["removeType"]
    walk.act(_ddl_kind(object_type), f"drop {_object(object_type)}")
    _common(body, walk)
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
        words = f"alter {_object(body['relationType'])} rename{holder[renamed]}"
    else:
        words = f"alter {_object(renamed)} rename"
    walk.act(_ddl_kind(renamed), words)
    _common(body, walk)
    _touch(body, "relation", Access.ALTER, stack, walk)
    GENERIC["RenameStmt"](body, stack, walk)


def _alter_object(name: str, what: str) -> Handler:
    rest = GENERIC[name]

    def handle(body: Body, stack: Stack, walk: Walk) -> None:
        object_type = body["objectType"]
        walk.act(_ddl_kind(object_type), f"alter {_object(object_type)} {what}")
        _touch(body, "relation", Access.ALTER, stack, walk)
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
    _touch(base, "relation", Access.CREATE, stack, walk)
    GENERIC["CreateStmt"](base, stack, walk)
    GENERIC["CreateForeignTableStmt"](body, stack, walk)


def grant(body: Body, stack: Stack, walk: Walk) -> None:
    """GRANT and REVOKE on objects."""
    walk.act(Kind.PRIVILEGE, "grant" if body.get("is_grant") else "revoke")
    _common(body, walk)
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
    _common(body, walk)
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
    walk.act(_ddl_kind(object_type), f"{words} {_object(object_type)}")
    names = body["object"].get("List", {}).get("items", [])
    if object_type in _RELATION_OBJECTS:
        _named(names, Access.ALTER, walk)
    elif object_type in _ON_RELATION or object_type in {
        "OBJECT_COLUMN",
        "OBJECT_TABCONSTRAINT",
    }:
        _named(names[:-1], Access.ALTER, walk)
    GENERIC[name](body, stack, walk)


def vacuum(body: Body, stack: Stack, walk: Walk) -> None:
    """VACUUM and ANALYZE."""
    words = "vacuum" if body.get("is_vacuumcmd") else "analyze"
    walk.act(Kind.MAINTENANCE, words)
    for item in body.get("rels", []):
        _touch(item["VacuumRelation"], "relation", Access.ALTER, stack, walk)
    GENERIC["VacuumStmt"](body, stack, walk)


def _reindex(body: Body) -> str:
    return "reindex " + body["kind"].removeprefix("REINDEX_OBJECT_").lower()


def _alter_function(body: Body) -> str:
    return f"alter {_object(body['objtype'])}"


def _alter_move_all(body: Body) -> str:
    return f"alter {_object(body['objtype'])} move all"


_RELATION_CREATED: Final = {"relation": Access.CREATE}
_RELATION_ALTERED: Final = {"relation": Access.ALTER}
_TABLE_ALTERED: Final = {"table": Access.ALTER}
_SECRET: Final = (Flag.SECRET,)
_LOSES: Final = (Flag.DESTRUCTIVE,)

_PLAIN: Final[tuple[tuple[object, ...], ...]] = ()

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


def _add(
    name: str,
    action: str | Callable[[Body], str],
    kind: Kind = Kind.DDL,
    access: dict[str, Access] | None = None,
    flags: tuple[Flag, ...] = (),
) -> None:
    STATEMENTS_DDL[name] = _plain(name, kind, action, access, flags)


_add("CreateStmt", "create table", access=_RELATION_CREATED)
_add("IndexStmt", "create index", access=_RELATION_ALTERED)
_add("ViewStmt", _create("view"), access={"view": Access.CREATE})
_add("CreateSeqStmt", "create sequence", access={"sequence": Access.CREATE})
_add("AlterSeqStmt", "alter sequence", access={"sequence": Access.ALTER})
_add("CreateSchemaStmt", "create schema")
_add("CreateFunctionStmt", _create_function)
_add("AlterFunctionStmt", _alter_function)
_add("CreateTrigStmt", _create("trigger"), access=_RELATION_ALTERED)
_add("RuleStmt", _create("rule"), access=_RELATION_ALTERED)
_add("CreatePolicyStmt", "create policy", access=_TABLE_ALTERED)
_add("AlterPolicyStmt", "alter policy", access=_TABLE_ALTERED)
_add("CreateStatsStmt", "create statistics")
_add("AlterStatsStmt", "alter statistics")
_add("CompositeTypeStmt", "create type", access={"typevar": Access.CREATE})
_add("CreateEnumStmt", "create type")
_add("CreateRangeStmt", "create type")
_add("AlterEnumStmt", "alter type")
_add("AlterTypeStmt", "alter type")
_add("CreateDomainStmt", "create domain")
_add("AlterDomainStmt", "alter domain")
_add("DefineStmt", _define)
_add("CreateExtensionStmt", "create extension")
_add("AlterExtensionStmt", "alter extension")
_add("AlterExtensionContentsStmt", "alter extension contents")
_add("CreateCastStmt", "create cast")
_add("CreateTransformStmt", _create("transform"))
_add("CreateConversionStmt", "create conversion")
_add("CreateOpClassStmt", "create operator class")
_add("CreateOpFamilyStmt", "create operator family")
_add("AlterOpFamilyStmt", "alter operator family")
_add("AlterOperatorStmt", "alter operator")
_add("AlterCollationStmt", "alter collation")
_add("CreateAmStmt", "create access method")
_add("CreatePLangStmt", _create("language"))
_add("CreateEventTrigStmt", "create event trigger")
_add("AlterEventTrigStmt", "alter event trigger")
_add("AlterTSConfigurationStmt", "alter text search configuration")
_add("AlterTSDictionaryStmt", "alter text search dictionary")
_add("AlterTableMoveAllStmt", _alter_move_all)
_add("RefreshMatViewStmt", "refresh materialized view", access=_RELATION_ALTERED)
_add("CreatePublicationStmt", "create publication")
_add("AlterPublicationStmt", "alter publication")
_add("CreateFdwStmt", "create foreign data wrapper", flags=_SECRET)
_add("AlterFdwStmt", "alter foreign data wrapper", flags=_SECRET)
_add("CreateForeignServerStmt", "create server", flags=_SECRET)
_add("AlterForeignServerStmt", "alter server", flags=_SECRET)
_add("CreateUserMappingStmt", "create user mapping", flags=_SECRET)
_add("AlterUserMappingStmt", "alter user mapping", flags=_SECRET)
_add("DropUserMappingStmt", "drop user mapping", flags=_LOSES)
_add("ImportForeignSchemaStmt", "import foreign schema")
_add("DropOwnedStmt", "drop owned", flags=_LOSES)
_add("ReassignOwnedStmt", "reassign owned", Kind.PRIVILEGE)
_add("DropRoleStmt", "drop role", Kind.PRIVILEGE, flags=_LOSES)
_add("CreatedbStmt", "create database", Kind.DATABASE)
_add("DropdbStmt", "drop database", Kind.DATABASE, flags=_LOSES)
_add("AlterDatabaseStmt", "alter database", Kind.DATABASE)
_add("AlterDatabaseRefreshCollStmt", "alter database", Kind.DATABASE)
_add("CreateTableSpaceStmt", "create tablespace", Kind.SYSTEM)
_add("DropTableSpaceStmt", "drop tablespace", Kind.SYSTEM, flags=_LOSES)
_add("AlterTableSpaceOptionsStmt", "alter tablespace", Kind.SYSTEM)
_add("CreateSubscriptionStmt", "create subscription", Kind.SYSTEM, flags=_SECRET)
_add("AlterSubscriptionStmt", "alter subscription", Kind.SYSTEM, flags=_SECRET)
_add("DropSubscriptionStmt", "drop subscription", Kind.SYSTEM, flags=_LOSES)
_add("ReindexStmt", _reindex, Kind.MAINTENANCE, access=_RELATION_ALTERED)
_add("ClusterStmt", "cluster", Kind.MAINTENANCE, access=_RELATION_ALTERED)
