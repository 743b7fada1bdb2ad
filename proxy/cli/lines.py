"""`pgwarden check --jsonl`: one answer a line, whatever the line holds.

The judging is done in a child process, so that a crash or hang of the parser costs one
line and not the run: that line is denied and a new child judges the next.
Next: `proxy.cli.check`.
"""

from __future__ import annotations

import json
import multiprocessing
import re
from typing import TYPE_CHECKING, Any, BinaryIO, Final, NamedTuple, TypeAlias

from msgspec import to_builtins

from proxy.cli.around import NOWHERE, Around
from proxy.cli.offline import OfflineSession, load_resolver
from proxy.errors import SYNTAX_ERROR, TOO_LARGE
from proxy.policy.documents import load
from proxy.policy.evaluate import Policy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess
    from pathlib import Path

    from proxy.session.judge import Judge

Json: TypeAlias = dict[str, Any]

MAX_LINE_BYTES: Final = 32 * 1024 * 1024
"""A statement may be 1 MiB, and JSON may spell each byte with six characters."""
ID_BYTES: Final = 64 * 1024
"""How far into a broken line its id is looked for."""
ANSWER_WITHIN_S: Final = 60.0
"""Judging 1 MiB takes well under a second; this is a hang."""

BAD_LINE: Final = "check.bad-line"
CRASH: Final = "check.crash"

_ID: Final = re.compile(rb'"id"\s*:\s*("(?:[^"\\]|\\.)*"|-?[0-9]{1,18}\b)')


class BadLineError(ValueError):
    """A line that is not `{"id": ..., "sql": "..."}`."""


def answer(judge: Judge, line: bytes) -> Json:
    """The answer to one line, judged in a session of its own."""
    try:
        question = _question(line)
    except BadLineError as error:
        return denied(_id_in(line), BAD_LINE, str(error))
    identifier = question.get("id")
    try:
        text = question["sql"].encode("utf-8")
    except UnicodeEncodeError:
        return denied(identifier, BAD_LINE, '"sql" holds a lone surrogate')
    decision, _ = OfflineSession(judge).send(text)
    shadow = decision.shadow
    on_trial = {} if shadow is None else {"shadow": to_builtins(shadow)}
    return {
        "id": identifier,
        "decision": "allow" if decision.allowed else "deny",
        "rule": decision.rule,
        "reason": decision.reason,
        "sqlstate": decision.sqlstate,
        **on_trial,
    }


def denied(
    identifier: object, rule: str, reason: str, sqlstate: str = SYNTAX_ERROR
) -> Json:
    """The answer to a line that was not judged."""
    return {
        "id": identifier,
        "decision": "deny",
        "rule": rule,
        "reason": reason,
        "sqlstate": sqlstate,
    }


def _question(line: bytes) -> Json:
    try:
        question = json.loads(line.decode("utf-8"), object_pairs_hook=_unique)
    except UnicodeDecodeError:
        raise BadLineError("the line is not UTF-8") from None
    except (ValueError, RecursionError) as error:
        said = error if isinstance(error, BadLineError) else "the line is not JSON"
        raise BadLineError(str(said)) from None
    if not isinstance(question, dict):
        raise BadLineError('the line is not an object {"id": ..., "sql": ...}')
    if not isinstance(question.get("sql"), str):
        raise BadLineError('"sql" is missing or not a string')
    if isinstance(question.get("id"), dict | list):
        raise BadLineError('"id" must be a string')
    return question


def _unique(pairs: list[tuple[str, object]]) -> Json:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise BadLineError("a key is given twice")
    return found


def _id_in(line: bytes) -> object:
    """The id of a broken line, where it can be read."""
    found = _ID.search(line[:ID_BYTES])
    if found is None:
        return None
    try:
        return json.loads(found[1].decode("utf-8"))
    except ValueError:
        return None


class _Wish(NamedTuple):
    """What the child needs to make a judge of its own."""

    policy_text: str
    source: str
    role: str
    where: Around
    catalog: Path | None


class LineJudge:
    """Answers lines with the help of a child process; use as a context manager."""

    def __init__(
        self,
        policy_text: str,
        *,
        source: str,
        role: str,
        where: Around = NOWHERE,
        catalog: Path | None = None,
    ) -> None:
        self._wish = _Wish(policy_text, source, role, where, catalog)
        self._child: BaseProcess | None = None
        self._pipe: Connection | None = None

    def __enter__(self) -> LineJudge:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def answer(self, line: bytes) -> Json:
        """The answer to one line: never an exception, whatever the line holds."""
        if len(line) > MAX_LINE_BYTES:
            reason = f"the line is longer than {MAX_LINE_BYTES} bytes"
            return denied(_id_in(line), BAD_LINE, reason, TOO_LARGE)
        pipe = self._pipe or self._start()
        try:
            pipe.send_bytes(line)
            if pipe.poll(ANSWER_WITHIN_S):
                found: Json = json.loads(pipe.recv_bytes())
                return found
        except (OSError, EOFError):
            pass  # the child is gone: that is the answer
        self._end()
        return denied(_id_in(line), CRASH, "the parser failed on this statement")

    def _start(self) -> Connection:
        ours, theirs = multiprocessing.Pipe()
        self._child = multiprocessing.get_context().Process(
            target=_serve, args=(theirs, ours, self._wish), daemon=True
        )
        self._child.start()
        theirs.close()
        self._pipe = ours
        return ours

    def _end(self) -> None:
        if self._pipe is not None:
            self._pipe.close()
        if self._child is not None:
            self._child.kill()
            self._child.join()
        self._pipe = self._child = None


def _serve(pipe: Connection, other_end: Connection, wish: _Wish) -> None:
    """The child: judge lines until the other end is closed."""
    other_end.close()
    policy = Policy(load(wish.policy_text, source=wish.source))
    judge = wish.where.judge(policy, wish.role, load_resolver(wish.catalog))
    try:
        while True:
            pipe.send_bytes(json.dumps(answer(judge, pipe.recv_bytes())).encode())
    except (EOFError, OSError, KeyboardInterrupt):
        return


def lines_of(stream: BinaryIO) -> Iterator[bytes]:
    """The lines of a stream; of one that is too long, its beginning and too much."""
    while line := stream.readline(MAX_LINE_BYTES + 2):
        rest = line
        while len(rest) > MAX_LINE_BYTES and not rest.endswith(b"\n"):
            rest = stream.readline(MAX_LINE_BYTES + 2)
        yield line.removesuffix(b"\n")
