"""Client certificates by real clients over TLS: right, and wrong in every way."""

from __future__ import annotations

import ssl
import subprocess
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import asyncpg
import psycopg
import pytest
import yaml
from cryptography import x509

from tests.authority import DAY
from tests.clients.tools import bare_environment
from tests.fix_postgres import TEMPLATE, bin_dir, open_template
from tests.fix_proxy import Proxies
from tests.integration.certified import DEPLOY, IDENTITIES, Door, open_door
from tests.integration.knocker import PLAIN, PLUS, Knocker, lenient
from tests.integration.rig import events, eventually, until_closed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from proxy.demo.postgres import Cluster
    from tests.authority import Issued
    from tests.fix_postgres import Clusters

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(90)]


@pytest.fixture(scope="module")
def door(
    clusters: Clusters, postgres17: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Door]:
    proxies = Proxies(clusters)
    open_template(clusters, postgres17)
    yield open_door(proxies, postgres17, tmp_path_factory.mktemp("door"))
    proxies.stop()


@pytest.fixture
def own_door(clusters: Clusters, postgres17: Cluster, tmp_path: Path) -> Iterator[Door]:
    """For tests that change its files."""
    proxies = Proxies(clusters)
    open_template(clusters, postgres17)
    yield open_door(proxies, postgres17, tmp_path)
    proxies.stop()


# --- clients -----------------------------------------------------------------------


