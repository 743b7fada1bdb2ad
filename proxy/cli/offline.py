"""A session that exists on paper only: judged like the wire, never connected.

Shared by `check`, `explain`, `replay` and `policy`. Next: `proxy.session.judge`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from proxy.catalog.model import decode
from proxy.catalog.resolve import Resolver
from proxy.errors import SYNTAX_ERROR, UNDEFINED_CURSOR, ConfigError, reason_of
from proxy.policy.decision import Decision
from proxy.policy.documents import load
from proxy.policy.evaluate import Policy
from proxy.policy.refusals import NOT_UNDERSTOOD
from proxy.shipped import policy_path
from proxy.sql.facts import Kind

if TYPE_CHECKING:
    from proxy.session.judge import Judge, Judged
    from proxy.sql.facts import Facts, NameEffect

DEFAULT_POLICY = "production"
SHIPPED = ("production", "staging", "development")
"""Names that stand for the policies of an installation."""

NO_CATALOG = (
    "judged without the database's catalog, so strictly: functions that pgwarden "
    "does not know are refused, whatever they do, and no view is opened (`pgwarden "
    "catalog export`, then --catalog)"
)


def read_text(path: Path) -> str:
    """The text of a file.

    Raises:
        ConfigError: it can't be read, or is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not a UTF-8 text") from None
    except OSError as error:
        raise ConfigError(f"{path}: {reason_of(error)}") from None


def policy_file(given: Path | None) -> Path:
    """The file that `--policy` means: a path, or the name of a shipped policy.

    Raises:
        ConfigError: the installation came without its policies.
    """
    if given is None:
        return policy_path(DEFAULT_POLICY)
    if str(given) in SHIPPED and not given.exists():
        return policy_path(str(given))
    return given


def load_policy(given: Path | None) -> Policy:
    """The policy in a file, or a shipped one.

    Raises:
        ConfigError: what is wrong with it, line by line.
    """
    path = policy_file(given)
    return Policy(load(read_text(path), source=str(path)))


def load_resolver(given: Path | None) -> Resolver | None:
    """The catalog in an exported file, ready to be asked; None where none is given.

    Raises:
        ConfigError: it can't be read, or is no exported catalog.
    """
    if given is None:
        return None
    try:
        return Resolver(decode(given.read_bytes(), source=str(given)))
    except OSError as error:
        raise ConfigError(f"{given}: {reason_of(error)}") from None


def catalog_note(resolver: Resolver | None) -> str:
    """What to tell about the catalog that was, or was not, asked."""
    if resolver is None:
        return NO_CATALOG
    known = resolver.catalog
    return (
        f"judged with the catalog of {known.database} on PostgreSQL "
        f"{known.server_version}, version {resolver.version}"
    )


class OfflineSession:
    """One session of one role: what it prepared, and whether it is in quarantine."""

    def __init__(self, judge: Judge, *, is_quarantined: bool = False) -> None:
        self._judge = judge
        self._prepared: dict[str, Facts] = {}
        self._cursors: set[str] = set()
        self.is_quarantined = is_quarantined

    def send(self, text: bytes) -> tuple[Decision, Judged | None]:
        """The decision on one Query of this text, and what it was based on."""
        if b"\0" in text:
            return _has_nul(text), None
        judged = self._judge.judge(
            text, quarantined=self.is_quarantined, prepared=self._prepared
        )
        decision = judged.decision
        if decision.allowed:
            decision = self._unknown_cursor(judged) or decision
        if decision.allowed:
            self._remember(judged)
        self.is_quarantined = self.is_quarantined or decision.quarantines
        return decision, judged

    def _unknown_cursor(self, judged: Judged) -> Decision | None:
        """What Postgres would say to a FETCH from a cursor that nobody declared.

        On the wire its answer is awaited. Here there is none to ask, and what such a
        FETCH would run was never judged.
        """
        declared = set(self._cursors)
        for facts in judged.statements:
            for effect in facts.names:
                if effect.verb == "declare" and effect.name is not None:
                    declared.add(effect.name)
                elif effect.verb == "fetch" and effect.name not in declared:
                    return Decision(
                        allowed=False,
                        rule="session.unknown-portal",
                        reason=f'cursor "{effect.name}" does not exist',
                        sqlstate=UNDEFINED_CURSOR,
                        kind=Kind.CURSOR,
                    )
        return None

    def _remember(self, judged: Judged) -> None:
        for facts in judged.statements:
            for effect in facts.names:
                self._rename(effect, facts)

    def _rename(self, effect: NameEffect, facts: Facts) -> None:
        name = effect.name
        match effect.verb:
            case "prepare" if name is not None and facts.prepared is not None:
                # a second PREPARE of a name fails, and the first one stays
                self._prepared.setdefault(name, facts.prepared)
            case "declare" if name is not None:
                self._cursors.add(name)
            case "deallocate" | "discard" if name is None:
                self._prepared.clear()
            case "deallocate" if name is not None:
                self._prepared.pop(name, None)
            case "close" if name is not None:
                self._cursors.discard(name)
        if name is None and effect.verb in {"close", "discard"}:
            self._cursors.clear()


def _has_nul(text: bytes) -> Decision:
    position = len(text[: text.index(b"\0")].decode("utf-8", "replace")) + 1
    return Decision(
        allowed=False,
        rule=NOT_UNDERSTOOD,
        reason="a statement can't hold a NUL byte",
        sqlstate=SYNTAX_ERROR,
        position=position,
    )
