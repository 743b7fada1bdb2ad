from __future__ import annotations

import pytest

from proxy.sql.analyse import analyse
from proxy.sql.facts import Facts, Flag, Kind
from proxy.sql.handlers import HANDLERS
from proxy.sql.walk import MAX_WITH_DEPTH, TooDeepError, UnknownGrammarError, Walk


def facts_of(sql: str) -> Facts:
    analysis = analyse(sql.encode())
    assert analysis.trouble is None, analysis.trouble
    (facts,) = analysis.statements
    return facts


def relations(sql: str) -> set[tuple[str, str, str]]:
    uses = facts_of(sql).relations
    assert len(set(uses)) == len(uses)
    return {(use.schema, use.name, use.access.value) for use in uses}


def read(*names: str) -> set[tuple[str, str, str]]:
    return {("", name, "read") for name in names}


@pytest.mark.parametrize(
    ("sql", "names"),
    [
        ("SELECT 1", []),
        ("SELECT * FROM a, b JOIN c ON true", ["a", "b", "c"]),
        ("SELECT (SELECT 1 FROM a) FROM b WHERE EXISTS (TABLE c)", ["a", "b", "c"]),
        ("SELECT 1 FROM a UNION SELECT 1 FROM b", ["a", "b"]),
        ("SELECT * FROM a, a AS x", ["a"]),
        ("WITH a AS (SELECT 1) SELECT * FROM a", []),
        ("WITH a AS (SELECT * FROM a) SELECT * FROM a", ["a"]),
        ("WITH RECURSIVE a AS (SELECT * FROM a) SELECT * FROM a", []),
        ("WITH a AS (SELECT * FROM b), b AS (SELECT 1) TABLE a", ["b"]),
        ("WITH RECURSIVE a AS (SELECT * FROM b), b AS (SELECT 1) TABLE a", []),
        ("WITH b AS (SELECT 1), a AS (SELECT * FROM b) TABLE a", []),
        ("SELECT * FROM (WITH a AS (SELECT 1) TABLE a) s, a", ["a"]),
        ("SELECT (WITH a AS (SELECT 1) SELECT 1 FROM a), 1 FROM a", ["a"]),
        ("WITH a AS (SELECT 1) SELECT * FROM (SELECT * FROM a) s", []),
        ("WITH a AS (WITH b AS (SELECT 1) TABLE b) SELECT * FROM a, b", ["b"]),
        ("WITH a AS (SELECT 1) (SELECT 1 FROM a) UNION SELECT 1 FROM a", []),
        ("(WITH a AS (SELECT 1) TABLE a) UNION TABLE a", ["a"]),
        ('WITH "A" AS (SELECT 1) SELECT * FROM a', ["a"]),
        ("SELECT * FROM a FOR UPDATE OF b", ["a"]),
        ("SELECT * FROM a TABLESAMPLE system (1)", ["a"]),
        ("COPY a TO STDOUT", ["a"]),
        ("EXPLAIN DELETE FROM a USING b", ["a", "b"]),
        ("EXPLAIN SELECT 1 INTO a FROM b", ["b"]),
    ],
)
def test_relations_read(sql: str, names: list[str]) -> None:
    assert relations(sql) == read(*names)


