"""Names and patterns: which names does `public.user_*` stand for?

The only wildcard is `*`. Comparison is exact otherwise, on the names as the parser
folded them. Pure. Next: `proxy.policy.evaluate`.
"""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

if TYPE_CHECKING:
    from collections.abc import Iterable


class Pattern:
    """A union of words in which `*` stands for any run of characters."""

    __slots__ = ("_exact", "_wild", "matches_all")

    def __init__(self, words: Iterable[str]) -> None:
        words = tuple(words)
        wild = [word for word in words if "*" in word]
        self.matches_all = "*" in wild
        self._exact = frozenset(word for word in words if "*" not in word)
        self._wild = re.compile("|".join(map(_regex, wild)) or r"(?!)", re.DOTALL)

    def matches(self, word: str) -> bool:
        """Whether one of the words is, or covers, `word`."""
        return (
            self.matches_all
            or word in self._exact
            or self._wild.fullmatch(word) is not None
        )


class NamePattern:
    """A union of names, each with a schema (`public.users`) or for any (`users`)."""

    __slots__ = ("_any_schema", "_qualified", "matches_all")

    def __init__(self, words: Iterable[str]) -> None:
        words = tuple(words)
        self._any_schema = Pattern(word for word in words if "." not in word)
        self._qualified = [
            (Pattern([schema]), Pattern([name]))
            for schema, dot, name in (word.partition(".") for word in words)
            if dot
        ]
        self.matches_all = self._any_schema.matches_all

    def surely_matches(self, schema: str, name: str) -> bool:
        """For permits. A pattern with a schema wants it written in the statement."""
        return self._matches(schema, name)

    def maybe_matches(self, schema: str, name: str) -> bool:
        """For forbids. A name without schema may be that of any schema."""
        if schema:
            return self._matches(schema, name)
        return self._any_schema.matches(name) or any(
            own_name.matches(name) for _, own_name in self._qualified
        )

    def _matches(self, schema: str, name: str) -> bool:
        return self._any_schema.matches(name) or any(
            bool(schema) and own_schema.matches(schema) and own_name.matches(name)
            for own_schema, own_name in self._qualified
        )


def _regex(word: str) -> str:
    return ".*".join(re.escape(part) for part in word.split("*"))


def nearest(word: str, known: Iterable[str]) -> str:
    """`; did you mean "x"?`, or the list of what is known where nothing is near."""
    known = sorted(known)
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    if close:
        return f'; did you mean "{close[0]}"?'
    return "; known: " + ", ".join(known) if known else ""


def closed_set(words: Iterable[str]) -> AfterValidator:
    """A validator: the word is one of `words`, or a pattern that covers some."""
    known = tuple(map(str, words))

    def check(word: str) -> str:
        if any(Pattern([word]).matches(each) for each in known):
            return word
        raise PydanticCustomError(
            "closed_set",
            'unknown word "{word}"{nearest}',
            {"word": word, "nearest": nearest(word, known)},
        )

    return AfterValidator(check)
