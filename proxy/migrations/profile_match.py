"""Whether a statement is one that a profile tells of: asked of the parsed statement.

Never of raw text. A match of a bookkeeping statement is strict: the statement does this
one thing, and writes nothing but the tool's own tables. A match of a command is
generous: it is enough that the statement does it among other things. Pure.
Next: `proxy.migrations.recogniser`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct

from proxy.policy.patterns import NamePattern, Pattern
from proxy.sql.facts import Access, Effect
from proxy.sql.written import NOTHING, written

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from proxy.migrations.profile import Bookkeeping, Command, FirstMatch, Match, Source
    from proxy.migrations.profile_load import Profile
    from proxy.sql.facts import Facts
    from proxy.sql.written import Value, Written

_ROUNDABOUT: Final = frozenset(
    {"PrepareStmt", "ExecuteStmt", "ExplainStmt", "DeclareCursorStmt", "CopyStmt",
     "CreateTableAsStmt", "ViewStmt", "DoStmt", "CallStmt"}
)  # fmt: skip
"""Statements that hold another one: no tool keeps its books by these."""
_SAME: Final = {
    "true": frozenset({"true", "TRUE", "t", "1", "\x01"}),
    "false": frozenset({"false", "FALSE", "f", "0", "\x00"}),
}
"""What drivers send for a boolean, as text, number or in binary."""
_INTEGER_BYTES: Final = frozenset({2, 4, 8})


class Bound(Struct, frozen=True, gc=False):
    """A value of a Bind message, as it came; None for NULL."""

    value: bytes | None
    is_binary: bool = False


class Sent:
    """One statement on its way to Postgres.

    Attributes:
        facts: of this statement.
        binds: the values bound to its parameters, in order; empty where there are
            none, or nobody knows them.
    """

    __slots__ = ("_text", "_written", "binds", "facts")

    def __init__(self, facts: Facts, text: bytes, binds: Sequence[Bound] = ()) -> None:
        self.facts = facts
        self.binds = binds
        self._text = text
        self._written: Written | None = None

    @property
    def written(self) -> Written:
        """What it says beyond its facts; parsed again when first asked for."""
        if self._written is None:
            start, length = self.facts.location
            end = start + length if length else len(self._text)
            self._written = written(self._text[start:end]) if self._text else NOTHING
        return self._written

    def text_of(self, value: Value, type_: str = "text") -> str:
        """A value as text, "" where it is NULL, computed or unknown."""
        if value.constant is not None:
            return value.constant
        if not 0 < value.parameter <= len(self.binds):
            return ""
        bound = self.binds[value.parameter - 1]
        if bound.value is None:
            return ""
        if (
            bound.is_binary
            and type_ == "integer"
            and len(bound.value) in _INTEGER_BYTES
        ):
            return str(int.from_bytes(bound.value, "big", signed=True))
        try:
            return bound.value.decode()
        except UnicodeDecodeError:
            return ""

    def name_of(self, sources: Sequence[Source]) -> list[str]:
        """The same of a name that stands in several places: "app.0001_initial"."""
        return [".".join(parts) for parts in zip(*map(self.values_of, sources))]  # noqa: B905 - the shortest

    def values_of(self, source: Source | None) -> list[str]:
        """What stands where a profile says, one text a row; none where nothing does."""
        if source is None:
            return []
        written_ = self.written
        if source.where:
            value = written_.where.get(source.where)
            found = [] if value is None else [value]
        else:
            rows = written_.rows
            found = [row[source.column] for row in rows if source.column in row]
        return [self.text_of(value, source.type) for value in found]


class Matcher:
    """One `match` of a profile, ready to be asked."""

    __slots__ = ("_actions", "_arguments",
                 "_databases", "_functions", "_joins", "_match", "_names",
                 "_needs_text", "_tables", "_values", "_where")  # fmt: skip

    def __init__(self, match: Match) -> None:
        self._match = match
        self._actions = Pattern(match.action)
        self._tables = NamePattern(match.table)
        self._joins = [NamePattern([each]) for each in match.joins]
        self._functions = [NamePattern([each]) for each in match.functions]
        self._databases = Pattern(match.databases)
        self._names = Pattern(match.names)
        self._arguments = [
            Pattern([each]) for each in (match.call.arguments if match.call else ())
        ]
        self._values = _patterns(match.values)
        self._where = _patterns(match.where)
        self._needs_text = bool(
            match.columns or match.without_columns or match.values or match.where
            or match.words or match.call or match.names
        )  # fmt: skip

    def fits(self, sent: Sent) -> bool:
        """Whether the statement does this, among other things."""
        facts, match = sent.facts, self._match
        if not any(map(self._actions.matches, facts.actions)):
            return False
        if match.table and not any(self._touches(facts)):
            return False
        if match.databases and not any(map(self._databases.matches, facts.databases)):
            return False
        for patterns, uses in (
            (self._joins, facts.relations),
            (self._functions, facts.functions),
        ):
            for pattern in patterns:
                if not any(pattern.surely_matches(u.schema, u.name) for u in uses):
                    return False
        return not self._needs_text or self._says(sent)

    def fits_alone(self, sent: Sent) -> bool:
        """Whether it does this, and nothing else."""
        facts = sent.facts
        if len(facts.actions) != 1 or facts.verb in _ROUNDABOUT:
            return False
        changes = any(use.access is not Access.READ for use in facts.relations)
        if changes and not all(self._touches(facts)):
            return False
        if changes and any(f.effect is not Effect.NONE for f in facts.functions):
            return False
        if changes and "temporary" in sent.written.words:
            return False  # it would stand before the tool's own
        return self.fits(sent)

    def _touches(self, facts: Facts) -> Iterator[bool]:
        for use in facts.relations:
            yield self._tables.surely_matches(use.schema, use.name)

    def _says(self, sent: Sent) -> bool:
        match, said = self._match, sent.written
        columns = said.columns
        return (
            all(column in columns for column in match.columns)
            and not any(column in columns for column in match.without_columns)
            and all(word in said.words for word in match.words)
            and (not match.names or any(map(self._names.matches, said.names)))
            and (not self._values or bool(said.rows))
            and all(_holds(row, self._values, sent) for row in said.rows)
            and _holds(said.where, self._where, sent)
            and (match.call is None or self._calls(sent))
        )

    def _calls(self, sent: Sent) -> bool:
        wanted, patterns = self._match.call, self._arguments
        return wanted is not None and any(
            call.name == wanted.function
            and len(call.arguments) == len(patterns)
            and all(
                pattern.matches(sent.text_of(value, "integer"))
                for pattern, value in zip(patterns, call.arguments, strict=True)
            )
            for call in sent.written.calls
        )


def _patterns(words: Mapping[str, Sequence[str]]) -> dict[str, Pattern]:
    return {
        column: Pattern(word for each in given for word in _SAME.get(each, {each}))
        for column, given in words.items()
    }


def _holds(
    values: Mapping[str, Value], wanted: Mapping[str, Pattern], sent: Sent
) -> bool:
    """Whether each column that is asked for has a value that fits."""
    return all(
        column in values and pattern.matches(sent.text_of(values[column]))
        for column, pattern in wanted.items()
    )


class KnownStatement:
    """A bookkeeping statement of a profile, ready to be asked."""

    __slots__ = ("after", "known", "matcher", "model", "place")

    def __init__(self, known: Known, place: int, model: Bookkeeping) -> None:
        self.known = known
        self.place = place
        self.model = model
        self.after = frozenset(model.after)
        self.matcher = Matcher(model.match)

    @property
    def keys(self) -> list[str]:
        """Names, one of which a statement has that this is: for looking it up."""
        match = self.model.match
        names = match.table or match.joins[:1] or match.functions[:1]
        if not names and match.call is not None:
            names = [match.call.function]
        return [each.rpartition(".")[2] for each in names or match.action]


class _Way:
    """One statement that a command may begin with, and what the session has shown."""

    __slots__ = ("_after", "_matcher", "_not_after")

    def __init__(self, command: Command, first: FirstMatch) -> None:
        self._matcher = Matcher(first)
        self._after = frozenset((*command.after, *first.after))
        self._not_after = frozenset((*command.not_after, *first.not_after))

    def fits(self, sent: Sent, seen: frozenset[str]) -> bool:
        return (
            self._after <= seen
            and self._not_after.isdisjoint(seen)
            and self._matcher.fits(sent)
        )


class KnownCommand:
    """A destructive command of a profile, ready to be asked."""

    __slots__ = ("_ways", "advice", "known", "model")

    def __init__(self, known: Known, model: Command) -> None:
        self.known = known
        self.model = model
        self.advice = f"`{model.command}` {model.does}; {model.instead}."
        self._ways = [_Way(model, first) for first in model.first]

    @property
    def keys(self) -> set[str]:
        """First words of its actions."""
        return {
            action.split()[0].rstrip("*")
            for match in self.model.first
            for action in match.action
        }

    def fits(self, sent: Sent, seen: frozenset[str]) -> bool:
        """Whether this is its first statement, in a session that has seen those."""
        return any(way.fits(sent, seen) for way in self._ways)


class Known:
    """A profile, ready to be asked; shared by all sessions."""

    __slots__ = (
        "bookkeeping",
        "commands",
        "is_announced",
        "is_sent_whole",
        "tables",
        "tool",
    )

    def __init__(self, profile: Profile) -> None:
        model = profile.model
        self.tool = model.tool
        self.is_announced = model.script.order == "announced"
        self.is_sent_whole = model.script.sent == "whole"
        self.tables = NamePattern(model.tables)
        self.bookkeeping = tuple(
            KnownStatement(self, place, each)
            for place, each in enumerate(model.bookkeeping)
        )
        self.commands = tuple(KnownCommand(self, each) for each in model.commands)

    def writes_history(self, facts: Facts) -> bool:
        """Whether the statement changes a table that is the tool's own."""
        return any(
            use.access is not Access.READ
            and self.tables.surely_matches(use.schema, use.name)
            for use in facts.relations
        )


