"""Acts and their words: each member of each closed set has some."""

from __future__ import annotations

import pytest

from proxy.policy.acts import (
    ActionAct,
    DatabaseAct,
    FlagAct,
    KindAct,
    LockAct,
    acts_of,
    as_listed,
    in_words,
)
from proxy.policy.explanations import default_reason
from proxy.policy.model import Acts
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
)


def test_every_part_of_the_facts_is_an_act() -> None:
    use = FunctionUse("", "f", Effect.NONE)
    change = SettingChange("jit", "on", Scope.SESSION)
    relation = RelationUse("", "t", Access.READ)
    facts = Facts(
        kind=Kind.DDL,
        kinds=frozenset({Kind.DDL, Kind.READ}),
        actions=("a", "b"),
        verb="X",
        relations=(relation,),
        functions=(use,),
        settings=(change,),
        flags=frozenset({Flag.INTO}),
        lock_mode="share",
        columns=(("t", "zap"), ("t", "id")),
        operators=(("s", "+"),),
        databases=("d",),
    )
    assert acts_of(facts, {"zap": Effect.SLEEP}) == [
        ActionAct("a"),
        ActionAct("b"),
        use,
        FunctionUse("", "zap", Effect.SLEEP),
        FunctionUse("s", "+", Effect.UNKNOWN),
        change,
        relation,
        LockAct("share"),
        DatabaseAct("d"),
        FlagAct(Flag.INTO),
        KindAct(Kind.DDL),
        KindAct(Kind.READ),
    ]


def test_facts_have_no_part_that_acts_forget() -> None:
    told = {
        *("kinds", "actions", "relations", "functions", "settings", "flags"),
        *("lock_mode", "columns", "operators", "databases", "behind"),
        "column_uses",
    }
    # since is for the judge, which knows the server;
    # kind and transaction are among kinds and actions, names is the session's, and a
    # PREPARE's body is among its own facts.
    elsewhere = {"kind", "verb", "names", "transaction", "prepared", "location"}
    elsewhere |= {"since"}
    assert set(Facts.__struct_fields__) == told | elsewhere


@pytest.mark.parametrize("flag", list(Flag))
def test_every_flag_has_words(flag: Flag) -> None:
    assert in_words(FlagAct(flag))


@pytest.mark.parametrize("access", list(Access))
def test_every_access_has_words(access: Access) -> None:
    assert in_words(RelationUse("s", "t", access)).endswith(' "s.t"')


@pytest.mark.parametrize("effect", list(Effect))
def test_every_effect_has_a_reason(effect: Effect) -> None:
    unlisted = {Effect.UNKNOWN, Effect.VOLATILE, Effect.DEFINER}
    reason, hint = default_reason(FunctionUse("", "f", effect), "p")
    assert reason
    assert ("reading_functions" in hint) is (effect in unlisted)


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (ActionAct("drop table"), "DROP TABLE"),
        (KindAct(Kind.DDL), "a statement of kind ddl"),
        (LockAct("access share"), "LOCK TABLE in ACCESS SHARE mode"),
        (DatabaseAct("d"), 'creating, altering or dropping database "d"'),
        (SettingChange("jit", "on", Scope.SESSION), 'setting "jit"'),
        (SettingChange("jit", None, Scope.SESSION, is_reset=True), 'resetting "jit"'),
        (SettingChange("*", None, Scope.SESSION, is_reset=True), "RESET ALL"),
        (SettingChange("", "x", Scope.SESSION), "set_config() with a computed name"),
    ],
)
def test_words(act: object, words: str) -> None:
    assert in_words(act) == words  # type: ignore[arg-type]


def test_reasons_of_other_acts() -> None:
    reason, _ = default_reason(KindAct(Kind.UNKNOWN), "p")
    assert "does not know" in reason
    assert default_reason(ActionAct("x"), "p") == ("", "")
    reset = SettingChange("jit", None, Scope.SESSION, is_reset=True)
    assert default_reason(reset, "p", ["on"])[0] == ""
    named = SettingChange("jit", None, Scope.SESSION)
    assert '"on"' in default_reason(named, "p", ["on"])[0]
    assert (
        "any setting" in default_reason(SettingChange("", "x", Scope.SESSION), "p")[0]
    )


@pytest.mark.parametrize(
    ("act", "key", "words"),
    [
        (ActionAct("drop table"), "actions", "drop table"),
        (KindAct(Kind.DDL), "kinds", "ddl"),
        (FlagAct(Flag.CASCADE), "flags", "cascade"),
        (LockAct("access share"), "lock_modes", "access share"),
        (DatabaseAct("d"), "databases", "d"),
        (FunctionUse("", "f", Effect.SLEEP), "functions", "f (sleep)"),
        (RelationUse("s", "t", Access.DROP), "relations", "drop s.t"),
        (SettingChange("jit", "on", Scope.SESSION), "settings", "jit = on"),
        (
            SettingChange("", None, Scope.SESSION),
            "settings",
            "computed = a computed value",
        ),
        (SettingChange("jit", None, Scope.SESSION, True), "resets", "jit"),
        (SettingChange("*", None, Scope.SESSION, True), "resets", "all"),
        (SettingChange("", None, Scope.SESSION, True), "resets", "computed"),
    ],
)
def test_where_a_rule_lists_it(act: object, key: str, words: str) -> None:
    assert key in Acts.model_fields
    assert as_listed(act) == (key, words)  # type: ignore[arg-type]
