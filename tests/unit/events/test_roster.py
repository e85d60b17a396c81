"""The roster: who answers, and what they say they handle."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from qmonus_lite.events import roster as roster_module
from qmonus_lite.events.outcome import Report
from qmonus_lite.events.roster import Roster
from qmonus_lite.events.sender import ASK, Parcel, Sender
from tests.unit.catalog.stage import handler
from tests.unit.events.stage import SOURCE, Stranger, WorkerStage, answer


async def until(condition: Callable[[], object], seconds: float = 5) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


Following = Callable[[Roster], Coroutine[Any, Any, None]]


@pytest.fixture
async def follow() -> AsyncIterator[Callable[[Roster], None]]:
    """Begins to follow a roster; ends with the test."""
    tasks: list[asyncio.Task[None]] = []
    yield lambda roster: tasks.append(asyncio.get_running_loop().create_task(roster.follow()))
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_knows_nothing_before_the_first_word(sender: Sender) -> None:
    roster = Roster(["http://127.0.0.1:1"], sender, SOURCE)

    assert not roster.heard and not roster.ready
    assert not roster.handles("E")
    assert not roster.is_deaf_to("E")
    assert roster.in_turn(ASK) == []


async def test_hears_what_a_worker_handles(
    worker: WorkerStage, sender: Sender, follow: Callable[[Roster], None]
) -> None:
    worker.handler("a", "E")
    await worker.start()
    roster = Roster([worker.endpoint], sender, SOURCE)
    follow(roster)
    await until(lambda: roster.ready)

    assert roster.heard and roster.handles("E") and not roster.handles("Other")
    assert roster.is_deaf_to("Other") and not roster.is_deaf_to("E")
    assert roster.in_turn(ASK) == [worker.endpoint]


async def test_hears_of_a_change_at_once(
    worker: WorkerStage, sender: Sender, follow: Callable[[Roster], None]
) -> None:
    await worker.start()
    roster = Roster([worker.endpoint], sender, SOURCE)
    follow(roster)
    await until(lambda: roster.ready)
    worker.folder.put("b.yml", handler("b", "Other"))
    await worker.live.reload()

    await until(lambda: roster.handles("Other"), 0.5)
    (worker.folder.path / "b.yml").unlink()
    await worker.live.reload()
    await until(lambda: not roster.handles("Other"), 0.5)


async def test_keeps_the_last_word_of_a_worker_that_went_away(
    worker: WorkerStage, sender: Sender, follow: Callable[[Roster], None]
) -> None:
    worker.handler("a", "E")
    await worker.start()
    roster = Roster([worker.endpoint], sender, SOURCE)
    follow(roster)
    await until(lambda: roster.ready)
    await worker.stop()
    await until(lambda: not roster.ready)

    assert roster.heard and roster.handles("E")
    # Nobody knows what a worker that is away comes back with.
    assert not roster.is_deaf_to("Other")
    assert roster.in_turn(ASK) == []


async def test_a_worker_that_came_back_is_asked_anew(
    worker: WorkerStage, sender: Sender, follow: Callable[[Roster], None]
) -> None:
    await worker.start()
    roster = Roster([worker.endpoint], sender, SOURCE)
    follow(roster)
    await until(lambda: roster.ready)
    await worker.stop()
    await until(lambda: not roster.ready)
    worker.handler("b", "Other")
    await worker.start()

    await until(lambda: roster.ready)
    assert roster.handles("Other")


async def test_listeners_hear_that_a_worker_answers(
    worker: WorkerStage, sender: Sender, follow: Callable[[Roster], None]
) -> None:
    heard: list[str] = []
    await worker.start()
    roster = Roster([worker.endpoint], sender, SOURCE)
    roster.on_ready(lambda: heard.append("ready"))
    roster.on_first_ready(lambda: heard.append("first"))
    follow(roster)
    await until(lambda: roster.ready)
    await worker.stop()
    await until(lambda: not roster.ready)
    await worker.start()
    await until(lambda: roster.ready)

    assert sorted(heard) == ["first", "ready", "ready"]


async def test_workers_take_turns(
    worker: WorkerStage, tmp_path: Path, sender: Sender, follow: Callable[[Roster], None]
) -> None:
    (tmp_path / "two").mkdir()
    other = WorkerStage(tmp_path / "two")
    await worker.start()
    await other.start()
    roster = Roster([worker.endpoint, "http://127.0.0.1:1", other.endpoint], sender, SOURCE)
    follow(roster)
    await until(lambda: len(roster.in_turn(ASK)) == 2)
    turns = [tuple(roster.in_turn(ASK)) for _ in range(4)]

    assert set(turns) == {
        (worker.endpoint, other.endpoint),
        (other.endpoint, worker.endpoint),
    }
    assert turns[0] == turns[2] != turns[1]
    await other.close()


async def test_the_worker_learns_whose_pass_to_make(
    worker: WorkerStage, sender: Sender, follow: Callable[[Roster], None]
) -> None:
    await worker.start()
    follow(Roster([worker.endpoint], sender, SOURCE))

    await until(lambda: worker.passes.scheme("127.0.0.1:9099") == "http")


async def test_a_stranger_is_never_ready(
    stranger: Stranger,
    sender: Sender,
    follow: Callable[[Roster], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await stranger.read(reader)
        writer.write(answer(b'{"handles": [], "generation": "g", "outcome": null}', {}))

    await stranger.start(talk)
    roster = Roster([stranger.endpoint], sender, SOURCE)
    follow(roster)
    await until(lambda: stranger.heard)
    await asyncio.sleep(0.05)

    assert not roster.ready and not roster.heard
    assert "worker_away" in {vars(record).get("action") for record in caplog.records}


async def test_a_draining_worker_is_asked_no_more(
    worker: WorkerStage,
    sender: Sender,
    follow: Callable[[Roster], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It neither takes questions over kept connections nor is asked in circles."""
    monkeypatch.setattr(roster_module, "RETRY", 0.05)
    await worker.start()
    roster = Roster([worker.endpoint], sender, SOURCE)
    follow(roster)
    await until(lambda: roster.ready)
    worker.drain()

    await until(lambda: not roster.ready, 1)


