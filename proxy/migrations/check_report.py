"""Findings in the forms that CI systems read: SARIF 2.1.0 and JUnit's XML. Pure.

SARIF as GitHub's code scanning needs it, and GitLab, Azure and editors read it too:
https://docs.github.com/en/code-security/code-scanning/integrating-with-code-scanning/sarif-support-for-code-scanning.
JUnit as GitLab, Jenkins and the rest show it: a test case for each finding, and one for
each file without any. Next: `proxy.migrations.check_findings`.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote
from xml.etree import ElementTree as ET

from proxy.migrations.check_findings import Level, counts

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from proxy.migrations.check_findings import Finding

SCHEMA: Final = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/schemas/sarif-schema-2.1.0.json"
)
_NO_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def sarif(findings: Sequence[Finding], *, version: str, base: PurePath) -> str:
    """SARIF for the findings; paths are given relative to `base`, the repository."""
    rules = sorted({each.rule for each in findings})
    driver = {
        "name": "pgwarden",
        "version": version,
        "rules": [{"id": rule, "shortDescription": {"text": rule}} for rule in rules],
    }
    results = [_result(each, rules.index(each.rule), base) for each in findings]
    run = {
        "tool": {"driver": driver},
        "results": results,
        "columnKind": "utf16CodeUnits",
    }
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2)


def _result(finding: Finding, index: int, base: PurePath) -> dict[str, Any]:
    uri = _uri(finding.file, base)
    # Without the line: a finding stays the same one when the lines above it change.
    mark = f"{uri}\0{finding.rule}\0{finding.statement}"
    result: dict[str, Any] = {
        "ruleId": finding.rule,
        "ruleIndex": index,
        "level": finding.level.value,
        "message": {"text": _sentence(finding)},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": uri},
                    "region": {"startLine": max(finding.line, 1)},
                }
            }
        ],
        "partialFingerprints": {
            "pgwarden/v1": hashlib.sha256(mark.encode(errors="replace")).hexdigest()
        },
    }
    if finding.waived:
        result["suppressions"] = [{"kind": "inSource", "justification": finding.waived}]
    return result


def _uri(file: str, base: PurePath) -> str:
    path = PurePath(file)
    if path.is_absolute() and path.is_relative_to(base):
        path = path.relative_to(base)
    return quote(path.as_posix().encode(errors="surrogateescape"))


def _sentence(finding: Finding) -> str:
    hint = f" {finding.hint}" if finding.hint else ""
    return f"{finding.message}.{hint}".encode(errors="replace").decode()


def junit(
    findings: Sequence[Finding], files: Iterable[str], *, name: str, least: Level
) -> str:
    """JUnit's XML: what fails a check is a failure, what is waived was skipped."""
    failing = set(counts(findings, least))
    clean = [each for each in files if each not in {found.file for found in findings}]
    skipped = [each for each in findings if each.waived]
    suite = ET.Element(
        "testsuite",
        name=name,
        tests=str(len(findings) + len(clean)),
        failures=str(len(failing)),
        errors="0",
        skipped=str(len(skipped)),
    )
    for file in clean:
        ET.SubElement(suite, "testcase", classname=_xml(file), name="no findings")
    for number, each in enumerate(findings, 1):
        case = ET.SubElement(
            suite,
            "testcase",
            classname=_xml(each.file),
            # Each name only once: consumers drop the second of two.
            name=_xml(f"{number}. {each.rule} at line {each.line}"),
        )
        words = _xml(f"{each.statement}\n{each.hint}".strip())
        if each in failing:
            said = {"message": _xml(each.message), "type": each.level.value}
            ET.SubElement(case, "failure", said).text = words
        elif each.waived:
            ET.SubElement(case, "skipped", message=_xml(f"waived: {each.waived}"))
        else:
            ET.SubElement(case, "system-out").text = _xml(f"{each.message}\n{words}")
    suites = ET.Element("testsuites")
    suites.append(suite)
    ET.indent(suites)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(
        suites, encoding="unicode"
    )


def _xml(text: str) -> str:
    """Without the characters that XML 1.0 can't hold."""
    return _NO_XML.sub("\N{REPLACEMENT CHARACTER}", text)
