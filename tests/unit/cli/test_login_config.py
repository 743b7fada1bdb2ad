"""What `pgwarden login` is told: by file, by flags, and what it says of mistakes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from proxy.cli.login_config import load_login_config
from proxy.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

FLAGS: dict[str, str | int] = {
    "issuer": "https://login.example",
    "client_id": "pgwarden",
    "host": "db.example",
    "database": "shop",
}


@pytest.fixture(autouse=True)
def _nobodys_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def test_flags_alone_are_enough() -> None:
    config = load_login_config(None, FLAGS)
    assert (config.port, config.service, config.use) == (
        6432,
        "pgwarden",
        "access_token",
    )


def test_the_usual_file_is_read_and_flags_go_over_it(tmp_path: Path) -> None:
    folder = tmp_path / "config" / "pgwarden"
    folder.mkdir(parents=True)
    (folder / "login.yaml").write_text(
        "issuer: https://login.example\nclient_id: pgwarden\nhost: db.example\n"
        "database: shop\nport: 7000\nca: ca.pem\n"
    )
    config = load_login_config(None, {"database": "other", "port": 7001})
    assert (config.database, config.port) == ("other", 7001)
    assert config.ca == folder / "ca.pem"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("isuer: https://x", 'did you mean "issuer"'),
        ("issuer: http://login.example", "must begin with https://"),
        ("port: 0", '"port"'),
        ("use: password", '"use"'),
        ("- a", "mapping"),
        ("a: b: c", "not YAML"),
    ],
)
def test_a_mistake_is_told_with_its_line(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "login.yaml"
    path.write_text(text)
    flags = (
        {}
        if text.startswith("-")
        else {name: value for name, value in FLAGS.items() if name not in text}
    )
    with pytest.raises(ConfigError, match=told):
        load_login_config(path, flags)


def test_what_is_missing_is_named() -> None:
    with pytest.raises(ConfigError, match='"client_id" is missing'):
        load_login_config(None, {"issuer": "https://login.example"})


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="can't be read"):
        load_login_config(tmp_path / "none.yaml", FLAGS)
