"""Where the store is: the section `store` of the settings.

Apart from `proxy.settings`, so that the store needs to know nothing else of them.
Next: `proxy.store.engine`, which opens what is named here.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal, NamedTuple, Self
from urllib.parse import quote, unquote, urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from proxy.errors import ConfigError, reason_of

_SECTION = ConfigDict(extra="forbid", frozen=True)


class StoreTls(BaseModel):
    """How a Postgres store is reached; the words are libpq's sslmode."""

    model_config = _SECTION

    mode: Literal["disable", "require", "verify-ca", "verify-full"] = Field(
        default="verify-full",
        description="As libpq's sslmode. Below verify-ca anyone on the way could say "
        "who may log in.",
    )
    ca: Path | None = Field(
        default=None,
        description="PEM of the CAs to trust; without it, those of the system.",
    )


class PostgresPlace(NamedTuple):
    """The parts of a `postgresql://` address."""

    host: str
    port: int
    database: str
    user: str


def sqlite_url(file: Path) -> str:
    """The `url` of a file, whatever letters are in its path."""
    return f"sqlite:///{quote(str(file))}"


class StoreSettings(BaseModel):
    """Where identities, grants and keys are kept, if not only in files."""

    model_config = _SECTION

    url: str = Field(
        description="`sqlite:///FILE`, relative to this file or with four slashes "
        "absolute, on a local disk; or `postgresql://USER@HOST:PORT/DATABASE`, which "
        "several pgwardens may share. Never with a password in it."
    )
    password_file: Path | None = Field(
        default=None, description="File that holds the password, one line."
    )
    password_env: str | None = Field(
        default=None,
        description="Instead of a file: name of the variable that holds the password.",
    )
    tls: StoreTls = StoreTls()
    trusted_for_s: float = Field(
        default=300.0,
        ge=5,
        description="How long what was last read from a store that can't be reached "
        "still lets people in. After that nobody new gets a session; those that are "
        "open go on.",
    )

    @field_validator("url")
    @classmethod
    def _fits(cls, url: str) -> str:
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise ValueError("not a URL") from None
        if parts.password is not None:
            raise ValueError(
                'a password must not be in it; give "password_file" or "password_env"'
            )
        if parts.query or parts.fragment:
            raise ValueError('nothing may follow the name; TLS is set by "tls"')
        if parts.scheme == "sqlite":
            if parts.netloc or len(parts.path) < 2:
                raise ValueError("a file is named as sqlite:///pgwarden.db")
        elif parts.scheme != "postgresql":
            raise ValueError("must begin with sqlite:/// or postgresql://")
        elif not (parts.hostname and parts.username and len(parts.path) > 1):
            raise ValueError("must be postgresql://USER@HOST:PORT/DATABASE")
        elif port == 0:
            raise ValueError("the port is not in 1..65535")
        return url

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.password_file is not None and self.password_env is not None:
            raise ValueError('give "password_file" or "password_env", not both')
        return self

    @property
    def file(self) -> Path | None:
        """The file of a SQLite store; None for a Postgres."""
        parts = urlsplit(self.url)
        return Path(unquote(parts.path[1:])) if parts.scheme == "sqlite" else None

    @property
    def postgres(self) -> PostgresPlace:
        """The address of a Postgres store.

        Raises:
            ConfigError: it is a file.
        """
        parts = urlsplit(self.url)
        if parts.scheme != "postgresql":
            raise ConfigError(f'the store "{self.url}" is not a Postgres')
        return PostgresPlace(
            unquote(parts.hostname or ""),
            parts.port or 5432,
            unquote(parts.path[1:]),
            unquote(parts.username or ""),
        )

    def resolved(self, base: Path) -> Self:
        """The same with a relative file name taken from `base`."""
        file, changed = self.file, {}
        if file is not None and not file.is_absolute():
            changed["url"] = sqlite_url(base / file)
        return self.model_copy(update=changed)

    def password(self) -> str:
        """The password as it stands now, "" where there is none.

        Raises:
            ConfigError: its file or variable can't be read.
        """
        if self.password_env is not None:
            value = os.environ.get(self.password_env)
            if value is None:
                raise ConfigError(
                    f'environment variable "{self.password_env}" is not set; it holds '
                    "the password of the store"
                )
            return value
        if self.password_file is None:
            return ""
        try:
            return self.password_file.read_text("utf-8").removesuffix("\n")
        except OSError as error:
            raise ConfigError(
                f'password file "{self.password_file}" of the store can\'t be read: '
                f"{reason_of(error)}"
            ) from error
        except UnicodeDecodeError as error:
            raise ConfigError(
                f'password file "{self.password_file}" is not UTF-8'
            ) from error
