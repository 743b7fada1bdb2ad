"""The client gets its ReadyForQuery once what it did is written down, not before."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.session.playbook import Playbook, done, query, ready

if TYPE_CHECKING:
    from proxy.session.judge import Judged
    from proxy.session.migrating import Asking
    from proxy.session.names import Bound
    from proxy.session.session import Session


class Writing:
    """Follows a session, and begins to write when Postgres has answered."""

    is_recorder = True
    era = 0

    def attend(
        self,
        session: Session,
        judged: Judged,
        portal: Bound | None,
    ) -> Judged | None:
        return judged

    def begin(self, session: Session, judged: Judged) -> bool:
        return True

    def lenient(self, judged: Judged, under: str) -> Judged:
        return judged

    def failed(self) -> None:
        """Nothing fails here."""

    def ready(self, session: Session) -> None:
        session.is_pondered = session.held = True

    def told(self, asking: Asking) -> None:
        """It asks nothing."""

    def begin_late(self, session: Session) -> None:
        """It is there from the beginning."""

    def cancel(self) -> None:
        """Nothing to end."""

    def ended(self) -> None:
        """Nothing to end."""


@pytest.fixture
def book() -> Playbook:
    made = Playbook("migrator")
    made.session.migrating = Writing()
    return made


def test_ready_comes_when_all_is_written(book: Playbook) -> None:
    book.client(query("BEGIN"))
    book.server(done("BEGIN"), ready("T"))
    assert book.shown() == ["C BEGIN"]
    book.session.is_pondered = False
    book.session.resume()
    book.client()
    assert book.shown() == ["Z T"]
    assert not book.session.withheld


def test_what_the_client_sends_meanwhile_waits(book: Playbook) -> None:
    book.client(query("BEGIN")).server(done("BEGIN"), ready("T"))
    book.forwarded()
    book.client(query("COMMIT"))
    assert book.forwarded() == []
    book.session.is_pondered = False
    book.session.resume()
    book.client()
    assert book.forwarded() == ["Q COMMIT"]
