from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from proxy.sql.analyse import analyse
from proxy.sql.redact import redacted, redacted_blindly, without_passwords

S = "s3cr3t"


@pytest.mark.parametrize(
    "sql",
    [
        f"CREATE USER a PASSWORD '{S}'",
        f"ALTER USER a WITH ENCRYPTED PASSWORD '{S}' VALID UNTIL 'infinity'",
        f"ALTER ROLE a PASSWORD E'it\\'s {S}'",
        f"ALTER ROLE a PASSWORD U&'{S}'",
        f"ALTER ROLE a PASSWORD $${S}$$",
        f"ALTER ROLE a PASSWORD $x${S}$x$",
        f"ALTER ROLE a PASSWORD 'a'\n  '{S}'",
        f"ALTER ROLE a PASSWORD E'a'\n -- x\n  '\\'{S}'",
        f"/* it's */ ALTER ROLE a PASSWORD '{S}'",
        f"/* /* ' */ ' */ ALTER ROLE a PASSWORD '{S}'",
        f"-- it's\nALTER ROLE a PASSWORD '{S}'",
        f"-- it's\rALTER ROLE a PASSWORD '{S}'",
        f"ALTER ROLE \"it's\" PASSWORD '{S}'",
        f"ALTER ROLE a$x$b PASSWORD '{S}'",
        f"SELECT 1; ALTER ROLE a PASSWORD '{S}'; SELECT 'x'",
        f"CREATE USER MAPPING FOR a SERVER b OPTIONS (user 'c', password '{S}')",
        f"ALTER USER MAPPING FOR a SERVER b OPTIONS (SET password '{S}')",
        f"CREATE SERVER a FOREIGN DATA WRAPPER b OPTIONS (secret '{S}')",
        f"ALTER SERVER a OPTIONS (ADD secret '{S}')",
        f"CREATE SUBSCRIPTION a CONNECTION 'password={S}' PUBLICATION b",
        f"ALTER SUBSCRIPTION a CONNECTION 'host=x password={S}'",
        f"SELECT dblink_connect('c', 'host=x password={S}')",
        f"SELECT * FROM public.dblink('host=x password={S}', 'select 1') t(a int)",
        f"SELECT 'postgresql://me:{S}@host:5432/db'",
        f"SELECT 'https://me:{S}@example.com'",
        f"SELECT 'host=x password={S} user=y'",
        f"SELECT * FROM users WHERE password = '{S}'",
        f"ALTER SYSTEM SET primary_conninfo = 'user=x {S}'",
        f"SET app.password = '{S}'",
        f"SELECT set_config('app.secret', '{S}', false)",
        f"ALTER ROLE a SET app.token = '{S}'",
    ],
)
def test_secrets_of_statements_are_hidden(sql: str) -> None:
    analysis = analyse(sql.encode())
    assert analysis.trouble is None
    assert S not in analysis.recorded_text
    assert "<redacted>" in analysis.recorded_text


@pytest.mark.parametrize(
    "sql",
    [
        f"ALTER ROLE a PASSWORD {S}",
        f"ALTER ROLE a PASSWORD '{S}' oops",
        f"ALTER ROL a PASSWORD '{S}",
        f"ALTER ROL a PASSWORD E'\\'{S}",
        f"ALTER ROL a PASSWORD $x${S}",
        f"SELEC $1$a$'$a$, '{S}'",
        f"ALTER ROLE a PASSWORD 'it's{S}'",
        f"ALTER ROLE a PASSWORD 'a' || 'b's{S}'",
        f"SELEC 'x' CONNECTION 'it's {S}'",
        f"CREATE USER MAPPING a OPTIONS (password '{S}')",
        f"SELEC 'postgres://a:{S}@b'",
        f"SELEC 'a' \n '{S}'",
    ],
)
def test_all_literals_of_what_does_not_parse_are_hidden(sql: str) -> None:
    analysis = analyse(sql.encode())
    assert analysis.trouble is not None
    assert S not in analysis.recorded_text


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 'plain', $$text$$, E'a\\n' FROM \"it's\" -- x",
        "SELECT * FROM users WHERE name = 'password'",
        "SELECT 'https://example.com/a:b@c'",
        "SELECT url FROM links WHERE url LIKE 'http://%'",
        "UPDATE users SET name = 'x' WHERE id = 1",
    ],
)
def test_other_texts_are_recorded_as_they_are(sql: str) -> None:
    assert analyse(sql.encode()).recorded_text == sql


def test_names_and_comments_stay() -> None:
    sql = "ALTER ROLE \"it's\" /* a 'b' */ PASSWORD 'x' -- 'c'"
    assert redacted(sql) == (
        "ALTER ROLE \"it's\" /* a 'b' */ PASSWORD '<redacted>' -- 'c'"
    )


def test_bytes_that_are_not_text_are_shown_escaped() -> None:
    assert redacted_blindly(b"SELEC \xff '\xff'") == "SELEC \\xff '<redacted>'"


@given(st.text(max_size=60), st.text("abc'\"$\\/*-\n eE", max_size=60))
def test_redaction_never_fails_and_is_stable(before: str, after: str) -> None:
    text = redacted(before + after)
    assert redacted(text) == text
    without_passwords(before + after)
    redacted_blindly((before + after).encode("utf-8", "surrogatepass"))


@given(st.text("abc'\"$\\/*-\n eE=;", max_size=40))
def test_a_secret_in_any_statement_that_parses_is_hidden(noise: str) -> None:
    text = f"{noise}\nALTER ROLE a PASSWORD 's3cr3t'"
    analysis = analyse(text.encode())
    if analysis.trouble is None and any(
        "secret" in facts.flags for facts in analysis.statements
    ):
        assert "s3cr3t" not in analysis.recorded_text
