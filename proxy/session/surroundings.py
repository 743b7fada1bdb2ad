"""Where a session stands: address, application and time, and the judge for it now.

A verdict is kept by the judge that made it, and a judge stands for one situation: once
the clock passes the end of it, or the client calls itself otherwise, the session asks
here for another judge, before it judges anything more. Pure: the clock is handed in.
Next: `proxy.policy.situation`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from proxy.policy.situation import Circumstances

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxy.policy.situation import Situation, Situations, Spell
    from proxy.session.judge import Judge


class JudgeOf(Protocol):
    """Gives the judge of the session's role and database in a situation."""

    def __call__(self, situation: Situation, /) -> Judge:
        """The judge, kept or new."""


class Surroundings:
    """What a session's situation hangs on.

    Attributes:
        address: the client's numeric address.
        application: what it calls itself now.
        are_fixed: nothing in the policy hangs on these: never ask.
    """

    def __init__(
        self,
        *,
        address: str,
        application: str,
        reported: str,
        now: Callable[[], float],
    ) -> None:
        """Begin with what the login has shown; call `adopt` before anything else.

        Args:
            address: the client's numeric address.
            application: the application_name of its startup packet.
            reported: what Postgres calls the session meanwhile: pgwarden's own words,
                which also come back with a RESET.
            now: seconds since the epoch.
        """
        self.address = address
        self.application = application
        self.are_fixed = True
        self._at_login = application
        self._reported = reported
        self._now = now
        self._situations: Situations | None = None
        self._judge_of: JudgeOf | None = None
        self._since = self._until = 0.0

    def adopt(self, situations: Situations, judge_of: JudgeOf) -> Judge:
        """Stand under a policy from now on; the judge for it."""
        self._situations = situations
        self._judge_of = judge_of
        self.are_fixed = situations.are_fixed
        return self.judge()

    def judge(self) -> Judge:
        """The judge for here and now; nothing that a session does is proven by itself.

        Raises:
            RuntimeError: there is no policy yet.
        """
        now = self._now()
        spell, judge_of = self._now_as(now, proven=False)
        self._since, self._until = now, spell.until
        return judge_of(spell.situation)

    def proven_judge(self) -> Judge:
        """The judge for here and now of what a proven migration does.

        Ask for it anew for each statement: it stands for this moment, and what
        `is_over` says is of the other judge. Whoever asks has seen that the statement
        is part of a proven migration, and that every gate lets it pass.

        Raises:
            RuntimeError: there is no policy yet.
        """
        spell, judge_of = self._now_as(self._now(), proven=True)
        return judge_of(spell.situation)

    def _now_as(self, now: float, *, proven: bool) -> tuple[Spell, JudgeOf]:
        if self._situations is None or self._judge_of is None:
            raise RuntimeError("the surroundings have no policy yet")
        around = Circumstances(self.address, self.application, now, proven)
        return self._situations.of(around), self._judge_of

    def is_over(self) -> bool:
        """Whether the time has come to ask for another judge.

        Also when the clock was set back: what held then need not hold now.
        """
        return not self._since <= self._now() < self._until

    def renamed(self, reported: str) -> bool:
        """Postgres reports an application_name; whether it is another one."""
        name = self._at_login if reported == self._reported else reported
        if name == self.application:
            return False
        self.application = name
        return True
