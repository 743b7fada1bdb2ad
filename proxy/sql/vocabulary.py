"""The words of `Facts.actions`: one regular phrase for each thing a statement can do.

A phrase is lower case: verb, object, and for ALTER what is altered. Policies match them
with wildcards ("drop *", "alter table *", "alter * rename*"). The vocabulary:

| Phrase | From |
| --- | --- |
| select, insert, update, delete, merge, truncate | the statement itself |
| select into, create table as, create materialized view | tables made by a query |
| create `object`, create or replace `object` | CREATE |
| drop `object` | DROP, and DROP OWNED as "drop owned" |
| alter `object` `what` | ALTER TABLE: one phrase a subcommand, see `ALTER_TABLE` |
| alter `object` rename, rename column, rename constraint, rename attribute | RENAME |
| alter `object` owner to, set schema, depends on extension | the other ALTERs |
| alter role, alter role set, alter database, alter database set, alter system | |
| grant, revoke, and with it grant on `object`, revoke on `object` | privileges |
| grant role, revoke role, alter default privileges | |
| begin, commit, rollback, savepoint, release, rollback to | transactions |
| prepare transaction, commit prepared, rollback prepared | two-phase |
| set, reset, reset all, set transaction, set session characteristics, | settings |
| set transaction snapshot, set constraints, show | |
| discard all, discard plans, discard sequences, discard temp | |
| prepare, execute, deallocate, declare cursor, fetch, move, close | names |
| copy to stdout, copy from stdin, copy to file, copy from file, | COPY |
| copy to program, copy from program | |
| explain, explain analyze | |
| lock table, listen, unlisten, notify, do, call, load, checkpoint | |
| vacuum, analyze, cluster, reindex `object` | maintenance |
| refresh materialized view, refresh materialized view with no data | |
| comment on `object`, security label on `object`, reassign owned | |

`object` is a word of `OBJECTS`. Imports nothing of pgwarden.
Next: `proxy.sql.statements`.
"""

from __future__ import annotations

from typing import Final

OBJECTS: Final = {
    "OBJECT_ACCESS_METHOD": "access method",
    "OBJECT_AGGREGATE": "aggregate",
    "OBJECT_AMOP": "operator family member",
    "OBJECT_AMPROC": "operator family member",
    "OBJECT_ATTRIBUTE": "attribute",
    "OBJECT_CAST": "cast",
    "OBJECT_COLUMN": "column",
    "OBJECT_COLLATION": "collation",
    "OBJECT_CONVERSION": "conversion",
    "OBJECT_DATABASE": "database",
    "OBJECT_DEFAULT": "default",
    "OBJECT_DEFACL": "default privileges",
    "OBJECT_DOMAIN": "domain",
    "OBJECT_DOMCONSTRAINT": "domain constraint",
    "OBJECT_EVENT_TRIGGER": "event trigger",
    "OBJECT_EXTENSION": "extension",
    "OBJECT_FDW": "foreign data wrapper",
    "OBJECT_FOREIGN_SERVER": "server",
    "OBJECT_FOREIGN_TABLE": "foreign table",
    "OBJECT_FUNCTION": "function",
    "OBJECT_INDEX": "index",
    "OBJECT_LANGUAGE": "language",
    "OBJECT_LARGEOBJECT": "large object",
    "OBJECT_MATVIEW": "materialized view",
    "OBJECT_OPCLASS": "operator class",
    "OBJECT_OPERATOR": "operator",
    "OBJECT_OPFAMILY": "operator family",
    "OBJECT_PARAMETER_ACL": "parameter",
    "OBJECT_POLICY": "policy",
    "OBJECT_PROCEDURE": "procedure",
    "OBJECT_PUBLICATION": "publication",
    "OBJECT_PUBLICATION_NAMESPACE": "publication schema",
    "OBJECT_PUBLICATION_REL": "publication table",
    "OBJECT_ROLE": "role",
    "OBJECT_ROUTINE": "routine",
    "OBJECT_RULE": "rule",
    "OBJECT_SCHEMA": "schema",
    "OBJECT_SEQUENCE": "sequence",
    "OBJECT_SUBSCRIPTION": "subscription",
    "OBJECT_STATISTIC_EXT": "statistics",
    "OBJECT_TABCONSTRAINT": "constraint",
    "OBJECT_TABLE": "table",
    "OBJECT_TABLESPACE": "tablespace",
    "OBJECT_TRANSFORM": "transform",
    "OBJECT_TRIGGER": "trigger",
    "OBJECT_TSCONFIGURATION": "text search configuration",
    "OBJECT_TSDICTIONARY": "text search dictionary",
    "OBJECT_TSPARSER": "text search parser",
    "OBJECT_TSTEMPLATE": "text search template",
    "OBJECT_TYPE": "type",
    "OBJECT_USER_MAPPING": "user mapping",
    "OBJECT_VIEW": "view",
}

