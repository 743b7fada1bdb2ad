"""Small JSON documents of others, fetched so that they can do us no harm.

One host, no redirects, a ceiling on what is read and how long it takes, verified TLS.
Next: `proxy.server.issuers`.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import urlsplit

import httpx
import msgspec

from proxy.addresses import is_loopback
from proxy.errors import ConfigError, UnavailableError, reason_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MAX_DOCUMENT: Final = 256 * 1024
"""Bytes. Real discovery documents have 2 kB, key sets up to 20."""
FETCH_WITHIN_S: Final = 5.0
"""For one document from the first packet to the last byte. A login may wait for it."""


class Answer(NamedTuple):
    """What came back."""

    status: int
    body: bytes


def client_for(
    ca: Path | None, *, hears_environment: bool = False
) -> httpx.AsyncClient:
    """A client that trusts the CAs in `ca`, or the system's.

    Args:
        ca: PEM; then the system's CAs are not trusted beside it.
        hears_environment: go by HTTPS_PROXY and its like, as a person's tools do; a
            server's environment says of proxies what concerns other things.

    Raises:
        ConfigError: the file can't be used.
    """
    if ca is None:
        context = ssl.create_default_context()
    else:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        try:
            context.load_verify_locations(ca)
        except ssl.SSLError:
            raise ConfigError(f'CA file "{ca}" holds no certificate in PEM') from None
        except OSError as error:
            raise ConfigError(
                f'CA file "{ca}" can\'t be read: {reason_of(error)}'
            ) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return httpx.AsyncClient(
        verify=context,
        follow_redirects=False,
        timeout=FETCH_WITHIN_S,
        trust_env=hears_environment,
        headers={"Accept": "application/json", "Accept-Encoding": "identity"},
        limits=httpx.Limits(max_connections=2, max_keepalive_connections=0),
    )


async def fetch(client: httpx.AsyncClient, url: str) -> bytes:
    """The body of what is at `url`.

    Raises:
        UnavailableError: it can't be had, or is more than anyone should send.
    """
    answer = await ask(client, url)
    if answer.status != httpx.codes.OK:
        raise UnavailableError(f"answered with status {answer.status}")
    return answer.body


async def ask(
    client: httpx.AsyncClient, url: str, form: Mapping[str, str] | None = None
) -> Answer:
    """GET `url`, or POST a form to it.

    Raises:
        UnavailableError: there is no answer, or more than anyone should send.
    """
    try:
        async with (
            asyncio.timeout(FETCH_WITHIN_S),
            client.stream("GET" if form is None else "POST", url, data=form) as answer,
        ):
            return Answer(answer.status_code, await _body(answer))
    except TimeoutError:
        raise UnavailableError(f"took longer than {FETCH_WITHIN_S:g} s") from None
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
        raise UnavailableError(f"can't be reached: {_said(error)}") from None


def json_object(data: bytes) -> Mapping[str, Any]:
    """The JSON object in a body.

    Raises:
        UnavailableError: it is none.
    """
    try:
        found = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise UnavailableError("it is not JSON") from None
    if not isinstance(found, dict):
        raise UnavailableError("it is no JSON object")
    return found


async def _body(answer: httpx.Response) -> bytes:
    body = bytearray()
    # Raw: a small packed answer could unpack into a large one.
    async for piece in answer.aiter_raw():
        body += piece
        if len(body) > MAX_DOCUMENT:
            raise UnavailableError(f"sent more than {MAX_DOCUMENT} bytes")
    return bytes(body)


def _said(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or "no answer"


def is_safe(url: str, *, like: str) -> bool:
    """Whether a document of `like` may lead to `url`.

    By https it may; plain http is for loopback alone, and for who was found by it.
    """
    try:
        parts, own = urlsplit(url), urlsplit(like)
        host, own_host = parts.hostname or "", own.hostname or ""
        _ = parts.port
    except ValueError:
        return False
    if parts.scheme == "https":
        return bool(host) and "@" not in parts.netloc
    is_plain = parts.scheme == "http" == own.scheme
    return is_plain and is_loopback(host) and is_loopback(own_host)
