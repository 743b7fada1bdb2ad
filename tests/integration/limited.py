"""What the tests of role limits share: a policy that permits everything but for them.

Lock (a) stands aside, so that a client can try what production's policy would refuse.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import psycopg

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fix_postgres import Database
    from tests.fix_proxy import Proxy

POLICY = """\
version: 1
name: limited
rules:
  all:
    - {{id: all, permit: {{everything: true}}, in_quarantine: true}}
roles:
  developer: {{login: permit, upstream: reader, include: [all], limits: {developer}}}
  migrator:
    {{login: permit, upstream: migrator, read_only: false, include: [all],
      limits: {migrator}}}
  auditor: {{login: {{refuse: not here}}}}
"""


def policy_text(
    developer: dict[str, Any] | None = None, migrator: dict[str, Any] | None = None
) -> str:
    return POLICY.format(
        developer=json.dumps(developer or {}), migrator=json.dumps(migrator or {})
    )


def policy_file(folder: Path, **limits: dict[str, Any]) -> Path:
    path = folder / "limited.yaml"
    path.write_text(policy_text(**limits))
    return path


def connect(proxy: Proxy, shop: Database, who: str = "developer") -> psycopg.Connection:
    return psycopg.connect(proxy.dsn(who, shop.name), autocommit=True)


def limit_records(proxy: Proxy) -> list[dict[str, Any]]:
    return [
        each["detail"] for each in proxy.records() if each.get("purpose") == "limit"
    ]


def ends(proxy: Proxy) -> list[dict[str, Any]]:
    return [each for each in proxy.records() if each["kind"] == "session.end"]


def refused_login(proxy: Proxy, shop: Database, who: str = "developer") -> str:
    """What a login is refused with; "" if it is let in."""
    try:
        psycopg.connect(proxy.dsn(who, shop.name)).close()
    except psycopg.OperationalError as error:
        return str(error)
    return ""
