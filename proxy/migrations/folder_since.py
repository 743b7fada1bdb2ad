"""Which files of a folder are new since a commit, and which of them were edited.

Asks git itself. Next: `proxy.cli.migration_check`.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from proxy.errors import ConfigError, reason_of

if TYPE_CHECKING:
    from collections.abc import Sequence

TIMEOUT_S: Final = 60.0


class Since(Struct, frozen=True):
    """Files as absolute paths: new ones, and those that stood there and are changed."""

    new: frozenset[Path]
    edited: frozenset[Path]


def since(ref: str, folders: Sequence[Path]) -> Since:
    """What is new or edited since this branch left `ref`, committed or not.

    Raises:
        ConfigError: no git, no repository, or no such commit.
    """
    new: set[Path] = set()
    edited: set[Path] = set()
    for folder in folders:
        inside = folder if folder.is_dir() else folder.parent
        top = Path(_git(inside, "rev-parse", "--show-toplevel").strip())
        base = _git(inside, "merge-base", "--end-of-options", ref, "HEAD").strip()
        changes = _git(
            inside, "diff", "--name-status", "--no-renames", "-z", base, "--", "."
        ).split("\0")
        for status, name in zip(changes[::2], changes[1::2], strict=False):
            if status == "A":
                new.add(top / name)
            elif status != "D":
                edited.add(top / name)
        listed = _git(
            inside, "ls-files", "--others", "--exclude-standard", "-z", "--", "."
        )
        new |= {inside.resolve() / name for name in listed.split("\0") if name}
    return Since(
        frozenset(each.resolve() for each in new),
        frozenset(each.resolve() for each in edited),
    )


def _git(folder: Path, *words: str) -> str:
    try:
        ran = subprocess.run(  # noqa: S603 - no shell
            ["git", *words],  # noqa: S607 - the git that the person uses
            cwd=folder,
            capture_output=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    except OSError as error:
        raise ConfigError(f"git: {reason_of(error)}") from None
    except subprocess.TimeoutExpired:
        raise ConfigError("git took too long") from None
    if ran.returncode:
        said = ran.stderr.decode("utf-8", "replace").strip().splitlines()
        raise ConfigError(
            f"git {words[0]}: {said[-1] if said else 'failed'}",
            hint="--since needs the history: `fetch-depth: 0` in GitHub Actions.",
        )
    return ran.stdout.decode("utf-8", "surrogateescape")
