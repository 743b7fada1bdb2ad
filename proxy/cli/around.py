"""Where and when a statement would run, as the command line and case files say it.

What is left open is judged strictly, and named. Next: `proxy.policy.situation`.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from proxy.errors import ConfigError
from proxy.policy.networks import address_of
from proxy.policy.situation import Circumstances
from proxy.policy.windows import moment_of
from proxy.session.judge import Judge

if TYPE_CHECKING:
    from proxy.catalog.resolve import Resolver
    from proxy.policy.evaluate import Policy

NOW: Final = "now"

_OPTIONS: Final = {
    "at": "--at",
    "address": "--address",
    "application": "--application",
    "proven": "--proven",
    "database": "--database",
}
_SHOWN_RULES: Final = 3


class Around(Struct, frozen=True):
    """What surrounds a statement; the database is "" where it is not known.

    `server_major` is that of the server, 0 where only a catalog may tell.
    """

    database: str = ""
    circumstances: Circumstances = Circumstances()
    server_major: int = 0

    def judge(
        self, policy: Policy, role: str, resolver: Resolver | None = None
    ) -> Judge:
        """The judge of a role there and then; the resolver knows the catalog."""
        return Judge(
            policy,
            role,
            database=self.database,
            resolver=resolver,
            situation=policy.situation(role, self.circumstances),
            server_major=self.server_major,
        )

    def left_open(self, policy: Policy, role: str) -> list[str]:
        """One line for each thing that rules hang on and that was not given."""
        rules = policy.role(role)
        needs: dict[str, list[str]] = {}
        if not self.database:
            for rule in rules.rules:
                if rule.names_databases:
                    needs.setdefault("database", []).append(rule.id)
        for need in rules.situations.unknown(self.circumstances):
            needs.setdefault(need.what, []).append(need.rule)
        return [
            f"without {_OPTIONS[what]} these rules are judged strictly, so that a "
            f"permit does not count and a forbid does: {_few(ids)}"
            for what, ids in needs.items()
        ]


NOWHERE: Final = Around()


def _few(ids: list[str]) -> str:
    shown = ", ".join(ids[:_SHOWN_RULES])
    more = len(ids) - _SHOWN_RULES
    return f"{shown} and {more} more" if more > 0 else shown


def around(
    *,
    database: str = "",
    at: str = "",
    address: str = "",
    application: str | None = None,
    proven: bool | None = None,
    server_major: int = 0,
) -> Around:
    """What was given.

    Raises:
        ConfigError: a time or an address that is none.
    """
    if address and address_of(address) is None:
        raise ConfigError(f'"{address}" is no IP address')
    return Around(
        database,
        Circumstances(
            address or None, application, _instant(at) if at else None, proven
        ),
        server_major,
    )


def _instant(at: str) -> float:
    if at == NOW:
        return time.time()  # noqa: TID251 - somebody asks for the time that it is
    try:
        return moment_of(at)
    except ValueError as error:
        raise ConfigError(f'{error}, or "now"') from None
