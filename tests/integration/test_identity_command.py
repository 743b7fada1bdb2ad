"""The identity commands as processes: several at once, and what a person sees."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.clients.terminal import Terminal
from tests.integration.rig import eventually
from tests.unit.cli.test_identity import Place, fits

if TYPE_CHECKING:
    from pathlib import Path


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
