"""Where a store may be said to be."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from proxy.errors import ConfigError
from proxy.store_settings import StoreSettings
from tests.unit.test_settings import MINIMAL, settings

HIDDEN = "s3cret"


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://pgwarden:{HIDDEN}@db/pgwarden",
        f"postgresql://pgwarden@db/pgwarden?password={HIDDEN}",
        "postgresql://db/pgwarden",
        "postgresql://pgwarden@db",
        "postgresql://pgwarden@db:99999/pgwarden",
        "postgresql+asyncpg://pgwarden@db/pgwarden",
        "mysql://pgwarden@db/pgwarden",
        "sqlite://store.db",
        "sqlite:///",
        "sqlite:///store.db?mode=memory",
        "store.db",
        "",
    ],
)
def test_what_it_is_not(url: str) -> None:
    with pytest.raises(ValidationError):
        StoreSettings(url=url)


def test_a_password_in_the_url_is_not_repeated(tmp_path: Path) -> None:
    text = f"{MINIMAL}store: {{url: 'postgresql://u:{HIDDEN}@db/p'}}\n"
    with pytest.raises(ConfigError, match="a password must not be in it") as caught:
        settings(tmp_path, text)
    assert HIDDEN not in caught.value.message


def test_a_file_is_taken_from_the_settings_folder(tmp_path: Path) -> None:
    found = settings(tmp_path, f"{MINIMAL}store: {{url: 'sqlite:///a/b.db'}}\n").store
    assert found is not None
    assert found.file == tmp_path / "a/b.db"
    odd = tmp_path / "50% of? #1"
    odd.mkdir()
    text = f"{MINIMAL}store: {{url: 'sqlite:///b%3f.db'}}\n"
    in_odd = settings(odd, text).store
    assert in_odd is not None
    assert in_odd.file == odd / "b?.db"
    absolute = StoreSettings(url="sqlite:////var/lib/b.db")
    assert absolute.resolved(tmp_path).file == Path("/var/lib/b.db")


def test_a_password_file_too(tmp_path: Path) -> None:
    (tmp_path / "pw").write_text(f"{HIDDEN}\n")
    text = (
        f"{MINIMAL}store: {{url: 'postgresql://u@db/p', password_file: pw, "
        "tls: {ca: ca.pem}}\n"
    )
    found = settings(tmp_path, text).store
    assert found is not None
    assert found.password() == HIDDEN
    assert found.tls.ca == tmp_path / "ca.pem"
    assert HIDDEN not in repr(found)
    assert found.postgres == ("db", 5432, "p", "u")


def test_one_source_of_the_password() -> None:
    with pytest.raises(ValidationError, match="not both"):
        StoreSettings(
            url="postgresql://u@h/d", password_env="A", password_file=Path("b")
        )


def test_a_variable_that_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    place = StoreSettings(url="postgresql://u@h/d", password_env="PGW_STORE_NOT_SET")
    with pytest.raises(ConfigError, match='"PGW_STORE_NOT_SET" is not set'):
        place.password()
    monkeypatch.setenv("PGW_STORE_NOT_SET", HIDDEN)
    assert place.password() == HIDDEN
