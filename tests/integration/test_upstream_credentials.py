"""How pgwarden proves itself upstream: certificates, bound channels, new secrets."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import trustme

from proxy.demo import privileges
from proxy.server.upstream_passwords import AGAIN_AFTER_S
from tests.fix_postgres import bin_dir, furnish, new_cluster, run
from tests.fix_proxy import serve_command
from tests.integration.middleman import Middleman, honest, without_plus
from tests.integration.rig import events, eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from _pytest.mark.structures import ParameterSet

    from proxy.demo.postgres import Cluster
    from proxy.demo.roles import Logins
    from tests.fix_postgres import Clusters
    from tests.fix_proxy import Proxy, StartProxy

pytestmark = [pytest.mark.postgres, pytest.mark.turns, pytest.mark.timeout(90)]

READER = "pgwarden_reader"


@dataclass(frozen=True)
class Secured:
    """A server with TLS, its authority, and certificates of all kinds."""

    cluster: Cluster
    folder: Path
    authority: trustme.CA
    reader_password: str
    has_tls: bool

    def rules(self, *lines: str) -> None:
        """Make these the rules, before one that lets the superuser in."""
        hba = self.cluster.plan.work / "hba.conf"
        text = "\n".join([*lines, "host all postgres,pgwarden-probe all scram-sha-256"])
        hba.write_text(
            (text if self.has_tls else text.replace("hostssl", "host")) + "\n"
        )
        run(self.cluster.dsn(), "select pg_reload_conf()")

    def certificate(self, name: str, *, by: trustme.CA | None = None) -> dict[str, str]:
        """A certificate for the role of this name, as settings."""
        made = (by or self.authority).issue_cert(common_name=name)
        certificate, key = (self.folder / f"{name}.{end}" for end in ("crt", "key"))
        made.cert_chain_pems[0].write_to_path(certificate)
        made.private_key_pem.write_to_path(key)
        key.chmod(0o600)
        return {"certificate": str(certificate), "key": str(key)}

    def settings(self, login: dict[str, Any], **tls: str) -> dict[str, Any]:
        if not self.has_tls:
            plain = {"tls": {"mode": "disable"}, "logins": {"reader": login}}
            return {"upstream": plain}
        return {
            "upstream": {
                "host": "localhost",
                "tls": {
                    "mode": "verify-full",
                    "ca": str(self.folder / "ca.pem"),
                    **tls,
                },
                "logins": {"reader": login},
            }
        }


class Servers(dict[int, Secured]):
    """One of each major that is asked for."""

    def __init__(self, clusters: Clusters, folder: Path) -> None:
        super().__init__()
        self._clusters = clusters
        self._folder = folder
        self._stack = contextlib.ExitStack()

    def __missing__(self, major: int) -> Secured:
        folder = self._folder / str(major)
        folder.mkdir(exist_ok=True)
        made = secured_of(major, self._clusters.logins(17), folder)
        self[major] = self._stack.enter_context(made)
        return self[major]

    def stop(self) -> None:
        self._stack.close()


@pytest.fixture(scope="module")
def servers(
    clusters: Clusters, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Servers]:
    found = Servers(clusters, tmp_path_factory.mktemp("servers"))
    yield found
    found.stop()


def majors(*found: int) -> list[ParameterSet]:
    return [pytest.param(major, id=f"pg{major}") for major in found]


@pytest.fixture(params=majors(15, 17))
def secured(request: pytest.FixtureRequest, servers: Servers) -> Secured:
    """Of the majors whose build here speaks TLS."""
    return servers[request.param]


@pytest.fixture(params=majors(15, 17, 18))
def served(request: pytest.FixtureRequest, servers: Servers) -> Secured:
    """Of any, for what needs no TLS: the 18 that is tested with has none."""
    return servers[request.param]


@contextlib.contextmanager
def secured_of(major: int, logins: Logins, folder: Path) -> Iterator[Secured]:
    cluster = new_cluster(bin_dir(major))
    work = cluster.plan.work
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    server = authority.issue_cert("localhost")
    server.cert_chain_pems[0].write_to_path(work / "c.pem")
    server.private_key_pem.write_to_path(work / "k.pem")
    shutil.copy(folder / "ca.pem", work / "ca.pem")
    (work / "hba.conf").write_text("host all all all scram-sha-256\n")
    (work / "k.pem").chmod(0o600)
    for name in ("c.pem", "k.pem", "ca.pem", "hba.conf"):
        privileges.hand_over(work / name, cluster.account)
    tls = {
        "ssl": "on",
        "ssl_cert_file": str(work / "c.pem"),
        "ssl_key_file": str(work / "k.pem"),
        "ssl_ca_file": str(work / "ca.pem"),
    }
    has_tls = major != 18
    cluster.plan.settings.update(  # type: ignore[attr-defined]
        hba_file=str(work / "hba.conf"), **(tls if has_tls else {})
    )
    cluster.start()
    try:
        furnish(cluster, logins)
        password = logins.reader.password or ""
        yield Secured(cluster, folder, authority, password, has_tls)
    finally:
        cluster.stop()
        shutil.rmtree(work, ignore_errors=True)


def with_password(secured: Secured, password: str = "") -> dict[str, Any]:
    file = secured.folder / "password"
    file.write_text((password or secured.reader_password) + "\n")
    return {"user": READER, "password_file": str(file)}


def says_hello(proxy: Proxy) -> None:
    with psycopg.connect(proxy.dsn("developer")) as developer:
        assert developer.execute("select 1").fetchone() == (1,)


def why_not(proxy: Proxy) -> str:
    """The operator's note of a login that the upstream refused."""
    known = len(events(proxy, "login_refused"))
    with pytest.raises(psycopg.OperationalError) as error:
        psycopg.connect(proxy.dsn("developer"))
    assert "hunter2" not in str(error.value)
    eventually(lambda: len(events(proxy, "login_refused")) > known)
    return str(events(proxy, "login_refused")[-1]["note"])


