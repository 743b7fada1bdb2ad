"""The admin port: /metrics, /healthz, /readyz and a small page for people.

Read-only, for a loopback or cluster-internal address: no log-in yet, so nothing here
names a person or shows SQL. The server shell runs `admin_server` in its own loop and
keeps the signals to itself. Next: `proxy.console.page`, `proxy.exposition`.
"""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING, Final

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from typing_extensions import override

from proxy.console.page import STYLE_HASH, overview
from proxy.errors import ConfigError, reason_of
from proxy.exposition import CONTENT_TYPE, render

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator, Sequence

    from starlette.requests import Request
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from proxy.metrics import Snapshot

    Snapshots = Callable[[], Awaitable[Snapshot]]
    Problems = Callable[[], Awaitable[Sequence[str]]]

MAX_REQUESTS: Final = 64
"""Requests answered at once: a scraper, probes and a few people. More get a 503."""

HEADERS: Final = {
    "cache-control": "no-store",
    "content-security-policy": (
        f"default-src 'none'; style-src 'sha256-{STYLE_HASH}';"
        " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


async def _none() -> Sequence[str]:
    return ()


def admin_app(
    *, snapshot: Snapshots, problems: Problems, warnings: Problems = _none
) -> Starlette:
    """The application.

    Args:
        snapshot: the numbers now (of all workers).
        problems: what keeps pgwarden from being ready, one short line each, fit to be
            read by anyone who reaches the port; empty when all is well.
        warnings: the same of what somebody should look at though it serves.
    """

    async def metrics(_: Request) -> Response:
        return Response(render(await snapshot()), media_type=CONTENT_TYPE)

    async def health(_: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def readiness(_: Request) -> Response:
        standing = list(await problems())
        status = "unready" if standing else "ready"
        answer: dict[str, object] = {"status": status, "problems": standing}
        if found := list(await warnings()):
            answer["warnings"] = found
        return JSONResponse(answer, 503 if standing else 200)

    async def page(_: Request) -> Response:
        return HTMLResponse(overview(await snapshot(), await problems()))

    routes = {"/": page, "/metrics": metrics, "/healthz": health, "/readyz": readiness}
    return Starlette(
        routes=[
            Route(path, answer, methods=["GET"]) for path, answer in routes.items()
        ],
        middleware=[Middleware(SecurityHeaders)],
    )


class SecurityHeaders:
    """Puts the same headers on every response, errors included."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                extra = [(k.encode(), v.encode()) for k, v in HEADERS.items()]
                message["headers"] = [*message.get("headers", ()), *extra]
            await send(message)

        await self._app(scope, receive, send_with_headers)


class AdminServer(uvicorn.Server):
    """uvicorn without its signal handlers: those belong to the server shell.

    `await serve(sockets=[...])` runs until `should_exit` is set.
    """

    @override
    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


def admin_server(app: Starlette) -> AdminServer:
    """A server for the application, to be run on the socket of `listen`."""
    return AdminServer(
        uvicorn.Config(
            app,
            access_log=False,
            http="h11",
            interface="asgi3",
            lifespan="off",
            limit_concurrency=MAX_REQUESTS,
            log_config=None,
            loop="none",
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=2,
            timeout_keep_alive=5,
            ws="none",
        )
    )


def listen(host: str, port: int) -> socket.socket:
    """The admin port; port 0 takes a free one.

    Raises:
        ConfigError: the address can't be had. (uvicorn itself would end the process.)
    """
    try:
        family, kind, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind)
    except OSError as error:
        raise ConfigError(f'admin address "{host}": {reason_of(error)}') from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen()
    except OSError as error:
        listener.close()
        raise ConfigError(
            f"admin port {host}:{port} can't be used: {reason_of(error)}",
            hint="choose another port, or 0 for a free one",
        ) from error
    listener.settimeout(0)
    return listener
