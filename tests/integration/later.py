"""`pgwarden` whose doctor lives some days from now: `later.py DAYS_FILE COMMAND ...`.

The file says how many, and may be changed while it runs. Only the clock is another:
the doctor's, which looks at days, and no time-out. Next: `test_waiver_ends.py`.
"""

from __future__ import annotations

import sys
import time
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Self

from typing_extensions import override

from proxy.cli.main import main
from proxy.doctor import gate, watch

DAYS = Path(sys.argv.pop(1))
DAY_S = 86_400


class Later(datetime):
    """The time that it is where DAYS says."""

    @classmethod
    @override
    def now(cls, tz: tzinfo | None = None) -> Self:
        ahead_s = DAY_S * int(DAYS.read_text() or 0)
        return cls.fromtimestamp(time.time() + ahead_s, tz)


for module in (gate, watch):
    assert vars(module)["datetime"] is datetime
    vars(module)["datetime"] = Later

main()
