"""Issuers and their keys: found, fetched, kept while they are down, renewed.

A key that nobody has seen has the set fetched anew, once for everybody who waits and
not more often than `REFETCH_EVERY_S`: tokens come from anyone, and must not make us
hammer an issuer. What was fetched stays usable for a bounded time, and no longer.
Next: `proxy.auth.tokens`, which verifies; `proxy.server.entrance`, which asks.
https://openid.net/specs/openid-connect-discovery-1_0.html section 4.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import structlog

from proxy.auth.keys import parse_key_set
from proxy.auth.tokens import Fault, TokenError, verify
from proxy.errors import UnavailableError
from proxy.server.fetch import client_for, fetch, is_safe, json_object

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import httpx

    from proxy.auth.keys import KeySet
    from proxy.auth.tokens import Issuer, Verified
    from proxy.issuer_metrics import IssuerMetrics
    from proxy.issuer_settings import IssuerSettings
    from proxy.server.tasks import Tasks

_log = structlog.get_logger("issuers")

REFETCH_EVERY_S: Final = 10.0
"""Least time between two fetches, whatever tokens come and however they end; less where
the operator wants the keys fetched oftener than that (`keys_fresh_s`)."""
LOOK_EVERY_S: Final = 5.0
PATIENCE_S: Final = 60.0
"""How long after the start an issuer without keys keeps pgwarden from being ready: a
new deployment that can't reach it is stopped before it replaces a good one. Later on
readiness must not hang on an issuer, or its outage would lock out everybody else."""
DISCOVERY: Final = "/.well-known/openid-configuration"


class Issuers:
    """All issuers of the settings."""

    def __init__(
        self,
        settings: Mapping[str, IssuerSettings],
        *,
        tasks: Tasks,
        counters: IssuerMetrics,
        clock: Callable[[], float],
    ) -> None:
        """Begin without any key; nothing is fetched before `follow`.

        Args:
            settings: by name.
            tasks: where fetches run.
            counters: what is told of them.
            clock: monotonic seconds.

        Raises:
            ConfigError: a CA file can't be used.
        """
        self._counters = counters
        counters.ages = self.ages
        self._clock = clock
        self._started_s = clock()
        self._known = {
            name: _Keys(name, each, tasks=tasks, counters=counters, clock=clock)
            for name, each in settings.items()
        }

    def __contains__(self, name: str) -> bool:
        return name in self._known

    def issuer(self, name: str) -> Issuer:
        """How its tokens are checked."""
        return self._known[name].issuer

    def settings(self, name: str) -> IssuerSettings:
        """Its section of the settings."""
        return self._known[name].settings

    async def verify(self, name: str, token: bytes, *, now: float) -> Verified:
        """Check a token; may wait for keys.

        Args:
            name: of the issuer.
            token: as the client sent it.
            now: seconds since the epoch.

        Raises:
            TokenError: it proves nothing, or its issuer's keys can't be had.
        """
        try:
            found = await self._verify(name, token, now)
        except TokenError as problem:
            self._counters.token(name, problem.fault)
            raise
        self._counters.token(name, "ok")
        return found

    async def _verify(self, name: str, token: bytes, now: float) -> Verified:
        known = self._known.get(name)
        if known is None:
            raise TokenError(Fault.NO_KEYS, f'there is no issuer "{name}"')
        keys = await known.usable()
        try:
            return verify(token, known.issuer, keys, now=now)
        except TokenError as problem:
            if problem.fault is not Fault.UNKNOWN_KEY:
                raise
            newer = await known.newer_than(keys)
            if newer is keys:
                raise
        return verify(token, known.issuer, newer, now=now)

    async def follow(self) -> None:
        """Fetch what is missing or old, until cancelled."""
        while self._known:
            for keys in self._known.values():
                keys.renew_if_old()
            every_s = min(each.settings.keys_fresh_s for each in self._known.values())
            await asyncio.sleep(min(LOOK_EVERY_S, every_s))

    async def close(self) -> None:
        """Close what is open towards the issuers."""
        for keys in self._known.values():
            await keys.close()

    def problems(self) -> list[str]:
        """What keeps pgwarden from being ready soon after its start."""
        if self._clock() - self._started_s > PATIENCE_S:
            return []
        return [
            f'the keys of issuer "{name}" are not there yet'
            for name, keys in self._known.items()
            if not keys.are_usable
        ]

    def ages(self) -> dict[str, float]:
        """For how many seconds each issuer's keys have been in use unconfirmed."""
        found = {name: keys.age_s for name, keys in self._known.items()}
        return {name: age for name, age in found.items() if age is not None}


