"""The doctor's eye on a server that runs.

A gate that is closed is opened when nothing critical stands; one that is open is looked
at again on a schedule, after a reload, and when a waiver's last day is over. What is
found then alarms (log, metric, /readyz) and lets nobody down: somebody's GRANT must not
be an outage, and the other locks hold. The next start, or a changed policy, is refused.
Next: `proxy.doctor.gate`; `proxy.server.gate` has the state.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import structlog

from proxy.doctor.gate import ask, said, tell, why
from proxy.errors import UnavailableError
from proxy.server.health import UpstreamError

if TYPE_CHECKING:
    from proxy.doctor.gate import Verdict
    from proxy.policy.evaluate import Policy
    from proxy.server.server import Server

_log = structlog.get_logger("doctor")

RETRY_EVERY_S: Final = 2.0
AGAIN_EVERY_S: Final = 15.0
"""While critical findings stand: somebody may be mending them."""
LOOK_EVERY_S: Final = 0.5
"""At the policy in force, as `proxy.server.follow` does at its file."""
STANDING: Final = "critical findings of the doctor stand"


async def watch(server: Server) -> None:
    """Open and close the gate, and look again while it is open, until cancelled."""
    known = ""
    again = _Again(server)
    while True:
        policy = server.policy
        if not server.gate.problem(policy):
            known = ""
            await again.look_if_due(policy)
            await asyncio.sleep(LOOK_EVERY_S)
            continue
        try:
            found = await ask(server.dialler, policy)
        except (UpstreamError, UnavailableError) as error:
            told, wait_s = f"the gate waits: {why(error)}", RETRY_EVERY_S
        else:
            told, wait_s = _decide(server, policy, found)
            again.looked(policy)
        if told != known:
            known = told
            if told:
                _log.error("gate_is_closed", problem=told)
        await asyncio.sleep(wait_s)


class _Again:
    """The looks at a gate that is open."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._known = ""
        self.looked(server.policy)

    def looked(self, policy: Policy) -> None:
        """Somebody has just looked."""
        self._policy = policy
        self._day = datetime.now(UTC).date()
        self._next_s = self._server.clock() + (
            AGAIN_EVERY_S
            if self._server.gate.alarms
            else self._server.settings.upstream.examine_every_s
        )

    async def look_if_due(self, policy: Policy) -> None:
        """Look, where the policy wants it and it is time."""
        if not policy.document.model.doctor.gate:
            self._server.gate.alarm(0)
            return
        # A reload makes a new policy of an unchanged file, too.
        if (
            policy is not self._policy
            or datetime.now(UTC).date() != self._day
            or self._server.clock() >= self._next_s
        ):
            is_done = await self._look(policy)
            self.looked(policy)
            if not is_done:
                self._next_s = self._server.clock() + AGAIN_EVERY_S

    async def _look(self, policy: Policy) -> bool:
        try:
            found = await ask(self._server.dialler, policy)
        except (UpstreamError, UnavailableError) as error:
            _log.warning("examination_failed", problem=why(error))
            return False
        told = "; ".join([*map(said, found.standing), *found.void])
        if found.standing and told != self._known:
            _log.error("critical_findings", problem=told)
        elif not found.standing and self._known:
            _log.warning("critical_findings_are_gone")
        self._known = told if found.standing else ""
        self._server.gate.alarm(len(found.standing))
        return True


def _decide(server: Server, policy: Policy, found: Verdict) -> tuple[str, float]:
    if found.standing:
        server.gate.close(STANDING)
        told = [*map(said, found.standing), *found.void]
        return "; ".join(told), AGAIN_EVERY_S
    tell(found)
    # Of the policy that was examined: one that came meanwhile is examined next.
    server.gate.open(policy)
    _log.info("gate_is_open", policy=policy.version)
    return "", 0.0
