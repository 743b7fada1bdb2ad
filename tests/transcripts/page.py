"""A transcript: what one command of a real migration tool said to Postgres, in order.

Made by `tests.transcripts.record`, read by the tests of tool profiles. One file a
command, with a list of conversations, one a connection. A plain string is a simple
Query that went well while no transaction was open; otherwise a mapping says what
differs. A value that was bound is a text, null, or `{hex: ...}` in the binary format.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from tests.corpus import pages
from tests.corpus.tap import Ran

if TYPE_CHECKING:
    from tests.corpus.tap import Conversation

FOLDER = Path(__file__).parent
_HEAD = """\
# What `{command}` of {tool} {version} says to PostgreSQL {server}, as recorded by
# `python -m tests.transcripts.record {tool}`. Record anew rather than edit.
"""


@dataclass(frozen=True, slots=True)
class Transcript:
    """One file as it was read."""

    name: str
    tool: str
    version: str
    command: str
    conversations: tuple[tuple[Ran, ...], ...]


def write(
    tool: str, version: str, command: str, server: int, heard: list[Conversation]
) -> Path:
    """Write the transcript of one command."""
    page = {
        "tool": tool,
        "version": version,
        "command": command,
        "server": server,
        "conversations": [
            {
                "startup": _kept(each.startup),
                "statements": [_written(ran) for ran in each.ran],
            }
            for each in heard
            if each.ran
        ],
    }
    body = yaml.dump(
        page, Dumper=pages._Dumper, sort_keys=False, allow_unicode=True, width=96
    )
    words = f"{tool}-{version}-{command}"
    path = FOLDER / f"{re.sub(r'[^a-z0-9.]+', '-', words.lower()).strip('-')}.yaml"
    path.write_text(_HEAD.format(**page) + body, "utf-8")
    return path


def read_all() -> list[Transcript]:
    """Every transcript, by file name."""
    return [_read(path) for path in sorted(FOLDER.glob("*.yaml"))]


def _kept(startup: dict[str, str]) -> dict[str, str]:
    return {k: v for k, v in startup.items() if k not in {"user", "database"}}


def _written(ran: Ran) -> str | dict[str, Any]:
    more: dict[str, Any] = {}
    if ran.form != "simple":
        more["form"] = ran.form
    if ran.binds:
        more["binds"] = [_value(*each) for each in ran.binds]
    if ran.status != "I":
        more["status"] = ran.status
    if ran.sqlstate:
        more["sqlstate"] = ran.sqlstate
    return {"sql": ran.text, **more} if more else ran.text


def _value(format_: int, value: bytes | None) -> str | dict[str, str] | None:
    if value is None:
        return None
    return {"hex": value.hex()} if format_ else value.decode()


def _read(path: Path) -> Transcript:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    page: dict[str, Any] = yaml.load(path.read_text("utf-8"), Loader=loader)
    return Transcript(
        path.stem,
        page["tool"],
        page["version"],
        page["command"],
        tuple(tuple(map(_ran, each["statements"])) for each in page["conversations"]),
    )


def _ran(written: str | dict[str, Any]) -> Ran:
    told: dict[str, Any] = {"sql": written} if isinstance(written, str) else written
    return Ran(
        told["sql"],
        told.get("form", "simple"),
        told.get("status", "I"),
        tuple(map(_bound, told.get("binds", ()))),
        told.get("sqlstate", ""),
    )


def _bound(value: str | dict[str, str] | None) -> tuple[int, bytes | None]:
    if isinstance(value, dict):
        return 1, bytes.fromhex(value["hex"])
    return 0, None if value is None else value.encode()
