"""What passes because of other literals is run for real, and does no more than read.

The judge has seen all the texts before, so a verdict is seldom a text's own. What it
lets a developer send runs as superuser in a READ ONLY transaction on each major: no
25006, no transaction id, no lock above ACCESS SHARE. `tests/unit/session` holds the
verdicts themselves against those that each text gets alone.
"""

from __future__ import annotations

import random
from collections import Counter
from typing import TYPE_CHECKING

import psycopg
import pytest

from proxy.policy.documents import load
from proxy.policy.evaluate import Policy
from proxy.session.judge import Judge
from proxy.shipped import policy_path
from tests.oracle.test_reads import NO_TRACES, TRACES
from tests.unit.session.literals import TEXTS

if TYPE_CHECKING:
    from tests.fix_postgres import Database

pytestmark = [pytest.mark.oracle, pytest.mark.timeout(120)]

SETUP = """
    CREATE TABLE t AS SELECT 1 AS a, 2 AS b, 'x' AS c; CREATE TABLE prey (id int);
    CREATE SEQUENCE tally; CREATE SEQUENCE other;
    CREATE FUNCTION f(int) RETURNS bigint LANGUAGE sql AS $$SELECT nextval('tally')$$
"""
READ_ONLY = "25006"


def test_what_passes_only_reads(shop: Database) -> None:
    shop.execute(SETUP)
    path = policy_path("production")
    policy = Policy(load(path.read_text("utf-8"), source=str(path)))
    judge = Judge(policy, "developer", server_major=shop.cluster.major)
    texts = list(TEXTS)
    random.Random(0).shuffle(texts)
    for text in texts:
        judge.judge(text)
    passed = [text for text in texts if judge.judge(text).decision.allowed]
    passed = [text for text in passed if not text.startswith(b"SET")]
    assert len(passed) > 1500
    ended: Counter[str] = Counter()
    with psycopg.connect(shop.dsn, autocommit=True) as superuser:
        superuser.execute("SET statement_timeout = '10s'")
        for text in passed:
            superuser.execute("BEGIN READ ONLY")
            sqlstate = ""
            try:
                superuser.execute(text, prepare=False)
                (traces,) = superuser.execute(TRACES % "AccessShareLock").fetchall()
            except psycopg.Error as error:
                sqlstate, traces = error.sqlstate or "", NO_TRACES
            superuser.execute("ROLLBACK")
            ended[sqlstate] += 1
            assert (sqlstate == READ_ONLY, traces) == (False, NO_TRACES), text
    assert ended[""] > 500, "else nothing was tried"
