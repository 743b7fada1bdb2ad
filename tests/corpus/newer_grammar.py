"""Texts that need a newer grammar than the oldest server's, by the class they make.

An older server reads most of them as the call of a function, which may be anybody's.
"""

from __future__ import annotations

from typing import Final

NEWER: Final = {
    "JsonAggConstructor": (16, "SELECT json_arrayagg(1)"),
    "JsonArrayAgg": (16, "SELECT json_arrayagg(1)"),
    "JsonArrayConstructor": (16, "SELECT json_array(1, 2)"),
    "JsonArrayQueryConstructor": (16, "SELECT json_array(SELECT 1)"),
    "JsonIsPredicate": (16, "SELECT '1' IS JSON"),
    "JsonObjectAgg": (16, "SELECT json_objectagg('a': 1)"),
    "JsonObjectConstructor": (16, "SELECT json_object()"),
    "JsonFuncExpr": (17, "SELECT json_exists(jsonb '{}', '$.a')"),
    "JsonParseExpr": (17, "SELECT json('{}' WITH UNIQUE KEYS)"),
    "JsonScalarExpr": (17, "SELECT json_scalar('x')"),
    "JsonSerializeExpr": (17, "SELECT json_serialize('{}')"),
    "JsonTable": (
        17,
        "SELECT * FROM json_table(jsonb '[1]', '$[*]' COLUMNS (a int PATH '$'))",
    ),
    "MergeSupportFunc": (17, "SELECT merge_action()"),
    "ReturningOption": (
        18,
        "INSERT INTO bait VALUES (2) RETURNING WITH (OLD AS o, NEW AS n) o.id, n.id",
    ),
}
"""Class to the major that it came with, and a text that makes one."""

FUNCTION_LIKE: Final = {
    "json_scalar": "json_scalar('x'::text)",
    "json_serialize": "json_serialize('x'::text)",
    "json": "json('x'::text)",
    "json_array": "json_array('x'::text)",
    "json_arrayagg": "json_arrayagg('x'::text)",
    "json_exists": "json_exists('x'::text, 'x'::text)",
    "json_query": "json_query('x'::text, 'x'::text)",
    "json_value": "json_value('x'::text, 'x'::text)",
    "json_object": "json_object()",
    "merge_action": "merge_action()",
}
"""Words that an older server takes for a function's name: how it is called."""