# --- certificates ------------------------------------------------------------


def test_a_certificate_instead_of_a_password(
    start_proxy: StartProxy, secured: Secured
) -> None:
    secured.rules(f"hostssl all {READER} all cert")
    login = {"user": READER, **secured.certificate(READER)}
    proxy = start_proxy(secured.cluster, settings=secured.settings(login))
    says_hello(proxy)
    # The catalog and the probe come in the same way.
    eventually(lambda: events(proxy, "catalog_loaded"))


def test_a_certificate_and_a_password(
    start_proxy: StartProxy, secured: Secured
) -> None:
    """And one certificate for all logins, in `upstream.tls`."""
    secured.rules(f"hostssl all {READER} all scram-sha-256 clientcert=verify-full")
    shown = secured.certificate(READER)
    settings = secured.settings(with_password(secured), **shown)
    says_hello(start_proxy(secured.cluster, settings=settings))
    bare = start_proxy(
        secured.cluster, settings=secured.settings(with_password(secured))
    )
    assert "valid client certificate" in why_not(bare)


@pytest.mark.parametrize("kind", ["another's", "a stranger's"])
def test_a_certificate_that_is_not_the_logins(
    start_proxy: StartProxy, secured: Secured, kind: str
) -> None:
    secured.rules(f"hostssl all {READER} all cert")
    shown = (
        secured.certificate("postgres")
        if kind == "another's"
        else secured.certificate(READER, by=trustme.CA())
    )
    proxy = start_proxy(
        secured.cluster, settings=secured.settings({"user": READER, **shown})
    )
    assert why_not(proxy)


def test_a_key_that_others_may_read(start_proxy: StartProxy, secured: Secured) -> None:
    shown = secured.certificate(READER)
    settings = secured.settings({"user": READER, **shown})
    (secured.folder / f"{READER}.key").chmod(0o644)
    proxy = start_proxy(secured.cluster, settings=settings, wait=False)
    assert proxy.process.wait(20) == 2
    assert "may be read by others" in proxy.log_path.read_text()
    (secured.folder / f"{READER}.key").chmod(0o600)
    checked = [*serve_command(proxy.settings_path), "--check"]
    ended = subprocess.run(checked, check=False, capture_output=True, timeout=40)
    assert ended.returncode == 0


