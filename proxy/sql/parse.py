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

_parse: Callable[[str], str] = parse_sql_json
_decode: Final = Decoder().decode


class ParseTroubleError(ValueError):
    """The text has no tree; `trouble` says why."""

    def __init__(self, trouble: Trouble) -> None:
        super().__init__(trouble.message)
        self.trouble = trouble


def statements(text: str) -> list[dict[str, Any]]:
    """The raw statements of `text`, in order; none for an empty text.

    Raises:
        ParseTroubleError: the grammar does not accept the text, or nests too deep.
    """
    try:
        tree = _decode(_parse(text))
    except ParseError as error:
        raise ParseTroubleError(_trouble(error)) from None
    except (RecursionError, MemoryError):
        raise ParseTroubleError(TOO_DEEP) from None
    if tree["version"] != GRAMMAR_VERSION:
        msg = f"parser of version {tree['version']}, not {GRAMMAR_VERSION}"
        raise ParseTroubleError(Trouble(SYNTAX_ERROR, msg))
    found: list[dict[str, Any]] = tree.get("stmts", [])
    return found


TOO_DEEP: Final = Trouble(
    TOO_LARGE,
    "statement nests too deep to be judged",
    hint="Split it, or replace long chains of operators by a list or an array.",
)


def _trouble(error: ParseError) -> Trouble:
    message = str(error.args[0])
    if message.startswith(("memory exhausted", "stack depth limit")):
        return TOO_DEEP
    position = error.args[1] if len(error.args) > 1 else None
    return Trouble(SYNTAX_ERROR, message, 0 if position is None else int(position) + 1)
