"""Tokens of a real issuer as the password of real clients, over real TLS."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
import time
from typing import TYPE_CHECKING

import asyncpg
import psycopg
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from typer.testing import CliRunner

from proxy.auth.tokens import Fault
from proxy.cli.identity import identity_app
from proxy.wire import codes
from proxy.wire.startup import StartupMessage
from tests.clients.token_rig import (
    ANN,
    EVE,
    JOBS,
    OLGA,
    PASSWORD,
    PEOPLE,
    Guard,
    identities,
    refusal,
)
from tests.clients.tools import run
from tests.fix_postgres import bin_dir
from tests.integration.rig import eventually, metric
from tests.unit.auth.token_maker import hmac_with, rsa_key, unsigned

if TYPE_CHECKING:
    from tests.fix_postgres import Database

pytestmark = [pytest.mark.postgres, pytest.mark.slow, pytest.mark.timeout(120)]

COUNT = "select count(*) from customers"


@pytest.fixture
def guard(token_guard: Guard) -> Guard:
    return token_guard


# --- right -------------------------------------------------------------------


def test_who_was_added_with_only_a_token_comes_in_by_it(
    guard: Guard, shop17: Database
) -> None:
    """By `pgwarden identity add`, while it serves."""
    config = guard.proxy.log_path.with_name("pgwarden.yaml")
    command = ["add", "deploy-docs", "--role", "migrator", "--no-password"]
    command += ["--issuer", "forge", "--claim", "repository=acme/docs"]
    command += ["--claim", "ref=refs/heads/main", "--claim", "ref=refs/tags/v*"]
    ran = CliRunner().invoke(identity_app, [*command, "--config", str(config)])
    assert (ran.exit_code, ran.output) == (0, ""), ran.exception

    def token(**change: str) -> str:
        claims = guard.claims(**{"repository": "acme/docs"} | change)
        return guard.issuer.key.sign(claims).decode()

    def comes_in() -> bool:
        options = guard.options("deploy-docs", shop17, password=token())
        try:
            psycopg.connect(**options).close()
        except psycopg.OperationalError:
            return False
        return True

    eventually(comes_in)
    for other in ({"repository": "acme/shop"}, {"ref": "refs/heads/evil"}):
        assert "authentication failed" in refusal(
            guard, shop17, "deploy-docs", token(**other)
        )
    assert "authentication failed" in refusal(guard, shop17, "deploy-docs", PASSWORD)


@pytest.mark.parametrize("major", [15, 17])
def test_a_person_by_psql(guard: Guard, shop17: Database, major: int) -> None:
    psql = str(bin_dir(major) / "psql")
    token = guard.issuer.person_token(ANN, PEOPLE)
    done = run(
        [psql, "-XAtc", COUNT],
        environment=guard.environment(ANN, shop17, token),
    )
    assert int(done.ok().out) > 0
    record = guard.start(ANN, shop17.name)
    assert record["authentication"] == "token"
    assert record["login_rule"] == "login.people"
    assert record["role"] == "developer"
    proof = record["proof"]
    assert proof.keys() == {"issuer", "subject", "token_id", "expires"}
    assert (proof["issuer"], proof["subject"]) == ("company", ANN)
    refused = run(
        [psql, "-XAtc", "drop table customers"],
        environment=guard.environment(ANN, shop17, token),
    )
    assert "not allowed for role developer" in refused.err


def test_a_job_by_psycopg(guard: Guard, shop17: Database) -> None:
    token = guard.issuer.job_token(JOBS)
    with psycopg.connect(**guard.options("deploy", shop17, password=token)) as link:
        link.execute("create table made_by_deploy (id int)")
    assert guard.start("deploy", shop17.name)["role"] == "migrator"


async def test_a_job_by_asyncpg(guard: Guard, shop17: Database) -> None:
    context = ssl.create_default_context(cafile=str(guard.ca))
    link = await asyncpg.connect(
        host="localhost",
        port=guard.proxy.port,
        user="deploy",
        database=shop17.name,
        password=await asyncio.to_thread(guard.issuer.job_token, JOBS),
        ssl=context,
    )
    assert await link.fetchval(COUNT) > 0
    await link.close()


def test_a_token_is_good_for_more_than_one_connection(
    guard: Guard, shop17: Database
) -> None:
    # Pools and prisma open several; that is why it must not live long.
    token = guard.issuer.job_token(JOBS)
    for _ in range(3):
        with psycopg.connect(**guard.options("deploy", shop17, password=token)):
            pass


def test_who_has_a_password_goes_on_as_before(guard: Guard, shop17: Database) -> None:
    with psycopg.connect(
        **guard.options("bob", shop17, password=PASSWORD, require_auth="scram-sha-256")
    ) as link:
        assert link.execute(COUNT).fetchone()
    with psycopg.connect(
        **guard.options("bound", shop17, password=PASSWORD, channel_binding="require")
    ):
        pass


# --- wrong -------------------------------------------------------------------


def _public(guard: Guard, encoding: Encoding) -> bytes:
    public = guard.issuer.key.private.public_key()
    return bytes(public.public_bytes(encoding, PublicFormat.SubjectPublicKeyInfo))


def _wrong(guard: Guard) -> dict[str, bytes]:
    """Each is refused; all but the forged are signed with the issuer's own key."""
    key, now = guard.issuer.key, int(time.time())
    good = guard.claims()
    other = rsa_key(key.kid)
    return {
        "audience": key.sign(guard.claims(JOBS + "/")),
        "no audience": key.sign(guard.claims(aud=...)),
        "the other audience": key.sign(guard.claims(PEOPLE)),
        "issuer": key.sign(guard.claims(iss="https://issuer.example")),
        "expired": key.sign(guard.claims(exp=now - 60)),
        "no expiry": key.sign(guard.claims(exp=...)),
        "for a year": key.sign(guard.claims(exp=now + 365 * 86_400)),
        "not yet": key.sign(guard.claims(nbf=now + 120)),
        "another key of the same name": other.sign(good),
        "none": unsigned(good) + b"AA",
        "none, without a signature": unsigned(good),
        "the public key as a secret": hmac_with(
            _public(guard, Encoding.PEM), good, str(key.kid)
        ),
        "the same, DER": hmac_with(_public(guard, Encoding.DER), good, str(key.kid)),
        "a logout token": key.sign(good, typ="logout+jwt"),
        "another repository": key.sign(guard.claims(repository="acme/shop2")),
        "a branch like it": key.sign(guard.claims(ref="refs/heads/main2")),
        "another workflow": key.sign(
            guard.claims(
                job_workflow_ref="acme/shop/.github/workflows/x.yml@refs/heads/main"
            )
        ),
        "no environment": key.sign(guard.claims(environment=...)),
        "a password": b"secret",
        "cut off": key.sign(good)[:-4],
    }


