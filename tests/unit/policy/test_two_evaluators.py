"""Oracle (v): a slow evaluator, written from README's words, agrees with the fast one.

It shares no code with `proxy.policy.rules`: it reads the document's model directly,
looks at every rule for every act, remembers nothing, and has its own wildcards.
"""

from __future__ import annotations

import fnmatch
import ipaddress
import itertools
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import given, settings, strategies as st
from msgspec import structs
from typing_extensions import override

from proxy.policy.decision import Context
from proxy.policy.documents import load
from proxy.policy.evaluate import Policy
from proxy.policy.situation import Circumstances
from proxy.sql.facts import (
    Access,
    Effect,
    Facts,
    Flag,
    FunctionUse,
    Kind,
    RelationUse,
    Scope,
    SettingChange,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

EFFECTS = {"zap": Effect.SLEEP}
PG_DUMP = "view, foreign-table"
TRUE = {"on", "true", "tru", "tr", "t", "yes", "ye", "y", "1"}
FALSE = {"off", "of", "false", "fals", "fal", "fa", "f", "no", "n", "0"}


def like(words: Any, word: str) -> bool:
    return any(fnmatch.fnmatchcase(word, each) for each in words)


def name_like(words: Any, use: Any, *, widely: bool) -> bool:
    for word in words:
        if "." not in word:
            fits = like([word], use.name)
        else:
            schema, name = word.split(".", 1)
            fits = like([name], use.name) and (
                like([schema], use.schema) if use.schema else widely
            )
        if fits:
            return True
    return False


class Naive:
    def __init__(self, document: Any, around: Circumstances) -> None:
        self.document = document
        self.around = around
        self.awake: dict[str, bool] = {}
        self.model = document.model

    def words(self, words: Any) -> list[str]:
        found: list[str] = []
        for word in words or []:
            found += self.model.lists[word[1:]] if word[0] == "@" else [word]
        return found

    def acts(self, facts: Facts) -> Iterator[tuple[str, Any]]:
        yield from (("kinds", each) for each in facts.kinds)
        yield from (("actions", each) for each in facts.actions)
        yield from (("flags", each) for each in facts.flags)
        yield from (("functions", each) for each in facts.functions)
        for _, column in facts.columns:
            if column in EFFECTS:
                yield "functions", FunctionUse("", column, EFFECTS[column])
        for schema, operator in facts.operators:
            yield "functions", FunctionUse(schema, operator, Effect.UNKNOWN)
        yield from (("relations", each) for each in facts.relations)
        for change in facts.settings:
            yield ("resets" if change.is_reset else "settings"), change
        yield from (("databases", each) for each in facts.databases)
        if facts.lock_mode:
            yield "lock_modes", facts.lock_mode

    def applies(self, rule: Any, facts: Facts, context: Context) -> bool:
        when = rule.when
        if context.database == "" and rule.forbid:
            databases = when.databases  # any: the one that it forbids, too
        else:
            databases = [context.database]
        return self.is_awake(rule) and all(
            words is None or any(like(self.words(words), each) for each in there)
            for words, there in (
                (when.databases, databases),
                (when.kinds, facts.kinds),
                (when.actions, facts.actions),
                (when.flags, facts.flags),
            )
        )

    def is_awake(self, rule: Any) -> bool:
        if rule.id not in self.awake:
            self.awake[rule.id] = self.holds(rule)
        return self.awake[rule.id]

    def holds(self, rule: Any) -> bool:
        """By worlds: what is not known holds or does not; a permit must in all."""
        when, unless = self.truths(rule.when), self.truths(rule.unless)
        worlds = [
            all(world[: len(when)]) and not (unless and all(world[len(when) :]))
            for world in itertools.product(*when, *unless)
        ]
        return all(worlds) if rule.permit else any(worlds)

    def truths(self, around: Any) -> list[list[bool]]:
        """For each condition whether it holds, or both."""
        here = self.around
        found = []
        if around.networks is not None:
            found.append(
                [True, False]
                if here.address is None
                else [
                    any(
                        ipaddress.ip_address(here.address) in ipaddress.ip_network(each)
                        for each in around.networks
                    )
                ]
            )
        if around.applications is not None:
            name = here.application
            fits = [True, False] if name is None else [like(around.applications, name)]
            found.append(fits)
        if around.during is not None:
            found.append([True, False])
            if here.at is not None:
                hour = datetime.fromtimestamp(here.at, UTC).strftime("%H")
                spans = [each.hours[0] for each in around.during]
                found[-1] = [any(span[:2] <= hour < span[6:8] for span in spans)]
        if around.proven is not None:
            is_so = here.proven
            found.append([True, False] if is_so is None else [is_so == around.proven])
        return found

    def lists(self, acts: Any, dimension: str, act: Any, *, forbids: bool) -> bool:
        if acts.everything:
            return True
        listed = getattr(acts, dimension)
        if dimension == "functions":
            return any(
                like(each.effects, act.effect)
                and name_like(self.words(each.names), act, widely=forbids)
                for each in listed
            )
        if dimension == "relations":
            return any(
                like(each.access, act.access)
                and name_like(self.words(each.names), act, widely=forbids)
                and not name_like(
                    self.words(each.except_names), act, widely=not forbids
                )
                for each in listed
            )
        if dimension == "databases":
            return any(
                like(self.words(each.names), act)
                and not like(self.words(each.except_names), act)
                for each in listed
            )
        if dimension == "resets":
            if act.name == "":
                words = self.words(listed)
                return bool(words) if forbids else "computed" in words
            return like(self.words(listed), "all" if act.name == "*" else act.name)
        if dimension == "settings":
            return any(
                self.setting_fits(each, act, forbids=forbids)
                for each in self.settings(listed)
            )
        return like(self.words(listed), act)

    def settings(self, listed: Any) -> Iterator[Any]:
        for each in listed:
            if each.name[0] == "@":
                yield from self.model.settings[each.name[1:]]
            else:
                yield each

    def setting_fits(self, each: Any, act: SettingChange, *, forbids: bool) -> bool:
        if act.name == "":
            is_any = each.name == "*" and not each.except_names
            if not (forbids or is_any or each.name == "computed"):
                return False
        elif not like([each.name], act.name) or like(
            self.words(each.except_names), act.name
        ):
            return False
        if each.values is None and each.items is None:
            return True
        if act.value is None:
            return forbids
        if each.items is not None:
            # the values made here are plain lists, with no quotes in them
            items = self.words(each.items)
            fits = [like(items, x.strip()) for x in act.value.split(",") if x.strip()]
            return any(fits) if forbids else all(fits)
        if act.name == "role":
            return act.value in each.values
        written = act.value.lower()
        return any(
            written in {"on": TRUE, "off": FALSE}.get(value.lower(), {value.lower()})
            for value in each.values
        )

    def in_shadow(self, rule: Any) -> bool:
        if rule.shadow is None or self.around.at is None:
            return False
        return self.around.at < int(rule.shadow.until[11:13]) * 3600

    def verdict(
        self, role: str, facts: Facts, context: Context, *, in_earnest: bool = False
    ) -> tuple[bool, bool]:
        """With `in_earnest`, as if every trial were over."""
        rules = [
            rule
            for rule in self.document.rules_of(self.model.roles[role])
            if self.applies(rule, facts, context)
            and (
                rule.shadow is None
                or (self.in_shadow(rule) and not in_earnest) == bool(rule.permit)
            )
        ]
        acts = list(self.acts(facts))
        if any(each.name == "" and each.value != PG_DUMP for each in facts.settings):
            return False, False
        forbidding = [
            rule
            for rule, (dimension, act) in itertools.product(rules, acts)
            if rule.forbid and self.lists(rule.forbid, dimension, act, forbids=True)
        ]
        if forbidding:
            return False, any(rule.quarantine for rule in forbidding)
        for dimension, act in acts:
            if not any(
                rule.permit
                and (rule.in_quarantine or not context.quarantined)
                and self.lists(rule.permit, dimension, act, forbids=False)
                for rule in rules
            ):
                return False, False
        return True, False


KINDS = ["read", "ddl", "session"]
ADDRESSES = ["10.0.0.1", "10.1.0.1", "2001:db8::1"]
APPLICATIONS = ["psql", "bi", ""]
INSTANTS = [hour * 3600.0 for hour in (3, 9, 12, 17, 23)]
ACTIONS = ["select", "drop table", "drop view"]
FLAGS = ["into", "cascade"]
SETTINGS = ["jit", "role", "app.tenant", "search_path"]
VALUES = ["on", "off", "x", "1", "T", PG_DUMP]
SCHEMAS = ["", "s", "t"]
NAMES = ["a", "ab", "b"]


def some(words: list[str], *, least: int = 0) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(words), min_size=least, max_size=2)


