"""SIGKILL in the middle of appends: at most a torn tail, and the chain goes on."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

from proxy.audit.verify import verify_folder
from proxy.audit.writer import ChainWriter
from tests.integration.audit_child import CHILD_PATH, written

ROUNDS = 6


def killed_at_work(folder: Path, start: int, acknowledged: int) -> int:
    """Let a child append, kill it after some batches; the last number it confirmed."""
    child = subprocess.Popen(
        [sys.executable, str(CHILD_PATH), "append-forever", str(folder), str(start)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    confirmed = start
    with child:
        for _ in range(acknowledged):
            confirmed = int(child.stdout.readline())
        child.kill()
        for line in child.stdout:
            if line.endswith("\n"):
                confirmed = int(line)
    return confirmed


def test_a_killed_writer_loses_nothing_it_confirmed(tmp_path: Path) -> None:
    expected: set[int] = set()
    for number in range(ROUNDS):
        start = number * 1_000_000
        confirmed = killed_at_work(tmp_path, start, random.randint(1, 12))
        expected |= set(range(start, confirmed))
        report = verify_folder(tmp_path)
        assert report.findings == []
        for notice in report.notices:
            assert notice.what.startswith(("torn tail", "was not closed"))
    ChainWriter(tmp_path, at=1_700_000_000.0).close(1_700_000_000.0)
    report = verify_folder(tmp_path)
    assert report.findings == []
    assert len(report.files) == ROUNDS + 1
    assert all(n.what.startswith("torn tail") for n in report.notices)
    found = written(tmp_path)
    assert len(found) == len(set(found))
    assert expected <= set(found)
