"""The identity commands as processes: several at once, and what a person sees."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from cryptography import x509
from psycopg.conninfo import make_conninfo

from tests.clients.terminal import Terminal
from tests.fix_postgres import TEMPLATE, open_template
from tests.fix_proxy import Proxies
from tests.integration.certified import open_door
from tests.integration.rig import eventually
from tests.unit.cli.test_identity import Place, fits

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from proxy.demo.postgres import Cluster
    from tests.authority import Issued
    from tests.fix_postgres import Clusters
    from tests.integration.certified import Door


@pytest.mark.timeout(120)
@pytest.mark.parametrize("kind", ["file", "store"])
def test_commands_at_once_lose_nothing(tmp_path: Path, kind: str) -> None:
    """The first of them makes the store, too."""
    place = Place(tmp_path, kind)
    names = ["n0", "n1", "n2"]
    commands = [
        [
            *(sys.executable, "-m", "proxy.cli.main", "identity", "add", name),
            *("--role", "developer", "--config", str(place.config)),
        ]
        for name in names
    ]
    running = [subprocess.Popen(each, stdout=subprocess.DEVNULL) for each in commands]
    assert [each.wait(100) for each in running] == [0, 0, 0]
    assert sorted(each["name"] for each in place.json("list")) == names


@pytest.mark.timeout(120)
def test_a_password_is_typed_unseen(tmp_path: Path) -> None:
    place = Place(tmp_path, "file")
    command = [
        *(sys.executable, "-m", "proxy.cli.main", "identity", "add", "ana"),
        *("--role", "developer", "--type", "--config", str(place.config)),
    ]
    terminal = Terminal(command, environment=os.environ)
    try:
        screen = terminal.wait_for("password: $", timeout_s=60)
        screen += terminal.enter("typed unseen", until="again: $")
        terminal.press("typed unseen\n")
        eventually(lambda: place.find("ana"), 30)
    finally:
        terminal.close()
    assert "typed unseen" not in screen
    assert fits(place.find("ana"), "typed unseen")


@pytest.fixture
def door(clusters: Clusters, postgres17: Cluster, tmp_path: Path) -> Iterator[Door]:
    proxies = Proxies(clusters)
    open_template(clusters, postgres17)
    yield open_door(proxies, postgres17, tmp_path)
    proxies.stop()


def command(door: Door, *words: str, warning: str = "") -> str:
    """Run it on the files of a pgwarden that serves."""
    config = door.proxy.log_path.with_name("pgwarden.yaml")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "proxy.cli.main", "identity", *words),
            *("--config", str(config)),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert (warning in done.stderr) if warning else (done.stderr == "")
    return done.stdout.strip()


def told(door: Door, user: str, shown: Issued | None, password: str) -> str:
    """What becomes of a login; "" where it comes in."""
    chain = {"sslcert": "/dev/null/none", "sslkey": "/dev/null/none"}
    if shown is not None:
        chain = {"sslcert": str(shown.path), "sslkey": str(shown.key)}
    place = make_conninfo(
        host=door.proxy.host,
        port=door.proxy.port,
        dbname=TEMPLATE,
        sslmode="require",
        user=user,
        password=password,
        **chain,
    )
    try:
        psycopg.connect(place).close()
    except psycopg.OperationalError as error:
        return str(error)
    return ""


@pytest.mark.postgres
@pytest.mark.timeout(120)
def test_who_has_only_a_certificate_comes_in_by_nothing_else(door: Door) -> None:
    """From no password to one and back; a rule by password is there all along."""
    uri = x509.UniformResourceIdentifier("spiffe://example.com/robot")
    own = door.authority.issue("any", names=[uri])
    same_name_elsewhere = door.other.issue("any", names=[uri])
    add = ("add", "robot", "--role", "migrator", "--no-password")
    assert command(door, *add, "--certificate", f"uri={uri.value}") == ""
    eventually(lambda: not told(door, "robot", own, ""))
    for shown in (None, door.deploy()):
        for word in ("right", "robot"):
            assert "authentication failed" in told(door, "robot", shown, word)
    assert told(door, "robot", same_name_elsewhere, "")
    # Another role, whose rule takes a password: that it has none opens nothing.
    loses = ("set", "dev", "--certificate", "dns=dev.example.com", "--no-password")
    command(door, *loses, warning="rule login.rest takes a password")
    eventually(lambda: told(door, "dev", None, "right"))
    for word in ("right", "SCRAM-SHA-256", "dev"):
        assert "password" in told(door, "dev", None, word)
    made = command(door, "rotate", "dev", "--now").split()[-1]
    eventually(lambda: not told(door, "dev", None, made))
    assert told(door, "dev", None, "right")


@pytest.mark.postgres
@pytest.mark.timeout(120)
def test_of_two_passwords_the_old_one_ends_by_itself(door: Door) -> None:
    """Nothing is read again at that moment; a rotation with --now leaves no overlap."""
    new = command(door, "rotate", "dev", "--overlap", "8s").split()[-1]
    eventually(lambda: not told(door, "dev", None, new))
    until = datetime.fromisoformat(_shown(door, "dev")["old_password_until"])
    if datetime.now(UTC) < until - timedelta(seconds=2):
        assert not told(door, "dev", None, "right")
    eventually(lambda: told(door, "dev", None, "right"), 20)
    assert datetime.now(UTC) > until
    assert not told(door, "dev", None, new)
    newest = command(door, "rotate", "dev", "--now").split()[-1]
    eventually(lambda: not told(door, "dev", None, newest))
    for word in ("right", new):
        assert "password authentication failed" in told(door, "dev", None, word)


def _shown(door: Door, name: str) -> dict[str, Any]:
    shown: dict[str, Any] = json.loads(command(door, "show", name, "--json"))
    return shown
