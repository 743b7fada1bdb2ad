"""The bench's arithmetic, its reading of other tools' output, and its floors."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, strategies as st

from proxy.errors import UnavailableError
from tests.bench import audit_check, bulk, memory, throughput
from tests.bench.figures import (
    median_difference,
    median_ratio,
    percentile,
    ratios,
    spread,
)
from tests.bench.perf import read_shares
from tests.bench.pgbench import latencies_us, read_report
from tests.bench.processes import cpu, resident_kib
from tests.bench.results import FLOORS, Floor, Section, hold
from tests.bench.statements import STATEMENTS, texts

if TYPE_CHECKING:
    from pathlib import Path

REPORT = """\
transaction type: <builtin: select only>
query mode: simple
number of clients: 8
duration: 5 s
number of transactions actually processed: 61234
number of failed transactions: 0 (0.000%)
latency average = 0.653 ms
tps = 12250.123456 (without initial connection time)
"""


def test_a_ratio_is_taken_within_its_round() -> None:
    # A machine that doubles its speed between rounds changes no ratio.
    assert ratios([60.0, 120.0, 50.0], [100.0, 200.0, 100.0]) == (0.6, 0.6, 0.5)
    assert median_ratio([60.0, 120.0, 50.0], [100.0, 200.0, 100.0]) == 0.6
    # There the ratio of the two medians would be the same; here it would be 0.5.
    assert median_ratio([2.0, 10.0, 30.0], [10.0, 100.0, 20.0]) == 0.2
    assert median_difference([5, 9, 9], [1, 2, 8]) == 4


@pytest.mark.parametrize(
    ("ours", "theirs"), [([], []), ([1.0], [0.0]), ([1.0], [1.0, 2.0])]
)
def test_a_ratio_of_nothing_or_of_different_rounds_is_an_error(
    ours: list[float], theirs: list[float]
) -> None:
    with pytest.raises(ValueError, match=r"."):
        ratios(ours, theirs)


def test_percentiles_are_values_that_occurred() -> None:
    values = [40, 10, 30, 20]
    assert [percentile(values, each) for each in (1, 25, 26, 50, 99, 100)] == [
        *(10, 10, 20),
        *(20, 40, 40),
    ]
    with pytest.raises(ValueError, match="needs values"):
        percentile([], 50)
    with pytest.raises(ValueError, match="above 0"):
        percentile(values, 0)


@given(st.lists(st.integers(), min_size=1), st.floats(0.1, 100))
def test_at_least_that_share_is_no_larger(values: list[int], percent: float) -> None:
    found = percentile(values, percent)
    assert found in values
    assert sum(each <= found for each in values) * 100 >= len(values) * percent - 1e-6
    assert sum(each < found for each in values) * 100 < len(values) * percent + 1e-6


def test_spread_names_both_ends() -> None:
    assert spread([0.5, 0.25, 1.0]) == "0.25 to 1.00"


def test_pgbench_report_is_read() -> None:
    assert read_report(REPORT) == (61234, 12250.123456)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("failed transactions: 0", "failed transactions: 3"),
        ("processed: 61234", "processed: 0"),
        ("tps = ", "tps is "),
        ("duration", "client 3 aborted"),
    ],
)
def test_pgbench_report_of_a_bad_run_is_refused(before: str, after: str) -> None:
    with pytest.raises(UnavailableError):
        read_report(REPORT.replace(before, after))


def test_latencies_are_the_third_column() -> None:
    assert latencies_us(b"0 1 712 0 1700 1\n3 2 94 0 1700 2\n") == [712, 94]


def test_perf_report_is_read() -> None:
    told = "# Samples: 9\n#\n    62.50%  libpython3.11.so\n    25.00%  [kernel]\n"
    assert read_shares(told) == [("libpython3.11.so", 0.625), ("[kernel]", 0.25)]


def test_a_floor_holds_on_its_own_side_only() -> None:
    least = Floor("a.b", "", "at least", 0.6)
    most = Floor("a.b", "", "at most", 2.5)
    assert [least.holds(value) for value in (0.59, 0.6, 9.0)] == [False, True, True]
    assert [most.holds(value) for value in (0.1, 2.5, 2.6)] == [True, True, False]


def test_every_matching_figure_is_held_and_a_missing_one_is_said() -> None:
    found = Section(
        throughput.NAME,
        "",
        (),
        figures={
            "simple.1.of_pgbouncer": 0.7,
            "prepared.8.of_pgbouncer": 0.5,
            "simple.1.of_direct": 0.1,
        },
    )
    held = {one.figure: one.verdict for one in hold([found], [throughput.NAME])}
    assert held == {
        "throughput.simple.1.of_pgbouncer": "pass",
        "throughput.prepared.8.of_pgbouncer": "fail",
        "throughput.*.cpu_of_pgbouncer": "not measured",
    }


def test_parts_that_did_not_run_are_not_held() -> None:
    assert hold([], []) == []
    names = (audit_check.NAME, bulk.NAME, memory.NAME)
    assert len(hold([], names)) == len(names)
    most = [*names, throughput.NAME, "decisions", "logins"]
    assert len(FLOORS) == len(hold([], most))


def test_each_text_is_new_and_none_is_longer() -> None:
    for template in STATEMENTS.values():
        some = texts(template, 1_000_000, 50)
        assert len(set(some)) == 50
        assert len({len(text) for text in some}) == 1


def test_this_process_uses_processor_and_memory() -> None:
    before = cpu(os.getpid())
    assert sum(range(2_000_000)) > 0
    used = cpu(os.getpid()).since(before)
    assert 0 < used.total_s < 30
    assert resident_kib(os.getpid()) > 4_096
    assert cpu(None).total_s == 0


def test_the_log_is_counted_by_application(tmp_path: Path) -> None:
    lines = [
        b'{"kind":"checkpoint","application_name":null}',
        *_statement(
            throughput.APPLICATION,
            "SELECT abalance FROM pgbench_accounts WHERE aid = 7;",
        ),
        *_statement(throughput.APPLICATION, "select count(*) from pgbench_branches"),
        *_statement("other", "SELECT 1")[:1],
    ]
    name = "audit-0-20260101T000000.000000Z-0123abcd.jsonl"
    (tmp_path / name).write_bytes(b"\n".join(lines) + b"\n")
    found = audit_check.count(tmp_path)
    bench = found[throughput.APPLICATION]
    assert (bench.mine, bench.others, bench.outcomes, bench.denied) == (1, 1, 2, 0)
    assert (found["other"].mine, found["other"].outcomes) == (1, 0)


def _statement(application: str, text: str) -> list[bytes]:
    who = f'"application_name":"{application}"'
    return [
        f'{{"kind":"statement",{who},"decision":"allow","text":"{text}"}}'.encode(),
        f'{{"kind":"outcome",{who},"status":"ok"}}'.encode(),
    ]
