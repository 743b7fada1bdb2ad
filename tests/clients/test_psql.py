"""psql of three majors, fed a script: describing, copying, asking in every protocol.

What needs a terminal (Tab, Ctrl-C) is in `test_psql_terminal`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.clients.refusals import Refusal, check_refusal, refused_texts, statements
from tests.clients.tools import Outcome, libpq_environment, run
from tests.fix_postgres import MAJORS, bin_dir

if TYPE_CHECKING:
    from pathlib import Path

    from proxy.demo.postgres import Cluster
    from tests.fix_postgres import Database
    from tests.fix_proxy import Proxy

pytestmark = [pytest.mark.postgres, pytest.mark.client("psql")]

each_psql = pytest.mark.parametrize("psql", MAJORS, ids=lambda major: f"psql{major}")

DESCRIBES = r"""
\d
\d+
\dS pg_class
\d customers
\d+ orders
\d+ open_orders
\d monthly_revenue
\d orders_customer_id_idx
\d invoice_number
\dt+
\di
\di+
\ds+
\dv+
\dm+
\df
\df+
\dfa
\dn+
\du
\du+
\dg
\dx
\dx+
\dp
\z
\ddp
\drds
\dT+
\dD
\do
\da
\dc
\dC
\dd
\dF
\dFp
\des
\dew
\deu
\dRp+
\dX
\dP+
\dL+
\dA
\dAc
\dAf
\dAo
\dAp
\dE
\dy
\dl
\dconfig work_mem
\dconfig+ work_mem
\sf order_total
\sf+ order_total
\sv open_orders
\ef order_total
\r
\ev open_orders
\r
\conninfo
\encoding
"""


def psql_run(
    psql: int, environment: dict[str, str], script: str, *options: str
) -> Outcome:
    return run(
        [bin_dir(psql) / "psql", "-X", "-v", "VERBOSITY=verbose", *options],
        environment={**environment, "EDITOR": "true", "PAGER": "cat"},
        text=script,
    )


def refusal_in(text: str, prefix: str = "ERROR:  ") -> Refusal:
    """The last error that psql showed with VERBOSITY verbose."""
    fields: dict[str, str] = {}
    for line in text.splitlines():
        for name in (prefix, "DETAIL:  ", "HINT:  "):
            if name in line:
                fields[name] = line.partition(name)[2]
    sqlstate, _, message = fields.get(prefix, "").partition(": ")
    return Refusal(sqlstate, message, fields.get("DETAIL:  "), fields.get("HINT:  "))


def test_every_describe_command_works(
    guard: Proxy, shop: Database, postgres: Cluster
) -> None:
    """With the psql of the server's own major, which knows all its catalogs."""
    done = psql_run(postgres.major, libpq_environment(guard, shop), DESCRIBES)
    assert "ERROR" not in done.err
    assert "SELECT coalesce(sum" in done.out.replace("COALESCE", "coalesce")
    assert "customers_email_key" in done.out
    texts = [one["text"] for one in statements(guard, shop.name)]
    assert len(texts) > 80
    assert not refused_texts(guard, shop.name)


@pytest.mark.parametrize("command", [r"\l", r"\l+", r"\db", r"\dO", r"\dP"])
def test_the_lists_of_the_server(
    guard: Proxy, shop: Database, postgres: Cluster, command: str
) -> None:
    done = psql_run(postgres.major, libpq_environment(guard, shop), command)
    assert done.ok().err in ("", "Did not find any partitioned relations.\n")
    assert not refused_texts(guard, shop.name)


@each_psql
def test_older_and_newer_psql_describe(
    guard17: Proxy, shop17: Database, psql: int
) -> None:
    """A psql of another major than the server's asks for other columns."""
    script = "\\d\n\\d+ customers\n\\dt+\n\\di\n\\df\n\\dn+\n\\du\n\\dx\n\\dp\n"
    done = psql_run(psql, libpq_environment(guard17, shop17), script).ok()
    assert "ERROR" not in done.err
    assert "customers_lower_email_idx" in done.out
    assert not refused_texts(guard17, shop17.name)


@each_psql
def test_copy_out_to_a_file(
    guard17: Proxy, shop17: Database, psql: int, tmp_path: Path
) -> None:
    target = tmp_path / "customers.csv"
    script = f"\\copy customers to '{target}' csv header\nselect 'still here';\n"
    done = psql_run(psql, libpq_environment(guard17, shop17), script).ok()
    assert "COPY 1000" in done.out
    assert "still here" in done.out
    lines = target.read_text("utf-8").splitlines()
    assert lines[0] == "id,name,email,country,preferences,created_at"
    assert len(lines) == 1001


@each_psql
def test_binary_copy_is_the_same_as_without_the_proxy(
    guard17: Proxy, shop17: Database, psql: int
) -> None:
    command = "COPY (SELECT * FROM orders ORDER BY id) TO STDOUT (FORMAT binary)"
    proxied = psql_run(psql, libpq_environment(guard17, shop17), "", "-c", command)
    direct = run(
        [bin_dir(psql) / "psql", "-X", "-c", command, shop17.dsn],
        environment=libpq_environment(guard17, shop17),
    )
    assert proxied.ok().stdout == direct.ok().stdout
    assert proxied.stdout.startswith(b"PGCOPY\n\xff\r\n\0")


