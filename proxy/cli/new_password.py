"""Where a new password comes from, and the one place where it is shown.

Made up, typed unseen, or read from a file or standard input; never from the command
line, which `ps` shows to everybody. Next: `proxy.cli.identity`.
"""

from __future__ import annotations

import getpass
import json
import os
import secrets
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import typer

from proxy.errors import ConfigError, reason_of

if TYPE_CHECKING:
    from collections.abc import Iterator

PASSWORD_BYTES: Final = 18
"""144 random bits: 24 letters of URL-safe base64."""
STDIN: Final = Path("-")


@dataclass(frozen=True, slots=True)
class NewPassword:
    """A password, and whether somebody has yet to be shown it."""

    text: str = field(repr=False)
    is_made_up: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordWish:
    """Where a new password shall come from, and where it shall go.

    Attributes:
        is_typed: it is typed unseen.
        file: it is read from there; made up without either.
        output_file: where it is written, instead of being shown.
        is_json: it is shown for machines.
        in_argv: one that stood on the command line; there to be refused.
    """

    is_typed: bool = False
    file: Path | None = None
    output_file: Path | None = None
    is_json: bool = False
    in_argv: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Say no to a password on the command line, without repeating it."""
        if self.in_argv is not None:
            raise ConfigError(
                "a password on the command line is read by everybody (ps, the shell's "
                "history); this one should not be used any more",
                hint="leave it out to have one made up; or --type, or --password-file",
            )

    def none(self) -> None:
        """Insist that nothing was said of a password, as there shall be none.

        Raises:
            ConfigError: something was.
        """
        if self.is_typed or self.file is not None or self.output_file is not None:
            raise ConfigError(
                "--no-password: then there is none to type, to read or to write"
            )

    def new(self) -> NewPassword:
        """The password; made up where no option says where it comes from.

        Raises:
            ConfigError: it can't be had, or is empty.
        """
        if self.is_typed and self.file is not None:
            raise ConfigError("give --type or --password-file, not both")
        if self.is_typed:
            return NewPassword(_typed(), is_made_up=False)
        if self.file is None:
            return NewPassword(secrets.token_urlsafe(PASSWORD_BYTES), is_made_up=True)
        return NewPassword(_not_empty(_read(self.file)), is_made_up=False)

    @contextmanager
    def given(self, name: str, made: NewPassword) -> Iterator[None]:
        """Hand it over, if it was made up, once the change has been made."""
        if self.output_file is not None:
            with OutputFile(self.output_file) as written:
                written.write(f"{made.text}\n")
                yield
            return
        yield
        if self.is_json:
            shown_once = {"password": made.text} if made.is_made_up else {}
            typer.echo(json.dumps({"identity": name, **shown_once}, ensure_ascii=False))
        elif made.is_made_up:
            typer.echo(f"password of {name}, shown this once: {made.text}")


def _typed() -> str:
    if not sys.stdin.isatty():
        raise ConfigError(
            "--type needs a terminal", hint="or --password-file - for standard input"
        )
    password = getpass.getpass("password: ")
    if getpass.getpass("again: ") != password:
        raise ConfigError("the two passwords differ")
    return _not_empty(password)


def _read(file: Path) -> str:
    if file == STDIN:
        return sys.stdin.readline().removesuffix("\n")
    try:
        lines = file.read_text("utf-8").split("\n")
    except OSError as error:
        raise ConfigError(
            f'password file "{file}" can\'t be read: {reason_of(error)}'
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f'password file "{file}" is not UTF-8') from error
    if any(lines[1:]):
        raise ConfigError(f'password file "{file}" has more than one line')
    return lines[0]


def _not_empty(password: str) -> str:
    if not password:
        raise ConfigError("the password is empty")
    return password


class OutputFile:
    """A file for one secret: 0600, new, and gone again if what it is of fails."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> OutputFile:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        try:
            self._descriptor = os.open(self._path, flags, 0o600)
        except OSError as error:
            raise ConfigError(
                f'can\'t write "{self._path}": {reason_of(error)}',
                hint="it must be a new file",
            ) from error
        return self

    def write(self, text: str) -> None:
        """Write it, to the disk."""
        os.write(self._descriptor, text.encode())
        os.fsync(self._descriptor)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        os.close(self._descriptor)
        if kind is not None:
            self._path.unlink(missing_ok=True)
