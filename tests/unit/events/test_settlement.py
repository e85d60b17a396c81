"""What is deleted from the log with time, whatever the wall clock is set to."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from qmonus_lite.clock import SteadyClock
from qmonus_lite.events import settlement
from qmonus_lite.events.delivery import Delivery
from qmonus_lite.events.gateway import Gateway
from qmonus_lite.events.log import MAX_DEAD_LETTER_DAYS, EventLog
from qmonus_lite.events.ordering import PathOrder
from qmonus_lite.events.settlement import Settlement
from qmonus_lite.values import changed
from tests.unit.auth.test_tokens import LateClock
from tests.unit.event_logs.events import open_log, pending, states

DAY = 86400.0


def put_dead(log: EventLog, event_id: str, days: float) -> None:
    """A dead letter of an event that is so old."""
    time = LateClock(0).moment() - timedelta(days=days)
    log.prepare([changed(pending(event_id, f"/upload/{event_id}"), time=time)])
    log.commit(event_id).result(10)
    log.dead(event_id, 1, "404").result(10)


def settling(log: EventLog, clock: LateClock) -> Settlement:
    nothing = cast(Any, None)
    delivery = Delivery(
        log=log,
        registry=nothing,
        transport=nothing,
        clock=clock,
        gateway=Gateway(address="127.0.0.1", port=9099, stores={}),
        source="",
        timeout=5,
        max_age=3600.0,
        history=DAY,
    )
    return Settlement(delivery, PathOrder(), SteadyClock(clock), asyncio.get_running_loop())


async def test_a_dead_letter_is_deleted_when_it_is_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settlement, "EXPIRE_DEAD_SECONDS", 0.0)
    log = open_log(tmp_path / "outbox.sqlite3")
    put_dead(log, "old", MAX_DEAD_LETTER_DAYS + 1)
    put_dead(log, "new", MAX_DEAD_LETTER_DAYS - 1)

    await settling(log, LateClock(0)).expire()

    assert states(log) == {"new": "dead"}


async def test_a_clock_that_is_set_forward_deletes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settlement, "EXPIRE_DEAD_SECONDS", 0.0)
    log, clock = open_log(tmp_path / "outbox.sqlite3"), LateClock(0)
    put_dead(log, "dead", 0)
    log.prepare([pending("done", "/upload/done")])
    log.commit("done").result(10)
    log.done(["done"], clock.now()).result(10)
    settled = settling(log, clock)
    clock.seconds = 10 * 365 * DAY

    await settled.expire()

    assert states(log)["dead"] == "dead"
    assert [entry.id for entry in log.list_events("delivered", 9).result(10)] == ["done"]


async def test_a_clock_that_a_machine_started_with_deletes_no_dead_letter(tmp_path: Path) -> None:
    log = open_log(tmp_path / "outbox.sqlite3")
    put_dead(log, "dead", 0)

    await settling(log, LateClock(10 * 365 * DAY)).expire()

    assert states(log) == {"dead": "dead"}
