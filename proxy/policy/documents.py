"""From the text of a policy to a `Document`, or to everything that is wrong with it.

Pure: the text is handed in. Next: `proxy.policy.evaluate`, which compiles a document.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError

from proxy.errors import type_in_words
from proxy.policy.consistency import inconsistencies
from proxy.policy.model import PolicyModel, Role, Rule
from proxy.policy.patterns import nearest
from proxy.policy.problems import PolicyError, Problem
from proxy.policy.yaml import load_yaml

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from proxy.policy.model import SettingMatch
    from proxy.policy.yaml import Loaded, Path

__all__ = ["Document", "PolicyError", "Problem", "load", "validated"]

M = TypeVar("M", bound=BaseModel)

VERSION_DIGITS = 12
"""Of the SHA-256 in a policy's version: enough to tell versions apart at a glance."""


@dataclass(frozen=True, slots=True)
class Document:
    """A policy document that holds together.

    Attributes:
        source: where the text came from, for messages.
        version: the first digits of the text's SHA-256.
        model: the document.
        loaded: the text's values, with the line of each.
    """

    source: str
    version: str
    model: PolicyModel
    loaded: Loaded = field(repr=False)

    def rules_of(self, role: Role) -> tuple[Rule, ...]:
        """The rules of a role in their order: the included ones, then its own."""
        included = [rule for name in role.include for rule in self.model.rules[name]]
        return (*included, *role.rules)

    def located_rules(self, role: str) -> Iterator[tuple[Path, Rule]]:
        """The same with the path of each, for its line."""
        model = self.model.roles[role]
        for name in model.include:
            for index, rule in enumerate(self.model.rules[name]):
                yield ("rules", name, index), rule
        for index, rule in enumerate(model.rules):
            yield ("roles", role, "rules", index), rule

    def words(self, words: Sequence[str]) -> tuple[str, ...]:
        """`words` with each `@name` replaced by the words of that list."""
        expanded: list[str] = []
        for word in words:
            expanded.extend(
                self.model.lists[word[1:]] if word.startswith("@") else [word]
            )
        return tuple(expanded)

    def setting_matches(
        self, matches: Sequence[SettingMatch]
    ) -> tuple[SettingMatch, ...]:
        """`matches` with each `@name` replaced by that group of settings."""
        expanded: list[SettingMatch] = []
        for match in matches:
            if match.name.startswith("@"):
                expanded.extend(self.model.settings[match.name[1:]])
            else:
                expanded.append(match)
        return tuple(expanded)


def load(text: str, *, source: str) -> Document:
    """The policy document in `text`.

    Raises:
        PolicyError: with every problem found at once, each with its line.
    """
    loaded = load_yaml(text, source=source)
    model = validated(PolicyModel, loaded, source=source)
    problems = [
        Problem(loaded.line(path), message) for path, message in inconsistencies(model)
    ]
    if problems:
        raise PolicyError(source, problems)
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return Document(source, digest[:VERSION_DIGITS], model, loaded)


def validated(shape: type[M], loaded: Loaded, *, source: str) -> M:
    """The loaded value in the given shape.

    Raises:
        PolicyError: one problem for each thing that does not fit.
    """
    try:
        return shape.model_validate(loaded.value)
    except ValidationError as error:
        problems = [
            Problem(
                loaded.line(each["loc"]), _said(shape, each["loc"], each["type"], each)
            )
            for each in error.errors(include_url=False)
        ]
        raise PolicyError(source, problems) from None


def _said(shape: type[BaseModel], loc: Path, kind: str, error: Any) -> str:  # noqa: ANN401 - pydantic's dict
    where = ".".join(map(str, loc))
    if kind == "extra_forbidden":
        known = keys_at(shape, loc[:-1])
        return f'unknown key "{loc[-1]}"{nearest(str(loc[-1]), known)}'
    if kind == "missing":
        return f'key "{loc[-1]}" is missing'
    if kind in {"model_type", "model_attributes_type", "dict_type"}:
        what = f'"{where}"' if where else "the document"
        return f"{what} must be a mapping of keys to values"
    message = type_in_words(kind) or str(error["msg"])
    return f'"{where}": {message[:1].lower()}{message[1:]}' if where else message


def keys_at(shape: type[BaseModel], path: Path) -> list[str]:
    """The keys that the model at `path` knows."""
    annotation: object = shape
    for part in path:
        model = _model_in(annotation)
        if isinstance(part, str) and model is not None and part in model.model_fields:
            annotation = model.model_fields[part].annotation
    model = _model_in(annotation)
    return list(model.model_fields) if model is not None else []


def _model_in(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) is None:
        return None
    found = (_model_in(argument) for argument in get_args(annotation))
    return next((model for model in found if model is not None), None)
