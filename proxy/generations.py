"""A bounded memory of answers: what is asked for stays, the rest goes in halves.

Two generations live. An answer that is found in the old one becomes young again; when
the young one is full it becomes the old one, and what nobody asked for meanwhile is
gone. Each look-up is one or two of a dictionary, and nothing is kept in order.
Used on the path of every statement, so compiled. Pure. Next: `proxy.policy.evaluate`.
"""

from __future__ import annotations

from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Generations(Generic[K, V]):
    """Answers by question; no answer is None."""

    __slots__ = ("_most", "_old", "_young")

    def __init__(self, most: int) -> None:
        """Begin empty; `most` is how many answers one generation holds."""
        self._most = most
        self._young: dict[K, V] = {}
        self._old: dict[K, V] = {}

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def get(self, question: K) -> V | None:
        """The answer that was kept, None if there is none (any more)."""
        answer = self._young.get(question)
        if answer is None:
            answer = self._old.pop(question, None)
            if answer is not None:
                self.put(question, answer)
        return answer

    def put(self, question: K, answer: V) -> None:
        """Keep an answer."""
        if len(self._young) >= self._most:
            self._old = self._young
            self._young = {}
        self._young[question] = answer
