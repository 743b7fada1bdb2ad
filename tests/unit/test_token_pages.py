"""The pages about tokens: what they tell to write down is taken as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from proxy.cli.login_config import load_login_config
from proxy.server.sources import read_sources
from proxy.settings import load_settings

PAGES = Path(__file__).parents[2] / "docs" / "how-to"
PEOPLE, JOBS = "log-in-with-your-company-account.md", "deploy-from-github-actions.md"
SETTINGS = """
listen: ["127.0.0.1:6432"]
policy: policy.yaml
identities: identities.yaml
audit: {folder: audit}
tls: {certificate: server.crt, key: server.key}
upstream: {host: db, logins: {reader: {user: reader}}}
"""
POLICY = """
version: 1
name: test
roles:
  developer: {login: permit, upstream: reader}
  migrator: {login: permit, upstream: reader}
"""


def block(page: str, begins: str) -> str:
    """The YAML of a page that begins so."""
    text = (PAGES / page).read_text("utf-8")
    blocks = re.findall(r"^```yaml\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    (found,) = [each for each in blocks if each.startswith(begins)]
    return str(found)


@pytest.mark.parametrize("page", [PEOPLE, JOBS])
def test_settings_identities_and_policy_go_together(page: str, tmp_path: Path) -> None:
    path = tmp_path / "pgwarden.yaml"
    path.write_text(SETTINGS + block(page, "issuers:"))
    policy = POLICY + block(page, "authentication:")
    (tmp_path / "policy.yaml").write_text(policy)
    (tmp_path / "identities.yaml").write_text(block(page, "version: 1"))
    assert len(read_sources(load_settings(path, {})).identities) > 0


def test_the_login_file_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "login.yaml"
    path.write_text(block(PEOPLE, "issuer:"))
    assert load_login_config(path, {}).service == "shop"
