"""Several APIGWs of one installation: one order, one outbox, and nothing left by the killed."""

import http.client
import os
import signal
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.acceptance.harness import UPLOADED, Installation
from tests.acceptance.process import Running, listens, runs, until

PROCESSES = "--apigw_processes=2"
GATE = """\
name: gate
event: APIGW.OnFileUploading
script: |-
  async def gate(event, handle):
      pass
"""


def start(installation: Installation) -> Running:
    installation.record(UPLOADED)
    running = installation.up(PROCESSES)
    until(lambda: len(apigws(running)) == 2 and running.stderr.count("worker_up") >= 3)
    return running


@pytest.fixture
def up(installation: Installation) -> Running:
    return start(installation)


@pytest.fixture(scope="module")
def shared_up(shared: Installation) -> Running:
    """For the tests after which it serves as before; each begins with two APIGWs that serve."""
    return start(shared)


@pytest.fixture
def serving(shared: Installation, shared_up: Running) -> Running:
    until(lambda: len(apigws(shared_up)) == 2 and shared.ready, report=lambda: shared.log)
    return shared_up


def apigws(up: Running) -> list[int]:
    return [pid for name, pid in up.all_children if name == "apigw"]


def writer(up: Running) -> int:
    return up.children["writer"]


def put(installation: Installation, name: str, content: bytes) -> int:
    file = installation.file(name, content)
    return installation.upload(file, f"/upload/{name}", token=installation.token).status


def staged(installation: Installation) -> list[Path]:
    return list((installation.data / "staging").iterdir())


def test_each_takes_uploads_while_the_other_stands_still(
    shared: Installation, serving: Running
) -> None:
    for number, still in enumerate(apigws(serving)):
        os.kill(still, signal.SIGSTOP)
        try:
            assert put(shared, f"beside{number}", b"x") == 201
        finally:
            os.kill(still, signal.SIGCONT)


def test_one_order_stands_over_the_uploads_of_both(shared: Installation, serving: Running) -> None:
    assert [put(shared, f"many{n}", b"%d" % n) for n in range(30)] == [201] * 30
    assert put(shared, "same", b"one") == 201
    assert put(shared, "same", b"second") == 200
    events = shared.recordings(UPLOADED, "/upload/same", 2)

    assert (shared.base / "upload" / "same").read_bytes() == b"second"
    assert [event["bytes"] for event in events] == [3, 6]
    # What the writer process is given to promise says who sent it, and has no credential.
    admin = {"name": "admin", "roles": ["admin"]}
    assert [(event["account"], event["length"]) for event in events] == [(admin, 3), (admin, 6)]
    assert {event["headers"]["X-Auth-Token"] for event in events} == {"********"}


def test_whoever_accepts_has_a_worker_to_ask(installation: Installation) -> None:
    installation.plugin("gate.yml", GATE)
    installation.up(PROCESSES)
    file = installation.file("f", b"x")

    statuses = [installation.upload(file, f"/upload/f{n}").status for n in range(40)]

    assert statuses == [201] * 40


def test_whoever_serves_has_a_token_to_give(installation: Installation) -> None:
    up = installation.start("up", PROCESSES)
    until(lambda: len(apigws(up)) == 2, report=lambda: installation.log)
    # The first one writes it.
    os.kill(apigws(up)[0], signal.SIGSTOP)
    try:
        end = time.monotonic() + 3
        while time.monotonic() < end:
            connection = http.client.HTTPConnection("127.0.0.1", installation.port, timeout=0.3)
            with closing(connection), pytest.raises(TimeoutError):
                connection.request("GET", "/-/live")
                connection.getresponse()
    finally:
        os.kill(apigws(up)[0], signal.SIGCONT)
    until(lambda: installation.ready, report=lambda: installation.log)

    assert installation.token
    # In the order in which people read it.
    until(lambda: "ready; try:" in up.stdout, report=lambda: up.stdout)
    assert up.stdout.index("listens on") < up.stdout.index("ready; try:")


def test_a_long_body_is_stored_too(shared: Installation, serving: Running) -> None:
    content = os.urandom(3 << 20)

    assert put(shared, "long", content) == 201
    assert (shared.base / "upload" / "long").read_bytes() == content
    assert staged(shared) == []


def test_events_are_shown_and_stop_is_clean(installation: Installation, up: Running) -> None:
    put(installation, "f", b"x")
    installation.recorded(UPLOADED, "/upload/f")
    children = [pid for _, pid in up.all_children]
    listed = installation.curl("/-/events", token=installation.token)

    assert listed.status == 200
    assert up.stop() == 0
    assert not any(map(runs, children))
    assert not listens(installation.port)


def test_the_stop_lets_a_running_upload_come_to_its_end(
    installation: Installation, up: Running
) -> None:
    file = installation.file("slow", bytes(3 << 20))
    token = installation.token
    answers = []
    client = threading.Thread(
        target=lambda: answers.append(
            installation.upload(file, "/upload/slow", "--limit-rate", "2M", token=token)
        )
    )
    client.start()
    until(lambda: staged(installation), report=lambda: installation.log)
    status = up.stop()
    client.join()

    assert (status, answers[0].status) == (0, 201)
    assert (installation.base / "upload" / "slow").stat().st_size == 3 << 20


def test_a_killed_writer_process_takes_all_along_and_comes_back_with_what_it_promised(
    shared: Installation, serving: Running
) -> None:
    assert put(shared, "before", b"x") == 201
    old = [writer(serving), *apigws(serving)]
    os.kill(writer(serving), signal.SIGKILL)
    until(lambda: not any(map(runs, old)), report=lambda: shared.log)
    until(lambda: shared.ready, report=lambda: shared.log)

    assert put(shared, "after", b"y") == 201
    shared.recorded(UPLOADED, "/upload/before")
    shared.recorded(UPLOADED, "/upload/after")
    assert staged(shared) == []


def test_what_a_killed_apigw_had_begun_is_removed(installation: Installation, up: Running) -> None:
    file = installation.file("slow", bytes(3 << 20))
    token = installation.token

    def send() -> None:
        with pytest.raises(AssertionError):
            installation.upload(file, "/upload/slow", "--limit-rate", "200k", token=token)

    client = threading.Thread(target=send)
    client.start()
    until(lambda: staged(installation), report=lambda: installation.log)
    number = staged(installation)[0].name.partition("-")[0]
    before = apigws(up)
    killed = before[int(number)]
    os.kill(killed, signal.SIGKILL)
    client.join()
    until(lambda: staged(installation) == [], report=lambda: installation.log)

    assert [put(installation, f"later{n}", b"x") for n in range(5)] == [201] * 5
    until(lambda: len(apigws(up)) == 2 and apigws(up) != before, report=lambda: installation.log)
    assert not (installation.base / "upload" / "slow").exists()


def test_a_second_installation_on_the_port_or_the_data_is_refused(
    shared: Installation, serving: Running
) -> None:
    del serving
    second = shared.start("up", PROCESSES)

    assert second.wait() == 2
    assert "in use" in second.stderr
    alone = shared.start("writer")
    assert alone.wait() == 2
    assert "another APIGW runs on it" in alone.stderr
