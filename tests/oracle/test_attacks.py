"""Every attack of the corpus works on a bare Postgres, and none through pgwarden.

Once the developer's upstream login is a superuser, so that only the decision stands in
the way; what it can't stop is said in the corpus and tried with the least-privilege
login. Once it is that login for all of them, in every form, as in production. The state
of the server is what counts, not the error alone.
"""

from __future__ import annotations

import os
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest

from proxy.cli.offline import OfflineSession
from proxy.policy.documents import load as load_policy
from proxy.policy.evaluate import Policy
from proxy.session.judge import Judge
from proxy.shipped import policy_path
from tests.fix_postgres import Clusters, Database, shop_copy
from tests.fix_proxy import Proxies, Proxy, as_superuser
from tests.oracle.attacks import CLEAR, Attack, Place, changes, load, world
from tests.oracle.wire import Answer, Session

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proxy.demo.postgres import Cluster
    from tests.oracle.attacks import World

SETUP, ATTACKS = load()
DEEP = bool(os.environ.get("PGWARDEN_DEEP"))
LOCK_A = [attack for attack in ATTACKS if attack.stopped_by == "a"]
BEHIND = [attack for attack in ATTACKS if attack.stopped_by != "a"]
pytestmark = [
    pytest.mark.oracle,
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.turns,
]


def test_there_are_enough() -> None:
    assert len(ATTACKS) >= 200
    assert len({(attack.sql, attack.setup) for attack in ATTACKS}) == len(ATTACKS)
    assert all(attack.why for attack in BEHIND)


@contextmanager
def prepared(clusters: Clusters, cluster: Cluster) -> Iterator[tuple[Database, Place]]:
    """A fresh database with the common setup, and what the corpus leaves open."""
    with shop_copy(clusters, cluster) as database:
        set_up(database)
        file = cluster.plan.data / f"attacked-{time.monotonic_ns()}"
        yield database, Place(database.dsn, str(file))


def set_up(database: Database) -> bool:
    """Empty the database and set the stage anew; whether that went well."""
    with looking_at(database) as session:
        return not any(session.simple(text).sqlstate for text in (CLEAR, SETUP))


def looking_at(database: Database) -> Session:
    """A superuser that does not wait for the locks of an attacker."""
    session = Session(database.dsn)
    session.simple("SET lock_timeout = '100ms'; SET statement_timeout = '5s'")
    return session


def with_setting(dsn: str, name: str, value: str) -> str:
    """The URL with a startup parameter."""
    return f"{dsn}{'&' if '?' in dsn else '?'}{name}={value}"


@contextmanager
def victim_of(attack: Attack, database: Database) -> Iterator[None]:
    with ExitStack() as stack:
        if attack.victim:
            dsn = with_setting(database.dsn, "application_name", "victim")
            stack.enter_context(Session(dsn))
        yield


def send(session: Session, attack: Attack, place: Place) -> Answer:
    answer = Answer()
    for text in attack.sql:
        answer = session.simple(place.fill(text))
    return answer


def settle(attack: Attack, superuser: Session, place: Place, before: World) -> World:
    """The world again; a signal or statistics take a moment to be seen."""
    after = world(superuser, place, attack.check)
    for _ in range(20):
        if not attack.check or after != before:
            break
        time.sleep(0.05)
        after = world(superuser, place, attack.check)
    return after


@pytest.mark.parametrize("postgres", [15, 17, 18] if DEEP else [17], indirect=True)
@pytest.mark.parametrize("group", list(dict.fromkeys(a.group for a in ATTACKS)))
def test_they_work_on_a_bare_server(
    group: str, clusters: Clusters, postgres: Cluster
) -> None:
    with ExitStack() as stack:
        database, place = stack.enter_context(prepared(clusters, postgres))
        for attack in ATTACKS:
            if attack.group != group or attack.skip_bare:
                continue
            if postgres.major not in attack.majors:
                continue
            if not set_up(database):  # the last one broke it for good
                database, place = stack.enter_context(prepared(clusters, postgres))
            own = Place(place.dsn, f"{place.file}-{attack.number}")
            works, answer = attacked_directly(attack, database, own)
            assert works, (str(attack), attack.sql, answer)


