"""The login over a plain socket, against real libpq, and beside a bare Postgres.

No event loop and no policy: only the sans-I/O machine of `proxy.session.login`, fed one
byte at a time. Where it claims to do as Postgres does, Postgres is asked too.
"""

from __future__ import annotations

import secrets
import socket
import subprocess
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from proxy.auth.identities import Identities, Identity
from proxy.auth.scram import encode_nonce
from proxy.auth.scram_client import ClientExchange
from proxy.auth.secrets import make_secret
from proxy.errors import FrontendError
from proxy.policy.decision import Decision
from proxy.session.handshake import Send
from proxy.session.login import Login
from proxy.session.login_effects import (
    Authenticated,
    LoginRules,
    NeedIdentity,
    Reject,
)
from proxy.wire import codes, messages
from proxy.wire.errors_wire import parse_error_fields
from proxy.wire.startup import StartupMessage, parse_options

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proxy.demo.postgres import Cluster
    from proxy.session.wish import Wish

pytestmark = pytest.mark.postgres
TIMEOUT_S = 10


def nonce() -> bytes:
    return encode_nonce(secrets.token_bytes(18))


def connect(cluster: Cluster) -> socket.socket:
    return socket.create_connection((cluster.host, cluster.port), TIMEOUT_S)


def greeting(cluster: Cluster, startup: StartupMessage) -> list[tuple[int, bytes]]:
    """What a bare server says to a startup packet, up to ReadyForQuery or the end."""
    exchange = ClientExchange(cluster.password, nonce())
    heard: list[tuple[int, bytes]] = []
    with connect(cluster) as link, link.makefile("rb") as stream:
        link.sendall(startup.encode())
        while head := stream.read(5):
            body = stream.read(int.from_bytes(head[1:], "big") - 4)
            heard.append((head[0], body))
            if head[0] in {codes.READY_FOR_QUERY, codes.ERROR_RESPONSE}:
                break
            if head[0] == codes.AUTHENTICATION:
                link.sendall(_answer(exchange, messages.decode_authentication(body)))
    return heard


def _answer(exchange: ClientExchange, request: messages.Authentication) -> bytes:
    match request:
        case messages.AuthenticationSASL():
            first = exchange.first()
            return messages.SASLInitialResponse(codes.SCRAM_SHA_256, first).encode()
        case messages.AuthenticationSASLContinue(data):
            salted = exchange.challenge(data).derive()
            return messages.SASLResponse(exchange.respond(salted)).encode()
        case _:
            return b""


@pytest.mark.parametrize("postgres", [18], indirect=True)
@pytest.mark.parametrize("option", [(), ("_pq_.x",)])
@pytest.mark.parametrize("minor", [0, 1, 2, 3, 9999])
def test_versions_are_negotiated_like_postgres_18(
    postgres: Cluster, minor: int, option: tuple[str, ...]
) -> None:
    startup = StartupMessage(minor, {"user": postgres.superuser}, option)
    theirs = greeting(postgres, startup)
    login = a_login()
    sent = [e.data for e in login.receive(startup.encode()) if isinstance(e, Send)]
    offers = [
        messages.message(kind, body)
        for kind, body in theirs
        if kind == codes.NEGOTIATE_PROTOCOL_VERSION
    ]
    assert sent == offers


@pytest.mark.parametrize(
    "options",
    [
        "-c work_mem=1MB", "-cwork_mem=1MB", "--work_mem=1MB", "--work-mem=1MB",
        "-c work-mem=1MB", r"-c work_mem=1\ MB", "-c application_name=x\\",
        "\v-c\vwork_mem=1MB\t", "-c", "--x", "foo", "-",
        "-c application_name='a", "-c application_name=a=b", "-c work_mem",
    ],
)  # fmt: skip
def test_options_are_understood_like_postgres(postgres: Cluster, options: str) -> None:
    startup = StartupMessage(0, {"user": postgres.superuser, "options": options})
    startup.parameters["database"] = "postgres"
    kind, body = greeting(postgres, startup)[-1]
    try:
        parse_options(options)
    except FrontendError:
        assert kind == codes.ERROR_RESPONSE
        assert parse_error_fields(body)["C"] == "42601"
    else:
        assert kind == codes.READY_FOR_QUERY, parse_error_fields(body)


ALLOWED = Decision(allowed=True, rule="test", reason="fine")
REFUSED = Decision(allowed=False, rule="test", reason="not on the list")
SECRET = make_secret("pässwörd\u00a0x", salt=b"0123456789abcdef")
IDENTITIES = Identities([Identity("älice", "developer", (SECRET,))])


