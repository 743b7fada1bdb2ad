"""A real OpenID Connect issuer on loopback: `oidc-provider`, certified, from npm.

It speaks TLS, signs with keys that the test has too (so that a test can sign what the
issuer never would), lets people in by the device flow, and gives jobs tokens as GitHub
gives them to a workflow. `oidc/issuer.mjs` is the program. Next: `test_tokens.py`.
"""

from __future__ import annotations

import html
import json
import re
import shutil
import signal
import socket
import ssl
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import trustme
from jwt.algorithms import RSAAlgorithm

from proxy.demo import children
from tests.clients import npm
from tests.clients.tools import bare_environment, program
from tests.unit.auth.token_maker import Key, rsa_key

if TYPE_CHECKING:
    import subprocess

_FOLDER = Path(__file__).parent / "oidc"
_START_S = 30.0
LOGIN_CLIENT = "pgwarden-login"
DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
JOB = {
    "repository": "acme/shop",
    "repository_owner": "acme",
    "repository_id": "74",
    "environment": "production",
    "ref": "refs/heads/main",
    "ref_protected": "true",
    "job_workflow_ref": "acme/shop/.github/workflows/deploy.yml@refs/heads/main",
    "event_name": "push",
}
"""What GitHub says of a job, by the names that it uses."""
JOBS = {
    "deploy": JOB,
    "pull-request": JOB | {"ref": "refs/pull/7/merge", "environment": "preview"},
    "fork": JOB | {"repository": "mallory/shop", "repository_owner": "mallory"},
}


@dataclass
class RealIssuer:
    """The issuer, its keys, and what people and jobs do there."""

    folder: Path
    modules: Path
    port: int
    key: Key = field(default_factory=lambda: rsa_key("k1"))
    _process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        authority = trustme.CA()
        authority.cert_pem.write_to_path(self.ca)
        self._leaf = authority.issue_cert("localhost")
        shutil.copy(_FOLDER / "issuer.mjs", self.folder)
        (self.folder / "node_modules").symlink_to(self.modules)

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    @property
    def ca(self) -> Path:
        return self.folder / "issuer-ca.pem"

    # --- the process ---------------------------------------------------------

    def start(self) -> None:
        plan = self.folder / "plan.json"
        plan.write_text(json.dumps(self._plan()))
        log = self.folder / "issuer.log"
        log.unlink(missing_ok=True)
        self._process = children.spawn(
            [program("node"), *map(str, (self.folder / "issuer.mjs", plan))],
            log,
            environment=bare_environment(),
        )
        deadline = time.monotonic() + _START_S
        while "listening" not in log.read_text():
            if self._process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"the issuer did not start:\n{log.read_text()[-2000:]}")
            time.sleep(0.02)

    def stop(self) -> None:
        if self._process is not None:
            children.stop(self._process, (signal.SIGTERM, 5.0))
            self._process = None

    def rotate(self) -> Key:
        """Sign with another key from now on; the old one is gone. Returns the old."""
        old, self.key = self.key, rsa_key(f"k{int(self.key.kid[1:]) + 1}")  # type: ignore[index]
        self.stop()
        self.start()
        return old

    def _plan(self) -> dict[str, Any]:
        jwk = dict(RSAAlgorithm.to_jwk(self.key.private, as_dict=True))
        jwk.pop("key_ops", None)
        person: dict[str, Any] = {
            "client_id": LOGIN_CLIENT,
            "token_endpoint_auth_method": "none",
            "grant_types": [DEVICE_GRANT],
        }
        jobs: list[dict[str, Any]] = [
            {
                "client_id": name,
                "client_secret": "of no use",
                "grant_types": ["client_credentials"],
                "said": said,
            }
            for name, said in JOBS.items()
        ]
        return {
            "url": self.url,
            "port": self.port,
            "algorithm": "RS256",
            "jwks": {"keys": [jwk | {"kid": self.key.kid, "use": "sig"}]},
            "certificate": self._leaf.cert_chain_pems[0].bytes().decode(),
            "key": self._leaf.private_key_pem.bytes().decode(),
            "clients": [
                each | {"response_types": [], "redirect_uris": []}
                for each in (person, *jobs)
            ],
        }

    # --- what people and jobs do ---------------------------------------------

    def browser(self) -> httpx.Client:
        """What a person's browser is: it has cookies and follows where it is sent."""
        return httpx.Client(
            verify=ssl.create_default_context(cafile=str(self.ca)),
            follow_redirects=True,
            trust_env=False,
            timeout=20.0,
        )

    def job_token(self, audience: str, job: str = "deploy") -> str:
        """A job's token, by the request that GitHub documents."""
        with self.browser() as browser:
            answer = browser.get(
                f"{self.url}/actions-token",
                params={"audience": audience},
                headers={"Authorization": f"bearer {job}"},
            )
            return str(answer.raise_for_status().json()["value"])

    def person_token(self, name: str, audience: str) -> str:
        """A person's token by the device flow, from asking to approving."""
        with self.browser() as browser:
            asked = browser.post(
                f"{self.url}/device/auth",
                data={
                    "client_id": LOGIN_CLIENT,
                    "scope": "openid email",
                    "resource": audience,
                },
            ).raise_for_status()
            flow = asked.json()
            self.approve(flow["verification_uri_complete"], name)
            got = browser.post(
                f"{self.url}/token",
                data={
                    "grant_type": DEVICE_GRANT,
                    "device_code": flow["device_code"],
                    "client_id": LOGIN_CLIENT,
                },
            )
            return str(got.raise_for_status().json()["access_token"])

    def approve(self, url: str, name: str, *, is_denied: bool = False) -> None:
        """Open the page, sign in as `name`, and agree (or not) to what is asked."""
        with self.browser() as browser:
            page = browser.get(url).raise_for_status()
            for _ in range(6):
                action = re.search(r'<form[^>]* action="([^"]+)"', page.text)
                if action is None:
                    break
                filled = dict(
                    re.findall(
                        r'type="hidden" name="([^"]+)" value="([^"]*)"', page.text
                    )
                )
                if 'name="login"' in page.text:
                    filled |= {"login": name, "password": "of no use"}
                if is_denied and "confirm" in filled:
                    filled["abort"] = "yes"
                page = browser.post(html.unescape(action[1]), data=filled)
            assert page.is_success or is_denied, page.text[-600:]

    def approve_soon(self, url: str, name: str, after_s: float = 0.5) -> None:
        """The same from a thread, while a command waits."""
        threading.Timer(after_s, self.approve, (url, name)).start()


def free_port() -> int:
    """A port that nobody listens on now; the issuer keeps it over restarts."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start_issuer(folder: Path) -> RealIssuer:
    """Install it, the first time, and start it."""
    modules = npm.node_modules(_FOLDER / "package.json")
    issuer = RealIssuer(folder, modules, free_port())
    issuer.start()
    return issuer
