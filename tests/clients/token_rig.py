"""A pgwarden that takes a real issuer's tokens, over real TLS, before a real Postgres.

People come by the issuer `company` (their e-mail address is their name), jobs by
`forge` (their claims say which), one by OAUTHBEARER, and everybody else by password;
where it takes certificates, one by that, and one by that and a password. Next:
`test_tokens.py`, `ways.py`.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import trustme

from proxy.auth.identities import read_entry
from proxy.auth.secrets import make_secret
from proxy.cli.document_edit import document_of
from tests.authority import Authority
from tests.clients.tools import bare_environment
from tests.fix_proxy import Proxies, merged, ungated_text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.clients.issuer import RealIssuer
    from tests.fix_postgres import Clusters, Database
    from tests.fix_proxy import Proxy

PEOPLE = "https://people.pgwarden.example"
JOBS = "https://jobs.pgwarden.example"
"""Audiences. Two issuers of the settings are one server: what they take differs."""
ANN, OLGA, EVE = "ann@acme.example", "olga@acme.example", "eve@acme.example"
PASSWORD = "a password of bob"
AUTHENTICATION = """
authentication:
  - id: login.deploy
    when: {identities: ["deploy*"]}
    method: token
    issuer: forge
  - id: login.oauth
    when: {identities: ["olga@*"]}
    method: oauth
    issuer: company
  - id: login.people
    when: {identities: ["*@acme.example"]}
    method: token
    issuer: company
  - id: login.bound
    when: {identities: ["bound"]}
    method: scram-plus
  - id: login.password
    method: scram
"""
CERTIFICATES = """
  - id: login.machine
    when: {roles: [migrator]}
    method: certificate
  - id: login.paired
    when: {identities: ["paired"], roles: [developer]}
    method: certificate+scram
    certificate: {email: "{identity}@example.com"}
"""
"""Rules that are asked before the last one, where there are certificates."""


def identities() -> dict[str, Any]:
    secret = make_secret(PASSWORD, salt=b"0123456789abcdef").encode()
    person = {"role": "developer", "token": {"issuer": "company"}}
    deploy = {
        "repository": "acme/shop",
        "environment": "production",
        "ref": ["refs/heads/main", "refs/tags/v*"],
        "job_workflow_ref": "acme/shop/.github/workflows/deploy.yml@refs/heads/main",
    }
    return {
        "version": 1,
        "identities": [
            {"name": ANN, **person},
            {"name": OLGA, **person},
            {"name": EVE, **person, "disabled": True},
            {
                "name": "deploy",
                "role": "migrator",
                "token": {"issuer": "forge", "claims": deploy},
            },
            {"name": "bob", "role": "developer", "secret": secret},
            {"name": "bound", "role": "developer", "secret": secret},
            {
                "name": "robot",
                "role": "migrator",
                "certificate": {"common_name": "robot"},
            },
            {"name": "paired", "role": "developer", "secret": secret},
            # A password that tokens are no way to, and a way that no token is taken on.
            {"name": "deploy-by-password", "role": "migrator", "secret": secret},
            {"name": "both", **person, "secret": secret},
        ],
    }


@dataclass
class Guard:
    """One pgwarden, its CA and its issuer.

    Attributes:
        chain: another certificate for its name, of the same CA, and the key.
        people: the authority of its clients' certificates.
        strangers: one that it knows nothing of.
    """

    proxy: Proxy
    ca: Path
    issuer: RealIssuer
    chain: tuple[Path, Path]
    people: Authority
    strangers: Authority

    def options(self, user: str, database: Database, **more: Any) -> dict[str, Any]:
        """libpq's parameters, short of the password."""
        return {
            "host": "localhost",
            "hostaddr": "127.0.0.1",
            "port": self.proxy.port,
            "user": user,
            "dbname": database.name,
            "sslmode": "verify-full",
            "sslrootcert": str(self.ca),
            "connect_timeout": 20,
        } | more

    def environment(self, user: str, database: Database, token: str) -> dict[str, str]:
        """The same for psql."""
        return {
            **bare_environment(),
            "PGHOST": "localhost",
            "PGPORT": str(self.proxy.port),
            "PGUSER": user,
            "PGDATABASE": database.name,
            "PGSSLMODE": "verify-full",
            "PGSSLROOTCERT": str(self.ca),
            "PGPASSWORD": token,
        }

    def claims(self, audience: str = JOBS, **change: Any) -> dict[str, Any]:
        """What the issuer says of the deploy job, to be signed with its own key."""
        from tests.clients.issuer import JOB  # noqa: PLC0415 - a cycle otherwise

        now = int(time.time())
        base = {"iss": self.issuer.url, "aud": audience, "sub": "deploy"}
        times = {"iat": now - 5, "exp": now + 300}
        return {k: v for k, v in (base | times | JOB | change).items() if v is not ...}

    def start(self, name: str, database: str) -> dict[str, Any]:
        """The session.start record of the last session of this identity."""
        found = [
            record
            for record in self.proxy.records()
            if record["kind"] == "session.start"
            and (record["identity"], record["database"]) == (name, database)
        ]
        return found[-1]

    def everything_written(self) -> str:
        """The operations log and the audit log, whole."""
        files = [self.proxy.log_path, *self.proxy.audit_folder.rglob("*.jsonl")]
        return "".join(file.read_text("utf-8") for file in files)


