"""The synchronous question: a clear yes, or a clear no."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from qmonus_lite.errors import BadGateway, Unavailable
from qmonus_lite.events.outcome import Outcome, Report
from qmonus_lite.events.query import EventQuery
from qmonus_lite.transports.http import circuit_breaker
from qmonus_lite.transports.http.circuit_breaker import MAX_FAILURES
from qmonus_lite.transports.http.signed_client import HANDLES, SignedClient
from qmonus_lite.transports.http.transport import HttpTransport
from qmonus_lite.transports.http.worker_registry import HttpWorkerRegistry
from tests.unit.events.worker_setup import (
    CLOCK,
    SIGNER,
    SOURCE,
    STRANGER,
    Stranger,
    Talk,
    WorkerSetup,
    answer,
)
from tests.unit.transports.http.test_worker_registry import until

DATA = {"path": "/upload/a", "headers": {"X-Auth-Token": "t"}}
ALLOW = Report(
    handles=frozenset({"E"}),
    generation="g",
    outcome=Outcome(code=200, output=None, event=DATA, handlers=("a",)),
)

Asking = Callable[..., Awaitable[EventQuery]]


@pytest.fixture
async def asking(sender: SignedClient) -> AsyncIterator[Asking]:
    """Makes a question to these endpoints, once one of them answers."""
    tasks: list[asyncio.Task[None]] = []

    async def make(*endpoints: str, timeout: float = 2, workers: int = 1) -> EventQuery:
        registry = HttpWorkerRegistry(endpoints, sender, SOURCE)
        tasks.append(asyncio.get_running_loop().create_task(registry.follow()))
        await until(lambda: len(registry.known.live) >= workers)
        transport = HttpTransport(sender, registry)
        return EventQuery(
            registry=registry, transport=transport, clock=CLOCK, source=SOURCE, timeout=timeout
        )

    yield make
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_the_answer_is_the_event_as_its_handlers_left_it(
    worker: WorkerSetup, asking: Asking
) -> None:
    worker.handler("a", "E", "event['path'] = '/accountA' + event['path']")
    await worker.start()
    outcome = await (await asking(worker.endpoint)).ask("E", DATA, subject="/upload/a")

    assert (outcome.code, outcome.refused, outcome.handlers) == (200, False, ("a",))
    assert outcome.event["path"] == "/accountA/upload/a"
    assert outcome.event["headers"] == {"X-Auth-Token": "t"}


@pytest.mark.parametrize(
    ("line", "code", "output"),
    [
        ("await handle.terminate(401, 'Unauthorized')", 401, "Unauthorized"),
        ("await handle.terminate(403, {'why': [1]})", 403, {"why": [1]}),
        ("raise Error(409, 'taken')", 409, "taken"),
        ("raise ValueError", 500, "a.script failed"),
        ("event['x'] = object()", 500, "a handler left something that JSON cannot hold"),
    ],
)
async def test_a_no_is_a_no(
    worker: WorkerSetup, asking: Asking, line: str, code: int, output: object
) -> None:
    worker.handler("a", "E", line)
    await worker.start()
    outcome = await (await asking(worker.endpoint)).ask("E", DATA)

    assert (outcome.code, outcome.output, outcome.refused) == (code, output, True)


async def test_an_event_that_nobody_handles_comes_back_as_it_was(
    worker: WorkerSetup, asking: Asking
) -> None:
    await worker.start()
    outcome = await (await asking(worker.endpoint)).ask("E", DATA)

    assert (outcome.code, outcome.event, outcome.handlers) == (200, DATA, ())


async def test_before_the_first_word_nobody_knows_who_handles_what(sender: SignedClient) -> None:
    registry = HttpWorkerRegistry(["http://127.0.0.1:1"], sender, SOURCE)
    transport = HttpTransport(sender, registry)
    question = EventQuery(
        registry=registry, transport=transport, clock=CLOCK, source=SOURCE, timeout=1
    )

    with pytest.raises(Unavailable, match="has answered yet"):
        question.is_handled("E")
    with pytest.raises(Unavailable, match="no Lambda worker answers"):
        await question.ask("E", DATA)


async def test_the_last_word_of_a_worker_counts_while_it_is_away(
    worker: WorkerSetup, asking: Asking
) -> None:
    worker.handler("a", "E")
    await worker.start()
    question = await asking(worker.endpoint)
    await worker.stop()
    await until(lambda: not question.registry.ready)

    assert question.is_handled("E") and not question.is_handled("Other")
    with pytest.raises(Unavailable) as caught:
        await question.ask("E", DATA)
    assert "Retry-After" in caught.value.headers


def posing(stranger: Stranger, say: Callable[[dict[str, str]], bytes | None]) -> Talk:
    """A port where a worker seems to be: its word is good, its answers are what `say` says."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            fields, _ = await stranger.read(reader)
            body = Report(handles=frozenset({"E"}), generation="g").to_bytes()
            said: bytes | None = answer(body, SIGNER.sign(fields["webhook-id"], body))
            if HANDLES.encode() not in stranger.has_reported[-1].split(b"\r\n")[0]:
                said = say(fields)
            elif stranger.has_reported[-1].endswith(b'"known": "g", "wait": 20.0}'):
                await asyncio.sleep(30)
            if said is None:
                return
            writer.write(said)
            await writer.drain()

    return talk


