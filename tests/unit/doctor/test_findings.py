"""`proxy.doctor.findings`: how bad, for whom, and in which order."""

from __future__ import annotations

from proxy.doctor.findings import (
    CRITICAL,
    KINDS,
    MAX_OBJECTS,
    NOTE,
    WARNING,
    Login,
    finding,
    in_order,
)

READER = Login("reader", "r", is_reader=True)
WRITER = Login("migrator", "m", is_reader=False)


def test_write_power_of_a_reader_is_critical() -> None:
    for kind in KINDS:
        if kind.startswith(("writes-", "owns-", "creates-in-s", "creates-in-d")):
            assert KINDS[kind].reader is CRITICAL, kind
            assert KINDS[kind].writer is NOTE, kind


def test_for_a_writer_it_is_another_bar() -> None:
    for kind in ("superuser", "createrole", "replication", "predefined-role"):
        assert KINDS[kind].writer is CRITICAL
    assert finding("lock-c", WRITER) is None


def test_names_some_and_counts_all() -> None:
    found = finding("writes-relations", READER, objects=[str(n) for n in range(50)])
    assert found is not None
    assert (len(found.objects), found.count) == (MAX_OBJECTS, 50)


def test_a_note_has_nothing_to_mend() -> None:
    found = finding("writes-relations", WRITER, sql=["REVOKE"])
    assert found is not None
    assert (found.severity, found.sql) == (NOTE, ())


def test_the_worst_is_first() -> None:
    given = [
        finding("can-become", READER),
        finding("temp-tables", READER),
        finding("writes-relations", READER),
        finding("superuser", READER),
    ]
    order = in_order([each for each in given if each is not None])
    assert [each.severity for each in order] == [CRITICAL, CRITICAL, WARNING, NOTE]
    assert order[0].id == "superuser"


def test_each_kind_is_a_sentence() -> None:
    for kind, row in KINDS.items():
        assert row.means.endswith("."), kind
        assert row.mend.endswith("."), kind
