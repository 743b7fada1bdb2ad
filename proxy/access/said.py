"""What people say about a grant, checked: its id, a reason; and how they are refused.

Pure. Next: `proxy.access.lending`.
"""

from __future__ import annotations

from typing import Final

from proxy.access.grant import ID_FORM
from proxy.errors import DENIED, INVALID_PARAMETER, PgwardenError

LONGEST_REASON: Final = 500
LONGEST_ID_SHOWN: Final = 40


class AccessRefused(PgwardenError):  # noqa: N818 - named for what it says
    """A step that is not allowed.

    Attributes:
        rule: id of what refuses it, as in the audit log.
    """

    def __init__(
        self, rule: str, message: str, *, hint: str = "", sqlstate: str = DENIED
    ) -> None:
        super().__init__(message, hint=hint, sqlstate=sqlstate)
        self.rule = f"access.{rule}"


def checked_id(text: str) -> str:
    """The id of a grant as somebody typed it.

    Raises:
        AccessRefused: no grant has such an id.
    """
    wanted = text.strip().upper()
    if ID_FORM.fullmatch(wanted) is None:
        raise unknown(text)
    return wanted


def unknown(text: str) -> AccessRefused:
    """There is no such grant."""
    return AccessRefused(
        "unknown-request",
        f'there is no request "{text[:LONGEST_ID_SHOWN]}"',
        hint="SHOW pgwarden.access lists them",
    )


def plain(text: str, what: str, *, shortest: int = 0) -> str:
    """A text that people will read in tables, logs and chats: one line of letters.

    Raises:
        AccessRefused: it is too short or long, or holds what can't be seen.
    """
    said = text.strip()
    if not said.isprintable():
        raise AccessRefused(
            "reason",
            f"{what} must be one line, without signs that can't be seen",
            sqlstate=INVALID_PARAMETER,
        )
    if not shortest <= len(said) <= LONGEST_REASON:
        raise AccessRefused(
            "reason",
            f"{what} must have between {shortest} and {LONGEST_REASON} letters",
            sqlstate=INVALID_PARAMETER,
        )
    return said
