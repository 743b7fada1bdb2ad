"""A stranger can't tell which names exist: not by text, salt or time.

Nor can somebody who has a good token of his own, where tokens are taken. The method
for time: names of three kinds (known, unknown, disabled) log in wrongly in turns, in
a fresh random order each round, over one connection each, so that whatever the
machine does meanwhile meets all kinds alike. Two spans are timed at the client:
startup packet to offer, and proof to refusal. Kinds are compared in pairs by the
Mann-Whitney statistic: the chance that a time of one kind is above one of the other,
1/2 if they are alike. With n of each its standard deviation is then sqrt((2n + 1) /
12n²), whatever the distribution of times (no ties to speak of), and the bound is 4.5
of them: less than one false alarm in 20,000 runs for all six comparisons. That the
test can see a difference is shown on the times of one kind, with a quarter of their
median added: on a busy machine it takes more rounds until it can, and only then the
kinds are compared.
"""

from __future__ import annotations

import base64
import os
import random
import time
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from itertools import combinations
from math import sqrt
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

import pytest
import trustme
import yaml

from proxy.auth.secrets import make_secret
from proxy.wire import messages
from proxy.wire.errors_wire import parse_error_fields
from tests.fix_proxy import HOST, Proxies, ungated_text
from tests.integration.knocker import PLAIN, Knocker, lenient
from tests.key_server import KeyServer
from tests.scram_speaker import ScramSpeaker
from tests.unit.auth.token_maker import AUDIENCE, ec_key, key_set

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from proxy.demo.postgres import Cluster
    from tests.fix_postgres import Clusters
    from tests.fix_proxy import Proxy

pytestmark = pytest.mark.postgres

ROUNDS = 3_000 if os.environ.get("PGWARDEN_DEEP") else 300
MOST_ROUNDS = 5 * ROUNDS
WARM = 20
DEVIATIONS = 4.5
SPANS = ("offer", "refusal")
RULES = """
authentication:
  - {id: login.token, when: {identities: ["*.token"]}, method: token, issuer: forge}
  - {id: login.rest, method: scram}
"""
KINDS = {"known": "known", "unknown": "ghost", "disabled": "idle0"}
"""A name of each kind, all of one length."""


@dataclass(frozen=True)
class Rig:
    """A pgwarden, and a good token of nobody that it knows."""

    proxy: Proxy
    token: bytes


@pytest.fixture(scope="module")
def rig(
    clusters: Clusters, postgres17: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Rig]:
    folder, key, proxies = tmp_path_factory.mktemp("names"), ec_key(), Proxies(clusters)
    identities: list[dict[str, object]] = []
    for name, more in (("known", {}), ("idle0", {"disabled": True})):
        secret = make_secret("right", salt=random.randbytes(16)).encode()
        by_token = {"issuer": "forge", "claims": {"sub": name}}
        person: dict[str, object] = {"role": "developer", **more}
        identities.append({"name": name, "secret": secret, **person})
        identities.append({"name": f"{name}.token", "token": by_token, **person})
    document = {"version": 1, "identities": identities}
    (folder / "identities.yaml").write_text(yaml.safe_dump(document), "utf-8")
    (folder / "policy.yaml").write_text(ungated_text() + RULES, "utf-8")
    ours = trustme.CA().issue_cert("localhost")
    ours.cert_chain_pems[0].write_to_path(folder / "server.pem")
    ours.private_key_pem.write_to_path(folder / "server.key")
    tls = {name: str(folder / f"server.{end}") for name, end in TLS_FILES}
    with KeyServer(folder / "ca.pem") as issuer:
        issuer.publish(key_set(key))
        forge = {"url": issuer.url, "audience": AUDIENCE, "ca": str(issuer.ca)}
        settings = {
            "identities": str(folder / "identities.yaml"),
            "tls": tls,
            "issuers": {"forge": forge},
        }
        policy = folder / "policy.yaml"
        proxy = proxies.start(postgres17, policy=policy, settings=settings)
        claims = {"iss": issuer.url, "aud": AUDIENCE, "sub": "somebody"}
        yield Rig(proxy, key.sign(claims | {"exp": int(time.time()) + 3_600}))
        proxies.stop()


TLS_FILES = (("certificate", "pem"), ("key", "key"))


