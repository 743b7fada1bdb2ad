"""What each key and word of a tool profile means, for docs/reference/tool-profiles.md.

Beside the page rather than in the model: these are words for readers. A key without one
fails tests/unit/test_docs.py. Next: `docs.generate`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxy.migrations import profile

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import BaseModel

HEAD: Final = """\
A tool profile describes how one migration tool shows itself on the wire, key by key. The shipped ones are in
[policies/tools/](../../policies/tools/alembic.yaml); how to write one is
[add a migration tool](../how-to/add-a-migration-tool.md).

A profile only describes. pgwarden reads a session by it, and says which tool it is, which migration begins and ends, what is the tool's own
bookkeeping, and which command a refused statement belongs to. What may run is decided by the policy, whatever a profile says.

It is asked of the parsed statement, never of the text: names may be qualified or not, values may be written into the statement or bound, in text or in the
binary format. An unknown key, a bad word or a reference to nothing refuses the profile as a whole, and all problems are told at once, with their lines.
A single word may stand where a list is wanted. `*` stands for any run of characters.
"""

MODELS: Final[Mapping[type[BaseModel], str]] = {
    profile.ProfileModel: "The profile",
    profile.Provenance: "`provenance`",
    profile.Script: "`script`",
    profile.History: "`history`",
    profile.Bookkeeping: "An item of `bookkeeping`",
    profile.Match: "`match`",
    profile.CallMatch: "`call`",
    profile.Source: "`name`, `checksum` and `key`",
    profile.Command: "An item of `commands`",
    profile.FirstMatch: "An item of `first`",
}

_AFTER: Final = (
    "Ids of `bookkeeping`, each of which the session has sent before. Advice on a refusal does not see bound "
    "values: name what can be told without them."
)
_NOT_AFTER: Final = "Ids of which it has sent none."
_MATCH: Final[Mapping[str, str]] = {
    "action": "One of these, in the words of a policy: `insert`, `create table`, `alter table drop *`.",
    "table": "One of these tables is named, `history` in any schema, `drizzle.history` in that one.",
    "joins": "All of these tables are named.",
    "names": "CREATE SCHEMA or DROP SCHEMA of one of these.",
    "functions": "All of these functions are called.",
    "call": "One function is called with these arguments.",
    "columns": "All of these are among the columns that INSERT lists, UPDATE sets, CREATE TABLE defines or "
    "SELECT names.",
    "without_columns": "None of these is among them.",
    "values": "Columns with the values that each row writes, one of a list. `true` and `false` also stand for what drivers "
    "make of them. `*` is any, also one that is computed.",
    "where": "Columns that WHERE compares by `=`, with the value.",
    "databases": "One of these is created, altered or dropped.",
    "words": "All of these small words are there: `if exists`, `if not exists`, `restart identity`, `cascade`.",
}

KEYS: Final[Mapping[type[BaseModel], Mapping[str, str]]] = {
    profile.ProfileModel: {
        "version": "1",
        "tool": "Its id: lower case, digits, `-`.",
        "title": "Its name, for people.",
        "provenance": "How it is known that the tool does so.",
        "tables": "The tables that are the tool's own. What changes one in another way than `bookkeeping` says is told "
        "as out of place.",
        "script": "How the tool runs a migration.",
        "history": "The tables in which the tool keeps what it has applied: read by `pgwarden migration baseline`, and "
        "left out of the schema digest.",
        "bookkeeping": "The tool's own statements; of those that fit, the first counts.",
        "commands": "The commands that destroy; of those that fit, the first counts.",
    },
    profile.Provenance: {
        "source": "`recorded`: the tool was run, its transcripts are in tests/transcripts. `sources`: read in its sources; the "
        "profile is off.",
        "versions": "Of the tool, with the driver where that matters. Each recorded one has transcripts.",
        "note": "What else the reader should know.",
    },
    profile.Script: {
        "order": "`announced`: a history row, with the name, comes before the script. `row-last`: behind it. "
        "`no-row`: there is no history.",
        "sent": "`whole`: a file as one Query. `statements`: one by one. `either`.",
        "transaction": "`own` for each migration, `one-for-all`, `none`, or `implicit`: that of the one Query.",
        "checksum": "What the history keeps: of the file's bytes `sha256`, `crc32` or `md5`; `other` of something else.",
        "connections": "`two` where the history is written on another connection than the scripts.",
    },
    profile.History: {
        "tables": "As `schema.table`, with the schema that the tool takes by itself. Each has to be one of the profile's "
        "`tables`. The first has the rows. All of them are in the default of `migrations.bookkeeping`, and with it part of every schema digest.",
        "name": "The column of the migration's name; of several, joined. Without it no baseline is made of this tool.",
        "separator": "What stands between several: up to three of `.:/-`.",
        "without_name": "The column that stands in where that is null.",
        "checksum": "The column of its checksum.",
        "applied": "Which rows are applied: columns, each with `is null`, `is not null`, `is true` or `is false`. Without it, all.",
        "order": "The columns that say in which order.",
    },
    profile.Bookkeeping: {
        "id": "Unique in the profile.",
        "means": "See below.",
        "match": "Which statement it is. It must do this one thing, write no table but those that `table` names, and call no "
        "function that does more than return a value.",
        "during": "`idle` or `announced`: only while no migration, or one, is announced. Out of its turn it is not recognised.",
        "after": "Ids of other items, each of which the session has sent before: for a table whose name is everybody's.",
        "name": "Where the migration's name stands; of several, joined by a dot.",
        "checksum": "Where its checksum stands.",
        "key": "Where the row's key stands. While one is announced, only its own row's key is recognised.",
        "command": "Of an `act`: the command that sends it.",
        "without_body": "Of an `end`: the command that writes this row without a migration before it, which is then an act: "
        "`alembic stamp`. A migration that does nothing looks the same.",
    },
    profile.Match: _MATCH,
    profile.CallMatch: {
        "function": "Its name, without schema.",
        "arguments": "As many as the call has.",
    },
    profile.Source: {
        "column": "This or the next one: the column that is written.",
        "where": "The column that WHERE compares.",
        "type": "`integer` where a driver may bind it in the binary format.",
    },
    profile.Command: {
        "command": "As a person types it.",
        "does": "What it does and that it is not run here: the sentence behind the command.",
        "instead": "What to do, behind a semicolon. Together they are the hint of the refusal.",
        "first": "What it may begin with. Here it is enough that the statement does this among other things.",
        "after": _AFTER,
        "not_after": _NOT_AFTER,
    },
    profile.FirstMatch: {**_MATCH, "after": _AFTER, "not_after": _NOT_AFTER},
}

MEANS: Final[Mapping[str, str]] = {
    "sign": "The session shows that it is this tool's; it does nothing to the history.",
    "look": "The history is read.",
    "lock": "The tool's lock is taken, so that two deploys do not run at once.",
    "unlock": "It is freed; what was announced is over.",
    "upkeep": "The tool's own tables are made or kept.",
    "announce": "A migration begins, by its name.",
    "step": "A row is changed while a migration runs, or before one.",
    "end": "The migration has ended well.",
    "fail": "The tool writes down that it failed.",
    "revert": "It was taken back: its row goes.",
    "act": "The history is changed without a migration: needs a permission of its own.",
}
