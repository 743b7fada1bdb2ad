"""The section `issuers`: nothing in it can make anybody's tokens good."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from proxy.issuer_settings import IssuerSettings


def section(**change: Any) -> IssuerSettings:
    base = {"url": "https://issuer.example", "audience": "pgwarden.example"}
    return IssuerSettings.model_validate(base | change)


def test_what_is_left_out_is_strict() -> None:
    issuer = section().issuer("company")
    assert issuer.audiences == ("pgwarden.example",)
    assert issuer.algorithms == ("RS256", "PS256", "ES256", "ES384", "EdDSA")
    assert issuer.max_lifetime_s == 43_200


@pytest.mark.parametrize(
    "url",
    [
        "http://issuer.example",
        "http://127.0.0.1.example.com",
        "https://",
        "https://user:secret@issuer.example",
        "https://issuer.example?tenant=1",
        "https://issuer.example#x",
        "https://issuer.example:99999",
        "https://[::1",
        "ftp://issuer.example",
        "issuer.example",
        "",
    ],
)
def test_an_issuer_that_anybody_could_play_is_refused(url: str) -> None:
    with pytest.raises(ValidationError) as caught:
        section(url=url)
    assert "secret" not in str(caught.value.errors()[0]["msg"])


@pytest.mark.parametrize("url", ["http://127.0.0.1:8080", "http://[::1]/realm"])
def test_loopback_may_do_without_tls(url: str) -> None:
    assert section(url=url).url == url


@pytest.mark.parametrize("name", ["none", "None", "HS256", "HS512", "RSA1_5", "dir"])
def test_no_setting_allows_a_shared_secret_or_none(name: str) -> None:
    with pytest.raises(ValidationError, match="must be one of RS256"):
        section(algorithms=[name])
    with pytest.raises(ValidationError, match="must be one of RS256"):
        section(algorithms=["RS256", name])


@pytest.mark.parametrize(
    "change",
    [
        {"audience": ""},
        {"audience": []},
        {"audience": [""]},
        {"algorithms": []},
        {"leeway_s": 301},
        {"max_lifetime_s": 0},
        {"max_session_s": 0},
        {"keys_fresh_s": 100, "keys_usable_s": 99},
        {"claims": {"hd": "*"}},
        {"secret": "x"},
    ],
)
def test_what_can_not_be_meant_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        section(**change)
