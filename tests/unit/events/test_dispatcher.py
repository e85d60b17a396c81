"""The dispatcher: from the outbox to the workers, and not a letter lost."""

import asyncio
import contextlib
import json
import sqlite3
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from qmonus_lite.events import dispatcher, retry
from qmonus_lite.events import transport as transport_module
from qmonus_lite.events.database import BUSY_TIMEOUT_SECONDS
from qmonus_lite.events.delivery import Delivery
from qmonus_lite.events.dispatcher import Dispatcher
from qmonus_lite.events.envelope import OutgoingEvent
from qmonus_lite.events.outbox import EventEntry, Outbox, PendingEvent, entry
from qmonus_lite.events.outcome import Outcome
from qmonus_lite.events.transport import Broken, Heartbeat, Unreachable
from qmonus_lite.events.workers import Handled
from qmonus_lite.transports.http import worker_registry
from qmonus_lite.transports.http.signed_client import SignedClient
from qmonus_lite.transports.http.transport import HttpTransport
from qmonus_lite.transports.http.worker_registry import HttpWorkerRegistry
from tests.unit.events.stage import CLOCK, SIGNER, SOURCE, WorkerStage
from tests.unit.transports.http.test_worker_registry import until

pytestmark = pytest.mark.usefixtures("hasty")


class Post:
    """An outbox, a dispatcher, and what arrived at the worker."""

    def __init__(self, path: Path, worker: WorkerStage, sender: SignedClient) -> None:
        self._file = path / "arrived"
        self._worker = worker
        self._sender = sender
        self.registry = HttpWorkerRegistry([worker.endpoint], sender, SOURCE)
        self.outbox = Outbox(path / "outbox.sqlite3")
        self.max_age = 3600.0
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
                outbox=self.outbox,
                registry=self.registry,
                transport=self.transport,
                clock=CLOCK,
                source=SOURCE,
                timeout=5,
                max_age=self.max_age,
            )
        )
        self.registry.on_ready(self._dispatcher.wake)
        self._dispatcher.start()

    def post(self, event_id: str, path: str = "/a", event: str = "E") -> None:
        """Promise an event, let it go, and wake the dispatcher."""
        self._promise(event_id, path, event)
        self.outbox.ready(event_id)
        if self._dispatcher is not None:
            self._dispatcher.wake()

    def commit(self, event_id: str, path: str = "/a") -> bool:
        """What the commit of an upload does; whether the event went straight to the worker."""
        assert self._dispatcher is not None
        seq, promise = self._promise(event_id, path, "E")
        if self._dispatcher.take(seq, promise):
            return True
        self.outbox.ready(event_id).add_done_callback(lambda _: self.wake())
        return False

    def wake(self) -> None:
        if self._dispatcher is not None:
            self._dispatcher.wake()

    def _promise(self, event_id: str, path: str, event: str) -> tuple[int, PendingEvent]:
        promise = PendingEvent(
            id=event_id,
            type=event,
            path=path,
            time=datetime.now(UTC),
            data=json.dumps({"name": event_id}),
            token="s",
            final="f",
        )
        [seq] = self.outbox.prepare([promise])
        assert isinstance(seq, int)
        return seq, promise

    def entries(self) -> list[EventEntry]:
        return [entry(row) for row in self.outbox.listing("", 1000).result(10)]

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
        self.outbox.close()


@pytest.fixture
async def post(
    worker: WorkerStage, tmp_path: Path, sender: SignedClient, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Post]:
    """A post office with a worker that is up; its waits are short."""
    monkeypatch.setattr(dispatcher, "POLL_SECONDS", 0.1)
    monkeypatch.setattr(retry, "FIRST_DELAY_SECONDS", 0.02)
    monkeypatch.setattr(worker_registry, "RECONNECT_SECONDS", 0.05)
    await worker.start()
    post = Post(tmp_path, worker, sender)
    await until(lambda: post.registry.ready)
    yield post
    await post.close()


async def test_delivers_an_event_and_forgets_it(post: Post, worker: WorkerStage) -> None:
    post.handler("h", "E")
    await post.reload()
    post.start()
    post.post("e1")
    await post.delivered()

    assert post.arrived == ["e1"]


