"""Values as drivers send them; looking a statement up by name misses nothing."""

from __future__ import annotations

from functools import cache

import pytest

from proxy.migrations.profile import Match, Source
from proxy.migrations.profile_load import shipped_profiles
from proxy.migrations.profile_match import Bound, Matcher, Sent, Tools
from proxy.sql.analyse import analyse
from tests.transcripts import page


def sent(text: str, *binds: Bound) -> Sent:
    (facts,) = analyse(text.encode()).statements
    return Sent(facts, text.encode(), binds)


@cache
def recorded() -> list[str]:
    return sorted(
        {
            ran.text
            for transcript in page.read_all()
            for conversation in transcript.conversations
            for ran in conversation
        }
    )


def test_nothing_is_missed_by_looking_it_up() -> None:
    tools = Tools(shipped_profiles())
    fitting = 0
    for text in recorded():
        for facts in analyse(text.encode()).statements:
            one = Sent(facts, text.encode())
            found = set(tools.statements(facts))
            commands = set(tools.commands(facts))
            for known in tools.known:
                for statement in known.bookkeeping:
                    if statement.matcher.fits_alone(one):
                        fitting += 1
                        assert statement in found
                for command in known.commands:
                    if command.fits(one, frozenset(command.model.after)):
                        fitting += 1
                        assert command in commands
    assert fitting > 200


@pytest.mark.parametrize(
    "value",
    ["true", "TRUE", "'t'", "1", Bound(b"\x01", is_binary=True), Bound(b"TRUE")],
)
def test_true_is_what_drivers_send_for_it(value: str | Bound) -> None:
    matcher = Matcher(Match(action=["insert"], values={"ok": ["true"]}))
    text = "$1" if isinstance(value, Bound) else value
    binds = [value] if isinstance(value, Bound) else []
    assert matcher.fits(sent(f"INSERT INTO t (ok) VALUES ({text})", *binds))
    assert not matcher.fits(sent("INSERT INTO t (ok) VALUES (false)"))


def test_every_row_must_have_the_value() -> None:
    matcher = Matcher(Match(action=["insert"], values={"ok": ["true"]}))
    assert not matcher.fits(sent("INSERT INTO t (ok) VALUES (true), (false)"))
    assert not matcher.fits(sent("INSERT INTO t (ok) SELECT true"))


@pytest.mark.parametrize(
    ("bound", "said"),
    [
        (Bound(b"\xff\xff\xff\xff", is_binary=True), "-1"),
        (Bound(b"\x00\x07", is_binary=True), "7"),
        (Bound(b"20240101000000"), "20240101000000"),
        (Bound(None), ""),
        (Bound(b"\xff", is_binary=True), ""),
    ],
)
def test_an_integer_in_either_format(bound: Bound, said: str) -> None:
    one = sent("INSERT INTO t (version) VALUES ($1)", bound)
    assert one.values_of(Source(column="version", type="integer")) == [said]


def test_a_parameter_that_nobody_bound_is_unknown() -> None:
    one = sent("INSERT INTO t (version) VALUES ($2)", Bound(b"1"))
    assert one.values_of(Source(column="version")) == [""]
