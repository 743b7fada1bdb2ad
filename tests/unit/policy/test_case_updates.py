"""Records written into a case file: the record changes, and nothing else."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, strategies as st

from proxy.policy.case_updates import LINE, with_records
from proxy.policy.cases import load_cases

if TYPE_CHECKING:
    from proxy.policy.case_records import Record

HEAD = "# a file\nversion: 1\npolicy: p.yaml # beside it\ncases:\n"
RECORD: Record = {"reason": "it only: reads", "kind": "read"}
WRITTEN = "record: {reason: 'it only: reads', kind: read}"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            "  - {role: r, expect: deny, rule: x, sql: A}\n",
            "  - {role: r, expect: deny, rule: x, sql: A,\n     " + WRITTEN + "}\n",
        ),
        (
            "  - {role: r, expect: deny, rule: x, # who\n"
            "     sql: SELECT  1, # what\n"
            "  }\n"
            "  # next\n",
            "  - {role: r, expect: deny, rule: x, # who\n"
            "     sql: SELECT  1,\n"
            f"     {WRITTEN}, # what\n"
            "  }\n"
            "  # next\n",
        ),
        (
            "  - {role: r, record: {reason: old,\n      kind: x}, # known\n"
            "     expect: deny, rule: x, sql: [A, B]}\n",
            f"  - {{role: r, {WRITTEN}, # known\n"
            "     expect: deny, rule: x, sql: [A, B]}\n",
        ),
        (
            "  - role: r\n    rule: x\n    expect: deny # really\n    sql: A # this\n"
            "\n    # after it\n",
            "  - role: r\n    rule: x\n    expect: deny # really\n    sql: A # this\n"
            f"    {WRITTEN}\n"
            "\n    # after it\n",
        ),
        (
            "  - role: r\n    rule: x\n    expect: deny\n    sql:\n      - A\n"
            "      - B # last",
            "  - role: r\n    rule: x\n    expect: deny\n    sql:\n      - A\n"
            f"      - B # last\n    {WRITTEN}\n",
        ),
        (
            "  - role: r\n    rule: x\n    expect: deny\n    sql: |\n      SELECT\n"
            "        1\n\n  # after it\n",
            "  - role: r\n    rule: x\n    expect: deny\n    sql: |\n      SELECT\n"
            f"        1\n\n    {WRITTEN}\n  # after it\n",
        ),
        (
            "  - role: r\n    record:\n      reason: old # so far\n      kind:\n"
            "        - x\n\n    # and then\n"
            "    rule: x\n    expect: deny\n    sql: A\n",
            f"  - role: r\n    {WRITTEN}\n\n    # and then\n"
            "    rule: x\n    expect: deny\n    sql: A\n",
        ),
        (
            "  - role: r\n    record:\n    rule: x\n    expect: deny\n    sql: A\n",
            f"  - role: r\n    {WRITTEN}\n    rule: x\n    expect: deny\n    sql: A\n",
        ),
    ],
)
def test_one_record(before: str, after: str) -> None:
    load_cases(HEAD + before, source="c")
    text = with_records(HEAD + before, {0: RECORD})
    assert text == HEAD + after
    assert load_cases(text, source="c").cases[0].record == RECORD
    assert with_records(text, {0: RECORD}) == text


def test_long_records_are_broken_between_facts() -> None:
    case = "  - {role: r, expect: deny, rule: x, sql: A}\n"
    record: Record = {
        "reason": "words " * 30 + "end",
        "kind": "read",
        "columns": [f"t.column_{number}" for number in range(12)],
        "statements": [{"kind": "read"}, {"kind": "ddl", "flags": "cascade"}],
    }
    text = with_records(HEAD + case, {0: record})
    assert text.removeprefix(HEAD).splitlines() == [
        "  - {role: r, expect: deny, rule: x, sql: A,",
        f"     record: {{reason: {record['reason']},",
        "       kind: read,",
        f"       columns: [{', '.join(record['columns'])}],",
        "       statements: [",
        "       {kind: read},",
        "       {kind: ddl, flags: cascade}]}}",
    ]
    assert load_cases(text, source="c").cases[0].record == record
    short = {"reason": "r" * 30, "kind": "k" * 20, "flags": "f" * 30, "lock_mode": "l"}
    for line in with_records(HEAD + case, {0: short}).splitlines():
        assert len(line) <= LINE


words = st.text(
    st.characters(exclude_categories=["Cs"])
    | st.sampled_from("{}[],:#&*!|>'\"%@`- \n"),
    max_size=12,
)
values = st.one_of(words, st.lists(words, max_size=3), st.none(), st.booleans())
keys = st.text("abcdef_", min_size=1, max_size=8)
records = st.dictionaries(keys, values | st.dictionaries(keys, values, max_size=2))
LAYOUTS = (
    "  - {role: r, expect: deny, rule: x, sql: A%d}\n",
    "  # a comment\n  - {role: r, expect: deny, rule: x,\n     sql: A%d,\n  }\n",
    "  - {record: {a: [b, c],\n   d: e}, role: r, expect: deny, rule: x, sql: A%d}\n",
    "  - role: r\n    expect: deny\n    rule: x\n    sql: A%d\n",
    "  - role: r\n    expect: deny\n    record:\n      a:\n        b: c\n    rule: x\n"
    "    sql: A%d\n",
    "  -   role: r\n      expect: deny\n      rule: x\n      sql: |\n        A%d\n",
)


@given(
    st.lists(st.tuples(st.sampled_from(LAYOUTS), st.none() | records), min_size=1),
    st.lists(records, max_size=1),
)
def test_any_records_into_any_cases(
    cases: list[tuple[str, Record | None]], statements: list[Record]
) -> None:
    before = HEAD + "".join(layout % number for number, (layout, _) in enumerate(cases))
    wanted = {
        number: record | ({"statements": [*statements, {"kind": "x"}]})
        for number, (_, record) in enumerate(cases)
        if record is not None
    }
    text = with_records(before, wanted)
    old, new = load_cases(before, source="c"), load_cases(text, source="c")
    for number, (was, now) in enumerate(zip(old.cases, new.cases, strict=True)):
        assert now.record == wanted.get(number, was.record)
        assert now.model_dump(exclude={"record"}) == was.model_dump(exclude={"record"})
    assert re.findall("# a .*", text) == re.findall("# a .*", before)
    assert with_records(text, wanted) == text
