"""What the names of a replayed session stand for: prepared statements and cursors.

The log says what each name stood for under the policy of then; a candidate policy
may refuse a PREPARE that it allowed, or allow one that it refused. As on the wire,
names change when a statement is sent, and back when Postgres says that it failed.
Next: `proxy.session.sql_names`, the same on the wire.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from msgspec import Struct
from typing_extensions import override

from proxy.replay.verdicts import ENDS_TRANSACTION
from proxy.session.sql_names import name_key
from proxy.sql.facts import Facts, Flag

if TYPE_CHECKING:
    from proxy.replay.records import Record
    from proxy.replay.verdicts import Verdicts
    from proxy.session.judge import Judged
    from proxy.sql.facts import NameEffect


class _Undo(Struct):
    """How a statement that fails takes its names back: what each stood for before."""

    before: dict[str, Facts | str | None]
    is_alone: bool


class Names(Mapping[str, Facts]):
    """The prepared statements and cursors of one session under the candidate policy.

    As a mapping: what EXECUTE of each name would run, as `Judge.judge` wants it.
    """

    def __init__(self, verdicts: Verdicts) -> None:
        self._verdicts = verdicts
        # The facts of a PREPARE's body, or the text of a Parse.
        self._bodies: dict[str, Facts | str] = {}
        self._refused: set[str] = set()
        self._added: set[str] = set()
        self._cursors: dict[str, tuple[str, bool]] = {}
        self._undo: dict[str, _Undo] = {}

    @override
    def __getitem__(self, name: str) -> Facts:
        if name in self._refused:
            raise KeyError(name)
        body = self._bodies[name]
        if isinstance(body, Facts):
            return body
        facts = self._verdicts.first_statement(body)
        if facts is None:
            raise KeyError(name)
        return facts

    @override
    def __iter__(self) -> Iterator[str]:
        return (name for name in self._bodies if name not in self._refused)

    @override
    def __len__(self) -> int:
        return sum(1 for _ in self)

    # --- what is known -------------------------------------------------------

    @property
    def awaits_outcome(self) -> bool:
        """Whether some outcome still decides what a name stands for."""
        return bool(self._undo)

    @property
    def has_added(self) -> bool:
        """Whether the candidate prepared something that the policy of then refused."""
        return bool(self._added)

    def are_added(self, judged: Judged) -> bool:
        """Whether an EXECUTE in the text runs something of that sort."""
        return not self._added.isdisjoint(_names_of(judged, "execute"))

    def are_unseen(self, judged: Judged) -> bool:
        """Whether an EXECUTE in the text runs what no record before it has prepared."""
        seen = {*self._bodies, *self._refused, *_names_of(judged, "prepare")}
        return any(name not in seen for name in _names_of(judged, "execute"))

    def is_body_only(self, record: Record) -> bool:
        """Whether a portal runs the body of a PREPARE, and not the PREPARE again."""
        if record.message != "execute" or not record.statement_name:
            return False
        return isinstance(self._bodies.get(_key(record.statement_name)), Facts)

    def fetched_texts(self, judged: Judged) -> Iterator[str]:
        """The texts behind the cursors that a text fetches from."""
        for name in _names_of(judged, "fetch"):
            if name in self._cursors:
                yield self._cursors[name][0]

    # --- what happens --------------------------------------------------------

    def bind(self, record: Record, *, is_allowed: bool) -> None:
        """Take a Parse, Bind or Execute, which name a statement and a portal."""
        name = _key(record.statement_name)
        if is_allowed and not record.is_allowed:
            self._added.add(name)
        if name and not self.is_body_only(record):
            self._prepare(name, record.text, record, is_allowed=is_allowed)
        if record.portal and is_allowed:
            self._cursors[_key(record.portal)] = (record.text, False)

    def rename(self, record: Record, judged: Judged, *, is_allowed: bool) -> None:
        """Take a text that does something to names, as the candidate decides on it."""
        statements = judged.statements
        undo = _Undo({}, len(statements) == 1)
        for facts in statements:
            for effect in facts.names:
                for name in self._touched(effect):
                    undo.before.setdefault(name, self._bodies.get(name))
                body = facts.prepared if effect.verb == "prepare" else None
                if body is not None and effect.name is not None:
                    self._prepare(effect.name, body, record, is_allowed=is_allowed)
                elif is_allowed:
                    self._apply(effect, record.text, facts)
            if is_allowed and facts.transaction in ENDS_TRANSACTION:
                self._cursors = {k: v for k, v in self._cursors.items() if v[1]}
        if record.is_allowed and undo.before:
            self._undo[record.audit_id] = undo

    def settle(self, audit_id: str, *, is_ok: bool) -> None:
        """Take an outcome: what failed has changed no name.

        Of several statements in one text some may have run before one failed; what
        their names stand for is not known then.
        """
        undo = self._undo.pop(audit_id, None)
        if undo is None or is_ok:
            return
        for name, body in undo.before.items():
            self._refused.discard(name)
            self._added.discard(name)
            self._bodies.pop(name, None)
            if body is not None and undo.is_alone:
                self._bodies[name] = body

    def _prepare(
        self, name: str, body: Facts | str, record: Record, *, is_allowed: bool
    ) -> None:
        if is_allowed:
            self._bodies[name] = body
            self._refused.discard(name)
            if record.is_allowed:
                self._added.discard(name)
            else:
                self._added.add(name)
        elif record.is_allowed:
            self._refused.add(name)

    def _touched(self, effect: NameEffect) -> list[str]:
        if effect.verb not in {"prepare", "deallocate", "discard"}:
            return []
        return list(self._bodies) if effect.name is None else [effect.name]

    def _apply(self, effect: NameEffect, text: str, facts: Facts) -> None:
        name = effect.name
        match effect.verb:
            case "deallocate" if name is not None:
                self._forget({name})
            case "deallocate":
                self._forget(set(self._bodies) | self._refused)
            case "declare" if name is not None:
                self._cursors[name] = (text, Flag.WITH_HOLD in facts.flags)
            case "close" if name is not None:
                self._cursors.pop(name, None)
            case "close":
                self._cursors.clear()
            case "discard":
                self._forget(set(self._bodies) | self._refused)
                self._cursors.clear()
            case _:  # execute and fetch change no name
                pass

    def _forget(self, names: set[str]) -> None:
        for name in names:
            self._bodies.pop(name, None)
        self._refused -= names
        self._added -= names


def _names_of(judged: Judged, verb: str) -> list[str]:
    return [
        effect.name
        for facts in judged.analysis.statements
        for effect in facts.names
        if effect.verb == verb and effect.name is not None
    ]


def _key(name: str) -> str:
    """As much of a protocol-level name as Postgres compares; SQL's are cut already."""
    return name_key(name.encode("utf-8", "surrogatepass")).decode("utf-8", "replace")
