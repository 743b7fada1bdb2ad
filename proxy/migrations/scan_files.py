"""The scripts in a file, by the file's kind: package.json, CI files, Makefiles, shell.

What is not known to hold commands has none: documentation, sources, data.
Next: `proxy.migrations.scan`; `proxy.migrations.scan_formats` for the structured ones.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

from proxy.migrations.scan_formats import Script, in_json, in_toml, in_yaml

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import PurePath

Reader = "Callable[[str], Iterator[Script]]"

_DOCKER: Final = re.compile(
    r"[ \t]*(?:ONBUILD[ \t]+)?(RUN|CMD|ENTRYPOINT|SHELL|HEALTHCHECK|ENV|ARG)\b"
    r"[ \t]*(.*)",
    re.IGNORECASE | re.DOTALL,
)
_DOCKER_FLAGS: Final = re.compile(r"(?:--[\w-]+(?:=\S*)?[ \t]+)+(?:CMD[ \t]+)?")
_MAKE_SET: Final = re.compile(
    r"[ \t]*(?:export[ \t]+|override[ \t]+)*([\w.-]+)[ \t]*"
    r"(?::{1,3}|\?|\+|!)?=[ \t]*(.*)"
)
_MAKE_NAME: Final = re.compile(r"\$[({]([\w.-]+)[)}]")
_JUST_SET: Final = re.compile(
    r"(?:export[ \t]+)?([\w-]+)[ \t]*:=[ \t]*(['\"])(.*)\2[ \t]*"
)
_JUST_NAME: Final = re.compile(r"\{\{[ \t]*([\w-]+)[ \t]*\}\}")
_PROCFILE: Final = re.compile(r"[\w-]+:[ \t]*(.*)")
_SHEBANG: Final = re.compile(r"#!\s*\S*/(?:env\s+(?:-S\s+)?)?(?:ba|z|da|k|a)?sh\b")
_SLASHES: Final = re.compile(r"^[ \t]*(?://|\*).*$", re.MULTILINE)


def scripts_in(path: PurePath, text: str) -> Iterator[Script]:
    """The scripts in a file; none where its kind holds none."""
    text = text.replace("\r\n", "\n")
    for patterns, read in _KINDS:
        if any(fnmatchcase(path.name, pattern) for pattern in patterns.split()):
            yield from read(text)
            return
    if ".husky" in path.parts or _SHEBANG.match(text):
        yield Script(text, 1)


def may_hold_scripts(path: PurePath) -> bool:
    """Whether the name says so; one without any suffix may begin with `#!`."""
    return (
        not path.suffix
        or ".husky" in path.parts
        or any(
            fnmatchcase(path.name, pattern)
            for patterns, _ in _KINDS
            for pattern in patterns.split()
        )
    )


def _shell(text: str) -> Iterator[Script]:
    yield Script(text, 1)


def _powershell(text: str) -> Iterator[Script]:
    yield Script(text.replace("`\n", "\\\n"), 1)


def _batch(text: str) -> Iterator[Script]:
    lines = [
        "" if re.match(r"\s*(?:rem\b|::)", line, re.IGNORECASE) else line
        for line in text.replace("^\n", "\\\n").splitlines()
    ]
    yield Script("\n".join(lines), 1)


def _groovy(text: str) -> Iterator[Script]:
    """Jenkinsfile and Rakefile: `sh '...'`, whose quotes are much like the shell's."""
    yield Script(_SLASHES.sub("", text), 1)


def _docker(text: str) -> Iterator[Script]:
    """The instructions that run something, with the variables set before."""
    settings: list[str] = []
    for line, instruction in _joined(text, comments="#"):
        found = _DOCKER.fullmatch(instruction)
        if found is None:
            continue
        word, rest = found[1].upper(), found[2]
        rest = _DOCKER_FLAGS.sub("", rest, count=1) if rest.startswith("--") else rest
        if word in {"ENV", "ARG"}:
            settings.append(rest)
            yield Script(rest, line)
            continue
        rest = re.sub(r"^CMD\b", "", rest) if word == "HEALTHCHECK" else rest
        prefix = " ".join(f"export {each};" for each in settings if "=" in each)
        yield Script(f"{prefix} {_exec_form(rest)}", line)


