"""The admin port's answers, headers and refusals, called as ASGI without a socket."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from proxy.console.app import HEADERS, admin_app, admin_server, listen
from proxy.errors import ConfigError
from proxy.metrics import Metrics, Snapshot

if TYPE_CHECKING:
    from collections.abc import Sequence


async def get(
    path: str, method: str = "GET", problems: Sequence[str] = ()
) -> tuple[int, dict[str, str], bytes]:
    metrics = Metrics(version="1.2.3", started=0.0)
    metrics.tally.statement("developer", "ddl", rule="<script>", decision_s=0.1)
    metrics.session_opened("developer")

    async def snapshot() -> Snapshot:
        return metrics.snapshot(3_700.0)

    async def standing() -> Sequence[str]:
        return problems

    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "root_path": "",
        "query_string": b"",
        "headers": [],
    }
    await admin_app(snapshot=snapshot, problems=standing)(scope, receive, send)
    headers = {key.decode(): value.decode() for key, value in sent[0]["headers"]}
    body = b"".join(message.get("body", b"") for message in sent[1:])
    return sent[0]["status"], headers, body


async def test_metrics_are_prometheus_text() -> None:
    status, headers, body = await get("/metrics")
    assert status == 200
    assert headers["content-type"].startswith("text/plain; version=0.0.4")
    assert b'pgwarden_sessions_open{role="developer"} 1.0\n' in body


async def test_health_does_not_depend_on_readiness() -> None:
    status, _, body = await get("/healthz", problems=["upstream is unreachable"])
    assert (status, body) == (200, b"ok\n")


async def test_readiness_names_what_is_missing() -> None:
    status, _, body = await get("/readyz")
    assert (status, json.loads(body)) == (200, {"status": "ready", "problems": []})
    status, _, body = await get("/readyz", problems=["upstream is unreachable"])
    assert status == 503
    assert json.loads(body)["problems"] == ["upstream is unreachable"]


async def test_what_only_needs_a_look_keeps_it_ready() -> None:
    async def nothing() -> Sequence[str]:
        return []

    async def warned() -> Sequence[str]:
        return ["host b is down"]

    async def numbers() -> Snapshot:
        return Metrics(version="1", started=0.0).snapshot(0.0)

    app = admin_app(snapshot=numbers, problems=nothing, warnings=warned)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(
        transport=transport, base_url="http://admin"
    ) as client:
        answer = await client.get("/readyz")
    assert answer.status_code == 200
    assert answer.json() == {
        "status": "ready", "problems": [], "warnings": ["host b is down"],
    }  # fmt: skip


async def test_the_page_is_plain_and_escaped() -> None:
    status, headers, body = await get("/", problems=["<b>audit</b>"])
    text = body.decode()
    assert status == 200
    assert headers["content-type"].startswith("text/html")
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert "&lt;b&gt;audit" in text
    assert "<td>1 h 1 min</td>" in text
    assert '<td class="bad">deny</td>' in text
    assert "none yet" in text
    assert "<title>pgwarden: not ready</title>" in text
    assert "://" not in text
    _, _, body = await get("/")
    assert b"Ready: statements are guarded" in body
    assert b"<title>pgwarden: ready</title>" in body


@pytest.mark.parametrize(
    ("path", "method", "expected"),
    [
        ("/", "HEAD", 200),
        ("/metrics", "HEAD", 200),
        ("/", "POST", 405),
        ("/metrics", "DELETE", 405),
        ("/readyz", "PUT", 405),
        ("/../etc/passwd", "GET", 404),
        ("/favicon.ico", "GET", 404),
    ],
)
async def test_only_reading_and_the_same_headers_everywhere(
    path: str, method: str, expected: int
) -> None:
    status, headers, _ = await get(path, method)
    assert status == expected
    assert HEADERS.items() <= headers.items()


def test_the_policy_allows_the_style_and_nothing_else() -> None:
    policy = HEADERS["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy


def test_a_busy_port_is_one_clear_line() -> None:
    first = listen("127.0.0.1", 0)
    try:
        port = first.getsockname()[1]
        with pytest.raises(ConfigError, match=f"admin port 127.0.0.1:{port} can't be"):
            listen("127.0.0.1", port)
    finally:
        first.close()
    with pytest.raises(ConfigError, match="admin address"):
        listen("no.such.host.invalid", 0)


def test_the_server_leaves_signals_alone() -> None:
    async def nothing() -> Any: ...

    server = admin_server(admin_app(snapshot=nothing, problems=nothing))
    before = signal.getsignal(signal.SIGTERM)
    with server.capture_signals():
        assert signal.getsignal(signal.SIGTERM) is before
