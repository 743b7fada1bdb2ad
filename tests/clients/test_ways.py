"""Every way to log in, by every client that is named in the table: right and wrong.

Deeper looks: `test_channel_binding.py`, `test_client_certificates.py`, `test_tls.py` of
tests/integration; `test_tokens.py` and `test_bearer.py` beside this.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.clients.drivers import Drivers
from tests.clients.token_rig import guarded
from tests.clients.ways import TABLE, attempts
from tests.integration.knocker import Middle

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.clients.issuer import RealIssuer
    from tests.clients.token_rig import Guard
    from tests.clients.ways import Attempt
    from tests.fix_postgres import Clusters, Database

pytestmark = [pytest.mark.postgres, pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def guard(
    clusters: Clusters,
    real_issuer: RealIssuer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Guard]:
    """One that takes all of them."""
    folder = tmp_path_factory.mktemp("ways")
    with guarded(clusters, real_issuer, folder, takes_certificates=True) as found:
        yield found


@pytest.fixture
def drivers(
    guard: Guard, shop17: Database, node_modules: Path, tmp_path: Path
) -> Drivers:
    return Drivers(guard, shop17, modules=node_modules, folder=tmp_path)


@pytest.mark.parametrize("client", TABLE)
def test_each_way(
    guard: Guard, shop17: Database, drivers: Drivers, client: str
) -> None:
    proxy, chain = guard.proxy, guard.chain
    with Middle(proxy.host, proxy.port, chain) as middle:
        tries = attempts(guard, middle.port)
        said = drivers.log_in(client, tries)
    found = {
        (each.way, each.case): heard for each, heard in zip(tries, said, strict=True)
    }
    inside = {at for at, heard in found.items() if heard == "ok"}
    assert inside == {(way, "right") for way in TABLE[client]}, found
    able = [each for each in tries if each.way in TABLE[client]]
    for each in able:
        assert each.is_right or each.expected in found[each.way, each.case], each
    starts = [
        (record["identity"], record["authentication"])
        for record in proxy.records()
        if record["kind"] == "session.start" and record["database"] == shop17.name
    ]
    assert starts == [(each.user, how(each, client)) for each in able if each.is_right]


def how(right: Attempt, client: str) -> str:
    """What the log must call it."""
    if "scram-plus" in TABLE[client]:
        return right.expected
    return right.expected.removesuffix("-plus")
