"""Finds commands in a repository that destroy a database, before someone runs them.

A finding is allowed by a comment with a reason on its line or the one above:
`# pgwarden: allow prisma-migrate-reset: the database of the tests`; in package.json
by `"pgwarden": {"allow": {"test:reset": "only the database of the tests"}}`.

Text against text: what a program assembles while it runs is not seen here; the wire
refuses it all the same. Next: `proxy.migrations.scan_files`.
"""

from __future__ import annotations

import codecs
import subprocess
from fnmatch import fnmatch
from typing import TYPE_CHECKING, Final

from msgspec import structs

from proxy.errors import ConfigError, reason_of
from proxy.migrations.check_findings import Finding, Level
from proxy.migrations.check_waivers import Waiver, waiver_in
from proxy.migrations.scan_commands import Danger, dangers
from proxy.migrations.scan_files import may_hold_scripts, scripts_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import date
    from pathlib import Path, PurePath

    from proxy.migrations.scan_formats import Script

MAX_BYTES: Final = 1024 * 1024
"""Of one file: a script has a few thousand lines; what is bigger is data."""
GIT_S: Final = 60.0
SHOWN_CHARACTERS: Final = 100
_LEFT_OUT: Final = frozenset(
    {"node_modules", ".git", ".venv", "venv", "vendor", "site-packages", "dist"}
)


def scan(
    paths: Iterable[Path], today: date, *, exclude: Sequence[str] = ()
) -> tuple[list[Finding], list[str]]:
    """What is found in files and folders, and the files that were read.

    Args:
        paths: what to look at; a file that is named is read in any case.
        today: by which an annotation's end is judged.
        exclude: patterns of files in those folders that are not read, by their path
            below it.

    Raises:
        ConfigError: a path is not there, or a file can't be read.
    """
    findings: list[Finding] = []
    files: list[str] = []
    for path in _files(paths, exclude):
        try:
            content = path.read_bytes()
        except OSError as error:
            raise ConfigError(f"{path}: {reason_of(error)}") from None
        files.append(str(path))
        text = _decoded(content)
        if len(content) > MAX_BYTES or "\0" in text:
            why = "nobody looked into it: it is too large, or no text"
            findings.append(Finding(str(path), 1, "unread", Level.WARNING, why))
            continue
        findings += scan_text(path, text, today)
    return findings, files


def scan_text(path: PurePath, text: str, today: date) -> list[Finding]:
    """What is found in one file."""
    lines = text.splitlines()
    found: dict[tuple[int, str], Finding] = {}
    for script in scripts_in(path, text):
        for danger in dangers(script.text, line=script.line, is_prose=script.is_prose):
            finding = _finding(str(path), danger)
            for each in _allowed(finding, danger, script, lines, today):
                found.setdefault((each.line, each.rule), each)
    return sorted(found.values(), key=lambda each: (each.line, each.rule))


def _finding(file: str, danger: Danger) -> Finding:
    shown = " ".join(" ".join(danger.words).split())
    if len(shown) > SHOWN_CHARACTERS:
        shown = shown[: SHOWN_CHARACTERS - 1] + "…"
    said = danger.said
    return Finding(
        file, danger.line, said.rule, Level.ERROR, said.message, said.hint, shown
    )


def _allowed(
    finding: Finding, danger: Danger, script: Script, lines: list[str], today: date
) -> Iterator[Finding]:
    """The finding, waived where a comment allows it; a bad comment is another one."""
    if script.allowed.strip():
        yield structs.replace(finding, waived=script.allowed.strip())
        return
    first = max(danger.line - 2, 0)
    for number, line in enumerate(lines[first : danger.last_line], first + 1):
        marker = _comment(line)
        said = waiver_in(marker, today, needs_date=False) if marker else None
        if isinstance(said, Waiver) and finding.rule in said.rules:
            until = f" (until {said.until})" if said.until else ""
            yield structs.replace(finding, waived=said.reason + until)
            return
        if isinstance(said, str):
            message = f"the annotation does not count: {said}"
            yield Finding(finding.file, number, "annotation", Level.ERROR, message)
    yield finding


def _comment(line: str) -> str:
    """The comment of a line: an annotation in a text that runs is none."""
    for mark in ("#", "//", "::", "REM "):
        before, found, rest = line.partition(mark)
        if found and "pgwarden:" in rest and "pgwarden:" not in before:
            return rest
    return ""


def _files(paths: Iterable[Path], exclude: Sequence[str]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            listed = _tracked(path)
            for each in sorted(path.rglob("*") if listed is None else listed):
                below = each.relative_to(path)
                if (
                    _LEFT_OUT.isdisjoint(below.parts)
                    and not any(fnmatch(below.as_posix(), glob) for glob in exclude)
                    and may_hold_scripts(each)
                    and each.is_file()
                ):
                    yield each
        elif path.is_file():
            yield path
        elif not path.is_symlink():
            raise ConfigError(f'"{path}": no such file or folder')


def _decoded(content: bytes) -> str:
    is_utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return content.decode("utf-16" if is_utf16 else "utf-8-sig", "replace")


def _tracked(folder: Path) -> list[Path] | None:
    """What git would take, ignored files left out; None outside of a repository."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        ran = subprocess.run(  # noqa: S603 - no shell, and the person's own git
            command, cwd=folder, capture_output=True, timeout=GIT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    if ran.returncode:
        return None
    names = ran.stdout.decode("utf-8", "surrogateescape").split("\0")
    return [folder / name for name in dict.fromkeys(names) if name]
