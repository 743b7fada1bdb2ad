"""A proxy that asks for client certificates, with its authorities and identities.

Shared by the tests of certificates and those of drivers. Next: `tests.authority`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import trustme
import yaml
from cryptography import x509

from proxy.auth.secrets import make_secret
from tests.authority import Authority
from tests.fix_proxy import ungated_text

if TYPE_CHECKING:
    from pathlib import Path

    from proxy.demo.postgres import Cluster
    from tests.authority import Issued
    from tests.fix_proxy import Proxies, Proxy

RULES = """
authentication:
  - {id: login.deploy, when: {roles: [migrator]}, method: certificate}
  - id: login.both
    when: {identities: ["both*"], roles: [developer]}
    method: certificate+scram
    certificate: {email: "{identity}@example.com"}
  - {id: login.bound, when: {identities: ["bound*"]}, method: scram-plus}
  - {id: login.rest, method: scram}
"""
SECRET = make_secret("right", salt=b"0123456789abcdef", iterations=4096).encode()
IDENTITIES: list[dict[str, Any]] = [
    {"name": "dev", "role": "developer", "secret": SECRET},
    {
        "name": "deploy",
        "role": "migrator",
        "certificate": {"uri": "spiffe://example.com/deploy"},
    },
    {
        "name": "nightly",
        "role": "migrator",
        "secret": SECRET,
        "certificate": {"common_name": "nightly"},
    },
    {
        "name": "gone",
        "role": "migrator",
        "disabled": True,
        "certificate": {"common_name": "gone"},
    },
    {"name": "both", "role": "developer", "secret": SECRET},
    {"name": "bound", "role": "developer", "secret": SECRET},
]
DEPLOY = x509.UniformResourceIdentifier("spiffe://example.com/deploy")


@dataclass
class Door:
    """A proxy that asks for client certificates, and its authorities."""

    proxy: Proxy
    authority: Authority
    other: Authority
    folder: Path
    crl: Path

    def revoke(self, *issued: Issued) -> None:
        """A new list, in place in one step."""
        new = self.folder / "new.crl"
        new.write_bytes(self.authority.revocation_list(*issued))
        new.rename(self.crl)

    def deploy(self) -> Issued:
        """A certificate that is enough for "deploy"."""
        return self.authority.issue("any", names=[DEPLOY])

    def both(self) -> Issued:
        """One that is half of the proof for "both"."""
        names = [x509.RFC822Name("both@example.com")]
        return self.authority.issue("any", names=names)


def open_door(proxies: Proxies, cluster: Cluster, folder: Path) -> Door:
    authority, other = Authority(folder), Authority(folder, "Other CA")
    crl = folder / "people.crl"
    crl.write_bytes(authority.revocation_list())
    ours = trustme.CA().issue_cert("localhost", "127.0.0.1")
    ours.cert_chain_pems[0].write_to_path(folder / "server.pem")
    ours.private_key_pem.write_to_path(folder / "server.key")
    policy = folder / "policy.yaml"
    policy.write_text(ungated_text() + RULES)
    identities = folder / "identities.yaml"
    identities.write_text(yaml.safe_dump({"version": 1, "identities": IDENTITIES}))
    settings = {
        "identities": str(identities),
        "tls": {
            "certificate": str(folder / "server.pem"),
            "key": str(folder / "server.key"),
            "client_ca": str(authority.path),
            "client_crl": str(crl),
        },
    }
    proxy = proxies.start(cluster, settings=settings, policy=policy)
    return Door(proxy, authority, other, folder, crl)
