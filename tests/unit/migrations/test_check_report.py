"""SARIF and JUnit: what GitHub and the CI systems need, whatever the texts hold."""

from __future__ import annotations

import json
from pathlib import PurePosixPath
from typing import Any
from xml.etree import ElementTree as ET

from proxy.migrations.check_findings import Finding, Level
from proxy.migrations.check_report import junit, sarif

BASE = PurePosixPath("/srv/shop")
ODD = "\x00\x1b[31m<&\"'>\ud800 é"
FINDINGS = [
    Finding(
        "/srv/shop/a b/ü.sql", 3, "drop-column", Level.ERROR, "drops", "Don't", "X"
    ),
    Finding("c.sql", 0, "squawk/x", Level.WARNING, ODD, ODD, ODD),
    Finding("c.sql", 9, "no-way-back", Level.NOTE, "none"),
    Finding("c.sql", 9, "drop-column", Level.ERROR, "drops", waived="agreed"),
]


def run(findings: list[Finding]) -> dict[str, Any]:
    document = json.loads(sarif(findings, version="1", base=BASE))
    assert document["version"] == "2.1.0"
    (found,) = document["runs"]
    assert isinstance(found, dict)
    return found


def test_sarif_has_what_code_scanning_needs() -> None:
    found = run(FINDINGS)
    rules = found["tool"]["driver"]["rules"]
    assert found["tool"]["driver"]["name"] == "pgwarden"
    assert [each["level"] for each in found["results"]] == [
        "error",
        "warning",
        "note",
        "error",
    ]
    for result, finding in zip(found["results"], FINDINGS, strict=True):
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"] == finding.rule
        assert result["message"]["text"]
        (location,) = result["locations"]
        place = location["physicalLocation"]
        assert place["region"]["startLine"] >= 1
        assert not place["artifactLocation"]["uri"].startswith("/")
        assert result["partialFingerprints"]
    uri = found["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]
    assert uri == {"uri": "a%20b/%C3%BC.sql"}


def test_sarif_says_what_is_waived() -> None:
    suppressed = [each.get("suppressions") for each in run(FINDINGS)["results"]]
    assert suppressed[:3] == [None, None, None]
    assert suppressed[3] == [{"kind": "inSource", "justification": "agreed"}]


def test_a_fingerprint_stays_when_lines_move() -> None:
    first = Finding("a.sql", 3, "r", Level.ERROR, "m", statement="DROP TABLE t")
    moved = Finding("a.sql", 9, "r", Level.ERROR, "m", statement="DROP TABLE t")
    other = Finding("a.sql", 3, "r", Level.ERROR, "m", statement="DROP TABLE u")
    marks = [
        each["partialFingerprints"]["pgwarden/v1"]
        for each in run([first, moved, other])["results"]
    ]
    assert marks[0] == marks[1] != marks[2]


def test_nothing_found_is_a_run_without_results() -> None:
    assert run([])["results"] == []


def test_junit() -> None:
    text = junit(FINDINGS, ["c.sql", "ok.sql"], name="check", least=Level.WARNING)
    root = ET.fromstring(text.encode("utf-8", "replace"))
    suite = root.find("testsuite")
    assert root.tag == "testsuites"
    assert suite is not None
    cases = suite.findall("testcase")
    assert suite.get("tests") == str(len(cases)) == "5"
    assert suite.get("failures") == str(len(suite.findall(".//failure"))) == "2"
    assert suite.get("skipped") == str(len(suite.findall(".//skipped"))) == "1"
    assert [each.get("name") for each in cases] == [
        "no findings",
        "1. drop-column at line 3",
        "2. squawk/x at line 0",
        "3. no-way-back at line 9",
        "4. drop-column at line 9",
    ]


def test_what_counts_as_a_failure_hangs_on_the_level() -> None:
    for least, failures in ((Level.ERROR, 1), (Level.WARNING, 2), (Level.NOTE, 3)):
        text = junit(FINDINGS, [], name="check", least=least)
        root = ET.fromstring(text.encode("utf-8", "replace"))
        assert len(root.findall(".//failure")) == failures
