"""From a text to its verdict, paid once per text: analyse, resolve names, decide.

Used by the session on the wire and by `pgwarden check` offline, so that both give
the same answer. Pure. Next: `proxy.sql.analyse` and `proxy.policy.evaluate`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import structs

from proxy.access.statements import decide_own, has_own
from proxy.audit.ascii import json_ascii
from proxy.audit.judged import around_text, judged_fragment
from proxy.catalog.columns import with_columns
from proxy.generations import Generations
from proxy.policy.decision import Context, Decision
from proxy.policy.refusals import INTERNAL_ERROR, internal_error, newer_grammar
from proxy.session.executes import UnfitExecuteError, resolve_executes
from proxy.sql.analyse import analyse
from proxy.sql.facts import Facts, Kind
from proxy.sql.majors import OLDEST, major_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from proxy.catalog.resolve import Resolver
    from proxy.policy.evaluate import Policy
    from proxy.policy.situation import Situation
    from proxy.sql.facts import Analysis

CACHED_TEXT_BYTES = 16 * 1024
"""Longer texts are judged anew each time: they are rare, and memory is not."""
GENERATION_BYTES = 4 * 1024 * 1024
"""Texts and record fragments in one generation of the cache; two generations live. The
facts beside them take a few times as much."""
JUDGED_BYTES = 1024
"""What a judged text takes beside text and fragment, roughly."""
SEEN = 4096
"""Hashes of texts that came once; one that meets another's place takes it. Only whether
a verdict is kept hangs on them: it is found by the exact bytes."""
VERDICTS = 256
"""Verdicts by facts in one generation, of which two live."""
VERDICT_TEXT_BYTES = 1024
"""Facts of longer texts are not kept: one of 16 KiB may name 4,000 relations, and some
hundred such are memory that anyone could fill. Texts with values are mostly shorter."""
_NOTHING_PREPARED: Mapping[str, Facts] = {}
_COPY_IN: Final = Kind.COPY_IN
"""An enum's attribute costs ten times a global's."""


class Judged:
    """A text with its verdict.

    Attributes:
        text: the exact bytes that were judged.
        analysis: the facts of the text as written.
        statements: the same with what each EXECUTE runs folded in.
        decision: the verdict on the whole text.
        kind: the deciding statement's kind, as a plain string: the metrics' label.
        fragment: the part of the audit record that depends on the text alone.
        renames: whether a statement touches prepared-statement or cursor names.
        executes: whether it runs something prepared, which the text does not show.
        copies_in: whether a statement reads COPY data from the client.
        shadow: id of the rule in shadow that would refuse it, "" for none.
        under: which policy decided, in what situation, and whether in quarantine; ""
            where none did, so that the next time decides anew.
    """

    __slots__ = (
        "analysis",
        "copies_in",
        "decision",
        "executes",
        "fragment",
        "kind",
        "renames",
        "shadow",
        "statements",
        "text",
        "under",
    )

    def __init__(  # noqa: PLR0913 - a value
        self,
        text: bytes,
        analysis: Analysis,
        *,
        statements: tuple[Facts, ...],
        decision: Decision,
        kind: str,
        fragment: bytes,
        renames: bool,
        executes: bool,
        copies_in: bool,
        under: str,
    ) -> None:
        self.text = text
        self.analysis = analysis
        self.statements = statements
        self.decision = decision
        self.kind = kind
        self.shadow = decision.shadow.rule if decision.shadow is not None else ""
        self.fragment = fragment
        self.renames = renames
        self.executes = executes
        self.copies_in = copies_in
        self.under = under

    def standing_under(self, under: str) -> Judged:
        """The same verdict, to be looked at again once something else decides."""
        return Judged(
            self.text,
            self.analysis,
            statements=self.statements,
            decision=self.decision,
            kind=self.kind,
            fragment=self.fragment,
            renames=self.renames,
            executes=self.executes,
            copies_in=self.copies_in,
            under=under,
        )

    def refused_by(self, decision: Decision) -> Judged:
        """The same text, refused for another reason."""
        return Judged(
            self.text,
            self.analysis,
            statements=self.statements,
            decision=decision,
            kind=str(decision.kind),
            fragment=judged_fragment(self.analysis, decision),
            renames=self.renames,
            executes=self.executes,
            copies_in=self.copies_in,
            under=self.under,
        )


class Judge:
    """The verdicts of one policy for a role on a database, cached by exact bytes.

    All of them in one situation, so that none outlives it: a session whose situation
    changes asks another judge. Without a situation they are the strict ones.
    """

    def __init__(
        self,
        policy: Policy,
        role: str,
        *,
        database: str = "",
        resolver: Resolver | None = None,
        situation: Situation | None = None,
        server_major: int = 0,
    ) -> None:
        """Begin without any verdict.

        Args:
            policy: decides.
            role: whose statements these are.
            database: where they run.
            resolver: knows that database's catalog; None where nobody does, which makes
                the verdicts strict.
            situation: where and when; None where that is not known, which is strict.
            server_major: what the server's grammar is; 0 for that of the catalog's
                server. An unknown one is taken for the oldest.
        """
        if server_major == 0 and resolver is not None:
            server_major = major_of(resolver.catalog.server_version)
        self.policy = policy
        self.role = role
        self.database = database
        self.situation = situation
        self.server_major = server_major
        self._grammar_major = server_major or OLDEST
        self.version = policy.version
        self._resolver = resolver
        self._asks_columns = role in policy.roles and policy.role(role).asks_columns
        self._under = policy.version
        if resolver is not None:
            self._under = f"{policy.version}:{resolver.version}"
        if situation is not None and situation.name:
            self._under = f"{self._under}@{situation.name}"
        self._under_quarantine = f"{self._under}:quarantined"
        # A rule that tells columns apart, and a catalog that asks for the text, look
        # at more of a text than its facts.
        self._looks_at_facts_alone = not self._asks_columns and (
            resolver is None or not resolver.asks_text
        )
        self._free = _Generations()
        self._quarantined = _Generations()

    def under(self, *, quarantined: bool) -> str:
        """Names what its verdicts depend on: policy, catalog, situation, quarantine."""
        return self._under_quarantine if quarantined else self._under

    def judge(
        self,
        text: bytes,
        *,
        quarantined: bool = False,
        prepared: Mapping[str, Facts] | None = None,
    ) -> Judged:
        """The verdict on `text`, which is what a Query or Parse carries, without NUL.

        `prepared` maps the session's prepared-statement names to the facts of their
        bodies; EXECUTE looks there. Never raises on any text.
        """
        cache = self._quarantined if quarantined else self._free
        judged = cache.young.get(text)
        if judged is None:
            judged = cache.promoted(text)
            if judged is None:
                analysis = analyse(text)
                if self._hangs_on_facts(text, analysis):
                    judged = self._judge_by_facts(
                        text, analysis, quarantined=quarantined
                    )
                else:
                    judged = self._judge(
                        text,
                        analysis,
                        prepared=prepared or _NOTHING_PREPARED,
                        quarantined=quarantined,
                    )
                if (
                    len(text) <= CACHED_TEXT_BYTES
                    and judged.under
                    and not judged.executes
                ):
                    cache.offer(judged)
        return judged

    def permits_setting(self, name: str, value: str) -> bool:
        """Whether a client of this role may set this parameter to this value."""
        return self.policy.decide_setting(self.role, name, value).allowed

    def _hangs_on_facts(self, text: bytes, analysis: Analysis) -> bool:
        """Whether its verdict is a function of its facts, with nothing to look up."""
        statements = analysis.statements
        return (
            self._looks_at_facts_alone
            and len(statements) == 1
            and not statements[0].names
            and len(text) <= VERDICT_TEXT_BYTES
        )

    def _judge_by_facts(
        self, text: bytes, analysis: Analysis, *, quarantined: bool
    ) -> Judged:
        """The verdict that was given on the very same facts, else a new one."""
        cache = self._quarantined if quarantined else self._free
        facts = analysis.statements[0]
        verdict = cache.verdicts.get(facts)
        if verdict is not None:
            first = verdict.first
            return Judged(
                text,
                analysis,
                statements=first.statements,
                decision=first.decision,
                kind=first.kind,
                fragment=b"%b%b%b"
                % (verdict.before, json_ascii(analysis.recorded_text), verdict.behind),
                renames=False,
                executes=False,
                copies_in=first.copies_in,
                under=first.under,
            )
        judged = self._judge(
            text, analysis, prepared=_NOTHING_PREPARED, quarantined=quarantined
        )
        around = around_text(judged.fragment, analysis.recorded_text)
        if around is not None and judged.under:
            cache.verdicts.put(facts, _Verdict(judged, *around))
        return judged

    def _judge(
        self,
        text: bytes,
        analysis: Analysis,
        *,
        prepared: Mapping[str, Facts],
        quarantined: bool,
    ) -> Judged:
        statements = analysis.statements
        renames = executes = copies_in = False
        for facts in statements:
            if facts.names:
                renames = True
                executes = executes or any(n.verb == "execute" for n in facts.names)
        try:
            if self._asks_columns and statements:
                # Before EXECUTE is resolved: what it runs has its own columns.
                statements = with_columns(statements, text, self._resolver)
            if executes:
                statements = resolve_executes(statements, prepared)
            if self._resolver is not None:
                statements = self._resolver.resolve(statements, text)
            decision = self._decide(
                analysis, statements, quarantined=quarantined, renames=renames
            )
        except UnfitExecuteError as unfit:
            decision = unfit.decision
        except Exception:  # noqa: BLE001 - an error in deciding denies; nothing is lost
            decision = internal_error()
        for facts in statements:
            copies_in = copies_in or _COPY_IN in facts.kinds
        # What failed in our own code, or for want of memory, may succeed the next time.
        failed = analysis.trouble is not None or decision.rule == INTERNAL_ERROR
        under = "" if failed else self.under(quarantined=quarantined)
        recorded = analysis
        if executes:
            # The text does not show what runs; let the record's facts do.
            recorded = structs.replace(analysis, statements=statements)
        return Judged(
            text,
            analysis,
            statements=statements,
            decision=decision,
            kind=str(decision.kind),
            fragment=judged_fragment(recorded, decision, policy=self.version),
            renames=renames,
            executes=executes,
            copies_in=copies_in,
            under=under,
        )

    def _decide(
        self,
        analysis: Analysis,
        statements: Sequence[Facts],
        *,
        quarantined: bool,
        renames: bool,
    ) -> Decision:
        if analysis.trouble is not None:
            return self.policy.decide_trouble(self.role, analysis.trouble)
        if renames and has_own(statements):
            return decide_own(self.policy, statements, quarantined=quarantined)
        return self.decide(statements, quarantined=quarantined)

    def decide_alone(self, facts: Facts) -> Decision:
        """The verdict on one statement that is understood, sent by itself."""
        if has_own([facts]):
            return decide_own(self.policy, [facts], quarantined=False)
        return self.decide([facts])

    def decide(
        self, statements: Sequence[Facts], *, quarantined: bool = False
    ) -> Decision:
        """The verdict on statements that are understood, and stand or fall together."""
        for facts in statements:
            if facts.since > self._grammar_major:
                return newer_grammar(facts.since, self.server_major, facts.kind)
        context = Context(
            database=self.database, quarantined=quarantined, situation=self.situation
        )
        return self.policy.decide(self.role, statements, context)


class _Verdict:
    """A verdict on the facts of one text, and its fragment around the text."""

    __slots__ = ("before", "behind", "first")

    def __init__(self, first: Judged, before: bytes, behind: bytes) -> None:
        self.first = first
        self.before = before
        self.behind = behind


class _Generations:
    """A bounded cache: what is used stays young, the old half is dropped.

    A text is kept when it comes a second time. Most that come once never come again
    (their values are written into them), and to keep each for a while would drive what
    is used out of the processor's caches, besides ours.
    """

    __slots__ = ("_bytes", "_old", "_seen", "verdicts", "young")

    def __init__(self) -> None:
        self.verdicts: Generations[Facts, _Verdict] = Generations(VERDICTS)
        self.young: dict[bytes, Judged] = {}
        self._old: dict[bytes, Judged] = {}
        self._bytes = 0
        self._seen = [0] * SEEN

    def promoted(self, text: bytes) -> Judged | None:
        """The verdict on a text of the old half, which is young again then."""
        judged = self._old.get(text)
        if judged is not None:
            self._put(judged)
        return judged

    def offer(self, judged: Judged) -> None:
        """Keep a verdict, if its text was seen lately, for as long as there is room."""
        mark = hash(judged.text)
        place = mark % SEEN
        if self._seen[place] == mark:
            self._put(judged)
        else:
            self._seen[place] = mark

    def _put(self, judged: Judged) -> None:
        size = len(judged.text) + len(judged.fragment) + JUDGED_BYTES
        if self._bytes + size > GENERATION_BYTES:
            self._old = self.young
            self.young = {}
            self._bytes = 0
        self._bytes += size
        self.young[judged.text] = judged
