"""What locks for long: asked of Squawk, which knows it better than we would.

Squawk is a program of its own (`pip install squawk-cli`, or npm's package of that
name); it works without a network. Of its rules only those count that say who waits or
what fails; its taste in types is a team's own matter. Squawk reads the `.squawk.toml`
of the folder that the command runs in, and its own `-- squawk-ignore` comments.
Source: https://squawkhq.com/docs/rules. Next: `proxy.migrations.check`.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from msgspec import DecodeError, Struct, ValidationError, json

from proxy.errors import ConfigError, reason_of

RULES: Final = frozenset(
    {
        "adding-field-with-default",
        "adding-foreign-key-constraint",
        "adding-not-nullable-field",
        "adding-serial-primary-key-field",
        "ban-alter-domain-with-add-constraint",
        "ban-concurrent-index-creation-in-transaction",
        "ban-create-domain-with-constraint",
        "ban-uncommitted-transaction",
        "changing-column-type",
        "constraint-missing-not-valid",
        "disallowed-unique-constraint",
        "require-concurrent-index-creation",
        "require-concurrent-index-deletion",
        "require-concurrent-partition-detach",
        "require-concurrent-reindex",
        "transaction-nesting",
    }
)
"""Those about locks, as squawk-cli 2.70 calls them."""

TIMEOUT_S: Final = 120.0

MISSING: Final = (
    "squawk is not installed, so long locks were not looked for: install squawk-cli "
    "(pip or npm), or say --no-squawk"
)


class Said(Struct, frozen=True):
    """One violation: `line` from 0, as Squawk counts."""

    file: str
    line: int
    message: str
    help: str | None
    rule_name: str


def squawk_path() -> str | None:
    """Where the program is: beside this Python, else on the PATH."""
    beside = Path(sys.executable).with_name("squawk")
    return str(beside) if beside.is_file() else shutil.which("squawk")


def ask_squawk(program: str, texts: list[tuple[bytes, bool]]) -> list[list[Said]]:
    """What Squawk says of each text; the flag: a transaction is around it.

    Raises:
        ConfigError: it does not run, or answers what nobody understands.
    """
    found: list[list[Said]] = [[] for _ in texts]
    with TemporaryDirectory(prefix="pgwarden-") as folder:
        for in_transaction in (False, True):
            files = {}
            for index, (text, is_inside) in enumerate(texts):
                if is_inside is in_transaction:
                    path = Path(folder) / f"{index}.sql"
                    path.write_bytes(text)
                    files[str(path)] = index
            for each in _run(program, list(files), in_transaction):
                if each.rule_name in RULES and each.file in files:
                    found[files[each.file]].append(each)
    return found


def _run(program: str, files: list[str], in_transaction: bool) -> list[Said]:  # noqa: FBT001
    if not files:
        return []
    mode = "--assume-in-transaction" if in_transaction else "--no-assume-in-transaction"
    command = [program, "--reporter", "json", mode, *files]
    try:
        ran = subprocess.run(  # noqa: S603 - no shell, and the files are our own
            command, capture_output=True, timeout=TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        why = reason_of(error) if isinstance(error, OSError) else "took too long"
        raise ConfigError(f"squawk: {why}") from None
    if ran.returncode not in {0, 1}:  # 1: it found something
        raise ConfigError(f"squawk: {ran.stderr.decode('utf-8', 'replace').strip()}")
    try:
        # No answer at all is none: a clean file is an empty list.
        return json.decode(ran.stdout, type=list[Said])
    except (DecodeError, ValidationError) as error:
        raise ConfigError(
            f"squawk: its answer is not understood: {error}",
            hint="pgwarden knows squawk-cli 2.",
        ) from None
