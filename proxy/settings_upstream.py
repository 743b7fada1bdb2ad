"""The settings under `upstream`: the Postgres that is guarded, and our logins there.

Next: `proxy.settings`, the whole file; `proxy.server.dial`, which uses them.
"""

from __future__ import annotations

import os
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from proxy.errors import ConfigError, reason_of
from proxy.policy.patterns import nearest
from proxy.settings_section import Section

PLACEHOLDER = "{identity}"
"""In an upstream login: the name of the client's identity."""


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


class UpstreamLogin(Section):
    """One login of pgwarden's own at the upstream; named by a policy role."""

    user: str = Field(description="The role in Postgres; `{identity}`: one for each.")
    password_file: Path | None = Field(
        default=None,
        description="File that holds the password, one line; `{identity}` may be in "
        "its path. Read again at a SIGHUP.",
    )
    password_env: str | None = Field(
        default=None,
        description="Instead of a file: name of the variable that holds the password.",
    )

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.password_file is not None and self.password_env is not None:
            raise ValueError('give "password_file" or "password_env", not both')
        for text in (self.user, str(self.password_file), str(self.password_env)):
            word = PLACEHOLDER if self.is_per_identity else ""
            if "{" in (rest := text.replace(word, "")) or "}" in rest:
                allowed = f'only {PLACEHOLDER}, and only if it is in "user"'
                raise ValueError(f'"{text}": in braces may be {allowed}')
        return self

    @property
    def is_per_identity(self) -> bool:
        """Whether each identity has a role of its own."""
        return PLACEHOLDER in self.user

    def password(self) -> str:
        """The password as it stands now, "" where the upstream asks for none.

        Raises:
            ConfigError: its file or variable can't be read.
        """
        if self.password_env is not None:
            value = os.environ.get(self.password_env)
            if value is None:
                raise ConfigError(
                    f'environment variable "{self.password_env}" is not set; it holds '
                    f'the password of upstream user "{self.user}"'
                )
            return value
        if self.password_file is None:
            return ""
        try:
            return self.password_file.read_text().removesuffix("\n")
        except OSError as error:
            raise ConfigError(
                f'password file "{self.password_file}" of upstream user '
                f'"{self.user}" can\'t be read: {reason_of(error)}'
            ) from error
        except UnicodeDecodeError as error:
            raise ConfigError(
                f'password file "{self.password_file}" is not UTF-8'
            ) from error


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


class UpstreamSettings(Section):
    """The Postgres that is guarded."""

    host: str = Field(description="Name or address; with verify-full also the name.")
    port: int = Field(default=5432, ge=1, le=65535, description="Its port.")
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
        description="From the first packet to the upstream's first ReadyForQuery. Long "
        "enough for a server that recovers, short enough for a person who waits.",
    )
    catalog: CatalogSettings = CatalogSettings()
    logins: dict[str, UpstreamLogin] = Field(
        description="pgwarden's own logins, by the name that the policy's roles use."
    )

    @model_validator(mode="after")
    def _catalog_login_is_known(self) -> Self:
        name = self.catalog.login
        if name is not None and name not in self.logins:
            raise ValueError(
                f'catalog.login "{name}" is none of the logins'
                f"{nearest(name, self.logins)}"
            )
        if name is not None and self.logins[name].is_per_identity:
            raise ValueError(f'catalog.login "{name}" can\'t be one for each identity')
        return self

    def serves(self, database: str) -> bool:
        """Whether clients may ask for `database`; `*` and `?` stand for any letters."""
        return any(fnmatchcase(database, pattern) for pattern in self.databases)
