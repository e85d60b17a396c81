"""The dispatcher: from the outbox to the workers, and not a letter lost."""

import asyncio
import contextlib
import json
import sqlite3
from collections.abc import AsyncIterator
from concurrent.futures import Future
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from qmonus_lite.clock import ClockStep
from qmonus_lite.database.database import BUSY_TIMEOUT_SECONDS
from qmonus_lite.events import dispatcher, retry, settlement
from qmonus_lite.events import transport as transport_module
from qmonus_lite.events.delivery import Delivery
from qmonus_lite.events.dispatcher import Dispatcher
from qmonus_lite.events.envelope import OutgoingEvent
from qmonus_lite.events.gateway import Gateway
from qmonus_lite.events.log import EventLogFailed
from qmonus_lite.events.outcome import Outcome
from qmonus_lite.events.retry import Attempt
from qmonus_lite.events.settlement import Settlement
from qmonus_lite.events.stored_event import ClaimedEvent, EventEntry, PendingEvent
from qmonus_lite.events.transport import Broken, Heartbeat, Unreachable
from qmonus_lite.events.workers import Handled
from qmonus_lite.observations import DeliveryTried, Observation, Observers
from qmonus_lite.transports.http import worker_registry
from qmonus_lite.transports.http.signed_client import SignedClient
from qmonus_lite.transports.http.transport import HttpTransport
from qmonus_lite.transports.http.worker_registry import HttpWorkerRegistry
from tests.unit.auth.test_tokens import LateClock
from tests.unit.event_logs.events import open_log
from tests.unit.events.worker_setup import CLOCK, SIGNER, SOURCE, WorkerSetup
from tests.unit.transports.http.test_worker_registry import until

pytestmark = pytest.mark.usefixtures("hasty")

GATEWAY = Gateway(address="127.0.0.1", port=9099, stores={"file": "/srv/"})


class DispatcherSetup:
    """An outbox, a dispatcher, and what arrived at the worker."""

    def __init__(self, path: Path, worker: WorkerSetup, sender: SignedClient) -> None:
        self._file = path / "arrived"
        self._worker = worker
        self._sender = sender
        self.registry = HttpWorkerRegistry([worker.endpoint], sender, SOURCE)
        self.log = open_log(path / "outbox.sqlite3")
        self.max_age = 3600.0
        self.clock = LateClock(0)
        #: What was observed.
        self.tried: list[Observation] = []
        self._following = asyncio.get_running_loop().create_task(self.registry.follow())
        self._dispatcher: Dispatcher | None = None

    @property
    def arrived(self) -> list[str]:
        return self._file.read_text().splitlines() if self._file.exists() else []

    def handler(self, name: str, event: str, *lines: str) -> None:
        note = f"with open({str(self._file)!r}, 'a') as f: f.write(event['name'] + '\\n')"
        lines = (*lines, note)
        self._worker.handler(name, event, "\n      ".join(lines))

    async def reload(self) -> None:
        """Have the worker load its plugins, and say so."""
        await self._worker.live.reload()
        await until(lambda: self.registry.handled("E") is Handled.HANDLED)

    async def follow(self, *endpoints: str) -> None:
        """Have these workers, all of which answer."""
        self._following.cancel()
        await asyncio.gather(self._following, return_exceptions=True)
        self.registry = HttpWorkerRegistry(endpoints, self._sender, SOURCE)
        self._following = asyncio.get_running_loop().create_task(self.registry.follow())
        await until(lambda: len(self.registry.known.live) == len(endpoints))

    def start(self) -> None:
        self.transport = HttpTransport(SignedClient(SIGNER), self.registry)
        self._dispatcher = Dispatcher(
            Delivery(
                log=self.log,
                registry=self.registry,
                transport=self.transport,
                clock=self.clock,
                gateway=GATEWAY,
                source=SOURCE,
                timeout=5,
                max_age=self.max_age,
                observers=Observers([(DeliveryTried, self.tried.append)]),
            )
        )
        self.registry.on_ready(self._dispatcher.wake)
        self._dispatcher.start()

    def put(self, event_id: str, path: str = "/a", event: str = "E") -> None:
        """Promise an event, let it go, and wake the dispatcher."""
        self._prepared(event_id, path, event)
        self.log.commit(event_id)
        if self._dispatcher is not None:
            self._dispatcher.wake()

    def commit(self, event_id: str, path: str = "/a") -> bool:
        """What the commit of an upload does; whether the event went straight to the worker."""
        assert self._dispatcher is not None
        seq, pending = self._prepared(event_id, path, "E")
        if self._dispatcher.take(seq, pending):
            return True
        self.log.commit(event_id).add_done_callback(lambda _: self.wake())
        return False

    def wake(self) -> None:
        if self._dispatcher is not None:
            self._dispatcher.wake()

    def _prepared(self, event_id: str, path: str, event: str) -> tuple[int, PendingEvent]:
        pending = PendingEvent(
            id=event_id,
            type=event,
            path=path,
            time=datetime.now(UTC),
            data=json.dumps({"name": event_id}),
            store="file",
            store_path=path[1:],
            gateway="g1",
            token="s",
        )
        [seq] = self.log.prepare([pending])
        assert isinstance(seq, int)
        return seq, pending

    def entries(self) -> list[EventEntry]:
        return self.log.list_events("", 1000).result(10)

    async def delivered(self) -> None:
        await until(lambda: self.entries() == [], 10)

    async def stop(self) -> None:
        if self._dispatcher is not None:
            await asyncio.to_thread(self._dispatcher.stop)
            self._dispatcher = None

    async def close(self) -> None:
        await self.stop()
        self._following.cancel()
        await asyncio.gather(self._following, return_exceptions=True)
        self.log.close()


