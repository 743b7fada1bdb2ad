"""The files in which libpq looks for passwords and services: put one, keep the rest.

Written beside the old one and moved over it, mode 0600, one writer at a time. Next:
`proxy.cli.login`. https://www.postgresql.org/docs/18/libpq-pgpass.html and
libpq-pgservice.html.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from proxy.errors import ConfigError, reason_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

MAX_FILE: Final = 4 * 1024 * 1024
"""Bytes. What is larger is another file."""


def put_password(path: Path, where: tuple[str, str, str, str], password: str) -> None:
    """Put a password first in a file of libpq's password form.

    First, because libpq takes the first line that fits, and one with `*` may be there.

    Args:
        path: the file; made if it is missing.
        where: host, port, database and user; "*" is any.
        password: what it holds for them.

    Raises:
        ConfigError: the file can't be written, or a part holds a line's end.
    """
    _one_line(password, *where)
    fields = [each if each == "*" else _escaped(each) for each in where]
    prefix = (":".join(fields) + ":").encode()

    def change(old: bytes) -> bytes:
        kept = [line for line in _lines(old) if not line.startswith(prefix)]
        return b"".join([prefix + _escaped(password).encode() + b"\n", *kept])

    _rewrite(path, change)


def put_service(path: Path, name: str, settings: Mapping[str, str]) -> None:
    """Put a section into a file of connection services, in place of its old one.

    Raises:
        ConfigError: the file can't be written, or a part holds a line's end.
    """
    _one_line(name, *settings.values())
    if "]" in name or not name:
        raise ConfigError(f'"{name}" can\'t be the name of a service')
    head = f"[{name}]"
    section = [head, *(f"{key}={value}" for key, value in settings.items())]

    def change(old: bytes) -> bytes:
        kept, is_ours = [], False
        for line in _lines(old):
            if line.strip().startswith(b"["):
                is_ours = line.strip() == head.encode()
            if not is_ours:
                kept.append(line)
        if kept and kept[-1].strip():
            kept.append(b"\n")
        return b"".join(kept) + ("\n".join(section) + "\n").encode()

    _rewrite(path, change)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace(":", "\\:")


def _one_line(*texts: str) -> None:
    if any(set(text) & set("\r\n\0") for text in texts):
        raise ConfigError("a value with a line's end can't be written for libpq")


def _lines(content: bytes) -> list[bytes]:
    lines = content.split(b"\n")
    last = lines.pop()
    return [line + b"\n" for line in lines] + ([last + b"\n"] if last else [])


def _rewrite(path: Path, change: Callable[[bytes], bytes]) -> None:
    try:
        # A link stays one: people keep such files elsewhere.
        real = path.resolve()
        real.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with _alone(real.parent):
            old = real.read_bytes() if real.exists() else b""
            if len(old) > MAX_FILE:
                raise ConfigError(f'"{path}" is larger than {MAX_FILE} bytes')
            _replace(real, change(old))
    except OSError as error:
        raise ConfigError(f'"{path}" can\'t be written: {reason_of(error)}') from error


def _replace(path: Path, content: bytes) -> None:
    partial = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Let two of us not lose each other's line; the lock is on the folder itself."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
