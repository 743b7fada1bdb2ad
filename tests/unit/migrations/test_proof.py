"""Statements against what was proven, and how they are shown."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from proxy.migrations.proof import (
    SHOWN_LENGTH,
    ProvenStatement,
    fits,
    proven_statement,
    settings_that_differ,
    shown,
)
from proxy.migrations.statement import BindValue, Sent, fingerprint
from proxy.migrations.varying import Varying, template
from tests.unit.migrations.made import proof

TEXT = b"INSERT INTO t (id, n) VALUES ($1, $2)"
IDS = (
    b"123e4567-e89b-12d3-a456-426614174000",
    b"223e4567-e89b-12d3-a456-426614174000",
)


def sent(*values: bytes | None, text: bytes = TEXT) -> Sent:
    return Sent(text, tuple(map(BindValue, values)))


def test_only_the_same_statement_fits() -> None:
    proven = ProvenStatement(
        sha256=fingerprint(sent(IDS[0], b"1")), shown="", message=1
    )
    assert fits(proven, sent(IDS[0], b"1"), may_vary=False)
    assert fits(
        proven, sent(IDS[0], b"1", text=b"-- x\n" + TEXT + b";"), may_vary=False
    )
    for other in (
        sent(IDS[1], b"1"),
        sent(IDS[0], b"2"),
        sent(IDS[0], None),
        sent(IDS[0]),
        sent(IDS[0], b"1", text=TEXT + b" RETURNING id"),
        sent(IDS[0], b"1", text=b"\xff"),
        sent(),
    ):
        assert not fits(proven, other, may_vary=False)


def test_a_varying_value_fits_and_nothing_else() -> None:
    varying = (Varying("uuid", "parameter", 1),)
    proven = ProvenStatement(
        sha256=template(sent(IDS[0], b"1"), varying),
        shown="",
        message=1,
        varying=varying,
    )
    assert fits(proven, sent(IDS[1], b"1"), may_vary=False)
    for other in (
        sent(IDS[1], b"2"),
        sent(b"no uuid", b"1"),
        sent(None, b"1"),
        sent(b"1"),
        sent(IDS[1], b"1", text=b"SELECT ("),
    ):
        assert not fits(proven, other, may_vary=False)


NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
ADD = b"INSERT INTO t (id, at) VALUES ($1, '2026-11-20 11:59:58')"


def test_what_is_suspected_may_differ_only_where_people_said_so() -> None:
    proven = proven_statement(sent(IDS[0], text=ADD), NOW, message=1)
    assert proven.suspected == (
        Varying("timestamp", "literal", 1),
        Varying("uuid", "parameter", 1),
    )
    later = ADD.replace(b"2026-11-20 11:59:58", b"2027-01-01 00:00:00")
    assert fits(proven, sent(IDS[0], text=ADD), may_vary=False)
    assert not fits(proven, sent(IDS[1], text=later), may_vary=False)
    assert fits(proven, sent(IDS[1], text=later), may_vary=True)
    for other in (
        sent(b"no uuid", text=later),
        sent(IDS[1], text=later.replace(b"INTO t", b"INTO u")),
        sent(IDS[1], text=later + b" ON CONFLICT DO NOTHING"),
        sent(IDS[1], text=later.replace(b"2027-01-01 00:00:00", b"now")),
        sent(IDS[1], text=b"\xff"),
    ):
        assert not fits(proven, other, may_vary=True)


def test_where_nothing_is_suspected_nothing_may_differ() -> None:
    text = b"INSERT INTO t (id, n) VALUES (gen_random_uuid(), 5)"
    proven = proven_statement(sent(text=text), NOW, message=1)
    assert (proven.suspected, proven.template_sha256) == ((), "")
    assert fits(proven, sent(text=text), may_vary=True)
    changed = text.replace(b"5", b"6")
    assert not fits(proven, sent(text=changed), may_vary=True)


def test_a_session_with_other_settings_is_told() -> None:
    """The same text means another table, or checks no keys."""
    same = {"search_path": "public", "timezone": "UTC"}
    assert settings_that_differ(proof(), same) == []
    assert settings_that_differ(proof(), {**same, "search_path": "sly, public"}) == [
        "search_path"
    ]
    assert settings_that_differ(
        proof(), {**same, "session_replication_role": "replica", "role": "dba"}
    ) == ["role", "session_replication_role"]
    assert settings_that_differ(proof(), {}) == ["search_path", "timezone"]


@pytest.mark.parametrize(
    "text",
    [
        b"CREATE ROLE r PASSWORD 's3cret'",
        b"ALTER USER MAPPING FOR u SERVER s OPTIONS (SET password 's3cret')",
        b"CREATE SUBSCRIPTION s CONNECTION 'password=s3cret' PUBLICATION p",
    ],
)
def test_what_is_shown_holds_no_secret(text: bytes) -> None:
    assert "s3cret" not in shown(text)
    assert shown(text)


def test_what_is_shown_is_not_endless() -> None:
    assert shown(b"CREATE TABLE t (a int)") == "CREATE TABLE t (a int)"
    assert len(shown(b"SELECT '" + b"x" * 100_000 + b"'")) < SHOWN_LENGTH + 10
