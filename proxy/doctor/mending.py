"""The statements that mend: REVOKE from whoever holds it, or cut the membership.

A grant is taken back in the name of who gave it, as Postgres wants: a superuser's plain
REVOKE speaks for the owner alone. Pure. Next: the `checks_*` of this folder.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from proxy.doctor.quoting import quote_name
from proxy.doctor.reach import PUBLIC

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from proxy.doctor.findings import Login
    from proxy.doctor.reach import Membership, Reach

MEMBERSHIP_HAS_GRANTOR: Final = 160000
"""From this version on a role may be granted several times, by different roles."""


KEEPER: Final = "pgwarden_keeper"
"""Who gets what a reader owned. Nobody's role: a function that runs with its owner's
rights must not get those of a superuser by being mended."""
NEW_KEEPER: Final = (
    "DO $keeper$ BEGIN IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles "
    f"WHERE rolname = '{KEEPER}') THEN CREATE ROLE {KEEPER} NOLOGIN; END IF; "
    "END $keeper$;"
)

MOST_NAMES: Final = 50
"""Objects of one REVOKE: short enough to be read."""


@dataclass(frozen=True, slots=True)
class Patient:
    """One login on one server: what every check needs to know.

    Attributes:
        login: as the policy uses it.
        reach: the roles it may act as.
        version: server_version_num.
        database: where the check runs.
        database_owner: its owner's oid.
        owner_role: oid of pg_database_owner, whose one member is the owner.
        own_users: the roles of all logins of pgwarden.
        serves: whether a database is served.
    """

    login: Login
    reach: Reach
    version: int
    database: str = ""
    database_owner: int = 0
    owner_role: int = 0
    own_users: frozenset[str] = frozenset()
    serves: Callable[[str], bool] = lambda _: True

    @property
    def oids(self) -> frozenset[int]:
        """The roles it may act as here, by oid."""
        if self.database_owner in self.reach.oids:
            return self.reach.oids | {self.owner_role}
        return self.reach.oids


@dataclass(frozen=True, slots=True)
class Grant:
    """One privilege on one object, as `aclexplode` gives it.

    Attributes:
        word: what kind of object, in SQL: `TABLE`.
        name: the object in SQL: `"public"."users"`.
        shown: the object for people.
        privilege: with a column: `UPDATE ("name")`.
    """

    word: str
    name: str
    shown: str
    privilege: str
    grantee: int
    grantor: int
    owner: int
    is_grantable: bool = False


def mend_grants(patient: Patient, grants: Sequence[Grant]) -> list[str]:
    """Statements after which the login holds none of `grants`."""
    held: dict[tuple[str, str, _Giving], list[str]] = {}
    steps: list[Membership] = []
    for grant in grants:
        if grant.grantee in {PUBLIC, patient.reach.login}:
            giver = grant.grantor if grant.grantor != grant.owner else None
            giving = _Giving(grant.grantee, giver, grant.is_grantable)
            held.setdefault((grant.word, grant.name, giving), []).append(
                grant.privilege
            )
        else:
            steps += patient.reach.first_steps(grant.grantee)
    alike: dict[tuple[str, str, _Giving], list[str]] = {}
    for (word, name, giving), privileges in held.items():
        key = (word, ", ".join(dict.fromkeys(privileges)), giving)
        alike.setdefault(key, []).append(name)
    return [
        *cut(patient, steps),
        *(
            statement
            for (word, privileges, giving), names in alike.items()
            for at in range(0, len(names), MOST_NAMES)
            for statement in _revoke(
                patient,
                f"{privileges} ON {word} {', '.join(names[at : at + MOST_NAMES])}",
                giving,
            )
        ),
    ]


@dataclass(frozen=True, slots=True)
class _Giving:
    """To whom, by whom (None: in the owner's name), and whether it may be passed on."""

    grantee: int
    grantor: int | None
    is_grantable: bool


def _revoke(patient: Patient, what: str, giving: _Giving) -> list[str]:
    holder = "PUBLIC"
    if giving.grantee != PUBLIC:
        holder = quote_name(patient.reach.name(giving.grantee))
    cascade = " CASCADE" if giving.is_grantable else ""
    statement = f"REVOKE {what} FROM {holder}{cascade};"
    if giving.grantor is None:
        return [statement]
    name = quote_name(patient.reach.name(giving.grantor))
    return [f"SET ROLE {name};", statement, "RESET ROLE;"]


def cut(patient: Patient, steps: Iterable[Membership]) -> list[str]:
    """Statements that end these memberships."""
    reach = patient.reach
    done = []
    for step in dict.fromkeys(steps):
        statement = (
            f"REVOKE {quote_name(reach.name(step.role))} "
            f"FROM {quote_name(reach.name(step.member))}"
        )
        if patient.version >= MEMBERSHIP_HAS_GRANTOR:
            statement += f" GRANTED BY {quote_name(reach.name(step.grantor))}"
        done.append(statement + (" CASCADE;" if step.has_admin else ";"))
    return done
