"""Every login that went round pgwarden, out of Postgres' own log.

`pg_stat_activity` shows who is there now; a log with `log_connections` has everybody
who ever came in. What is read is the line `connection authorized`, which Postgres
writes once a login is through and before any setting of the client or its role counts
(PerformAuthentication in postinit.c): nobody can leave it out for a session of theirs.
Pure. Next: `proxy.cli.door`.
"""

from __future__ import annotations

import csv
import json
import re
from dataclasses import dataclass, field
from enum import Enum
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from proxy.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from ipaddress import IPv4Network, IPv6Network

    Network: TypeAlias = IPv4Network | IPv6Network

LOCAL: Final = "[local]"
"""How Postgres writes the address of a Unix-domain socket."""
UNKNOWN: Final = "?"
"""An address that stands in no line of the log: it was rotated in between."""

_AUTHORIZED: Final = re.compile(
    r"(?:replication )?connection authorized: user=(?P<user>.*?)"
    r"(?: database=(?P<database>.*?))?"
    r"(?: application_name=.*?)?(?: SSL enabled .*| GSS .*)?$"
)
_RECEIVED: Final = re.compile(r"connection received: host=(?P<host>\S+)")
_SWITCHED: Final = re.compile(r'parameter "log_connections" (?:changed|removed)')
_LINE: Final = re.compile(r"(?P<prefix>[^\t].*?)LOG:  (?P<message>.*)")
"""Of the plain format. A line that goes on begins with a tab (append_with_tabs in
elog.c), so a name with a line break in it can't begin one."""
_PID: Final = re.compile(r"\[(\d+)\]")
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")
_CSV: Final = {"at": 0, "user": 1, "database": 2, "from": 4, "message": 13}
"""Columns of csvlog, the same since PostgreSQL 9.0 (write_csvlog in csvlog.c)."""
_CSV_COLUMNS: Final = 23
_MOST_CSV_FIELD: Final = 1 << 28
"""Characters: a statement in the log may be as long as Postgres takes one."""


class LogFormat(Enum):
    """What `log_destination` says."""

    STDERR = "stderr"
    CSV = "csv"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class Arrival:
    """One login that Postgres let in.

    Attributes:
        at: as the log has it; "" where its prefix has no time.
        user: the role.
        database: "" for replication.
        address: of the client, `LOCAL` or `UNKNOWN`.
    """

    at: str
    user: str
    database: str
    address: str


@dataclass(slots=True)
class Reading:
    """What stands in the way of believing a log.

    Attributes:
        unread: lines that are not of the format, but for a last one cut short.
        switched: lines that say that `log_connections` was changed.
    """

    unread: int = 0
    switched: int = 0


def arrivals(
    lines: Iterable[str], kind: LogFormat, reading: Reading
) -> Iterator[Arrival]:
    """The logins of one log file.

    Args:
        lines: with their line breaks.
        kind: its format.
        reading: what could not be read is counted here.
    """
    match kind:
        case LogFormat.STDERR:
            return _plain(lines, reading)
        case LogFormat.CSV:
            return _csv(lines, reading)
        case LogFormat.JSON:
            return _json(lines, reading)


def _plain(lines: Iterable[str], reading: Reading) -> Iterator[Arrival]:
    addresses: dict[str, str] = {}
    for line in lines:
        found = _LINE.match(line.rstrip("\n"))
        if found is None:
            continue
        message = found["message"]
        reading.switched += _SWITCHED.match(message) is not None
        received = _RECEIVED.match(message)
        authorized = _AUTHORIZED.match(message)
        if received is None and authorized is None:
            continue
        pid = _PID.search(found["prefix"])
        if pid is None:
            raise ConfigError(
                "the lines of this log do not say which process wrote them",
                hint="log_line_prefix wants [%p], as by default; or log as csvlog",
            )
        if received is not None:
            addresses[pid[1]] = received["host"]
        elif authorized is not None:
            at = _TIME.search(found["prefix"])
            yield Arrival(
                at[0] if at else "",
                authorized["user"],
                authorized["database"] or "",
                addresses.pop(pid[1], UNKNOWN),
            )


def _csv(lines: Iterable[str], reading: Reading) -> Iterator[Arrival]:
    csv.field_size_limit(_MOST_CSV_FIELD)
    is_cut = False
    try:
        for row in csv.reader(lines):
            reading.unread += is_cut
            is_cut = len(row) < _CSV_COLUMNS
            if is_cut:
                continue
            fields = {name: row[at] for name, at in _CSV.items()}
            host, _, port = fields["from"].rpartition(":")
            address = host if port.isdecimal() else fields["from"]
            yield from _told(fields, address, reading)
    except csv.Error as error:
        raise ConfigError(
            f"this log is no csvlog: {error}", hint="--format says what it is"
        ) from error


