"""Wrong logins at full speed, in a process of their own: what the attacker would run.

`python -m tests.bench.attacker PORT LOGINS CONNECTIONS FIRST COUNT NAME...` knocks
from COUNT addresses of loopback beginning with FIRST and prints how it was answered.
Next: `logins`.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
from collections import Counter
from ipaddress import IPv4Address
from itertools import count

from proxy.wire import messages
from proxy.wire.errors_wire import parse_error_fields
from proxy.wire.startup import StartupMessage

HOST = "127.0.0.1"
DATABASE = "bench"
FIRST = b"n,,n=,r=fyko+d2lbbFgONRv9qkxdawL"
CLOSED = "closed"
"""In the place of an SQLSTATE: no place for the connection."""


async def attempt(port: int, source: str, name: str) -> str:
    """The SQLSTATE of the refusal of one wrong login."""
    try:
        reader, writer = await asyncio.open_connection(
            HOST, port, local_addr=(source, 0)
        )
    except OSError:
        return CLOSED
    try:
        startup = StartupMessage(0, {"user": name, "database": DATABASE}, ())
        writer.write(startup.encode())
        kind, body = await _hear(reader)
        if kind != b"E":
            first = messages.SASLInitialResponse("SCRAM-SHA-256", FIRST)
            writer.write(first.encode())
            kind, body = await _hear(reader)
        if kind != b"E":
            nonce = body[4:].split(b",")[0]
            final = b"c=biws," + nonce + b",p=" + base64.b64encode(bytes(32))
            writer.write(messages.SASLResponse(final).encode())
            kind, body = await _hear(reader)
        return parse_error_fields(body)["C"] if kind == b"E" else "in"
    except (OSError, asyncio.IncompleteReadError):
        return CLOSED
    finally:
        writer.close()


async def _hear(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = await reader.readexactly(5)
    return head[:1], await reader.readexactly(int.from_bytes(head[1:], "big") - 4)


async def attack(
    port: int, *, logins: int, connections: int, sources: list[str], names: list[str]
) -> Counter[str]:
    """How so many wrong logins were answered."""
    numbers, found = count(), Counter[str]()

    async def go_on() -> None:
        while (number := next(numbers)) < logins:
            source = sources[number % len(sources)]
            found[await attempt(port, source, names[number % len(names)])] += 1

    await asyncio.gather(*(go_on() for _ in range(connections)))
    return found


def main() -> None:
    """Run the attack of the command line."""
    port, logins, connections, first, addresses, *names = sys.argv[1:]
    begin = IPv4Address(first)
    found = asyncio.run(
        attack(
            int(port),
            logins=int(logins),
            connections=int(connections),
            sources=[str(begin + number) for number in range(int(addresses))],
            names=names,
        )
    )
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
