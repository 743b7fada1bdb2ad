"""One word of the shell: its quotes taken off, its variables put in.

Next: `proxy.migrations.scan_shell`, which reads whole scripts.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from msgspec import Struct

UNKNOWN: Final = "\N{REPLACEMENT CHARACTER}"
"""Stands where a value can't be known."""

MAX_WORDS: Final = 64
"""That one word with braces becomes."""

Substitute = Callable[[str, int], str]
"""The script inside `$(...)` and its line to its output, or UNKNOWN."""

_ENDS_WORD: Final = " \t\n;&|()<>"
_NAME: Final = re.compile(r"[A-Za-z_]\w*|[0-9@*#?$!-]")
_PARAMETER: Final = re.compile(r"([A-Za-z_]\w*)(?:(:?[-=+])(.*))?", re.DOTALL)
_BRACES: Final = re.compile(r"(.*?)\{([^{}\s]*,[^{}\s]*)\}(.*)", re.DOTALL)
_ESCAPES: Final = re.compile(
    r"\\(x[0-9a-fA-F]{1,2}|u[0-9a-fA-F]{1,4}|[0-7]{1,3}|.)", re.DOTALL
)
_LETTERS: Final = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "e": "\033"}


class Word(Struct, frozen=True):
    """A word as the command gets it.

    Attributes:
        value: with UNKNOWN where it can't be known.
        is_bare: no part of it stood in quotes.
        is_expanded: some part of it came from a variable or a command.
    """

    value: str
    is_bare: bool
    is_expanded: bool


class Text:
    """A text that is read from left to right; knows its line."""

    def __init__(self, text: str, line: int) -> None:
        self._text = text
        self._first_line = line
        self.position = 0

    @property
    def is_at_end(self) -> bool:
        """Nothing is left."""
        return self.position >= len(self._text)

    @property
    def line(self) -> int:
        """Of the next character."""
        return self._first_line + self._text.count("\n", 0, self.position)

    @property
    def line_before(self) -> int:
        """Of the last character that was no line's end."""
        end = len(self._text[: self.position].rstrip("\n"))
        return self._first_line + self._text.count("\n", 0, end)

    def starts(self, piece: str) -> bool:
        """Whether this comes next."""
        return self._text.startswith(piece, self.position)

    def takes(self, piece: str) -> bool:
        """Go past this, if it comes next."""
        if not self.starts(piece):
            return False
        self.position += len(piece)
        return True

    def takes_any(self, characters: str) -> bool:
        """Go past one of these characters, if one comes next."""
        if self.is_at_end or self._text[self.position] not in characters:
            return False
        self.position += 1
        return True

    def match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        """Go past what fits, if it does."""
        found = pattern.match(self._text, self.position)
        if found is not None:
            self.position = found.end()
        return found

    def skip(self, characters: str) -> None:
        """Go past all of these."""
        while self.takes_any(characters):
            pass

    def skip_characters(self, number: int) -> None:
        """Go on by so many."""
        self.position += number

    def skip_line(self) -> None:
        """Go to the end of the line."""
        end = self._text.find("\n", self.position)
        self.position = len(self._text) if end < 0 else end

    def until(self, end: str) -> str:
        """What stands before `end`, and go past that; all of it where none comes."""
        stop = self._text.find(end, self.position)
        if stop < 0:
            rest, self.position = self._text[self.position :], len(self._text)
            return rest
        rest, self.position = self._text[self.position : stop], stop + len(end)
        return rest

    def next(self) -> str:
        """One character, "" at the end."""
        piece = self._text[self.position : self.position + 1]
        self.position += 1
        return piece

    def balanced(self, opening: str, closing: str) -> str:
        """What stands before the `closing` that fits; quotes hide both."""
        start, depth = self.position, 1
        while not self.is_at_end:
            piece = self.next()
            if piece == "\\":
                self.next()
            elif piece == "'":
                self.until("'")
            elif piece == opening:
                depth += 1
            elif piece == closing:
                depth -= 1
                if not depth:
                    return self._text[start : self.position - 1]
        return self._text[start:]

    def document(self, word: str, *, strips_tabs: bool) -> str:
        """A here-document, up to the line that is `word`."""
        lines = []
        while not self.is_at_end:
            line = self.until("\n")
            if (line.lstrip("\t") if strips_tabs else line) == word:
                break
            lines.append(line)
        return "\n".join(lines)


