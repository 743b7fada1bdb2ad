"""What a client reads when the upstream refuses the login."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from proxy.session.upstream_refusal import explain


@pytest.mark.parametrize(
    ("sqlstate", "told", "message"),
    [
        ("28P01", "08004", "pgwarden's own login"),
        ("28000", "08004", "pgwarden's own login"),
        ("3D000", "3D000", 'database "shop" does not exist'),
        ("42501", "42501", 'permission denied for database "shop"'),
        ("53300", "53300", "too many clients"),
        ("55000", "55000", "not currently accepting"),
        ("57P03", "57P03", "not accepting connections now"),
        ("57P01", "57P03", "not accepting connections now"),
        ("XX000", "08006", "refused the connection"),
        ("", "08006", "refused the connection"),
    ],
)
@pytest.mark.parametrize("is_proven", [True, False])
def test_sqlstates_are_told_in_our_words(
    sqlstate: str, told: str, message: str, is_proven: bool
) -> None:
    fields = {"C": sqlstate, "M": "host 10.0.0.7 says no"}
    report, note = explain(fields, database="shop", is_proven=is_proven)
    assert (report.sqlstate, report.severity) == (told, "FATAL")
    assert message in report.message
    assert "10.0.0.7" not in report.message + report.detail + report.hint
    assert "10.0.0.7" in note


SETTING = {"C": "22023", "M": 'invalid value for parameter "TimeZone": "Mars"'}


def test_a_clients_own_bad_setting_is_told_as_the_server_said_it() -> None:
    report, _ = explain(SETTING, database="shop", is_proven=True)
    assert (report.sqlstate, report.message) == (SETTING["C"], SETTING["M"])


def test_an_unproven_servers_text_is_never_told() -> None:
    """Libpq showed it to the user: CVE-2024-10977."""
    report, note = explain(SETTING, database="shop", is_proven=False)
    assert "Mars" not in report.message
    assert "Mars" in note


def test_a_database_name_is_not_a_format() -> None:
    report, _ = explain({"C": "3D000"}, database="{0}{database}", is_proven=True)
    assert report.message == 'database "{0}{database}" does not exist'


@given(
    st.dictionaries(st.sampled_from("CMDHSV"), st.text(max_size=2000)), st.booleans()
)
def test_any_fields_give_a_short_clean_note(
    fields: dict[str, str], is_proven: bool
) -> None:
    report, note = explain(fields, database="shop", is_proven=is_proven)
    assert report.message
    assert note.isprintable()
    assert len(note) < 1200