# --- channel binding ---------------------------------------------------------


def test_channel_binding_can_be_required(
    start_proxy: StartProxy, secured: Secured
) -> None:
    secured.rules(f"hostssl all {READER} all scram-sha-256")
    settings = secured.settings(with_password(secured), channel_binding="require")
    says_hello(start_proxy(secured.cluster, settings=settings))
    secured.rules(f"hostssl all {READER} all trust")
    proxy = start_proxy(secured.cluster, settings=settings)
    assert "require channel binding" in why_not(proxy)


@pytest.mark.parametrize(
    ("binding", "change", "said"),
    [
        # Nobody looked at the certificate, and the login is still worth nothing there.
        ("prefer", honest, "channel binding check failed"),
        # Taking the offer away is noticed by the server, which sees our "y".
        ("prefer", without_plus, "channel binding negotiation error"),
        ("require", without_plus, "require channel binding"),
        ("disable", honest, ""),
    ],
)
def test_somebody_in_the_middle(
    start_proxy: StartProxy,
    secured: Secured,
    binding: str,
    change: Callable[[bytes], bytes],
    said: str,
) -> None:
    """With his own certificate, and `tls.mode: require`, which trusts any."""
    secured.rules(f"hostssl all {READER} all scram-sha-256")
    his = trustme.CA().issue_cert("localhost")
    certificate, key = secured.folder / "his.crt", secured.folder / "his.key"
    his.cert_chain_pems[0].write_to_path(certificate)
    his.private_key_pem.write_to_path(key)
    with Middleman(secured.cluster.port, certificate, key, change=change) as he:
        settings = secured.settings(
            with_password(secured), mode="require", channel_binding=binding
        )
        del settings["upstream"]["tls"]["ca"]
        settings["upstream"]["port"] = he.port
        proxy = start_proxy(secured.cluster, settings=settings)
        if said:
            assert said in why_not(proxy)
        else:
            # That he stands there is what makes the others tests at all.
            says_hello(proxy)
        assert he.met


# --- renewed secrets ---------------------------------------------------------


@contextlib.contextmanager
def rotated(served: Secured) -> Iterator[Callable[[str], None]]:
    """Sets the role's password, and the old one again at the end."""

    def alter(password: str) -> None:
        run(served.cluster.dsn(), f"alter role {READER} password '{password}'")

    yield alter
    alter(served.reader_password)


@pytest.mark.parametrize("first", ["role", "file"])
def test_a_password_is_rotated_without_a_restart(
    start_proxy: StartProxy, served: Secured, first: str
) -> None:
    """Whichever is changed first, nobody is thrown out, and new logins get in."""
    served.rules(f"hostssl all {READER} all scram-sha-256")
    login = with_password(served)
    proxy = start_proxy(served.cluster, settings=served.settings(login))
    with (
        rotated(served) as alter,
        psycopg.connect(proxy.dsn("developer"), autocommit=True) as before,
    ):
        if first == "file":
            with_password(served, "hunter2 the second")
            says_hello(proxy)  # the old one still works
        alter("hunter2 the second")
        with_password(served, "hunter2 the second")
        says_hello(proxy)
        before.execute("select 1")
        alter("hunter2 the third")
        assert "28P01" in why_not(proxy)
        with_password(served, "hunter2 the third")
        says_hello(proxy)
        before.execute("select 1")
    assert "hunter2" not in proxy.log_path.read_text()
    assert not events(proxy, "reloaded")


