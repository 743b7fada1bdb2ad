"""The device flow against an issuer whose every answer is ours: patience, its end."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from proxy.cli.device_flow import Device
from proxy.errors import ConfigError, LoginError, PgwardenError, UnavailableError
from proxy.server.fetch import client_for
from tests.key_server import DISCOVERY, KeyServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from http.server import BaseHTTPRequestHandler
    from pathlib import Path

START = {
    "device_code": "of the device",
    "user_code": "ABCD-EFGH",
    "verification_uri": "https://issuer.example/device",
    "expires_in": 100,
    "interval": 5,
}


@dataclass
class Time:
    """A clock that goes on only while somebody sleeps."""

    now_s: float = 0.0
    slept: list[float] = field(default_factory=list)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now_s += seconds

    def clock(self) -> float:
        return self.now_s


@pytest.fixture
def server(tmp_path: Path) -> Iterator[KeyServer]:
    with KeyServer(tmp_path / "ca.pem") as found:
        document = {
            "issuer": found.url,
            "token_endpoint": found.url + "/token",
            "device_authorization_endpoint": found.url + "/device",
        }
        found.answers = {
            DISCOVERY: said(document),
            "/device": said(START),
        }
        yield found


def said(document: object, status: int = 200) -> Any:
    return (status, {}, json.dumps(document).encode())


def error(name: str) -> Any:
    return said({"error": name, "error_description": f"it is {name}"}, 400)


def script(*answers: Any) -> Any:
    """Each answer once, the last one for ever."""
    left = list(answers)

    def answer(handler: BaseHTTPRequestHandler) -> None:
        status, _, body = left.pop(0) if len(left) > 1 else left[0]
        if not status:
            handler.close_connection = True
            return
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


CUT: Any = (0, {}, b"")


@asynccontextmanager
async def device(server: KeyServer, **more: Any) -> AsyncIterator[Device]:
    async with client_for(server.ca) as client:
        yield Device(client, server.url, client_id="pgwarden", **more)


async def waited(server: KeyServer, *answers: Any) -> tuple[Any, Time]:
    server.answers["/token"] = script(*answers)
    time = Time()
    async with device(server) as at:
        flow = await at.begin({"scope": "openid"})
        return await at.wait(flow, sleep=time.sleep, clock=time.clock), time


async def test_it_polls_as_told_and_slows_down_when_asked(server: KeyServer) -> None:
    got, time = await waited(
        server,
        error("authorization_pending"),
        error("slow_down"),
        error("authorization_pending"),
        error("slow_down"),
        said({"access_token": "a.b.c"}),
    )
    assert got == {"access_token": "a.b.c"}
    assert time.slept == [5, 5, 10, 10, 15]
    asked, *polls = server.forms
    assert asked == {"scope": "openid", "client_id": "pgwarden"}
    assert polls[0] == {
        "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
        "device_code": "of the device",
        "client_id": "pgwarden",
    }


async def test_a_cut_connection_is_no_end(server: KeyServer) -> None:
    got, time = await waited(server, CUT, CUT, said({"access_token": "a.b.c"}))
    assert got
    assert time.slept == [5, 10, 20]


@pytest.mark.parametrize(
    ("answer", "kind", "told"),
    [
        (error("access_denied"), LoginError, "denied in the browser"),
        (error("expired_token"), LoginError, "not approved in time"),
        (error("authorization_pending"), LoginError, "not approved in time"),
        (error("slow_down"), LoginError, "not approved in time"),
        (error("invalid_client"), ConfigError, "it is invalid_client"),
        (said([], 400), LoginError, "not approved in time"),
        (said({}, 500), ConfigError, "no reason given"),
    ],
)
async def test_it_ends_with_a_reason(
    server: KeyServer, answer: Any, kind: type[PgwardenError], told: str
) -> None:
    with pytest.raises(kind, match=told):
        await waited(server, answer)
    # The code was good for 100 s.
    assert server.asked["/token"] <= 20


@pytest.mark.parametrize(
    ("path", "answer", "kind", "told"),
    [
        (DISCOVERY, said({"issuer": "x"}), UnavailableError, "another issuer"),
        ("/device", error("invalid_scope"), ConfigError, "it is invalid_scope"),
        ("/device", said({}), UnavailableError, "sent no code"),
        ("/device", said(START | {"user_code": 7}), UnavailableError, "sent no code"),
        ("/device", (200, {}, b"<html>"), UnavailableError, "not JSON"),
        ("/device", (404, {}, b""), UnavailableError, "status 404"),
    ],
)
async def test_an_issuer_that_will_not(
    server: KeyServer, path: str, answer: Any, kind: type[PgwardenError], told: str
) -> None:
    server.answers[path] = answer
    async with device(server) as at:
        with pytest.raises(kind, match=told):
            await at.begin({})


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"device_authorization_endpoint": None}, "does not know the device flow"),
        ({"token_endpoint": "http://issuer.example/token"}, "no https URL"),
        ({"token_endpoint": 7}, "no https URL"),
    ],
)
async def test_a_discovery_document_that_leads_elsewhere(
    server: KeyServer, change: dict[str, object], told: str
) -> None:
    document = {
        "issuer": server.url,
        "token_endpoint": server.url + "/token",
        "device_authorization_endpoint": server.url + "/device",
    }
    server.answers[DISCOVERY] = said(document | change)
    async with device(server) as at:
        with pytest.raises(PgwardenError, match=told):
            await at.begin({})
    assert server.forms == []


async def test_odd_numbers_are_held_within_reason(server: KeyServer) -> None:
    for value in (-1, 0, "5", None, True, 1e9):
        server.answers["/device"] = said(
            START | {"interval": value, "expires_in": value}
        )
        async with device(server) as at:
            flow = await at.begin({})
        assert 1 <= flow.interval_s <= 60
        assert 1 <= flow.expires_in_s <= 1800
        assert "of the device" not in repr(flow)


async def test_a_secret_goes_into_the_form_alone(server: KeyServer) -> None:
    async with device(server, client_secret="hidden") as at:
        await at.begin({})
    assert server.forms[0]["client_secret"] == "hidden"
    assert not any("hidden" in path for path in server.asked)