name_words = some(["a", "a*", "*", "s.a", "s.*", "*.b", "t.a*", "@names"], least=1)
acts = st.fixed_dictionaries(
    {},
    optional={
        "everything": st.sampled_from([True, False, False, False]),
        "kinds": some([*KINDS, "*"]),
        "actions": some([*ACTIONS, "drop *", "*", "@actions"]),
        "flags": some([*FLAGS, "*"]),
        "functions": st.lists(
            st.fixed_dictionaries(
                {},
                optional={
                    "names": name_words,
                    "effects": some(["none", "sleep", "unknown", "*"], least=1),
                },
            ),
            max_size=2,
        ),
        "relations": st.lists(
            st.fixed_dictionaries(
                {"access": some(["read", "drop", "*"], least=1)},
                optional={"names": name_words, "except_names": name_words},
            ),
            max_size=2,
        ),
        "databases": st.lists(
            st.fixed_dictionaries(
                {}, optional={"names": name_words, "except_names": name_words}
            ),
            max_size=2,
        ),
        "settings": st.lists(
            st.one_of(
                st.just("@group"),
                st.fixed_dictionaries(
                    {"name": st.sampled_from([*SETTINGS, "computed", "*", "app.*"])},
                    optional={
                        "values": some(VALUES),
                        "except_names": st.sampled_from(["role", "app.*", "@settings"]),
                    },
                ),
                st.fixed_dictionaries(
                    {
                        "name": st.just("search_path"),
                        "items": some(["on", "x", "view", "f*", "@names"], least=1),
                    }
                ),
            ),
            max_size=2,
        ),
        "resets": some([*SETTINGS, "all", "computed", "*"]),
        "lock_modes": some(["share", "access *"]),
    },
).filter(lambda each: any(each.values()))
around = {
    "networks": some(["10.0.0.0/16", "10.0.0.0/8", "2001:db8::/32"], least=1),
    "applications": some(["psql", "b*"], least=1),
    "during": st.sampled_from(["08:00-12:00", "09:00-18:00"]).map(
        lambda hours: [{"hours": [hours], "timezone": "UTC"}]
    ),
    "proven": st.booleans(),
}
unless: st.SearchStrategy[dict[str, Any]] = st.just({}) | st.fixed_dictionaries(
    {}, optional=around
)
circumstances = st.builds(
    Circumstances,
    st.sampled_from([None, *ADDRESSES]),
    st.sampled_from([None, *APPLICATIONS]),
    st.sampled_from([None, *INSTANTS]),
    st.sampled_from([None, False, True]),
)
when = st.fixed_dictionaries(
    {},
    optional={
        **around,
        "databases": some(["shop", "sh*", "*"], least=1),
        "kinds": some([*KINDS, "*"], least=1),
        "actions": some([*ACTIONS, "drop *", "@actions"], least=1),
        "flags": some(FLAGS, least=1),
    },
)