def attacked_directly(
    attack: Attack, database: Database, place: Place
) -> tuple[object, Answer]:
    """Whether an attack does what it is meant to, and the last answer."""
    with ExitStack() as stack:
        superuser = stack.enter_context(looking_at(database))
        made = superuser.simple(place.fill(attack.setup))
        assert not made.sqlstate, (str(attack), made.message)
        stack.enter_context(victim_of(attack, database))
        dsn = database.dsn
        if attack.read_only:
            dsn = with_setting(dsn, "options", "-cdefault_transaction_read_only%3Don")
        attacker = stack.enter_context(Session(dsn))
        probed = attacker.simple(attack.probe)
        before = world(superuser, place, attack.check)
        answer = send(attacker, attack, place)
        if attack.leaks:
            works: object = answer.leaked
        elif attack.probe:
            now = attacker.simple(attack.probe)
            works = not now.sqlstate and now.rows != probed.rows
        else:
            works = changes(before, settle(attack, superuser, place, before))
        attacker.simple("ROLLBACK")
        for statement in filter(None, place.fill(attack.undo).split(";")):
            superuser.simple(statement)
        return works, answer


@pytest.mark.parametrize("postgres", [17], indirect=True)
def test_the_world_can_be_seen(clusters: Clusters, postgres: Cluster) -> None:
    """No look-up fails: an error before and after would hide every change."""
    with ExitStack() as stack:
        database, place = stack.enter_context(prepared(clusters, postgres))
        seen = world(stack.enter_context(looking_at(database)), place)
    assert [name for name, found in seen.items() if isinstance(found, str)] == []


@pytest.fixture(scope="module")
def policy() -> Policy:
    path = policy_path("production")
    return Policy(load_policy(path.read_text("utf-8"), source=str(path)))


@pytest.mark.parametrize("attack", ATTACKS, ids=str)
def test_the_decision(attack: Attack, policy: Policy) -> None:
    """Refused where the corpus says so, and only there: the list of gaps is honest."""
    session = OfflineSession(Judge(policy, "developer", database="shop"))
    allowed = [session.send(text.encode())[0].allowed for text in attack.sql]
    assert all(allowed) == (attack.stopped_by != "a")


class Attacked:
    """One database behind a pgwarden that all attacks of a test share."""

    def __init__(
        self, stack: ExitStack, clusters: Clusters, cluster: Cluster, proxy: Proxy
    ) -> None:
        self.database, self.place = stack.enter_context(prepared(clusters, cluster))
        self.proxy = proxy
        self.superuser = stack.enter_context(looking_at(self.database))

    def session(self) -> Session:
        return Session(self.proxy.dsn("developer", self.database.name))


@pytest.fixture(scope="module")
def proxies(clusters: Clusters) -> Iterator[Proxies]:
    started = Proxies(clusters)
    yield started
    started.stop()


_strong: dict[int, Proxy] = {}


@pytest.fixture
def strong(proxies: Proxies, postgres: Cluster) -> Proxy:
    """A pgwarden whose developers are superusers upstream: lock (a), and (b)."""
    if postgres.major not in _strong:
        _strong[postgres.major] = proxies.start(
            postgres, settings=as_superuser(postgres)
        )
    return _strong[postgres.major]


def groups() -> list[str]:
    return list(dict.fromkeys(attack.group for attack in LOCK_A))


FORMS = ("simple", "extended", "named", "pipelined", "sql_prepared")
"""Each way to send a text; the methods of `Session`."""
FEW_FORMS = ("simple", "pipelined")
"""On the other majors, in a quick run: the forms do not depend on the server."""


@pytest.mark.parametrize("group", groups())
def test_nothing_happens_through_pgwarden(
    group: str, clusters: Clusters, postgres: Cluster, strong: Proxy
) -> None:
    """Each attack of a group, in every form: refused, and the world as it was."""
    with ExitStack() as stack:
        attacked = Attacked(stack, clusters, postgres, strong)
        for attack in attacks_of(group, postgres):
            all_forms = DEEP or postgres.major == 17
            _attack_in_forms(attack, attacked, FORMS if all_forms else FEW_FORMS)


