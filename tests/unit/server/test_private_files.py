"""Who may read a key, as libpq sees it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from proxy.errors import ConfigError
from proxy.server.private_files import check_key_file, check_password_file

if TYPE_CHECKING:
    from pathlib import Path

IS_ROOT = os.geteuid() == 0


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o640, 0o644, 0o660, 0o604, 0o650])
def test_a_key_is_for_its_owner(tmp_path: Path, mode: int) -> None:
    key = tmp_path / "key"
    key.touch()
    key.chmod(mode)
    if mode in {0o600, 0o400} or (mode == 0o640 and IS_ROOT):
        check_key_file(key)
    else:
        with pytest.raises(ConfigError, match="may be read by others"):
            check_key_file(key)


@pytest.mark.skipif(not IS_ROOT, reason="only root drops privileges")
def test_a_group_may_read_only_roots_key(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.touch()
    key.chmod(0o640)
    check_key_file(key)
    os.chown(key, 65534, 65534)
    with pytest.raises(ConfigError, match="may be read by others"):
        check_key_file(key)


def test_a_folder_or_nothing_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="can't be read"):
        check_password_file(tmp_path / "none")
    with pytest.raises(ConfigError, match="can't be read"):
        check_password_file(tmp_path)
