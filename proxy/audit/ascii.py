"""Strings and values as JSON of nothing but ASCII, whatever a client sent.

Newlines, terminal escapes, bidirectional marks and U+2028 can't forge or hide a line of
the log that way. Pure. Next: `proxy.audit.records`.
"""

from __future__ import annotations

import re
from json.encoder import encode_basestring_ascii
from typing import Final

import msgspec

_BEYOND_ASCII: Final = re.compile("[^\x20-\x7e]")


def quoted(value: str | bytes) -> tuple[str, bool]:
    r"""One JSON string, pure ASCII, and whether it had to be escaped on top of JSON.

    Bytes that are not UTF-8 have no place in a JSON string. Such a value is written
    with `\xNN` for each of them and its own backslashes doubled, so that nothing is
    lost, and the record lists the field in `escaped`.
    """
    text = value if isinstance(value, str) else value.decode("utf-8", "surrogateescape")
    if text.isascii():
        return encode_basestring_ascii(text), False
    if is_unicode(text):
        return encode_basestring_ascii(text), False
    return encode_basestring_ascii(spelled_out(text)), True


def spelled_out(text: str) -> str:
    """A text with lone surrogates (undecodable bytes) in a form that is lossless."""
    try:
        raw = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raw = text.encode("utf-8", "surrogatepass")
    return raw.replace(b"\\", b"\\\\").decode("utf-8", "backslashreplace")


def json_ascii(value: object) -> bytes:
    """Encode a value as JSON in pure ASCII.

    Raises:
        UnicodeEncodeError: a string in it holds a lone surrogate.
    """
    encoded = msgspec.json.encode(value)
    if encoded.isascii() and b"\x7f" not in encoded:
        return encoded
    # In JSON a character beyond ASCII (or DEL) only ever stands inside a string.
    return _BEYOND_ASCII.sub(_escape, encoded.decode()).encode("ascii")


def _escape(match: re.Match[str]) -> str:
    return encode_basestring_ascii(match[0])[1:-1]


def is_unicode(text: str) -> bool:
    """Whether a text holds no lone surrogate, so that JSON can hold it."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
