"""Telling a chat of requests for lent roles, without anybody waiting for it.

A bounded queue and a few tries; what can't be delivered is counted and forgotten, as
the audit log has it anyway. The URL is a secret and is in no log.
Next: `proxy.server.lending`, which says what to tell.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

import httpx
import structlog

from proxy.errors import ConfigError
from proxy.policy.durations import in_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from proxy.access.grant import Grant
    from proxy.access_settings import WebhookSettings
    from proxy.metrics import Metrics

_log = structlog.get_logger("access")

MOST_WAITING: Final = 100
"""More than people can ask for in a minute; each is under 2 kB."""
TRY_AFTER_S: Final = (0.0, 1.0, 5.0, 20.0)
ANSWER_WITHIN_S: Final = 5.0
_SAID: Final = {
    "requested": "asks for",
    "approved once": "has one more yes for",
    "approved": "may use",
    "denied": "was denied",
    "withdrawn": "no longer asks for",
    "expired": "got no answer about",
    "revoked": "had to give back",
    "ended": "has given back, as the time was over,",
    "reviewed": "had borrowed (reviewed by now)",
}
# httpx writes the URL of each call into its own log.
logging.getLogger("httpx").setLevel(logging.WARNING)
logging.getLogger("httpcore").setLevel(logging.WARNING)


class Webhook:
    """One worker's way to the webhook."""

    def __init__(
        self,
        settings: WebhookSettings,
        metrics: Metrics,
        *,
        try_after_s: Sequence[float] = TRY_AFTER_S,
    ) -> None:
        """Begin with nothing to tell.

        Args:
            settings: where.
            metrics: counts how it went.
            try_after_s: seconds to wait before each try.
        """
        self._settings = settings
        self._metrics = metrics
        self._try_after_s = try_after_s
        self._waiting: asyncio.Queue[dict[str, object]] = asyncio.Queue(MOST_WAITING)

    def tell(self, event: str, grant: Grant) -> None:
        """Have it told; returns at once."""
        try:
            self._waiting.put_nowait(message(event, grant))
        except asyncio.QueueFull:
            self._metrics.webhooks.add(("dropped",))

    async def follow(self) -> None:
        """Tell what is there to tell, until cancelled."""
        while True:
            body = await self._waiting.get()
            is_told = await self._post(body)
            self._metrics.webhooks.add(("ok" if is_told else "failed",))

    async def _post(self, body: dict[str, object]) -> bool:
        problem = ""
        for after_s in self._try_after_s:
            await asyncio.sleep(after_s)
            try:
                async with httpx.AsyncClient(timeout=ANSWER_WITHIN_S) as client:
                    answer = await client.post(self._settings.url(), json=body)
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                # Its text may quote the URL.
                problem = type(error).__name__
            except ConfigError as error:
                problem = error.message
            else:
                if answer.is_success:
                    return True
                problem = f"status {answer.status_code}"
        _log.warning("webhook_failed", problem=problem, told=body["event"])
        return False


def message(event: str, grant: Grant) -> dict[str, object]:
    """What is posted: `text` for a chat, the rest for machines."""
    said = _SAID.get(event, event)
    text = (
        f'{grant.id}: "{grant.identity}" {said} role "{grant.role}" for '
        f"{in_words(grant.length_s)}: {grant.reason}"
    )
    if grant.closed_by:
        text += f" (by {grant.closed_by}" + (f": {grant.note})" if grant.note else ")")
    return {
        "text": _as_chat(text),
        "event": event,
        "grant": grant.id,
        "identity": grant.identity,
        "role": grant.role,
        "state": str(grant.state),
        "reason": grant.reason,
        "length_s": grant.length_s,
        "approved_by": [each.name for each in grant.approvals],
        "until": None if grant.ends_at is None else grant.ends_at.isoformat(),
        "by": grant.reviewed_by or grant.closed_by or None,
        "note": grant.review or grant.note or None,
    }


def _as_chat(text: str) -> str:
    """Nobody is called by what somebody wrote: `<!channel>` is a call in Slack."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