ALTER_TABLE: Final = {
    "AT_AddColumn": "add column",
    "AT_AddColumnToView": "add column",
    "AT_ColumnDefault": "set column default",
    "AT_CookedColumnDefault": "set column default",
    "AT_DropNotNull": "drop not null",
    "AT_SetNotNull": "set not null",
    "AT_SetExpression": "set column expression",
    "AT_DropExpression": "drop column expression",
    "AT_SetStatistics": "set column statistics",
    "AT_SetOptions": "set column options",
    "AT_ResetOptions": "reset column options",
    "AT_SetStorage": "set column storage",
    "AT_SetCompression": "set column compression",
    "AT_DropColumn": "drop column",
    "AT_AddIndex": "add index",
    "AT_ReAddIndex": "add index",
    "AT_AddConstraint": "add constraint",
    "AT_ReAddConstraint": "add constraint",
    "AT_ReAddDomainConstraint": "add domain constraint",
    "AT_AlterConstraint": "alter constraint",
    "AT_ValidateConstraint": "validate constraint",
    "AT_AddIndexConstraint": "add constraint using index",
    "AT_DropConstraint": "drop constraint",
    "AT_ReAddComment": "comment",
    "AT_AlterColumnType": "alter column type",
    "AT_AlterColumnGenericOptions": "set column foreign options",
    "AT_ChangeOwner": "owner to",
    "AT_ClusterOn": "cluster on",
    "AT_DropCluster": "set without cluster",
    "AT_SetLogged": "set logged",
    "AT_SetUnLogged": "set unlogged",
    "AT_DropOids": "set without oids",
    "AT_SetAccessMethod": "set access method",
    "AT_SetTableSpace": "set tablespace",
    "AT_SetRelOptions": "set options",
    "AT_ResetRelOptions": "reset options",
    "AT_ReplaceRelOptions": "replace options",
    "AT_EnableTrig": "enable trigger",
    "AT_EnableAlwaysTrig": "enable always trigger",
    "AT_EnableReplicaTrig": "enable replica trigger",
    "AT_DisableTrig": "disable trigger",
    "AT_EnableTrigAll": "enable all triggers",
    "AT_DisableTrigAll": "disable all triggers",
    "AT_EnableTrigUser": "enable user triggers",
    "AT_DisableTrigUser": "disable user triggers",
    "AT_EnableRule": "enable rule",
    "AT_EnableAlwaysRule": "enable always rule",
    "AT_EnableReplicaRule": "enable replica rule",
    "AT_DisableRule": "disable rule",
    "AT_AddInherit": "inherit",
    "AT_DropInherit": "no inherit",
    "AT_AddOf": "of type",
    "AT_DropOf": "not of type",
    "AT_ReplicaIdentity": "replica identity",
    "AT_EnableRowSecurity": "enable row level security",
    "AT_DisableRowSecurity": "disable row level security",
    "AT_ForceRowSecurity": "force row level security",
    "AT_NoForceRowSecurity": "no force row level security",
    "AT_GenericOptions": "set foreign options",
    "AT_AttachPartition": "attach partition",
    "AT_DetachPartition": "detach partition",
    "AT_DetachPartitionFinalize": "detach partition finalize",
    "AT_AddIdentity": "add identity",
    "AT_SetIdentity": "set identity",
    "AT_DropIdentity": "drop identity",
    "AT_ReAddStatistics": "add statistics",
}

LOSING_SUBCOMMANDS: Final = frozenset(
    {
        "AT_DropColumn",
        "AT_AlterColumnType",  # a cast may truncate, and USING may say anything
        "AT_SetExpression",  # the values that are stored now are gone
        "AT_DropIdentity",  # drops the sequence behind it
        "AT_SetUnLogged",  # emptied by the next crash, and at once on a standby
    }
)
"""ALTER TABLE subcommands that can lose data."""

HARMLESS_DROPS: Final = frozenset(
    {
        "OBJECT_CAST",
        "OBJECT_DEFAULT",
        "OBJECT_EVENT_TRIGGER",
        "OBJECT_INDEX",
        "OBJECT_POLICY",
        "OBJECT_PUBLICATION",
        "OBJECT_RULE",
        "OBJECT_STATISTIC_EXT",
        "OBJECT_TRANSFORM",
        "OBJECT_TRIGGER",
    }
)
"""What can be dropped (without CASCADE) and made again from its definition alone."""

CONFINED_LANGUAGES: Final = frozenset({"sql", "plpgsql", "plperl", "pltcl", "plv8"})
"""Languages whose code reaches no more than the role that runs it: "trusted" ones,
https://www.postgresql.org/docs/18/sql-createlanguage.html. Not c, internal, plpython3u,
plperlu, pltclu, plsh, and whatever is not known."""

LOCK_MODES: Final = {
    1: "access share",
    2: "row share",
    3: "row exclusive",
    4: "share update exclusive",
    5: "share",
    6: "share row exclusive",
    7: "exclusive",
    8: "access exclusive",
}
"""LockStmt.mode: src/include/storage/lockdefs.h."""

TRANSACTIONS: Final = {
    "TRANS_STMT_BEGIN": "begin",
    "TRANS_STMT_START": "begin",
    "TRANS_STMT_COMMIT": "commit",
    "TRANS_STMT_ROLLBACK": "rollback",
    "TRANS_STMT_SAVEPOINT": "savepoint",
    "TRANS_STMT_RELEASE": "release",
    "TRANS_STMT_ROLLBACK_TO": "rollback to",
}
TWO_PHASE: Final = {
    "TRANS_STMT_PREPARE": "prepare transaction",
    "TRANS_STMT_COMMIT_PREPARED": "commit prepared",
    "TRANS_STMT_ROLLBACK_PREPARED": "rollback prepared",
}

_VERBS: Final = """
    select insert update delete merge truncate into create table as materialized view
    or replace drop owned alter rename column constraint attribute owner to set schema
    depends on extension role database system grant revoke default privileges
    begin commit rollback savepoint release prepare transaction prepared
    reset all session characteristics snapshot constraints show discard plans sequences
    temp execute deallocate declare cursor fetch move close copy stdout from stdin file
    program explain analyze lock listen unlisten notify do call load checkpoint
    vacuum cluster reindex index refresh with no data comment security label reassign
    import foreign contents
"""

WORDS: Final = frozenset(
    " ".join((_VERBS, *OBJECTS.values(), *ALTER_TABLE.values())).split()
)
"""Every single word that a phrase can hold: what a policy's misspelling is not in."""
