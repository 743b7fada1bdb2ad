"""The script that makes the least-privilege roles, of `doctor --fix-sql` and deploy/.

Its text is `roles.sql` beside this file, its list of functions that of `risky`.
`make docs` writes the copy in deploy/. Next: `proxy.cli.doctor`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from proxy.doctor.quoting import quote_psql, quote_text
from proxy.doctor.risky import LOCKING_FUNCTIONS, RISKY_FUNCTIONS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from proxy.doctor.findings import Login

_TEMPLATE: Final = Path(__file__).with_name("roles.sql")
_WIDTH: Final = 90


def roles_script(logins: Sequence[Login] = ()) -> str:
    """The script, for psql.

    Args:
        logins: whose names in Postgres it takes; of several, the first reader and the
            first writer. Without any: pgwarden_reader and pgwarden_migrator.
    """
    text = _TEMPLATE.read_text("utf-8")
    text = text.replace("@risky@", _listed(RISKY_FUNCTIONS))
    text = text.replace("@locking@", _listed(LOCKING_FUNCTIONS))
    names = {
        variable: login.user
        for variable, is_reader in (("migrator", False), ("reader", True))
        for login in reversed(logins)
        if login.is_reader is is_reader
    }
    chosen = "".join(
        f"\\set {variable} {quote_psql(user)}\n" for variable, user in names.items()
    )
    return chosen + text


def _listed(names: Iterable[str]) -> str:
    lines = [""]
    for name in names:
        word = quote_text(name)
        if len(lines[-1]) + len(word) > _WIDTH:
            lines.append("")
        lines[-1] += f"{word}, "
    return "\n    ".join(line.rstrip() for line in lines).removesuffix(",")
