"""The decision: default deny, forbid wins, every act counts, errors deny."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from proxy.policy.decision import Context
from proxy.policy.documents import load
from proxy.policy.evaluate import REMEMBERED, Policy, UnknownRoleError
from proxy.sql.facts import (
    Access,
    Effect,
    Facts,
    Flag,
    FunctionUse,
    Kind,
    RelationUse,
    Scope,
    SettingChange,
    Trouble,
)

if TYPE_CHECKING:
    from proxy.policy.decision import Decision

EFFECTS = {"pg_sleep": Effect.SLEEP, "set_config": Effect.SETTING}

TEXT = """
version: 1
name: trial
lists:
  own: [order_total]
settings:
  harmless:
    - application_name
    - {name: timezone}
    - {name: transaction_read_only, values: [on]}
    - {name: computed, values: ["view, foreign-table"]}
rules:
  reading:
    - id: reading
      permit:
        kinds: [read, session]
        actions: [select, set, reset]
        flags: [attribute_call]
        functions: [{effects: [none]}, order_total]
        relations: [{access: [read]}]
      in_quarantine: true
    - id: settings
      permit: {settings: ["@harmless"], resets: ["*"]}
    - id: settings.no-reset
      forbid: {resets: [transaction_read_only]}
      reason: on some versions it means off
    - id: secrets
      forbid: {relations: [{access: "*", names: [pg_catalog.pg_authid]}]}
      reason: it holds passwords
roles:
  reader:
    login: permit
    upstream: reader
    include: [reading]
  changer:
    login: permit
    upstream: changer
    read_only: false
    include: [reading]
    rules:
      - id: changer.ddl
        permit:
          kinds: [ddl, delete]
          actions: [create table, drop table, delete]
          flags: [destructive]
          relations: [{access: [create, drop, delete]}]
        reason: changes are its work
      - id: changer.unfiltered
        forbid: {flags: [unfiltered]}
        reason: every row would go
      - id: changer.drop
        when: {databases: ["prod*"]}
        forbid: {flags: [destructive]}
        reason: it can lose data
        hint: drop it in staging first
        quarantine: true
      - id: changer.shadow
        when: {databases: [shadow]}
        forbid: {relations: [{access: drop, except_names: ["tmp_*"]}]}
        reason: only tmp tables go
  watcher:
    login: {refuse: "use the console", hint: "see /log"}
