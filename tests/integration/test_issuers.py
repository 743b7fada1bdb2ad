"""Keys from an issuer over real TLS: found, kept, renewed, and given up in time.

The clock is the test's own, so that an hour takes no time; sockets and TLS are real.
"""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from proxy.auth.tokens import Fault, TokenError
from proxy.errors import ConfigError
from proxy.issuer_metrics import IssuerMetrics
from proxy.issuer_settings import IssuerSettings
from proxy.server import fetch
from proxy.server.issuers import PATIENCE_S, REFETCH_EVERY_S, Issuers
from proxy.server.tasks import Tasks
from tests.key_server import DISCOVERY, KEYS, KeyServer, drip, flood
from tests.unit.auth.token_maker import AUDIENCE, Key, ec_key, key_set, rsa_key

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

NOW = 1_800_000_000.0
FIRST, SECOND, STRANGER = ec_key("first"), ec_key("second"), rsa_key("stranger")


@dataclass
class Clock:
    """Stands still until it is moved."""

    now_s: float = 100.0

    def __call__(self) -> float:
        return self.now_s


@dataclass
class Rig:
    """Issuers with one issuer, and their clock."""

    issuers: Issuers
    server: KeyServer
    counters: IssuerMetrics
    clock: Clock

    async def ask(self, key: Key, **change: Any) -> str:
        """ "ok", or why not."""
        claims = {
            "iss": self.server.url,
            "aud": AUDIENCE,
            "sub": "s",
            "exp": int(NOW) + 60,
        }
        token = key.sign(claims | change)
        try:
            await self.issuers.verify("forge", token, now=NOW)
        except TokenError as problem:
            return problem.fault
        return "ok"

    @property
    def fetched(self) -> int:
        return self.server.asked[KEYS]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[KeyServer]:
    with KeyServer(tmp_path / "ca.pem") as found:
        found.publish(key_set(FIRST))
        yield found


@asynccontextmanager
async def rig(server: KeyServer, **settings: Any) -> AsyncIterator[Rig]:
    tasks, counters = Tasks(), IssuerMetrics()
    section = {"url": server.url, "audience": AUDIENCE, "ca": server.ca} | settings
    clock = Clock()
    issuers = Issuers(
        {"forge": IssuerSettings.model_validate(section)},
        tasks=tasks,
        counters=counters,
        clock=clock,
    )
    yield Rig(issuers, server, counters, clock)
    await issuers.close()
    await tasks.finish(1.0)


async def test_keys_are_fetched_once_and_kept(server: KeyServer) -> None:
    async with rig(server) as at:
        many = await asyncio.gather(*[at.ask(FIRST) for _ in range(20)])
        assert set(many) == {"ok"}
        at.clock.now_s += 3000
        assert await at.ask(FIRST) == "ok"
        assert (server.asked[DISCOVERY], at.fetched) == (1, 1)
        assert at.counters.tokens["forge", "ok"] == 21
        assert at.issuers.ages() == {"forge": 3000}


async def test_a_new_key_is_found_and_an_old_one_forgotten(server: KeyServer) -> None:
    async with rig(server) as at:
        assert await at.ask(FIRST) == "ok"
        server.publish(key_set(SECOND))
        at.clock.now_s += REFETCH_EVERY_S
        assert await at.ask(SECOND) == "ok"
        assert await at.ask(FIRST) == Fault.UNKNOWN_KEY
        assert at.fetched == 2


async def test_unknown_keys_do_not_hammer_the_issuer(server: KeyServer) -> None:
    async with rig(server) as at:
        assert await at.ask(FIRST) == "ok"
        for _ in range(10):
            at.clock.now_s += 1
            forged = [at.ask(STRANGER) for _ in range(50)]
            assert set(await asyncio.gather(*forged)) == {Fault.UNKNOWN_KEY}
            assert await at.ask(FIRST) == "ok"
        # Ten seconds, five hundred forgeries: the first fetch, and one more.
        assert at.fetched == 2


async def test_who_wants_keys_oftener_has_them_oftener(server: KeyServer) -> None:
    async with rig(server, keys_fresh_s=2) as at:
        assert await at.ask(FIRST) == "ok"
        for _ in range(10):
            at.clock.now_s += 1
            assert await at.ask(STRANGER) == Fault.UNKNOWN_KEY
        assert at.fetched == 6


