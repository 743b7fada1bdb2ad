"""What is asked for stays, the rest goes."""

from __future__ import annotations

from proxy.generations import Generations


def test_what_is_used_is_kept_and_the_rest_goes() -> None:
    memory: Generations[str, int] = Generations(2)
    for number in range(6):
        memory.put(str(number), number)
        assert memory.get("0") == 0
    assert memory.get("1") is None
    assert memory.get("5") == 5


def test_it_never_holds_more_than_two_generations() -> None:
    memory: Generations[int, int] = Generations(10)
    for number in range(1_000):
        memory.put(number, number)
        memory.get(number // 2)
        assert len(memory) <= 20
