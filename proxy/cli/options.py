"""Options that several commands share.

Next: `proxy.cli.offline`, which loads what they name.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from proxy.sql.majors import NEWEST, OLDEST

PolicyFile = Annotated[
    Path | None,
    typer.Option(
        "--policy",
        metavar="FILE",
        help="Policy document; production, staging and development are shipped.",
        show_default="the shipped production.yaml",
    ),
]

CatalogFile = Annotated[
    Path | None,
    typer.Option(
        "--catalog",
        metavar="FILE",
        help="What `pgwarden catalog export` wrote: then the answer is that of the "
        "wire, functions and views of the database included.",
    ),
]

CatalogFiles = Annotated[
    list[Path] | None,
    typer.Option(
        "--catalog",
        metavar="FILE",
        help="What `pgwarden catalog export` wrote, of each database. Repeatable.",
    ),
]

ServerVersion = Annotated[
    int | None,
    typer.Option(
        "--server-version",
        metavar="MAJOR",
        min=OLDEST,
        max=NEWEST,
        help="Major of the server, for grammar that older ones have not.",
        show_default=f"that of --catalog, or {OLDEST}",
    ),
]

LogFolder = Annotated[
    Path,
    typer.Option(
        "--log",
        metavar="DIR",
        envvar="PGWARDEN_AUDIT_FOLDER",
        help="Folder of the audit files (*.jsonl, one a writer).",
    ),
]

Identities = Annotated[
    list[str] | None,
    typer.Option("--identity", metavar="NAME", help="Only this identity. Repeatable."),
]
Roles = Annotated[
    list[str] | None,
    typer.Option("--role", metavar="ROLE", help="Only this role. Repeatable."),
]
Since = Annotated[
    str, typer.Option(metavar="TIME", help='From "10m", "2h", "30d" or ISO.')
]
Until = Annotated[
    str, typer.Option(metavar="TIME", help="Up to then, in the same forms.")
]
Jobs = Annotated[
    int,
    typer.Option(
        metavar="N", min=0, max=64, help="Processes; 0: as many as the log is worth."
    ),
]

Database = Annotated[
    str, typer.Option(metavar="NAME", help="Name of the database it would run on.")
]
At = Annotated[
    str,
    typer.Option(
        metavar="TIME",
        help='When it would run: "now", or ISO with the offset. Rules that hang on the '
        "time are judged strictly without it.",
    ),
]
Address = Annotated[
    str,
    typer.Option(metavar="IP", help="Address it would come from; the same without it."),
]
Application = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Its application_name; the same without it.",
        show_default=False,
    ),
]
Proven = Annotated[
    bool | None,
    typer.Option(
        "--proven/--unproven",
        help="Part of a proven migration that all gates let pass; with --unproven, of "
        "none. The same without either.",
        show_default=False,
    ),
]
