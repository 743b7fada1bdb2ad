"""Who asks for a role and who decides, as far as this pgwarden knows them.

Whether they still are who they were, and whether two of them are one person.
Next: `proxy.server.lending`, `proxy.access.lending`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from proxy.access.grant import State
from proxy.access.said import AccessRefused

if TYPE_CHECKING:
    from proxy.access.grant import Actor, Grant
    from proxy.server.server import Server

LOST_AFTER_S: Final = 5.0
"""A request may come from a worker that learnt of the identity before this one."""


class People:
    """The identities in force; a `Roster` for the steps of a loan."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def role_of(self, name: str) -> str | None:
        """The role of an identity that may log in now; see `Roster`."""
        identity = self._server.identities.find(name)
        if identity is None or identity.unusable_reason(self._now):
            return None
        return identity.role

    def check_in(self, actor: Actor) -> None:
        """Insist that somebody is still who they were when their session began.

        Raises:
            AccessRefused: they are out, and their session has yet to end.
        """
        if self.role_of(actor.name) != actor.role:
            raise AccessRefused(
                "not-an-identity", f'"{actor.name}" is disabled or changed'
            )

    def check_person(self, actor: Actor, grant: Grant) -> None:
        """Insist that who decides is nobody who has asked, or approved, already.

        Two names that one proof opens are one person; the rest can't be seen from here.

        Raises:
            AccessRefused: they are one.
        """
        for name in (grant.identity, *(each.name for each in grant.approvals)):
            if name != actor.name and (shared := self._shared(name, actor.name)):
                raise AccessRefused(
                    "same-person",
                    f'"{actor.name}" and "{name}" come in by the same {shared}',
                    hint="somebody else has to do it",
                )

    def has_lost(self, grant: Grant) -> bool:
        """Whether who asked is out, or another by now, as far as is known for sure."""
        if grant.state not in {State.PENDING, State.ACTIVE}:
            return False
        if (self._now - grant.requested_at).total_seconds() < LOST_AFTER_S:
            return False
        # A file knows those of this pgwarden; the store may be that of several.
        server = self._server
        is_known = server.identities.find(grant.identity) is not None
        if not is_known and server.settings.identities is not None:
            return False
        return self.role_of(grant.identity) != grant.own_role

    @property
    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._server.now(), UTC)

    def _shared(self, one: str, other: str) -> str:
        find = self._server.identities.find
        first, second = find(one), find(other)
        if first is None or second is None:
            return ""
        shared = first.shared_proof(second)
        if shared == "token" and first.token is not None:
            issuer = self._server.settings.issuers.get(first.token.issuer)
            return "" if issuer is not None and issuer.identity_claim else shared
        return shared
