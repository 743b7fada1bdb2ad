"""A proven migration passes, byte by byte; anything else beside it does not.

Proofs are made of the transcripts of real tools, and followed on the same.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

import pytest
from msgspec import Struct, structs

from proxy.migrations.follower import Follower
from proxy.migrations.profile_load import shipped_profiles
from proxy.migrations.profile_match import Bound
from proxy.migrations.recogniser import Recogniser, Tools
from proxy.migrations.recording import Recorded, Recording
from proxy.sql.analyse import analyse
from tests.corpus.tap import Ran
from tests.transcripts import page

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from proxy.migrations.following import Candidate, Followed, Unproven
    from proxy.sql.facts import Facts


class Piece(Struct, frozen=True):
    """A statement and its values, exactly."""

    text: bytes
    values: tuple[tuple[int, bytes | None], ...] = ()

    @property
    def transaction(self) -> str:
        return analyse(self.text).statements[0].transaction


class Proof(Struct, frozen=True):
    """A proof that compares bytes."""

    recorded: Recorded[Piece]
    id: str = "p"

    @property
    def tool(self) -> str:
        return self.recorded.tool

    @property
    def name(self) -> str:
        return self.recorded.name

    @property
    def checksum(self) -> str:
        return self.recorded.checksum

    @property
    def length(self) -> int:
        return len(self.recorded.pieces)

    @property
    def is_transaction(self) -> bool:
        return self.recorded.is_transaction

    @property
    def is_with_row(self) -> bool:
        return self.recorded.is_with_row

    @property
    def is_announced(self) -> bool:
        return self.tool == "prisma"

    def fits(self, position: int, piece: object) -> bool:
        return self.recorded.pieces[position] == piece

    def difference(self, position: int, piece: object) -> str:
        return ""

    def shown(self, position: int) -> str:
        return self.recorded.pieces[position].text.decode()[:80]


class Ledger:
    """Proofs in memory."""

    def __init__(self, proofs: Iterable[Proof]) -> None:
        self.proofs = list(proofs)

    def of_tool(self, tool: str) -> Sequence[Candidate]:
        return [proof for proof in self.proofs if proof.tool == tool]

    def tools(self) -> Iterable[str]:
        return sorted({proof.tool for proof in self.proofs})


@cache
def tools() -> Tools:
    return Tools(shipped_profiles())


def pieces_of(ran: Ran) -> tuple[list[Piece], tuple[Facts, ...]]:
    text = ran.text.encode()
    statements = analyse(text).statements
    pieces = []
    for facts in statements:
        start, length = facts.location
        exact = text[start : start + length if length else len(text)]
        pieces.append(Piece(exact.strip(b" \n;"), ran.binds))
    return pieces, statements


class Run:
    """A conversation shown to recogniser and follower, as the wire would."""

    def __init__(self, ledger: Ledger, acts: frozenset[str] = frozenset()) -> None:
        self.recogniser = Recogniser(tools())
        self.follower = Follower(ledger, acts)
        self.recording: Recording[Piece] = Recording()

    def send(self, ran: Ran) -> Followed:
        text = ran.text.encode()
        pieces, statements = pieces_of(ran)
        binds = [Bound(value, is_binary=bool(kind)) for kind, value in ran.binds]
        before = self.recogniser.mark()
        readings = self.recogniser.see(
            text, statements, binds, has_failed=ran.status == "E"
        )
        in_transaction = ran.status == "T" or len(pieces) > 1
        followed = self.follower.follow(pieces, readings, in_transaction=in_transaction)
        if ran.sqlstate or followed.unproven:
            self.recogniser.undo(before)
            return followed
        self.follower.progress = followed.progress
        return followed


def recorded(transcript: page.Transcript) -> list[Recorded[Piece]]:
    found: list[Recorded[Piece]] = []
    for conversation in transcript.conversations:
        run = Run(Ledger(()))
        # Nothing is proven yet: what it records does not hang on the follower.
        for ran in conversation:
            text = ran.text.encode()
            pieces, statements = pieces_of(ran)
            binds = [Bound(value, is_binary=bool(kind)) for kind, value in ran.binds]
            before = run.recogniser.mark()
            readings = run.recogniser.see(
                text, statements, binds, has_failed=ran.status == "E"
            )
            if ran.sqlstate:
                run.recogniser.undo(before)
                continue
            run.recording = run.recording.after(
                pieces,
                readings,
                run.recogniser.tool,
                in_transaction=ran.status == "T",
            )
        found.extend(run.recording.applied)
    return found


APPLY = (
    "alembic upgrade head",
    "manage.py migrate",
    "prisma migrate deploy",
    "drizzle-kit migrate",
    "knex migrate:latest",
    "dbmate migrate",
    "migrate up",
    "flyway migrate",
    "liquibase update",
    "rails db:migrate",
)
APPLIED = [each for each in page.read_all() if each.command in APPLY]


def refused(transcript: page.Transcript, ledger: Ledger) -> list[Unproven]:
    found = []
    for conversation in transcript.conversations:
        run = Run(ledger)
        for ran in conversation:
            unproven = run.send(ran).unproven
            if unproven is not None:
                found.append(unproven)
    return found


FOLLOWED = [each for each in APPLIED if each.tool != "flyway"]
each_followed = pytest.mark.parametrize(
    "transcript", FOLLOWED, ids=[each.name for each in FOLLOWED]
)


@each_followed
def test_what_was_proven_passes(transcript: page.Transcript) -> None:
    proofs = [Proof(each) for each in recorded(transcript)]
    assert sum(bool(proof.length) for proof in proofs) >= 2
    assert refused(transcript, Ledger(proofs)) == []


def body(transcript: page.Transcript) -> list[tuple[int, int]]:
    """Where the statements of migrations are: (connection, position)."""
    whole = {piece.text for each in recorded(transcript) for piece in each.pieces}
    return [
        (number, position)
        for number, conversation in enumerate(transcript.conversations)
        for position, ran in enumerate(conversation)
        if not ran.sqlstate and any(p.text in whole for p in pieces_of(ran)[0])
    ]


def changed(
    transcript: page.Transcript, number: int, conversation: Sequence[Ran]
) -> page.Transcript:
    conversations = list(transcript.conversations)
    conversations[number] = tuple(conversation)
    return replace(transcript, conversations=tuple(conversations))


def variants(transcript: page.Transcript) -> Iterable[tuple[str, page.Transcript]]:
    """The same run, but for one thing."""
    # Behind these the tool itself commits before it writes the row.
    lasts = [each.pieces[-1] for each in recorded(transcript)
             if each.pieces and not each.is_with_row]  # fmt: skip
    for number, position in body(transcript):
        conversation = transcript.conversations[number]
        before, ran, behind = (
            conversation[:position],
            conversation[position],
            conversation[position + 1 :],
        )
        for what, text in (
            ("a byte more", ran.text + " "),
            ("a comment", "/* x */ " + ran.text),
            ("another case", ran.text.swapcase()),
        ):
            if pieces_of(replace(ran, text=text))[0] != pieces_of(ran)[0]:
                other = [*before, replace(ran, text=text), *behind]
                yield what, changed(transcript, number, other)
        yield "left out", changed(transcript, number, [*before, *behind])
        yield "twice", changed(transcript, number, [*before, ran, ran, *behind])
        extra = replace(ran, text="DELETE FROM orders", binds=(), form="simple")
        yield "one before", changed(transcript, number, [*before, extra, ran, *behind])
        yield "one behind", changed(transcript, number, [*before, ran, extra, *behind])
        joined = replace(ran, text=f"{ran.text};DELETE FROM orders", form="simple")
        yield "one joined", changed(transcript, number, [*before, joined, *behind])
        if ran.status == "T" and pieces_of(ran)[0][-1] not in lasts:
            half = replace(ran, text="COMMIT", binds=(), form="simple")
            yield (
                "committed",
                changed(transcript, number, [*before, ran, half, *behind]),
            )
            outside = [
                replace(ran, status="I") if x is ran else x for x in conversation
            ]
            yield "outside", changed(transcript, number, outside)


@pytest.mark.timeout(120)
@each_followed
def test_anything_else_does_not(transcript: page.Transcript) -> None:
    ledger = Ledger(Proof(each) for each in recorded(transcript))
    tried = 0
    for what, other in variants(transcript):
        assert refused(other, ledger), what
        tried += 1
    assert tried > 10


# --- what it says, and to whom ------------------------------------------------


PRISMA = next(each for each in APPLIED if each.tool == "prisma")
DJANGO = next(each for each in APPLIED if each.tool == "django")


def announced(name: str, checksum: str) -> str:
    return (
        'INSERT INTO "_prisma_migrations" ("id","checksum","started_at",'
        f"\"migration_name\") VALUES ('i1','{checksum}',now(),'{name}')"
    )


FINISHED = """UPDATE "_prisma_migrations" SET "finished_at" = now() WHERE "id" = 'i1'"""


def prisma() -> Ledger:
    one = Recorded("prisma", "1_shop", "c1", (Piece(b"CREATE TABLE a (id int)"),
                                              Piece(b"DROP TABLE old")))  # fmt: skip
    two = Recorded("prisma", "2_more", "c2", (Piece(b"DROP TABLE b"),))
    return Ledger([Proof(one, "one"), Proof(two, "two")])


def said(ledger: Ledger, *texts: str, acts: frozenset[str] = frozenset()) -> Run:
    """A run of simple queries, each of which is proven or needs no proof."""
    run = Run(ledger, acts)
    for text in texts:
        followed = run.send(Ran(text, "simple", "I"))
        assert followed.unproven is None, followed.unproven
    return run


def why(run: Run, text: str) -> Unproven:
    before = run.follower.progress
    unproven = run.send(Ran(text, "simple", "I")).unproven
    assert unproven is not None
    assert run.follower.progress == before
    return unproven


def test_a_whole_file_in_one_query_is_the_same_migration() -> None:
    file = "-- first\nCREATE TABLE a (id int);\nDROP TABLE old;\n"
    run = said(prisma(), announced("1_shop", "c1"), file, FINISHED)
    assert [proof.id for proof in run.follower.progress.ended] == ["one"]


def test_a_file_with_one_more_statement_is_not() -> None:
    run = said(prisma(), announced("1_shop", "c1"))
    file = "CREATE TABLE a (id int); DROP TABLE old; DROP TABLE orders"
    unproven = why(run, file)
    assert unproven.rule == "migration.out-of-order"
    assert "all 2 statements" in unproven.reason


def test_the_first_difference_is_shown() -> None:
    run = said(prisma(), announced("1_shop", "c1"), "CREATE TABLE a (id int)")
    unproven = why(run, "DROP TABLE orders")
    assert unproven.rule == "migration.changed"
    assert "statement 2 of 2" in unproven.reason
    assert "'DROP TABLE orders'" in unproven.reason
    assert "'DROP TABLE old'" in unproven.reason


@pytest.mark.parametrize(
    ("name", "checksum", "rule"),
    [
        ("1_shop", "c2", "migration.changed"),
        ("1_shop", "", "migration.changed"),
        ("3_other", "c1", "migration.not-proven"),
    ],
)
def test_what_is_announced_must_be_proven(name: str, checksum: str, rule: str) -> None:
    assert why(Run(prisma()), announced(name, checksum)).rule == rule


@pytest.mark.parametrize(
    ("before", "text", "rule"),
    [
        ((), "DROP TABLE b", "migration.not-proven"),  # proven, and not announced
        ((), FINISHED, "migration.history"),
        ((announced("1_shop", "c1"),), FINISHED, "migration.not-finished"),
        ((announced("1_shop", "c1"),), announced("2_more", "c2"), "migration.history"),
        ((announced("1_shop", "c1"),), "DROP TABLE b", "migration.changed"),
        ((), "DELETE FROM _prisma_migrations", "migration.history"),
        ((), "UPDATE _prisma_migrations SET checksum = 'c1'", "migration.history"),
        ((), "WITH x AS (DELETE FROM orders RETURNING 1) SELECT * FROM x",
         "migration.not-proven"),
        ((), "INSERT INTO alembic_version (version_num) VALUES ('a')",
         "migration.act"),
    ],
)  # fmt: skip
def test_what_no_proof_has_in_this_place(
    before: tuple[str, ...], text: str, rule: str
) -> None:
    assert why(said(prisma(), *before), text).rule == rule


RESOLVED = (
    'INSERT INTO "_prisma_migrations" ("id","checksum","logs","started_at",'
    "\"finished_at\",\"migration_name\") VALUES ('i','c','',now(),now(),'1_shop')"
)
RESOLVE = "prisma migrate resolve --applied"


def test_writing_history_needs_a_permission_of_its_own() -> None:
    unproven = why(Run(prisma()), RESOLVED)
    assert (unproven.rule, RESOLVE in unproven.reason) == ("migration.act", True)
    said(prisma(), RESOLVED, acts=frozenset({RESOLVE}))
    run = Run(prisma(), frozenset({RESOLVE}))
    run.send(Ran(announced("1_shop", "c1"), "simple", "I"))
    assert why(run, RESOLVED).rule == "migration.act"


def test_the_gates_are_asked_once_a_migration_and_may_rule_proofs_out() -> None:
    run = Run(prisma())
    begun = run.send(Ran(announced("1_shop", "c1"), "simple", "I"))
    assert [proof.id for proof in begun.begins] == ["one"]
    assert run.send(Ran("CREATE TABLE a (id int)", "simple", "I")).begins == ()
    run.follower.progress = structs.replace(run.follower.progress, cursors=())
    assert why(run, "DROP TABLE old").reason == "no proof fits this migration"


def test_it_need_not_be_in_the_history_of_every_tool() -> None:
    """One row of `schema_migrations` is history to four tools, and proven for one."""
    one = Recorded("dbmate", "1", "", (Piece(b"DROP TABLE a"),), is_transaction=True,
                   is_with_row=True)  # fmt: skip
    row = "INSERT INTO schema_migrations (version) VALUES ('1')"
    run = Run(Ledger([Proof(one)]))
    for text in ("DROP TABLE a", row):
        assert run.send(Ran(text, "simple", "T")).unproven is None
    assert [proof.id for proof in run.follower.progress.ended] == ["p"]
    assert why(run, row).rule == "migration.act"


def test_without_a_name_beforehand_all_that_begin_alike_are_candidates() -> None:
    same = Piece(b"CREATE TABLE a (id int)")
    ledger = Ledger(
        Proof(Recorded("django", name, "", (same, Piece(last))), name)
        for name, last in (("app.1", b"DROP TABLE x"), ("app.2", b"DROP TABLE y"))
    )
    row = "INSERT INTO django_migrations (app, name, applied) VALUES ('app','%s',now())"
    run = said(ledger, "CREATE TABLE a (id int)")
    assert len(run.follower.progress.cursors) == 2
    assert run.send(Ran("DROP TABLE y", "simple", "I")).unproven is None
    assert why(run, row % "1").rule == "migration.changed"
    assert run.send(Ran(row % "2", "simple", "I")).unproven is None
    assert [proof.id for proof in run.follower.progress.ended] == ["app.2"]


def test_what_only_reads_is_the_policys_alone() -> None:
    run = Run(Ledger(()))
    for text in ("SELECT 1", "BEGIN", "SET search_path = x", "COMMIT", "SHOW all", ""):
        followed = run.send(Ran(text, "simple", "I"))
        assert (followed.changes, followed.is_proven) == (False, False)


def test_after_an_unknown_outcome_nothing_is_proven() -> None:
    run = Run(prisma())
    run.follower.progress = structs.replace(run.follower.progress, is_uncertain=True)
    assert why(run, announced("1_shop", "c1")).rule == "migration.uncertain"
    assert run.send(Ran("SELECT 1", "simple", "I")).unproven is None


# --- what would leave a part behind -------------------------------------------


U1, U2 = "UPDATE a SET n = 1 WHERE id = 1", "UPDATE a SET n = 2 WHERE id = 1"
FAILED_ELSEWHERE = "UPDATE _prisma_migrations SET logs = 'x' WHERE id = 'i1'"


def one_transaction() -> Ledger:
    both = (Piece(U1.encode()), Piece(U2.encode()))
    one = Recorded("django", "s.1", "", both, is_transaction=True, is_with_row=True)
    return Ledger([Proof(one)])


def test_another_tools_failure_ends_no_transaction_of_ours() -> None:
    run = Run(one_transaction())
    assert run.send(Ran(U1, "simple", "T")).unproven is None
    unproven = run.send(Ran(FAILED_ELSEWHERE, "simple", "T")).unproven
    assert unproven is not None
    assert unproven.rule == "migration.not-finished"
    assert run.send(Ran("COMMIT", "simple", "T")).unproven is not None


def test_a_failure_is_told_where_nothing_runs() -> None:
    assert said(one_transaction(), FAILED_ELSEWHERE).follower.progress.ended == ()


def test_a_message_that_commits_itself_holds_all_of_it() -> None:
    run = Run(one_transaction())
    pieces, statements = pieces_of(Ran(f"{U1}; {U2}", "simple", "I"))
    readings = run.recogniser.see(f"{U1}; {U2}".encode(), statements)
    followed = run.follower.follow(
        pieces, readings, in_transaction=True, commits_itself=True
    )
    assert followed.unproven is not None
    assert followed.unproven.rule == "migration.not-finished"


FAKED = (
    "INSERT INTO django_migrations (app, name, applied) VALUES ('auth', '4', now())"
    " RETURNING id"
)


def test_a_migration_without_statements_begins_with_its_row() -> None:
    """So its gates are asked, and it is used up."""
    empty = Proof(Recorded("django", "auth.4", "", ()), "empty")
    run = Run(Ledger([empty]))
    followed = run.send(Ran(FAKED, "simple", "T"))
    assert followed.unproven is None
    assert [proof.id for proof in followed.begins] == ["empty"]
    assert [proof.id for proof in followed.progress.ended] == ["empty"]
    assert why(Run(Ledger([])), FAKED).rule == "migration.act"


def test_an_edited_first_statement_names_what_is_near() -> None:
    """Of a tool that tells the name only behind its statements."""
    text = b"UPDATE customer SET balance = 0 WHERE id <= 10"
    proof = Proof(Recorded("django", "shop.3", "", (Piece(text),)), "three")
    unproven = why(Run(Ledger([proof])), text.decode().replace("10", "90"))
    assert unproven.rule == "migration.not-proven"
    assert '"shop.3" does with one like it' in unproven.reason
    assert "id <= 90', proven was" in unproven.reason


# --- branches that meet --------------------------------------------------------

TAKES_BACK = "DELETE FROM alembic_version WHERE alembic_version.version_num = 'a2'"
MEETS = (
    "UPDATE alembic_version SET version_num='a4' "
    "WHERE alembic_version.version_num = 'a3'"
)


def meeting() -> Ledger:
    """What Alembic does where branches meet, as it is recorded."""
    recording: Recording[Piece] = Recording()
    recogniser = Recogniser(tools())
    for text in (TAKES_BACK, MEETS):
        ran = Ran(text, "simple", "T")
        pieces, statements = pieces_of(ran)
        readings = recogniser.see(text.encode(), statements)
        recording = recording.after(
            pieces, readings, recogniser.tool, in_transaction=True
        )
    [met] = recording.applied
    assert (met.name, len(met.pieces), met.is_with_row) == ("a4", 1, True)
    return Ledger([Proof(met)])


def test_a_row_that_is_taken_back_is_a_statement_where_a_proof_has_it() -> None:
    run = Run(meeting())
    for text in (TAKES_BACK, MEETS):
        assert run.send(Ran(text, "simple", "T")).unproven is None
    assert [proof.name for proof in run.follower.progress.ended] == ["a4"]


@pytest.mark.parametrize(
    "texts",
    [
        (TAKES_BACK.replace("a2", "a1"),),
        (TAKES_BACK, TAKES_BACK),
        (TAKES_BACK, MEETS.replace("a4", "a5")),
        (TAKES_BACK, "COMMIT"),
        (MEETS,),
    ],
)
def test_and_nothing_else_takes_a_row_back(texts: tuple[str, ...]) -> None:
    run = Run(meeting())
    refused_ = [run.send(Ran(text, "simple", "T")).unproven for text in texts]
    assert refused_[-1] is not None
    assert refused_[:-1] == [None] * (len(texts) - 1)


def test_outside_of_a_transaction_it_is_not_taken_back_either() -> None:
    assert why(Run(meeting()), TAKES_BACK).rule == "migration.changed"
