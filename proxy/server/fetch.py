"""Small JSON documents of others, fetched so that they can do us no harm.

One host, no redirects, a ceiling on what is read and how long it takes, verified TLS.
Next: `proxy.server.issuers`.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, Final

import httpx

from proxy.errors import ConfigError, UnavailableError, reason_of

if TYPE_CHECKING:
    from pathlib import Path

MAX_DOCUMENT: Final = 256 * 1024
"""Bytes. Real discovery documents have 2 kB, key sets up to 20."""
FETCH_WITHIN_S: Final = 5.0
"""For one document from the first packet to the last byte. A login may wait for it."""


def client_for(ca: Path | None) -> httpx.AsyncClient:
    """A client that trusts the CAs in `ca`, or the system's.

    Raises:
        ConfigError: the file can't be used.
    """
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca is not None:
        # Its own CAs instead of the system's, not beside them.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_verify_locations(ca)
        except ssl.SSLError:
            raise ConfigError(f'CA file "{ca}" holds no certificate in PEM') from None
        except OSError as error:
            raise ConfigError(
                f'CA file "{ca}" can\'t be read: {reason_of(error)}'
            ) from error
    return httpx.AsyncClient(
        verify=context,
        follow_redirects=False,
        timeout=FETCH_WITHIN_S,
        # What the environment says of proxies and passwords is about other things.
        trust_env=False,
        headers={"Accept": "application/json", "Accept-Encoding": "identity"},
        limits=httpx.Limits(max_connections=2, max_keepalive_connections=0),
    )


async def fetch(client: httpx.AsyncClient, url: str) -> bytes:
    """The body of what is at `url`.

    Raises:
        UnavailableError: it can't be had, or is more than anyone should send.
    """
    try:
        async with (
            asyncio.timeout(FETCH_WITHIN_S),
            client.stream("GET", url) as answer,
        ):
            if answer.status_code != httpx.codes.OK:
                raise UnavailableError(f"answered with status {answer.status_code}")
            return await _body(answer)
    except TimeoutError:
        raise UnavailableError(f"took longer than {FETCH_WITHIN_S:g} s") from None
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
        raise UnavailableError(f"can't be reached: {_said(error)}") from None


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
