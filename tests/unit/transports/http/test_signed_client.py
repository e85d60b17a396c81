"""Signed exchanges with a worker, and with whatever else may listen there."""

import asyncio
import time
from collections.abc import Callable

import pytest

from qmonus_lite.events.outcome import Outcome, Report
from qmonus_lite.transports.http.client import ConnectFailed, ExchangeFailed, InvalidReply
from qmonus_lite.transports.http.codec import MAX_BODY_BYTES
from qmonus_lite.transports.http.signed_client import (
    ASK,
    HANDLES,
    SignedClient,
    SignedMessage,
    WorkerBusy,
)
from tests.unit.events.worker_setup import (
    SIGNER,
    STRANGER,
    Stranger,
    Talk,
    WorkerSetup,
    answer,
)

REPORT = Report(
    handles=frozenset({"E"}),
    generation="g",
    outcome=Outcome(code=200, output=None, event={"path": "/a"}),
)


def message(timeout: float = 2, path: str = ASK, message_id: str = "m1") -> SignedMessage:
    return SignedMessage(
        id=message_id, path=path, body=b"{}", content_type="application/json", timeout=timeout
    )


def question(message_id: str = "m1") -> SignedMessage:
    body = b'{"source": "http://127.0.0.1:9099", "known": "", "wait": 0, "protocol": 2}'
    return SignedMessage(
        id=message_id, path=HANDLES, body=body, content_type="application/json", timeout=2
    )


def saying(
    stranger: Stranger, say: Callable[[dict[str, str]], bytes], *, close: bool = False
) -> Talk:
    """A conversation that answers every request with what `say` makes of its fields."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            fields, _ = await stranger.read(reader)
            writer.write(say(fields))
            await writer.drain()
            if close:
                return

    return talk


def genuine(fields: dict[str, str]) -> bytes:
    body = REPORT.to_bytes()
    return answer(body, SIGNER.sign(fields["webhook-id"], body))


async def test_a_worker_of_ours_is_understood(worker: WorkerSetup, sender: SignedClient) -> None:
    worker.handler("a", "E")
    await worker.start()
    report = await sender.send(worker.endpoint, question())

    assert report.handles == {"E"}
    assert report.outcome is None


async def test_what_is_sent_is_signed(stranger: Stranger, sender: SignedClient) -> None:
    await stranger.start(saying(stranger, genuine))
    assert await sender.send(stranger.endpoint, message()) == REPORT
    head, _, body = stranger.has_reported[0].partition(b"\r\n\r\n")
    fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])

    assert SIGNER.verify(fields, body) == "m1"
    assert fields["Content-Type"] == "application/json"


async def test_connections_are_kept(stranger: Stranger, sender: SignedClient) -> None:
    connections = 0
    talk = saying(stranger, genuine)

    async def counting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await talk(reader, writer)

    await stranger.start(counting)
    for _ in range(5):
        await sender.send(stranger.endpoint, message())
    assert connections == 1

    await asyncio.gather(*(sender.send(stranger.endpoint, message()) for _ in range(3)))
    assert connections == 3


async def test_nobody_there_is_away(sender: SignedClient, worker: WorkerSetup) -> None:
    await worker.start()
    await worker.stop()

    with pytest.raises(ConnectFailed):
        await sender.send(worker.endpoint, message())


async def test_a_worker_that_was_started_again_is_found_again(
    sender: SignedClient, worker: WorkerSetup
) -> None:
    await worker.start()
    await sender.send(worker.endpoint, question())
    await worker.stop()
    await asyncio.sleep(0.05)
    await worker.start()

    assert (await sender.send(worker.endpoint, question())).outcome is None


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
    ],
)
async def test_an_answer_that_breaks_off_is_broken(
    sender: SignedClient, stranger: Stranger, said: bytes
) -> None:
    await stranger.start(saying(stranger, lambda _: said, close=True))

    with pytest.raises(ExchangeFailed):
        await sender.send(stranger.endpoint, message())


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhal"])
async def test_an_answer_that_is_late_is_broken(
    sender: SignedClient, stranger: Stranger, said: bytes
) -> None:
    await stranger.start(saying(stranger, lambda _: said))
    started = time.monotonic()
    with pytest.raises(ExchangeFailed, match=r"within 0\.1 s"):
        await sender.send(stranger.endpoint, message(timeout=0.1))

    assert time.monotonic() - started < 2


async def test_a_late_answer_never_answers_the_next_question(
    sender: SignedClient, stranger: Stranger
) -> None:
    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            fields, _ = await stranger.read(reader)
            await asyncio.sleep(0.2 if fields["webhook-id"] == "m1" else 0)
            writer.write(genuine(fields))

    await stranger.start(slow)
    with pytest.raises(ExchangeFailed):
        await sender.send(stranger.endpoint, message(timeout=0.05))

    assert await sender.send(stranger.endpoint, message(message_id="m2")) == REPORT


BODY = REPORT.to_bytes()


@pytest.mark.parametrize(
    "say",
    [
        lambda _: answer(BODY, {}),
        lambda fields: answer(BODY, STRANGER.sign(fields["webhook-id"], BODY)),
        lambda _: answer(BODY, SIGNER.sign("another", BODY)),
        lambda fields: answer(BODY + b" ", SIGNER.sign(fields["webhook-id"], BODY)),
        lambda fields: answer(b"<html>", SIGNER.sign(fields["webhook-id"], b"<html>")),
        lambda fields: answer(b"{}", SIGNER.sign(fields["webhook-id"], b"{}")),
        lambda fields: answer(b"{}", fields),
        lambda fields: answer(BODY, SIGNER.sign(fields["webhook-id"], BODY), "500 No"),
        lambda fields: answer(BODY, SIGNER.sign(fields["webhook-id"], BODY), "201 Created"),
        lambda _: answer(b"", {"Location": "http://127.0.0.1:1/"}, "301 Moved"),
        lambda _: answer(b"", {}, "204 No"),
        lambda _: b"HTTP/1.1 200 OK\r\n\r\n",
        lambda _: b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        lambda _: b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        lambda _: f"HTTP/1.1 200 OK\r\nContent-Length: {MAX_BODY_BYTES + 1}\r\n\r\n".encode(),
        lambda _: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        lambda _: b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        lambda _: b"HTTP/1.1 abc\r\n\r\n",
        lambda _: b"SSH-2.0-OpenSSH_9\r\n\r\n",
        lambda _: b"x" * 100_000,
        lambda _: b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
    ],
    ids=[
        "unsigned", "another secret", "another id", "changed body", "html", "empty json",
        "our own signature", "500", "201", "301", "204", "no length", "bad length",
        "negative length", "too long", "chunked", "HTTP/1.0", "no status", "another protocol",
        "endless head", "no colon",
    ],
)  # fmt: skip
async def test_what_is_no_answer_of_ours_is_garbled(
    sender: SignedClient, stranger: Stranger, say: Callable[[dict[str, str]], bytes]
) -> None:
    await stranger.start(saying(stranger, say))

    with pytest.raises(InvalidReply):
        await sender.send(stranger.endpoint, message())


async def test_echoing_the_question_is_no_answer(sender: SignedClient, stranger: Stranger) -> None:
    """Whoever took the port has our signed question, and nothing else that is signed."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        fields, body = await stranger.read(reader)
        writer.write(answer(body, {k: v for k, v in fields.items() if k.startswith("webhook")}))
        await writer.drain()

    await stranger.start(echo)
    with pytest.raises(InvalidReply):
        await sender.send(stranger.endpoint, question())


