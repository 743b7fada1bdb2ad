"""What a client wishes for in its startup packet, sorted and checked by form.

Nothing here depends on who the client is, so these refusals may come before the
password. Settings that need a judge are only collected. Imports `wire` and
`proxy.errors`. Next: `proxy.session.login`, which proves the client and asks the judge.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from proxy.errors import (
    DENIED,
    INVALID_AUTHORIZATION,
    INVALID_PARAMETER,
    LoginError,
)
from proxy.wire import codes
from proxy.wire.startup import parse_options

if TYPE_CHECKING:
    from collections.abc import Iterable

    from proxy.wire.startup import StartupMessage

_UTF8: Final = frozenset({"utf8", "unicode"})
_NO_CONVERSION: Final = "sqlascii"
"""What libpq sends in the C locale, meaning "I do not care"; it gets UTF8, is told so
by ParameterStatus, and the server sees only UTF8."""
_FALSE: Final = frozenset(
    {"0", "n", "no", "of", "off", *("false"[:n] for n in (1, 2, 3, 4, 5))}
)
"""What parse_bool() takes for false (utils/adt/bool.c)."""


class Outcome(StrEnum):
    """Why a login was refused: a closed set, fit for a metric's label."""

    PROTOCOL = "protocol"
    PLAINTEXT = "plaintext"
    PARAMETER = "parameter"
    UNKNOWN_IDENTITY = "unknown_identity"
    UNUSABLE_IDENTITY = "unusable_identity"
    CREDENTIALS = "credentials"
    NETWORK = "network"
    POLICY = "policy"
    QUESTION = "question"
    """It was none: a client asked where to get a token (OAUTHBEARER)."""


class RefusedLoginError(LoginError):
    """A refusal with the label it is counted under."""

    def __init__(
        self,
        message: str,
        outcome: Outcome,
        *,
        sqlstate: str = INVALID_AUTHORIZATION,
        detail: str = "",
        hint: str = "",
        operator_note: str = "",
    ) -> None:
        super().__init__(
            message,
            detail=detail,
            hint=hint,
            operator_note=operator_note,
            sqlstate=sqlstate,
        )
        self.outcome = outcome


def clean_application_name(name: str) -> str:
    """Printable ASCII, at most 63 characters, as the server would cut it itself."""
    shown = "".join(c if c.isascii() and c.isprintable() else "?" for c in name)
    return shown[: codes.MAX_NAME]


@dataclass(frozen=True, slots=True)
class Wish:
    """A startup packet taken apart, not judged yet."""

    user: str
    database: str
    application_name: str
    settings: tuple[tuple[str, str], ...]
    minor: int


def _check_replication(value: str) -> None:
    if value.lower() not in _FALSE:
        raise RefusedLoginError(
            'startup parameter "replication" is refused',
            Outcome.PARAMETER,
            sqlstate=DENIED,
            hint="pgwarden carries SQL sessions only; drop the parameter.",
        )


def _check_client_encoding(value: str) -> None:
    # clean_encoding_name() in common/encnames.c keeps letters and digits only.
    name = "".join(c for c in value.lower() if c.isascii() and c.isalnum())
    if name not in _UTF8 and name != _NO_CONVERSION:
        raise RefusedLoginError(
            f'client_encoding "{value}" is refused: only UTF8 is understood here',
            Outcome.PARAMETER,
            sqlstate=INVALID_PARAMETER,
            hint="Set PGCLIENTENCODING=UTF8 or the driver's encoding to UTF8.",
        )


def read_wish(startup: StartupMessage) -> Wish:
    """Sort a startup packet's parameters; refuse what needs no judge to be refused."""
    parameters = dict(startup.parameters)
    user = parameters.pop("user", "")
    if not user:
        raise RefusedLoginError(
            "no PostgreSQL user name specified in startup packet", Outcome.PARAMETER
        )
    database = parameters.pop("database", "") or user
    _check_replication(parameters.pop("replication", "off"))
    pairs: Iterable[tuple[str, str]] = [
        *parse_options(parameters.pop("options", "")),
        *parameters.items(),
    ]
    settings: dict[str, str] = {}
    for name, value in pairs:
        # As the server does: ASCII only, so that no odd letter turns into another.
        key = name.encode().lower().decode()
        if key in settings:
            raise RefusedLoginError(
                f'setting "{name}" is given twice',
                Outcome.PARAMETER,
                sqlstate=INVALID_PARAMETER,
                hint='Give it once, in "options" or as its own parameter.',
            )
        settings[key] = value
    _check_client_encoding(settings.pop("client_encoding", "UTF8"))
    application_name = clean_application_name(settings.pop("application_name", ""))
    minor = min(startup.minor, codes.PROTOCOL_MINOR_LATEST)
    return Wish(user, database, application_name, tuple(settings.items()), minor)
