"""Proofs, keys and trust as the tests of the ledger use them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from proxy.migrations.keys import (
    KeyDocument,
    PublicKey,
    SigningKey,
    Use,
    key_id,
    public_of,
)
from proxy.migrations.proof import (
    Applied,
    Approval,
    LockTaken,
    Origin,
    Outcome,
    Proof,
    ProvenStatement,
    sign_approval,
    sign_proof,
)
from proxy.migrations.schema import Scope, Snapshot
from proxy.migrations.schema_digest import digest
from proxy.migrations.standing import Entry, Source, Trust
from proxy.migrations.varying import Varying

if TYPE_CHECKING:
    from proxy.migrations.signed import Signed

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
DAY = timedelta(days=1)
SCOPE = Scope.of(["public"])
BEFORE = Snapshot(
    scope=SCOPE,
    database="shop",
    server_version="17.2",
    objects={"schema public": {}},
)
AFTER = Snapshot(
    scope=SCOPE,
    database="shop",
    server_version="17.2",
    objects={
        "schema public": {},
        "table public.t": {"columns": ["a"]},
        "column public.t.a": {"type": "integer", "default": "1"},
    },
)


@dataclass(frozen=True)
class Pair:
    """A key, both parts of it."""

    private: SigningKey
    public: PublicKey


def pair(
    environment: str = "staging",
    *,
    uses: tuple[Use, ...] = ("record", "approve"),
    days: int = 365,
    seed: int = 1,
    **changed: Any,
) -> Pair:
    private = Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)
    raw = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    key = SigningKey(key_id(raw), private)
    public = public_of(
        key,
        environment=environment,
        uses=uses,
        valid_from=NOW - 100 * DAY,
        valid_until=NOW + days * DAY,
    )
    return Pair(key, public.model_copy(update=changed))


KEYS = pair()


def proof(**changed: Any) -> Proof:
    values: dict[str, Any] = {
        "origin": Origin.RECORDED,
        "tool": "prisma",
        "name": "20261101_add",
        "checksum": "c" * 64,
        "environment": "staging",
        "database": "shop",
        "server_version": "17.2",
        "identity": "deploy",
        "statements": (
            ProvenStatement(sha256="a" * 64, shown="CREATE TABLE t (a int)", message=1),
            ProvenStatement(
                sha256="b" * 64,
                shown="INSERT INTO t VALUES ($1)",
                message=2,
                tag="INSERT 0 1",
                varying=(Varying("uuid", "parameter", 1),),
            ),
        ),
        "scope": SCOPE,
        "before": digest(BEFORE),
        "after": digest(AFTER),
        "outcome": Outcome.COMMITTED,
        "locks": (LockTaken("public.t", "AccessExclusiveLock"),),
        "settings": {"timezone": "UTC", "search_path": "public"},
        "duration_ms": 17,
        "started_at": NOW - DAY,
        "recorded_at": NOW - DAY,
        "expires_at": NOW + 30 * DAY,
        "applied": (Applied("earlier", "d" * 64),),
        "note": "é",
    }
    return Proof(**{**values, **changed})


def recorded(key: Pair = KEYS, **changed: Any) -> Signed:
    return sign_proof(proof(**changed), key.private)


def approval(of: Signed, by: str = "ana", key: Pair = KEYS, **changed: Any) -> Signed:
    values: dict[str, Any] = {
        "proof": of.id,
        "by": by,
        "environment": "staging",
        "at": NOW - DAY / 2,
    }
    return sign_approval(Approval(**{**values, **changed}), key.private)


def entry(key: Pair = KEYS, **changed: Any) -> Entry:
    signed = recorded(key, **changed)
    return Entry(signed, (approval(signed, key=key),))


def trust(*keys: Pair, **changed: Any) -> Trust:
    values: dict[str, Any] = {
        "keys": KeyDocument(version=1, keys=tuple(k.public for k in keys or (KEYS,))),
        "environment": "production",
        "sources": (Source("staging", "shop", "shop"),),
    }
    return Trust(**{**values, **changed})
