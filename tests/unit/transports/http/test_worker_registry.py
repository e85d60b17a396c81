"""The worker registry over HTTP: which workers are up, and what they report to handle."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from qmonus_lite.events import reported_workers
from qmonus_lite.events.outcome import Report
from qmonus_lite.events.report_file import Entries, ReportFile, State, StoredReport
from qmonus_lite.events.workers import Handled
from qmonus_lite.transports.http import worker_registry as registry_module
from qmonus_lite.transports.http.client import ExchangeFailed
from qmonus_lite.transports.http.signed_client import ASK, HANDLES, SignedClient, SignedMessage
from qmonus_lite.transports.http.worker_registry import HttpWorkerRegistry
from qmonus_lite.values import changed
from tests.unit.catalog.plugin_folder import handler
from tests.unit.events.worker_setup import SIGNER, SOURCE, Stranger, WorkerSetup, answer


async def until(condition: Callable[[], object], seconds: float = 5) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


Following = Callable[[HttpWorkerRegistry], Coroutine[Any, Any, None]]


@pytest.fixture
async def follow() -> AsyncIterator[Callable[[HttpWorkerRegistry], None]]:
    """Starts to follow a registry; ends with the test."""
    tasks: list[asyncio.Task[None]] = []
    yield lambda registry: tasks.append(asyncio.get_running_loop().create_task(registry.follow()))
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
async def followed(
    worker: WorkerSetup, sender: SignedClient, follow: Callable[[HttpWorkerRegistry], None]
) -> HttpWorkerRegistry:
    """A registry that has the report of a worker with a handler of `E`."""
    worker.handler("a", "E")
    await worker.start()
    registry = HttpWorkerRegistry([worker.endpoint], sender, SOURCE)
    follow(registry)
    await until(lambda: registry.ready)
    return registry


async def test_knows_nothing_before_the_first_word(sender: SignedClient) -> None:
    registry = HttpWorkerRegistry(["http://127.0.0.1:1"], sender, SOURCE)

    assert not registry.has_reported and not registry.ready
    assert registry.handled("E") is Handled.UNKNOWN
    assert not registry.has_no_handler_for("E")
    assert registry.known.live == ()


async def test_hears_what_a_worker_handles(
    worker: WorkerSetup, followed: HttpWorkerRegistry
) -> None:
    assert followed.has_reported and followed.handled("E") is Handled.HANDLED
    assert followed.handled("Other") is Handled.NOT_HANDLED
    assert followed.has_no_handler_for("Other") and not followed.has_no_handler_for("E")
    assert followed.known.live == (worker.endpoint,)


async def test_hears_of_a_change_at_once(worker: WorkerSetup, followed: HttpWorkerRegistry) -> None:
    worker.folder.put("b.yml", handler("b", "Other"))
    await worker.live.reload()

    await until(lambda: followed.handled("Other") is Handled.HANDLED, 0.5)
    (worker.folder.path / "b.yml").unlink()
    await worker.live.reload()
    await until(lambda: followed.handled("Other") is not Handled.HANDLED, 0.5)


async def test_keeps_the_last_word_of_a_worker_that_went_away(
    worker: WorkerSetup, followed: HttpWorkerRegistry
) -> None:
    await worker.stop()
    await until(lambda: not followed.ready)

    assert followed.has_reported and followed.handled("E") is Handled.HANDLED
    # Nobody knows what a worker that is away comes back with.
    assert not followed.has_no_handler_for("Other")
    assert followed.known.live == ()


async def test_a_worker_that_came_back_is_asked_anew(
    worker: WorkerSetup, followed: HttpWorkerRegistry
) -> None:
    await worker.stop()
    await until(lambda: not followed.ready)
    worker.handler("b", "Other")
    await worker.start()

    await until(lambda: followed.ready)
    assert followed.handled("Other") is Handled.HANDLED


async def test_listeners_hear_that_a_worker_answers(
    worker: WorkerSetup, sender: SignedClient, follow: Callable[[HttpWorkerRegistry], None]
) -> None:
    has_reported: list[str] = []
    await worker.start()
    registry = HttpWorkerRegistry([worker.endpoint], sender, SOURCE)
    registry.on_ready(lambda: has_reported.append("ready"))
    registry.on_first_ready(lambda: has_reported.append("first"))
    follow(registry)
    await until(lambda: registry.ready)
    await worker.stop()
    await until(lambda: not registry.ready)
    await worker.start()
    await until(lambda: registry.ready)

    assert sorted(has_reported) == ["first", "ready", "ready"]


async def test_the_worker_learns_whose_pass_to_make(
    worker: WorkerSetup, sender: SignedClient, follow: Callable[[HttpWorkerRegistry], None]
) -> None:
    await worker.start()
    follow(HttpWorkerRegistry([worker.endpoint], sender, SOURCE))

    await until(lambda: worker.passes.scheme("127.0.0.1:9099") == "http")


async def test_a_stranger_is_never_ready(
    stranger: Stranger,
    sender: SignedClient,
    follow: Callable[[HttpWorkerRegistry], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await stranger.read(reader)
        writer.write(answer(b'{"handles": [], "generation": "g", "outcome": null}', {}))

    await stranger.start(talk)
    registry = HttpWorkerRegistry([stranger.endpoint], sender, SOURCE)
    follow(registry)
    await until(lambda: stranger.has_reported)
    await asyncio.sleep(0.05)

    assert not registry.ready and not registry.has_reported
    assert "worker_away" in {vars(record).get("action") for record in caplog.records}


async def test_a_worker_of_an_earlier_version_is_used_and_named(
    stranger: Stranger, sender: SignedClient, follow: Callable[[HttpWorkerRegistry], None]
) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            fields, _ = await stranger.read(reader)
            body = b'{"handles": ["E"], "generation": "g", "outcome": null, "stopping": false}'
            writer.write(answer(body, SIGNER.sign(fields["webhook-id"], body)))
            await asyncio.sleep(0.05)

    await stranger.start(talk)
    registry = HttpWorkerRegistry([stranger.endpoint], sender, SOURCE)
    follow(registry)
    await until(lambda: registry.ready)

    assert registry.handled("E") is Handled.HANDLED
    assert registry.warnings == [
        f"the Lambda worker {stranger.endpoint} speaks version 1 of the protocol between APIGW"
        " and workers, this APIGW version 2: upgrade the older of them"
    ]


async def test_a_refusal_by_a_worker_of_another_version_is_logged_with_its_reason(
    stranger: Stranger,
    sender: SignedClient,
    follow: Callable[[HttpWorkerRegistry], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await stranger.read(reader)
        writer.write(answer(b"version 9 is spoken here\n", {}, "422 No"))

    await stranger.start(talk)
    registry = HttpWorkerRegistry([stranger.endpoint], sender, SOURCE)
    follow(registry)
    await until(lambda: caplog.records)

    assert "status 422: version 9 is spoken here" in caplog.records[0].getMessage()
    assert not registry.ready


async def test_a_draining_worker_is_asked_no_more(
    worker: WorkerSetup,
    sender: SignedClient,
    follow: Callable[[HttpWorkerRegistry], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It neither takes questions over kept connections nor is asked in circles."""
    monkeypatch.setattr(registry_module, "RECONNECT_SECONDS", 0.05)
    await worker.start()
    registry = HttpWorkerRegistry([worker.endpoint], sender, SOURCE)
    follow(registry)
    await until(lambda: registry.ready)
    worker.drain()

    await until(lambda: not registry.ready, 1)


