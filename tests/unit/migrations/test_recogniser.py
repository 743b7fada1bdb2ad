"""The recogniser: states, both protocols, look-alikes; nothing makes it raise."""

from __future__ import annotations

import hashlib
from functools import cache
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings, strategies as st

from proxy.migrations.profile_load import shipped_profiles
from proxy.migrations.recogniser import (
    Bound,
    Event,
    Happening,
    Part,
    Reading,
    Recogniser,
    Tools,
)
from proxy.sql.analyse import analyse
from tests.transcripts import page

if TYPE_CHECKING:
    from collections.abc import Sequence

PROBE = (
    "SELECT EXISTS(SELECT 1 FROM pg_namespace WHERE nspname = $1), version(), "
    "current_setting('server_version_num')::integer as numeric_version;"
)
LOCK = "SELECT pg_advisory_lock(72707369)"
ANNOUNCE = (
    'INSERT INTO "_prisma_migrations" ("id","checksum","started_at","migration_name") '
    "VALUES ($1,$2,$3,$4)"
)
STEP = (
    'UPDATE "_prisma_migrations" SET "applied_steps_count" = '
    '("applied_steps_count" + $1) WHERE "id" = $2'
)
FINISH = 'UPDATE "_prisma_migrations" SET "finished_at" = $1 WHERE "id" = $2'
KEY = "4e5a6b7c-0000-4000-8000-000000000001"
SCRIPT = "CREATE TABLE a (id int);\nALTER TABLE a ADD COLUMN b int;\n"
CHECKSUM = hashlib.sha256(SCRIPT.encode()).hexdigest()


@cache
def tools() -> Tools:
    return Tools(shipped_profiles())


class Told:
    """A recogniser that is told texts."""

    def __init__(self) -> None:
        self.recogniser = Recogniser(tools())

    def say(
        self, text: str, *values: str | bytes | None, failed: bool = False
    ) -> tuple[Reading, ...]:
        binds = [
            Bound(value, is_binary=True)
            if isinstance(value, bytes)
            else Bound(None if value is None else value.encode())
            for value in values
        ]
        encoded = text.encode()
        statements = analyse(encoded).statements
        return self.recogniser.see(encoded, statements, binds, has_failed=failed)

    def one(self, text: str, *values: str | bytes | None) -> Reading:
        (reading,) = self.say(text, *values)
        return reading

    def announce(self, key: str = KEY) -> Reading:
        return self.one(ANNOUNCE, key, CHECKSUM, "2026-01-01", "1_first")


def happened(readings: Sequence[Reading], tool: str) -> list[Event]:
    return [e for reading in readings for e in reading.events if e.tool == tool]


# --- a whole run -------------------------------------------------------------


def test_prisma_native_sends_the_file_whole_and_binds_in_binary() -> None:
    """As tokio-postgres sends it; the texts are those of the recorded engine."""
    told = Told()
    assert told.one(PROBE, b"public").part is Part.BOOKKEEPING
    assert told.one(LOCK).bookkeeping_of >= {"prisma"}
    started = b"\x00\x02\xe3\x5d\x00\x00\x00\x00"
    (event,) = told.one(
        ANNOUNCE, KEY.encode(), CHECKSUM.encode(), started, b"1_first"
    ).events
    assert (event.name, event.checksum) == ("1_first", CHECKSUM)
    body = told.say(SCRIPT)
    assert [(each.part, each.migration) for each in body] == [(Part.BODY, 1)] * 2
    step = told.one(STEP, b"\x00\x00\x00\x01", KEY.encode())
    assert (step.part, step.migration) == (Part.BOOKKEEPING, 1)
    (ended,) = told.one(FINISH, started, KEY.encode()).events
    assert (ended.happening, ended.name) == (Happening.ENDED, "1_first")
    assert ended.checksum == CHECKSUM
    assert told.recogniser.tool == "prisma"


