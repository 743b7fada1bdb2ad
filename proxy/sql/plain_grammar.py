# ruff: noqa: D101, N815 - the classes and fields are the grammar's
"""The part of the grammar that plain SELECTs are made of, as types to decode into.

Strict: a class or field that is not here fails the decoding. Not here on purpose,
though a SELECT may have them: WITH below the top, data-modifying CTEs, INTO, row locks,
qualified operators, attribute notation, sampling, SQL/JSON.

Relations, calls and columns put themselves on a list while they are decoded: what is
called with the new object is the list's own method, so that no Python runs for them.

Next: `proxy.sql.plain_select`, which reads the lists.
"""

from __future__ import annotations

from typing import Final

from msgspec import Raw, Struct

RELATIONS: Final[list[Relation]] = []
CALLS: Final[list[Call]] = []
COLUMNS: Final[list[Column]] = []


class Part(Struct, forbid_unknown_fields=True, gc=False):
    """A class of the grammar; any field that is not listed fails the decoding."""


class Text(Part):
    sval: str = ""


class Star(Part):
    pass


class Name(Part):
    String: Text | None = None
    A_Star: Star | None = None


class PlainInteger(Part):
    ival: int = 0


class Truth(Part):
    boolval: bool = False


class Decimal(Part):
    fval: str = ""


class Constant(Part):
    isnull: bool = False
    ival: PlainInteger | None = None
    sval: Text | None = None
    fval: Decimal | None = None
    boolval: Truth | None = None
    location: int = 0


class Column(Part):
    fields: list[Name]
    location: int = 0

    __post_init__ = COLUMNS.append  # type: ignore[misc]


class Parameter(Part):
    number: int = 0
    location: int = 0


class Alias(Part):
    aliasname: str
    colnames: list[Name] | None = None


class Relation(Part):
    relname: str
    schemaname: str = ""
    inh: bool = False
    relpersistence: str = ""
    alias: Alias | None = None
    location: int = 0

    __post_init__ = RELATIONS.append  # type: ignore[misc]


class Expression(Part):
    kind: str
    name: tuple[Name]  # one name: a qualified operator takes the long way
    lexpr: Node | None = None
    rexpr: Node | None = None
    rexpr_list_start: int = 0
    rexpr_list_end: int = 0
    location: int = 0


class Condition(Part):
    boolop: str
    args: list[Node]
    location: int = 0


class PlainNullTest(Part):
    arg: Node
    nulltesttype: str
    location: int = 0


class Target(Part):
    name: str = ""
    val: Node | None = None
    location: int = 0


class Join(Part):
    jointype: str
    larg: Node
    rarg: Node
    isNatural: bool = False
    usingClause: list[Name] | None = None
    quals: Node | None = None
    alias: Alias | None = None


class Call(Part):
    funcname: list[Name]
    args: list[Node] | None = None
    agg_order: list[Node] | None = None
    agg_filter: Node | None = None
    agg_within_group: bool = False
    agg_star: bool = False
    agg_distinct: bool = False
    func_variadic: bool = False
    funcformat: str = ""
    location: int = 0

    __post_init__ = CALLS.append  # type: ignore[misc]


class TypeName(Part):
    names: list[Name]
    typmods: list[Node] | None = None
    arrayBounds: list[Node] | None = None
    typemod: int = 0
    setof: bool = False
    location: int = 0


class Cast(Part):
    arg: Node
    typeName: TypeName
    location: int = 0


class Sort(Part):
    node: Node
    sortby_dir: str
    sortby_nulls: str
    location: int = 0


class Coalesce(Part):
    args: list[Node]
    location: int = 0


class Case(Part):
    args: list[Node]
    arg: Node | None = None
    defresult: Node | None = None
    location: int = 0


class When(Part):
    expr: Node
    result: Node
    location: int = 0


class Array(Part):
    elements: list[Node] | None = None
    list_start: int = 0
    list_end: int = 0
    location: int = 0


class Items(Part):
    items: list[Node] | None = None


class IntegerItem(Part):
    ival: int = 0


class Select(Part):
    limitOption: str
    op: str
    distinctClause: list[Node] | None = None
    targetList: list[Node] | None = None
    fromClause: list[Node] | None = None
    whereClause: Node | None = None
    groupClause: list[Node] | None = None
    groupDistinct: bool = False
    havingClause: Node | None = None
    valuesLists: list[Node] | None = None
    sortClause: list[Node] | None = None
    limitOffset: Node | None = None
    limitCount: Node | None = None
    all: bool = False
    larg: Select | None = None
    rarg: Select | None = None


class SelectNode(Part):
    SelectStmt: Select


class PlainSubLink(Part):
    subLinkType: str
    subselect: SelectNode
    testexpr: Node | None = None
    location: int = 0


class SubSelect(Part):
    subquery: SelectNode
    lateral: bool = False
    alias: Alias | None = None


class Node(Part):
    ColumnRef: Column | None = None
    A_Const: Constant | None = None
    A_Expr: Expression | None = None
    ParamRef: Parameter | None = None
    ResTarget: Target | None = None
    RangeVar: Relation | None = None
    FuncCall: Call | None = None
    BoolExpr: Condition | None = None
    JoinExpr: Join | None = None
    TypeCast: Cast | None = None
    SortBy: Sort | None = None
    SubLink: PlainSubLink | None = None
    RangeSubselect: SubSelect | None = None
    CoalesceExpr: Coalesce | None = None
    NullTest: PlainNullTest | None = None
    CaseExpr: Case | None = None
    CaseWhen: When | None = None
    A_ArrayExpr: Array | None = None
    List: Items | None = None
    String: Text | None = None
    Integer: IntegerItem | None = None


class Cte(Part):
    ctename: str
    ctequery: Raw  # decoded by itself, for it sees other names than the statement
    aliascolnames: list[Name] | None = None
    ctematerialized: str = ""
    location: int = 0


class CteNode(Part):
    CommonTableExpr: Cte


class With(Part):
    ctes: list[CteNode]
    recursive: bool = False
    location: int = 0


class TopSelect(Select):
    withClause: With | None = None


class Top(Part):
    SelectStmt: TopSelect


class Statement(Part):
    stmt: Top
    stmt_location: int = 0
    stmt_len: int = 0


class Tree(Part):
    version: int
    stmts: tuple[Statement]  # exactly one
