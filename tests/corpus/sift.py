"""From conversations to a corpus: what a tool sends, once each, and what was left out.

A text counts once a form; two texts that differ only in long numbers (OIDs, cursor
names) count as one, and the first is kept as it was. A statement that only makes sense
behind others (FETCH, EXECUTE, LOCK ...) is kept with those, as `after`. What a session
can't do read-only, or is known to be no reading, is left out with its reason.
Next: `tests.corpus.pages`, which writes and reads the files.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tests.corpus.tap import Conversation, Said

Before: TypeAlias = str | tuple[str, str, str]
"""A text to send first; or ("portal", name, text) to bind and run, or ("prepared",
name, text) to parse."""

_NUMBERS = re.compile(r"\d{5,}|0x[0-9a-f]+|[0-9a-f]{12}")
_COMMENTS = re.compile(r"\A(?:\s+|--[^\n]*\n|/\*.*?\*/)+", re.DOTALL)
_MAKES = re.compile(
    r'(?:\A|;)\s*(?:DECLARE|PREPARE|SAVEPOINT)\s+("[^"]+"|\w+)', re.IGNORECASE
)
_DECLARES = re.compile(_MAKES.pattern.replace("|SAVEPOINT", ""), re.IGNORECASE)
_OPENS = ("BEGIN", "START TRANSACTION")
_ENDS = ("COMMIT", "END", "ROLLBACK", "ABORT")
_BEGINNING = 24  # "SET TRANSACTION SNAPSHOT"
_DEPENDENT = (
    *("FETCH", "MOVE", "CLOSE", "EXECUTE", "DEALLOCATE"),
    *("RELEASE", "ROLLBACK TO"),
)
_IN_A_BLOCK = (*_DEPENDENT, "DECLARE", "SAVEPOINT", "LOCK", "SET TRANSACTION")
_READ_ONLY = "25006"
_FUNCTION_CALL = "the protocol's FunctionCall, which pgwarden refuses as such"


@dataclass(slots=True)
class Entry:
    """One statement of the corpus.

    Attributes:
        sql: exactly as sent.
        form: simple, extended, named; "described" behind it where nothing ran.
        types: OIDs of parameters that the Parse declared, if any is not 0.
        after: what must go before it in the same session.
        sqlstate: of the error that the tool itself ran into.
        by: versions of the tool that sent it.
    """

    sql: str
    form: str = "simple"
    types: tuple[int, ...] = ()
    after: tuple[Before, ...] = ()
    sqlstate: str = ""
    by: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Corpus:
    """What one tool said, over all versions of it that were recorded."""

    versions: list[str] = field(default_factory=list)
    startup: list[dict[str, str]] = field(default_factory=list)
    entries: dict[tuple[str, ...], Entry] = field(default_factory=dict)
    left_out: dict[tuple[str, str], str] = field(default_factory=dict)
    """The first text for each reason and beginning of a text."""

    def add(
        self,
        version: str,
        conversations: Iterable[Conversation],
        no_reading: Mapping[str, str],
    ) -> None:
        """Take in what one version said.

        Args:
            version: of the tool.
            conversations: from the tap.
            no_reading: pattern to reason, for what the driver knows to be no reading
                although a read-only session can do it.
        """
        if version not in self.versions:
            self.versions.append(version)
        for conversation in conversations:
            self._add_startup(conversation.startup)
            session = _Session()
            for said in conversation.said:
                after = session.before(said)
                self._add(said, after, version, no_reading)
            for oid in conversation.function_calls:
                self.left_out[_FUNCTION_CALL, str(oid)] = f"function {oid}"

    def _add_startup(self, parameters: Mapping[str, str]) -> None:
        kept = {k: v for k, v in parameters.items() if k not in {"user", "database"}}
        masked = {k: _NUMBERS.sub("#", v) for k, v in kept.items()}
        if masked not in [
            {k: _NUMBERS.sub("#", v) for k, v in one.items()} for one in self.startup
        ]:
            self.startup.append(kept)

    def _add(
        self,
        said: Said,
        after: tuple[Before, ...],
        version: str,
        no_reading: Mapping[str, str],
    ) -> None:
        if not said.text.strip():
            return
        shape = _NUMBERS.sub("#", said.text)
        if said.sqlstate == "25P02":
            return  # an echo of the error before it
        if reason := _no_reading(said, no_reading):
            self.left_out.setdefault((reason, shape[:_BEGINNING]), said.text)
            return
        form = said.form if said.is_run else f"{said.form} described"
        types = said.types if any(said.types) else ()
        key = (form, shape, *map(str, types))
        entry = self.entries.get(key)
        if entry is None:
            entry = Entry(said.text, form, types, after, said.sqlstate)
            self.entries[key] = entry
        if not said.sqlstate:
            entry.sqlstate = ""
        if version not in entry.by:
            entry.by.append(version)


def _no_reading(said: Said, no_reading: Mapping[str, str]) -> str:
    if said.sqlstate == _READ_ONLY:
        return f"writes: a read-only session can't ({_READ_ONLY})"
    for pattern, reason in no_reading.items():
        if re.search(pattern, said.text):
            return reason
    return ""


class _Session:
    """The texts that later statements of a session may depend on."""

    def __init__(self) -> None:
        self._opener = ""
        self._is_open = False
        self._made: dict[str, tuple[Before, ...]] = {}

    def before(self, said: Said) -> tuple[Before, ...]:
        """What must go before this text; and remember the text itself."""
        text = _COMMENTS.sub("", said.text)
        commands = [" ".join(one.split()[:3]) for one in text.upper().split(";")]
        # In a pipeline the status is that of its beginning, so BEGIN counts as well.
        is_inside = said.status in "TE" or self._is_open
        if commands[0].startswith(_OPENS) or not is_inside:
            self._opener = said.text
        for command in commands:
            if command.startswith(_OPENS):
                self._is_open = True
            elif command.startswith(_ENDS) and " TO " not in command:
                self._is_open = False
        needed: list[Before] = []
        if is_inside and any(one.startswith(_IN_A_BLOCK) for one in commands):
            needed.append(self._opener)
        for one in text.split(";"):
            if one.upper().lstrip().startswith(_DEPENDENT):
                for name, makers in self._made.items():
                    if _has(one, name) and name not in _made_by(_DECLARES, text):
                        needed += makers
        after = tuple(dict.fromkeys(needed))
        self._remember(said, text, after)
        return after

    def _remember(self, said: Said, text: str, after: tuple[Before, ...]) -> None:
        for name in _made_by(_MAKES, text):
            self._made[name] = (*after, said.text)
        if said.name:
            self._made[said.name] = (("prepared", said.name, said.text),)
        for portal in said.portals:
            self._made[portal] = (("portal", portal, said.text),)


def _made_by(pattern: re.Pattern[str], text: str) -> list[str]:
    """The names that a text makes; of savepoints there may be two of one name."""
    return [name.strip('"') for name in pattern.findall(text)]


def _has(text: str, name: str) -> bool:
    return bool(re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text))
