"""From the text of a profile to a `Profile`, or to everything that is wrong with it.

The texts of the shipped ones are read once. Next: `proxy.migrations.profile_match`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxy.errors import ConfigError
from proxy.migrations.profile import ProfileModel
from proxy.policy.documents import validated
from proxy.policy.patterns import NamePattern, nearest
from proxy.policy.problems import PolicyError, Problem
from proxy.policy.yaml import load_yaml
from proxy.shipped import tools_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from proxy.migrations.profile import Bookkeeping, Command, FirstMatch, Source
    from proxy.policy.yaml import Path as Keys


@dataclass(frozen=True, slots=True)
class Profile:
    """A profile that holds together.

    Attributes:
        source: where the text came from, for messages.
        model: what it says.
    """

    source: str
    model: ProfileModel

    @property
    def tool(self) -> str:
        """Its id: "prisma"."""
        return self.model.tool

    @property
    def is_on(self) -> bool:
        """Whether the real tool was recorded. One that never was is not followed."""
        return self.model.provenance.source == "recorded"


def load_profile(text: str, *, source: str) -> Profile:
    """The profile in `text`.

    Raises:
        PolicyError: with every problem found at once, each with its line.
    """
    loaded = load_yaml(text, source=source)
    model = validated(ProfileModel, loaded, source=source)
    problems = [
        Problem(loaded.line(path), message) for path, message in _inconsistent(model)
    ]
    if problems:
        raise PolicyError(source, problems)
    return Profile(source, model)


def load_folder(folder: Path) -> tuple[Profile, ...]:
    """Every profile of a folder, by file name; those that are off, too.

    Raises:
        ConfigError: one can't be read, or is wrong, or two are of the same tool.
    """
    found: dict[str, Profile] = {}
    for path in sorted(folder.glob("*.yaml")):
        try:
            text = path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            message = f'can\'t read the tool profile "{path}": {error}'
            raise ConfigError(message) from None
        profile = load_profile(text, source=str(path))
        twin = found.setdefault(profile.tool, profile)
        if twin is not profile:
            message = f'"{path}" and "{twin.source}" are both of tool "{profile.tool}"'
            raise ConfigError(message)
    return tuple(found.values())


def shipped_profiles() -> tuple[Profile, ...]:
    """The profiles that come with pgwarden, those that are off too.

    Raises:
        ConfigError: an installation without them, or with wrong ones.
    """
    return load_folder(tools_folder())


def _inconsistent(model: ProfileModel) -> Iterator[tuple[Keys, str]]:
    ids = [each.id for each in model.bookkeeping]
    for index, each in enumerate(model.bookkeeping):
        path: Keys = ("bookkeeping", index)
        if each.id in ids[:index]:
            yield (*path, "id"), f'id "{each.id}" is given twice'
        for message in _wrong_with(each, model):
            yield path, message
        yield from _unknown_ids(each.after, path, "after", ids)
    orders = {each.means for each in model.bookkeeping}
    if model.script.order == "announced" and "announce" not in orders:
        message = 'order "announced" wants a statement that means "announce"'
        yield ("script", "order"), message
    if model.script.order != "no-row" and "end" not in orders:
        message = (
            'no statement means "end"; a tool without a history has order "no-row"'
        )
        yield ("script", "order"), message
    yield from _wrong_history(model)
    for index, command in enumerate(model.commands):
        place: Keys = ("commands", index)
        asked: list[tuple[Keys, Command | FirstMatch]] = [(place, command)]
        asked += _firsts(command, place)
        for where, one in asked:
            yield from _unknown_ids(one.after, where, "after", ids)
            yield from _unknown_ids(one.not_after, where, "not_after", ids)


def _wrong_history(model: ProfileModel) -> Iterator[tuple[Keys, str]]:
    history = model.history
    if history is None:
        return
    known = NamePattern(model.tables)
    for table in history.tables:
        # What no one watches must not be left out of the schema digest.
        schema, _, name = table.partition(".")
        if not known.surely_matches(schema, name):
            yield ("history", "tables"), f'"{table}" is none of "tables"'
    if bool(history.name) != bool(history.order):
        message = '"name" and "order" are given both or, where nothing is read, neither'
        yield ("history",), message
    if not history.name and (
        history.checksum or history.applied or history.without_name
    ):
        yield ("history",), 'without "name" nothing is read of it'


def _firsts(command: Command, place: Keys) -> Iterator[tuple[Keys, FirstMatch]]:
    for number, first in enumerate(command.first):
        yield (*place, "first", number), first


def _wrong_with(each: Bookkeeping, model: ProfileModel) -> Iterator[str]:
    if each.means == "act" and not each.command:
        yield 'what means "act" needs "command": the command that sends it'
    if each.command and each.means != "act":
        yield 'only what means "act" has a "command"'
    if each.without_body and each.means != "end":
        yield 'only what means "end" has "without_body"'
    if each.without_body and model.script.connections == "two":
        yield '"without_body" can\'t be told where the history has its own connection'
    if each.during == "announced" and model.script.order != "announced":
        yield 'during "announced" is of tools with script order "announced"'
    named = each.match.table or each.match.names
    if each.means not in {"sign", "lock", "unlock"} and not named:
        yield 'its match needs "table": without one it would fit anybody\'s statement'
    sources: list[tuple[str, Source | None]] = [("name", one) for one in each.name]
    sources += [("checksum", each.checksum), ("key", each.key)]
    for name, source in sources:
        if source is None:
            continue
        if bool(source.column) == bool(source.where):
            yield f'"{name}" takes one of column, where'


def _unknown_ids(
    named: list[str], place: Keys, key: str, ids: list[str]
) -> Iterator[tuple[Keys, str]]:
    for word in named:
        if word not in ids:
            message = f'no bookkeeping has id "{word}"{nearest(word, ids)}'
            yield (*place, key), message