def test_a_qualified_table_is_the_same_table() -> None:
    told = Told()
    told.one(ANNOUNCE.replace('"_pris', '"public"."_pris'), KEY, "c", "t", "1_first")
    announced = told.recogniser.announced("prisma")
    assert announced is not None
    assert announced.name == "1_first"


def test_an_announced_script_may_hold_reads_and_transactions() -> None:
    told = Told()
    told.announce()
    parts = {r.part for r in told.say("SELECT 1; SET x.y = 1; BEGIN; COMMIT")}
    assert parts == {Part.BODY}


def test_a_script_without_history_has_no_tool() -> None:
    told = Told()
    (body,) = told.say("CREATE TABLE a (id int)")
    assert (body.part, body.events) == (Part.BODY, ())
    assert told.recogniser.tool == ""
    assert told.recogniser.candidates == ()


# --- out of place ------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "values"),
    [
        (FINISH, ("t", "another-key")),
        (FINISH, ("t", None)),
        (FINISH.replace('"id" = $2', "true"), ("t",)),
        (FINISH.replace('WHERE "id" = $2', ""), ("t",)),
        (FINISH.replace('"id" = $2', '"id" = $2 OR true'), ("t", KEY)),
        (FINISH.replace('SET "', 'SET "checksum" = \'x\', "'), ("t", KEY)),
        (f"WITH d AS (DELETE FROM orders RETURNING *) {FINISH}", ("t", KEY)),
        (FINISH + " RETURNING (SELECT max(id) FROM orders)", ("t", KEY)),
        (FINISH + " RETURNING pg_read_file('x')", ("t", KEY)),
        (FINISH + " RETURNING my_own_function()", ("t", KEY)),
        ('DELETE FROM "_prisma_migrations"', ()),
        ('TRUNCATE "_prisma_migrations"', ()),
        ('ALTER TABLE "_prisma_migrations" DROP COLUMN logs', ()),
        ('UPDATE "_prisma_migrations" SET "checksum" = $1', ("x",)),
        ('INSERT INTO "_prisma_migrations" SELECT * FROM "staging"', ()),
        ('COPY "_prisma_migrations" FROM STDIN', ()),
        (f"PREPARE p AS {ANNOUNCE}", ()),
        (f"EXPLAIN ANALYZE {FINISH}", ("t", KEY)),
        (ANNOUNCE, ("other", "c", "t", "2_second")),  # while one is announced
    ],
)
def test_history_that_no_profile_writes_so_is_out_of_place(
    text: str, values: tuple[str | None, ...]
) -> None:
    told = Told()
    told.announce()
    reading = told.one(text, *values)
    assert "prisma" not in reading.bookkeeping_of
    assert reading.part is not Part.BOOKKEEPING
    ended = {e.happening for e in happened([reading], "prisma")}
    assert Happening.ENDED not in ended
    announced = told.recogniser.announced("prisma")
    assert announced is not None
    assert announced.key == KEY


@pytest.mark.parametrize("text", [STEP, FINISH])
def test_the_end_of_nothing_is_out_of_place(text: str) -> None:
    assert Told().one(text, "1", KEY).part is Part.OUT_OF_PLACE


def test_a_row_that_is_finished_at_once_is_an_act() -> None:
    told = Told()
    applied = (
        'INSERT INTO "_prisma_migrations" ("id","checksum","logs","started_at",'
        '"finished_at","migration_name") VALUES ($1,$2,$3,$4,$5,$6)'
    )
    (event,) = told.one(applied, KEY, "c", "", "t", "t", "1_first").events
    assert event.happening is Happening.ACT
    assert event.command == "prisma migrate resolve --applied"
    assert event.name == "1_first"
    (back,) = told.one(
        'UPDATE "_prisma_migrations" SET "rolled_back_at" = $1 WHERE "id" = $2',
        "t",
        KEY,
    ).events
    assert back.command == "prisma migrate resolve --rolled-back"


