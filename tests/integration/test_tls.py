"""TLS on both sides, with certificates that are right and wrong."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import ssl
import struct
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import trustme

from proxy.demo import privileges
from proxy.server.conversation import Conversation
from proxy.server.dial import Dialler
from proxy.server.health import UNTRIED, UpstreamError
from proxy.server.tasks import Tasks
from proxy.server.upstream_users import Key
from proxy.settings_upstream import UpstreamSettings
from tests.fix_postgres import bin_dir, furnish, new_cluster
from tests.integration.rig import (
    ENDLESS,
    Raw,
    events,
    eventually,
    metric,
    problems,
    until_closed,
)
from tests.integration.test_cancel import Endless

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from proxy.demo.postgres import Cluster
    from tests.fix_postgres import Clusters
    from tests.fix_proxy import Proxy, StartProxy

pytestmark = pytest.mark.postgres

SSL_REQUEST = struct.pack("!ii", 8, 80877103)
GSSENC_REQUEST = struct.pack("!ii", 8, 80877104)
HBA = """
host    all pgwarden-probe 127.0.0.1/32 scram-sha-256
hostssl all all            127.0.0.1/32 scram-sha-256
hostssl all all            ::1/128      scram-sha-256
"""


@dataclass(frozen=True)
class Files:
    """Certificates for "localhost", on disk."""

    ca: Path
    other_ca: Path
    certificate: Path
    key: Path
    expired: Path
    expired_key: Path


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    folder = tmp_path_factory.mktemp("tls")
    authority, other = trustme.CA(), trustme.CA()
    good = authority.issue_cert("localhost")
    past = authority.issue_cert("localhost", not_after=datetime(2020, 1, 1, tzinfo=UTC))
    found = Files(*(folder / f"{n}.pem" for n in ("ca", "other", "c", "k", "xc", "xk")))
    authority.cert_pem.write_to_path(found.ca)
    other.cert_pem.write_to_path(found.other_ca)
    good.cert_chain_pems[0].write_to_path(found.certificate)
    good.private_key_pem.write_to_path(found.key)
    past.cert_chain_pems[0].write_to_path(found.expired)
    past.private_key_pem.write_to_path(found.expired_key)
    return found


@pytest.fixture(scope="module")
def secured(clusters: Clusters, files: Files) -> Iterator[Cluster]:
    """A server that lets nobody in without TLS (but the look whether it is up)."""
    cluster = new_cluster(bin_dir(17))
    work = cluster.plan.work
    for name, source in (("c.pem", files.certificate), ("k.pem", files.key)):
        shutil.copy(source, work / name)
    (work / "hba.conf").write_text(HBA)
    (work / "k.pem").chmod(0o600)
    for name in ("c.pem", "k.pem", "hba.conf"):
        privileges.hand_over(work / name, cluster.account)
    cluster.plan.settings.update(  # type: ignore[attr-defined]
        ssl="on",
        ssl_cert_file=str(work / "c.pem"),
        ssl_key_file=str(work / "k.pem"),
        hba_file=str(work / "hba.conf"),
    )
    cluster.start()
    try:
        logins = clusters.logins(17)
        furnish(cluster, logins)
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(work, ignore_errors=True)


@pytest.fixture(scope="module")
def encrypted(
    request: pytest.FixtureRequest, secured: Cluster, files: Files
) -> Iterator[Proxy]:
    """TLS to the client and to the server, which is verified in full."""
    from tests.fix_proxy import Proxies  # noqa: PLC0415 - the fixture ends too early

    proxies = Proxies(request.getfixturevalue("clusters"))
    yield proxies.start(secured, settings=both_sides(files))
    proxies.stop()


def both_sides(files: Files, **limits: float) -> dict[str, Any]:
    return {
        "tls": {"certificate": str(files.certificate), "key": str(files.key)},
        "upstream": {
            "host": "localhost",
            "tls": {"mode": "verify-full", "ca": str(files.ca)},
        },
        "limits": limits,
    }


# --- the client's side -------------------------------------------------------


@pytest.mark.parametrize("negotiation", ["postgres", "direct"])
def test_a_client_verifies_us_in_full(
    encrypted: Proxy, files: Files, negotiation: str
) -> None:
    with psycopg.connect(
        encrypted.dsn("developer").replace("127.0.0.1", "localhost"),
        sslmode="verify-full",
        sslrootcert=str(files.ca),
        sslnegotiation=negotiation,
    ) as connection:
        assert connection.pgconn.ssl_in_use
        assert connection.execute("select count(*) from customers").fetchone() == (
            1000,
        )
        rows = connection.execute(
            "select repeat('x', 100000) from generate_series(1, 100)"
        ).fetchall()
        assert len(rows) == 100
    starts = [r for r in encrypted.records() if r["kind"] == "session.start"]
    assert starts[-1]["tls"] == "TLSv1.3"


@pytest.mark.parametrize(
    ("root", "host"), [("other_ca", "localhost"), ("ca", "127.0.0.1")]
)
def test_a_client_that_does_not_trust_us_leaves(
    encrypted: Proxy, files: Files, root: str, host: str
) -> None:
    with pytest.raises(psycopg.OperationalError, match=r"certificate"):
        psycopg.connect(
            encrypted.dsn("developer").replace("127.0.0.1", host),
            sslmode="verify-full",
            sslrootcert=str(getattr(files, root)),
        )


def test_cancel_through_tls_on_both_sides(encrypted: Proxy) -> None:
    series = 'pgwarden_cancel_requests_total{result="forwarded"}'
    before = metric(encrypted, series)
    with Endless(encrypted.dsn("developer"), sslmode="require") as running:
        time.sleep(0.3)
        running.cancel()
        assert running.connection.execute("select 1").fetchone() == (1,)
    eventually(lambda: metric(encrypted, series) == before + 1)


def test_a_client_that_vanishes_under_tls(encrypted: Proxy, secured: Cluster) -> None:
    def running() -> bool:
        with psycopg.connect(secured.dsn(), autocommit=True) as admin:
            found = admin.execute(
                "select 1 from pg_stat_activity where state = 'active' and query = %s",
                (ENDLESS,),
            ).fetchall()
        return bool(found)

    endless = Endless(encrypted.dsn("developer"), sslmode="require")
    eventually(running)
    with socket.socket(fileno=socket.dup(endless.connection.pgconn.socket)) as same:
        same.shutdown(socket.SHUT_RDWR)
    eventually(lambda: not running(), 2.0)
    endless.join(5)
    endless.connection.close()


def connect(proxy: Proxy) -> socket.socket:
    connection = socket.create_connection((proxy.host, proxy.port), 5)
    connection.settimeout(5)
    return connection


def rest(connection: socket.socket) -> bytes:
    got = b""
    with contextlib.suppress(ConnectionResetError):
        while data := connection.recv(1 << 16):
            got += data
    return got


@pytest.mark.parametrize("request_", [SSL_REQUEST, GSSENC_REQUEST])
def test_bytes_before_tls_are_a_violation(encrypted: Proxy, request_: bytes) -> None:
    """CVE-2021-23214: what came before must not be taken for encrypted."""
    with connect(encrypted) as connection:
        connection.sendall(request_ + b"\0\0\0\x08\0\0\0\0")
        said = rest(connection)
    assert b"S" != said[:1] != b"N"
    assert said[:1] == b"E"


def test_plain_bytes_in_the_place_of_the_handshake(encrypted: Proxy) -> None:
    with connect(encrypted) as connection:
        connection.sendall(SSL_REQUEST)
        assert connection.recv(1) == b"S"
        connection.sendall(b"\0\0\0\x08\0\x03\0\0")
        said = rest(connection)
    assert b"R" not in said
    assert problems(encrypted) == []


def test_gss_first_then_tls(encrypted: Proxy) -> None:
    with connect(encrypted) as connection:
        connection.sendall(GSSENC_REQUEST)
        assert connection.recv(1) == b"N"
        connection.sendall(SSL_REQUEST)
        assert connection.recv(1) == b"S"
        with handshake(connection, alpn="postgresql") as secure:
            assert secure.version() == "TLSv1.3"


def handshake(connection: socket.socket, *, alpn: str = "") -> ssl.SSLSocket:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if alpn:
        context.set_alpn_protocols([alpn])
    return context.wrap_socket(connection, do_handshake_on_connect=True)


@pytest.mark.parametrize("alpn", ["", "http/1.1"])
def test_direct_tls_for_another_protocol(encrypted: Proxy, alpn: str) -> None:
    with connect(encrypted) as connection:
        try:
            secure = handshake(connection, alpn=alpn)
        except (ssl.SSLError, ConnectionResetError):
            return
        with secure, contextlib.suppress(ssl.SSLError, ConnectionResetError):
            assert b"R" not in secure.recv(1000)[:1]


@pytest.mark.parametrize("begin", [b"\x16", b"\x16\x03\x01\x02\x00", SSL_REQUEST])
def test_a_handshake_that_does_not_go_on(
    start_proxy: StartProxy, secured: Cluster, files: Files, begin: bytes
) -> None:
    proxy = start_proxy(
        secured, settings=both_sides(files, login_timeout_s=0.7, unfinished_logins=3)
    )
    series = 'pgwarden_logins_total{result="timeout"}'
    with contextlib.ExitStack() as stack:
        for _ in range(3):
            connection = stack.enter_context(connect(proxy))
            connection.sendall(begin)
            stack.callback(rest, connection)
    eventually(lambda: metric(proxy, series) == 3)
    psycopg.connect(proxy.dsn("developer"), sslmode="require").close()


def test_a_renewed_certificate_counts_without_a_restart(
    start_proxy: StartProxy, secured: Cluster, files: Files, tmp_path: Path
) -> None:
    settings = both_sides(files)
    for name in ("certificate", "key"):
        settings["tls"][name] = str(shutil.copy(settings["tls"][name], tmp_path / name))
    proxy = start_proxy(secured, settings=settings)
    dsn = proxy.dsn("developer").replace("127.0.0.1", "localhost")
    authority = trustme.CA()
    renewed = authority.issue_cert("localhost")
    (tmp_path / "certificate").write_text("broken")
    proxy.reload()
    eventually(lambda: "renewal_refused" in proxy.log_path.read_text())
    psycopg.connect(dsn, sslmode="verify-full", sslrootcert=str(files.ca)).close()
    renewed.cert_chain_pems[0].write_to_path(tmp_path / "certificate")
    renewed.private_key_pem.write_to_path(tmp_path / "key")
    authority.cert_pem.write_to_path(tmp_path / "ca")

    def trusts() -> bool:
        with contextlib.suppress(psycopg.OperationalError):
            psycopg.connect(
                dsn, sslmode="verify-full", sslrootcert=str(tmp_path / "ca")
            ).close()
            return True
        return False

    eventually(trusts)


def by_openssl(proxy: Proxy, *words: str) -> str:
    """What `openssl s_client` says of a handshake; without words, as it likes best."""
    done = subprocess.run(
        [
            *("openssl", "s_client", "-starttls", "postgres", "-brief", *words),
            *("-connect", f"{proxy.host}:{proxy.port}"),
        ],
        input="",
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )
    assert "option" not in done.stderr, done.stderr
    return done.stderr


ANY = "ALL:@SECLEVEL=0"
OLD = ["-tls1", "-tls1_1"]
WEAK = [
    "AES256-SHA", "AES128-GCM-SHA256", "ECDHE-RSA-AES256-SHA",
    "ECDHE-ECDSA-AES128-SHA256", "DHE-RSA-AES256-GCM-SHA384", "AECDH-AES256-SHA",
    "ADH-AES256-GCM-SHA384", "NULL-SHA256",
]  # fmt: skip


def test_old_versions_and_weak_ciphers_are_refused(encrypted: Proxy) -> None:
    """By a real OpenSSL that would take anything, and says what it is told."""
    for version in ("-tls1_2", "-tls1_3"):
        said = by_openssl(encrypted, version, "-cipher", ANY)
        assert "CONNECTION ESTABLISHED" in said
        assert re.search(r"Ciphersuite: \S*(GCM|POLY1305)", said), said
    refused = [(version, ANY, "unsupported protocol") for version in OLD]
    refused += [("-tls1_2", f"{each}:@SECLEVEL=0", "no shared cipher") for each in WEAK]
    for version, ciphers, why in refused:
        count = len(events(encrypted, "tls_failed"))
        said = by_openssl(encrypted, version, "-cipher", ciphers)
        assert "CONNECTION ESTABLISHED" not in said
        eventually(partial(is_refused, encrypted, count, why), what=f"{ciphers}: {why}")
    assert problems(encrypted) == []


def is_refused(proxy: Proxy, count: int, why: str) -> bool:
    """One more, for this reason: asyncio keeps OpenSSL's alert from the client."""
    found = events(proxy, "tls_failed")
    return len(found) == count + 1 and why in str(found[-1]["error"])


