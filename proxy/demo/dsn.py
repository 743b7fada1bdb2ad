"""The superuser DSN of `pgwarden demo --upstream`, taken apart.

The proxy dials with its own wire code, not with libpq, so it needs the parts. Imports
`proxy.errors` only. Next: `proxy.demo.foreign`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from proxy.errors import ConfigError

_EXAMPLE: Final = "postgresql://postgres:password@127.0.0.1:5432/postgres"
_TLS_MODES: Final = {
    "disable": "disable",
    "allow": "prefer",
    "prefer": "prefer",
    "require": "require",
    "verify-ca": "verify-ca",
    "verify-full": "verify-full",
}


@dataclass(frozen=True, slots=True)
class Dsn:
    """Where a server is and who logs in; `query` is kept as it was written."""

    host: str
    port: int
    user: str
    password: str | None = field(repr=False)
    database: str
    tls_mode: str
    tls_ca: str | None
    query: str = ""

    def url(self, database: str | None = None) -> str:
        """The URL again, for another database if one is named."""
        login = quote(self.user, safe="")
        if self.password is not None:
            login += ":" + quote(self.password, safe="")
        host = f"[{self.host}]" if ":" in self.host else self.host
        name = quote(self.database if database is None else database, safe="")
        query = f"?{self.query}" if self.query else ""
        return f"postgresql://{login}@{host}:{self.port}/{name}{query}"


def parse(text: str) -> Dsn:
    """Take a connection URL apart.

    Raises:
        ConfigError: it is something else; the message never repeats the text, which
            holds a password.
    """
    try:
        parts = urlsplit(text)
        port = parts.port or 5432
    except ValueError:
        raise ConfigError("the upstream DSN has no valid port", hint=_hint()) from None
    if parts.scheme not in {"postgresql", "postgres"}:
        raise ConfigError("the upstream DSN must be a connection URL", hint=_hint())
    if not parts.username:
        raise ConfigError("the upstream DSN names no user", hint=_hint())
    options = dict(parse_qsl(parts.query))
    host = unquote(parts.hostname or "127.0.0.1")
    if "host" in options or host.startswith("/"):
        raise ConfigError(
            "the upstream must be reached over TCP, with the host in the URL",
            hint=_hint(),
        )
    mode = options.get("sslmode", "prefer")
    if mode not in _TLS_MODES:
        raise ConfigError(
            f'the upstream DSN has the unknown sslmode "{mode}"',
            hint=f"known are: {', '.join(_TLS_MODES)}",
        )
    user = unquote(parts.username)
    return Dsn(
        host,
        port,
        user,
        None if parts.password is None else unquote(parts.password),
        unquote(parts.path.removeprefix("/")) or user,
        _TLS_MODES[mode],
        options.get("sslrootcert"),
        parts.query,
    )


def _hint() -> str:
    return f"write it like {_EXAMPLE}"
