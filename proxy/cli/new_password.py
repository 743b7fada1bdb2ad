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


def refuse_argv(password: str | None) -> None:
    """Say no to a password on the command line, without repeating it.

    Raises:
        ConfigError: there was one.
    """
    if password is not None:
        raise ConfigError(
            "a password on the command line is read by everybody (ps, the shell's "
            "history); this one should not be used any more",
            hint="leave it out to have one made up; or --type, or --password-file",
        )


def new_password(*, is_typed: bool, file: Path | None) -> NewPassword:
    """The password that the options ask for; made up without any.

    Raises:
        ConfigError: it can't be had, or is empty.
    """
    if is_typed and file is not None:
        raise ConfigError("give --type or --password-file, not both")
    if is_typed:
        return NewPassword(_typed(), is_made_up=False)
    if file is None:
        return NewPassword(secrets.token_urlsafe(PASSWORD_BYTES), is_made_up=True)
    return NewPassword(_not_empty(_read(file)), is_made_up=False)


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


@contextmanager
def given(
    name: str, made: NewPassword, output_file: Path | None, *, is_json: bool
) -> Iterator[None]:
    """Hand the password over, if it was made up, once the change has been made."""
    if output_file is not None:
        with OutputFile(output_file) as written:
            written.write(f"{made.text}\n")
            yield
        return
    yield
    if is_json:
        shown_once = {"password": made.text} if made.is_made_up else {}
        typer.echo(json.dumps({"identity": name, **shown_once}, ensure_ascii=False))
    elif made.is_made_up:
        typer.echo(f"password of {name}, shown this once: {made.text}")
