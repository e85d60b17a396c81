"""The worker's endpoints: only what an APIGW of ours signed is acted upon."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from qmonus_lite.events.envelope import PROTOCOL, Envelope, Purpose
from qmonus_lite.events.outcome import Report
from qmonus_lite.transports.http.codec import HttpRequest, HttpResponse
from qmonus_lite.transports.http.signature import Signer
from qmonus_lite.transports.http.signed_client import ASK, DELIVER, HANDLES
from qmonus_lite.worker.app import WorkerEndpoints
from tests.unit.events.worker_setup import SIGNER, SOURCE, STRANGER, WorkerSetup


@pytest.fixture
async def worker(tmp_path: Path) -> AsyncIterator[WorkerSetup]:
    worker = WorkerSetup(tmp_path)
    worker.handler("a", "E", "event['n'] += 1")
    await worker.start()
    yield worker
    await worker.close()


PURPOSES = {ASK: Purpose.QUESTION, DELIVER: Purpose.DELIVERY, HANDLES: Purpose.QUESTION}


def envelope(event: str = "E", event_id: str = "e1", attempt: int = 1, **data: Any) -> bytes:
    """A delivery, unless `path` is that of a question."""
    return Envelope(
        purpose=PURPOSES[data.pop("path", DELIVER)],
        id=event_id,
        type=event,
        source=SOURCE,
        subject="/a",
        time=datetime.now(UTC),
        attempt=attempt,
        data={"n": 0} | data,
    ).to_bytes()


async def say(
    worker: WorkerSetup, path: str, body: bytes, *, signer: Signer = SIGNER, message_id: str = "m1"
) -> HttpResponse:
    return await WorkerEndpoints(worker.worker).answer(request(path, body, signer, message_id))


def request(path: str, body: bytes, signer: Signer = SIGNER, message_id: str = "m1") -> HttpRequest:
    return HttpRequest(path=path, headers=signer.sign(message_id, body), body=body)


async def outcome(worker: WorkerSetup, path: str, body: bytes) -> Any:
    report = Report.from_bytes((await say(worker, path, body)).body)
    assert report.outcome is not None
    return report.outcome


@pytest.mark.parametrize(("path", "left"), [(ASK, 1), (DELIVER, None)])
async def test_runs_the_handlers_of_an_event_and_signs_the_answer(
    worker: WorkerSetup, path: str, left: int | None
) -> None:
    reply = await say(worker, path, envelope(path=path))
    report = Report.from_bytes(reply.body)

    assert reply.status == 200
    assert SIGNER.verify({k.lower(): v for k, v in reply.headers.items()}, reply.body) == "m1"
    assert report.outcome is not None and report.outcome.event.get("n") == left
    assert report.outcome.handlers != ()
    assert report.handles == {"E"}
    assert worker.handlers.running == 0


@pytest.mark.parametrize("path", [ASK, DELIVER, HANDLES])
async def test_acts_on_nothing_that_is_not_signed(worker: WorkerSetup, path: str) -> None:
    body = envelope(path=path)
    stranger = await say(worker, path, body, signer=STRANGER)
    unsigned = await WorkerEndpoints(worker.worker).answer(
        HttpRequest(path=path, headers={}, body=body)
    )
    changed = await WorkerEndpoints(worker.worker).answer(
        HttpRequest(path=path, headers=SIGNER.sign("m1", body), body=body + b" ")
    )

    assert [stranger.status, unsigned.status, changed.status] == [401, 401, 401]
    assert worker.passes.scheme("127.0.0.1:9099") is None


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (ASK, b""),
        (ASK, b"{}"),
        (DELIVER, b"[]"),
        (DELIVER, b'{"specversion": "1.0"}'),
        (HANDLES, b"x"),
        (HANDLES, b"{}"),
        (HANDLES, b"[]"),
        (HANDLES, b'{"source": "x", "known": "", "wait": "long", "protocol": 2}'),
        (HANDLES, b'{"source": "x", "known": "", "wait": 0, "protocol": "2"}'),
    ],
)
async def test_refuses_what_it_cannot_read(worker: WorkerSetup, path: str, body: bytes) -> None:
    assert (await say(worker, path, body)).status == 422


@pytest.mark.parametrize(("signed_for", "sent_to"), [(ASK, DELIVER), (DELIVER, ASK)])
async def test_an_event_signed_for_one_purpose_is_not_handled_for_the_other(
    worker: WorkerSetup,
    signed_for: str,
    sent_to: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The path is not signed: whoever heard a message could send it to the other path."""
    ran = tmp_path / "ran"
    worker.handler("a", "E", f"open({str(ran)!r}, 'w')")
    await worker.live.reload()
    reply = await say(worker, sent_to, envelope(path=signed_for))

    assert reply.status == 422
    assert b"signed as a" in reply.body and b"sent as a" in reply.body
    assert not ran.exists()
    assert [vars(record)["action"] for record in caplog.records] == ["message_refused"]


