"""Hosts and ports, and which of them are this machine."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, model_validator
from typing_extensions import override

_HOST: Final = re.compile(
    r"(?P<host>[^\s:\[\]/,@]+)(:(?P<port>[0-9]{1,5}))?"
    r"|\[(?P<address>[^\s\[\]]+)\](:(?P<port6>[0-9]{1,5}))?"
)


def is_loopback(host: str) -> bool:
    """Whether `host` is this machine, whatever any name server says.

    By address, or the one name that is reserved for it (RFC 6761): a look-alike such as
    "127.0.0.1.example.com" is anybody's.
    """
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def host_and_port(text: str, port: int) -> tuple[str, int]:
    """The two in `host`, `host:port`, `[address]` or `[address]:port`.

    Args:
        text: as it stands in the settings; a bare IPv6 address will do.
        port: where the text names none.

    Raises:
        ValueError: it is none of these.
    """
    if is_address(text):
        return text, port
    found = _HOST.fullmatch(text)
    number = found and (found["port"] or found["port6"])
    if found is None or (number and not 0 < int(number) < 65536):
        raise ValueError(f'"{text}" is not of the form host or host:port')
    if found["address"] and not is_address(found["address"]):
        raise ValueError(f'"{found["address"]}" is not of the form of an address')
    return found["host"] or found["address"], int(number) if number else port


def is_address(text: str) -> bool:
    """Whether this is an IP address, and no name."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


class Address(BaseModel):
    """A host and a port, written `host:port` (`[::1]:6432` for IPv6)."""

    model_config = ConfigDict(frozen=True)

    host: str
    port: int = Field(ge=0, le=65535)

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        host, colon, port = value.rpartition(":")
        if not colon or not host or not port.isdigit():
            raise ValueError(f'"{value}" is not of the form host:port')
        return {"host": host.strip("[]"), "port": int(port)}

    @override
    def __str__(self) -> str:
        """As it is written in the settings."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return is_loopback(self.host)
