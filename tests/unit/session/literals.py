"""Texts that differ in one place: literals there, and what only looks like one.

A verdict is kept by the facts that it was given on, which texts with other literals
have too. Used by `test_kept_verdicts`, here and in `tests/oracle`.
"""

from __future__ import annotations

from typing import Final

INTEGERS: Final = (
    *("0", "1", "7", "00", "007", "-1", "- 1", "+1", "123456789", "1234567890"),
    *("2147483647", "2147483648", "-2147483648"),
    *("9223372036854775807", "9223372036854775808", "9" * 40),
    *("0x10", "0b11", "0o17", "0x", "1_000", "1__0", "1_", "1a", "1 a", "1/*c*/"),
    *("1--c\n", "1\f", "1\v"),
)
DECIMALS: Final = ("1.5", ".5", "5.", "1e5", "1E-5", "1e", "1_0.5", "1/0")
PARAMETERS: Final = ("$1", "$2", "$1a", ":1", "DEFAULT", "NULL", "TRUE", "a", '"a"')
STRINGS: Final = (
    *("''", "'a'", "'a''b'", "'password'", "N'a'", "'a' 'b'", "'a'\n'b'"),
    *(r"E'a'", r"E'\n'", r"E'\''", r"'\'", r"E'\x61\u0061'", r"U&'\0061'"),
    *("U&'d!0061' UESCAPE '!'", "B'101'", "X'1F'", "$$a$$", "$x$a$x$", "'{1}'"),
)
CASTS: Final = (
    *("interval '1 day'", "interval '1' year", "interval '1' second(3)"),
    *("interval(3) '1'", "date '2020-01-01'", "time '1:00'", "1::bit(3)", "'x'::text"),
    *("timestamp with time zone '2020-01-01 1:00 UTC'", "'t'::bool", "1::float4"),
    *("CAST(1 AS float(24))", "CAST(1 AS float(53))", "CAST(1 AS float(54))"),
    *("CAST('1' AS numeric(3,1))", "'prey'::regclass", "'nextval'::regproc"),
    *("now() AT TIME ZONE 'UTC'", "now() AT TIME ZONE interval '1 hour'"),
    *("ARRAY[1]", "ROW(1)", "(SELECT 1)", "a.b"),
)
CALLS: Final = (
    *("now()", "random()", "timezone('UTC', now())", "current_setting('role')"),
    *("nextval('tally')", "nextval('other')", "setval('tally', 1)", "currval('tally')"),
    *("pg_sleep(0)", "pg_sleep(1)", "lo_create(0)", "pg_advisory_lock(1)"),
    *("set_config('jit', 'on', false)", "set_config('role', 'x', false)"),
    *("set_config('TimeZone', 'UTC', false)", "dblink('a', 'b')"),
    *("set_config('transaction_read_only', 'off', false)",),
    *("query_to_xml('select 1', true, true, '')",),
    *("query_to_xml('delete from prey', true, true, '')",),
)
FILLINGS: Final = (*INTEGERS, *DECIMALS, *PARAMETERS, *STRINGS, *CASTS, *CALLS)

TEMPLATES: Final = (
    *("SELECT ?", "SELECT ? AS x", "SELECT(?)", "SELECT?", "SELECT 1?", "SELECT ?+?"),
    *("SELECT a FROM t WHERE b = ?", "SELECT a FROM t WHERE b=? ", "VALUES (?)"),
    *("SELECT a FROM t WHERE ? = b", "SELECT a FROM t WHERE b IN (?, 1)"),
    *("SELECT a FROM t WHERE b BETWEEN ? AND 2", "SELECT a FROM t WHERE c LIKE ?"),
    *("SELECT a FROM t LIMIT ?", "SELECT a FROM t OFFSET ?", "SELECT a -?FROM t"),
    *("SELECT a FROM t FETCH FIRST ? ROWS ONLY", "SELECT a FROM t FOR UPDATE LIMIT ?"),
    *("SELECT a FROM t ORDER BY a FETCH FIRST (?) ROWS WITH TIES",),
    *("SELECT a, b FROM t ORDER BY ? DESC", "SELECT a FROM t GROUP BY ?"),
    *("SELECT DISTINCT ON (?) a FROM t", "SELECT a FROM t TABLESAMPLE SYSTEM (?)"),
    *("SELECT f(?)", "SELECT lower(?)", "SELECT pg_sleep(?)", "SELECT nextval(?)"),
    *("SELECT set_config(?, 'x', false)", "SELECT set_config('jit', ?, false)"),
    *(
        "SELECT set_config('jit', 'on', ?)",
        "SELECT currval(?)",
        "SELECT to_regclass(?)",
    ),
    *("SELECT query_to_xml(?, true, true, '')", "SELECT pg_read_file(?)"),
    *("SELECT CAST(? AS int)", "SELECT CAST(a AS float(?)) FROM t"),
    *("SELECT CAST(c AS varchar(?)) FROM t", "SELECT extract(? FROM now())"),
    *("SELECT ?;", "SELECT ?;SELECT 1", "SELECT 1;SELECT ?", "SELECT 1;DROP TABLE ?"),
    *("SELECT 1 UNION SELECT ?", "WITH c AS (SELECT ?) SELECT * FROM c"),
    *("SELECT CASE WHEN a = ? THEN 1 END FROM t", "SELECT ('{1}'::int[])[?]"),
    *("SELECT sum(a) OVER (ROWS ? PRECEDING) FROM t",),
    *("SELECT percentile_cont(?) WITHIN GROUP (ORDER BY a) FROM t",),
    *("SELECT now() AT TIME ZONE ?", "SELECT c COLLATE ? FROM t", "SET work_mem = ?"),
)

TEXTS: Final = tuple(
    template.replace("?", filling).encode()
    for template in TEMPLATES
    for filling in FILLINGS
)
