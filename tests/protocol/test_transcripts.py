"""Golden transcripts: what is said on the wire, to be read and reviewed as a diff."""

from __future__ import annotations

import time
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
import trustme

from proxy.shipped import policy_path
from proxy.wire.startup import CancelRequest, GSSENCRequest, SSLRequest, StartupMessage
from tests.protocol.speaker import Speaker
from tests.unit.session.playbook import (
    COPY_DONE,
    FLUSH,
    FUNCTION_CALL,
    SYNC,
    TERMINATE,
    bind,
    copy_data,
    copy_fail,
    describe,
    execute,
    parse,
    query,
    run,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.fix_postgres import Database
    from tests.fix_proxy import Proxy, StartProxy

    Golden = Callable[[Speaker], None]

pytestmark = pytest.mark.postgres

TRANSCRIPTS = Path(__file__).with_name("transcripts")
DROP = "DROP TABLE customers"


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    """Compare what was said with the transcript of the test's name."""

    def compare(speaker: Speaker) -> None:
        name = request.node.originalname.removeprefix("test_")
        path = TRANSCRIPTS / f"{name}.txt"
        # Run-time parameters come in no order that anyone promised.
        groups = groupby(speaker.lines, key=lambda line: "ParameterStatus" in line)
        lines = [
            x for mixed, group in groups for x in (sorted(group) if mixed else group)
        ]
        said = "\n".join(lines) + "\n"
        if request.config.getoption("--regenerate", default=False):
            path.write_text(said, "utf-8")
        assert said == path.read_text("utf-8")

    return compare


def startup(guard: Proxy, who: str, database: str, **more: str) -> StartupMessage:
    minor = int(more.pop("minor", "0"))
    user = {"user": guard.user(who), "database": database}
    return StartupMessage(minor, user | more)


def log_in(guard: Proxy, database: str, who: str = "developer") -> Speaker:
    """Logged in; the login itself is another transcript's."""
    speaker = Speaker(guard.host, guard.port)
    speaker.log_in(startup(guard, who, database), guard.password(who))
    speaker.lines = []
    return speaker


@pytest.fixture
def talk(guard17: Proxy, shop17: Database) -> Iterator[Speaker]:
    with log_in(guard17, shop17.name) as speaker:
        yield speaker


@pytest.fixture
def migrator(guard17: Proxy, shop17: Database) -> Iterator[Speaker]:
    with log_in(guard17, shop17.name, "migrator") as speaker:
        yield speaker


# --- before and during the login ----------------------------------------------


def test_login(guard17: Proxy, shop17: Database, golden: Golden) -> None:
    with Speaker(guard17.host, guard17.port) as speaker:
        assert speaker.ask(GSSENCRequest()) == "N"
        assert speaker.ask(SSLRequest()) == "N"
        wish = startup(guard17, "developer", shop17.name, application_name="me")
        speaker.log_in(wish, guard17.password())
        speaker.say(TERMINATE).hear("")
        golden(speaker)


def test_wrong_password(guard17: Proxy, shop17: Database, golden: Golden) -> None:
    with Speaker(guard17.host, guard17.port) as speaker:
        speaker.log_in(startup(guard17, "developer", shop17.name), "wrong")
        speaker.hear("")
        golden(speaker)


def test_refused_settings(guard17: Proxy, shop17: Database, golden: Golden) -> None:
    with Speaker(guard17.host, guard17.port) as speaker:
        wish = startup(guard17, "developer", shop17.name, replication="true")
        speaker.start(wish)
        speaker.hear("")
        golden(speaker)


def test_protocol_3_2(guard17: Proxy, shop17: Database, golden: Golden) -> None:
    with Speaker(guard17.host, guard17.port) as speaker:
        wish = startup(guard17, "developer", shop17.name, minor="2")
        speaker.log_in(wish, guard17.password())
        golden(speaker)


def test_protocol_of_the_future(
    guard17: Proxy, shop17: Database, golden: Golden
) -> None:
    with Speaker(guard17.host, guard17.port) as speaker:
        user = {"user": guard17.user(), "database": shop17.name}
        speaker.start(StartupMessage(9, user, ("_pq_.shiny",)))
        speaker.hear("R")
        golden(speaker)


@pytest.fixture
def tls(start_proxy: StartProxy, shop17: Database, tmp_path: Path) -> tuple[Proxy, str]:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    files = tmp_path / "certificate.pem", tmp_path / "key.pem", tmp_path / "ca.pem"
    certificate.cert_chain_pems[0].write_to_path(files[0])
    certificate.private_key_pem.write_to_path(files[1])
    authority.cert_pem.write_to_path(files[2])
    settings = {"tls": {"certificate": str(files[0]), "key": str(files[1])}}
    return start_proxy(shop17.cluster, settings=settings), str(files[2])


def test_tls(tls: tuple[Proxy, str], shop17: Database, golden: Golden) -> None:
    guard, authority = tls
    with Speaker(guard.host, guard.port) as speaker:
        assert speaker.ask(SSLRequest()) == "S"
        speaker.start_tls(authority)
        speaker.log_in(startup(guard, "developer", shop17.name), guard.password())
        speaker.say(query("SELECT 1")).hear("Z")
        golden(speaker)


def test_bytes_before_tls(tls: tuple[Proxy, str], golden: Golden) -> None:
    guard, _ = tls
    with Speaker(guard.host, guard.port) as speaker:
        speaker.ask(SSLRequest(), extra=b"\0")
        speaker.hear("")
        golden(speaker)


# --- statements ---------------------------------------------------------------


def test_several_statements(talk: Speaker, golden: Golden) -> None:
    talk.say(query("SELECT 1; SELECT 2; SELECT 1/0; SELECT 3")).hear("Z")
    talk.say(query(f"SELECT 1; {DROP}")).hear("Z")
    golden(talk)


def test_error_and_skip_until_sync(talk: Speaker, golden: Golden) -> None:
    talk.say(run("SELECT 1/0"), run("SELECT 1"), query("SELECT 2"), SYNC).hear("Z")
    talk.say(query("SELECT 3")).hear("Z")
    golden(talk)


def test_refusal_in_a_pipeline(talk: Speaker, golden: Golden) -> None:
    talk.say(run("SELECT 1"), run(DROP, name="s"), run("SELECT 2"), SYNC)
    talk.say(run("SELECT 3"), SYNC).hear("Z", times=2)
    golden(talk)


def test_refusals_of_each_kind(talk: Speaker, golden: Golden) -> None:
    talk.say(query(DROP), FUNCTION_CALL, parse(DROP), SYNC, bind("none"), SYNC)
    talk.say(execute("none"), SYNC, query("SELEKT 1")).hear("Z", times=6)
    golden(talk)


def test_refusal_in_a_transaction(talk: Speaker, golden: Golden) -> None:
    talk.say(query("BEGIN")).hear("Z")
    talk.say(query(DROP)).hear("Z")
    talk.say(query("SELECT 1")).hear("Z")
    talk.say(query(DROP)).hear("Z")
    talk.say(query("ROLLBACK")).hear("Z")
    golden(talk)


def test_unnamed_statement_reused(talk: Speaker, golden: Golden) -> None:
    talk.say(parse("SELECT 1"), describe("S"), bind(), execute(), SYNC).hear("Z")
    talk.say(parse(DROP, "s"), SYNC, bind(), execute(), SYNC).hear("Z", times=2)
    talk.say(parse(DROP), SYNC, bind(), execute(), SYNC).hear("Z", times=2)
    golden(talk)


def test_portal_suspended(talk: Speaker, golden: Golden) -> None:
    talk.say(parse("SELECT generate_series(1, 3)"), bind("", "p"), execute("p", 2))
    talk.say(FLUSH).hear("s")
    talk.say(execute("p", 2), SYNC).hear("Z")
    golden(talk)


def test_copy_out(talk: Speaker, golden: Golden) -> None:
    talk.say(query("COPY (VALUES (1, 'a'), (2, NULL)) TO STDOUT")).hear("Z")
    talk.say(query("COPY customers TO '/tmp/x'")).hear("Z")
    golden(talk)


def test_copy_in(migrator: Speaker, shop17: Database, golden: Golden) -> None:
    shop17.execute("CREATE TABLE t (a int); GRANT ALL ON t TO pgwarden_migrator")
    copy = "COPY t FROM STDIN"
    migrator.say(query(copy)).hear("G")
    migrator.say(copy_data(), SYNC, copy_data(), COPY_DONE).hear("Z")
    migrator.say(run(copy), SYNC).hear("G")
    migrator.say(copy_data(), COPY_DONE, SYNC).hear("Z")
    migrator.say(query(copy)).hear("G")
    migrator.say(copy_data(), copy_fail("changed my mind")).hear("Z")
    migrator.say(query(copy)).hear("G")
    migrator.say(copy_data(b"one\n"), COPY_DONE).hear("Z")
    migrator.say(query("SELECT count(*) FROM t")).hear("Z")
    golden(migrator)


def test_notifications(
    start_proxy: StartProxy, shop17: Database, golden: Golden
) -> None:
    guard = start_proxy(shop17.cluster, policy=policy_path("development"))
    with log_in(guard, shop17.name, "migrator") as speaker:
        speaker.say(query("LISTEN news")).hear("Z")
        speaker.say(query("NOTIFY news, 'mine'")).hear("Z")
        shop17.execute("NOTIFY news, 'from elsewhere'")
        speaker.hear("A")
        speaker.say(run("SELECT 1"), SYNC).hear("Z")
        golden(speaker)


# --- the end ------------------------------------------------------------------


def test_quarantine(migrator: Speaker, golden: Golden) -> None:
    migrator.say(query("DROP SCHEMA public CASCADE"), query("CREATE TABLE t (a int)"))
    migrator.say(query("SELECT 1")).hear("Z", times=3)
    golden(migrator)


def test_cancel(guard17: Proxy, shop17: Database, golden: Golden) -> None:
    slow = "SELECT count(*) FROM generate_series(1, 1e12)"
    speaker = Speaker(guard17.host, guard17.port)
    wish = startup(guard17, "developer", shop17.name)
    with speaker.log_in(wish, guard17.password()):
        speaker.lines = []
        speaker.say(query(slow))
        wait_until_it_runs(shop17, slow)
        with Speaker(guard17.host, guard17.port) as other:
            other.ask(CancelRequest(*speaker.key))
            speaker.lines += [f"{line} (another connection)" for line in other.lines]
        speaker.hear("Z")
        golden(speaker)


def wait_until_it_runs(shop: Database, text: str) -> None:
    running = "SELECT 1 FROM pg_stat_activity WHERE state = 'active' AND query = '{}'"
    for _ in range(200):
        if shop.fetch(running.format(text)):
            return
        time.sleep(0.02)
    pytest.fail("it never ran")


def test_terminate_in_a_transaction(
    talk: Speaker, shop17: Database, golden: Golden
) -> None:
    talk.say(query("BEGIN")).hear("Z")
    talk.say(query("SELECT 1"), TERMINATE).hear("")
    golden(talk)


def test_malformed(talk: Speaker, golden: Golden) -> None:
    talk.say(query("SELECT 1")).hear("Z")
    talk.say(query(b"SELECT 2\0; DROP TABLE customers")).hear("")
    golden(talk)


def test_drain(start_proxy: StartProxy, shop17: Database, golden: Golden) -> None:
    guard = start_proxy(shop17.cluster)
    with log_in(guard, shop17.name) as speaker:
        speaker.say(query("SELECT 1")).hear("Z")
        guard.stop()
        speaker.hear("")
        golden(speaker)
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(guard.dsn("developer", shop17.name))