def _exec_form(rest: str) -> str:
    """`["npx", "prisma"]` as words; the same without commas means the same."""
    inside = rest.strip()
    if inside.startswith("[") and inside.endswith("]"):
        return re.sub(r'"\s*,\s*"', '" "', inside[1:-1])
    return rest


def _make(text: str) -> Iterator[Script]:
    """Recipes, and what variables hold."""
    variables: dict[str, str] = {}
    for line, content in _joined(text, comments="#"):
        is_recipe = content.startswith("\t")
        assigned = None if is_recipe else _MAKE_SET.fullmatch(content)
        if assigned is not None:
            value = _filled(assigned[2], variables, _MAKE_NAME)
            variables[assigned[1]] = value
            yield Script(f"{assigned[1]}='{value}'", line)
            continue
        # A recipe may stand behind the target as well.
        recipe = content if is_recipe else content.partition(";")[2]
        filled = _filled(recipe.strip().lstrip("@-+ \t"), variables, _MAKE_NAME)
        yield Script(filled.replace("$$", "$"), line)


def _just(text: str) -> Iterator[Script]:
    variables: dict[str, str] = {}
    for line, content in _joined(text, comments="#"):
        assigned = _JUST_SET.fullmatch(content)
        if assigned is not None:
            variables[assigned[1]] = _filled(assigned[3], variables, _JUST_NAME)
            yield Script(f"{assigned[1]}='{variables[assigned[1]]}'", line)
        elif content[:1] in {" ", "\t"}:
            filled = _filled(content.strip().lstrip("@-"), variables, _JUST_NAME)
            yield Script(filled, line)


def _procfile(text: str) -> Iterator[Script]:
    for line, content in _joined(text, comments="#"):
        found = _PROCFILE.fullmatch(content)
        if found is not None:
            yield Script(found[1], line)


def _settings(text: str) -> Iterator[Script]:
    """`.env`, `flyway.conf`: each line one setting, which is one word."""
    for number, line in enumerate(text.splitlines(), 1):
        name, equals, value = line.partition("=")
        if equals and not name.lstrip().startswith("#"):
            name = name.replace("export", "").strip()
            yield Script(f"{name}={value.strip()}".replace(" ", ""), number)


def _filled(text: str, variables: dict[str, str], name: re.Pattern[str]) -> str:
    return name.sub(lambda found: variables.get(found[1], found[0]), text)


def _joined(text: str, *, comments: str) -> Iterator[tuple[int, str]]:
    """Lines that a backslash joins as one, with the first one's number."""
    held: list[str] = []
    first = 1
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith(comments):
            continue  # in the middle of a joined line as well, as Docker does
        if not held:
            first = number
        held.append(line)
        if not line.endswith("\\"):
            yield first, "\n".join(held)
            held = []
    if held:
        yield first, "\n".join(held)


_KINDS: Final[tuple[tuple[str, Callable[[str], Iterator[Script]]], ...]] = (
    (
        "package.json composer.json deno.json deno.jsonc project.json turbo.json "
        "tasks.json app.json vercel.json nodemon.json .lintstagedrc.json",
        in_json,
    ),
    ("flyway.toml flyway.conf .env .env.* *.env *.properties", _settings),
    ("*.yml *.yaml", in_yaml),
    ("*.toml", in_toml),
    ("Dockerfile Dockerfile.* *.dockerfile *.Dockerfile Containerfile", _docker),
    ("Makefile makefile GNUmakefile *.mk Makefile.*", _make),
    ("justfile Justfile .justfile *.just", _just),
    ("Procfile Procfile.*", _procfile),
    ("*.sh *.bash *.zsh *.ksh .envrc *.bats", _shell),
    ("*.ps1", _powershell),
    ("*.cmd *.bat", _batch),
    ("Jenkinsfile Jenkinsfile.* *.groovy *.jenkinsfile", _groovy),
)
