"""Roles of `access` that nobody could borrow, or nobody could decide on. Pure.

That a role named there exists, and is nobody's own, is an error and told earlier
(`proxy.policy.consistency`). Next: `proxy.policy.lint`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxy.auth.methods import Method
from proxy.policy.durations import SHORTEST_LOAN_S, seconds
from proxy.policy.logins import Logins
from proxy.policy.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from proxy.policy.documents import Document
    from proxy.policy.model import Lendable
    from proxy.policy.yaml import Path

_DOES: Final = {"requesters": "ask", "approvers": "approve", "reviewers": "review"}


def doubtful_access(document: Document) -> Iterator[Problem]:
    """What the document alone tells."""
    line = document.loaded.line
    for name, lent in document.model.access.roles.items():
        here = ("access", "roles", name)
        for path, said in (*_absent(document, lent), *_lengths(lent)):
            yield Problem(line((*here, *path)), f'role "{name}" is lent: {said}')


def few_eyes(document: Document, people: Mapping[str, str]) -> Iterator[Problem]:
    """What hangs on who there is.

    Args:
        document: the policy.
        people: each identity that may log in, with its role.
    """
    for name, lent in document.model.access.roles.items():
        line = document.loaded.line(("access", "roles", name))
        asking = [who for who, role in people.items() if role in lent.requesters]
        if not asking:
            yield Problem(line, f'role "{name}" is lent: no identity could ask for it')
        for who in asking:
            if said := _too_few(lent, who, people):
                yield Problem(line, f'role "{name}" is lent: {said}')


def _too_few(lent: Lendable, who: str, people: Mapping[str, str]) -> str:
    """Why nobody could lend it to this one under four eyes, "" if they could."""
    others = [each for each, role in people.items() if role in lent.approvers]
    count = len([each for each in others if each != who])
    if count < lent.approvals:
        plural = "s" if lent.approvals > 1 else ""
        return (
            f'"{who}" needs {lent.approvals} approval{plural}, and others could give '
            f"{count or 'none'}"
        )
    reviewers = lent.reviewers or lent.approvers
    if not any(role in reviewers and each != who for each, role in people.items()):
        return f'nobody else could review what was lent to "{who}"'
    return ""


def _absent(document: Document, lent: Lendable) -> Iterator[tuple[Path, str]]:
    """Roles that are to ask, approve or review, and never have a session."""
    sides = {
        "requesters": lent.requesters,
        "approvers": lent.approvers,
        "reviewers": lent.reviewers or [],
    }
    for key, words in sides.items():
        out = {word: said for word in words if (said := _why_out(document, word))}
        for index, word in enumerate(words):
            if word in out:
                yield (
                    (key, index),
                    f'"{word}" can\'t {_DOES[key]}, as {out[word]}'
                    + (f"; so nobody can {_DOES[key]}" if _is_all(words, out) else ""),
                )


def _is_all(words: Sequence[str], out: Collection[str]) -> bool:
    return all(word in out for word in words)


def _why_out(document: Document, name: str) -> str:
    """Why identities of a role never have a session, "" if they may."""
    role = document.model.roles.get(name)
    if role is None:
        return ""
    if role.login.refuse:
        return "the role has no SQL login"
    rules = Logins(document).ways_of(None, name)
    if all(way.method is Method.REJECT for way in rules):
        return "no rule of authentication lets it in"
    return ""


def _lengths(lent: Lendable) -> Iterator[tuple[Path, str]]:
    if seconds(lent.longest) < SHORTEST_LOAN_S:
        yield (
            ("longest",),
            f"for {lent.longest} at most, and a loan is for {SHORTEST_LOAN_S}s at "
            "least",
        )
