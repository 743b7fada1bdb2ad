"""Which migration tool is speaking, and where in a migration it is.

One recogniser a session: it is shown each statement as it leaves, and says what the
statement is. It only names; what may run is decided elsewhere, and a recogniser that is
fooled must not cost more than a wrong word. No I/O, no clock; any statement list is
answered, none raises.

What is known of a session is one immutable `State`, so that a caller can go back to an
earlier one: `mark` before a statement leaves, `undo` when Postgres has refused it.
Next: `proxy.migrations.profile_match`; `policies/tools` for the profiles.
"""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING, Final, assert_never

from msgspec import Struct, structs

from proxy.migrations.profile_match import Bound, Sent, Tools
from proxy.migrations.profile_reading import Event, Happening, Part, Reading
from proxy.sql.facts import Effect, Kind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from proxy.migrations.profile_match import KnownCommand, KnownStatement
    from proxy.sql.facts import Facts

__all__ = [
    "Bound",
    "Event",
    "Happening",
    "Part",
    "Reading",
    "Recogniser",
    "State",
    "Tools",
]

READS: Final = frozenset(
    {Kind.READ, Kind.CURSOR, Kind.COPY_OUT, Kind.SESSION, Kind.EXECUTE}
)
"""Kinds of what may do no more than read; what it calls is looked at besides."""
_HARMLESS: Final = frozenset(
    {Effect.NONE, Effect.STABLE, Effect.SETTING, Effect.ADVISORY_LOCK}
)
"""Of functions: what a statement calls that only reads. Settings are looked at by
themselves, and locks end with the session."""
_TRANSACTION: Final = frozenset({Kind.TRANSACTION})
_MAY_UPSERT: Final = frozenset({"upkeep", "step"})
_MOST_SAVEPOINTS: Final = 100
"""That are told apart; beyond, going back goes back further."""
_MOST_EVENTS: Final = 1_000
"""Of one statement: an INSERT of all versions has one for each."""


class Announced(Struct, frozen=True, gc=False):
    """A migration that the tool has written down before it runs."""

    name: str
    checksum: str
    key: str


class _Followed(Struct, frozen=True, gc=False):
    """What one profile has made of the session.

    Attributes:
        seen: ids of its statements that came.
        announced: the migration that runs, if the tool said which.
        counted: what `State.bodies` was when the last migration ended.
        migrations: that ended, or were announced, so far.
    """

    seen: frozenset[str] = frozenset()
    announced: Announced | None = None
    counted: int = 0
    migrations: int = 0


_UNSEEN: Final = _Followed()


class State(Struct, frozen=True, gc=False):
    """All that a recogniser knows of its session, at one moment.

    Attributes:
        followed: by tool, for those that have shown themselves.
        bodies: statements so far that belong to a migration or to nobody.
        at_begin: what was known before the transaction that is open.
        savepoints: what was known at each savepoint of it, the oldest first.
    """

    followed: Mapping[str, _Followed] = {}
    bodies: int = 0
    at_begin: State | None = None
    savepoints: tuple[State, ...] = ()


