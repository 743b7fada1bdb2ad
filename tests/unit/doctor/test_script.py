"""`proxy.doctor.script`: one text, here and in deploy/."""

from __future__ import annotations

from pathlib import Path

from proxy.doctor.findings import Login
from proxy.doctor.risky import LOCKING_FUNCTIONS, RISKY_FUNCTIONS
from proxy.doctor.script import roles_script
from proxy.sql.functions import EFFECTS

DEPLOYED = Path(__file__).parents[3] / "deploy" / "roles.sql"


def test_deploy_has_the_same() -> None:
    assert DEPLOYED.read_text() == roles_script(), "run: make docs"


def test_it_takes_the_names_of_the_settings() -> None:
    script = roles_script(
        [
            Login("a", "o'ne\n", is_reader=True),
            Login("b", "two", is_reader=True),
            Login("c", "three", is_reader=False),
        ]
    )
    assert script.splitlines()[:2] == [
        "\\set migrator 'three'",
        "\\set reader 'o''ne\\n'",
    ]
    assert script.endswith(roles_script())


def test_its_functions_are_known_to_have_effects() -> None:
    assert set(RISKY_FUNCTIONS) <= set(EFFECTS)
    assert set(LOCKING_FUNCTIONS) < set(RISKY_FUNCTIONS)
    script = roles_script()
    assert all(f"'{name}'" in script for name in RISKY_FUNCTIONS)
    assert "@" not in script