# What is kept over restarts.


def kept(tmp_path: Path) -> dict[str, StoredReport]:
    return ReportFile(tmp_path).read()


async def test_a_restart_remembers_what_a_worker_that_is_away_handles(
    worker: WorkerSetup,
    tmp_path: Path,
    sender: SignedClient,
    follow: Callable[[HttpWorkerRegistry], None],
) -> None:
    worker.handler("a", "E")
    await worker.start()
    first = HttpWorkerRegistry([worker.endpoint], sender, SOURCE, ReportFile(tmp_path))
    follow(first)
    await until(lambda: first.ready)
    await worker.stop()
    second = HttpWorkerRegistry([worker.endpoint], sender, SOURCE, ReportFile(tmp_path))

    assert (second.handled("E") is Handled.HANDLED) and not second.has_reported
    assert not second.has_no_handler_for("Other")


async def test_a_worker_that_stops_says_so_and_one_that_vanishes_does_not(
    worker: WorkerSetup, stranger: Stranger, tmp_path: Path, sender: SignedClient,
    follow: Callable[[HttpWorkerRegistry], None],
) -> None:  # fmt: skip
    body = Report(handles=frozenset({"E"}), generation="g").to_bytes()

    async def answer_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        fields, _ = await stranger.read(reader)
        writer.write(answer(body, SIGNER.sign(fields["webhook-id"], body)))
        await stranger.read(reader)

    await worker.start()
    await stranger.start(answer_once)
    follow(
        HttpWorkerRegistry(
            [worker.endpoint, stranger.endpoint], sender, SOURCE, ReportFile(tmp_path)
        )
    )
    await until(lambda: len(stranger.has_reported) > 1 and worker.endpoint in kept(tmp_path))
    await until(lambda: worker.worker.waiting)
    await worker.stop()

    await until(lambda: kept(tmp_path)[worker.endpoint].state is State.STOPPED)
    await until(lambda: kept(tmp_path)[stranger.endpoint].state is State.AWAY)
    assert not kept(tmp_path)[worker.endpoint].dropped


