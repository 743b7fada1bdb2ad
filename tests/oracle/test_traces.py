"""The same script, bare and through pgwarden, gives the same trace.

A bare Postgres gets a real syntax error in the place of each refusal; then types, tags,
status and data of all that comes back must be the same, error fields apart. Each edge
that the design lists is a test by name.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from tests.fix_postgres import shop_copy
from tests.oracle.raw import ASYNCHRONOUS, RawClient
from tests.oracle.scripts import SCRIPTS
from tests.unit.session.playbook import (
    COPY_DONE,
    FLUSH,
    FUNCTION_CALL,
    SYNC,
    bind,
    close,
    copy_data,
    copy_fail,
    describe,
    error_fields,
    execute,
    parse,
    query,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from proxy.demo.postgres import Cluster
    from tests.fix_postgres import Clusters, Database
    from tests.fix_proxy import Proxy

pytestmark = [pytest.mark.postgres, pytest.mark.oracle]

REFUSED = "DO $$BEGIN END$$"
SYNTAX_ERROR = "syntax_error"
SCHEMA = """
    CREATE TABLE items (a int PRIMARY KEY,
        b int REFERENCES items DEFERRABLE INITIALLY DEFERRED);
    GRANT ALL ON items TO pgwarden_migrator
"""
LAST = "SELECT 'the end'"


def encode(step: str, *, refused: str) -> bytes:
    if step == "F":
        return FUNCTION_CALL if refused == REFUSED else query(SYNTAX_ERROR)
    if step in "SHcf":
        return {"S": SYNC, "H": FLUSH, "c": COPY_DONE, "f": copy_fail()}[step]
    kind, _, rest = step.replace("NO", refused).partition(" ")
    first, _, second = rest.partition("|")
    match kind:
        case "Q":
            return query(rest)
        case "P":
            return parse(second, first)
        case "B":
            return bind(second, first)
        case "E":
            return execute(first, int(second))
        case "d":
            return copy_data(rest.encode())
        case "DS" | "DP":
            return describe(kind[1], rest)
        case "CS" | "CP":
            return close(kind[1], rest)
        case _:
            raise AssertionError(step)


def trace(dsn: str, script: Sequence[str], *, refused: str) -> list[str]:
    """Play a script in as few segments as it allows; what came back, as lines."""
    with RawClient(dsn) as client:
        waiting = b""
        lines: list[str] = []
        for step in script:
            if step == "...":
                client.send(waiting)
                waiting = b""
                lines += shapes(client.receive())
            else:
                waiting += encode(step, refused=refused)
        # A Sync ends a skip; then it must still be usable, and not one reply off.
        client.send(waiting + COPY_DONE + SYNC + query("ROLLBACK") + query(LAST))
        lines += shapes(client.receive(last=b"the end"))
        return [*lines, "closed"] if client.closed else lines


def shapes(messages: Sequence[tuple[str, bytes]]) -> list[str]:
    return [shape(*message) for message in messages if message[0] not in ASYNCHRONOUS]


def shape(kind: str, body: bytes) -> str:
    if kind == "E":
        fields = error_fields(body)
        if fields["C"] in {"42501", "42601"}:
            return f"{fields['V']} refused"
        return f"{fields['V']} {fields['C']}"
    # The table's oid differs from database to database.
    return kind + re.sub(rb"\x00\x00..\x00(?=[\x00-\x09]\x00\x00)", b"", body).hex()


@pytest.fixture(scope="module")
def items(clusters: Clusters, postgres: Cluster) -> Iterator[Database]:
    """One database for all scripts: each begins with an empty table."""
    with shop_copy(clusters, postgres) as database:
        database.execute(SCHEMA)
        yield database


def both(guard: Proxy, shop: Database, script: Sequence[str]) -> list[str]:
    """The trace that both ways have in common."""
    shop.execute("TRUNCATE items")
    bare = trace(shop.migrator_dsn, script, refused=SYNTAX_ERROR)
    shop.execute("TRUNCATE items")
    guarded = trace(guard.dsn("migrator", shop.name), script, refused=REFUSED)
    assert guarded == bare
    assert bare
    return guarded


@pytest.mark.parametrize("name", SCRIPTS)
def test_same_trace(guard: Proxy, items: Database, name: str) -> None:
    both(guard, items, SCRIPTS[name])


# --- the edges that the design lists ------------------------------------------


def test_the_first_is_dropped_and_the_second_swapped(
    guard: Proxy, items: Database
) -> None:
    script = ["P |SELECT nope", "P |NO", "S", "P |NO", "S"]
    errors = [line for line in both(guard, items, script) if "ERROR" in line]
    assert errors == ["ERROR 42703", "ERROR refused"]


def test_in_status_e_the_refusal_comes_instead_of_25p02(
    guard: Proxy, items: Database
) -> None:
    script = ["Q BEGIN", "Q SELECT 1/0", "Q NO", "Q SELECT 1", "P |NO", "S"]
    errors = [line for line in both(guard, items, script) if "ERROR" in line]
    assert errors == ["ERROR 22012", "ERROR refused", "ERROR 25P02", "ERROR refused"]


@pytest.mark.parametrize("step", ["Q NO", "Q SELECT 1", "P |NO", "P |SELECT 1", "F"])
@pytest.mark.parametrize("by", ["query", "execute"])
def test_a_query_or_parse_amid_copy_in_ends_the_session(
    guard: Proxy, items: Database, by: str, step: str
) -> None:
    copy = "COPY items FROM STDIN"
    begin = [f"Q {copy}"] if by == "query" else [f"P |{copy}", "B |", "E |0", "S"]
    lines = both(guard, items, [*begin, "...", "d 1\t\\N\n", step])
    assert lines[-3:] == ["ERROR 08P01", "FATAL 08P01", "closed"]


def test_with_exit_on_error_the_refusal_is_fatal(guard: Proxy, items: Database) -> None:
    lines = both(guard, items, ["Q SET exit_on_error = on", "...", "Q NO"])
    assert lines[-2:] == ["FATAL refused", "closed"]


def test_create_index_concurrently_before_a_refusal_is_left_invalid(
    guard: Proxy, items: Database
) -> None:
    create = "P |CREATE INDEX CONCURRENTLY i ON items (b)"
    items.execute("INSERT INTO items SELECT n, NULL FROM generate_series(1, 99) n")
    states = []
    for dsn, refused in (
        (items.migrator_dsn, SYNTAX_ERROR),
        (guard.dsn("migrator", items.name), REFUSED),
    ):
        items.execute("ALTER TABLE items OWNER TO pgwarden_migrator")
        trace(dsn, [create, "B |", "E |0", "P |NO", "S"], refused=refused)
        states.append(
            items.fetch(
                "SELECT indisvalid FROM pg_index WHERE indexrelid = 'i'::regclass"
            )
        )
        items.execute("DROP INDEX i")
    assert states[0] == states[1]


def test_a_token_of_another_session_is_no_answer(guard: Proxy, items: Database) -> None:
    """A client that quotes a token it saw elsewhere gets Postgres' own error."""
    with RawClient(guard.dsn("developer", items.name)) as client:
        client.send(query("SELECT 1::pgwarden_0123456789abcdef_1"))
        (kind, body), *_ = client.receive("Z")
        assert kind == "E"
        assert error_fields(body)["C"] == "42704"


