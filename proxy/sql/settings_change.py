"""Run-time parameters that a statement changes: SET, RESET, BEGIN, set_config().

Next: `proxy.sql.statements_session`, `proxy.sql.parts`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from proxy.sql.facts import Flag, Scope, SettingChange

if TYPE_CHECKING:
    from proxy.sql.walk import Body, Node, Walk

_PLAIN_NAME: Final = re.compile(r"[a-z_][a-z0-9_$]*")
READ_ONLY_SETTINGS: Final = frozenset(
    {"transaction_read_only", "default_transaction_read_only"}
)
SECRET_WORDS: Final = ("password", "secret", "conninfo", "passphrase", "token")
"""A setting with one of these in its name holds a secret."""
NAME_LISTS: Final = frozenset({"search_path", "temp_tablespaces"})
"""Settings that hold names: SET quotes each (GUC_LIST_QUOTE in guc_tables.c)."""
TRUE_WORDS: Final = frozenset({"on", "true", "tru", "tr", "t", "yes", "ye", "y", "1"})
"""What Postgres reads as true: src/backend/utils/adt/bool.c."""


def note_change(walk: Walk, change: SettingChange) -> None:
    """Note a change, and whether it may open a session or transaction for writing."""
    walk.change(change)
    if any(word in change.name for word in SECRET_WORDS):
        walk.flag(Flag.SECRET)
    if change.name not in READ_ONLY_SETTINGS:
        return
    if change.is_reset:
        # RESET of the default returns to what the startup packet set; that of the
        # transaction's own mode would return to "off" on servers that still allow it.
        if change.name == "transaction_read_only":
            walk.flag(Flag.READ_WRITE)
    elif change.value is None or change.value.strip().lower() not in TRUE_WORDS:
        walk.flag(Flag.READ_WRITE)


def folded(name: str) -> str:
    """A setting's name as Postgres compares it: of ASCII letters only.

    `str.lower` would make a Kelvin sign a k, and one name of two.
    """
    return name.encode().lower().decode()


def constant(node: Node | None) -> str | None:
    """The text of a literal argument, casts taken off; None where it is computed."""
    while node is not None and "TypeCast" in node:
        node = node["TypeCast"]["arg"]
    if not node or "A_Const" not in node:
        return None
    body = node["A_Const"]
    for kind, empty in (("sval", ""), ("ival", 0), ("fval", ""), ("bsval", "")):
        if kind in body:
            return str(body[kind].get(kind, empty))
    if "boolval" in body:
        return "on" if body["boolval"].get("boolval") else "off"
    return None


def is_null(node: Node) -> bool:
    """Whether an argument is the literal NULL."""
    while "TypeCast" in node:
        node = node["TypeCast"]["arg"]
    return "A_Const" in node and "isnull" in node["A_Const"]


def _joined(args: list[Node], name: str = "") -> str | None:
    values = [constant(arg) for arg in args]
    known = [value for value in values if value is not None]
    if len(known) != len(values):
        return None
    if name in NAME_LISTS:
        known = [_quoted(value) for value in known]
    return ", ".join(known)


def _quoted(name: str) -> str:
    """A name as it stands in a list: `SET search_path = 'a, b'` names one schema."""
    if _PLAIN_NAME.fullmatch(name):
        return name
    doubled = name.replace('"', '""')
    return f'"{doubled}"'


def modes(walk: Walk, options: list[Node], scope: Scope) -> None:
    """Transaction modes, as BEGIN and SET TRANSACTION list them."""
    prefix = "" if scope is Scope.LOCAL else "default_"
    for option in options:
        body = option["DefElem"]
        value = constant(body.get("arg"))
        if body["defname"] != "transaction_isolation":
            value = "on" if value == "1" else "off"
        name = prefix + body["defname"]
        note_change(walk, SettingChange(name, value, scope))


def variable_set(walk: Walk, body: Body, scope: Scope) -> str:
    """Note what a SET or RESET changes; returns the action in words."""
    kind = body["kind"]
    name = folded(body.get("name", ""))
    args = body.get("args", [])
    if kind == "VAR_RESET_ALL":
        note_change(walk, SettingChange("*", None, scope, is_reset=True))
        return "reset all"
    if kind == "VAR_SET_MULTI":
        return _set_several(walk, name, args, scope)
    if kind in {"VAR_RESET", "VAR_SET_DEFAULT"}:
        note_change(walk, SettingChange(name, None, scope, is_reset=True))
        return "reset" if kind == "VAR_RESET" else "set"
    value = _joined(args, name) if kind == "VAR_SET_VALUE" else None
    note_change(walk, SettingChange(name, value, scope))
    return "set"


def _set_several(walk: Walk, name: str, args: list[Node], scope: Scope) -> str:
    if name == "transaction snapshot":
        note_change(
            walk, SettingChange("transaction_snapshot", _joined(args), Scope.LOCAL)
        )
    elif name == "session characteristics":
        modes(walk, args, Scope.SESSION if scope is Scope.LOCAL else scope)
    elif name == "transaction":
        modes(walk, args, Scope.LOCAL)
    else:
        raise KeyError(name)
    return f"set {name}"


def set_config_call(walk: Walk, body: Body) -> None:
    """Note what a call of set_config(name, value, is_local) changes.

    Anything but three plain arguments gives a computed name: strict, and such calls
    are not what tools send.
    """
    args = body.get("args", [])
    plain = len(args) == 3 and "func_variadic" not in body
    if not plain or any("NamedArgExpr" in arg for arg in args):
        walk.change(SettingChange("", None, Scope.SESSION))
        return
    name = constant(args[0])
    value = constant(args[1])
    scope = Scope.LOCAL if constant(args[2]) in TRUE_WORDS else Scope.SESSION
    is_reset = value is None and is_null(args[1])
    note_change(
        walk,
        SettingChange("" if name is None else folded(name), value, scope, is_reset),
    )
