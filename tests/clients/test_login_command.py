"""`pgwarden login` as a person meets it: a code, a browser, and then psql works."""

from __future__ import annotations

import json
import re
import stat
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.clients.issuer import LOGIN_CLIENT
from tests.clients.token_rig import ANN, PEOPLE
from tests.clients.tools import bare_environment, program, run

if TYPE_CHECKING:
    from pathlib import Path

    from tests.clients.token_rig import Guard
    from tests.fix_postgres import Database

pytestmark = [pytest.mark.postgres, pytest.mark.slow, pytest.mark.timeout(120)]

COUNT = "select count(*) from customers"


class Terminal:
    """Runs `pgwarden login` and does what it says in a browser."""

    def __init__(self, guard: Guard, shop: Database, home: Path) -> None:
        self.guard = guard
        self.home = home
        self.environment = {
            **bare_environment(),
            "HOME": str(home),
            "PYTHONPATH": ":".join(sys.path),
            "NO_PROXY": "localhost",
        }
        folder = home / ".config" / "pgwarden"
        folder.mkdir(parents=True)
        (folder / "login.yaml").write_text(
            f"issuer: {guard.issuer.url}\n"
            f"ca: {guard.issuer.ca}\n"
            f"client_id: {LOGIN_CLIENT}\n"
            f"resource: {PEOPLE}\n"
            "host: localhost\n"
            f"port: {guard.proxy.port}\n"
            f"database: {shop.name}\n"
            f"root_cert: {guard.ca}\n"
            "service: shop\n"
        )

    def login(
        self, *arguments: str, name: str = ANN, is_denied: bool = False
    ) -> tuple[int, str, str]:
        """Exit status, standard output and standard error."""
        command = [sys.executable, "-m", "proxy.cli.main", "login", *arguments]
        with subprocess.Popen(
            command,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as child:
            assert child.stdout is not None
            assert child.stderr is not None
            said = ""
            for line in child.stderr:
                said += line
                found = re.search(r"^or open (\S+)", line)
                if found:
                    self.guard.issuer.approve(found[1], name, is_denied=is_denied)
            out = child.stdout.read()
        return child.returncode, out, said

    def psql(self, command: str, **environment: str) -> Any:
        return run(
            [program("psql"), *command.split(), "-XAtc", COUNT],
            environment={**self.environment, **environment},
        )


@pytest.fixture
def terminal(token_guard: Guard, shop17: Database, tmp_path: Path) -> Terminal:
    return Terminal(token_guard, shop17, tmp_path)


def test_a_person_logs_in_and_psql_works(terminal: Terminal) -> None:
    mine = terminal.home / ".pgpass"
    mine.write_text(f"*:*:*:{ann_in_file()}:an old password\n")
    code, out, said = terminal.login()
    assert code == 0, said
    assert re.search(r"^    [A-Z]{4}-[A-Z]{4}$", said, re.MULTILINE)
    assert f'logged in as "{ANN}" for' in out
    assert out.endswith("next: psql service=shop\n")
    assert int(terminal.psql("service=shop").ok().out) > 0
    for name in (".pgpass", ".pg_service.conf"):
        path = terminal.home / name
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "sslmode=verify-full" in (terminal.home / ".pg_service.conf").read_text()
    assert "an old password" in mine.read_text()
    token = mine.read_text().splitlines()[0].rpartition(":")[2]
    assert len(token) > 400
    assert token not in out + said
    assert "eyJ" not in out + said
    # Again: nothing gathers.
    assert terminal.login()[0] == 0
    assert len(mine.read_text().splitlines()) == 2
    assert token not in mine.read_text()


def ann_in_file() -> str:
    return ANN.replace(":", "\\:")


def test_the_end_in_json_and_files_elsewhere(terminal: Terminal) -> None:
    passfile, services = terminal.home / "p", terminal.home / "s.conf"
    code, out, said = terminal.login(
        "--json", "--passfile", str(passfile), "--service-file", str(services)
    )
    assert code == 0, said
    told = json.loads(out)
    assert told["user"] == ANN
    assert told["next"] == f"PGSERVICEFILE={services} psql service=shop"
    assert not (terminal.home / ".pgpass").exists()
    done = terminal.psql("service=shop", PGSERVICEFILE=str(services))
    assert int(done.ok().out) > 0


def test_the_token_is_printed_only_where_it_is_asked_for(
    terminal: Terminal, shop17: Database
) -> None:
    code, out, said = terminal.login("--print-token")
    assert code == 0, said
    assert out.count("\n") == 1
    guard = terminal.guard
    environment = guard.environment(ANN, shop17, out.strip())
    done = run([program("psql"), "-XAtc", COUNT], environment=environment)
    assert int(done.ok().out) > 0
    assert not (terminal.home / ".pgpass").exists()
    assert not (terminal.home / ".pg_service.conf").exists()


def test_who_says_no_in_the_browser_gets_nothing(terminal: Terminal) -> None:
    code, out, said = terminal.login(is_denied=True)
    assert code == 1
    assert out == ""
    assert "denied in the browser" in said
    assert not (terminal.home / ".pgpass").exists()


def test_somebody_else_logs_in_as_somebody_else(terminal: Terminal) -> None:
    code, out, said = terminal.login(name="mallory@acme.example")
    assert code == 0, said
    assert 'logged in as "mallory@acme.example"' in out
    refused = terminal.psql("service=shop")
    assert "token authentication failed" in refused.err
    # And with Ann's name it helps as little.
    code, out, said = terminal.login("--user", ANN, name="mallory@acme.example")
    assert code == 0, said
    assert (
        f'token authentication failed for user "{ANN}"'
        in terminal.psql("service=shop").err
    )


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--client-id", "nobody"), "refuses"),
        (("--issuer", "https://localhost:1"), "can't be reached"),
        (("--issuer", "http://issuer.example"), "must begin with https://"),
        (("--ca", "/nonexistent"), "can't be read"),
        (("--port", "0"), "port"),
    ],
)
def test_a_mistake_is_one_line(
    terminal: Terminal, arguments: tuple[str, ...], told: str
) -> None:
    code, out, said = terminal.login(*arguments)
    assert code in {1, 2}
    assert out == ""
    assert told in said
    assert "Traceback" not in said


def test_a_token_that_is_no_jwt_is_told_so(terminal: Terminal) -> None:
    # Without a resource this issuer's access tokens are opaque.
    code, _, said = terminal.login("--resource", "")
    assert code == 2
    assert "is no JWT" in said
    assert "--use id_token" in said
