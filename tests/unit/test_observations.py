"""Observations reach their listeners, whatever one of them does."""

import logging

import pytest

from qmonus_lite.observations import DeliveryTried, Observation, Observers, ScriptRan

RAN = ScriptRan(plugin="p", script="s", outcome="returned", seconds=0.1)


def test_a_listener_is_called_with_the_values_of_its_class_only() -> None:
    seen: list[Observation] = []
    observers = Observers([(ScriptRan, seen.append)])

    observers.notify(RAN)
    observers.notify(
        DeliveryTried(event_id="e", event="x", attempt=1, outcome="delivered", seconds=0)
    )

    assert seen == [RAN]
    assert observers.wants(ScriptRan)
    assert not observers.wants(DeliveryTried)


def test_a_listener_that_raises_is_logged_and_the_next_is_called(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def failing(_: Observation) -> None:
        raise ValueError("listener")

    seen: list[Observation] = []
    observers = Observers([(ScriptRan, failing), (ScriptRan, seen.append)])

    with caplog.at_level(logging.ERROR):
        observers.notify(RAN)

    assert seen == [RAN]
    assert [record.__dict__["action"] for record in caplog.records] == ["listener_failed"]
