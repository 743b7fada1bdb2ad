"""SQL that a line gives to psql: `psql -c "DROP SCHEMA public CASCADE"`, or its input.

Judged by the same facts as on the wire. Next: `proxy.migrations.scan_commands`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxy.migrations.scan_table import Said
from proxy.sql.analyse import analyse
from proxy.sql.facts import Flag, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_DESTROYS: Final = frozenset(
    {"drop database", "drop schema", "drop table", "drop owned", "truncate"}
)


def sql_dangers(words: Sequence[str], texts: Iterable[str]) -> Iterator[Said]:
    """What psql would destroy, by its own words and by what it is given to read."""
    for text in [*_commands(words), *texts]:
        for facts in analyse(text.encode("utf-8", "replace")).statements:
            acts = [act for act in facts.actions if act in _DESTROYS]
            if Flag.UNFILTERED in facts.flags and Kind.DELETE in facts.kinds:
                acts.append("delete without a where")
            if acts:
                yield Said(
                    "psql-destroys",
                    f"it has psql run {acts[0].upper()}",
                    "Write a migration, which is reviewed and proven on staging.",
                )
                break


def _commands(words: Sequence[str]) -> Iterator[str]:
    for index, word in enumerate(words):
        if word in {"-c", "--command"} and index + 1 < len(words):
            yield words[index + 1]
        elif word.startswith("--command="):
            yield word.partition("=")[2]
        elif word.startswith("-c"):
            yield word[2:]
