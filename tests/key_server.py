"""An issuer that misbehaves: an HTTPS server whose every answer a test can set.

For what a real issuer does only when it is broken or taken over; the real one is in
`tests.clients.issuer`. Counts what it is asked. Next: `test_issuers.py`.
"""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qs

import trustme
from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Answer = tuple[int, dict[str, str], bytes]

DISCOVERY = "/.well-known/openid-configuration"
KEYS = "/keys"


@dataclass
class KeyServer:
    """Answers by path; what is missing is a 404.

    Attributes:
        ca: PEM file of its CA.
        answers: status, headers and body by path, or a function that does as it likes.
        asked: how often each path was asked for.
        forms: what was sent to it, in order.
    """

    ca: Path
    answers: dict[str, Answer | Callable[[BaseHTTPRequestHandler], None]] = field(
        default_factory=dict
    )
    asked: Counter[str] = field(default_factory=Counter)
    forms: list[dict[str, str]] = field(default_factory=list)
    is_tls: bool = True
    host: str = "localhost"

    def __post_init__(self) -> None:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked[self.path] += 1
                answer = outer.answers.get(self.path, (404, {}, b""))
                if callable(answer):
                    answer(self)
                    return
                status, headers, body = answer
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                form = parse_qs(self.rfile.read(length).decode())
                outer.forms.append({name: each[0] for name, each in form.items()})
                self.do_GET()

            @override
            def log_message(self, format: str, *args: Any) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]
        if self.is_tls:
            authority = trustme.CA()
            authority.cert_pem.write_to_path(self.ca)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            authority.issue_cert("localhost").configure_cert(context)
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}
        )

    @property
    def url(self) -> str:
        scheme = "https" if self.is_tls else "http"
        return f"{scheme}://{self.host}:{self._server.server_port}"

    def publish(self, keys: bytes, **discovery: object) -> None:
        """Be an issuer with these keys; `discovery` lies."""
        document = {"issuer": self.url, "jwks_uri": self.url + KEYS} | discovery
        self.answers = {
            DISCOVERY: (200, {}, json.dumps(document).encode()),
            KEYS: (200, {}, keys),
        }

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def drip(seconds: float) -> Callable[[BaseHTTPRequestHandler], None]:
    """An answer that comes letter by letter: no single wait is long."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "100000")
        handler.end_headers()
        until = time.monotonic() + seconds
        try:
            while time.monotonic() < until:
                handler.wfile.write(b" ")
                handler.wfile.flush()
                time.sleep(0.05)
        except OSError:
            pass

    return answer


def flood(size: int) -> Callable[[BaseHTTPRequestHandler], None]:
    """An answer without an announced length and, nearly, without an end."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        try:
            for _ in range(size // 65_536):
                handler.wfile.write(b" " * 65_536)
        except OSError:
            pass

    return answer
