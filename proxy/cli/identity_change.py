"""The identity commands that change one of them: who comes, goes, or is another.

Next: `proxy.cli.roster` for where they are, `proxy.cli.identity`, which names these.
"""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Final

import typer

from proxy.auth.identities import read_entry
from proxy.auth.secrets import SALT_LENGTH, make_secret
from proxy.cli import identity_options as options
from proxy.cli.new_password import PasswordWish
from proxy.cli.roster import Roster, by, found_in
from proxy.cli.roster_store import StoreRoster
from proxy.cli.rotation import finished, with_password
from proxy.cli.taking import taking
from proxy.errors import ConfigError
from proxy.store.identities import entry_values

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxy.auth.identities import IdentityEntry
    from proxy.cli.roster import Entries
    from proxy.store.engine import Change

PROOFS: Final = ("secret", "secrets", "certificate", "token")
"""What an entry holds of which one at least is needed to come in."""


@taking(traits=options.traits, wish=options.password_wish, roster=options.roster)
def add(
    name: options.Name,
    *,
    role: Annotated[str, typer.Option("--role", metavar="ROLE", help="Of the policy.")],
    has_none: Annotated[
        bool,
        typer.Option(
            "--no-password", help="Only by the certificate, or by the issuer's token."
        ),
    ] = False,
    traits: options.Traits,
    wish: PasswordWish,
    roster: Roster,
) -> None:
    """Add somebody, and show the password that was made up, this once.

    Examples: pgwarden identity add ana --role developer --expires-in 90d; pgwarden
    identity add ci --role migrator --no-password --certificate dns=ci.example.com
    """
    # Of somebody else by this name, who was removed a moment ago, no session goes on.
    since = datetime.now(UTC)
    values = {"name": name, "role": role, **traits, "sessions_since": since}
    change = by("identity.add", name, **_words({"role": role, **traits}))
    if has_none:
        wish.none()
        roster.change([change], _adding(_entry(values)))
        return
    made = wish.new()
    secret = make_secret(made.text, salt=secrets.token_bytes(SALT_LENGTH))
    entry = _entry({**values, "secret": secret.encode()})
    with wish.given(name, made):
        roster.change([change], _adding(entry))


def _adding(entry: IdentityEntry) -> Callable[[Entries], Entries]:
    def edit(entries: Entries) -> Entries:
        if entry.name in entries:
            raise ConfigError(f'there is an identity "{entry.name}" already')
        return {**entries, entry.name: entry}

    return edit


def _entry(values: dict[str, object]) -> IdentityEntry:
    if not any(values.get(key) for key in PROOFS):
        raise ConfigError(
            f'"{values["name"]}" could not come in: without a password it takes '
            "--certificate or --issuer"
        )
    return read_entry(values, source="identity")


@taking(traits=options.traits, roster=options.roster)
def set_(
    name: options.Name,
    *,
    role: Annotated[
        str, typer.Option("--role", metavar="ROLE", help="Another role of the policy.")
    ] = "",
    is_anywhere: Annotated[
        bool, typer.Option("--any-network", help="From any network again.")
    ] = False,
    is_forever: Annotated[
        bool, typer.Option("--no-expiry", help="Without an end again.")
    ] = False,
    loses_certificate: Annotated[
        bool, typer.Option("--no-certificate", help="By no certificate of its own.")
    ] = False,
    loses_token: Annotated[
        bool, typer.Option("--no-token", help="By no issuer's token any more.")
    ] = False,
    loses_password: Annotated[
        bool, typer.Option("--no-password", help="By no password any more.")
    ] = False,
    traits: options.Traits,
    roster: Roster,
) -> None:
    """Change what is said of somebody, but the password itself (rotate).

    Another role ends open sessions, and so do other tokens, or a certificate that the
    one in use does not fit.
    """
    changed = {"role": role, **traits} if role else dict(traits)
    for is_gone, keys in (
        (is_anywhere, {"networks": []}),
        (is_forever, {"valid_until": None}),
        (loses_certificate, {"certificate": None}),
        (loses_token, {"token": None}),
        (loses_password, {"secret": None, "secrets": [], "old_secret_until": None}),
    ):
        if is_gone:
            changed |= keys
    if not changed:
        raise ConfigError("nothing to change was given")
    _edit_one(roster, by("identity.set", name, **_words(changed)), changed)


