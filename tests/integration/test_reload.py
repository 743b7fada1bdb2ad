"""A changed policy or identities file: all of it or nothing, for sessions that live."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import psycopg
import pytest
import yaml

from tests.fix_proxy import ungated_text
from tests.integration.rig import (
    ENDLESS,
    Raw,
    backends,
    events,
    eventually,
    metric,
    query,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.fix_postgres import Database
    from tests.fix_proxy import Proxy, StartProxy

pytestmark = pytest.mark.postgres

OK = 'pgwarden_policy_reloads_total{result="ok"}'
REFUSED = 'pgwarden_policy_reloads_total{result="refused"}'


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    """A copy of production's policy, to be changed."""
    path = tmp_path / "policy.yaml"
    path.write_text(ungated_text(), "utf-8")
    return path


@pytest.fixture
def proxy(start_proxy: StartProxy, shop17: Database, policy: Path) -> Proxy:
    return start_proxy(shop17.cluster, policy=policy)


def by_signal(proxy: Proxy, path: Path, text: str) -> None:
    """The file is changed, then SIGHUP: one reload, not two."""
    path.write_text(text)
    proxy.reload()


def by_writing(_: Proxy, path: Path, text: str) -> None:
    """As an editor does that writes in place, slowly."""
    with path.open("w") as file:
        for line in text.splitlines(keepends=True):
            file.write(line)
        file.flush()


def by_renaming(_: Proxy, path: Path, text: str) -> None:
    """As configuration management does."""
    other = path.with_name("new")
    other.write_text(text)
    other.rename(path)


def forbids_customers(text: str) -> str:
    content = yaml.safe_load(text)
    rule = {
        "id": "test.customers",
        "forbid": {"relations": [{"access": "*", "names": ["customers"]}]},
        "reason": "not these",
        "hint": "others",
    }
    content["roles"]["developer"]["rules"].append(rule)
    return yaml.safe_dump(content, sort_keys=False)