"""


@pytest.fixture
def policy() -> Policy:
    return Policy(load(TEXT, source="trial.yaml"), effects=EFFECTS)


def read(**changes: Any) -> Facts:
    given: dict[str, Any] = {
        "kind": Kind.READ,
        "kinds": frozenset({Kind.READ}),
        "actions": ("select",),
        "verb": "SelectStmt",
    }
    return Facts(**(given | changes))


def drop(name: str = "t", **changes: Any) -> Facts:
    given: dict[str, Any] = {
        "kind": Kind.DDL,
        "kinds": frozenset({Kind.DDL}),
        "actions": ("drop table",),
        "flags": frozenset({Flag.DESTRUCTIVE}),
        "relations": (RelationUse("", name, Access.DROP),),
    }
    return read(**(given | changes))


def function(name: str, effect: Effect, schema: str = "") -> Facts:
    return read(functions=(FunctionUse(schema, name, effect),))


def setting(name: str, value: str | None, *, reset: bool = False) -> Facts:
    return read(
        kind=Kind.SESSION,
        kinds=frozenset({Kind.SESSION}),
        actions=("reset" if reset else "set",),
        settings=(SettingChange(name, value, Scope.SESSION, reset),),
    )


def decide(
    policy: Policy, facts: Facts, role: str = "reader", **context: Any
) -> Decision:
    return policy.decide(role, [facts], Context(**{"database": "dev"} | context))


def test_a_read_is_allowed_with_rule_and_reason(policy: Policy) -> None:
    decision = decide(policy, read())
    assert (decision.allowed, decision.rule, decision.sqlstate) == (True, "reading", "")
    assert decision.reason
    assert decision.kind == "read"


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        (drop(), "DROP TABLE is not allowed for role reader"),
        (
            read(kinds=frozenset({Kind.READ, Kind.DELETE})),
            "a statement of kind delete is not allowed for role reader",
        ),
        (read(actions=("select", "delete")), "DELETE is not allowed for role reader"),
        (
            read(flags=frozenset({Flag.ROW_LOCK})),
            "locking rows (FOR UPDATE or FOR SHARE) is not allowed for role reader",
        ),
        (read(lock_mode="share"), "LOCK TABLE in SHARE mode is not allowed"),
        (
            read(relations=(RelationUse("s", "t", Access.INSERT),)),
            'inserting into "s.t" is not allowed for role reader',
        ),
        (
            function("pg_sleep", Effect.SLEEP),
            'function "pg_sleep" is not allowed for role reader: it holds',
        ),
        (
            function("f", Effect.UNKNOWN, "app"),
            'function "app.f" is not allowed for role reader: pgwarden does not know',
        ),
        (
            read(columns=(("t", "pg_sleep"),)),
            'function "pg_sleep" is not allowed for role reader',
        ),
        (setting("role", "x"), 'setting "role" is not allowed for role reader'),
        (
            setting("transaction_read_only", "off"),
            'setting "transaction_read_only" is not allowed for role reader: '
            'it may only be set to "on", given as a constant',
        ),
        (setting("transaction_read_only", None), 'it may only be set to "on"'),
        (setting("", "postgres"), "set_config() with a computed name is not allowed"),
        (setting("", None), "set_config() with a computed name is not allowed"),
        (setting("", None, reset=True), "set_config() with a computed name"),
        (
            setting("transaction_read_only", None, reset=True),
            'resetting "transaction_read_only" is not allowed for role reader: '
            "on some versions it means off",
        ),
        (
            read(relations=(RelationUse("", "pg_authid", Access.READ),)),
            'reading "pg_authid" is not allowed for role reader: it holds passwords',
        ),
        (
            read(relations=(RelationUse("pg_catalog", "pg_authid", Access.READ),)),
            'reading "pg_catalog.pg_authid" is not allowed',
        ),
    ],
)
def test_each_act_needs_a_permit(policy: Policy, facts: Facts, reason: str) -> None:
    decision = decide(policy, facts)
    assert not decision.allowed
    assert decision.sqlstate == "42501"
    assert reason in decision.reason
    assert decision == decide(policy, facts), "a remembered answer is the same"


@pytest.mark.parametrize(
    "facts",
    [
        read(
            columns=(("t", "name"), ("", "id")), flags=frozenset({Flag.ATTRIBUTE_CALL})
        ),
        function("order_total", Effect.UNKNOWN),
        function("lower", Effect.NONE, "pg_catalog"),
        setting("application_name", "x"),
        setting("application_name", None),
        setting("transaction_read_only", "TRUE"),
        setting("transaction_read_only", "1"),
        setting("", "view, foreign-table"),
        setting("*", None, reset=True),
        setting("role", None, reset=True),
        read(relations=(RelationUse("app", "pg_authid", Access.READ),)),
    ],
)
def test_allowed(policy: Policy, facts: Facts) -> None:
    assert decide(policy, facts).allowed, decide(policy, facts)


def test_a_setting_is_never_named_in_a_reason_with_its_value(policy: Policy) -> None:
    assert "hunter2" not in decide(policy, setting("app.token", "hunter2")).reason


def test_forbid_wins_and_quarantines_where_it_says_so(policy: Policy) -> None:
    assert decide(policy, drop(), "changer").rule == "changer.ddl"
    refused = decide(policy, drop(), "changer", database="production")
    assert refused.rule == "changer.drop"
    assert refused.quarantines
    assert refused.hint == "drop it in staging first"
    assert refused.reason == (
        "DROP TABLE is not allowed for role changer: it can lose data"
    )


def test_a_forbid_counts_behind_a_view_and_a_permit_is_not_asked_for() -> None:
    text = TEXT.replace("reason: it holds passwords", "&", 1).replace(
        "&", "reason: it holds passwords\n      quarantine: true", 1
    )
    policy = Policy(load(text, source="trial"), effects=EFFECTS)
    hidden = RelationUse("pg_catalog", "pg_authid", Access.READ)
    refused = decide(policy, read(behind=(hidden,)), "reader")
    assert refused.rule == "secrets"
    assert refused.quarantines
    other = RelationUse("anywhere", "else", Access.INSERT)
    assert decide(policy, read(behind=(other,)), "reader").allowed


def test_exceptions_of_a_forbid(policy: Policy) -> None:
    assert decide(policy, drop("tmp_1"), "changer", database="shadow").allowed
    assert not decide(policy, drop("users"), "changer", database="shadow").allowed


def test_quarantine_leaves_only_what_survives_it(policy: Policy) -> None:
    assert decide(policy, read(), "changer", quarantined=True).allowed
    refused = decide(policy, drop(), "changer", quarantined=True)
    assert refused.rule == "quarantine"
    assert "quarantine" in refused.reason
    assert not decide(policy, setting("timezone", "x"), quarantined=True).allowed


def test_one_refused_statement_refuses_the_text(policy: Policy) -> None:
    texts = [read(), drop(), read()]
    decision = policy.decide("reader", texts, Context())
    assert (decision.allowed, decision.statement) == (False, 1)


def test_the_quarantining_refusal_is_the_one_that_is_told(policy: Policy) -> None:
    texts = [read(kinds=frozenset({Kind.INSERT})), drop()]
    decision = policy.decide("changer", texts, Context(database="prod"))
    assert (decision.rule, decision.statement) == ("changer.drop", 1)
    assert decision.quarantines


def test_a_text_allowed_is_told_by_its_strongest_statement(policy: Policy) -> None:
    texts = [read(), drop(), read()]
    decision = policy.decide("changer", texts, Context(database="dev"))
    assert (decision.rule, decision.kind) == ("changer.ddl", "ddl")
    assert decision.reason == "changes are its work"


def test_of_the_permits_that_it_took_the_last_one_is_told(policy: Policy) -> None:
    assert decide(policy, setting("timezone", "UTC")).rule == "settings"
    assert decide(policy, read(), "changer").rule == "reading"
    both = drop(
        kinds=frozenset({Kind.READ, Kind.DDL}),
        relations=(
            RelationUse("", "t", Access.DROP),
            RelationUse("", "u", Access.READ),
        ),
    )
    assert decide(policy, both, "changer").rule == "changer.ddl"


def test_nothing_to_run(policy: Policy) -> None:
    assert policy.decide("reader", [], Context()).rule == "empty"
    assert policy.decide("reader", [], Context()).allowed


def test_unknown_role(policy: Policy) -> None:
    trouble = Trouble("42601", "bad")
    for decision in (
        policy.decide("x", [read()], Context()),
        policy.decide("x", [], Context()),
        policy.decide_trouble("x", trouble),
        policy.decide_setting("x", "jit", "on"),
    ):
        assert (decision.allowed, decision.rule) == (False, "unknown-role")
    with pytest.raises(UnknownRoleError, match='has no role "raeder"; did you mean'):
        policy.role("raeder")


def test_an_error_in_deciding_denies(policy: Policy) -> None:
    broken: Any = read(kinds=None)
    wrong: list[Any] = [[broken], [read(), broken], [None], None]
    for statements in wrong:
        decision = policy.decide("reader", statements, Context())
        assert (decision.allowed, decision.rule) == (False, "internal-error")


def test_trouble_is_refused(policy: Policy) -> None:
    decision = policy.decide_trouble("reader", Trouble("42601", "no such word", 7, "x"))
    assert not decision.allowed
    assert (decision.rule, decision.sqlstate) == ("not-understood", "42601")
    assert (decision.position, decision.hint) == (7, "x")
    assert policy.decide_trouble("reader", Trouble("54000", "big")).rule == "too-large"


def test_startup_settings(policy: Policy) -> None:
    assert policy.decide_setting("reader", "TimeZone", "UTC").allowed
    assert policy.role("reader").decide_setting("TIMEZONE", "UTC").rule == "settings"
    refused = policy.decide_setting("reader", "session_replication_role", "replica")
    assert (refused.allowed, refused.rule) == (False, "default-deny")


def test_roles(policy: Policy) -> None:
    reader, changer, watcher = map(policy.role, policy.roles)
    assert (reader.read_only, reader.upstream, reader.may_login) == (
        True,
        "reader",
        True,
    )
    assert changer.read_only is False
    assert (watcher.may_login, watcher.login_reason) == (False, "use the console")
    assert watcher.login_hint == "see /log"
    assert policy.version == policy.document.version
    assert policy.name == "trial"


def test_memory_stays_bounded(policy: Policy) -> None:
    for number in range(3 * REMEMBERED):
        decide(policy, read(relations=(RelationUse("", f"t{number}", Access.READ),)))
    role = policy.role("reader")
    assert len(role._answers) <= 2 * REMEMBERED
    wide = tuple(RelationUse("", f"w{number}", Access.READ) for number in range(100))
    before = len(role._answers)
    assert decide(policy, read(relations=wide)).allowed
    assert len(role._answers) == before


@pytest.mark.parametrize(
    "change",
    [
        {"kinds": frozenset({Kind.READ, Kind.DELETE})},
        {"actions": ("select", "delete")},
        {"flags": frozenset({Flag.ROW_LOCK})},
        {"functions": (FunctionUse("", "f", Effect.UNKNOWN),)},
        {"relations": (RelationUse("", "t", Access.DELETE),)},
        {"settings": (SettingChange("role", "x", Scope.SESSION),)},
        {"lock_mode": "share"},
        {"operators": (("public", "+"),)},
        {"databases": ("shop",)},
        {"columns": (("t", "pg_sleep"),)},
    ],
)
def test_a_remembered_answer_is_for_the_same_question_only(
    policy: Policy, change: dict[str, Any]
) -> None:
    assert decide(policy, read()).allowed
    assert not decide(policy, read(**change)).allowed
    assert decide(policy, read()).allowed


FORBIDDING = """
version: 1
name: forbidding
roles:
  r:
    login: permit
    upstream: u
    rules:
      - {id: all, permit: {everything: true}}
      - id: no
        forbid: {settings: [{name: app.tenant, values: [admin]}]}
        reason: no one is admin
