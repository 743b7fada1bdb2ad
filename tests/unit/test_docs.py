"""The documentation: links lead somewhere, commands exist, made pages are current."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import pytest
import typer.main

from docs import policy_words, profile_words
from docs.generate import FOLDER, pages
from proxy.auth.identities import load_identities
from proxy.cli.lines import BAD_LINE, CRASH
from proxy.cli.main import app
from proxy.migrations.profile import Means
from proxy.policy import invariants, refusals
from proxy.policy.evaluate import EMPTY
from proxy.policy.yaml import load_yaml
from proxy.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path
    for path in ROOT.rglob("*.md")
    if not {".venv", ".cache", "node_modules", ".git", ".pytest_cache"}.intersection(
        path.relative_to(ROOT).parts
    )
)
LINK = re.compile(r"\]\(([^)\s]+)\)")
FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```", re.DOTALL | re.MULTILINE)
CODE = re.compile(r"`[^`\n]+`")
MACHINE_PATH = re.compile(r"(?<![\w.])/(?:home|root|tmp|work|Users|mnt|private)/")
VERSION = re.compile(r"\([0-9a-f]{12}\)|version [0-9a-f]{12}\b")
RULE = re.compile(r'rule="([a-z.-]+)"')


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def prose(text: str) -> str:
    """Without code, whose brackets are no links."""
    return CODE.sub("", FENCE.sub("", text))


def anchors(path: Path) -> set[str]:
    """GitHub's anchors of the headings."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", path.read_text()), re.MULTILINE)
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in headings
    }


def test_there_are_pages() -> None:
    assert len(PAGES) > 20


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(prose(page.read_text())):
        if target.startswith("https://"):
            continue
        place, _, anchor = target.partition("#")
        path = (page.parent / place).resolve() if place else page
        assert path.exists(), f"{target}: no such file"
        assert path.is_relative_to(ROOT), f"{target}: outside the repository"
        if anchor:
            assert anchor in anchors(path), f"{target}: no such heading"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_no_path_of_some_machine(page: Path) -> None:
    assert not MACHINE_PATH.findall(page.read_text())


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_no_version_that_the_next_edit_changes(page: Path) -> None:
    """A page shows `…` for the version of a policy or a catalog."""
    if "reference" not in page.parts:
        assert not VERSION.findall(page.read_text())


def test_every_page_can_be_reached_from_the_index() -> None:
    seen: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in seen or page.suffix != ".md":
            continue
        seen.add(page)
        for target in LINK.findall(prose(page.read_text())):
            if not target.startswith("https://"):
                waiting += [(page.parent / target.partition("#")[0]).resolve()]
    assert [name_of(page) for page in PAGES if page not in seen] == []


# --- commands -----------------------------------------------------------------


def shown_commands() -> Iterator[tuple[str, str]]:
    """Each `pgwarden ...` of a code block: page, command line."""
    for page in PAGES:
        for _, language, body in FENCE.findall(page.read_text()):
            if language not in {"console", "sh", "yaml"}:
                continue
            for line in body.replace("\\\n", " ").splitlines():
                for found in re.finditer(r"(?:^|[\s/(])pgwarden (?=[a-z])", line):
                    command = line[found.end() :]
                    if is_command_line(line[: found.start()], language):
                        yield name_of(page), command


def is_command_line(before: str, language: str) -> bool:
    if language == "console":
        return before.lstrip().startswith(("$", "#"))
    return "#" not in before


def words_of(command: str) -> list[str]:
    """The words up to the end of this command in its shell line."""
    lexer = shlex.shlex(command, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words: list[str] = []
    try:
        for word in lexer:
            if set(word) <= set("|;&<>()"):
                break
            words.append(word)
    except ValueError:  # a quote that ends on another line
        pass
    return words


COMMANDS = sorted(set(shown_commands()))


def test_commands_are_found() -> None:
    assert len(COMMANDS) > 25
    assert any(page == "README.md" for page, _ in COMMANDS)


@pytest.mark.parametrize(("page", "command"), COMMANDS)
def test_a_shown_command_exists(page: str, command: str) -> None:
    group: Any = typer.main.get_command(app)
    words = words_of(command)
    while hasattr(group, "commands"):
        word = words.pop(0)
        group = group.get_command(None, word)
        assert group is not None, f"{page}: no command {word!r}"
    options = {name for each in group.params for name in each.opts} | {"--help"}
    for word in words:
        if word.startswith("-") and word != "-":
            assert word.partition("=")[0] in options, f"{page}: no option {word!r}"


def test_shown_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    for page in PAGES:
        text = page.read_text()
        shown = re.findall(r"^(?:\$ | {4})make ([a-z][a-z -]*)", text, re.MULTILINE)
        shown += re.findall(r"`make ([a-z][a-z -]*)`", text)
        for words in shown:
            assert set(words.split()) <= targets, f"{name_of(page)}: make {words}"


# --- the reference ------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(pages()))
def test_a_generated_page_is_up_to_date(name: str) -> None:
    assert (FOLDER / name).read_text() == pages()[name], "run: make docs"


def test_every_setting_says_what_it_is_for() -> None:
    for line in pages()["settings.md"].splitlines():
        if line.startswith("| `"):
            assert not line.endswith("|  |"), line


@pytest.mark.parametrize("model", policy_words.MODELS, ids=lambda model: model.__name__)
def test_every_key_of_a_policy_is_explained(model: Any) -> None:
    assert set(policy_words.KEYS[model]) == set(model.model_fields)


@pytest.mark.parametrize(
    "model", profile_words.MODELS, ids=lambda model: model.__name__
)
def test_every_key_of_a_tool_profile_is_explained(model: Any) -> None:
    assert set(profile_words.KEYS[model]) == set(model.model_fields)


def test_every_word_of_a_tool_profile_is_explained() -> None:
    assert set(profile_words.MEANS) == set(get_args(Means))


def test_every_rule_of_pgwardens_own_is_explained() -> None:
    rules = {
        rule
        for path in (ROOT / "proxy").rglob("*.py")
        for rule in RULE.findall(path.read_text())
    }
    # Constants there are rule ids, in lower case, and SQLSTATEs.
    rules |= {
        text
        for name, text in vars(refusals).items()
        if name.isupper() and isinstance(text, str) and text.islower()
    }
    rules |= {EMPTY, invariants.RULE, BAD_LINE, CRASH}
    assert {"default-deny", "quarantine", "audit.unavailable"} <= rules
    page = (FOLDER / "refusals.md").read_text()
    assert sorted(rule for rule in rules if f"`{rule}`" not in page) == []


# --- files to deploy ----------------------------------------------------------


def test_the_example_settings_load() -> None:
    settings = load_settings(ROOT / "deploy" / "pgwarden.yaml", {})
    assert set(settings.upstream.logins) == {"reader", "migrator"}
    assert settings.upstream.tls.mode == "verify-full"


def test_the_example_identities_load() -> None:
    path = ROOT / "deploy" / "identities.yaml"
    document = load_yaml(path.read_text(), source=str(path)).value
    assert isinstance(document, dict)
    identities = load_identities(document, source=str(path))
    assert identities.names() == ["ana", "contractor", "deploy", "reports"]