@pytest.mark.parametrize(
    "text",
    [
        "SELECT pg_advisory_lock(72707370)",
        "SELECT pg_advisory_xact_lock(72707369)",
        "SELECT pg_advisory_lock(72707369, 0)",
        "SELECT public.my_lock(72707369)",
        "SELECT pg_advisory_lock(id) FROM orders",
        "SELECT 'pg_advisory_lock(72707369)'",
        "SELECT 1 -- pg_advisory_lock(72707369)",
    ],
)
def test_a_look_alike_lock_is_not_prismas(text: str) -> None:
    assert "prisma" not in Told().one(text).bookkeeping_of


# --- rows behind the script --------------------------------------------------

ROW = (
    'INSERT INTO "django_migrations" ("app", "name", "applied") '
    "VALUES ('shop', '0001', '2026-01-01')"
)


def test_a_row_behind_its_migration_ends_it() -> None:
    told = Told()
    told.say("BEGIN; CREATE TABLE a (id int)")
    (event,) = happened([told.one(ROW)], "django")
    assert (event.happening, event.name) == (Happening.ENDED, "shop.0001")
    assert event.migration == 1
    told.say("COMMIT")
    (again,) = happened([told.one(ROW)], "django")
    assert (again.happening, again.migration) == (Happening.ACT, 0)
    assert again.command == "manage.py migrate --fake"


@pytest.mark.parametrize("end", ["ROLLBACK", "COMMIT"])
def test_what_was_rolled_back_is_no_body(end: str) -> None:
    told = Told()
    told.say("BEGIN; CREATE TABLE a (id int)")
    told.say(end, failed=True)
    (event,) = happened([told.one(ROW)], "django")
    assert event.happening is Happening.ACT


@pytest.mark.parametrize(
    "statements",
    [
        "BEGIN; SAVEPOINT a; CREATE TABLE a (id int); ROLLBACK TO a",
        "BEGIN; SAVEPOINT a; CREATE TABLE a (id int); SAVEPOINT b; ROLLBACK TO a",
        "BEGIN; SAVEPOINT a; SAVEPOINT b; RELEASE b; CREATE TABLE a (); ROLLBACK TO a",
        "BEGIN; ROLLBACK AND CHAIN; CREATE TABLE a (id int); ROLLBACK",
        "BEGIN; COMMIT AND CHAIN; CREATE TABLE a (id int); ROLLBACK",
        "BEGIN; BEGIN; CREATE TABLE a (id int); ROLLBACK",
    ],
)
def test_a_body_that_was_taken_back_does_not_hide_a_fake(statements: str) -> None:
    told = Told()
    told.say(statements)
    (event,) = happened([told.one(ROW)], "django")
    assert event.happening is Happening.ACT


def test_a_released_savepoint_keeps_its_body() -> None:
    told = Told()
    told.say("BEGIN; SAVEPOINT a; CREATE TABLE a (id int); RELEASE a")
    told.say("SAVEPOINT b; SELECT 1 / 0; ROLLBACK TO b")
    (event,) = happened([told.one(ROW)], "django")
    assert event.happening is Happening.ENDED


def test_a_rolled_back_announcement_is_forgotten() -> None:
    told = Told()
    told.say("BEGIN")
    told.announce()
    told.say("ROLLBACK")
    assert told.recogniser.announced("prisma") is None
    assert told.announce("another").migration == 2  # no number is used twice


def test_undo_goes_back_to_the_mark() -> None:
    told = Told()
    before = told.recogniser.mark()
    told.announce()
    told.recogniser.undo(before)
    assert told.recogniser.announced("prisma") is None
    assert told.recogniser.candidates == ()


def test_several_rows_at_once_are_several_events() -> None:
    told = Told()
    rows = told.one("INSERT INTO schema_migrations (version) VALUES ('1'), ('2')")
    assert [e.name for e in happened([rows], "rails")] == ["1", "2"]


# --- commands ----------------------------------------------------------------


def advice(told: Told, text: str) -> list[str]:
    encoded = text.encode()
    found = told.recogniser.destructive(encoded, analyse(encoded).statements)
    return [event.advice for event in found]


