"""No way to change a setting that matters, in any form: tried for real.

Each form of `tests/corpus/setting_forms.py` is first shown to work on a bare Postgres
(a form that did nothing would prove nothing), then sent through pgwarden by a developer
whose upstream login is a superuser, so that Postgres itself would let it pass. What
counts is the value that the session reads back, or what is stored for later ones.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from tests.corpus.setting_forms import (
    SETTINGS,
    STORED,
    Change,
    Setting,
    matrix,
    narrowed,
)
from tests.fix_postgres import shop_copy
from tests.fix_proxy import Proxies, as_superuser, ungated_text
from tests.oracle.wire import Answer, Session

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from proxy.demo.postgres import Cluster
    from tests.fix_postgres import Clusters, Database
    from tests.fix_proxy import Proxy

DEEP = bool(os.environ.get("PGWARDEN_DEEP"))
SETUP = """
    CREATE SCHEMA evil;
    CREATE TABLE bait (id int);
    INSERT INTO bait VALUES (1);
    CREATE FUNCTION made_before() RETURNS int LANGUAGE sql AS 'SELECT 1';
"""
pytestmark = [
    pytest.mark.oracle,
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.turns,
]


def with_start(dsn: str, start: dict[str, str]) -> str:
    for key, value in start.items():
        dsn += f"{'&' if '?' in dsn else '?'}{key}={quote(value, safe='')}"
    return dsn


def tried_directly(change: Change, database: Database) -> tuple[object, object]:
    """What is read before and after, on a bare server. Nothing stays."""
    read_only = "-c default_transaction_read_only=on"
    writes = change.is_stored or any(w in str(change) for w in ("TABLE", "UPDATE"))
    options = "" if writes else f"{read_only} {change.start.get('options', '')}"
    look = STORED if change.is_stored else change.setting.look
    with ExitStack() as stack:
        dsn = database.dsn
        me = stack.enter_context(Session(with_start(dsn, {"options": options})))
        other = stack.enter_context(Session(with_start(dsn, {"options": read_only})))
        before = (other if change.start else me).simple(look)
        if change.is_stored and change.form != "ALTER SYSTEM":
            me.simple("BEGIN")
        send(me, change, database)
        after = me.simple(look)
        me.simple("ROLLBACK")
        other.simple("ALTER SYSTEM RESET ALL" if change.form == "ALTER SYSTEM" else "")
        return before.rows, after.rows


def send(session: Session, change: Change, database: Database) -> list[Answer]:
    *first, last = (t.replace("<DB>", database.name) for t in change.texts or ("",))
    answers = [session.simple(text) for text in first]
    if change.values is None:
        return [*answers, session.simple(last)]
    return [*answers, session.bound(last, change.values)]


@pytest.fixture
def stage(clusters: Clusters, postgres: Cluster) -> Iterator[Database]:
    with shop_copy(clusters, postgres) as database:
        database.execute(SETUP)
        yield database


@pytest.mark.parametrize("postgres", [15, 17, 18] if DEEP else [17], indirect=True)
@pytest.mark.parametrize("setting", SETTINGS, ids=lambda each: each.name)
def test_each_form_works_on_a_bare_server(stage: Database, setting: Setting) -> None:
    idle = []
    for change in matrix(setting):
        if change.is_idle:
            continue
        before, after = tried_directly(change, stage)
        if not after or before == after:
            idle.append((str(change), after))
    assert idle == [], len(idle)


@pytest.fixture(scope="module")
def proxies(clusters: Clusters) -> Iterator[Proxies]:
    started = Proxies(clusters)
    yield started
    started.stop()


_strong: dict[int, Proxy] = {}


@pytest.fixture
def strong(proxies: Proxies, postgres: Cluster, tmp_path: Path) -> Proxy:
    """Developers are superusers upstream, and held to some schemas by the policy."""
    if postgres.major not in _strong:
        text = ungated_text()
        policy = tmp_path / "narrow.yaml"
        policy.write_text(narrowed(text), "utf-8")
        _strong[postgres.major] = proxies.start(
            postgres, policy=policy, settings=as_superuser(postgres)
        )
    return _strong[postgres.major]


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda each: each.name)
def test_no_form_works_through_pgwarden(
    stage: Database, setting: Setting, strong: Proxy
) -> None:
    dsn = strong.dsn("developer", stage.name)
    with Session(dsn) as session, Session(stage.dsn) as superuser:
        for change in matrix(setting):
            if change.start:
                with pytest.raises(ConnectionError, match="is refused"):
                    Session(with_start(dsn, change.start))
                continue
            before = session.simple(setting.look).rows
            stored = superuser.simple(STORED).rows
            answers = send(session, change, stage)
            assert any("audit id" in answer.message for answer in answers), str(change)
            session.simple("ROLLBACK" if session.status == "E" else "")
            assert session.simple(setting.look).rows == before, str(change)
            session.simple("ROLLBACK")
            session.simple("DEALLOCATE ALL")
            assert session.simple(setting.look).rows == before, str(change)
            assert superuser.simple(STORED).rows == stored, str(change)
        assert session.is_open
