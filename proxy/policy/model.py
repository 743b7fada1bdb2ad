"""The shape of a policy document: what keys there are and what they mean.

Pydantic models, every unknown key refused. Nothing is decided here. Pure.
Next: `proxy.policy.documents` loads texts into these; `policies/README.md` explains
the keys to their readers.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StringConstraints,
)

from proxy.auth.client_certificates import (
    CertificateName,
)
from proxy.auth.methods import Method
from proxy.policy.durations import seconds
from proxy.policy.patterns import closed_set
from proxy.sql.facts import Access as RelationAccess, Effect, Flag, Kind

LOCK_MODES = (
    "access share",
    "row share",
    "row exclusive",
    "share update exclusive",
    "share",
    "share row exclusive",
    "exclusive",
    "access exclusive",
)
"""https://www.postgresql.org/docs/18/explicit-locking.html"""

COMPUTED = "computed"
"""The `name` of a setting that the statement computes. No real setting has this name:
one without a dot must exist, and none is called so."""


def _one_is_many(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _as_text(value: object) -> object:
    """YAML's `true` and `7` as the words Postgres would see."""
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value) if isinstance(value, int) else value


def _named(key: str) -> BeforeValidator:
    """A bare word stands for a mapping with only `key`."""
    return BeforeValidator(lambda v: {key: v} if isinstance(v, str) else v)


Word = Annotated[str, StringConstraints(min_length=1, max_length=200)]
RuleId = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_.-]*$", max_length=80)
]
Words = Annotated[list[Word], BeforeValidator(_one_is_many), Field(min_length=1)]
SettingValue = Annotated[str, BeforeValidator(_as_text)]
Kinds = Annotated[list[Annotated[str, closed_set(Kind)]], BeforeValidator(_one_is_many)]
Flags = Annotated[list[Annotated[str, closed_set(Flag)]], BeforeValidator(_one_is_many)]
Accesses = Annotated[
    list[Annotated[str, closed_set(RelationAccess)]],
    BeforeValidator(_one_is_many),
    Field(min_length=1),
]
Effects = Annotated[
    list[Annotated[str, closed_set(Effect)]],
    BeforeValidator(_one_is_many),
    Field(min_length=1),
]
LockModes = Annotated[
    list[Annotated[str, closed_set(LOCK_MODES)]], BeforeValidator(_one_is_many)
]


class Model(BaseModel):
    """Base of all parts of a document: frozen, no unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class FunctionMatch(Model):
    """Functions by name and by effect; both must fit."""

    names: Words = ["*"]
    effects: Effects = ["*"]


class RelationMatch(Model):
    """Relations by name and by how they are touched; both must fit.

    With `columns` a forbid is of these columns alone, and a permit of no others.
    """

    access: Accesses
    names: Words = ["*"]
    except_names: Annotated[list[Word], BeforeValidator(_one_is_many)] = []
    columns: Words | None = None


class DatabaseMatch(Model):
    """Databases that a statement creates, alters or drops."""

    names: Words = ["*"]
    except_names: Annotated[list[Word], BeforeValidator(_one_is_many)] = []


class SettingMatch(Model):
    """A setting by name; with `values`, only when it is set to one of them.

    With `items`, for a list of names: only when every name on it is one of them.
    """

    name: Word
    except_names: Annotated[list[Word], BeforeValidator(_one_is_many)] = []
    values: (
        Annotated[list[SettingValue], BeforeValidator(_one_is_many), Field()] | None
    ) = None
    items: Words | None = None


class Acts(Model):
    """What a rule permits or forbids. A statement is split into acts."""

    everything: bool = False
    kinds: Kinds = []
    actions: Annotated[list[Word], BeforeValidator(_one_is_many)] = []
    flags: Flags = []
    functions: list[Annotated[FunctionMatch, _named("names")]] = []
    relations: list[RelationMatch] = []
    databases: list[Annotated[DatabaseMatch, _named("names")]] = []
    settings: list[Annotated[SettingMatch, _named("name")]] = []
    resets: Annotated[list[Word], BeforeValidator(_one_is_many)] = []
    lock_modes: LockModes = []


class Window(Model):
    """A window of time by the clock on the wall; every key given must hold."""

    timezone: Word
    days: Words | None = None
    hours: Words | None = None
    since: Word | None = None
    until: Word | None = None


class Surroundings(Model):
    """What is around a statement: every key given must hold, any item of it."""

    networks: Words | None = None
    applications: Words | None = None
    during: Annotated[list[Window], Field(min_length=1)] | None = None
    proven: StrictBool | None = None


class When(Surroundings):
    """Conditions on the statement and its session: every key given must hold."""

    databases: Words | None = None
    kinds: Kinds | None = None
    actions: Words | None = None
    flags: Flags | None = None


class Shadow(Model):
    """A rule on trial: what it would refuse is recorded, and not refused."""

    until: Word


class Rule(Model):
    """One readable sentence of the policy: exactly one of `permit` and `forbid`."""

    id: RuleId
    reason: Word | None = None
    hint: str = ""
    when: When = When()
    unless: Surroundings = Surroundings()
    shadow: Shadow | None = None
    permit: Acts | None = None
    forbid: Acts | None = None
    quarantine: bool = False
    in_quarantine: bool = False


class RoleLimits(Model):
    """What the sessions of a role may take; a key that is not there limits nothing.

    Held by pgwarden itself, so no SET lifts them. Each worker counts for itself.
    """

    sessions: Annotated[int, Field(ge=1)] | None = None
    sessions_per_identity: Annotated[int, Field(ge=1)] | None = None
    reserved_slots: int = Field(default=0, ge=0)
    statements_per_minute: Annotated[int, Field(ge=1)] | None = None
    running_time_s: Annotated[float, Field(ge=1)] | None = None
    idle_in_transaction_s: Annotated[float, Field(ge=1)] | None = None


class Login(Model):
    """Whether the role may open an SQL session; `refuse` says why not."""

    refuse: str = ""
    hint: str = ""


def _login(value: Any) -> Any:  # noqa: ANN401 - what YAML holds
    return {} if value == "permit" else value


class RoleMigrations(Model):
    """What the migrations that a role's sessions run have to do with proofs."""

    proofs: Literal["record", "accept", "require"]
    commands: Annotated[list[Word], BeforeValidator(_one_is_many)] = []


