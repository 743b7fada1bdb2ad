"""The hash chain of one audit file: which bytes are hashed, and the checkpoints.

Pure. A line is `BODY,"hash":"<64 hex digits>"}` and a newline, where the hash is
SHA-256 of the previous line's hash (64 ASCII digits; zeros before the first line) and
the exact bytes of BODY, which starts `{"v":1,"seq":N,"at":"...",`. Nothing is
canonicalised: `head -c`, `sha256sum` and a few lines of any language can check it.
Next: `proxy.audit.writer`, `proxy.audit.verify`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

VERSION: Final = 1
NO_HASH: Final = b"0" * 64
"""Stands before the first line of a file."""

HASH_KEY: Final = b',"hash":"'
LINE_END: Final = b'"}\n'
TAIL_LENGTH: Final = len(HASH_KEY) + 64 + len(LINE_END)
"""Bytes at the end of each line that are not hashed."""


def stamp(at: float) -> bytes:
    """A POSIX time as the records show it: UTC, microseconds, fixed width."""
    text = datetime.fromtimestamp(at, UTC).isoformat(timespec="microseconds")
    return text[:26].encode() + b"Z"


class Chain:
    """How far a file's chain has come: number and hash of its last line."""

    __slots__ = ("last", "seq")

    def __init__(self, seq: int = 0, last: bytes = NO_HASH) -> None:
        self.seq = seq
        self.last = last

    def extend(self, fragments: Sequence[bytes], at: float) -> tuple[bytes, int, bytes]:
        """The lines for some fragments; the chain itself does not move yet.

        Returns:
            the bytes to write, and `seq` and `last` to set once they are written.
        """
        seq = self.seq
        last = self.last
        when = stamp(at)
        parts: list[bytes] = []
        for fragment in fragments:
            seq += 1
            body = b'{"v":1,"seq":%d,"at":"%b",%b' % (seq, when, fragment)
            last = sha256(last + body).hexdigest().encode()
            parts.append(b"%b%b%b%b" % (body, HASH_KEY, last, LINE_END))
        return b"".join(parts), seq, last


def hash_of(previous: bytes, body: bytes) -> bytes:
    """The hash that a line with this body must carry."""
    return sha256(previous + body).hexdigest().encode()