@each_psql
def test_copy_in_is_refused_and_the_connection_stays(
    guard17: Proxy, shop17: Database, psql: int, tmp_path: Path
) -> None:
    source = tmp_path / "products.csv"
    source.write_text("1000,SKU-X,x,office,1.00,1,{}\n")
    script = f"\\copy products from '{source}' csv\nselect 'still ' || 'here';\n"
    done = psql_run(psql, libpq_environment(guard17, shop17), script)
    record = check_refusal(guard17, refusal_in(done.err), "developer.write")
    assert record["statement_kind"] == "copy_in"
    assert "still here" in done.out
    assert shop17.fetch("SELECT count(*) FROM products") == [(120,)]


@each_psql
def test_the_migrator_copies_in(
    guard17: Proxy, shop17: Database, psql: int, tmp_path: Path
) -> None:
    source = tmp_path / "products.csv"
    source.write_text("SKU-X,x,office,1.00\nSKU-Y,y,office,2.00\n")
    script = f"\\copy products (sku, name, category, price) from '{source}' csv\n"
    environment = libpq_environment(guard17, shop17, "migrator")
    assert "COPY 2" in psql_run(psql, environment, script).ok().out
    assert shop17.fetch("SELECT count(*) FROM products") == [(122,)]


@each_psql
def test_refusals_leave_the_session_and_the_data(
    guard17: Proxy, shop17: Database, psql: int
) -> None:
    script = """
        DROP TABLE orders;
        select 1 \\; DELETE FROM orders \\; select 2;
        BEGIN;
        SELECT count(*) FROM orders;
        UPDATE orders SET note = 'x' WHERE id = 1;
        SELECT 1;
        ROLLBACK;
        SELECT 'count', count(*) FROM orders;
    """
    done = psql_run(psql, libpq_environment(guard17, shop17), script, "-At")
    assert done.out.splitlines()[-1] == "count|5000"
    assert done.err.count("42501") == 3
    # inside the transaction the refusal aborted it, as an error of Postgres would
    assert done.err.count("25P02") == 1
    assert len(refused_texts(guard17, shop17.name)) == 3


@pytest.mark.parametrize("psql", [17, 18], ids=lambda major: f"psql{major}")
def test_extended_protocol_from_psql(
    guard17: Proxy, shop17: Database, psql: int
) -> None:
    script = """
        SELECT name FROM customers WHERE id = $1 \\bind 7 \\g
        DELETE FROM customers WHERE id = $1 \\bind 7 \\g
        SELECT $1::int + 1 \\bind 41 \\g
    """
    done = psql_run(psql, libpq_environment(guard17, shop17), script, "-At")
    assert done.out.splitlines()[-1] == "42"
    check_refusal(guard17, refusal_in(done.err), "developer.write")


def test_a_refusal_in_the_middle_of_psql_18s_pipeline(
    guard17: Proxy, shop17: Database
) -> None:
    script = """
        \\startpipeline
        SELECT 'first' \\bind \\sendpipeline
        DROP TABLE orders \\bind \\sendpipeline
        SELECT 'skipped' \\bind \\sendpipeline
        \\syncpipeline
        SELECT 'after' \\bind \\sendpipeline
        \\endpipeline
        SELECT 'usable';
    """
    done = psql_run(18, libpq_environment(guard17, shop17), script, "-At")
    check_refusal(guard17, refusal_in(done.err), "developer.schema")
    shown = [line for line in done.out.splitlines() if not line.startswith("Pipeline")]
    assert shown == ["first", "after", "usable"]


@each_psql
def test_statements_that_psql_makes_from_results(
    guard17: Proxy, shop17: Database, psql: int
) -> None:
    r"""`\gexec` runs rows as statements, `\gset` and `\gdesc` use the extended ones."""
    script = r"""
        SELECT format('SELECT count(*) FROM %I', relname) FROM pg_class
         WHERE relname IN ('orders', 'customers') ORDER BY 1 \gexec
        SELECT 42 AS answer \gset
        SELECT :answer + 1;
        SELECT id, name FROM customers \gdesc
        SELECT 'DROP TABLE customers' \gexec
        \crosstabview
    """
    done = psql_run(psql, libpq_environment(guard17, shop17), script, "-At")
    assert {"1000", "5000", "43", "id|bigint"} <= set(done.out.splitlines())
    check_refusal(guard17, refusal_in(done.err), "developer.schema")


def test_a_large_row(guard: Proxy, shop: Database, postgres: Cluster) -> None:
    command = "SELECT repeat('pgwarden', 1000000)"
    environment = libpq_environment(guard, shop)
    done = psql_run(postgres.major, environment, "", "-At", "-c", command)
    assert done.ok().out == "pgwarden" * 1_000_000 + "\n"