class Wrong(NamedTuple):
    """A login that failed: its two spans in seconds, its error, the SCRAM challenge."""

    offered_s: float
    refused_s: float
    error: dict[str, str]
    challenge: bytes = b""


def wrong_token(rig: Rig, name: str) -> Wrong:
    with Knocker(HOST, rig.proxy.port, tls=lenient()) as one:
        began = time.perf_counter()
        one.start(f"{name}.token")
        offer = one.hear()
        offered_s = time.perf_counter() - began
        assert offer == ("R", b"\0\0\0\3")
        answer = messages.PasswordMessage(rig.token).encode()
        began = time.perf_counter()
        one.send(answer)
        kind, body = one.hear()
        refused_s = time.perf_counter() - began
        assert kind == "E"
        return Wrong(offered_s, refused_s, parse_error_fields(body))


def wrong_password(rig: Rig, name: str) -> Wrong:
    with Knocker(HOST, rig.proxy.port) as one:
        began = time.perf_counter()
        one.start(name)
        offer = one.hear()
        offered_s = time.perf_counter() - began
        assert offer[0] == "R"
        scram = ScramSpeaker("wrong", flag=b"n", bound_to=b"")
        one.choose(PLAIN, scram.first())
        challenge = one.asked()
        assert isinstance(challenge, messages.AuthenticationSASLContinue)
        # Any proof is wrong, and this one costs the client no time.
        nonce = challenge.data.split(b",")[0]
        final = b"c=biws," + nonce + b",p=" + base64.b64encode(bytes(32))
        proof = messages.SASLResponse(final).encode()
        began = time.perf_counter()
        one.send(proof)
        kind, body = one.hear()
        refused_s = time.perf_counter() - began
        assert kind == "E"
        error = parse_error_fields(body)
        return Wrong(offered_s, refused_s, error, challenge.data)


def above(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The chance that one of ours is above one of theirs; Mann-Whitney's U over n²."""
    ranked = sorted(theirs)
    wins = sum(bisect_left(ranked, each) + bisect_right(ranked, each) for each in ours)
    return wins / (2 * len(ours) * len(theirs))


def bound(n: int) -> float:
    return DEVIATIONS * sqrt((2 * n + 1) / (12 * n * n))


def can_see(times: Sequence[float]) -> bool:
    """Whether a quarter of the median more would be noticed."""
    slower = [each + 0.25 * median(times) for each in times]
    return above(slower, times) - 0.5 > bound(len(times))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("log_in", [wrong_password, wrong_token])
def test_no_kind_of_name_takes_longer_than_another(
    rig: Rig, log_in: Callable[[Rig, str], Wrong]
) -> None:
    times: dict[tuple[str, str], list[float]] = {
        (span, kind): [] for span in SPANS for kind in KINDS
    }
    for turn in range(WARM + MOST_ROUNDS):
        order = list(KINDS)
        random.shuffle(order)
        for kind in order:
            found = log_in(rig, KINDS[kind])
            if turn >= WARM:
                times["offer", kind].append(found.offered_s)
                times["refusal", kind].append(found.refused_s)
        n = turn - WARM + 1
        if n and n % ROUNDS == 0 and all(can_see(times[s, "known"]) for s in SPANS):
            break
    assert all(can_see(times[span, "known"]) for span in SPANS), "the test is blind"
    differences = {
        (span, one, other): above(times[span, one], times[span, other]) - 0.5
        for span in SPANS
        for one, other in combinations(KINDS, 2)
    }
    most = bound(len(times["offer", "known"]))
    assert all(abs(each) < most for each in differences.values()), differences


def without(name: str, error: dict[str, str]) -> dict[str, str]:
    return {key: said.replace(name, "?") for key, said in error.items()}


def test_texts_and_salts_tell_nothing(rig: Rig) -> None:
    told = {}
    for kind, name in KINDS.items():
        tries = [wrong_password(rig, name) for _ in range(3)]
        texts = [without(name, one.error) for one in tries]
        assert texts[0] == texts[1] == texts[2]
        salts = {one.challenge.split(b",")[1] for one in tries}
        assert len(salts) == 1, f"the salt of the {kind} name changes"
        told[kind] = (texts[0], len(salts.pop()), tries[0].challenge.split(b",")[2])
    assert told["known"] == told["unknown"] == told["disabled"]
    by_token = [without(name, wrong_token(rig, name).error) for name in KINDS.values()]
    assert by_token[0] == by_token[1] == by_token[2]
