"""Keys: private ones are the owner's alone and never shown; public ones have a time."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from proxy.errors import ConfigError
from proxy.migrations.keys import (
    KeyDocument,
    make_private,
    read_keys,
    read_private,
    write_keys,
)
from tests.unit.migrations.made import DAY, NOW, pair

if TYPE_CHECKING:
    from pathlib import Path


def test_a_private_key_comes_back_from_a_file_of_the_owner(tmp_path: Path) -> None:
    file = tmp_path / "staging.key"
    made = make_private(file)
    assert file.stat().st_mode & 0o777 == 0o600
    read = read_private(file)
    assert read.id == made.id
    assert read.private.sign(b"x") == made.private.sign(b"x")
    assert "private" not in repr(made)
    assert repr(made) == f"SigningKey(id='{made.id}')"


def test_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        make_private(tmp_path / "key")
    finally:
        os.umask(before)
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    first = make_private(tmp_path / "key")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for name in ("key", "link"):
        with pytest.raises(ConfigError, match="there already"):
            make_private(tmp_path / name)
    assert read_private(tmp_path / "key").id == first.id
    assert not (tmp_path / "elsewhere").exists()


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    make_private(tmp_path / "key")
    for mode in (0o640, 0o604, 0o620):
        (tmp_path / "key").chmod(mode)
        with pytest.raises(ConfigError, match="may be read by others") as caught:
            read_private(tmp_path / "key")
        assert "chmod 600" in caught.value.hint


def test_what_is_no_key_is_told_without_its_text(tmp_path: Path) -> None:
    other = generate_private_key(SECP256R1()).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    texts = (b"", b"n0-k3y", b"-----BEGIN PRIVATE KEY-----\nn0-k3y\n", other)
    for number, text in enumerate(texts):
        file = tmp_path / f"{number}"
        file.write_bytes(text)
        file.chmod(0o600)
        with pytest.raises(ConfigError) as caught:
            read_private(file)
        assert "n0-k3y" not in f"{caught.value!r} {caught.value.__cause__!r}"
    for missing in (tmp_path / "none", tmp_path):
        with pytest.raises(ConfigError, match="can't be read"):
            read_private(missing)


def test_the_document_comes_back(tmp_path: Path) -> None:
    keys = (pair().public, pair(seed=2, retired_at=NOW, distrusted=True).public)
    document = KeyDocument(version=1, keys=keys)
    write_keys(tmp_path / "keys.yaml", document)
    assert read_keys(tmp_path / "keys.yaml") == document
    assert [each.name for each in tmp_path.iterdir()] == ["keys.yaml"]


WRONG = [
    ("id: {id}", "id: K-0000000000000000", "is not the name of this public key"),
    ("public: {public}", "public: AAAA", "is no Ed25519 key"),
    ("public: {public}", "public: '%'", "is not base64"),
    ("- record", "- rule", "uses"),
    ("valid_until: '2027", "valid_until: '2001", "is not after"),
    ("+00:00'", "'", "timezone"),
    ("version: 1", "version: 2", "version"),
    ("environment: staging", "environment: staging\n  also: 1", 'unknown key "also"'),
]


@pytest.mark.parametrize(("old", "new", "why"), WRONG)
def test_a_document_that_does_not_fit(
    tmp_path: Path, old: str, new: str, why: str
) -> None:
    file, key = tmp_path / "keys.yaml", pair().public
    write_keys(file, KeyDocument(version=1, keys=(key,)))
    text = file.read_text().replace("Z'", "+00:00'")
    old = old.format(id=key.id, public=key.public)
    assert old in text
    file.write_text(text.replace(old, new))
    with pytest.raises(ConfigError, match=why):
        read_keys(file)


def test_a_key_twice_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "keys.yaml"
    write_keys(file, KeyDocument(version=1, keys=(pair().public,)))
    text = file.read_text()
    file.write_text(text + text[text.index("- id") :])
    with pytest.raises(ConfigError, match="twice"):
        read_keys(file)


def test_when_and_for_what_a_key_counts() -> None:
    key = pair(retired_at=NOW).public
    assert key.trouble_at(NOW - DAY, "record", "staging") == ""
    assert "was retired" in key.trouble_at(NOW, "record", "staging")
    assert "was not valid" in key.trouble_at(NOW - 101 * DAY, "record", "staging")
    assert "not one to approve" in pair(uses=("record",)).public.trouble_at(
        NOW, "approve", "staging"
    )
    assert 'is of "staging"' in key.trouble_at(NOW - DAY, "record", "production")
    distrusted = pair(distrusted=True).public
    assert "is distrusted" in distrusted.trouble_at(NOW - DAY, "record", "staging")
