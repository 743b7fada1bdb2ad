"""What SQL does to the session's names: PREPARE, DECLARE, DEALLOCATE, CLOSE, DISCARD.

Parse and Bind share these name spaces with SQL, in both directions. Pure.
Next: `proxy.session.names`, the spaces themselves.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from typing_extensions import override

from proxy.audit.records import names_fragment
from proxy.sql.facts import Facts, Flag

if TYPE_CHECKING:
    from proxy.session.expected import Expected
    from proxy.session.judge import Judged
    from proxy.session.names import Bound, NameSpace
    from proxy.session.session import Session

NAME_BYTES: Final = 63
"""NAMEDATALEN - 1: Postgres compares no more of a name."""


def name_key(name: bytes) -> bytes:
    """As much of a name as Postgres compares."""
    return name if len(name) <= NAME_BYTES else name[:NAME_BYTES]


class PreparedFacts(Mapping[str, Facts]):
    """The session's prepared statements as `Judge.judge` wants them."""

    __slots__ = ("_statements",)

    def __init__(self, statements: NameSpace) -> None:
        self._statements = statements

    @override
    def __getitem__(self, name: str) -> Facts:
        bound = self._statements.get(name_key(name.encode("utf-8", "surrogatepass")))
        if bound is None or bound.facts is None:
            raise KeyError(name)
        return bound.facts

    @override
    def __iter__(self) -> Iterator[str]:
        return iter([name.decode("utf-8", "replace") for name in self._statements])

    @override
    def __len__(self) -> int:
        return len(self._statements)


def rename(session: Session, judged: Judged, expected: Expected) -> None:
    """Speculatively carry out what SQL does to the session's names."""
    changes: list[Bound] = []
    for number, facts in enumerate(judged.statements):
        for effect in facts.names:
            verb = effect.verb
            if verb == "prepare" and effect.name is not None:
                bound = _set(session, session.statements, effect.name, judged)
                bound.facts = facts.prepared
                bound.runs_text = False
                bound.after = number + 1
                changes.append(bound)
            elif verb == "declare" and effect.name is not None:
                bound = _set(session, session.portals, effect.name, judged)
                bound.is_cursor = True
                bound.names = names_fragment(portal=bound.name)
                bound.is_held = Flag.WITH_HOLD in facts.flags
                bound.runs_text = False
                bound.after = number + 1
                changes.append(bound)
            else:
                for bound in _closed(session, verb, effect.name):
                    bound.after = number + 1
                    changes.append(bound)
    expected.changes = changes


def _set(session: Session, space: NameSpace, name: str, judged: Judged) -> Bound:
    return space.put(name_key(name.encode()), judged, segment=session.segment)


def _closed(session: Session, verb: str, name: str | None) -> Iterator[Bound]:
    spaces = {
        "deallocate": [session.statements],
        "close": [session.portals],
        "discard": [session.statements, session.portals],
    }
    for space in spaces.get(verb, []):
        keys = (
            # The unnamed statement is none of those that DEALLOCATE ALL drops.
            [name for name in space if name or space is session.portals]
            if name is None
            else [name_key(name.encode())]
        )
        for key in keys:
            if space.get(key) is not None:
                yield space.put(key, None, segment=session.segment)


def is_uncertain(session: Session, judged: Judged) -> bool:
    """Whether an EXECUTE names something that may or may not exist by now."""
    return any(
        session.statements.is_uncertain(
            name_key(effect.name.encode()), segment=session.segment
        )
        for facts in judged.analysis.statements
        for effect in facts.names
        if effect.verb == "execute" and effect.name is not None
    )
