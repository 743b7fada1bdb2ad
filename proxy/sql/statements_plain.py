"""Statements that are one line of a table: action, kind, relations touched, flags.

Next: `proxy.sql.handlers`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxy.sql.facts import Access, Flag, Kind
from proxy.sql.statements_ddl import note_options, object_word, touch
from proxy.sql.walk import GENERIC, Handler

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxy.sql.walk import Body, Stack, Walk

STATEMENTS_PLAIN: Final[dict[str, Handler]] = {}


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
        note_options(body, walk)
        if kind is Kind.DATABASE:
            walk.databases = (body["dbname"],)
        for field, how in touched:
            touch(body, field, how, stack, walk)
        rest(body, stack, walk)

    return handle


def _create(name: str) -> Callable[[Body], str]:
    return lambda body: (
        f"create or replace {name}" if body.get("replace") else f"create {name}"
    )


def _define(body: Body) -> str:
    return _create(object_word(body["kind"]))(body)


def _reindex(body: Body) -> str:
    kind: str = body["kind"]
    return "reindex " + kind.removeprefix("REINDEX_OBJECT_").lower()


def _refresh(body: Body) -> str:
    """WITH NO DATA empties the view."""
    words = "refresh materialized view"
    return f"{words} with no data" if body.get("skipData") else words


def _alter_function(body: Body) -> str:
    return f"alter {object_word(body['objtype'])}"


def _alter_move_all(body: Body) -> str:
    return f"alter {object_word(body['objtype'])} move all"


_RELATION_CREATED: Final = {"relation": Access.CREATE}
_RELATION_ALTERED: Final = {"relation": Access.ALTER}
_TABLE_ALTERED: Final = {"table": Access.ALTER}
_SECRET: Final = (Flag.SECRET,)
_LOSES: Final = (Flag.DESTRUCTIVE,)


def _add(
    name: str,
    action: str | Callable[[Body], str],
    kind: Kind = Kind.DDL,
    access: dict[str, Access] | None = None,
    flags: tuple[Flag, ...] = (),
) -> None:
    STATEMENTS_PLAIN[name] = _plain(name, kind, action, access, flags)


_add("CreateStmt", "create table", access=_RELATION_CREATED)
_add("IndexStmt", "create index", access=_RELATION_ALTERED)
_add("ViewStmt", _create("view"), access={"view": Access.CREATE})
_add("CreateSeqStmt", "create sequence", access={"sequence": Access.CREATE})
_add("AlterSeqStmt", "alter sequence", access={"sequence": Access.ALTER})
_add("CreateSchemaStmt", "create schema")
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
_add("RefreshMatViewStmt", _refresh, access=_RELATION_ALTERED)
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
