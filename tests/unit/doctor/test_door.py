"""`proxy.doctor.door`: Postgres' three log formats, and who came in how."""

from __future__ import annotations

import json
from ipaddress import ip_network

import pytest

from proxy.doctor.door import (
    LOCAL,
    UNKNOWN,
    Arrival,
    Doorkeeper,
    DoorReport,
    Known,
    LogFormat,
    Reading,
    Way,
    arrivals,
    known_of,
)
from proxy.errors import ConfigError

AT = "2026-11-26 17:12:43.825 UTC"
AUTHORIZED = "connection authorized: user={} database=app application_name=psql"


def read(
    text: str, kind: LogFormat = LogFormat.STDERR
) -> tuple[list[Arrival], Reading]:
    reading = Reading()
    found = list(arrivals(text.splitlines(keepends=True), kind, reading))
    return found, reading


def plain(pid: int, message: str, prefix: str = "") -> str:
    return f"{AT} [{pid}] {prefix}LOG:  {message}\n"


def test_two_connections_at_once_in_the_plain_format() -> None:
    found, reading = read(
        plain(1, "connection received: host=10.0.0.5 port=1")
        + plain(2, "connection received: host=[local]")
        + plain(2, AUTHORIZED.format("postgres"))
        + plain(1, AUTHORIZED.format("ana") + " SSL enabled (protocol=TLSv1.3)")
    )
    assert found == [
        Arrival(AT[:19], "postgres", "app", LOCAL),
        Arrival(AT[:19], "ana", "app", "10.0.0.5"),
    ]
    assert (reading.unread, reading.switched) == (0, 0)


@pytest.mark.parametrize(
    ("message", "user", "database"),
    [
        ("connection authorized: user=a b database=c d", "a b", "c d"),
        ("replication connection authorized: user=copy", "copy", ""),
        ("replication connection authorized: user=copy application_name=x", "copy", ""),
        ("connection authorized: user=a database=b SSL enabled (x)", "a", "b"),
        ("connection authorized: user=a database=b GSS (y)", "a", "b"),
    ],
)
def test_forms_of_the_message(message: str, user: str, database: str) -> None:
    (found,), _ = read(plain(1, message))
    assert (found.user, found.database, found.address) == (user, database, UNKNOWN)


def test_a_prefix_as_providers_set_it() -> None:
    """`%t:%r:%u@%d:[%p]:` of Amazon RDS, where a line names its client as well."""
    when = "2026-11-26 17:12:43 UTC"
    found, _ = read(
        f"{when}:10.0.0.5(4711):[unknown]@[unknown]:[81]:LOG:  "
        "connection received: host=10.0.0.5 port=4711\n"
        f"{when}:10.0.0.5(4711):ana@app:[81]:LOG:  {AUTHORIZED.format('ana')}\n"
    )
    assert found == [Arrival(when[:19], "ana", "app", "10.0.0.5")]


def test_the_number_of_a_process_comes_again() -> None:
    found, _ = read(
        plain(1, "connection received: host=10.0.0.5 port=1")
        + plain(1, AUTHORIZED.format("a"))
        + plain(1, AUTHORIZED.format("b"))
    )
    assert [each.address for each in found] == ["10.0.0.5", UNKNOWN]


def test_a_line_break_in_a_name_begins_no_line() -> None:
    forged = plain(1, "connection received: host=10.0.0.5 port=1")
    found, _ = read(
        plain(1, "connection received: host=10.6.6.6 port=1")
        + f'{AT} [1] FATAL:  password authentication failed for user "x\n'
        + f"\t{forged}"
        + f"\t{plain(9, AUTHORIZED.format('ghost'))}"
        + plain(1, AUTHORIZED.format("ana"))
    )
    assert [(each.user, each.address) for each in found] == [("ana", "10.6.6.6")]


def test_a_log_that_names_no_process() -> None:
    with pytest.raises(ConfigError, match="which process"):
        read(f"{AT} LOG:  {AUTHORIZED.format('a')}\n")


