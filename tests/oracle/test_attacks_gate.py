"""Attacks on the gate of production: nothing happens but what a proof has, once.

The attacker has the deploy job's login, knows all proofs, and speaks the protocol.
Every attack is let loose on the bare server first, where it does harm, and then on
pgwarden, where what is left must be what some proof leaves, or nothing.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings

from tests.fix_postgres import run
from tests.fix_proxy import Proxies
from tests.integration.proving import Guards, requiring
from tests.oracle import (
    gate_attacks as known,
    gate_attacks_runs as runs,
    gate_attacks_together as together,
)
from tests.oracle.gate_stage import (
    ADD,
    ANNOUNCE,
    BOUND,
    BUMP,
    DATED,
    DOC,
    DOUBLE,
    DROP_NOTE,
    FINISH,
    FIVE,
    MORE,
    NONE_LEFT,
    PRISMA,
    REVISION,
    START,
    SYNC,
    THREE,
    THRICE,
    UPPER,
    ZERO,
    Client,
    Stage,
    extended,
    row,
)
from tests.unit.migrations import test_any_talk as any_talk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.fix_postgres import Clusters
    from tests.integration.proving import Pair

pytestmark = [
    pytest.mark.oracle,
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.turns,
]
BEGIN, COMMIT = "BEGIN", "COMMIT"
SAID = (DOUBLE, ADD, row("0002"), MORE, THRICE, row("0003"))
PROVEN: dict[str, tuple[bytes | str, ...]] = {
    "double": (BEGIN, DOUBLE, ADD, row("0002"), COMMIT),
    "more": (MORE, THRICE, row("0003")),
    "bump": (BEGIN, BUMP, row("0005"), COMMIT),
    "dated": (BEGIN, extended(DATED) + SYNC, row("0006"), COMMIT),
    "bound": (BEGIN, extended(BOUND, b"7", b"1") + SYNC, row("0007"), COMMIT),
    "doc": (BEGIN, DOC, row("0010"), COMMIT),
    "revision": (BEGIN, UPPER, REVISION, COMMIT),
    "prisma": (ANNOUNCE, PRISMA, FINISH),
    "five": (BEGIN, FIVE, THREE, row("0011"), COMMIT),
    "drop": (BEGIN, DROP_NOTE, row("0004"), COMMIT),
}
ELSEWHERE = (BEGIN, DOUBLE, NONE_LEFT, row("0009"), COMMIT)
"""Proven where "orders" had a column more; it begins as "double" does."""
REVOKED = (BEGIN, ZERO, row("0008"), COMMIT)


def _record(both: Pair, script: tuple[bytes | str, ...]) -> None:
    with Client(both.staging.dsn) as client:
        client.say(*script)


@pytest.fixture(scope="module")
def stage(
    clusters: Clusters, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stage]:
    """Production, and proofs from staging."""
    proxies = Proxies(clusters)
    cluster = clusters.get(17)
    folder = tmp_path_factory.mktemp("gate")
    guards = Guards(folder, cluster, cluster, proxies.start, approvals=0)
    both = guards.fresh(START)
    staging = both.staging
    superuser = staging.cluster.dsn(staging.database)
    _record(both, REVOKED)
    revoked = json.loads(staging.pgwarden("migration", "list", "--json"))[0]["id"]
    staging.pgwarden("migration", "revoke", revoked, "--by", "ci")
    run(superuser, "ALTER TABLE orders ADD COLUMN extra int")
    _record(both, ELSEWHERE)
    run(superuser, "ALTER TABLE orders DROP COLUMN extra")
    for script in PROVEN.values():
        _record(both, script)
    both.carry()
    made = Stage(both, clusters.logins(17).migrator)
    made.build()
    made.is_worn = True
    made.refresh()
    made.states["start"] = made.state()
    for name, script in PROVEN.items():
        made.states[name] = made.on_twin(known.steps(*script))
    # What is no transaction can be cut short, as on staging; its proof is used up then.
    half = {
        "more half": (MORE,),
        "more bare": (MORE, THRICE),
        "announced": (ANNOUNCE,),
        "prisma bare": (ANNOUNCE, PRISMA),
    }
    for name, script in half.items():
        made.states[name] = made.on_twin(known.steps(*script))
    yield made
    proxies.stop()


@pytest.mark.parametrize("name", PROVEN)
def test_what_is_proven_passes_once(name: str, stage: Stage) -> None:
    left = stage.on_guarded(known.steps(*PROVEN[name]))
    assert left == stage.states[name] != stage.states["start"]
    assert {use["step"] for use in stage.uses()} >= {"begun", "committed"}


def _hurts(
    stage: Stage, attack: Callable[[str], None], *, allowed: set[str] | None = None
) -> None:
    fine = allowed or set(stage.states.values())
    start = stage.states["start"]
    harmed = stage.on_twin(attack)
    assert harmed not in fine, f"no attack: the bare server has {_told(start, harmed)}"
    left = stage.on_guarded(attack)
    assert left in fine, _told(start, left)


def _told(start: str, found: str) -> str:
    """What of a state is another one."""
    if found.startswith("gone"):
        return found
    before, after = json.loads(start), json.loads(found)
    return str({each: after[each] for each in after if after[each] != before[each]})


@pytest.mark.parametrize("name", known.UNPROVEN)
def test_unproven(name: str, stage: Stage) -> None:
    _hurts(stage, known.UNPROVEN[name])


@pytest.mark.parametrize("name", runs.HALVES)
def test_half(name: str, stage: Stage) -> None:
    _hurts(stage, runs.HALVES[name])


@pytest.mark.parametrize("name", runs.TWICE)
def test_twice(name: str, stage: Stage) -> None:
    _hurts(stage, runs.TWICE[name])


@pytest.mark.parametrize("name", runs.OTHERWISE)
def test_otherwise(name: str, stage: Stage) -> None:
    _hurts(stage, runs.OTHERWISE[name])


@pytest.mark.parametrize("name", together.SCHEMAS)
def test_against_another_schema(name: str, stage: Stage) -> None:
    _hurts(stage, together.SCHEMAS[name])


@pytest.mark.parametrize("name", together.TOGETHER)
def test_together(name: str, stage: Stage) -> None:
    attack, ends = together.TOGETHER[name]
    _hurts(stage, attack, allowed={stage.states[each] for each in ends})


@pytest.mark.parametrize("name", known.HISTORY)
def test_history(name: str, stage: Stage) -> None:
    _hurts(stage, known.HISTORY[name])


@given(talk=any_talk.TALK)
@settings(max_examples=25, deadline=None, derandomize=True)
def test_any_talk(talk: any_talk.Talk, stage: Stage) -> None:
    """What `test_any_talk` of the unit tests says of the pure part, of it all."""
    real = dict(zip((*any_talk.ONE, *any_talk.OTHER), SAID, strict=True))
    real[any_talk.FOREIGN], real[any_talk.R3] = ZERO, row("0099")
    script = ["; ".join(real.get(each, each) for each in texts) for texts in talk]
    left = json.loads(stage.on_guarded(known.steps(*script)))
    parts = {name: json.loads(state) for name, state in stage.states.items()}
    customers = [parts[each]["customer"] for each in ("start", "double")]
    orders = [parts[each]["orders"] for each in ("start", "more half", "more bare")]
    assert left["customer"] in customers
    assert left["orders"] in orders
    rows = set(left["django"]) - set(parts["start"]["django"])
    assert rows <= {"shop0002", "shop0003"}
    assert ("shop0002" in rows) == (left["customer"] == customers[1])
    assert "shop0003" not in rows or left["orders"] == orders[2]


@pytest.fixture(scope="module")
def accepting(stage: Stage) -> Iterator[Stage]:
    """Production where what is unproven goes by the rules; after all the others."""
    production = stage.pair.production
    policy = stage.pair.folder / "production.yaml"
    before = policy.read_text("utf-8")
    policy.write_text(requiring("accept"))
    production.proxy.reload()
    planted = known.steps(together.PLANTED)
    until = time.monotonic() + 20
    while stage.on_guarded(planted) == stage.states["start"]:
        assert time.monotonic() < until, "it does not accept"
    yield stage
    policy.write_text(before)
    production.proxy.reload()


@pytest.mark.parametrize("name", together.MIXED)
def test_mixed_with_what_is_not_proven(name: str, accepting: Stage) -> None:
    attack, states = together.MIXED[name], accepting.states
    fine = [json.loads(states[each])["customer"] for each in ("start", "five")]
    harmed = json.loads(accepting.on_twin(attack))
    whole = json.loads(states["five"])
    is_harm = harmed["customer"] not in fine or "shop0011" not in harmed["django"]
    assert is_harm or harmed["orders"] != whole["orders"]
    left = json.loads(accepting.on_guarded(attack))
    assert left["customer"] in fine
    # The rules let a row of history pass; not so what a proof has without its row.
    assert left["customer"] == fine[0] or "shop0011" in left["django"]
