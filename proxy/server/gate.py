"""The gate: no session before the doctor has found nothing critical, where it is asked.

Opened for one version of the policy, so that a changed one (other logins, fewer
waivers) is examined before anybody comes in under it. Who examines is
`proxy.doctor.gate`, above this layer. Next: `proxy.server.entrance`, which asks.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

from proxy.errors import CANNOT_CONNECT_NOW, ErrorReport

if TYPE_CHECKING:
    from proxy.policy.evaluate import Policy

UNEXAMINED: Final = "pgwarden's own logins to the database are not examined yet"

FOUND_LATER: Final = "critical findings of the doctor stand since the start"


class Gate:
    """Closed until it is opened, for policies that want one."""

    def __init__(self, passed: str = "") -> None:
        """Begin; `passed` is the version of a policy that was examined already."""
        self._passed = passed
        self._why = UNEXAMINED
        self._news = asyncio.Event()
        self.alarms = 0

    def alarm(self, standing: int) -> None:
        """So many critical findings stand, found while it is open: nobody is let down.

        A slip of a DBA's must not be an outage: the other locks hold. It alarms, and
        the next start, or the next policy, is refused.
        """
        self.alarms = standing

    def warnings(self) -> list[str]:
        """The same in words that anyone may read."""
        if not self.alarms:
            return []
        return [f"{FOUND_LATER} ({self.alarms}): `pgwarden doctor` says which"]

    def open(self, policy: Policy) -> None:
        """Nothing critical stands under this policy."""
        self._passed = policy.version
        self._why = UNEXAMINED
        self.alarms = 0
        self._news.set()

    def close(self, why: str) -> None:
        """Something stands: `why` is fit for anyone to read."""
        self._passed = ""
        self._why = why
        self.alarms = 0
        self._news.set()

    def problem(self, policy: Policy) -> str:
        """Why nobody may come in under this policy, "" if they may."""
        if not policy.document.model.doctor.gate or self._passed == policy.version:
            return ""
        return self._why

    async def settled(self, policy: Policy, within_s: float) -> None:
        """Wait while an examination goes on: a changed policy turns nobody away."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while self.problem(policy) == UNEXAMINED:
                    self._news.clear()
                    await self._news.wait()

    def refusal(self, policy: Policy) -> ErrorReport | None:
        """The same for a client."""
        problem = self.problem(policy)
        if not problem:
            return None
        return ErrorReport(
            CANNOT_CONNECT_NOW,
            f"pgwarden does not serve now: {problem}",
            hint="tell whoever runs pgwarden: `pgwarden doctor` says more",
            severity="FATAL",
        )
