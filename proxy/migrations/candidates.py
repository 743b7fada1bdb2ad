"""The proofs that count here and now, as a follower of migrations asks for them. Pure.

Next: `proxy.migrations.standing`, which says what counts; `proxy.migrations.follower`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.migrations.proof import SETTINGS, Origin, fits

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from proxy.migrations.piece import Piece
    from proxy.migrations.proof import Proof
    from proxy.migrations.standing import Standing


class Candidate:
    """A proof that lets its migration pass, unless a gate says no.

    Attributes:
        id: of the proof.
        proof: what it says.
        is_announced: its tool writes the row first, so that nothing runs without one.
        has_way_back: those who approved it named one that was tried.
    """

    __slots__ = ("_varying", "has_way_back", "id", "is_announced", "proof")

    def __init__(
        self, proof_id: str, standing: Standing, proof: Proof, *, announced: bool
    ) -> None:
        self.id = proof_id
        self.proof = proof
        self.has_way_back = standing.way_back == "tried"
        self.is_announced = announced
        self._varying = standing.varying

    @property
    def tool(self) -> str:
        """Whose migration it is."""
        return self.proof.tool

    @property
    def name(self) -> str:
        """Of the migration, as its history has it."""
        return self.proof.name

    @property
    def checksum(self) -> str:
        """As the tool writes it; "" for a tool that has none."""
        return self.proof.checksum

    @property
    def length(self) -> int:
        """How many statements it has."""
        return len(self.proof.statements)

    @property
    def is_transaction(self) -> bool:
        """Its statements ran in one transaction."""
        return self.proof.in_transaction

    @property
    def is_with_row(self) -> bool:
        """The row of history was written in that transaction, too."""
        return self.proof.with_row

    def fits(self, position: int, piece: Piece) -> bool:
        """Whether the statement at `position` (from 0) is exactly this one."""
        return self._has_text(position, piece) and not self._settings(position, piece)

    def difference(self, position: int, piece: Piece) -> str:
        """Why this is not the statement at `position`, where its text is; else ""."""
        if piece.trouble:
            return piece.trouble
        if not self._has_text(position, piece):
            return ""
        if not piece.settings:
            return (
                "the settings of the session can't be looked at in the middle of a "
                "pipeline: send a Sync before it"
            )
        wanted = self._expected(position)
        return "; ".join(
            f"{name} is {piece.settings.get(name, '')!r}, and was "
            f"{wanted.get(name, '')!r} when it was proven"
            for name in self._settings(position, piece)
        )

    def shown(self, position: int) -> str:
        """The statement at `position`, for a person."""
        return self.proof.statements[position].shown

    def _has_text(self, position: int, piece: Piece) -> bool:
        if piece.trouble:
            return False
        proven = self.proof.statements[position]
        return fits(proven, piece.sent, may_vary=position + 1 in self._varying)

    def _settings(self, position: int, piece: Piece) -> list[str]:
        wanted = self._expected(position)
        return [n for n in SETTINGS if wanted.get(n) != piece.settings.get(n)]

    def _expected(self, position: int) -> Mapping[str, str]:
        return {**self.proof.settings, **self.proof.statements[position].settings}


class Candidates:
    """All of them."""

    def __init__(self, found: Iterable[Candidate] = ()) -> None:
        self._by_tool: dict[str, list[Candidate]] = {}
        for each in found:
            self._by_tool.setdefault(each.tool, []).append(each)

    def of_tool(self, tool: str) -> Sequence[Candidate]:
        """Those of one tool's migrations."""
        return self._by_tool.get(tool, [])

    def all(self) -> Iterable[Candidate]:
        """Of every tool, the oldest of each first."""
        for several in self._by_tool.values():
            yield from several

    def find(self, proof_id: str) -> Candidate | None:
        """The one of this id."""
        return next((each for each in self.all() if each.id == proof_id), None)

    def tools(self) -> Iterable[str]:
        """The tools that have one."""
        return sorted(self._by_tool)


def candidate(
    proof_id: str, standing: Standing, announcing: frozenset[str]
) -> Candidate | None:
    """What a proof lets pass; None for a baseline, which lets nothing.

    A migration without statements looks like a command that only writes history, so
    somebody has to have said yes to it.

    Args:
        proof_id: of the proof.
        standing: what it is worth.
        announcing: the tools that write the row first.
    """
    proof = standing.proof
    if proof is None or proof.origin is not Origin.RECORDED:
        return None
    if not proof.statements and not standing.approvals:
        return None
    return Candidate(
        proof_id,
        standing,
        proof,
        announced=proof.tool in announcing,
    )
