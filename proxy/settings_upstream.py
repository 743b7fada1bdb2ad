"""The settings under `upstream`: the Postgres that is guarded, and our logins there.

Next: `proxy.settings`, the whole file; `proxy.server.dial`, which uses them.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from proxy.addresses import host_and_port
from proxy.policy.patterns import nearest
from proxy.settings_section import Section

PLACEHOLDER = "{identity}"
"""In an upstream login: the name of the client's identity."""


TargetAttrs = Literal[
    "any", "read-write", "read-only", "primary", "standby", "prefer-standby"
]


def _both(certificate: Path | None, key: Path | None) -> None:
    if (certificate is None) != (key is None):
        raise ValueError('give both "certificate" and "key", or neither')


class UpstreamTls(Section):
    """How the upstream is reached; the words are libpq's sslmode."""

    mode: Literal["disable", "prefer", "require", "verify-ca", "verify-full"] = Field(
        default="verify-full",
        description="As libpq's sslmode. Below verify-ca anyone on the way could "
        "answer in the database's place.",
    )
    ca: Path | None = Field(
        default=None,
        description="PEM of the CAs to trust; without it, those of the system.",
    )
    certificate: Path | None = Field(
        default=None,
        description="PEM, with the chain: what pgwarden shows, for all logins that "
        "have none of their own. Read again at a reload.",
    )
    key: Path | None = Field(
        default=None,
        description="PEM, without a passphrase, mode 0600 (0640 if root owns it). Read "
        "again at a reload.",
    )
    channel_binding: Literal["disable", "prefer", "require"] = Field(
        default="prefer",
        description="As libpq's. With SCRAM-SHA-256-PLUS a login is worth nothing to "
        "whoever stands in the middle, whatever certificate is trusted.",
    )

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        _both(self.certificate, self.key)
        if self.channel_binding == "require" and self.mode in {"disable", "prefer"}:
            raise ValueError(
                f'"channel_binding: require" needs TLS, and the mode is "{self.mode}"'
            )
        return self


class UpstreamLogin(Section):
    """One login of pgwarden's own at the upstream; named by a policy role."""

    user: str = Field(description="The role in Postgres; `{identity}`: one for each.")
    password_file: Path | None = Field(
        default=None,
        description="File that holds the password, one line; `{identity}` may be in "
        "its path. A changed one counts from the next login on.",
    )
    password_env: str | None = Field(
        default=None,
        description="Instead of a file: name of the variable that holds the password.",
    )
    password_pgpass: Path | None = Field(
        default=None,
        description="Instead: file in the format of libpq's `.pgpass`, mode 0600. The "
        "first line that fits host, port, database and user counts.",
    )
    password_command: tuple[str, ...] | None = Field(
        default=None,
        description="Instead: program (its full path) and arguments that print the "
        "password, such as a cloud's token. Runs without a shell, as pgwarden's own "
        "user, within 10 s.",
    )
    password_ttl_s: float = Field(
        default=600.0,
        gt=0,
        description="How long what the command printed is used. When the database "
        "refuses it, the command runs again at once.",
    )
    certificate: Path | None = Field(
        default=None,
        description="PEM, with the chain: what this login shows, instead of "
        "`upstream.tls.certificate`. `{identity}` may be in its path.",
    )
    key: Path | None = Field(
        default=None,
        description="PEM, without a passphrase, mode 0600 (0640 if root owns it).",
    )
    target_session_attrs: TargetAttrs | None = Field(
        default=None,
        description="Of this login, instead of `upstream.target_session_attrs`: a "
        "reader's may be `prefer-standby` where a migrator's is `primary`.",
    )

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        _both(self.certificate, self.key)
        sources = {
            "password_file": self.password_file,
            "password_env": self.password_env,
            "password_pgpass": self.password_pgpass,
            "password_command": self.password_command,
        }
        given = [name for name, value in sources.items() if value is not None]
        if len(given) > 1:
            raise ValueError(f'give "{given[0]}" or "{given[1]}", not both')
        self._check_braces()
        if self.password_command is not None:
            if not self.password_command:
                raise ValueError('"password_command" names no program')
            program = self.password_command[0]
            if not Path(program).is_absolute() or PLACEHOLDER in program:
                raise ValueError(f'password_command: "{program}" is not a full path')
        return self

    def _check_braces(self) -> None:
        for text in (
            self.user,
            str(self.password_file),
            str(self.password_env),
            str(self.password_pgpass),
            str(self.certificate),
            str(self.key),
        ):
            word = PLACEHOLDER if self.is_per_identity else ""
            if "{" in (rest := text.replace(word, "")) or "}" in rest:
                allowed = f'only {PLACEHOLDER}, and only if it is in "user"'
                raise ValueError(f'"{text}": in braces may be {allowed}')
        # A command's arguments may well hold braces of their own.
        if not self.is_per_identity and any(
            PLACEHOLDER in word for word in self.password_command or ()
        ):
            raise ValueError(f'{PLACEHOLDER} may be there only if it is in "user"')

    @property
    def is_per_identity(self) -> bool:
        """Whether each identity has a role of its own."""
        return PLACEHOLDER in self.user


