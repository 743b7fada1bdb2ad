"""Taking up what was read anew: sessions follow it, or end.

Three things call for it: a changed file, a SIGHUP, a changed store. A file that is
broken is refused and what was in force stays; a change of the store counts whatever the
files say by then. Next: `proxy.server.sources`, which reads.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

import structlog

from proxy.errors import ConfigError, PgwardenError
from proxy.server.admission import why_out
from proxy.server.client_tls import end_revoked, warn_if_outdated
from proxy.server.migrating.choice import follow_on
from proxy.server.sources import read_sources, with_roll
from proxy.server.tls import frontend_tls
from proxy.server.trail import changes_record

if TYPE_CHECKING:
    from proxy.server.link import Link
    from proxy.server.server import Server
    from proxy.server.sources import Sources
    from proxy.server.upstream_users import Key
    from proxy.store.identities import Roll

_log = structlog.get_logger("server")


def reload(server: Server) -> None:
    """Read the files again; what is broken is refused as a whole."""
    roll = None if server.stored is None else server.stored.roll
    try:
        sources = read_sources(server.settings, roll)
    except PgwardenError as error:
        _renew_secrets(server, server.keys)
        server.metrics.policy_reload("refused", server.policy.version)
        _log.error(
            "reload_refused", error=error.message, in_force=server.policy.version
        )
        return
    _record_change(server, sources)
    server.policy = sources.policy
    server.judges.adopt(sources.policy)
    ended = _take_up(server, sources)
    server.metrics.policy_reload("ok", server.policy.version)
    _log.info(
        "reloaded",
        policy=server.policy.version,
        identities=len(server.identities),
        sessions=len(server.links),
        sessions_ended=ended,
    )


def _record_change(server: Server, sources: Sources) -> None:
    """Who was added, removed or changed; one worker says it for all.

    Of a store too, where the history says by whom: it may have been changed past it.
    """
    if server.worker == 0:
        record = changes_record(server.identities, sources.identities)
        if record is not None:
            server.committer.record(record)


def take_roll(server: Server, roll: Roll) -> None:
    """The store has changed: its identities count from now on."""
    sources = with_roll(server.settings, server.policy, roll)
    _record_change(server, sources)
    ended = _take_up(server, sources)
    _log.info(
        "identities_changed",
        identities=len(server.identities),
        sessions=len(server.links),
        sessions_ended=ended,
    )


def _take_up(server: Server, sources: Sources) -> int:
    """Have every session follow, or end; returns how many ended."""
    server.identities, server.keys = sources.identities, sources.keys
    tell_left_out(sources)
    _renew_secrets(server, server.keys)
    server.rates.keep(server.identities)
    now = datetime.now(UTC)
    if server.lending is not None:
        # A role that is lent no more may be gone from the policy.
        server.lending.check()
    ended = 0
    for link in list(server.links):
        if link.session.ending is not None:
            continue
        reason = why_out(link.request, server.policy, server.identities, now)
        if reason:
            link.expel(reason)
            ended += 1
        else:
            _renew_judge(server, link)
            link.session.rate = server.rates.of(link.request, server.policy)
    return ended


def tell_left_out(sources: Sources) -> None:
    """Who was left out of what the store holds can't log in; the operator reads why."""
    for problem in sources.problems:
        _log.error("identity_refused", problem=problem)


def _renew_judge(server: Server, link: Link) -> None:
    """Have a session judge by the policy that was just read."""
    request, surroundings = link.request, link.session.surroundings
    if surroundings is not None:
        situations = server.policy.role(request.role).situations
        major = link.session.judge.server_major
        surroundings.adopt(
            situations,
            partial(server.judges.of, request.role, request.database, major),
        )
        link.session.look_again()
    if server.ground is not None:
        follow_on(link, server.ground)


def _renew_secrets(server: Server, keys: tuple[Key, ...]) -> None:
    """Certificate, CA, passwords: a renewed one counts, a broken one does not."""
    for renew in (partial(server.dialler.renew, keys), partial(_renew_tls, server)):
        try:
            renew()
        except ConfigError as error:
            # The policy must not wait for it: it may be about to forbid something.
            _log.error("renewal_refused", error=error.message)


def _renew_tls(server: Server) -> None:
    if server.settings.tls is not None:
        server.tls = frontend_tls(server.settings.tls, server.policy.logins)
        warn_if_outdated(server.tls.revocations, datetime.now(UTC))
        end_revoked(server)