"""


@pytest.mark.parametrize(
    ("value", "allowed"),
    [("admin", False), ("ADMIN", False), ("me", True), (None, False)],
)
def test_a_forbidden_value_may_hide_in_a_computed_one(
    value: str | None, allowed: bool
) -> None:
    policy = Policy(load(FORBIDDING, source="f"))
    assert decide(policy, setting("app.tenant", value), "r").allowed is allowed


EXCEPTING = """
version: 1
name: excepting
lists: {closed: [role, "*_libraries"]}
roles:
  r:
    login: permit
    upstream: u
    rules:
      - id: all
        permit:
          kinds: session
          actions: [set, reset]
          settings: [{name: "*", except_names: ["@closed", seed]}]
          resets: ["*"]
  q:
    login: permit
    upstream: u
    rules:
      - {id: any, permit: {everything: true}}
      - id: only
        forbid: {settings: [{name: "app.*", except_names: app.page}]}
        reason: settings of the application's own
"""


@pytest.mark.parametrize(
    ("role", "change", "allowed"),
    [
        ("r", setting("jit", "on"), True),
        ("r", setting("jit", None), True),
        ("r", setting("role", "x"), False),
        ("r", setting("seed", "1"), False),
        ("r", setting("local_preload_libraries", "x"), False),
        # a computed name may be one of the exceptions
        ("r", setting("", "view, foreign-table"), False),
        ("r", setting("role", None, reset=True), True),
        ("q", setting("app.tenant", "x"), False),
        ("q", setting("app.page", "x"), True),
        ("q", setting("", "view, foreign-table"), False),
    ],
)
def test_settings_but_for_some(role: str, change: Facts, allowed: bool) -> None:
    policy = Policy(load(EXCEPTING, source="e"))
    assert decide(policy, change, role).allowed is allowed
