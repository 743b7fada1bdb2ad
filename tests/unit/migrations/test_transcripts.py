"""Each profile against what the real tool said: every recorded command is read."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import pytest

from proxy.migrations.profile_load import shipped_profiles
from proxy.migrations.recogniser import Event, Happening, Part, Recogniser, Tools
from tests.transcripts import page, replay

if TYPE_CHECKING:
    from tests.corpus.tap import Ran

PROFILES = {profile.tool: profile for profile in shipped_profiles()}
TRANSCRIPTS = {each.name: each for each in page.read_all()}

APPLIED = {
    "alembic upgrade head": ["a1", "a2"],
    "manage.py migrate": ["shop.0001_initial", "shop.0002_starred"],
    "prisma migrate deploy": ["20240101000000_shop", "20240201000000_reviews"],
    "drizzle-kit migrate": ["1700000000000", "1700000000001"],
    "knex migrate:latest": ["1_first.js", "2_second.js"],
    "dbmate migrate": ["20240101000000", "20240102000000"],
    "migrate up": ["1", "2"],
    "flyway migrate": ["1", "2"],
    "liquibase update": ["changes.sql.x.1", "changes.sql.x.2"],
    "rails db:migrate": ["1", "2"],
    "sqitch deploy": ["first", "second"],
}
DESTRUCTIVE = {
    "prisma migrate reset --force --skip-seed --skip-generate": "prisma migrate reset",
    "prisma db push --force-reset --skip-generate": "prisma migrate reset",
    "prisma db push --accept-data-loss --skip-generate": "prisma db push",
    "prisma migrate dev --name more --skip-generate": "prisma migrate dev",
    "alembic downgrade base": "alembic downgrade",
    "manage.py flush --no-input": "manage.py flush",
    "manage.py migrate shop zero": "manage.py migrate APP zero",
    "drizzle-kit push --force": "drizzle-kit push",
    "knex migrate:rollback --all": "knex migrate:rollback",
    "dbmate rollback": "dbmate rollback",
    "migrate drop -f": "migrate drop",
    "migrate down -all": "migrate down",
    "flyway clean": "flyway clean",
    "liquibase dropAll": "liquibase drop-all",
    "rails db:drop": "rails db:drop",
    "rails db:purge": "rails db:drop",
    "rails db:truncate_all": "rails db:truncate_all",
    "rails db:schema:load": "rails db:schema:load",
    "rails db:rollback": "rails db:rollback",
}
ACTS = {
    "alembic stamp a2 (empty)": "alembic stamp",
    "alembic stamp a3": "alembic stamp",
    "manage.py migrate --fake shop": "manage.py migrate --fake",
    "flyway baseline": "flyway baseline",
    "flyway repair": "flyway repair",
    "knex migrate:unlock": "knex migrate:unlock",
    "liquibase changelogSync": "liquibase changelog-sync",
    "liquibase clearChecksums": "liquibase clear-checksums",
    "migrate force 2": "migrate force",
}
QUIET = {"prisma", "dbmate", "sqitch"}
"""They open further connections that show nothing: a shadow database, psql."""
LOOKS = ("current", "status", "show", "info", "validate", "version")


@cache
def tools() -> Tools:
    return Tools(PROFILES.values())


def events(transcript: page.Transcript) -> list[Event]:
    """What the profile of the transcript's own tool tells, over all connections."""
    return [
        event
        for conversation in transcript.conversations
        for ran, reading in replay.readings(Recogniser(tools()), conversation)
        for event in reading.events
        if event.tool == transcript.tool and not ran.sqlstate
    ]


def names(found: list[Event], happening: Happening) -> list[str]:
    return [event.name for event in found if event.happening is happening]


each_transcript = pytest.mark.parametrize(
    "transcript", TRANSCRIPTS.values(), ids=TRANSCRIPTS.keys()
)


def test_they_are_read_as_reviewed() -> None:
    assert replay.golden(tools()) == replay.GOLDEN.read_text("utf-8")


def test_every_recorded_profile_has_transcripts_of_its_version() -> None:
    recorded = {(each.tool, each.version) for each in TRANSCRIPTS.values()}
    stated = {
        (profile.tool, version)
        for profile in PROFILES.values()
        if profile.is_on
        for version in profile.model.provenance.versions
    }
    assert stated == recorded


def test_every_command_here_was_recorded() -> None:
    known = {each.command for each in TRANSCRIPTS.values()}
    assert known >= {*APPLIED, *DESTRUCTIVE, *ACTS}


def test_every_destructive_command_of_a_profile_was_recorded() -> None:
    stated = {
        command.command
        for profile in PROFILES.values()
        for command in profile.model.commands
    }
    # A part of `db:purge`; and a command that is recorded and destroys nothing there.
    unrecorded = {"rails db:create", "prisma db execute"}
    assert stated - unrecorded == set(DESTRUCTIVE.values())


@each_transcript
def test_the_tool_is_known(transcript: page.Transcript) -> None:
    if transcript.tool == "psql" or transcript.command == "dbmate drop":
        return  # nothing shows these
    seen = set()
    for conversation in transcript.conversations:
        recogniser = Recogniser(tools())
        list(replay.readings(recogniser, conversation))
        seen |= {recogniser.tool}
        known = recogniser.candidates
        assert recogniser.tool in {"", transcript.tool}
        assert transcript.tool in known or (not known and transcript.tool in QUIET)
    assert transcript.tool in seen


@pytest.mark.parametrize("command", APPLIED)
def test_what_is_applied_is_named_in_order(command: str) -> None:
    for transcript in TRANSCRIPTS.values():
        if transcript.command == command:
            ended = names(events(transcript), Happening.ENDED)
            assert ended[-len(APPLIED[command]) :] == APPLIED[command]


@each_transcript
def test_nothing_is_applied_by_what_applies_nothing(
    transcript: page.Transcript,
) -> None:
    words = transcript.command
    if not words.endswith(("(again)", "(fails)")) and not any(
        w in words for w in LOOKS
    ):
        return
    if words.startswith(("alembic stamp", "manage.py migrate --fake")):
        return
    found = events(transcript)
    assert names(found, Happening.ENDED) == []
    assert names(found, Happening.ACT) == []
    assert names(found, Happening.DESTRUCTIVE) == []


@pytest.mark.parametrize("command", DESTRUCTIVE)
def test_a_destructive_command_is_named_at_its_first_statement(command: str) -> None:
    for transcript in TRANSCRIPTS.values():
        if transcript.command == command:
            first = [_first_change(each) for each in transcript.conversations]
            assert DESTRUCTIVE[command] in first


def _first_change(conversation: tuple[Ran, ...]) -> str:
    """The command that is named at the first statement which is more than a read."""
    for _, reading in replay.readings(Recogniser(tools()), conversation):
        if reading.part in {Part.BODY, Part.OUT_OF_PLACE}:
            return next((e.command for e in reading.events if e.command), "")
    return ""


@pytest.mark.parametrize("command", ACTS)
def test_history_without_a_migration_is_an_act(command: str) -> None:
    for transcript in TRANSCRIPTS.values():
        if transcript.command == command:
            acts = [e for e in events(transcript) if e.happening is Happening.ACT]
            assert [e.command for e in acts][:1] == [ACTS[command]]
            assert names(events(transcript), Happening.ENDED) == []
