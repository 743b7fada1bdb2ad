"""`proxy.demo.roles`: text that becomes SQL, quoted and without passwords in clear."""

from __future__ import annotations

from proxy.demo import roles
from proxy.demo.roles import Login, Logins


def test_sends_scram_secrets_never_passwords() -> None:
    login = Login("someone", "hunter2")
    for script in (roles.create_reader(login), roles.create_migrator(login)):
        assert "hunter2" not in script
        assert "PASSWORD 'SCRAM-SHA-256$4096:" in script


def test_makes_new_passwords_each_time() -> None:
    first, second = roles.new_logins(), roles.new_logins("_x")
    passwords = {
        login.password
        for logins in (first, second)
        for login in (logins.reader, logins.migrator)
    }
    assert len(passwords) == 4
    assert second.reader.user == "pgwarden_reader_x"
    assert str(first.reader.password) not in repr(first)


def test_names_inside_format_strings_stay_names() -> None:
    logins = Logins(Login("100%'s", None), Login("m", None))
    assert """TO "100%%''s"'""" in roles.grant_reading(logins)


def test_drops_owned_objects_of_one_role_at_a_time() -> None:
    logins = Logins(Login("r", None), Login("m", None))
    script = roles.remove_from_database(logins, "boss", ("m", "r"))
    assert script == (
        'REASSIGN OWNED BY "m" TO "boss"; DROP OWNED BY "m";DROP OWNED BY "r";'
    )
