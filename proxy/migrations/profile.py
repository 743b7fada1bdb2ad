"""The shape of a tool profile: how a migration tool shows itself on the wire.

Pydantic models as those of a policy document, every unknown key refused. A profile
only describes: nothing that it says permits anything. Pure.
Next: `proxy.migrations.profile_load` loads texts into these, and
`proxy.migrations.profile_match` asks them of statements.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
)

from proxy.policy.model import Word, Words

Id = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=60)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=500)]


Column = Annotated[str, StringConstraints(pattern=r"^[a-z_][a-z0-9_]{0,62}$")]
"""A plain name: it goes into a query."""
PlacedTable = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z_][a-z0-9_]{0,62}\.[a-z_][a-z0-9_]{0,62}$"),
]
IsApplied = Literal["is null", "is not null", "is true", "is false"]


def _one_is_many(value: object) -> object:
    return [value] if isinstance(value, (str, dict)) else value


def _texts(value: object) -> object:
    """YAML's `true` and `7` as the texts that a driver sends."""
    several = value if isinstance(value, list) else [value]
    return [
        str(each).lower() if isinstance(each, (bool, int)) else each for each in several
    ]


AnyWords = Annotated[list[Word], BeforeValidator(_one_is_many)]
TextWords = Annotated[Words, BeforeValidator(_texts)]
Means = Literal[
    "sign", "look", "lock", "unlock", "upkeep", "announce", "step", "end", "fail",
    "revert", "act",
]  # fmt: skip
SmallWord = Literal["if exists", "if not exists", "restart identity", "cascade"]


class Model(BaseModel):
    """Base of all parts of a profile: frozen, no unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class CallMatch(Model):
    """A function that is called, with its arguments."""

    function: Word
    arguments: Annotated[list[Word], BeforeValidator(_texts)] = []


class Match(Model):
    """A statement, by what the parser saw in it; every key given must fit."""

    action: Words
    table: AnyWords = []
    joins: AnyWords = []
    names: AnyWords = []
    functions: AnyWords = []
    call: CallMatch | None = None
    columns: AnyWords = []
    without_columns: AnyWords = []
    values: dict[Word, TextWords] = {}
    where: dict[Word, TextWords] = {}
    databases: AnyWords = []
    words: Annotated[list[SmallWord], BeforeValidator(_one_is_many)] = []


class FirstMatch(Match):
    """What a command may begin with, in a session that has shown what is named."""

    after: AnyWords = []
    not_after: AnyWords = []


class Source(Model):
    """Where in a bookkeeping statement a value stands."""

    column: Word = ""
    where: Word = ""
    type: Literal["text", "integer"] = "text"


class Bookkeeping(Model):
    """A statement that belongs to the tool, and what it means."""

    id: Id
    means: Means
    match: Match
    during: Literal["any", "idle", "announced"] = "any"
    after: AnyWords = []
    name: Annotated[list[Source], BeforeValidator(_one_is_many)] = []
    checksum: Source | None = None
    key: Source | None = None
    command: Text | None = None
    without_body: Text | None = None


class Command(Model):
    """A command of the tool that destroys, and what to do instead."""

    command: Text
    does: Text
    instead: Text
    first: Annotated[list[FirstMatch], Field(min_length=1)]
    after: AnyWords = []
    not_after: AnyWords = []


class Script(Model):
    """How the tool runs a migration."""

    order: Literal["announced", "row-last", "no-row"]
    sent: Literal["whole", "statements", "either"]
    transaction: Literal["own", "one-for-all", "none", "implicit"]
    checksum: Literal["sha256", "crc32", "md5", "other", "none"] = "none"
    connections: Literal["one", "two"] = "one"


class History(Model):
    """The tables in which the tool writes what it has applied, and how to read them."""

    tables: Annotated[
        list[PlacedTable], BeforeValidator(_one_is_many), Field(min_length=1)
    ]
    name: Annotated[list[Column], BeforeValidator(_one_is_many)] = []
    separator: Annotated[str, StringConstraints(pattern=r"^[.:/-]{1,3}$")] = "."
    without_name: Column | None = None
    checksum: Column | None = None
    applied: dict[Column, IsApplied] = {}
    order: Annotated[list[Column], BeforeValidator(_one_is_many)] = []


class Provenance(Model):
    """What the profile was read from."""

    source: Literal["recorded", "sources"]
    versions: Words
    note: Text | None = None


class ProfileModel(Model):
    """A tool profile."""

    version: Literal[1]
    tool: Id
    title: Text
    provenance: Provenance
    tables: AnyWords = []
    script: Script
    history: History | None = None
    bookkeeping: list[Bookkeeping] = []
    commands: list[Command] = []
