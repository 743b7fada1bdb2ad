"""Facts against a sample of PostgreSQL's own regression statements, with ground truth.

The sample is not part of the repository: it lies in `shared/oracle/` beside the
checkout, where its README says what it is. Without it these tests skip, visibly.
"""

from __future__ import annotations

import gzip
import json
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest

from proxy.sql.analyse import analyse
from proxy.sql.facts import Effect, Facts, Flag, Kind, merge_executed

SAMPLE = Path(__file__).parents[3] / "shared" / "oracle" / "regress-sample.jsonl.gz"

READING = {
    Kind.READ,
    Kind.CURSOR,
    Kind.EXECUTE,
    Kind.SESSION,
    Kind.TRANSACTION,
    Kind.COPY_OUT,
}
BAD_FLAGS = {
    Flag.UNFILTERED,
    Flag.DESTRUCTIVE,
    Flag.HIDDEN_WRITE,
    Flag.INTO,
    Flag.ROW_LOCK,
    Flag.SERVER_FILE,
    Flag.SERVER_PROGRAM,
    Flag.READ_WRITE,
    Flag.ATTRIBUTE_CALL,
}


class Session:
    """A strict reader of one file's statements, in order: names carry over."""

    def __init__(self) -> None:
        self._prepared: dict[str, Facts] = {}
        self._cursors: set[str] = set()

    def refusal(self, sql: str) -> str:
        """Why a text is refused; "" if it reads."""
        analysis = analyse(sql.encode("utf-8", "surrogatepass"))
        if analysis.trouble is not None:
            return f"trouble: {analysis.trouble.message}"
        return next(filter(None, map(self._refusal, analysis.statements)), "")

    def _refusal(self, facts: Facts) -> str:
        for name in facts.names:
            match name.verb:
                case "execute" if name.name in self._prepared:
                    facts = merge_executed(facts, self._prepared[name.name])
                case "fetch" if name.name in self._cursors:
                    pass
                case "execute" | "fetch":
                    return "names: not judged in this session"
                case _:
                    pass
        why = _refusal(facts)
        if not why:
            self._learn(facts)
        return why

    def _learn(self, facts: Facts) -> None:
        for name in facts.names:
            if name.verb == "prepare" and name.name is not None:
                self._prepared[name.name] = facts
            elif name.verb == "declare" and name.name is not None:
                self._cursors.add(name.name)


def _refusal(facts: Facts) -> str:
    if not facts.kinds <= READING:
        return f"kinds: {sorted(facts.kinds - READING)}"
    if facts.flags & BAD_FLAGS:
        return f"flags: {sorted(facts.flags & BAD_FLAGS)}"
    for use in facts.functions:
        if use.effect not in {Effect.NONE, Effect.SETTING}:
            return f"function: {use.name} is {use.effect}"
    if facts.operators:
        return f"operators: {facts.operators}"
    return ""


@pytest.fixture(scope="module")
def sample() -> list[dict[str, Any]]:
    if not SAMPLE.exists():
        pytest.skip(f"the regression sample is not beside the checkout: {SAMPLE.name}")
    with gzip.open(SAMPLE, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def judged(sample: list[dict[str, Any]]) -> list[tuple[dict[str, Any], str]]:
    """Every record with why it is refused, each file read as one session."""
    sessions: defaultdict[str, Session] = defaultdict(Session)
    return [
        (record, sessions[record["file"]].refusal(record["sql"])) for record in sample
    ]


Judged = list[tuple[dict[str, Any], str]]


@pytest.mark.oracle
@pytest.mark.slow
def test_no_write_is_called_reading(judged: Judged) -> None:
    writes = [(record, why) for record, why in judged if record["truth"] == "write"]
    assert len(writes) > 5000
    assert [record["sql"] for record, why in writes if not why] == []


@pytest.mark.oracle
@pytest.mark.slow
def test_plain_reads_are_called_reading(judged: Judged) -> None:
    plain = [(record, why) for record, why in judged if record.get("plain")]
    assert len(plain) > 5000
    refused = Counter(why for _, why in plain if why)
    assert refused.total() <= len(plain) / 100, refused.most_common()


@pytest.mark.oracle
@pytest.mark.slow
def test_everything_is_understood(judged: Judged) -> None:
    troubled = [why for _, why in judged if why.startswith("trouble")]
    assert len(troubled) <= 1, troubled
