"""The form of what a record says about a judged text.

Pure. Next: `proxy.audit.judged`, which fills it in.
"""

from __future__ import annotations

from msgspec import UNSET, Struct, UnsetType

from proxy.policy.decision import ShadowRefusal  # noqa: TC001  (encoded)
from proxy.sql.facts import FunctionUse, RelationUse  # noqa: TC001  (encoded)


class JudgedStatement(Struct, frozen=True, omit_defaults=True):
    """The facts of one statement as they are recorded; empty ones are left out.

    Values of settings are in the text (redacted there), never here.
    """

    kind: str
    actions: tuple[str, ...] = ()
    kinds: list[str] | UnsetType = UNSET
    relations: tuple[RelationUse, ...] = ()
    functions: tuple[FunctionUse, ...] = ()
    columns: tuple[tuple[str, str], ...] = ()
    settings: list[str] | UnsetType = UNSET
    flags: list[str] | UnsetType = UNSET
    lock_mode: str = ""
    databases: tuple[str, ...] = ()
    operators: tuple[tuple[str, str], ...] = ()


class JudgedText(Struct, omit_defaults=True):
    """What is recorded of a text; see docs/reference/audit-log.md."""

    decision: str
    rule: str
    reason: str
    statement_kind: str
    statements: list[JudgedStatement]
    text: str
    sqlstate: str = ""
    quarantines: bool = False
    policy: str = ""
    trouble: str = ""
    statements_total: int = 0
    facts_truncated: bool = False
    text_length: int = 0
    text_sha256: str = ""
    text_escaped: bool = False
    shadow: ShadowRefusal | None = None
