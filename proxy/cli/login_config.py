"""What `pgwarden login` needs to know: a small YAML file, and flags on top of it.

The file can be the same for everybody in a company. Next: `proxy.cli.login`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field

from proxy.errors import ConfigError, reason_of
from proxy.issuer_settings import IssuerUrl
from proxy.policy.documents import validated
from proxy.policy.yaml import Loaded, load_yaml

if TYPE_CHECKING:
    from collections.abc import Mapping


class LoginConfig(BaseModel):
    """Where to log in, and what for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    issuer: IssuerUrl
    client_id: str = Field(min_length=1)
    client_secret_file: Path | None = None
    scope: str = "openid email"
    resource: str = ""
    audience: str = ""
    use: Literal["access_token", "id_token"] = "access_token"
    ca: Path | None = None
    host: str = Field(min_length=1)
    port: int = Field(default=6432, ge=1, le=65535)
    database: str = Field(min_length=1)
    user: str = ""
    user_claim: str = "email"
    service: str = Field(default="pgwarden", min_length=1)
    root_cert: str = ""
    passfile: Path | None = None
    service_file: Path | None = None


def usual_config() -> Path:
    """Where the file is looked for without `--config`."""
    base = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(base).expanduser() / "pgwarden" / "login.yaml"


def load_login_config(path: Path | None, flags: Mapping[str, str | int]) -> LoginConfig:
    """The file, if there is one, with the flags that were given on top.

    Raises:
        ConfigError: every problem, each with its line.
    """
    file = path or usual_config()
    loaded = Loaded({}, {})
    if path is not None or file.exists():
        try:
            loaded = load_yaml(file.read_text("utf-8"), source=str(file))
        except OSError as error:
            raise ConfigError(
                f'login file "{file}" can\'t be read: {reason_of(error)}'
            ) from error
        except UnicodeDecodeError as error:
            raise ConfigError(f'login file "{file}" is not UTF-8') from error
    value = loaded.value
    if value is None:
        value = {}
    if isinstance(value, dict):
        value |= flags
    source = str(file) if loaded.lines else "pgwarden login"
    config = validated(LoginConfig, Loaded(value, loaded.lines), source=source)
    base = file.parent.absolute()
    paths = {
        name: base / found.expanduser()
        for name in ("client_secret_file", "ca", "passfile", "service_file")
        if isinstance(found := getattr(config, name), Path)
    }
    return config.model_copy(update=paths)
