"""Rules of `authentication` that never decide, or that plain text gets round. Pure.

Next: `proxy.policy.lint`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.auth.methods import NEED_TLS, Method
from proxy.policy.coverage import word_within
from proxy.policy.networks import networks_named
from proxy.policy.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from proxy.policy.documents import Document
    from proxy.policy.model import LoginWhen


def doubtful_logins(document: Document) -> Iterator[Problem]:
    """One for each rule that never decides, and each that plain text gets round."""
    rules = document.model.authentication or ()
    line = document.loaded.line
    for index, rule in enumerate(rules):
        for before, other in enumerate(rules[:index]):
            if _covers(document, other.when, rule.when):
                yield Problem(
                    line(("authentication", index)),
                    f'unreachable: rule "{rule.id}" never decides, as "{other.id}" '
                    f"(line {line(('authentication', before))}) fits all that it fits",
                )
                break
        yield from _without_tls(document, index)


def _without_tls(document: Document, index: int) -> Iterator[Problem]:
    """What the clients of a rule meet that asks for more, but over TLS alone."""
    rules = document.model.authentication or []
    rule = rules[index]
    if rule.method not in NEED_TLS or not rule.when.tls:
        return
    plain = rule.when.model_copy(update={"tls": False})
    for at in range(index + 1, len(rules)):
        other = rules[at]
        if not _covers(document, other.when, plain):
            continue
        if other.method not in NEED_TLS and other.method is not Method.REJECT:
            line = document.loaded.line
            yield Problem(
                line(("authentication", index)),
                f'rule "{rule.id}" is for TLS alone: without it, whom it fits logs in '
                f'by "{other.method}", as "{other.id}" (line '
                f'{line(("authentication", at))}) says; leave out "tls: true", and '
                "plain text is refused",
            )
        return


def _covers(document: Document, wide: LoginWhen, narrow: LoginWhen) -> bool:
    """Whether `wide` fits wherever `narrow` does."""
    return (
        (wide.tls is None or wide.tls is narrow.tls)
        and _words_within(document, narrow.databases, wide.databases)
        and _words_within(document, narrow.identities, wide.identities)
        and _words_within(document, narrow.roles, wide.roles)
        and _networks_within(document, narrow.networks, wide.networks)
    )


def _words_within(
    document: Document, narrow: Sequence[str] | None, wide: Sequence[str] | None
) -> bool:
    if wide is None or narrow is None:
        return wide is None
    words = document.words(wide)
    return all(word_within(each, words) for each in document.words(narrow))


def _networks_within(
    document: Document, narrow: Sequence[str] | None, wide: Sequence[str] | None
) -> bool:
    if wide is None or narrow is None:
        return wide is None
    around = [each for word in document.words(wide) for each in networks_named(word)]
    inside = [each for word in document.words(narrow) for each in networks_named(word)]
    return all(
        any(
            net.version == other.version
            and int(net.network_address) >= int(other.network_address)
            and int(net.broadcast_address) <= int(other.broadcast_address)
            for other in around
        )
        for net in inside
    )