def judge_setting(role: str, _: Wish, name: str, value: str) -> Decision:
    return ALLOWED if name == "timezone" else REFUSED


def a_login() -> Login:
    rules = LoginRules(
        tls_available=False,
        plaintext_allowed=True,
        may_login=lambda role, database: ALLOWED,
        judge_setting=judge_setting,
    )
    return Login(rules, nonce(), client_address="127.0.0.1")


@dataclass
class Door:
    """A listener that lets one client in at a time and answers nothing but login."""

    listener: socket.socket

    @property
    def port(self) -> int:
        port: int = self.listener.getsockname()[1]
        return port

    def dsn(self, change: dict[str, str]) -> str:
        return make_conninfo("", host="127.0.0.1", port=self.port, **(RIGHT | change))

    def serve(self) -> None:
        while True:
            try:
                link, _ = self.listener.accept()
            except OSError:
                return
            with link:
                link.settimeout(TIMEOUT_S)
                self._login(link)

    def _login(self, link: socket.socket) -> None:
        login = a_login()
        while data := link.recv(65536):
            # One byte at a time: no client may depend on how its bytes are cut.
            effects = [e for byte in data for e in login.receive(bytes((byte,)))]
            while effects:
                effect = effects.pop(0)
                match effect:
                    case Send() | Reject():
                        link.sendall(effect.data)
                    case NeedIdentity(user):
                        found = IDENTITIES.find(user)
                        mock = IDENTITIES.mock(user, b"key")
                        now = datetime.now(UTC)
                        effects += login.identified(found, mock=mock, now=now)
                    case Authenticated(request):
                        link.sendall(self._welcome(request.minor))
                        link.recv(65536)
                        return
                    case _:
                        raise AssertionError(effect)
                if isinstance(effect, Reject):
                    return

    @staticmethod
    def _welcome(minor: int) -> bytes:
        key = secrets.token_bytes(32 if minor >= 2 else 4)
        reported = {"server_version": "17.0", "client_encoding": "UTF8"}
        return b"".join(
            [
                *(messages.ParameterStatus(*p).encode() for p in reported.items()),
                messages.BackendKeyData(7, key).encode(),
                messages.ReadyForQuery(codes.IDLE).encode(),
            ]
        )


@pytest.fixture
def door() -> Iterator[Door]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        found = Door(listener)
        thread = threading.Thread(target=found.serve)
        thread.start()
        yield found
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(TIMEOUT_S)
    assert not thread.is_alive()


RIGHT = {"user": "älice", "password": "pässwörd x"}


@pytest.mark.parametrize(
    "extra",
    [
        {},
        {"min_protocol_version": "3.2", "max_protocol_version": "3.2"},
        {"max_protocol_version": "latest"},
        {"gssencmode": "prefer"},
        {"client_encoding": "utf-8", "options": "-c timezone=UTC"},
    ],
)
def test_libpq_logs_in(door: Door, extra: dict[str, str]) -> None:
    if "max_protocol_version" in extra and psycopg.pq.version() < 180000:
        pytest.skip("this libpq does not know protocol 3.2")
    link = psycopg.connect(door.dsn(extra))
    assert link.info.parameter_status("server_version") == "17.0"
    link.close()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"password": "wrong"}, 'failed for user "älice"'),
        ({"user": "ghost"}, 'failed for user "ghost"'),
        ({"options": "-c work_mem=1GB"}, '"work_mem" is refused: not on the list'),
        ({"options": "-d 5"}, '"-d" in the startup parameter "options"'),
        ({"client_encoding": "sjis"}, "only UTF8"),
        ({"replication": "database"}, '"replication"'),
    ],
)
def test_libpq_shows_why_it_is_refused(
    door: Door, change: dict[str, str], told: str
) -> None:
    with pytest.raises(psycopg.OperationalError, match="FATAL") as caught:
        psycopg.connect(door.dsn(change))
    assert told in str(caught.value)


def test_psql_logs_in_and_is_told(postgres: Cluster, door: Door) -> None:
    def psql(password: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [
                str(postgres.bin_dir / "psql"),
                f"host=127.0.0.1 port={door.port} user=älice dbname=shop",
                "-c", "SELECT 1",
            ],
            env={"PGPASSWORD": password, "LC_ALL": "C.UTF-8"},
            cwd="/",
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )  # fmt: skip

    assert "server closed the connection unexpectedly" in psql("pässwörd x").stderr
    told = psql("wrong").stderr
    assert 'FATAL:  password authentication failed for user "älice"' in told
