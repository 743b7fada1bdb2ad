"""libpq's files: one entry is put, all others stay as they are, nobody else reads."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from proxy.cli.libpq_files import put_password, put_service
from proxy.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

WHERE = ("db.example", "6432", "*", "ann@acme.example")


def test_a_password_comes_first_and_replaces_only_its_own_line(tmp_path: Path) -> None:
    path = tmp_path / ".pgpass"
    others = (
        b"# mine\n*:*:*:ann@acme.example:old one for everything\n"
        b"db.example:6432:shop:ann@acme.example:kept\n"
        b"db.example:6432:*:ann@acme.example.org:kept\n\xff\xfe binary\r\n"
    )
    path.write_bytes(others)
    path.chmod(0o644)
    put_password(path, WHERE, "first.to.ken")
    put_password(path, WHERE, "second.to.ken")
    line = b"db.example:6432:*:ann@acme.example:second.to.ken\n"
    assert path.read_bytes() == line + others
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in tmp_path.iterdir()] == [".pgpass"]


def test_colons_and_backslashes_are_spelled_as_libpq_reads_them(tmp_path: Path) -> None:
    path = tmp_path / "deeper" / "pgpass"
    put_password(path, ("::1", "5432", "*", "a\\b"), "p:w")
    assert path.read_text() == "\\:\\:1:5432:*:a\\\\b:p\\:w\n"
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_last_line_without_an_end_stays_a_line(tmp_path: Path) -> None:
    path = tmp_path / "pgpass"
    path.write_bytes(b"a:1:*:b:c")
    put_password(path, WHERE, "x")
    assert path.read_bytes().splitlines()[1] == b"a:1:*:b:c"


def test_a_service_replaces_only_its_own_section(tmp_path: Path) -> None:
    path = tmp_path / ".pg_service.conf"
    path.write_text(
        "# services\n[other]\nhost=a\n\n[shop]\nhost=old\nuser=old\n[shop2]\nhost=b"
    )
    put_service(path, "shop", {"host": "db.example", "sslmode": "verify-full"})
    assert path.read_text() == (
        "# services\n[other]\nhost=a\n\n[shop2]\nhost=b\n\n"
        "[shop]\nhost=db.example\nsslmode=verify-full\n"
    )
    put_service(path, "shop", {"host": "newer"})
    assert path.read_text().endswith("host=b\n\n[shop]\nhost=newer\n")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    real = tmp_path / "dotfiles"
    real.write_text("kept:1:*:b:c\n")
    link = tmp_path / ".pgpass"
    link.symlink_to(real)
    put_password(link, WHERE, "x")
    assert link.is_symlink()
    assert "kept" in real.read_text()


def test_many_at_once_lose_no_line(tmp_path: Path) -> None:
    path = tmp_path / "pgpass"

    def put(number: int) -> None:
        put_password(path, ("db", str(number), "*", "u"), "x")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(put, range(40)))
    assert len(path.read_text().splitlines()) == 40


@pytest.mark.parametrize("bad", ["a\nb", "a\rb", "a\0b"])
def test_no_value_can_add_a_line(tmp_path: Path, bad: str) -> None:
    path = tmp_path / "file"
    with pytest.raises(ConfigError, match="line's end"):
        put_password(path, ("db", "1", "*", bad), "x")
    with pytest.raises(ConfigError, match="line's end"):
        put_password(path, WHERE, bad)
    with pytest.raises(ConfigError, match="line's end"):
        put_service(path, "shop", {"host": bad})
    for name in (bad, "a]", ""):
        with pytest.raises(ConfigError):
            put_service(path, name, {"host": "db"})
    assert not path.exists()


def test_what_can_not_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="can't be written"):
        put_password(tmp_path, WHERE, "x")
    large = tmp_path / "large"
    large.write_bytes(b"x" * (4 * 1024 * 1024 + 1))
    with pytest.raises(ConfigError, match="larger than"):
        put_password(large, WHERE, "x")
