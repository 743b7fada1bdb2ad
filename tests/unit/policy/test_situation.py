"""Situations: which rules have a say here and now, strictly where that is not known."""

from __future__ import annotations

import re

import pytest

from proxy.cli.offline import load_policy
from proxy.policy.decision import Context
from proxy.policy.documents import PolicyError, load
from proxy.policy.evaluate import Policy
from proxy.policy.lint import lint
from proxy.policy.situation import ALWAYS, PLAIN, Circumstances
from proxy.policy.windows import moment_of
from proxy.session.judge import Judge
from proxy.sql.analyse import analyse

TEXT = """
version: 1
name: trial
lists: {office: [10.0.0.0/8, loopback], bi: ["metabase*"]}
roles:
  r:
    login: permit
    upstream: u
    rules:
      - id: read
        permit: {kinds: [read], actions: [select], relations: [{access: read}]}
      - id: write
        when:
          networks: ["@office"]
          during: [{days: mon-fri, hours: "08:00-18:00", timezone: UTC}]
        permit: {kinds: [insert], actions: [insert], relations: [{access: insert}]}
      - id: not-bi
        when: {applications: "@bi"}
        forbid: {relations: [{access: "*", names: secrets}]}
        reason: not for charts
      - id: inside
        unless: {networks: "@office"}
        forbid: {relations: [{access: "*", names: payroll}]}
        reason: only from the office
  fixed:
    login: permit
    upstream: u
    rules: [{id: all, permit: {everything: true}}]
"""
POLICY = Policy(load(TEXT, source="trial.yaml"))
PRODUCTION = load_policy(None)
OPEN = moment_of("2026-11-26T09:00Z")
SHUT = moment_of("2026-11-26T18:00Z")

INSERT = "insert into t values (1)"
SECRETS = "select a from secrets"
PAYROLL = "select a from payroll"


def rule(sql: str, around: Circumstances) -> str:
    """The rule that decides; "" before it where the answer is yes."""
    situation = POLICY.situation("r", around)
    context = Context(database="shop", situation=situation)
    decision = POLICY.decide("r", analyse(sql.encode()).statements, context)
    return decision.rule if decision.allowed else f"-{decision.rule}"


def here(
    address: str | None = "10.0.0.1",
    application: str | None = "psql",
    at: float | None = OPEN,
) -> Circumstances:
    return Circumstances(address, application, at)


@pytest.mark.parametrize(
    ("sql", "around", "decided"),
    [
        (INSERT, here(), "write"),
        (INSERT, here(at=SHUT), "-default-deny"),
        (INSERT, here(address="192.0.2.1"), "-default-deny"),
        (INSERT, here(address="::ffff:10.1.1.1"), "write"),
        (INSERT, here(address=None), "-default-deny"),
        (INSERT, here(at=None), "-default-deny"),
        (INSERT, here(application=None), "write"),  # it hangs on no name
        (SECRETS, here(), "read"),
        (SECRETS, here(application="metabase 1"), "-not-bi"),
        (SECRETS, here(application=""), "read"),
        (SECRETS, here(application=None), "-not-bi"),
        (PAYROLL, here(), "read"),
        (PAYROLL, here(address="192.0.2.1"), "-inside"),
        (PAYROLL, here(address=None), "-inside"),
        (PAYROLL, here(address=""), "-inside"),
    ],
)
def test_a_permit_needs_certainty_and_a_forbid_none(
    sql: str, around: Circumstances, decided: str
) -> None:
    assert rule(sql, around) == decided


def test_without_a_situation_the_answer_is_the_strict_one() -> None:
    for sql in (INSERT, SECRETS, PAYROLL):
        decision = POLICY.decide(
            "r", analyse(sql.encode()).statements, Context(database="shop")
        )
        assert not decision.allowed
    assert POLICY.role("fixed").situations.of(here()) == (PLAIN, ALWAYS)
    assert POLICY.situation("nobody", here()) is None


def test_a_spell_lasts_until_a_window_may_open_or_close() -> None:
    situations = POLICY.role("r").situations
    spell = situations.of(here())
    assert spell.until == moment_of("2026-11-26T18:00Z")
    assert situations.of(here(at=spell.until)).situation != spell.situation
    assert situations.of(here(at=None)).until == ALWAYS


