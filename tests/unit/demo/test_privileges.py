"""`proxy.demo.privileges`: what an account may pass through."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from proxy.demo.privileges import Account, can_enter

if TYPE_CHECKING:
    from collections.abc import Iterator

STRANGER = Account("stranger", 54321, 54321)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """Below /tmp, which is open to all; pytest's own may be closed at any height."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o711)
        yield Path(folder)


@pytest.mark.parametrize(
    ("mode", "enters"), [(0o700, False), (0o711, True), (0o750, False), (0o755, True)]
)
def test_asks_for_search_permission(
    open_folder: Path, mode: int, *, enters: bool
) -> None:
    folder = open_folder / "a"
    folder.mkdir()
    folder.chmod(mode)
    assert can_enter(folder, STRANGER) is enters


def test_one_closed_parent_is_enough(open_folder: Path) -> None:
    (open_folder / "closed" / "open").mkdir(parents=True)
    (open_folder / "closed").chmod(0o700)
    (open_folder / "closed" / "open").chmod(0o755)
    assert not can_enter(open_folder / "closed" / "open", STRANGER)


def test_we_ourselves_are_not_asked(open_folder: Path) -> None:
    assert can_enter(open_folder / "missing", None)


def test_the_owner_counts_not_the_others(open_folder: Path) -> None:
    owner = Account("owner", open_folder.stat().st_uid, 54321)
    folder = open_folder / "a"
    folder.mkdir(mode=0o700)
    folder.chmod(0o077)
    assert not can_enter(folder, owner)
    folder.chmod(0o700)
    assert can_enter(folder, owner)
