"""`pgwarden migration scan`: commands in a repository that destroy a database.

`proxy.cli.migration` registers it. Exit status: 0 none, 1 some, 2 usage.
Next: `proxy.migrations.scan`.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from proxy.cli.migration_output import AsJson, Form, Format, show
from proxy.cli.mistakes import fail
from proxy.cli.output import counted
from proxy.errors import ConfigError
from proxy.migrations.check_findings import Level
from proxy.migrations.scan import scan


def scan_commands(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="PATH", help="Files and folders.", show_default="this folder"
        ),
    ] = None,
    *,
    exclude: Annotated[
        list[str] | None,
        typer.Option(
            metavar="GLOB",
            help="Files in a folder that are not read, by their path below it; "
            "* also fits a slash. Repeatable.",
            show_default=False,
        ),
    ] = None,
    form: Format = Form.TABLE,
    as_json: AsJson = False,
) -> None:
    """Find commands that destroy a database, such as prisma migrate reset.

    Reads package.json, CI files, compose files and manifests, Makefiles, justfiles,
    Dockerfiles, Procfiles and shell scripts. Documentation and sources are not read. A
    line is allowed by a comment on it or above it: "# pgwarden: allow
    prisma-migrate-reset: the reason".

    Exit status: 0 none is found, 1 some are, 2 wrong usage.

    Example: pgwarden migration scan .
    """
    try:
        findings, files = scan(
            paths or [Path()], datetime.now(UTC).date(), exclude=exclude or ()
        )
    except ConfigError as error:
        fail(error)
    status = show(
        findings,
        Form.JSON if as_json else form,
        name="pgwarden migration scan",
        files=files,
        least=Level.ERROR,
        more={"files": files},
    )
    if form is Form.TABLE and not as_json:
        standing = sum(not each.waived for each in findings)
        allowed = len(findings) - standing
        said = counted(standing, "command that destroys", "commands that destroy")
        more = f", {allowed:,} allowed" if allowed else ""
        sys.stdout.write(f"{counted(len(files), 'file')}: {said}{more}\n")
    raise typer.Exit(status)
