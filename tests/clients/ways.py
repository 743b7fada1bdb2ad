"""Which client can log in by which way, and what is tried of each way: right and wrong.

`TABLE` is the table of docs/reference/protocol.md; `tests/unit/test_ways_page.py` holds
the page to it, and `test_ways.py` every cell of it to real clients. Next: `drivers.py`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509

from tests.clients.token_rig import JOBS, OLGA, PASSWORD, PEOPLE

if TYPE_CHECKING:
    from tests.authority import Issued
    from tests.clients.token_rig import Guard

WAYS = ("scram", "scram-plus", "certificate", "certificate+scram", "token", "oauth")
"""As the policy names them, in the order of the page's columns."""
_ALL_BUT_OAUTH = frozenset(WAYS) - {"oauth"}
TABLE: dict[str, frozenset[str]] = {
    "psql 15": _ALL_BUT_OAUTH,
    "psql 17": _ALL_BUT_OAUTH,
    "psycopg": frozenset(WAYS),
    "asyncpg": _ALL_BUT_OAUTH - {"scram-plus"},
    "node-postgres": _ALL_BUT_OAUTH,
    "Prisma": _ALL_BUT_OAUTH,
    "pgjdbc": _ALL_BUT_OAUTH,
}
"""What each client can do."""


@dataclass(frozen=True)
class Attempt:
    """One login.

    Attributes:
        way: the way that the policy has for this user.
        case: "right", or what is wrong with it.
        expected: how the session.start record calls it; of a wrong one a part of what
            the client must be told, "" where TLS ends before anything can be told.
        binds: insist on channel binding, where the client can; otherwise don't use it.
        shown: the client certificate.
        port: of somebody in the middle, whose certificate is not looked at.
    """

    way: str
    case: str
    user: str
    password: str
    expected: str
    binds: bool = False
    shown: Issued | None = None
    port: int = 0

    @property
    def is_right(self) -> bool:
        return self.case == "right"


def attempts(guard: Guard, middle: int) -> list[Attempt]:
    """All of them; `middle` is the port of somebody in the middle."""
    return [
        *_passwords(middle),
        *_certificates(guard),
        *_tokens(guard),
    ]


def _passwords(middle: int) -> list[Attempt]:
    no = 'password authentication failed for user "{}"'
    right, bob, bound = PASSWORD, no.format("bob"), no.format("bound")
    unbound, other, plus = "must be bound", "binding check failed", "scram-plus"
    return [
        Attempt("scram", "right", "bob", right, "scram-sha-256"),
        Attempt("scram", "wrong password", "bob", "wrong", bob),
        Attempt("scram", "no such name", "bobby", right, no.format("bobby")),
        Attempt(plus, "right", "bound", right, "scram-sha-256-plus", True),
        Attempt(plus, "unbound", "bound", right, unbound),
        Attempt(plus, "wrong password", "bound", "wrong", bound, True),
        Attempt(plus, "in the middle", "bound", right, other, True, None, middle),
    ]  # fmt: skip


def _certificates(guard: Guard) -> list[Attempt]:
    issue, foreign = guard.people.issue, guard.strangers.issue
    email = [x509.RFC822Name("paired@example.com")]
    robot, paired = issue("robot"), issue("any", names=email)
    no = 'password authentication failed for user "{}"'
    alone, both, right = no.format("robot"), no.format("paired"), PASSWORD
    way = "certificate+scram"
    return [
        Attempt("certificate", "right", "robot", "", "certificate", shown=robot),
        Attempt("certificate", "none", "robot", "any", alone),
        Attempt("certificate", "another's", "robot", "any", alone, shown=paired),
        Attempt("certificate", "a stranger's", "robot", "", "", shown=foreign("robot")),
        Attempt(way, "right", "paired", right, f"{way}-sha-256-plus", True, paired),
        Attempt(way, "wrong password", "paired", "wrong", both, True, paired),
        Attempt(way, "no certificate", "paired", right, both, True),
        Attempt(way, "another's", "paired", right, both, True, robot),
    ]  # fmt: skip


def _tokens(guard: Guard) -> list[Attempt]:
    issuer, past = guard.issuer, int(time.time()) - 60
    job = 'token authentication failed for user "deploy"'
    fork, old = issuer.job_token(JOBS, "fork"), guard.claims(exp=past)
    person = guard.claims(PEOPLE, exp=past, email=OLGA, email_verified=True)
    bearer = f'OAuth bearer authentication failed for user "{OLGA}"'
    mine, ours = issuer.person_token(OLGA, PEOPLE), issuer.job_token(JOBS)
    expired = [issuer.key.sign(each).decode() for each in (old, person)]
    return [
        Attempt("token", "right", "deploy", ours, "token"),
        Attempt("token", "of a fork", "deploy", fork, job),
        Attempt("token", "expired", "deploy", expired[0], job),
        Attempt("token", "a password", "deploy", PASSWORD, job),
        Attempt("oauth", "right", OLGA, mine, "oauth"),
        Attempt("oauth", "of a job", OLGA, ours, bearer),
        Attempt("oauth", "expired", OLGA, expired[1], bearer),
    ]
