"""A shell script as commands, each as its words without their quotes.

Only as much of the shell as it takes to see what a line runs: quotes, line
continuation, pipes, substitution, here-documents, and variables whose value stands in
the same text. Nothing is run. What can't be known becomes `UNKNOWN`, which equals no
word. Source: https://pubs.opengroup.org/onlinepubs/9799919799/utilities/V3_chap02.html.
Next: `proxy.migrations.scan_words` for single words, `proxy.migrations.scan_commands`
for what the commands mean.
"""

from __future__ import annotations

import re
from typing import Final

from msgspec import Struct, structs

from proxy.migrations.scan_words import (
    UNKNOWN,
    Text,
    Word,
    braces,
    read_word,
)

MAX_DEPTH: Final = 8
"""Of substitutions inside one another; deeper ones are not looked into."""

MAX_VALUE: Final = 4096
"""Characters of a variable; `A=$A$A` doubles with each line."""

_ASSIGNMENT: Final = re.compile(r"([A-Za-z_]\w*)\+?=(.*)", re.DOTALL)
_DECLARES: Final = frozenset({"export", "local", "declare", "readonly", "typeset"})
_SAYS: Final = frozenset({"echo", "printf"})
_OPERATORS: Final = ("&&", "||", ";;", "|&", ";", "|", "&", "(", ")", "\n")
_REDIRECTION: Final = re.compile(r"(?:&>>?|>[>|&]?|<[>&]?)")
_NUMBERED: Final = re.compile(r"\d+(?=[<>])")
_HERE: Final = re.compile(r"<<(-?)[ \t]*(?:'([^'\n]+)'|\"([^\"\n]+)\"|\\?([\w.-]+))")


class Command(Struct, frozen=True):
    """One simple command.

    Attributes:
        words: without quotes; assignments before it included.
        line: on which it begins, from 1.
        last_line: on which it ends.
        inputs: texts it reads: here-documents and here-strings.
        pipes_into: the words of what its output goes to, or ().
    """

    words: tuple[str, ...]
    line: int
    last_line: int
    inputs: tuple[str, ...] = ()
    pipes_into: tuple[str, ...] = ()


def commands(
    text: str,
    *,
    line: int = 1,
    variables: dict[str, str] | None = None,
    depth: int = 0,
) -> list[Command]:
    """The commands of a script in order, those of its substitutions included."""
    reader = _Reader(text, line, {} if variables is None else variables, depth)
    reader.read()
    return reader.found


class _Reader:
    """Reads one script from left to right."""

    def __init__(
        self, text: str, line: int, variables: dict[str, str], depth: int
    ) -> None:
        self.found: list[Command] = []
        self._text = Text(text.replace("\r\n", "\n"), line)
        self._variables = variables
        self._depth = depth
        self._words: list[str] = []
        self._inputs: list[str] = []
        self._line = line
        self._here: list[tuple[str, bool]] = []
        self._waits: list[tuple[int, str, bool]] = []
        self._piped: list[int] = []

    def read(self) -> None:
        """Read it all."""
        text = self._text
        while not text.is_at_end:
            if text.takes("\\\n") or text.takes_any(" \t"):
                continue
            if text.starts("#"):
                text.skip_line()
            elif not (self._reads_redirection() or self._reads_operator()):
                self._read_word()
        self._end("")

    def _reads_operator(self) -> bool:
        for operator in _OPERATORS:
            if self._text.takes(operator):
                self._end(operator)
                if operator == "\n":
                    self._read_documents()
                return True
        return False

    def _reads_redirection(self) -> bool:
        text = self._text
        text.match(_NUMBERED)
        if text.takes("<<<"):
            text.skip(" \t")
            self._inputs.append(self._one_word().value)
            return True
        here = text.match(_HERE)
        if here is not None:
            self._here.append((here[2] or here[3] or here[4], bool(here[1])))
            return True
        # <(...) and >(...) run a command; the rest names a file.
        if text.starts("<(") or text.starts(">("):
            text.skip_characters(1)
            return True
        if text.match(_REDIRECTION) is None:
            return False
        text.skip(" \t")
        if not text.is_at_end and not text.starts("\n"):
            self._one_word()
        return True

    def _read_documents(self) -> None:
        for index, word, strips_tabs in self._waits:
            document = self._text.document(word, strips_tabs=strips_tabs)
            each = self.found[index]
            inputs = (*each.inputs, document)
            self.found[index] = structs.replace(each, inputs=inputs)
        self._waits.clear()

    def _one_word(self) -> Word:
        return read_word(self._text, self._variables, self._substitute)

    def _read_word(self) -> None:
        if not self._words:
            self._line = self._text.line
        start = self._text.position
        word = self._one_word()
        if self._text.position == start:
            self._text.skip_characters(1)  # nothing that is known: go on behind it
            return
        if word.is_bare:
            # Only what stands outside of quotes is split and expanded further.
            for piece in word.value.split() if word.is_expanded else [word.value]:
                self._words += braces(piece)
        else:
            self._words.append(word.value)

    def _substitute(self, script: str, line: int) -> str:
        """The commands of `$(...)` are found as well; what an echo says is known."""
        if self._depth >= MAX_DEPTH:
            return UNKNOWN
        inside = commands(
            script, line=line, variables=self._variables, depth=self._depth + 1
        )
        self.found += inside
        if len(inside) == 1 and inside[0].words[0] in _SAYS:
            said = [each for each in inside[0].words[1:] if not each.startswith("-")]
            if UNKNOWN not in "".join(said) and "%" not in "".join(said):
                return " ".join(said)
        return UNKNOWN

    def _end(self, operator: str) -> None:
        if self._words or self._inputs or self._here:
            self._remember()
            command = Command(
                tuple(self._words) or ("",),
                self._line,
                self._text.line_before,
                tuple(self._inputs),
            )
            self.found.append(command)
            for index in self._piped:
                each = self.found[index]
                into = (*each.pipes_into, *command.words)
                self.found[index] = structs.replace(each, pipes_into=into)
            last = len(self.found) - 1
            self._waits += [(last, *each) for each in self._here]
            self._piped = [*self._piped, last] if operator in {"|", "|&"} else []
        elif operator not in {"\n", "|", "|&"}:
            self._piped = []
        self._words, self._inputs, self._here = [], [], []

    def _remember(self) -> None:
        """Take in the variables that the command sets."""
        words = self._words[1:] if self._words[:1] in _DECLARING else self._words
        for word in words:
            assigned = _ASSIGNMENT.fullmatch(word)
            if assigned is None:
                break
            value = assigned[2]
            self._variables[assigned[1]] = value if len(value) <= MAX_VALUE else UNKNOWN


_DECLARING: Final = [[word] for word in sorted(_DECLARES)]


def assignment(word: str) -> tuple[str, str] | None:
    """Name and value of a word like `NAME=value`."""
    found = _ASSIGNMENT.fullmatch(word)
    return None if found is None else (found[1], found[2])
