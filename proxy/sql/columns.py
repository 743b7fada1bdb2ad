"""Which columns a text may read or write, for policies that name columns.

A second walk over the tree, made only where some rule asks. It errs to one side: a
column that is not used may be among the uses, one that is used never is missing. Names
are resolved by alias as far as a statement shows it; what `*`, a whole row, a renaming
alias or a NATURAL join takes is told as "*". Next: `proxy.catalog.columns`, which
puts the catalog's names in its place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from proxy.sql.facts import Access
from proxy.sql.parse import parse, statements

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ALL: Final = "*"

Node = dict[str, Any]


class Range(Struct):
    """One relation of a statement, under one alias.

    Attributes:
        schema: as written, or "".
        name: as written.
        alias: what qualifies its columns.
        is_whole: every column of it is used.
        written: (access, column) pairs of INSERT, UPDATE and COPY FROM.
    """

    schema: str
    name: str
    alias: str
    is_whole: bool = False
    written: tuple[tuple[Access, str], ...] = ()


class Columns(Struct, frozen=True):
    """The columns that one statement names.

    Attributes:
        ranges: its relations, CTE references included.
        names: (qualifier, column) pairs; the qualifier is "" where none is written.
        derived: aliases of sub-selects and functions: what they give was named inside.
        wide: aliases of joins, and OLD, NEW and EXCLUDED, which may stand for every
            relation.
    """

    ranges: tuple[Range, ...]
    names: frozenset[tuple[str, str]]
    derived: frozenset[str]
    wide: frozenset[str]

    def of(self, wanted: Range) -> Iterator[str]:
        """The columns that may be of this relation, by name; `ALL` for all of them."""
        if wanted.is_whole:
            yield ALL
        elsewhere = {each.alias for each in self.ranges} | self.derived
        elsewhere.discard(wanted.alias)
        # One alias may stand for several things: a statement has many scopes.
        elsewhere -= self.wide
        for qualifier, name in self.names:
            if qualifier not in elsewhere:
                yield name


def columns_in(text: str) -> list[Columns]:
    """The columns of each statement of a text that has facts already.

    Raises:
        ParseTroubleError: it has none.
    """
    return [_Walk(each["stmt"]).columns() for each in statements(parse(text))]


class _Walk:
    """One statement."""

    def __init__(self, statement: Node) -> None:
        self._ranges: dict[int, Range] = {}
        self._names: set[tuple[str, str]] = set()
        self._derived: set[str] = set()
        self._wide: set[str] = set()
        self._stars: list[tuple[str, list[Range]]] = []
        self._scoped: set[int] = set()
        self._walk(statement)

    def columns(self) -> Columns:
        """Everything that was found, once the aliases are known."""
        ranges = list(self._ranges.values())
        for qualifier, scope in self._stars:
            for each in self._meant_by(qualifier, scope or ranges, ranges):
                each.is_whole = True
        # A name alone may be a whole row: SELECT u FROM users u.
        rows = {each.alias: each for each in ranges}
        for _, name in list(self._names):
            if name in self._wide:
                for each in ranges:
                    each.is_whole = True
            elif name in rows:
                for each in ranges:
                    each.is_whole = each.is_whole or each.alias == name
        return Columns(
            tuple(ranges),
            frozenset(self._names),
            frozenset(self._derived - set(rows)),
            frozenset(self._wide),
        )

    def _meant_by(
        self, qualifier: str, scope: list[Range], ranges: list[Range]
    ) -> Iterable[Range]:
        if not qualifier:
            return scope
        if qualifier in self._wide:
            return ranges
        own = [each for each in ranges if each.alias == qualifier]
        return own or ([] if qualifier in self._derived else ranges)

    def _walk(self, statement: Node) -> None:
        pending: list[Any] = [statement]
        while pending:
            node = pending.pop()
            if isinstance(node, list):
                pending.extend(node)
            elif isinstance(node, dict):
                for key, value in node.items():
                    handler = _HANDLERS.get(key)
                    if handler is not None and isinstance(value, dict):
                        handler(self, value)
                    pending.append(value)

    # --- relations -------------------------------------------------------------

    def _range(self, body: Node) -> Range:
        known = self._ranges.get(id(body))
        if known is None:
            alias = body.get("alias", {})
            known = Range(
                body.get("schemaname", ""),
                body["relname"],
                alias.get("aliasname", body["relname"]),
                is_whole=bool(alias.get("colnames")),
            )
            self._ranges[id(body)] = known
        return known

    def _relation(self, body: Node) -> None:
        if "relname" in body:
            self._range(body)

    def _from(self, items: Iterable[Node]) -> list[Range]:
        """The relations that stand directly in a FROM."""
        found: list[Range] = []
        pending = list(items)
        while pending:
            item = pending.pop()
            if "RangeVar" in item:
                found.append(self._range(item["RangeVar"]))
            elif "JoinExpr" in item:
                join = item["JoinExpr"]
                pending += [join[side] for side in ("larg", "rarg") if side in join]
            elif "RangeTableSample" in item:
                pending.append(item["RangeTableSample"]["relation"])
        return found

    def _aliased(self, body: Node) -> None:
        alias = body.get("alias")
        if alias:
            self._derived.add(alias["aliasname"])

    def _join(self, body: Node) -> None:
        below = self._from([body[side] for side in ("larg", "rarg") if side in body])
        if body.get("isNatural") or body.get("alias", {}).get("colnames"):
            for each in below:
                each.is_whole = True
        for name in body.get("usingClause", ()):
            self._names.add(("", name["String"]["sval"]))
        for key in ("alias", "join_using_alias"):
            if body.get(key):
                self._wide.add(body[key]["aliasname"])

    def _returning(self, body: Node) -> None:
        self._wide.update(("old", "new"))
        for option in body.get("options", ()):
            self._wide.add(option["ReturningOption"]["value"])

    # --- columns ---------------------------------------------------------------

    def _select(self, body: Node) -> None:
        scope = self._from(body.get("fromClause", ()))
        for target in body.get("targetList", ()):
            column = target.get("ResTarget", {}).get("val", {}).get("ColumnRef")
            if (
                column
                and len(column["fields"]) == 1
                and "A_Star" in column["fields"][0]
            ):
                self._scoped.add(id(column))
                if scope:
                    self._stars.append(("", scope))

    def _column(self, body: Node) -> None:
        if id(body) in self._scoped:
            return
        *before, last = body["fields"]
        qualifier = before[-1]["String"]["sval"] if before else ""
        if "A_Star" in last:
            self._stars.append((qualifier, []))
        elif "String" in last:
            self._names.add((qualifier, last["String"]["sval"]))

    def _indirection(self, body: Node) -> None:
        for step in body["indirection"]:
            if "String" in step:
                self._names.add(("", step["String"]["sval"]))

    def _index_element(self, body: Node) -> None:
        if "name" in body:
            self._names.add(("", body["name"]))

    # --- writes ----------------------------------------------------------------

    def _insert(self, body: Node) -> None:
        self._write(body, Access.INSERT, _targets(body.get("cols", ())) or [ALL])
        conflict = body.get("onConflictClause", {})
        if conflict:
            self._wide.add("excluded")
        self._write(body, Access.UPDATE, _targets(conflict.get("targetList", ())))

    def _update(self, body: Node) -> None:
        self._write(body, Access.UPDATE, _targets(body.get("targetList", ())))

    def _merge(self, body: Node) -> None:
        for clause in body.get("mergeWhenClauses", ()):
            when = clause["MergeWhenClause"]
            is_insert = when.get("commandType") == "CMD_INSERT"
            access = Access.INSERT if is_insert else Access.UPDATE
            names = _targets(when.get("targetList", ()))
            self._write(body, access, names or ([ALL] if is_insert else []))

    def _copy(self, body: Node) -> None:
        if "relation" not in body:
            return
        names = [name["String"]["sval"] for name in body.get("attlist", ())]
        if body.get("is_from"):
            self._write(body, Access.INSERT, names or [ALL])
        elif names:
            self._names.update(("", name) for name in names)
        else:
            self._range(body["relation"]).is_whole = True

    def _write(self, body: Node, access: Access, names: Iterable[str]) -> None:
        target = self._range(body["relation"])
        target.written += tuple((access, name) for name in names)


def _targets(items: Iterable[Node]) -> list[str]:
    return [item["ResTarget"]["name"] for item in items]


_HANDLERS: Final = {
    "RangeVar": _Walk._relation,  # noqa: SLF001 - a table of its own methods
    "relation": _Walk._relation,  # noqa: SLF001
    "RangeSubselect": _Walk._aliased,  # noqa: SLF001
    "RangeFunction": _Walk._aliased,  # noqa: SLF001
    "RangeTableFunc": _Walk._aliased,  # noqa: SLF001
    "JsonTable": _Walk._aliased,  # noqa: SLF001
    "JoinExpr": _Walk._join,  # noqa: SLF001
    "returningClause": _Walk._returning,  # noqa: SLF001
    "SelectStmt": _Walk._select,  # noqa: SLF001
    "larg": _Walk._select,  # noqa: SLF001
    "rarg": _Walk._select,  # noqa: SLF001
    "ColumnRef": _Walk._column,  # noqa: SLF001
    "A_Indirection": _Walk._indirection,  # noqa: SLF001
    "IndexElem": _Walk._index_element,  # noqa: SLF001
    "InsertStmt": _Walk._insert,  # noqa: SLF001
    "UpdateStmt": _Walk._update,  # noqa: SLF001
    "MergeStmt": _Walk._merge,  # noqa: SLF001
    "CopyStmt": _Walk._copy,  # noqa: SLF001
}
"""By the key under which a node stands. SELECTs of a UNION stand under larg and rarg,
relations of INSERT, UPDATE, DELETE and COPY under relation, without a class name."""
