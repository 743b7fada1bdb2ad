"""What the recorded database has beside the demo's shop: `more.sql`, history tables.

The recorder and the tests that replay use the same. Next: `tests.corpus.record`.
"""

from __future__ import annotations

from pathlib import Path

import psycopg

_MORE = Path(__file__).with_name("more.sql")
_DRIVERS = Path(__file__).with_name("drivers")


def furnish(dsn: str, tool: str = "*") -> None:
    """Add one of each kind of object, and the tables that a tool keeps (all: `*`).

    Args:
        dsn: the superuser's, of a copy of the shop.
        tool: by its name in `tests.corpus.tools`.
    """
    for script in (_MORE, *sorted(_DRIVERS.glob(f"*/{tool}.sql"))):
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(script.read_bytes())
