"""Writing expected records into the text of a case file, and touching nothing else.

Comments, order and the form of every other line stay: the places come from the parser,
the change is made in the text. Pure. Next: `proxy.cli.cases`, which asks for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import yaml

from proxy.policy.yaml import flow_yaml

if TYPE_CHECKING:
    from collections.abc import Mapping

    from proxy.policy.case_records import Record

LINE: Final = 100
"""Characters of a line of a record; a longer fact is not broken."""


def with_records(text: str, records: Mapping[int, Record]) -> str:
    """`text`, a case file that loads, with other records in some of its cases.

    A record is replaced as a whole, with comments inside it.

    Args:
        text: the file.
        records: by the number of the case, from 0: what its "record" is to be.
    """
    root: Any = yaml.compose(text, Loader=yaml.SafeLoader)
    cases = next(value for key, value in root.value if key.value == "cases")
    for number in sorted(records, reverse=True):  # from behind: the places stay right
        text = _with_record(text, cases.value[number], records[number])
    return text


def _with_record(text: str, case: yaml.MappingNode, record: Record) -> str:
    column = case.value[0][0].start_mark.column
    entry = f"\n{' ' * column}".join(_entry(record, width=LINE - column))
    for key, value in case.value:
        if key.value == "record":
            return text[: key.start_mark.index] + entry + text[_end(value) :]
    end = _end(case.value[-1][1])
    if case.flow_style:
        return f"{text[:end]},\n{' ' * column}{entry}{text[end:]}"
    if text[end - 1] != "\n":  # not a block of text, which ends with its line
        line_end = text.find("\n", end)
        end = len(text) if line_end < 0 else line_end + 1
    before = text[:end] if text[:end].endswith("\n") else text[:end] + "\n"
    return f"{before}{' ' * column}{entry}\n{text[end:]}"


def _entry(record: Record, *, width: int) -> list[str]:
    """The lines of a record: as many facts as fit, and each of several statements."""
    facts = {field: value for field, value in record.items() if field != "statements"}
    pieces = [f"{flow_yaml({field: facts[field]})[1:-1]}, " for field in facts]
    statements = [f"  {flow_yaml(each)}, " for each in record.get("statements", ())]
    if statements:
        pieces.append("statements: [")
        statements[-1] = statements[-1].removesuffix(", ") + "], "
    lines = ["record: {"]
    for piece in pieces:
        if len(lines[-1]) + len(piece) > width and lines[-1].endswith(", "):
            lines.append("  ")
        lines[-1] += piece
    lines += statements
    lines[-1] = lines[-1].removesuffix(", ") + "}"
    return [line.rstrip() for line in lines]


def _end(node: yaml.Node) -> int:
    """Where the node's own text ends: a block's mark is that of what follows it."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _end(last[1] if isinstance(node, yaml.MappingNode) else last)
    return int(node.end_mark.index)
