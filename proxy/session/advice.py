"""What a refused person may be told beyond the policy's words: which command that was.

Only a refusal is advised on, and all that changes is its hint: an adviser has no way to
let anything through. On the path of what is allowed the session keeps its first few
texts, by which a tool shows itself, and asks nothing. Pure.
Next: `proxy.migrations.profile_advice`, which advises.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from msgspec import structs

from proxy.errors import DENIED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from proxy.policy.decision import Decision
    from proxy.session.judge import Judged
    from proxy.session.session import Session

OPENING_TEXTS: Final = 32
"""Allowed texts at the start of a session that are kept: by then a tool has asked for
its version, its lock or its history. Django's longest way there is some 20."""
OPENING_BYTES: Final = 4 * 1024
"""Longer texts are not kept: what a tool asks of the catalog is shorter."""


class Adviser(Protocol):
    """Names commands of tools, for one session."""

    def advise(self, opening: Sequence[Judged], refused: Judged) -> str:
        """What the refused text is the beginning of and what to do instead, or ""."""


def advised(session: Session, judged: Judged) -> Decision:
    """The refusal of a text, with the adviser's hint where there is one."""
    decision = judged.decision
    adviser = session.adviser
    if adviser is None or decision.sqlstate != DENIED or not judged.statements:
        return decision
    hint = adviser.advise(session.opening, judged)
    return structs.replace(decision, hint=hint) if hint else decision
