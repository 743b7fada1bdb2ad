"""What the tests of replays share: policies, and one replay of a made log."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from proxy.policy.documents import load
from proxy.policy.evaluate import Policy
from proxy.replay.follow import Wanted
from proxy.replay.records import log_files
from proxy.replay.replay import Replay, replay

if TYPE_CHECKING:
    from pathlib import Path

    from proxy.replay.tally import Group, Tally

HEAD = """
version: 1
name: made
roles:
  developer:
    login: permit
    upstream: u
    rules:
"""
READS = """
      - id: reads
        permit:
          kinds: [read, execute, session, cursor, transaction]
          actions: [select, prepare, execute, deallocate, declare cursor, fetch, close,
                    begin, commit, set, discard all]
          functions: [{effects: none}]
          relations: [{access: read}]
          settings: [jit, timezone]
          resets: ["*"]
        in_quarantine: true
"""
WRITES = """
      - id: writes
        permit:
          kinds: [insert, delete]
          actions: [insert, delete]
          flags: [unfiltered, destructive, hidden_write]
          relations: [{access: [insert, delete]}]
"""
NO_DROPS = """
      - id: drops
        forbid: {kinds: [ddl, privilege]}
        reason: no
        quarantine: true
"""
NO_HR = """
      - id: hr
        forbid: {relations: [{access: "*", names: [pay]}]}
        reason: private
"""
READING = HEAD + READS + NO_DROPS
WRITING = HEAD + READS + WRITES + NO_DROPS
STRICTER = HEAD + READS + NO_DROPS + NO_HR
MILDER = HEAD + READS + WRITES


@cache
def policy(text: str) -> Policy:
    return Policy(load(text, source="made"))


def replayed(folder: Path, text: str, wanted: Wanted | None = None) -> Tally:
    wish = Replay(tuple(log_files(folder)), text, "made", wanted or Wanted())
    return replay(wish, 1, lambda _: None)


def changes(tally: Tally) -> dict[str, tuple[str, str, int]]:
    """What each shape changes from and to, and how often."""
    return {
        group.shape: (group.rule_before, group.rule_after or group.reason, group.count)
        for group in tally.groups
    }


def only(tally: Tally) -> Group:
    (group,) = tally.groups
    return group
