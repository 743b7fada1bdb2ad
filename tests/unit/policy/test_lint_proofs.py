"""Rules that hang on a proof which nobody can have."""

from __future__ import annotations

import pytest

from proxy.policy.documents import load
from proxy.policy.lint import lint

POLICY = """\
version: 1
name: x
rules:
  shared:
    - {id: s, unless: {proven: true}, forbid: {kinds: [ddl]}, reason: unproven}
roles:
  a:
    login: LOGIN
    upstream: u
    read_only: READ_ONLY
    migrations: {proofs: PROOFS}
    include: [shared]
    rules:
      - {id: p, when: {proven: true}, permit: {kinds: [read]}}
      - {id: q, permit: {kinds: [insert]}}
  b:
    login: permit
    upstream: u
    include: [shared]
    rules: [{id: r, permit: {kinds: [read]}}]
"""
NEVER = (
    "hangs on a proof, but no role that has it says "
    '"migrations: {proofs: accept}" or "require": nothing is ever proven'
)


def found(
    proofs: str = "accept", *, login: str = "permit", read_only: str = "false"
) -> list[str]:
    text = POLICY.replace("PROOFS", proofs).replace("LOGIN", login)
    document = load(text.replace("READ_ONLY", read_only), source="x")
    return [f"{each.line}: {each.message}" for each in lint(document)]


@pytest.mark.parametrize("proofs", ["accept", "require"])
def test_one_role_with_proofs_is_enough_for_a_shared_rule(proofs: str) -> None:
    assert found(proofs) == []


def test_where_proofs_are_recorded_nothing_is_proven() -> None:
    assert found("record") == [f'5: rule "s" {NEVER}', f'14: rule "p" {NEVER}']


def test_a_role_that_migrates_nothing_is_told() -> None:
    (said,) = found(read_only="true")
    assert said == '11: role "a" is read_only, so no migration runs as it'
    assert '11: role "a" can\'t log in, so no migration runs as it' in found(
        login="{refuse: x}"
    )


def test_an_application_with_a_proof_is_no_mere_hint() -> None:
    for proven, count in (("true", 0), ("false", 1)):
        text = POLICY.replace("{proven: true}, p", "{proven: %s, applications: x}, p")
        document = load(
            text.replace("PROOFS", "accept")
            .replace("LOGIN", "permit")
            .replace("READ_ONLY", "false")
            .replace("%s", proven),
            source="x",
        )
        said = [each.message for each in lint(document)]
        assert len([each for each in said if "application_name alone" in each]) == count
