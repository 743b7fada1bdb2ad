"""What holds for every test: fixtures by topic, and no silent skip in CI.

Fixtures live in `fix_postgres.py` (throw-away clusters) and `fix_proxy.py` (a running
pgwarden). Tests below `unit/` use neither.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from proxy.compiled import check_compiled

if TYPE_CHECKING:
    from collections.abc import Iterator

# What is tested must be what the sources say.
check_compiled()

pytest_plugins = ["tests.fix_postgres", "tests.fix_proxy"]

IN_CI = bool(os.environ.get("CI"))
EXPECTED_SKIPS: tuple[str, ...] = (
    "only root drops privileges",  # CI may run as an ordinary user
    # PostgreSQL's own statements are read from beside the checkout, never committed.
    "the regression sample is not beside the checkout",
)
"""Reasons (regular expressions) for which CI may skip a test; each with its why."""

# The pull-request run is quick and the same every time; `make test-deep` looks for
# news.
# How quick the machine is says nothing about the code: no deadline, no health check.
_SLOW = [HealthCheck.too_slow]
settings.register_profile(
    "quick", derandomize=True, deadline=None, suppress_health_check=_SLOW
)
settings.register_profile(
    "deep", max_examples=5_000, deadline=None, suppress_health_check=_SLOW
)
settings.load_profile("deep" if os.environ.get("PGWARDEN_DEEP") else "quick")

MAJOR_BY = ("postgres", "ward", "pair", "secured", "served")
"""Fixtures whose parameter is a major of Postgres, with the id "pg<major>"."""

_skipped: list[str] = []


def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Leave what is marked `deep` to the deep run, and let the majors take turns.

    Turns are for tests marked so, with many cases that should hold on any major: each
    case runs on one, and each major has a third of them. The deep run has all.
    """
    if os.environ.get("PGWARDEN_DEEP") or os.environ.get("PGWARDEN_TEST_MAJORS"):
        return
    deep = [item for item in items if item.get_closest_marker("deep")]
    cases: dict[str, list[pytest.Item]] = {}
    for item in items:
        major = _major_of(item)
        if major is not None and item.get_closest_marker("turns"):
            case = item.nodeid.replace(f"pg{major}", "pg")
            cases.setdefault(case, []).append(item)
    left_out = deep + [
        item
        for number, of_case in enumerate(cases.values())
        for item in of_case
        if item is not of_case[number % len(of_case)]
    ]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        gone = set(left_out)
        items[:] = [item for item in items if item not in gone]


def _major_of(item: pytest.Item) -> int | None:
    callspec = getattr(item, "callspec", None)
    if callspec is None:
        return None
    found = (callspec.params.get(name) for name in MAJOR_BY)
    return next((each for each in found if isinstance(each, int)), None)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.skipped and not hasattr(report, "wasxfail"):
        reason = _reason(report.longrepr)
        if not any(re.search(known, reason) for known in EXPECTED_SKIPS):
            _skipped.append(f"{report.nodeid}: {reason}")


def pytest_collectreport(report: pytest.CollectReport) -> None:
    if report.skipped:
        _skipped.append(f"{report.nodeid}: {_reason(report.longrepr)}")


def _reason(longrepr: object) -> str:
    return str(longrepr[2] if isinstance(longrepr, tuple) else longrepr)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    # With xdist the workers report to the controller; only it decides.
    is_worker = hasattr(session.config, "workerinput")
    if (
        IN_CI
        and _skipped
        and not is_worker
        and session.exitstatus == pytest.ExitCode.OK
    ):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter,
) -> None:
    if not _skipped:
        return
    verdict = "an unexpected skip fails CI" if IN_CI else "not run on this machine"
    terminalreporter.section(f"left out: {verdict}")
    for line in sorted(set(_skipped)):
        terminalreporter.write_line(f"LEFT OUT {line}", yellow=True)


@pytest.fixture(autouse=True, scope="session")
def _own_environment() -> Iterator[None]:
    """A PGHOST or PGWARDEN_* of the person's own must not steer a test."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(("PG", "PGWARDEN_")) and not name.startswith(
                ("PGWARDEN_TEST_", "PGWARDEN_DEEP")
            ):
                patch.delenv(name)
        yield
