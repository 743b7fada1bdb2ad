"""Where identities are, behind one face: a YAML file or the store.

A change is a function from all entries to all entries; what differs is written, whole
or not at all, and checked first against the policy that will be asked about them.
Next: `proxy.cli.roster_file`, `proxy.cli.roster_store`, `proxy.cli.identity`.
"""

from __future__ import annotations

import os
import pwd
import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import typer

from proxy.cli.no_way import no_way
from proxy.errors import ConfigError
from proxy.policy.patterns import nearest
from proxy.server.sources import read_policy, with_roll
from proxy.settings import load_settings
from proxy.store.engine import Change
from proxy.store.identities import Roll

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from proxy.auth.identities import IdentityEntry
    from proxy.settings import Settings
    from proxy.store.history import Event
    from proxy.store.last_uses import LastUse

Entries = dict[str, "IdentityEntry"]
"""Everybody, by name."""


@dataclass(frozen=True, slots=True)
class Uses:
    """Last uses, and how to tell which secret each was of.

    Attributes:
        found: all of them.
        key: for `proxy.store.last_uses.proof_of`; b"" where there is no store.
    """

    found: tuple[LastUse, ...] = ()
    key: bytes = field(default=b"", repr=False)


class Roster(Protocol):
    """A place that holds identities."""

    @property
    def place(self) -> str:
        """What to call it."""

    def read(self) -> Roll:
        """Everybody."""

    def uses(self) -> Uses:
        """When they last came in, as far as that is kept."""

    def history(self, name: str) -> list[Event]:
        """What was changed, newest first; of everybody for ""."""

    def change(
        self, changes: Sequence[Change], edit: Callable[[Entries], Entries]
    ) -> None:
        """Change what `edit` changes, and write the history.

        Raises:
            ConfigError: the result would not be served.
        """


def opened(config: Path | None, file: Path | None) -> Roster:
    """The roster that the options name.

    Raises:
        ConfigError: they name none, or one that can't be used.
    """
    from proxy.cli.roster_file import FileRoster  # noqa: PLC0415 - one of the two
    from proxy.cli.roster_store import StoreRoster  # noqa: PLC0415

    if file is not None:
        return FileRoster(file, None, _unchecked)
    if config is None:
        raise ConfigError(
            "whose identities? give --config with pgwarden's settings, or --file with "
            "an identities document",
            hint="PGWARDEN_CONFIG may name the settings, too",
        )
    settings = load_settings(config, os.environ)
    check = _checker(settings)
    if settings.identities is not None:
        return FileRoster(settings.identities, settings.store, check)
    if settings.store is None:
        raise ConfigError(f"{config}: neither identities nor a store")
    return StoreRoster(settings.store, check)


def _unchecked(before: Entries, after: Entries) -> None:
    """Nothing is known of a policy."""


def _checker(settings: Settings) -> Callable[[Entries, Entries], None]:
    policy = read_policy(settings.policy, settings)

    def problems(entries: Entries) -> list[str]:
        roll = Roll(tuple(entries[name] for name in sorted(entries)))
        return list(with_roll(settings, policy, roll).problems)

    def check(before: Entries, after: Entries) -> None:
        # What was wrong already must not keep somebody from being disabled.
        known = problems(before)
        news = [each for each in problems(after) if each not in known]
        if news:
            raise ConfigError("\n".join(each.removeprefix("store: ") for each in news))
        for name, entry in after.items():
            if entry != before.get(name) and (said := no_way(policy.logins, entry)):
                typer.echo(said, err=True)

    return check


def found_in(entries: Entries, name: str) -> IdentityEntry:
    """The entry of this name.

    Raises:
        ConfigError: there is none; with the nearest name that there is.
    """
    if name not in entries:
        raise ConfigError(f'there is no identity "{name}"{nearest(name, entries)}')
    return entries[name]


def by(action: str, name: str, **detail: str) -> Change:
    """A line of history: this command, run by whom the system says we are."""
    user = pwd.getpwuid(os.getuid()).pw_name
    if (real := os.environ.get("SUDO_USER")) and os.getuid() == 0:
        user = f"{user} (sudo by {real})"
    return Change(f"{user}@{socket.gethostname()}", action, name, detail)
