"""A check as data: one query, and a pure function from its rows to findings.

Queries run with an empty search_path, as the login itself: what they read must be open
to everybody. They look at access control lists and owners rather than ask
has_table_privilege, for which a superuser holds everything: so they also tell what
would remain if it were none. Pure. Next: `proxy.doctor.examine`, which runs them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from proxy.doctor.findings import KINDS, NOTE, Severity, finding
from proxy.doctor.reach import PUBLIC

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from proxy.doctor.findings import Finding
    from proxy.doctor.mending import Patient

Row: TypeAlias = dict[str, Any]
Rows: TypeAlias = list[Row]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing to look at.

    Attributes:
        name: for people, in "not-checked".
        kinds: what it may find.
        sql: its query; `@holders` stands for the oids of the login's roles and of
            PUBLIC, `@roles` for those of its roles, `@login` for its own.
        judge: from rows to findings.
        since: the first server_version_num that has what it reads.
        denied: what to find where Postgres lets only some look (42501).
    """

    name: str
    kinds: tuple[str, ...]
    sql: str
    judge: Callable[[Patient, Rows], Iterable[Finding | None]]
    since: int = 0
    denied: str = ""

    def query(self, patient: Patient) -> str:
        """The query for this login. Only numbers are put in."""
        oids = sorted(patient.oids)
        return (
            self.sql.replace("@holders", ", ".join(map(str, [PUBLIC, *oids])))
            .replace("@roles", ", ".join(map(str, oids)))
            .replace("@login", str(patient.reach.login))
        )

    def findings(self, patient: Patient, rows: Rows) -> list[Finding]:
        """What the rows tell."""
        return [each for each in self.judge(patient, rows) if each is not None]

    def not_run(self, patient: Patient, why: str, *, is_denied: bool) -> Finding | None:
        """The finding that stands for those of a check that failed."""
        if self.denied and is_denied:
            return finding(self.denied, patient.login, sql=[f"{self.sql.strip()};"])
        return finding(
            "not-checked",
            patient.login,
            objects=[self.name],
            detail=why,
            database=patient.database,
            severity=_worst(patient, self.kinds),
        )


def _worst(patient: Patient, kinds: Iterable[str]) -> Severity:
    order = list(Severity)
    found = [
        (KINDS[kind].reader if patient.login.is_reader else KINDS[kind].writer) or NOTE
        for kind in kinds
    ]
    return min(found, key=order.index)
