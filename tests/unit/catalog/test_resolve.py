from __future__ import annotations

from typing import Any

import pytest

from proxy.catalog.model import Catalog, Function, Hidden, Relation, decode, encode
from proxy.catalog.resolve import MOST_CANDIDATES, MOST_DEPTH, Resolver
from proxy.errors import ConfigError
from proxy.sql.analyse import analyse
from proxy.sql.facts import Access, Effect, Facts, FunctionUse, RelationUse


def function(name: str, schema: str = "public", **changes: object) -> Function:
    base = {
        "schema": schema,
        "name": name,
        "arguments": "",
        "is_stable": True,
        "is_definer": False,
        "language": "sql",
        "is_trusted": True,
    }
    return Function(**{**base, **changes})  # type: ignore[arg-type]


def catalog(**parts: object) -> Catalog:
    return Catalog("shop", "17.10", **parts)  # type: ignore[arg-type]


def resolved(known: Catalog, text: str) -> Facts:
    (facts,) = Resolver(known).resolve(analyse(text.encode()).statements, text.encode())
    return facts


def table(name: str, schema: str = "public", **changes: object) -> Relation:
    return Relation(schema, name, "r", **changes)  # type: ignore[arg-type]


def view(name: str, definition: str, schema: str = "public") -> Relation:
    return Relation(schema, name, "v", definition=definition)


def test_names_that_mean_nothing_else_stay_the_same_facts() -> None:
    statements = analyse(b"SELECT lower(x) FROM nowhere").statements
    assert Resolver(catalog()).resolve(statements, b"")[0] is statements[0]


def test_a_call_is_judged_over_all_overloads_of_its_name() -> None:
    known = catalog(
        functions=(
            function("f", "a"),
            function("f", "b", is_stable=False),
            function("f", "c", is_definer=True),
        )
    )
    assert resolved(known, "SELECT f()").functions == (
        FunctionUse("a", "f", Effect.STABLE),
        FunctionUse("b", "f", Effect.VOLATILE),
        FunctionUse("c", "f", Effect.DEFINER),
    )
    assert resolved(known, "SELECT a.f()").functions == (
        FunctionUse("a", "f", Effect.STABLE),
    )


def test_a_built_in_function_stays_beside_its_overloads() -> None:
    known = catalog(functions=(function("lower", is_stable=False),))
    assert resolved(known, "SELECT lower('X')").functions == (
        FunctionUse("", "lower", Effect.NONE),
        FunctionUse("public", "lower", Effect.VOLATILE),
    )
    assert resolved(known, "SELECT pg_catalog.lower('X')").functions == (
        FunctionUse("pg_catalog", "lower", Effect.NONE),
    )


def test_a_function_that_the_catalog_lacks_stays_unknown() -> None:
    assert resolved(catalog(), "SELECT f()").functions == (
        FunctionUse("", "f", Effect.UNKNOWN),
    )


@pytest.mark.parametrize("name", ["dblink", "lo_unlink"])
def test_a_name_known_for_harm_keeps_it_in_any_schema(name: str) -> None:
    known = catalog(functions=(function(name, "elsewhere", extension="dblink"),))
    (use,) = resolved(known, f"SELECT elsewhere.{name}('x')").functions
    assert use.effect not in {Effect.STABLE, Effect.NONE}


def test_an_untrusted_language_is_unknown_whatever_it_says() -> None:
    known = catalog(functions=(function("f", language="plpython3u", is_trusted=False),))
    assert resolved(known, "SELECT f()").functions[0].effect is Effect.UNKNOWN


def test_a_name_in_one_schema_is_of_that_schema() -> None:
    known = catalog(relations=(table("orders", "billing"),))
    assert resolved(known, "SELECT * FROM orders").relations == (
        RelationUse("billing", "orders", Access.READ),
    )


def test_a_name_in_several_schemas_may_be_of_each() -> None:
    known = catalog(relations=(table("orders", "a"), table("orders", "b")))
    assert [use.schema for use in resolved(known, "TABLE orders").relations] == [
        "a",
        "b",
    ]


def test_a_name_in_too_many_schemas_stays_as_it_is_written() -> None:
    many = tuple(table("t", f"s{n}") for n in range(MOST_CANDIDATES + 1))
    assert resolved(catalog(relations=many), "TABLE t").relations == (
        RelationUse("", "t", Access.READ),
    )


def test_what_is_made_is_not_resolved() -> None:
    known = catalog(relations=(table("t", "other"),))
    assert resolved(known, "CREATE TABLE t (n int)").relations == (
        RelationUse("", "t", Access.CREATE),
    )


def test_a_view_shows_what_it_reads_and_calls() -> None:
    known = catalog(
        relations=(
            table("salaries", "hr"),
            view("report", "SELECT hr.f() FROM hr.salaries"),
            view("outer_report", "SELECT * FROM public.report"),
        ),
        functions=(function("f", "hr", is_stable=False),),
    )
    facts = resolved(known, "SELECT * FROM outer_report")
    assert facts.relations == (RelationUse("public", "outer_report", Access.READ),)
    assert set(facts.behind) == {
        RelationUse("public", "report", Access.READ),
        RelationUse("hr", "salaries", Access.READ),
    }
    assert facts.functions == (FunctionUse("hr", "f", Effect.VOLATILE),)