class Recogniser:
    """Follows one session."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._state = State()

    # --- what callers ask ----------------------------------------------------

    @property
    def candidates(self) -> tuple[str, ...]:
        """Tools that have shown themselves, the likeliest first."""
        return _candidates(self._state)

    @property
    def tool(self) -> str:
        """The one tool that it is, "" where none has shown itself, or two alike."""
        return self.tool_after(self._state)

    def tool_after(self, state: State) -> str:
        """The same, once the session has come this far."""
        followed = state.followed
        first, *rest = _candidates(state) or ("",)
        if rest and len(followed[first].seen) == len(followed[rest[0]].seen):
            return ""
        return first

    def announced(self, tool: str) -> Announced | None:
        """The migration that this tool has announced and not ended."""
        return self._state.followed.get(tool, _UNSEEN).announced

    def mark(self) -> State:
        """What is known now; costs nothing."""
        return self._state

    def undo(self, state: State) -> None:
        """Know only this again: what was seen since then did not happen."""
        self._state = state

    def see(
        self,
        text: bytes,
        statements: Sequence[Facts],
        binds: Sequence[Bound] = (),
        *,
        has_failed: bool = False,
    ) -> tuple[Reading, ...]:
        """Read what is about to leave for Postgres, one reading a statement.

        Call once for each Query and each first Execute of a portal, in order.

        Args:
            text: of the Query or Parse, without the closing NUL.
            statements: its facts, with what an EXECUTE runs folded in.
            binds: the values that the portal was bound to.
            has_failed: the transaction is in status E, so that COMMIT rolls back.
        """
        return tuple(
            self._read(
                Sent(facts, text, binds),
                has_failed=has_failed,
                is_alone=len(statements) == 1,
            )
            for facts in statements
        )

    def destructive(
        self, text: bytes, statements: Sequence[Facts]
    ) -> tuple[Event, ...]:
        """The destructive commands that begin with these, by the likeliest tool.

        For a statement that is refused: nothing of it is remembered.
        """
        return tuple(
            event
            for facts in statements
            for event in self._destroyed(Sent(facts, text))
        )

    # --- one statement -------------------------------------------------------

    def _read(self, sent: Sent, *, has_failed: bool, is_alone: bool) -> Reading:
        state = self._state
        events = self._destroyed(sent)
        claims = self._claims(sent)
        part = Part.BOOKKEEPING if claims else self._part(sent.facts, is_alone=is_alone)
        number = 0
        if claims:
            followed = dict(state.followed)
            for tool, statement in claims.items():
                mine = followed.get(tool, _UNSEEN)
                followed[tool], said = _told(mine, statement, sent, state.bodies)
                events += said
                if mine.announced:
                    number = mine.migrations
            state = structs.replace(state, followed=followed)
            number = max([number, *(event.migration for event in events)])
        elif part is Part.BODY:
            state = structs.replace(state, bodies=state.bodies + 1)
            self._state = state
            number = self._number()
        self._state = state
        if sent.facts.transaction:
            self._transact(sent.facts.transaction, has_failed=has_failed)
        return Reading(part, frozenset(claims), number, tuple(events[:_MOST_EVENTS]))

    def _claims(self, sent: Sent) -> dict[str, KnownStatement]:
        """For each tool the statement of its profile that this is, in its place."""
        claims: dict[str, KnownStatement] = {}
        for statement in self._tools.statements(sent.facts):
            tool = statement.known.tool
            mine = self._state.followed.get(tool, _UNSEEN)
            if tool not in claims and _is_in_place(statement, mine, sent):
                claims[tool] = statement
        return claims

    def _part(self, facts: Facts, *, is_alone: bool) -> Part:
        """What a statement is that no profile knows."""
        is_reading = facts.kinds <= READS and all(
            use.effect in _HARMLESS for use in facts.functions
        )
        if not is_reading and any(
            known.writes_history(facts) for known in self._tools.known
        ):
            return Part.OUT_OF_PLACE
        running = [
            known
            for known in self._tools.known
            if self._state.followed.get(known.tool, _UNSEEN).announced
        ]
        is_control = facts.kinds == _TRANSACTION
        # Of a script that is sent whole, a BEGIN by itself is no part.
        if running and not (
            is_control and is_alone and all(known.is_sent_whole for known in running)
        ):
            return Part.BODY
        if is_control:
            return Part.TRANSACTION
        return Part.READ if is_reading else Part.BODY

    def _number(self) -> int:
        """The number of the migration that runs, by the likeliest tool."""
        mine = self._state.followed.get(next(iter(self.candidates), ""), _UNSEEN)
        return mine.migrations + (mine.announced is None)

    def _transact(self, does: str, *, has_failed: bool) -> None:
        """Forget what ran in what is rolled back.

        Where it can't be told how much that is (a savepoint's name, a transaction that
        was chained) more is forgotten: a row behind it is then an act, and no end.
        """
        state = self._state
        if does == "begin":
            self._state = structs.replace(state, at_begin=state.at_begin or state)
        elif does == "savepoint":
            savepoints = (*state.savepoints, state)[:_MOST_SAVEPOINTS]
            self._state = structs.replace(state, savepoints=savepoints)
        elif does == "release":
            self._state = structs.replace(state, savepoints=state.savepoints[:-1])
        elif does == "rollback to" and state.savepoints:
            then = _back(state, state.savepoints[0])
            self._state = structs.replace(
                then, at_begin=state.at_begin, savepoints=state.savepoints[:1]
            )
        elif does == "rollback" or (does == "commit" and has_failed):
            self._state = _back(state, state.at_begin)
        elif does == "commit":
            self._state = State(state.followed, state.bodies)

    def _destroyed(self, sent: Sent) -> list[Event]:
        """The command that this is the first statement of; two where tools are alike.

        Of each tool the first that fits, and only of those that have shown the most.
        """
        followed = self._state.followed
        fitting: dict[str, KnownCommand] = {}
        for command in self._tools.commands(sent.facts):
            tool = command.known.tool
            seen = followed.get(tool, _UNSEEN).seen
            if tool not in fitting and command.fits(sent, seen):
                fitting[tool] = command
        shown = {tool: len(followed.get(tool, _UNSEEN).seen) for tool in fitting}
        most = max(shown.values(), default=0)
        return [
            Event(
                Happening.DESTRUCTIVE,
                tool,
                command=command.model.command,
                advice=command.advice,
            )
            for tool, command in fitting.items()
            if shown[tool] == most
        ]


def _candidates(state: State) -> tuple[str, ...]:
    followed = state.followed
    shown = [tool for tool, each in followed.items() if each.seen]
    return tuple(sorted(shown, key=lambda tool: (-len(followed[tool].seen), tool)))


def _back(state: State, then: State | None) -> State:
    """What is known when everything since `then` has not happened.

    What a tool has shown stays shown, and no number is used twice. Without a `then`
    nobody knows how long the transaction was.
    """
    followed = {}
    for tool, mine in state.followed.items():
        if then is None:
            followed[tool] = structs.replace(mine, counted=0)
            continue
        before = then.followed.get(tool, _UNSEEN)
        followed[tool] = structs.replace(
            mine, announced=before.announced, counted=before.counted
        )
    return State(followed, 0 if then is None else then.bodies)


def _is_in_place(statement: KnownStatement, mine: _Followed, sent: Sent) -> bool:
    """Whether this is the profile's statement, and it may come now."""
    model, announced = statement.model, mine.announced
    if model.during != "any" and (model.during == "announced") != bool(announced):
        return False
    if not statement.after <= mine.seen or not statement.matcher.fits_alone(sent):
        return False
    if model.means == "unlock" and not mine.seen:
        return False  # many tools free a lock alike
    if model.means not in _MAY_UPSERT and "on conflict update" in sent.written.words:
        return False  # the row says one thing, and what is left in the end another
    if model.key and announced:
        # Of this migration, and not of another one that failed before.
        return bool(announced.key) and sent.values_of(model.key) == [announced.key]
    return True