class _Keys:
    """The keys of one issuer."""

    def __init__(
        self,
        name: str,
        settings: IssuerSettings,
        *,
        tasks: Tasks,
        counters: IssuerMetrics,
        clock: Callable[[], float],
    ) -> None:
        self.settings = settings
        self.issuer = settings.issuer(name)
        self._name = name
        self._tasks = tasks
        self._counters = counters
        self._clock = clock
        self._client = client_for(settings.ca)
        self._refetch_every_s = min(REFETCH_EVERY_S, settings.keys_fresh_s)
        self._keys: KeySet | None = None
        self._fetched_s = 0.0
        self._tried_s: float | None = None
        self._work: asyncio.Task[None] | None = None
        self._problem = ""

    @property
    def age_s(self) -> float | None:
        """Seconds since the keys were fetched; None if they never were."""
        return None if self._keys is None else self._clock() - self._fetched_s

    @property
    def are_usable(self) -> bool:
        """Whether there are keys, and not too old."""
        age_s = self.age_s
        return age_s is not None and age_s <= self.settings.keys_usable_s

    def renew_if_old(self) -> None:
        """Fetch in the background what is missing or no longer fresh."""
        age_s = self.age_s
        if age_s is None or age_s > self.settings.keys_fresh_s:
            self._begin()

    async def usable(self) -> KeySet:
        """The keys, fetched now if there are none that may be used.

        Raises:
            TokenError: they can't be had.
        """
        if not self.are_usable:
            await self._renewed()
        if self._keys is None or not self.are_usable:
            raise TokenError(
                Fault.NO_KEYS,
                f'the keys of issuer "{self._name}" can\'t be had: '
                f"{self._problem or ('too old' if self._keys else 'not tried yet')}",
            )
        return self._keys

    async def newer_than(self, keys: KeySet) -> KeySet:
        """Other keys than these, if there are any by now."""
        if self._keys is keys:
            await self._renewed()
        return self._keys or keys

    async def close(self) -> None:
        if self._work is not None:
            self._work.cancel()
        await self._client.aclose()

    async def _renewed(self) -> None:
        self._begin()
        if self._work is not None:
            # A client that goes away must not take the fetch from the others.
            await asyncio.wait({self._work})

    def _begin(self) -> None:
        if self._work is not None and not self._work.done():
            return
        now_s = self._clock()
        if self._tried_s is not None and now_s - self._tried_s < self._refetch_every_s:
            self._work = None
            return
        self._tried_s = now_s
        self._work = self._tasks.spawn(self._renew())

    async def _renew(self) -> None:
        try:
            keys = await self._fetch()
        except UnavailableError as error:
            self._counters.fetch(self._name, is_ok=False)
            if error.message != self._problem:
                _log.error(
                    "issuer_problem",
                    issuer=self._name,
                    problem=error.message,
                    usable_for_s=self._usable_for_s(),
                )
            self._problem = error.message
            return
        self._counters.fetch(self._name, is_ok=True)
        if self._problem or self._keys is None:
            _log.info("issuer_keys", issuer=self._name, keys=len(keys))
        self._problem = ""
        self._keys, self._fetched_s = keys, self._clock()

    def _usable_for_s(self) -> int:
        age_s = self.age_s
        return 0 if age_s is None else max(0, int(self.settings.keys_usable_s - age_s))

    async def _fetch(self) -> KeySet:
        url = self.settings.url
        document = await discover(self._client, url)
        keys_url = document.get("jwks_uri")
        if not isinstance(keys_url, str) or not is_safe(keys_url, like=url):
            raise UnavailableError('discovery: "jwks_uri" is no https URL')
        return parse_key_set(await _named(self._client, keys_url, "key set"))


async def discover(client: httpx.AsyncClient, url: str) -> Mapping[str, Any]:
    """What an issuer says of itself.

    Raises:
        UnavailableError: it can't be had, or is another's.
    """
    data = await _named(client, url.rstrip("/") + DISCOVERY, "discovery")
    try:
        document = json_object(data)
    except UnavailableError as error:
        raise UnavailableError(f"discovery: {error.message}") from None
    if document.get("issuer") != url:
        # Section 4.3: another name there, and its keys are another's too.
        raise UnavailableError("discovery: it names another issuer")
    return document


async def _named(client: httpx.AsyncClient, url: str, what: str) -> bytes:
    try:
        return await fetch(client, url)
    except UnavailableError as error:
        raise UnavailableError(f"{what}: {error.message}") from None
