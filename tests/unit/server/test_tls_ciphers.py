"""What TLS clients get, by real handshakes in memory."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import pytest
import trustme

from proxy.cli.offline import load_policy
from proxy.server.tls import frontend_tls
from proxy.settings import TlsSettings
from proxy.shipped import policy_path

if TYPE_CHECKING:
    from pathlib import Path

ANY = "ALL:@SECLEVEL=0"


@pytest.fixture(scope="module", params=["RSA", "ECDSA"])
def ours(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> ssl.SSLContext:
    folder: Path = tmp_path_factory.mktemp("tls")
    kind = trustme.KeyType[request.param]
    issued = trustme.CA().issue_cert("localhost", key_type=kind)
    issued.cert_chain_pems[0].write_to_path(folder / "c")
    issued.private_key_pem.write_to_path(folder / "k")
    settings = TlsSettings(certificate=folder / "c", key=folder / "k")
    logins = load_policy(policy_path("production")).logins
    return frontend_tls(settings, logins).context


def client(
    ciphers: str = "DEFAULT",
    least: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2,
    most: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers(ciphers)
    context.minimum_version, context.maximum_version = least, most
    return context


def shake(theirs: ssl.SSLContext, ours: ssl.SSLContext) -> ssl.SSLObject:
    """The client's side once both are done.

    Raises:
        SSLError: one of them would not go on.
    """
    wire = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [
        theirs.wrap_bio(wire[0], wire[1]),
        ours.wrap_bio(wire[1], wire[0], server_side=True),
    ]
    for _ in range(10):
        waiting = 0
        for side in sides:
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                waiting += 1
        if not waiting:
            return sides[0]
    raise AssertionError("the handshake does not end")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_older_versions_are_refused(
    ours: ssl.SSLContext, version: ssl.TLSVersion
) -> None:
    with pytest.raises(ssl.SSLError, match=r"(?i)version|protocol"):
        shake(client(ANY, version, version), ours)


@pytest.mark.parametrize(
    "cipher",
    [
        "AES128-SHA", "AES256-SHA", "AES128-GCM-SHA256", "AES256-GCM-SHA384",
        "ECDHE-RSA-AES128-SHA", "ECDHE-RSA-AES256-SHA384", "ECDHE-ECDSA-AES128-SHA",
        "DHE-RSA-AES256-GCM-SHA384", "ADH-AES256-SHA", "AECDH-AES128-SHA",
        "PSK-AES128-GCM-SHA256", "eNULL",
    ],
)  # fmt: skip
def test_ciphers_without_forward_secrecy_or_authentication_are_refused(
    ours: ssl.SSLContext, cipher: str
) -> None:
    theirs = client(cipher + ":@SECLEVEL=0", most=ssl.TLSVersion.TLSv1_2)
    with pytest.raises(ssl.SSLError):
        shake(theirs, ours)


@pytest.mark.parametrize(
    ("most", "ending"),
    [
        (ssl.TLSVersion.TLSv1_3, ("GCM_SHA384", "GCM_SHA256", "POLY1305_SHA256")),
        (ssl.TLSVersion.TLSv1_2, ("GCM-SHA384", "GCM-SHA256", "POLY1305")),
    ],
)
def test_what_any_client_agrees_on(
    ours: ssl.SSLContext, most: ssl.TLSVersion, ending: tuple[str, ...]
) -> None:
    made = shake(client(ANY, most=most), ours)
    chosen = made.cipher()
    assert chosen is not None
    assert chosen[0].endswith(ending)
    assert chosen[2] >= 128
    assert made.compression() is None


def test_options(ours: ssl.SSLContext) -> None:
    assert ours.options & ssl.OP_NO_RENEGOTIATION
    assert ours.options & ssl.OP_NO_COMPRESSION
    assert ours.minimum_version is ssl.TLSVersion.TLSv1_2
