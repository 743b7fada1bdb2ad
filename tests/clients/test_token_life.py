"""Keys that come and go, issuers that are down, sessions that outlive their token."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import psycopg
import pytest

from proxy.server.token_logins import ASKED_WHERE
from tests.clients.drivers import by_libpq
from tests.clients.token_rig import (
    ANN,
    JOBS,
    PASSWORD,
    PEOPLE,
    Guard,
    guarded,
    identities,
    refusal,
)
from tests.integration.rig import ENDLESS, events, eventually, metric

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.clients.issuer import RealIssuer
    from tests.fix_postgres import Clusters, Database

pytestmark = [pytest.mark.postgres, pytest.mark.slow, pytest.mark.timeout(120)]

NO_KEYS = 'pgwarden_tokens_total{issuer="forge",result="no_keys"}'
COUNT = "select count(*) from customers"


@pytest.fixture
def guard(token_guard: Guard) -> Guard:
    return token_guard


@pytest.fixture(scope="module")
def quick(
    clusters: Clusters,
    real_issuer: RealIssuer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Guard]:
    """One that asks for keys every second, and uses them for a few."""
    folder = tmp_path_factory.mktemp("quick")
    with guarded(
        clusters, real_issuer, folder, keys_fresh_s=1, keys_usable_s=6
    ) as found:
        yield found


def takes(guard: Guard, shop: Database, token: str) -> bool:
    try:
        with psycopg.connect(**guard.options("deploy", shop, password=token)):
            return True
    except psycopg.OperationalError:
        return False


def test_a_key_that_was_rotated_out_is_worth_nothing(
    quick: Guard, real_issuer: RealIssuer, shop17: Database
) -> None:
    old = real_issuer.job_token(JOBS)
    assert takes(quick, shop17, old)
    former = real_issuer.rotate()
    new = real_issuer.job_token(JOBS)
    # Found by its unknown name, once the issuer may be asked again.
    eventually(lambda: takes(quick, shop17, new), within_s=15, what="the new key")
    assert not takes(quick, shop17, old)
    assert not takes(quick, shop17, former.sign(quick.claims()).decode())


def test_while_the_issuer_is_down_its_people_come_in_for_a_time(
    quick: Guard, real_issuer: RealIssuer, shop17: Database
) -> None:
    token = real_issuer.job_token(JOBS)
    assert takes(quick, shop17, token)
    real_issuer.stop()
    try:
        assert takes(quick, shop17, token)
        eventually(lambda: not takes(quick, shop17, token), 30, "the keys' end")
        said = refusal(quick, shop17, "deploy", token)
        assert "token authentication failed" in said
        assert metric(quick.proxy, NO_KEYS)
        assert events(quick.proxy, "issuer_problem")
        # Who needs no issuer is not concerned.
        with psycopg.connect(**quick.options("bob", shop17, password=PASSWORD)):
            pass
    finally:
        real_issuer.start()
    eventually(lambda: takes(quick, shop17, token), within_s=20, what="the issuer")


def test_a_token_for_one_pgwarden_is_of_no_use_at_another(
    clusters: Clusters,
    guard: Guard,
    real_issuer: RealIssuer,
    shop17: Database,
    tmp_path: Path,
) -> None:
    token = real_issuer.job_token(JOBS)
    with psycopg.connect(**guard.options("deploy", shop17, password=token)):
        pass
    another = "https://other.pgwarden.example"
    with guarded(clusters, real_issuer, tmp_path, audience=another) as other:
        assert "token authentication failed" in refusal(other, shop17, "deploy", token)
        claims = other.claims(another, repository="acme/shop2")
        fork = real_issuer.key.sign(claims)
        assert "token authentication failed" in refusal(other, shop17, "deploy", fork)
        assert "error" in by_libpq(other, shop17, token)
        first, second, *rest = [
            event["note"] for event in events(other.proxy, "login_refused")
        ]
    # What its operator reads, and no client.
    assert "meant for another audience" in first
    assert 'claim "repository"' in second
    assert any(ASKED_WHERE in note for note in rest)


# --- and after the login -----------------------------------------------------


def test_a_session_ends_in_time_in_the_middle_of_its_work(
    clusters: Clusters, real_issuer: RealIssuer, shop17: Database, tmp_path: Path
) -> None:
    with (
        guarded(clusters, real_issuer, tmp_path, max_session_s=2) as guard,
        # By password they stay.
        psycopg.connect(**guard.options("bob", shop17, password=PASSWORD)) as bob,
    ):
        token = real_issuer.job_token(JOBS)
        link = psycopg.connect(**guard.options("deploy", shop17, password=token))
        link.execute("create table half_done (id int)")
        began = time.monotonic()
        with pytest.raises(psycopg.OperationalError, match="opened by a token"):
            link.execute(ENDLESS)
        assert time.monotonic() - began < 6
        link.close()
        # His session is the older one, and table and backend are gone.
        query = "select to_regclass('half_done')"
        assert bob.execute(query).fetchone() == (None,)


def test_a_session_outlives_its_token_but_not_its_identity(
    clusters: Clusters, real_issuer: RealIssuer, shop17: Database, tmp_path: Path
) -> None:
    with guarded(clusters, real_issuer, tmp_path, leeway_s=0) as guard:
        soon = int(time.time()) + 3
        person = {"exp": soon, "email": ANN, "email_verified": True}
        sign = real_issuer.key.sign
        tokens = {
            "deploy": sign(guard.claims(exp=soon)).decode(),
            ANN: sign(guard.claims(PEOPLE, **person)).decode(),
        }
        links = [
            psycopg.connect(
                **guard.options(name, shop17, password=token), autocommit=True
            )
            for name, token in tokens.items()
        ]
        time.sleep(max(0.0, soon - time.time()) + 0.1)
        for name, token in tokens.items():
            assert "HINT" in refusal(guard, shop17, name, token)
        assert all(link.execute(COUNT).fetchone() for link in links)
        document = identities()
        by_name = {each["name"]: each for each in document["identities"]}
        by_name[ANN]["disabled"] = True
        # No claim that is looked at again, but the token would not do any more.
        by_name["deploy"]["token"]["claims"]["environment"] = "staging"
        (tmp_path / "identities.yaml").write_text(json.dumps(document))
        guard.proxy.reload()
        eventually(lambda: all(map(is_over, links)), within_s=2)
        for link in links:
            link.close()


def is_over(link: psycopg.Connection) -> bool:
    try:
        link.execute("select 1")
    except psycopg.OperationalError:
        return True
    return False
