"""Words of a rule that nothing can match: a misspelt function or action. Pure.

Kinds, flags, effects, accesses and lock modes are closed sets, and a wrong word there
is refused when the document is loaded. Functions and actions are open: the first may
be yours, the second are phrases. Next: `proxy.policy.lint`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxy.policy.patterns import NamePattern, Pattern, nearest
from proxy.policy.problems import Problem
from proxy.sql.facts import Effect
from proxy.sql.functions import KNOWN
from proxy.sql.vocabulary import WORDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proxy.policy.documents import Document
    from proxy.policy.model import Acts, FunctionMatch
    from proxy.policy.yaml import Path
    from proxy.sql.facts import FunctionUse

_SYSTEM_SCHEMA: Final = "pg_catalog"
_BY_NAME: Final[dict[str, list[FunctionUse]]] = {}
for _use in KNOWN.values():
    _BY_NAME.setdefault(_use.name, []).append(_use)


def unknown_words(document: Document) -> Iterator[Problem]:
    """One for each word of a rule that no statement can match."""
    for path, acts in _all_acts(document):
        for word in document.words(acts.actions):
            yield from _unknown_action(word, document.loaded.line((*path, "actions")))
        for index, match in enumerate(acts.functions):
            line = document.loaded.line((*path, "functions", index))
            for word in document.words(match.names):
                yield from _unknown_function(word, match, line)


def _all_acts(document: Document) -> Iterator[tuple[Path, Acts]]:
    model = document.model
    groups = [(("rules", name), rules) for name, rules in model.rules.items()]
    own = [(("roles", name, "rules"), role.rules) for name, role in model.roles.items()]
    for path, rules in [*groups, *own]:
        for index, rule in enumerate(rules):
            if rule.permit:
                yield (*path, index, "permit"), rule.permit
            if rule.forbid:
                yield (*path, index, "forbid"), rule.forbid


def _unknown_action(action: str, line: int) -> Iterator[Problem]:
    for word in action.split():
        if not any(map(Pattern([word]).matches, WORDS)):
            yield Problem(
                line, f'no action has the word "{word}", in "{action}"{_near(word)}'
            )


def _near(word: str) -> str:
    """The nearest word of an action; nothing, rather than all of them, if none is."""
    found = nearest(word, WORDS)
    return found if found.startswith("; did") else ""


def _unknown_function(word: str, match: FunctionMatch, line: int) -> Iterator[Problem]:
    """A function that is not pgwarden's to know may be anyone's, of effect unknown."""
    effects = Pattern(match.effects)
    schema, dot, _ = word.partition(".")
    is_built_in = bool(dot) and schema == _SYSTEM_SCHEMA
    if effects.matches(Effect.UNKNOWN) and not is_built_in:
        return
    named = _functions_named(word)
    if any(effects.matches(use.effect) for use in named):
        return
    if named:
        wanted = " or ".join(f'"{effect}"' for effect in match.effects)
        told = ", ".join(f'"{effect}"' for effect in {use.effect for use in named})
        said = f'function "{word}" has effect {told}, not {wanted}'
    else:
        said = f'pgwarden knows no function "{word}"{_nearest_function(word)}'
    yield Problem(line, said)


def _functions_named(word: str) -> list[FunctionUse]:
    pattern = NamePattern([word])
    name = word.rpartition(".")[2]
    among = KNOWN.values() if "*" in word else _BY_NAME.get(name, ())
    return [use for use in among if pattern.surely_matches(use.schema, use.name)]


def _nearest_function(word: str) -> str:
    name = word.rpartition(".")[2]
    found = nearest(name, _BY_NAME)
    return found if found.startswith("; did") else ""
