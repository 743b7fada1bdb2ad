"""A named place in the WAL that a restore can stop at, set before a migration.

Setting one takes a right of its own, so it is done on a connection of its own, which
lasts no longer. Next: `proxy.server.deploy`.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Final

import msgspec

from proxy.errors import ConfigError, UnavailableError
from proxy.migrations.gates import (
    MAX_RESTORE_POINT,
    RESTORE_POINT,
    GateAnswer,
    GateState,
    shown,
)
from proxy.server.catalogs import connect
from proxy.server.conversation import QueryError
from proxy.server.health import UpstreamError

if TYPE_CHECKING:
    from proxy.server.dial import Dialler

WITHIN_S: Final = 20.0
_NAME: Final = re.compile(rf"[A-Za-z0-9_-]{{1,{MAX_RESTORE_POINT}}}")
_CREATE: Final = """SELECT pg_catalog.json_build_object(
    'lsn', pg_catalog.pg_create_restore_point('{name}'),
    'archive_mode', pg_catalog.current_setting('archive_mode'))"""


class _Created(msgspec.Struct):
    lsn: str
    archive_mode: str


async def restore_point(
    dialler: Dialler, login: str | None, database: str, *, name: str, position: str
) -> GateAnswer:
    """Set a restore point. Never raises: what fails is unavailable, with the reason.

    Args:
        dialler: reaches the upstream; it has to know the login's password.
        login: may call pg_create_restore_point; None to note the position only.
        database: one that the login may open; the point is of all of the server.
        name: letters, digits, "-" and "_", 63 at most.
        position: where the WAL stood before, "" if that is not known.
    """
    known = (("lsn", position),) if position else ()
    if login is None:
        return _noted(known)
    if not _NAME.fullmatch(name):
        return _unavailable("its name is none for a restore point", known)
    try:
        async with (
            asyncio.timeout(WITHIN_S),
            await connect(dialler, login, database) as session,
        ):
            text = await session.value(_CREATE.format(name=name))
            return _made(name, msgspec.json.decode(text, type=_Created))
    except UpstreamError as error:
        note = (("error", shown(error.note)),)
        return _unavailable(error.report.message, known + note)
    except TimeoutError:
        return _unavailable(f"no answer within {WITHIN_S:g} s", known)
    except (QueryError, UnavailableError, ConfigError) as error:
        return _unavailable(shown(error.message), known)


def _noted(known: tuple[tuple[str, str], ...]) -> GateAnswer:
    if not known:
        return _unavailable("the position in the WAL is not known", ())
    return GateAnswer(
        RESTORE_POINT,
        GateState.SATISFIED,
        f"no restore point is set; the WAL stands at {known[0][1]}",
        (*known, ("restore_point", "no login is set")),
    )


def _made(name: str, made: _Created) -> GateAnswer:
    detail = f'restore point "{name}" at {made.lsn}'
    if made.archive_mode == "off":
        # Others may stream it away (pg_receivewal), so this is no reason to refuse.
        detail += "; archive_mode is off, so it is of use only if the WAL is kept"
    return GateAnswer(
        RESTORE_POINT,
        GateState.SATISFIED,
        detail,
        (
            ("restore_point", name),
            ("lsn", made.lsn),
            ("archive_mode", made.archive_mode),
        ),
    )


def _unavailable(why: str, evidence: tuple[tuple[str, str], ...]) -> GateAnswer:
    detail = f"no restore point could be set: {why}"
    return GateAnswer(RESTORE_POINT, GateState.UNAVAILABLE, detail, evidence)
