"""Where the passwords of our own logins come from, and when they are read again."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import TYPE_CHECKING

import pytest

from proxy.errors import ConfigError
from proxy.server import password_command
from proxy.server.password_command import MAX_BYTES, printed_by
from proxy.server.upstream_passwords import (
    AGAIN_AFTER_S,
    KEPT_FOR_S,
    Passwords,
    Where,
)
from proxy.server.upstream_users import Key
from proxy.settings_upstream import UpstreamLogin, UpstreamSettings

if TYPE_CHECKING:
    from pathlib import Path

KEY = Key("reader")
HERE = Where("db1", 5432, "shop", "r")


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def made(login: UpstreamLogin, key: Key = KEY, clock: Clock | None = None) -> Passwords:
    settings = UpstreamSettings(host="db1", logins={key.login: login})
    return Passwords(settings, [key], clock=clock or Clock())


def script(tmp_path: Path, text: str) -> str:
    path = tmp_path / "command"
    path.write_text(f"#!{sys.executable}\nimport os, sys, time\n{text}\n")
    path.chmod(0o700)
    return str(path)


def counting(tmp_path: Path) -> tuple[str, ...]:
    """A command that prints "token 1", "token 2"..."""
    runs = tmp_path / "runs"
    return (
        script(
            tmp_path,
            f"with open({str(runs)!r}, 'a') as f: f.write('x')\n"
            f"print('token', os.path.getsize({str(runs)!r}))",
        ),
    )


async def test_a_changed_file_counts_at_once(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("old\n")
    clock = Clock()
    passwords = made(UpstreamLogin(user="r", password_file=file), clock=clock)
    assert await passwords.current(KEY, HERE) == "old"
    passwords.worked("old", KEY, HERE)
    file.write_text("new\n")
    assert await passwords.current(KEY, HERE) == "new"
    # Written before the role was altered: the old one still works.
    assert await passwords.after("new", KEY, HERE) == "old"
    # Refused as well: was the role altered just now? After a while it is forgotten.
    assert await passwords.after("old", KEY, HERE) == "new"
    assert await passwords.after("new", KEY, HERE) == "old"
    clock.now += KEPT_FOR_S
    assert await passwords.after("new", KEY, HERE) is None


async def test_what_was_refused_a_moment_before_it_was_right_is_tried_again(
    tmp_path: Path,
) -> None:
    """One login is refused, the role is altered, another is let in; then ours asks."""
    file = tmp_path / "password"
    file.write_text("new\n")
    clock = Clock()
    passwords = made(UpstreamLogin(user="r", password_file=file), clock=clock)
    began_s = clock.now
    clock.now += 1
    passwords.worked("new", KEY, HERE)
    assert await passwords.after("new", KEY, HERE, since_s=began_s) == "new"
    assert await passwords.after("new", KEY, HERE, since_s=clock.now) is None


async def test_a_file_that_is_just_being_replaced(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("right\n")
    clock = Clock()
    passwords = made(UpstreamLogin(user="r", password_file=file), clock=clock)
    passwords.worked("right", KEY, HERE)
    file.write_text("")
    assert await passwords.current(KEY, HERE) == "right"
    file.unlink()
    assert await passwords.current(KEY, HERE) == "right"
    assert await passwords.after("right", KEY, HERE) is None
    clock.now += KEPT_FOR_S
    with pytest.raises(ConfigError, match="can't be read"):
        await passwords.current(KEY, HERE)


async def test_one_pgpass_for_several_hosts(tmp_path: Path) -> None:
    file = tmp_path / "pgpass"
    file.write_text("db1:5432:*:r:first\ndb2:*:shop:r:second\n")
    file.chmod(0o600)
    passwords = made(UpstreamLogin(user="r", password_pgpass=file))
    there = HERE._replace(host="db2")
    assert await passwords.current(KEY, HERE) == "first"
    assert await passwords.current(KEY, there) == "second"
    assert await passwords.current(KEY, there._replace(database="x")) == ""
    # What works at one host says nothing of another.
    passwords.worked("first", KEY, HERE)
    assert await passwords.after("second", KEY, there) is None


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_pgpass_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    file = tmp_path / "pgpass"
    file.write_text("*:*:*:*:hunter2\n")
    file.chmod(mode)
    with pytest.raises(ConfigError, match="may be read by others") as error:
        made(UpstreamLogin(user="r", password_pgpass=file))
    assert "hunter2" not in str(error.value)


def test_what_can_not_be_read_is_told_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_bob", "of bob")
    logins = {
        "a": UpstreamLogin(user="{identity}", password_file=tmp_path / "{identity}"),
        "b": UpstreamLogin(user="o_{identity}", password_env="SECRET_{identity}"),
        "c": UpstreamLogin(user="c", password_command=(str(tmp_path / "none"),)),
        "d": UpstreamLogin(user="d", password_pgpass=tmp_path),
    }
    settings = UpstreamSettings(host="h", logins=logins)
    keys = [Key("a", "no-file"), Key("b", "no-variable"), Key("c"), Key("d")]
    with pytest.raises(ConfigError) as error:
        Passwords(settings, [*keys, Key("b", "bob")], clock=Clock())
    for said in ("no-file", "SECRET_no-variable", "no program that can be run", "d"):
        assert said in str(error.value)
    assert "of bob" not in str(error.value)


async def test_a_command_runs_when_its_answer_is_old(tmp_path: Path) -> None:
    login = UpstreamLogin(
        user="r", password_command=counting(tmp_path), password_ttl_s=60
    )
    clock = Clock()
    passwords = made(login, clock=clock)
    many = await asyncio.gather(*(passwords.current(KEY, HERE) for _ in range(20)))
    assert set(many) == {"token 1"}
    clock.now += 59
    assert await passwords.current(KEY, HERE) == "token 1"
    clock.now += 1
    assert await passwords.current(KEY, HERE) == "token 2"


async def test_a_refused_token_is_renewed_once_for_all(tmp_path: Path) -> None:
    clock = Clock()
    login = UpstreamLogin(user="r", password_command=counting(tmp_path))
    passwords = made(login, clock=clock)
    assert await passwords.current(KEY, HERE) == "token 1"
    clock.now += AGAIN_AFTER_S
    again = await asyncio.gather(
        *(passwords.after("token 1", KEY, HERE) for _ in range(20))
    )
    assert set(again) == {"token 2"}
    # However many wrong logins there are, it is not run in a loop.
    assert await passwords.after("token 2", KEY, HERE) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("print('hunter2', file=sys.stderr); sys.exit(3)", "status 3"),
        ("print('hunter2' * 10_000_000)", f"more than {MAX_BYTES:,} bytes"),
        ("print('hunter2\\nhunter2')", "did not print one line"),
        ("pass", "did not print one line"),
        ("sys.stdout.buffer.write(b'hunter2\\xff')", "not UTF-8"),
        ("print('hunter2', flush=True); time.sleep(60)", "took longer than 0.5 s"),
        # Who started something and left it holding the pipe.
        ("print('hunter2', flush=True)\nif os.fork() == 0: time.sleep(60)",
         "took longer than 0.5 s"),
    ],
)  # fmt: skip
async def test_a_command_in_trouble(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, said: str
) -> None:
    monkeypatch.setattr(password_command, "WITHIN_S", 0.5 if "sleep" in text else 20.0)
    command = script(tmp_path, text)
    with pytest.raises(ConfigError) as error:
        await printed_by((command, "--secret=hunter2"), "r")
    assert said in str(error.value)
    assert "hunter2" not in str(error.value)
    assert "reader" not in str(error.value)


async def test_a_command_that_fails_is_not_run_for_each_login(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    command = script(tmp_path, f"open({str(runs)!r}, 'a').write('x'); sys.exit(1)")
    clock = Clock()
    passwords = made(UpstreamLogin(user="r", password_command=(command,)), clock=clock)
    for _ in range(5):
        with pytest.raises(ConfigError, match="status 1"):
            await passwords.current(KEY, HERE)
    assert runs.read_text() == "x"
    # What worked before may still do, while the command is in trouble.
    passwords.worked("token", KEY, HERE)
    assert await passwords.current(KEY, HERE) == "token"


async def test_a_command_has_no_shell_and_none_of_our_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGWARDEN_SECRET_READER", "hunter2")
    monkeypatch.setenv("CLOUD_REGION", "here")
    command = script(
        tmp_path,
        "print(sys.argv[1], os.environ.get('CLOUD_REGION'),"
        " [k for k in os.environ if k.startswith('PGWARDEN')], sys.stdin.read())",
    )
    said = await printed_by((command, "$(id); `id` | x"), "r")
    assert said == "$(id); `id` | x here [] "


async def test_a_login_that_is_given_up_leaves_no_process(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    command = script(
        tmp_path, f"open({str(pid)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    )
    running = asyncio.create_task(printed_by((command,), "r"))
    for _ in range(1000):
        await asyncio.sleep(0.01)
        if pid.exists() and pid.read_text():
            break
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


async def test_what_worked_outlives_a_reload(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("old\n")
    login = UpstreamLogin(user="r", password_file=file)
    before = made(login)
    before.worked("old", KEY, HERE)
    file.write_text("new\n")
    after = made(login)
    after.adopt(before)
    assert await after.after("new", KEY, HERE) == "old"
    assert KEY in after
    assert Key("other") not in after