def test_what_is_left_open_is_named() -> None:
    left = POLICY.role("r").situations.unknown(Circumstances())
    assert [(need.what, need.rule) for need in left] == [
        ("address", "write"),
        ("at", "write"),
        ("application", "not-bi"),
        ("address", "inside"),
    ]
    assert not POLICY.role("r").situations.unknown(here())


def test_a_judge_keeps_verdicts_of_one_situation_only() -> None:
    text = INSERT.encode()
    judges = [
        Judge(POLICY, "r", database="shop", situation=POLICY.situation("r", each))
        for each in (here(), here(at=SHUT), Circumstances())
    ]
    for _ in range(3):  # the second time from memory
        assert [judge.judge(text).decision.allowed for judge in judges] == [
            True,
            False,
            False,
        ]
    assert len({judge.under(quarantined=False) for judge in judges[:2]}) == 2


PROVEN = Policy(
    load(
        """
version: 1
name: proving
roles:
  r:
    login: permit
    upstream: u
    migrations: {proofs: accept, commands: alembic stamp}
    rules:
      - id: proven
        when: {proven: true}
        permit: {everything: true}
      - id: unproven
        when: {proven: false}
        permit: {kinds: [insert], actions: [insert], relations: [{access: insert}]}
      - id: drop
        unless: {proven: true}
        forbid: {actions: [drop table]}
        reason: not proven
      - id: truncate
        when: {proven: true}
        forbid: {kinds: [truncate]}
        reason: never so
""",
        source="proving.yaml",
    )
)


@pytest.mark.parametrize(
    ("sql", "proven", "decided"),
    [
        (INSERT, True, "proven"),
        (INSERT, False, "unproven"),
        (INSERT, None, "-default-deny"),
        ("drop table t", True, "proven"),
        ("drop table t", False, "-drop"),
        ("drop table t", None, "-drop"),
        ("truncate t", True, "-truncate"),
        ("truncate t", False, "-default-deny"),
        ("truncate t", None, "-truncate"),
    ],
)
def test_a_proof_that_nobody_has_seen_is_none(
    sql: str, decided: str, *, proven: bool | None
) -> None:
    """What is not known permits nothing, and keeps no forbid away."""
    judge = Judge(
        PROVEN,
        "r",
        database="shop",
        situation=PROVEN.situation("r", Circumstances(proven=proven)),
    )
    for _ in range(2):  # the second time from memory
        decision = judge.judge(sql.encode()).decision
        assert (decision.rule if decision.allowed else f"-{decision.rule}") == decided


def test_what_is_proven_is_another_situation_by_name() -> None:
    """Whatever keeps verdicts by the name of a situation must tell the two apart."""
    for policy, role in ((PROVEN, "r"), (PRODUCTION, "migrator")):
        situations = policy.role(role).situations
        assert not situations.are_fixed
        proven, not_so = (
            situations.of(Circumstances(proven=each)).situation
            for each in (True, False)
        )
        assert proven.name != not_so.name
        assert proven != not_so
    assert [each.what for each in PROVEN.role("r").situations.unknown(here())] == [
        "proven"
    ] * 4


def test_a_role_says_what_its_migrations_have_to_do_with_proofs() -> None:
    migrations = PROVEN.role("r").migrations
    assert migrations is not None
    assert (migrations.proofs, migrations.commands) == ("accept", ["alembic stamp"])
    assert POLICY.role("r").migrations is None


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ("{proofs: acept}", "input should be 'record', 'accept' or 'require'"),
        ("{}", 'key "proofs" is missing'),
        ("{proof: accept}", 'unknown key "proof"; did you mean "proofs"?'),
        ("accept", "must be a mapping"),
    ],
)
def test_what_it_can_t_say_of_them_is_refused(said: str, answer: str) -> None:
    text = TEXT.replace("upstream: u", f"upstream: u\n    migrations: {said}", 1)
    with pytest.raises(PolicyError, match=re.escape(answer)):
        load(text, source="x.yaml")


