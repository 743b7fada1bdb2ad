"""Keys of the ledger: the private one in a file where staging is recorded, all public
ones in a document that every pgwarden is given.

What is trusted stands in a file beside the policy and never in the store: whoever could
write the store could else add a key. The name of a key is made of its public part.
Next: `proxy.migrations.standing`, which asks them.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import secrets
import stat
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Final, Literal, Self

import yaml
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from pydantic import AwareDatetime, Field, field_validator, model_validator

from proxy.errors import ConfigError, reason_of
from proxy.policy.documents import validated
from proxy.policy.yaml import load_yaml
from proxy.settings_section import Section

if TYPE_CHECKING:
    from pathlib import Path

Use = Literal["record", "approve"]
_ID_HEX: Final = 16
_RAW: Final = 32
_KEPT: Final = (
    "Public keys of the migration ledger; `pgwarden migration keys` writes it."
)


class PublicKey(Section):
    """One key that is, or was, trusted.

    Attributes:
        retired_at: what it signed before still counts, nothing after.
        distrusted: nothing that it ever signed counts: it got into wrong hands, and
            who has it may write any time into what they sign.
    """

    id: Annotated[str, Field(pattern=r"^K-[0-9a-f]{16}$")]
    public: str
    environment: Annotated[str, Field(min_length=1, max_length=60)]
    uses: tuple[Use, ...]
    valid_from: AwareDatetime
    valid_until: AwareDatetime
    retired_at: AwareDatetime | None = None
    distrusted: bool = False

    @field_validator("public")
    @classmethod
    def _is_a_key(cls, public: str) -> str:
        try:
            raw = base64.b64decode(public, validate=True)
        except binascii.Error:
            raise ValueError("is not base64") from None
        if len(raw) != _RAW:
            raise ValueError("is no Ed25519 key")
        return public

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.id != key_id(self.raw):
            raise ValueError(f'"{self.id}" is not the name of this public key')
        if self.valid_until <= self.valid_from:
            raise ValueError('"valid_until" is not after "valid_from"')
        return self

    @property
    def raw(self) -> bytes:
        """Its 32 bytes."""
        return base64.b64decode(self.public)

    def loaded(self) -> Ed25519PublicKey:
        """The key itself."""
        return Ed25519PublicKey.from_public_bytes(self.raw)

    def trouble_at(self, moment: datetime, use: Use, environment: str) -> str:
        """Why what it signed then, for this, does not count; "" if it does."""
        if self.distrusted:
            return f"key {self.id} is distrusted"
        if use not in self.uses:
            return f"key {self.id} is not one to {use} with"
        if environment != self.environment:
            return f'key {self.id} is of "{self.environment}" and not "{environment}"'
        if not self.valid_from <= moment < self.valid_until:
            return f"key {self.id} was not valid at {moment.isoformat()}"
        if self.retired_at is not None and moment >= self.retired_at:
            return f"key {self.id} was retired at {self.retired_at.isoformat()}"
        return ""


class KeyDocument(Section):
    """The document of public keys."""

    version: Literal[1]
    keys: tuple[PublicKey, ...] = ()

    @field_validator("keys")
    @classmethod
    def _once(cls, keys: tuple[PublicKey, ...]) -> tuple[PublicKey, ...]:
        if len({each.id for each in keys}) != len(keys):
            raise ValueError("holds a key twice")
        return keys

    def find(self, wanted: str) -> PublicKey | None:
        """The key of this name."""
        return next((each for each in self.keys if each.id == wanted), None)


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key, and what it is called."""

    id: str
    private: Ed25519PrivateKey = field(repr=False)


def key_id(public: bytes) -> str:
    """The name of a public key."""
    return "K-" + hashlib.sha256(b"pgwarden key" + public).hexdigest()[:_ID_HEX]


def read_keys(path: Path) -> KeyDocument:
    """The public keys in a document.

    Raises:
        ConfigError: each problem, with its line.
    """
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise ConfigError(
            f'keys file "{path}" can\'t be read: {reason_of(error)}',
            hint="pgwarden migration keys new makes one where staging is recorded",
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f'keys file "{path}" is not UTF-8') from error
    return validated(KeyDocument, load_yaml(text, source=str(path)), source=str(path))


def write_keys(path: Path, document: KeyDocument) -> None:
    """Put a document in the place of the one that is there, whole.

    Raises:
        ConfigError: it can't be written.
    """
    values = document.model_dump(mode="json", exclude_defaults=True)
    text = f"# {_KEPT}\n" + yaml.safe_dump({"version": 1} | values, sort_keys=False)
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        beside.write_text(text, "utf-8")
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise ConfigError(f'can\'t write "{path}": {reason_of(error)}') from error


def make_private(path: Path) -> SigningKey:
    """A new private key, in a new file that only its owner may read.

    Raises:
        ConfigError: there is such a file, or it can't be written.
    """
    private = Ed25519PrivateKey.generate()
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        descriptor = os.open(path, flags, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(descriptor)
    except FileExistsError:
        raise ConfigError(
            f'"{path}" is there already',
            hint="a key is never overwritten: name another",
        ) from None
    except OSError as error:
        raise ConfigError(f'can\'t write "{path}": {reason_of(error)}') from error
    return _named(private)


def read_private(path: Path) -> SigningKey:
    """The private key in a file that nobody else may read.

    Raises:
        ConfigError: others may, or it is none. Nothing of it is told.
    """
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            pem = file.read(16_384)
    except OSError as error:
        raise ConfigError(
            f'signing key "{path}" can\'t be read: {reason_of(error)}'
        ) from error
    if not stat.S_ISREG(status.st_mode) or status.st_mode & 0o077:
        raise ConfigError(
            f'signing key "{path}" may be read by others', hint=f'chmod 600 "{path}"'
        )
    try:
        private = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ConfigError(f'"{path}" holds no private key that can be read') from None
    if not isinstance(private, Ed25519PrivateKey):
        raise ConfigError(f'the key in "{path}" is not an Ed25519 key')
    return _named(private)


def public_of(
    key: SigningKey,
    *,
    environment: str,
    uses: tuple[Use, ...],
    valid_from: datetime,
    valid_until: datetime,
) -> PublicKey:
    """What the document says of a key."""
    return PublicKey(
        id=key.id,
        public=base64.b64encode(_raw(key.private)).decode(),
        environment=environment,
        uses=uses,
        valid_from=valid_from.astimezone(UTC),
        valid_until=valid_until.astimezone(UTC),
    )


def _named(private: Ed25519PrivateKey) -> SigningKey:
    return SigningKey(key_id(_raw(private)), private)


def _raw(private: Ed25519PrivateKey) -> bytes:
    return private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
