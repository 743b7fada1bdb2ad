"""Where the files that ship with pgwarden are: policies and tool profiles.

A wheel carries them inside the package (`proxy/policies/`, see pyproject.toml); in a
checkout they stand beside it (`policies/`), where people read and edit them. Imports
nothing of pgwarden. Next: `policies/README.md`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from proxy.errors import ConfigError

_PACKAGE: Final = Path(__file__).resolve().parent


def policy_path(name: str) -> Path:
    """The file of a shipped policy: `production`, `staging` or `development`.

    Raises:
        ConfigError: no such policy, or an installation without its policies.
    """
    for folder in (_PACKAGE / "policies", _PACKAGE.parent / "policies"):
        path = folder / f"{name}.yaml"
        if path.is_file():
            return path
    raise ConfigError(f'no policy "{name}" is shipped with this installation')


def tools_folder() -> Path:
    """The folder of the shipped tool profiles.

    Raises:
        ConfigError: an installation without them.
    """
    for folder in (_PACKAGE / "policies", _PACKAGE.parent / "policies"):
        if (folder / "tools").is_dir():
            return folder / "tools"
    raise ConfigError("this installation has no tool profiles")
