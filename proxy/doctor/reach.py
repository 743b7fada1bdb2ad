"""Which roles a login may act as, and by which membership.

Whether a membership is inherited, can be SET, or only lends ADMIN makes no difference
here: with the last one grants oneself the others. Pure.
Next: `proxy.doctor.mending`, which cuts memberships.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PUBLIC: Final = 0
"""The grantee of what everybody holds (`ACL_ID_PUBLIC`)."""


@dataclass(frozen=True, slots=True)
class Role:
    """A role of the server, with the attributes that matter."""

    oid: int
    name: str
    is_superuser: bool = False
    createrole: bool = False
    createdb: bool = False
    replication: bool = False
    bypassrls: bool = False


@dataclass(frozen=True, slots=True)
class Membership:
    """`member` was made a member of `role` by `grantor`."""

    role: int
    member: int
    grantor: int
    has_admin: bool = False


class Reach:
    """The roles that one login may act as, itself included."""

    def __init__(
        self, login: int, roles: Mapping[int, Role], memberships: Iterable[Membership]
    ) -> None:
        """Follow every membership from the login."""
        self.login = login
        self.roles = roles
        self._edges: dict[int, list[Membership]] = {}
        for each in memberships:
            if each.role not in roles:
                # Left behind by a role that is gone: nobody can become it.
                continue
            self._edges.setdefault(each.member, []).append(each)
        self.oids = frozenset(self._from(login))

    def _from(self, start: int) -> set[int]:
        seen = {start}
        waiting = [start]
        while waiting:
            for edge in self._edges.get(waiting.pop(), ()):
                if edge.role not in seen:
                    seen.add(edge.role)
                    waiting.append(edge.role)
        return seen

    @property
    def others(self) -> list[Role]:
        """The roles it may become, by name."""
        found = [self.roles[oid] for oid in self.oids if oid != self.login]
        return sorted(found, key=lambda role: role.name)

    def first_steps(self, target: int) -> list[Membership]:
        """The login's own memberships that lead to `target`."""
        edges = self._edges.get(self.login, [])
        return [edge for edge in edges if target in self._from(edge.role)]

    def last_steps(self, target: int) -> list[Membership]:
        """The memberships in `target` of whatever the login may act as."""
        return [
            edge
            for oid in sorted(self.oids)
            for edge in self._edges.get(oid, ())
            if edge.role == target
        ]

    def name(self, oid: int) -> str:
        """A role's name; a role that is gone has none."""
        role = self.roles.get(oid)
        return role.name if role else f"unknown role {oid}"
