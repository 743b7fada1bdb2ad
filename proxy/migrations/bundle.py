"""One signed file that carries a ledger to where no network leads. Pure.

JSON lines: first a signed list of the SHA-256 of every line that follows, then the
documents and the schemas that they speak of. So a changed byte is found wherever it is,
and the line, its document and the field are named. Each document keeps the signature of
its own: the file's says only that it arrived as it was sent.
Next: `proxy.cli.migration_move`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec
from msgspec import json

from proxy.errors import ConfigError
from proxy.migrations.ledger import SHOWN_ID, about_of, unpacked
from proxy.migrations.proof import APPROVAL, PROOF, REVOCATION, Moment
from proxy.migrations.schema_digest import digest
from proxy.migrations.signed import (
    Signed,
    changed_fields,
    decoded,
    encoded,
    opened,
    sign,
    signature_fits,
)
from proxy.migrations.standing import troubles

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from proxy.migrations.keys import KeyDocument, SigningKey

KIND: Final = "export"
MAX_BYTES: Final = 512 * 1024 * 1024
_SNAPSHOT: Final = "schema"


class Contents(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the first line of the file says of the others."""

    v: Literal[1] = 1
    environment: str
    made_at: Moment
    lines: tuple[str, ...]


class _Schema(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A line that is no document: a schema, found by its digest."""

    kind: Literal["schema"]
    digest: str
    packed: str


@dataclass(frozen=True, slots=True)
class Bundle:
    """What a file holds.

    Attributes:
        contents: its first line; None if that can't be read.
        documents: those that can be read.
        schemas: packed, by their digest.
        problems: everything that is wrong, a line each; [] for a file to believe.
    """

    contents: Contents | None
    documents: tuple[Signed, ...]
    schemas: dict[str, bytes]
    problems: tuple[str, ...]


def written(
    documents: Sequence[Signed],
    schemas: dict[str, bytes],
    *,
    environment: str,
    made_at: datetime,
    key: SigningKey,
) -> bytes:
    """The whole file."""
    lines = [encoded(each) for each in documents]
    for name, packed in sorted(schemas.items()):
        text = base64.b64encode(packed).decode()
        lines.append(json.encode(_Schema(_SNAPSHOT, name, text)))
    contents = Contents(
        environment=environment,
        made_at=made_at,
        lines=tuple(hashlib.sha256(line).hexdigest() for line in lines),
    )
    first = encoded(sign(KIND, contents, key_id=key.id, key=key.private))
    return b"".join(line + b"\n" for line in [first, *lines])


def read(data: bytes, keys: KeyDocument) -> Bundle:
    """Read a file, and find all that is wrong with it.

    Raises:
        ConfigError: it is too large to be one of ours.
    """
    if len(data) > MAX_BYTES:
        raise ConfigError(f"an export has {MAX_BYTES:,} bytes at most")
    problems: list[str] = []
    if not data.endswith(b"\n"):
        problems.append("the file is cut off: its last line has no end")
    lines = data.removesuffix(b"\n").split(b"\n")
    contents = _first(lines[0], keys, problems)
    promised: Sequence[str] = contents.lines if contents is not None else ()
    if contents is not None and len(promised) != len(lines) - 1:
        problems.append(
            f"the file has {len(lines) - 1} lines after the first, and not the "
            f"{len(promised)} that were signed"
        )
    documents: list[Signed] = []
    schemas: dict[str, bytes] = {}
    for number, line in enumerate(lines[1:], 2):
        sums = promised[number - 2 : number - 1]
        is_changed = list(sums) != [hashlib.sha256(line).hexdigest()]
        found = _line(line, keys, documents, schemas)
        said = [f"line {number}, {each}" for each in found]
        if is_changed and not said:
            said = [f"line {number} is not the one that was signed"]
        problems += said
    return Bundle(contents, tuple(documents), schemas, tuple(problems))


def _first(line: bytes, keys: KeyDocument, problems: list[str]) -> Contents | None:
    try:
        signed = decoded(line)
        contents = opened(signed, KIND, Contents)
    except ConfigError as error:
        problems.append(f"line 1, which lists the others: {error.message}")
        return None
    key = keys.find(signed.key)
    if key is None:
        problems.append(f'line 1: its key "{signed.key:.40}" is not known')
        return contents
    if not signature_fits(signed, key.loaded()):
        problems.append("line 1: its list of digests, or its signature, was changed")
    problems += [f'line 1: field "{n}" was changed' for n in changed_fields(signed)]
    why = key.trouble_at(contents.made_at, "record", contents.environment)
    problems += [f"line 1: {why}"] if why else []
    return contents


def _line(
    line: bytes, keys: KeyDocument, documents: list[Signed], schemas: dict[str, bytes]
) -> Iterable[str]:
    if _looks_like_schema(line):
        return _schema(line, schemas)
    try:
        signed = decoded(line)
    except ConfigError as error:
        return [f"{error.message}"]
    name = f"{signed.kind:.20} {signed.id[:SHOWN_ID]}"
    if signed.kind == REVOCATION and not signed.key:
        wrong = [f'field "{each}" was changed' for each in changed_fields(signed)]
    elif signed.kind in {PROOF, APPROVAL}:
        wrong = troubles(signed, keys)
    else:
        wrong = ["it is of no kind that belongs here"]
    if not wrong:
        try:
            about_of(signed)
        except ConfigError as error:
            wrong = [error.message]
    if not wrong:
        documents.append(signed)
    return [f"{name}: {each}" for each in wrong]


def _looks_like_schema(line: bytes) -> bool:
    return line.startswith(b'{"kind":"schema"')


def _schema(line: bytes, schemas: dict[str, bytes]) -> list[str]:
    try:
        found = json.decode(line, type=_Schema)
        packed = base64.b64decode(found.packed, validate=True)
        is_canonical = json.encode(found) == line
        its = digest(unpacked(packed))
    except (msgspec.MsgspecError, UnicodeError, binascii.Error, ConfigError):
        return ["a schema: it can't be read"]
    if its != found.digest:
        return [f"schema {found.digest[:SHOWN_ID]:.12}: it is not what its digest says"]
    if not is_canonical:
        return ["a schema: it is not in the form that pgwarden writes"]
    schemas[its] = packed
    return []


def summary(bundle: Bundle) -> dict[str, Any]:
    """How many of each there are."""
    kinds = [each.kind for each in bundle.documents]
    return {
        "proofs": kinds.count(PROOF),
        "approvals": kinds.count(APPROVAL),
        "revocations": kinds.count(REVOCATION),
        "schemas": len(bundle.schemas),
    }
