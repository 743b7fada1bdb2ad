"""`proxy.doctor.script`: one text, here and in deploy/."""

from __future__ import annotations

from pathlib import Path

from proxy.doctor.findings import Login
from proxy.doctor.risky import LOCKING_FUNCTIONS, RISKY_FUNCTIONS
from proxy.doctor.script import roles_script, whole_script, writer_script
from proxy.sql.functions import EFFECTS

DEPLOYED = Path(__file__).parents[3] / "deploy" / "roles.sql"


def test_deploy_has_the_same() -> None:
    assert DEPLOYED.read_text() == roles_script(), "run: make docs"
    lent = DEPLOYED.with_name("writer.sql")
    assert lent.read_text() == writer_script(), "run: make docs"


READS = Login("reader", "r", is_reader=True, roles=("developer", "lead"))
MIGRATES = Login("zz", "m", is_reader=False, roles=("migrator",))
WRITES = Login("writer", "w'1", is_reader=False, roles=("writer",))
FIXES = Login("fixer", "f", is_reader=False, roles=("fixer",))


def test_who_is_lent_has_a_part_of_its_own() -> None:
    """A writer that were taken for the migrator would be made the tables' owner."""
    script = whole_script([READS, WRITES, MIGRATES], ["writer"])
    roles, _, lent = script.partition("\\set writer ")
    assert roles.startswith("\\set migrator 'm'\n\\set reader 'r'\n")
    assert "w'" not in roles
    assert lent.startswith("'w''1'\n")
    assert lent.endswith(DEPLOYED.with_name("writer.sql").read_text())
    assert 'GRANT :"owner"' not in lent


def test_each_that_is_lent_has_its_own_secret() -> None:
    script = whole_script([READS, MIGRATES, WRITES, FIXES], ["writer", "fixer"])
    assert script.count('CREATE ROLE :"writer"') == 2
    assert "\\set writer 'f'\n\\set writer_secret :writer2_secret\n" in script


def test_a_login_of_somebodys_own_role_is_not_lent() -> None:
    both = Login("writer", "w", is_reader=False, roles=("migrator", "writer"))
    assert 'CREATE ROLE :"writer"' not in whole_script([READS, both], ["writer"])


def test_what_the_settings_do_not_have_is_said() -> None:
    script = whole_script([READS, MIGRATES], ["writer"])
    assert script == roles_script([READS, MIGRATES]) + (
        "\n-- The policy lends role writer, and the settings have no login for it:\n"
        "-- with one, its part is here, too.\n"
    )


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
    assert "@" not in script + writer_script()