async def test_words_behind_an_answer_end_the_connection(
    sender: SignedClient, stranger: Stranger
) -> None:
    await stranger.start(saying(stranger, lambda fields: genuine(fields) * 2))

    assert await sender.send(stranger.endpoint, message()) == REPORT
    assert await sender.send(stranger.endpoint, message(message_id="m2")) == REPORT


@pytest.mark.parametrize(
    ("status", "after", "seconds"),
    [("503 Busy", "7", 7), ("429 Many", "0", 0), ("503 Busy", "soon", 1), ("503 Busy", "-1", 1)],
)
async def test_a_busy_worker_says_when_to_come_back(
    sender: SignedClient, stranger: Stranger, status: str, after: str, seconds: float
) -> None:
    await stranger.start(saying(stranger, lambda _: answer(b"", {"Retry-After": after}, status)))

    with pytest.raises(WorkerBusy) as caught:
        await sender.send(stranger.endpoint, message())
    assert caught.value.seconds == seconds


async def test_an_answer_may_come_byte_by_byte(sender: SignedClient, stranger: Stranger) -> None:
    async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        fields, _ = await stranger.read(reader)
        for byte in genuine(fields):
            writer.write(bytes([byte]))
            await asyncio.sleep(0)

    await stranger.start(trickle)
    assert await sender.send(stranger.endpoint, message()) == REPORT


async def test_what_is_under_way_at_a_lost_worker_is_ended_and_its_connections_are_dropped(
    sender: SignedClient, stranger: Stranger
) -> None:
    connections = 0

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while True:
            fields, _ = await stranger.read(reader)
            if fields["webhook-id"] != "never":
                writer.write(genuine(fields))

    await stranger.start(silent)
    first, second = (sender.send(stranger.endpoint, message(message_id=f"m{n}")) for n in range(2))
    await asyncio.gather(first, second)
    asked = asyncio.create_task(sender.send(stranger.endpoint, message(30, message_id="never")))
    while not sender.under_way(stranger.endpoint):
        await asyncio.sleep(0)

    assert sender.abandon("http://127.0.0.1:1") == 0
    assert sender.abandon(stranger.endpoint) == 1
    with pytest.raises(ExchangeFailed, match="lost"):
        await asked
    assert sender.under_way(stranger.endpoint) == 0
    await sender.send(stranger.endpoint, message())
    assert connections == 3