def faults(guard: Guard) -> dict[Fault, float]:
    """How many of the jobs' tokens were refused so far, by why."""
    series = 'pgwarden_tokens_total{{issuer="forge",result="{}"}}'
    return {fault: metric(guard.proxy, series.format(fault)) for fault in Fault}


def test_each_wrong_token_is_refused_in_the_same_words(
    guard: Guard, shop17: Database
) -> None:
    right = guard.issuer.key.sign(guard.claims()).decode()
    with psycopg.connect(**guard.options("deploy", shop17, password=right)):
        pass
    before = faults(guard)
    told = {
        name: refusal(guard, shop17, "deploy", token)
        for name, token in _wrong(guard).items()
    }
    for name, said in told.items():
        assert 'token authentication failed for user "deploy"' in said, name
        assert ("HINT" in said) == (name == "expired"), said
    # Those of another repository, branch, workflow or environment are good tokens, and
    # somebody else's.
    after = faults(guard)
    assert {fault: after[fault] - before[fault] for fault in Fault} == {
        **dict.fromkeys(Fault, 0),
        Fault.AUDIENCE: 3,
        Fault.ISSUER: 1,
        Fault.EXPIRED: 1,
        Fault.LIFETIME: 1,
        Fault.NOT_YET: 1,
        Fault.SIGNATURE: 2,
        Fault.ALGORITHM: 3,
        Fault.TYPE: 1,
        Fault.MALFORMED: 3,
    }


def test_what_the_issuer_says_of_other_jobs_is_not_enough(
    guard: Guard, shop17: Database
) -> None:
    for job in ("pull-request", "fork"):
        token = guard.issuer.job_token(JOBS, job)
        assert "token authentication failed" in refusal(guard, shop17, "deploy", token)


