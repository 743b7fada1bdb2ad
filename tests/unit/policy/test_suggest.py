"""Suggested documents: readable, exact, and nothing wider than what was seen."""

from __future__ import annotations

import pytest
from hypothesis import example, given, strategies as st

from proxy.policy.decision import Context
from proxy.policy.documents import load
from proxy.policy.evaluate import Policy
from proxy.policy.lint import lint
from proxy.policy.observed import Observed
from proxy.policy.selection import Wish
from proxy.policy.suggest import RoleDraft, Suggestion, quoted, suggest
from proxy.policy.yaml import load_yaml
from proxy.sql.analyse import analyse

DRAFT = RoleDraft("reader", read_only=True, description='says "hi"')


def suggested(
    *texts: str,
    wish: Wish | None = None,
    roles: tuple[str, ...] = ("r",),
    settings: tuple[tuple[str, str], ...] = (),
) -> Suggestion:
    observed = Observed()
    for role in roles:
        for text in texts:
            for facts in analyse(text.encode()).statements:
                observed.statement(role, "ana", facts)
        for name, value in settings:
            observed.setting(role, "ana", name, value)
    drafts = dict.fromkeys(roles, DRAFT)
    return suggest(observed.all(), drafts, wish or Wish(), heading=["made\nup"])


def allows(suggestion: Suggestion, text: str, role: str = "r") -> bool:
    policy = Policy(load(suggestion.text, source="suggested"))
    statements = analyse(text.encode()).statements
    return policy.decide(role, statements, Context()).allowed


def test_the_whole_document() -> None:
    texts = (
        'SELECT count(*) FROM public."Users"',
        "SELECT 1 FROM public.orders",
        "DELETE FROM public.orders WHERE id = 1",
        "SET jit = off",
        "RESET jit",
    )
    found = suggested(*texts, settings=(("TimeZone", "UTC"),))
    assert (
        found.text
        == """\
# made\\u000aup
version: 1
name: suggested
roles:
  "r":
    description: "says \\"hi\\""
    login: permit
    upstream: "reader"
    read_only: true
    rules:
      - id: r.startup
        permit:
          settings:
            - name: "timezone"
              values:
                - "UTC" # 1: ana
      - id: r.read
        when: {kinds: [read]}
        permit:
          kinds:
            - "read" # 2: ana
          actions:
            - "select" # 2: ana
          functions:
            - effects: [none]
              names:
                - "count" # 1: ana
          relations:
            - access: [read]
              names:
                - "public.Users" # 1: ana
                - "public.orders" # 1: ana
      - id: r.session
        when: {kinds: [session]}
        permit:
          kinds:
            - "session" # 2: ana
          actions:
            - "reset" # 1: ana
            - "set" # 1: ana
          settings:
            - name: "jit"
              values:
                - "off" # 1: ana
          resets:
            - "jit" # 1: ana
      - id: r.delete
        when: {kinds: [delete]}
        permit:
          kinds:
            - "delete" # 1: ana
          actions:
            - "delete" # 1: ana
          relations:
            - access: [delete]
              names:
                - "public.orders" # 1: ana
"""
    )
    assert found.left_out == ()
    assert lint(load(found.text, source="suggested")) == []
    assert all(allows(found, text) for text in texts)
    policy = Policy(load(found.text, source="suggested"))
    assert policy.decide_setting("r", "timezone", "utc").allowed
    assert not policy.decide_setting("r", "timezone", "CET").allowed


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 1 FROM public.other",
        "SELECT 1 FROM s.orders",
        "SELECT lower('A') FROM public.orders",
        "DELETE FROM public.orders",
        "DELETE FROM public.users WHERE id = 1",
        "UPDATE public.orders SET a = 1 WHERE id = 1",
        "SET jit = on",
        "SET work_mem = '1GB'",
        "RESET ALL",
        "DROP TABLE public.orders",
    ],
)
def test_what_was_not_seen_stays_refused(text: str) -> None:
    found = suggested(
        "SELECT count(*) FROM public.orders",
        "DELETE FROM public.orders WHERE id = 1",
        "SET jit = off",
    )
    assert not allows(found, text)


def test_acts_of_one_kind_of_statement_do_not_reach_another() -> None:
    found = suggested("INSERT INTO s.log SELECT * FROM s.secret", "SELECT * FROM s.log")
    assert not allows(found, "SELECT * FROM s.secret")


# --- what can't be listed -----------------------------------------------------


@pytest.mark.parametrize(
    ("text", "left_out"),
    [
        ('SELECT 1 FROM s."a*"', "relations: read s.a* (its name holds a *)"),
        ('SELECT 1 FROM "a.b"', "relations: read a.b (its name holds a dot)"),
        ('SELECT 1 FROM "a.b".c', "relations: read a.b.c (its name holds a dot)"),
        ('SELECT 1 FROM "@x"', "relations: read @x (its name begins with @)"),
        (
            f'SELECT 1 FROM "{"é" * 40}"."{"x" * 250}"',
            None,  # the parser cuts names as Postgres does
        ),
        (
            "SELECT 1 OPERATOR(s.*) 2",
            "functions: unknown s.* (its name holds a *)",
        ),
    ],
)
def test_what_no_word_spells_is_left_out_and_named(
    text: str, left_out: str | None
) -> None:
    found = suggested("SELECT 1", text)
    expected = () if left_out is None else (f"r.read of role r: {left_out}",)
    assert found.left_out == expected
    assert allows(found, text) is (left_out is None)
    if left_out is not None:
        assert f"#   {left_out}" in found.text


