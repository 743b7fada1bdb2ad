"""The compiled form: what mypyc would change without a word, and stale compilations."""

from __future__ import annotations

import ast
import json
from hashlib import sha256
from pathlib import Path

import pytest

import hatch_build
from proxy.compiled import check_compiled
from proxy.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]
VALUES_ARE_THE_CLASS = {"IntEnum", "StrEnum", "NamedTuple", "Protocol"}


@pytest.mark.parametrize("name", hatch_build.modules())
def test_no_class_that_mypyc_would_change(name: str) -> None:
    """Class keywords are dropped, and a class attribute is not one of a subclass."""
    for node in ast.walk(ast.parse((ROOT / name).read_text("utf-8"))):
        if not isinstance(node, ast.ClassDef):
            continue
        assert not node.keywords, node.name
        assert not node.decorator_list, node.name
        if VALUES_ARE_THE_CLASS & {ast.unparse(base) for base in node.bases}:
            continue
        for child in node.body:
            if isinstance(child, ast.Assign):
                assert ast.unparse(child.targets[0]) == "__slots__", node.name
            assert not isinstance(child, ast.AnnAssign), node.name


def test_every_compiled_module_is_there_once() -> None:
    names = hatch_build.modules()
    assert sorted(set(names)) == sorted(names)
    assert all((ROOT / name).is_file() for name in names)


def noted(folder: Path, source: bytes) -> Path:
    (folder / "a.py").write_bytes(b"x = 1\n")
    note = folder / "compiled.json"
    note.write_text(json.dumps({"a.py": sha256(source).hexdigest()}))
    return note


def test_what_stands_as_it_was_compiled_may_run(tmp_path: Path) -> None:
    check_compiled(noted(tmp_path, b"x = 1\n"), tmp_path)


def test_a_changed_source_is_named_with_the_next_step(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r'"a\.py" has changed') as raised:
        check_compiled(noted(tmp_path, b"x = 2\n"), tmp_path)
    assert "make setup" in raised.value.hint


def test_without_a_note_there_is_nothing_to_check(tmp_path: Path) -> None:
    check_compiled(tmp_path / "compiled.json", tmp_path)


def test_the_note_changes_with_every_compiled_source() -> None:
    note = json.loads(hatch_build.note())
    assert set(note) > set(hatch_build.modules())
