"""Started with a mistake: one clear line each, the right status, no traceback."""

from __future__ import annotations

import os
import socket
import subprocess
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import trustme
import yaml

from proxy.auth.secrets import make_secret
from proxy.demo.postgres import free_port
from tests.fix_proxy import merged, serve_command, ungated_text
from tests.integration.rig import eventually, metric, problems, restart

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.fix_postgres import Database
    from tests.fix_proxy import StartProxy

HOST = "127.0.0.1"
MISTAKE, FAILURE = 2, 1


@pytest.fixture
def base(tmp_path: Path) -> dict[str, Any]:
    """Settings that would do, for an upstream that is not there."""
    secret = make_secret("x", salt=os.urandom(16)).encode()
    (tmp_path / "identities.yaml").write_text(
        yaml.safe_dump(
            {
                "version": 1,
                "identities": [{"name": "dev", "role": "developer", "secret": secret}],
            }
        )
    )
    (tmp_path / "policy.yaml").write_text(ungated_text(), "utf-8")
    return {
        "listen": [f"{HOST}:0"],
        "admin": f"{HOST}:0",
        "policy": "policy.yaml",
        "identities": "identities.yaml",
        "audit": {"folder": "audit"},
        "upstream": {
            "host": HOST,
            "port": 1,
            "tls": {"mode": "disable"},
            "logins": {"reader": {"user": "r"}, "migrator": {"user": "m"}},
        },
        "ready_file": str(tmp_path / "ready.json"),
    }


