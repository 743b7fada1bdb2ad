"""Keys that come and go, issuers that are down, sessions that outlive their token."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import psycopg
import pytest

from tests.clients.token_rig import (
    JOBS,
    PASSWORD,
    Guard,
    guarded,
    identities,
    refusal,
)
from tests.integration.rig import ENDLESS, events, eventually

if TYPE_CHECKING:
    from pathlib import Path

    from tests.clients.issuer import RealIssuer
    from tests.fix_postgres import Clusters, Database

pytestmark = [pytest.mark.postgres, pytest.mark.slow, pytest.mark.timeout(120)]

COUNT = "select count(*) from customers"


@pytest.fixture
def guard(token_guard: Guard) -> Guard:
    return token_guard


def test_a_key_that_was_rotated_out_is_worth_nothing(
    clusters: Clusters, real_issuer: RealIssuer, shop17: Database, tmp_path: Path
) -> None:
    with guarded(clusters, real_issuer, tmp_path) as guard:
        old = real_issuer.job_token(JOBS)
        with psycopg.connect(**guard.options("deploy", shop17, password=old)):
            pass
        former = real_issuer.rotate()
        new = real_issuer.job_token(JOBS)

        def takes(token: str) -> bool:
            try:
                with psycopg.connect(**guard.options("deploy", shop17, password=token)):
                    return True
            except psycopg.OperationalError:
                return False

        # Found by its unknown name, once the issuer may be asked again.
        eventually(lambda: takes(new), within_s=15, what="the new key")
        assert not takes(old)
        assert not takes(former.sign(guard.claims()).decode())


def test_while_the_issuer_is_down_its_people_come_in_for_a_time(
    clusters: Clusters, real_issuer: RealIssuer, shop17: Database, tmp_path: Path
) -> None:
    with guarded(
        clusters, real_issuer, tmp_path, keys_fresh_s=1, keys_usable_s=16
    ) as guard:
        token = real_issuer.job_token(JOBS)
        options = guard.options("deploy", shop17, password=token)
        with psycopg.connect(**options):
            pass
        real_issuer.stop()
        try:
            with psycopg.connect(**options):
                pass
            time.sleep(16.5)
            said = refusal(guard, shop17, "deploy", token)
            assert "token authentication failed" in said
            notes = [event["note"] for event in events(guard.proxy, "login_refused")]
            assert "can't be had" in notes[-1]
            assert events(guard.proxy, "issuer_problem")
            # Who needs no issuer is not concerned.
            with psycopg.connect(**guard.options("bob", shop17, password=PASSWORD)):
                pass
        finally:
            real_issuer.start()

        def is_back() -> bool:
            try:
                with psycopg.connect(**options):
                    return True
            except psycopg.OperationalError:
                return False

        eventually(is_back, within_s=20, what="the issuer")


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
    other_audience = {"audience": "https://other.pgwarden.example"}
    with guarded(clusters, real_issuer, tmp_path, **other_audience) as other:
        assert "token authentication failed" in refusal(other, shop17, "deploy", token)


# --- and after the login -----------------------------------------------------


def test_a_session_ends_in_time_in_the_middle_of_its_work(
    clusters: Clusters, real_issuer: RealIssuer, shop17: Database, tmp_path: Path
) -> None:
    with guarded(clusters, real_issuer, tmp_path, max_session_s=3) as guard:
        token = real_issuer.job_token(JOBS)
        link = psycopg.connect(**guard.options("deploy", shop17, password=token))
        link.execute("create table half_done (id int)")
        began = time.monotonic()
        with pytest.raises(psycopg.OperationalError, match="opened by a token"):
            link.execute(ENDLESS)
        assert time.monotonic() - began < 6
        link.close()
        # By password they stay.
        with psycopg.connect(**guard.options("bob", shop17, password=PASSWORD)) as bob:
            time.sleep(4)
            row = bob.execute("select to_regclass('half_done')").fetchone()
            assert row == (None,)


@pytest.mark.parametrize("how", ["disabled", "other claims"])
def test_a_session_outlives_its_token_but_not_its_identity(
    clusters: Clusters,
    real_issuer: RealIssuer,
    shop17: Database,
    tmp_path: Path,
    how: str,
) -> None:
    with guarded(clusters, real_issuer, tmp_path, leeway_s=0) as guard:
        key = real_issuer.key
        token = key.sign(guard.claims(exp=int(time.time()) + 2)).decode()
        link = psycopg.connect(
            **guard.options("deploy", shop17, password=token), autocommit=True
        )
        time.sleep(2.1)
        assert "HINT" in refusal(guard, shop17, "deploy", token)
        assert link.execute(COUNT).fetchone()
        document = identities()
        # No claim that is looked at again, but the token would not do any more.
        entry = next(e for e in document["identities"] if e["name"] == "deploy")
        if how == "disabled":
            entry["disabled"] = True
        else:
            entry["token"]["claims"]["environment"] = "staging"
        (tmp_path / "identities.yaml").write_text(json.dumps(document))
        guard.proxy.reload()

        def is_over() -> bool:
            try:
                link.execute("select 1")
            except psycopg.OperationalError:
                return True
            return False

        eventually(is_over, within_s=2)
        link.close()
