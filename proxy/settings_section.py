"""What every section of the settings is: read once, closed to unknown keys.

Next: `proxy.settings`, which puts the sections together.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """One mapping of the settings file."""

    model_config = ConfigDict(extra="forbid", frozen=True)