def serve(
    folder: Path, settings: object, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run `pgwarden serve` until it ends by itself."""
    text = settings if isinstance(settings, str) else yaml.safe_dump(settings)
    (folder / "pgwarden.yaml").write_text(text)
    return subprocess.run(
        serve_command(folder / "pgwarden.yaml"),
        env={**os.environ, **environment},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )


def check(
    done: subprocess.CompletedProcess[str], *said: str, status: int = MISTAKE
) -> None:
    lines = done.stderr.splitlines()
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    told = [line for line in lines if line.startswith("pgwarden: ")]
    assert len(told) == 1, done.stderr
    assert [
        line for line in lines if not line.startswith(("pgwarden: ", "hint: "))
    ] == []
    for part in said:
        assert part in told[0], done.stderr


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"limits": {"sesions": 5}}, 'unknown key "sesions"; did you mean "sessions"?'),
        ({"lisen": []}, 'unknown key "lisen"; did you mean "listen"?'),
        ({"listen": []}, "at least one host:port"),
        ({"listen": ["6432"]}, "host:port"),
        ({"listen": f"{HOST}:0"}, '"listen": must be a list'),
        ({"workers": "many"}, '"workers": must be a whole number'),
        ({"listen": [f"{HOST}:99999"]}, "65535"),
        ({"limits": {"sessions": 0}}, "limits.sessions"),
        ({"limits": {"sessions": "many"}}, "limits.sessions"),
        ({"upstream": {"tls": {"mode": "allow"}}}, "upstream.tls.mode"),
        ({"upstream": {"tls": {"mode": "verify-ca", "ca": "no.pem"}}}, "no.pem"),
        (
            {"upstream": {"logins": {"reader": {"user": "r", "password_file": "no"}}}},
            "no",
        ),
        (
            {"upstream": {"logins": {"reader": {"user": "r", "password_env": "NO_X"}}}},
            "NO_X",
        ),
        ({"policy": "no.yaml"}, "no.yaml"),
        ({"identities": "no.yaml"}, "no.yaml"),
        ({"tls": {"certificate": "no.pem", "key": "no.key"}}, "no.pem"),
        ({"listen": ["203.0.113.1:0"]}, "can't listen on 203.0.113.1:0"),
        ({"listen": ["no-such-host.invalid:0"]}, "no-such-host.invalid"),
        ({"admin": "203.0.113.1:0"}, "203.0.113.1"),
        ({"workers": 2, "policy": "no.yaml"}, "no.yaml"),
        ({"workers": 0}, "workers"),
    ],
)
def test_a_bad_setting(
    tmp_path: Path, base: dict[str, Any], change: dict[str, Any], said: str
) -> None:
    check(serve(tmp_path, merged(base, change)), said)
    assert not (tmp_path / "audit").exists(), "nothing may be begun before that"
    assert not (tmp_path / "ready.json").exists()


def test_settings_that_are_no_settings(tmp_path: Path) -> None:
    check(serve(tmp_path, "listen: [\n"), "pgwarden.yaml:", "not YAML")
    check(serve(tmp_path, "- a\n"), "mapping")
    check(serve(tmp_path, "a: 1\na: 2\n"), "pgwarden.yaml:2")
    missing = subprocess.run(
        serve_command(tmp_path / "missing.yaml"),
        capture_output=True,
        text=True,
        check=False,
    )
    check(missing, "missing.yaml", "can't be read")


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        (
            "PGWARDEN_LIMITS__SESIONS",
            "5",
            'unknown key "sesions"; did you mean "sessions"?',
        ),
        ("PGWARDEN_LIMITS__SESSIONS", "[", "not YAML"),
        ("PGWARDEN_LIMITS__SESSIONS", "-1", "limits.sessions"),
        ("PGWARDEN_UPSTREAM__HOST__NAME", "x", "PGWARDEN_UPSTREAM__HOST__NAME"),
    ],
)
def test_a_bad_variable(
    tmp_path: Path, base: dict[str, Any], name: str, value: str, said: str
) -> None:
    check(serve(tmp_path, base, **{name: value}), said)


def test_a_bad_policy(tmp_path: Path, base: dict[str, Any]) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text("version: 1\nname: x\nrolls: {}\n")
    done = serve(tmp_path, base)
    assert done.returncode == MISTAKE
    assert f'{policy}:3: unknown key "rolls"; did you mean "roles"?' in done.stderr
    assert "Traceback" not in done.stderr
    text = ungated_text()
    policy.write_text(text.replace("upstream: reader", "upstream: raeder"))
    check(serve(tmp_path, base), "raeder", "they have: migrator, reader")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("version: 1\n", "identities"),
        (
            "version: 1\nidentities: [{name: a, rol: b, secret: x}]\n",
            'did you mean "role"?',
        ),
        ("[]", "mapping"),
        ("\0", "identities.yaml"),
        (
            'version: 1\nidentities: [{name: a, role: develper, secret: "SCRAM-SHA-256'
            f'$4096:{"A" * 24}${"A" * 43}=:{"A" * 43}="}}]\n',
            'identity "a" has the role "develper", which policy "production" does not '
            'know; did you mean "developer"?',
        ),
    ],
)
def test_bad_identities(
    tmp_path: Path, base: dict[str, Any], text: str, said: str
) -> None:
    (tmp_path / "identities.yaml").write_text(text)
    done = serve(tmp_path, base)
    assert done.returncode == MISTAKE, done.stderr
    assert "Traceback" not in done.stderr
    assert said in done.stderr
    assert all(
        line.startswith(("pgwarden: ", "hint: ")) for line in done.stderr.splitlines()
    )


def test_a_check_reads_all_and_begins_nothing(
    tmp_path: Path, base: dict[str, Any]
) -> None:
    settings = tmp_path / "pgwarden.yaml"

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*serve_command(settings), "--check"],
            capture_output=True,
            text=True,
            check=False,
            timeout=20,
        )

    settings.write_text(yaml.safe_dump(base))
    done = run()
    assert (done.returncode, done.stderr) == (0, "")
    assert " can be used: policy production (" in done.stdout
    assert not (tmp_path / "audit").exists()
    settings.write_text(yaml.safe_dump(merged(base, {"policy": "no.yaml"})))
    check(run(), "no.yaml")


def test_a_password_file_that_is_no_text(tmp_path: Path, base: dict[str, Any]) -> None:
    (tmp_path / "password").write_bytes(b"\xff\n")
    login = {"user": "r", "password_file": "password"}
    change = {"upstream": {"logins": {"reader": login}}}
    check(serve(tmp_path, merged(base, change)), "password", "is not UTF-8")


@pytest.fixture
def busy() -> Iterator[str]:
    with closing(socket.create_server((HOST, 0))) as taken:
        yield f"{HOST}:{taken.getsockname()[1]}"


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("key", ["listen", "admin"])
def test_a_busy_port(
    tmp_path: Path, base: dict[str, Any], busy: str, key: str, workers: int
) -> None:
    change = {key: [busy] if key == "listen" else busy, "workers": workers}
    done = serve(tmp_path, merged(base, change))
    check(done, busy)
    assert "choose another" in done.stderr


def expired(folder: Path) -> None:
    issue(folder, not_after=datetime(2020, 1, 1, tzinfo=UTC))


def issue(folder: Path, not_after: datetime | None = None) -> None:
    made = trustme.CA().issue_cert("localhost", not_after=not_after)
    made.cert_chain_pems[0].write_to_path(folder / "c.pem")
    made.private_key_pem.write_to_path(folder / "k.pem")


def mismatch(folder: Path) -> None:
    issue(folder)
    trustme.CA().issue_cert("other").private_key_pem.write_to_path(folder / "k.pem")


def broken(folder: Path) -> None:
    issue(folder)
    (folder / "c.pem").write_text("-----BEGIN CERTIFICATE-----\nnonsense\n")


def emptied(folder: Path) -> None:
    issue(folder)
    (folder / "k.pem").write_text("")


def keyless(folder: Path) -> None:
    issue(folder)
    (folder / "k.pem").unlink()


def missing(folder: Path) -> None:
    issue(folder)
    (folder / "c.pem").unlink()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (expired, 'certificate "{}/c.pem" expired on 2020-01-01'),
        (mismatch, "mismatch"),
        (broken, 'certificate "{}/c.pem" holds no certificate in PEM form'),
        (emptied, '"{}/k.pem" can\'t be used: not in PEM form'),
        (keyless, 'TLS file "{}/k.pem" can\'t be read: no such file or directory'),
        (missing, 'certificate "{}/c.pem" can\'t be read: no such file or directory'),
    ],
)
def test_a_broken_certificate(
    tmp_path: Path, base: dict[str, Any], make: Callable[[Path], None], said: str
) -> None:
    make(tmp_path)
    base["tls"] = {"certificate": "c.pem", "key": "k.pem"}
    check(serve(tmp_path, base), said.format(tmp_path))


def test_an_audit_folder_that_can_not_be_used(
    tmp_path: Path, base: dict[str, Any]
) -> None:
    (tmp_path / "file").write_text("")
    check(serve(tmp_path, merged(base, {"audit": {"folder": "file/audit"}})), "audit")
    (tmp_path / "open").mkdir(mode=0o777)
    (tmp_path / "open").chmod(0o777)
    done = serve(tmp_path, merged(base, {"audit": {"folder": "open"}}))
    check(done, "may be written by others")


@pytest.mark.postgres
def test_two_with_one_audit_folder(start_proxy: StartProxy, shop17: Database) -> None:
    first = start_proxy(shop17.cluster)
    second = start_proxy(shop17.cluster)
    second.stop()
    text = second.settings_path.read_text()
    changed = text.replace(str(second.audit_folder), str(first.audit_folder))
    for workers in (1, 2):
        done = serve(second.folder, changed + f"workers: {workers}\n")
        assert done.returncode == MISTAKE, done.stderr
        assert "another pgwarden writes" in done.stderr
        assert "Traceback" not in done.stderr
    psycopg.connect(first.dsn("developer", shop17.name)).close()


@pytest.mark.postgres
def test_an_upstream_that_is_not_there(
    start_proxy: StartProxy, shop17: Database
) -> None:
    """It starts, says so once, and is ready as soon as the upstream is."""
    proxy = start_proxy(shop17.cluster, settings={"upstream": {"port": free_port()}})
    eventually(lambda: problems(proxy) == ["the database can't be reached"])
    for _ in range(3):
        with pytest.raises(psycopg.OperationalError) as refused:
            psycopg.connect(proxy.dsn("developer", shop17.name))
        assert "pgwarden can't reach the database" in str(refused.value)
        assert str(shop17.cluster.port) not in str(refused.value).replace(
            str(proxy.port), ""
        )
    log = proxy.log_path.read_text()
    assert log.count('"upstream_problem"') == 1
    assert "connection refused" in log
    assert "Traceback" not in log
    assert metric(proxy, 'pgwarden_upstream_errors_total{reason="connect"}') >= 3
    assert proxy.stop() == 0
    ends = [r for r in proxy.records() if r.get("status") == "refused"]
    assert [r["sqlstate"] for r in ends] == ["08001"] * 3
    # The same folder again, with the port put right.
    content = yaml.safe_load(proxy.settings_path.read_text())
    content["upstream"]["port"] = shop17.cluster.port
    proxy.settings_path.write_text(yaml.safe_dump(content))
    restart(proxy)
    psycopg.connect(proxy.dsn("developer", shop17.name)).close()
    eventually(lambda: not problems(proxy))


@pytest.mark.postgres
def test_an_upstream_that_says_nothing(
    start_proxy: StartProxy, shop17: Database
) -> None:
    with closing(socket.create_server((HOST, 0))) as silent:
        proxy = start_proxy(
            shop17.cluster,
            settings={
                "upstream": {"port": silent.getsockname()[1], "connect_timeout_s": 0.5}
            },
        )
        assert problems(proxy), "not ready before the database has been tried"
        with pytest.raises(psycopg.OperationalError, match="can't reach the database"):
            psycopg.connect(proxy.dsn("developer", shop17.name))
        eventually(lambda: "no answer within 0.5 s" in proxy.log_path.read_text())
        eventually(lambda: problems(proxy))
        assert proxy.stop() == 0
