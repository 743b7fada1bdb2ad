"""Policy documents: what holds together, and how problems are told."""

from __future__ import annotations

import hashlib

import pytest

from proxy.policy.documents import Document, PolicyError, load

SMALL = """\
version: 1
name: small
lists:
  books: [ledger, journal]
settings:
  harmless:
    - application_name
    - {name: jit, values: [on, true, 0]}
rules:
  common:
    - id: common.read
      permit: {kinds: read, actions: select, relations: [{access: read}]}
roles:
  reader:
    login: permit
    upstream: reader
    include: [common]
    rules:
      - id: reader.books
        forbid: {relations: [{access: "*", names: ["@books"]}]}
        reason: the books are closed
      - id: reader.set
        permit: {kinds: [session], settings: ["@harmless"]}
"""


def said(text: str) -> list[str]:
    with pytest.raises(PolicyError) as caught:
        load(text, source="p.yaml")
    return str(caught.value).splitlines()


def test_a_small_document() -> None:
    document = load(SMALL, source="p.yaml")
    assert isinstance(document, Document)
    assert document.version == hashlib.sha256(SMALL.encode()).hexdigest()[:12]
    role = document.model.roles["reader"]
    assert [rule.id for rule in document.rules_of(role)] == [
        "common.read",
        "reader.books",
        "reader.set",
    ]
    assert document.words(["@books", "x"]) == ("ledger", "journal", "x")
    settings = document.setting_matches(role.rules[1].permit.settings)  # type: ignore[union-attr]
    assert [(each.name, each.values) for each in settings] == [
        ("application_name", None),
        ("jit", ["on", "on", "0"]),
    ]


def test_any_change_of_the_text_is_another_version() -> None:
    assert load(SMALL, source="a").version != load(SMALL + "# x\n", source="a").version


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "kinds: read,",
            "kind: read,",
            'p.yaml:12: unknown key "kind"; did you mean "kinds"?',
        ),
        (
            "name: small",
            "nam: small",
            'p.yaml:2: unknown key "nam"; did you mean "name"?',
        ),
        ("version: 1", "version: 2", 'p.yaml:1: "version": input should be 1'),
        (
            "kinds: read,",
            "kinds: reads,",
            'p.yaml:12: "rules.common.0.permit.kinds.0": '
            'unknown word "reads"; did you mean "read"?',
        ),
        (
            'names: ["@books"]',
            'names: ["@bocks"]',
            'p.yaml:20: no list "bocks"; did you mean "books"?',
        ),
        (
            '"@harmless"',
            '"@harmles"',
            'p.yaml:23: no settings group "harmles"; did you mean "harmless"?',
        ),
        (
            "include: [common]",
            "include: [comon]",
            'p.yaml:17: no group of rules "comon"; did you mean "common"?',
        ),
        (
            "id: reader.set",
            "id: common.read",
            'p.yaml:22: rule id "common.read" is used twice',
        ),
        (
            "        reason: the books are closed\n",
            "",
            'p.yaml:19: rule "reader.books" forbids, '
            'so it needs a "reason" for the person',
        ),
        (
            "    upstream: reader\n",
            "",
            'p.yaml:14: role "reader" may log in, so it needs',
        ),
        (
            "        reason: the books are closed",
            "        permit: {kinds: [read]}",
            'p.yaml:19: rule "reader.books" needs exactly one of "permit" and "forbid"',
        ),
        (
            'forbid: {relations: [{access: "*", names: ["@books"]}]}',
            "forbid: {}",
            'p.yaml:20: rule "reader.books" forbids nothing',
        ),
        (
            "        reason: the books are closed",
            "        reason: x\n        in_quarantine: true",
            'p.yaml:19: rule "reader.books": "in_quarantine" is for permits',
        ),
        (
            "      - id: reader.set\n",
            "      - id: reader.set\n        quarantine: true\n",
            'p.yaml:22: rule "reader.set": only a forbid may quarantine',
        ),
        (
            "  books: [ledger, journal]",
            '  books: [ledger, "@books"]',
            'p.yaml:4: "@books": a list names no other list',
        ),
        (
            "    - application_name",
            '    - "@harmless"',
            'p.yaml:7: "@harmless": a group of settings names no other group',
        ),
        (
            '["@harmless"]',
            '[{name: "@harmless", values: [a]}]',
            'p.yaml:23: "@harmless": values and exceptions stand in the group itself',
        ),
        (
            '["@harmless"]',
            '[{name: "@harmless", except_names: a}]',
            'p.yaml:23: "@harmless": values and exceptions stand in the group itself',
        ),
        (
            '["@harmless"]',
            '[{name: "*", except_names: "@own"}]',
            'p.yaml:23: no list "own"; known: books',
        ),
        (
            "    - application_name",
            '    - {name: "*", except_names: "@own"}',
            'p.yaml:7: no list "own"; known: books',
        ),
        (
            "      permit: {kinds: read,",
            '      when: {databases: ["@dbs"]}\n      permit: {kinds: read,',
            'p.yaml:12: no list "dbs"; known: books',
        ),
        ("      - id: reader.set", "      - id: Reader!", "should match pattern"),
        ("    login: permit", "    login: {refuses: no}", 'unknown key "refuses"'),
        ("    login: permit\n", "", 'p.yaml:14: key "login" is missing'),
        ("roles:", "roles: {}\nrole:", '"roles": dictionary should have at least 1'),
    ],
)
def test_problems_name_their_line(old: str, new: str, expected: str) -> None:
    text = SMALL.replace(old, new, 1)
    assert text != SMALL
    assert any(expected in line for line in said(text)), said(text)


def test_all_problems_at_once() -> None:
    text = SMALL.replace("kinds: read,", "kind: read,").replace("login:", "lgin:")
    assert len(said(text)) == 3  # two unknown keys, and a missing login


def test_not_a_mapping() -> None:
    assert said("[1]") == ["p.yaml:1: the document must be a mapping of keys to values"]


# --- what is lent -------------------------------------------------------------

LENDING = """\
version: 1
name: lending
access:
  roles:
    writer: {requesters: [reader], approvers: lead, longest: 2h}
roles:
  reader: {login: permit, upstream: reader}
  lead: {login: permit, upstream: reader}
  writer: {login: permit, upstream: writer, read_only: false}
"""


def test_a_role_that_is_lent() -> None:
    (lent,) = load(LENDING, source="p.yaml").model.access.roles.values()
    assert (lent.approvers, lent.approvals, lent.pending_for) == (["lead"], 1, "1h")


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (
            "    writer: {req",
            "    write: {req",
            'no role "write"; did you mean "writer"?',
        ),
        ("approvers: lead", "approvers: lad", 'no role "lad"; did you mean "lead"?'),
        (
            "approvers: lead",
            "approvers: writer",
            "is lent itself, so it is nobody's own",
        ),
        ("[reader]", "[reader, writer]", "is lent itself, so it is nobody's own"),
        ("[reader]", "[]", "requesters"),
        ("longest: 2h", "longest: 25h", "must be at most 24h"),
        ("longest: 2h", "longest: 2", "must be text"),
        ("longest: 2h", "longest: 2 hours", "no length of time"),
        ("longest: 2h", "longest: 2h, approvals: 0", "approvals"),
        ("longest: 2h", "approver: lead", 'unknown key "approver"'),
        (
            "writer: {login: permit,",
            "writer: {login: {refuse: x},",
            "can't log in, so nobody can borrow it",
        ),
    ],
)
def test_what_can_not_be_lent(old: str, new: str, problem: str) -> None:
    assert old in LENDING
    told = said(LENDING.replace(old, new))
    assert any(problem in line for line in told), told