async def test_delivers_what_was_there_before_it_began(post: Post, worker: WorkerStage) -> None:
    post.handler("h", "E")
    await post.reload()
    post.post("e1")
    post.start()
    await post.delivered()

    assert post.arrived == ["e1"]


async def test_an_event_that_nobody_handles_is_delivered(post: Post) -> None:
    post.start()
    post.post("e1")

    await post.delivered()


async def test_keeps_the_order_of_a_path(post: Post, worker: WorkerStage) -> None:
    post.handler("h", "E", "import random", "await asyncio.sleep(random.random() / 100)")
    post.handler("i", "F")
    await post.reload()
    post.start()
    for n in range(20):
        post.post(f"a{n}", "/a", "E" if n % 2 else "F")
        post.post(f"b{n}", "/b", "F")
    await post.delivered()

    for path in "ab":
        names = [name for name in post.arrived if name.startswith(path)]
        assert names == [f"{path}{n}" for n in range(20)]


async def test_a_slow_path_holds_up_no_other(post: Post, worker: WorkerStage) -> None:
    post.handler("h", "Slow", "await asyncio.sleep(0.5)")
    post.handler("i", "E")
    await post.reload()
    post.start()
    post.post("s", "/slow", "Slow")
    for n in range(10):
        post.post(f"e{n}", f"/{n}")
    await until(lambda: len(post.arrived) == 10, 0.4)

    assert "s" not in post.arrived
    await post.delivered()


async def test_tries_again_until_it_goes_well(post: Post, worker: WorkerStage) -> None:
    flag = worker.folder.path / "ready"
    post.handler(
        "h", "E", "import os", f"if not os.path.exists({str(flag)!r}): raise Error(503, 'not now')"
    )
    await post.reload()
    post.start()
    post.post("e1")
    await until(lambda: any(one.attempt > 2 for one in post.entries()))
    [one] = post.entries()
    assert one.reason == "503: not now"
    flag.touch()

    await post.delivered()
    assert post.arrived == ["e1"]


async def test_gives_up_what_will_never_go_well(post: Post, worker: WorkerStage) -> None:
    post.handler("h", "E", "raise Error(422, 'never')")
    await post.reload()
    post.start()
    post.post("e1")
    await until(lambda: [one.state for one in post.entries()] == ["dead"])

    [one] = post.entries()
    assert (one.attempt, one.reason) == (1, "422: never")


async def test_gives_up_what_is_too_old(post: Post, worker: WorkerStage) -> None:
    post.handler("h", "E", "raise Error(503)")
    await post.reload()
    post.max_age = 0.05
    post.start()
    post.post("e1")
    await until(lambda: [one.state for one in post.entries()] == ["dead"])

    assert post.entries()[0].reason.startswith("older than 0.05 s")


async def test_a_poisoned_event_lets_the_next_one_go(post: Post, worker: WorkerStage) -> None:
    post.handler("h", "Poison", "raise Error(400)")
    post.handler("i", "E")
    await post.reload()
    post.start()
    post.post("p", "/a", "Poison")
    post.post("e", "/a", "E")

    await until(lambda: [one.id for one in post.entries()] == ["p"])
    assert post.arrived == ["e"]


async def test_waits_for_a_worker_without_counting_attempts(
    post: Post, worker: WorkerStage
) -> None:
    post.handler("h", "E")
    await worker.stop()
    await until(lambda: not post.registry.ready)
    post.start()
    post.post("e1")
    await asyncio.sleep(0.3)
    assert [(one.state, one.attempt) for one in post.entries()] == [("ready", 0)]

    await worker.start()
    await post.delivered()
    assert post.arrived == ["e1"]


async def test_delivers_again_under_the_same_id_after_a_stop(
    post: Post, worker: WorkerStage
) -> None:
    post.handler("h", "E", "await asyncio.sleep(0.3)")
    await post.reload()
    post.start()
    post.post("e1")
    await until(lambda: worker.handlers.running)
    await post.stop()
    assert [one.state for one in post.entries()] == ["sending"]
    post.outbox.release()
    post.start()
    await post.delivered()

    # The worker knows the id: its handler ran once.
    assert post.arrived == ["e1"]


