"""Policy, identities and settings have to go together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from proxy.errors import ConfigError
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
limits: {sessions: 5}
"""
POLICY = """\
version: 1
name: p
roles:
  developer: {login: permit, upstream: reader, limits: {reserved_slots: %d}}
  migrator: {login: permit, upstream: migrator, limits: {reserved_slots: %d}}
"""


def settings(folder: Path) -> Settings:
    path = folder / "pgwarden.yaml"
    path.write_text(SETTINGS)
    return load_settings(path, {})


@pytest.mark.parametrize("reserved", [(0, 0), (0, 4), (2, 2)])
def test_somebody_else_gets_in(tmp_path: Path, reserved: tuple[int, int]) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(POLICY % reserved)
    assert read_policy(path, settings(tmp_path)).name == "p"


@pytest.mark.parametrize("reserved", [(0, 5), (3, 2), (9, 0)])
def test_nobody_else_gets_in(tmp_path: Path, reserved: tuple[int, int]) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(POLICY % reserved)
    with pytest.raises(ConfigError, match="leave no place for anybody else"):
        read_policy(path, settings(tmp_path))