@pytest.mark.parametrize("group", groups())
def test_nothing_happens_as_the_least_privilege_login(
    group: str, clusters: Clusters, postgres: Cluster, guard: Proxy
) -> None:
    """The same with the login of a deployment, which reads everything that is here.

    In a quick run the forms take turns; the deep one has each attack in every form.
    """
    with ExitStack() as stack:
        attacked = Attacked(stack, clusters, postgres, guard)
        for text in (
            "GRANT SELECT ON ALL TABLES IN SCHEMA public TO PUBLIC",
            "GRANT EXECUTE ON ALL ROUTINES IN SCHEMA public TO PUBLIC",
        ):
            assert not attacked.superuser.simple(text).sqlstate
        session = stack.enter_context(attacked.session())
        assert session.simple(NO_SUPERUSER).rows == [(b"f",)]
        for attack in attacks_of(group, postgres):
            its_turn = FORMS[attack.number % len(FORMS)]
            _attack_in_forms(attack, attacked, FORMS if DEEP else (its_turn,))


NO_SUPERUSER = "SELECT rolsuper FROM pg_roles WHERE rolname = session_user"


def attacks_of(group: str, postgres: Cluster) -> list[Attack]:
    return [
        attack
        for attack in LOCK_A
        if attack.group == group and postgres.major in attack.majors
    ]


def _attack_in_forms(
    attack: Attack, attacked: Attacked, forms: tuple[str, ...]
) -> None:
    place, superuser = attacked.place, attacked.superuser
    with victim_of(attack, attacked.database), attacked.session() as session:
        before = world(superuser, place, attack.check)
        probed = session.simple(attack.probe).rows
        for form in forms:
            context = f"{attack} as {form}: {attack.sql}"
            answers = [session.simple(place.fill(t)) for t in attack.sql[:-1]]
            answers.append(getattr(session, form)(place.fill(attack.sql[-1])))
            assert any("audit id" in answer.message for answer in answers), context
            assert not (attack.leaks and answers[-1].leaked), context
            if session.status == "E":
                session.simple("ROLLBACK")
            assert session.simple(attack.probe).rows == probed, context
            after = world(superuser, place, attack.check)
            assert changes(before, after) == {}, context
            session.simple("ROLLBACK")
            session.simple("DEALLOCATE ALL")
            assert session.is_open, context
            assert session.simple("SELECT 1").rows == [(b"1",)], context


@pytest.mark.parametrize("attack", BEHIND, ids=str)
def test_the_other_locks_stop_the_rest(
    attack: Attack,
    clusters: Clusters,
    postgres: Cluster,
    strong: Proxy,
    guard: Proxy,
) -> None:
    """b: even a superuser's session is read-only. c: the reader lacks the privilege."""
    quick = 17 if 17 in attack.majors else attack.majors[0]
    if postgres.major not in (attack.majors if DEEP else (quick,)):
        return
    proxy = strong if attack.stopped_by == "b" else guard
    with ExitStack() as stack:
        attacked = Attacked(stack, clusters, postgres, proxy)
        superuser, place = attacked.superuser, attacked.place
        made = superuser.simple(place.fill(attack.setup))
        assert not made.sqlstate, made.message
        superuser.simple("GRANT SELECT ON ALL TABLES IN SCHEMA public TO PUBLIC")
        stack.enter_context(victim_of(attack, attacked.database))
        session = stack.enter_context(attacked.session())
        before = world(superuser, place, attack.check)
        answer = send(session, attack, place)
        after = world(superuser, place, attack.check)
        match attack.stopped_by:
            case "nothing":  # the day that it is stopped, the corpus should say so
                assert changes(before, after)
                return
            case "alarm":
                session.simple("SELECT 1")
                assert not session.is_open
            case _:
                assert answer.sqlstate in {"25006", "42501"}, (answer, attack.sql)
        assert changes(before, after) == {}
        assert not answer.leaked or not attack.leaks
