"""Recorded statements that pgwarden refuses a developer although they do no harm.

The tests expect each of them to be refused, strictly: who makes one pass takes it from
here. Key: tool and text. Value: the rule, and why it is so.
"""

from __future__ import annotations

_READ_WRITE = (
    "developer.read-write: whether the session could write at all is not known from "
    "the text, and the session's read-only state is the second lock; "
)

REFUSED: dict[tuple[str, str], str] = {
    ("pq", "BEGIN READ WRITE"): _READ_WRITE
    + "lib/pq begins so unless TxOptions say ReadOnly",
    (
        "sqlalchemy",
        "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE",
    ): _READ_WRITE
    + "pg8000 sends it when a connection that was made read-only goes to the pool",
}
