"""Edits of a document: what was asked for, and not a comment more."""

from __future__ import annotations

import difflib

import pytest

from proxy.auth.identities import IdentitiesDocument, IdentityEntry
from proxy.auth.secrets import make_secret
from proxy.cli.document_edit import document_of, edited
from proxy.errors import ConfigError
from proxy.policy.yaml import load_yaml
from proxy.store.identities import entry_values

SECRET = make_secret("x", salt=bytes(16)).encode()
TEXT = f"""\
# Who may log in.
version: 1

identities:
  # the first
  - name: ana   # she
    role: developer # reads
    disabled: false
    secret: "{SECRET}"  # made in May

  # the second, and its comment
  - role: migrator
    name: deploy
    networks:
      - 10.0.0.0/8
      - 192.168.0.0/16   # the office
    secret: >-
      {SECRET}
    # behind it

  - {{name: flow, role: developer, secret: "{SECRET}"}}
# the end
"""


def entries(text: str) -> dict[str, IdentityEntry]:
    value = load_yaml(text, source="test").value
    document = IdentitiesDocument.model_validate(value)
    return {each.name: each for each in document.identities}


def changed(entry: IdentityEntry, **values: object) -> IdentityEntry:
    return IdentityEntry.model_validate({**entry_values(entry), **values})


def edit(text: str, after: dict[str, IdentityEntry]) -> list[str]:
    """The lines that differ; and it reads back as what was meant."""
    made = edited(text, entries(text), after)
    assert entries(made) == after
    diff = difflib.unified_diff(text.splitlines(), made.splitlines(), n=0, lineterm="")
    return [line for line in diff if line[:3] not in {"---", "+++"} and line[0] != "@"]


def test_nothing_changes_nothing() -> None:
    assert edited(TEXT, entries(TEXT), entries(TEXT)) == TEXT


def test_one_key_is_one_line() -> None:
    known = entries(TEXT)
    for name in ("ana", "deploy"):
        after = {**known, name: changed(known[name], role="auditor")}
        lines = edit(TEXT, after)
        assert [line[0] for line in lines] == ["-", "+"]
    assert edit(TEXT, {**known, "ana": changed(known["ana"], role="auditor")}) == [
        "-    role: developer # reads",
        "+    role: auditor # reads",
    ]


def test_a_key_that_is_written_out_is_changed_where_it_stands() -> None:
    known = entries(TEXT)
    after = {**known, "ana": changed(known["ana"], disabled=True)}
    assert edit(TEXT, after) == ["-    disabled: false", "+    disabled: true"]


def test_a_new_key_is_added_before_what_follows() -> None:
    known = entries(TEXT)
    after = {**known, "deploy": changed(known["deploy"], disabled=True)}
    assert edit(TEXT, after) == ["+    disabled: true"]
    lines = edited(TEXT, known, after).splitlines()
    assert lines[lines.index("    disabled: true") + 1] == "    # behind it"


def test_a_list_and_a_block_are_replaced_whole() -> None:
    known = entries(TEXT)
    after = {**known, "deploy": changed(known["deploy"], networks=["::1/128"])}
    assert edit(TEXT, after) == [
        "-    networks:",
        "-      - 10.0.0.0/8",
        "-      - 192.168.0.0/16   # the office",
        "+    networks: ['::1/128']",
    ]


def test_two_secrets_for_one() -> None:
    known = entries(TEXT)
    other = make_secret("y", salt=bytes(16)).encode()
    values = entry_values(known["deploy"])
    del values["secret"]
    new = IdentityEntry.model_validate({**values, "secrets": [other, SECRET]})
    lines = edit(TEXT, {**known, "deploy": new})
    assert len([line for line in lines if line.startswith("+")]) == 1
    assert not [line for line in lines if "#" in line]


@pytest.mark.parametrize("name", ["ana", "deploy", "flow"])
def test_who_is_removed_leaves_the_comments(name: str) -> None:
    known = entries(TEXT)
    left = {key: entry for key, entry in known.items() if key != name}
    gone = edit(TEXT, left)
    assert all(line.startswith("-") for line in gone)
    for comment in ("# Who may", "# the second", "# the end", "# the first"):
        assert comment in edited(TEXT, known, left)


def test_all_at_once() -> None:
    known = entries(TEXT)
    new = changed(known["ana"], name='odd: "name" #1')
    after = {
        "deploy": changed(known["deploy"], disabled=True),
        "flow": changed(known["flow"], networks=["10.0.0.0/8"]),
        new.name: new,
    }
    edit(TEXT, after)


def test_into_an_empty_document_and_out_again() -> None:
    known = entries(TEXT)
    text = document_of(list(known.values()))
    assert entries(text) == known
    edit(text, {})
    empty = "version: 1\nidentities: []   # nobody yet"
    edit(empty, known)


def test_a_list_on_one_line_is_left_to_people() -> None:
    text = f'version: 1\nidentities: [{{name: a, role: r, secret: "{SECRET}"}}]\n'
    with pytest.raises(ConfigError, match="on one line"):
        edited(text, entries(text), {})
