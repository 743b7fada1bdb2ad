"""Who follows the migrations of a session: what the policy says of its role.

Next: `proxy.server.migrating.gatekeeper` and `recorder`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from proxy.policy.model import RoleMigrations
    from proxy.server.link import Link
    from proxy.server.migrating.ground import Ground
    from proxy.session.migrating import Migrating


def following_of(link: Link, ground: Ground) -> Migrating | None:
    """Who follows this session; None for nobody."""
    wanted = wanted_of(link)
    if wanted is None:
        return None
    # Loaded by those that migrate alone: the store's libraries come with it.
    from proxy.server.migrating.gatekeeper import Gatekeeper  # noqa: PLC0415
    from proxy.server.migrating.recorder import Recorder  # noqa: PLC0415

    if wanted.proofs == "record":
        is_able = ground.settings.signing_key is not None
        return Recorder(link, ground) if is_able else None
    return Gatekeeper(link, ground)


def follow_on(link: Link, ground: Ground) -> None:
    """The policy is another one: follow the session as it says now.

    Who records or keeps the gate goes on; a session that nobody followed is followed
    from the end of its transaction on, and nothing is proven in it before.
    """
    session, wanted = link.session, wanted_of(link)
    now = session.migrating
    is_recorder = wanted is not None and wanted.proofs == "record"
    if wanted is not None and now is not None and now.is_recorder is is_recorder:
        return
    if now is not None:
        now.ended()
    session.migrating = following_of(link, ground)
    if session.migrating is not None:
        session.migrating.begin_late(session)


def wanted_of(link: Link) -> RoleMigrations | None:
    """What the policy says of the migrations of this session's role."""
    policy = link.server.policy
    return policy.role(link.request.role).migrations
