"""The pipelines that we ship: the local one as it is, the others step by step.

What GitHub and GitLab themselves do is played: a token comes from a program named curl,
the reviewer from one named gh. `tests/clients/test_token_workflow.py` runs the same
lines against a real issuer. Next: `proxy.demo.pair`, deploy/ci/.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import psycopg
import pytest
import yaml

from tests.integration.rig import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.postgres, pytest.mark.slow, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
CI = ROOT / "deploy" / "ci"
LOCAL = CI / "local.sh"
POINTS = "SELECT sum(points) FROM customers"
REVIEWS = [
    ("rejected", "mallory", "approve-migrations"),
    ("approved", "ada", "production"),
    ("approved", "grace", "approve-migrations"),
]
"""State, who, and for which environment, as GitHub would list them."""


def bash(
    script: str, folder: Path, environment: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    """As a runner does it: any command that fails ends the step."""
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
        cwd=folder, env=environment, text=True, check=False, timeout=500,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def outside(folder: Path) -> dict[str, str]:
    """A shell's environment, with the programs of this Python on the path."""
    programs = folder / "programs"
    programs.mkdir(exist_ok=True)
    python = shlex.quote(sys.executable)
    for name, line in {
        "pgwarden": f'exec {python} -P -m proxy.cli.main "$@"',
        "alembic": f'exec {python} -m alembic.config "$@"',
        "python": f'exec {python} "$@"',
        "curl": """printf '{"value": "%s"}' "$THE_TOKEN" """,
        "gh": 'test "$1" = api; jq -r "$4" "$REVIEW_FILE"',
    }.items():
        file = programs / name
        file.write_text(f"#!/bin/sh\n{line}\n")
        file.chmod(0o755)
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "COLUMNS"))}
    path = f"{programs}{os.pathsep}{kept.get('PATH', '')}"
    return {**kept, "PATH": path, "PYTHONPATH": str(ROOT), "TMPDIR": str(folder)}


def test_the_local_pipeline(tmp_path: Path) -> None:
    """From an empty folder to production, past everything that must be refused."""
    done = bash(str(LOCAL), tmp_path, outside(tmp_path))
    assert done.returncode == 0, done.stdout
    said = done.stdout
    for line in (
        "rule migration.not-proven",
        "ran this migration, and can't approve it",
        "the backup is empty, or there is none in its folder",
        "compared with what proof",
        'statement 2 of 2 of migration "0003_vouchers" is not the proven one',
        "DROP TABLE is not allowed for role migrator",
        "unexpected: index public.points_by_hand",
        "proven, deployed, and nothing else happened",
    ):
        assert line in said, said
    assert said.count("1000 customers, 50000 points") == 2, said
    assert "postgresql://" not in said, "a password is shown"
    assert [each.name for each in tmp_path.iterdir()] == ["programs"]


@pytest.mark.deep
def test_the_local_pipeline_fails_where_nothing_is_refused(tmp_path: Path) -> None:
    text = LOCAL.read_text("utf-8")
    wanted = "refused production alembic upgrade head\n"
    assert wanted in text
    broken = tmp_path / "broken.sh"
    here = text.replace('cd "$(dirname "$0")/../.."', f"cd {shlex.quote(str(ROOT))}")
    broken.write_text(here.replace(wanted, "refused echo went through\n", 1))
    done = bash(f"bash {broken}", tmp_path, outside(tmp_path))
    assert done.returncode == 1, done.stdout
    assert done.stdout.endswith("went through\nthis should have been refused\n")
    assert not list(tmp_path.glob("pgwarden-*")), "it left its folder behind"


@dataclass(slots=True)
class Runner:
    """Runs steps of a workflow beside a pair of servers.

    Attributes:
        folder: of the pair.
        known: its addresses.
        project: the checkout of the job.
    """

    folder: Path
    known: dict[str, str]
    project: Path
    environment: dict[str, str] = field(repr=False)

    def run(self, side: str, script: str, *, fails: bool = False, **more: str) -> str:
        """A step, where this pgwarden is; what it printed."""
        there = urlsplit(self.known[f"{side.upper()}_URL"])
        script = script.replace("deploy-shop:", f"{there.username}:")
        script = script.replace("?sslmode=verify-full&sslrootcert=system", "")
        assert "sslmode" not in script, script
        mine = {
            "PGWARDEN_CONFIG": str(self.folder / f"{side}.yaml"),
            "SERVER": f"{there.hostname}:{there.port}/shop",
            "THE_TOKEN": there.password or "",
            "DEPLOY_TOKEN": there.password or "",
        }
        done = bash(script, self.project, self.environment | mine | more)
        assert bool(done.returncode) is fails, done.stdout
        return done.stdout

    def points(self, side: str) -> Any:
        with psycopg.connect(self.known[f"PAST_{side.upper()}"]) as connection:
            return connection.execute(POINTS).fetchall()


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[Runner]:
    folder, project = tmp_path / "pair", tmp_path / "project"
    folder.mkdir()
    environment = outside(tmp_path)
    done = bash(f"cp -R {CI / 'example'} {project}", tmp_path, environment)
    assert done.returncode == 0, done.stdout
    pair = subprocess.Popen(
        [sys.executable, "-m", "proxy.demo.pair", folder],
        cwd=ROOT, env=environment, stdin=subprocess.PIPE,
    )  # fmt: skip
    try:
        told = folder / "environment"
        eventually(lambda: told.exists() or pair.poll() is not None, 60)
        assert pair.poll() is None
        pairs = [line.partition("=") for line in told.read_text().splitlines()]
        known = {name: shlex.split(value)[0] for name, _, value in pairs}
        (folder / "backups" / "shop.dump").write_text("of today")
        made = Runner(folder, known, project, environment)
        for use in ("record", "approve"):
            file = folder / f"{use}.key"
            made.run("staging", f"pgwarden migration keys new {file} --use {use}")
        yield made
    finally:
        pair.communicate(timeout=60)
    assert pair.returncode == 0