@pytest.mark.parametrize("path", [ASK, DELIVER, HANDLES])
async def test_an_apigw_of_another_version_is_refused_with_both_versions_named(
    worker: WorkerSetup, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    old = {"source": SOURCE, "known": "", "wait": 0}
    event = {**json.loads(envelope(path=path)), "purpose": None}
    endpoints = WorkerEndpoints(worker.worker)
    sent = json.dumps(old if path == HANDLES else event).encode()
    replies = [await endpoints.answer(request(path, sent)) for _ in range(3)]

    said = (
        "the APIGW speaks version 1 of the protocol between APIGW and workers,"
        " this worker version 2: upgrade the older of them"
    )
    assert {(reply.status, reply.body) for reply in replies} == {(422, f"{said}\n".encode())}
    assert [record.getMessage() for record in caplog.records] == [said]


async def test_knows_no_other_path(worker: WorkerSetup) -> None:
    assert (await say(worker, "/events/other", envelope())).status == 404


async def test_learns_from_an_event_where_our_gateway_is(worker: WorkerSetup) -> None:
    await say(worker, ASK, envelope(path=ASK))

    assert worker.passes.scheme("127.0.0.1:9099") == "http"


async def test_a_delivery_that_went_well_is_not_run_again(worker: WorkerSetup) -> None:
    first = await outcome(worker, DELIVER, envelope(attempt=1))
    again = await outcome(worker, DELIVER, envelope(attempt=2))

    assert (first.event, again.event) == ({}, {})
    assert again.handlers == ("a",)


async def test_a_delivery_that_failed_is_run_again(worker: WorkerSetup) -> None:
    worker.handler("a", "E", "if event['n'] == 0: raise Error(503)")
    await worker.live.reload()
    assert (await outcome(worker, DELIVER, envelope(attempt=1, n=0))).code == 503

    assert (await outcome(worker, DELIVER, envelope(attempt=2, n=1))).code == 200


async def test_a_question_is_run_every_time(worker: WorkerSetup) -> None:
    outcomes = [await outcome(worker, ASK, envelope(path=ASK)) for _ in range(2)]

    assert [outcome.event["n"] for outcome in outcomes] == [1, 1]


async def test_a_repeat_waits_for_the_delivery_under_way(
    worker: WorkerSetup, tmp_path: Path
) -> None:
    place = tmp_path / "runs"
    line = f"with open({str(place)!r}, 'a') as f: f.write('x'); await asyncio.sleep(0.1)"
    worker.handler("a", "E", line)
    await worker.live.reload()
    outcomes = await asyncio.gather(
        *(outcome(worker, DELIVER, envelope(attempt=n)) for n in (1, 2, 3))
    )

    assert place.read_text() == "x"
    assert [outcome.code for outcome in outcomes] == [200, 200, 200]


async def test_a_repeat_of_a_delivery_that_broke_off_is_tried_itself(worker: WorkerSetup) -> None:
    worker.handler("a", "E", "await asyncio.sleep(0.2)")
    await worker.live.reload()
    first = asyncio.create_task(outcome(worker, DELIVER, envelope(attempt=1)))
    await asyncio.sleep(0.05)
    repeat = asyncio.create_task(outcome(worker, DELIVER, envelope(attempt=2)))
    await asyncio.sleep(0.05)
    first.cancel()

    assert (await asyncio.wait_for(repeat, 5)).code == 200


def question(known: str, wait: float) -> bytes:
    return json.dumps(
        {"source": SOURCE, "known": known, "wait": wait, "protocol": PROTOCOL}
    ).encode()


async def test_says_at_once_what_an_apigw_does_not_know(worker: WorkerSetup) -> None:
    report = Report.from_bytes((await say(worker, HANDLES, question("", 20))).body)

    assert (report.handles, report.outcome) == (frozenset({"E"}), None)
    assert report.generation == worker.live.catalog.fingerprint


async def test_says_a_change_when_it_comes(worker: WorkerSetup) -> None:
    known = worker.live.catalog.fingerprint
    asking = asyncio.create_task(say(worker, HANDLES, question(known, 20)))
    await asyncio.sleep(0.05)
    assert not asking.done()
    worker.handler("b", "Other")
    await worker.live.reload()

    report = Report.from_bytes((await asyncio.wait_for(asking, 2)).body)
    assert report.handles == {"E", "Other"}


@pytest.mark.parametrize("wait", [0, -1, 0.05])
async def test_says_nothing_new_after_a_while(worker: WorkerSetup, wait: float) -> None:
    known = worker.live.catalog.fingerprint
    reply = await asyncio.wait_for(say(worker, HANDLES, question(known, wait)), 2)

    assert Report.from_bytes(reply.body).generation == known


async def test_an_event_ends_with_the_set_it_began_with(worker: WorkerSetup) -> None:
    worker.handler("a", "E", "await asyncio.sleep(0.2); event['by'] = 'old'")
    worker.handler("b", "E", "event['b'] = 'old'")
    await worker.live.reload()
    running = asyncio.create_task(outcome(worker, ASK, envelope(path=ASK)))
    await asyncio.sleep(0.05)
    worker.handler("a", "E", "event['by'] = 'new'")
    worker.handler("b", "E", "event['b'] = 'new'")
    await worker.live.reload()

    assert (await running).event == {"n": 0, "by": "old", "b": "old"}
    assert (await outcome(worker, ASK, envelope(path=ASK))).event["b"] == "new"


async def test_an_event_that_ran_no_handler_is_not_remembered_as_done(
    worker: WorkerSetup, tmp_path: Path
) -> None:
    """Workers with different plugins share the inbox of a machine."""
    assert (await outcome(worker, DELIVER, envelope("Later"))).handlers == ()
    worker.handler("b", "Later")
    await worker.live.reload()

    assert (await outcome(worker, DELIVER, envelope("Later", attempt=2))).handlers == ("b",)


async def test_a_worker_that_stops_says_so_in_its_last_answer(worker: WorkerSetup) -> None:
    known = worker.worker.report(None)
    polled = asyncio.create_task(say(worker, HANDLES, question(known.generation, 20)))
    while not worker.worker.waiting:
        await asyncio.sleep(0)
    worker.worker.release()

    assert not known.stopping
    assert Report.from_bytes((await polled).body).stopping
    assert worker.worker.waiting == 0
