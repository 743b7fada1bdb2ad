"""Settings, policy and identities that do not go together, told before anyone comes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from proxy.auth.identities import read_entry
from proxy.auth.secrets import make_secret
from proxy.auth.tokens import Verified
from proxy.errors import ConfigError
from proxy.policy.documents import load
from proxy.server.sources import read_policy, read_sources, with_roll
from proxy.server.token_logins import proof_of
from proxy.settings import load_settings
from proxy.store.identities import Roll

if TYPE_CHECKING:
    from pathlib import Path

SECRET = make_secret("x", salt=b"0123456789abcdef", iterations=1).encode()
SETTINGS = """
listen: ["127.0.0.1:6432"]
policy: policy.yaml
identities: identities.yaml
audit: {folder: audit}
upstream: {host: db, logins: {reader: {user: reader}}}
issuers:
  github: {url: "https://token.actions.githubusercontent.com", audience: pgwarden}
  company: {url: "https://login.example", audience: pgwarden, identity_claim: email}
"""
TLS = "tls: {certificate: server.crt, key: server.key}\n"
POLICY = """
version: 1
name: test
authentication:
  - {id: login.all, method: token, issuer: ISSUER}
roles:
  developer: {login: permit, upstream: reader}
"""


def problems(tmp_path: Path, issuer: str, **entry: Any) -> str:
    """What is said of it, in the words of a file; in a store it is the same."""
    (tmp_path / "pgwarden.yaml").write_text(SETTINGS + TLS)
    (tmp_path / "policy.yaml").write_text(POLICY.replace("ISSUER", issuer))
    identity = {"name": "deploy", "role": "developer"} | entry
    document = {"version": 1, "identities": [identity]}
    (tmp_path / "identities.yaml").write_text(yaml.safe_dump(document))
    settings = load_settings(tmp_path / "pgwarden.yaml", {})
    said = in_store = ""
    try:
        read_sources(settings)
    except ConfigError as error:
        said = error.message
    try:
        roll = Roll((read_entry(identity, source="store"),))
        found = with_roll(settings, read_policy(settings.policy, settings), roll)
        in_store = "".join(found.problems)
        assert bool(found.identities.find("deploy")) is not bool(in_store)
    except ConfigError as error:
        in_store = error.message
    assert bool(said) is bool(in_store), (said, in_store)
    return said


def test_what_goes_together(tmp_path: Path) -> None:
    token = {"issuer": "github", "claims": {"repository": "acme/shop"}}
    assert not problems(tmp_path, "github", token=token)
    assert not problems(tmp_path, "company", token={"issuer": "company"})
    assert not problems(tmp_path, "company", secret=SECRET)
    both = {"secret": SECRET, "token": {"issuer": "company"}}
    assert not problems(tmp_path, "company", **both)


@pytest.mark.parametrize(
    ("issuer", "token", "told"),
    [
        ("compani", {"issuer": "company"}, 'issuer "compani"'),
        ("company", {"issuer": "github2", "claims": {"sub": "x"}}, '"github2"'),
        ("github", {"issuer": "github"}, 'needs "claims"'),
        ("github", {"issuer": "github", "claims": {"ref": "x"}}, "everybody may"),
    ],
)
def test_what_does_not(
    tmp_path: Path, issuer: str, token: dict[str, Any], told: str
) -> None:
    assert told in problems(tmp_path, issuer, token=token)


def test_an_identity_needs_some_proof(tmp_path: Path) -> None:
    assert 'or "token"' in problems(tmp_path, "company")


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ("{id: a, method: token}", 'needs an "issuer"'),
        ("{id: a, method: oauth}", 'needs an "issuer"'),
        ("{id: a, method: scram, issuer: company}", 'has no "issuer"'),
        ("{id: a, method: token, issuer: company, when: {tls: false}}", "needs TLS"),
    ],
)
def test_a_rule_that_can_not_be_meant(rule: str, told: str) -> None:
    text = POLICY.replace("{id: login.all, method: token, issuer: ISSUER}", rule)
    with pytest.raises(ConfigError, match=told):
        load(text, source="policy.yaml")


def test_the_record_names_a_token_and_holds_none() -> None:
    expires = int(datetime(2026, 1, 2, tzinfo=UTC).timestamp())
    verified = Verified("company", "u-1", "t-1", expires, {"email": "ann@acme.example"})
    assert dict(proof_of(verified)) == {
        "issuer": "company",
        "subject": "u-1",
        "token_id": "t-1",
        "expires": "2026-01-02T00:00:00+00:00",
    }


def test_tokens_need_tls(tmp_path: Path) -> None:
    (tmp_path / "pgwarden.yaml").write_text(SETTINGS)
    settings = load_settings(tmp_path / "pgwarden.yaml", {})
    path = tmp_path / "policy.yaml"
    path.write_text(POLICY.replace("ISSUER", "company"))
    with pytest.raises(ConfigError, match="takes tokens, over TLS only"):
        read_policy(path, settings)
