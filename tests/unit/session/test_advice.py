"""Advice: only on what the policy refuses, only in the hint; nobody is let through."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import pytest

from proxy.migrations.profile_advice import ToolAdviser
from proxy.migrations.profile_load import shipped_profiles
from proxy.migrations.profile_match import Tools
from proxy.session.advice import OPENING_BYTES, OPENING_TEXTS
from tests.unit.session.playbook import (
    BOUND,
    PARSED,
    Playbook,
    done,
    error_fields,
    no_such,
    query,
    ready,
    run,
    split,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from proxy.session.judge import Judged

PROBE = (
    "SELECT EXISTS(SELECT 1 FROM pg_namespace WHERE nspname = 'x'), version(), "
    "current_setting('server_version_num')::integer"
)
RESET = 'DROP SCHEMA "public" CASCADE'
FALLBACK = 'ALTER TABLE "a" DROP CONSTRAINT "b"; DROP TABLE "a"'
ADVICE = (
    "`prisma migrate reset` drops all data and is never run here; "
    "to apply pending migrations use `prisma migrate deploy`."
)


@cache
def tools() -> Tools:
    return Tools(shipped_profiles())


class Counting:
    """An adviser that counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def advise(self, opening: Sequence[Judged], refused: Judged) -> str:
        self.asked += 1
        return ""


def book(role: str = "migrator") -> Playbook:
    made = Playbook(role)
    made.session.adviser = ToolAdviser(tools())
    return made


def refusal(playbook: Playbook, serial: int) -> dict[str, str]:
    """The refusal that the client is shown for the message of this number."""
    before = len(playbook.seen)
    playbook.server(no_such(serial), ready())
    (fields,) = [
        error_fields(body)
        for kind, body in split(playbook.seen[before:])
        if kind == "E"
    ]
    return fields


def probed(role: str = "migrator") -> Playbook:
    playbook = book(role)
    playbook.client(query(PROBE)).server(done("SELECT 1"), ready())
    return playbook


@pytest.mark.parametrize("role", ["developer", "migrator"])
def test_a_refused_reset_is_named(role: str) -> None:
    playbook = probed(role)
    playbook.client(query(RESET))
    fields = refusal(playbook, 2)
    assert fields["H"] == ADVICE
    assert fields["C"] == "42501"
    assert fields["M"].startswith(f"DROP SCHEMA is not allowed for role {role}")
    assert playbook.forwarded()[-1] == "Q <2>"


def test_also_in_the_extended_protocol() -> None:
    playbook = book()
    playbook.client(run(PROBE)).server(PARSED, BOUND, done("SELECT 1"))
    playbook.client(run(RESET))
    assert refusal(playbook, 2)["H"] == ADVICE


def test_the_second_way_of_a_reset_is_still_the_reset() -> None:
    playbook = probed()
    playbook.client(query(RESET)).server(no_such(2), ready())
    playbook.client(query(FALLBACK))
    assert refusal(playbook, 3)["H"] == ADVICE


def test_without_a_sign_of_the_tool_the_policys_hint_stands() -> None:
    with_adviser, without = book(), Playbook("migrator")
    text = query("DROP TABLE orders")
    hints = [refusal(each.client(text), 1)["H"] for each in (with_adviser, without)]
    assert hints[0] == hints[1]


def test_what_is_allowed_asks_nobody() -> None:
    playbook = Playbook("migrator")
    playbook.session.adviser = counting = Counting()
    playbook.client(query("CREATE TABLE a (id int)"), query("SELECT 1"))
    assert counting.asked == 0
    playbook.client(query(RESET))
    assert counting.asked == 1


def test_what_can_not_be_judged_asks_nobody() -> None:
    playbook = Playbook("migrator")
    playbook.session.adviser = counting = Counting()
    playbook.client(query("SELEC"))
    assert counting.asked == 0


def test_only_the_beginning_of_a_session_is_kept() -> None:
    playbook = book()
    long = f"SELECT '{'x' * OPENING_BYTES}'"
    playbook.client(query(long))
    assert playbook.session.opening == []
    for _ in range(OPENING_TEXTS + 5):
        playbook.client(query("SELECT 1"))
    assert len(playbook.session.opening) == OPENING_TEXTS - 1


def test_a_session_without_an_adviser_keeps_nothing() -> None:
    playbook = Playbook("developer")
    playbook.client(query(PROBE))
    assert playbook.session.opening == []


@pytest.mark.parametrize("role", ["developer", "migrator"])
def test_an_adviser_changes_no_decision_and_no_record(role: str) -> None:
    texts = [PROBE, RESET, FALLBACK, "CREATE TABLE a (id int)", "SELECT 1", "SELEC"]
    with_adviser, without = book(role), Playbook(role)
    for each in (with_adviser, without):
        each.client(*map(query, texts))
    assert with_adviser.forwarded() == without.forwarded()
    assert with_adviser.records == without.records
