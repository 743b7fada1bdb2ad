"""What the strict YAML reader takes and refuses."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, strategies as st

from proxy.policy.problems import PolicyError
from proxy.policy.yaml import MAX_BYTES, MAX_DEPTH, flow_yaml, load_yaml


def problems(text: str) -> list[tuple[int, str]]:
    with pytest.raises(PolicyError) as caught:
        load_yaml(text, source="p.yaml")
    return [(each.line, each.message) for each in caught.value.problems]


def test_words_stay_words_and_lines_are_kept() -> None:
    loaded = load_yaml(
        "a: on\nb:\n  - off\n  - 'true'\n  - true\n  - 12\nc: ~\nd: 1_0\ne: 1.5\n",
        source="p.yaml",
    )
    assert loaded.value == {
        "a": "on",
        "b": ["off", "true", True, 12],
        "c": None,
        "d": "1_0",
        "e": "1.5",
    }
    assert loaded.line(("b", 2)) == 5
    assert loaded.line(("b", 2, "not", "there")) == 5
    assert loaded.line(("a",)) == 1
    assert loaded.line(()) == 1


def test_a_missing_value_is_null() -> None:
    assert load_yaml("a:\n", source="p").value == {"a": None}


def test_duplicate_keys_name_both_lines() -> None:
    assert problems("a: 1\nb: 2\na: 3\n") == [
        (3, 'key "a" is given twice (first on line 1)')
    ]


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("a: &x 1\n", 1, 'anchor "&x"'),
        ("a: 1\nb: *x\n", 2, 'alias "*x"'),
        ("a: 1\n<<: {b: 2}\n", 2, "merge key"),
        ("a: !!python/object:os.system x\n", 1, "tag "),
        ("a: !!str 1\n", 1, "tag "),
        ("a: ! 1\n", 1, "tag "),
        ("a: 1\n---\nb: 1\n", 2, "one document"),
        ("? [a]\n: 1\n", 1, "a key must be a plain word"),
        ("a: b: c\n", 1, "not YAML"),
        ("", 1, "empty"),
        ("# only a comment\n", 1, "empty"),
        ("a: '\x01'\n", 0, "not YAML"),
        ("[" * (MAX_DEPTH + 1), 1, "nested deeper"),
        ("[" * 100_000, 1, "nested deeper"),
        ("a: [1\n", 2, "not YAML"),
        ("a: '" + "x" * MAX_BYTES, 0, "larger than"),
    ],
)
def test_refused(text: str, line: int, said: str) -> None:
    assert any(at == line and said in message for at, message in problems(text)), (
        problems(text)
    )


def test_all_problems_come_at_once_in_order() -> None:
    assert [line for line, _ in problems("a: &x 1\nb: *x\nc: &y 2\n")] == [1, 2, 3]
    with pytest.raises(PolicyError, match=r"^p\.yaml:1: anchor"):
        load_yaml("a: &x 1\n", source="p.yaml")


@given(st.text(alphabet=st.characters(), max_size=200))
def test_any_text_loads_or_is_refused(text: str) -> None:
    with contextlib.suppress(PolicyError):
        assert load_yaml(text, source="p").line(()) >= 1


scalars = (
    st.text()
    | st.from_regex(r"\A(?:[-+~0-9]{0,3}|true|false|null|on|0x1F|1_0|=|<<)\Z")
    | st.integers(-(10**18) + 1, 10**18 - 1)
    | st.booleans()
    | st.none()
)


@given(
    st.dictionaries(
        st.text(min_size=1).filter(lambda key: key != "<<"),
        st.recursive(scalars, lambda each: st.lists(each) | each, max_leaves=5),
    )
)
def test_what_is_written_is_on_one_line_and_reads_back_the_same(
    value: dict[str, object],
) -> None:
    written = flow_yaml(value)
    assert "\n" not in written
    assert load_yaml(written, source="p").value == value


def test_only_what_would_be_misread_is_quoted() -> None:
    value = {"a": ["on", "true", True, "08", 8, "1_0", "a b", "a: b", "", None, "x\ny"]}
    assert flow_yaml(value) == (
        "{a: [on, 'true', true, '08', 8, 1_0, a b, 'a: b', '', null, \"x\\ny\"]}"
    )
