"""Majors of PostgreSQL: which grammar a server has, and which one a text needs.

pgwarden reads every text with the grammar of one major. A server of an older one has
fewer words: what is grammar here (`JSON_QUERY(...)`) is the call of a function there,
perhaps a user's, and no tree shows it. So facts say which major a text needs
(`Facts.since`), and the judge, who knows the server, refuses what it has not. A server
that is newer than the grammar could read any text otherwise, and gets no session.
Imports nothing of pgwarden. Next: `proxy.sql.parts`, `proxy.session.judge`.
"""

from __future__ import annotations

import re
from typing import Final

OLDEST: Final = 15
"""The oldest supported major: what an unknown server is taken for."""
NEWEST: Final = 18
"""The major of the grammar, `proxy.sql.parse.GRAMMAR_VERSION`."""
NEWER_THAN: Final = f"the grammar of {NEWEST} that pgwarden reads statements with"

_LEADING: Final = re.compile(r"\d{1,3}(?!\d)")


def major_of(server_version: str) -> int:
    """The major in a server's own words: "17.10 (Debian ...)", "19beta1"; 0 if none."""
    found = _LEADING.match(server_version)
    return int(found[0]) if found else 0
