"""The workflow that we ship for GitHub Actions, run against the local issuer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.clients.token_rig import (
    JOBS,
    Guard,
)
from tests.clients.tools import bare_environment, program, run

if TYPE_CHECKING:
    from tests.fix_postgres import Database

pytestmark = [pytest.mark.postgres, pytest.mark.slow, pytest.mark.timeout(120)]

WORKFLOW = Path(__file__).parents[2] / "deploy" / "ci" / "deploy.yml"


@pytest.fixture
def guard(token_guard: Guard) -> Guard:
    return token_guard


def _step() -> tuple[dict[str, str], str]:
    """Environment and script of the workflow that we ship."""
    workflow = yaml.safe_load(WORKFLOW.read_text("utf-8"))
    job = workflow["jobs"]["migrate"]
    assert job["permissions"]["id-token"] == "write"
    (script,) = [step["run"] for step in job["steps"] if "run" in step]
    return job["env"], script


@pytest.mark.parametrize("job", ["deploy", "pull-request", "fork"])
def test_the_shipped_workflow_migrates_without_a_secret(
    guard: Guard, shop17: Database, tmp_path: Path, job: str
) -> None:
    environment, script = _step()
    assert environment["PGSSLMODE"] == "verify-full"
    (tmp_path / "migrations").mkdir()
    (tmp_path / "migrations" / "next.sql").write_text(
        f"create table by_workflow_{job.replace('-', '_')} (id int);"
    )
    mine = {
        "AUDIENCE": JOBS,
        "PGHOST": "localhost",
        "PGPORT": str(guard.proxy.port),
        "PGDATABASE": shop17.name,
        "PGUSER": "deploy",
        "PGSSLROOTCERT": str(guard.ca),
        # What a runner gives a job that has the permission `id-token: write`.
        "ACTIONS_ID_TOKEN_REQUEST_URL": f"{guard.issuer.url}/actions-token?version=2",
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN": job,
        "CURL_CA_BUNDLE": str(guard.issuer.ca),
        "NO_PROXY": "localhost",
    }
    for name in ("curl", "jq", "psql"):
        program(name)
    done = run(
        [program("bash"), "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
        environment={**bare_environment(), **environment, **mine},
        cwd=tmp_path,
    )
    if job == "deploy":
        done.ok()
        assert guard.start("deploy", shop17.name)["proof"]["subject"] == "deploy"
    else:
        assert done.code != 0
        assert 'token authentication failed for user "deploy"' in done.err
    # The runner's log holds the token only in the line that masks it.
    rest = done.out.replace(done.out.partition("\n")[0], "")
    assert "eyJ" not in rest + done.err


def test_the_page_and_the_workflow_say_the_same() -> None:
    _, script = _step()
    page = (
        WORKFLOW.parents[2] / "docs/how-to/deploy-from-github-actions.md"
    ).read_text()
    for line in script.strip().splitlines():
        assert line.strip() in page
