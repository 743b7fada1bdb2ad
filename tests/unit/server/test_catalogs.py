from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from typing_extensions import override

from proxy.catalog.model import Catalog
from proxy.catalog.resolve import Resolver
from proxy.metrics import Metrics
from proxy.server.catalogs import MOST_DATABASES, Catalogs
from proxy.server.tasks import Tasks


class Failing(Catalogs):
    """Every look fails in a way that nobody foresaw."""

    looks = 0

    @override
    async def _renew(self, database: str, known: Any) -> Any:
        self.looks += 1
        raise ZeroDivisionError(database)


def made(kind: type[Catalogs] = Catalogs) -> Catalogs:
    return kind(
        cast("Any", None),
        tasks=Tasks(),
        metrics=Metrics(version="0", started=0.0),
        clock=lambda: 0.0,
        login=lambda: None,
    )


async def test_whatever_fails_keeps_no_one_out_and_is_tried_again() -> None:
    catalogs = made(Failing)
    await catalogs.ready(catalogs.begin("shop"))
    assert catalogs.resolver("shop") is None
    following = asyncio.get_running_loop().create_task(catalogs.follow(0.01))
    await asyncio.sleep(0.1)
    assert not following.done()
    assert cast("Failing", catalogs).looks > 2
    following.cancel()
    with pytest.raises(asyncio.CancelledError):
        await following


async def test_a_database_that_is_forgotten_is_judged_strictly() -> None:
    catalogs = made(Failing)
    changed: list[str] = []
    catalogs.changed = changed.append
    await catalogs.begin("first")
    known = catalogs._known["first"]
    known.resolver = Resolver(Catalog("first", "17.10"))
    assert catalogs.resolver("first") is not None
    for number in range(MOST_DATABASES):
        await catalogs.begin(f"other_{number}")
    assert catalogs.resolver("first") is None
    assert changed == ["first"]
