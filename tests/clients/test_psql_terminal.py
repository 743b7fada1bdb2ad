"""psql as a person uses it: Tab, Ctrl-C, `\\watch`, a refused statement and on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.clients.refusals import refused_texts, statements
from tests.clients.terminal import CTRL_C, PROMPT, TAB, Terminal, terminal
from tests.clients.tools import (
    LONG_QUERY,
    libpq_environment,
    wait_until_over,
    wait_until_running,
)
from tests.fix_postgres import MAJORS, Database, bin_dir

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.fix_proxy import Proxy

pytestmark = [pytest.mark.postgres, pytest.mark.client("psql")]

WITH_READLINE = (15, 17)
"""The wheel of 18 is built without it: no completion there."""
ERASE_LINE = "\x15"  # Ctrl-U


@pytest.fixture
def psql(
    request: pytest.FixtureRequest, guard17: Proxy, shop17: Database
) -> Iterator[Terminal]:
    command: list[str | Path] = [
        bin_dir(request.param) / "psql",
        "-X",
        "-P",
        "pager=off",
    ]
    environment = libpq_environment(guard17, shop17)
    with terminal(command, environment=environment) as opened:
        opened.wait_for(PROMPT)
        yield opened


def with_psql(*majors: int) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        "psql", majors, indirect=True, ids=[f"psql{major}" for major in majors]
    )


@with_psql(*WITH_READLINE)
def test_completes_a_table_and_the_statement_runs(
    psql: Terminal, guard17: Proxy, shop17: Database
) -> None:
    psql.press("SELECT count(*) FROM cus" + TAB)
    psql.wait_for("customers")
    assert "1000" in psql.enter(";")
    texts = [one["text"] for one in statements(guard17, shop17.name)]
    assert any("pg_catalog.pg_class" in text and "cus%" in text for text in texts)
    assert texts[-1].startswith("SELECT count(*) FROM customers")


COMPLETIONS = {
    r"\d open_o": "open_orders",
    "SELECT * FROM monthly_r": "monthly_revenue",
    "SELECT * FROM customers WHERE cou": "country",
    "SELECT * FROM public.produ": "products",
    "SHOW work_m": "work_mem",
    "SET statement_t": "statement_timeout",
    "ALTER TABLE customers DROP CONSTRAINT customers_e": "customers_email_key",
    "DROP INDEX orders_cus": "orders_customer_id_idx",
    "DROP FUNCTION order_t": "order_total",
    "ALTER TYPE order_s": "order_status",
    r"\df order_t": "order_total",
    r"\du pgwarden_r": "pgwarden_reader",
    r"\dn publ": "public",
    "GRANT SELECT ON orders TO pgwarden_m": "pgwarden_migrator",
    r"\c shop_templ": "shop_template",
    "ALTER TYPE order_status RENAME VALUE 'shi": "shipped",
    "SET timezone TO 'Antarctica/Tro": "Troll",
}


@with_psql(*WITH_READLINE)
def test_completion_asks_nothing_that_is_refused(
    psql: Terminal, guard17: Proxy, shop17: Database
) -> None:
    for typed, completed in COMPLETIONS.items():
        psql.press(typed + TAB)
        psql.wait_for(completed)
        psql.press(ERASE_LINE)
    psql.enter("SELECT 41 + 1;", until=r"\b42\b")
    asked = statements(guard17, shop17.name)
    assert len(asked) > len(COMPLETIONS) - 3  # some come with two queries, some none
    assert not refused_texts(guard17, shop17.name)


@with_psql(*MAJORS)
def test_ctrl_c_cancels_only_the_statement(psql: Terminal, shop17: Database) -> None:
    psql.press(LONG_QUERY + ";\n")
    wait_until_running(shop17, LONG_QUERY)
    psql.press(CTRL_C)
    assert "canceling statement due to user request" in psql.wait_for(PROMPT)
    wait_until_over(shop17, LONG_QUERY)
    psql.enter("SELECT 41 + 1;", until=r"\b42\b")


@with_psql(*MAJORS)
def test_watch_until_ctrl_c(psql: Terminal) -> None:
    psql.press("SELECT 6 * 7 AS answer \\watch 0.1\n")
    for _ in range(3):
        psql.wait_for(r"\b42\b")
    psql.press(CTRL_C)
    psql.wait_for(PROMPT)
    psql.enter("SELECT count(*) FROM customers;", until=r"\b1000\b")


@with_psql(*MAJORS)
def test_a_person_is_refused_and_works_on(psql: Terminal) -> None:
    shown = psql.enter("DROP TABLE customers;")
    assert "DROP TABLE is not allowed for role developer" in shown
    assert "DETAIL:" in shown
    assert "rule developer.schema, audit id" in shown
    assert "HINT:" in shown
    assert "\\errverbose" not in shown
    psql.enter("\\errverbose", until="42501")
    psql.enter("SELECT count(*) FROM customers;", until=r"\b1000\b")


@with_psql(*MAJORS)
def test_ctrl_c_while_copying_out(psql: Terminal, shop17: Database) -> None:
    big = "COPY (SELECT repeat('x', 1000) FROM generate_series(1, 3000000)) TO STDOUT"
    psql.press(f"\\o /dev/null\n{big};\n")
    wait_until_running(shop17, "repeat('x', 1000)")
    psql.press(CTRL_C)
    assert "canceling statement due to user request" in psql.wait_for(
        r"canceling(.|\n)*=> $"
    )
    psql.enter("\\o")
    psql.enter("SELECT 41 + 1;", until=r"\b42\b")