async def test_goes_on_after_the_outbox_failed(
    post: Post,
    worker: WorkerStage,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Another process holds the database for longer than we wait."""
    assert BUSY_TIMEOUT_SECONDS > 1
    post.handler("h", "E")
    await post.reload()
    post.outbox.close()
    monkeypatch.setattr("qmonus_lite.events.database.BUSY_TIMEOUT_SECONDS", 0.05)
    post.outbox = Outbox(tmp_path / "outbox.sqlite3")
    post.post("e1")
    post.outbox.retry("e1", 0, CLOCK.now() + 0.3, "later").result(10)
    post.start()
    blocker = sqlite3.connect(tmp_path / "outbox.sqlite3", isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    await until(lambda: "outbox_failed" in {vars(r).get("action") for r in caplog.records})
    blocker.execute("COMMIT")
    blocker.close()

    await post.delivered()
    assert post.arrived == ["e1"]


async def test_goes_on_after_a_row_that_it_cannot_read(
    post: Post, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    post.handler("h", "E")
    await post.reload()
    post.post("e1")
    with contextlib.closing(sqlite3.connect(tmp_path / "outbox.sqlite3")) as database, database:
        database.execute("UPDATE event SET time = 'never'")
    post.start()
    await until(lambda: "dispatcher_failed" in {vars(r).get("action") for r in caplog.records})
    assert post.commit("e2", "/b")

    await until(lambda: post.arrived == ["e2"])


async def test_a_delivery_that_breaks_off_is_tried_again(
    post: Post, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    post.handler("h", "E")
    await post.reload()
    post.start()
    ask, failures = post.transport.ask, [ValueError("broken")]

    async def fail_once(
        event: OutgoingEvent, timeout: float, heartbeat: Heartbeat | None
    ) -> Outcome | Unreachable | Broken:
        if failures:
            raise failures.pop()
        return await ask(event, timeout, heartbeat)

    monkeypatch.setattr(post.transport, "ask", fail_once)
    assert post.commit("e1")
    post.commit("e2")

    await post.delivered()
    assert post.arrived == ["e1", "e2"]
    assert "delivery_failed" in {vars(record).get("action") for record in caplog.records}


async def test_waking_it_after_the_stop_harms_nobody(post: Post) -> None:
    post.start()
    running = post._dispatcher
    assert running is not None
    await post.stop()

    running.wake()


async def test_delivers_many_at_once(post: Post, worker: WorkerStage) -> None:
    post.handler("h", "E")
    await post.reload()
    for n in range(150):
        post.post(f"e{n}", f"/{n}")
    post.start()
    await post.delivered()

    assert sorted(post.arrived) == sorted(f"e{n}" for n in range(150))


# Straight from the commit.


async def test_an_event_goes_straight_from_its_commit(post: Post) -> None:
    post.handler("h", "E")
    await post.reload()
    post.start()

    assert post.commit("e1")
    await post.delivered()
    assert post.arrived == ["e1"]


async def test_what_comes_behind_waits_and_keeps_the_order(post: Post) -> None:
    post.handler("h", "E", "await asyncio.sleep(0.05)")
    await post.reload()
    post.start()

    assert [post.commit(f"e{n}") for n in range(5)] == [True, False, False, False, False]
    assert post.commit("other", "/b")
    await post.delivered()
    assert [name for name in post.arrived if name != "other"] == [f"e{n}" for n in range(5)]


async def test_while_no_worker_answers_events_wait_in_the_outbox(
    post: Post, worker: WorkerStage
) -> None:
    post.handler("h", "E")
    await post.reload()
    post.start()
    await worker.stop()
    await until(lambda: not post.registry.ready)

    assert not post.commit("e1")
    assert [one.attempt for one in post.entries()] == [0]
    await worker.start()
    await post.delivered()
    assert post.arrived == ["e1"]


async def test_a_straight_event_that_failed_is_tried_again_before_later_ones(
    post: Post, tmp_path: Path
) -> None:
    fail = f"import pathlib; p = pathlib.Path({str(tmp_path / 'tried')!r})"
    once = "if event['name'] == 'e1' and not p.exists(): p.touch(); raise Error(503, 'not yet')"
    post.handler("h", "E", fail, once)
    await post.reload()
    post.start()

    assert post.commit("e1")
    await until((tmp_path / "tried").exists)
    post.commit("e2")
    await post.delivered()
    assert post.arrived == ["e1", "e2"]


async def test_a_straight_event_that_takes_long_is_shown_as_being_sent(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport_module, "HEARTBEAT_SECONDS", 0.05)
    post.handler("h", "E", "await asyncio.sleep(0.5)")
    await post.reload()
    post.start()
    assert post.commit("e1")

    await until(lambda: [(one.state, one.attempt) for one in post.entries()] == [("sending", 1)])
    await post.delivered()


async def test_a_dead_straight_event_is_kept_and_blocks_nobody(post: Post) -> None:
    post.handler("h", "E", "if event['name'] == 'e1': raise Error(404, 'never')")
    await post.reload()
    post.start()
    assert post.commit("e1")
    await until(lambda: [one.state for one in post.entries()] == ["dead"])

    assert post.commit("e2")
    await until(lambda: post.arrived == ["e2"])


async def test_what_waited_at_the_start_goes_before_what_comes(post: Post) -> None:
    post.handler("h", "E", "await asyncio.sleep(0.05)")
    await post.reload()
    post.post("e1")
    post.outbox.next_due(0).result(10)
    post.start()

    assert not post.commit("e2")
    await post.delivered()
    assert post.arrived == ["e1", "e2"]


async def test_a_stop_leaves_a_straight_event_to_the_next_start(
    post: Post, worker: WorkerStage
) -> None:
    post.handler("h", "E", "await asyncio.sleep(0.3)")
    await post.reload()
    post.start()
    assert post.commit("e1")
    await until(lambda: worker.handlers.running)
    await post.stop()
    # As the recovery of a start does it.
    assert [one.id for one in post.outbox.prepared()] == ["e1"]
    post.outbox.ready("e1", attempt=1).result(10)
    post.start()
    await post.delivered()

    assert post.arrived == ["e1"]


# Workers with different plugins, and workers that are lost.


async def test_an_event_waits_for_the_worker_that_handles_it_and_holds_up_no_other(
    post: Post, worker: WorkerStage, tmp_path: Path
) -> None:
    (tmp_path / "two").mkdir()
    other = WorkerStage(tmp_path / "two")
    await other.start()
    other.handler("o", "Elsewhere", "open(event['name'], 'w').close()")
    await other.live.reload()
    post.handler("h", "E")
    await post.reload()
    await post.follow(worker.endpoint, other.endpoint)
    post.start()
    mark = str(tmp_path / "mark")
    post.post(mark, "/o", "Elsewhere")
    await until(lambda: (tmp_path / "mark").exists())
    await post.delivered()

    await other.stop()
    await until(lambda: len(post.registry.known.live) == 1)
    later = str(tmp_path / "later")
    for n in range(300):
        post.post(f"{tmp_path}/gone-{n}", f"/gone/{n}", "Elsewhere")
    post.post(later, "/o", "Elsewhere")
    post.post("e1", "/e")
    await until(lambda: post.arrived == ["e1"])
    await asyncio.sleep(0.3)
    assert {one.attempt for one in post.entries()} == {0}
    assert len(post.entries()) == 301

    await other.start()
    await post.delivered()
    assert (tmp_path / "later").exists()
    await other.close()


async def test_deliveries_under_way_at_a_lost_worker_are_tried_again(
    post: Post, worker: WorkerStage
) -> None:
    flag = worker.folder.path / "second"
    post.handler(
        "h", "E", "import os", f"if not os.path.exists({str(flag)!r}): await asyncio.sleep(4)"
    )
    await post.reload()
    post.start()
    post.post("e1")
    await until(lambda: worker.handlers.running)
    flag.touch()

    assert post.transport.abandon(worker.endpoint) == 1
    await until(lambda: [one.reason for one in post.entries()] != [""])
    assert "the worker is lost" in post.entries()[0].reason
