"""Statements as they are about to run, with all that a proof looks at. Pure.

Next: `proxy.migrations.statement` for the hash, `proxy.migrations.course`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct, structs

from proxy.errors import FrontendError
from proxy.migrations.profile_match import Bound as BoundValue
from proxy.migrations.recogniser import READS
from proxy.migrations.statement import BindValue, Sent
from proxy.sql.facts import Effect, Kind
from proxy.wire.cursor import Cursor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from proxy.session.judge import Judged
    from proxy.session.names import Bound
    from proxy.sql.facts import Facts

_NO_SETTINGS: Final[Mapping[str, str]] = {}

RUNS_PREPARED: Final = "its text does not show what it runs: send the statement itself"
TOO_LARGE: Final = "its values are too large to be looked at"
RUNS_IN_PART: Final = "how much of it runs hangs on the rows that are fetched of it"
COPIES_IN: Final = "what COPY ... FROM STDIN loads can't be proven: write it as INSERT"


class Piece(Struct, frozen=True):
    """One statement that is about to run.

    Attributes:
        sent: its text, as in the message, and its values.
        transaction: what it does to the transaction, as in its facts.
        settings: of the session, before the message that it is in; empty where nobody
            knows them.
        trouble: why no proof can be about it, "" if one can.
        message: number of the message that it came in.
        in_block: a transaction was open.
    """

    sent: Sent
    transaction: str = ""
    settings: Mapping[str, str] = _NO_SETTINGS
    trouble: str = ""
    message: int = 0
    in_block: bool = False

    def numbered(self, message: int, *, in_block: bool) -> Piece:
        """The same, as it came in this message."""
        return structs.replace(self, message=message, in_block=in_block)

    @property
    def text(self) -> bytes:
        """Its bytes."""
        return self.sent.text


def pieces_of(
    judged: Judged, portal: Bound | None, settings: Mapping[str, str]
) -> list[Piece]:
    """The statements of a Query, or of the Execute of a portal.

    Raises:
        FrontendError: the portal's Bind does not hold together.
    """
    text = judged.text
    values, trouble = _values(portal)
    if judged.executes or (portal is not None and not portal.runs_text):
        trouble = RUNS_PREPARED
    pieces = []
    for facts in judged.analysis.statements:
        start, length = facts.location
        own = text[start : start + length if length else len(text)]
        why = _trouble_with(facts, portal) or trouble
        pieces.append(Piece(Sent(own, values), facts.transaction, settings, why))
    return pieces


def _trouble_with(facts: Facts, portal: Bound | None) -> str:
    if Kind.COPY_IN in facts.kinds:
        return COPIES_IN
    # A query stops where no more rows are wanted, and with it what its functions do.
    is_limited = portal is not None and portal.is_limited
    if facts.verb == "DeclareCursorStmt" or (is_limited and facts.verb == "SelectStmt"):
        return RUNS_IN_PART
    return ""


def concerns(facts: Facts) -> bool:
    """Whether it may be a change, or begins a transaction that will hold one."""
    if facts.transaction:
        return facts.transaction == "begin"
    return not facts.kinds <= READS or any(
        use.effect not in {Effect.NONE, Effect.STABLE} for use in facts.functions
    )


def bound_values(pieces: list[Piece]) -> list[BoundValue]:
    """The values of a message, as the recogniser reads them."""
    values = pieces[0].sent.values if pieces else ()
    return [BoundValue(each.data, is_binary=each.format == 1) for each in values]


def _values(portal: Bound | None) -> tuple[tuple[BindValue, ...], str]:
    if portal is None:
        return (), ""
    if portal.values is None:
        return (), TOO_LARGE
    types = Cursor(portal.types, "Parse")
    oids = [types.uint32() for _ in range(types.uint16())] if portal.types else []
    cursor = Cursor(portal.values, "Bind")
    formats = [cursor.int16() for _ in range(cursor.uint16())]
    found = []
    count = cursor.uint16()
    for number in range(count):
        length = cursor.int32()
        data = None if length < 0 else cursor.take(length)
        form = formats[0] if len(formats) == 1 else 0
        if len(formats) > 1:
            if number >= len(formats):
                raise FrontendError("invalid message format")
            form = formats[number]
        oid = oids[number] if number < len(oids) else 0
        found.append(BindValue(data, form, oid))
    return tuple(found), ""
