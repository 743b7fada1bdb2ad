"""`pgwarden login`: a short-lived password from an issuer, put where libpq looks.

The person approves in a browser, on whatever machine (the device flow); the token that
comes back is the password for an hour or so. It is written, and never shown unless
asked for. Next: `proxy.cli.device_flow`, `proxy.cli.libpq_files`.
"""

from __future__ import annotations

import asyncio
import json
import shlex
import sys
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from proxy.audit.tail import printable
from proxy.auth.tokens import MAX_TOKEN, TokenError, unverified_claims
from proxy.cli.device_flow import Device
from proxy.cli.libpq_files import put_password, put_service
from proxy.cli.login_config import LoginConfig, load_login_config
from proxy.errors import ConfigError, UnavailableError, reason_of
from proxy.server.fetch import client_for

if TYPE_CHECKING:
    from collections.abc import Mapping

    from proxy.cli.device_flow import Flow

USUAL_PASSFILE: Final = "~/.pgpass"
USUAL_SERVICE_FILE: Final = "~/.pg_service.conf"


@dataclass(frozen=True, slots=True)
class Ticket:
    """What a log-in has brought."""

    user: str
    expires: int
    token: str = field(repr=False)


def login(
    *,
    config: Annotated[
        Path | None,
        typer.Option(
            help="YAML with the same keys as the flags, `_` for `-`; without "
            "it, ~/.config/pgwarden/login.yaml if it is there."
        ),
    ] = None,
    issuer: Annotated[
        str | None, typer.Option(help="URL of the OpenID Connect issuer.")
    ] = None,
    client_id: Annotated[
        str | None, typer.Option(help="pgwarden's client at the issuer.")
    ] = None,
    scope: Annotated[str | None, typer.Option(help="What to ask for.")] = None,
    resource: Annotated[
        str | None,
        typer.Option(help="What the token is for, where the issuer knows RFC 8707."),
    ] = None,
    audience: Annotated[
        str | None, typer.Option(help="The same, where it calls it so.")
    ] = None,
    use: Annotated[
        str | None, typer.Option(help="access_token (the default) or id_token.")
    ] = None,
    ca: Annotated[
        Path | None, typer.Option(help="PEM of the issuer's CA, if not the system's.")
    ] = None,
    host: Annotated[str | None, typer.Option(help="Where pgwarden listens.")] = None,
    port: Annotated[int | None, typer.Option(help="Its port; 6432.")] = None,
    database: Annotated[str | None, typer.Option(help="The database.")] = None,
    user: Annotated[
        str | None, typer.Option(help="Your identity, if not what the token says.")
    ] = None,
    user_claim: Annotated[
        str | None, typer.Option(help="The claim that says it; email.")
    ] = None,
    service: Annotated[
        str | None, typer.Option(help="Name of the service entry; pgwarden.")
    ] = None,
    root_cert: Annotated[
        str | None,
        typer.Option(
            help="CA of pgwarden's own certificate, for the service entry; "
            "`system` from libpq 16 on."
        ),
    ] = None,
    passfile: Annotated[
        Path | None, typer.Option(help=f"Instead of {USUAL_PASSFILE}.")
    ] = None,
    service_file: Annotated[
        Path | None, typer.Option(help=f"Instead of {USUAL_SERVICE_FILE}.")
    ] = None,
    print_token: Annotated[
        bool,
        typer.Option("--print-token", help="Print it, and write no file."),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Say the end in JSON.")
    ] = False,
) -> None:
    """Log in with your company account: a password that is good for an hour or so.

    Prints an address and a code for your browser, waits until you have approved, and
    writes the password and a service entry, so that `psql service=pgwarden` and every
    other client of libpq just works. Exit status: 0 done, 1 denied or not in time,
    2 wrong settings.

    Example: pgwarden login --issuer https://login.example.com --client-id pgwarden
    --host db.example.com --database shop
    """
    texts = {
        "issuer": issuer, "client_id": client_id, "scope": scope, "resource": resource,
        "audience": audience, "use": use, "ca": _absolute(ca), "host": host,
        "port": port, "database": database, "user": user, "user_claim": user_claim,
        "service": service, "root_cert": root_cert, "passfile": _absolute(passfile),
        "service_file": _absolute(service_file),
    }  # fmt: skip
    flags = {name: value for name, value in texts.items() if value is not None}
    known = load_login_config(config, flags)
    ticket = asyncio.run(_log_in(known))
    if print_token:
        typer.echo(ticket.token)
        return
    told = _write(known, ticket)
    if as_json:
        typer.echo(json.dumps(told))
        return
    left_s = max(0, ticket.expires - int(datetime.now(UTC).timestamp()))
    typer.echo(f'logged in as "{printable(ticket.user)}" for {_in_words(left_s)}')
    typer.echo(f"next: {told['next']}")


