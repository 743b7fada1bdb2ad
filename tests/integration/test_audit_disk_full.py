"""A disk that is really full: refuse, stay valid, recover; nothing lost or doubled."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

CHILD = Path(__file__).with_name("audit_child.py")
ROOT = Path(__file__).parents[2]
IN_NAMESPACE = ("unshare", "--user", "--map-root-user", "--mount")


def run(folder: Path, command: str, *before: str) -> dict[str, Any]:
    done = subprocess.run(
        [*before, sys.executable, str(CHILD), command, str(folder)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    result["log"] = done.stderr
    return result


def check(result: dict[str, Any]) -> None:
    assert result["findings"] == []
    assert result["notices"] == []
    assert result["refused"] == result["write_errors"] == 21
    assert result["recovered"] == [True, True, True]
    assert result["unavailable"] == 0
    assert len(result["accepted"]) > 100
    assert result["written"] == result["accepted"]
    # One log line as the outage begins and one as it ends, not one a statement.
    assert result["log"].count("audit_unavailable") == 1
    assert result["log"].count("audit_recovered") == 1


def can_mount() -> bool:
    """Whether this user may have a mount namespace of its own."""
    if shutil.which("unshare") is None:
        return False
    probe = [*IN_NAMESPACE, "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0


def test_a_full_tmpfs(tmp_path: Path) -> None:
    if not can_mount():
        pytest.skip("no mount namespace for this user: tmpfs left out")
    result = run(tmp_path, "full-disk", *IN_NAMESPACE)
    check(result)
    assert 100_000 < result["size_when_full"] < 262_144


def test_a_write_that_falls_short(tmp_path: Path) -> None:
    """RLIMIT_FSIZE makes write(2) take a part, then nothing (EFBIG)."""
    result = run(tmp_path, "file-limit")
    check(result)
    assert result["size_when_full"] < 100_001