@taking(roster=options.roster)
def disable(
    name: options.Name,
    *,
    roster: Roster,
) -> None:
    """Let somebody in no more, and end their sessions within two seconds."""
    # Enabled again at once, it was nothing that a server had to see.
    changed = {"disabled": True, "sessions_since": datetime.now(UTC)}
    _edit_one(roster, by("identity.disable", name), changed)


@taking(roster=options.roster)
def enable(
    name: options.Name,
    *,
    roster: Roster,
) -> None:
    """Let somebody in again who was disabled."""
    _edit_one(roster, by("identity.enable", name), {"disabled": False})


@taking(wish=options.password_wish, roster=options.roster)
def rotate(
    name: options.Name,
    *,
    overlap: Annotated[
        str,
        typer.Option(
            "--overlap",
            metavar="TIME",
            help="The old password is right for so long: 24h.",
        ),
    ] = "",
    is_finish: Annotated[
        bool, typer.Option("--finish", help="The old password is right no more.")
    ] = False,
    is_now: Annotated[
        bool, typer.Option("--now", help="A new password, and no other from now on.")
    ] = False,
    wish: PasswordWish,
    roster: Roster,
) -> None:
    """Give somebody a new password; the old one stays right until --finish.

    Two passwords share one salt, since only one can be shown to who logs in. Open
    sessions go on: to end them, disable and enable.

    Example: pgwarden identity rotate ana --overlap 24h
    """
    if (bool(overlap), is_finish, is_now).count(True) > 1:
        raise ConfigError("give one of --overlap, --finish and --now")
    if is_finish:
        change = by("identity.rotate", name, step="finished")
        roster.change(
            [change],
            lambda entries: {**entries, name: finished(found_in(entries, name))},
        )
        return
    now = datetime.now(UTC).replace(microsecond=0)
    until = now + options.span(overlap, "--overlap") if overlap else None
    made = wish.new()

    def edit(entries: Entries) -> Entries:
        old = found_in(entries, name)
        new = with_password(old, made.text, keeps_old=not is_now, old_until=until)
        return {**entries, name: new}

    ends = until.isoformat() if until else "at once" if is_now else "when finished"
    with wish.given(name, made):
        roster.change([by("identity.rotate", name, old_secret_ends=ends)], edit)


@taking(roster=options.roster)
def remove(
    name: options.Name,
    *,
    roster: Roster,
) -> None:
    """Remove somebody, and end their sessions within two seconds."""
    change = by("identity.remove", name)
    entries = {each.name: each for each in roster.read().entries}
    if name not in entries and isinstance(roster, StoreRoster):
        # Whoever can't be understood is not among the entries.
        roster.remove_broken(change)
        return

    def edit(entries: Entries) -> Entries:
        found_in(entries, name)
        return {key: entry for key, entry in entries.items() if key != name}

    roster.change([change], edit)


def _edit_one(roster: Roster, change: Change, changed: dict[str, object]) -> None:
    def edit(entries: Entries) -> Entries:
        known = found_in(entries, change.subject)
        values = entry_values(known) | changed
        return {**entries, change.subject: _entry(values)}

    roster.change([change], edit)


def _words(values: dict[str, object]) -> dict[str, str]:
    """For the history: what was set, and of a password only that it went."""
    return {
        ("password" if key == "secret" else key): _word(value)
        for key, value in values.items()
        if key not in {"secrets", "old_secret_until"}
    }


def _word(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "any"
    if isinstance(value, dict):
        return ", ".join(f"{key}={_word(each)}" for key, each in value.items())
    return value.isoformat() if isinstance(value, datetime) else str(value or "none")
