"""Hosts and ports, and which of them are this machine."""

from __future__ import annotations

from ipaddress import ip_address

from pydantic import BaseModel, ConfigDict, Field, model_validator
from typing_extensions import override


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