class CatalogSettings(Section):
    """How pgwarden learns what functions, views and columns a database has."""

    login: str | None = Field(
        default=None,
        description="Which of the logins asks. Without it, that of the first role "
        "that is read-only, among those that all share. To connect is all it needs.",
    )
    refresh_s: float = Field(
        default=30.0,
        ge=1,
        description="How often each database in use is asked whether anything has "
        "changed. After a session that may change the schema it is asked at once.",
    )


def _hosts(value: tuple[str, ...]) -> tuple[str, ...]:
    for each in value:
        host_and_port(each, 0)
    if len(set(value)) < len(value):
        raise ValueError("a host is named twice")
    return value


class UpstreamSettings(Section):
    """The Postgres that is guarded."""

    host: str | None = Field(
        default=None, description="Name or address; with verify-full also the name."
    )
    port: int = Field(default=5432, ge=1, le=65535, description="Its port.")
    hosts: Annotated[tuple[str, ...], AfterValidator(_hosts)] = Field(
        default=(),
        description="Instead of `host`: several, each `host`, `host:port` or "
        "`[address]:port`, tried in this order. [How](../how-to/"
        "connect-to-a-cluster-that-fails-over.md).",
    )
    target_session_attrs: TargetAttrs = Field(
        default="any",
        description="As libpq's: which kind of server a session needs. One of another "
        "kind is passed over.",
    )
    load_balance_hosts: Literal["disable", "random"] = Field(
        default="disable",
        description="As libpq's: `random` tries hosts and their addresses in a new "
        "order for each session.",
    )
    databases: tuple[str, ...] = Field(
        default=("*",),
        description="Databases that clients may ask for; `*` and `?` are wildcards.",
    )
    tls: UpstreamTls = UpstreamTls()
    allow_md5: bool = Field(
        default=False,
        description="Answer a server that asks for md5, over verified TLS or loopback. "
        "Off, because such a hash is as good as the password.",
    )
    allow_password: bool = Field(
        default=False,
        description="Answer a server that asks for the password itself, over verified "
        "TLS or loopback. Off, because the server could be anyone's.",
    )
    connect_timeout_s: float = Field(
        default=10.0,
        gt=0,
        description="From the first packet to the upstream's first ReadyForQuery, at "
        "each address. Long enough for a server that recovers, short enough for a "
        "person who waits.",
    )
    examine_every_s: float = Field(
        default=900.0,
        ge=1,
        description="How often the doctor looks at pgwarden's own logins again while "
        "it serves, where the policy has its gate. What it finds then alarms, and "
        "ends no session.",
    )
    catalog: CatalogSettings = CatalogSettings()
    logins: dict[str, UpstreamLogin] = Field(
        description="pgwarden's own logins, by the name that the policy's roles use."
    )

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if (self.host is None) == (not self.hosts):
            raise ValueError('give "host" or "hosts", and not both')
        for each in self._named:
            host_and_port(each, 0)
        name = self.catalog.login
        if name is not None and name not in self.logins:
            raise ValueError(
                f'catalog.login "{name}" is none of the logins'
                f"{nearest(name, self.logins)}"
            )
        if name is not None and self.logins[name].is_per_identity:
            raise ValueError(f'catalog.login "{name}" can\'t be one for each identity')
        return self

    @property
    def addresses(self) -> tuple[tuple[str, int], ...]:
        """Host and port of each server, in the order of the settings."""
        return tuple(host_and_port(each, self.port) for each in self._named)

    @property
    def _named(self) -> tuple[str, ...]:
        if self.host is None:
            return self.hosts
        # A bare IPv6 address has colons of its own.
        return (f"[{self.host}]" if ":" in self.host else self.host,)

    def serves(self, database: str) -> bool:
        """Whether clients may ask for `database`; `*` and `?` stand for any letters."""
        return any(fnmatchcase(database, pattern) for pattern in self.databases)