def test_a_qualified_name_is_never_a_cte() -> None:
    sql = "WITH a AS (SELECT 1) SELECT * FROM public.a"
    assert relations(sql) == {("public", "a", "read")}


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("INSERT INTO s.a VALUES (1)", {("s", "a", "insert")}),
        (
            "WITH a AS (SELECT 1) INSERT INTO a TABLE a",
            {("", "a", "insert")},
        ),
        ("UPDATE a SET b = 1 FROM c", {("", "a", "update"), ("", "c", "read")}),
        ("WITH a AS (SELECT 1) DELETE FROM a", {("", "a", "delete")}),
        ("TRUNCATE a, s.b", {("", "a", "truncate"), ("s", "b", "truncate")}),
        ("COPY a FROM STDIN", {("", "a", "insert")}),
        ("LOCK a", {("", "a", "lock")}),
        ("DROP TABLE s.a, b", {("s", "a", "drop"), ("", "b", "drop")}),
        ("DROP TABLE db.s.a", {("s", "a", "drop")}),
        ("DROP TRIGGER t ON s.a", {("s", "a", "alter")}),
        ("ALTER TABLE a ADD b int", {("", "a", "alter")}),
        ("ALTER TABLE a RENAME TO b", {("", "a", "alter")}),
        (
            "ALTER TABLE a ATTACH PARTITION b DEFAULT",
            {("", "a", "alter"), ("", "b", "alter")},
        ),
        (
            "CREATE TABLE a (b int REFERENCES c)",
            {("", "a", "create"), ("", "c", "read")},
        ),
        ("CREATE TABLE a AS TABLE b", {("", "a", "create"), ("", "b", "read")}),
        ("SELECT 1 INTO a FROM b", {("", "a", "create"), ("", "b", "read")}),
        ("CREATE VIEW a AS TABLE b", {("", "a", "create"), ("", "b", "read")}),
        ("CREATE INDEX ON a (b)", {("", "a", "alter")}),
        ("CREATE FOREIGN TABLE a (b int) SERVER c", {("", "a", "create")}),
        ("CREATE SCHEMA s CREATE TABLE a (b int)", {("", "a", "create")}),
        ("CREATE POLICY p ON a", {("", "a", "alter")}),
        ("GRANT SELECT ON a TO b", {("", "a", "alter")}),
        ("VACUUM a", {("", "a", "alter")}),
        ("COMMENT ON TABLE s.a IS ''", {("s", "a", "alter")}),
        ("COMMENT ON COLUMN s.a.b IS ''", {("s", "a", "alter")}),
        ("CREATE PUBLICATION p FOR TABLE a", {("", "a", "read")}),
        (
            "CREATE RULE r AS ON INSERT TO a DO ALSO DELETE FROM b",
            {("", "a", "alter"), ("", "b", "delete")},
        ),
        (
            "MERGE INTO a USING b ON a.x = b.x WHEN MATCHED THEN DELETE",
            {("", "a", "read"), ("", "a", "delete"), ("", "b", "read")},
        ),
        ("SET CONSTRAINTS a DEFERRED", set()),
    ],
)
def test_relations_changed(sql: str, expected: set[tuple[str, str, str]]) -> None:
    assert relations(sql) == expected


def test_the_actions_of_a_cte_come_behind_the_select() -> None:
    facts = facts_of("WITH d AS (DELETE FROM t) SELECT 1")
    assert facts.actions == ("select", "delete")
    assert facts.kind is Kind.DELETE
    assert facts.verb == "SelectStmt"


def test_qualified_operators_are_facts() -> None:
    sql = (
        "SELECT 1 OPERATOR(s.+) 2, 1 OPERATOR(pg_catalog.+) 2, "
        "1 OPERATOR(t.=) ANY (SELECT 1) ORDER BY 1 USING OPERATOR(u.<)"
    )
    assert set(facts_of(sql).operators) == {("s", "+"), ("t", "="), ("u", "<")}


def test_dotted_columns_are_facts() -> None:
    facts = facts_of("SELECT a, t.b, s.t.c, t.*, (x).d, (f()).e.g FROM t")
    assert set(facts.columns) == {
        ("t", "b"),
        ("t", "c"),
        ("", "d"),
        ("", "e"),
        ("", "g"),
    }
    assert Flag.ATTRIBUTE_CALL not in facts.flags


def walk_tree(tree: object) -> None:
    Walk(HANDLERS).run([tree])  # type: ignore[list-item]


@pytest.mark.parametrize(
    "tree",
    [
        {"Query": {}},
        {"NotAClass": {}},
        {"ColumnRef": {"fields": [], "surprise": 1}},
        {"A_Const": {"surprise": {}}},
        {"SelectStmt": {"surprise": []}},
        {"SelectStmt": {"targetList": [{"ResTarget": {"val": {"Var": {}}}}]}},
        {"SelectStmt": {"valuesLists": [{"List": {"items": [{"NotAClass": {}}]}}]}},
        {"CallStmt": {"funcexpr": {}}},
        {"TransactionStmt": {"kind": "TRANS_STMT_NEW"}},
        {"AlterTableStmt": {"objtype": "OBJECT_NEW", "cmds": []}},
        {"VariableSetStmt": {"kind": "VAR_SET_MULTI", "name": "NEW THING"}},
    ],
)
def test_unknown_grammar_is_refused(tree: object) -> None:
    with pytest.raises(UnknownGrammarError):
        walk_tree(tree)


def test_nulls_in_lists_are_passed_over() -> None:
    walk_tree({"List": {"items": [{}, {"String": {"sval": "a"}}, {}]}})


def test_with_clauses_nest_so_far() -> None:
    def nested(depth: int) -> object:
        tree: object = {"SelectStmt": {}}
        for _ in range(depth):
            cte = {"CommonTableExpr": {"ctename": "a", "ctequery": tree}}
            tree = {"SelectStmt": {"withClause": {"ctes": [cte]}}}
        return tree

    walk_tree(nested(MAX_WITH_DEPTH))
    with pytest.raises(TooDeepError):
        walk_tree(nested(MAX_WITH_DEPTH + 1))
