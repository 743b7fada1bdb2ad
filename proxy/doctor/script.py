"""The scripts that make the least-privilege roles, of `doctor --fix-sql` and deploy/.

Their texts are `roles.sql` and `writer.sql` beside this file, the list of functions is
that of `risky`. `make docs` writes the copies in deploy/. Next: `proxy.cli.doctor`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from proxy.doctor.quoting import one_line, quote_psql, quote_text
from proxy.doctor.risky import LOCKING_FUNCTIONS, RISKY_FUNCTIONS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from proxy.doctor.findings import Login

_STOP: Final = r"""\gset
\if :{?problem}
  SELECT format('DO $$ BEGIN RAISE EXCEPTION %L; END $$', :'problem')
  \gexec
\endif
"""
"""Ends a script with an error where the query before it has found a problem."""
_WIDTH: Final = 90


def roles_script(logins: Sequence[Login] = ()) -> str:
    """The script, for psql.

    Args:
        logins: whose names in Postgres it takes; of several, the first reader and the
            first writer. Without any: pgwarden_reader and pgwarden_migrator.
    """
    text = _read("roles.sql")
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


def writer_script(login: Login | None = None, number: int = 1) -> str:
    """The script for a role that is lent, to be run behind the other.

    Args:
        login: whose name in Postgres it takes; pgwarden_writer without one.
        number: which of several it is: the secret of the second is `writer2_secret`.
    """
    chosen = "" if login is None else f"\\set writer {quote_psql(login.user)}\n"
    if number > 1:
        chosen += f"\\set writer_secret :writer{number}_secret\n"
    return chosen + _read("writer.sql")


def whole_script(logins: Sequence[Login], lent: Collection[str]) -> str:
    """What the logins of the settings need, in one script.

    Args:
        logins: the logins, with the roles that use them.
        lent: the roles that the policy lends, and nobody has as their own.
    """
    borrowed = [each for each in logins if set(each.roles) <= set(lent)]
    # Whoever is lent to is no owner: a writer must not be taken for the migrator.
    text = roles_script([each for each in logins if each not in borrowed])
    for number, login in enumerate(borrowed, start=1):
        text += "\n" + writer_script(login, number)
    served = {role for each in logins for role in each.roles}
    for role in lent:
        if role not in served:
            text += (
                f"\n-- The policy lends role {one_line(role)}, and the settings have "
                "no login for it:\n-- with one, its part is here, too.\n"
            )
    return text


def _read(name: str) -> str:
    text = Path(__file__).with_name(name).read_text("utf-8")
    return text.replace("@stop_at_problem@\n", _STOP)


def _listed(names: Iterable[str]) -> str:
    lines = [""]
    for name in names:
        word = quote_text(name)
        if len(lines[-1]) + len(word) > _WIDTH:
            lines.append("")
        lines[-1] += f"{word}, "
    return "\n    ".join(line.rstrip() for line in lines).removesuffix(",")
