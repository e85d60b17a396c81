"""Turns: straight only where nothing of the same path is before."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qmonus_lite.events import turns
from qmonus_lite.events.turns import MOST_STRAIGHT, Turns


def go(turns: Turns, path: str, event_id: str) -> bool:
    return turns.go(path, event_id, straight=True)


def test_one_event_of_a_path_goes_straight_at_a_time() -> None:
    turns = Turns()

    assert go(turns, "/a", "1") and go(turns, "/b", "2")
    assert not go(turns, "/a", "3")
    turns.end("/a", "1", straight=True)
    assert not go(turns, "/a", "4")
    turns.end("/a", "3", straight=False)
    turns.end("/a", "4", straight=False)
    assert go(turns, "/a", "5")


def test_knows_whether_anything_waits() -> None:
    turns = Turns()
    assert go(turns, "/a", "1") and not turns.anything_waits
    assert not go(turns, "/a", "2")
    assert turns.anything_waits
    turns.end("/a", "2", straight=False)
    assert not turns.anything_waits
    turns.load([], 3)
    assert turns.anything_waits


def test_one_that_has_to_wait_after_all_holds_back_its_path() -> None:
    turns = Turns()
    assert go(turns, "/a", "1")
    turns.queue("/a", "1")

    assert not go(turns, "/a", "2")
    turns.end("/a", "1", straight=False)
    turns.end("/a", "2", straight=False)
    assert go(turns, "/a", "3")


def test_nobody_goes_straight_who_may_not() -> None:
    turns = Turns()

    assert not turns.go("/a", "1", straight=False)
    assert not go(turns, "/a", "2")


def test_what_a_former_process_left_goes_first() -> None:
    turns = Turns()
    turns.load([("/a", "1")], 0)

    assert not go(turns, "/a", "2")
    assert go(turns, "/b", "3")


def test_only_so_many_are_on_their_straight_way() -> None:
    turns = Turns()

    assert all(go(turns, f"/{n}", str(n)) for n in range(MOST_STRAIGHT))
    assert not go(turns, "/one-more", "x")


def test_with_more_waiting_than_are_known_nobody_goes_straight(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(turns, "MOST_KNOWN", 2)
    many = Turns()
    many.load([("/a", "1"), ("/b", "2")], 1)

    assert not go(many, "/c", "3")
    many.end("/unknown", "0", straight=False)
    many.end("/c", "3", straight=False)
    assert go(many, "/d", "4")


@given(st.lists(st.tuples(st.sampled_from("gqe"), st.integers(0, 2)), max_size=40))
def test_no_path_has_a_straight_event_beside_another(steps: list[tuple[str, int]]) -> None:
    turns, count = Turns(), 0
    under_way: dict[str, list[tuple[str, bool]]] = {}
    for step, number in steps:
        path = f"/{number}"
        events = under_way.setdefault(path, [])
        if step == "g":
            count += 1
            straight = go(turns, path, str(count))
            assert not (straight and events)
            events.append((str(count), straight))
        elif events and step == "q" and events[0][1]:
            turns.queue(path, events[0][0])
            events[0] = (events[0][0], False)
        elif events and step == "e":
            event_id, straight = events.pop(0)
            turns.end(path, event_id, straight=straight)
