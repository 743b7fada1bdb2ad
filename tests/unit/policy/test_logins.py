"""Which rule of `authentication` decides, and what a stranger would meet."""

from __future__ import annotations

import pytest

from proxy.auth.methods import Method
from proxy.policy.documents import PolicyError, load
from proxy.policy.evaluate import Policy
from proxy.policy.lint import lint
from proxy.policy.logins import BY_PASSWORD, NO_RULE, Knock, Ways

HEAD = """\
version: 1
name: x
lists: {{office: [192.0.2.0/24, "2001:db8::/32"], people: [dev*]}}
authentication:
{rules}
roles:
  developer: {{login: permit, upstream: u, rules: [{{id: a, permit: {{kinds: read}}}}]}}
  migrator: {{login: permit, upstream: u, rules: [{{id: b, permit: {{kinds: read}}}}]}}
"""


def text(*rules: str) -> str:
    """A document whose rules of `authentication` stand on lines 5, 6, ..."""
    return HEAD.format(rules="\n".join(f"  - {{{rule}}}" for rule in rules))


def ways(*rules: str, **knock: object) -> Ways:
    values: dict[str, object] = {
        "identity": "ana",
        "role": "developer",
        "database": "shop",
        "address": "192.0.2.7",
        "tls": True,
    }
    known = values | knock
    policy = Policy(load(text(*rules), source="p.yaml"))
    return policy.logins.ways(Knock(**known))  # type: ignore[arg-type]


def own(*rules: str, **knock: object) -> str:
    return ways(*rules, **knock).own.rule


SCRAM = "id: s, method: scram"
REJECT = "id: r, method: reject, reason: no"


def test_without_the_key_everyone_comes_by_password() -> None:
    document = load(
        "version: 1\nname: x\nroles: {r: {login: {refuse: no}}}", source="p.yaml"
    )
    knock = Knock("a", "r", "d", "", tls=False)
    assert Policy(document).logins.ways(knock) == Ways(BY_PASSWORD, BY_PASSWORD)


@pytest.mark.parametrize(
    ("when", "knock", "fits"),
    [
        ("tls: true", {}, True),
        ("tls: true", {"tls": False}, False),
        ("tls: false", {}, False),
        ("databases: [shop]", {}, True),
        ("databases: [other, sh*]", {}, True),
        ("databases: shop", {"database": "Shop"}, False),
        ("identities: a*", {}, True),
        ("identities: [ann, bob]", {}, False),
        ("roles: developer", {}, True),
        ("roles: [m*]", {}, False),
        ("roles: ['*']", {}, True),
        ("roles: ['*']", {"role": ""}, False),
        ("roles: ['@people']", {}, True),
        ("networks: ['@office']", {}, True),
        ("networks: ['@office']", {"address": "2001:db8::7"}, True),
        ("networks: ['@office']", {"address": "::ffff:192.0.2.9"}, True),
        ("networks: ['@office']", {"address": "198.51.100.7"}, False),
        ("networks: ['@office']", {"address": ""}, False),
        ("networks: loopback", {"address": "127.0.0.1"}, True),
        ("networks: loopback, roles: developer", {"address": "::1"}, True),
        ("networks: loopback, roles: migrator", {"address": "::1"}, False),
    ],
)
def test_every_key_that_is_given_must_fit(
    when: str, knock: dict[str, object], fits: bool
) -> None:
    rule = f"id: first, when: {{{when}}}, method: scram"
    assert own(rule, REJECT, **knock) == ("first" if fits else "r")


def test_the_first_rule_that_fits_decides() -> None:
    wide, narrow = SCRAM, "id: n, when: {roles: developer}, method: scram-plus"
    assert own(wide, narrow) == "s"
    assert own(narrow, wide) == "n"


def test_who_fits_no_rule_is_refused() -> None:
    found = ways("id: s, when: {roles: migrator}, method: scram").own
    assert (found.rule, found.method) == (NO_RULE, Method.REJECT)
    assert found.reason


# --- a name that nobody has ----------------------------------------------------


def stranger(*rules: str, **knock: object) -> str:
    """The way of a stranger; it must not hang on the role of the name."""
    found = {
        ways(*rules, role=role, **knock).stranger.rule
        for role in ("", "developer", "migrator")
    }
    assert len(found) == 1
    return found.pop()


DEVELOPER = "id: d, when: {roles: developer}, method: scram"
MIGRATOR = "id: m, when: {roles: migrator}, method: scram-plus"


def test_a_stranger_has_no_role() -> None:
    assert stranger(MIGRATOR, SCRAM) == "s"
    assert ways(MIGRATOR, SCRAM, role="").own.rule == "s"


@pytest.mark.parametrize("last", [(), (REJECT,)])
def test_a_stranger_is_not_told_apart_by_a_refusal(last: tuple[str, ...]) -> None:
    assert stranger(MIGRATOR, DEVELOPER, *last) == "d"
    assert stranger(DEVELOPER, MIGRATOR, *last) == "m"


def test_a_refusal_that_is_for_all_is_told_to_all() -> None:
    first = "id: away, when: {networks: loopback}, method: reject, reason: no"
    assert stranger(first, DEVELOPER, address="127.0.0.1") == "away"
    assert own(first, DEVELOPER, address="127.0.0.1") == "away"
    assert stranger(first, DEVELOPER) == "d"


def test_a_rule_that_fits_nowhere_near_says_nothing_of_a_stranger() -> None:
    far = "id: far, when: {roles: developer, networks: loopback}, method: scram"
    assert stranger(far, REJECT) == "r"
    rejects = "id: x, when: {roles: developer}, method: reject, reason: no"
    assert stranger(rejects, REJECT) == "r"


