"""What a token must say for one identity: claims and the values they may have.

Pure matching; who signed the token is settled before. A pattern is text in which `*`
stands for any characters, a whole number, or true or false; a list of them means any of
these. Imports pydantic. Next: `proxy.auth.tokens`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    StrictStr,
    model_validator,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

Pattern = StrictBool | StrictInt | StrictStr
Patterns = tuple[Pattern, ...]

MAX_PATTERN: Final = 512
"""Characters of a pattern; the longest real claim is a job's workflow_ref."""
MAX_CLAIMS: Final = 32
PUBLIC_ISSUERS: Final[Mapping[str, tuple[str, ...]]] = {
    "https://token.actions.githubusercontent.com": (
        "sub",
        "repository",
        "repository_id",
        "repository_owner",
        "repository_owner_id",
        "job_workflow_ref",
        "enterprise",
        "enterprise_id",
    ),
    "https://gitlab.com": (
        "sub",
        "project_path",
        "project_id",
        "namespace_path",
        "namespace_id",
    ),
    "https://app.terraform.io": ("sub", "terraform_organization_id"),
    "https://accounts.google.com": ("sub", "hd", "email"),
}
"""Issuers at which anybody may have an account, and the claims of which at least one
says whose account it was. Without one of them, an identity would be the whole world's.
Sources: each issuer's own page about its tokens."""


def _as_tuple(value: object) -> object:
    return tuple(value) if isinstance(value, (list, tuple)) else (value,)


def _checked(patterns: Patterns) -> Patterns:
    if not patterns:
        raise ValueError("give at least one value")
    for pattern in patterns:
        if not isinstance(pattern, str):
            continue
        if not pattern or len(pattern) > MAX_PATTERN:
            raise ValueError(f"a value must have 1 to {MAX_PATTERN} characters")
        if not pattern.strip("*"):
            raise ValueError('"*" alone allows everything; leave the claim out')
    return patterns


ClaimPatterns = Annotated[
    Patterns, BeforeValidator(_as_tuple), AfterValidator(_checked)
]
Claims = Annotated[dict[str, ClaimPatterns], Field(max_length=MAX_CLAIMS)]


class TokenEntry(BaseModel):
    """Which tokens an identity is proven by, as written in the identities document."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    issuer: str = Field(
        min_length=1, description="Its name under `issuers` in the settings."
    )
    claims: Claims = Field(
        default={},
        description="Claims that the token must have, each with a value or a list of "
        "values; `*` in a text stands for any characters. Needed unless the issuer "
        "has an `identity_claim`.",
    )

    @model_validator(mode="after")
    def _names(self) -> Self:
        if "" in self.claims:
            raise ValueError("a claim must have a name")
        return self


def unmet(wanted: Mapping[str, Patterns], claims: Mapping[str, Any]) -> str | None:
    """The first claim that is missing or has another value, or None.

    Its value is not part of the answer: it may be anything that the issuer was told.
    """
    for name, patterns in wanted.items():
        if name not in claims or not _holds(patterns, claims[name]):
            return name
    return None


def _holds(patterns: Patterns, value: object) -> bool:
    # A list (groups, roles) satisfies by any of its members.
    values = value if isinstance(value, list) else [value]
    return any(_is_like(pattern, each) for each in values for pattern in patterns)


def _is_like(pattern: Pattern, value: object) -> bool:
    # Issuers disagree on whether 123 is a number and true a boolean: GitHub sends
    # "repository_id" and "ref_protected" as text. Both forms are the same claim.
    text = _as_text(value)
    if text is None:
        return False
    if isinstance(pattern, str):
        return isinstance(value, str) and matches(pattern, text)
    return _as_text(pattern) == text


def _as_text(value: object) -> str | None:
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case str():
            return value
        case _:
            return None


def matches(pattern: str, text: str) -> bool:
    """Whether the whole text is like the pattern; `*` is any characters, or none.

    Linear in the text for each star: parts are looked for from left to right, and the
    first place is as good as any later one.
    """
    first, *rest = pattern.split("*")
    if not rest:
        return pattern == text
    last = rest.pop()
    if len(text) < len(first) + len(last):
        return False
    if not text.startswith(first) or not text.endswith(last):
        return False
    at, end = len(first), len(text) - len(last)
    for part in rest:
        found = text.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True
