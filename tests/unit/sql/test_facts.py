from __future__ import annotations

from proxy.sql.analyse import analyse
from proxy.sql.facts import STRONGEST_FIRST, Flag, Kind, merge_executed, strongest


def test_every_kind_has_its_strength() -> None:
    assert set(STRONGEST_FIRST) == set(Kind)
    assert len(STRONGEST_FIRST) == len(Kind)
    assert strongest(frozenset({Kind.READ, Kind.DELETE})) is Kind.DELETE


def test_an_execute_does_what_the_prepared_statement_does() -> None:
    prepare, execute = analyse(
        b"PREPARE p AS DELETE FROM s.t; EXECUTE p(nextval('x'))"
    ).statements
    merged = merge_executed(execute, prepare)
    assert merged.kind is Kind.DELETE
    assert merged.kinds == {Kind.EXECUTE, Kind.DELETE}
    assert merged.actions == ("execute", "delete")
    assert {use.name for use in merged.relations} == {"t"}
    assert {use.name for use in merged.functions} == {"nextval"}
    assert Flag.UNFILTERED in merged.flags
    assert [name.verb for name in merged.names] == ["execute"]
    assert Kind.SESSION not in merged.kinds


def test_a_statement_prepared_by_the_protocol_is_its_own_body() -> None:
    (select,) = analyse(b"SELECT a.b FROM t").statements
    (execute,) = analyse(b"EXECUTE p").statements
    merged = merge_executed(execute, select)
    assert merged.kinds == {Kind.EXECUTE, Kind.READ}
    assert merged.columns == (("a", "b"),)
    assert merged.verb == "ExecuteStmt"


def test_prepare_tells_its_body_apart() -> None:
    (prepare,) = analyse(b"PREPARE p AS SELECT 1").statements
    assert prepare.prepared is not None
    assert prepare.prepared.kinds == {Kind.READ}
    assert prepare.prepared.verb == "SelectStmt"
