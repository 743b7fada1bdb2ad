"""A signed document: Ed25519 over the digests of its fields, in one canonical form.

The signature covers a digest of each field rather than one text, so that what was
changed can be named: a digest that fits no longer tells which field, and a signature
that fits no longer says that the digests themselves, or the signature, were changed.
Pure: keys and times are handed in. Next: `proxy.migrations.proof`, which says what is
signed; `proxy.migrations.keys`, where keys are.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar

import msgspec
from cryptography.exceptions import InvalidSignature
from msgspec import json

from proxy.errors import ConfigError
from proxy.migrations.framing import framed

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
        Ed25519PublicKey,
    )

T = TypeVar("T", bound=msgspec.Struct)

_PURPOSE: Final = b"pgwarden migration ledger"
_FORM: Final = b"1"
_encode: Final = json.Encoder(order="deterministic").encode
"""Fields as they are declared, keys of a mapping sorted, no blanks."""
MAX_BYTES: Final = 32 * 1024 * 1024
"""Of one document: ten thousand statements with their texts."""


class Document(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of what is signed, and of its parts.

    Attributes:
        ADDED: fields that came later. A document from before lacks them, and means
            their defaults; any other field has to be there.
    """

    ADDED: ClassVar[frozenset[str]] = frozenset()


class Signed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A document as it is kept and sent.

    Attributes:
        kind: what it is, a word.
        body: its fields; `opened` gives them their types.
        digests: SHA-256 in hex of each field, by its name.
        key: the id of the key that signed.
        signature: of kind, key and digests; base64.
    """

    kind: str
    body: dict[str, Any]
    digests: dict[str, str]
    key: str
    signature: str

    @property
    def id(self) -> str:
        """SHA-256, in hex, of all that is signed."""
        return hashlib.sha256(_message(self.kind, self.key, self.digests)).hexdigest()


def sign(
    kind: str, document: msgspec.Struct, *, key_id: str, key: Ed25519PrivateKey
) -> Signed:
    """Sign a document."""
    body: dict[str, Any] = json.decode(_encode(document))
    digests = _digests(kind, body)
    signature = key.sign(_message(kind, key_id, digests))
    return Signed(kind, body, digests, key_id, base64.b64encode(signature).decode())


def unsigned(kind: str, document: msgspec.Struct) -> Signed:
    """The same without a key: for a document that counts whoever made it."""
    body: dict[str, Any] = json.decode(_encode(document))
    return Signed(kind, body, _digests(kind, body), "", "")


def encoded(signed: Signed) -> bytes:
    """The one form of it, a line without its end."""
    return _encode(signed)


def decoded(data: bytes) -> Signed:
    """Read what `encoded` gave; says nothing of its signature.

    Raises:
        ConfigError: it is none, or in another form.
    """
    if len(data) > MAX_BYTES:
        raise ConfigError(f"a signed document has {MAX_BYTES:,} bytes at most")
    try:
        found = json.decode(data, type=Signed)
        is_canonical = _encode(found) == data
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise ConfigError("it is no signed document") from None
    if not is_canonical:
        raise ConfigError("it is not in the form that pgwarden writes")
    return found


def changed_fields(signed: Signed) -> list[str]:
    """Fields whose digest does not fit, and those with no digest or no field."""
    found = _digests(signed.kind, signed.body)
    names = found.keys() | signed.digests.keys()
    return sorted(n for n in names if found.get(n) != signed.digests.get(n))


def signature_fits(signed: Signed, key: Ed25519PublicKey) -> bool:
    """Whether the key signed these digests. Says nothing of the fields."""
    try:
        signature = base64.b64decode(signed.signature, validate=True)
        key.verify(signature, _message(signed.kind, signed.key, signed.digests))
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    # Other letters for the same bytes are not what was signed and written.
    return base64.b64encode(signature).decode() == signed.signature


def opened(signed: Signed, kind: str, as_type: type[T]) -> T:
    """The document, with its types.

    Raises:
        ConfigError: it is another kind, or of another version.
    """
    if signed.kind != kind:
        raise ConfigError(f'it is a "{signed.kind:.40}" and no "{kind}"')
    try:
        found = msgspec.convert(signed.body, as_type)
    except msgspec.ValidationError as error:
        version = signed.body.get("v")
        raise ConfigError(
            f"its fields can't be understood: {error}",
            hint=f"it is of version {version!r:.20}; was a newer pgwarden at work?",
        ) from None
    # A field that was left out would read as its default.
    if not _is_form_of(signed.body, found):
        raise ConfigError("its fields are not in the form that pgwarden writes")
    return found


def _is_form_of(body: object, found: object) -> bool:
    """Whether a body is what a value is written as, now or before it had new fields."""
    if isinstance(found, Document) and isinstance(body, dict):
        names = set(type(found).__struct_fields__)
        lacks = names - body.keys()
        if body.keys() - names or lacks - found.ADDED:
            return False
        return all(
            _is_form_of(each, getattr(found, name)) for name, each in body.items()
        )
    if isinstance(found, tuple) and isinstance(body, list):
        return len(found) == len(body) and all(map(_is_form_of, body, found))
    plain: object = json.decode(_encode(found))
    return plain == body


def _digests(kind: str, body: dict[str, Any]) -> dict[str, str]:
    return {
        name: hashlib.sha256(
            framed(_PURPOSE, _FORM, kind.encode(), name.encode(), _encode(value))
        ).hexdigest()
        for name, value in sorted(body.items())
    }


def _message(kind: str, key_id: str, digests: dict[str, str]) -> bytes:
    fields = [
        framed(name.encode(), each.encode()) for name, each in sorted(digests.items())
    ]
    return framed(_PURPOSE, _FORM, kind.encode(), key_id.encode(), *fields)