async def test_a_known_key_never_waits_for_a_slow_issuer(server: KeyServer) -> None:
    async with rig(server) as at:
        assert await at.ask(FIRST) == "ok"
        server.answers[DISCOVERY] = drip(3.0)
        at.clock.now_s += REFETCH_EVERY_S
        forged = asyncio.ensure_future(at.ask(STRANGER))
        await asyncio.sleep(0.1)
        began = time.monotonic()
        assert await at.ask(FIRST) == "ok"
        assert time.monotonic() - began < 0.5
        forged.cancel()


async def test_while_it_is_down_the_keys_stay_for_a_time(server: KeyServer) -> None:
    async with rig(server, keys_fresh_s=60, keys_usable_s=600) as at:
        assert await at.ask(FIRST) == "ok"
        server.answers.clear()
        at.clock.now_s += 599
        at.issuers._known["forge"].renew_if_old()
        assert await at.ask(FIRST) == "ok"
        await asyncio.sleep(0.2)
        assert at.counters.fetches["forge", "failed"] >= 1
        at.clock.now_s += 2
        assert await at.ask(FIRST) == Fault.NO_KEYS
        # It is back, and so are its people.
        server.publish(key_set(FIRST))
        at.clock.now_s += REFETCH_EVERY_S
        assert await at.ask(FIRST) == "ok"


async def test_old_keys_are_renewed_without_any_login(server: KeyServer) -> None:
    async with rig(server, keys_fresh_s=60) as at:
        following = asyncio.ensure_future(at.issuers.follow())
        await _until(lambda: at.issuers.ages() == {"forge": 0.0})
        following.cancel()
        at.clock.now_s += 61
        server.publish(key_set(SECOND))
        following = asyncio.ensure_future(at.issuers.follow())
        await _until(lambda: at.issuers.ages() == {"forge": 0.0})
        following.cancel()
        assert await at.ask(FIRST) == Fault.UNKNOWN_KEY
        assert at.fetched == 2


async def _until(holds: Any) -> None:
    for _ in range(500):
        if holds():
            return
        await asyncio.sleep(0.01)
    pytest.fail("not within 5 s")


async def test_readiness_waits_for_keys_but_not_for_ever(server: KeyServer) -> None:
    async with rig(server) as at:
        assert at.issuers.problems() == ['the keys of issuer "forge" are not there yet']
        assert await at.ask(FIRST) == "ok"
        assert at.issuers.problems() == []
    server.answers.clear()
    async with rig(server) as at:
        assert await at.ask(FIRST) == Fault.NO_KEYS
        assert at.issuers.problems() != []
        at.clock.now_s += PATIENCE_S + 1
        assert at.issuers.problems() == []


# --- an issuer that is broken, or not the one --------------------------------


def _moved(to: str) -> Any:
    return lambda s: (302, {"Location": s.url + to}, b"")


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        (DISCOVERY, (200, {}, b"<html>")),
        (DISCOVERY, (200, {}, b"[]")),
        (DISCOVERY, (200, {}, b"[" * 100_000)),
        (DISCOVERY, (200, {}, b"{}")),
        (DISCOVERY, (500, {}, b"")),
        (DISCOVERY, (200, {}, b" " * 300_000)),
        (DISCOVERY, _moved("/elsewhere")),
        (KEYS, (200, {}, b"")),
        (KEYS, (200, {}, b'{"keys": []}')),
        (KEYS, (404, {}, key_set(FIRST))),
        (KEYS, (200, {"Content-Encoding": "gzip"}, b"\x1f\x8b\x08")),
        (KEYS, flood(64 * 1024 * 1024)),
        (KEYS, _moved("/moved")),
    ],
)
async def test_a_broken_issuer_lets_nobody_in(
    server: KeyServer, path: str, answer: Any
) -> None:
    good = server.answers[path]
    server.answers["/elsewhere"] = server.answers[DISCOVERY]
    server.answers["/moved"] = server.answers[KEYS]
    is_redirect = getattr(answer, "__name__", "") == "<lambda>"
    server.answers[path] = answer(server) if is_redirect else answer
    async with rig(server) as at:
        assert await at.ask(FIRST) == Fault.NO_KEYS
        assert server.asked["/elsewhere"] == server.asked["/moved"] == 0
        server.answers[path] = good
        at.clock.now_s += REFETCH_EVERY_S
        assert await at.ask(FIRST) == "ok"
        # And what it breaks later on does not spoil what is known.
        server.answers[path] = answer(server) if is_redirect else answer
        at.clock.now_s += REFETCH_EVERY_S
        assert await at.ask(STRANGER) == Fault.UNKNOWN_KEY
        assert await at.ask(FIRST) == "ok"


