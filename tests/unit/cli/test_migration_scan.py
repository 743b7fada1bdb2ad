"""`pgwarden migration scan`: which files are read, what allows a finding, the forms."""

from __future__ import annotations

import json
import re
import subprocess
from datetime import date
from pathlib import Path, PurePath

import pytest
import typer
import yaml
from typer.testing import CliRunner

from proxy.cli.migration_scan import scan_commands
from proxy.migrations.scan import scan_text
from tests.unit.migrations.test_folder import lay

app = typer.Typer()
app.command()(scan_commands)
RUN = CliRunner()
ROOT = Path(__file__).parents[3]
TODAY = date(2026, 11, 26)
RESET = "npx prisma migrate reset --force\n"


def test_exit_status_and_forms(tmp_path: Path) -> None:
    lay(tmp_path, {"a.sh": "npx prisma migrate deploy\n"})
    ran = RUN.invoke(app, [str(tmp_path)])
    assert (ran.exit_code, ran.stdout) == (0, "1 file: 0 commands that destroy\n")
    lay(tmp_path, {"b.sh": f"set -e\n{RESET}"})
    ran = RUN.invoke(app, [str(tmp_path)])
    assert ran.exit_code == 1
    assert "`prisma migrate reset` drops all data" in ran.stdout
    ran = RUN.invoke(app, ["--json", str(tmp_path)])
    (found,) = json.loads(ran.stdout)["findings"]
    assert (found["line"], found["rule"]) == (2, "prisma-migrate-reset")
    for form in ("sarif", "junit"):
        ran = RUN.invoke(app, ["--format", form, str(tmp_path)])
        assert ran.exit_code == 1
        assert "prisma-migrate-reset" in ran.stdout
    assert RUN.invoke(app, [str(tmp_path / "nowhere")]).exit_code == 2


def test_what_git_ignores_and_what_is_installed_is_left_out(tmp_path: Path) -> None:
    lay(
        tmp_path,
        {
            ".gitignore": "build/\n",
            "build/a.sh": RESET,
            "node_modules/x/a.sh": RESET,
            "new.sh": RESET,
            "README.md": RESET,
        },
    )
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    ran = RUN.invoke(app, ["--json", str(tmp_path)])
    assert [Path(each["file"]).name for each in json.loads(ran.stdout)["findings"]] == [
        "new.sh"
    ]
    # Named outright, a file is read whatever git thinks of it.
    assert RUN.invoke(app, [str(tmp_path / "build/a.sh")]).exit_code == 1


def test_what_is_no_text_is_told_and_what_windows_writes_is_read(
    tmp_path: Path,
) -> None:
    (tmp_path / "a.sh").write_bytes(RESET.encode() + b"\0")
    (tmp_path / "b.sh").write_bytes(b"#" * (1024 * 1024 + 1))
    (tmp_path / "c.ps1").write_bytes(RESET.encode("utf-16"))
    (tmp_path / "d.cmd").write_bytes(RESET.encode("utf-8-sig"))
    ran = RUN.invoke(app, ["--json", str(tmp_path)])
    assert [each["rule"] for each in json.loads(ran.stdout)["findings"]] == [
        "unread",
        "unread",
        "prisma-migrate-reset",
        "prisma-migrate-reset",
    ]


# What real tools said when they destroyed, what is known of such commands, and where
# one is tried to be seen refused.
OWN_DATA = (
    *("--exclude", "tests/transcripts/*", "--exclude", "policies/tools/*"),
    *("--exclude", "deploy/ci/local.sh"),
)


def test_this_repository_has_none_but_in_data_about_them() -> None:
    ran = RUN.invoke(app, [*OWN_DATA, str(ROOT)])
    assert ran.exit_code == 0, ran.stdout


def test_what_is_excluded_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "a" / "deep").mkdir(parents=True)
    (tmp_path / "a" / "deep" / "x.sh").write_text(RESET)
    assert RUN.invoke(app, ["--exclude", "a/*", str(tmp_path)]).exit_code == 0
    assert RUN.invoke(app, ["--exclude", "b/*", str(tmp_path)]).exit_code == 1
    named = str(tmp_path / "a" / "deep" / "x.sh")
    assert RUN.invoke(app, ["--exclude", "*", named]).exit_code == 1


# --- what allows a finding ---------------------------------------------------

