from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from proxy.sql.analyse import analyse
from proxy.sql.passwords import without_passwords
from proxy.sql.redact import redacted, redacted_blindly

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
        f"SET app.password = {S}",
        f"SET LOCAL app.password TO {S}",
        f"SET SESSION app.password TO x, {S}",
        f"ALTER ROLE a SET app.password TO {S}",
        f"ALTER DATABASE a SET app.passphrase = {S}",
        f"SELECT * FROM users WHERE password <> '{S}'",
        f"SELECT * FROM users WHERE u.PassWord LIKE '{S}%' AND id = 1",
        f"SELECT * FROM users WHERE \"password\" = '{S}'",
        f"SELECT * FROM users WHERE password IN ('x', '{S}')",
        f"SELECT * FROM users WHERE (id, password) = (1, '{S}')",
        f"SELECT * FROM users WHERE (id, password) IN ((1, 'x'), (2, '{S}'))",
        f"SELECT * FROM users WHERE cast(password AS text) = '{S}'",
        f"SELECT * FROM users WHERE password = /* ' */ '{S}'",
        f"SELECT * FROM users WHERE password = -- '\n '{S}'",
        f"SELECT * FROM users WHERE password = E'it\\'s {S}'",
        f"SELECT * FROM users WHERE password = U&'{S}'",
        f"SELECT * FROM users WHERE password = $x${S}$x$",
        f"SELECT * FROM users WHERE password = 'a'\n'{S}'",
        f"UPDATE users SET password = crypt('{S}', gen_salt('bf')), name = 'x'",
        f"UPDATE users SET password = hashed(password, '{S}')",
        f"UPDATE users SET (name, password) = ('x', '{S}')",
        f"UPDATE users SET (name, password) = (SELECT 'x', '{S}')",
        f"INSERT INTO users (name, password) VALUES ('x', 'y'), ('z', '{S}')",
        f"INSERT INTO users (password, name) OVERRIDING USER VALUE VALUES ('{S}', 1)",
        f"INSERT INTO users (name, password) SELECT name, '{S}' FROM people",
        f"WITH a (name, password) AS (VALUES ('x', '{S}')) SELECT * FROM a",
        f"SELECT set_user(name => 'x', password => '{S}')",
        f"SELECT set_user(password := '{S}')",
        f"CALL set_user(passphrase => trim('{S}'))",
        f"SELECT password '{S}'",
        f"SELECT 'password {S}', 1",
        f"SELECT $$password {S}$$",
        f"SELECT E'\\'password: {S}'",
        f'SELECT \'{{"password": "{S}"}}\'::jsonb',
        f"SELECT 1 -- password {S}",
        f"SELECT 1 /* password: {S} */",
        f"CREATE TABLE t (password text DEFAULT '{S}', name text)",
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


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT password FROM users",
        "SELECT id, password\n  FROM users WHERE name = 'x'",
        "SELECT u.password p, 'x' FROM users u",
        "SELECT id FROM users WHERE password IS NULL AND name = 'x' AND id = 12",
        "SELECT id FROM users WHERE password = $1 LIMIT 10",
        "SELECT id FROM users WHERE length(password) > len LIMIT 10",
        "SELECT count(password), 'x' FROM users WHERE id = 5",
        "SELECT id FROM users ORDER BY password DESC LIMIT 10",
        "SELECT a.id FROM a JOIN b ON a.password = b.password WHERE a.id = 7",
        "UPDATE users SET password = old_password WHERE id = 5",
        "UPDATE users SET password = NULL, name = 'x' WHERE id = 5",
        "INSERT INTO users (name, password) SELECT name, password FROM people",
        "ALTER TABLE users ADD COLUMN password text NOT NULL",
        "ALTER TABLE users ADD COLUMN password varchar(255), ADD COLUMN n int",
        "ALTER TABLE users RENAME COLUMN password TO secret_hash",
        "ALTER TABLE users DROP COLUMN password CASCADE",
        "CREATE INDEX ON users (password) WHERE name = 'x'",
        "GRANT SELECT (password) ON users TO bob",
        "SET SESSION AUTHORIZATION password",
        "SHOW password_encryption",
    ],
)
def test_a_column_called_password_leaves_the_evidence(sql: str) -> None:
    """Which table was read, and where: that is what the log is for."""
    analysis = analyse(sql.encode())
    assert analysis.trouble is None
    assert analysis.recorded_text == sql


def test_only_the_passwords_own_values_are_hidden() -> None:
    sql = "UPDATE users SET name = 'a', password = 'b', n = 3 WHERE id = 5 AND k = 'c'"
    assert analyse(sql.encode()).recorded_text == sql.replace("'b'", "'<redacted>'")
    sql = "SELECT 1 FROM users WHERE password = 12345 AND id = 12345"
    assert analyse(sql.encode()).recorded_text == (
        "SELECT 1 FROM users WHERE password = <redacted> AND id = 12345"
    )
    sql = "SELECT password = 'b'; SELECT 'c'"
    assert analyse(sql.encode()).recorded_text == sql.replace("'b'", "'<redacted>'")


_NOISE = st.sampled_from(
    ["password", "'x'", "(", ")", ",", "=", "and", ".", "12", "set", "in", '"p"', " "]
)


@given(
    st.lists(_NOISE, max_size=12), st.sampled_from(["=", "<>", "=>", "like", "in ("])
)
def test_what_directly_follows_is_hidden_whatever_was_before(
    before: list[str], sign: str
) -> None:
    text = " ".join([*before, ", password", sign, f"'{S}'"])
    found = without_passwords(text)
    assert S not in found
    assert without_passwords(found) == found


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
