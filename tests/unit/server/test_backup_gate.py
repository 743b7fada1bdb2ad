from __future__ import annotations

import asyncio
import os
import sys
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from proxy.errors import ConfigError
from proxy.migrations.gates import GateState
from proxy.server import backup_gate, program
from proxy.server.backup_gate import (
    MAX_AHEAD_S,
    Command,
    FileAge,
    NoSource,
    backup_source_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxy.migrations.gates import GateAnswer

NOW = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)
HOUR_S = 3600


@dataclass(frozen=True)
class Gate:
    """The settings' part."""

    file: Path | None = None
    max_age_h: float = 24
    command: tuple[str, ...] | None = None
    timeout_s: float = 30


def written(path: Path, *, hours_ago: float, text: str = "a backup") -> Path:
    path.write_text(text)
    at_s = NOW.timestamp() - hours_ago * HOUR_S
    os.utime(path, (at_s, at_s))
    return path


def look(path: Path, max_age_h: float = 24) -> GateAnswer:
    return asyncio.run(FileAge(path, max_age_h, now=lambda: NOW).check("shop"))


@pytest.mark.parametrize(
    ("hours_ago", "state"),
    [
        (0, GateState.SATISFIED),
        (24, GateState.SATISFIED),
        (24.001, GateState.UNSATISFIED),
        (24 * 365, GateState.UNSATISFIED),
        (-MAX_AHEAD_S / HOUR_S, GateState.SATISFIED),
        (-MAX_AHEAD_S / HOUR_S - 0.001, GateState.UNAVAILABLE),
        (-24 * 365 * 1000, GateState.UNAVAILABLE),
    ],
)
def test_the_age_of_a_file_counts(
    tmp_path: Path, hours_ago: float, state: GateState
) -> None:
    assert look(written(tmp_path / "latest", hours_ago=hours_ago)).state is state


def test_what_is_told_and_what_is_recorded(tmp_path: Path) -> None:
    answer = look(written(tmp_path / "latest", hours_ago=30))
    assert answer.detail == "the newest backup is 30.0 h old; it may be 24 h old"
    assert str(tmp_path) not in answer.detail
    assert dict(answer.evidence) == {
        "backup": str(tmp_path / "latest"),
        "backup_at": "2026-11-26T06:00:00Z",
        "backup_bytes": "8",
        "backup_age_h": "30.0",
        "max_age_h": "24",
    }


def test_an_empty_file_is_no_backup(tmp_path: Path) -> None:
    answer = look(written(tmp_path / "latest", hours_ago=1, text=""))
    assert answer.state is GateState.UNSATISFIED


def test_what_can_not_be_looked_at(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "dangling").symlink_to(tmp_path / "gone")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    written(tmp_path / "file", hours_ago=0)
    for name in ("gone", "fifo", "dangling", "loop", "file/below"):
        answer = look(tmp_path / name)
        assert answer.state is GateState.UNAVAILABLE, name
        assert str(tmp_path) not in answer.detail


def test_the_path_itself_may_be_a_link_and_has_the_age_of_what_it_leads_to(
    tmp_path: Path,
) -> None:
    written(tmp_path / "monday", hours_ago=30)
    (tmp_path / "latest").symlink_to("monday")
    assert look(tmp_path / "latest").state is GateState.UNSATISFIED
    written(tmp_path / "tuesday", hours_ago=6)
    (tmp_path / "latest").unlink()
    (tmp_path / "latest").symlink_to("tuesday")
    assert look(tmp_path / "latest").state is GateState.SATISFIED