@pytest.mark.parametrize("path", [DISCOVERY, KEYS])
async def test_a_slow_issuer_is_given_up(
    server: KeyServer, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "FETCH_WITHIN_S", 0.5)
    server.answers[path] = drip(10.0)
    began = time.monotonic()
    async with rig(server) as at:
        assert await at.ask(FIRST) == Fault.NO_KEYS
    assert time.monotonic() - began < 3.0


@pytest.mark.parametrize(
    "lie",
    [
        {"issuer": "https://issuer.example"},
        {"issuer": None},
        {"jwks_uri": None},
        {"jwks_uri": "http://issuer.example/keys"},
        {"jwks_uri": "http://127.0.0.1:1/keys"},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": "https://user@localhost/keys"},
        {"jwks_uri": "https://"},
        {"jwks_uri": "https://[::1"},
        {"jwks_uri": "https://localhost:99999/"},
        {"jwks_uri": ["https://localhost/"]},
    ],
)
async def test_a_discovery_document_leads_nowhere_else(
    server: KeyServer, lie: dict[str, object]
) -> None:
    server.publish(key_set(FIRST), **lie)
    async with rig(server) as at:
        assert await at.ask(FIRST) == Fault.NO_KEYS
        assert at.fetched == 0


async def test_a_slash_at_the_end_is_part_of_the_name(server: KeyServer) -> None:
    async with rig(server, url=server.url + "/") as at:
        assert await at.ask(FIRST) == Fault.NO_KEYS


async def test_only_the_ca_of_the_settings_is_trusted(
    server: KeyServer, tmp_path: Path
) -> None:
    with KeyServer(tmp_path / "other.pem"):
        async with rig(server, ca=tmp_path / "other.pem") as at:
            assert await at.ask(FIRST) == Fault.NO_KEYS
    async with rig(server, ca=None) as at:
        assert await at.ask(FIRST) == Fault.NO_KEYS
    # By name, too: its certificate says "localhost".
    server.host = "127.0.0.1"
    server.publish(key_set(FIRST))
    async with rig(server) as at:
        assert await at.ask(FIRST) == Fault.NO_KEYS
    assert server.asked == {}


async def test_plain_http_is_for_loopback(tmp_path: Path) -> None:
    with KeyServer(tmp_path / "ca.pem", is_tls=False, host="127.0.0.1") as plain:
        plain.publish(key_set(FIRST))
        async with rig(plain, ca=None) as at:
            assert await at.ask(FIRST) == "ok"


async def test_what_the_environment_says_of_proxies_is_not_heard(
    server: KeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("no_proxy", "")
    async with rig(server) as at:
        assert await at.ask(FIRST) == "ok"


async def test_a_ca_file_that_is_none_is_told_at_once(
    server: KeyServer, tmp_path: Path
) -> None:
    for content, told in ((None, "can't be read"), ("nothing", "no certificate")):
        path = tmp_path / "bad.pem"
        if content is not None:
            path.write_text(content)
        with pytest.raises(ConfigError, match=told):
            async with rig(server, ca=path):
                pass


async def test_nothing_of_a_token_is_logged(
    server: KeyServer, capsys: pytest.CaptureFixture[str]
) -> None:
    async with rig(server) as at:
        await at.ask(FIRST)
        await at.ask(STRANGER)
        await at.ask(FIRST, aud="x", email="ann@acme.example")
    said = "".join(capsys.readouterr())
    assert "eyJ" not in said
    assert "ann@acme" not in said
    assert json.dumps({"at": "least"}) not in said
