"""What the demo's proxy stands in front of, whichever server that is.

Two grounds exist: `embedded` (a Postgres of our own) and `foreign` (a superuser DSN).
Each prepares database and roles, and restores at the end what it found. Imports
`roles`. Next: `proxy.demo.run`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from proxy.demo.roles import Login


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A prepared database, ready to be guarded.

    Attributes:
        superuser_url: Direct, past the proxy.
        reader: The upstream login of developers; `password` None where none is needed.
        migrator: The upstream login of deploy jobs.
        writer: The one that is lent for minutes.
        is_sample: The database is the demo's `shop`.
        allows_old_passwords: A server that is not ours may ask for md5 or clear text;
            the proxy still sends neither but over loopback or verified TLS.
        warnings: What the person at the terminal must know, one paragraph each.
    """

    host: str
    port: int
    database: str
    version: str
    superuser_url: str = field(repr=False)
    reader: Login
    migrator: Login
    writer: Login
    is_sample: bool = True
    tls_mode: str = "disable"
    tls_ca: str | None = None
    allows_old_passwords: bool = False
    warnings: tuple[str, ...] = ()


class Ground(Protocol):
    """A server that can be prepared and restored."""

    async def prepare(self) -> Served:
        """Make database and roles. Restorable from the first change on."""

    async def restore(self) -> list[str]:
        """Take away what was made, nothing else; returns what is worth telling."""

    def trouble(self) -> str | None:
        """Why the server can't be guarded any more, if it can't."""