def test_a_name_that_no_word_holds_is_left_out() -> None:
    found = suggested("SELECT 1", settings=(("x" * 201, "1"),))
    (line,) = found.left_out
    assert line.endswith("= 1 (its name is too long)")
    assert allows(found, "SELECT 1")


def test_locks_and_databases_are_permitted_by_their_words() -> None:
    texts = ("LOCK TABLE s.a IN SHARE MODE", "CREATE DATABASE other")
    found = suggested(*texts)
    assert all(allows(found, text) for text in texts)
    assert not allows(found, "LOCK TABLE s.a IN EXCLUSIVE MODE")
    assert not allows(found, "CREATE DATABASE another")


def test_a_dot_in_a_name_with_a_schema_is_no_trouble() -> None:
    found = suggested('SELECT 1 FROM s."a.b"')
    assert found.left_out == ()
    assert allows(found, 'SELECT 1 FROM s."a.b"')


def test_rare_things_are_left_out_when_asked() -> None:
    often = ["SELECT 1 FROM s.a"] * 3
    found = suggested(*often, "SELECT 1 FROM s.b", "DROP TABLE t", wish=Wish(least=2))
    assert allows(found, "SELECT 1 FROM s.a")
    assert not allows(found, "SELECT 1 FROM s.b")
    assert "r.read of role r: relations: read s.b (seen once)" in found.left_out
    assert "left out of r.ddl" in found.text
    assert "- id: r.ddl" not in found.text
    assert len([each for each in found.left_out if "r.ddl" in each]) == 4


def test_a_role_of_which_nothing_is_left_still_loads() -> None:
    found = suggested("SELECT 1", wish=Wish(least=9))
    assert "rules: []" in found.text
    assert not allows(found, "SELECT 1")


def test_only_some_of_what_is_left_out_stands_in_the_document() -> None:
    texts = [f"SELECT 1 FROM s.t{number}" for number in range(30)]
    found = suggested(*texts, wish=Wish(least=2))
    assert len(found.left_out) == 30
    assert "#   and 10 more" in found.text


# --- wildcards, when asked ----------------------------------------------------


def test_schemas_as_a_whole() -> None:
    texts = ("SELECT 1 FROM s.a, plain", 'SELECT 1 FROM s."b*"', "DELETE FROM t.a")
    found = suggested(*texts, wish=Wish(any_relation=True))
    assert found.left_out == ()
    assert '- "s.*" # 2: ana' in found.text
    assert allows(found, "SELECT 1 FROM s.other, plain")
    for text in (
        "SELECT 1 FROM t.a",
        "SELECT 1 FROM other",
        "SELECT 1 FROM u.plainer",
        "DELETE FROM s.a",
    ):
        assert not allows(found, text)


def test_a_schema_that_no_word_spells_is_left_out() -> None:
    found = suggested('SELECT 1 FROM "a*".b', wish=Wish(any_relation=True))
    assert len(found.left_out) == 1


def test_settings_of_many_values() -> None:
    texts = [f"SET statement_timeout = {number}" for number in range(21)]
    exact = suggested(*texts, "SET jit = off")
    assert not allows(exact, "SET statement_timeout = 99")
    any_value = suggested(*texts, "SET jit = off", wish=Wish(any_value=True))
    assert '- name: "statement_timeout" # any value; 21: ana' in any_value.text
    assert allows(any_value, "SET statement_timeout = 99")
    assert not allows(any_value, "SET jit = on")


def test_settings_of_too_many_values_are_left_out_or_any() -> None:
    texts = [f"SET statement_timeout = {number}" for number in range(1_001)]
    exact = suggested(*texts)
    (line,) = exact.left_out
    assert line.endswith("settings: statement_timeout (too many values to list)")
    assert not allows(exact, texts[0])
    assert allows(
        suggested(*texts, wish=Wish(any_value=True)), "SET statement_timeout = -1"
    )


def test_a_computed_value_needs_any() -> None:
    found = suggested("SET jit = off", "SELECT set_config('jit', $1, false)")
    for text in ("SET jit = off", "SELECT set_config('jit', $1, false)"):
        assert allows(found, text)
    assert found.text.count("any value") == 1


# --- the writing --------------------------------------------------------------


def test_roles_of_any_name() -> None:
    roles = ("Dev", "dev", "é", "#x: [", "a\nb")
    found = suggested("SELECT 1", roles=roles)
    document = load(found.text, source="suggested")
    assert tuple(document.model.roles) == roles
    assert all(allows(found, "SELECT 1", role) for role in roles)
    assert lint(document) == []


@given(st.text())
@example('back\\slash "quote" \u2028 \U000e0001')
def test_any_text_can_be_quoted(text: str) -> None:
    assert load_yaml(f"- {quoted(text)} # x", source="x").value == [text]


def test_many_people_are_counted() -> None:
    observed = Observed()
    (facts,) = analyse(b"SELECT 1").statements
    for number in range(7):
        observed.statement("r", f"p{number}\n", facts)
    found = suggest(observed.all(), {"r": DRAFT}, Wish(), heading=())
    said = "# 7: p0\\u000a, p1\\u000a, p2\\u000a, p3\\u000a and 3 more"
    assert found.text.count(said) == 2
