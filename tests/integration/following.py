"""Follow a how-to word by word: its commands run by bash, beside what the page shows.

What a page shows holds if each of its lines comes, in its order. Ids, versions, dates
and numbers of ports differ from run to run and are compared as such; `...` stands for
whatever comes. What of a page nobody followed fails the test, unless it is in `ASIDE`.
Next: `test_howtos` and `test_howtos_roles`.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.clients.terminal import Terminal
from tests.fix_postgres import bin_dir

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

ROOT = Path(__file__).parents[2]
_FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```", re.DOTALL | re.MULTILINE)
_DIFFERS = (
    re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d(\.\d+)?)?"),  # when
    re.compile(r"\b(?=[0-9a-f]*\d)[0-9a-f]{12,16}(-\d+)?\b"),  # audit id, version
    re.compile(r"\b[0-9a-f]{32}\b"),  # a uuid, as Python writes it
    re.compile(r"(?<=port )\d+"),
    re.compile(r"…(-\d+)?"),
)
_RUNS_S = 60.0
ASK_STATUS = "echo $?"
_PROMPT = re.compile(r"app=[*!]?> ")
_REAL_PROMPT = re.compile(r"=[*!]?> $")
_CONNECT_S = 20.0
_TABLE = re.compile(r"[┏┃┡]|[├└]─+[┼┴]|│.*│$")
"""A table is as wide as the terminal; what is in it is looked at by the tests."""

ASIDE: Final = {
    'export PATH="$PWD/.venv/bin:$PATH"': "`Reader` has the command on the path",
    ".venv/bin/pgwarden demo --upstream": "takes fixed ports; with others it is "
    "test_demo.py::test_an_existing_database_is_served_and_put_back",
}
"""How commands of the pages begin that are not followed, each with the reason."""


@dataclass(frozen=True, slots=True)
class Block:
    """One code block of a page, without its indentation."""

    language: str
    text: str


@dataclass(frozen=True, slots=True)
class Step:
    """One command of a page, the output that it shows, and the block it is in."""

    command: str
    shown: tuple[str, ...]
    block: Block


@dataclass(frozen=True, slots=True)
class Page:
    """A how-to page, or a part of it: its code blocks, in order.

    `followed` is what was followed of the whole page: blocks, and steps of blocks.
    """

    text: str
    followed: set[Block | Step] = field(default_factory=set)

    def all_blocks(self) -> list[Block]:
        """The blocks of every language."""
        return [
            Block(
                language,
                "".join(f"{line.removeprefix(indent)}\n" for line in body.splitlines()),
            )
            for indent, language, body in _FENCE.findall(self.text)
        ]

    def blocks(self, language: str) -> list[str]:
        """The blocks of one language, to look at."""
        return [each.text for each in self.all_blocks() if each.language == language]

    def take(self, language: str, index: int = 0) -> str:
        """One of them, to be followed."""
        found = [each for each in self.all_blocks() if each.language == language]
        self.followed.add(found[index])
        return found[index].text

    def part(self, heading: str) -> Page:
        """What stands under this heading, up to the next one like it."""
        level = heading.split(" ", 1)[0]
        _, found, rest = self.text.partition(f"\n{heading}\n")
        assert found, heading
        text = re.split(rf"^{level} ", rest, maxsplit=1, flags=re.MULTILINE)[0]
        return Page(text, self.followed)

    def console(self, index: int = 0) -> Page:
        """One console block."""
        block = self.blocks("console")[index]
        return Page(f"\n```console\n{block}```\n", self.followed)

    def steps(self) -> list[Step]:
        """Every command of its console blocks."""
        return [
            step
            for each in self.all_blocks()
            if each.language == "console"
            for step in _steps(each)
        ]

    def step(self, begins: str) -> Step:
        """The only command that begins like this, to be followed."""
        (found,) = [each for each in self.steps() if each.command.startswith(begins)]
        self.followed.add(found)
        return found

    def left(self) -> list[Block | Step]:
        """What was not followed, and is not to be left aside."""
        found: list[Block | Step] = [
            each for each in self.all_blocks() if each.language != "console"
        ]
        found += [
            each
            for each in self.steps()
            if not each.command.startswith((ASK_STATUS, *ASIDE))
        ]
        return [each for each in found if each not in self.followed]


def page(name: str, **replaced: str) -> Page:
    """A page of `docs/how-to`; `replaced` changes what would take a test too long."""
    text = (ROOT / "docs" / "how-to" / f"{name}.md").read_text("utf-8")
    for old, new in replaced.items():
        assert old in text, old
        text = text.replace(old, new)
    return Page(text)


@contextmanager
def whole_page(name: str, **replaced: str) -> Iterator[Page]:
    """The same, all of which has to be followed by the end."""
    text = page(name, **replaced)
    yield text
    left = text.left()
    assert not left, left


def _steps(block: Block) -> Iterator[Step]:
    lines = iter([*block.text.splitlines(), "$ "])
    command: list[str] = []
    shown: list[str] = []
    for line in lines:
        if line.startswith("$ "):
            if command:
                yield Step("\n".join(command), tuple(shown), block)
            command, shown = [line[2:]], []
            while _goes_on("\n".join(command)):
                command.append(next(lines))
        else:
            shown.append(line)


@cache
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
    instead: dict[str, str] = field(default_factory=dict)
    """What stands here for an address or a name of the pages, in their commands."""

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
        command = self._here(command)
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
            part.followed.add(step)
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

    def see(
        self, step: Step, more: Mapping[str, str] | None = None, *, status: int = 0
    ) -> None:
        """Run one command of a page, which prints what the page shows."""
        done = self.run(step.command, **(more or {}))
        assert done.returncode == status, done.stdout
        missing = missing_line(step.shown, done.stdout)
        assert missing is None, f"not printed: {missing!r}\n{done.stdout}"

    def talk(
        self,
        step: Step,
        wait: Callable[[str], object] | None = None,
        *,
        more: Mapping[str, str] | None = None,
    ) -> None:
        """A psql session of a page: type what stands behind its prompts.

        Args:
            step: psql's command line, and the session.
            wait: told each line before it is typed, remarks of the page included.
            more: further variables for psql.
        """
        lines: list[str] = []
        shown: list[list[str]] = []
        for line in step.shown:
            prompt = _PROMPT.match(line)
            if prompt:
                lines.append(line[prompt.end() :])
                shown.append([])
            else:
                shown[-1].append(line)
        terminal = Terminal(
            ["bash", "-c", f'cd "$0" && {self._here(step.command)}', self.folder],
            environment={**self.environment, "PAGER": "cat", **(more or {})},
        )
        try:
            terminal.wait_for(_REAL_PROMPT, timeout_s=_CONNECT_S)
            for line, expected in zip(lines, shown, strict=True):
                if wait is not None:
                    wait(line)
                said = terminal.enter(line.partition("  --")[0], until=_REAL_PROMPT)
                missing = missing_line(tuple(expected), said)
                assert missing is None, f"not printed: {missing!r}\n{said}"
        finally:
            terminal.close()

    def _here(self, command: str) -> str:
        for there, here in self.instead.items():
            command = command.replace(there, here)
        return command


def missing_line(shown: tuple[str, ...], printed: str) -> str | None:
    """The first line of the page that was not printed after those before it."""
    lines = iter([_alike(line) for line in printed.splitlines()])
    for line in shown:
        if line.strip() in {"...", ""} or _TABLE.match(line):
            continue
        if not any(_alike(line) == each for each in lines):
            return line
    return None


def _alike(line: str) -> str:
    for pattern in _DIFFERS:
        line = pattern.sub("…", line)
    return " ".join(line.split())
