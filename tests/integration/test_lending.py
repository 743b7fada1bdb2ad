"""Break-glass: from request to expiry in the middle of a transaction, and round it."""

from __future__ import annotations

import http.server
import json
import os
import re
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, ClassVar

import psycopg
import pytest
from typing_extensions import override

from tests.integration.lending import PEOPLE, REQUEST, House, house
from tests.integration.rig import eventually

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fix_postgres import Database
    from tests.fix_proxy import StartProxy

pytestmark = [pytest.mark.postgres, pytest.mark.turns, pytest.mark.timeout(120)]

ORDER = 17
IN_TRANSACTION = re.compile(r"=\*> $")


@pytest.fixture
def lent(start_proxy: StartProxy, shop: Database, tmp_path: Path) -> House:
    return house(start_proxy, shop, tmp_path)


def text_of(said: psycopg.errors.Diagnostic) -> str:
    return said.message_primary or ""


def refused(house: House, name: str, text: str) -> psycopg.Error:
    with house.connect(name) as connection:
        with pytest.raises(psycopg.Error) as caught:
            connection.execute(text.encode())
        assert connection.execute("SELECT 1").fetchone() == (1,)
    return caught.value


def test_the_story(lent: House) -> None:
    before = lent.shop.fetch(f"SELECT status FROM orders WHERE id = {ORDER}")
    reader = lent.user_of("dana")
    with lent.connect("lea") as lea, lent.connect("dana") as dana:
        told: dict[str, list[str]] = {"lea": [], "dana": []}
        lea.add_notice_handler(lambda said: told["lea"].append(text_of(said)))
        dana.add_notice_handler(lambda said: told["dana"].append(text_of(said)))
        row = dana.execute(REQUEST).fetchone()
        assert row is not None
        grant = row[0]

        def lea_heard() -> bool:
            lea.execute("SELECT 1")
            return bool(told["lea"])

        eventually(lea_heard)
        assert told["lea"] == [
            '"dana" asks for role "writer" for 30m: INC-42: fix order 17'
        ]
        shown = lea.execute("SHOW pgwarden.requests").fetchall()
        assert [each[:6] for each in shown] == [
            (grant, "pending", "dana", "writer", "30m", "INC-42: fix order 17")
        ]
        approved = lea.execute(f"CALL pgwarden.approve('{grant}')".encode()).fetchone()
        assert approved is not None
        assert approved[1] == "active"

        def dana_heard() -> bool:
            dana.execute("SELECT 1")
            return bool(told["dana"])

        eventually(dana_heard)
        assert told["dana"][0].startswith(f'{grant} is approved: role "writer"')
        # The open session stays what it was.
        assert dana.execute("SELECT current_user").fetchone() == (reader,)
    with lent.connect("dana") as dana:
        assert dana.execute("SELECT current_user").fetchone() != (reader,)
        dana.execute("BEGIN")
        dana.execute(f"UPDATE orders SET note = 'fixed' WHERE id = {ORDER}".encode())
        lent.call("lea", "revoke", grant, "enough")
        with pytest.raises(psycopg.OperationalError) as caught:
            eventually(lambda: dana.execute("SELECT 1").fetchone() is None, 3)
        assert f'grant {grant} (role "writer") was revoked by lea' in str(caught.value)
    assert lent.shop.fetch(f"SELECT status FROM orders WHERE id = {ORDER}") == before
    assert lent.user_of("dana") == reader
    unreviewed = lent.call("lea", "review", grant, "nothing was changed")
    assert unreviewed[5] == "reviewed"


# --- two people at two terminals ----------------------------------------------


def test_two_people_from_request_to_expiry_amid_a_transaction(lent: House) -> None:
    """As docs/how-to/lend-rights-for-minutes.md tells it."""
    with lent.psql("dana") as dana, lent.psql("lea") as lea:
        said = dana.enter(
            "CALL pgwarden.request_access('writer', '9s', 'INC-42: fix order 17');"
        )
        assert "waits for one approval" in said
        assert "pending" in said
        (grant,) = re.findall(r"G-[0-9A-Z]{8}", said)
        eventually(lambda: "asks for role" in lea.enter("SELECT 1;"))
        assert "INC-42: fix order 17" in lea.enter("SHOW pgwarden.requests;")
        assert "active" in lea.enter(f"CALL pgwarden.approve('{grant}');")
        started = time.monotonic()
        eventually(lambda: f"{grant} is approved" in dana.enter("SELECT 1;"))
        assert "cannot execute UPDATE" not in dana.enter("SELECT 1;")
        assert "is not allowed for role developer" in dana.enter(
            f"UPDATE orders SET note = 'x' WHERE id = {ORDER};"
        )
        said = dana.enter("\\c")
        assert f'you act as role "writer" under grant {grant}' in said
        assert "INC-42: fix order 17" in said
        dana.enter("BEGIN;", until=IN_TRANSACTION)
        said = dana.enter(
            f"UPDATE orders SET note = 'lost' WHERE id = {ORDER};", until=IN_TRANSACTION
        )
        assert "UPDATE 1" in said
        assert locks(lent) > 0
        # Lea's grant does not become hers by looking on.
        assert "is not allowed for role lead" in lea.enter(
            f"UPDATE orders SET note = 'x' WHERE id = {ORDER};"
        )
        eventually(lambda: locks(lent) == 0, 12, "the lock is gone")
        assert 8 < time.monotonic() - started < 11
        said = dana.enter("COMMIT;")
        assert (
            f'terminating connection: grant {grant} (role "writer") has ended' in said
        )
        assert "What was not committed is rolled back" in said
        assert note(lent) is None
        # psql has connected again, as what she is.
        assert "is not allowed for role developer" in dana.enter(
            f"UPDATE orders SET note = 'x' WHERE id = {ORDER};"
        )
        said = lea.enter(f"CALL pgwarden.review('{grant}', 'nothing was committed');")
        assert "reviewed" in said
    reads_well(lent, grant)


