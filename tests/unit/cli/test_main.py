"""The command as a whole: what it knows, what it imports, how it ends."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from proxy.cli import main
from proxy.errors import ConfigError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator

RUN = CliRunner()


@pytest.fixture(autouse=True)
def keep_sigint() -> Iterator[None]:
    """`main.main` ends a process, and lets go of this signal."""
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_the_help_names_every_command_in_order(flag: str) -> None:
    shown = RUN.invoke(main.app, [flag]).stdout
    places = [shown.index(f"│ {name} ") for name in main.COMMANDS]
    assert places == sorted(places)


@pytest.mark.parametrize("name", main.COMMANDS)
def test_every_command_has_help(name: str) -> None:
    shown = RUN.invoke(main.app, [name, "-h"])
    assert shown.exit_code == 0
    assert f"Usage: pgwarden {name} " in shown.stdout


def test_a_misspelt_command_is_told_the_right_one() -> None:
    ran = RUN.invoke(main.app, ["chekc"])
    assert ran.exit_code == 2
    assert "Did you mean 'check'?" in ran.stderr


def test_a_check_does_not_import_the_server() -> None:
    code = (
        "import sys; from proxy.cli.main import app\n"
        "app(['check', '--help'], standalone_mode=False)\n"
        "found = {'proxy.server.server', 'proxy.console.app', 'proxy.demo.run'}\n"
        "sys.exit(', '.join(found & set(sys.modules)) or 0)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ConfigError("one\ntwo \x1b[31m", hint="do this"), 2),
        (UnavailableError("one\ntwo \x1b[31m", hint="do this"), 1),
    ],
)
def test_an_expected_error_is_lines_and_a_status(
    error: Exception,
    status: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr(main, "app", fail)
    with pytest.raises(SystemExit) as ended:
        main.main()
    assert ended.value.code == status
    assert capsys.readouterr().err == (
        "pgwarden: one\npgwarden: two \\x1b[31m\nhint: do this\n"
    )
    assert signal.getsignal(signal.SIGINT) == signal.SIG_DFL
