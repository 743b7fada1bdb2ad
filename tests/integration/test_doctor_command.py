"""The command `pgwarden doctor`: exit status, two forms, errors of one line."""

from __future__ import annotations

import json
import os
import socket
import struct
import subprocess
import sys
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from typing_extensions import override

from proxy.demo.config import people
from proxy.demo.folder import Passwords
from proxy.shipped import policy_path
from tests.fix_proxy import identities_document, merged
from tests.integration.doctoring import DATABASE, MIGRATOR, READER, ward_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.integration.doctoring import Ward

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(60)]


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ward]:
    with ward_of(17, tmp_path_factory.mktemp("ward")) as found:
        yield found


@dataclass(frozen=True)
class Command:
    """The command in front of the ward."""

    ward: Ward
    folder: Path

    def run(self, *arguments: str, **changed: Any) -> subprocess.CompletedProcess[str]:
        login = {"password_file": str(self.ward.password_file)}
        (self.folder / "identities.yaml").write_text(
            identities_document(people(Passwords()))
        )
        content = {
            "listen": ["127.0.0.1:0"],
            "policy": str(policy_path("production")),
            "identities": "identities.yaml",
            "audit": {"folder": "audit"},
            "upstream": {
                "host": self.ward.cluster.host,
                "port": self.ward.cluster.port,
                "databases": [DATABASE],
                "tls": {"mode": "disable"},
                "logins": {
                    "reader": {"user": READER, **login},
                    "migrator": {"user": MIGRATOR, **login},
                },
            },
        }
        file = self.folder / "pgwarden.yaml"
        file.write_text(yaml.safe_dump(merged(content, changed)))
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PG")}
        return subprocess.run(
            [
                *(sys.executable, "-P", "-m", "proxy.cli.main", "doctor"),
                *("--config", str(file), *arguments),
            ],
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
            env=environment,
        )


@pytest.fixture
def command(ward: Ward, tmp_path: Path) -> Command:
    return Command(ward, tmp_path)


def test_nothing_critical(command: Command) -> None:
    done = command.run()
    assert (done.returncode, done.stderr) == (0, "")
    assert "\n0 critical, " in done.stdout
    assert "'public-functions'" not in done.stdout
    assert "public-functions" in done.stdout


def test_something_critical_and_the_sql_that_mends_it(command: Command) -> None:
    command.ward.run("GRANT DELETE ON {evil}.{evil} TO PUBLIC")
    done = command.run()
    assert done.returncode == 1
    assert "critical" in done.stdout
    table = done.stdout.partition("-- to be read")[0]
    # Names from the database neither break a line nor style the table.
    assert not any(line.startswith("'$$") for line in table.splitlines())
    told = json.loads(command.run("--json").stdout)
    found = [each for each in told["findings"] if each["finding"] == "writes-relations"]
    assert {(each["login"], each["severity"]) for each in found} == {
        ("reader", "critical"),
        ("migrator", "note"),
    }
    statements = next(each["sql"] for each in found if each["sql"])
    assert all(each in done.stdout for each in statements)
    with command.ward.connect() as superuser:
        superuser.execute("\n".join(statements).encode())
    again = command.run("--json")
    assert again.returncode == 0
    assert json.loads(again.stdout)["summary"]["critical"] == 0


def test_the_json_is_whole(command: Command) -> None:
    told = json.loads(command.run("--json").stdout)
    assert told["version"] == 1
    assert told["logins"][0] == {
        "login": "migrator",
        "user": MIGRATOR,
        "read_only": False,
        "roles": ["migrator", "hotfix"],
        "databases": [DATABASE],
    }
    assert set(told["findings"][0]) == {
        *("finding", "severity", "login", "user", "database", "means", "detail"),
        *("objects", "count", "sql"),
    }


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            {"upstream": {"port": 1}},
            "the database can't be asked: upstream 127.0.0.1:1",
        ),
        (
            {"upstream": {"logins": {"reader": {"user": "nobody"}}}},
            "the database can't be asked: the upstream refused the login: 28P01",
        ),
        ({"upstream": {"databases": ["none"]}}, "gets into none of the databases"),
        ({"upstream": {"databases": ["none*"]}}, "gets into none of the databases"),
        ({"upstrem": {}}, 'unknown key "upstrem"'),
        (
            {"upstream": {"tls": {"mode": "require"}}},
            "the upstream does not speak TLS, and the settings ask for require",
        ),
    ],
)
def test_a_clear_line_where_nobody_can_be_asked(
    command: Command, changed: dict[str, Any], said: str
) -> None:
    done = command.run(**changed)
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""


def test_the_script_with_the_names_of_the_settings(command: Command) -> None:
    done = command.run("--fix-sql")
    assert done.returncode == 0
    assert done.stdout.startswith("\\set migrator 'mi''gr\"ator'\n\\set reader 'rea")
    assert "CREATE ROLE" in done.stdout


def test_without_settings() -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "proxy.cli.main", "doctor"],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "--config is missing" in done.stderr


class Thief(threading.Thread):
    """A server in the database's place that asks for the password itself."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.socket.getsockname()[1]
        self.got = b""

    @override
    def run(self) -> None:
        client, _ = self.socket.accept()
        with client, self.socket:
            client.recv(1 << 16)
            client.sendall(b"R" + struct.pack("!ii", 8, 3))
            client.settimeout(5)
            while data := client.recv(1 << 16):
                self.got += data


def test_no_password_for_whoever_asks(command: Command) -> None:
    thief = Thief()
    thief.start()
    done = command.run(upstream={"port": thief.port})
    thief.join(10)
    assert done.returncode == 2
    assert "that needs a setting that allows it" in done.stderr
    assert thief.got == b""
