"""The identity commands as processes: several at once, and what a person sees."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.unit.cli.test_identity import Place

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