def test_a_view_that_nobody_can_read_is_unknown() -> None:
    known = catalog(relations=(view("v", "SELECT FROM WHERE nonsense"),))
    (use,) = resolved(known, "TABLE v").functions
    assert use.effect is Effect.UNKNOWN


def test_views_without_end_are_unknown() -> None:
    views = [view("v0", "SELECT 1")]
    views += [view(f"v{n}", f"SELECT * FROM public.v{n - 1}") for n in range(1, 99)]
    known = catalog(relations=tuple(views))
    assert not resolved(known, f"TABLE v{MOST_DEPTH - 2}").functions
    assert resolved(known, "TABLE v98").functions[0].effect is Effect.UNKNOWN


def test_policies_that_read_each_other_end() -> None:
    known = catalog(
        relations=(
            table("a", policies=("EXISTS (SELECT FROM public.b)",)),
            table("b", policies=("EXISTS (SELECT FROM public.a)",)),
        )
    )
    assert RelationUse("public", "b", Access.READ) in resolved(known, "TABLE a").behind


def test_a_dangerous_operator_is_seen_only_where_it_is_named() -> None:
    known = catalog(
        functions=(function("hit", is_stable=False),),
        operators=(Hidden("public", "###", "public", "hit"),),
    )
    assert resolved(known, "SELECT 1 + 1").functions == ()
    assert resolved(known, "SELECT 1 ### 1").functions == (
        FunctionUse("public", "hit", Effect.VOLATILE),
    )


@pytest.mark.parametrize(
    "text",
    [
        "SELECT a = b FROM t",
        "SELECT a IN (1)",
        "SELECT CASE a WHEN 1 THEN 2 END",
        "SELECT a BETWEEN 1 AND 2",
        "SELECT a FROM t JOIN u USING (a)",
        "SELECT DISTINCT a FROM t",
        "SELECT NULLIF(a, b)",
    ],
)
def test_grammar_that_calls_an_operator_counts(text: str) -> None:
    known = catalog(
        functions=(function("hit", is_stable=False),),
        operators=(Hidden("public", "=", "public", "hit"),),
    )
    assert any(u.name == "hit" for u in resolved(known, text).functions)


def test_an_exported_catalog_comes_back_as_it_was() -> None:
    known = catalog(
        functions=(function("f", settings=(("role", "x"),)),),
        relations=(table("t", columns=("a", "b")),),
    )
    assert decode(encode(known), source="f") == known
    again = catalog(functions=known.functions, relations=known.relations)
    assert known.version == again.version


def test_an_export_of_another_format_is_refused() -> None:
    data = encode(catalog()).replace(b'"format":1', b'"format":2')
    with pytest.raises(ConfigError, match="format 2 is not 1"):
        decode(data, source="f")


def test_one_answer_whatever_was_asked_before() -> None:
    """What is remembered is the answer to the names and nothing else."""
    known = catalog(
        functions=(function("f", is_stable=False),), relations=(table("t", "s"),)
    )
    resolver = Resolver(known)
    texts = [b"SELECT f() FROM t", b"SELECT 1 FROM t", b"SELECT f()", b"DELETE FROM t"]
    for text in texts * 2:
        statements = analyse(text).statements
        assert resolver.resolve(statements, text) == Resolver(known).resolve(
            statements, text
        )


@pytest.mark.parametrize("first", ["orders", "people", "mine"])
def test_relations_that_read_each_other_in_a_circle_show_all_of_it(first: str) -> None:
    """A policy holds for some roles, and a view's owner may be free of it."""
    known = catalog(
        relations=(
            table("orders", policies=("id IN (SELECT id FROM public.mine)",)),
            view("mine", "SELECT id FROM public.people"),
            table(
                "people",
                policies=("EXISTS (SELECT FROM public.orders)", "public.f(id)"),
            ),
        ),
        functions=(function("f", is_stable=False),),
    )
    resolver = Resolver(known)
    for name in (first, "orders", "people", "mine"):
        text = f"SELECT * FROM {name}".encode()
        (facts,) = resolver.resolve(analyse(text).statements, text)
        assert facts.functions == (FunctionUse("public", "f", Effect.VOLATILE),), name
        assert {use.name for use in facts.behind} == {"orders", "people", "mine"}


def test_a_look_behind_a_view_that_fails_is_not_kept_half_done() -> None:
    broken: Any = b"no text"
    known = catalog(
        relations=(
            view("report", "SELECT public.f() FROM public.broken"),
            view("broken", broken),
        ),
        functions=(function("f", is_stable=False),),
    )
    resolver = Resolver(known)
    statements = analyse(b"TABLE report").statements
    for _ in range(3):
        with pytest.raises((AttributeError, TypeError)):
            resolver.resolve(statements, b"")
