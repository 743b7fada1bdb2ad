"""Case files: what a policy must say about given statements, written down.

A policy ships with its cases; `pgwarden policy test` and the tests run them. Pure: the
texts are handed in and the verdicts come from the caller, because a verdict on a text
needs the layers above. Next: `proxy.cli.policy`, which runs them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Self

from msgspec import Struct
from pydantic import BeforeValidator, Field, StrictBool, model_validator

from proxy.policy.case_records import Record, difference, is_same
from proxy.policy.documents import validated
from proxy.policy.model import Model, SettingValue, Word
from proxy.policy.networks import address_of
from proxy.policy.problems import PolicyError, Problem
from proxy.policy.situation import Circumstances
from proxy.policy.windows import moment_of
from proxy.policy.yaml import load_yaml

if TYPE_CHECKING:
    from proxy.policy.decision import Decision

NO_RECORD: Final = (
    "it states no audit record: `pgwarden policy test --update FILE` writes it down, "
    "for you to read"
)


class StartupSetting(Model):
    """A run-time parameter in the startup packet."""

    name: Word
    value: SettingValue


def _texts(value: object) -> object:
    return [value] if isinstance(value, str) else value


class Case(Model):
    """One statement (or a session's worth) and what must become of the last one.

    Attributes:
        sql: texts that one session sends, one Query each; the last is the one meant.
        setting: instead of `sql`, a parameter of the startup packet.
        at: when, with its offset; as with `address` and `application`, what is not
            said is judged strictly.
        address: the client's IP address.
        application: its application_name.
        proven: whether it is part of a proven migration; strictly judged without.
        expect: the decision.
        rule: id of the rule that must decide.
        shadow: id of the rule in shadow that would refuse it; "" for none.
        record: all else that the audit record must hold: `case_records.short_form`.
    """

    name: str = ""
    role: Word
    sql: Annotated[list[str] | None, BeforeValidator(_texts), Field(min_length=1)] = (
        None
    )
    setting: StartupSetting | None = None
    database: str = ""
    at: Word | None = None
    address: Word | None = None
    application: str | None = None
    proven: StrictBool | None = None
    quarantined: bool = False
    expect: Literal["allow", "deny"]
    rule: Word
    shadow: str = ""
    record: dict[Word, Any] | None = None

    @model_validator(mode="after")
    def _has_one_subject(self) -> Self:
        if (self.sql is None) == (self.setting is None):
            raise ValueError('a case has either "sql" or "setting"')
        if self.at is not None:
            moment_of(self.at)
        if self.address is not None and address_of(self.address) is None:
            raise ValueError(f'"{self.address}" is no IP address')
        return self

    @property
    def circumstances(self) -> Circumstances:
        """What the case says of where, when and as what."""
        at = None if self.at is None else moment_of(self.at)
        return Circumstances(self.address, self.application, at, self.proven)

    @property
    def title(self) -> str:
        """The name, or the last statement where there is none."""
        if self.name:
            return self.name
        if self.setting is not None:
            return f"startup: {self.setting.name}={self.setting.value}"
        return " ".join(self.sql[-1].split()) if self.sql else ""


class CaseFileModel(Model):
    """The whole file."""

    version: Literal[1]
    policy: Word
    cases: Annotated[list[Case], Field(min_length=1)]


class CaseFile(Struct, frozen=True):
    """A case file that holds together.

    Attributes:
        source: where the text came from, for messages.
        policy: the policy's file name, beside the case file.
        cases: in their order.
        lines: the line of each.
    """

    source: str
    policy: str
    cases: tuple[Case, ...]
    lines: tuple[int, ...]


class CaseResult(Struct, frozen=True):
    """One case and what became of it.

    Attributes:
        source: the case file.
        line: where in it the case begins.
        role: whose statement it is.
        title: the case's name, or the statement.
        expected: the decision that the case states.
        decided: the decision.
        rule: the rule that decided.
        expected_record: the audit record that the case states, in the short form.
        record: the audit record, in the short form.
        is_decided_as_expected: decision and rule are those that the case states.
        failures: what was wrong, for people; empty if nothing was.
    """

    source: str
    line: int
    role: str
    title: str
    expected: str
    decided: str
    rule: str
    expected_record: Record | None
    record: Record
    is_decided_as_expected: bool
    failures: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether all was as expected."""
        return not self.failures


def load_cases(text: str, *, source: str) -> CaseFile:
    """The case file in `text`.

    Raises:
        PolicyError: with every problem found at once, each with its line.
    """
    loaded = load_yaml(text, source=source)
    model = validated(CaseFileModel, loaded, source=source)
    lines = tuple(loaded.line(("cases", index)) for index in range(len(model.cases)))
    seen: dict[str, int] = {}
    problems = []
    for case, line in zip(model.cases, lines, strict=True):
        key = repr(
            case.model_dump(exclude={"name", "expect", "rule", "shadow", "record"})
        )
        if key in seen:
            problems.append(Problem(line, f"the same case stands on line {seen[key]}"))
        seen.setdefault(key, line)
    if problems:
        raise PolicyError(source, problems)
    return CaseFile(source, model.policy, tuple(model.cases), lines)


def is_as_expected(case: Case, decision: Decision) -> bool:
    """Whether decision, rule and trial are what the case says."""
    decided = "allow" if decision.allowed else "deny"
    shadow = decision.shadow.rule if decision.shadow is not None else ""
    expected = (case.expect, case.rule, case.shadow)
    return (decided, decision.rule, shadow) == expected


def compare(case: Case, decision: Decision, record: Record) -> tuple[str, ...]:
    """What is not as the case expects, for people.

    Args:
        case: what is expected.
        decision: the verdict.
        record: the short form of the audit record.
    """
    failures = []
    decided = "allow" if decision.allowed else "deny"
    if decided != case.expect:
        failures.append(
            f"expected {case.expect}, got {decided} "
            f"({decision.rule}: {decision.reason})"
        )
    elif decision.rule != case.rule:
        failures.append(f'expected rule "{case.rule}", got "{decision.rule}"')
    shadow = decision.shadow.rule if decision.shadow is not None else ""
    if shadow != case.shadow:
        expected, got = (
            f'"{each}"' if each else "none" for each in (case.shadow, shadow)
        )
        failures.append(f"expected the refusal in shadow by {expected}, got {got}")
    if case.record is None:
        failures.append(NO_RECORD)
    elif not is_same(case.record, record):
        failures.append(
            "the audit record is not as expected (-), it is (+):\n"
            + difference(case.record, record)
        )
    return tuple(failures)
