"""Whether one rule says all that another says: what `pgwarden policy lint` asks.

By the words of the document, not by trying statements: "yes" is certain, "no" may only
mean that it can't be told from the words. One rule is compared with one other, never
with several taken together. A test holds it against `proxy.policy.rules`. Pure.
Next: `proxy.policy.lint`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxy.policy.model import COMPUTED, LOCK_MODES, Surroundings
from proxy.policy.patterns import Pattern
from proxy.policy.spellings import spellings
from proxy.sql.facts import Access, Effect, Flag, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from proxy.policy.documents import Document
    from proxy.policy.model import (
        Acts,
        DatabaseMatch,
        FunctionMatch,
        RelationMatch,
        Rule,
        SettingMatch,
        When,
    )

_ANYTHING: Final = "\0"
"""Stands for a wildcard of the narrower word: only a wildcard matches it."""


def word_within(word: str, wide: Iterable[str]) -> bool:
    """Whether one of the `wide` words matches everything that `word` matches."""
    return Pattern(wide).matches(word.replace("*", _ANYTHING))


class Coverage:
    """Compares the rules of one document."""

    def __init__(self, document: Document) -> None:
        self._document = document

    def covers(self, wide: Rule, narrow: Rule) -> bool:
        """Whether `wide` applies wherever `narrow` does, and lists all that it lists.

        Asked of two permits, of two forbids, and of a forbid that covers a permit.
        """
        wide_acts = wide.permit or wide.forbid
        narrow_acts = narrow.permit or narrow.forbid
        if wide_acts is None or narrow_acts is None:
            return False
        if wide.shadow is not None and wide.shadow != narrow.shadow:
            return False  # it is on trial, and decides nothing yet, or not for long
        is_forbid = wide.forbid is not None
        applies = self._when(wide.when, narrow.when) and _stays_away(
            wide.unless, narrow.unless
        )
        return applies and (
            wide_acts.everything
            or self._acts(
                wide_acts,
                narrow_acts,
                wide_forbids=is_forbid,
                narrow_forbids=narrow.forbid is not None,
            )
        )

    def _words(self, words: Sequence[str] | None) -> tuple[str, ...]:
        return self._document.words(words or ())

    def _when(self, wide: When, narrow: When) -> bool:
        return (
            self._condition(wide.databases, narrow.databases)
            and self._condition(wide.actions, narrow.actions)
            and _closed_condition(wide.kinds, narrow.kinds, Kind)
            and _closed_condition(wide.flags, narrow.flags, Flag)
            and self._condition(wide.applications, narrow.applications)
            and self._same(wide.networks, narrow.networks)
            and (wide.during is None or wide.during == narrow.during)
            and (wide.proven is None or wide.proven == narrow.proven)
        )

    def _same(self, wide: Sequence[str] | None, narrow: Sequence[str] | None) -> bool:
        if wide is None:
            return True
        return narrow is not None and set(self._words(narrow)) <= set(self._words(wide))

    def _condition(
        self, wide: Sequence[str] | None, narrow: Sequence[str] | None
    ) -> bool:
        if wide is None:
            return True
        words = self._words(wide)
        return narrow is not None and all(
            word_within(each, words) for each in self._words(narrow)
        )

    def _acts(
        self, wide: Acts, narrow: Acts, *, wide_forbids: bool, narrow_forbids: bool
    ) -> bool:
        names = _Names(self._document, wide=wide_forbids, narrow=narrow_forbids)
        settings = _Settings(self._document, wide.settings)
        return (
            not narrow.everything
            and _members(narrow.kinds, Kind) <= _members(wide.kinds, Kind)
            and _members(narrow.flags, Flag) <= _members(wide.flags, Flag)
            and _members(narrow.lock_modes, LOCK_MODES)
            <= _members(wide.lock_modes, LOCK_MODES)
            and all(
                word_within(each, self._words(wide.actions))
                for each in self._words(narrow.actions)
            )
            and names.functions(wide.functions, narrow.functions)
            and names.relations(wide.relations, narrow.relations)
            and self._databases(wide.databases, narrow.databases)
            and settings.cover(narrow.settings, is_forbid=wide_forbids)
            and _resets_within(
                self._words(narrow.resets),
                self._words(wide.resets),
                is_forbid=wide_forbids,
            )
        )

    def _databases(
        self, wide: Sequence[DatabaseMatch], narrow: Sequence[DatabaseMatch]
    ) -> bool:
        def within(word: str, excepted: Sequence[str], match: DatabaseMatch) -> bool:
            return word_within(word, self._words(match.names)) and all(
                word_within(each, excepted) for each in self._words(match.except_names)
            )

        return all(
            any(within(word, self._words(each.except_names), match) for match in wide)
            for each in narrow
            for word in self._words(each.names)
        )


def _stays_away(wide: Surroundings, narrow: Surroundings) -> bool:
    """Whether what keeps the wide rule away keeps the narrow one away as well."""
    return wide in (Surroundings(), narrow)


class _Names:
    """Names of functions and relations, as a permit or a forbid reads them.

    A permit reads a name narrowly, a forbid widely, and exceptions the other way
    around: see `NamePattern`.
    """

    def __init__(self, document: Document, *, wide: bool, narrow: bool) -> None:
        self._document = document
        self._wide_forbids = wide
        self._narrow_forbids = narrow

    def functions(
        self, wide: Sequence[FunctionMatch], narrow: Sequence[FunctionMatch]
    ) -> bool:
        return all(
            any(
                effect in _members(match.effects, Effect)
                and self._name_within(word, match.names)
                for match in wide
            )
            for each in narrow
            for effect in _members(each.effects, Effect)
            for word in self._document.words(each.names)
        )

    def relations(
        self, wide: Sequence[RelationMatch], narrow: Sequence[RelationMatch]
    ) -> bool:
        return all(
            any(
                access in _members(match.access, Access)
                and self._name_within(word, match.names)
                and self._exceptions_within(match.except_names, each.except_names)
                and self._columns_within(match.columns, each.columns)
                for match in wide
            )
            for each in narrow
            for access in _members(each.access, Access)
            for word in self._document.words(each.names)
        )

    def _columns_within(
        self, of_wide: Sequence[str] | None, of_narrow: Sequence[str] | None
    ) -> bool:
        if of_wide is None:
            return True
        columns = self._document.words(of_wide)
        return of_narrow is not None and all(
            word_within(each, columns) for each in self._document.words(of_narrow)
        )

    def _name_within(self, word: str, wide: Sequence[str]) -> bool:
        return _name_within(
            word, self._document.words(wide), is_read_widely=self._wide_forbids
        )

    def _exceptions_within(
        self, of_wide: Sequence[str], of_narrow: Sequence[str]
    ) -> bool:
        """Whether the narrow rule leaves out whatever the wide one leaves out."""
        left_out = self._document.words(of_narrow)
        return all(
            _name_within(each, left_out, is_read_widely=not self._narrow_forbids)
            for each in self._document.words(of_wide)
        )


def _name_within(word: str, wide: Sequence[str], *, is_read_widely: bool) -> bool:
    schema, dot, rest = word.partition(".")
    name = rest if dot else word
    if word_within(name, [each for each in wide if "." not in each]):
        return True
    for each in wide:
        own_schema, own_dot, own_name = each.partition(".")
        if not own_dot or not word_within(name, [own_name]):
            continue
        # Without a schema the word also stands for names that a statement gives none:
        # only a forbid reads "*.x" so.
        if (
            word_within(schema, [own_schema])
            if dot
            else (is_read_widely and own_schema == "*")
        ):
            return True
    return False


def _members(words: Sequence[str], known: Iterable[str]) -> frozenset[str]:
    """The members of a closed set that the words match."""
    pattern = Pattern(words)
    return frozenset(str(each) for each in known if pattern.matches(each))


def _closed_condition(
    wide: Sequence[str] | None, narrow: Sequence[str] | None, known: Iterable[str]
) -> bool:
    if wide is None:
        return True
    known = tuple(known)
    return narrow is not None and _members(narrow, known) <= _members(wide, known)


class _Settings:
    """Settings as a permit or a forbid reads them."""

    def __init__(self, document: Document, wide: Sequence[SettingMatch]) -> None:
        self._document = document
        self._wide = document.setting_matches(wide)

    def cover(self, narrow: Sequence[SettingMatch], *, is_forbid: bool) -> bool:
        return all(
            any(self._within(each, match, is_forbid=is_forbid) for match in self._wide)
            for each in self._document.setting_matches(narrow)
        )

    def _within(
        self, narrow: SettingMatch, wide: SettingMatch, *, is_forbid: bool
    ) -> bool:
        words = self._document.words
        has_values = (
            wide.values is None
            or (
                narrow.values is not None
                and _spelled(narrow.values) <= _spelled(wide.values)
            )
        ) and (
            wide.items is None
            or (
                narrow.items is not None
                and all(
                    word_within(each, words(wide.items)) for each in words(narrow.items)
                )
            )
        )
        if narrow.name == COMPUTED:
            # A computed name may be any: every forbid covers it, and of permits that
            # of any name without an exception.
            is_any = wide.name == "*" and not wide.except_names
            return has_values and (is_forbid or is_any or wide.name == COMPUTED)
        left_out = self._document.words(narrow.except_names)
        return (
            has_values
            and word_within(narrow.name, [wide.name])
            and all(
                word_within(each, left_out)
                for each in self._document.words(wide.except_names)
            )
        )


def _spelled(values: Sequence[str]) -> frozenset[str]:
    return frozenset(spelling for value in values for spelling in spellings(value))


def _resets_within(
    narrow: Sequence[str], wide: Sequence[str], *, is_forbid: bool
) -> bool:
    if narrow and is_forbid and not wide:
        return False
    return all(
        (is_forbid or COMPUTED in wide) if each == COMPUTED else word_within(each, wide)
        for each in narrow
    )