def _absolute(path: Path | None) -> str | None:
    return None if path is None else str(path.expanduser().absolute())


async def _log_in(config: LoginConfig) -> Ticket:
    client = client_for(config.ca, hears_environment=True)
    async with client:
        device = Device(
            client,
            config.issuer,
            client_id=config.client_id,
            client_secret=_secret(config.client_secret_file),
        )
        wanted = {
            "scope": config.scope,
            "resource": config.resource,
            "audience": config.audience,
        }
        flow = await device.begin({k: v for k, v in wanted.items() if v})
        _show(flow)
        found = await device.wait(flow, sleep=asyncio.sleep, clock=time.monotonic)
    return _ticket(config, found)


def _show(flow: Flow) -> None:
    """To the terminal, whatever standard output is used for."""
    lines = [
        f"open {printable(flow.url)} in a browser and enter the code",
        "",
        f"    {printable(flow.user_code)}",
        "",
    ]
    if flow.complete_url:
        lines.append(f"or open {printable(flow.complete_url)}")
    minutes = max(1, round(flow.expires_in_s / 60))
    lines.append(f"waiting, for {minutes} min at most ...")
    sys.stderr.write("\n".join(lines) + "\n")
    sys.stderr.flush()


def _ticket(config: LoginConfig, found: Mapping[str, Any]) -> Ticket:
    token = found.get(config.use)
    if not isinstance(token, str):
        raise ConfigError(
            f'the issuer gave no "{config.use}"',
            hint='ask for the scope "openid"' if config.use == "id_token" else "",
        )
    other = "id_token" if config.use == "access_token" else "access_token"
    if len(token) > MAX_TOKEN:
        raise ConfigError(f'the "{config.use}" is longer than {MAX_TOKEN} bytes')
    try:
        claims = unverified_claims(token)
    except TokenError:
        raise ConfigError(
            f'the "{config.use}" is no JWT, so pgwarden can\'t verify it',
            hint=f"ask for a resource or audience that the issuer knows, or --use "
            f"{other}",
        ) from None
    user = config.user or claims.get(config.user_claim)
    if not isinstance(user, str) or not user or not user.isprintable():
        raise ConfigError(
            f'the token has no claim "{config.user_claim}" that could be your identity',
            hint="give --user or --user-claim",
        )
    expires = claims.get("exp")
    if not isinstance(expires, int):
        raise UnavailableError("the token does not say when it expires")
    return Ticket(user, expires, token)


def _write(config: LoginConfig, ticket: Ticket) -> dict[str, object]:
    passfile = config.passfile or Path(USUAL_PASSFILE).expanduser()
    service_file = config.service_file or Path(USUAL_SERVICE_FILE).expanduser()
    host, port = config.host, str(config.port)
    put_password(passfile, (host, port, "*", ticket.user), ticket.token)
    entry = {
        "host": host,
        "port": port,
        "dbname": config.database,
        "user": ticket.user,
        # Anything less would hand the password to whoever answers.
        "sslmode": "verify-full",
    }
    if config.root_cert:
        entry["sslrootcert"] = config.root_cert
    if config.passfile is not None:
        entry["passfile"] = str(passfile)
    put_service(service_file, config.service, entry)
    command = f"psql service={shlex.quote(config.service)}"
    if config.service_file is not None:
        command = f"PGSERVICEFILE={shlex.quote(str(service_file))} {command}"
    return {
        "user": ticket.user,
        "expires": datetime.fromtimestamp(ticket.expires, UTC).isoformat(),
        "service": config.service,
        "passfile": str(passfile),
        "service_file": str(service_file),
        "next": command,
    }


def _secret(path: Path | None) -> str:
    if path is None:
        return ""
    try:
        return path.read_text("utf-8").removesuffix("\n")
    except OSError as error:
        raise ConfigError(
            f'client secret file "{path}" can\'t be read: {reason_of(error)}'
        ) from error


def _in_words(seconds: int) -> str:
    minutes = seconds // 60
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"