@pytest.mark.deep
def test_the_steps_of_the_github_workflow(runner: Runner, tmp_path: Path) -> None:
    """Each script of it, in the order of its jobs."""
    workflow = yaml.safe_load((CI / "github-actions.yml").read_text("utf-8"))
    jobs = workflow["jobs"]
    of = {
        name: [step["run"] for step in job["steps"] if "run" in step]
        for name, job in jobs.items()
    }
    assert jobs["approve"]["environment"] == "approve-migrations"
    for name in ("staging", "production"):
        assert jobs[name]["permissions"] == {"contents": "read", "id-token": "write"}
    summary, output = tmp_path / "summary", tmp_path / "output"
    review = tmp_path / "review.json"
    review.write_text(json.dumps(list(map(_review, REVIEWS))))
    given: dict[str, Any] = {
        "AUDIENCE": "a",
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "t",
        "ACTIONS_ID_TOKEN_REQUEST_URL": "https://127.0.0.1:1/?x=1",
        "GITHUB_STEP_SUMMARY": str(summary),
        "GITHUB_OUTPUT": str(output),
        "GITHUB_REPOSITORY": "acme/shop",
        "GITHUB_RUN_ID": "7",
        "RUNNER_TEMP": str(tmp_path),
        "REVIEW_FILE": str(review),
        "APPROVE_KEY": (runner.folder / "approve.key").read_text().rstrip("\n"),
    }
    for script in of["staging"]:
        runner.run("staging", script, **given)
    assert "ALTER TABLE orders DROP COLUMN note" in summary.read_text()
    proofs = output.read_text().removeprefix("proofs=").strip()
    assert len(proofs.split()) == 3
    (approve,) = of["approve"]
    nobody = tmp_path / "nobody.json"
    nobody.write_text(json.dumps(list(map(_review, REVIEWS[:2]))))
    unseen = given | {"REVIEW_FILE": str(nobody)}
    runner.run("staging", approve, fails=True, PROOFS=proofs, **unseen)
    assert not list(runner.project.glob("proofs.json")), "it signed for nobody"
    runner.run("staging", approve, PROOFS=proofs, **given)
    listed = runner.run("staging", "pgwarden migration list")
    assert listed.count(" grace") == 3, listed
    assert "mallory" not in listed
    assert not list(tmp_path.glob("key.*")), "the key is still there"
    importing, migrate, verify = of["production"]
    for script in (importing, migrate):
        runner.run("production", script, **given)
    assert "0 objects differ" in runner.run("production", verify, **given)
    assert runner.points("production") == runner.points("staging") == [(50000,)]


def _review(said: tuple[str, str, str]) -> dict[str, Any]:
    state, who, where = said
    return {"state": state, "user": {"login": who}, "environments": [{"name": where}]}


@pytest.mark.deep
def test_the_steps_of_the_gitlab_pipeline(runner: Runner, tmp_path: Path) -> None:
    pipeline = yaml.safe_load((CI / "gitlab-ci.yml").read_text("utf-8"))
    assert pipeline["approve"]["rules"] == [{"when": "manual", "allow_failure": False}]

    def script(job: str) -> str:
        lines: list[str] = []
        for each in pipeline[job]["script"]:
            lines.extend(each if isinstance(each, list) else [each])
        return "\n".join(lines)

    shown = runner.run("staging", script("staging"))
    assert "ALTER TABLE orders DROP COLUMN note" in shown
    text = (runner.project / "proofs.env").read_text()
    runner.run(
        "staging",
        script("approve"),
        PROOFS=text.removeprefix("PROOFS=").strip(),
        APPROVE_KEY=str(runner.folder / "approve.key"),
        GITLAB_USER_LOGIN="grace",
        CI_PIPELINE_ID="7",
    )
    listed = runner.run("staging", "pgwarden migration list")
    assert listed.count(" grace") == 3, listed
    assert "0 objects differ" in runner.run("production", script("production"))
    assert runner.points("production") == [(50000,)]