def test_a_reset_is_named_in_the_words_of_the_issue() -> None:
    told = Told()
    told.one(PROBE, "public")
    assert advice(told, 'DROP SCHEMA "public" CASCADE') == [
        "`prisma migrate reset` drops all data and is never run here; "
        "to apply pending migrations use `prisma migrate deploy`."
    ]


def test_nothing_is_named_without_a_sign_of_the_tool() -> None:
    assert advice(Told(), 'DROP SCHEMA "public" CASCADE') == []
    assert advice(Told(), "DROP TABLE orders") == []
    assert advice(Told(), "TRUNCATE orders RESTART IDENTITY") == []


def test_a_deploy_that_drops_is_no_reset() -> None:
    told = Told()
    told.one(PROBE, "public")
    told.one(LOCK)
    told.announce()
    assert advice(told, 'DROP SCHEMA "old" CASCADE') == []


def test_asking_for_a_name_changes_nothing() -> None:
    told = Told()
    before = told.recogniser.mark()
    advice(told, 'DROP SCHEMA "public" CASCADE')
    assert told.recogniser.mark() is before


# --- it never raises ---------------------------------------------------------

RECORDED = sorted(
    {
        ran.text
        for transcript in page.read_all()
        for conversation in transcript.conversations
        for ran in conversation
    }
)
CONTROL = [
    *("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT a", "RELEASE a", "ROLLBACK TO a"),
    *("COMMIT AND CHAIN", "", "SELEC"),
]
bounds = st.lists(
    st.builds(Bound, st.none() | st.binary(max_size=12), is_binary=st.booleans()),
    max_size=10,
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([*RECORDED, *CONTROL, ANNOUNCE, STEP, FINISH, ROW]),
            bounds,
            st.booleans(),
            st.booleans(),
        ),
        max_size=25,
    )
)
def test_any_list_of_statements_is_read(
    said: list[tuple[str, list[Bound], bool, bool]],
) -> None:
    recogniser = Recogniser(tools())
    for text, binds, has_failed, is_undone in said:
        encoded = text.encode()
        statements = analyse(encoded).statements
        before = recogniser.mark()
        readings = recogniser.see(encoded, statements, binds, has_failed=has_failed)
        assert len(readings) == len(statements)
        for reading in readings:
            is_known = reading.part is Part.BOOKKEEPING
            assert is_known == bool(reading.bookkeeping_of)
        recogniser.destructive(encoded, statements)
        assert recogniser.tool in {"", *recogniser.candidates}
        if is_undone:
            recogniser.undo(before)
            assert recogniser.mark() is before


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300), bounds)
def test_any_bytes_are_read(text: bytes, binds: list[Bound]) -> None:
    recogniser = Recogniser(tools())
    statements = analyse(text).statements
    assert len(recogniser.see(text, statements, binds)) == len(statements)


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(RECORDED), st.binary(max_size=100))
def test_facts_and_text_that_do_not_belong_together_are_read(
    recorded: str, text: bytes
) -> None:
    """An EXECUTE runs another text than its own; what is not told is unknown."""
    recogniser = Recogniser(tools())
    statements = analyse(recorded.encode()).statements
    assert len(recogniser.see(text, statements)) == len(statements)


@pytest.mark.parametrize(
    "text",
    [
        "CREATE TEMP TABLE alembic_version (version_num text)",
        "INSERT INTO alembic_version (version_num) VALUES ('a1') "
        "ON CONFLICT (version_num) DO UPDATE SET version_num = 'z9'",
        "UPDATE _prisma_migrations SET logs = 'x', started_at = now() WHERE id = 'k'",
    ],
)
def test_what_looks_like_a_tools_own_and_is_not(text: str) -> None:
    recogniser = Recogniser(Tools(shipped_profiles()))
    [reading] = recogniser.see(text.encode(), analyse(text.encode()).statements)
    assert reading.part is Part.OUT_OF_PLACE
