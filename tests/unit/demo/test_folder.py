"""`proxy.demo.folder`: what a demo keeps and what it leaves behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from proxy.demo.folder import DemoFolder, write_private
from proxy.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path


def test_leaves_nothing_behind() -> None:
    with DemoFolder(None) as folder:
        secret = folder.secret_file("x", "y")
        assert secret.stat().st_mode & 0o777 == 0o600
        assert folder.audit.is_dir()
        assert folder.kept == folder.scratch
    assert not folder.scratch.exists()


def test_keeps_passwords_with_the_data(tmp_path: Path) -> None:
    with DemoFolder(tmp_path / "new" / "deep") as first:
        assert first.kept != first.scratch
    with DemoFolder(tmp_path / "new" / "deep") as second:
        assert second.passwords == first.passwords
        assert (second.kept / "demo.json").stat().st_mode & 0o777 == 0o600
    assert not first.scratch.exists()
    assert second.audit.is_dir()


def test_refuses_a_folder_of_somebody_else(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(ConfigError, match="holds other things"):
        DemoFolder(tmp_path).__enter__()
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_refuses_a_folder_in_use(tmp_path: Path) -> None:
    with (
        DemoFolder(tmp_path / "a"),
        pytest.raises(ConfigError, match="another demo"),
        DemoFolder(tmp_path / "a"),
    ):
        pass


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", '{"version": 1}', '{"version": 1, "passwords": {"x": 1}}'],
)
def test_refuses_a_damaged_state(tmp_path: Path, content: str) -> None:
    (tmp_path / "demo.json").write_text(content)
    with pytest.raises(ConfigError, match="is damaged"):
        DemoFolder(tmp_path).__enter__()


def test_says_which_version_wrote_it(tmp_path: Path) -> None:
    (tmp_path / "demo.json").write_text('{"version": 99, "passwords": {}}')
    with pytest.raises(ConfigError, match="another version"):
        DemoFolder(tmp_path).__enter__()


def test_writes_whole_files_or_none(tmp_path: Path) -> None:
    write_private(tmp_path / "file", "old")
    write_private(tmp_path / "file", "new")
    assert (tmp_path / "file").read_text() == "new"
    (tmp_path / "folder").mkdir()
    with pytest.raises(ConfigError, match="can't write"):
        write_private(tmp_path / "folder", "x")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


def test_hides_its_passwords() -> None:
    folder = DemoFolder(None)
    with folder:
        assert folder.passwords.superuser not in repr(folder.passwords)