@st.composite
def documents(draw: st.DrawFn) -> str:
    rules = []
    for number in range(draw(st.integers(0, 5))):
        rule: dict[str, Any] = {"id": f"r{number}", "when": draw(when), "reason": "x"}
        rule["unless"] = draw(unless)
        if draw(st.integers(0, 3)) == 0:
            hour = draw(st.sampled_from(["04", "13"]))
            rule["shadow"] = {"until": f"1970-01-01T{hour}:00Z"}
        if draw(st.booleans()):
            rule |= {"permit": draw(acts), "in_quarantine": draw(st.booleans())}
        else:
            rule |= {"forbid": draw(acts), "quarantine": draw(st.booleans())}
        rules.append(rule)
    cut = draw(st.integers(0, len(rules)))
    document = {
        "version": 1,
        "name": "made",
        "lists": {
            "names": ["b", "s.ab"],
            "actions": ["drop view"],
            "settings": ["jit"],
        },
        "settings": {"group": ["jit", {"name": "role", "values": ["x", "on"]}]},
        "rules": {"common": rules[:cut]},
        "roles": {
            "r": {
                "login": "permit",
                "upstream": "u",
                "include": ["common"],
                "rules": rules[cut:],
            }
        },
    }

    class Plain(yaml.SafeDumper):
        @override
        def ignore_aliases(self, data: Any) -> bool:
            return True

    return yaml.dump(document, Dumper=Plain)


