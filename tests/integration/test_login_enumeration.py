"""A stranger can't tell which names exist: not by text, salt or time.

The method for time: names of three kinds (known, unknown, disabled) log in wrongly in
turns, in a fresh random order each round, over one connection each, so that whatever
the machine does meanwhile meets all kinds alike. Two spans are timed at the client:
startup packet to offer, and proof to refusal. Kinds are compared in pairs by the
Mann-Whitney statistic: the chance that a time of one kind is above one of the other,
1/2 if they are alike. With n of each its standard deviation is then
sqrt((2n + 1) / 12n²), whatever the distribution of times (no ties to speak of), and
the bound is 4.5 of them: less than one false alarm in 20,000 runs for all six
comparisons. That the test can see a difference is shown on the same times, with a
quarter of the median added to one kind.
"""

from __future__ import annotations

import base64
import os
import random
import time
from bisect import bisect_left, bisect_right
from itertools import combinations
from math import sqrt
from statistics import median
from typing import TYPE_CHECKING

import pytest
import yaml

from proxy.auth.secrets import make_secret
from proxy.wire import messages
from proxy.wire.errors_wire import parse_error_fields
from tests.fix_proxy import HOST
from tests.integration.knocker import PLAIN, Knocker
from tests.integration.rig import events, eventually
from tests.scram_speaker import ScramSpeaker

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.fix_postgres import Database
    from tests.fix_proxy import Proxy, StartProxy

pytestmark = pytest.mark.postgres

ROUNDS = 3_000 if os.environ.get("PGWARDEN_DEEP") else 300
WARM = 20
DEVIATIONS = 4.5


@pytest.fixture
def names(start_proxy: StartProxy, shop17: Database) -> tuple[Proxy, dict[str, str]]:
    """A pgwarden and a name of each kind, all of one length."""
    proxy = start_proxy(shop17.cluster)
    path = proxy.folder / "identities.yaml"
    document = yaml.safe_load(path.read_text("utf-8"))
    for name, more in (("known", {}), ("idle0", {"disabled": True})):
        secret = make_secret("right", salt=random.randbytes(16)).encode()
        person = {"name": name, "role": "developer", "secret": secret}
        document["identities"].append(person | more)
    path.write_text(yaml.safe_dump(document), "utf-8")
    proxy.reload()
    eventually(lambda: events(proxy, "reloaded"))
    return proxy, {"known": "known", "unknown": "ghost", "disabled": "idle0"}


def wrong_login(proxy: Proxy, name: str) -> tuple[float, float, dict[str, str], bytes]:
    """Seconds to the offer, seconds to the refusal, its fields, and the challenge."""
    with Knocker(HOST, proxy.port) as one:
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
        return offered_s, refused_s, parse_error_fields(body), challenge.data


def above(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The chance that one of ours is above one of theirs; Mann-Whitney's U over n²."""
    ranked = sorted(theirs)
    wins = sum(bisect_left(ranked, each) + bisect_right(ranked, each) for each in ours)
    return wins / (2 * len(ours) * len(theirs))


def bound(n: int) -> float:
    return DEVIATIONS * sqrt((2 * n + 1) / (12 * n * n))


@pytest.mark.timeout(300)
def test_no_kind_of_name_takes_longer_than_another(
    names: tuple[Proxy, dict[str, str]],
) -> None:
    proxy, kinds = names
    offered: dict[str, list[float]] = {kind: [] for kind in kinds}
    refused: dict[str, list[float]] = {kind: [] for kind in kinds}
    for turn in range(WARM + ROUNDS):
        order = list(kinds)
        random.shuffle(order)
        for kind in order:
            offered_s, refused_s, _, _ = wrong_login(proxy, kinds[kind])
            if turn >= WARM:
                offered[kind].append(offered_s)
                refused[kind].append(refused_s)
    found = {
        (what, one, other): above(times[one], times[other]) - 0.5
        for what, times in (("offer", offered), ("refusal", refused))
        for one, other in combinations(kinds, 2)
    }
    assert all(abs(each) < bound(ROUNDS) for each in found.values()), found
    known, unknown = refused["known"], refused["unknown"]
    slower = [each + 0.25 * median(unknown) for each in unknown]
    assert above(slower, known) - 0.5 > bound(ROUNDS), "the test is blind"


def test_texts_and_salts_tell_nothing(names: tuple[Proxy, dict[str, str]]) -> None:
    proxy, kinds = names
    told = {}
    for kind, name in kinds.items():
        tries = [wrong_login(proxy, name) for _ in range(3)]
        texts = [{k: v.replace(name, "?") for k, v in one[2].items()} for one in tries]
        assert texts[0] == texts[1] == texts[2]
        salts = {one[3].split(b",")[1] for one in tries}
        assert len(salts) == 1, f"the salt of the {kind} name changes"
        told[kind] = (texts[0], len(salts.pop()), tries[0][3].split(b",")[2])
    assert told["known"] == told["unknown"] == told["disabled"]
