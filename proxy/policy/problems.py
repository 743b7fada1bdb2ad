"""What can be wrong with a document: every problem at once, each with its line.

Imports `proxy.errors` only. Next: `proxy.policy.yaml` and `proxy.policy.documents`,
which raise these.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxy.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong, and on which line (1-based; 0 where no line can be named)."""

    line: int
    message: str


class PolicyError(ConfigError):
    """A document that can't be used, with everything that is wrong with it at once."""

    def __init__(self, source: str, problems: Sequence[Problem]) -> None:
        self.source = source
        self.problems = tuple(sorted(problems, key=lambda problem: problem.line))
        super().__init__(
            "\n".join(
                f"{source}:{problem.line}: {problem.message}"
                if problem.line
                else f"{source}: {problem.message}"
                for problem in self.problems
            )
        )