def test_nobody_notices_a_rotation(start_proxy: StartProxy, served: Secured) -> None:
    """People log in all the time; the file is written first, as the how-to says."""
    served.rules(f"hostssl all {READER} all scram-sha-256")
    login = with_password(served)
    proxy = start_proxy(served.cluster, settings=served.settings(login))
    says_hello(proxy)  # it has to know one that works
    problems: list[str] = []
    logins = [0] * 4
    is_over = threading.Event()

    def log_in(number: int) -> None:
        while not is_over.is_set():
            try:
                says_hello(proxy)
            except psycopg.Error as error:
                problems.append(str(error))
            logins[number] += 1

    def everybody_came() -> None:
        """And nobody is on the way in any more who was: the next step may come."""
        before = logins.copy()
        eventually(
            lambda: all(now > was + 1 for now, was in zip(logins, before, strict=True)),
            30,
        )

    threads = [threading.Thread(target=log_in, args=[n]) for n in range(len(logins))]
    with rotated(served) as alter:
        for thread in threads:
            thread.start()
        try:
            for number in range(5):
                file = served.folder / "password"
                fresh = file.with_suffix(".new")
                fresh.write_text(f"hunter2 number {number}\n")
                fresh.replace(file)
                everybody_came()
                alter(f"hunter2 number {number}")
                everybody_came()
        finally:
            is_over.set()
            for thread in threads:
                thread.join()
    assert not problems


def test_a_password_in_a_pgpass(start_proxy: StartProxy, served: Secured) -> None:
    served.rules(f"hostssl all {READER} all scram-sha-256")
    file = served.folder / "pgpass"
    host = "localhost" if served.has_tls else served.cluster.host

    def write(password: str) -> None:
        file.write_text(
            f"# ours\nother:*:*:*:wrong\n{host}:{served.cluster.port}:*:{READER}:"
            + password.replace("\\", "\\\\").replace(":", "\\:")
        )
        file.chmod(0o600)

    write(served.reader_password)
    login = {"user": READER, "password_pgpass": str(file), "password_file": None}
    proxy = start_proxy(served.cluster, settings=served.settings(login))
    says_hello(proxy)
    with rotated(served) as alter:
        alter("hunter2:with\\escapes")
        write("hunter2:with\\escapes")
        says_hello(proxy)
        file.chmod(0o644)
        # What worked goes on to work; at the next start it would be refused.
        says_hello(proxy)
    assert "may be read by others" in str(events(proxy, "password_not_read"))


def test_a_password_from_the_environment(
    start_proxy: StartProxy, served: Secured
) -> None:
    served.rules(f"hostssl all {READER} all scram-sha-256")
    name = "PGWARDEN_SECRET_READER"
    login = {"user": READER, "password_env": name, "password_file": None}
    proxy = start_proxy(
        served.cluster,
        settings=served.settings(login),
        environment={name: served.reader_password},
    )
    says_hello(proxy)
    assert served.reader_password not in proxy.log_path.read_text()


def test_a_token_from_a_command(start_proxy: StartProxy, served: Secured) -> None:
    """As a cloud's: it expires, and the next login gets a new one."""
    served.rules(f"hostssl all {READER} all scram-sha-256")
    token, command = served.folder / "token", served.folder / "command"
    token.write_text(served.reader_password)
    command.write_text(
        f"#!{sys.executable}\nimport sys\nprint('hunter2', file=sys.stderr)\n"
        f"with open({str(token.with_name('runs'))!r}, 'a') as f: f.write('x')\n"
        f"print(open({str(token)!r}).read())\n"
    )
    command.chmod(0o700)
    login = {"user": READER, "password_command": [str(command)], "password_file": None}
    proxy = start_proxy(served.cluster, settings=served.settings(login))
    for _ in range(3):
        says_hello(proxy)
    assert token.with_name("runs").read_text() == "x"
    with (
        rotated(served) as alter,
        psycopg.connect(proxy.dsn("developer"), autocommit=True) as before,
    ):
        alter("hunter2 is the new token")
        token.write_text("hunter2 is the new token")
        time.sleep(AGAIN_AFTER_S)  # a command is not run in a loop
        says_hello(proxy)
        before.execute("select 1")
        assert len(token.with_name("runs").read_text()) in {2, 3}
    assert "hunter2" not in proxy.log_path.read_text()
    token.with_name("runs").unlink()
