"""The responses an upstream may ask for where the settings allow it."""

from __future__ import annotations

from proxy.auth.passwords import cleartext_response, md5_response


def test_the_md5_response_is_that_of_libpq() -> None:
    # What libpq 15 sent to a scripted server: user "super", password "secretpw".
    assert md5_response("super", "secretpw", b"\1\2\3\4") == (
        b"md5f85ffd31d8bac23a08bc8f8cecdd0bcb"
    )


def test_a_cleartext_response_is_the_password() -> None:
    assert cleartext_response("pässword") == "pässword".encode()
