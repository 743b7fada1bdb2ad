"""The audit record that a case expects, in the short form that a case file states.

The words are those of docs/reference/audit-log.md. What the case itself says already
(decision, rule, text) is left out where the record says the same; everything else that
the record holds stands in the short form, fields of tomorrow included, so that two
short forms are equal only if the records are. Pure. Next: `proxy.policy.cases`.
"""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Any, Final

from proxy.policy.yaml import flow_yaml

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Record = dict[str, Any]
"""An audit record or its short form: plain values, as JSON and YAML have them."""

_AMBIGUOUS: Final = re.compile(r'[."]')
"""A name with one of these is quoted: "a.b" is not b in schema a."""


def short_form(record: Mapping[str, Any], implied: Mapping[str, Any]) -> Record:
    """The short form of an audit record.

    Args:
        record: the fields of the record, as JSON has them.
        implied: fields that the case says already; they are left out where the record
            has the same value, and null where it has none.
    """
    statements = [_short_facts(facts) for facts in record.get("statements", ())]
    if len(statements) == 1:
        implied = {**implied, "statement_kind": statements[0].get("kind")}
    short = {
        key: value
        for key, value in record.items()
        if key != "statements" and (key not in implied or implied[key] != value)
    }
    short |= {key: None for key in implied if key not in record}
    if len(statements) == 1:
        return short | statements[0]
    return short | ({"statements": statements} if statements else {})


def _short_facts(facts: Mapping[str, Any]) -> Record:
    """The facts of one statement: names grouped by what is done with them."""
    short = dict(facts)
    for field, how in (("relations", "access"), ("functions", "effect")):
        if field in short:
            short[field] = _grouped(short[field], how)
    for field in ("columns", "operators"):
        pairs = short.get(field, ())
        if pairs and all(len(pair) == 2 for pair in pairs):
            short[field] = [_dotted(*pair) for pair in pairs]
    return {field: _bare(value) for field, value in short.items()}


def _grouped(uses: list[Mapping[str, str]], how: str) -> object:
    if any(use.keys() != {"schema", "name", how} for use in uses):
        return uses  # the form of tomorrow: said in full
    groups: dict[str, list[str]] = {}
    for use in uses:
        parts = (use["schema"], use["name"]) if use["schema"] else (use["name"],)
        groups.setdefault(use[how], []).append(_dotted(*parts))
    return {key: _bare(names) for key, names in groups.items()}


def _dotted(*parts: str) -> str:
    return ".".join(
        '"' + part.replace('"', '""') + '"' if _AMBIGUOUS.search(part) else part
        for part in parts
    )


def _bare(value: object) -> object:
    """A list of one word is that word: in files the brackets only add noise."""
    match value:
        case [str(word)]:
            return word
        case _:
            return value


def is_same(expected: Record, found: Record) -> bool:
    """Whether two short forms say the same; `[word]` and `word` do."""
    return _normal(expected) == _normal(found)


def _normal(value: object) -> object:
    if isinstance(value, dict):
        return {key: _normal(item) for key, item in value.items()}
    if isinstance(value, list):
        return _bare([_normal(item) for item in value])
    return value


def difference(expected: Record, found: Record) -> str:
    """Two short forms as a diff, one fact a line: `-` expected, `+` found."""
    in_order = dict.fromkeys([*found, *expected])
    expected = {field: expected[field] for field in in_order if field in expected}
    lines = difflib.ndiff([*_facts(expected)], [*_facts(found)])
    return "\n".join(line for line in lines if not line.startswith("?"))


def _facts(record: Record) -> Iterator[str]:
    for field, value in record.items():
        if field == "statements" and isinstance(value, list):
            for number, facts in enumerate(value, 1):
                yield flow_yaml({f"statement {number}": _normal(facts)})[1:-1]
        else:
            yield flow_yaml({field: _normal(value)})[1:-1]
