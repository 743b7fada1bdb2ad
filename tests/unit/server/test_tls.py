"""What clients are shown and asked for, and which files can't be used."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from proxy.errors import ConfigError
from proxy.policy.documents import load
from proxy.policy.logins import Logins
from proxy.server.tls import frontend_tls
from proxy.settings import TlsSettings
from tests.authority import Authority

if TYPE_CHECKING:
    from pathlib import Path


def logins(method: str) -> Logins:
    text = f"""
version: 1
name: x
authentication: [{{id: login.way, method: {method}}}]
roles: {{r: {{login: {{refuse: no}}}}}}
"""
    return Logins(load(text, source="p.yaml"))


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def settings(authority: Authority) -> TlsSettings:
    issued = authority.issue("localhost", for_clients=False)
    return TlsSettings(
        certificate=issued.path, key=issued.key, client_ca=authority.path
    )


def changed(settings: TlsSettings, **files: Path) -> TlsSettings:
    return settings.model_copy(update=files)


def test_clients_are_asked_for_a_certificate_where_a_rule_is(
    settings: TlsSettings,
) -> None:
    asking = frontend_tls(settings, logins("certificate"))
    assert asking.context.verify_mode is ssl.CERT_OPTIONAL
    silent = frontend_tls(settings, logins("scram"))
    assert silent.context.verify_mode is ssl.CERT_NONE
    assert asking.end_point == silent.end_point is not None


def test_a_list_is_looked_at_for_the_whole_chain(
    authority: Authority, settings: TlsSettings, tmp_path: Path
) -> None:
    path = tmp_path / "list.crl"
    path.write_bytes(authority.revocation_list(authority.issue("gone")))
    made = frontend_tls(changed(settings, client_crl=path), logins("certificate+scram"))
    assert made.revocations is not None
    assert len(made.revocations) == 1
    assert made.context.verify_flags & ssl.VERIFY_CRL_CHECK_CHAIN


@pytest.mark.parametrize("key", ["client_ca", "client_crl"])
@pytest.mark.parametrize("content", [None, "", "no PEM", "list", "certificate"])
def test_a_file_that_can_not_be_used_is_named(
    authority: Authority,
    settings: TlsSettings,
    tmp_path: Path,
    key: str,
    content: str | None,
) -> None:
    path = tmp_path / "file"
    match content:
        case None:
            pass
        case "list":
            path.write_bytes(authority.revocation_list())
        case "certificate":
            path.write_bytes(authority.path.read_bytes())
        case _:
            path.write_text(content)
    if (key, content) in {("client_ca", "certificate"), ("client_crl", "list")}:
        made = frontend_tls(changed(settings, **{key: path}), logins("certificate"))
        assert made.context.verify_mode is ssl.CERT_OPTIONAL
        return
    with pytest.raises(ConfigError) as caught:
        frontend_tls(changed(settings, **{key: path}), logins("certificate"))
    assert str(path) in caught.value.message


def test_binding_that_is_demanded_must_be_to_be_had(tmp_path: Path) -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    usual = x509.load_pem_x509_certificate(Authority(tmp_path).path.read_bytes())
    made = x509.CertificateBuilder(
        usual.subject,
        usual.subject,
        key.public_key(),
        serial_number=7,
        not_valid_before=usual.not_valid_before_utc,
        not_valid_after=usual.not_valid_after_utc,
    ).sign(key, None)
    (tmp_path / "c").write_bytes(made.public_bytes(Encoding.PEM))
    (tmp_path / "k").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    files = TlsSettings(certificate=tmp_path / "c", key=tmp_path / "k")
    assert frontend_tls(files, logins("scram")).end_point is None
    with pytest.raises(ConfigError, match=r"login\.way.*has no hash for it"):
        frontend_tls(files, logins("scram-plus"))
