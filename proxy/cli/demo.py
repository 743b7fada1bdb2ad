"""`pgwarden demo`: the guarded proxy with everything around it, until Ctrl-C.

`proxy.cli.main` adds the command. Next: `proxy.demo.run`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from proxy.demo.run import DemoOptions, run_demo


def demo(
    *,
    port: Annotated[
        int,
        typer.Option(
            metavar="PORT",
            min=0,
            max=65535,
            help="For clients; 0 takes any free port.",
        ),
    ] = 6432,
    admin_port: Annotated[
        int,
        typer.Option(
            metavar="PORT",
            min=0,
            max=65535,
            help="Status page, health and metrics; 0 takes any free port.",
        ),
    ] = 9187,
    upstream: Annotated[
        str | None,
        typer.Option(
            metavar="DSN",
            help="A superuser's URL of your own server, instead of the embedded one.",
        ),
    ] = None,
    database: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="With --upstream: serve this existing database as it is.",
        ),
    ] = None,
    reader_role: Annotated[
        str | None,
        typer.Option(
            metavar="ROLE",
            help="With --upstream: the role developers reach Postgres as. Its password "
            "is PGWARDEN_DEMO_READER_PASSWORD, or the DSN's if it is the same user.",
        ),
    ] = None,
    ready_file: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH", help="Written as JSON (0600) when it serves; for scripts."
        ),
    ] = None,
    data_dir: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Keep database and audit log here, for the next time."
        ),
    ] = None,
    workers: Annotated[
        int,
        typer.Option(metavar="N", min=1, max=64, help="Processes of the proxy."),
    ] = 1,
) -> None:
    """Try pgwarden: a guarded Postgres with sample data, until Ctrl-C.

    Starts a Postgres of its own, fills the database "shop", and serves it with the
    production policy. Prints lines to copy into another shell. Nothing is left behind
    but a --data-dir.

    With --upstream the same in front of your own server: the demo creates three roles
    (and "shop", unless you name a --database) and removes at the end what it created.
    """
    run_demo(
        DemoOptions(
            port=port,
            admin_port=admin_port,
            upstream=upstream,
            database=database,
            reader_role=reader_role,
            ready_file=ready_file,
            data_dir=data_dir,
            workers=workers,
        ),
        _tell,
    )


def _tell(text: str) -> None:
    # Never wrapped or styled: these lines are copied. Flushed, because scripts read
    # along.
    typer.echo(text)
