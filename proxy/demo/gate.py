"""What a trial has to waive: the gate of production, in front of a role of yours.

The roles that the demo makes pass the gate. `--reader-role` and `--database` bring what
is there, and the demo must start all the same: it looks first, and serves a copy of the
policy that waives what it found by name, for a day, and says so.
Imports `proxy.doctor`. Next: `proxy.demo.run`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from proxy.demo.config import POLICY
from proxy.doctor.gate import ask
from proxy.errors import UnavailableError
from proxy.policy.yaml import flow_yaml
from proxy.server.dial import Dialler
from proxy.server.health import UpstreamError
from proxy.server.sources import read_sources
from proxy.server.tasks import Tasks
from proxy.settings import load_settings
from proxy.shipped import policy_path

if TYPE_CHECKING:
    from pathlib import Path

    from proxy.demo.folder import DemoFolder
    from proxy.doctor.findings import Finding

_GATE: Final = "\n  gate: true\n"
_REASON: Final = "a trial: pgwarden demo in front of what was there"


@dataclass(frozen=True, slots=True)
class Waived:
    """A policy with waivers, and the words for the person at the terminal."""

    policy: Path
    warning: str


async def waive(folder: DemoFolder, settings: Path) -> Waived | None:
    """Look as the doctor does; None where nothing has to be waived.

    Raises:
        UnavailableError: the database can't be asked.
    """
    loaded = load_settings(settings, {})
    sources = read_sources(loaded)
    dialler = Dialler(loaded.upstream, tasks=Tasks(), keys=sources.keys)
    try:
        found = await ask(dialler, sources.policy)
    except UpstreamError as error:
        raise UnavailableError(error.note) from error
    if not found.standing:
        return None
    return Waived(
        folder.secret_file(f"{POLICY}.yaml", _with_waivers(found.standing)),
        _warning(found.standing),
    )


def _with_waivers(standing: list[Finding]) -> str:
    """Production's policy, with one waiver for each finding."""
    until = (datetime.now(UTC) + timedelta(days=1)).date().isoformat()
    waivers = {
        (each.id, each.login): flow_yaml(
            {
                "finding": each.id,
                "login": each.login,
                "until": until,
                "reason": _REASON,
            }
        )
        for each in standing
    }
    listed = "".join(f"    - {waiver}\n" for waiver in waivers.values())
    text = policy_path(POLICY).read_text("utf-8")
    return text.replace(_GATE, f"{_GATE}  waive:\n{listed}", 1)


def _warning(standing: list[Finding]) -> str:
    names = sorted({f"{each.id} ({each.user})" for each in standing})
    return (
        "PRODUCTION WOULD NOT SERVE LIKE THIS: critical findings of `pgwarden doctor`\n"
        "stand, and are waived for this trial:\n" + "\n".join(f"  {n}" for n in names)
    )
