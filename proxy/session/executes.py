"""What an SQL EXECUTE runs: the facts of what was prepared under its name.

Pure. Next: `proxy.session.judge`, which judges the facts that come out of here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.errors import DENIED, UNDEFINED_PREPARED_STATEMENT
from proxy.policy.decision import Decision
from proxy.sql.facts import Facts, Kind, merge_executed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class UnfitExecuteError(LookupError):
    """An EXECUTE whose statement can't be judged."""

    def __init__(self, decision: Decision) -> None:
        super().__init__(decision.reason)
        self.decision = decision


def _unknown(name: str) -> UnfitExecuteError:
    return UnfitExecuteError(
        Decision(
            allowed=False,
            rule="session.unknown-prepared-statement",
            reason=f'prepared statement "{name}" does not exist',
            sqlstate=UNDEFINED_PREPARED_STATEMENT,
            kind=Kind.EXECUTE,
        )
    )


def _nested(name: str) -> UnfitExecuteError:
    """A Parse message may prepare an EXECUTE, whose name may mean another text now."""
    return UnfitExecuteError(
        Decision(
            allowed=False,
            rule="session.nested-execute",
            reason=f'prepared statement "{name}" is itself an EXECUTE',
            sqlstate=DENIED,
            hint="execute the inner statement by its own name",
            kind=Kind.EXECUTE,
        )
    )


def resolve_executes(
    statements: Sequence[Facts], prepared: Mapping[str, Facts]
) -> tuple[Facts, ...]:
    """Fold into each EXECUTE the facts of what it runs, in the order of the text.

    Raises:
        UnfitExecuteError: nothing of that name was prepared, or an EXECUTE was.
    """
    own: dict[str, Facts | None] = {}
    resolved = []
    everything_dropped = False
    for facts in statements:
        merged = facts
        for effect in facts.names:
            name = effect.name
            if effect.verb == "execute" and name is not None:
                body = own.get(name)
                if body is None and name not in own and not everything_dropped:
                    body = prepared.get(name)
                if body is None:
                    raise _unknown(name)
                if any(inner.verb == "execute" for inner in body.names):
                    raise _nested(name)
                merged = merge_executed(merged, body)
            elif effect.verb == "prepare" and name is not None:
                own[name] = facts.prepared
            elif effect.verb in {"deallocate", "discard"}:
                if name is None:
                    own.clear()
                    everything_dropped = True
                else:
                    own[name] = None
        resolved.append(merged)
    return tuple(resolved)
