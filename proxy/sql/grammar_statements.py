"""The grammar's statements: every raw statement class, field by field.

Data for `proxy.sql.grammar`, which says how to read it. Imports nothing.
Next: `proxy.sql.grammar`.
"""

from __future__ import annotations

from typing import Final

STATEMENTS: Final = """
AlterCollationStmt collname*
AlterDatabaseRefreshCollStmt dbname
AlterDatabaseSetStmt dbname setstmt:VariableSetStmt
AlterDatabaseStmt dbname options*
AlterDefaultPrivilegesStmt options* action:GrantStmt
AlterDomainStmt subtype typeName* name def> behavior missing_ok
AlterEnumStmt typeName* oldVal newVal newValNeighbor newValIsAfter skipIfNewValExists
AlterEventTrigStmt trigname tgenabled
AlterExtensionContentsStmt extname action objtype object>
AlterExtensionStmt extname options*
AlterFdwStmt fdwname func_options* options*
AlterForeignServerStmt servername version options* has_version
AlterFunctionStmt objtype func:ObjectWithArgs actions*
AlterObjectDependsStmt objectType relation:RangeVar object> extname:String remove
AlterObjectSchemaStmt objectType relation:RangeVar object> newschema missing_ok
AlterOpFamilyStmt opfamilyname* amname isDrop items*
AlterOperatorStmt opername:ObjectWithArgs options*
AlterOwnerStmt objectType relation:RangeVar object> newowner:RoleSpec
AlterPolicyStmt policy_name table:RangeVar roles* qual> with_check>
AlterPublicationStmt pubname options* pubobjects* for_all_tables action
AlterRoleSetStmt role:RoleSpec database setstmt:VariableSetStmt
AlterRoleStmt role:RoleSpec options* action
AlterSeqStmt sequence:RangeVar options* for_identity missing_ok
AlterStatsStmt defnames* stxstattarget> missing_ok
AlterSubscriptionStmt kind subname conninfo publication* options* conninfo_location
AlterSystemStmt setstmt:VariableSetStmt
AlterTSConfigurationStmt kind cfgname* tokentype* dicts* override replace missing_ok
AlterTSDictionaryStmt dictname* options*
AlterTableMoveAllStmt orig_tablespacename objtype roles* new_tablespacename nowait
AlterTableSpaceOptionsStmt tablespacename options* isReset
AlterTableStmt relation:RangeVar cmds* objtype missing_ok
AlterTypeStmt typeName* options*
AlterUserMappingStmt user:RoleSpec servername options*
CallStmt funccall:FuncCall funcexpr! outargs!
CheckPointStmt
ClosePortalStmt portalname
ClusterStmt relation:RangeVar indexname params*
CommentStmt objtype object> comment
CompositeTypeStmt typevar:RangeVar coldeflist*
ConstraintsSetStmt constraints* deferred
CopyStmt relation:RangeVar query> attlist* is_from is_program filename options*
    whereClause>
CreateAmStmt amname handler_name* amtype
CreateCastStmt sourcetype:TypeName targettype:TypeName func:ObjectWithArgs context
    inout
CreateConversionStmt conversion_name* for_encoding_name to_encoding_name func_name*
    def
CreateDomainStmt domainname* typeName:TypeName collClause:CollateClause constraints*
CreateEnumStmt typeName* vals*
CreateEventTrigStmt trigname eventname whenclause* funcname*
CreateExtensionStmt extname if_not_exists options*
CreateFdwStmt fdwname func_options* options*
CreateForeignServerStmt servername servertype version fdwname if_not_exists options*
CreateForeignTableStmt base:CreateStmt servername options*
CreateFunctionStmt is_procedure replace funcname* parameters* returnType:TypeName
    options* sql_body>
CreateOpClassStmt opclassname* opfamilyname* amname datatype:TypeName items* isDefault
CreateOpFamilyStmt opfamilyname* amname
CreatePLangStmt replace plname plhandler* plinline* plvalidator* pltrusted
CreatePolicyStmt policy_name table:RangeVar cmd_name permissive roles* qual>
    with_check>
CreatePublicationStmt pubname options* pubobjects* for_all_tables
CreateRangeStmt typeName* params*
CreateRoleStmt stmt_type role options*
CreateSchemaStmt schemaname authrole:RoleSpec schemaElts* if_not_exists
CreateSeqStmt sequence:RangeVar options* for_identity if_not_exists
CreateStatsStmt defnames* stat_types* exprs* relations* stxcomment transformed
    if_not_exists
CreateStmt relation:RangeVar tableElts* inhRelations* partbound:PartitionBoundSpec
    partspec:PartitionSpec ofTypename:TypeName constraints* nnconstraints! options*
    oncommit tablespacename accessMethod if_not_exists
CreateSubscriptionStmt subname conninfo publication* options* conninfo_location
CreateTableAsStmt query> into:IntoClause objtype is_select_into if_not_exists
CreateTableSpaceStmt tablespacename owner:RoleSpec location options*
CreateTransformStmt replace type_name:TypeName lang fromsql:ObjectWithArgs
    tosql:ObjectWithArgs
CreateTrigStmt replace isconstraint trigname relation:RangeVar funcname* args* row
    timing events columns* whenClause> transitionRels* deferrable initdeferred
    constrrel:RangeVar
CreateUserMappingStmt user:RoleSpec servername if_not_exists options*
CreatedbStmt dbname options*
DeallocateStmt name isall location
DeclareCursorStmt portalname options query>
DefineStmt kind oldstyle defnames* args* definition* if_not_exists replace
DeleteStmt relation:RangeVar usingClause* whereClause> returningClause:ReturningClause
    withClause:WithClause
DiscardStmt target
DoStmt args*
DropOwnedStmt roles* behavior
DropRoleStmt roles* missing_ok
DropStmt objects* removeType behavior missing_ok concurrent
DropSubscriptionStmt subname missing_ok behavior
DropTableSpaceStmt tablespacename missing_ok
DropUserMappingStmt user:RoleSpec servername missing_ok
DropdbStmt dbname missing_ok options*
ExecuteStmt name params*
ExplainStmt query> options*
FetchStmt direction howMany portalname ismove
GrantRoleStmt granted_roles* grantee_roles* is_grant opt* grantor:RoleSpec behavior
GrantStmt is_grant targtype objtype objects* privileges* grantees* grant_option
    grantor:RoleSpec behavior
ImportForeignSchemaStmt server_name remote_schema local_schema list_type table_list*
    options*
IndexStmt idxname relation:RangeVar accessMethod tableSpace indexParams*
    indexIncludingParams* options* whereClause> excludeOpNames* idxcomment oldNumber
    oldCreateSubid oldFirstRelfilelocatorSubid unique nulls_not_distinct primary
    isconstraint iswithoutoverlaps deferrable initdeferred transformed concurrent
    if_not_exists reset_default_tblspc
InsertStmt relation:RangeVar cols* selectStmt> onConflictClause:OnConflictClause
    returningClause:ReturningClause withClause:WithClause override
ListenStmt conditionname
LoadStmt filename
LockStmt relations* mode nowait
MergeStmt relation:RangeVar sourceRelation> joinCondition> mergeWhenClauses*
    returningClause:ReturningClause withClause:WithClause
NotifyStmt conditionname payload payload_location
PrepareStmt name argtypes* query>
RawStmt stmt> stmt_location stmt_len
ReassignOwnedStmt roles* newrole:RoleSpec
RefreshMatViewStmt concurrent skipData relation:RangeVar
ReindexStmt kind relation:RangeVar name params*
RenameStmt renameType relationType relation:RangeVar object> subname newname behavior
    missing_ok
ReplicaIdentityStmt identity_type name
RuleStmt relation:RangeVar rulename whereClause> event instead actions* replace
SecLabelStmt objtype object> provider label
TransactionStmt kind options* savepoint_name gid chain location
TruncateStmt relations* restart_seqs behavior
UnlistenStmt conditionname
UpdateStmt relation:RangeVar targetList* whereClause> fromClause*
    returningClause:ReturningClause withClause:WithClause
VacuumStmt options* rels* is_vacuumcmd
VariableSetStmt kind name args* jumble_args is_local location
VariableShowStmt name
ViewStmt view:RangeVar aliases* query> replace options* withCheckOption
"""