# --- the server's side -------------------------------------------------------

RIGHT, WRONG = "ca", "other_ca"


@pytest.mark.parametrize(
    ("mode", "host", "ca", "note"),
    [
        ("disable", "127.0.0.1", None, "no encryption"),
        ("prefer", "127.0.0.1", None, ""),
        ("require", "127.0.0.1", None, ""),
        ("require", "127.0.0.1", RIGHT, ""),
        ("require", "127.0.0.1", WRONG, "upstream TLS"),
        ("verify-ca", "127.0.0.1", RIGHT, ""),
        ("verify-ca", "127.0.0.1", WRONG, "upstream TLS"),
        ("verify-ca", "127.0.0.1", None, "upstream TLS"),
        ("verify-full", "localhost", RIGHT, ""),
        ("verify-full", "127.0.0.1", RIGHT, "mismatch"),
        ("verify-full", "localhost", WRONG, "upstream TLS"),
    ],
)
async def test_how_much_the_upstream_must_prove(
    secured: Cluster,
    files: Files,
    clusters: Clusters,
    tmp_path: Path,
    mode: str,
    host: str,
    ca: str | None,
    note: str,
) -> None:
    reader = clusters.logins(17).reader
    (tmp_path / "password").write_text(reader.password or "")
    login = {"user": reader.user, "password_file": str(tmp_path / "password")}
    upstream = UpstreamSettings.model_validate(
        {
            "host": host,
            "port": secured.port,
            "tls": {"mode": mode} | ({"ca": getattr(files, ca)} if ca else {}),
            "logins": {"reader": login},
        }
    )
    dialler = Dialler(upstream, tasks=Tasks(), keys=[Key("reader")])
    plan = dialler.own_plan("reader", "shop", is_read_only=True)
    if note:
        with pytest.raises(UpstreamError) as refused:
            await dialler.dial(plan)
        said = refused.value.report.message
        assert "safely" in said or "refused pgwarden's own login" in said
        assert "certificate" not in str(refused.value.report)
        assert note in refused.value.note
        assert dialler.health.problems() not in ([], [UNTRIED])
    else:
        async with Conversation(await dialler.dial(plan)) as session:
            assert await session.value("SELECT count(*) FROM customers") == "1000"
            used = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
            assert await session.value(used) == "t"
    await until_closed()


