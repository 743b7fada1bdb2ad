"""The narrowest policy that permits what was observed, as a document for people.

One rule for each role and kind of statement, which holds for statements of that kind
alone and lists the acts that were seen in them: no wildcard that was not asked for.
Within a rule acts are permitted one by one, so that a new combination of old acts
passes. Pure. Next: `proxy.policy.selection` and `proxy.policy.observed`.
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from proxy.policy.model import Acts
from proxy.policy.observed import STARTUP
from proxy.policy.selection import pattern, select, told
from proxy.sql.facts import STRONGEST_FIRST, Effect

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from proxy.policy.observed import Observation
    from proxy.policy.selection import Wish

NAMED_PEOPLE: Final = 4
"""Identities in a comment; the rest is counted."""
NAMED_LEFT_OUT: Final = 20
"""Acts in the comment about what is left out of a rule; the rest is counted."""

_KEYS: Final = tuple(key for key in Acts.model_fields if key != "everything")
_KINDS: Final = (STARTUP, *(str(kind) for kind in reversed(STRONGEST_FIRST)))
_NOT_IN_ID: Final = re.compile(r"[^a-z0-9_.-]+")


class RoleDraft(Struct, frozen=True):
    """What a log does not say of a role, as another policy has it.

    With `refuse`, which says why, the role may not log in and has no rules.
    """

    upstream: str = ""
    read_only: bool = True
    description: str = ""
    refuse: str = ""
    hint: str = ""


class Suggestion(Struct, frozen=True):
    """A policy document and what it leaves out, one line each."""

    text: str
    left_out: tuple[str, ...]


def suggest(
    observations: Iterable[Observation],
    roles: Mapping[str, RoleDraft],
    wish: Wish,
    *,
    heading: Sequence[str],
) -> Suggestion:
    """The document that permits what was observed.

    Args:
        observations: of all roles.
        roles: what is known of each role beside; each is in the document.
        wish: how to go about it.
        heading: lines of the comment at the top.
    """
    by_role: dict[str, list[Observation]] = defaultdict(list)
    for each in observations:
        by_role[each.role].append(each)
    writer = _Writer(wish)
    for line in heading:
        writer.line(0, f"# {_plain(line)}")
    writer.line(0, "version: 1")
    writer.line(0, "name: suggested")
    writer.line(0, "roles:")
    for name, draft in roles.items():
        writer.role(name, draft, by_role[name])
    return Suggestion("\n".join(writer.lines) + "\n", tuple(writer.left_out))


class _Writer:
    """Writes the document line by line: YAML dumpers keep no comments."""

    def __init__(self, wish: Wish) -> None:
        self.lines: list[str] = []
        self.left_out: list[str] = []
        self._wish = wish
        self._prefixes: set[str] = set()

    def line(self, depth: int, text: str) -> None:
        self.lines.append("  " * depth + text)

    def role(self, name: str, draft: RoleDraft, observed: list[Observation]) -> None:
        self.line(1, f"{quoted(name)}:")
        if draft.description:
            self.line(2, f"description: {quoted(draft.description)}")
        if draft.refuse:
            self.line(2, "login:")
            self.line(3, f"refuse: {quoted(draft.refuse)}")
            if draft.hint:
                self.line(3, f"hint: {quoted(draft.hint)}")
            return
        self.line(2, "login: permit")
        self.line(2, f"upstream: {quoted(draft.upstream)}")
        self.line(2, f"read_only: {str(draft.read_only).lower()}")
        at = len(self.lines)
        self.line(2, "rules: []")
        by_kind: dict[str, list[Observation]] = defaultdict(list)
        for each in observed:
            by_kind[each.kind].append(each)
        prefix = self._prefix(name)
        for kind in _KINDS:
            if kind in by_kind:
                self._rule(f"{prefix}.{kind}", name, kind, by_kind[kind])
        if any(line.startswith("      - id: ") for line in self.lines[at:]):
            self.lines[at] = "    rules:"

    def _prefix(self, role: str) -> str:
        """The beginning of a role's rule ids, each role another."""
        prefix = _NOT_IN_ID.sub("-", role.lower()).strip("-._")[:40] or "role"
        while prefix in self._prefixes:
            prefix += "-x"
        self._prefixes.add(prefix)
        return prefix

    def _rule(
        self, rule: str, role: str, kind: str, observed: list[Observation]
    ) -> None:
        selected = select(observed, self._wish)
        kept, left_out = selected.kept, selected.left_out
        listed = {each.seen.name for each in kept if each.seen.key == "kinds"}
        if kind not in listed | {STARTUP}:  # nothing of this kind would pass
            left_out += [f"{told(each.seen)} ({each.count:,})" for each in kept]
            kept = []
        if kept:
            self.line(3, f"- id: {rule}")
            if kind != STARTUP:
                self.line(4, f"when: {{kinds: [{kind}]}}")
            self.line(4, "permit:")
            for key in _KEYS:
                self._key(key, [each for each in kept if each.seen.key == key])
        if left_out:
            self.left_out += [f"{rule} of role {role}: {each}" for each in left_out]
            self._comment(4 if kept else 3, f"left out of {rule}", left_out)

    def _key(self, key: str, kept: list[Observation]) -> None:
        if not kept:
            return
        self.line(5, f"{key}:")
        match key:
            case "relations":
                self._named(kept, "access")
            case "functions":
                self._named(kept, "effects")
            case "settings":
                self._settings(kept)
            case _:
                for each in kept:
                    self._item(6, each.seen.name, each)

    def _named(self, kept: list[Observation], how: str) -> None:
        for word in dict.fromkeys(each.seen.how for each in kept):
            words = _OF_A_USER if word == Effect.UNKNOWN else word
            self.line(6, f"- {how}: [{words}]")
            self.line(7, "names:")
            for each in kept:
                if each.seen.how == word:
                    self._item(8, pattern(each.seen), each)

    def _settings(self, kept: list[Observation]) -> None:
        for name in dict.fromkeys(each.seen.name for each in kept):
            own = [each for each in kept if each.seen.name == name]
            if own[0].seen.value is None:
                self.line(6, f"- name: {quoted(name)} # any value; {_used(own[0])}")
                continue
            self.line(6, f"- name: {quoted(name)}")
            self.line(7, "values:")
            for each in own:
                self._item(8, each.seen.value or "", each)

    def _item(self, depth: int, word: str, observation: Observation) -> None:
        self.line(depth, f"- {quoted(word)} # {_used(observation)}")

    def _comment(self, depth: int, about: str, left_out: list[str]) -> None:
        self.line(depth, f"# {about}:")
        for each in left_out[:NAMED_LEFT_OUT]:
            self.line(depth, f"#   {_plain(each)}")
        if len(left_out) > NAMED_LEFT_OUT:
            self.line(depth, f"#   and {len(left_out) - NAMED_LEFT_OUT:,} more")


_OF_A_USER: Final = ", ".join(
    (Effect.UNKNOWN, Effect.STABLE, Effect.VOLATILE, Effect.DEFINER)
)
"""A log does not tell what the catalog says of a function of the user's, and the wire
will judge by it: named is named, whichever of these it is."""


def _used(observation: Observation) -> str:
    """How often and by whom: "1,204: ana, bi and 3 more"."""
    people = sorted(observation.people, key=lambda who: (-observation.people[who], who))
    named = ", ".join(_plain(each) for each in people[:NAMED_PEOPLE])
    more = len(people) - NAMED_PEOPLE
    rest = f" and {more} more" if more > 0 else ""
    return f"{observation.count:,}: {named}{rest}"


def quoted(text: str) -> str:
    """The text as a double-quoted scalar of YAML, on one line."""
    escaped = _plain(text).replace('"', '\\"')
    return f'"{escaped}"'


def _plain(text: str) -> str:
    """The text with everything escaped that could end the line it stands on."""
    return "".join(map(_escaped, text))


def _escaped(character: str) -> str:
    if character == "\\":
        return "\\\\"
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
