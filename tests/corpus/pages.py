"""The corpus files: one a tool, `recorded/TOOL.yaml`, made to be read in a diff.

A plain string is a statement of the simple protocol that every recorded version of the
tool sent. Otherwise it is a mapping of what differs; `Entry` says what each key means.
Next: `tests.corpus.sift`, and `tests.unit.sql.corpus` for the tests' view of it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from typing_extensions import override

from tests.corpus.sift import Corpus, Entry

if TYPE_CHECKING:
    from tests.corpus.sift import Before

FOLDER = Path(__file__).with_name("recorded")
_HEAD = """\
# What {tool} says to PostgreSQL in a developer's ordinary reading work, as recorded by
# `python -m tests.corpus.record {tool}`. Record anew rather than edit. Numbers are OIDs
# of the database that was read; of texts that differ only in such numbers one is here.
"""


class _Dumper(yaml.SafeDumper):
    """Statements of several lines as such; the rest in one line if it fits.

    A block shows best what it holds, but PyYAML writes none with a tab or a blank at
    a line's end, which an editor might take away. That becomes a quoted text with a
    line for each line.
    """

    @override
    def write_double_quoted(self, text: str, split: bool = True) -> None:
        if "\n" not in text:
            super().write_double_quoted(text, split)
            return
        self.write_indicator('"\\', True)
        last = text.count("\n")
        for number, line in enumerate(text.split("\n")):
            self.write_indent()
            written = json.dumps(line, ensure_ascii=False)[1:-1]
            if written[:1] == " ":
                written = "\\" + written
            self.stream.write(written + ("" if number == last else "\\n\\"))
            self.column += 1
        self.write_indicator('"', False)


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def write(tool: str, corpus: Corpus) -> Path:
    """Write the file of one tool."""
    page: dict[str, Any] = {
        "tool": tool,
        "versions": corpus.versions,
        "startup": corpus.startup,
        "statements": [
            _written(entry, corpus.versions) for entry in corpus.entries.values()
        ],
    }
    if corpus.left_out:
        page["left_out"] = [
            {"why": why, "sql": sql} for (why, _), sql in corpus.left_out.items()
        ]
    path = FOLDER / f"{tool}.yaml"
    body = yaml.dump(
        page, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=96
    )
    path.write_text(_HEAD.format(tool=tool) + body, "utf-8")
    return path


def _written(entry: Entry, versions: list[str]) -> str | dict[str, Any]:
    more: dict[str, Any] = {}
    if entry.form != "simple":
        more["form"] = entry.form
    if entry.types:
        more["types"] = list(entry.types)
    if entry.by != versions:
        more["by"] = entry.by
    if entry.after:
        more["after"] = [
            one if isinstance(one, str) else {one[0]: one[1], "sql": one[2]}
            for one in entry.after
        ]
    if entry.sqlstate:
        more["sqlstate"] = entry.sqlstate
    return {"sql": entry.sql, **more} if more else entry.sql


@dataclass(frozen=True, slots=True)
class Page:
    """One file as it was read."""

    tool: str
    versions: tuple[str, ...]
    startup: tuple[dict[str, str], ...]
    entries: tuple[Entry, ...]


def read_all() -> list[Page]:
    """Every file, by name."""
    return [read(path) for path in sorted(FOLDER.glob("*.yaml"))]


def read(path: Path) -> Page:
    """One file."""
    # libyaml where it is: there are some hundred kilobytes to read
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    page: dict[str, Any] = yaml.load(path.read_text("utf-8"), Loader=loader)
    versions = page["versions"]
    return Page(
        page["tool"],
        tuple(versions),
        tuple(page["startup"]),
        tuple(_entry(written, versions) for written in page["statements"]),
    )


def _entry(written: str | dict[str, Any], versions: list[str]) -> Entry:
    told: dict[str, Any] = {"sql": written} if isinstance(written, str) else written
    return Entry(
        sql=told["sql"],
        form=told.get("form", "simple"),
        types=tuple(told.get("types", ())),
        after=tuple(map(_before, told.get("after", ()))),
        sqlstate=told.get("sqlstate", ""),
        by=list(told.get("by", versions)),
    )


def _before(written: str | dict[str, str]) -> Before:
    if isinstance(written, str):
        return written
    (kind,) = written.keys() - {"sql"}
    return kind, written[kind], written["sql"]
