"""One rule, compiled: does it cover this act of this statement?

Pure. Next: `proxy.policy.evaluate`, which asks all rules of a role.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.policy.acts import (
    Act,
    ActionAct,
    DatabaseAct,
    FlagAct,
    KindAct,
    LockAct,
)
from proxy.policy.model import COMPUTED
from proxy.policy.name_lists import NAME_LISTS, names_in
from proxy.policy.patterns import NamePattern, Pattern
from proxy.policy.spellings import spellings
from proxy.sql.columns import ALL
from proxy.sql.facts import ColumnUse, FunctionUse, RelationUse, SettingChange

if TYPE_CHECKING:
    from collections.abc import Sequence

    from proxy.policy.decision import Context
    from proxy.policy.documents import Document
    from proxy.policy.model import Acts, RelationMatch, Rule, SettingMatch, When
    from proxy.sql.facts import Facts


class CompiledRule:
    """One rule of one role.

    Attributes:
        id: the rule's name, for decisions and records.
        permits: whether it permits; else it forbids.
        survives_quarantine: a permit that still holds in a quarantined session.
        quarantines: a forbid that puts the session in quarantine.
        reason: as the document words it, "" where it does not.
        hint: what to do instead.
        names_columns: the rule tells the columns of a relation apart.
        names_databases: the rule asks for the database.
        shadow_until: until when it is in shadow, as the document says it; "" for never.
    """

    __slots__ = (
        "_matcher",
        "_when",
        "hint",
        "id",
        "names_columns",
        "names_databases",
        "permits",
        "quarantines",
        "reason",
        "shadow_until",
        "survives_quarantine",
    )

    def __init__(self, rule: Rule, document: Document) -> None:
        self.id = rule.id
        self.permits = rule.permit is not None
        self.survives_quarantine = rule.in_quarantine
        self.quarantines = rule.quarantine
        self.reason = rule.reason or ""
        self.hint = rule.hint
        self.shadow_until = rule.shadow.until if rule.shadow is not None else ""
        self.names_databases = rule.when.databases is not None
        self._when = _Conditions(rule.when, document)
        acts = rule.permit if rule.permit is not None else rule.forbid
        self._matcher = _Matcher(acts, document, forbids=not self.permits)
        self.names_columns = self._matcher.names_columns

    def applies(self, facts: Facts, context: Context) -> bool:
        """Whether the rule has a say in this statement at all."""
        return self._when.hold(facts, context, forbids=not self.permits)

    def covers(self, act: Act) -> bool:
        """Whether the rule permits (or forbids) this act."""
        return self._matcher.covers(act)

    def values_of(self, setting: str) -> list[str]:
        """The values of this setting that the rule lists, as it words them."""
        return self._matcher.values_of(setting)


class _Conditions:
    """`when`: every key given must hold; within a key one word is enough.

    What hangs on the session and not on the statement is in `proxy.policy.situation`.
    """

    __slots__ = ("_actions", "_databases", "_flags", "_kinds")

    def __init__(self, when: When, document: Document) -> None:
        self._databases = _pattern(when.databases, document)
        self._kinds = _pattern(when.kinds, document)
        self._actions = _pattern(when.actions, document)
        self._flags = _pattern(when.flags, document)

    def hold(self, facts: Facts, context: Context, *, forbids: bool) -> bool:
        return (
            (
                self._databases is None
                or self._databases.matches(context.database)
                or (forbids and not context.database)  # it may be any
            )
            and (self._kinds is None or any(map(self._kinds.matches, facts.kinds)))
            and (
                self._actions is None or any(map(self._actions.matches, facts.actions))
            )
            and (self._flags is None or any(map(self._flags.matches, facts.flags)))
        )


def _pattern(words: list[str] | None, document: Document) -> Pattern | None:
    return None if words is None else Pattern(document.words(words))


class _Matcher:
    """The acts that a rule lists."""

    __slots__ = (
        "_actions",
        "_columns",
        "_databases",
        "_everything",
        "_flags",
        "_forbids",
        "_functions",
        "_kinds",
        "_lock_modes",
        "_relations",
        "_resets",
        "_resets_any",
        "_resets_computed",
        "_settings",
        "names_columns",
    )

    def __init__(self, acts: Acts | None, document: Document, *, forbids: bool) -> None:
        if acts is None:
            raise ValueError("a rule without acts")  # documents.load refuses it
        self._everything = acts.everything
        self._kinds = Pattern(acts.kinds)
        self._actions = Pattern(document.words(acts.actions))
        self._flags = Pattern(acts.flags)
        self._lock_modes = Pattern(acts.lock_modes)
        self._functions = [
            (Pattern(m.effects), _names(document.words(m.names), forbids=forbids))
            for m in acts.functions
        ]
        self._relations = [
            (
                Pattern(m.access),
                _names(
                    document.words(m.names),
                    forbids=forbids,
                    except_words=document.words(m.except_names),
                ),
            )
            for m in acts.relations
            # A forbid of columns leaves the relation itself alone.
            if m.columns is None or not forbids
        ]
        self._columns = [
            _ColumnMatcher(m, document, forbids=forbids) for m in acts.relations
        ]
        self.names_columns = any(m.columns is not None for m in acts.relations)
        self._settings = [
            _SettingMatcher(match, document, forbids=forbids)
            for match in document.setting_matches(acts.settings)
        ]
        self._databases = [
            (Pattern(document.words(m.names)), Pattern(document.words(m.except_names)))
            for m in acts.databases
        ]
        resets = document.words(acts.resets)
        self._forbids = forbids
        self._resets = Pattern(resets)
        self._resets_any = bool(resets)
        self._resets_computed = COMPUTED in resets

    def covers(self, act: Act) -> bool:
        if self._everything:
            return True
        match act:
            case FunctionUse():
                covers = _any_covers(self._functions, act.effect, act)
            case RelationUse():
                covers = _any_covers(self._relations, act.access, act)
            case ColumnUse():
                covers = any(each.covers(act) for each in self._columns)
            case SettingChange():
                covers = self._covers_setting(act)
            case _:
                covers = self._covers_word(act)
        return covers

    def values_of(self, setting: str) -> list[str]:
        return [value for each in self._settings for value in each.values_of(setting)]

    def _covers_word(
        self, act: KindAct | ActionAct | FlagAct | LockAct | DatabaseAct
    ) -> bool:
        match act:
            case ActionAct(action=action):
                return self._actions.matches(action)
            case KindAct(kind=kind):
                return self._kinds.matches(kind)
            case FlagAct(flag=flag):
                return self._flags.matches(flag)
            case LockAct(mode=mode):
                return self._lock_modes.matches(mode)
            case DatabaseAct(database=database):
                return any(
                    names.matches(database) and not excepted.matches(database)
                    for names, excepted in self._databases
                )

    def _covers_setting(self, change: SettingChange) -> bool:
        if change.is_reset:
            if change.name:
                name = "all" if change.name == "*" else change.name
                return self._resets.matches(name)
            # A computed name may be any: a forbid covers it, a permit only by its word.
            return self._resets_any if self._forbids else self._resets_computed
        return any(setting.covers(change) for setting in self._settings)


def _any_covers(
    matchers: Sequence[tuple[Pattern, _Names]],
    how: str,
    use: FunctionUse | RelationUse,
) -> bool:
    return any(
        hows.matches(how) and names.matches(use.schema, use.name)
        for hows, names in matchers
    )


class _ColumnMatcher:
    """Columns of the relations that fit; all of them where the document names none."""

    __slots__ = ("_access", "_columns", "_forbids", "_names")

    def __init__(
        self, match: RelationMatch, document: Document, *, forbids: bool
    ) -> None:
        self._access = Pattern(match.access)
        self._names = _names(
            document.words(match.names),
            forbids=forbids,
            except_words=document.words(match.except_names),
        )
        self._columns = Pattern(document.words(match.columns or ["*"]))
        self._forbids = forbids

    def covers(self, use: ColumnUse) -> bool:
        if not self._access.matches(use.access):
            return False
        if use.relation == ALL:
            return self._forbids  # a view that can't be read: any column of any table
        if not self._names.matches(use.schema, use.relation):
            return False
        if use.name == ALL:
            return self._forbids or self._columns.matches_all
        return self._columns.matches(use.name)


class _Names:
    """Names that a permit or a forbid lists; a forbid reads them more widely."""

    __slots__ = ("_except", "_forbids", "_pattern")

    def __init__(
        self, pattern: NamePattern, *, forbids: bool, exceptions: NamePattern
    ) -> None:
        self._pattern = pattern
        self._forbids = forbids
        self._except = exceptions

    def matches(self, schema: str, name: str) -> bool:
        pattern, excepted = self._pattern, self._except
        if self._forbids:
            return pattern.maybe_matches(schema, name) and not excepted.surely_matches(
                schema, name
            )
        return pattern.surely_matches(schema, name) and not excepted.maybe_matches(
            schema, name
        )


def _names(
    words: tuple[str, ...], *, forbids: bool, except_words: tuple[str, ...] = ()
) -> _Names:
    return _Names(
        NamePattern(words), forbids=forbids, exceptions=NamePattern(except_words)
    )


_NAMES_OF_ROLES = frozenset({"role", "session_authorization"})
"""Settings whose value is a role, and `App` is another role than `app`."""


class _SettingMatcher:
    """A setting by name, and by value where the document gives values.

    A name that the statement computes may be any: a forbid covers it, a permit only if
    it permits every name, or computed ones by their word. A value that the statement
    computes or binds is covered by a permit only if every value is, and by a forbid
    always. Of a list of names a permit must have every item, a forbid any.
    """

    __slots__ = (
        "_covers_computed",
        "_except",
        "_forbids",
        "_items",
        "_lists",
        "_name",
        "_values",
        "_words",
    )

    def __init__(
        self, match: SettingMatch, document: Document, *, forbids: bool
    ) -> None:
        except_words = document.words(match.except_names)
        items = None if match.items is None else document.words(match.items)
        self._forbids = forbids
        self._name = Pattern([match.name])
        self._except = Pattern(except_words)
        self._covers_computed = (
            forbids
            or match.name == COMPUTED
            or (self._name.matches_all and not except_words)
        )
        self._words = match.values or list(items or ())
        self._items = None if items is None else Pattern(items)
        self._lists = frozenset(map(names_in, match.values or ()))
        self._values = (
            None
            if match.values is None
            else frozenset(
                spelling for value in match.values for spelling in spellings(value)
            )
        )

    def covers(self, change: SettingChange) -> bool:
        if change.name:
            if not self._has(change.name):
                return False
        elif not self._covers_computed:
            return False
        if self._values is None and self._items is None:
            return True
        if change.value is None:
            return self._forbids
        return self._covers_value(change.name, change.value)

    def _covers_value(self, name: str, value: str) -> bool:
        if self._items is not None or name in NAME_LISTS:
            return self._covers_list(names_in(value))
        if name in _NAMES_OF_ROLES:
            return value in self._words
        return self._values is not None and value.lower() in self._values

    def _covers_list(self, names: tuple[str, ...] | None) -> bool:
        if names is None:  # Postgres will refuse it
            return self._forbids
        if self._items is None:
            return names in self._lists
        among = any if self._forbids else all
        return among(map(self._items.matches, names))

    def values_of(self, setting: str) -> list[str]:
        return self._words if self._has(setting) else []

    def _has(self, name: str) -> bool:
        return self._name.matches(name) and not self._except.matches(name)
