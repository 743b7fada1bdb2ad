"""`pgwarden` whose doctor lives some days from now: `later.py DAYS_FILE COMMAND ...`.

The file says how many, and may be changed while it runs. Only the clock is another:
the doctor's, which looks at days, and no time-out. Next: `test_waiver_ends.py`.
"""

from __future__ import annotations

import sys
from datetime import datetime, timedelta, tzinfo
from pathlib import Path

from typing_extensions import override

from proxy.cli.main import main
from proxy.doctor import gate, watch

DAYS = Path(sys.argv.pop(1))


class Later(datetime):
    """The time that it is where DAYS says."""

    @classmethod
    @override
    def now(cls, tz: tzinfo | None = None) -> datetime:
        return datetime.now(tz) + timedelta(days=int(DAYS.read_text() or 0))


for module in (gate, watch):
    assert module.datetime is datetime  # type: ignore[attr-defined]
    module.datetime = Later  # type: ignore[attr-defined]

main()
