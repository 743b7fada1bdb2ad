"""Options of the identity commands, and the times that some of them name.

Next: `proxy.cli.identity`.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Annotated, Final

import typer

from proxy.errors import ConfigError

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
