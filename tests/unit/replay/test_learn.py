"""Learning from a log: what was allowed stays so, and nothing else comes with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings, strategies as st
from msgspec import structs

from proxy.cli.offline import OfflineSession, load_policy
from proxy.policy.acts import acts_of
from proxy.policy.decision import Context
from proxy.policy.documents import load
from proxy.policy.evaluate import Policy
from proxy.policy.lint import lint
from proxy.policy.observed import as_seen
from proxy.policy.selection import Wish
from proxy.policy.spellings import spellings
from proxy.policy.suggest import RoleDraft, Suggestion, suggest
from proxy.replay.follow import Wanted
from proxy.replay.learn import Learnt, Lesson, learn
from proxy.replay.records import log_files
from proxy.replay.sessions import REDACTED
from proxy.session.judge import Judge
from proxy.shipped import policy_path
from proxy.sql.analyse import analyse
from proxy.sql.facts import Facts, Flag, Kind
from proxy.sql.functions import EFFECTS
from proxy.sql.redact import HIDDEN
from tests.made_log import MadeLog
from tests.unit.replay.replaying import READING, WRITING, policy, replayed
from tests.unit.sql.corpus import statements

if TYPE_CHECKING:
    from pathlib import Path

    from proxy.policy.acts import Act
    from proxy.policy.observed import Seen

DRAFT = RoleDraft("u", read_only=False)


def learnt(folder: Path, wanted: Wanted | None = None) -> Learnt:
    lesson = Lesson(tuple(log_files(folder)), wanted or Wanted())
    return learn(lesson, 1, lambda _: None)


def suggested(found: Learnt) -> Suggestion:
    roles = dict.fromkeys(sorted({each.role for each in found.observations}), DRAFT)
    return suggest(found.observations, roles, Wish(), heading=())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "audit"
    with MadeLog(folder) as log:
        session = log.session(policy(READING), settings={"TimeZone": "UTC"})
        for text in (
            "SELECT * FROM s.a",
            "DELETE FROM s.a",
            "DROP TABLE s.a",
            "PREPARE p AS SELECT * FROM s.b",
            "EXECUTE p",
            "SELECT 1 FROM s.c WHERE password = 'x'",
            "selct",
        ):
            session.query(text)
        other = log.session(policy(WRITING), identity="bi")
        other.query("DELETE FROM s.b")
    return folder


def test_only_what_was_allowed_is_learnt(folder: Path) -> None:
    found = learnt(folder, Wanted(identities=frozenset({"ana"})))
    names = {
        (each.kind, each.seen.how, each.seen.name)
        for each in found.observations
        if each.seen.key == "relations"
    }
    assert names == {
        ("read", "read", "a"),
        ("session", "read", "b"),
        ("execute", "read", "b"),
    }
    assert (found.statements, found.unread) == (3, {REDACTED: 1})
    assert found.first[:10] == "2025-10-09"
    assert found.first < found.last


def test_start_up_settings_are_learnt(folder: Path) -> None:
    settings = [
        each.seen for each in learnt(folder).observations if each.kind == "startup"
    ]
    assert [(seen.name, seen.value) for seen in settings] == [("timezone", "UTC")]


def test_a_span_and_a_role(folder: Path) -> None:
    assert learnt(folder, Wanted(since="2030")).observations == []
    assert learnt(folder, Wanted(roles=frozenset({"x"}))).observations == []


# --- the promise, on the whole corpus ------------------------------------------

TEXTS = [
    case.sql
    for case in statements()
    if analyse(case.sql.encode()).trouble is None
    and HIDDEN not in analyse(case.sql.encode()).recorded_text
    and "EXECUTE" not in case.sql.upper()
]
sequences = st.lists(st.sampled_from(TEXTS), min_size=1, max_size=12)
SHIPPED = {
    name: load_policy(policy_path(name))
    for name in ("production", "staging", "development")
}
policies = st.sampled_from(list(SHIPPED))
roles = st.sampled_from(["developer", "migrator"])


def all_of(text: str) -> tuple[Facts, ...]:
    return analyse(text.encode()).statements


@settings(max_examples=30, deadline=None)
@given(policies, roles, sequences, st.lists(st.sampled_from(TEXTS), max_size=20))
def test_a_suggestion_allows_what_was_allowed_and_nothing_new(
    tmp_path_factory: pytest.TempPathFactory,
    name: str,
    role: str,
    sent: list[str],
    others: list[str],
) -> None:
    folder = tmp_path_factory.mktemp("log") / "audit"
    shipped = SHIPPED[name]
    with MadeLog(folder) as log:
        allowed = [text for text in sent if log.session(shipped, role).query(text)]
    found = learnt(folder)
    assert (found.statements, found.unread) == (len(allowed), {})
    suggestion = suggested(found)
    if not any(map(all_of, allowed)):
        assert found.observations == []
        return
    document = load(suggestion.text, source="suggested")
    assert lint(document) == []

    # Replayed, nothing that was allowed is refused, but for what is named as left out.
    tally = replayed(folder, suggestion.text)
    if not suggestion.left_out:
        assert tally.statements.newly_refused == 0
    assert tally.logins.newly_refused == 0

    # No kind, flag or other act passes that no allowed statement had.
    seen = {as_seen(act) for text in allowed for act in acts(text)}
    rules = document.model.roles[role].rules
    permits = [rule.permit for rule in rules if rule.permit is not None]
    assert {word for each in permits for word in each.kinds} <= names(seen, "kinds")
    assert {word for each in permits for word in each.flags} <= names(seen, "flags")
    now = Policy(document)
    for text in [*sent, *others]:
        decision, _ = OfflineSession(Judge(now, role)).send(text.encode())
        if decision.allowed:
            news = {as_seen(act) for act in acts(text)} - seen
            assert {each for each in news if not is_implied(each, seen)} == set()


def is_implied(one: Seen, seen: set[Seen]) -> bool:
    """What no policy tells apart: a name without a schema means any schema's, a
    computed value any value, and a boolean has many spellings."""
    without = structs.replace(one, schema="", value=None)
    if one.key == "settings":
        values = {each.value for each in seen if each.name == one.name}
        spelt = {word for value in values if value for word in spellings(value)}
        return without in seen or (one.value or "").lower() in spelt
    return without in seen


def acts(text: str) -> list[Act]:
    return [act for facts in all_of(text) for act in acts_of(facts, EFFECTS)]


def names(seen: set[Seen], key: str) -> set[str]:
    return {each.name for each in seen if each.key == key}


def test_every_kind_and_flag_that_was_not_seen_is_refused(folder: Path) -> None:
    document = load(suggested(learnt(folder)).text, source="suggested")
    rules = Policy(document).role("developer")
    kinds, flags = {Kind.READ, Kind.EXECUTE, Kind.SESSION, Kind.DELETE}, set[Flag]()
    for each in learnt(folder).observations:
        if each.seen.key == "flags":
            flags.add(Flag(each.seen.name))
    for kind in Kind:
        for flag in (None, *Flag):
            facts = Facts(
                kind=kind,
                kinds=frozenset({kind}),
                actions=(),
                verb="",
                flags=frozenset({flag} if flag else ()),
            )
            is_allowed = rules.decide_statement(facts, Context()).allowed
            assert not is_allowed or (kind in kinds and (not flag or flag in flags))
