"""What does not hold together in the rules of `authentication`. Pure.

A role that is not there is an error here and no finding of the lint: a rule that fits
nobody leaves its people to the next one, which may ask for less.
Next: `proxy.policy.consistency`, which tells these with the others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.auth.methods import BY_CERTIFICATE, BY_TOKEN, NEED_TLS, Method
from proxy.policy.networks import networks_named
from proxy.policy.patterns import Pattern, nearest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from proxy.policy.model import LoginRule, PolicyModel
    from proxy.policy.yaml import Path


def login_problems(model: PolicyModel) -> Iterator[tuple[Path, str]]:
    """Each with its path in the document."""
    for index, rule in enumerate(model.authentication or ()):
        path = ("authentication", index)
        yield from _when_problems(model, rule, (*path, "when"))
        if rule.method is Method.REJECT and not rule.reason:
            yield path, f'rule "{rule.id}" rejects, so it needs a "reason"'
        if rule.method is not Method.REJECT and (rule.reason or rule.hint):
            yield path, f'rule "{rule.id}": only a rejection has a reason and a hint'
        if rule.certificate is not None:
            yield from _certificate_problems(rule, (*path, "certificate"))
        if rule.method in BY_TOKEN and rule.issuer is None:
            yield path, f'rule "{rule.id}" takes tokens, so it needs an "issuer"'
        if rule.method not in BY_TOKEN and rule.issuer is not None:
            yield path, f'rule "{rule.id}": "{rule.method}" has no "issuer"'
        if rule.method in NEED_TLS and rule.when.tls is False:
            yield (
                (*path, "method"),
                f'rule "{rule.id}": "{rule.method}" needs TLS, and the rule is for '
                "clients without",
            )


def _certificate_problems(rule: LoginRule, path: Path) -> Iterator[tuple[Path, str]]:
    if rule.certificate is None:
        return
    if rule.method not in BY_CERTIFICATE:
        yield path, f'rule "{rule.id}": "{rule.method}" asks for no certificate'
    try:
        rule.certificate.check_of_many()
    except ValueError as error:
        yield path, f'rule "{rule.id}": {error}'


def _when_problems(
    model: PolicyModel, rule: LoginRule, path: Path
) -> Iterator[tuple[Path, str]]:
    when = rule.when
    for key, words in (
        ("databases", when.databases),
        ("identities", when.identities),
        ("roles", when.roles),
        ("networks", when.networks),
    ):
        for index, word in enumerate(words or ()):
            here = (*path, key, index)
            if word.startswith("@") and word[1:] not in model.lists:
                yield here, f'no list "{word[1:]}"{nearest(word[1:], model.lists)}'
                continue
            spelled = model.lists[word[1:]] if word.startswith("@") else [word]
            if key == "roles":
                yield from ((here, said) for said in _unknown_roles(model, spelled))
            if key == "networks":
                yield from ((here, said) for said in _no_networks(spelled))


def _unknown_roles(model: PolicyModel, words: Sequence[str]) -> Iterator[str]:
    for word in words:
        if not any(map(Pattern([word]).matches, model.roles)):
            yield f'no role "{word}"{nearest(word, model.roles)}'


def _no_networks(words: Sequence[str]) -> Iterator[str]:
    for word in words:
        try:
            networks_named(word)
        except ValueError as error:
            yield str(error)
