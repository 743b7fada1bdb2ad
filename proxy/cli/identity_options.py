"""Options of the identity commands, and what they make.

Next: `proxy.cli.taking`, by which the commands have them; `proxy.cli.identity`.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from proxy.cli.new_password import PasswordWish
from proxy.cli.roster import Roster, opened
from proxy.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        envvar="PGWARDEN_CONFIG",
        metavar="FILE",
        help="pgwarden's settings: they name the file or the store of identities.",
    ),
]
File = Annotated[
    Path | None,
    typer.Option(
        "--file", metavar="FILE", help="Instead: an identities document by itself."
    ),
]
Name = Annotated[str, typer.Argument(metavar="NAME", help="Who.")]
Json = Annotated[bool, typer.Option("--json", help="For machines.")]
Networks = Annotated[
    list[str] | None,
    typer.Option(
        "--network", metavar="CIDR", help="Only from there. Repeatable; any without."
    ),
]
ValidUntil = Annotated[
    str,
    typer.Option(
        "--valid-until",
        metavar="TIME",
        help="Last moment: 2027-01-31 (to its end, UTC) or 2027-01-31T18:00:00+01:00.",
    ),
]
ExpiresIn = Annotated[
    str, typer.Option("--expires-in", metavar="TIME", help="The same from now: 30d.")
]
Typed = Annotated[
    bool,
    typer.Option(
        "--type", help="Type the password unseen, instead of having one made up."
    ),
]
PasswordFile = Annotated[
    Path | None,
    typer.Option(
        "--password-file",
        metavar="FILE",
        help="Read the password from its one line; - is standard input.",
    ),
]
OutputFile = Annotated[
    Path | None,
    typer.Option(
        "--output-file",
        metavar="FILE",
        help="Write it into this new file (0600) instead of showing it.",
    ),
]
Password = Annotated[
    str | None, typer.Option("--password", hidden=True, show_default=False)
]
"""Here to be refused, and not looked for elsewhere."""

Certificate = Annotated[
    list[str] | None,
    typer.Option(
        "--certificate",
        metavar="KIND=NAME",
        help="Whose client certificate it must be: email, dns, uri, common_name or "
        "subject; once more for issuer.",
    ),
]
Issuer = Annotated[
    str,
    typer.Option(
        "--issuer", metavar="NAME", help="Whose tokens count, by name in the settings."
    ),
]
Claim = Annotated[
    list[str] | None,
    typer.Option(
        "--claim",
        metavar="CLAIM=VALUE",
        help="What the token must say; * in it stands for anything. Repeatable; the "
        "same claim again: either value.",
    ),
]

Traits = dict[str, object]
"""Values of an identity's entry, those that were given."""


def roster(config: Config = None, file: File = None) -> Roster:
    """Where identities are."""
    return opened(config, file)


def password_wish(
    is_typed: Typed = False,  # noqa: FBT002 - typer gives it by name
    password_file: PasswordFile = None,
    output_file: OutputFile = None,
    is_json: Json = False,  # noqa: FBT002
    password: Password = None,
) -> PasswordWish:
    """Where a new password comes from, and where it goes."""
    return PasswordWish(
        is_typed=is_typed,
        file=password_file,
        output_file=output_file,
        is_json=is_json,
        in_argv=password,
    )


def traits(
    network: Networks = None,
    valid_until: ValidUntil = "",
    expires_in: ExpiresIn = "",
    certificate: Certificate = None,
    issuer: Issuer = "",
    claim: Claim = None,
) -> Traits:
    """What an identity's entry shall say, as far as it was given.

    Raises:
        ConfigError: it does not go together.
    """
    found: Traits = {}
    if network:
        found["networks"] = network
    until = end_of_validity(valid_until, expires_in, datetime.now(UTC))
    if until is not None:
        found["valid_until"] = until
    if certificate:
        found["certificate"] = _certificate(certificate)
    if claim and not issuer:
        raise ConfigError("--claim: of whose tokens? give --issuer, too")
    if issuer:
        found["token"] = {"issuer": issuer, "claims": _claims(claim or ())}
    return found


def _certificate(given: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for key, value in (_pair("--certificate", each) for each in given):
        if key in found:
            raise ConfigError(f'--certificate: "{key}" is given twice')
        found[key] = value
    return found


def _claims(given: Sequence[str]) -> dict[str, list[object]]:
    found: dict[str, list[object]] = {}
    for key, value in (_pair("--claim", each) for each in given):
        found.setdefault(key, []).append(_as_read(value))
    return found


def _as_read(value: str) -> bool | int | str:
    """As the document would be read: 42 and true are no text."""
    if value in {"true", "false"}:
        return value == "true"
    is_number = value.isascii() and value.isdigit() and str(int(value)) == value
    return int(value) if is_number else value


def _pair(option: str, given: str) -> tuple[str, str]:
    key, sign, value = given.partition("=")
    if not (key and sign and value):
        raise ConfigError(f'{option}: "{given}" is not of the form NAME=VALUE')
    return key, value


_SPAN: Final = re.compile(r"([1-9][0-9]{0,5})(s|m|h|d|w)")
_UNITS: Final = {
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}


def span(text: str, option: str) -> timedelta:
    """A length of time, "30d".

    Raises:
        ConfigError: it is none.
    """
    found = _SPAN.fullmatch(text)
    if found is None:
        raise ConfigError(f'{option}: "{text}" is no length of time such as 24h or 30d')
    return int(found[1]) * _UNITS[found[2]]


def end_of_validity(until: str, within: str, now: datetime) -> datetime | None:
    """What --valid-until and --expires-in say; None where neither was given.

    Raises:
        ConfigError: a time that is none, has passed, or both were given.
    """
    if until and within:
        raise ConfigError("give --valid-until or --expires-in, not both")
    if within:
        return (now + span(within, "--expires-in")).replace(microsecond=0)
    if not until:
        return None
    found = _moment(until)
    if found <= now:
        raise ConfigError(f'--valid-until: "{until}" has passed')
    return found


def _moment(text: str) -> datetime:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        pass
    else:
        return datetime.combine(day, time(23, 59, 59), UTC)
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(
            f'--valid-until: "{text}" is no time such as 2027-01-31'
        ) from None
    if found.tzinfo is None:
        raise ConfigError(
            f'--valid-until: "{text}" has no time zone; add Z for UTC, or +01:00'
        )
    return found