class Role(Model):
    """One role: how it logs in, as whom it goes upstream, and its rules in order."""

    description: str = ""
    login: Annotated[Login, BeforeValidator(_login)]
    upstream: str = ""
    read_only: bool = True
    limits: RoleLimits = RoleLimits()
    migrations: RoleMigrations | None = None
    include: list[Word] = []
    rules: list[Rule] = []


def _only_text(value: object) -> object:
    """A number would be read as seconds since 1970."""
    if not isinstance(value, str):
        raise ValueError("must be a date: 2027-01-31")  # noqa: TRY004 - pydantic's way
    return value


class Waiver(Model):
    """A finding of the doctor that does not close the gate, for a while."""

    finding: RuleId
    login: Word = "*"
    database: Word = "*"
    until: Annotated[date, BeforeValidator(_only_text)]
    reason: Word


class DoctorGate(Model):
    """Whether critical findings of the doctor keep `pgwarden serve` from serving."""

    gate: bool = False
    waive: list[Waiver] = []


class MigrationWaiver(Model):
    """A finding of `pgwarden migration check` that is accepted, for a while."""

    finding: Word
    files: Word = "*"
    until: Annotated[date, BeforeValidator(_only_text)]
    reason: Word


class MigrationChecks(Model):
    """What `pgwarden migration check` takes off its findings."""

    waive: list[MigrationWaiver] = []


class LoginWhen(Model):
    """To which clients a rule of `authentication` applies: every key must fit."""

    databases: Words | None = None
    identities: Words | None = None
    roles: Words | None = None
    networks: Words | None = None
    tls: bool | None = None


class LoginRule(Model):
    """One rule of `authentication`: how the clients that it fits prove who they are."""

    id: RuleId
    when: LoginWhen = LoginWhen()
    method: Method
    certificate: CertificateName | None = None
    issuer: Word | None = None
    reason: Word | None = None
    hint: str = ""


LONGEST_LENT_S = 24 * 3600
"""Rights that are needed for more than a day are a role of their own."""


def _length_of_time(text: str) -> str:
    if not 0 < seconds(text) <= LONGEST_LENT_S:
        raise ValueError("must be at most 24h")
    return text


LengthOfTime = Annotated[
    str, StringConstraints(max_length=20), AfterValidator(_length_of_time)
]


class Lendable(Model):
    """How a role is lent: who may ask for it, who says yes, for how long."""

    requesters: Words
    approvers: Words
    reviewers: Words | None = None
    approvals: int = Field(default=1, ge=1, le=5)
    longest: LengthOfTime = "1h"
    pending_for: LengthOfTime = "1h"
    pending_each: int = Field(default=3, ge=1, le=20)


class Access(Model):
    """Roles that are lent for a while, with a reason and a second pair of eyes."""

    roles: dict[Word, Lendable] = {}


class PolicyModel(Model):
    """A whole policy document."""

    version: Literal[1]
    name: Word
    description: str = ""
    doctor: DoctorGate = DoctorGate()
    migration_checks: MigrationChecks = MigrationChecks()
    authentication: Annotated[list[LoginRule], Field(min_length=1)] | None = None
    access: Access = Access()
    lists: dict[Word, list[Word]] = {}
    settings: dict[Word, list[Annotated[SettingMatch, _named("name")]]] = {}
    rules: dict[Word, list[Rule]] = {}
    roles: Annotated[dict[Word, Role], Field(min_length=1)]