async def test_a_listener_that_fails_ends_no_following(
    worker: WorkerStage,
    sender: Sender,
    follow: Callable[[Roster], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail() -> None:
        raise ValueError("broken")

    await worker.start()
    roster = Roster([worker.endpoint], sender, SOURCE)
    roster.on_ready(fail)
    told: list[bool] = []
    roster.on_ready(lambda: told.append(True))
    follow(roster)
    await until(lambda: told)
    worker.handler("a", "E")
    await worker.live.reload()

    await until(lambda: roster.handles("E"))
    assert [vars(record)["action"] for record in caplog.records] == ["listener_failed"]


@pytest.mark.parametrize("error", [ValueError("broken"), asyncio.CancelledError()])
async def test_a_fault_of_ours_with_one_worker_ends_the_following_of_no_other(
    worker: WorkerStage,
    sender: Sender,
    follow: Callable[[Roster], None],
    error: BaseException,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(roster_module, "AFTER_FAULT", 0.05)
    await worker.start()
    send, failures = sender.send, [error, error]

    async def fail_first(endpoint: str, parcel: Parcel) -> Report:
        if endpoint != worker.endpoint and failures:
            raise failures.pop()
        return await send(endpoint.replace("localhost", "127.0.0.1"), parcel)

    monkeypatch.setattr(sender, "send", fail_first)
    other = worker.endpoint.replace("127.0.0.1", "localhost")
    roster = Roster([other, worker.endpoint], sender, SOURCE)
    follow(roster)

    await until(lambda: set(roster.in_turn(ASK)) == {other, worker.endpoint})
    failed = [one for one in caplog.records if vars(one)["action"] == "roster_failed"]
    assert len(failed) == 2
