"""Puts together what each node class means: the generic walk, and the special cases.

Importing this module fills `proxy.sql.walk.HANDLERS`. A statement class that is neither
special here nor a plain one of `proxy.sql.statements_ddl` is refused: it must not pass
as a part of something harmless. Next: `proxy.sql.analyse`.
"""

from __future__ import annotations

from typing import Final

from proxy.sql.parts import PARTS
from proxy.sql.statements_data import STATEMENTS_DATA
from proxy.sql.statements_ddl import STATEMENTS_DDL
from proxy.sql.statements_session import STATEMENTS_SESSION
from proxy.sql.walk import GENERIC, HANDLERS

NOT_ACTS: Final = frozenset({"RawStmt", "ReturnStmt", "ReplicaIdentityStmt"})
"""Classes called statements that do nothing by themselves."""

MEANINGS: Final = PARTS | STATEMENTS_DATA | STATEMENTS_SESSION | STATEMENTS_DDL
"""The classes that mean something beyond what is below them."""

HANDLERS.update(
    {
        name: handler
        for name, handler in GENERIC.items()
        if not name.endswith("Stmt") or name in NOT_ACTS
    }
)
HANDLERS.update(MEANINGS)
