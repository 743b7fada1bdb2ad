"""Version 2 of the PROXY protocol: who the client behind a load balancer is. Sans-I/O.

Read with `HeaderIntake.wanted`, never a byte more: what follows is the client's, and
may be TLS. Version 1 is refused; it is text of any length before the address is known.
Source: https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt, section 2.2.
Imports `proxy.errors`. Next: `proxy.server.arrival`.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from proxy.errors import FrontendError

SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"
FIRST_VERSION: Final = b"PROXY "
"""How a header of version 1 begins."""
HEAD_BYTES: Final = 16
"""Signature, version and command, family and transport, length of the rest."""
MOST_BEHIND: Final = 4096
"""Addresses and TLVs behind the head. Room for what balancers add by themselves (ids, a
name, the client's certificate); the length field would allow 64 KiB from anyone."""

_LOCAL, _PROXY = 0x20, 0x21
_STREAM: Final = 1
_ADDRESS_BYTES: Final = {0x1: 12, 0x2: 36}
"""AF_INET and AF_INET6: two addresses and two ports."""
_NO_ADDRESS: Final = {0x0: "does not say who the client is", 0x3: "is a Unix socket"}
_TLV_HEAD: Final = 3


@dataclass(frozen=True, slots=True)
class ProxyHeader:
    """What a balancer says.

    Attributes:
        address: the client's, numeric; "" where the balancer speaks for itself, such as
            for a health check (LOCAL).
        port: the client's.
    """

    address: str = ""
    port: int = 0


class HeaderIntake:
    """One header, as its bytes come."""

    __slots__ = ("_buffer", "_length")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._length = HEAD_BYTES

    @property
    def wanted(self) -> int:
        """How many bytes more may be read now; 0 once the header is whole."""
        return self._length - len(self._buffer)

    def feed(self, data: bytes) -> ProxyHeader | None:
        """Take at most `wanted` bytes; the header once it is whole.

        Raises:
            FrontendError: it is none, or says nothing that pgwarden can use.
        """
        if len(data) > self.wanted:
            raise FrontendError("more bytes than were wanted of a PROXY header")
        self._buffer += data
        begin = bytes(self._buffer[: len(SIGNATURE)])
        if not SIGNATURE.startswith(begin):
            raise FrontendError(_not_a_header(begin))
        if len(self._buffer) < HEAD_BYTES:
            return None
        if self._length == HEAD_BYTES:
            self._length += _length_behind(self._buffer)
        if self.wanted:
            return None
        return _decode(bytes(self._buffer))


def _not_a_header(begin: bytes) -> str:
    if FIRST_VERSION.startswith(begin) or begin.startswith(FIRST_VERSION):
        return (
            "version 1 of the PROXY protocol is refused: have the balancer send "
            "version 2"
        )
    return "no PROXY header, and from this address one is demanded"


def _length_behind(head: bytearray) -> int:
    """The length of the rest, once the head is one that we take."""
    if head[12] not in {_LOCAL, _PROXY}:
        raise FrontendError(
            f"PROXY header with version and command 0x{head[12]:02x}, neither LOCAL "
            "nor PROXY of version 2"
        )
    length = int.from_bytes(head[14:16], "big")
    if length > MOST_BEHIND:
        raise FrontendError(
            f"PROXY header with {length} bytes behind its head; {MOST_BEHIND} is the "
            "most"
        )
    return length


def _decode(header: bytes) -> ProxyHeader:
    if header[12] == _LOCAL:
        # Whatever stands behind it is to be ignored: section 2.2.
        return ProxyHeader()
    family, transport = header[13] >> 4, header[13] & 0xF
    if family in _NO_ADDRESS:
        raise FrontendError(f"the client of a PROXY header {_NO_ADDRESS[family]}")
    if family not in _ADDRESS_BYTES or transport != _STREAM:
        raise FrontendError(f"PROXY header for 0x{header[13]:02x}, which is not TCP")
    behind = header[HEAD_BYTES:]
    size = _ADDRESS_BYTES[family]
    if len(behind) < size:
        raise FrontendError("PROXY header too short for its addresses")
    _check_tlvs(behind[size:])
    # Source address, destination address, source port, destination port.
    width = (size - 4) // 2
    port = int.from_bytes(behind[2 * width : 2 * width + 2], "big")
    return ProxyHeader(_address(behind[:width]), port)


def _address(raw: bytes) -> str:
    if len(raw) == 4:
        return str(IPv4Address(raw))
    at = IPv6Address(raw)
    return str(at.ipv4_mapped or at)


def _check_tlvs(rest: bytes) -> None:
    """Nothing of them is used, but they must fill the header exactly."""
    at = 0
    while at < len(rest):
        if len(rest) - at < _TLV_HEAD:
            raise FrontendError("PROXY header with a TLV that is cut off")
        at += _TLV_HEAD + int.from_bytes(rest[at + 1 : at + _TLV_HEAD], "big")
    if at != len(rest):
        raise FrontendError("PROXY header with a TLV that is cut off")
