"""Names and texts as SQL, whatever they hold: no name may end its own quotes.

Pure. Next: `proxy.doctor.mending`, which writes statements with them.
"""

from __future__ import annotations


def quote_name(name: str) -> str:
    """An SQL identifier. (A NUL can't be in one: Postgres has none in any name.)"""
    return '"' + name.replace('"', '""') + '"'


def quote_text(text: str) -> str:
    """An SQL string, whatever standard_conforming_strings says (quote_literal_cstr)."""
    doubled = text.replace("'", "''")
    return (
        " E'" + doubled.replace("\\", "\\\\") + "'" if "\\" in text else f"'{doubled}'"
    )


def qualified(*parts: str) -> str:
    """A name with its schema: each part quoted."""
    return ".".join(quote_name(part) for part in parts)


def one_line(text: str) -> str:
    """A name for a comment or a message: it can neither end the line nor hide."""
    return "".join(
        each
        if each.isprintable()
        else each.encode("unicode_escape", "surrogatepass").decode("ascii")
        for each in text
    )


def quote_psql(text: str) -> str:
    r"""A value of psql's \set: in single quotes, with C's escapes (psqlscanslash.l)."""
    escaped = text.replace("\\", "\\\\").replace("'", "''").replace("\n", "\\n")
    return f"'{escaped}'"
