"""A decision: allow or deny, always with the rule and the reason. Plain values.

Next: `proxy.policy.evaluate`, which makes them.
"""

from __future__ import annotations

from msgspec import Struct

from proxy.policy.situation import Situation  # noqa: TC001  (a field)


class ShadowRefusal(Struct, frozen=True, gc=False, omit_defaults=True):
    """What would have been refused, were it not for a rule that is on trial.

    Attributes:
        rule: id of the rule in shadow that decides it.
        reason: as the refusal would have worded it.
        quarantines: the session would have come into quarantine.
    """

    rule: str
    reason: str
    quarantines: bool = False


class Decision(Struct, frozen=True, gc=False):
    """One verdict on one text.

    Attributes:
        allowed: whether the text may be forwarded.
        rule: id of the rule that decided ("developer.read", "default-deny", ...).
        reason: one sentence for the person at the terminal, lower case, no full stop.
        sqlstate: SQLSTATE of the refusal; "" where allowed.
        hint: what to do instead; "" where there is nothing to say.
        position: 1-based character offset the refusal points at, or 0.
        quarantines: the session may only read from here on.
        kind: the kind of the statement that decided, for the metrics ("unknown" where
            it was not understood).
        statement: 0-based index, within the text, of the statement that decided.
        shadow: of an allowed text, the refusal that rules in shadow would have made it.
    """

    allowed: bool
    rule: str
    reason: str
    sqlstate: str = ""
    hint: str = ""
    position: int = 0
    quarantines: bool = False
    kind: str = "unknown"
    statement: int = 0
    shadow: ShadowRefusal | None = None


class Context(Struct, frozen=True, gc=False):
    """What a decision may depend on beside the facts and the role.

    Attributes:
        database: where the statement would run; "" where that is not known.
        quarantined: the session may only read.
        in_failed_transaction: Postgres would take nothing but a ROLLBACK.
        situation: of the session, from the role's `situations`; None where nothing is
            known of it, which is judged strictly.
    """

    database: str = ""
    quarantined: bool = False
    in_failed_transaction: bool = False
    situation: Situation | None = None
