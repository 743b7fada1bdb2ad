"""`proxy.doctor.examine`: whose login is measured by which bar."""

from __future__ import annotations

from proxy.doctor.examine import logins_of
from proxy.policy.documents import load
from proxy.policy.evaluate import Policy

POLICY = """
version: 1
name: p
roles:
  developer: {login: permit, upstream: shared}
  migrator: {login: permit, upstream: shared, read_only: false}
  deploy: {login: permit, upstream: mover, read_only: false}
  auditor: {login: {refuse: "no"}, upstream: unused}
"""


def test_a_login_that_a_reader_shares_is_a_readers() -> None:
    policy = Policy(load(POLICY, source="p.yaml"))
    mover, shared = logins_of(policy, {"shared": "s", "mover": "m", "unused": "u"})
    assert (mover.is_reader, mover.user, mover.roles) == (False, "m", ("deploy",))
    assert (shared.is_reader, shared.roles) == (True, ("developer", "migrator"))