@pytest.mark.parametrize(
    ("when", "line", "said"),
    [
        ("{networks: [10.0.0.1/8]}", 9, 'did you mean "10.0.0.0/8"?'),
        ('{networks: ["@offices"]}', 9, 'no list "offices"; did you mean "office"?'),
        ('{networks: ["@bad"]}', 9, '"here" is no network'),
        ('{applications: ["@bad2"]}', 9, 'no list "bad2"; did you mean "bad"?'),
        ("{during: []}", 9, "at least 1"),
        ("{during: [{hours: '08:00-09:00'}]}", 9, 'key "timezone" is missing'),
        ("{during: [{timezone: Europe/Zurch}]}", 9, 'did you mean "Europe/Zurich"?'),
        ("{during: [{timezone: UTC, hour: x}]}", 9, 'did you mean "hours"?'),
        ("{network: x}", 9, 'did you mean "networks"?'),
        ("{proven: yes}", 9, "must be true or false"),
        ("{proven: 1}", 9, "must be true or false"),
        ("{prove: true}", 9, 'did you mean "proven"?'),
    ],
)
@pytest.mark.parametrize("key", ["when", "unless"])
def test_a_condition_that_is_none_is_told_with_its_line(
    key: str, when: str, line: int, said: str
) -> None:
    text = (
        "version: 1\nname: x\nlists: {office: [loopback], bad: [here]}\nroles:\n"
        "  r:\n    login: permit\n    upstream: u\n    rules:\n"
        f"      - {key}: {when}\n        id: a\n        permit: {{kinds: [read]}}\n"
    )
    with pytest.raises(PolicyError) as caught:
        load(text, source="x.yaml")
    assert f"x.yaml:{line}: " in str(caught.value)
    assert said in str(caught.value)


def test_unless_asks_for_nothing_of_the_statement() -> None:
    text = TEXT.replace('unless: {networks: "@office"}', "unless: {kinds: [read]}")
    with pytest.raises(PolicyError, match='unknown key "kinds"'):
        load(text, source="x.yaml")


def linted(rules: str) -> list[str]:
    head = "version: 1\nname: x\nroles:\n  r:\n    login: permit\n    upstream: u\n"
    document = load(f"{head}    rules:\n{rules}", source="x")
    return [
        f"{problem.line}: {problem.message}"
        for problem in lint(document, now=moment_of("2026-11-26T00:00Z"))
    ]


def test_lint_warns_of_what_proves_nothing() -> None:
    assert linted(
        "      - {id: a, when: {applications: x}, permit: {kinds: [read]}}\n"
        "      - {id: b, when: {applications: x}, forbid: {kinds: [ddl]}, reason: n}\n"
        "      - {id: c, unless: {applications: y}, forbid: {kinds: [copy_in]},"
        " reason: n}\n"
        "      - {id: d, when: {applications: x, networks: loopback},"
        " permit: {kinds: [lock]}}\n"
    ) == [
        '8: permit "a" hangs on the application_name alone, which the client chooses; '
        "ask for networks as well, or give a role of its own to what needs it",
        '9: forbid "b" hangs on the application_name alone, which the client chooses; '
        "ask for networks as well, or give a role that is not permitted it",
        '10: forbid "c" hangs on the application_name alone, which the client chooses; '
        "ask for networks as well, or give a role that is not permitted it",
    ]


def test_lint_names_windows_that_are_over() -> None:
    window = "[{timezone: UTC, until: 2026-11-%s}]"
    assert linted(
        f"      - {{id: a, when: {{during: {window % 25}}}, permit: {{kinds: read}}}}\n"
        f"      - {{id: b, when: {{during: {window % 26}}}, permit: {{kinds: ddl}}}}\n"
    ) == ['8: rule "a": this window is over, and never opens again']


def test_lint_compares_what_rules_hang_on() -> None:
    """A rule that holds at times covers none that holds always."""
    read, window = "permit: {kinds: [read]}", "during: [{timezone: UTC, days: mon}]"
    network = "networks: [10.0.0.0/8]"
    for one, other, is_covered in (
        ("", "", True),
        (f"when: {{{window}}}, ", "", False),
        ("", f"when: {{{window}}}, ", True),
        (f"when: {{{window}}}, ", f"when: {{{window}}}, ", True),
        (f"when: {{{network}}}, ", f"when: {{{window}}}, ", False),
        (f"unless: {{{network}}}, ", "", False),
        ("", f"unless: {{{network}}}, ", True),
        ("when: {proven: true}, ", "", False),
        ("when: {proven: true}, ", "when: {proven: false}, ", False),
        ("", "when: {proven: true}, ", True),
    ):
        found = linted(
            f"      - {{id: a, {one}{read}}}\n      - {{id: b, {other}{read}}}\n"
        )
        assert any('permit "b" adds nothing' in each for each in found) is is_covered
