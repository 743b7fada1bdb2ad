"""What a developer may send is run for real: it must leave no trace.

The decision of the shipped production policy is held against Postgres. Every statement
of the corpora that it allows a developer, and that the facts call reading, runs as
superuser in a READ ONLY transaction: no 25006, no transaction id, no lock above ACCESS
SHARE on a table. The facts alone are tried in `test_corpus` and `test_regress_sample`.
"""

from __future__ import annotations

import gzip
import json
import os
from collections import Counter, defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from proxy.cli.offline import OfflineSession
from proxy.policy.documents import load
from proxy.policy.evaluate import Policy
from proxy.session.judge import Judge
from proxy.shipped import policy_path
from proxy.sql.facts import Kind
from tests.corpus.furnish import furnish
from tests.oracle.wire import Answer, Session
from tests.unit.sql.corpus import statements, tool_statements

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proxy.session.judge import Judged
    from tests.fix_postgres import Database

READING = {Kind.READ, Kind.CURSOR, Kind.EXECUTE, Kind.COPY_OUT, Kind.SESSION}
SAMPLE = Path(__file__).parents[3] / "shared" / "oracle" / "regress-sample.jsonl.gz"
REFUSED_READS = Path(__file__).with_name("refused_reads.yaml")
DEEP = bool(os.environ.get("PGWARDEN_DEEP"))
QUICK_FILES = ("insert", "matview", "plancache", "prepare", "select_into", "txid")
"""Files of the sample that a quick run plays; all have reads and writes in turn."""
TRACES = """
    SELECT pg_current_xact_id_if_assigned()::text, (
        SELECT string_agg(DISTINCT l.mode || ' on ' || c.relname, ', ')
        FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
        WHERE l.pid = pg_backend_pid() AND c.oid >= 16384 AND c.relkind <> 'S'
            AND l.mode <> ALL ('{AccessShareLock,%s}'))
"""
"""Sequences are left out: their last value is read under a stronger lock."""
# Nothing of these two is left by reading, whatever the outcome of the statement.
NO_TRACES: tuple[None, None] = (None, None)

pytestmark = pytest.mark.oracle


@pytest.fixture(scope="module")
def policy() -> Policy:
    path = policy_path("production")
    return Policy(load(path.read_text("utf-8"), source=str(path)))


def developer(policy: Policy) -> OfflineSession:
    return OfflineSession(Judge(policy, "developer", database="shop"))


def reads(judged: Judged | None) -> bool:
    return (
        judged is not None
        and bool(judged.statements)
        and all(facts.kinds <= READING for facts in judged.statements)
    )


@pytest.fixture
def session(shop: Database) -> Iterator[Session]:
    furnish(shop.dsn)
    with Session(shop.dsn) as opened:
        opened.simple("SET statement_timeout = '10s'; SET client_min_messages = error")
        yield opened


def first_word(sql: str) -> str:
    """The word a statement begins with, behind its comments."""
    lines = [line for line in sql.splitlines() if not line.lstrip().startswith("--")]
    words = "\n".join(lines).split(maxsplit=1)
    return words[0].lower() if words else ""


def run_read_only(session: Session, sql: str) -> tuple[Answer, object]:
    """The answer to one text in a READ ONLY transaction, and what it left behind."""
    session.simple("BEGIN READ ONLY; SAVEPOINT here")
    try:
        answer = session.simple(sql)
        if answer.sqlstate == "42P02":  # there is no parameter $1
            session.simple("ROLLBACK TO here")
            answer = session.with_nulls(sql)
        if session.status == "E":
            session.simple("ROLLBACK TO here")
        # EXPLAIN DELETE takes the lock of DELETE: it waits for what a SELECT waits
        # for, and CREATE INDEX. The reader's login may not explain what it may not do.
        explains = first_word(sql) == "explain"
        traces = TRACES % ("RowExclusiveLock" if explains else "AccessShareLock")
        return answer, session.simple(traces).rows[0]
    finally:
        session.simple("ROLLBACK")


def corpus() -> list[str]:
    shop = [case.sql for case in statements() if case.setup]
    return shop + [case.sql for case in tool_statements()]


