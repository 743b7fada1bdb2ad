"""How identities are shown to people and machines: never a secret, nor its salt.

Next: `proxy.cli.identity`.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from rich.table import Table

from proxy.audit.tail import printable
from proxy.auth.identities import identity_of
from proxy.store.last_uses import proof_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from pydantic import BaseModel

    from proxy.auth.identities import IdentityEntry
    from proxy.cli.roster import Uses
    from proxy.store.history import Event
    from proxy.store.last_uses import LastUse

CURRENT: Final = "current"
_MARK: Final = re.compile(r"[0-9a-f]{32}")
"""What `proof_of` makes of a password's secret; every other way in has a name."""


def as_json(entry: IdentityEntry, uses: Uses, now: datetime) -> dict[str, Any]:
    """One identity for machines."""
    found = _uses_of(entry, uses)
    return {
        "name": entry.name,
        "role": entry.role,
        "state": state(entry, now),
        "networks": [str(each) for each in entry.networks],
        "valid_until": _when(entry.valid_until),
        "passwords": len(identity_of(entry).secrets_at(now)),
        "old_password_until": _when(entry.old_secret_until),
        "certificate": _values(entry.certificate),
        "token": _values(entry.token),
        "last_uses": found,
    }


def state(entry: IdentityEntry, now: datetime) -> str:
    """In a word, whether it may log in."""
    if entry.disabled:
        return "disabled"
    if entry.valid_until is not None and now > entry.valid_until:
        return "expired"
    return "active"


def table(entries: Sequence[IdentityEntry], uses: Uses, now: datetime) -> Table:
    """Everybody for people."""
    made = Table(box=None, pad_edge=False)
    heads = ("name", "role", "state", "proof", "networks", "valid until", "last use")
    for head in heads:
        made.add_column(head)
    for entry in entries:
        values = as_json(entry, uses, now)
        last = values["last_uses"][:1]
        made.add_row(
            printable(entry.name),
            printable(entry.role),
            values["state"],
            _proofs(values),
            ", ".join(values["networks"]) or "any",
            values["valid_until"] or "",
            "".join(_use_words(use) for use in last),
        )
    return made


def shown(entry: IdentityEntry, uses: Uses, now: datetime) -> Table:
    """One identity for people."""
    values = as_json(entry, uses, now)
    made = Table(box=None, pad_edge=False, show_header=False)
    made.add_row("name", printable(entry.name))
    made.add_row("role", printable(entry.role))
    made.add_row("state", values["state"])
    made.add_row("networks", ", ".join(values["networks"]) or "any")
    made.add_row("valid until", values["valid_until"] or "for ever")
    made.add_row("passwords", str(values["passwords"]))
    for kind in ("certificate", "token"):
        if values[kind]:
            made.add_row(kind, printable(json.dumps(values[kind], ensure_ascii=False)))
    if values["old_password_until"]:
        made.add_row("old password until", values["old_password_until"])
    for use in values["last_uses"]:
        made.add_row("last use", _use_words(use))
    return made


def history_table(events: Sequence[Event]) -> Table:
    """Changes for people."""
    made = Table(box=None, pad_edge=False)
    for head in ("when", "who", "what", "of", "detail"):
        made.add_column(head)
    for event in events:
        detail = ", ".join(f"{key}: {value}" for key, value in event.detail.items())
        words = (event.actor, event.action, event.subject, detail)
        made.add_row(f"{event.at:%Y-%m-%d %H:%M:%S}Z", *map(printable, words))
    return made


def _uses_of(entry: IdentityEntry, uses: Uses) -> list[dict[str, str]]:
    """The newest first."""
    names = (CURRENT, "old")[: len(entry.secret_texts())]
    of_secret = {
        proof_of(secret.encode(), uses.key): name
        for secret, name in zip(identity_of(entry).secrets, names, strict=True)
    }
    found = [each for each in uses.found if each.name == entry.name]
    found.sort(key=lambda use: use.at, reverse=True)
    return [
        {
            "at": use.at.isoformat(timespec="seconds"),
            "address": use.address,
            **_way_of(use, of_secret),
        }
        for use in found
    ]


def _way_of(use: LastUse, of_secret: dict[str, str]) -> dict[str, str]:
    """Which password it was, or which other way in."""
    if _MARK.fullmatch(use.proof):
        return {"password": of_secret.get(use.proof, "earlier")}
    return {"by": use.proof}


def _use_words(use: dict[str, str]) -> str:
    way = use.get("by") or f"the {use['password']} password"
    by = "" if way == f"the {CURRENT} password" else f", by {way}"
    return f"{use['at']} from {use['address']}{by}"


def _proofs(values: dict[str, Any]) -> str:
    """By what somebody can come in, in a few words."""
    passwords = {0: "", 1: "password"}.get(values["passwords"], "two passwords")
    others = [kind for kind in ("certificate", "token") if values[kind]]
    return ", ".join([passwords, *others] if passwords else others)


def _values(part: BaseModel | None) -> dict[str, Any] | None:
    if part is None:
        return None
    return part.model_dump(mode="json", exclude_defaults=True)


def _when(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
