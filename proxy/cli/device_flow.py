"""The device flow, the client's side: a code for the person's browser, a token for us.

Next: `proxy.cli.login`. https://www.rfc-editor.org/rfc/rfc8628
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from proxy.errors import ConfigError, LoginError, UnavailableError
from proxy.server.fetch import ask, is_safe, json_object
from proxy.server.issuers import discover

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    import httpx

GRANT: Final = "urn:ietf:params:oauth:grant-type:device_code"
DEFAULT_INTERVAL_S: Final = 5.0
"""Section 3.2: where the issuer says nothing."""
SLOW_DOWN_S: Final = 5.0
"""Section 3.5: by so much more on each `slow_down`."""
MAX_INTERVAL_S: Final = 60.0
MAX_WAIT_S: Final = 1800.0
"""Longer than any issuer's code is good; the person has gone home."""


@dataclass(frozen=True, slots=True)
class Flow:
    """One request that a person has yet to approve."""

    user_code: str
    url: str
    complete_url: str
    expires_in_s: float
    interval_s: float
    device_code: str = field(repr=False)


class Device:
    """An issuer, as the client `client_id` sees it."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        issuer: str,
        *,
        client_id: str,
        client_secret: str = "",
    ) -> None:
        self._client = client
        self._issuer = issuer
        self._client_id = client_id
        self._client_secret = client_secret
        self._token_url = ""

    async def begin(self, wanted: Mapping[str, str]) -> Flow:
        """Ask for a code.

        Args:
            wanted: scope, resource, audience: what the token should be for.

        Raises:
            UnavailableError: the issuer can't be reached, or answers nonsense.
            ConfigError: it knows no device flow, or will not have this client.
        """
        document = await discover(self._client, self._issuer)
        self._token_url = self._endpoint(document, "token_endpoint")
        url = self._endpoint(document, "device_authorization_endpoint")
        status, found = await self._post(url, dict(wanted))
        if status != 200:
            raise ConfigError(f'issuer "{self._issuer}" refuses: {_said(found)}')
        address = found.get("verification_uri") or found.get("verification_url")
        texts = (found.get("user_code"), address, found.get("device_code"))
        if not all(isinstance(text, str) and text for text in texts):
            raise UnavailableError(f'issuer "{self._issuer}" sent no code')
        user_code, shown, device_code = map(str, texts)
        complete = found.get("verification_uri_complete")
        return Flow(
            user_code,
            shown,
            complete if isinstance(complete, str) else "",
            min(_seconds(found, "expires_in", MAX_WAIT_S), MAX_WAIT_S),
            min(_seconds(found, "interval", DEFAULT_INTERVAL_S), MAX_INTERVAL_S),
            device_code,
        )

    async def wait(
        self,
        flow: Flow,
        *,
        sleep: Callable[[float], Awaitable[object]],
        clock: Callable[[], float],
    ) -> Mapping[str, Any]:
        """What the issuer gives once the person has approved.

        Raises:
            LoginError: the person said no, or nothing in time.
            ConfigError: the issuer refuses for another reason.
        """
        until_s, interval_s = clock() + flow.expires_in_s, flow.interval_s
        form = {"grant_type": GRANT, "device_code": flow.device_code}
        while clock() + interval_s < until_s:
            await sleep(interval_s)
            try:
                status, found = await self._post(self._token_url, form)
            except UnavailableError:
                # Section 3.5: go on, less often.
                interval_s = min(interval_s * 2, MAX_INTERVAL_S)
                continue
            if status == 200:
                return found
            match found.get("error"):
                case "authorization_pending":
                    continue
                case "slow_down":
                    interval_s = min(interval_s + SLOW_DOWN_S, MAX_INTERVAL_S)
                case "access_denied":
                    raise LoginError("the log-in was denied in the browser")
                case "expired_token":
                    break
                case _:
                    raise ConfigError(
                        f'issuer "{self._issuer}" refuses: {_said(found)}'
                    )
        raise LoginError(
            "the code was not approved in time", hint="run the command again"
        )

    def _endpoint(self, document: Mapping[str, Any], name: str) -> str:
        url = document.get(name)
        if url is None:
            raise ConfigError(
                f'issuer "{self._issuer}" has no "{name}": it does not know the '
                "device flow"
            )
        if not isinstance(url, str) or not is_safe(url, like=self._issuer):
            raise UnavailableError(f'discovery: "{name}" is no https URL')
        return url

    async def _post(
        self, url: str, form: dict[str, str]
    ) -> tuple[int, Mapping[str, Any]]:
        form = form | {"client_id": self._client_id}
        if self._client_secret:
            form["client_secret"] = self._client_secret
        answer = await ask(self._client, url, form)
        try:
            return answer.status, json_object(answer.body)
        except UnavailableError as error:
            raise UnavailableError(
                f'issuer "{self._issuer}" answered with status {answer.status}: '
                f"{error.message}"
            ) from None


def _seconds(found: Mapping[str, Any], name: str, usual: float) -> float:
    value = found.get(name, usual)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and value > 0 else usual


def _said(found: Mapping[str, Any]) -> str:
    said = found.get("error_description") or found.get("error") or "no reason given"
    return str(said)[:200]
