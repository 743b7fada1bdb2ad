"""libpq's password file, against libpq itself: it reads the file before it connects."""

from __future__ import annotations

import tempfile

import psycopg
import pytest
from hypothesis import given, settings, strategies as st

from proxy.auth.pgpass import find_password

WANTED = ("127.0.0.1", "1", "shop", "reader")


def of_libpq(text: str, wanted: tuple[str, str, str, str] = WANTED) -> str | None:
    """What libpq would send; port 1 is nobody's, so nothing is sent."""
    with tempfile.NamedTemporaryFile("wb", suffix=".pgpass") as file:
        file.write(text.encode())
        file.flush()
        names = ("host", "port", "dbname", "user")
        asked = dict(zip(names, wanted, strict=True)) | {"passfile": file.name}
        text = psycopg.conninfo.make_conninfo("", **asked)
        connection = psycopg.pq.PGconn.connect_start(text.encode())
        found = connection.password
        connection.finish()
    return found.decode() if found else None


@pytest.mark.parametrize(
    "text",
    [
        "127.0.0.1:1:shop:reader:secret\n",
        "127.0.0.1:1:shop:reader:secret",
        "*:*:*:*:secret\r\n",
        "#127.0.0.1:1:shop:reader:no\n*:1:shop:reader:yes\n",
        " 127.0.0.1:1:shop:reader:secret\n",
        "127.0.0.1:1:shop:reader:a\\:b\\\\c\\d\n",
        "127.0.0.1:1:shop:reader:a:b\n",
        "127.0.0.1:1:shop:reader:trailing\\\n",
        "127.0.0.1:1:shop:reader: spaces kept \n",
        "127.0.0.1:1:sh\\op:rea\\der:secret\n",
        "**:1:shop:reader:secret\n",
        "\\*:1:shop:reader:secret\n",
        "127.0.0.1:1:shop:reader\n",
        "127.0.0.1:1:shop:reader:\n*:*:*:*:second\n",
        "127.0.0.1:1:shop:reade:no\n127.0.0.1:1:shop:readers:no\n*:*:*:*:yes\n",
        "\n\n*:*:*:*:pä\n",
        "",
    ],
)
def test_it_reads_as_libpq(text: str) -> None:
    assert (find_password(text, WANTED) or None) == of_libpq(text)


FIELD = st.text(st.sampled_from("*a:\\#"), max_size=3)
LINE = st.lists(FIELD | st.sampled_from(WANTED), min_size=3, max_size=6).map(":".join)


@settings(max_examples=150, deadline=None)
@given(st.lists(LINE, max_size=3), st.sampled_from(["\n", "\r\n"]))
def test_whatever_stands_in_it(lines: list[str], end: str) -> None:
    text = end.join(lines)
    assert (find_password(text, WANTED) or None) == of_libpq(text)


def test_a_name_with_colons_is_escaped() -> None:
    wanted = ("::1", "5432", "a:b", "re\\ader")
    text = "\\:\\:1:5432:a\\:b:re\\\\ader:secret\n"
    assert find_password(text, wanted) == "secret"


def test_no_line_fits() -> None:
    assert find_password("no line fits:1:2:3:4", WANTED) is None
