"""The one page a person sees on the admin port: is all well, and what is going on?

Plain HTML without scripts or outside requests; every value is escaped. Next:
`proxy.console.app`, which serves it.
"""

from __future__ import annotations

import base64
import hashlib
from html import escape
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from proxy.metrics import Snapshot

STYLE: Final = """
:root{color-scheme:light dark;--line:#8884;--soft:#666;--good:#1a7f37;--bad:#c62828}
@media (prefers-color-scheme:dark){:root{--soft:#999;--good:#4ac26b;--bad:#ff7b72}}
body{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;
padding:0 1rem}
h1{font-size:1.4rem;margin:0}h2{font-size:1.05rem;margin:2rem 0 .3rem}
p{margin:.3rem 0}ul{margin:.3rem 0;padding-left:1.2rem}
.soft,thead th{color:var(--soft);font-size:.9rem}
.good{color:var(--good)}.bad{color:var(--bad)}.state,.bad{font-weight:600}
.state{border-left:.3rem solid;padding:.4rem .8rem;margin:.8rem 0}
footer{margin-top:2rem}nav{display:flex;flex-wrap:wrap;gap:.2rem 1.2rem}
table{border-collapse:collapse;width:100%;overflow-wrap:anywhere}
td,th{padding:.35rem .6rem .35rem 0;border-bottom:1px solid var(--line);
text-align:left;font-weight:400;vertical-align:top}
th:last-child,td:last-child{text-align:right;padding-right:0;
font-variant-numeric:tabular-nums}
td.none{text-align:left;color:var(--soft)}
""".replace("\n", "")

STYLE_HASH: Final = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
"""For the Content-Security-Policy: this style and nothing else."""

_PAGE: Final = """\
<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="10">
<style>{style}</style></head><body>
<h1>pgwarden</h1>
{state}
{tables}
<footer class="soft">
<p>This page renews itself every ten seconds. Who ran what, and why it was refused, is
in the audit log: <code>pgwarden audit tail</code>.</p>
<nav>For machines: <a href="metrics">metrics</a> <a href="healthz">health</a>
<a href="readyz">readiness</a></nav>
</footer></body></html>
"""


def overview(snapshot: Snapshot, problems: Sequence[str]) -> str:
    """The page for a moment's numbers and the problems that stand."""
    return _PAGE.format(
        title="pgwarden: not ready" if problems else "pgwarden: ready",
        style=STYLE,
        state=_state(problems),
        tables="".join(_tables(snapshot)),
    )


def _state(problems: Sequence[str]) -> str:
    if not problems:
        return '<p class="state good">Ready: statements are guarded and recorded.</p>'
    items = "".join(f"<li>{escape(each)}</li>" for each in problems)
    return f'<div class="state bad">Not ready<ul>{items}</ul></div>'


def _tables(snapshot: Snapshot) -> Sequence[str]:
    def number(name: str) -> str:
        return _shown(sum(value for _, value in snapshot.values.get(name, ())))

    def labelled(name: str) -> str:
        return ", ".join(labels[0] for labels, _ in snapshot.values.get(name, ()))

    audit = "unavailable" if number("pgwarden_audit_unavailable") != "0" else "written"
    now = [
        ("sessions open", number("pgwarden_sessions_open")),
        ("upstream connections", number("pgwarden_upstream_connections_open")),
        ("audit log", audit),
        ("audit records", number("pgwarden_audit_records_total")),
        ("audit write errors", number("pgwarden_audit_write_errors_total")),
        ("policy in force", labelled("pgwarden_policy_info") or "none"),
        ("version", labelled("pgwarden_build_info")),
        ("up for", _span(snapshot)),
    ]
    return [
        _table("Now", (), now),
        _series(snapshot, "pgwarden_statements_total", "Statements since the start"),
        _series(snapshot, "pgwarden_refusals_total", "Refusals by rule"),
        _series(snapshot, "pgwarden_logins_total", "Logins"),
    ]


_HEADS: Final = {
    "pgwarden_statements_total": ("role", "kind", "decision", "count"),
    "pgwarden_refusals_total": ("role", "rule", "count"),
    "pgwarden_logins_total": ("result", "count"),
}
_BAD: Final = {"deny", "denied", "unavailable"}
"""Cells that a glance should find."""


def _series(snapshot: Snapshot, name: str, title: str) -> str:
    series = sorted(snapshot.values.get(name, ()), key=lambda each: -each[1])
    rows = [[*labels, _shown(value)] for labels, value in series[:50]]
    return _table(title, _HEADS[name], rows)


def _table(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col">{escape(each)}</th>' for each in heads)
    head = f"<thead><tr>{head}</tr></thead>" if heads else ""
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    body = body or f'<tr><td class="none" colspan="{len(heads)}">none yet</td></tr>'
    return f"<h2>{escape(title)}</h2><table>{head}<tbody>{body}</tbody></table>\n"


def _cell(text: str) -> str:
    kind = ' class="bad"' if text in _BAD else ""
    return f"<td{kind}>{escape(text)}</td>"


def _shown(value: float) -> str:
    return f"{value:,.0f}"


def _span(snapshot: Snapshot) -> str:
    values = [value for _, value in snapshot.values.get("pgwarden_uptime_seconds", ())]
    minutes = int(max(values, default=0.0)) // 60
    parts = ((minutes // 1440, "d"), (minutes // 60 % 24, "h"), (minutes % 60, "min"))
    shown = " ".join(f"{number} {unit}" for number, unit in parts if number)
    return shown or "less than a minute"
