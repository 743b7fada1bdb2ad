"""Texts that mean the same have one form, and no others."""

from __future__ import annotations

import hashlib

import pytest

from proxy.migrations import normal

ALIKE = [
    (
        normal.query,
        "SELECT c.id, upper(c.name) AS n FROM app.customer c WHERE (c.id > 3) "
        "ORDER BY c.id",
        "SELECT id, upper(name) AS n FROM app.customer c WHERE (id > 3) ORDER BY id",
    ),
    (
        normal.query,
        'SELECT "t"."a" FROM "s"."t" WHERE (EXISTS (SELECT 1 FROM u WHERE u.x = t.a))',
        "SELECT a FROM s.t WHERE EXISTS (SELECT 1 FROM u WHERE u.x = t.a)",
    ),
    (
        normal.expression,
        "((s)::text = ANY ((ARRAY['a'::varchar, 'b'::character varying])::text[]))",
        "((s)::text = ANY (ARRAY[('a'::varchar)::text, ('b'::varchar)::text]))",
    ),
    (normal.expression, "((a AND b) AND c)", "(a AND b AND c)"),
    (normal.expression, 'EXTRACT("year" FROM x)', "EXTRACT(year FROM x)"),
    (normal.body, "RETURN (1 + 2)", "RETURN 1 + 2"),
]
OTHER = [
    (
        normal.query,
        "SELECT a.x FROM a JOIN b USING (i)",
        "SELECT b.x FROM a JOIN b USING (i)",
    ),
    (normal.query, "SELECT x FROM a", "SELECT y FROM a"),
    (
        normal.query,
        "SELECT 1 FROM t WHERE EXISTS (SELECT 1 FROM u WHERE t.a = 1)",
        "SELECT 1 FROM t WHERE EXISTS (SELECT 1 FROM u WHERE a = 1)",
    ),
    (normal.query, "SELECT t.* FROM t", "SELECT t FROM t"),
    (normal.expression, '"current_user"', "current_user"),
    (normal.expression, "(a OR b) AND c", "a OR (b AND c)"),
    (normal.expression, "'a'::text", "'a'::varchar"),
    (normal.expression, "ARRAY['a'::text]", "ARRAY['b'::text]"),
    (normal.expression, "(ARRAY[1])::text[]", "(ARRAY[1])::int[]"),
    (normal.expression, "1", "1, 2"),
    (normal.expression, "this is no SQL", "this is no  SQL"),
    (normal.expression, "1 FROM t", "1"),
]


@pytest.mark.parametrize(("form", "one", "other"), ALIKE)
def test_alike(form: object, one: str, other: str) -> None:
    assert callable(form)
    assert form(one) == form(other)
    assert form(one).startswith(b"tree\0")


@pytest.mark.parametrize(("form", "one", "other"), OTHER)
def test_not_alike(form: object, one: str, other: str) -> None:
    assert callable(form)
    assert form(one) != form(other)


def test_what_cannot_be_read_stands_for_itself() -> None:
    for text in ("not SQL (", "(" * 100_000, "SELECT 1; SELECT 2", "\ud800", "a\0b"):
        assert normal.query(text).startswith(b"text\0")


def test_how_deep_is_read_does_not_depend_on_who_asks() -> None:
    def asked(frames: int, text: str) -> bytes:
        return asked(frames - 1, text) if frames else normal.expression(text)

    for terms in (50, 180, 220, 300, 450, 600, 5_000, 50_000):
        text = " || ".join(["a"] * terms)
        form = normal.expression(text)
        assert form == asked(300, text)
        assert form.startswith(b"tree" if terms < 200 else b"text")
    many = " AND ".join(f"a <> {n}" for n in range(5_000))
    assert normal.expression(many).startswith(b"tree")


def test_a_text_can_t_pass_for_a_tree() -> None:
    tree = normal.query("SELECT 1")
    assert normal.query(tree.decode()[5:]) != tree


def test_the_form_of_today() -> None:
    """Another parser must not change digests that have been signed unnoticed.

    If this fails, `schema_digest.VERSION` has to rise, and the changelog to say so.
    """
    forms = b"".join(form(one) for form, one, _ in [*ALIKE, *OTHER])
    assert hashlib.sha256(forms).hexdigest()[:16] == "1f206ae37e7b450c"