def test_nobody_is_somebody_else(guard: Guard, shop17: Database) -> None:
    ann, job = guard.issuer.person_token(ANN, PEOPLE), guard.issuer.job_token(JOBS)
    eve = guard.issuer.person_token(EVE, PEOPLE)
    for user, token in (
        ("bob@acme.example", ann),
        ("deploy", ann),
        ("deploy-by-password", job),
        ("deploy-unknown", job),
        (ANN, job),
        (EVE, eve),
    ):
        said = refusal(guard, shop17, user, token)
        assert f'token authentication failed for user "{user}"' in said
    # A token is no password either, nor a password a token.
    assert "password authentication failed" in refusal(guard, shop17, "bob", ann)
    assert "password authentication failed" in refusal(guard, shop17, "both", ann)
    assert "token authentication failed" in refusal(
        guard, shop17, "deploy-by-password", PASSWORD
    )


def test_what_is_too_long_is_not_read(guard: Guard, shop17: Database) -> None:
    token = guard.issuer.key.sign(guard.claims(filler="x" * 20_000)).decode()
    said = refusal(guard, shop17, "deploy", token)
    assert "invalid length" in said
    large = guard.issuer.key.sign(guard.claims(filler="x" * 8_000)).decode()
    with psycopg.connect(**guard.options("deploy", shop17, password=large)):
        pass


def test_nothing_of_a_token_is_written_down(guard: Guard, shop17: Database) -> None:
    right, wrong = guard.issuer.job_token(JOBS), guard.issuer.job_token(PEOPLE)
    with psycopg.connect(**guard.options("deploy", shop17, password=right)):
        pass
    refusal(guard, shop17, "deploy", wrong)
    # As user name, too, where somebody has mixed them up.
    refusal(guard, shop17, wrong[:60], right)
    written = guard.everything_written()
    for token in (right, wrong):
        for part in token.split(".")[1:]:
            assert part[:40] not in written
    assert "job_workflow_ref" not in written.replace(
        'claim \\"job_workflow_ref\\" is not', ""
    )


# --- what is asked for -------------------------------------------------------


def asked_for(guard: Guard, user: str, database: str, *, is_tls: bool) -> bytes:
    """The first message to a client that has sent nothing but its name."""
    link = socket.create_connection(("127.0.0.1", guard.proxy.port), 10)
    if is_tls:
        link.sendall(struct.pack("!ii", 8, codes.SSL_REQUEST))
        assert link.recv(1) == b"S"
        context = ssl.create_default_context(cafile=str(guard.ca))
        link = context.wrap_socket(link, server_hostname="localhost")
    with link:
        parameters = {"user": user, "database": database}
        link.sendall(StartupMessage(0, parameters).encode())
        return link.recv(4096)


CLEARTEXT = b"R\x00\x00\x00\x08\x00\x00\x00\x03"
SASL = b"\x00\x00\x00\x0a"
NAMES = (
    *(str(each["name"]) for each in identities()["identities"]),
    "deploy-unknown",
    "zoe@acme.example",
    "nobody",
    "postgres",
    "' or 1=1",
)


@pytest.mark.parametrize("user", NAMES)
@pytest.mark.parametrize("is_tls", [True, False], ids=["tls", "plain"])
def test_only_a_token_is_ever_asked_for_in_clear_text(
    guard: Guard, shop17: Database, user: str, is_tls: bool
) -> None:
    data = asked_for(guard, user, shop17.name, is_tls=is_tls)
    takes_tokens = user.startswith("deploy") or user.endswith("@acme.example")
    is_bearer = user.startswith("olga@")
    if takes_tokens and not is_tls:
        assert data[:1] == b"E"
        assert b"a token is taken over TLS only" in data
        assert b"sslmode=verify-full" in data
    elif takes_tokens and not is_bearer:
        assert data == CLEARTEXT
    else:
        assert data[:1] == b"R"
        assert data[5:9] == SASL
        expected = b"OAUTHBEARER\0\0" if is_bearer else b"SCRAM-SHA-256\0\0"
        assert data.endswith(expected)


def test_a_plain_connection_is_not_asked_for_the_token(
    guard: Guard, shop17: Database
) -> None:
    token = guard.issuer.job_token(JOBS)
    options = guard.options("deploy", shop17, password=token, sslmode="disable")
    with pytest.raises(psycopg.OperationalError, match="over TLS only"):
        psycopg.connect(**options)


def test_olga_has_no_other_way(guard: Guard, shop17: Database) -> None:
    token = guard.issuer.person_token(OLGA, PEOPLE)
    said = refusal(guard, shop17, OLGA, token)
    assert "OAuth" in said
