"""Who may log in: the identities document and finding one by name.

Takes a mapping that somebody else parsed (the YAML loader lives above this layer).
All mistakes are told at once, each with its place; a secret's text never is.
Imports pydantic, `secrets` of this package and `proxy.errors`.
Next: `proxy.session.login`, which asks for identities.
"""

from __future__ import annotations

import difflib
from collections import Counter
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import TYPE_CHECKING, Annotated, Final, Literal, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from proxy.auth.claims import TokenEntry
from proxy.auth.client_certificates import CertificateName
from proxy.auth.secrets import (
    DEFAULT_ITERATIONS,
    SALT_LENGTH,
    ScramSecret,
    mock_secret,
    parse_secret,
)
from proxy.errors import ConfigError, type_in_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

MAX_NAME_BYTES: Final = 63
"""NAMEDATALEN - 1: longer names are cut short by Postgres, so two could become one."""
MAX_SECRETS: Final = 2
"""The old one and the new one, while a password is being changed."""


def _check_name(name: str) -> str:
    if not name or not name.isprintable() or name != name.strip():
        raise ValueError("must be printable, without spaces around it")
    if len(name.encode()) > MAX_NAME_BYTES:
        raise ValueError(f"must have at most {MAX_NAME_BYTES} bytes")
    return name


def _check_secret(text: str) -> str:
    try:
        parse_secret(text)
    except ConfigError as problem:
        hint = f" ({problem.hint})" if problem.hint else ""
        raise ValueError(f"{problem.message}{hint}") from None
    return text


Name = Annotated[str, AfterValidator(_check_name)]
SecretText = Annotated[str, AfterValidator(_check_secret)]
_STRICT: Final = ConfigDict(
    extra="forbid", frozen=True, hide_input_in_errors=True, str_max_length=4096
)


class IdentityEntry(BaseModel):
    """One identity as written in the document."""

    model_config = _STRICT

    name: Name
    role: Name
    secret: SecretText | None = Field(default=None, repr=False)
    secrets: tuple[SecretText, ...] = Field(
        default=(), max_length=MAX_SECRETS, repr=False
    )
    token: TokenEntry | None = None
    valid_until: AwareDatetime | None = None
    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    disabled: bool = False
    certificate: CertificateName | None = None
    old_secret_until: AwareDatetime | None = None
    sessions_since: AwareDatetime | None = None

    @model_validator(mode="after")
    def _check_secrets(self) -> Self:
        if self.secret is not None and self.secrets:
            raise ValueError('give either "secret" or "secrets"')
        if not (self.secret_texts() or self.certificate or self.token):
            raise ValueError('give "secret", "secrets", "certificate" or "token"')
        parsed = [parse_secret(text) for text in self.secret_texts()]
        if len({(secret.salt, secret.iterations) for secret in parsed}) > 1:
            # Only one salt can be shown to a client that has yet to say which
            # password it holds.
            raise ValueError("two secrets must share salt and iterations")
        if self.old_secret_until is not None and len(parsed) < MAX_SECRETS:
            raise ValueError('"old_secret_until" needs two secrets, the old one last')
        return self

    @model_validator(mode="after")
    def _check_certificate(self) -> Self:
        if self.certificate is not None:
            self.certificate.check_of_one()
        return self

    def secret_texts(self) -> tuple[str, ...]:
        """The secrets, however they were written."""
        return self.secrets if self.secret is None else (self.secret,)


class IdentitiesDocument(BaseModel):
    """The whole document: `version: 1` and a list."""

    model_config = _STRICT

    version: Literal[1]
    identities: tuple[IdentityEntry, ...]


@dataclass(frozen=True, slots=True)
class Identity:
    """One identity, ready to be proven.

    Attributes:
        name: what the client gives as user.
        role: the policy's role.
        secrets: SCRAM secrets; the password of any of them is right.
        valid_until: last moment at which it may log in; None for ever.
        networks: addresses it may come from; empty for any.
        disabled: may not log in at all.
        certificate: whose client certificate it must be, where a rule asks for one.
        token: which tokens prove it, where a rule takes tokens; None if none does.
        old_secret_until: last moment at which the second secret is right; None for
            ever.
        sessions_since: a mark that is another one after each `disable` and `add`, so
            that sessions from before end, even if nobody saw what was in between.
    """

    name: str
    role: str
    secrets: tuple[ScramSecret, ...] = field(repr=False)
    valid_until: datetime | None = None
    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    disabled: bool = False
    certificate: CertificateName | None = None
    token: TokenEntry | None = None
    old_secret_until: datetime | None = None
    sessions_since: datetime | None = None

    def secrets_at(self, now: datetime) -> tuple[ScramSecret, ...]:
        """The secrets that are right now: without the old one whose time is over."""
        until = self.old_secret_until
        is_over = until is not None and now > until
        return self.secrets[:1] if is_over else self.secrets

    def unusable_reason(self, now: datetime) -> str:
        """Why this identity can't log in now, for the operator; "" if it can."""
        if self.disabled:
            return "the identity is disabled"
        if self.valid_until is not None and now > self.valid_until:
            return f"the identity was valid until {self.valid_until.isoformat()}"
        return ""

    def shared_proof(self, other: Identity) -> str:
        """By what whoever can come in as one can as the other, too; "" for nothing.

        Of tokens: unless their issuer says the identity's name (`identity_claim`).
        """
        if set(self.secrets) & set(other.secrets):
            return "password"
        if self.certificate is not None and self.certificate == other.certificate:
            return "certificate"
        if self.token is not None and self.token == other.token:
            return "token"
        return ""

    def may_come_from(self, address: str) -> bool:
        """Whether the client's address lies in one of the identity's networks."""
        if not self.networks:
            return True
        try:
            # A zone ("fe80::1%eth0") is no part of a network.
            at = ip_address(address.partition("%")[0])
        except ValueError:
            return False
        if isinstance(at, IPv6Address) and at.ipv4_mapped is not None:
            at = at.ipv4_mapped
        return any(at in network for network in self.networks)


