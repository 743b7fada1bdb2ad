"""Which policy `--policy` means."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.cli.offline import SHIPPED, load_policy, policy_file
from proxy.errors import ConfigError
from proxy.shipped import policy_path


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_policy_has_a_name(name: str) -> None:
    assert policy_file(Path(name)) == policy_path(name)
    assert load_policy(Path(name)).name == name


def test_without_any_it_is_production() -> None:
    assert load_policy(None).name == "production"


def test_a_file_of_that_name_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("staging").write_text(policy_path("development").read_text())
    assert load_policy(Path("staging")).name == "development"


def test_any_other_name_is_a_file() -> None:
    with pytest.raises(ConfigError, match="prod: no such file"):
        load_policy(Path("prod"))