async def test_a_worker_that_stopped_is_dropped_where_another_has_its_plugins(
    worker: WorkerSetup,
    tmp_path: Path,
    sender: SignedClient,
    follow: Callable[[HttpWorkerRegistry], None],
) -> None:
    (tmp_path / "two").mkdir()
    other = WorkerSetup(tmp_path / "two")
    for setup in (worker, other):
        setup.handler("a", "E")
        await setup.start()
    registry = HttpWorkerRegistry(
        [worker.endpoint, other.endpoint], sender, SOURCE, ReportFile(tmp_path)
    )
    follow(registry)
    # A worker that stops between two polls can tell nobody, and counts as one that vanished.
    await until(lambda: len(registry.known.live) == 2 and other.worker.waiting)
    await other.stop()
    await until(lambda: kept(tmp_path)[other.endpoint].dropped)
    (worker.folder.path / "a.yml").unlink()
    await worker.live.reload()

    await until(lambda: registry.has_no_handler_for("E"))
    await other.close()


async def test_what_an_operator_drops_is_dropped_at_once_unless_its_worker_answers(
    worker: WorkerSetup,
    tmp_path: Path,
    sender: SignedClient,
    follow: Callable[[HttpWorkerRegistry], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reported_workers, "CHECK_SECONDS", 0.05)
    worker.handler("a", "E")
    await worker.start()
    gone = StoredReport(
        endpoint="http://127.0.0.1:1",
        handles=frozenset({"F"}),
        generation="other",
        heard_at=1,
        state=State.AWAY,
        since=1,
    )
    words = ReportFile(tmp_path)
    words.edit(lambda entries: entries.update({gone.endpoint: gone}))
    registry = HttpWorkerRegistry(
        [worker.endpoint, gone.endpoint], sender, SOURCE, ReportFile(tmp_path)
    )
    follow(registry)
    await until(lambda: registry.ready)
    assert (registry.handled("F") is Handled.HANDLED) and registry.known.able("F") == ()

    def drop(entries: Entries) -> None:
        for name, word in entries.items():
            entries[name] = changed(word, dropped=True)

    words.edit(drop)
    await until(lambda: registry.handled("F") is not Handled.HANDLED, 1)
    await until(lambda: not kept(tmp_path)[worker.endpoint].dropped, 1)
    assert registry.handled("E") is Handled.HANDLED


async def test_questions_of_an_event_go_only_to_who_handles_it(
    worker: WorkerSetup,
    tmp_path: Path,
    sender: SignedClient,
    follow: Callable[[HttpWorkerRegistry], None],
) -> None:
    (tmp_path / "two").mkdir()
    other = WorkerSetup(tmp_path / "two")
    worker.handler("a", "E")
    await worker.start()
    await other.start()
    registry = HttpWorkerRegistry([worker.endpoint, other.endpoint], sender, SOURCE)
    follow(registry)
    await until(lambda: len(registry.known.live) == 2)

    assert registry.known.able("E") == (worker.endpoint,)
    assert len(registry.known.able("Other")) == 2
    await worker.stop()
    await until(lambda: len(registry.known.live) == 1)
    assert registry.known.able("E") == () and not registry.takes("E") and registry.takes("Other")
    await other.close()


async def test_a_worker_that_does_not_answer_its_long_poll_is_lost_with_all_under_way_there(
    stranger: Stranger,
    sender: SignedClient,
    follow: Callable[[HttpWorkerRegistry], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One that answers is not: whatever else it is at may take as long as it likes."""
    monkeypatch.setattr(registry_module, "POLL_SECONDS", 0.1)
    monkeypatch.setattr(registry_module, "POLL_GRACE_SECONDS", 0.1)
    body = Report(handles=frozenset({"E"}), generation="g").to_bytes()
    answers = True

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            fields, _ = await stranger.read(reader)
            polled = HANDLES.encode() in stranger.has_reported[-1]
            await asyncio.sleep(0.05)
            if polled and answers:
                writer.write(answer(body, SIGNER.sign(fields["webhook-id"], body)))

    await stranger.start(talk)
    registry = HttpWorkerRegistry([stranger.endpoint], sender, SOURCE)
    lost: list[str] = []

    def losing(endpoint: str) -> int:
        lost.append(endpoint)
        return 0

    registry.on_lost(losing)
    follow(registry)
    await until(lambda: registry.ready)
    message = SignedMessage(
        id="m", path=ASK, body=b"{}", content_type="application/json", timeout=30
    )
    asked = asyncio.create_task(sender.send(stranger.endpoint, message))
    await asyncio.sleep(0.6)
    assert not asked.done() and not lost

    answers = False
    with pytest.raises(ExchangeFailed, match="lost"):
        await asyncio.wait_for(asked, 2)
    assert lost[0] == stranger.endpoint and not registry.ready


async def test_a_listener_that_fails_ends_no_following(
    worker: WorkerSetup,
    sender: SignedClient,
    follow: Callable[[HttpWorkerRegistry], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail() -> None:
        raise ValueError("broken")

    await worker.start()
    registry = HttpWorkerRegistry([worker.endpoint], sender, SOURCE)
    registry.on_ready(fail)
    told: list[bool] = []
    registry.on_ready(lambda: told.append(True))
    follow(registry)
    await until(lambda: told)
    worker.handler("a", "E")
    await worker.live.reload()

    await until(lambda: registry.handled("E") is Handled.HANDLED)
    assert {vars(record)["action"] for record in caplog.records} == {"listener_failed"}


@pytest.mark.parametrize("error", [ValueError("broken"), asyncio.CancelledError()])
async def test_a_fault_of_ours_with_one_worker_ends_the_following_of_no_other(
    worker: WorkerSetup,
    sender: SignedClient,
    follow: Callable[[HttpWorkerRegistry], None],
    error: BaseException,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(registry_module, "FAULT_DELAY_SECONDS", 0.05)
    await worker.start()
    send, failures = sender.send, [error, error]

    async def fail_first(endpoint: str, message: SignedMessage) -> Report:
        if endpoint != worker.endpoint and failures:
            raise failures.pop()
        return await send(endpoint.replace("localhost", "127.0.0.1"), message)

    monkeypatch.setattr(sender, "send", fail_first)
    other = worker.endpoint.replace("127.0.0.1", "localhost")
    registry = HttpWorkerRegistry([other, worker.endpoint], sender, SOURCE)
    follow(registry)

    await until(lambda: set(registry.known.live) == {other, worker.endpoint})
    failed = [record for record in caplog.records if vars(record)["action"] == "worker_poll_failed"]
    assert len(failed) == 2