@pytest.fixture
async def setup(
    worker: WorkerSetup, tmp_path: Path, sender: SignedClient, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[DispatcherSetup]:
    """A dispatcher with a worker that is up; its waits are short."""
    monkeypatch.setattr(dispatcher, "POLL_SECONDS", 0.1)
    monkeypatch.setattr(settlement, "POLL_SECONDS", 0.1)
    monkeypatch.setattr(settlement, "NO_WORKER_DELAY_SECONDS", 0.025)
    monkeypatch.setattr(retry, "FIRST_DELAY_SECONDS", 0.02)
    monkeypatch.setattr(worker_registry, "RECONNECT_SECONDS", 0.05)
    await worker.start()
    setup = DispatcherSetup(tmp_path, worker, sender)
    await until(lambda: setup.registry.ready)
    yield setup
    await setup.close()


async def test_delivers_an_event_and_forgets_it(
    setup: DispatcherSetup, worker: WorkerSetup
) -> None:
    setup.handler("h", "E")
    await setup.reload()
    setup.start()
    setup.put("e1")
    await setup.delivered()

    assert setup.arrived == ["e1"]


async def test_delivers_what_was_there_before_it_began(
    setup: DispatcherSetup, worker: WorkerSetup
) -> None:
    setup.handler("h", "E")
    await setup.reload()
    setup.put("e1")
    setup.start()
    await setup.delivered()

    assert setup.arrived == ["e1"]


async def test_an_event_that_nobody_handles_is_delivered(setup: DispatcherSetup) -> None:
    setup.start()
    setup.put("e1")

    await setup.delivered()


async def test_keeps_the_order_of_a_path(setup: DispatcherSetup, worker: WorkerSetup) -> None:
    setup.handler("h", "E", "import random", "await asyncio.sleep(random.random() / 100)")
    setup.handler("i", "F")
    await setup.reload()
    setup.start()
    for n in range(20):
        setup.put(f"a{n}", "/a", "E" if n % 2 else "F")
        setup.put(f"b{n}", "/b", "F")
    await setup.delivered()

    for path in "ab":
        names = [name for name in setup.arrived if name.startswith(path)]
        assert names == [f"{path}{n}" for n in range(20)]


async def test_events_that_waited_at_one_path_are_claimed_together(
    setup: DispatcherSetup, worker: WorkerSetup, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup.handler("h", "E")
    await setup.reload()
    for n in range(100):
        setup.put(f"e{n}", "/hot")
    claims: list[int] = []
    claim = setup.log.claim

    def counted(*args: Any, **kwargs: Any) -> Any:
        claims.append(1)
        return claim(*args, **kwargs)

    monkeypatch.setattr(setup.log, "claim", counted)
    setup.start()
    await setup.delivered()

    assert setup.arrived == [f"e{n}" for n in range(100)]
    assert len(claims) < 30


async def test_a_refused_event_holds_up_those_claimed_behind_it(
    setup: DispatcherSetup, worker: WorkerSetup
) -> None:
    flag = worker.folder.path / "ready"
    code = f"if event['name'] == 'e3' and not os.path.exists({str(flag)!r}): raise Error(503, 'no')"
    setup.handler("h", "E", "import os", code)
    await setup.reload()
    for n in range(10):
        setup.put(f"e{n}", "/hot")
    setup.start()
    await until(lambda: any(entry.attempt > 2 for entry in setup.entries()))
    assert setup.arrived == ["e0", "e1", "e2"]
    # They are claimed again behind each attempt, and never count as sent.
    assert max(entry.attempt for entry in setup.entries()[1:]) <= 1
    flag.touch()
    await setup.delivered()

    assert setup.arrived == [f"e{n}" for n in range(10)]


async def test_a_slow_path_holds_up_no_other(setup: DispatcherSetup, worker: WorkerSetup) -> None:
    setup.handler("h", "Slow", "await asyncio.sleep(0.5)")
    setup.handler("i", "E")
    await setup.reload()
    setup.start()
    setup.put("s", "/slow", "Slow")
    for n in range(10):
        setup.put(f"e{n}", f"/{n}")
    await until(lambda: len(setup.arrived) == 10, 0.4)

    assert "s" not in setup.arrived
    await setup.delivered()


async def test_tries_again_until_it_goes_well(setup: DispatcherSetup, worker: WorkerSetup) -> None:
    flag = worker.folder.path / "ready"
    setup.handler(
        "h", "E", "import os", f"if not os.path.exists({str(flag)!r}): raise Error(503, 'not now')"
    )
    await setup.reload()
    setup.start()
    setup.put("e1")
    await until(lambda: any(entry.attempt > 2 for entry in setup.entries()))
    [entry] = setup.entries()
    assert entry.reason == "503: not now"
    flag.touch()

    await setup.delivered()
    assert setup.arrived == ["e1"]


async def test_gives_up_what_will_never_go_well(
    setup: DispatcherSetup, worker: WorkerSetup
) -> None:
    setup.handler("h", "E", "raise Error(422, 'never')")
    await setup.reload()
    setup.start()
    setup.put("e1")
    await until(lambda: [entry.state for entry in setup.entries()] == ["dead"])

    [entry] = setup.entries()
    assert (entry.attempt, entry.reason) == (1, "422: never")


async def test_gives_up_what_is_too_old(setup: DispatcherSetup, worker: WorkerSetup) -> None:
    setup.handler("h", "E", "raise Error(503)")
    await setup.reload()
    setup.max_age = 0.05
    setup.start()
    setup.put("e1")
    await until(lambda: [entry.state for entry in setup.entries()] == ["dead"])

    assert setup.entries()[0].reason.startswith("older than 0.05 s")


async def test_a_poisoned_event_lets_the_next_one_go(
    setup: DispatcherSetup, worker: WorkerSetup
) -> None:
    setup.handler("h", "Poison", "raise Error(400)")
    setup.handler("i", "E")
    await setup.reload()
    setup.start()
    setup.put("p", "/a", "Poison")
    setup.put("e", "/a", "E")

    await until(lambda: [entry.id for entry in setup.entries()] == ["p"])
    assert setup.arrived == ["e"]


@pytest.mark.parametrize("seconds", [-7200.0, 7200.0])
async def test_a_step_of_the_clock_changes_neither_due_times_nor_ages(
    setup: DispatcherSetup,
    worker: WorkerSetup,
    caplog: pytest.LogCaptureFixture,
    seconds: float,
) -> None:
    """Forward, events would be too old at once; backward, wait for these two hours."""
    flag = worker.folder.path / "ready"
    line = f"if not os.path.exists({str(flag)!r}): raise Error(503)"
    setup.handler("h", "E", "import os", line)
    setup.handler("slow", "Slow", "await asyncio.sleep(0.3)", "raise Error(503)")
    await setup.reload()
    setup.start()
    assert setup.commit("direct")
    setup.put("in-progress", "/b", "Slow")
    setup.put("later", "/c", "E")
    await until(lambda: [entry.attempt > 0 for entry in setup.entries()] == [True] * 3)
    setup.clock.seconds = seconds
    await until(lambda: "clock_set" in {vars(r).get("action") for r in caplog.records})
    attempts = {entry.id: entry.attempt for entry in setup.entries()}
    await until(lambda: all(entry.attempt > attempts[entry.id] for entry in setup.entries()))

    assert {entry.state for entry in setup.entries()} <= {"ready", "sending"}
    now = setup.clock.now()
    assert all(entry.next_at < now + 5 + 61 for entry in setup.entries())
    flag.touch()
    await until(lambda: setup.arrived and {"direct", "later"} <= set(setup.arrived))


async def test_what_an_earlier_process_left_waits_no_longer_than_a_retry(
    setup: DispatcherSetup,
) -> None:
    """The clock was set back while no process ran."""
    setup.put("e1")
    setup.log.retry("e1", 1, CLOCK.now() + 7200, "later").result(10)
    setup.start()

    [entry] = setup.entries()
    assert entry.next_at <= CLOCK.now() + retry.MAX_DELAY_SECONDS


async def test_a_step_of_the_clock_that_the_log_cannot_take_is_tried_again(
    setup: DispatcherSetup, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup.handler("h", "E", "raise Error(503)")
    await setup.reload()
    setup.start()
    setup.put("e1")
    follow_clock, failures = setup.log.follow_clock, [EventLogFailed("disk full")]

    def fail_once(step: ClockStep, max_wait: float) -> "Future[int]":
        if not failures:
            return follow_clock(step, max_wait)
        failed: Future[int] = Future()
        failed.set_exception(failures.pop())
        return failed

    monkeypatch.setattr(setup.log, "follow_clock", fail_once)
    setup.clock.seconds = -7200
    await until(lambda: "outbox_failed" in {vars(r).get("action") for r in caplog.records})
    [before] = setup.entries()
    await until(lambda: [e.attempt > before.attempt + 1 for e in setup.entries()] == [True])

    assert setup.entries()[0].next_at < setup.clock.now() + 5 + 61


async def test_waits_for_a_worker_without_counting_attempts(
    setup: DispatcherSetup, worker: WorkerSetup
) -> None:
    setup.handler("h", "E")
    await worker.stop()
    await until(lambda: not setup.registry.ready)
    setup.start()
    setup.put("e1")
    await asyncio.sleep(0.3)
    assert [(entry.state, entry.attempt) for entry in setup.entries()] == [("ready", 0)]

    await worker.start()
    await setup.delivered()
    assert setup.arrived == ["e1"]


async def test_delivers_again_under_the_same_id_after_a_stop(
    setup: DispatcherSetup, worker: WorkerSetup
) -> None:
    setup.handler("h", "E", "await asyncio.sleep(0.3)")
    await setup.reload()
    setup.start()
    setup.put("e1")
    await until(lambda: worker.handlers.running)
    await setup.stop()
    assert [entry.state for entry in setup.entries()] == ["sending"]
    setup.log.release()
    setup.start()
    await setup.delivered()

    # The worker knows the id: its handler ran once.
    assert setup.arrived == ["e1"]


async def test_goes_on_after_the_outbox_failed(
    setup: DispatcherSetup,
    worker: WorkerSetup,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Another process holds the database for longer than we wait."""
    assert BUSY_TIMEOUT_SECONDS > 1
    setup.handler("h", "E")
    await setup.reload()
    setup.log.close()
    monkeypatch.setattr("qmonus_lite.database.database.BUSY_TIMEOUT_SECONDS", 0.05)
    setup.log = open_log(tmp_path / "outbox.sqlite3")
    setup.put("e1")
    setup.log.retry("e1", 0, CLOCK.now() + 0.3, "later").result(10)
    setup.start()
    blocker = sqlite3.connect(tmp_path / "outbox.sqlite3", isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    await until(lambda: "outbox_failed" in {vars(r).get("action") for r in caplog.records})
    blocker.execute("COMMIT")
    blocker.close()

    await setup.delivered()
    assert setup.arrived == ["e1"]


async def test_goes_on_after_a_row_that_it_cannot_read(
    setup: DispatcherSetup, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    setup.handler("h", "E")
    await setup.reload()
    setup.put("e1")
    with contextlib.closing(sqlite3.connect(tmp_path / "outbox.sqlite3")) as database, database:
        database.execute("UPDATE event SET time = 'never'")
    setup.start()
    await until(lambda: "outbox_failed" in {vars(r).get("action") for r in caplog.records})
    assert setup.commit("e2", "/b")

    await until(lambda: setup.arrived == ["e2"])


async def test_a_delivery_that_breaks_off_is_tried_again(
    setup: DispatcherSetup, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    setup.handler("h", "E")
    await setup.reload()
    setup.start()
    ask, failures = setup.transport.ask, [ValueError("broken")]

    async def fail_once(
        event: OutgoingEvent, timeout: float, heartbeat: Heartbeat | None
    ) -> Outcome | Unreachable | Broken:
        if failures:
            raise failures.pop()
        return await ask(event, timeout, heartbeat)

    monkeypatch.setattr(setup.transport, "ask", fail_once)
    assert setup.commit("e1")
    setup.commit("e2")

    await setup.delivered()
    assert setup.arrived == ["e1", "e2"]
    assert "delivery_failed" in {vars(record).get("action") for record in caplog.records}


async def test_an_event_whose_result_cannot_be_stored_is_tried_again_and_frees_those_behind_it(
    setup: DispatcherSetup, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    setup.handler("h", "E")
    await setup.reload()
    settle, failures = Settlement.settle, {"e3": 1, "e6": 2}

    async def fail(
        self: Settlement,
        event: ClaimedEvent,
        attempt: Attempt | None,
        seconds: float,
        *,
        batched: bool = False,
    ) -> bool:
        if failures.get(event.id):
            failures[event.id] -= 1
            raise ValueError("broken")
        return await settle(self, event, attempt, seconds, batched=batched)

    monkeypatch.setattr(Settlement, "settle", fail)
    for n in range(10):
        setup.put(f"e{n}", "/hot")
    setup.start()

    # e3 is retried like a failed delivery. The result of e6 is not stored until its lease ends.
    await until(lambda: not any(failures.values()))
    expected = [("e6", "sending"), ("e7", "ready"), ("e8", "ready"), ("e9", "ready")]
    await until(lambda: [(entry.id, entry.state) for entry in setup.entries()] == expected)

    # The worker runs a handler once for the two deliveries of e3.
    assert setup.arrived == [f"e{n}" for n in range(7)]
    assert [entry.attempt for entry in setup.entries()[1:]] == [0, 0, 0]
    failed = [record for record in caplog.records if record.getMessage() == "delivery failed"]
    assert len(failed) == 3


async def test_waking_it_after_the_stop_harms_nobody(setup: DispatcherSetup) -> None:
    setup.start()
    running = setup._dispatcher
    assert running is not None
    await setup.stop()

    running.wake()


async def test_delivers_many_at_once(setup: DispatcherSetup, worker: WorkerSetup) -> None:
    setup.handler("h", "E")
    await setup.reload()
    for n in range(150):
        setup.put(f"e{n}", f"/{n}")
    setup.start()
    await setup.delivered()

    assert sorted(setup.arrived) == sorted(f"e{n}" for n in range(150))


# Straight from the commit.


async def test_an_event_goes_straight_from_its_commit(setup: DispatcherSetup) -> None:
    setup.handler("h", "E")
    await setup.reload()
    setup.start()

    assert setup.commit("e1")
    await setup.delivered()
    assert setup.arrived == ["e1"]


async def test_what_comes_behind_waits_and_keeps_the_order(setup: DispatcherSetup) -> None:
    setup.handler("h", "E", "await asyncio.sleep(0.05)")
    await setup.reload()
    setup.start()

    assert [setup.commit(f"e{n}") for n in range(5)] == [True, False, False, False, False]
    assert setup.commit("other", "/b")
    await setup.delivered()
    assert [name for name in setup.arrived if name != "other"] == [f"e{n}" for n in range(5)]


async def test_while_no_worker_answers_events_wait_in_the_outbox(
    setup: DispatcherSetup, worker: WorkerSetup
) -> None:
    setup.handler("h", "E")
    await setup.reload()
    setup.start()
    await worker.stop()
    await until(lambda: not setup.registry.ready)

    assert not setup.commit("e1")
    assert [entry.attempt for entry in setup.entries()] == [0]
    await worker.start()
    await setup.delivered()
    assert setup.arrived == ["e1"]


async def test_a_straight_event_that_failed_is_tried_again_before_later_ones(
    setup: DispatcherSetup, tmp_path: Path
) -> None:
    fail = f"import pathlib; p = pathlib.Path({str(tmp_path / 'tried')!r})"
    once = "if event['name'] == 'e1' and not p.exists(): p.touch(); raise Error(503, 'not yet')"
    setup.handler("h", "E", fail, once)
    await setup.reload()
    setup.start()

    assert setup.commit("e1")
    await until((tmp_path / "tried").exists)
    setup.commit("e2")
    await setup.delivered()
    assert setup.arrived == ["e1", "e2"]


async def test_a_straight_event_that_takes_long_is_shown_as_being_sent(
    setup: DispatcherSetup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport_module, "HEARTBEAT_SECONDS", 0.05)
    setup.handler("h", "E", "await asyncio.sleep(0.5)")
    await setup.reload()
    setup.start()
    assert setup.commit("e1")

    await until(
        lambda: [(entry.state, entry.attempt) for entry in setup.entries()] == [("sending", 1)]
    )
    await setup.delivered()


async def test_a_dead_straight_event_is_kept_and_blocks_nobody(setup: DispatcherSetup) -> None:
    setup.handler("h", "E", "if event['name'] == 'e1': raise Error(404, 'never')")
    await setup.reload()
    setup.start()
    assert setup.commit("e1")
    await until(lambda: [entry.state for entry in setup.entries()] == ["dead"])

    assert setup.commit("e2")
    await until(lambda: setup.arrived == ["e2"])


async def test_what_waited_at_the_start_goes_before_what_comes(setup: DispatcherSetup) -> None:
    setup.handler("h", "E", "await asyncio.sleep(0.05)")
    await setup.reload()
    setup.put("e1")
    setup.log.next_due(0).result(10)
    setup.start()

    assert not setup.commit("e2")
    await setup.delivered()
    assert setup.arrived == ["e1", "e2"]


async def test_a_stop_leaves_a_straight_event_to_the_next_start(
    setup: DispatcherSetup, worker: WorkerSetup
) -> None:
    setup.handler("h", "E", "await asyncio.sleep(0.3)")
    await setup.reload()
    setup.start()
    assert setup.commit("e1")
    await until(lambda: worker.handlers.running)
    await setup.stop()
    # As the recovery of a start does it.
    assert [entry.id for entry in setup.log.in_doubt()] == ["e1"]
    setup.log.commit("e1", attempt=1).result(10)
    setup.start()
    await setup.delivered()

    assert setup.arrived == ["e1"]


# Workers with different plugins, and workers that are lost.


async def test_an_event_waits_for_the_worker_that_handles_it_and_holds_up_no_other(
    setup: DispatcherSetup, worker: WorkerSetup, tmp_path: Path
) -> None:
    (tmp_path / "two").mkdir()
    other = WorkerSetup(tmp_path / "two")
    await other.start()
    other.handler("o", "Elsewhere", "open(event['name'], 'w').close()")
    await other.live.reload()
    setup.handler("h", "E")
    await setup.reload()
    await setup.follow(worker.endpoint, other.endpoint)
    setup.start()
    mark = str(tmp_path / "mark")
    setup.put(mark, "/o", "Elsewhere")
    await until(lambda: (tmp_path / "mark").exists())
    await setup.delivered()

    await other.stop()
    await until(lambda: len(setup.registry.known.live) == 1)
    later = str(tmp_path / "later")
    for n in range(300):
        setup.put(f"{tmp_path}/gone-{n}", f"/gone/{n}", "Elsewhere")
    setup.put(later, "/o", "Elsewhere")
    setup.put("e1", "/e")
    await until(lambda: setup.arrived == ["e1"])
    await asyncio.sleep(0.3)
    assert {entry.attempt for entry in setup.entries()} == {0}
    assert len(setup.entries()) == 301

    await other.start()
    await setup.delivered()
    assert (tmp_path / "later").exists()
    await other.close()


async def test_deliveries_under_way_at_a_lost_worker_are_tried_again(
    setup: DispatcherSetup, worker: WorkerSetup
) -> None:
    flag = worker.folder.path / "second"
    setup.handler(
        "h", "E", "import os", f"if not os.path.exists({str(flag)!r}): await asyncio.sleep(4)"
    )
    await setup.reload()
    setup.start()
    setup.put("e1")
    await until(lambda: worker.handlers.running)

    assert setup.transport.abandon(worker.endpoint) == 1
    await until(lambda: "the worker is lost" in setup.entries()[0].reason)
    flag.touch()


# What is observed.


async def test_each_attempt_is_observed_with_its_outcome(
    setup: DispatcherSetup, worker: WorkerSetup
) -> None:
    flag = worker.folder.path / "second"
    code = f"if event['name'] == 'bad': raise Error(422, 'never')\n      p = {str(flag)!r}"
    once = "if not os.path.exists(p): open(p, 'w').close(); raise Error(503, 'not yet')"
    setup.handler("h", "E", "import os", code, once)
    await setup.reload()
    setup.start()
    setup.put("bad", "/bad")
    setup.put("good", "/good")
    await until(lambda: len(setup.tried) == 3)

    tried = [entry for entry in setup.tried if isinstance(entry, DeliveryTried)]
    assert sorted((entry.event_id, entry.attempt, entry.outcome) for entry in tried) == [
        ("bad", 1, "dead"),
        ("good", 1, "retry"),
        ("good", 2, "delivered"),
    ]
    assert {entry.event for entry in tried} == {"E"}
    assert all(0 < entry.seconds < 5 for entry in tried)


async def test_an_attempt_that_reached_no_worker_is_none(
    setup: DispatcherSetup, worker: WorkerSetup
) -> None:
    setup.handler("h", "E")
    await setup.reload()
    await worker.stop()
    setup.start()
    setup.put("e1")
    await asyncio.sleep(0.2)
    assert setup.tried == []

    await worker.start()
    await setup.delivered()
    assert len(setup.tried) == 1
