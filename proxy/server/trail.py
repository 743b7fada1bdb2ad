"""Records of what was changed around pgwarden: they belong to no session.

Next: `proxy.server.stored`, which writes the store's history, and `reload`, which
writes what it finds changed.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final

from proxy.audit.records import SessionRecords

if TYPE_CHECKING:
    from collections.abc import Mapping

    from proxy.auth.identities import Identities
    from proxy.store.history import Event

MOST_NAMES: Final = 100
"""Of one list in a record; a document that is swapped whole has thousands."""


def own_record(purpose: str, detail: Mapping[str, str]) -> bytes:
    """An internal record of no session and nobody."""
    records = SessionRecords(
        secrets.token_hex(8),
        identity="",
        role="",
        database="",
        application_name="",
        client_address="",
    )
    return records.internal(purpose, detail=detail)


def event_record(event: Event) -> bytes:
    """A line of the store's history."""
    detail = {
        **event.detail,
        "by": event.actor,
        "subject": event.subject,
        "changed_at": event.at.isoformat(),
        "history": str(event.number),
    }
    return own_record(event.action, detail)


def changes_record(before: Identities, after: Identities) -> bytes | None:
    """Whom a new document, or a change of the store, concerns; None if nobody."""
    lists = {
        "added": [name for name in after.names() if before.find(name) is None],
        "removed": [name for name in before.names() if after.find(name) is None],
        "changed": [
            name
            for name in after.names()
            if before.find(name) not in (None, after.find(name))
        ],
    }
    detail = {key: _listed(names) for key, names in lists.items() if names}
    return own_record("identities.changed", detail) if detail else None


def _listed(names: list[str]) -> str:
    more = len(names) - MOST_NAMES
    shown = ", ".join(names[:MOST_NAMES])
    return f"{shown} and {more} more" if more > 0 else shown
