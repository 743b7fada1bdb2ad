"""What commands that read a whole log share: the span, and the progress shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from proxy.cli.logs import reading, wanted
from proxy.errors import ConfigError
from proxy.replay.records import Progress

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "log"
    path.write_bytes(b"x" * 1000)
    return path


@pytest.mark.parametrize("jobs", [1, 3])
def test_progress_is_shown_on_a_terminal(
    file: Path,
    jobs: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich takes it for a terminal
    with reading([file], jobs=jobs, is_quiet=False) as (processes, progress):
        assert processes == jobs
        for _ in range(jobs):
            progress(Progress(1000, 2_500))
    out, err = capsys.readouterr()
    assert out == ""
    assert f"{jobs * 2_500:,} records, " in err
    assert "/s" in err


@pytest.mark.parametrize("is_terminal", [True, False])
def test_nothing_is_shown_to_machines(
    file: Path,
    is_terminal: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if is_terminal:
        monkeypatch.setenv("FORCE_COLOR", "1")
    with reading([file], jobs=0, is_quiet=is_terminal) as (processes, progress):
        assert processes == 1
        progress(Progress(1000, 1))
    assert capsys.readouterr().err == ""


def test_a_span() -> None:
    found = wanted(["ana"], None, since="2026-01-01T00:00:00+00:00", until="")
    assert found.identities == {"ana"}
    assert (found.since, found.until) == ("2026-01-01T00:00:00.000000Z", "")
    assert found.roles == frozenset()
    with pytest.raises(ConfigError, match="is not a time"):
        wanted(None, None, since="", until="soon")
