"""The commands that are never run against production: a table, and how a line fits it.

A command is looked for wherever it stands among the words, because wrappers are without
number (npx, pnpm, docker run, env, ssh, ...). Inside a quoted text, which may be prose,
only a launcher may stand before it. Next: `proxy.migrations.scan`, which reads files.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from proxy.migrations.scan_shell import Command, assignment, commands
from proxy.migrations.scan_sql import sql_dangers
from proxy.migrations.scan_table import ANYWHERE, RULES, SETTINGS, Rule, Said
from proxy.migrations.scan_vocabulary import (
    LAUNCHERS,
    RUNNERS,
    SAYS,
    SHELLS,
    VALUE_OPTIONS,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MAX_DEPTH: Final = 6
"""Of scripts quoted inside one another: sh -c "ssh host 'sh -c ...'"."""

_KEYWORDS_WORDS: Final = """
    if then else elif fi for while until do done case esac in ! { } time function
    select coproc
"""
_KEYWORDS: Final = frozenset(_KEYWORDS_WORDS.split())
_GIT_RUNS: Final = frozenset({"run", "-x", "--exec", "foreach", "filter-branch"})
_SUFFIXES: Final = (".js", ".cjs", ".mjs", ".cmd", ".exe", ".bat", ".ps1", ".phar")


class Danger(Struct, frozen=True):
    """One dangerous command: what it is, where it begins and ends."""

    said: Said
    line: int
    last_line: int
    words: tuple[str, ...]


def dangers(
    script: str,
    *,
    line: int = 1,
    is_prose: bool = False,
    variables: dict[str, str] | None = None,
    depth: int = 0,
) -> Iterator[Danger]:
    """All that is dangerous in a script; in prose only what begins like a command."""
    found = commands(script, line=line, variables=variables)
    for command in found:
        for said in dict.fromkeys(_of_command(command, is_prose, depth)):
            yield Danger(said, command.line, command.last_line, command.words)


def _of_command(command: Command, is_prose: bool, depth: int) -> Iterator[Said]:  # noqa: FBT001
    words = _without_keywords(command.words)
    yield from _settings(words)
    head = _head(words)
    head = tool_name(head) or head
    target = {tool_name(word) for word in command.pipes_into}
    runs_its_words = not target.isdisjoint(SHELLS)
    if "psql" in target or head == "psql":
        texts = [*command.inputs, *(words if head in SAYS or head == "psql" else ())]
        yield from sql_dangers(words if head == "psql" else (), texts)
    if _only_says(head, words) and not runs_its_words:
        return
    yield from _matches(words, is_prose=is_prose and not runs_its_words)
    if depth < MAX_DEPTH:
        yield from _inside(command, words, head, runs_its_words, depth)


def _inside(
    command: Command,
    words: Sequence[str],
    head: str,
    runs_its_words: bool,  # noqa: FBT001
    depth: int,
) -> Iterator[Said]:
    """What scripts in quotes, and texts that a shell reads, hold."""
    names = {tool_name(word) for word in words}
    is_run = runs_its_words or not names.isdisjoint(RUNNERS)
    texts = [
        assigned[1] if (assigned := assignment(word)) else word
        for word in words
        if any(mark in word for mark in " \t\n;|&")
    ]
    for text in texts:
        # Spaces alone do not make a script: a path, a message.
        for each in dangers(text, is_prose=not is_run, depth=depth + 1):
            yield each.said
    if runs_its_words or not names.isdisjoint(SHELLS):
        for text in command.inputs:
            for each in dangers(text, depth=depth + 1):
                yield each.said
        if runs_its_words and head in SAYS:
            for each in dangers(" ".join(words[1:]), depth=depth + 1):
                yield each.said


def _without_keywords(words: Sequence[str]) -> list[str]:
    rest = list(words)
    while rest and rest[0] in _KEYWORDS:
        rest.pop(0)
    return rest


def _head(words: Sequence[str]) -> str:
    """The program itself: what stands behind assignments and plain wrappers."""
    for word in words:
        if assignment(word) or word in {"sudo", "env", "command", "exec", "nohup", "@"}:
            continue
        if word.startswith("-"):
            continue
        return word.lstrip("@")
    return ""


def tool_name(word: str) -> str:
    """The tool: of `.bin/prisma`, `prisma@6`, `npm:prisma`, `flyway/flyway:10`."""
    path = word.replace("\\", "/")
    if path.endswith("/prisma/build/index.js"):
        return "prisma"
    name = path.rsplit("/", 1)[-1]
    name = name.removeprefix("npm:").lstrip("@-+")
    name = name.partition("@")[0].partition(":")[0].lower()
    for suffix in _SUFFIXES:
        name = name.removesuffix(suffix)
    return name


def _only_says(head: str, words: Sequence[str]) -> bool:
    if head in {"git", "gh", "glab"}:
        return _GIT_RUNS.isdisjoint(words)
    return head in SAYS or list(words[:2]) == ["command", "-v"]


def _settings(words: Sequence[str]) -> Iterator[Said]:
    for word in words:
        for pattern, said in SETTINGS:
            if fnmatchcase(word.lower().strip("'\""), pattern):
                yield said


def _matches(words: Sequence[str], *, is_prose: bool) -> Iterator[Said]:
    for index, word in enumerate(words):
        if is_prose and not all(_launches(each) for each in words[:index]):
            break
        name = tool_name(word)
        rest = words[index + 1 :]
        # On to the next word in any case: a service of docker may be called "migrate".
        yield from (rule.said for rule in RULES.get(name, ()) if _fits(rule, rest))
    if not is_prose or (words and tool_name(words[0]) in LAUNCHERS):
        yield from (said for option, said in ANYWHERE.items() if option in words)


def _launches(word: str) -> bool:
    return (
        word.startswith("-")
        or word.isdigit()
        or assignment(word) is not None
        or tool_name(word) in LAUNCHERS
    )


def _fits(rule: Rule, rest: Sequence[str]) -> bool:
    if rule.options and not rule.options.intersection(rest):
        return False
    if rule.but_not.intersection(rest):
        return False
    # With and without what may be an option's value: nobody knows every option.
    return any(_begins(rule, each) for each in (_plain(rest), _plain(rest, drop=True)))


def _begins(rule: Rule, words: list[str]) -> bool:
    size = len(rule.words)
    # Two words in a row say it wherever they stand; a single one may be a name.
    is_anywhere = rule.is_anywhere or size > 1
    starts = range(len(words) - size + 1) if is_anywhere else range(1)
    return any(
        len(words) >= start + size
        and all(
            fnmatchcase(word, pattern)
            for word, pattern in zip(words[start:], rule.words, strict=False)
        )
        for start in starts
    )


def _plain(words: Sequence[str], *, drop: bool = False) -> list[str]:
    found = []
    skips = False
    for word in words:
        if word.startswith("-"):
            skips = drop and word in VALUE_OPTIONS
        elif skips:
            skips = False
        else:
            found.append(word)
    return found
