"""Puts together what each node class means: the generic walk, and the special cases.

A statement class without a meaning of its own is refused: it must not pass as a part of
something harmless. Next: `proxy.sql.analyse`.
"""

from __future__ import annotations

from typing import Final

from proxy.sql.parts import PARTS
from proxy.sql.statements_data import STATEMENTS_DATA
from proxy.sql.statements_ddl import STATEMENTS_DDL
from proxy.sql.statements_plain import STATEMENTS_PLAIN
from proxy.sql.statements_session import STATEMENTS_SESSION
from proxy.sql.walk import GENERIC, Handler

NOT_ACTS: Final = frozenset({"RawStmt", "ReturnStmt", "ReplicaIdentityStmt"})
"""Classes called statements that do nothing by themselves."""

MEANINGS: Final = (
    PARTS | STATEMENTS_DATA | STATEMENTS_SESSION | STATEMENTS_DDL | STATEMENTS_PLAIN
)
"""The classes that mean something beyond what is below them."""

HANDLERS: Final[dict[str, Handler]] = {
    name: handler
    for name, handler in GENERIC.items()
    if not name.endswith("Stmt") or name in NOT_ACTS
} | MEANINGS
"""Class name to what its nodes mean."""
