"""How to log in to one upstream, and the startup packet that follows from it.

The packet is built afresh: nothing of the client's packet is copied but settings that
were judged. Imports values of `proxy.auth`, `wire` and `proxy.errors`.
Next: `proxy.session.upstream`, which sends it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple

from typing_extensions import override

from proxy.auth.scram_client import MAX_CLIENT_ITERATIONS, MIN_CLIENT_ITERATIONS
from proxy.errors import FrontendError
from proxy.session.wish import clean_application_name

_STRUCTURAL: Final = frozenset({"user", "database", "options", "replication"})
READ_ONLY: Final = "default_transaction_read_only"
FORCED: Final = {
    "client_encoding": "UTF8",
    # A parser that disagrees with the server on where a string ends is a hole, and
    # ALTER ROLE or ALTER DATABASE could have switched this off.
    "standard_conforming_strings": "on",
}


class TlsMode(StrEnum):
    """libpq's sslmode without "allow", which tries plain text first."""

    DISABLE = "disable"
    PREFER = "prefer"
    REQUIRE = "require"
    VERIFY_CA = "verify-ca"
    VERIFY_FULL = "verify-full"


VERIFIED: frozenset[TlsMode] = frozenset({TlsMode.VERIFY_CA, TlsMode.VERIFY_FULL})
"""Modes in which the certificate proves the server, so a password may be shown."""


class ChannelBinding(StrEnum):
    """libpq's channel_binding."""

    DISABLE = "disable"
    PREFER = "prefer"
    REQUIRE = "require"


class Place(NamedTuple):
    """One address of one server.

    Attributes:
        host: as the settings name it, and its certificate too.
        port: its port.
        address: the numeric address that the name stands for, "" if for none.
    """

    host: str
    port: int
    address: str

    @override
    def __str__(self) -> str:
        """As people read it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        more = f" ({self.address})" if self.address not in {"", self.host} else ""
        return f"{host}:{self.port}{more}"


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamPlan:
    """One login to one upstream.

    Attributes:
        user: the upstream role; never the client's choice.
        database: database to open.
        password: its password, or None where none is needed.
        password_id: what names the password in the cache of derived keys.
        login: name of the login in the settings.
        identity: whose own the upstream role is, "" where all share it.
        application_name: shown in pg_stat_activity; see `shown_name`.
        settings: judged start-up settings of the client.
        defaults: settings of ours to begin with, where the client asks for none.
        read_only: begin with default_transaction_read_only=on, whatever `settings` say.
        place: where this login goes.
        tls_mode: how much TLS to insist on.
        channel_binding: whether the login must be bound to the TLS connection.
        is_loopback: the upstream is on this machine's loopback or a Unix socket.
        allow_md5: answer an MD5 request (verified TLS or loopback only).
        allow_password: answer a clear-text request (verified TLS or loopback only).
        allow_trust: accept being let in without any proof (loopback only).
        minor: minor protocol version to ask for; 2 gives 32-byte cancel keys. 0 is
            libpq's own default, as some poolers can't negotiate.
        min_iterations: least SCRAM iterations to answer.
        max_iterations: most SCRAM iterations to answer.
    """

    user: str
    database: str
    password: str | None = field(default=None, repr=False)
    password_id: str = ""
    login: str = ""
    identity: str = ""
    application_name: str = "pgwarden"
    settings: tuple[tuple[str, str], ...] = ()
    defaults: tuple[tuple[str, str], ...] = ()
    read_only: bool = False
    place: Place | None = None
    tls_mode: TlsMode = TlsMode.VERIFY_FULL
    channel_binding: ChannelBinding = ChannelBinding.PREFER
    is_loopback: bool = False
    allow_md5: bool = False
    allow_password: bool = False
    allow_trust: bool = False
    minor: int = 0
    min_iterations: int = MIN_CLIENT_ITERATIONS
    max_iterations: int = MAX_CLIENT_ITERATIONS


def shown_name(identity: str, client_name: str) -> str:
    """The application_name that shows the person first: "alice via pgwarden (psql)"."""
    name = f"{identity} via pgwarden"
    if client_name:
        name += f" ({client_name})"
    return clean_application_name(name)


def startup_parameters(plan: UpstreamPlan) -> dict[str, str]:
    """The parameters of the packet: each key once, ours after the client's.

    Raises:
        FrontendError: a setting bears the name of a key that is no setting. The judge
            refuses those; this is the second lock.
    """
    forced = {"application_name": plan.application_name, **FORCED}
    if plan.read_only:
        forced[READ_ONLY] = "on"
    parameters = {**dict(plan.defaults), "user": plan.user, "database": plan.database}
    for name, value in plan.settings:
        if name in _STRUCTURAL or name.startswith("_pq_."):
            raise FrontendError(f'startup parameter "{name}" is refused')
        if name not in forced:
            parameters[name] = value
    return parameters | forced
