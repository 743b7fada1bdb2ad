"""The allow-list of built-in functions against the pg_proc of every supported major.

With PGWARDEN_TEST_REGENERATE=1 it writes `proxy/sql/data/functions.txt` and
`proxy/catalog/signatures.txt` anew. Read the diff: a name that a new release brings
belongs in `effects.txt` if it does more than return a value, whatever its volatility
says.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from proxy.catalog.queries import BUILT_IN
from proxy.sql.facts import Effect
from proxy.sql.functions import EFFECTS, HARMLESS, KNOWN
from tests.fix_postgres import MAJORS

if TYPE_CHECKING:
    from tests.fix_postgres import Clusters

FILE = Path(__file__).parents[2] / "proxy" / "sql" / "data" / "functions.txt"
HEAD = """\
# Built-in functions that only return a value, in all overloads of all supported majors.
# One a line: name, then the majors that have it. Made out of pg_proc by
#   PGWARDEN_TEST_REGENERATE=1 pytest tests/oracle/test_builtin_functions.py
# and read by a person; a name that is not here or in effects.txt is judged unknown.
# Left out: functions that take or return "internal", triggers, handlers and validators,
# which SQL can't call or has no reason to.
"""
SIGNATURES = FILE.parents[2] / "catalog" / "signatures.txt"
SIGNATURES_HEAD = """\
# The overloads of the built-in functions in proxy/sql/data/functions.txt, of all
# supported majors: name, then the input types of each, with | between them. Made by
#   PGWARDEN_TEST_REGENERATE=1 pytest tests/oracle/test_builtin_functions.py
# An overload that is not here makes calls by its name unknown, where a server has it.
"""
FUNCTIONS = """
    SELECT proname, oidvectortypes(proargtypes) || ' ' || prorettype::regtype
    FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace
"""
NOT_FOR_SQL = re.compile(
    r"\b(internal|trigger|event_trigger|language_handler|fdw_handler|index_am_handler"
    r"|tsm_handler|table_am_handler)\b"
)
VALIDATORS = re.compile(r"(_validator|_call_handler|_inline_handler)$")


def functions_of(clusters: Clusters, major: int) -> list[tuple[str, str]]:
    with psycopg.connect(clusters.get(major).dsn(), autocommit=True) as connection:
        rows: list[Any] = connection.execute(FUNCTIONS).fetchall()
    return [(str(name), str(types)) for name, types in rows]


@pytest.fixture(scope="module")
def harmless(clusters: Clusters) -> dict[str, list[int]]:
    """What the allow-list must hold: each name with its majors."""
    majors: dict[str, list[int]] = {}
    left_out = set(EFFECTS)
    for major in MAJORS:
        for name, types in functions_of(clusters, major):
            if NOT_FOR_SQL.search(types) or VALIDATORS.search(name):
                left_out.add(name)
            if major not in majors.setdefault(name, []):
                majors[name].append(major)
    return {name: majors[name] for name in sorted(majors) if name not in left_out}


@pytest.mark.oracle
@pytest.mark.postgres
def test_the_allow_list_is_what_was_read(harmless: dict[str, list[int]]) -> None:
    lines = [f"{name} {' '.join(map(str, at))}\n" for name, at in harmless.items()]
    if os.environ.get("PGWARDEN_TEST_REGENERATE"):
        FILE.write_text(HEAD + "".join(lines), encoding="utf-8")
    assert FILE.read_text(encoding="utf-8") == HEAD + "".join(lines)


@pytest.mark.oracle
@pytest.mark.postgres
def test_every_built_in_is_listed_once(harmless: dict[str, list[int]]) -> None:
    assert set(harmless) == HARMLESS


@pytest.mark.oracle
@pytest.mark.postgres
def test_every_overload_was_read(
    clusters: Clusters, harmless: dict[str, list[int]]
) -> None:
    overloads: dict[str, set[str]] = {name: set() for name in harmless}
    for major in MAJORS:
        with psycopg.connect(clusters.get(major).dsn(), autocommit=True) as connection:
            for name, arguments in connection.execute(BUILT_IN).fetchall():
                if name in overloads:
                    overloads[name].add(arguments)
    lines = [f"{name} {'|'.join(sorted(found))}\n" for name, found in overloads.items()]
    if os.environ.get("PGWARDEN_TEST_REGENERATE"):
        SIGNATURES.write_text(SIGNATURES_HEAD + "".join(lines), encoding="utf-8")
    assert SIGNATURES.read_text(encoding="utf-8") == SIGNATURES_HEAD + "".join(lines)


INFORMATION_SCHEMA = """
    SELECT proname, provolatile::text FROM pg_proc
    WHERE pronamespace = 'information_schema'::regnamespace
"""


@pytest.mark.oracle
@pytest.mark.postgres
@pytest.mark.parametrize("major", MAJORS)
def test_functions_of_the_information_schema(clusters: Clusters, major: int) -> None:
    with psycopg.connect(clusters.get(major).dsn(), autocommit=True) as connection:
        rows = connection.execute(INFORMATION_SCHEMA).fetchall()
    assert {volatility for _, volatility in rows} <= {"i", "s"}
    known = {name for schema, name in KNOWN if schema == "information_schema"}
    assert {name for name, _ in rows} - known <= {"_pg_index_position_old"}
    assert all(
        KNOWN["information_schema", name].effect is Effect.NONE for name in known
    )