def reads_well(lent: House, grant: str) -> None:
    """What the log says of the loan, in its order."""
    # Steps come by way of the store, a moment later.
    eventually(lambda: len(taken_by(lent, grant)) == 4)
    assert taken_by(lent, grant) == [
        ("requested", "dana"),
        ("approved", "lea"),
        ("ended", "pgwarden"),
        ("reviewed", "lea"),
    ]
    records = lent.proxy.records()
    steps = [
        (each["purpose"], each["detail"].get("by", each["identity"]))
        for each in records
        if each["kind"] == "internal" and each["purpose"].startswith("access.")
    ]
    assert ("access.command", "dana") in steps
    assert ("access.command", "lea") in steps
    under = [each for each in records if each.get("grant") == grant]
    assert {each["identity"] for each in under} == {"dana"}
    assert {each["role"] for each in under} == {"writer"}
    told = [(each["kind"], each.get("text", each.get("tag", ""))) for each in under]
    update = f"UPDATE orders SET note = 'lost' WHERE id = {ORDER};"
    assert ("statement", update) in told
    assert ("outcome", "UPDATE 1") in told
    (end,) = [each for each in under if each["kind"] == "session.end"]
    assert end["reason"] == f'grant {grant} (role "writer") has ended: its time is over'
    assert end["sqlstate"] == "57P01"
    others = [each for each in records if each.get("grant") != grant]
    assert "writer" not in {each.get("role") for each in others}


def taken_by(lent: House, grant: str) -> list[tuple[str, str]]:
    """Each step of a loan, as the log has it, and who took it."""
    return [
        (each["purpose"].removeprefix("access."), each["detail"]["by"])
        for each in lent.proxy.records()
        if each["kind"] == "internal" and each["detail"].get("subject") == grant
    ]


def locks(lent: House) -> int:
    return len(
        lent.shop.fetch(
            "SELECT 1 FROM pg_locks l JOIN pg_class c ON c.oid = l.relation "
            "WHERE c.relname = 'orders' AND l.mode = 'RowExclusiveLock'"
        )
    )


def note(lent: House) -> object:
    ((found,),) = lent.shop.fetch(f"SELECT note FROM orders WHERE id = {ORDER}")
    return found


# --- from a shell -------------------------------------------------------------


def access(lent: House, name: str, *args: str) -> subprocess.CompletedProcess[str]:
    environment = {
        key: value for key, value in os.environ.items() if not key.startswith("PG")
    }
    environment |= {
        "PGHOST": "127.0.0.1",
        "PGPORT": str(lent.proxy.port),
        "PGDATABASE": lent.shop.name,
        "PGUSER": name,
        "PGPASSWORD": PEOPLE[name].password,
    }
    return subprocess.run(
        [sys.executable, "-P", "-m", "proxy.cli.main", "access", *args],
        check=False,
        capture_output=True,
        text=True,
        env=environment,
        timeout=60,
    )


def test_from_a_shell(lent: House) -> None:
    reason = "INC-42: it's [bold]order[/bold] 17\\"
    asked = access(
        lent, "dana", "request", "--role", "writer", "--for", "30m", "--reason", reason
    )
    assert asked.returncode == 0, asked.stderr
    (grant,) = re.findall(r"G-[0-9A-Z]{8}", asked.stdout)
    assert "pending" in asked.stdout
    assert reason in asked.stdout
    own = access(lent, "dana", "approve", grant)
    assert own.returncode == 1
    assert "your own request" in own.stderr
    assert "approvers have role: lead" in own.stderr
    assert "active" in access(lent, "lea", "approve", grant.lower()).stdout
    assert lent.user_of("dana") != lent.user_of("eve")
    listed = json.loads(access(lent, "leo", "list", "--json").stdout)
    assert [(each["id"], each["approved_by"]) for each in listed] == [(grant, "lea")]
    assert "revoked" in access(lent, "dana", "revoke", grant, "--note", "done").stdout
    assert grant in access(lent, "lea", "list", "--unreviewed").stdout
    assert (
        "reviewed"
        in access(lent, "lea", "review", grant, "--note", "all is well").stdout
    )


class Hook(http.server.BaseHTTPRequestHandler):
    """A chat's webhook."""

    told: ClassVar[list[dict[str, Any]]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.told.append(json.loads(body))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    @override
    def log_message(self, format: str, *args: Any) -> None:
        """Nothing to say."""


def test_a_chat_is_told(
    start_proxy: StartProxy, shop17: Database, tmp_path: Path
) -> None:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = tmp_path / "webhook.url"
    url.write_text(f"http://127.0.0.1:{server.server_port}/services/T0P-SECRET\n")
    lent = house(
        start_proxy, shop17, tmp_path, access={"webhook": {"url_file": str(url)}}
    )
    grant = lent.ask()
    lent.call("lea", "deny", grant, "not today")
    eventually(lambda: len(Hook.told) == 2)
    server.shutdown()
    server.server_close()
    assert [(each["event"], each["by"]) for each in Hook.told] == [
        ("requested", None),
        ("denied", "lea"),
    ]
    assert "INC-42: fix order 17" in Hook.told[0]["text"]
    assert "T0P-SECRET" not in lent.proxy.log_path.read_text()
