"""Turns: straight only where nothing of the same path is before."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qmonus_lite.events import ordering
from qmonus_lite.events.ordering import MAX_DIRECT, PathOrder


def go(ordering: PathOrder, path: str, event_id: str) -> bool:
    return ordering.go(path, event_id, direct=True)


def test_one_event_of_a_path_goes_straight_at_a_time() -> None:
    ordering = PathOrder()

    assert go(ordering, "/a", "1") and go(ordering, "/b", "2")
    assert not go(ordering, "/a", "3")
    ordering.end("/a", "1", direct=True)
    assert not go(ordering, "/a", "4")
    ordering.end("/a", "3", direct=False)
    ordering.end("/a", "4", direct=False)
    assert go(ordering, "/a", "5")


def test_knows_whether_anything_waits() -> None:
    ordering = PathOrder()
    assert go(ordering, "/a", "1") and not ordering.anything_waits
    assert not go(ordering, "/a", "2")
    assert ordering.anything_waits
    ordering.end("/a", "2", direct=False)
    assert not ordering.anything_waits
    ordering.load([], 3)
    assert ordering.anything_waits


def test_one_that_has_to_wait_after_all_holds_back_its_path() -> None:
    ordering = PathOrder()
    assert go(ordering, "/a", "1")
    ordering.queue("/a", "1")

    assert not go(ordering, "/a", "2")
    ordering.end("/a", "1", direct=False)
    ordering.end("/a", "2", direct=False)
    assert go(ordering, "/a", "3")


def test_nobody_goes_straight_who_may_not() -> None:
    ordering = PathOrder()

    assert not ordering.go("/a", "1", direct=False)
    assert not go(ordering, "/a", "2")


def test_what_a_former_process_left_goes_first() -> None:
    ordering = PathOrder()
    ordering.load([("/a", "1")], 0)

    assert not go(ordering, "/a", "2")
    assert go(ordering, "/b", "3")


def test_only_so_many_are_on_their_straight_way() -> None:
    ordering = PathOrder()

    assert all(go(ordering, f"/{n}", str(n)) for n in range(MAX_DIRECT))
    assert not go(ordering, "/one-more", "x")


def test_with_more_waiting_than_are_known_nobody_goes_straight(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ordering, "MAX_KNOWN", 2)
    many = PathOrder()
    many.load([("/a", "1"), ("/b", "2")], 1)

    assert not go(many, "/c", "3")
    many.end("/unknown", "0", direct=False)
    many.end("/c", "3", direct=False)
    assert go(many, "/d", "4")


@given(st.lists(st.tuples(st.sampled_from("gqe"), st.integers(0, 2)), max_size=40))
def test_no_path_has_a_straight_event_beside_another(steps: list[tuple[str, int]]) -> None:
    ordering, count = PathOrder(), 0
    under_way: dict[str, list[tuple[str, bool]]] = {}
    for step, number in steps:
        path = f"/{number}"
        events = under_way.setdefault(path, [])
        if step == "g":
            count += 1
            direct = go(ordering, path, str(count))
            assert not (direct and events)
            events.append((str(count), direct))
        elif events and step == "q" and events[0][1]:
            ordering.queue(path, events[0][0])
            events[0] = (events[0][0], False)
        elif events and step == "e":
            event_id, direct = events.pop(0)
            ordering.end(path, event_id, direct=direct)