def rules(takes_certificates: bool) -> str:
    """The ways to log in."""
    if not takes_certificates:
        return AUTHENTICATION
    first, last, rest = AUTHENTICATION.rpartition("  - id: login.password\n")
    return first + CERTIFICATES.removeprefix("\n") + last + rest


def _chain(authority: trustme.CA, stem: Path) -> tuple[Path, Path]:
    """A certificate for "localhost" and its key, on disk."""
    leaf = authority.issue_cert("localhost")
    certificate, key = stem.with_suffix(".pem"), stem.with_suffix(".key")
    leaf.cert_chain_pems[0].write_to_path(certificate)
    leaf.private_key_pem.write_to_path(key)
    return certificate, key


@contextmanager
def guarded(
    clusters: Clusters,
    issuer: RealIssuer,
    folder: Path,
    *,
    takes_certificates: bool = False,
    **section: Any,
) -> Iterator[Guard]:
    """Start one; `section` is merged over both issuers in the settings."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    ours, theirs = (_chain(authority, folder / name) for name in ("ours", "other"))
    people, strangers = Authority(folder), Authority(folder, "Strangers CA")
    (folder / "policy.yaml").write_text(ungated_text() + rules(takes_certificates))
    entries = [read_entry(each, source="rig") for each in identities()["identities"]]
    (folder / "identities.yaml").write_text(document_of(entries))
    both = {"url": issuer.url, "ca": str(issuer.ca)} | section
    settings = {
        "identities": str(folder / "identities.yaml"),
        "tls": {"certificate": str(ours[0]), "key": str(ours[1])}
        | ({"client_ca": str(people.path)} if takes_certificates else {}),
        "issuers": {
            "company": merged({"audience": PEOPLE, "identity_claim": "email"}, both),
            "forge": merged({"audience": [JOBS]}, both),
        },
    }
    proxies = Proxies(clusters)
    try:
        proxy = proxies.start(
            clusters.get(17), policy=folder / "policy.yaml", settings=settings
        )
        yield Guard(proxy, folder / "ca.pem", issuer, theirs, people, strangers)
    finally:
        proxies.stop()


def refusal(guard: Guard, shop: Database, user: str, token: Any) -> str:
    """How a login ends that must not succeed."""
    secret = token.decode() if isinstance(token, bytes) else token
    with pytest.raises(psycopg.OperationalError) as caught:
        psycopg.connect(**guard.options(user, shop, password=secret))
    return str(caught.value)
