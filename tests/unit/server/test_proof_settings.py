"""What the policy says of proofs, and the settings that it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from proxy.errors import ConfigError
from proxy.server.proof_settings import not_followed
from proxy.server.sources import read_policy
from proxy.settings import load_settings

if TYPE_CHECKING:
    from pathlib import Path

    from proxy.settings import Settings

SETTINGS = """\
listen: [127.0.0.1:0]
policy: policy.yaml
identities: identities.yaml
audit: {folder: audit}
upstream:
  host: localhost
  logins: {reader: {user: r}, migrator: {user: m}}
"""
STORE = "store: {url: 'sqlite:///store.db'}\n"
SECTION = "migrations: {environment: production, keys: keys.yaml}\n"
SIGNS = "migrations: {environment: staging, keys: keys.yaml, signing_key: key}\n"
POLICY = """\
version: 1
name: p
roles:
  developer: {login: permit, upstream: reader}
  migrator: {login: permit, upstream: migrator, migrations: {proofs: PROOFS}}
  nobody: {login: {refuse: elsewhere}, migrations: {proofs: require}}
"""


def place(folder: Path, proofs: str, more: str) -> tuple[Path, Settings]:
    path = folder / "pgwarden.yaml"
    path.write_text(SETTINGS + more)
    policy = folder / "policy.yaml"
    policy.write_text(POLICY.replace("PROOFS", proofs))
    return policy, load_settings(path, {})


@pytest.mark.parametrize(
    ("more", "missing"), [("", '"migrations"'), (SECTION, '"store"'), (STORE, '"migr')]
)
def test_what_is_required_must_be_there(
    tmp_path: Path, more: str, missing: str
) -> None:
    policy, settings = place(tmp_path, "require", more)
    with pytest.raises(ConfigError, match='role "migrator" has "proofs: require"') as e:
        read_policy(policy, settings)
    assert f"the settings have no {missing}" in e.value.message
    assert '"proofs: accept"' in e.value.hint


def test_then_it_is_enough(tmp_path: Path) -> None:
    policy, settings = place(tmp_path, "require", SECTION + STORE)
    assert not_followed(read_policy(policy, settings), settings) == ""


@pytest.mark.parametrize(
    ("proofs", "more", "missing"),
    [
        ("accept", "", '"migrations"'),
        ("accept", SECTION, '"store"'),
        ("accept", SECTION + STORE, ""),
        ("record", "", '"migrations"'),
        ("record", SECTION + STORE, '"migrations.signing_key"'),
        ("record", SIGNS + STORE, ""),
    ],
)
def test_what_is_not_followed_is_told_and_no_error(
    tmp_path: Path, proofs: str, more: str, missing: str
) -> None:
    policy, settings = place(tmp_path, proofs, more)
    said = not_followed(read_policy(policy, settings), settings)
    assert said == (
        'migrations of "migrator" go by the rules alone, nothing is recorded or '
        f"proven: the settings have no {missing}"
        if missing
        else ""
    )


def test_without_a_word_on_proofs_nothing_is_said(tmp_path: Path) -> None:
    policy, settings = place(tmp_path, "accept", "")
    text = policy.read_text().replace(", migrations: {proofs: accept}", "")
    policy.write_text(text)
    assert not_followed(read_policy(policy, settings), settings) == ""
