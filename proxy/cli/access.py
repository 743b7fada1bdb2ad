"""`pgwarden access`: ask for a lent role, decide on it, look back at it.

Each command logs in to pgwarden as a person does and sends the statement that psql
would, so who acts is proven, and nobody who can reach the store passes for somebody
else. Connection parameters are libpq's; a password is never an argument.
Next: docs/reference/lent-rights.md for the statements.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple

import asyncpg
import typer
from rich.markup import escape
from rich.table import Table

from proxy.audit.tail import printable
from proxy.cli.output import output
from proxy.cli.taking import taking
from proxy.doctor.quoting import quote_text
from proxy.errors import PgwardenError, UnavailableError, reason_of

if TYPE_CHECKING:
    from collections.abc import Sequence

access_app = typer.Typer(
    help="Lent roles: ask, approve, revoke, review.\n\nLogs in to pgwarden with "
    "PGHOST, PGPORT, PGUSER, PGDATABASE, PGSSLMODE and PGPASSFILE, or by options.",
    no_args_is_help=True,
)

CONNECT_S: Final = 10.0
TRIES: Final = 10
"""A view that changes while it is prepared is refused, and asked for again."""
_ENDED: Final = (
    asyncpg.AdminShutdownError,
    asyncpg.ConnectionDoesNotExistError,
    ConnectionError,
)
_SHOWN: Final = ("id", "state", "identity", "role", "length", "until", "reason")


class Place(NamedTuple):
    """Where to log in, and as whom; what is None is for libpq's variables to say."""

    host: str | None
    port: int | None
    user: str | None
    database: str | None


Host = Annotated[str | None, typer.Option("--host", metavar="NAME", help="pgwarden's.")]
Port = Annotated[int | None, typer.Option("--port", metavar="N", help="pgwarden's.")]
User = Annotated[str | None, typer.Option("--user", metavar="NAME", help="Who acts.")]
Database = Annotated[
    str | None, typer.Option("--database", metavar="NAME", help="One that is served.")
]
GrantId = Annotated[str, typer.Argument(metavar="ID", help="As in G-7K3QX2MA.")]
Note = Annotated[str, typer.Option("--note", metavar="TEXT", help="What to say to it.")]


def _place(
    host: Host = None, port: Port = None, user: User = None, database: Database = None
) -> Place:
    return Place(host, port, user, database)


@access_app.command()
@taking(place=_place)
def request(
    *,
    role: Annotated[str, typer.Option("--role", metavar="ROLE", help="Which one.")],
    length: Annotated[str, typer.Option("--for", metavar="TIME", help='As in "30m".')],
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="What for, in one line.")
    ],
    place: Place,
) -> None:
    """Ask for a role.

    Example: pgwarden access request --role writer --for 30m --reason "INC-42: fix 17"
    """
    _act("request_access", [role, length, reason], place)


@access_app.command()
@taking(place=_place)
def approve(
    grant: GrantId,
    *,
    place: Place,
) -> None:
    """Say yes to somebody else's request."""
    _act("approve", [grant], place)


@access_app.command()
@taking(place=_place)
def deny(
    grant: GrantId,
    *,
    note: Note = "",
    place: Place,
) -> None:
    """Say no to somebody else's request."""
    _act("deny", [grant, note], place)


@access_app.command()
@taking(place=_place)
def revoke(
    grant: GrantId,
    *,
    note: Note = "",
    place: Place,
) -> None:
    """End a loan, give one back, or take a request back."""
    _act("revoke", [grant, note], place)


@access_app.command()
@taking(place=_place)
def review(
    grant: GrantId,
    *,
    note: Annotated[
        str, typer.Option("--note", metavar="TEXT", help="What you have seen.")
    ],
    place: Place,
) -> None:
    """Look back at a loan that is over."""
    _act("review", [grant, note], place)


@access_app.command("list")
@taking(place=_place)
def list_(
    *,
    unreviewed: Annotated[
        bool, typer.Option("--unreviewed", help="Only what waits for a review.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
    place: Place,
) -> None:
    """List the requests that one may see, the newest first."""
    view = "unreviewed" if unreviewed else "access"
    rows = _run(place, view=view)
    if as_json:
        typer.echo(json.dumps(rows, indent=2, ensure_ascii=False))
    else:
        _show(rows)


def _act(command: str, args: Sequence[str], place: Place) -> None:
    texts = ", ".join(quote_text(each).strip() for each in args)
    _show(_run(place, call=f"CALL pgwarden.{command}({texts})", grant=args[0]))


def _run(
    place: Place, *, call: str = "", grant: str = "", view: str = "access"
) -> list[dict[str, Any]]:
    try:
        return asyncio.run(_talk(place, call, grant, view))
    except asyncpg.PostgresError as error:
        said = error.as_dict()
        detail = f" ({said['detail']})" if said.get("detail") else ""
        raise PgwardenError(
            f"{said.get('message', error)}{detail}", hint=str(said.get("hint") or "")
        ) from None
    except (asyncpg.InterfaceError, ValueError) as error:
        raise UnavailableError(f"pgwarden can't be asked: {error}") from None
    except TimeoutError:
        raise UnavailableError("pgwarden did not answer in time") from None
    except OSError as error:
        raise UnavailableError(
            f"pgwarden can't be reached: {reason_of(error)}"
        ) from None


async def _talk(place: Place, call: str, grant: str, view: str) -> list[dict[str, Any]]:
    connection = await _connected(place)
    try:
        rows = await _rows(connection, view)
        if not call:
            return rows
        known = {row["id"] for row in rows}
        try:
            await connection.execute(call)
            rows = await _rows(connection, view)
        except _ENDED:
            # Whoever gives back what this very session has borrowed ends it.
            connection.terminate()
            connection = await _connected(place)
            rows = await _rows(connection, view)
        wanted = grant.strip().upper()
        new = [row for row in rows if row["id"] not in known]
        return [row for row in rows if row["id"] == wanted] or new[:1]
    finally:
        connection.terminate()


async def _connected(place: Place) -> Any:  # noqa: ANN401 - asyncpg's
    return await asyncpg.connect(
        **place._asdict(),
        timeout=CONNECT_S,
        command_timeout=CONNECT_S,
        # An answer of a moment ago is none.
        statement_cache_size=0,
        server_settings={"application_name": "pgwarden access"},
    )


async def _rows(connection: Any, view: str) -> list[dict[str, Any]]:  # noqa: ANN401
    for _ in range(TRIES):
        try:
            rows = await connection.fetch(f"SHOW pgwarden.{view}")
        except asyncpg.InvalidSQLStatementNameError:
            continue
        return [{key: _plain(value) for key, value in row.items()} for row in rows]
    raise UnavailableError("requests change faster than they can be shown")


def _plain(value: Any) -> Any:  # noqa: ANN401 - a column's value
    return value if value is None or isinstance(value, str) else value.isoformat()


def _show(rows: Sequence[dict[str, Any]]) -> None:
    table = Table(*_SHOWN, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(escape(printable(str(row.get(each) or ""))) for each in _SHOWN))
    output().print(table)