def by_psql(
    major: int, door: Door, user: str, shown: Issued | None, password: str
) -> str:
    environment = bare_environment() | {
        "PGHOST": door.proxy.host,
        "PGPORT": str(door.proxy.port),
        "PGUSER": user,
        "PGPASSWORD": password,
        "PGDATABASE": TEMPLATE,
        "PGSSLMODE": "require",
    }
    if shown is not None:
        environment |= {"PGSSLCERT": str(shown.path), "PGSSLKEY": str(shown.key)}
    done = subprocess.run(
        [bin_dir(major) / "psql", "-XAtwc", "select 'ok'"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    return done.stdout.strip() if done.returncode == 0 else done.stderr


def by_psycopg(door: Door, user: str, shown: Issued | None, password: str) -> str:
    chain = {}
    if shown is not None:
        chain = {"sslcert": str(shown.path), "sslkey": str(shown.key)}
    try:
        with psycopg.connect(
            host=door.proxy.host,
            port=door.proxy.port,
            user=user,
            password=password,
            dbname=TEMPLATE,
            sslmode="require",
            **chain,  # type: ignore[arg-type]
        ) as connection:
            assert connection.execute("select 1").fetchone() == (1,)
    except psycopg.OperationalError as error:
        return str(error)
    return "ok"


async def by_asyncpg(door: Door, user: str, shown: Issued | None, password: str) -> str:
    try:
        connection = await asyncpg.connect(
            host=door.proxy.host,
            port=door.proxy.port,
            user=user,
            password=password,
            database=TEMPLATE,
            ssl=lenient(None if shown is None else shown.chain),
        )
    except (asyncpg.PostgresError, OSError, asyncpg.InterfaceError) as error:
        await until_closed()
        return f"{type(error).__name__}: {error}"
    assert await connection.fetchval("select 1") == 1
    await connection.close()
    return "ok"


CLIENTS = ("psql15", "psql17", "psycopg", "asyncpg")


async def connect(
    client: str, door: Door, user: str, shown: Issued | None, password: str = "right"
) -> str:
    if client == "asyncpg":
        return await by_asyncpg(door, user, shown, password)
    if client == "psycopg":
        return by_psycopg(door, user, shown, password)
    return by_psql(int(client[4:]), door, user, shown, password)


def last_start(door: Door) -> dict[str, Any]:
    return [r for r in door.proxy.records() if r["kind"] == "session.start"][-1]


# --- right -------------------------------------------------------------------------


@pytest.mark.parametrize("client", CLIENTS)
async def test_the_certificate_of_the_identity_is_enough(
    door: Door, client: str
) -> None:
    shown = door.deploy()
    assert await connect(client, door, "deploy", shown, "") == "ok"
    start = last_start(door)
    assert (start["identity"], start["role"]) == ("deploy", "migrator")
    assert start["authentication"] == "certificate"
    assert start["login_rule"] == "login.deploy"
    assert start["proof"] == {
        "subject": "CN=any,O=Example",
        "issuer": "CN=People CA,O=Example",
        "serial": f"{shown.certificate.serial_number:X}",
    }


@pytest.mark.parametrize("client", CLIENTS)
async def test_a_common_name_where_the_identity_says_so(
    door: Door, client: str
) -> None:
    shown = door.authority.issue("nightly")
    assert await connect(client, door, "nightly", shown, "") == "ok"


@pytest.mark.parametrize("client", CLIENTS)
async def test_certificate_and_password_together(door: Door, client: str) -> None:
    shown = door.both()
    assert await connect(client, door, "both", shown) == "ok"
    bound = "" if client == "asyncpg" else "-plus"
    start = last_start(door)
    assert start["authentication"] == f"certificate+scram-sha-256{bound}"
    assert start["proof"]["subject"] == "CN=any,O=Example"
    said = await connect(client, door, "both", shown, "wrong")
    assert "password authentication failed" in said


@pytest.mark.parametrize("client", CLIENTS)
async def test_who_needs_no_certificate_may_show_none_or_a_good_one(
    door: Door, client: str
) -> None:
    for shown in (None, door.deploy()):
        assert await connect(client, door, "dev", shown) == "ok"
        assert "proof" not in last_start(door)


# --- wrong -------------------------------------------------------------------------


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("user", ["deploy", "nightly", "gone", "nobody"])
async def test_no_certificate(door: Door, client: str, user: str) -> None:
    """An unknown name is asked for a password here, and so is everyone else."""
    said = await connect(client, door, user, None)
    assert f'password authentication failed for user "{user}"' in said
    if client != "asyncpg":
        assert "Some logins here take a client certificate" in said


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize(
    ("user", "common_name", "uri"),
    [
        ("deploy", "deploy", ""),
        ("deploy", "any", "spiffe://example.com/nightly"),
        ("deploy", "any", "spiffe://example.com/deploy/"),
        ("nightly", "any", "spiffe://example.com/nightly"),
        ("nightly", "Nightly", ""),
        ("gone", "gone", ""),
        ("nobody", "nobody", ""),
    ],
)
async def test_a_certificate_of_another_name(
    door: Door, client: str, user: str, common_name: str, uri: str
) -> None:
    names = [x509.UniformResourceIdentifier(uri)] if uri else []
    shown = door.authority.issue(common_name, names=names)
    said = await connect(client, door, user, shown)
    assert f'password authentication failed for user "{user}"' in said


def refused_by_tls(door: Door) -> list[str]:
    return [str(each["error"]) for each in events(door.proxy, "tls_failed")]


def is_longer(door: Door, count: int) -> bool:
    return len(refused_by_tls(door)) > count


async def is_refused_by_tls(
    client: str, door: Door, shown: Issued, reason: str
) -> None:
    """With a password too, though that alone would be enough for some."""
    for user in ("deploy", "dev"):
        count = len(refused_by_tls(door))
        assert await connect(client, door, user, shown) != "ok"
        eventually(partial(is_longer, door, count))
        assert reason in refused_by_tls(door)[-1]
    assert await connect(client, door, "dev", None) == "ok"


@pytest.mark.parametrize("client", CLIENTS)
async def test_an_expired_certificate(door: Door, client: str) -> None:
    shown = door.authority.issue("any", names=[DEPLOY], until=-DAY)
    await is_refused_by_tls(client, door, shown, "certificate has expired")


@pytest.mark.parametrize("client", CLIENTS)
async def test_a_certificate_of_another_authority(door: Door, client: str) -> None:
    shown = door.other.issue("any", names=[DEPLOY])
    await is_refused_by_tls(client, door, shown, "unable to get local issuer")


@pytest.mark.parametrize("client", CLIENTS)
async def test_a_certificate_that_was_made_for_servers(door: Door, client: str) -> None:
    shown = door.authority.issue("any", names=[DEPLOY], for_clients=False)
    await is_refused_by_tls(client, door, shown, "unsuitable certificate purpose")


async def test_a_revoked_certificate(own_door: Door) -> None:
    door = own_door
    shown = door.deploy()
    for client in CLIENTS:
        assert await connect(client, door, "deploy", shown, "") == "ok", client
    door.revoke(shown)
    eventually(lambda: events(door.proxy, "reloaded"))
    for client in CLIENTS:
        await is_refused_by_tls(client, door, shown, "certificate revoked")


async def test_an_outdated_revocation_list_vouches_for_nobody(own_door: Door) -> None:
    door = own_door
    door.crl.write_bytes(door.authority.revocation_list(next_update=-DAY))
    eventually(lambda: events(door.proxy, "revocation_list_outdated"))
    for client in CLIENTS:
        assert await connect(client, door, "deploy", door.deploy(), "") != "ok", client
        assert await connect(client, door, "dev", None) == "ok", client


async def test_a_broken_revocation_list_changes_nothing(own_door: Door) -> None:
    door = own_door
    taken_back, good = door.deploy(), door.deploy()
    door.revoke(taken_back)
    eventually(lambda: events(door.proxy, "reloaded"))
    door.crl.write_text("broken")
    eventually(lambda: events(door.proxy, "renewal_refused"))
    assert by_psycopg(door, "deploy", good, "") == "ok"
    assert by_psycopg(door, "deploy", taken_back, "") != "ok"


def session(door: Door, user: str, shown: Issued) -> psycopg.Connection[Any]:
    return psycopg.connect(
        host=door.proxy.host,
        port=door.proxy.port,
        user=user,
        dbname=TEMPLATE,
        sslmode="require",
        sslcert=str(shown.path),
        sslkey=str(shown.key),
    )


def ends(door: Door) -> list[str]:
    """Why sessions have ended."""
    found = [r for r in door.proxy.records() if r["kind"] == "session.end"]
    return [str(end["reason"]) for end in found]


def is_alive(connection: psycopg.Connection[Any]) -> bool:
    try:
        connection.execute("select 1")
    except psycopg.Error:
        return False
    return True


def test_a_session_ends_when_its_certificate_is_revoked(own_door: Door) -> None:
    door = own_door
    taken_back, good = door.deploy(), door.deploy()
    with (
        session(door, "deploy", taken_back) as one,
        session(door, "deploy", good) as two,
    ):
        assert is_alive(one)
        assert is_alive(two)
        door.revoke(taken_back)
        eventually(lambda: not is_alive(one), 3.0)
        assert is_alive(two)
    eventually(lambda: any("was revoked" in each for each in ends(door)))


def test_who_is_on_the_way_in_when_it_is_revoked_does_not_come_in(
    own_door: Door,
) -> None:
    """Between handshake and session there is nothing yet that could be ended."""
    door = own_door
    shown = door.both()
    tls = lenient(shown.chain)
    with Knocker(door.proxy.host, door.proxy.port, tls=tls) as knocker:
        knocker.start("both", TEMPLATE).offers()
        door.revoke(shown)
        eventually(lambda: events(door.proxy, "reloaded"))
        error = knocker.prove("right").error()
    assert error["C"] == "28000"
    assert error["M"] == 'the client certificate "CN=any,O=Example" was revoked'


def test_who_is_on_the_way_in_when_it_is_disabled_does_not_come_in(
    own_door: Door,
) -> None:
    door = own_door
    with Knocker(door.proxy.host, door.proxy.port) as knocker:
        knocker.start("dev", TEMPLATE).offers()
        changed = [{**each, "disabled": True} for each in IDENTITIES]
        (door.folder / "identities.yaml").write_text(
            yaml.safe_dump({"version": 1, "identities": changed})
        )
        eventually(lambda: events(door.proxy, "reloaded"))
        error = knocker.prove("right").error()
    assert error["C"] == "28000"
    assert "was removed or changed" in error["M"]


def test_a_broken_policy_does_not_keep_a_revocation_out(own_door: Door) -> None:
    door = own_door
    shown = door.deploy()
    with session(door, "deploy", shown) as connection:
        assert is_alive(connection)
        (door.folder / "policy.yaml").write_text("broken")
        door.revoke(shown)
        eventually(lambda: not is_alive(connection), 3.0)


def test_a_session_ends_when_the_identity_gets_another_certificate(
    own_door: Door,
) -> None:
    door = own_door
    with session(door, "deploy", door.deploy()) as connection:
        assert is_alive(connection)
        changed = [
            {**each, "certificate": {"uri": "spiffe://example.com/new"}}
            if each["name"] == "deploy"
            else each
            for each in IDENTITIES
        ]
        (door.folder / "identities.yaml").write_text(
            yaml.safe_dump({"version": 1, "identities": changed})
        )
        eventually(lambda: not is_alive(connection), 3.0)


# --- by hand -----------------------------------------------------------------------


def test_known_and_unknown_names_look_the_same_to_who_has_no_certificate(
    door: Door,
) -> None:
    def seen(user: str) -> list[object]:
        with Knocker(door.proxy.host, door.proxy.port, tls=lenient()) as knocker:
            offers = knocker.start(user).offers()
            error = knocker.prove("wrong").error()
        return [offers, {key: said.replace(user, "?") for key, said in error.items()}]

    wanted = seen("nobody")
    assert wanted[0] == (PLUS, PLAIN)
    for user in ("dev", "deploy", "nightly", "gone", "both"):
        assert seen(user) == wanted


def test_the_right_password_without_the_certificate_tells_nothing(door: Door) -> None:
    """Half a proof is no oracle for it."""
    for user in ("both", "nightly"):
        with Knocker(door.proxy.host, door.proxy.port, tls=lenient()) as knocker:
            knocker.start(user, TEMPLATE).offers()
            error = knocker.prove("right").error()
        assert error["M"] == f'password authentication failed for user "{user}"'
        assert error["C"] == "28P01"


def test_a_session_of_tls_outlives_no_revocation(own_door: Door) -> None:
    """Taken up again, its certificate is not looked at anew by OpenSSL."""
    door = own_door
    returning = [
        Returning(door, version, door.deploy())
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
    ]
    for each in returning:
        assert each.knock()
        assert each.knock()
    door.revoke(*(each.shown for each in returning))
    eventually(lambda: events(door.proxy, "reloaded"))
    for each in returning:
        count = len(refused_by_tls(door))
        try:
            assert not each.knock()
        except (ssl.SSLError, OSError):
            eventually(partial(is_longer, door, count))
            assert "certificate revoked" in refused_by_tls(door)[-1]


@dataclass
class Returning:
    """A client that comes again with the TLS session that it had."""

    door: Door
    version: ssl.TLSVersion
    shown: Issued
    kept: ssl.SSLSession | None = None

    def __post_init__(self) -> None:
        self.context = lenient(self.shown.chain)
        self.context.maximum_version = self.version

    def knock(self) -> bool:
        proxy, kept = self.door.proxy, self.kept
        with Knocker(proxy.host, proxy.port, tls=self.context, session=kept) as one:
            is_in = one.start("deploy", TEMPLATE).is_in()
            self.kept = one.socket.session  # type: ignore[attr-defined]
            if self.version is ssl.TLSVersion.TLSv1_3:
                assert not one.is_taken_up
        return is_in


def test_plain_text_from_loopback_does_not_get_round_it(door: Door) -> None:
    """Where the rule fits it, too; `policy lint` names those that do not."""
    with Knocker(door.proxy.host, door.proxy.port) as knocker:
        knocker.start("nightly", TEMPLATE).offers()
        error = knocker.prove("right").error()
    assert error["M"] == 'password authentication failed for user "nightly"'