ALLOW = "# pgwarden: allow prisma-migrate-reset: the database of the tests"


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("a.sh", f"{ALLOW}\n{RESET}"),
        ("a.sh", f"npx prisma migrate reset {ALLOW}\n"),
        ("a.sh", f"npx prisma \\\n  migrate \\\n  reset {ALLOW}\n"),
        ("Makefile", f"reset:\n\t{ALLOW}\n\t{RESET}"),
        ("Dockerfile", f"{ALLOW}\nRUN {RESET}"),
        ("ci.yml", f"a:\n  {ALLOW}\n  run: {RESET}"),
        ("ci.yml", f"a:\n  run: |\n    npm ci\n    {ALLOW}\n    {RESET}"),
        ("Jenkinsfile", f"{ALLOW.replace('#', '//')}\nsh '{RESET.strip()}'\n"),
        ("a.sh", ALLOW.replace(": the", " until 2027-01-31: the") + f"\n{RESET}"),
    ],
)
def test_a_comment_with_a_reason_allows(file: str, text: str) -> None:
    (found,) = scan_text(PurePath(file), text, TODAY)
    assert "the database of the tests" in found.waived


@pytest.mark.parametrize(
    "text",
    [
        f"{ALLOW}\n\n{RESET}",
        f"{RESET}{ALLOW}\n",
        f"{ALLOW.replace('reset', 'reset2')}\n{RESET}",
        f"{ALLOW}\nnpm ci\n{RESET}",
        f'echo "{ALLOW[2:]}"\n{RESET}',
        f"X='pgwarden: x {ALLOW}'\n{RESET}",
    ],
)
def test_a_comment_elsewhere_does_not(text: str) -> None:
    assert not any(each.waived for each in scan_text(PurePath("a.sh"), text, TODAY))
    assert scan_text(PurePath("a.sh"), text, TODAY)


@pytest.mark.parametrize(
    "comment",
    [
        "# pgwarden: allow prisma-migrate-reset",
        "# pgwarden: allow prisma-migrate-reset:",
        "# pgwarden: allow: because",
        "# pgwarden: allow prisma-migrate-reset until 2026-01-01: it ended",
    ],
)
def test_one_without_a_reason_is_a_finding_too(comment: str) -> None:
    found = scan_text(PurePath("a.sh"), f"{comment}\n{RESET}", TODAY)
    assert {each.rule for each in found} == {"annotation", "prisma-migrate-reset"}
    assert not any(each.waived for each in found)


def test_package_json_allows_by_the_script() -> None:
    scripts = {"test:reset": "prisma migrate reset", "reset": "prisma migrate reset"}
    allow = {"test:reset": "the database of the tests", "reset": " "}
    text = json.dumps({"scripts": scripts, "pgwarden": {"allow": allow}}, indent=1)
    found = scan_text(PurePath("package.json"), text, TODAY)
    assert [(each.line, each.waived) for each in found] == [
        (3, "the database of the tests"),
        (4, ""),
    ]


# --- hostile texts -----------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "$(" * 5000,
        "`" * 5001,
        "{a,b}" * 500,
        "'" * 9999,
        "<<A " * 2000 + "\n",
        'sh -c "' * 3000,
        "${A:-" * 3000,
        "a='$a$a';" * 50 + "echo $a",
        "A=x" + ";A=$A$A" * 60 + "; echo $A",
        "\\" * 10001,
        "(" * 20000,
        "| " * 20000,
    ],
    ids=range(12),
)
def test_a_hostile_text_ends_soon(text: str) -> None:
    scan_text(PurePath("a.sh"), text, TODAY)
    scan_text(PurePath("Makefile"), f"A={text}\nx:\n\t{text} $(A)", TODAY)
    scan_text(PurePath("a.yml"), f"run: {json.dumps(text)}", TODAY)


@pytest.mark.parametrize(
    "file", ["a.yml", "package.json", "a.toml", "Dockerfile", ".env"]
)
@pytest.mark.parametrize(
    "text",
    [
        "",
        "[" * 3000,
        "{" * 3000,
        "a: &a [*a]",
        "\0\x01\x02",
        "- !x y",
        "run: !!binary x",
    ],
)
def test_a_broken_file_is_no_crash(file: str, text: str) -> None:
    scan_text(PurePath(file), text, TODAY)


# --- the hooks ---------------------------------------------------------------


def test_the_hooks_name_commands_that_there_are() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    assert {each["entry"] for each in hooks} == {
        "pgwarden migration check",
        "pgwarden migration scan",
    }
    (files,) = [each["files"] for each in hooks if "files" in each]
    pattern = re.compile(files)
    for path in (
        "prisma/migrations/1_a/migration.sql",
        "db/migrations/0001.sql",
        "drizzle/0000_a.sql",
        "sql/V1.1__a.sql",
        "db/1_a.up.sql",
        "deploy/a.sql",
    ):
        assert pattern.search(path), path
    for path in ("queries/report.sql", "seed.sql", "migrations/README.md"):
        assert not pattern.search(path), path
