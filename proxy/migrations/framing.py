"""Several texts as one that can be read in one way only, to be hashed or signed. Pure.

Next: `proxy.migrations.statement`, `proxy.migrations.signed`.
"""

from __future__ import annotations


def framed(*parts: bytes) -> bytes:
    """The number of the parts, then each with its length in bytes before it.

    So neither an empty part, nor one that looks like the border of two, can make two
    lists of parts read alike.
    """
    return b"%d:" % len(parts) + b"".join(b"%d:%b" % (len(p), p) for p in parts)