class Identities:
    """All identities of one document. Immutable; a reload makes another one."""

    __slots__ = ("_by_name", "_mock_iterations", "_mock_salt_length")

    def __init__(self, identities: Iterable[Identity] = ()) -> None:
        self._by_name = {identity.name: identity for identity in identities}
        # An unknown name must look like most known ones do.
        shapes = Counter(
            (secret.iterations, len(secret.salt))
            for identity in self._by_name.values()
            for secret in identity.secrets[:1]
        )
        usual = shapes.most_common(1)
        self._mock_iterations, self._mock_salt_length = (
            usual[0][0] if usual else (DEFAULT_ITERATIONS, SALT_LENGTH)
        )

    def __iter__(self) -> Iterator[Identity]:
        return iter(self._by_name.values())

    def __len__(self) -> int:
        return len(self._by_name)

    def names(self) -> list[str]:
        """All names, sorted."""
        return sorted(self._by_name)

    def find(self, name: str) -> Identity | None:
        """The identity with exactly this name."""
        return self._by_name.get(name)

    def mock(self, name: str, key: bytes) -> ScramSecret:
        """The secret to show for a name that is not here (`mock_secret`)."""
        return mock_secret(
            name,
            key,
            iterations=self._mock_iterations,
            salt_length=self._mock_salt_length,
        )


def load_identities(mapping: Mapping[str, object], *, source: str) -> Identities:
    """Check a parsed document.

    Args:
        mapping: the document's top level.
        source: what to call it in errors, a file name usually.

    Raises:
        ConfigError: every problem, one a line; unknown keys with the nearest known.
    """
    try:
        document = IdentitiesDocument.model_validate(mapping)
    except ValidationError as problem:
        lines = [_describe(error, source) for error in problem.errors()]
        raise ConfigError("\n".join(lines)) from None
    names = Counter(entry.name for entry in document.identities)
    if twice := sorted(name for name, count in names.items() if count > 1):
        listed = ", ".join(f'"{name}"' for name in twice)
        raise ConfigError(f"{source}: identities: given more than once: {listed}")
    return Identities(identity_of(entry) for entry in document.identities)


def read_entry(mapping: Mapping[str, object], *, source: str) -> IdentityEntry:
    """Check one entry, wherever it was kept.

    Raises:
        ConfigError: every problem, one a line.
    """
    try:
        return IdentityEntry.model_validate(mapping)
    except ValidationError as problem:
        lines = [_describe(error, source, IdentityEntry) for error in problem.errors()]
        raise ConfigError("\n".join(lines)) from None


def identity_of(entry: IdentityEntry) -> Identity:
    """The entry, ready to be proven."""
    return Identity(
        entry.name,
        entry.role,
        tuple(parse_secret(text) for text in entry.secret_texts()),
        valid_until=entry.valid_until,
        networks=entry.networks,
        disabled=entry.disabled,
        certificate=entry.certificate,
        token=entry.token,
        old_secret_until=entry.old_secret_until,
        sessions_since=entry.sessions_since,
    )


def _describe(
    error: Mapping[str, object],
    source: str,
    model: type[BaseModel] | None = None,
) -> str:
    raw = error.get("loc")
    place: Sequence[object] = raw if isinstance(raw, tuple) else ()
    where = ".".join(str(part) for part in place) or "document"
    if error.get("type") != "extra_forbidden":
        said = type_in_words(str(error.get("type"))) or _lower(str(error.get("msg")))
        return f"{source}: {where}: {said}"
    if model is None:
        model = IdentityEntry if len(place) > 1 else IdentitiesDocument
    near = difflib.get_close_matches(str(place[-1]), model.model_fields, n=1)
    tip = f'; did you mean "{near[0]}"?' if near else ""
    return f"{source}: {where}: unknown key{tip}"


def _lower(text: str) -> str:
    text = text.removeprefix("Value error, ")
    return text[:1].lower() + text[1:]
