"""Text to a raw parse tree: the only module that imports pglast's parser.

Only `parse_sql_json`: `parse_sql` builds nodes without a stack guard, and one 46 kB
statement crashes the process in it. The JSON is decoded in C.
Next: `proxy.sql.prescan`, which must have passed the text, and `proxy.sql.walk`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec.json import Decoder
from pglast.parser import ParseError, parse_sql_json

from proxy.errors import SYNTAX_ERROR, TOO_LARGE
from proxy.sql.facts import Trouble

if TYPE_CHECKING:
    from collections.abc import Callable

GRAMMAR_VERSION: Final = 180006
"""The grammar that `proxy.sql.grammar` was read against; another one is refused."""

MAX_MESSAGE: Final = 300
"""Characters of an error's text; Postgres quotes the whole offending token."""

_START: Final = f'{{"version":{GRAMMAR_VERSION},"stmts":'

_parse: Callable[[str], str] = parse_sql_json
_decode: Final = Decoder().decode

TOO_COMPLEX: Final = Trouble(
    TOO_LARGE,
    "statement is too deep or too large to be judged",
    hint="Split it, or replace long chains of operators by a list or an array.",
)


class ParseTroubleError(ValueError):
    """The text has no tree; `trouble` says why."""

    def __init__(self, trouble: Trouble) -> None:
        super().__init__(trouble.message)
        self.trouble = trouble


def parse(text: str) -> str:
    """The raw tree of `text` as JSON.

    Raises:
        ParseTroubleError: the grammar does not accept the text, or it nests too deep.
    """
    try:
        json = _parse(text)
    except ParseError as error:
        raise ParseTroubleError(_trouble(error, text)) from None
    if not json.startswith(_START):
        message = f"the parser is not of version {GRAMMAR_VERSION}"
        raise ParseTroubleError(Trouble(SYNTAX_ERROR, message))
    return json


def statements(json: str) -> list[dict[str, Any]]:
    """The raw statements of a tree, in order; none for an empty text."""
    found: list[dict[str, Any]] = _decode(json)["stmts"]
    return found


def _shortened(message: str) -> str:
    """The message without the middle of a token that may be a megabyte long."""
    if len(message) <= MAX_MESSAGE:
        return message
    return f"{message[: MAX_MESSAGE - 40]} ... {message[-20:]}"


def _trouble(error: ParseError, text: str) -> Trouble:
    message = _shortened(str(error.args[0]))
    if message.startswith(("memory exhausted", "stack depth limit")):
        return TOO_COMPLEX
    position = error.args[1] if len(error.args) > 1 else None
    if position is None:
        at_end = message.endswith("at end of input")
        return Trouble(SYNTAX_ERROR, message, len(text) + 1 if at_end else 0)
    return Trouble(SYNTAX_ERROR, message, int(position) + 1)