def _told(
    mine: _Followed, statement: KnownStatement, sent: Sent, bodies: int
) -> tuple[_Followed, list[Event]]:
    """What the profile's statement tells, and what is known after it."""
    model, tool = statement.model, statement.known.tool
    mine = structs.replace(mine, seen=mine.seen | {model.id})
    names = sent.name_of(model.name) or [""]
    checksums = sent.values_of(model.checksum) or [""]
    name, checksum = names[0], checksums[0]
    over = structs.replace(mine, announced=None, counted=bodies)
    number = mine.migrations + (mine.announced is None)
    match model.means:
        case "sign" | "look" | "upkeep" | "step":
            return mine, []
        case "lock" | "unlock":
            is_lock = model.means == "lock"
            happening = Happening.LOCKED if is_lock else Happening.UNLOCKED
            # Whoever lets go of the lock is done, also with what was announced.
            return mine if is_lock else over, [Event(happening, tool, model.id)]
        case "announce":
            key = (sent.values_of(model.key) or [""])[0]
            announced = Announced(name, checksum, key)
            mine = structs.replace(over, announced=announced, migrations=number)
            happening = Happening.ANNOUNCED
            return mine, [Event(happening, tool, model.id, name, checksum, number)]
        case "end":
            return _ended(mine, statement, names, checksums, bodies)
        case "fail" | "revert":
            is_fail = model.means == "fail"
            happening = Happening.FAILED if is_fail else Happening.REVERTED
            if mine.announced:
                names = [each or mine.announced.name for each in names]
            mine = structs.replace(over, migrations=number)
            return mine, [
                Event(happening, tool, model.id, each, "", number)
                for each in names[:_MOST_EVENTS]
            ]
        case "act":
            command = model.command or ""
            act = Event(Happening.ACT, tool, model.id, name, checksum, command=command)
            return mine, [act]
        case _:
            assert_never(model.means)


def _ended(
    mine: _Followed,
    statement: KnownStatement,
    names: list[str],
    checksums: list[str],
    bodies: int,
) -> tuple[_Followed, list[Event]]:
    """A history row without a migration before it is an act of its own."""
    model, announced = statement.model, mine.announced
    is_bare = announced is None and mine.counted == bodies and model.without_body
    number = 0 if is_bare else mine.migrations + (announced is None)
    events = [
        Event(
            Happening.ACT if is_bare else Happening.ENDED,
            statement.known.tool,
            model.id,
            name or (announced.name if announced else ""),
            checksum or (announced.checksum if announced else ""),
            number,
            (model.without_body or "") if is_bare else "",
        )
        for name, checksum in zip_longest(
            names[:_MOST_EVENTS], checksums[:_MOST_EVENTS], fillvalue=""
        )
    ]
    mine = structs.replace(
        mine, announced=None, counted=bodies, migrations=max(number, mine.migrations)
    )
    return mine, events
