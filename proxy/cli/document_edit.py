"""Changing an identities document line by line, so that everything else stays.

A writer of YAML hangs a comment on the value before it, and loses it with that value;
here a line that does not change is not touched. What was made is read back by the
caller. Next: `proxy.cli.roster_file`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import yaml

from proxy.errors import ConfigError
from proxy.policy.yaml import flow_yaml
from proxy.store.identities import entry_values

if TYPE_CHECKING:
    from collections.abc import Sequence

    from proxy.auth.identities import IdentityEntry
    from proxy.cli.roster import Entries

EMPTY: Final = "version: 1\nidentities: []\n"
_INDENT: Final = 2


def document_of(entries: Sequence[IdentityEntry]) -> str:
    """A new document with these entries."""
    return edited(EMPTY, {}, {entry.name: entry for entry in entries})


def edited(text: str, before: Entries, after: Entries) -> str:
    """The text with what differs changed, and nothing else.

    Args:
        text: a document that was read strictly.
        before: its entries, by name.
        after: what they shall be.

    Raises:
        ConfigError: it is written in a way that can't be changed so.
    """
    lines = text.splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    listed = _list_in(text)
    end = _last_line(listed) + 1
    indent = _INDENT
    if listed.flow_style:
        if listed.value:
            raise ConfigError(
                'the list "identities" is on one line; write one identity an item'
            )
        lines[end - 1] = lines[end - 1][: listed.start_mark.column].rstrip() + "\n"
    elif listed.value:
        indent = listed.start_mark.column
    added = [entry for name, entry in after.items() if name not in before]
    lines[end:end] = [line for entry in added for line in _item(entry, indent)]
    for node in reversed(listed.value):
        start, name = node.start_mark.line, _text(node, "name")
        lines[start : _last_line(node) + 1] = _changed(
            lines, node, before[name], after.get(name), indent
        )
    if listed.value and not after:
        # A list without an item is none.
        lines.insert(listed.start_mark.line, f"{' ' * _INDENT}[]\n")
    return "".join(lines)


def _changed(
    lines: list[str],
    node: yaml.MappingNode,
    old: IdentityEntry,
    new: IdentityEntry | None,
    indent: int,
) -> list[str]:
    """The lines of one item as they shall be."""
    start, end = node.start_mark.line, _last_line(node) + 1
    if new is None:
        return []
    if new == old:
        return lines[start:end]
    was, shall = entry_values(old), entry_values(new)
    # The item's first key stands behind the dash: where it goes, all is written anew.
    first = str(node.value[0][0].value)
    if node.flow_style or (first in was and first not in shall):
        return _item(new, indent)
    made = lines[start:end]
    present = set()
    for key_node, value in reversed(node.value):
        key, line = str(key_node.value), key_node.start_mark.line - start
        present.add(key)
        if was.get(key) == shall.get(key):
            continue
        last = _last_line(value) - start
        if key in shall:
            head = made[line][: key_node.start_mark.column]
            rest = _after(made[last], value) if last == line else "\n"
            made[line : last + 1] = [f"{head}{_pair(key, shall[key])}{rest}"]
        else:
            del made[line : last + 1]
    column = node.start_mark.column
    made += [
        f"{' ' * column}{_pair(key, value)}\n"
        for key, value in shall.items()
        if key not in present
    ]
    return made


def _list_in(text: str) -> yaml.SequenceNode:
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    if isinstance(root, yaml.MappingNode) and not root.flow_style:
        for key, value in root.value:
            if key.value == "identities" and isinstance(value, yaml.SequenceNode):
                return value
    raise ConfigError('there is no list "identities" with a line of its own')


def _text(node: yaml.MappingNode, key: str) -> str:
    return next(str(value.value) for name, value in node.value if name.value == key)


def _item(entry: IdentityEntry, indent: int) -> list[str]:
    pairs = [_pair(key, value) for key, value in entry_values(entry).items()]
    heads = ["- ", *["  "] * (len(pairs) - 1)]
    return [
        f"{' ' * indent}{head}{pair}\n" for head, pair in zip(heads, pairs, strict=True)
    ]


def _pair(key: str, value: object) -> str:
    return flow_yaml({key: value})[1:-1]


def _after(line: str, value: yaml.Node) -> str:
    """What stands behind a value on its last line, such as a comment."""
    return line[value.end_mark.column :]


def _last_line(node: yaml.Node) -> int:
    """The last line with something of the node; marks go on to the next token."""
    if isinstance(node, yaml.CollectionNode) and node.value and not node.flow_style:
        last = node.value[-1]
        return _last_line(last[1] if isinstance(last, tuple) else last)
    end = node.end_mark
    is_past = end.column == 0 and end.line > node.start_mark.line
    return int(end.line - 1 if is_past else end.line)
