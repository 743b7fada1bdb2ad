"""Reading YAML the strict way, and writing it so that it reads back the same.

Refused: duplicate keys, anchors, aliases, merge keys, tags, several documents in one
file. Scalars follow YAML 1.2, so that `on`, `off`, `yes` and `no` are words and not
booleans. Line numbers are kept for every path. Pure: texts are handed in.
Next: `proxy.policy.documents`, which gives the values their shape.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import yaml
from typing_extensions import override

from proxy.policy.problems import PolicyError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Value: TypeAlias = "str | int | bool | list[Value] | dict[str, Value] | None"
Path: TypeAlias = tuple[str | int, ...]

MAX_DEPTH: Final = 20
"""Deeper nesting than any document of ours has; PyYAML recurses once a level."""
MAX_BYTES: Final = 4 * 1024 * 1024
"""A policy or case file above this is not one a person wrote."""

_WORDS: Final[dict[str, bool | None]] = {
    "true": True,
    "false": False,
    "null": None,
    "~": None,
    "": None,
}
_INTEGER: Final = re.compile(r"[-+]?[0-9]{1,18}")
_MERGE_KEY: Final = "<<"


@dataclass(slots=True)
class Loaded:
    """A document's value and the line on which each path of it begins."""

    value: Value
    lines: dict[Path, int] = field(default_factory=dict)

    def line(self, path: Sequence[str | int]) -> int:
        """The line of `path`, or of the nearest thing around it."""
        end = len(path)
        while end >= 0:
            found = self.lines.get(tuple(path[:end]))
            if found is not None:
                return found
            end -= 1
        return 0


def load_yaml(text: str, *, source: str) -> Loaded:
    """The value of the one document in `text`.

    Raises:
        PolicyError: with every problem found, each with its line.
    """
    if len(text) > MAX_BYTES:
        raise PolicyError(source, [Problem(0, f"larger than {MAX_BYTES} bytes")])
    try:
        problems = _refused_events(text)
        if problems:
            raise PolicyError(source, problems)
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        said = " ".join(part for part in (error.context, error.problem) if part)
        line = mark.line + 1 if mark else 0
        raise PolicyError(source, [Problem(line, f"not YAML: {said}")]) from None
    except (yaml.YAMLError, ValueError) as error:
        first = str(error).strip().splitlines() or ["unreadable"]
        raise PolicyError(source, [Problem(0, f"not YAML: {first[0]}")]) from None
    if node is None:
        raise PolicyError(source, [Problem(1, "the document is empty")])
    builder = _Builder()
    value = builder.build(node, ())
    if builder.problems:
        raise PolicyError(source, builder.problems)
    return Loaded(value, builder.lines)


def _refused_events(text: str) -> list[Problem]:
    """What the event stream holds that a reader would not expect."""
    problems: list[Problem] = []
    documents = depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        line = event.start_mark.line + 1 if event.start_mark else 0
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents == 2:
                problems.append(Problem(line, "a file holds one document, not several"))
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        elif isinstance(event, yaml.NodeEvent):
            problems.extend(_refused_node(event, line))
            depth += isinstance(event, yaml.CollectionStartEvent)
        if depth > MAX_DEPTH:
            problems.append(Problem(line, f"nested deeper than {MAX_DEPTH} levels"))
            break
    return problems


def _refused_node(event: yaml.NodeEvent, line: int) -> Iterator[Problem]:
    if isinstance(event, yaml.AliasEvent):
        yield Problem(line, f'alias "*{event.anchor}" is not allowed')
        return
    if event.anchor is not None:
        yield Problem(line, f'anchor "&{event.anchor}" is not allowed')
    tag = getattr(event, "tag", None)
    if tag is not None:
        yield Problem(line, f'tag "{tag}" is not allowed')


class _Builder:
    """Node graph to plain values, noting lines and what is wrong on the way."""

    def __init__(self) -> None:
        self.lines: dict[Path, int] = {}
        self.problems: list[Problem] = []

    def build(self, node: yaml.Node, path: Path) -> Value:
        self.lines[path] = node.start_mark.line + 1
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [
                self.build(item, (*path, index))
                for index, item in enumerate(node.value)
            ]
        return _scalar(node) if isinstance(node, yaml.ScalarNode) else None

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Value]:
        values: dict[str, Value] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                self.problems.append(Problem(line, "a key must be a plain word"))
                continue
            key = str(key_node.value)
            if key == _MERGE_KEY:
                self.problems.append(
                    Problem(line, 'merge key "<<" is not allowed: write the keys out')
                )
            elif key in values:
                first = self.lines[(*path, key)]
                self.problems.append(
                    Problem(line, f'key "{key}" is given twice (first on line {first})')
                )
            else:
                values[key] = self.build(value_node, (*path, key))
                self.lines[(*path, key)] = line
        return values


def _scalar(node: yaml.ScalarNode) -> Value:
    text = str(node.value)
    if node.style is not None:  # quoted or a block: always text
        return text
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    return text


_ENDLESS: Final = MAX_BYTES
_LINE_BREAK: Final = re.compile("[\n\r\x85\u2028\u2029]")
"""https://yaml.org/spec/1.1/#id871136: PyYAML reads YAML 1.1."""


class _Dumper(yaml.SafeDumper):
    """Quotes what this module would read as something else than the same text."""

    yaml_implicit_resolvers = {}  # noqa: RUF012 - as the base class has it

    @override
    def ignore_aliases(self, data: object) -> bool:
        return True


_Dumper.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"(?:true|false)\Z"), list("tf")
)
_Dumper.add_implicit_resolver(
    "tag:yaml.org,2002:null", re.compile(r"(?:null|~|)\Z"), ["n", "~", ""]
)
_Dumper.add_implicit_resolver(
    "tag:yaml.org,2002:int",
    re.compile(rf"(?:{_INTEGER.pattern})\Z"),
    list("-+0123456789"),
)


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    # the one style that writes a text with line breaks on one line
    style = '"' if _LINE_BREAK.search(text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def flow_yaml(value: list[Any] | dict[str, Any]) -> str:
    """`value` on one line (`{a: [b, c]}`), as `load_yaml` reads it back.

    Args:
        value: texts, numbers, booleans, None, lists and mappings.
    """
    written: str = yaml.dump(
        value,
        Dumper=_Dumper,
        default_flow_style=True,
        sort_keys=False,
        allow_unicode=True,
        width=_ENDLESS,
    )
    return written.removesuffix("\n")