def test_a_setting_that_gives_the_lock_up_ends_the_session(
    guard: Proxy, items: Database
) -> None:
    """The alarm: a function that policy takes for harmless changes what is watched."""
    items.execute(
        "CREATE OR REPLACE FUNCTION unaccent(text) RETURNS text LANGUAGE sql AS "
        "$$SELECT set_config('default_transaction_read_only', 'off', false)$$;"
        "GRANT EXECUTE ON FUNCTION unaccent(text) TO pgwarden_reader"
    )
    with RawClient(guard.dsn("developer", items.name)) as client:
        client.send(query("SELECT unaccent('x')"))
        lines = [shape(*m) for m in client.receive("Z") if m[0] == "E"]
        assert lines == ["FATAL 08P01"]
        client.receive()
        assert client.closed


# --- scripts that nobody thought of -------------------------------------------

NAMES = st.sampled_from(["", "a"])
PORTALS = st.sampled_from(["", "p"])
ONE = st.sampled_from(
    [
        *("NO", "NO", "SELECT 1", "SELECT generate_series(1,3)", "SELECT 1/0"),
        *("SELECT nope", "BEGIN", "COMMIT", "ROLLBACK", "INSERT INTO items VALUES (1)"),
        *("INSERT INTO items VALUES (1, 9)", "COPY items FROM STDIN", "DEALLOCATE a"),
        *("SAVEPOINT s", "ROLLBACK TO s", "PREPARE a AS SELECT 2", ""),
    ]
)
STEP = st.one_of(
    st.builds("Q {}".format, ONE),
    st.builds("Q {}; {}".format, ONE, ONE),
    st.builds("P {}|{}".format, NAMES, ONE),
    st.builds("B {}|{}".format, PORTALS, NAMES),
    st.builds("E {}|{}".format, PORTALS, st.integers(0, 2)),
    st.builds("D{} {}".format, st.sampled_from("SP"), NAMES),
    st.builds("C{} {}".format, st.sampled_from("SP"), NAMES),
    st.sampled_from(["S", "S", "S", "H", "F", "c", "f", "d 7\t\\N\n", "..."]),
)


@pytest.mark.timeout(3_000)
@settings(
    max_examples=1_000 if os.environ.get("PGWARDEN_DEEP") else 15,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    deadline=None,
)
@given(script=st.lists(STEP, min_size=3, max_size=20))
def test_same_trace_of_any_script(
    guard: Proxy, items: Database, script: list[str]
) -> None:
    both(guard, items, script)
