"""Places for those who have not logged in: shares, and who gives way."""

from __future__ import annotations

from proxy.server.unfinished import NOWHERE, Seat, Unfinished


class Hall:
    """Places, and who was sent away."""

    def __init__(self, most: int, most_per_address: int) -> None:
        self.places = Unfinished(most, most_per_address)
        self.gone: list[str] = []

    def come(self, name: str, address: str) -> Seat | str:
        return self.places.admit(address, lambda: self.gone.append(name))

    def seat(self, name: str, address: str) -> Seat:
        found = self.come(name, address)
        assert isinstance(found, Seat)
        return found


def test_an_address_has_no_more_than_its_share() -> None:
    hall = Hall(10, 3)
    seats = [hall.seat(str(number), "a") for number in range(3)]
    assert hall.come("one more", "a") == "address-places"
    hall.seat("other", "b")
    seats[0].release()
    seats[0].release()
    assert len(hall.places) == 3
    hall.seat("again", "a")


def test_whoever_has_most_makes_room_beginning_with_the_oldest() -> None:
    """Take every place from a few addresses, and hold on to them."""
    hall = Hall(6, 4)
    for number in range(4):
        hall.seat(f"a{number}", "a")
    for number in range(2):
        hall.seat(f"b{number}", "b")
    hall.seat("right", "c")
    assert hall.gone == ["a0"]
    assert hall.come("a4", "a") == "places"
    hall.seat("right too", "c")
    assert hall.gone == ["a0", "a1"]
    assert hall.come("c", "c") == "places"
    assert len(hall.places) == hall.places._most == 6


def test_who_was_proven_gives_way_to_nobody() -> None:
    hall = Hall(3, 3)
    for number in range(3):
        hall.seat(str(number), "a").keep()
    assert hall.come("new", "b") == "places"
    assert hall.gone == []


def test_a_place_goes_along_when_the_address_is_learned() -> None:
    hall = Hall(10, 1)
    behind = [hall.seat(str(number), NOWHERE) for number in range(3)]
    assert behind[0].move("a") is None
    assert behind[1].move("a") == "address-places"
    assert behind[1].address == NOWHERE
    assert behind[2].move("b") is None
    assert len(hall.places) == 3
    for seat in behind:
        seat.release()
    assert len(hall.places) == 0
    hall.seat("new", "a")
