"""Text to facts: the one entrance to `proxy.sql`.

Total: whatever the bytes, the answer is an Analysis, with facts or with the trouble.
Next: `proxy.sql.prescan`, `proxy.sql.parse`, `proxy.sql.walk`, in this order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from proxy.errors import SYNTAX_ERROR, TOO_LARGE
from proxy.sql.facts import Analysis, Facts, Flag, Trouble
from proxy.sql.handlers import HANDLERS
from proxy.sql.parse import TOO_COMPLEX, ParseTroubleError, parse, statements
from proxy.sql.passwords import may_hold_password, without_passwords
from proxy.sql.plain_select import plain_select
from proxy.sql.prescan import trouble_with
from proxy.sql.redact import redacted, redacted_blindly
from proxy.sql.walk import TooDeepError, UnknownGrammarError, Walk

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_TREE_CHARACTERS: Final = 24 * 1024 * 1024
"""Of the tree as JSON: 10 to 20 times the text of real statements, 45 times that of
`SELECT 1,1,1...`. Decoded it takes some ten times as much memory again."""
MAX_STATEMENTS: Final = 10_000
"""In one text. Facts of that many are 20 MB; a migration file has a few hundred."""


def analyse(text: bytes) -> Analysis:
    """The facts of every statement in `text`, or why there are none. Never raises.

    `text` is exactly what the client sent, without the closing NUL.
    """
    # The one place where every exception is caught: a text that breaks the parser or
    # our own code must be refused and recorded, not end the session without a word.
    try:
        trouble = trouble_with(text)
        if trouble is None:
            return _facts_of(text.decode())
    except Exception as error:  # noqa: BLE001 - see above
        trouble = _trouble_of(error)
    return Analysis((), redacted_blindly(text), trouble)


def _facts_of(text: str) -> Analysis:
    json = parse(text)
    if len(json) > MAX_TREE_CHARACTERS:
        raise ParseTroubleError(TOO_COMPLEX)
    plain = plain_select(json)
    if plain is not None:
        return Analysis((plain,), _recorded(text))
    raw = statements(json)
    if len(raw) > MAX_STATEMENTS:
        message = f"more than {MAX_STATEMENTS} statements in one text"
        raise ParseTroubleError(Trouble(TOO_LARGE, message))
    found = tuple([_walked(statement) for statement in raw])
    recorded = _recorded(text)
    return Analysis(found, redacted(recorded) if _has_secret(found) else recorded)


def _walked(raw: dict[str, Any]) -> Facts:
    statement = raw["stmt"]
    (verb,) = statement
    walk = Walk(HANDLERS)
    walk.run([statement])
    location = (raw.get("stmt_location", 0), raw.get("stmt_len", 0))
    return walk.facts(verb, location)


def _recorded(text: str) -> str:
    return without_passwords(text) if may_hold_password(text) else text


def _has_secret(found: Iterable[Facts]) -> bool:
    return any(Flag.SECRET in facts.flags for facts in found)


def _trouble_of(error: Exception) -> Trouble:
    match error:
        case ParseTroubleError():
            return error.trouble
        case UnicodeDecodeError():
            message = f"statement text is not valid UTF-8 at byte {error.start}"
            return Trouble(SYNTAX_ERROR, message)
        case TooDeepError():
            return Trouble(TOO_LARGE, str(error))
        case RecursionError() | MemoryError():
            return TOO_COMPLEX
        case UnknownGrammarError():
            message = f"statement uses grammar that pgwarden does not know: {error}"
            return Trouble(SYNTAX_ERROR, message)
        case _:
            return Trouble(SYNTAX_ERROR, "statement could not be judged")