def csv_row(message: str, host: str = "10.0.0.5:4711", user: str = "ana") -> str:
    fields = [AT, user, "app", "1", host, *["x"] * 8, message, *["x"] * 9]
    assert len(fields) == 23
    return ",".join('"' + each.replace('"', '""') + '"' for each in fields) + "\n"


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("10.0.0.5:4711", "10.0.0.5"),
        ("fd00::5:4711", "fd00::5"),
        ("[local]", LOCAL),
        ("app.example:4711", "app.example"),
        ("", UNKNOWN),
    ],
)
def test_csvlog(host: str, address: str) -> None:
    found, reading = read(
        csv_row("connection received: host=10.6.6.6 port=1", user="")
        + csv_row('a text with "quotes"\nand a line:\n' + AUTHORIZED.format("x"))
        + csv_row(AUTHORIZED.format("ana"), host),
        LogFormat.CSV,
    )
    assert found == [Arrival(AT[:19], "ana", "app", address)]
    assert reading.unread == 0


def test_jsonlog() -> None:
    row = {"timestamp": AT, "user": "ana", "dbname": "app", "remote_host": "10.0.0.5"}
    text = "".join(
        json.dumps(row | {"message": message}) + "\n"
        for message in ("disconnection: ...", AUTHORIZED.format("ana"))
    )
    found, reading = read(text + '{"timestamp": "cut', LogFormat.JSON)
    assert found == [Arrival(AT[:19], "ana", "app", "10.0.0.5")]
    assert reading.unread == 0  # the last line of a file is being written


@pytest.mark.parametrize("kind", [LogFormat.CSV, LogFormat.JSON])
def test_another_format_is_counted(kind: LogFormat) -> None:
    found, reading = read(plain(1, "x") * 3, kind)
    assert (found, reading.unread) == ([], 2)


def test_what_csv_can_not_read_is_a_mistake_and_no_empty_log() -> None:
    with pytest.raises(ConfigError, match="is no csvlog"):
        list(arrivals(["a\rb\n"], LogFormat.CSV, Reading()))


@pytest.mark.parametrize("kind", list(LogFormat))
def test_that_the_log_was_switched_is_counted(kind: LogFormat) -> None:
    message = 'parameter "log_connections" changed to "off"'
    text = {
        LogFormat.STDERR: plain(1, message),
        LogFormat.CSV: csv_row(message),
        LogFormat.JSON: json.dumps({"message": message}),
    }[kind]
    assert read(text, kind)[1].switched == 1


KEEPER = Doorkeeper(
    lambda user: user == "pgwarden_reader",
    (ip_network("10.0.0.5"),),
    (known_of("app@10.0.1.0/24"), known_of("backup"), known_of("postgres@local")),
)


@pytest.mark.parametrize(
    ("user", "address", "way"),
    [
        ("pgwarden_reader", "10.0.0.5", Way.PGWARDEN),
        ("pgwarden_reader", "10.0.0.6", Way.OWN_LOGIN),
        ("pgwarden_reader", LOCAL, Way.OWN_LOGIN),
        ("pgwarden_reader", UNKNOWN, Way.OWN_LOGIN),
        ("pgwarden_reader", "pgwarden.internal.example", Way.OWN_LOGIN),
        ("ana", "10.0.0.5", Way.ROUND),
        ("app", "10.0.1.7", Way.KNOWN),
        ("app", "10.0.2.7", Way.ROUND),
        ("app", LOCAL, Way.ROUND),
        ("backup", "192.0.2.1", Way.KNOWN),
        ("postgres", LOCAL, Way.KNOWN),
        ("postgres", "127.0.0.1", Way.ROUND),
    ],
)
def test_who_came_in_how(user: str, address: str, way: Way) -> None:
    assert KEEPER.way(Arrival("", user, "app", address)) is way


def test_pgwardens_own_login_is_never_somebody_known() -> None:
    keeper = Doorkeeper(lambda _: True, (), (Known("reader"),))
    assert keeper.way(Arrival("", "reader", "app", "10.0.0.9")) is Way.OWN_LOGIN


def test_a_place_that_is_none() -> None:
    with pytest.raises(ConfigError, match=r'"10\.0\.0" is no address'):
        known_of("app@10.0.0")


def test_what_is_alike_is_one_line() -> None:
    report = DoorReport()
    for at in ("2026-11-26 10:00:00", "2026-11-26 11:00:00"):
        report.add(Way.ROUND, Arrival(at, "ana", "app", "10.6.6.6"))
    report.add(Way.KNOWN, Arrival("2026-11-26 12:00:00", "app", "app", "10.0.1.1"))
    (seen,) = report.went_round
    assert (seen.count, seen.first[11:13], seen.last[11:13]) == (2, "10", "11")
    assert (report.first[11:13], report.last[11:13]) == ("10", "12")
    assert report.number(*Way) == 3