YES = ALLOW.to_bytes()
EMPTY = Report(handles=frozenset(), generation="g").to_bytes()


@pytest.mark.parametrize(
    "say",
    [
        lambda _: answer(YES, {}),
        lambda fields: answer(YES, STRANGER.sign(fields["webhook-id"], YES)),
        lambda _: answer(YES, SIGNER.sign("an id of before", YES)),
        lambda fields: answer(YES + b" ", SIGNER.sign(fields["webhook-id"], YES)),
        lambda fields: answer(b"{}", SIGNER.sign(fields["webhook-id"], b"{}")),
        lambda _: answer(b"<html>", {}),
        lambda _: answer(b"", {"Location": "http://127.0.0.1:1/"}, "301 Moved"),
        lambda fields: answer(EMPTY, SIGNER.sign(fields["webhook-id"], EMPTY)),
        lambda _: b"nonsense\r\n\r\n",
    ],
    ids=[
        "unsigned", "another secret", "replayed", "changed", "no report", "html", "redirect",
        "no outcome", "no http",
    ],
)  # fmt: skip
async def test_an_answer_that_cannot_be_trusted_is_502(
    stranger: Stranger, asking: Asking, say: Callable[[dict[str, str]], bytes]
) -> None:
    await stranger.start(posing(stranger, say))
    question = await asking(stranger.endpoint)

    with pytest.raises(BadGateway):
        await question.ask("E", DATA)


async def test_an_answer_that_never_comes_is_503(stranger: Stranger, asking: Asking) -> None:
    await stranger.start(posing(stranger, lambda _: b""))
    question = await asking(stranger.endpoint, timeout=0.1)
    started = time.monotonic()

    with pytest.raises(Unavailable, match="did not answer"):
        await question.ask("E", DATA)
    assert time.monotonic() - started < 1


async def test_an_answer_that_breaks_off_is_503(stranger: Stranger, asking: Asking) -> None:
    await stranger.start(posing(stranger, lambda _: None))

    with pytest.raises(Unavailable):
        await (await asking(stranger.endpoint)).ask("E", DATA)


async def test_a_handler_that_is_too_slow_is_503_and_holds_up_nobody(
    worker: WorkerSetup, asking: Asking
) -> None:
    worker.handler("a", "Slow", "time.sleep(0.5)")
    worker.handler("b", "Quick")
    await worker.start()
    question = await asking(worker.endpoint, timeout=0.2)
    slow = asyncio.create_task(question.ask("Slow", DATA))
    await asyncio.sleep(0.05)

    assert (await question.ask("Quick", DATA)).handlers == ("b",)
    with pytest.raises(Unavailable):
        await slow


async def test_another_worker_is_asked_when_one_is_away(
    worker: WorkerSetup, tmp_path: Path, asking: Asking
) -> None:
    (tmp_path / "two").mkdir()
    other = WorkerSetup(tmp_path / "two")
    for process in (worker, other):
        process.handler("a", "E", "event['n'] = event.get('n', 0) + 1")
        await process.start()
    question = await asking(worker.endpoint, other.endpoint, workers=2)
    await worker.stop()

    outcomes = [await question.ask("E", DATA) for _ in range(4)]
    assert [outcome.event["n"] for outcome in outcomes] == [1] * 4
    await other.close()


@pytest.fixture
async def second(tmp_path: Path) -> AsyncIterator[WorkerSetup]:
    (tmp_path / "two").mkdir()
    second = WorkerSetup(tmp_path / "two")
    yield second
    await second.close()


async def test_workers_take_turns(worker: WorkerSetup, second: WorkerSetup, asking: Asking) -> None:
    for number, setup in enumerate((worker, second)):
        setup.handler("a", "E", f"event['worker'] = {number}")
        await setup.start()
    question = await asking(worker.endpoint, "http://127.0.0.1:1", second.endpoint, workers=2)
    turns = [(await question.ask("E", DATA)).event["worker"] for _ in range(4)]

    assert turns in ([0, 1, 0, 1], [1, 0, 1, 0])


async def test_a_worker_without_the_handler_is_not_asked(
    worker: WorkerSetup, second: WorkerSetup, asking: Asking
) -> None:
    worker.handler("a", "E", "await handle.terminate(403, 'no')")
    await worker.start()
    await second.start()
    question = await asking(worker.endpoint, second.endpoint, workers=2)
    assert [(await question.ask("E", DATA)).code for _ in range(4)] == [403] * 4

    await worker.stop()
    await until(lambda: question.registry.known.able("E") == ())
    assert question.is_handled("E")
    with pytest.raises(Unavailable):
        await question.ask("E", DATA)


