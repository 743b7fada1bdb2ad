"""The grammar's parts below the statement: every raw node class, field by field.

Data for `proxy.sql.grammar`, which says how to read it. Imports nothing.
Next: `proxy.sql.grammar_statements`.
"""

from __future__ import annotations

from typing import Final

PARTS: Final = """
ATAlterConstraint conname alterEnforceability is_enforced alterDeferrability
    deferrable initdeferred alterInheritability noinherit
A_ArrayExpr elements* list_start list_end location
A_Const isnull ival fval boolval sval bsval location
A_Expr kind name= lexpr> rexpr> rexpr_list_start rexpr_list_end location
A_Indices is_slice lidx> uidx>
A_Indirection arg> indirection*
A_Star
AccessPriv priv_name cols*
Alias aliasname colnames=
AlterTableCmd subtype name num newowner:RoleSpec def> behavior missing_ok recurse
BitString bsval
BoolExpr boolop args* location
Boolean boolval
BooleanTest arg> booltesttype location
CTECycleClause cycle_col_list* cycle_mark_column cycle_mark_value> cycle_mark_default>
    cycle_path_column location cycle_mark_typmod!
CTESearchClause search_col_list* search_breadth_first search_seq_column location
CaseExpr arg> args* defresult> location
CaseWhen expr> result> location
CoalesceExpr args* location
CollateClause arg> collname= location
ColumnDef colname typeName:TypeName compression inhcount is_local is_not_null
    is_from_type storage storage_name raw_default> cooked_default! identity
    identitySequence:RangeVar generated collClause:CollateClause constraints*
    fdwoptions* location
ColumnRef fields= location
CommonTableExpr ctename aliascolnames= ctematerialized ctequery>
    search_clause:CTESearchClause cycle_clause:CTECycleClause location cterecursive
    cterefcount! ctecolnames! ctecoltypes! ctecoltypmods! ctecolcollations!
Constraint contype conname deferrable initdeferred is_enforced skip_validation
    initially_valid is_no_inherit raw_expr> cooked_expr! generated_when generated_kind
    nulls_not_distinct keys* without_overlaps including* exclusions* options*
    indexname indexspace reset_default_tblspc access_method where_clause>
    pktable:RangeVar fk_attrs* pk_attrs* fk_with_period pk_with_period fk_matchtype
    fk_upd_action fk_del_action fk_del_set_cols* old_conpfeqop! location
CreateOpClassItem itemtype name:ObjectWithArgs number order_family* class_args*
    storedtype:TypeName
CurrentOfExpr cvarno! cursor_name cursor_param
DefElem defnamespace defname arg> defaction location arg_location
Float fval
FuncCall funcname= args* agg_order* agg_filter> over:WindowDef agg_within_group
    agg_star agg_distinct func_variadic funcformat location
FunctionParameter name argType:TypeName mode defexpr> location
GroupingFunc args* refs! agglevelsup location
GroupingSet kind content* location
IndexElem name expr> indexcolname collation= opclass= opclassopts* ordering
    nulls_ordering
InferClause indexElems* whereClause> conname location
Integer ival
IntoClause rel:RangeVar colNames* accessMethod options* onCommit tableSpaceName
    viewQuery! skipData
JoinExpr jointype isNatural larg> rarg> usingClause= join_using_alias:Alias quals>
    alias:Alias rtindex!
JsonAggConstructor output:JsonOutput agg_filter> agg_order* over:WindowDef location
JsonArgument val:JsonValueExpr name
JsonArrayAgg constructor:JsonAggConstructor arg:JsonValueExpr absent_on_null
JsonArrayConstructor exprs* output:JsonOutput absent_on_null location
JsonArrayQueryConstructor query> output:JsonOutput format:JsonFormat absent_on_null
    location
JsonBehavior btype expr> coerce location
JsonFormat format_type encoding location
JsonFuncExpr op column_name context_item:JsonValueExpr pathspec> passing*
    output:JsonOutput on_empty:JsonBehavior on_error:JsonBehavior wrapper quotes
    location
JsonIsPredicate expr> format:JsonFormat item_type unique_keys location
JsonKeyValue key> value:JsonValueExpr
JsonObjectAgg constructor:JsonAggConstructor arg:JsonKeyValue absent_on_null unique
JsonObjectConstructor exprs* output:JsonOutput absent_on_null unique location
JsonOutput typeName:TypeName returning:JsonReturning
JsonParseExpr expr:JsonValueExpr output:JsonOutput unique_keys location
JsonReturning format:JsonFormat typmod
JsonScalarExpr expr> output:JsonOutput location
JsonSerializeExpr expr:JsonValueExpr output:JsonOutput location
JsonTable context_item:JsonValueExpr pathspec:JsonTablePathSpec passing* columns*
    on_error:JsonBehavior alias:Alias lateral location
JsonTableColumn coltype name typeName:TypeName pathspec:JsonTablePathSpec
    format:JsonFormat wrapper quotes columns* on_empty:JsonBehavior
    on_error:JsonBehavior location
JsonTablePathSpec string> name name_location location
JsonValueExpr raw_expr> formatted_expr! format:JsonFormat
LockingClause lockedRels* strength waitPolicy
MergeSupportFunc msftype location
MergeWhenClause matchKind commandType override condition> targetList* values*
MinMaxExpr op args* location
MultiAssignRef source> colno ncolumns
NamedArgExpr arg> name argnumber location
NullTest arg> nulltesttype argisrow location
ObjectWithArgs objname* objargs* objfuncargs* args_unspecified
OnConflictClause action infer:InferClause targetList* whereClause> location
ParamRef number location
PartitionBoundSpec strategy is_default modulus remainder listdatums* lowerdatums*
    upperdatums* location
PartitionCmd name:RangeVar bound:PartitionBoundSpec concurrent
PartitionElem name expr> collation* opclass* location
PartitionSpec strategy partParams* location
PublicationObjSpec pubobjtype name pubtable:PublicationTable location
PublicationTable relation:RangeVar whereClause> columns*
RangeFunction lateral ordinality is_rowsfrom functions* alias:Alias coldeflist*
RangeSubselect lateral subquery> alias:Alias
RangeTableFunc lateral docexpr> rowexpr> namespaces* columns* alias:Alias location
RangeTableFuncCol colname typeName:TypeName for_ordinality is_not_null colexpr>
    coldefexpr> location
RangeTableSample relation> method= args* repeatable> location
RangeVar catalogname schemaname relname inh relpersistence alias:Alias location
ResTarget name indirection* val> location
ReturnStmt returnval>
ReturningClause options* exprs*
ReturningOption option value location
RoleSpec roletype rolename location
RowExpr args* row_format colnames* location
SQLValueFunction op typmod location
SelectStmt distinctClause* intoClause:IntoClause targetList* fromClause* whereClause>
    groupClause* groupDistinct havingClause> windowClause* valuesLists* sortClause*
    limitOffset> limitCount> limitOption lockingClause* withClause:WithClause op all
    larg:SelectStmt rarg:SelectStmt
SetToDefault typeMod location
SortBy node> sortby_dir sortby_nulls useOp= location
StatsElem name expr>
String sval
SubLink subLinkType subLinkId testexpr> operName= subselect> location
TableLikeClause relation:RangeVar options
TriggerTransition name isNew isTable
TypeCast arg> typeName:TypeName location
TypeName names= setof pct_type typmods* typemod arrayBounds* location
VacuumRelation relation:RangeVar va_cols*
WindowDef name refname partitionClause* orderClause* frameOptions startOffset>
    endOffset> location
WithClause ctes* recursive location
XmlExpr op name named_args* arg_names* args* xmloption indent typmod location
XmlSerialize xmloption expr> typeName:TypeName indent location
IntList items*
List items*
OidList items*
"""

# Classes that only parse analysis and planning make. libpg_query never puts them into a
# raw tree; if one came, what it means would be unknown, so it is refused.
NEVER_RAW: Final = """
Aggref AlternativeSubPlan ArrayCoerceExpr ArrayExpr CallContext CaseTestExpr
CoerceToDomain CoerceToDomainValue CoerceViaIO CollateExpr ConvertRowtypeExpr
FieldSelect FieldStore FromExpr FuncExpr InferenceElem InlineCodeBlock
JsonConstructorExpr JsonExpr MergeAction OnConflictExpr OpExpr Param
PartitionRangeDatum PLAssignStmt Query RTEPermissionInfo RangeTblEntry
RangeTblFunction RangeTblRef RelabelType ReturningExpr RowCompareExpr RowMarkClause
ScalarArrayOpExpr SetOperationStmt SortGroupClause SubPlan SubscriptingRef TableFunc
TableSampleClause TargetEntry Var WindowClause WindowFunc WindowFuncRunCondition
WithCheckOption
"""
