"""The key to made-up salts: the same after a restart, and nobody else's to read."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from proxy.errors import ConfigError
from proxy.server.mock_key import FILE, KEY_BYTES, mock_key
from tests.unit.test_settings import MINIMAL, settings

if TYPE_CHECKING:
    from pathlib import Path


def test_it_is_made_once(tmp_path: Path) -> None:
    place = settings(tmp_path)
    first = mock_key(place)
    assert len(first) == KEY_BYTES
    assert mock_key(place) == first
    files = list((tmp_path / "audit").iterdir())
    assert [each.name for each in files] == [FILE]
    assert files[0].stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "audit").stat().st_mode & 0o777 == 0o700


def test_two_that_start_at_once_have_one(tmp_path: Path) -> None:
    place = settings(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda _: mock_key(place), range(32)))
    assert len(found) == 1
    assert [each.name for each in (tmp_path / "audit").iterdir()] == [FILE]


@pytest.mark.parametrize("harm", ["short", "open"])
def test_a_damaged_one_is_refused(tmp_path: Path, harm: str) -> None:
    """Not replaced without a word: everybody's salt would change."""
    place = settings(tmp_path)
    mock_key(place)
    file = tmp_path / "audit" / FILE
    if harm == "short":
        file.write_bytes(b"")
    else:
        file.chmod(0o644)
    with pytest.raises(ConfigError, match="damaged, or others may read it"):
        mock_key(place)


def test_with_a_store_it_is_there(tmp_path: Path) -> None:
    place = settings(tmp_path, f"{MINIMAL}store: {{url: 'sqlite:///s.db'}}\n")
    first = mock_key(place)
    assert mock_key(place) == first
    assert not (tmp_path / "audit").exists()
