"""Why an identity can't come in by any rule of the policy, told when it is written.

It is no mistake: the rule may be written next. Pure.
Next: `proxy.policy.logins` for the rules, `proxy.cli.roster`, which tells it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from proxy.auth.methods import Method

if TYPE_CHECKING:
    from proxy.auth.identities import IdentityEntry
    from proxy.policy.logins import Logins, Way


def no_way(logins: Logins, entry: IdentityEntry) -> str:
    """What the rules ask for that the identity has not; "" if some way is open to it.

    Networks, databases and TLS are left out of account: they are the client's.
    """
    ways = logins.ways_of(entry.name, entry.role)
    lacks = [_lack(way, entry) for way in ways]
    if not all(lacks):
        return ""
    told = ", ".join(dict.fromkeys(map(_words, ways, lacks)))
    return f'"{entry.name}" can\'t come in yet: ' + (told or "no rule fits it")


def _words(way: Way, lack: str) -> str:
    return f"rule {way.rule} {lack}" if way.rule else f"the policy {lack}"


def _lack(way: Way, entry: IdentityEntry) -> str:
    """What this way asks for that the identity has not, "" for nothing."""
    has_password = bool(entry.secret_texts())
    has_certificate = bool(entry.certificate or way.certificate)
    match way.method:
        case Method.SCRAM | Method.SCRAM_PLUS:
            return "" if has_password else "takes a password"
        case Method.CERTIFICATE:
            return "" if has_certificate else "takes a certificate"
        case Method.CERTIFICATE_AND_SCRAM:
            has_both = has_certificate and has_password
            return "" if has_both else "takes a certificate and a password"
        case Method.TOKEN | Method.OAUTH:
            is_theirs = entry.token is not None and entry.token.issuer == way.issuer
            return "" if is_theirs else f'takes a token of "{way.issuer}"'
        case Method.REJECT:
            return "rejects it"
        case _:
            assert_never(way.method)
