"""Who else gets in: pg_hba.conf as far as it can be read, and the sessions there are.

Pure. Next: `proxy.doctor.probes`.
"""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Final

from proxy.doctor.check import Check
from proxy.doctor.findings import finding
from proxy.doctor.quoting import quote_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proxy.doctor.check import Row, Rows
    from proxy.doctor.findings import Finding
    from proxy.doctor.mending import Patient

_HBA: Final = """
    SELECT line_number AS line, type, database, user_name AS users, address, netmask,
           auth_method AS method, error,
           pg_catalog.host(pg_catalog.inet_client_addr()) AS here
    FROM pg_catalog.pg_hba_file_rules
    ORDER BY 1
"""
_ACTIVITY: Final = """
    SELECT a.usename AS user, a.datname AS database,
           pg_catalog.host(a.client_addr) AS address,
           pg_catalog.host(pg_catalog.inet_client_addr()) AS here,
           pg_catalog.count(*)::int AS sessions
    FROM pg_catalog.pg_stat_activity a
    WHERE a.usename IS NOT NULL AND a.datname IS NOT NULL
      AND a.pid <> pg_catalog.pg_backend_pid()
      AND coalesce(a.backend_type, 'client backend') = 'client backend'
    GROUP BY 1, 2, 3
    ORDER BY 1, 2, 3
"""


_LOGGED: Final = """
    SELECT setting AS value FROM pg_catalog.pg_settings WHERE name = 'log_connections'
"""
_UNLOGGED: Final = {"", "off", "false", "no", "0"}
"""Of log_connections, which is a list of words since PostgreSQL 18."""
_NO_BITS: Final = {str(ip_address(0)), "::"}
"""Masks of every address."""
_FAMILIES: Final = frozenset({"local", "v4", "v6"})


def _hba(patient: Patient, rows: Rows) -> Iterator[Finding | None]:
    rules = _reachable(patient, rows)
    trusting = [row for row in rules if row["method"] == "trust" and not _is_near(row)]
    names = {"all", patient.login.user}
    is_open = [
        row
        for row in rules
        if row not in trusting
        and (row["method"] == "trust" or not _is_narrow(row) or _is_elsewhere(row))
        and (names & set(row["users"]) or any(u[:1] in "+/" for u in row["users"]))
    ]
    for kind, found in (("hba-trust", trusting), ("hba-open", is_open)):
        if found:
            yield finding(
                kind,
                patient.login,
                objects=[_rule(row) for row in found],
                detail="the first rule that fits counts: one above may say otherwise",
            )


def _reachable(patient: Patient, rows: Rows) -> Rows:
    """The rules that let in, up to where the login is rejected from everywhere."""
    names = {"all", patient.login.user}
    closed: set[str] = set()
    found: Rows = []
    for row in rows:
        if row["error"] is not None:
            continue
        if row["method"] != "reject":
            if not _families(row) <= closed:
                found.append(row)
        elif names & set(row["users"]) and "all" in row["database"]:
            closed |= _closed_by(row)
    return found


def _families(row: Row) -> frozenset[str]:
    """Who a rule may be about; both families for a name or a word."""
    if row["type"] == "local":
        return frozenset({"local"})
    try:
        return frozenset({f"v{ip_address(row['address']).version}"})
    except ValueError:
        return _FAMILIES - {"local"}


def _closed_by(row: Row) -> frozenset[str]:
    """The families from which a reject of all databases leaves no way in."""
    is_whole = row["address"] in {"all", None} or row["netmask"] in _NO_BITS
    # hostssl and the like reject only some connections.
    is_any = row["type"] in {"local", "host"}
    return _families(row) if is_whole and is_any else frozenset()


def _is_elsewhere(row: Row) -> bool:
    """Whether the rule is for one machine, and that is not the one we come from."""
    try:
        address, here = ip_address(row["address"]), ip_address(row["here"] or "")
    except ValueError:
        return False
    return not address.is_loopback and address != here


def _is_near(row: Row) -> bool:
    """Whether the rule is only for the server's own machine."""
    if row["type"] == "local":
        return True
    try:
        return ip_address(row["address"]).is_loopback
    except ValueError:
        return False


def _is_narrow(row: Row) -> bool:
    """Whether the rule is for one machine, or none but the server's own."""
    if _is_near(row):
        return True
    try:
        return ip_network(f"{row['address']}/{row['netmask']}").num_addresses == 1
    except ValueError:
        # A host name is one machine; ".example" is many, and so are these words.
        is_name = row["netmask"] is None and row["address"] not in {"all", "samenet"}
        return _is_whole_mask(row) or (is_name and not row["address"].startswith("."))


def _is_whole_mask(row: Row) -> bool:
    return bool(row["netmask"] == "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")


def _rule(row: Row) -> str:
    words = [
        row["type"],
        ",".join(row["database"]),
        ",".join(row["users"]),
        row["address"],
        row["netmask"],
        row["method"],
    ]
    return f"line {row['line']}: {' '.join(word for word in words if word)}"


def _activity(patient: Patient, rows: Rows) -> Iterator[Finding | None]:
    own = patient.own_users | {patient.login.user}
    elsewhere = [
        row
        for row in rows
        if row["user"] == patient.login.user and row["address"] != row["here"]
    ]
    direct = [
        row
        for row in rows
        if row["user"] not in own and patient.serves(row["database"])
    ]
    for kind, found in (("login-elsewhere", elsewhere), ("direct-sessions", direct)):
        if found:
            yield finding(kind, patient.login, objects=[_session(row) for row in found])


def _session(row: Row) -> str:
    # Postgres shows the address of other roles' sessions only to some.
    where = f" from {row['address']}" if row["address"] else ""
    return (
        f"{quote_name(row['user'])} in {quote_name(row['database'])}{where}: "
        f"{row['sessions']}"
    )


def _logged(patient: Patient, rows: Rows) -> Iterator[Finding | None]:
    if any(row["value"].strip().lower() in _UNLOGGED for row in rows):
        yield finding(
            "logins-unlogged",
            patient.login,
            sql=[
                "ALTER SYSTEM SET log_connections = on;",
                "SELECT pg_catalog.pg_reload_conf();",
            ],
        )


CHECKS: Final = (
    Check(
        name="pg_hba.conf",
        kinds=("hba-trust", "hba-open"),
        sql=_HBA,
        judge=_hba,
        denied="hba-unreadable",
    ),
    Check(
        name="sessions",
        kinds=("login-elsewhere", "direct-sessions"),
        sql=_ACTIVITY,
        judge=_activity,
    ),
    Check(
        name="whether logins are logged",
        kinds=("logins-unlogged",),
        sql=_LOGGED,
        judge=_logged,
    ),
)
"""Run once for a login."""