@pytest.mark.parametrize("change", [by_signal, by_writing, by_renaming])
def test_living_sessions_follow_from_their_next_statement(
    proxy: Proxy,
    shop17: Database,
    policy: Path,
    change: Callable[[Proxy, Path, str], None],
) -> None:
    with psycopg.connect(
        proxy.dsn("developer", shop17.name), autocommit=True
    ) as connection:
        connection.prepare_threshold = 0
        asked = "select count(*) from customers"
        for _ in range(3):
            assert connection.execute(asked).fetchone() == (1000,)
        connection.execute("prepare mine as select count(*) from customers")
        before = metric(proxy, OK)
        change(proxy, policy, forbids_customers(policy.read_text()))
        eventually(lambda: metric(proxy, OK) == before + 1, 10)
        for text in (asked, "execute mine", "select name from customers"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(text, prepare=text == asked)
        assert connection.execute("select count(*) from orders").fetchone()
    (told,) = events(proxy, "reloaded")
    assert told["sessions"] == 1
    assert told["sessions_ended"] == 0


BROKEN = {
    "not-yaml": ("roles: [", "not YAML"),
    "unknown-key": ("version: 1\nname: x\nrolls: {}\n", 'unknown key "rolls"'),
    "empty": ("", ""),
    "deep": ("[" * 5_000, ""),
    "nul": ("version: \0", ""),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_policy_is_refused_as_a_whole(
    proxy: Proxy, shop17: Database, policy: Path, name: str
) -> None:
    text, said = BROKEN[name]
    with psycopg.connect(proxy.dsn("developer", shop17.name), autocommit=True) as c:
        by_signal(proxy, policy, text)
        eventually(lambda: metric(proxy, REFUSED) == 1)
        assert c.execute("select count(*) from customers").fetchone() == (1000,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            c.execute("drop table customers")
    (told,) = events(proxy, "reload_refused")
    assert said in told["error"]
    assert str(policy) in told["error"]
    if name == "unknown-key":
        assert (
            f'{policy}:3: unknown key "rolls"; did you mean "roles"?' in told["error"]
        )
    # And the one that follows, once it is right again.
    by_renaming(proxy, policy, forbids_customers(ungated_text()))
    eventually(lambda: metric(proxy, OK) == 2, 10)


def test_a_policy_that_is_gone_stays_in_force(
    proxy: Proxy, shop17: Database, policy: Path
) -> None:
    policy.unlink()
    eventually(lambda: metric(proxy, REFUSED) == 1, 10)
    with (
        psycopg.connect(proxy.dsn("developer", shop17.name), autocommit=True) as c,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        c.execute("drop table customers")
    (told,) = events(proxy, "reload_refused")
    assert "can't be read" in told["error"]


def test_the_swapped_link_of_a_config_map_is_noticed(
    start_proxy: StartProxy, shop17: Database, tmp_path: Path
) -> None:
    """Kubernetes: policy.yaml -> ..data/policy.yaml, and ..data -> a new folder."""
    for version in ("one", "two"):
        (tmp_path / version).mkdir()
    (tmp_path / "one" / "policy.yaml").write_text(ungated_text(), "utf-8")
    (tmp_path / "two" / "policy.yaml").write_text(forbids_customers(ungated_text()))
    (tmp_path / "..data").symlink_to("one")
    (tmp_path / "policy.yaml").symlink_to("..data/policy.yaml")
    proxy = start_proxy(shop17.cluster, policy=tmp_path / "policy.yaml")
    (tmp_path / "..next").symlink_to("two")
    (tmp_path / "..next").rename(tmp_path / "..data")
    eventually(lambda: metric(proxy, OK) == 2, 10)


def without(proxy: Proxy, name: str, **changed: object) -> None:
    """Remove an identity, or change its entry."""
    path = proxy.folder / "identities.yaml"
    content = yaml.safe_load(path.read_text())
    entries = content["identities"]
    (entry,) = (each for each in entries if each["name"] == name)
    if changed:
        entry.update(changed)
    else:
        entries.remove(entry)
    path.write_text(yaml.safe_dump(content))


@pytest.mark.parametrize(
    "changed",
    [{}, {"disabled": True}, {"role": "auditor"}],
    ids=["gone", "off", "role"],
)
def test_sessions_of_an_identity_that_is_gone_end(
    proxy: Proxy, shop17: Database, changed: dict[str, object]
) -> None:
    with (
        Raw(proxy.dsn("developer", shop17.name)) as out,
        psycopg.connect(proxy.dsn("migrator", shop17.name), autocommit=True) as stays,
    ):
        without(proxy, proxy.user("developer"), **changed)
        started = time.monotonic()
        said = out.rest()
        assert time.monotonic() - started < 10
        assert b"C57P01\0" in said
        assert stays.execute("select 1").fetchone() == (1,)
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(proxy.dsn("developer", shop17.name))


def test_a_new_password_counts_and_the_old_one_does_not(
    proxy: Proxy, shop17: Database
) -> None:
    from proxy.auth.secrets import make_secret  # noqa: PLC0415 - only here

    without(
        proxy,
        proxy.user("developer"),
        secret=make_secret("changed", salt=os.urandom(16)).encode(),
    )
    proxy.reload()
    eventually(lambda: metric(proxy, OK) >= 2, 10)
    with pytest.raises(psycopg.OperationalError, match="password authentication"):
        psycopg.connect(proxy.dsn("developer", shop17.name))
    psycopg.connect(proxy.dsn("developer", shop17.name), password="changed").close()


def test_every_worker_follows(
    start_proxy: StartProxy, shop17: Database, policy: Path
) -> None:
    proxy = start_proxy(shop17.cluster, policy=policy, settings={"workers": 2})
    before = metric(proxy, OK)
    by_renaming(proxy, policy, forbids_customers(policy.read_text()))
    eventually(lambda: metric(proxy, OK) == before + 2, 10)
    for _ in range(6):
        with (
            psycopg.connect(proxy.dsn("developer", shop17.name)) as connection,
            pytest.raises(psycopg.errors.InsufficientPrivilege),
        ):
            connection.execute("select 1 from customers")


def test_the_audit_log_says_what_changed_in_the_file(
    start_proxy: StartProxy, shop17: Database
) -> None:
    proxy = start_proxy(shop17.cluster, settings={"workers": 2})
    without(proxy, proxy.user("developer"), disabled=True)
    without(proxy, proxy.user("auditor"))
    eventually(lambda: '"removed"' in audit_text(proxy), 10)
    time.sleep(1)  # the other worker has looked by then, and says nothing
    told = [each for each in proxy.records() if each["kind"] == "internal"]
    details = [each["detail"] for each in told]
    assert {each["purpose"] for each in told} == {"identities.changed"}
    merged = {key: value for each in details for key, value in each.items()}
    assert merged == {"changed": "dev", "removed": "audit"}
    assert "SCRAM" not in str(told)


def audit_text(proxy: Proxy) -> str:
    return "".join(each.read_text() for each in proxy.audit_folder.glob("*.jsonl"))


def test_time_runs_out_during_a_session(proxy: Proxy, shop17: Database) -> None:
    """Nothing is changed when it does: the clock alone ends it."""
    from datetime import UTC, datetime, timedelta  # noqa: PLC0415 - only here

    until = datetime.now(UTC) + timedelta(seconds=3)
    without(proxy, proxy.user("developer"), valid_until=until.isoformat())
    eventually(lambda: metric(proxy, OK) == 2, 10)
    with Raw(proxy.dsn("developer", shop17.name)) as out:
        out.send(query(ENDLESS))
        assert b"was valid until" in out.rest()
        assert 0 <= (datetime.now(UTC) - until).total_seconds() < 2
    eventually(lambda: backends(shop17) == 0)
