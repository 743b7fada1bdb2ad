"""The format of libpq's `.pgpass`: `host:port:database:user:password`, line by line.

Pure. Next: `proxy.server.upstream_passwords`, which reads the file.
Source: passwordFromFile and pwdfMatchesString in fe-connect.c.
https://www.postgresql.org/docs/18/libpq-pgpass.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def find_password(text: str, wanted: Sequence[str]) -> str | None:
    """The password of the first line that fits, None if none does.

    Args:
        text: the whole file.
        wanted: host, port, database and user as they are asked for.
    """
    for line in text.split("\n"):
        if line.startswith("#"):
            continue
        fields = _fields(line.rstrip("\r"))
        if all(_fits(next(fields, None), value) for value in wanted):
            found = next(fields, None)
            if found is not None:
                return found[1]
    return None


def _fits(field: tuple[str, str] | None, value: str) -> bool:
    if field is None:
        return False
    raw, plain = field
    return raw == "*" or plain == value


def _fields(line: str) -> Iterator[tuple[str, str]]:
    """Each field as it stands, and with its escapes resolved.

    A backslash makes the next character an ordinary one. The last field may be empty.
    """
    raw, plain = "", ""
    characters = iter(line)
    for character in characters:
        if character == "\\":
            escaped = next(characters, "")
            raw += character + escaped
            plain += escaped or character
        elif character == ":":
            yield raw, plain
            raw, plain = "", ""
        else:
            raw += character
            plain += character
    yield raw, plain
