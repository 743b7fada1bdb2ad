"""A hotfix past staging: the page of it, followed by three people at terminals."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import psycopg
import pytest

from tests.fix_postgres import run
from tests.integration.following import missing_line, page
from tests.integration.lending import House, house
from tests.integration.rig import eventually

if TYPE_CHECKING:
    from pathlib import Path

    from tests.clients.terminal import Terminal
    from tests.fix_postgres import Database
    from tests.fix_proxy import StartProxy

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(120)]

OF_PAGE = "G-7K3QX2MA"
PROMPT = re.compile(r"=[*!]?> $")
ENABLED = "SELECT tgenabled FROM pg_trigger WHERE tgname = 'slow_sync'"
ASK = "CALL pgwarden.request_access('hotfix', '20m', 'INC-51: it can not wait')"


@pytest.fixture
def lent(start_proxy: StartProxy, shop17: Database, tmp_path: Path) -> House:
    """Production's policy as it is shipped, and a trigger that holds up orders."""
    run(
        shop17.dsn,
        f"SET ROLE {shop17.logins.migrator.user};"
        "CREATE FUNCTION slow_sync() RETURNS trigger LANGUAGE plpgsql AS"
        " $$BEGIN RETURN new; END$$;"
        "CREATE TRIGGER slow_sync BEFORE INSERT ON orders"
        " FOR EACH ROW EXECUTE FUNCTION slow_sync()",
    )
    return house(start_proxy, shop17, tmp_path)


class Reading:
    """Types what a page says, and looks for what it shows."""

    def __init__(self) -> None:
        self.grant = ""

    def follow(self, terminal: Terminal, block: str) -> None:
        steps = re.split(r"^shop=[*]?> ", block, flags=re.MULTILINE)[1:]
        for step in steps:
            line, *shown = step.splitlines()
            said = terminal.enter(line.replace(OF_PAGE, self.grant), until=PROMPT)
            if not self.grant:
                found = re.search(r"G-[0-9A-Z]{8}", said)
                self.grant = found[0] if found else ""
            expected = tuple(
                self._alike(each)
                for each in shown
                if not re.match(r"[-+]+$|\s+id\s+\|", each)
            )
            missing = missing_line(expected, self._alike(said))
            assert missing is None, f"not printed: {missing!r}\n{said}"

    def _alike(self, text: str) -> str:
        """Without ids and times; a table is as wide as what is in it."""
        text = text.replace(OF_PAGE, self.grant)
        text = re.sub(r"(\d{4}-\d\d-\d\d )?\d\d:\d\d:\d\d", "…", text)
        return re.sub(r"[ \t]*\|[ \t]*", "|", text)


def test_the_page(lent: House) -> None:
    """As docs/how-to/hotfix-past-staging.md tells it."""
    text = page("hotfix-past-staging").part("## Do it")
    (refused, ask, first, second, mend, back, destroy, review) = text.blocks("")
    reading = Reading()
    with lent.psql("dana") as dana, lent.psql("lea") as lea, lent.psql("leo") as leo:
        reading.follow(dana, refused)
        reading.follow(dana, ask)
        reading.follow(lea, first)
        reading.follow(leo, second)
        reading.follow(dana, mend)
        assert lent.shop.fetch(ENABLED) == [("D",)]
        reading.follow(dana, destroy)
        said = dana.enter("ALTER TABLE orders ENABLE TRIGGER slow_sync;", until=PROMPT)
        assert "in quarantine and may only read" in said
        dana.enter("\\c", until=PROMPT)
        reading.follow(dana, back)
        reading.follow(lea, review)
        eventually(
            lambda: "role developer" in dana.enter("DELETE FROM orders;", until=PROMPT)
        )
    under = [
        each for each in lent.proxy.records() if each.get("grant") == reading.grant
    ]
    assert {(each["identity"], each["role"]) for each in under} == {("dana", "hotfix")}
    texts = [each["text"] for each in under if each["kind"] == "statement"]
    assert "ALTER TABLE orders DISABLE TRIGGER slow_sync;" in texts


def test_one_voice_is_not_enough_and_nobody_has_two(lent: House) -> None:
    grant = lent.ask("dana", ASK)
    assert lent.call("lea", "approve", grant)[1] == "pending"
    with pytest.raises(psycopg.Error):
        lent.call("lea", "approve", grant)
    assert lent.call("leo", "approve", grant)[1] == "active"


def test_a_lead_can_not_be_one_of_the_two_for_a_request_of_their_own(
    lent: House,
) -> None:
    grant = lent.ask("lea", ASK)
    with pytest.raises(psycopg.Error, match="own request"):
        lent.call("lea", "approve", grant)
    assert lent.call("leo", "approve", grant)[1] == "pending"


def test_the_deploy_job_can_not_ask(lent: House) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        lent.ask("dep", ASK)


def test_what_no_hotfix_may(lent: House) -> None:
    grant = lent.ask("dana", ASK)
    for lead in ("lea", "leo"):
        lent.call(lead, "approve", grant)
    for text in (
        "DROP SCHEMA public CASCADE",
        f"DROP DATABASE {lent.shop.name}",
        "CREATE ROLE intruder SUPERUSER",
        "GRANT ALL ON orders TO PUBLIC",
        "ALTER SYSTEM SET archive_command = 'true'",
        "COPY orders TO PROGRAM 'cat'",
        "TRUNCATE orders",
        "DELETE FROM orders",
        "DO $$BEGIN DELETE FROM orders; END$$",
        "SET ROLE postgres",
    ):
        with (
            lent.connect("dana") as dana,
            pytest.raises(psycopg.errors.InsufficientPrivilege),
        ):
            dana.execute(text.encode())
    assert lent.shop.fetch("SELECT count(*) > 0 FROM orders") == [(True,)]
