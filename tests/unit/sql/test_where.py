from __future__ import annotations

import pytest

from proxy.sql.parse import parse, statements
from proxy.sql.where import narrows


def condition(sql: str) -> object:
    (raw,) = statements(parse(f"DELETE FROM t WHERE {sql}"))
    return raw["stmt"]["DeleteStmt"]["whereClause"]


@pytest.mark.parametrize(
    "sql",
    [
        "id = 1",
        "1 = id",
        "id = $1",
        "id",
        "NOT done",
        "id IS NULL",
        "id IS NOT NULL",
        "id > 0",
        "a = b",
        "a.id = b.id",
        "a <> a",
        "a < a",
        "a IS DISTINCT FROM a",
        "id = 1 AND true",
        "id = 1 AND 1 = 1",
        "id = 1 OR false",
        "id = 1 OR 1 = 0",
        "id = 1 OR 'a' <> 'a'",
        "id = 1 OR NULL",
        "id = 1 OR NULL = NULL",
        "id = 1 OR $1 IS NULL",
        "id = 1 OR name = 'x'",
        "a IS NULL OR b IS NOT NULL",
        "name LIKE 'a%'",
        "name LIKE ''",
        "id IN (SELECT 1)",
        "EXISTS (SELECT 1 FROM u WHERE u.id = t.id)",
        "CURRENT OF c",
        "id = 1 OR NOT true",
        "id = 1 OR 'off'::bool",
        "id = 1 OR (id = 2 AND true)",
        "lower(name) = lower(other)",
        "id BETWEEN 1 AND id",
        "id IN (1, 2)",
        "id = ANY (ARRAY[1])",
        "id = 1 OR NOT id = 2",
        "id = 1 OR id <> 2",
        "coalesce(done, true)",
        "CASE WHEN id = 1 THEN true ELSE false END",
        "name ~ 'a.*'",
        "name SIMILAR TO 'a%'",
    ],
)
def test_real(sql: str) -> None:
    assert narrows(condition(sql))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "sql",
    [
        "true",
        "NULL",
        "false",
        "1 = 1",
        "1.0 = 1.0",
        "'x'",
        "$1",
        "$1 = 1",
        "now() > '2000-01-01'",
        "EXISTS (SELECT 1)",
        "id = id",
        "t.id = id",
        "id = t.id",
        "s.t.id = t.id",
        "id <= id",
        "name LIKE name",
        "name LIKE '%'",
        "name ILIKE '%%'",
        "id = 1 OR true",
        "id = 1 OR (id = 2 OR 1 = 1)",
        "id = 1 OR 1 <> 2",
        "id = 1 OR 1 < 2",
        "id = 1 OR 'x' = 'x'",
        "id = 1 OR 'yes'::bool",
        "id = 1 OR NOT false",
        "id = 1 OR NOT (1 = 2)",
        "id = 1 OR 1 IS NOT NULL",
        "id = 1 OR NULL IS NULL",
        "id = 1 OR true IS TRUE",
        "id = id AND 1 = 1",
        "id IS NULL OR id IS NOT NULL",
        "id = 1 OR id IS NOT NULL OR id IS NULL",
        "lower(name) = lower(name)",
        "(id, a) = (id, a)",
        "id BETWEEN id AND id",
        "id IN (1, id)",
        "id = ANY (ARRAY[id])",
        "id IS NOT DISTINCT FROM id",
        "NOT (id <> id)",
        "NOT (id < id)",
        "NOT (id IS DISTINCT FROM id)",
        "id = 1 OR NOT id = 1",
        "id = 1 OR id <> 1",
        "id < 5 OR id >= 5",
        "(id IS NULL) IS NOT NULL",
        "coalesce(NULL, true, id = 1)",
        "CASE WHEN true THEN true ELSE id = 1 END",
        "CASE id WHEN 1 THEN true ELSE true END",
        "name ~ ''",
        "name ~* '^.*$'",
        "name SIMILAR TO '%'",
    ],
)
def test_not_real(sql: str) -> None:
    assert not narrows(condition(sql))  # type: ignore[arg-type]


def test_no_condition_is_not_real() -> None:
    assert not narrows(None)


@pytest.mark.parametrize(
    "sql",
    [
        "id = 1",
        "t.id = 1",
        "s.t.id = 1",
        "t.id = o.id",
        "id IN (SELECT o.id FROM o)",
        "EXISTS (SELECT 1 FROM o WHERE o.id = t.id)",
    ],
)
def test_names_the_target(sql: str) -> None:
    assert narrows(condition(sql), target="t")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "sql",
    [
        "o.id = 1",
        "o.id = o.other",
        "EXISTS (SELECT o.id FROM o)",
        "EXISTS (SELECT id FROM o WHERE id = 1)",
        "(SELECT count(id) FROM o) >= 0",
        "t IS NOT NULL",
        "tableoid = 't'::regclass",
        "t.tableoid = 1",
        "t.* IS NOT NULL",
    ],
)
def test_names_only_others(sql: str) -> None:
    assert not narrows(condition(sql), target="t")  # type: ignore[arg-type]
