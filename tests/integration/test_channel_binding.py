"""SCRAM-SHA-256-PLUS by real clients, and what becomes of somebody in the middle."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import asyncpg
import psycopg
import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

from proxy.auth.channel_binding import end_point_hash
from proxy.demo import privileges
from tests.clients.tools import bare_environment
from tests.fix_postgres import TEMPLATE, bin_dir, new_cluster, open_template
from tests.fix_proxy import Proxies, ungated_text
from tests.integration.knocker import PLAIN, PLUS, Knocker, Middle, lenient
from tests.integration.rig import eventually, until_closed
from tests.scram_speaker import ScramSpeaker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from proxy.demo.postgres import Cluster
    from tests.fix_postgres import Clusters
    from tests.fix_proxy import Proxy, StartProxy

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(90)]

RULES = """
authentication:
  - {id: login.bound, when: {roles: [developer]}, method: scram-plus}
  - {id: login.rest, method: scram}
"""


@dataclass(frozen=True)
class Chain:
    """A certificate for "localhost" and its key, on disk."""

    certificate: Path
    key: Path

    @property
    def hash(self) -> bytes:
        found = x509.load_pem_x509_certificate(self.certificate.read_bytes())
        hashed = end_point_hash(found.public_bytes(Encoding.DER))
        assert hashed is not None
        return hashed

    @property
    def settings(self) -> dict[str, object]:
        return {"tls": {"certificate": str(self.certificate), "key": str(self.key)}}


AUTHORITY = trustme.CA()


def issue(folder: Path, name: str) -> Chain:
    made = AUTHORITY.issue_cert("localhost", "127.0.0.1")
    chain = Chain(folder / f"{name}.pem", folder / f"{name}.key")
    made.cert_chain_pems[0].write_to_path(chain.certificate)
    made.private_key_pem.write_to_path(chain.key)
    return chain


def issue_ed25519(folder: Path) -> Chain:
    """One whose signature has no hash of its own."""
    key = ed25519.Ed25519PrivateKey.generate()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    usual = x509.load_pem_x509_certificate(AUTHORITY.cert_pem.bytes())
    made = x509.CertificateBuilder(
        name,
        name,
        key.public_key(),
        serial_number=7,
        not_valid_before=usual.not_valid_before_utc,
        not_valid_after=usual.not_valid_after_utc,
    ).sign(key, None)
    chain = Chain(folder / "ed25519.pem", folder / "ed25519.key")
    chain.certificate.write_bytes(made.public_bytes(Encoding.PEM))
    chain.key.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    return chain


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Chain:
    return issue(tmp_path_factory.mktemp("ours"), "ours")


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Chain:
    """Of an authority that clients trust, and for the right name."""
    return issue(tmp_path_factory.mktemp("theirs"), "theirs")


@pytest.fixture(scope="module")
def open_door(clusters: Clusters, postgres17: Cluster, ours: Chain) -> Iterator[Proxy]:
    """No rules of its own: everyone by password, bound or not."""
    proxies = Proxies(clusters)
    open_template(clusters, postgres17)
    yield proxies.start(postgres17, settings=ours.settings)
    proxies.stop()


@pytest.fixture(scope="module")
def bound_door(
    clusters: Clusters,
    postgres17: Cluster,
    ours: Chain,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Proxy]:
    """Developers must be bound to their channel."""
    proxies = Proxies(clusters)
    open_template(clusters, postgres17)
    path = tmp_path_factory.mktemp("policy") / "policy.yaml"
    path.write_text(ungated_text() + RULES)
    yield proxies.start(postgres17, settings=ours.settings, policy=path)
    proxies.stop()


def started(proxy: Proxy) -> tuple[str, str]:
    """How the last session came in: method and rule."""
    found = [r for r in proxy.records() if r["kind"] == "session.start"]
    return found[-1]["authentication"], found[-1].get("login_rule", "")


def psql(major: int, proxy: Proxy, port: int = 0, **options: str) -> str:
    """ "ok", or what psql said."""
    environment = bare_environment() | {
        "PGHOST": proxy.host,
        "PGPORT": str(port or proxy.port),
        "PGUSER": proxy.user(),
        "PGPASSWORD": proxy.password(),
        "PGDATABASE": TEMPLATE,
        "PGSSLMODE": "require",
        **{
            f"PG{name.replace('_', '').upper()}": value
            for name, value in options.items()
        },
    }
    done = subprocess.run(
        [bin_dir(major) / "psql", "-XAtc", "select 'ok'"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    return done.stdout.strip() if done.returncode == 0 else done.stderr


def by_psycopg(proxy: Proxy, port: int = 0, **options: str) -> str:
    try:
        with psycopg.connect(
            host=proxy.host,
            port=port or proxy.port,
            user=proxy.user(),
            password=proxy.password(),
            dbname=TEMPLATE,
            sslmode="require",
            **options,  # type: ignore[arg-type]
        ) as connection:
            assert connection.execute("select 1").fetchone() == (1,)
            return "ok"
    except psycopg.OperationalError as error:
        return str(error)


LIBPQ = ("psql15", "psql17", "psycopg")


def connect(client: str, proxy: Proxy, port: int = 0, **options: str) -> str:
    if client == "psycopg":
        return by_psycopg(proxy, port, **options)
    return psql(int(client[4:]), proxy, port, **options)


# --- right ---------------------------------------------------------------------


@pytest.mark.parametrize("client", LIBPQ)
@pytest.mark.parametrize(
    ("wish", "how"),
    [
        ("require", "scram-sha-256-plus"),
        ("prefer", "scram-sha-256-plus"),
        ("disable", "scram-sha-256"),
    ],
)
def test_libpq_binds_as_it_wishes(
    open_door: Proxy, client: str, wish: str, how: str
) -> None:
    assert connect(client, open_door, channel_binding=wish) == "ok"
    assert started(open_door) == (how, "")


@pytest.mark.parametrize("client", LIBPQ)
def test_who_must_bind_comes_in_bound(bound_door: Proxy, client: str) -> None:
    assert connect(client, bound_door) == "ok"
    assert started(bound_door) == ("scram-sha-256-plus", "login.bound")


def test_direct_tls_is_bound_too(bound_door: Proxy) -> None:
    said = by_psycopg(bound_door, sslnegotiation="direct", channel_binding="require")
    assert said == "ok"


# --- what is not enough ----------------------------------------------------------


def test_who_must_bind_and_does_not_is_told_so(bound_door: Proxy) -> None:
    said = by_psycopg(bound_door, channel_binding="disable")
    assert "must be bound to its TLS channel" in said
    assert "login.bound" in said
    assert "channel_binding=require" in said


async def test_a_driver_without_channel_binding_is_told_so(bound_door: Proxy) -> None:
    def knock(user: str, password: str) -> dict[str, object]:
        return {
            "host": bound_door.host,
            "port": bound_door.port,
            "user": user,
            "password": password,
            "database": TEMPLATE,
            "ssl": lenient(),
        }

    with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError, match="bound"):
        await asyncpg.connect(**knock(bound_door.user(), bound_door.password()))
    await until_closed()
    migrator = bound_door.user("migrator"), bound_door.password("migrator")
    await (await asyncpg.connect(**knock(*migrator))).close()
    assert started(bound_door) == ("scram-sha-256", "login.rest")


def test_plain_text_from_loopback_does_not_get_round_it(bound_door: Proxy) -> None:
    with pytest.raises(psycopg.OperationalError, match="bound to its TLS channel"):
        psycopg.connect(bound_door.dsn(database=TEMPLATE), sslmode="disable")


# --- somebody in the middle ------------------------------------------------------


@pytest.mark.parametrize("client", LIBPQ)
def test_a_login_is_not_passed_on_by_somebody_in_the_middle(
    open_door: Proxy, theirs: Chain, client: str
) -> None:
    """Whose certificate the client trusts, or does not look at."""
    with Middle(
        open_door.host, open_door.port, (theirs.certificate, theirs.key)
    ) as middle:
        said = connect(client, open_door, middle.port)
    assert "SCRAM channel binding check failed" in said


def test_who_does_not_bind_is_passed_on(open_door: Proxy, theirs: Chain) -> None:
    """So the test above can fail."""
    with Middle(
        open_door.host, open_door.port, (theirs.certificate, theirs.key)
    ) as middle:
        assert by_psycopg(open_door, middle.port, channel_binding="disable") == "ok"


@pytest.mark.parametrize("client", LIBPQ)
def test_an_offer_without_plus_is_seen_through(
    open_door: Proxy, theirs: Chain, client: str
) -> None:
    chain = theirs.certificate, theirs.key
    with Middle(open_door.host, open_door.port, chain, strip=True) as middle:
        said = connect(client, open_door, middle.port)
    assert "SCRAM channel binding negotiation error" in said


def test_who_must_bind_is_not_passed_on_unbound(
    bound_door: Proxy, theirs: Chain
) -> None:
    chain = theirs.certificate, theirs.key
    with Middle(bound_door.host, bound_door.port, chain, strip=True) as middle:
        said = by_psycopg(bound_door, middle.port, channel_binding="disable")
    assert "must be bound to its TLS channel" in said


# --- by hand ---------------------------------------------------------------------


def test_known_and_unknown_names_are_offered_the_same(bound_door: Proxy) -> None:
    for user in (bound_door.user(), bound_door.user("migrator"), "nobody"):
        with Knocker(bound_door.host, bound_door.port, tls=lenient()) as knocker:
            assert knocker.start(user).offers() == (PLUS, PLAIN)
        with Knocker(bound_door.host, bound_door.port) as knocker:
            assert knocker.start(user).offers() == (PLAIN,)


def test_another_kind_of_binding_is_refused_as_by_postgres(open_door: Proxy) -> None:
    with Knocker(open_door.host, open_door.port, tls=lenient()) as knocker:
        knocker.start(open_door.user()).offers()
        speaker = ScramSpeaker(flag=b"p=tls-unique", bound_to=b"x")
        error = knocker.choose(PLUS, speaker.first()).error()
    assert error["C"] == "08P01"
    assert error["M"] == 'unsupported SCRAM channel-binding type "tls-unique"'


def test_a_connection_stays_bound_to_the_certificate_that_it_was_shown(
    start_proxy: StartProxy, postgres17: Cluster, ours: Chain, tmp_path: Path
) -> None:
    """The files are renewed between the handshake and the password."""
    shown = Chain(tmp_path / "c", tmp_path / "k")
    shutil.copy(ours.certificate, shown.certificate)
    shutil.copy(ours.key, shown.key)
    proxy = start_proxy(postgres17, settings=shown.settings)
    renewed = issue(tmp_path, "renewed")
    with Knocker(proxy.host, proxy.port, tls=lenient()) as knocker:
        knocker.start(proxy.user(), TEMPLATE).offers()
        shutil.copy(renewed.certificate, shown.certificate)
        shutil.copy(renewed.key, shown.key)
        eventually(lambda: certificate_of(proxy) == renewed.hash)
        assert end_point_hash(knocker.certificate) == ours.hash
        assert knocker.prove(proxy.password(), bound_to=ours.hash).is_in()
    with Knocker(proxy.host, proxy.port, tls=lenient()) as knocker:
        knocker.start(proxy.user(), TEMPLATE).offers()
        knocker.prove(proxy.password(), bound_to=ours.hash)
        assert knocker.error()["M"] == "SCRAM channel binding check failed"
    assert by_psycopg(proxy, channel_binding="require") == "ok"


def certificate_of(proxy: Proxy) -> bytes | None:
    with Knocker(proxy.host, proxy.port, tls=lenient()) as knocker:
        return end_point_hash(knocker.certificate)


# --- a certificate without a hash --------------------------------------------------


def test_a_certificate_without_a_hash_binds_nothing(
    start_proxy: StartProxy, postgres17: Cluster, tmp_path: Path
) -> None:
    proxy = start_proxy(postgres17, settings=issue_ed25519(tmp_path).settings)
    for client in LIBPQ:
        assert connect(client, proxy) == "ok", client
        assert started(proxy) == ("scram-sha-256", "")
        assert "channel binding" in connect(client, proxy, channel_binding="require")


def test_postgres_itself_offers_what_libpq_then_can_not_do(tmp_path: Path) -> None:
    """Why pgwarden offers nothing there."""
    chain = issue_ed25519(tmp_path)
    cluster = new_cluster(bin_dir(17))
    work = cluster.plan.work
    for name, source in (("c.pem", chain.certificate), ("k.pem", chain.key)):
        shutil.copy(source, work / name)
        (work / name).chmod(0o600)
        privileges.hand_over(work / name, cluster.account)
    cluster.plan.settings.update(  # type: ignore[attr-defined]
        ssl="on", ssl_cert_file=str(work / "c.pem"), ssl_key_file=str(work / "k.pem")
    )
    cluster.start()
    try:
        with pytest.raises(psycopg.OperationalError, match="could not find digest"):
            psycopg.connect(cluster.dsn(), sslmode="require")
    finally:
        cluster.stop()
        shutil.rmtree(work, ignore_errors=True)