@pytest.mark.slow
def test_what_a_developer_may_read_leaves_no_trace(
    session: Session, policy: Policy
) -> None:
    lies, traces, failed, ran = [], [], Counter[str](), 0
    for sql in corpus():
        decision, judged = developer(policy).send(sql.encode())
        if not (decision.allowed and reads(judged)):
            continue
        answer, left = run_read_only(session, sql)
        ran += 1
        if answer.sqlstate == "25006":
            lies.append(sql)
        elif answer.sqlstate:
            failed[answer.sqlstate] += 1
        if left != NO_TRACES:
            traces.append((sql, left))
    assert lies == []
    assert traces == []
    assert ran >= 400
    # Grammar and functions that an older major lacks, and OIDs of another database.
    assert failed.total() < ran / 10, failed


@pytest.fixture(scope="module")
def sample() -> list[dict[str, Any]]:
    if not SAMPLE.exists():
        pytest.skip(f"the regression sample is not beside the checkout: {SAMPLE.name}")
    with gzip.open(SAMPLE, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


@pytest.mark.slow
def test_the_sample_as_a_developer(
    sample: list[dict[str, Any]], policy: Policy
) -> None:
    """Every write refused, 99 of 100 plain reads allowed; each file is one session."""
    sessions: defaultdict[str, Any] = defaultdict(lambda: developer(policy))
    allowed_writes, plain = [], 0
    refused: dict[tuple[str, int], str] = {}
    for record in sample:
        decision, _ = sessions[record["file"]].send(record["sql"].encode())
        if record["truth"] == "write" and decision.allowed:
            allowed_writes.append(record["sql"])
        if record.get("plain"):
            plain += 1
            if not decision.allowed:
                refused[record["file"], record["n"]] = decision.reason
    assert allowed_writes == []
    assert plain > 5000
    assert len(refused) <= plain / 100, refused
    listed = yaml.safe_load(REFUSED_READS.read_text("utf-8")).values()
    assert set(refused) == {
        (file, number)
        for files in listed
        for file, numbers in files.items()
        for number in numbers
    }, refused


@pytest.mark.slow
def test_the_sample_in_sessions_of_one_statement(
    sample: list[dict[str, Any]], policy: Policy
) -> None:
    """As `pgwarden check --jsonl` judges: EXECUTE and FETCH name what no one made."""
    plain = [record["sql"] for record in sample if record.get("plain")]
    refused = [
        sql for sql in plain if not developer(policy).send(sql.encode())[0].allowed
    ]
    of_names = {"execute", "fetch", "move"}
    others = [sql for sql in refused if first_word(sql) not in of_names]
    assert len(others) <= len(plain) / 200, others
    writes = [record["sql"] for record in sample if record["truth"] == "write"]
    assert [
        sql for sql in writes if developer(policy).send(sql.encode())[0].allowed
    ] == []


@pytest.mark.slow
@pytest.mark.timeout(600 if DEEP else 60)
@pytest.mark.parametrize("postgres", [15, 17, 18] if DEEP else [15], indirect=True)
def test_the_sample_runs_without_a_trace(
    shop: Database, sample: list[dict[str, Any]], policy: Policy
) -> None:
    """Each file is played: what a developer may read in READ ONLY, the rest freely."""
    played: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for record in sample:
        if DEEP or record["file"] in QUICK_FILES:
            played[record["file"]].append(record)
    # These change the cluster, not the database: roles, databases, tablespaces.
    for file in ("privileges", "database", "tablespace", "security_label"):
        played.pop(file, None)
    lies, traces, ran = [], [], 0
    for records in played.values():
        with Session(shop.dsn) as session:
            session.simple(
                "SET statement_timeout = '5s'; SET client_min_messages = error"
            )
            for record in records:
                sql = record["sql"]
                decision, judged = developer(policy).send(sql.encode())
                if not (decision.allowed and reads(judged)):
                    session.simple("ROLLBACK" if session.status == "E" else "")
                    session.simple(sql)
                    continue
                session.simple("ROLLBACK")
                answer, left = run_read_only(session, sql)
                ran += not answer.sqlstate
                if answer.sqlstate == "25006":
                    lies.append(sql)
                if left != NO_TRACES:
                    traces.append((sql, left))
    assert lies == []
    assert traces == []
    assert ran > 50
