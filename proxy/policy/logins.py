"""Which way to log in a client takes: the first rule of `authentication` that fits.

Asked before anybody has proven anything, so it also says what a name that nobody has
would meet from the same place: whoever may not be told that a name is known is led
there. Pure. Next: `proxy.session.ways`, which goes the way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct

from proxy.auth.methods import BY_CERTIFICATE, Method
from proxy.policy.networks import Networks
from proxy.policy.patterns import Pattern

if TYPE_CHECKING:
    from collections.abc import Sequence, Set as AbstractSet

    from proxy.auth.client_certificates import CertificateName
    from proxy.policy.documents import Document
    from proxy.policy.model import LoginRule

NO_RULE: Final = "default-deny"
"""Rule id where no rule of `authentication` fits."""


class Knock(Struct, frozen=True):
    """What is known of a client before it proves anything.

    Attributes:
        identity: the name it gives, known or not.
        role: the role of the identity of that name; "" for an unknown name.
        database: as asked for.
        address: numeric address, "" for a Unix socket.
        tls: whether the connection is encrypted.
    """

    identity: str
    role: str
    database: str
    address: str
    tls: bool


class Way(Struct, frozen=True):
    """One way to log in.

    Attributes:
        rule: id of the rule that says so; "" where the policy has no such rules.
        method: the way.
        reason: of a rejection, for the person.
        hint: what to do instead.
        certificate: whose certificate it must be, where the identity does not say.
        issuer: whose tokens are taken, by its name in the settings; "" for none.
    """

    rule: str
    method: Method
    reason: str = ""
    hint: str = ""
    certificate: CertificateName | None = None
    issuer: str = ""


class Ways(Struct, frozen=True):
    """What a client meets.

    Attributes:
        own: the way that the rules give it.
        stranger: the way of a name that nobody has, from the same place.
        hint: what everybody is told who fails; the same for all names.
    """

    own: Way
    stranger: Way
    hint: str = ""


BY_PASSWORD: Final = Way("", Method.SCRAM)
"""Of a policy without `authentication`."""
_NOWHERE: Final = Way(
    NO_RULE, Method.REJECT, "no rule of the policy says how, for this name from here"
)


_HINT: Final = (
    "Some logins here take a client certificate: is yours sent, valid and of this name?"
)


def everyone_by_password(_: Knock) -> Ways:
    """The ways of a policy without `authentication`."""
    return Ways(BY_PASSWORD, BY_PASSWORD)


class Logins:
    """The rules of `authentication`, compiled.

    Attributes:
        by_certificate: id of a rule that asks for a client certificate; "" if none.
        bound: id of a rule that demands channel binding; "" if none.
    """

    def __init__(self, document: Document) -> None:
        rules = document.model.authentication
        self._rules = (
            None if rules is None else [_Rule(rule, document) for rule in rules]
        )
        used = [] if self._rules is None else [rule.way for rule in self._rules]
        self.by_certificate = _first(used, BY_CERTIFICATE)
        self.bound = _first(used, {Method.SCRAM_PLUS})
        self._hint = _HINT if self.by_certificate else ""

    @property
    def issuers(self) -> dict[str, str]:
        """The issuers that the rules name, each with the id of one that does."""
        rules = self._rules or ()
        return {rule.way.issuer: rule.way.rule for rule in rules if rule.way.issuer}

    def ways(self, knock: Knock) -> Ways:
        """The way of this client, and that of a stranger in its place."""
        if self._rules is None:
            return everyone_by_password(knock)
        around = [rule for rule in self._rules if not rule.misfit(knock)]
        own = next((rule.way for rule in around if rule.fits_role(knock.role)), None)
        return Ways(own or _NOWHERE, _stranger(around), self._hint)

    def ways_of(self, identity: str | None, role: str) -> list[Way]:
        """Every way that a client of this name could take, wherever it comes from.

        Without a name, that somebody with this role could.
        """
        if self._rules is None:
            return [BY_PASSWORD]
        found: list[Way] = []
        for rule in self._rules:
            is_theirs = identity is None or rule.fits_name(identity)
            if is_theirs and rule.fits_role(role):
                found.append(rule.way)
                if rule.is_for_any_client(identity):
                    break
        return found

    def tried(self, knock: Knock) -> list[Tried]:
        """Each rule up to the one that decides, with what keeps it from fitting."""
        found: list[Tried] = []
        for rule in self._rules or ():
            misfit = rule.misfit(knock)
            if not misfit and not rule.fits_role(knock.role):
                misfit = "roles"
            found.append(Tried(rule.way, misfit))
            if not misfit:
                break
        return found


class Tried(Struct, frozen=True):
    """What one rule says to a client.

    Attributes:
        way: what it would have it do.
        misfit: the first key of its `when` that does not fit; "" if all do.
    """

    way: Way
    misfit: str


def _first(ways: Sequence[Way], methods: AbstractSet[Method]) -> str:
    return next((way.rule for way in ways if way.method in methods), "")


def _stranger(around: Sequence[_Rule]) -> Way:
    """The way of a name without a role.

    A plain refusal would tell known names apart where roles are let in by name and the
    rest is refused: then it is the way of the last of those roles' rules.
    """
    found = _NOWHERE
    usual: Way | None = None
    for rule in around:
        if rule.fits_role(""):
            found = rule.way
            break
        if rule.way.method is not Method.REJECT:
            usual = rule.way
    if found.method is Method.REJECT and usual is not None:
        return usual
    return found


class _Rule:
    """Every key that is given must fit; within a key one item is enough."""

    __slots__ = ("_databases", "_identities", "_networks", "_roles", "_tls", "way")

    def __init__(self, rule: LoginRule, document: Document) -> None:
        when = rule.when
        self.way = Way(
            rule.id,
            rule.method,
            rule.reason or "",
            rule.hint,
            rule.certificate,
            rule.issuer or "",
        )
        self._databases = _pattern(when.databases, document)
        self._identities = _pattern(when.identities, document)
        self._roles = _pattern(when.roles, document)
        self._networks = (
            None if when.networks is None else Networks(document.words(when.networks))
        )
        self._tls = when.tls

    def misfit(self, knock: Knock) -> str:
        """The first key, but for `roles`, that does not fit; "" if all do."""
        if self._tls is not None and self._tls is not knock.tls:
            return "tls"
        if self._databases is not None and not self._databases.matches(knock.database):
            return "databases"
        if not self.fits_name(knock.identity):
            return "identities"
        if self._networks is not None and not self._networks.have(knock.address):
            return "networks"
        return ""

    def is_for_any_client(self, identity: str | None) -> bool:
        """Whether it fits whatever else a client of this name, or of any, has."""
        is_anywhere = self._databases is None and self._networks is None
        is_any_name = identity is not None or self._identities is None
        return is_anywhere and is_any_name and self._tls is None

    def fits_name(self, identity: str) -> bool:
        """Whether the name fits."""
        return self._identities is None or self._identities.matches(identity)

    def fits_role(self, role: str) -> bool:
        """Whether the role fits; "" fits only where none is named."""
        return self._roles is None or (bool(role) and self._roles.matches(role))


def _pattern(words: Sequence[str] | None, document: Document) -> Pattern | None:
    return None if words is None else Pattern(document.words(words))