def few(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(strategy, max_size=2).map(tuple)


made_facts = st.builds(
    Facts,
    kind=st.just(Kind.READ),
    kinds=st.frozensets(st.sampled_from([Kind(each) for each in KINDS]), max_size=2),
    actions=few(st.sampled_from(ACTIONS)),
    verb=st.just(""),
    relations=few(
        st.builds(
            RelationUse,
            st.sampled_from(SCHEMAS),
            st.sampled_from(NAMES),
            st.sampled_from([Access.READ, Access.DROP]),
        )
    ),
    functions=few(
        st.builds(
            FunctionUse,
            st.sampled_from(SCHEMAS),
            st.sampled_from(NAMES),
            st.sampled_from([Effect.NONE, Effect.SLEEP]),
        )
    ),
    settings=few(
        st.builds(
            SettingChange,
            st.sampled_from(["", *SETTINGS]),
            st.sampled_from([None, *VALUES]),
            st.just(Scope.SESSION),
        )
        | st.builds(
            SettingChange,
            st.sampled_from(["", "*", *SETTINGS]),
            st.none(),
            st.just(Scope.SESSION),
            st.just(True),
        )
    ),
    flags=st.frozensets(st.sampled_from([Flag(each) for each in FLAGS])),
    lock_mode=st.sampled_from(["", "share", "access share"]),
    operators=few(st.tuples(st.just("s"), st.sampled_from(["a", "+"]))),
    databases=few(st.sampled_from(NAMES)),
    columns=few(st.tuples(st.just("t"), st.sampled_from(["zap", "id"]))),
)
contexts = st.builds(
    Context, database=st.sampled_from(["", "shop"]), quarantined=st.booleans()
)


@pytest.mark.timeout(120)  # seconds where nothing else runs; the naive one is slow
@settings(max_examples=200, deadline=None)
@given(
    documents(),
    st.lists(st.tuples(made_facts, contexts, circumstances), max_size=12),
)
def test_the_two_agree(
    text: str, questions: list[tuple[Facts, Context, Circumstances]]
) -> None:
    document = load(text, source="made")
    policy = Policy(document, effects=EFFECTS)
    for facts, plain, here in [*questions, *questions]:  # the second time from memory
        naive = Naive(document, here)
        context = structs.replace(plain, situation=policy.situation("r", here))
        decision = policy.decide("r", [facts], context)
        expected = naive.verdict("r", facts, context)
        assert (decision.allowed, decision.quarantines) == expected, decision
        earnest = naive.verdict("r", facts, context, in_earnest=True)
        if decision.allowed:
            shadow = decision.shadow
            assert (shadow is None) == earnest[0]
            assert shadow is None or shadow.quarantines == earnest[1]
            by_id = {
                each.id: each for each in document.rules_of(naive.model.roles["r"])
            }
            assert shadow is None or naive.in_shadow(by_id[shadow.rule])
        else:
            assert decision.shadow is None
        assert decision.rule != "internal-error"
        assert decision.reason


@pytest.mark.timeout(120)
@settings(max_examples=100, deadline=None)
@given(documents(), st.lists(made_facts, max_size=4), contexts)
def test_texts_stand_or_fall_together(
    text: str, statements: list[Facts], context: Context
) -> None:
    document = load(text, source="made")
    policy = Policy(document, effects=EFFECTS)
    naive = Naive(document, Circumstances())
    decision = policy.decide("r", statements, context)
    verdicts = [naive.verdict("r", facts, context) for facts in statements]
    assert decision.allowed == all(allowed for allowed, _ in verdicts)
    assert decision.quarantines == any(quarantines for _, quarantines in verdicts)
