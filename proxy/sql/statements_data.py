"""Statements that change rows: INSERT, UPDATE, DELETE, MERGE, TRUNCATE, COPY.

Next: `proxy.sql.statements_session`, `proxy.sql.statements_ddl`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxy.sql.facts import Access, Flag, Kind
from proxy.sql.walk import GENERIC, Handler
from proxy.sql.where import name_of, narrows

if TYPE_CHECKING:
    from proxy.sql.walk import Body, Node, Stack, Walk


def _below(name: str, body: Body, stack: Stack, walk: Walk) -> None:
    if "withClause" in body:
        walk.scoped(body, GENERIC[name])
    else:
        GENERIC[name](body, stack, walk)


def _target(body: Body, stack: Stack, walk: Walk, *accesses: Access) -> None:
    """Note the statement's own relation, which no CTE's name can hide."""
    relation = body.pop("relation")
    for access in accesses:
        walk.relation(relation, access)
    GENERIC["RangeVar"](relation, stack, walk)


def insert(body: Body, stack: Stack, walk: Walk) -> None:
    """INSERT, and what ON CONFLICT DO UPDATE adds."""
    walk.act(Kind.INSERT, "insert")
    conflict = body.get("onConflictClause")
    accesses = [Access.INSERT]
    if conflict and conflict["action"] == "ONCONFLICT_UPDATE":
        walk.act(Kind.UPDATE, "update")
        accesses.append(Access.UPDATE)
    source = body.get("selectStmt", {}).get("SelectStmt", {})
    if Access.UPDATE in accesses and not _chooses_rows(source, conflict or {}):
        walk.act(Kind.UPDATE, "", Flag.UNFILTERED, Flag.DESTRUCTIVE)
    _target(body, stack, walk, *accesses)
    if set(source) <= {"valuesLists", "limitOption", "op"}:
        # Plain VALUES read nothing, so the INSERT is not a reading one.
        stack.extend(source.pop("valuesLists", []))
        body.pop("selectStmt", None)
    _below("InsertStmt", body, stack, walk)


def _chooses_rows(source: Body, conflict: Body) -> bool:
    """Whether an upsert's rows are listed, or narrowed where they come from.

    `INSERT INTO t SELECT * FROM t ON CONFLICT (id) DO UPDATE ...` is an UPDATE of every
    row in disguise.
    """
    if "larg" in source:
        return all(_chooses_rows(source[arm], conflict) for arm in ("larg", "rarg"))
    return (
        not any(map(_reads, source.get("fromClause", [])))
        or narrows(source.get("whereClause"))
        or narrows(conflict.get("whereClause"))
    )


def _reads(item: Node) -> bool:
    """Whether an item of a FROM is anything but a function or a list of VALUES."""
    if "RangeSubselect" in item:
        inner = item["RangeSubselect"]["subquery"].get("SelectStmt", {})
        return "valuesLists" not in inner
    return "RangeFunction" not in item


def update(body: Body, stack: Stack, walk: Walk) -> None:
    """UPDATE, and whether it may touch every row."""
    walk.act(Kind.UPDATE, "update")
    if not narrows(body.get("whereClause"), target=name_of(body["relation"])):
        walk.act(Kind.UPDATE, "", Flag.UNFILTERED, Flag.DESTRUCTIVE)
    _target(body, stack, walk, Access.UPDATE)
    _below("UpdateStmt", body, stack, walk)


def delete(body: Body, stack: Stack, walk: Walk) -> None:
    """DELETE, and whether it may touch every row."""
    walk.act(Kind.DELETE, "delete")
    if not narrows(body.get("whereClause"), target=name_of(body["relation"])):
        walk.act(Kind.DELETE, "", Flag.UNFILTERED, Flag.DESTRUCTIVE)
    _target(body, stack, walk, Access.DELETE)
    _below("DeleteStmt", body, stack, walk)


_MERGE_ACTS: Final = {
    "CMD_INSERT": (Kind.INSERT, "insert", Access.INSERT),
    "CMD_UPDATE": (Kind.UPDATE, "update", Access.UPDATE),
    "CMD_DELETE": (Kind.DELETE, "delete", Access.DELETE),
}


def merge(body: Body, stack: Stack, walk: Walk) -> None:
    """MERGE, with each of its branches; DO NOTHING is none."""
    walk.act(Kind.MERGE, "merge")
    joined = narrows(body.get("joinCondition"))
    accesses = [Access.READ]
    for branch in body.get("mergeWhenClauses", []):
        clause = branch["MergeWhenClause"]
        command = clause["commandType"]
        if command == "CMD_NOTHING":
            continue
        kind, action, access = _MERGE_ACTS[command]
        walk.act(kind, action)
        accesses.append(access)
        matched = clause["matchKind"] == "MERGE_WHEN_MATCHED" and joined
        if kind is not Kind.INSERT and not (
            matched or narrows(clause.get("condition"))
        ):
            walk.act(kind, "", Flag.UNFILTERED, Flag.DESTRUCTIVE)
    _target(body, stack, walk, *accesses)
    _below("MergeStmt", body, stack, walk)


def truncate(body: Body, stack: Stack, walk: Walk) -> None:
    """TRUNCATE."""
    walk.act(Kind.TRUNCATE, "truncate", Flag.DESTRUCTIVE)
    if body.get("behavior") == "DROP_CASCADE":
        walk.flag(Flag.CASCADE)
    for relation in body.pop("relations"):
        walk.relation(relation["RangeVar"], Access.TRUNCATE)
        GENERIC["RangeVar"](relation["RangeVar"], stack, walk)
    GENERIC["TruncateStmt"](body, stack, walk)


def copy(body: Body, stack: Stack, walk: Walk) -> None:
    """COPY in each direction: with the client, a server file, a server program."""
    is_from = body.get("is_from", False)
    direction = "from" if is_from else "to"
    if body.get("is_program"):
        walk.act(Kind.COPY_FILE, f"copy {direction} program", Flag.SERVER_PROGRAM)
    elif "filename" in body:
        walk.act(Kind.COPY_FILE, f"copy {direction} file", Flag.SERVER_FILE)
    elif is_from:
        walk.act(Kind.COPY_IN, "copy from stdin")
    else:
        walk.act(Kind.COPY_OUT, "copy to stdout")
    if "relation" in body:
        _target(body, stack, walk, Access.INSERT if is_from else Access.READ)
        if not is_from:
            walk.selects = True
    elif "SelectStmt" in body.get("query", {}):
        walk.act(Kind.READ, "select")
    GENERIC["CopyStmt"](body, stack, walk)


STATEMENTS_DATA: Final[dict[str, Handler]] = {
    "InsertStmt": insert,
    "UpdateStmt": update,
    "DeleteStmt": delete,
    "MergeStmt": merge,
    "TruncateStmt": truncate,
    "CopyStmt": copy,
}
