"""From rows of `aclexplode` to grants, and from grants to one finding of a kind.

Pure. Next: `proxy.doctor.mending`, which takes them back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.doctor.findings import finding
from proxy.doctor.mending import Grant, mend_grants
from proxy.doctor.quoting import qualified, quote_name
from proxy.doctor.reach import PUBLIC

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from proxy.doctor.check import Row, Rows
    from proxy.doctor.findings import Finding
    from proxy.doctor.mending import Patient


def grant_of(
    row: Row, word: str, name: str, *, shown: str = "", privilege: str = ""
) -> Grant:
    """One grant, out of a row that has the columns of `aclexplode` and the owner."""
    return Grant(
        word,
        name,
        shown or name,
        privilege or row["privilege"],
        grantee=row["grantee"],
        grantor=row["grantor"],
        owner=row["owner"],
        is_grantable=row["is_grantable"],
    )


def grant_findings(
    kind: str, word: str, *, is_dotted: bool = False
) -> Callable[[Patient, Rows], Iterator[Finding | None]]:
    """A judge for rows about objects of one kind that have just a name."""

    def judge(patient: Patient, rows: Rows) -> Iterator[Finding | None]:
        yield told(
            kind,
            patient,
            (
                grant_of(
                    row,
                    word,
                    qualified(
                        *(row["name"].split(".") if is_dotted else [row["name"]])
                    ),
                    shown=row["name"],
                )
                for row in rows
            ),
        )

    return judge


def told(
    kind: str, patient: Patient, grants: Iterable[Grant], *, detail: str = ""
) -> Finding | None:
    """One finding about all these grants; None for none."""
    grants = list(grants)
    if not grants:
        return None
    return finding(
        kind,
        patient.login,
        objects=_shown(patient, grants),
        sql=mend_grants(patient, grants),
        database=patient.database,
        detail=detail,
    )


def _shown(patient: Patient, grants: Sequence[Grant]) -> list[str]:
    """Each object once, with what is held and through whom."""
    held: dict[tuple[str, int], list[str]] = {}
    for grant in grants:
        words = held.setdefault((grant.shown, grant.grantee), [])
        if grant.privilege not in words:
            words.append(grant.privilege)
    return [
        f"{shown} ({', '.join(words)}{_through(patient, grantee)})"
        for (shown, grantee), words in held.items()
    ]


def _through(patient: Patient, grantee: int) -> str:
    if grantee == patient.reach.login:
        return ""
    if grantee == PUBLIC:
        return "; PUBLIC"
    return f"; as {quote_name(patient.reach.name(grantee))}"