def read_word(text: Text, variables: dict[str, str], substitute: Substitute) -> Word:
    """The next word; the text stands behind it then."""
    reader = _Word(text, variables, substitute)
    reader.read()
    return Word("".join(reader.pieces), reader.is_bare, reader.is_expanded)


def braces(word: str) -> list[str]:
    """`{a,b}` as the words it becomes."""
    done: list[str] = []
    todo = [word]
    while todo and len(done) + len(todo) < MAX_WORDS:
        each = todo.pop(0)
        found = _BRACES.fullmatch(each)
        if found is None:
            done.append(each)
        else:
            todo = [found[1] + one + found[3] for one in found[2].split(",")] + todo
    return done + todo


class _Word:
    def __init__(
        self, text: Text, variables: dict[str, str], substitute: Substitute
    ) -> None:
        self.pieces: list[str] = []
        self.is_bare = True
        self.is_expanded = False
        self._text = text
        self._variables = variables
        self._substitute = substitute

    def read(self) -> None:
        text = self._text
        while not text.is_at_end and not any(map(text.starts, _ENDS_WORD)):
            if text.takes("\\\n"):
                continue
            if text.takes("$'"):
                self._quote(_unescaped(self._until_quote()))
            elif text.takes("'"):
                self._quote(text.until("'"))
            elif text.takes('$"') or text.takes('"'):
                self._read_double()
            elif text.takes("\\"):
                self.pieces.append(text.next())
            elif text.starts("$") or text.starts("`"):
                self._read_expansion()
            else:
                self.pieces.append(text.next())

    def _quote(self, piece: str) -> None:
        self.pieces.append(piece)
        self.is_bare = False

    def _until_quote(self) -> str:
        pieces = []
        while not self._text.is_at_end and not self._text.takes("'"):
            piece = self._text.next()
            pieces.append(piece + self._text.next() if piece == "\\" else piece)
        return "".join(pieces)

    def _read_double(self) -> None:
        text = self._text
        self.is_bare = False
        while not text.is_at_end and not text.takes('"'):
            if text.takes("\\\n"):
                continue
            if text.starts("\\"):
                text.next()
                escaped = text.next()
                self.pieces.append(escaped if escaped in '$`"\\' else f"\\{escaped}")
            elif text.starts("$") or text.starts("`"):
                self._read_expansion()
            else:
                self.pieces.append(text.next())

    def _read_expansion(self) -> None:
        text, line = self._text, self._text.line
        self.is_expanded = True
        if text.takes("`"):
            self.pieces.append(self._substitute(text.until("`"), line))
        elif text.takes("$(("):
            text.balanced("(", ")")
            text.takes(")")
            self.pieces.append(UNKNOWN)
        elif text.takes("$("):
            self.pieces.append(self._substitute(text.balanced("(", ")"), line))
        elif text.takes("${"):
            self.pieces.append(self._parameter(text.balanced("{", "}")))
        else:
            text.next()
            name = text.match(_NAME)
            if name is None:
                self.pieces.append("$")
            else:
                self.pieces.append(self._variables.get(name[0], UNKNOWN))

    def _parameter(self, inside: str) -> str:
        found = _PARAMETER.fullmatch(inside)
        if found is None:
            return UNKNOWN
        value = self._variables.get(found[1])
        if found[2] in {":-", "-", ":=", "="} and not value:
            return found[3].strip("'\"")
        if found[2] in {":+", "+"}:
            return found[3].strip("'\"") if value else ""
        return UNKNOWN if value is None else value


def _unescaped(text: str) -> str:
    """What stands in `$'...'`."""

    def one(found: re.Match[str]) -> str:
        code = found[1]
        if code[0] in "xu" and len(code) > 1:
            return chr(int(code[1:], 16))
        if code.isdigit():
            return chr(int(code, 8)) if code < "8" else code
        return _LETTERS.get(code, code)

    return _ESCAPES.sub(one, text)