class Tools:
    """The profiles that are followed, ready to be asked; one for all sessions.

    A statement is looked up by the names in it, so that one which is of no tool costs
    a few looks into a dict.
    """

    __slots__ = ("_commands", "_statements", "_wild", "known")

    def __init__(self, profiles: Iterable[Profile]) -> None:
        """Take those that are on; the others are known to nobody."""
        self.known = tuple(Known(each) for each in profiles if each.is_on)
        self._statements: dict[str, list[KnownStatement]] = {}
        self._wild: list[KnownStatement] = []
        self._commands: dict[str, list[KnownCommand]] = {}
        for known in self.known:
            for statement in known.bookkeeping:
                for key in statement.keys:
                    if "*" in key:
                        self._wild.append(statement)
                    else:
                        self._statements.setdefault(key, []).append(statement)
            for command in known.commands:
                for word in command.keys:
                    self._commands.setdefault(word, []).append(command)

    def statements(self, facts: Facts) -> list[KnownStatement]:
        """Those that this may be, of each profile in its order."""
        found = list(self._wild)
        for use in facts.relations:
            found += self._statements.get(use.name, ())
        for call in facts.functions:
            found += self._statements.get(call.name, ())
        for action in facts.actions:
            found += self._statements.get(action, ())
        if len(found) > 1:
            found.sort(key=lambda each: each.place)
        return found

    def commands(self, facts: Facts) -> list[KnownCommand]:
        """Those that may begin with this."""
        found: dict[KnownCommand, None] = {}
        for action in facts.actions:
            for command in self._commands.get(action.partition(" ")[0], ()):
                found[command] = None
        return list(found)
