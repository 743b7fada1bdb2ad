"""Gates of migrations: what the settings accept, and what sessions begin with."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from proxy.errors import ConfigError
from proxy.settings import Settings, load_settings

if TYPE_CHECKING:
    from pathlib import Path

    from proxy.migration_gate_settings import GateSettings

MINIMAL = """
listen: ["127.0.0.1:6432"]
policy: production.yaml
identities: identities.yaml
audit: {folder: audit}
upstream:
  host: db.example.com
  logins:
    reader: {user: r}
    restore: {user: x}
    person: {user: "pgw_{identity}"}
migrations:
  environment: production
  keys: keys.yaml
  gates: GATES
"""


def loaded(folder: Path, gates: str, **environment: str) -> Settings:
    path = folder / "pgwarden.yaml"
    path.write_text(MINIMAL.replace("GATES", gates))
    return load_settings(path, environment)


def gates_of(settings: Settings) -> GateSettings:
    assert settings.migrations is not None
    return settings.migrations.gates


def test_without_gates_only_locks_are_bounded(tmp_path: Path) -> None:
    gates = gates_of(loaded(tmp_path, "{}"))
    assert gates.backup is None
    assert gates.restore_point_login is None
    assert gates.deploy_wait_s == 10
    assert gates.session_defaults() == (("lock_timeout", "10000"),)


@pytest.mark.parametrize(
    ("lock", "statement", "defaults"),
    [
        ("0", "0", ()),
        ("0", "60", (("statement_timeout", "60000"),)),
        ("0.25", "0", (("lock_timeout", "250"),)),
        ("0.0001", "0", (("lock_timeout", "1"),)),  # 0 would be no limit at all
    ],
)
def test_what_a_session_begins_with(
    tmp_path: Path, lock: str, statement: str, defaults: tuple[tuple[str, str], ...]
) -> None:
    text = f"{{lock_timeout_s: {lock}, statement_timeout_s: {statement}}}"
    assert gates_of(loaded(tmp_path, text)).session_defaults() == defaults


def test_a_file_starts_at_the_folder_and_a_command_stays_as_it_is(
    tmp_path: Path,
) -> None:
    backup = gates_of(loaded(tmp_path, "{backup: {file: backups/latest}}")).backup
    assert backup is not None
    assert backup.file == tmp_path / "backups" / "latest"
    assert backup.max_age_h == 24
    text = '{backup: {command: [/bin/check, "{database}", "-v"], timeout_s: 5}}'
    backup = gates_of(loaded(tmp_path, text)).backup
    assert backup is not None
    assert backup.command == ("/bin/check", "{database}", "-v")
    assert (backup.file, backup.timeout_s) == (None, 5)


@pytest.mark.parametrize(
    ("gates", "said"),
    [
        ("{backup: {}}", 'give "file" or "command", one of the two'),
        ("{backup: {file: f, command: [/bin/true]}}", "one of the two"),
        ("{backup: {command: []}}", "names no program"),
        ("{backup: {command: [check]}}", '"check" is not a full path'),
        ('{backup: {command: ["/bin/{database}"]}}', "is not a full path"),
        ('{backup: {command: [/c, "--db={database}"]}}', "an argument of its own"),
        ('{backup: {command: "/bin/check shop"}}', "must be a list"),
        ("{backup: {file: f, max_age_h: 0}}", "greater than 0"),
        ("{backup: {file: f, max_age: 3}}", 'did you mean "max_age_h"?'),
        ("{backup: {command: [/c], timeout_s: 0}}", "greater than 0"),
        ("{lock_timeout_s: -1}", "greater than or equal to 0"),
        ("{restore_point_login: restor}", 'did you mean "restore"?'),
        ("{restore_point_login: person}", "a role for each identity"),
        ("{restore_point: restore}", 'did you mean "restore_point_login"?'),
    ],
)
def test_what_makes_no_sense_is_told(tmp_path: Path, gates: str, said: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(said)):
        loaded(tmp_path, gates)


def test_a_restore_point_may_have_its_login(tmp_path: Path) -> None:
    gates = gates_of(loaded(tmp_path, "{restore_point_login: restore}"))
    assert gates.restore_point_login == "restore"


def test_a_variable_lies_on_top(tmp_path: Path) -> None:
    name = "PGWARDEN_MIGRATIONS__GATES__LOCK_TIMEOUT_S"
    settings = loaded(tmp_path, "{lock_timeout_s: 3}", **{name: "5"})
    assert gates_of(settings).lock_timeout_s == 5
