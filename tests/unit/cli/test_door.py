"""`pgwarden door report`: what it prints, and its exit status."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from proxy.cli.door import is_own_of
from proxy.cli.main import app
from proxy.errors import ConfigError
from proxy.settings import load_settings

ROOT = Path(__file__).parents[3]
AT = "2026-11-26 17:12:43.825 UTC"


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    logins = {
        "reader": {"user": "pgw_{identity}", "password_file": "s/{identity}"},
        "migrator": {"user": "pgwarden_migrator", "password_file": "m"},
    }
    file = tmp_path / "pgwarden.yaml"
    file.write_text(
        yaml.safe_dump(
            {
                "listen": ["127.0.0.1:0"],
                "policy": "p.yaml",
                "identities": "i.yaml",
                "audit": {"folder": "audit"},
                "upstream": {
                    "host": "db.internal.example",
                    "databases": ["app"],
                    "logins": logins,
                    "catalog": {"login": "migrator"},
                },
            }
        )
    )
    return file


def login(user: str, host: str) -> str:
    return (
        f"{AT} [7] LOG:  connection received: host={host} port=1\n"
        f"{AT} [7] LOG:  connection authorized: user={user} database=app\n"
    )


def run(settings: Path, text: str, *more: str) -> tuple[int, str]:
    log = settings.with_name("server.log")
    log.write_text(text)
    done = CliRunner().invoke(
        app,
        [
            *("door", "report", "-c", str(settings), "--log", str(log)),
            *("--from", "10.0.0.5", *more),
        ],
    )
    if isinstance(done.exception, ConfigError):
        raise done.exception
    return done.exit_code, done.output


def test_nobody_went_round(settings: Path) -> None:
    text = login("pgw_ana", "10.0.0.5") + login("app", "10.0.1.9")
    status, said = run(settings, text, "--known", "app@10.0.1.0/24")
    assert (status, said) == (
        0,
        "2 logins from 2026-11-26 17:12:43 to 2026-11-26 17:12:43: "
        "1 through pgwarden, 1 known, 0 went round\n",
    )


def test_somebody_did(settings: Path) -> None:
    status, said = run(settings, login("pgw_ana", "10.0.7.7") + login("[b]x", "::1"))
    assert status == 1
    assert "pgwarden's login from elsewhere" in said
    assert "[b]x" in said
    assert "0 through pgwarden, 0 known, 2 went round" in said


def test_an_empty_log_tells_nothing(settings: Path) -> None:
    status, said = run(settings, "")
    assert status == 2
    assert "the log can't tell: no login stands in it: is log_connections on?" in said


def test_from_standard_input(settings: Path) -> None:
    done = CliRunner().invoke(
        app,
        ["door", "report", "-c", str(settings), "--log", "-", "--from", "10.0.0.5"],
        input=login("pgwarden_migrator", "10.0.0.5"),
    )
    assert done.exit_code == 0
    assert "1 through pgwarden" in done.output


def test_a_mistake_is_one_line(settings: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no address"):
        run(settings, "", "--known", "app@nowhere")
    with pytest.raises(ConfigError, match="no such file"):
        run(settings, "", "--log", str(tmp_path / "missing"))


def test_whose_login_it_is(settings: Path) -> None:
    is_own = is_own_of(load_settings(settings, {}))
    assert is_own("pgw_ana")
    assert is_own("pgwarden_migrator")
    assert not is_own("pgw_")
    assert not is_own("app")
    assert not is_own("xpgw_ana")


def test_what_the_how_to_shows(settings: Path) -> None:
    """A log of the day in that page gives the page's own output, and its status."""
    settings.write_text(
        settings.read_text().replace("pgw_{identity}", "pgwarden_reader")
    )
    settings.write_text(settings.read_text().replace("s/{identity}", "r"))
    page = (ROOT / "docs" / "how-to" / "one-door.md").read_text("utf-8")
    block = next(b for b in page.split("```console\n") if "door report" in b)
    command, *shown = block.split("\n```")[0].splitlines()
    log = settings.with_name("postgresql.csv")
    visits = [
        ("pgwarden_reader", "10.0.0.5", "00:00:09", 95),
        ("app", "10.0.1.4", "08:00:00", 12),
        ("pgwarden_reader", "10.0.7.23", "09:12:40", 2),
        ("pgwarden_reader", "10.0.7.23", "09:31:02", 1),
        ("ana", "10.0.7.23", "11:02:13", 1),
        ("pgwarden_reader", "10.0.0.5", "23:58:41", 1),
    ]
    log.write_text(
        "".join(
            f"2026-11-26 {at}.000 UTC,{user},app,7,{host}:4711"
            f'{",x" * 8},"connection authorized: user={user} database=app"{",x" * 9}\n'
            * count
            for user, host, at, count in visits
        )
    )
    words = command.removeprefix("$ pgwarden ").split()
    paths = {"pgwarden.yaml": str(settings), "postgresql.csv": str(log)}
    done = CliRunner().invoke(app, [paths.get(word, word) for word in words])
    assert [line.split() for line in done.output.splitlines()] == [
        line.split() for line in shown[: shown.index("$ echo $?")]
    ]
    assert str(done.exit_code) == shown[-1]
