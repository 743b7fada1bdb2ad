"""The section `issuers` of the settings: whose tokens are taken, and how checked.

Trust in an issuer stands here, beside the addresses and CAs of the process; where its
tokens are asked for is the policy's, and which of them are whose the identities
document's. Next: `proxy.server.issuers`, `proxy.auth.tokens`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)

from proxy.addresses import is_loopback
from proxy.auth.claims import Claims
from proxy.auth.keys import ALGORITHMS
from proxy.auth.tokens import DEFAULT_ALGORITHMS, Issuer


def check_issuer_url(url: str) -> str:
    """An issuer's URL, which nobody on the way may answer for.

    Raises:
        ValueError: it is none, or not https (http is for loopback alone).
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        _ = parts.port  # a property that refuses what is no port
    except ValueError:
        raise ValueError("is no URL") from None
    if parts.scheme not in {"https", "http"} or not host:
        raise ValueError("must be a URL that begins with https://")
    if parts.scheme == "http" and not is_loopback(host):
        raise ValueError("must begin with https://: who could change its keys could")
    if parts.query or parts.fragment or "@" in parts.netloc:
        raise ValueError("must have no user, query or fragment")
    return url


def _check_algorithm(name: str) -> str:
    if name not in ALGORITHMS:
        raise ValueError(f"must be one of {', '.join(ALGORITHMS)}")
    return name


def _as_tuple(value: object) -> object:
    return (value,) if isinstance(value, str) else value


IssuerUrl = Annotated[str, AfterValidator(check_issuer_url)]
Algorithm = Annotated[str, AfterValidator(_check_algorithm)]
OneOrMore = Annotated[
    tuple[Annotated[str, Field(min_length=1)], ...],
    BeforeValidator(_as_tuple),
    Field(min_length=1),
]


class IssuerSettings(BaseModel):
    """One OpenID Connect issuer."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: IssuerUrl = Field(
        description="Its identifier, letter by letter as its tokens say it (`iss`). "
        "`/.well-known/openid-configuration` under it must be there. https, or http "
        "on loopback."
    )
    audience: OneOrMore = Field(
        description="What the token must be meant for (`aud`); a list means any of "
        "these. Give each pgwarden one of its own: a token that another one was shown "
        "is then of no use here."
    )
    algorithms: tuple[Algorithm, ...] = Field(
        default=DEFAULT_ALGORITHMS,
        min_length=1,
        description="Signatures that are taken. There is no way to allow `none` or a "
        "shared secret.",
    )
    identity_claim: str = Field(
        default="",
        description="The claim that must be the identity's name, letter by letter, "
        "such as `email` (`email_verified` must then be true). Without it, each "
        "identity needs `claims` of its own.",
    )
    claims: Claims = Field(
        default={},
        description="Claims that every token must have, whoever logs in, each with a "
        "value or a list of values; `*` in a text stands for any characters.",
    )
    scope: str = Field(
        default="openid",
        description="What a client is told to ask for, where it asks pgwarden "
        "(OAUTHBEARER).",
    )
    ca: Path | None = Field(
        default=None,
        description="PEM of the CAs to trust; without it, those of the system.",
    )
    leeway_s: float = Field(
        default=30.0,
        ge=0,
        le=300,
        description="By how much the issuer's clock and ours may differ.",
    )
    max_lifetime_s: float = Field(
        default=12 * 3600.0,
        gt=0,
        description="A token that is good for longer is refused: it is a password "
        "that anyone may use who finds it.",
    )
    max_session_s: float = Field(
        default=8 * 3600.0,
        gt=0,
        description="How long a session may last that a token has opened; it may "
        "outlive the token, which is looked at once.",
    )
    keys_fresh_s: float = Field(
        default=3600.0,
        ge=1,
        description="How often its keys are fetched again. A token with a key never "
        "seen has them fetched at once, at most every ten seconds, or this often if it "
        "is less.",
    )
    keys_usable_s: float = Field(
        default=24 * 3600.0,
        ge=1,
        description="How long the last keys may be used while the issuer can't be "
        "reached. Then its tokens are refused.",
    )

    @model_validator(mode="after")
    def _times_fit(self) -> Self:
        if self.keys_usable_s < self.keys_fresh_s:
            raise ValueError('"keys_usable_s" must not be less than "keys_fresh_s"')
        return self

    def issuer(self, name: str) -> Issuer:
        """What the check of a token needs to know."""
        return Issuer(
            name=name,
            url=self.url,
            audiences=self.audience,
            algorithms=self.algorithms,
            identity_claim=self.identity_claim,
            claims=self.claims,
            leeway_s=self.leeway_s,
            max_lifetime_s=self.max_lifetime_s,
        )