def test_of_a_folder_the_newest_file_counts(tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    folder.mkdir()
    assert look(folder).state is GateState.UNSATISFIED
    written(folder / "monday", hours_ago=30)
    assert look(folder).state is GateState.UNSATISFIED
    written(folder / "tuesday", hours_ago=6)
    assert look(folder).state is GateState.SATISFIED
    # A clock that is wrong once is not believed for the rest.
    written(folder / "wednesday", hours_ago=-48)
    assert look(folder).state is GateState.UNAVAILABLE


def test_nothing_else_in_a_folder_makes_it_fresh(tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    folder.mkdir()
    written(folder / "old", hours_ago=30)
    fresh = written(tmp_path / "a log that is always written to", hours_ago=0)
    (folder / "link").symlink_to(fresh)
    written(folder / "empty", hours_ago=0, text="")
    written(folder / ".half of it.tmp", hours_ago=0)
    (folder / "below").mkdir()
    written(folder / "below" / "file", hours_ago=0)
    os.mkfifo(folder / "fifo")
    assert look(folder).state is GateState.UNSATISFIED


def test_a_folder_of_too_much_is_no_folder_of_backups(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup_gate, "MOST_ENTRIES", 3)
    for number in range(3):
        written(tmp_path / str(number), hours_ago=0)
    assert look(tmp_path).state is GateState.SATISFIED
    written(tmp_path / "one more", hours_ago=0)
    assert look(tmp_path).state is GateState.UNAVAILABLE


async def test_a_disk_that_is_gone_holds_one_thread_and_no_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    back, looks = threading.Event(), []

    def hang(path: Path) -> None:
        looks.append(path)
        back.wait(20)
        raise OSError("stale file handle")

    monkeypatch.setattr(backup_gate, "_newest", hang)
    monkeypatch.setattr(backup_gate, "LOOK_WITHIN_S", 0.05)
    source = FileAge(tmp_path, 24, now=lambda: NOW)
    try:
        for _ in range(3):
            answer = await source.check("shop")
            assert answer.state is GateState.UNAVAILABLE
            assert "no answer" in answer.detail
        assert len(looks) == 1
    finally:
        back.set()


def script(tmp_path: Path, text: str) -> str:
    path = tmp_path / "check-backup"
    path.write_text(f"#!{sys.executable}\nimport os, sys, time\n{text}\n")
    path.chmod(0o700)
    return str(path)


@pytest.mark.parametrize(
    ("text", "state", "said"),
    [
        ("print('of 03:00, 12 GB\\nmore')", GateState.SATISFIED, "of 03:00, 12 GB"),
        ("pass", GateState.SATISFIED, "there is a backup"),
        ("print('30 h old'); sys.exit(1)", GateState.UNSATISFIED, "30 h old"),
        ("sys.exit(1)", GateState.UNSATISFIED, "no fresh backup"),
        ("print('no network'); sys.exit(2)", GateState.UNAVAILABLE, "2: no network"),
        ("os.kill(os.getpid(), 9)", GateState.UNAVAILABLE, "ended with -9"),
        ("print('x' * 10_000_000)", GateState.UNAVAILABLE, "printed more than"),
        # A program that prints for ever, and one that says yes and goes on.
        ("while True: print('y' * 1000)", GateState.UNAVAILABLE, "printed more than"),
        ("sys.stderr.write('s3cret')", GateState.SATISFIED, "there is a backup"),
        ("print('\\x1b[2Jall \\x1b[32mfine\\r')", GateState.SATISFIED, "all fine"),
        ("sys.stdout.buffer.write(b'\\xff')", GateState.SATISFIED, "\ufffd"),
    ],
)  # fmt: skip
async def test_what_a_program_says(
    tmp_path: Path, text: str, state: GateState, said: str
) -> None:
    command = script(tmp_path, text)
    answer = await Command((command, "--token=s3cret"), 20).check("shop")
    assert answer.state is state
    assert said in answer.detail
    assert len(answer.detail) < 300
    assert "s3cret" not in str(answer)
    assert dict(answer.evidence)["backup_command"] == command
    assert command not in answer.detail


@pytest.mark.parametrize(
    "text",
    [
        "print('yes', flush=True); time.sleep(60)",
        # It has said yes and ended, but what it began holds the pipe.
        "print('yes', flush=True)\nif os.fork() == 0: time.sleep(60)",
    ],
)
async def test_a_program_that_does_not_end_is_killed_with_all_it_began(
    tmp_path: Path, text: str
) -> None:
    pids = tmp_path / "pids"
    note = f"open({str(pids)!r}, 'a').write(f'{{os.getpid()}} ')"
    forks = f"if os.fork() == 0:\n    {note}\n    time.sleep(60)\n    os._exit(0)\n"
    wait = f"while not os.path.exists({str(pids)!r}): time.sleep(0.01)\n"
    command = script(tmp_path, f"{forks}{wait}{note}\n{text}")
    answer = await Command((command,), 2).check("shop")
    assert answer.state is GateState.UNAVAILABLE
    assert "took longer than 2 s" in answer.detail
    found = [int(each) for each in pids.read_text().split()]
    assert len(found) >= 2
    await until(lambda: not any(_runs(pid) for pid in found))


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state not in ("Z", "X")


async def until(holds: Callable[[], object]) -> None:
    """Wait for what nobody tells."""
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_a_check_that_is_given_up_leaves_no_program(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    command = script(
        tmp_path,
        f"open({str(pid_file)!r} + '.new', 'w').write(str(os.getpid()))\n"
        f"os.rename({str(pid_file)!r} + '.new', {str(pid_file)!r})\ntime.sleep(60)",
    )
    check = asyncio.get_running_loop().create_task(Command((command,), 30).check("s"))
    await until(pid_file.exists)
    check.cancel()
    with pytest.raises(asyncio.CancelledError):
        await check
    assert not _runs(int(pid_file.read_text()))


@pytest.mark.parametrize(
    "name", ["shop", "x; touch pwned", "$(touch pwned)", "`x`", "a b", "{database}", ""]
)
async def test_a_database_of_any_name_is_one_argument(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    command = script(tmp_path, "print(repr(sys.argv[1:]))")
    answer = await Command((command, "--of", "{database}", "-v"), 20).check(name)
    assert answer.detail == repr(["--of", name, "-v"])
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("name", ["--exit-zero", "-v"])
async def test_a_database_is_no_option(tmp_path: Path, name: str) -> None:
    command = script(tmp_path, f"open({str(tmp_path / 'ran')!r}, 'w')")
    answer = await Command((command, "{database}"), 20).check(name)
    assert answer.state is GateState.UNAVAILABLE
    assert not (tmp_path / "ran").exists()
    # Where the program does not hear the name, it does no harm.
    assert (await Command((command,), 20).check(name)).is_satisfied


async def test_a_nul_in_a_name_is_no_crash(tmp_path: Path) -> None:
    answer = await Command((script(tmp_path, ""), "{database}"), 20).check("a\0b")
    assert answer.state is GateState.UNAVAILABLE


async def test_a_program_gets_none_of_our_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGWARDEN_SECRET_ADMIN", "s3cret")
    monkeypatch.setenv("BACKUP_REPO", "main")
    command = script(
        tmp_path,
        "print(sorted(k for k in os.environ if 'PGWARDEN' in k),"
        " os.environ['BACKUP_REPO'], sys.stdin.read())",
    )
    assert (await Command((command,), 20).check("shop")).detail == "[] main"


async def test_a_program_that_is_not_there() -> None:
    answer = await Command(("/nowhere/check-backup",), 20).check("shop")
    assert answer.state is GateState.UNAVAILABLE
    assert "no such file" in answer.detail
    assert "/nowhere" not in answer.detail


async def test_a_program_that_can_not_be_killed_keeps_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spared: list[int] = []
    monkeypatch.setattr(program, "_KILLED_WITHIN_S", 0.05)
    monkeypatch.setattr(os, "killpg", lambda pid, _: spared.append(pid))
    command = script(tmp_path, "time.sleep(60)")
    async with asyncio.timeout(10):
        answer = await Command((command,), 0.05).check("shop")
    assert answer.state is GateState.UNAVAILABLE
    # asyncio kills it when it lets go of it; until then it was waited for in vain.
    (pid,) = spared
    await until(lambda: not Path(f"/proc/{pid}").exists())
    await asyncio.sleep(0)


@pytest.mark.parametrize(
    "wrong",
    [
        Gate(),
        Gate(command=()),
        Gate(command=("",)),
        Gate(command=("{database}",)),
        Gate(command=("sh", "-c", "check {database}")),
        Gate(command=("check", "--database={database}")),
    ],
)
def test_settings_that_are_wrong(wrong: Gate) -> None:
    with pytest.raises(ConfigError):
        backup_source_of(wrong)


def test_not_two_sources(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="one of"):
        backup_source_of(Gate(file=tmp_path, command=("check",)))


async def test_the_source_of_the_settings(tmp_path: Path) -> None:
    assert isinstance(backup_source_of(Gate(file=tmp_path)), FileAge)
    assert isinstance(backup_source_of(Gate(command=("check",))), Command)
    none = backup_source_of(None)
    assert isinstance(none, NoSource)
    answer = await none.check("shop")
    assert answer.is_satisfied
    assert answer.evidence == (("backup", "no gate is set"),)
