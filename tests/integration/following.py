"""Follow a how-to word by word: its commands run by bash, beside what the page shows.

What a page shows holds if each of its lines comes, in its order. Ids, versions, dates
and numbers of ports differ from run to run and are compared as such; `...` stands for
whatever comes. Next: `test_howtos`.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tests.fix_postgres import bin_dir

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT = Path(__file__).parents[2]
_FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```", re.DOTALL | re.MULTILINE)
_DIFFERS = (
    re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d\.\d+)?"),  # when
    re.compile(r"\b(?=[0-9a-f]*\d)[0-9a-f]{12,16}(-\d+)?\b"),  # audit id, version
    re.compile(r"(?<=port )\d+"),
    re.compile(r"…(-\d+)?"),
)
_RUNS_S = 60.0
ASK_STATUS = "echo $?"
_TABLE = "┏┃┡│├└"
"""A table is as wide as the terminal; what is in it is looked at by the tests."""


@dataclass(frozen=True, slots=True)
class Step:
    """One command of a page, and what the page shows of its output."""

    command: str
    shown: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """A how-to page: its code blocks by language, in order."""

    text: str

    def blocks(self, language: str) -> list[str]:
        """The blocks of one language, without their indentation."""
        return [
            "\n".join(line.removeprefix(indent) for line in body.splitlines()) + "\n"
            for indent, name, body in _FENCE.findall(self.text)
            if name == language
        ]

    def part(self, heading: str) -> Page:
        """What stands under this heading, up to the next one like it."""
        level = heading.split(" ", 1)[0]
        _, found, rest = self.text.partition(f"\n{heading}\n")
        assert found, heading
        return Page(re.split(rf"^{level} ", rest, maxsplit=1, flags=re.MULTILINE)[0])

    def steps(self) -> list[Step]:
        """Every command of its console blocks."""
        return [step for each in self.blocks("console") for step in _steps(each)]


def page(name: str, **replaced: str) -> Page:
    """A page of `docs/how-to`; `replaced` changes what would take a test too long."""
    text = (ROOT / "docs" / "how-to" / f"{name}.md").read_text("utf-8")
    for old, new in replaced.items():
        assert old in text, old
        text = text.replace(old, new)
    return Page(text)


def _steps(block: str) -> Iterator[Step]:
    lines = iter([*block.splitlines(), "$ "])
    command: list[str] = []
    shown: list[str] = []
    for line in lines:
        if line.startswith("$ "):
            if command:
                yield Step("\n".join(command), tuple(shown))
            command, shown = [line[2:]], []
            while _goes_on("\n".join(command)):
                command.append(next(lines))
        else:
            shown.append(line)


def _goes_on(command: str) -> bool:
    if command.rstrip().endswith(("\\", "|")):
        return True
    return (
        subprocess.run(
            ["bash", "-n", "-c", command], capture_output=True, check=False
        ).returncode
        != 0
    )


@dataclass(slots=True)
class Reader:
    """Somebody at a terminal, in one folder, with `pgwarden` and psql on the path."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Put the commands of the pages on the path."""
        programs = self.folder / "programs"
        programs.mkdir()
        command = shlex.join([sys.executable, "-P", "-m", "proxy.cli.main"])
        for name, line in (
            ("pgwarden", f'exec {command} "$@"'),
            ("psql", f'exec {shlex.quote(str(bin_dir(17) / "psql"))} --no-psqlrc "$@"'),
        ):
            file = programs / name
            file.write_text(f"#!/bin/sh\n{line}\n")
            file.chmod(0o755)
        outside = {
            name: text
            for name, text in os.environ.items()
            if not name.startswith(("PG", "COLUMNS"))
        }
        path = f"{programs}{os.pathsep}{os.environ.get('PATH', '')}"
        self.environment = {
            **outside,
            "PATH": path,
            "COLUMNS": "200",
            **self.environment,
        }

    def run(self, command: str, **more: str) -> subprocess.CompletedProcess[str]:
        """One command; both streams, as a terminal shows them."""
        return subprocess.run(
            ["bash", "-o", "pipefail", "-c", command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            cwd=self.folder,
            env=self.environment | more,
            text=True,
            check=False,
            timeout=_RUNS_S,
        )

    def follow(self, part: Page, status: Mapping[str, int] | None = None) -> list[str]:
        """Run every command of a page; what each of them printed.

        Args:
            part: the page, or a part of it.
            status: by words in the command, where it is not 0 and no `echo $?`
                of the page says so.
        """
        said = []
        steps = part.steps()
        for step, after in zip(steps, [*steps[1:], None], strict=True):
            if step.command == ASK_STATUS:
                continue
            done = self.run(step.command)
            expected = next(
                (n for word, n in (status or {}).items() if word in step.command), 0
            )
            if after is not None and after.command == ASK_STATUS:
                expected = int(after.shown[0])
            context = f"$ {step.command}\n{done.stdout}"
            assert done.returncode == expected, context
            missing = missing_line(step.shown, done.stdout)
            assert missing is None, f"not printed: {missing!r}\n{context}"
            said.append(done.stdout)
        return said


def missing_line(shown: tuple[str, ...], printed: str) -> str | None:
    """The first line of the page that was not printed after those before it."""
    lines = iter([_alike(line) for line in printed.splitlines()])
    for line in shown:
        if line.strip() in {"...", ""} or line[:1] in _TABLE:
            continue
        if not any(_alike(line) == each for each in lines):
            return line
    return None


def _alike(line: str) -> str:
    for pattern in _DIFFERS:
        line = pattern.sub("…", line)
    return " ".join(line.split())
