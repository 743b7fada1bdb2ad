"""`pgwarden policy login`: which way to log in a client would meet, and why.

The same rules as on the wire, asked offline. Next: `proxy.policy.logins`.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from proxy.auth.methods import Method
from proxy.cli.mistakes import fail
from proxy.cli.offline import load_policy
from proxy.cli.options import PolicyFile
from proxy.cli.output import output
from proxy.errors import ConfigError
from proxy.policy.logins import Knock
from proxy.policy.networks import address_of

if TYPE_CHECKING:
    from proxy.policy.evaluate import Policy
    from proxy.policy.logins import Tried, Way


def try_login(
    *,
    policy: PolicyFile = None,
    user: Annotated[str, typer.Option(metavar="NAME", help="The name it gives.")],
    role: Annotated[
        str,
        typer.Option(metavar="ROLE", help="Of that identity; without it, unknown."),
    ] = "",
    database: Annotated[
        str, typer.Option(metavar="NAME", help="What it asks for.")
    ] = "postgres",
    address: Annotated[
        str, typer.Option(metavar="IP", help="Where it comes from.")
    ] = "127.0.0.1",
    tls: Annotated[
        bool, typer.Option("--tls/--no-tls", help="Whether it is encrypted.")
    ] = True,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object for machines.")
    ] = False,
) -> None:
    """Say how a client would log in: which rule of `authentication` fits, and why.

    Each rule up to the one that decides is shown, with the first key that does not fit;
    then what a name that nobody has would meet from the same place.

    Exit status: 0 it is asked for a proof, 1 it is rejected.

    Example: pgwarden policy login --user ana --role developer --address 10.1.2.3
    """
    try:
        loaded = load_policy(policy)
        if role:
            loaded.role(role)
        _check_address(address)
    except ConfigError as error:
        fail(error)
    knock = Knock(user, role, database, address, tls=tls)
    own = loaded.logins.ways(knock).own
    if as_json:
        sys.stdout.write(json.dumps(_plain(loaded, knock), indent=2) + "\n")
    else:
        _show(loaded, knock)
    raise typer.Exit(1 if own.method is Method.REJECT else 0)


def _check_address(text: str) -> None:
    if address_of(text) is None:
        raise ConfigError(f'"{text}" is no IP address')


def _plain(policy: Policy, knock: Knock) -> dict[str, object]:
    ways = policy.logins.ways(knock)
    return {
        "method": ways.own.method.value,
        "rule": ways.own.rule,
        "reason": ways.own.reason,
        "stranger": {
            "method": ways.stranger.method.value,
            "rule": ways.stranger.rule,
        },
        "tried": [
            {"rule": each.way.rule, "misfit": each.misfit}
            for each in policy.logins.tried(knock)
        ],
    }


def _show(policy: Policy, knock: Knock) -> None:
    console = output()
    ways = policy.logins.ways(knock)
    for tried in policy.logins.tried(knock):
        console.print(_line(tried, knock))
    console.print(Text(f"{knock.identity}: {_in_words(ways.own)}", "bold"))
    if knock.role:
        console.print(Text(f"a name that nobody has: {_in_words(ways.stranger)}"))


def _line(tried: Tried, knock: Knock) -> Text:
    if not tried.misfit:
        return Text(f"  {tried.way.rule} fits", "green")
    given = {
        "tls": "it is encrypted" if knock.tls else "it is not encrypted",
        "databases": f'it asks for "{knock.database}"',
        "identities": f'it calls itself "{knock.identity}"',
        "networks": f"it comes from {knock.address}",
        "roles": f"its role is {knock.role or 'unknown'}",
    }
    why = f"{tried.misfit}: {given[tried.misfit]}"
    return Text(f"  {tried.way.rule} does not fit, by its {why}", "dim")


def _in_words(way: Way) -> str:
    rule = f"rule {way.rule}" if way.rule else "the policy has no login rules"
    if way.method is Method.REJECT:
        return f"rejected ({rule}): {way.reason}"
    return f"logs in by {way.method} ({rule})"