def test_a_name_in_a_rule_counts_for_strangers_too() -> None:
    named = "id: n, when: {identities: 'ci-*'}, method: scram-plus"
    assert stranger(named, SCRAM, identity="ci-7") == "n"
    assert stranger(named, SCRAM, identity="ann") == "s"


# --- documents -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("id: s, method: md5", '5: "authentication.0.method"'),
        ("id: a, method: scram", '"a" is used twice'),
        ("id: s, when: {role: a}, method: scram", 'unknown key "role"; did you mean'),
        (
            "id: s, when: {roles: [developr]}, method: scram",
            'p.yaml:5: no role "developr"; did you mean "developer"?',
        ),
        ("id: s, when: {roles: x*}, method: scram", 'no role "x*"'),
        ("id: s, when: {networks: '@ofice'}, method: scram", 'no list "ofice"'),
        ("id: s, when: {networks: ['@people']}, method: scram", '"dev*" is no network'),
        ("id: s, when: {networks: 192.0.2.1/24}, method: scram", "has bits set"),
        ("id: s, method: reject", 'rejects, so it needs a "reason"'),
        ("id: s, method: scram, reason: x", "only a rejection has a reason"),
        ("id: s, when: {tls: false}, method: scram-plus", '"scram-plus" needs TLS'),
        ("id: s, when: {tls: false}, method: certificate", '"certificate" needs TLS'),
        (
            "id: s, method: scram, certificate: {email: '{identity}@b'}",
            '"scram" asks for no certificate',
        ),
        (
            "id: s, method: certificate, certificate: {common_name: gateway}",
            "must hold {identity} once",
        ),
        (
            "id: s, method: certificate, certificate: {mail: '{identity}@b'}",
            'unknown key "mail"; did you mean "email"?',
        ),
    ],
)
def test_a_rule_that_does_not_hold_together_is_told(rule: str, said: str) -> None:
    with pytest.raises(PolicyError) as caught:
        load(text(rule), source="p.yaml")
    assert said in str(caught.value)


def test_an_empty_list_would_let_nobody_in() -> None:
    with pytest.raises(PolicyError, match="authentication"):
        load(text().replace("authentication:", "authentication: []"), source="p.yaml")


@pytest.mark.parametrize(
    ("wide", "narrow", "is_found"),
    [
        ("", "{roles: developer}", True),
        ("{roles: developer}", "{}", False),
        ("{roles: dev*}", "{roles: [developer]}", True),
        ("{roles: [developer, migrator]}", "{roles: '*'}", False),
        ("{tls: true}", "{tls: true, databases: shop}", True),
        ("{tls: true}", "{databases: shop}", False),
        ("{networks: '@office'}", "{networks: 192.0.2.128/25}", True),
        ("{networks: '@office'}", "{networks: [192.0.2.128/25, 10.0.0.0/8]}", False),
        ("{networks: 192.0.2.0/24}", "{networks: 2001:db8::/64}", False),
        ("{databases: shop}", "{databases: shop, identities: a}", True),
        ("{identities: a}", "{databases: shop}", False),
    ],
)
def test_a_rule_that_never_decides_is_found(
    wide: str, narrow: str, is_found: bool
) -> None:
    first = f"id: one, when: {wide or '{}'}, method: scram"
    second = f"id: two, when: {narrow}, method: scram"
    found = lint(load(text(first, second), source="p.yaml"))
    said = [each.message for each in found if "unreachable" in each.message]
    assert bool(said) is is_found
    if is_found:
        assert '"two" never decides, as "one" (line 5)' in said[0]


@pytest.mark.parametrize(
    ("first", "second", "is_found"),
    [
        ("when: {tls: true}, method: certificate", "method: scram", True),
        ("when: {tls: true}, method: scram-plus", "method: scram", True),
        (
            "when: {tls: true, roles: developer}, method: certificate",
            "when: {roles: dev*}, method: scram",
            True,
        ),
        ("method: certificate", "when: {roles: developer}, method: scram", False),
        ("when: {tls: true}, method: scram", "method: scram", False),
        ("when: {tls: true}, method: certificate", "method: scram-plus", False),
        (
            "when: {tls: true}, method: certificate",
            "method: reject, reason: no",
            False,
        ),
        (
            "when: {tls: true}, method: certificate",
            "when: {tls: true}, method: scram",
            False,
        ),
    ],
)
def test_a_rule_that_plain_text_gets_round_is_found(
    first: str, second: str, is_found: bool
) -> None:
    found = lint(load(text(f"id: one, {first}", f"id: two, {second}"), source="p.yaml"))
    said = [each.message for each in found if "is for TLS alone" in each.message]
    assert bool(said) is is_found
    if is_found:
        assert 'by "scram", as "two" (line 6) says' in said[0]


def test_lists_in_rules_are_used() -> None:
    rule = "id: s, when: {networks: '@office', roles: '@people'}, method: scram"
    assert lint(load(text(rule), source="p.yaml")) == []


def test_who_fails_is_told_that_certificates_count_here() -> None:
    assert ways(SCRAM).hint == ""
    rule = "id: c, when: {roles: migrator}, method: certificate"
    for role in ("", "developer", "migrator"):
        assert "client certificate" in ways(rule, SCRAM, role=role).hint


def test_what_the_settings_must_have_is_named() -> None:
    rules = (
        "id: c, when: {roles: migrator}, method: certificate+scram",
        "id: p, method: scram-plus",
    )
    logins = Policy(load(text(*rules), source="p.yaml")).logins
    assert (logins.by_certificate, logins.bound) == ("c", "p")
    logins = Policy(load(text(SCRAM), source="p.yaml")).logins
    assert (logins.by_certificate, logins.bound) == ("", "")
