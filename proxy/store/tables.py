"""What every subject of the store shares: one metadata, its state, history and keys.

Each subject defines its tables in a file of its own on this metadata, and brings them
by a revision in `schema/versions`; a test compares the two.
Next: `proxy.store.engine`, which reads and changes them.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
)
from sqlalchemy.types import TypeDecorator, TypeEngine
from typing_extensions import override

if TYPE_CHECKING:
    from sqlalchemy.engine import Dialect

METADATA: Final = MetaData()
STATE_ID: Final = 1
_FORMAT: Final = "%Y-%m-%dT%H:%M:%S.%fZ"


class Moment(TypeDecorator[datetime]):
    """An aware time, kept as text in UTC: the same in SQLite and Postgres, and sorted.

    Whatever the time zone of a session, it reads back as it was written.
    """

    impl: TypeEngine[Any] | type[TypeEngine[Any]] = String(27)
    cache_ok: bool | None = True

    @override
    def process_bind_param(
        self, value: datetime | None, dialect: Dialect
    ) -> str | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone can't be kept")
        return value.astimezone(UTC).strftime(_FORMAT)

    @override
    def process_result_value(
        self, value: str | None, dialect: Dialect
    ) -> datetime | None:
        if value is None:
            return None
        return datetime.strptime(value, _FORMAT).replace(tzinfo=UTC)


SERIAL = BigInteger().with_variant(Integer, "sqlite")
"""SQLite counts up by itself only in a column that is exactly INTEGER."""

state = Table(
    "state",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    # Random and new with each change, not counted up: a store that was put back from
    # a backup must not look as if nothing had changed.
    Column("generation", String(32), nullable=False),
)
"""One row, which each change locks and renews."""

history = Table(
    "history",
    METADATA,
    Column("id", SERIAL, primary_key=True),
    Column("at", Moment, nullable=False),
    Column("actor", String(256), nullable=False),
    Column("action", String(64), nullable=False),
    Column("subject", String(256), nullable=False),
    Column("detail", JSON, nullable=False),
    Column("is_audited", Boolean, nullable=False),
    sqlite_autoincrement=True,
)
"""Who changed what, and when; never a secret."""

keys = Table(
    "keys",
    METADATA,
    Column("name", String(64), primary_key=True),
    Column("secret", LargeBinary, nullable=False),
)
"""Random keys of pgwarden's own, made once and the same for all workers."""