def test_a_client_hears_nothing_of_the_upstreams_certificate(
    start_proxy: StartProxy, secured: Cluster, files: Files
) -> None:
    tls = {"mode": "verify-full", "ca": str(files.other_ca)}
    upstream = {"host": "localhost", "tls": tls}
    proxy = start_proxy(secured, settings={"upstream": upstream})
    with pytest.raises(psycopg.OperationalError, match="safely") as refused:
        psycopg.connect(proxy.dsn("developer"))
    assert "certificate" not in str(refused.value)
    assert problems(proxy)
    eventually(lambda: "upstream TLS" in proxy.log_path.read_text())


@pytest.mark.parametrize(("mode", "works"), [("prefer", True), ("require", False)])
def test_an_upstream_without_tls(
    start_proxy: StartProxy, postgres17: Cluster, mode: str, works: bool
) -> None:
    proxy = start_proxy(postgres17, settings={"upstream": {"tls": {"mode": mode}}})
    dsn = proxy.dsn("developer", "shop_template")
    if works:
        psycopg.connect(dsn).close()
    else:
        with pytest.raises(psycopg.OperationalError, match="safely"):
            psycopg.connect(dsn)
        eventually(lambda: "does not speak TLS" in proxy.log_path.read_text())


def test_a_raw_session_through_tls_ends_clean(encrypted: Proxy) -> None:
    with psycopg.connect(encrypted.dsn("developer"), sslmode="require") as connection:
        connection.execute("select 1")
    eventually(
        lambda: metric(encrypted, 'pgwarden_sessions_open{role="developer"}') == 0
    )
    with Raw(encrypted.dsn("developer"), sslmode="disable") as raw:
        raw.reset()
    eventually(
        lambda: metric(encrypted, 'pgwarden_sessions_open{role="developer"}') == 0
    )


@pytest.mark.timeout(90)
def test_the_doctor_verifies_the_server_too(encrypted: Proxy, files: Files) -> None:
    """Over TLS as sessions do, or not at all."""

    def doctor(**environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [
                *(sys.executable, "-P", "-m", "proxy.cli.main"),
                *("doctor", "--config", str(encrypted.settings_path)),
            ],
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
            env=dict(os.environ) | environment,
        )

    well = doctor()
    assert (well.returncode, well.stderr) == (0, "")
    assert "in postgres, shop, template1" in well.stdout
    ill = doctor(PGWARDEN_UPSTREAM__TLS__CA=str(files.other_ca))
    assert ill.returncode == 2
    assert "upstream TLS" in ill.stderr
    assert len(ill.stderr.splitlines()) == 1
