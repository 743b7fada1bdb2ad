"""The judges of one worker, and with them the caches of verdicts.

One for each role, database, major of its server and situation that sessions are in.
Next: `proxy.session.judge`; `proxy.server.catalogs` tells what a database holds.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from proxy.session.judge import Judge

if TYPE_CHECKING:
    from proxy.policy.evaluate import Policy
    from proxy.policy.situation import Situation
    from proxy.server.catalogs import Catalogs

MOST_JUDGES: Final = 64
"""Kept beyond the sessions that use them: shadow databases come with a new name each
time."""


class Judges:
    """Judges by the policy in force and the catalogs as they are known."""

    def __init__(self, policy: Policy, catalogs: Catalogs) -> None:
        """Begin without any."""
        self._policy = policy
        self._catalogs = catalogs
        self._made: OrderedDict[tuple[str, str, int, Situation], Judge] = OrderedDict()

    def of(self, role: str, database: str, major: int, situation: Situation) -> Judge:
        """The judge of a role's statements on a database, in a situation.

        Args:
            role: whose statements.
            database: where they run.
            major: of the server.
            situation: when, from where and as what.
        """
        key = (role, database, major, situation)
        judge = self._made.get(key)
        if judge is None:
            judge = Judge(
                self._policy,
                role,
                database=database,
                resolver=self._catalogs.resolver(database),
                situation=situation,
                server_major=major,
            )
            self._made[key] = judge
        self._made.move_to_end(key)
        if len(self._made) > MOST_JUDGES:
            self._made.popitem(last=False)
        return judge

    def adopt(self, policy: Policy) -> None:
        """Judge by this policy from now on."""
        if policy.version != self._policy.version:
            self._made.clear()
        self._policy = policy

    def forget(self, database: str) -> None:
        """The catalog of this database is another one now."""
        for key in [key for key in self._made if key[1] == database]:
            del self._made[key]
