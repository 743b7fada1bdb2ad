"""No way to change a setting that matters, in any form: decided offline.

The same forms are tried on real servers in `tests/oracle/test_settings_matrix.py`.
"""

from __future__ import annotations

import pytest

from proxy.cli.offline import OfflineSession
from proxy.policy.documents import load
from proxy.policy.evaluate import Policy
from proxy.session.judge import Judge
from proxy.shipped import policy_path
from proxy.wire.startup import parse_options
from tests.corpus.setting_forms import SETTINGS, Change, Setting, matrix, narrowed

PRODUCTION = policy_path("production").read_text("utf-8")
NARROW = Policy(load(narrowed(PRODUCTION), source="narrow"))
SHIPPED = Policy(load(PRODUCTION, source="production"))


def is_allowed(policy: Policy, change: Change) -> bool:
    if change.start:
        return all(
            policy.decide_setting("developer", name, value).allowed
            for name, value in parse_options(change.start["options"])
        )
    session = OfflineSession(Judge(policy, "developer", database="shop"))
    allowed = [session.send(text.encode())[0].allowed for text in change.texts]
    return all(allowed)


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda each: each.name)
def test_every_form_is_refused(setting: Setting) -> None:
    assert [str(one) for one in matrix(setting) if is_allowed(NARROW, one)] == []


def test_the_shipped_policy_leaves_search_path_free() -> None:
    setting = next(each for each in SETTINGS if each.name == "search_path")
    allowed = [str(one) for one in matrix(setting) if is_allowed(SHIPPED, one)]
    assert "search_path: SET =" in allowed
    assert "search_path: set_config: computed name" not in allowed


@pytest.mark.parametrize(
    "text",
    [
        "SET search_path = public",
        'SET search_path TO warehouse, "$user"',
        "SET search_path = 'public', PUBLIC, \"public\"",
        "SET search_path = ''",
        "SELECT set_config('search_path', '', false)",
        "SELECT set_config('search_path', ' Public ,\"warehouse\",$USER ', true)",
        "RESET search_path",
        "SET search_path TO DEFAULT",
        "SET SCHEMA 'warehouse'",
        "SET SCHEMA ''",
        "DISCARD ALL",
    ],
)
def test_what_a_narrow_search_path_leaves(text: str) -> None:
    session = OfflineSession(Judge(NARROW, "developer", database="shop"))
    assert session.send(text.encode())[0].allowed


@pytest.mark.parametrize(
    "text",
    [
        "SET search_path = evil",
        "SET search_path = public, evil",
        'SET search_path = "public, warehouse"',
        'SET search_path = "PUBLIC"',
        "SET search_path = 'Public'",
        "SET search_path = pg_temp, public",
        "SET search_path FROM CURRENT",
        "SELECT set_config('search_path', '\"Public\"', false)",
        "SELECT set_config('search_path', 'public,', false)",
        "SELECT set_config('search_path', 'public \"evil\"', false)",
        "SELECT set_config('search_path', 'public evil', false)",
        "SELECT set_config('search_path', 'public;evil', false)",
        "SELECT set_config('search_path', $1, false)",
    ],
)
def test_what_a_narrow_search_path_refuses(text: str) -> None:
    session = OfflineSession(Judge(NARROW, "developer", database="shop"))
    assert not session.send(text.encode())[0].allowed