def unhandled(stranger: Stranger, says: Report, answers: Report) -> Talk:
    """A worker whose answer to a question is another than its last report promised."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            fields, _ = await stranger.read(reader)
            polled = HANDLES.encode() in stranger.has_reported[-1].split(b"\r\n")[0]
            if polled and len(stranger.has_reported) > 1:
                await asyncio.sleep(30)
            body = (says if polled else answers).to_bytes()
            writer.write(answer(body, SIGNER.sign(fields["webhook-id"], body)))

    return talk


NOBODY = Outcome(code=200, output=None, event=DATA)


@pytest.mark.parametrize("handled", [True, False])
async def test_an_answer_that_ran_no_handler_counts_only_when_it_says_that_none_is_left(
    stranger: Stranger, asking: Asking, handled: bool
) -> None:
    events = frozenset({"E"})
    says = Report(handles=events, generation="g")
    answers = Report(handles=events if handled else frozenset(), generation="h", outcome=NOBODY)
    await stranger.start(unhandled(stranger, says, answers))
    question = await asking(stranger.endpoint)

    if handled:
        with pytest.raises(Unavailable):
            await question.ask("E", DATA)
    else:
        assert (await question.ask("E", DATA)).handlers == ()


async def test_an_answer_that_ran_no_handler_is_asked_of_the_next_worker(
    stranger: Stranger, worker: WorkerSetup, asking: Asking
) -> None:
    worker.handler("a", "E", "await handle.terminate(403, 'no')")
    await worker.start()
    says = Report(handles=frozenset({"E"}), generation="g")
    answers = Report(handles=frozenset(), generation="h", outcome=NOBODY)
    await stranger.start(unhandled(stranger, says, answers))
    question = await asking(stranger.endpoint, worker.endpoint, workers=2)

    assert [(await question.ask("E", DATA)).code for _ in range(4)] == [403] * 4


async def test_while_a_configured_worker_was_never_heard_nothing_is_unhandled(
    worker: WorkerSetup, asking: Asking
) -> None:
    worker.handler("a", "E")
    await worker.start()
    question = await asking(worker.endpoint, "http://127.0.0.1:1")

    assert question.is_handled("E")
    with pytest.raises(Unavailable, match="not every Lambda worker"):
        question.is_handled("Other")
    with pytest.raises(Unavailable):
        await question.ask("Other", DATA)


async def test_no_question_is_asked_twice_once_it_was_sent(
    stranger: Stranger, worker: WorkerSetup, asking: Asking
) -> None:
    worker.handler("a", "E")
    await worker.start()
    await stranger.start(posing(stranger, lambda _: None))
    question = await asking(stranger.endpoint, worker.endpoint, workers=2)
    ended = await asyncio.gather(
        *(question.ask("E", DATA) for _ in range(4)), return_exceptions=True
    )

    assert sum(isinstance(outcome, Unavailable) for outcome in ended) == 2
    assert sum(isinstance(outcome, Outcome) for outcome in ended) == 2


async def test_a_worker_that_fails_again_and_again_is_left_alone(
    stranger: Stranger, asking: Asking
) -> None:
    await stranger.start(posing(stranger, lambda _: None))
    question = await asking(stranger.endpoint)
    for _ in range(MAX_FAILURES + 5):
        with pytest.raises(Unavailable):
            await question.ask("E", DATA)

    asked = [
        request
        for request in stranger.has_reported
        if HANDLES.encode() not in request.split(b"\r\n")[0]
    ]
    assert len(asked) == MAX_FAILURES


async def test_a_probe_that_was_given_up_does_not_end_all_probing(
    stranger: Stranger, asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(circuit_breaker, "OPEN_SECONDS", 0.05)
    failures: list[bytes | None] = [None] * MAX_FAILURES + [b"never whole"]

    def say(fields: dict[str, str]) -> bytes | None:
        return failures.pop(0) if failures else answer(YES, SIGNER.sign(fields["webhook-id"], YES))

    await stranger.start(posing(stranger, say))
    question = await asking(stranger.endpoint)
    for _ in range(MAX_FAILURES):
        with pytest.raises(Unavailable):
            await question.ask("E", DATA)
    await asyncio.sleep(0.06)
    probe = asyncio.create_task(question.ask("E", DATA))
    await until(lambda: not failures)
    probe.cancel()
    await asyncio.gather(probe, return_exceptions=True)
    await asyncio.sleep(0.06)

    assert (await question.ask("E", DATA)).code == 200


async def test_scripts_ask_from_loops_of_their_own(worker: WorkerSetup, asking: Asking) -> None:
    worker.handler("a", "E", "event['n'] += 1")
    await worker.start()
    publish = (await asking(worker.endpoint)).on_this_loop()

    def script(n: int) -> int:
        return int(asyncio.run(publish("E", {"n": n})).event["n"])

    numbers = await asyncio.gather(*(asyncio.to_thread(script, n) for n in range(6)))
    assert numbers == [1, 2, 3, 4, 5, 6]


async def test_data_that_cannot_travel_is_the_callers_fault(
    worker: WorkerSetup, asking: Asking
) -> None:
    await worker.start()
    bad: dict[str, Any] = {"x": object()}

    with pytest.raises(TypeError):
        await (await asking(worker.endpoint)).ask("E", bad)
