"""Uploads whose event nobody handles: stored by the APIGW that took them, and as safe as any."""

import hashlib
import http.client
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.acceptance.harness import UPLOADED, Installation
from tests.acceptance.process import Running, until

#: Uploads at once, and APIGWs that are killed.
CLIENTS, KILLS = 4, 4
#: Bytes of the files: some that the loop stores itself, some that the threads do.
SIZES = (0, 700, 20_000, 70_000, 400_000)


def content(name: str) -> bytes:
    """What the file of this name holds."""
    seed = hashlib.sha256(name.encode()).digest()
    size = SIZES[seed[0] % len(SIZES)]
    return (seed * (size // len(seed) + 1))[:size]


class Client:
    """Uploads one file after the other, and writes down which were acknowledged."""

    def __init__(self, installation: Installation, number: int, stop: threading.Event) -> None:
        self._installation = installation
        self._number = number
        self._stop = stop
        self.acknowledged: list[str] = []
        self.thread = threading.Thread(target=self._work)
        self.thread.start()

    def _work(self) -> None:
        count = 0
        while not self._stop.is_set():
            with closing(http.client.HTTPConnection("127.0.0.1", self._installation.port)) as to:
                try:
                    while not self._stop.is_set():
                        count += 1
                        self._upload(to, f"{self._number}-{count}")
                except (OSError, http.client.HTTPException):
                    # Its APIGW was killed.
                    time.sleep(0.02)

    def _upload(self, to: http.client.HTTPConnection, name: str) -> None:
        headers = {"X-Auth-Token": self._installation.token}
        to.request("PUT", f"/upload/{name}", content(name), headers)
        answer = to.getresponse()
        answer.read()
        if answer.status == 201:
            self.acknowledged.append(name)


def staged(installation: Installation) -> list[Path]:
    return list((installation.data / "staging").iterdir())


def events(installation: Installation) -> object:
    return installation.curl("/-/events", token=installation.token).json["events"]


@pytest.fixture(params=["none", "full"])
def up(installation: Installation, request: pytest.FixtureRequest) -> Iterator[Running]:
    running = installation.up("--apigw_processes=2", f"--upload_durability={request.param}")
    until(lambda: installation.ready, report=lambda: installation.log)
    yield running


def test_a_killed_apigw_loses_nothing_and_leaves_nothing(
    installation: Installation, up: Running
) -> None:
    stop = threading.Event()
    clients = [Client(installation, number, stop) for number in range(CLIENTS)]
    try:
        for number in range(KILLS):
            time.sleep(1)
            apigws = [pid for name, pid in up.all_children if name == "apigw"]
            os.kill(apigws[number % len(apigws)], signal.SIGKILL)
        time.sleep(1)
    finally:
        stop.set()
        for client in clients:
            client.thread.join()
    until(lambda: staged(installation) == [], report=lambda: installation.log)
    acknowledged = [name for client in clients for name in client.acknowledged]
    found = {path.name: path.read_bytes() for path in (installation.base / "upload").iterdir()}
    print(f"\nacknowledged {len(acknowledged)}, found {len(found)}")

    assert len(acknowledged) > 100
    assert not set(acknowledged) - set(found)
    # Also those whose client heard nothing are whole.
    assert [name for name, data in found.items() if data != content(name)] == []
    # What came while a new APIGW had not yet heard of a worker was promised, and is done.
    until(lambda: events(installation) == [], report=lambda: installation.log)


def test_a_handler_that_is_dropped_in_hears_of_what_comes_after_it(
    installation: Installation,
) -> None:
    installation.up()
    until(lambda: installation.ready, report=lambda: installation.log)
    file, token = installation.file("f", b"x"), installation.token
    assert installation.upload(file, "/upload/before", token=token).status == 201
    installation.record(UPLOADED)
    # In force everywhere within a second.
    time.sleep(2)
    assert installation.upload(file, "/upload/after", token=token).status == 201
    installation.recorded(UPLOADED, "/upload/after")

    record = (installation.folder / f"{UPLOADED}.jsonl").read_text()
    assert "/upload/before" not in record


def test_while_no_worker_answers_the_event_waits_for_whoever_comes(
    installation: Installation,
) -> None:
    installation.start("apigw")
    worker = installation.start("lambda")
    until(lambda: installation.ready, report=lambda: installation.log)
    file, token = installation.file("f", b"x"), installation.token
    worker.end()
    until(lambda: not installation.ready, report=lambda: installation.log)
    assert installation.upload(file, "/upload/f", token=token).status == 201
    installation.record(UPLOADED)
    installation.start("lambda")

    assert installation.recorded(UPLOADED, "/upload/f")["bytes"] == 1