def _json(lines: Iterable[str], reading: Reading) -> Iterator[Arrival]:
    is_cut = False
    for line in lines:
        reading.unread += is_cut
        try:
            row: dict[str, Any] = json.loads(line)
            fields = {
                "at": str(row.get("timestamp", "")),
                "user": str(row.get("user", "")),
                "database": str(row.get("dbname", "")),
                "message": str(row.get("message", "")),
            }
        except (ValueError, AttributeError):
            is_cut = True
            continue
        is_cut = False
        yield from _told(fields, str(row.get("remote_host", UNKNOWN)), reading)


def _told(fields: dict[str, str], address: str, reading: Reading) -> Iterator[Arrival]:
    reading.switched += _SWITCHED.match(fields["message"]) is not None
    if _AUTHORIZED.match(fields["message"]) is not None:
        at = _TIME.match(fields["at"])
        yield Arrival(
            at[0] if at else "",
            fields["user"],
            fields["database"],
            address or UNKNOWN,
        )


# --- who is who ----------------------------------------------------------------


class Way(Enum):
    """How somebody came in."""

    PGWARDEN = "pgwarden"
    KNOWN = "known"
    OWN_LOGIN = "pgwarden's login from elsewhere"
    ROUND = "went round pgwarden"


@dataclass(frozen=True, slots=True)
class Known:
    """Somebody who may come in another way: the application, a backup.

    Attributes:
        user: the role.
        place: where from: a network, `LOCAL`, None for anywhere.
    """

    user: str
    place: Network | str | None = None


def known_of(text: str) -> Known:
    """`app`, `app@10.0.1.0/24` or `postgres@local`.

    Raises:
        ConfigError: it is none of these.
    """
    user, at, place = text.rpartition("@")
    if not at:
        return Known(text)
    return Known(user, LOCAL if place == "local" else network_of(place))


def network_of(text: str) -> Network:
    """An address or a network.

    Raises:
        ConfigError: it is neither.
    """
    try:
        return ip_network(text, strict=False)
    except ValueError:
        raise ConfigError(
            f'"{text}" is no address and no network',
            hint="10.0.0.5 or 10.0.1.0/24; `local` for a Unix-domain socket",
        ) from None


def is_in(address: str, place: Network | str | None) -> bool:
    """Whether an address of the log is in that place; a name is in none."""
    if place is None:
        return True
    if isinstance(place, str):
        return address == place
    try:
        # A link-local address comes with its interface: fe80::1%eth0.
        return ip_address(address.partition("%")[0]) in place
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class Doorkeeper:
    """Who comes in how.

    Attributes:
        is_own: whether a role is one of pgwarden's own logins.
        addresses: where pgwarden connects from, as Postgres sees it.
        known: who else may come in.
    """

    is_own: Callable[[str], bool]
    addresses: tuple[Network, ...]
    known: tuple[Known, ...] = ()

    def way(self, arrival: Arrival) -> Way:
        """How this one came in."""
        is_own = self.is_own(arrival.user)
        if is_own and any(is_in(arrival.address, each) for each in self.addresses):
            return Way.PGWARDEN
        if is_own:
            return Way.OWN_LOGIN
        for each in self.known:
            if each.user == arrival.user and is_in(arrival.address, each.place):
                return Way.KNOWN
        return Way.ROUND


@dataclass(slots=True)
class Seen:
    """Logins that are alike."""

    way: Way
    user: str
    database: str
    address: str
    count: int = 0
    first: str = ""
    last: str = ""


@dataclass(slots=True)
class DoorReport:
    """What the logs tell.

    Attributes:
        seen: by how, who and whence; the worst ways last in `Way` first.
        first: the time of the first login, as the log has it.
        last: that of the last.
    """

    reading: Reading = field(default_factory=Reading)
    first: str = ""
    last: str = ""
    _seen: dict[tuple[Way, str, str, str], Seen] = field(default_factory=dict)

    def add(self, way: Way, arrival: Arrival) -> None:
        """Count one more."""
        key = (way, arrival.user, arrival.database, arrival.address)
        seen = self._seen.setdefault(key, Seen(*key))
        seen.count += 1
        seen.first = seen.first or arrival.at
        seen.last = arrival.at
        self.first = min(filter(None, (self.first, arrival.at)), default="")
        self.last = max(self.last, arrival.at)

    def number(self, *ways: Way) -> int:
        """How many logins came in so."""
        return sum(each.count for each in self._seen.values() if each.way in ways)

    @property
    def went_round(self) -> list[Seen]:
        """Those that did not come through pgwarden, and that nobody named."""
        found = [each for each in self._seen.values() if each.way in ROUND_WAYS]
        return sorted(found, key=lambda each: (-each.count, each.user, each.address))


ROUND_WAYS: Final = (Way.OWN_LOGIN, Way.ROUND)
