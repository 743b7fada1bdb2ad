"""What to tell a person when nothing in the policy permits an act.

A forbid rule words its own reason; these words are for the default deny. Pure.
Next: `proxy.policy.evaluate`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxy.policy.acts import Act, KindAct
from proxy.sql.facts import Effect, FunctionUse, Kind, SettingChange

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_EFFECTS: Final[Mapping[Effect, str]] = {
    Effect.NONE: "the policy does not list it",
    Effect.UNKNOWN: "pgwarden does not know that it only reads",
    Effect.STABLE: "the policy does not list it",
    Effect.VOLATILE: "it is VOLATILE, so it may write",
    Effect.DEFINER: "it is SECURITY DEFINER, so it has its owner's rights",
    Effect.SETTING: "it changes how the server or session is configured",
    Effect.SEQUENCE: "it moves a sequence",
    Effect.LARGE_OBJECT: "it reads or writes large objects",
    Effect.SIGNAL: "it cancels or ends other sessions, or signals the server",
    Effect.ADVISORY_LOCK: "it takes or frees advisory locks that applications rely on",
    Effect.FILE: "it reads or writes files on the server",
    Effect.SQL_TEXT: "it runs SQL handed over as text, which can't be judged",
    Effect.NETWORK: "it opens connections from the server",
    Effect.NOTIFY: "it sends notifications to other sessions",
    Effect.WAL: "it acts on the write-ahead log, replication or backups",
    Effect.STATISTICS: "it resets or writes statistics",
    Effect.CATALOG: "it changes the system catalog",
    Effect.INDEX: "it changes or checks indexes",
    Effect.TRANSACTION: "it consumes or exports transaction state",
    Effect.SLEEP: "it holds a connection and its locks for as long as it likes",
    Effect.OTHER: "it does more than return a value",
}

_TO_BE_LISTED: Final = frozenset({Effect.UNKNOWN, Effect.VOLATILE, Effect.DEFINER})

_SETTING_HINT: Final = (
    "Only settings that can't change what is allowed may be set; "
    "`pgwarden policy show` lists them."
)


def default_reason(
    act: Act, policy: str, values: Sequence[str] = ()
) -> tuple[str, str]:
    """Why nothing permits the act, and what to do about it; "" where obvious.

    Args:
        act: what is not permitted.
        policy: the policy's name.
        values: for a setting, the values of it that are permitted.
    """
    match act:
        case FunctionUse():
            return _of_function(act, policy)
        case SettingChange():
            return _of_setting(act, values)
        case KindAct(kind=Kind.UNKNOWN):
            return "pgwarden does not know what it does", ""
        case _:
            return "", ""


def _of_function(use: FunctionUse, policy: str) -> tuple[str, str]:
    hint = ""
    if use.effect in _TO_BE_LISTED:
        hint = (
            "If it only reads, ask the security team to add it to the list "
            f'"reading_functions" of policy "{policy}".'
        )
    return _EFFECTS[use.effect], hint


def _of_setting(change: SettingChange, values: Sequence[str]) -> tuple[str, str]:
    if not change.name:
        return "it may be any setting", "Give the setting's name as a constant."
    if change.is_reset or not values:
        return "", _SETTING_HINT
    listed = ", ".join(f'"{value}"' for value in dict.fromkeys(values))
    return f"it may only be set to {listed}, given as a constant", _SETTING_HINT
