"""A transcript shown to recognisers, one for each connection, as the wire would.

The summary is what the tests compare: one line for each statement that is more than a
read, and what it tells. Next: `tests.unit.migrations.test_transcripts`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from proxy.migrations.profile_load import shipped_profiles
from proxy.migrations.recogniser import Bound, Event, Part, Reading, Recogniser, Tools
from proxy.sql.analyse import analyse
from tests.transcripts import page

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.corpus.tap import Ran
    from tests.transcripts.page import Transcript


def readings(
    recogniser: Recogniser, conversation: tuple[Ran, ...]
) -> Iterator[tuple[Ran, Reading]]:
    """Each statement that was run with its reading; what failed is taken back."""
    for ran in conversation:
        text = ran.text.encode()
        binds = [Bound(value, is_binary=bool(kind)) for kind, value in ran.binds]
        before = recogniser.mark()
        found = recogniser.see(
            text, analyse(text).statements, binds, has_failed=ran.status == "E"
        )
        if ran.sqlstate:
            recogniser.undo(before)
        for reading in found:
            yield ran, reading


def summary(transcript: Transcript, tools: Tools) -> list[str]:
    """What the recognisers say of a transcript, one line a connection and event."""
    lines: list[str] = []
    for conversation in transcript.conversations:
        recogniser = Recogniser(tools)
        said: list[str] = []
        for ran, reading in readings(recogniser, conversation):
            failed = " (failed)" if ran.sqlstate else ""
            if reading.part in {Part.BODY, Part.OUT_OF_PLACE}:
                # What runs is named by its first words; the texts are in the file.
                words = " ".join(ran.text.split()[:3])
                said.append(f"{reading.part} {reading.migration}: {words}{failed}")
            said += [told(event) for event in reading.events]
        tool = recogniser.tool or " or ".join(recogniser.candidates) or "nobody"
        lines += [f"connection of {tool}", *said]
    return lines


def told(event: Event) -> str:
    """An event in one line."""
    parts = [f"{event.happening} by {event.tool}"]
    if event.name:
        parts.append(event.name)
    if event.checksum:
        parts.append(f"with checksum {event.checksum[:12]}")
    if event.command:
        parts.append(f"`{event.command}`")
    return " ".join(parts)


GOLDEN = Path(__file__).with_name("readings.txt")


def golden(tools: Tools) -> str:
    """What `readings.txt` should hold."""
    lines = [
        "What the recogniser makes of each transcript; written by",
        "`python -m tests.transcripts.replay`, reviewed as a diff.",
    ]
    for transcript in page.read_all():
        lines += ["", f"## {transcript.name}", *summary(transcript, tools)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    GOLDEN.write_text(golden(Tools(shipped_profiles())), "utf-8")
