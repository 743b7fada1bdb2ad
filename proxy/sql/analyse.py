"""Text to facts: the one entrance to `proxy.sql`.

Total: whatever the bytes, the answer is an Analysis, with facts or with the trouble.
Next: `proxy.sql.prescan`, `proxy.sql.parse`, `proxy.sql.walk`, in this order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import proxy.sql.handlers
from proxy.errors import SYNTAX_ERROR, TOO_LARGE
from proxy.sql.facts import Analysis, Facts, Flag, Trouble
from proxy.sql.parse import TOO_DEEP, ParseTroubleError, statements
from proxy.sql.prescan import MAX_STATEMENTS, trouble_with
from proxy.sql.redact import redacted, redacted_blindly
from proxy.sql.walk import TooDeepError, UnknownGrammarError, Walk

if TYPE_CHECKING:
    from collections.abc import Iterable

assert_loaded: Final = proxy.sql.handlers.MEANINGS
"""The handlers are registered by importing them."""


def analyse(text: bytes) -> Analysis:
    """The facts of every statement in `text`, or why there are none. Never raises.

    `text` is exactly what the client sent, without the closing NUL.
    """
    # The one place where every exception is caught: a text that breaks the parser or
    # our own code must be refused and recorded, not end the session without a word.
    try:
        return _analyse(text)
    except (RecursionError, MemoryError):
        return _refused(text, TOO_DEEP)
    except Exception as error:  # noqa: BLE001 - see above
        problem = f"statement could not be judged ({type(error).__name__})"
        return _refused(text, Trouble(SYNTAX_ERROR, problem))


def _analyse(text: bytes) -> Analysis:
    trouble = trouble_with(text)
    if trouble is not None:
        return _refused(text, trouble)
    try:
        decoded = text.decode()
    except UnicodeDecodeError as error:
        message = f"statement text is not valid UTF-8 at byte {error.start}"
        return _refused(text, Trouble(SYNTAX_ERROR, message))
    try:
        raw = statements(decoded)
        if len(raw) > MAX_STATEMENTS:
            message = f"more than {MAX_STATEMENTS} statements in one text"
            return _refused(text, Trouble(TOO_LARGE, message))
        found = tuple([_facts(statement) for statement in raw])
    except ParseTroubleError as error:
        return _refused(text, error.trouble)
    except TooDeepError as error:
        return _refused(text, Trouble(TOO_LARGE, str(error)))
    except UnknownGrammarError as error:
        message = f"statement uses grammar that pgwarden does not know: {error}"
        return _refused(text, Trouble(SYNTAX_ERROR, message))
    if _has_secret(found) or "://" in decoded:
        decoded = redacted(decoded)
    return Analysis(found, decoded)


def _facts(raw: dict[str, Any]) -> Facts:
    statement = raw["stmt"]
    (verb,) = statement
    walk = Walk()
    walk.run([statement])
    location = (raw.get("stmt_location", 0), raw.get("stmt_len", 0))
    return walk.facts(verb, location)


def _has_secret(found: Iterable[Facts]) -> bool:
    return any(Flag.SECRET in facts.flags for facts in found)


def _refused(text: bytes, trouble: Trouble) -> Analysis:
    return Analysis((), redacted_blindly(text), trouble)
