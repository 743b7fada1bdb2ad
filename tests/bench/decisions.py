"""The time to decide on a text never seen before, of the time to parse it.

Parser and decision take turns on the same texts in the same process, with the garbage
collector set as `pgwarden serve` sets it; medians of the rounds. The decision is what a
session asks for: facts, verdict, and the part of the record that holds them. Next:
`statements`, `proxy.session.judge`.
"""

from __future__ import annotations

import gc
import time
from contextlib import contextmanager
from statistics import median
from typing import TYPE_CHECKING, TypeVar

from pglast.parser import parse_sql_json

from proxy.policy.documents import load
from proxy.policy.evaluate import Policy
from proxy.server.run import GC_THRESHOLDS
from proxy.session.judge import Judge
from proxy.shipped import policy_path
from proxy.sql.analyse import analyse
from tests.bench.figures import median_ratio, ratios, spread
from tests.bench.results import Section
from tests.bench.statements import STATEMENTS, texts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tests.bench.plan import Plan
    from tests.bench.progress import Ticks

T = TypeVar("T")

NAME = "decisions"
COLUMNS = (
    "uncached statement",
    "bytes",
    "parse_sql_json µs",
    "analyse µs",
    "decide and\nrecord µs",
    "whole µs",
    "of parse",
    "rounds",
)
TEXTS_IN_ROUND = 200
_FIRST = 1_000_000


def ticks(plan: Plan) -> int:
    """Steps of the progress bar."""
    return len(STATEMENTS) * plan.repeats


def measure(plan: Plan, tick: Ticks) -> Section:
    """Each kind of statement in turn."""
    section = Section(NAME, "Decision on a new text", COLUMNS)
    judge = Judge(production(), "developer", database="bench")
    with collector_as_served():
        for name, template in STATEMENTS.items():
            _measure(section, name, template, judge, plan, tick)
    section.notes.append(
        "Facts, verdict and record of the text, cache included; every text is new."
    )
    return section


def _measure(
    section: Section, name: str, template: str, judge: Judge, plan: Plan, tick: Ticks
) -> None:
    parses, analyses, wholes = [], [], []
    raws = [b""]
    for number in range(plan.repeats + 1):
        raws = texts(template, _FIRST + number * TEXTS_IN_ROUND, TEXTS_IN_ROUND)
        strings = [raw.decode() for raw in raws]
        parse_us = each_us(parse_sql_json, strings)
        whole_us = each_us(judge.judge, raws)
        analyse_us = each_us(analyse, raws)
        if number == 0:
            continue  # warms up
        parses.append(parse_us)
        wholes.append(whole_us)
        analyses.append(analyse_us)
        tick()
    if not judge.judge(raws[0]).decision.allowed:
        raise ValueError(f"the policy refuses the statement {name!r}")
    figures = {
        "parse_us": median(parses),
        "analyse_us": median(analyses),
        "whole_us": median(wholes),
        "of_parse": median_ratio(wholes, parses),
    }
    section.figures |= {f"{name}.{key}": value for key, value in figures.items()}
    section.rounds += [
        {"statement": name, "parse_us": a, "analyse_us": b, "whole_us": c}
        for a, b, c in zip(parses, analyses, wholes, strict=True)
    ]
    section.rows.append(
        (
            name,
            str(len(raws[0])),
            f"{figures['parse_us']:.1f}",
            f"{figures['analyse_us']:.1f}",
            f"{figures['whole_us'] - figures['analyse_us']:.1f}",
            f"{figures['whole_us']:.1f}",
            f"{figures['of_parse']:.2f}",
            spread(ratios(wholes, parses)),
        )
    )


def production() -> Policy:
    """The policy that the floors are about."""
    path = policy_path("production")
    return Policy(load(path.read_text("utf-8"), source=str(path)))


def each_us(function: Callable[[T], object], arguments: Sequence[T]) -> float:
    """Microseconds of CPU for one call, over all arguments.

    CPU, not the wall clock: who else had the core in between is not the question.
    """
    started = time.thread_time()
    for argument in arguments:
        function(argument)
    return (time.thread_time() - started) / len(arguments) * 1e6


@contextmanager
def collector_as_served() -> Iterator[None]:
    """The garbage collector as `proxy.server.run` sets it."""
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
