"""The scripts in JSON, YAML and TOML: which texts are commands, and where they stand.

Next: `proxy.migrations.scan_files`.
"""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from typing import TYPE_CHECKING, Any, Final

import yaml
from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterator

_RUN_WORDS: Final = """
    run script scripts before_script after_script command commands cmd cmds args
    entrypoint entry exec sh shell bash build buildcommand startcommand
    predeploycommand release release_command releasecommand install prebuild
    postbuild pre_build post_build init test hooks prisma seed tasks command_line
    steps step lint-staged husky dev start deploy powershell pwsh job plan default
    value
"""
_RUN: Final = frozenset(_RUN_WORDS.split())
"""Keys under which a text is a command, or a list of them is."""
_PROSE_WORDS: Final = """
    name description title summary label message reason hint help if when uses image
    keywords dependencies devdependencies peerdependencies license author sql
    displayname path paths branches repository homepage on rules expect
"""
_PROSE: Final = frozenset(_PROSE_WORDS.split())


_QUOTED: Final = re.compile(r'"((?:[^"\\]|\\.)*)"')


class Script(Struct, frozen=True):
    """One script of a file.

    Attributes:
        text: as the shell gets it.
        line: its first line in the file.
        is_prose: it may be a text for people: only what begins like a command counts.
        name: of a script in package.json, else "".
        allowed: the reason for which package.json allows the script, or "".
    """

    text: str
    line: int
    is_prose: bool = False
    name: str = ""
    allowed: str = ""


def in_json(text: str) -> Iterator[Script]:
    """package.json and its kin, with what its `"pgwarden": {"allow": ...}` says."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        yield from _by_line(text)  # comments, a trailing comma: still read
        return
    if not isinstance(document, dict):
        return
    own = document.get("pgwarden")
    allowed = own.get("allow") if isinstance(own, dict) else None
    reasons = allowed if isinstance(allowed, dict) else {}
    for path, value in _texts(document, ()):
        if path[0] == "pgwarden" or _key(path) in _PROSE or path[0].lower() in _PROSE:
            continue
        name = path[1] if path[0] == "scripts" and len(path) > 1 else ""
        yield Script(
            value,
            _line_of(text, path, value),
            not _is_run(path),
            name,
            str(reasons.get(name, "")) if name else "",
        )


def in_toml(text: str) -> Iterator[Script]:
    """pyproject.toml, fly.toml and the like."""
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError):
        yield from _by_line(text)
        return
    for path, value in _texts(document, ()):
        if _key(path) not in _PROSE:
            yield Script(value, _line_of(text, path, value), not _is_run(path))


def in_yaml(text: str) -> Iterator[Script]:
    """CI files, compose files, manifests: what their keys say is a command."""
    try:
        documents: list[yaml.Node | None] = list(
            yaml.compose_all(text, Loader=yaml.SafeLoader)
        )
        seen: set[tuple[int, bool]] = set()
        found = [each for node in documents if node for each in _of(node, (), seen)]
    except (yaml.YAMLError, ValueError, RecursionError):
        yield from _by_line(text)  # a template, or nothing that a person wrote
        return
    yield from found


def _of(
    node: yaml.Node, path: tuple[str, ...], seen: set[tuple[int, bool]]
) -> Iterator[Script]:
    # An alias may lead back to where it stands, and to the same text a million times.
    place = (id(node), _is_run(path))
    if place in seen:
        return
    seen.add(place)
    match node:
        case yaml.MappingNode():
            for key, value in node.value:
                name = str(key.value) if isinstance(key, yaml.ScalarNode) else ""
                if isinstance(value, yaml.ScalarNode) and name.isupper():
                    # `env:` sets a variable, which may be a command or a switch.
                    assigned = f"{name}={shlex.quote(value.value)}"
                    yield Script(assigned, key.start_mark.line + 1, is_prose=True)
                yield from _of(value, (*path, name), seen)
        case yaml.SequenceNode():
            items = [each for each in node.value if isinstance(each, yaml.ScalarNode)]
            if _is_run(path) and len(items) > 1:
                # `command: ["npx", "prisma", "migrate", "reset"]`
                words = shlex.join(each.value for each in items)
                yield Script(words, node.start_mark.line + 1)
            for each in node.value:
                yield from _of(each, path, seen)
        case yaml.ScalarNode() if _is_run(path):
            offset = 1 + (node.style in {"|", ">"})
            yield Script(node.value, node.start_mark.line + offset)
        case _:
            pass


def _texts(value: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:  # noqa: ANN401
    if isinstance(value, str) and path:
        yield path, value
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from _texts(each, (*path, str(key)))
    elif isinstance(value, list):
        if path and all(isinstance(each, str) for each in value):
            yield path, "\n".join(value)
            yield path, shlex.join(value)
            return
        for each in value:
            yield from _texts(each, path)


def _is_run(path: tuple[str, ...]) -> bool:
    """Whether some key on the way says so, and the last one does not deny it."""
    keys = [key.lower() for key in path]
    return not (keys and keys[-1] in _PROSE and keys[0] != "scripts") and not (
        _RUN.isdisjoint(keys)
    )


def _key(path: tuple[str, ...]) -> str:
    return "" if path[0] == "scripts" else path[-1].lower()


def _line_of(text: str, path: tuple[str, ...], value: str) -> int:
    """Where the last key stands, behind the first one; good enough to find it."""
    start = 0
    for key in path:
        pattern = rf"(?<![\w:.-])[\"']?{re.escape(key)}[\"']?\s*[:=\]]"
        found = re.compile(pattern).search(text, start)
        start = found.start() if found else start
    place = text.find(value.split("\n", 1)[0], start)
    return text.count("\n", 0, place if place >= 0 else start) + 1


def _by_line(text: str) -> Iterator[Script]:
    """A file that does not parse: each line may be a command."""
    for number, line in enumerate(text.splitlines(), 1):
        content = line.strip()
        if not content.startswith(("#", "//")):
            key, colon, rest = content.partition(":")
            is_pair = bool(colon) and re.fullmatch(r"[-\s\"'\w.]+", key) is not None
            yield Script(rest.strip(" ,\"'") if is_pair else content, number)
            for quoted in _QUOTED.findall(content):
                yield Script(quoted, number, is_prose=True)
