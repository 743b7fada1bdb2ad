"""The webhook: what it says, that it tries again, and that nobody waits for it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from proxy.access.grant import Grant, State
from proxy.access_settings import WebhookSettings
from proxy.errors import ConfigError
from proxy.metrics import Metrics
from proxy.server.webhook import MOST_WAITING, Webhook, message

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

NOW = datetime(2026, 11, 26, 16, 0, tzinfo=UTC)
GRANT = Grant(
    id="G-7K3QX2MA",
    identity="dana",
    own_role="developer",
    role="writer",
    length_s=1800,
    reason="INC-42: <!channel> & order 17",
    requested_at=NOW,
    pending_until=NOW,
)


@contextlib.asynccontextmanager
async def receiver(*statuses: int) -> AsyncIterator[tuple[int, list[dict[str, Any]]]]:
    """A real HTTP server that answers with these, one after the other."""
    told: list[dict[str, Any]] = []
    left = list(statuses)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        fields = dict(
            line.lower().split(": ", 1)
            for line in head.decode().split("\r\n")
            if ": " in line
        )
        told.append(json.loads(await reader.readexactly(int(fields["content-length"]))))
        status = left.pop(0) if left else 200
        writer.write(b"HTTP/1.1 %d x\r\nContent-Length: 0\r\n\r\n" % status)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], told


def metrics() -> Metrics:
    return Metrics(version="test", started=0.0)


def counted(found: Metrics) -> dict[str, float]:
    series = found.snapshot(0.0).values["pgwarden_access_webhook_total"]
    return {labels[0]: value for labels, value in series}


async def told_of(
    monkeypatch: pytest.MonkeyPatch, *statuses: int
) -> tuple[list[dict[str, Any]], dict[str, float]]:
    found = metrics()
    async with receiver(*statuses) as (port, told):
        monkeypatch.setenv("HOOK", f"http://127.0.0.1:{port}/services/SECRET")
        settings = WebhookSettings(url_env="HOOK")
        webhook = Webhook(settings, found, try_after_s=(0.0, 0.0, 0.0))
        webhook.tell("requested", GRANT)
        async with asyncio.timeout(5):
            following = asyncio.ensure_future(webhook.follow())
            while not counted(found):  # noqa: ASYNC110 - a test
                await asyncio.sleep(0.01)
        following.cancel()
    return told, counted(found)


async def test_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    told, count = await told_of(monkeypatch)
    assert count == {"ok": 1}
    (body,) = told
    assert body["text"] == (
        'G-7K3QX2MA: "dana" asks for role "writer" for 30m: INC-42: '
        "&lt;!channel&gt; &amp; order 17"
    )
    assert (body["event"], body["grant"]) == ("requested", GRANT.id)
    assert body["reason"] == GRANT.reason


async def test_it_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    told, count = await told_of(monkeypatch, 500, 503)
    assert len(told) == 3
    assert count == {"ok": 1}


async def test_it_is_given_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    told, count = await told_of(monkeypatch, 500, 500, 500)
    assert len(told) == 3
    assert count == {"failed": 1}
    assert "SECRET" not in caplog.text


async def test_nobody_waits_for_it() -> None:
    found = metrics()
    webhook = Webhook(WebhookSettings(url_env="NONE"), found)
    for _ in range(MOST_WAITING + 3):
        webhook.tell("requested", GRANT)
    assert counted(found) == {"dropped": 3}


def test_what_it_says_of_the_end() -> None:
    denied = replace(GRANT, state=State.DENIED, closed_by="lea", note="not now")
    assert str(message("denied", denied)["text"]).endswith("(by lea: not now)")


def test_where_the_url_comes_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "url"
    file.write_text("https://hooks.example/x\n")
    assert WebhookSettings(url_file=file).url() == "https://hooks.example/x"
    monkeypatch.setenv("HOOK", "http://hooks.example/x")
    with pytest.raises(ConfigError, match="must begin with https") as caught:
        WebhookSettings(url_env="HOOK").url()
    assert "hooks.example" not in str(caught.value)
    for wrong in ({}, {"url_env": "A", "url_file": "b"}):
        with pytest.raises(ValueError, match="give either"):
            WebhookSettings.model_validate(wrong)
