"""The log that the replay bench makes is a whole one, and nothing in it changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.audit.verify import verify_folder
from proxy.replay.follow import Wanted
from proxy.replay.records import log_files
from proxy.replay.replay import Replay, replay
from proxy.shipped import policy_path
from tests.bench.replay import make_log

if TYPE_CHECKING:
    from pathlib import Path


def test_a_made_log(tmp_path: Path) -> None:
    folder = tmp_path / "audit"
    make_log(folder, records=500, texts=40)
    report = verify_folder(folder)
    assert (report.findings, report.notices) == ([], [])
    assert report.records >= 500
    text = policy_path("production").read_text()
    wish = Replay(tuple(log_files(folder)), text, "production", Wanted())
    tally = replay(wish, 1, lambda _: None)
    assert tally.records == report.records
    assert tally.groups == []
