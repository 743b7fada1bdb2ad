"""node-postgres (with its cursor and stream) and postgres.js, as developer.

The acts are in `node/pg.mjs` and `node/postgres.mjs`; each prints what it saw.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.clients.refusals import Refusal, check_refusal, refused_texts
from tests.clients.snapshot import snapshot
from tests.clients.tools import LONG_QUERY, bare_environment, program, run, running

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fix_postgres import Database
    from tests.fix_proxy import Proxy

    Act = Callable[[str], dict[str, Any]]

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.slow,
    pytest.mark.timeout(120),
]

_SCRIPTS = Path(__file__).parent / "node"


@pytest.fixture
def act(
    request: pytest.FixtureRequest,
    guard17: Proxy,
    shop17: Database,
    node_modules: Path,
    tmp_path: Path,
) -> Act:
    """Runs one act of the script that the test names, and returns its answer."""
    script = shutil.copy(_SCRIPTS / request.param, tmp_path)
    (tmp_path / "node_modules").symlink_to(node_modules)
    url = guard17.dsn("developer", shop17.name)

    def runs(name: str) -> dict[str, Any]:
        done = run(
            [program("node"), script, name],
            environment={**bare_environment(), "DATABASE_URL": url},
            cwd=tmp_path,
        )
        answer: dict[str, Any] = json.loads(done.ok().out)
        return answer

    return runs


node_postgres = pytest.mark.parametrize("act", ["pg.mjs"], indirect=True, ids=["pg"])
postgres_js = pytest.mark.parametrize(
    "act", ["postgres.mjs"], indirect=True, ids=["postgres-js"]
)

PG_ACTS: dict[str, dict[str, Any]] = {
    "reads": {
        "simple": [{"one": 1}, {"two": 2}],
        "typed": {"n": 7, "j": {"k": 1}, "a": ["x"]},
        "rows": 4,
    },
    "prepared": {"seen": 40, "prepared": ["by-id"]},
    "queued": {"right": True},
    "cursor": {"sizes": [1500, 1500, 1500, 500], "after": 5000},
    "stream": {"rows": 12500, "after": 5000},
    "cancel": {"sqlstate": "57014", "after": 5000},
    "timeout": {"sqlstate": "57014", "after": 5000},
    "large": {"same": True, "length": 8_000_000},
    "transaction": {"first": "42501", "then": "25P02", "after": 5000},
    "pool": {"right": 30, "refused": 10},
}
POSTGRES_ACTS: dict[str, dict[str, Any]] = {
    "reads": {"row": {"n": 7, "j": {"k": 1}}, "listed": 3},
    "prepared": {"seen": 40, "few": True},
    "pipelined": {"right": True},
    "refused-among-pipelined": {"right": 40, "refused": 20, "after": 5000},
    "cursor": {"sizes": [1500, 1500, 1500, 500], "first": 10, "after": 5000},
    "cancel": {"sqlstate": "57014", "after": 5000},
    "large": {"same": True, "length": 8_000_000},
    "transaction": {"n": 5000},
}


@pytest.mark.client("node-postgres")
@node_postgres
@pytest.mark.parametrize("name", PG_ACTS)
def test_node_postgres(act: Act, shop17: Database, name: str) -> None:
    assert act(name) == PG_ACTS[name]
    assert not running(shop17, LONG_QUERY)


@pytest.mark.client("postgres.js")
@postgres_js
@pytest.mark.parametrize("name", POSTGRES_ACTS)
def test_postgres_js(act: Act, shop17: Database, name: str) -> None:
    assert act(name) == POSTGRES_ACTS[name]
    assert not running(shop17, LONG_QUERY)


@pytest.mark.client("postgres.js")
@postgres_js
def test_postgres_js_copies(act: Act, guard17: Proxy) -> None:
    assert act("copy-out") == {"lines": 1000}
    check_answer(guard17, act("copy-in"), "developer.write")


def check_answer(proxy: Proxy, answer: dict[str, Any], rule: str) -> None:
    refusal = Refusal(
        *(answer.get(key) for key in ("sqlstate", "message", "detail", "hint"))
    )
    check_refusal(proxy, refusal, rule)
    assert answer["orders"] == 5000, "the connection is not usable"


@pytest.mark.client("node-postgres")
@pytest.mark.client("postgres.js")
@pytest.mark.parametrize(
    "act", ["pg.mjs", "postgres.mjs"], indirect=True, ids=["pg", "postgres-js"]
)
def test_refused_and_still_usable(act: Act, guard17: Proxy, shop17: Database) -> None:
    before = snapshot(shop17)
    answers = act("refused")
    assert len(answers) == 6
    for answer in answers.values():
        drops = "DROP" in answer["message"]
        rule = "developer.schema" if drops else "developer.write"
        check_answer(guard17, answer, rule)
    # a refused Parse is followed by a Bind and an Execute, which have no text
    assert len([text for text in refused_texts(guard17, shop17.name) if text]) == 6
    assert snapshot(shop17) == before
