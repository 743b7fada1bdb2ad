"""Who is told of requests for lent roles: the section `access` of the settings.

Next: `proxy.server.webhook`, which tells.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from proxy.errors import ConfigError, reason_of

_SECTION = ConfigDict(extra="forbid", frozen=True)


class WebhookSettings(BaseModel):
    """Where to POST a line for each step of a loan; Slack's incoming webhooks fit."""

    model_config = _SECTION

    url_file: Path | None = Field(
        default=None, description="File that holds the URL, one line: it is a secret."
    )
    url_env: str | None = Field(
        default=None, description="Instead: name of the variable that holds it."
    )

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.url_file is None) == (self.url_env is None):
            raise ValueError('give either "url_file" or "url_env"')
        return self

    def url(self) -> str:
        """The URL as it stands now.

        Raises:
            ConfigError: it can't be read, or is none.
        """
        if self.url_env is not None:
            found = os.environ.get(self.url_env)
            if found is None:
                raise ConfigError(
                    f'environment variable "{self.url_env}" is not set; it holds the '
                    "URL of the access webhook"
                )
        else:
            try:
                found = Path(str(self.url_file)).read_text("utf-8")
            except OSError as error:
                raise ConfigError(
                    f'file "{self.url_file}" of the access webhook can\'t be read: '
                    f"{reason_of(error)}"
                ) from error
        url = found.strip()
        if not url.startswith(("https://", "http://127.0.0.1:", "http://localhost:")):
            raise ConfigError("the URL of the access webhook must begin with https://")
        return url


class AccessSettings(BaseModel):
    """What surrounds lent roles; which ones are lent says the policy."""

    model_config = _SECTION

    webhook: WebhookSettings | None = Field(
        default=None, description="Told of each request and what becomes of it."
    )
