"""What is asked before a migration changes anything: the settings' `migrations.gates`.

Next: `proxy.migration_settings`, whose part it is.
"""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from proxy.settings_section import Section

DATABASE = "{database}"
"""Stands for the database's name, as one whole argument of a command."""


class BackupGateSettings(Section):
    """How pgwarden learns that there is a fresh backup: `file` or `command`."""

    file: Path | None = Field(
        default=None,
        description="What the backup leaves behind: its age counts, and of a folder "
        "that of the newest entry.",
    )
    max_age_h: float = Field(
        default=24.0,
        gt=0,
        description="Hours that `file` may be old. A `command` knows that itself.",
    )
    command: tuple[str, ...] | None = Field(
        default=None,
        description="Instead: program (its full path) and arguments; an argument "
        "`{database}` is the database's name. Exit status 0: there is one, 1: there is "
        "none, anything else: nobody knows, which lets nothing pass. The first line "
        "that it prints is shown. Runs without a shell, as pgwarden's own user.",
    )
    timeout_s: float = Field(
        default=30.0,
        gt=0,
        le=3600,
        description="How long the command may take; then it is ended, and nobody "
        "knows.",
    )

    @model_validator(mode="after")
    def _asks_one(self) -> Self:
        if (self.file is None) == (self.command is None):
            raise ValueError('give "file" or "command", one of the two')
        if self.command is None:
            return self
        if not self.command:
            raise ValueError('"command" names no program')
        program, *arguments = self.command
        if not Path(program).is_absolute() or DATABASE in program:
            raise ValueError(f'command: "{program}" is not a full path')
        for argument in arguments:
            # Within a word it could become the end of an option or of a path.
            if DATABASE in argument and argument != DATABASE:
                raise ValueError(
                    f'command: "{argument}": {DATABASE} must be an argument of its own'
                )
        return self


class GateSettings(Section):
    """What is asked, and what is set, before a migration changes anything."""

    backup: BackupGateSettings | None = None
    restore_point_login: str | None = Field(
        default=None,
        description="One of `upstream.logins`, whose role may call "
        "`pg_create_restore_point`: it names the point to which a restore would go "
        "back. Without it the position in the write-ahead log is noted.",
    )
    deploy_wait_s: float = Field(
        default=10.0,
        ge=0,
        description="How long a second deploy to a database waits for the first.",
    )
    lock_timeout_s: float = Field(
        default=10.0,
        ge=0,
        description="`lock_timeout` with which sessions of roles with `migrations` "
        "begin, so that a migration that waits for a lock does not hold up everybody "
        "behind it; 0 for none. What the client asks for at its start, or sets, "
        "counts more. A tool that waits for another deploy's advisory lock waits no "
        "longer than this. A pooler in between has to let it pass.",
    )
    statement_timeout_s: float = Field(
        default=0.0,
        ge=0,
        description="The same of `statement_timeout`; 0 for none.",
    )

    def session_defaults(self) -> tuple[tuple[str, str], ...]:
        """Settings that a migrating session begins with, in ms; none where it is 0."""
        given = (
            ("lock_timeout", self.lock_timeout_s),
            ("statement_timeout", self.statement_timeout_s),
        )
        # Never 0 for what was to be short: 0 means no limit at all.
        return tuple(
            (name, str(max(1, round(seconds * 1000))))
            for name, seconds in given
            if seconds
        )
