"""The question before an upload, answered badly: nothing is stored without a true yes."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.acceptance.curl import Answer
from tests.acceptance.fake_worker import FakeWorker, Question, allowing, head, report, signed
from tests.acceptance.harness import UPLOADING, Installation
from tests.acceptance.process import QMONUS_LITE, Running, free_port, until

#: Seconds that a question may take here.
TIMEOUT = 1.0
#: Failures in a row after which a worker is left alone, and seconds until it is asked again.
FAILURES, PAUSE = 5, 2.0
#: Seconds within which an answer came at once.
AT_ONCE = 0.5

GATE = """\
name: gate
event: APIGW.OnFileUploading
script: |-
  async def gate(event, handle):
      event["headers"]["X-Gate"] = "passed"
"""


class SeparateProcesses:
    """An APIGW, and a program of ours where its worker should be."""

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        installation.start("apigw", f"--lambda_sync_timeout={TIMEOUT}")
        until(lambda: installation.live, report=lambda: installation.log)
        key = (installation.data / "event.key").read_text()
        self.worker = FakeWorker(installation.lambda_port, key)
        until(lambda: installation.ready, report=lambda: installation.log)
        self.file = installation.file("f", b"content")

    def upload(self, name: str) -> Answer:
        return self.installation.upload(self.file, f"/upload/{name}")

    def timed_upload(self, name: str) -> tuple[int, float]:
        """Status, and seconds until it was there."""
        start = time.monotonic()
        return self.upload(name).status, time.monotonic() - start


@pytest.fixture(scope="module")
def apart(shared: Installation) -> Iterator[SeparateProcesses]:
    apart = SeparateProcesses(shared)
    yield apart
    apart.worker.end()


@pytest.fixture(autouse=True)
def forgotten(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let the worker be honest again, and APIGW find that out, after each test."""
    yield
    if "apart" in request.fixturenames:
        apart: SeparateProcesses = request.getfixturevalue("apart")
        apart.worker.answering = apart.worker.allow
        until(lambda: apart.upload("afterwards").status in (200, 201))


# What a worker may do wrong: it answers late, in part, or something else than a worker does.


def half_a_head(_worker: FakeWorker, question: Question) -> None:
    question.send(b"HTTP/1.1 200 OK\r\nContent-Le")
    question.reset()


def half_a_body(worker: FakeWorker, question: Question) -> None:
    body = allowing(question)
    question.send(head(len(body), signed(worker.key, question.id, body)) + body[:20])
    question.reset()


def hanging_up(_worker: FakeWorker, question: Question) -> None:
    question.reset()


def a_web_page(_worker: FakeWorker, question: Question) -> None:
    page = b"<html>It works!</html>"
    question.send(head(len(page), {"Content-Type": "text/html"}) + page)


def an_empty_object(_worker: FakeWorker, question: Question) -> None:
    question.send(head(2, {"Content-Type": "application/json"}) + b"{}")


def a_signed_empty_object(worker: FakeWorker, question: Question) -> None:
    worker.say(question, b"{}")


def no_outcome(worker: FakeWorker, question: Question) -> None:
    worker.say(question, report(None))


def a_code_that_is_text(worker: FakeWorker, question: Question) -> None:
    worker.say(question, allowing(question, code="200"))


def a_code_that_is_true(worker: FakeWorker, question: Question) -> None:
    worker.say(question, allowing(question, code=True))


def a_yes_without_a_signature(_worker: FakeWorker, question: Question) -> None:
    body = allowing(question)
    question.send(head(len(body), {"webhook-id": question.id}) + body)


def a_yes_signed_with_another_secret(_worker: FakeWorker, question: Question) -> None:
    body = allowing(question)
    question.send(head(len(body), signed(bytes(32), question.id, body)) + body)


def a_yes_to_another_question(worker: FakeWorker, question: Question) -> None:
    body = allowing(question)
    another = "01890000-0000-7000-8000-000000000000"
    question.send(head(len(body), signed(worker.key, another, body)) + body)


def a_yes_of_ten_minutes_ago(worker: FakeWorker, question: Question) -> None:
    body = allowing(question)
    then = datetime.now(UTC) - timedelta(minutes=10)
    question.send(head(len(body), signed(worker.key, question.id, body, then)) + body)


def a_yes_with_a_byte_changed(worker: FakeWorker, question: Question) -> None:
    body = allowing(question, code=403)
    headers = signed(worker.key, question.id, body)
    question.send(head(len(body), headers) + body.replace(b"403", b"200"))


def ten_megabytes(worker: FakeWorker, question: Question) -> None:
    worker.say(question, allowing(question, output="x" * (10 << 20)))


def no_length(worker: FakeWorker, question: Question) -> None:
    body = allowing(question)
    fields = signed(worker.key, question.id, body)
    lines = ["HTTP/1.1 200 OK", *(f"{name}: {value}" for name, value in fields.items())]
    question.send("\r\n".join([*lines, "", ""]).encode() + body)
    question.connection.close()


def an_error(_worker: FakeWorker, question: Question) -> None:
    question.send(head(0, {}, "500 Internal Server Error"))


BROKEN_OFF = [half_a_head, half_a_body, hanging_up]
NO_WORKER_OF_OURS = [
    a_web_page,
    an_empty_object,
    a_signed_empty_object,
    no_outcome,
    a_code_that_is_text,
    a_code_that_is_true,
    a_yes_without_a_signature,
    a_yes_signed_with_another_secret,
    a_yes_to_another_question,
    a_yes_of_ten_minutes_ago,
    a_yes_with_a_byte_changed,
    ten_megabytes,
    no_length,
    an_error,
]


def refused(
    apart: SeparateProcesses, answering: Callable[[FakeWorker, Question], None], status: int
) -> None:
    """Upload while the worker answers so: a problem, and no trace."""
    before = apart.installation.stored()
    apart.worker.answering = lambda question: answering(apart.worker, question)

    answer = apart.upload(answering.__name__)

    assert answer.status == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json["request_id"]
    assert apart.installation.stored() == before


@pytest.mark.parametrize("answering", BROKEN_OFF)
def test_an_answer_that_breaks_off_is_no_yes(
    apart: SeparateProcesses, answering: Callable[[FakeWorker, Question], None]
) -> None:
    refused(apart, answering, 503)


@pytest.mark.parametrize("answering", NO_WORKER_OF_OURS)
def test_an_answer_that_cannot_be_trusted_is_no_yes(
    apart: SeparateProcesses, answering: Callable[[FakeWorker, Question], None]
) -> None:
    refused(apart, answering, 502)


def test_an_answer_that_was_recorded_is_good_for_one_question(apart: SeparateProcesses) -> None:
    recorded: list[bytes] = []

    def record(question: Question) -> None:
        body = allowing(question)
        recorded.append(head(len(body), signed(apart.worker.key, question.id, body)) + body)
        question.send(recorded[0])

    apart.worker.answering = record
    assert apart.upload("recorded").status == 201

    apart.worker.answering = lambda question: question.send(recorded[0])
    assert apart.upload("replayed").status == 502


def test_a_redirection_is_not_followed(apart: SeparateProcesses) -> None:
    port = free_port()
    elsewhere = FakeWorker(port, (apart.installation.data / "event.key").read_text())
    place = f"http://127.0.0.1:{port}/events/ask"

    def redirect(_worker: FakeWorker, question: Question) -> None:
        question.send(head(0, {"Location": place}, "301 Moved Permanently"))

    try:
        refused(apart, redirect, 502)
        assert elsewhere.asked == 0
    finally:
        elsewhere.end()


@pytest.mark.parametrize(("left", "statuses"), [([UPLOADING], (503, 503)), ([], (401, 201))])
def test_a_yes_of_no_handler_leaves_it_to_the_default_authorization_once_no_handler_is_left(
    apart: SeparateProcesses, left: list[str], statuses: tuple[int, int]
) -> None:
    def answer(question: Question) -> None:
        said = json.loads(allowing(question, handlers=[])) | {"handles": left}
        apart.worker.say(question, json.dumps(said).encode())

    apart.worker.answering = answer
    before = apart.installation.stored()

    assert apart.upload("nobody").status == statuses[0]
    assert apart.installation.stored() == before
    token = apart.installation.token
    path = "/upload/somebody"
    assert apart.installation.upload(apart.file, path, token=token).status == statuses[1]


@pytest.mark.serial
def test_a_worker_that_never_answers_is_left_alone_after_some_tries(
    apart: SeparateProcesses,
) -> None:
    before = apart.installation.stored()
    apart.worker.answering = lambda _asked: apart.worker.wait_for_end(TIMEOUT + 1)
    asked = apart.worker.asked

    with ThreadPoolExecutor(FAILURES) as pool:
        names = [f"silence-{number}" for number in range(FAILURES)]
        waited = list(pool.map(apart.timed_upload, names))
    at_once = [apart.timed_upload("left-alone") for _ in range(3)]

    assert {status for status, _ in waited + at_once} == {503}
    assert all(TIMEOUT <= took < TIMEOUT + AT_ONCE for _, took in waited), waited
    assert all(took < AT_ONCE for _, took in at_once), at_once
    assert apart.worker.asked == asked + FAILURES
    assert apart.installation.stored() == before


@pytest.mark.serial
def test_one_upload_alone_tries_a_worker_that_was_left_alone(apart: SeparateProcesses) -> None:
    apart.worker.answering = lambda question: question.reset()
    assert {apart.upload("reset").status for _ in range(FAILURES)} == {503}
    apart.worker.answering = lambda _asked: apart.worker.wait_for_end(TIMEOUT + 1)
    asked = apart.worker.asked
    time.sleep(PAUSE)

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(apart.timed_upload, ["a", "b", "c", "d"]))

    assert {status for status, _ in answers} == {503}
    assert apart.worker.asked == asked + 1
    assert sorted(took < AT_ONCE for _, took in answers) == [False, True, True, True]


@pytest.mark.serial
def test_other_requests_do_not_wait_for_a_silent_worker(apart: SeparateProcesses) -> None:
    apart.worker.answering = lambda _asked: apart.worker.wait_for_end(TIMEOUT + 1)
    uploads = [
        threading.Thread(target=apart.upload, args=(f"waiting-{number}",))
        for number in range(FAILURES)
    ]
    for upload in uploads:
        upload.start()

    slowest = 0.0
    while any(upload.is_alive() for upload in uploads):
        start = time.monotonic()
        assert apart.installation.live
        slowest = max(slowest, time.monotonic() - start)

    assert slowest < AT_ONCE


# More than one worker.


class Pair:
    """An APIGW, a real worker with a gate, and a place for another one."""

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        installation.plugin("gate.yml", GATE)
        self.port = free_port()
        ports = (self.port, installation.lambda_port)
        endpoints = ",".join(f"http://127.0.0.1:{port}" for port in ports)
        installation.start("apigw", f"--lambda_endpoints={endpoints}")
        installation.start("lambda")
        until(lambda: installation.ready, report=lambda: installation.log)
        self.file = installation.file("f", b"content")

    @contextmanager
    def other(self, output: Path) -> Iterator[Running]:
        """A worker in the other place, as soon as APIGW knows it."""
        base = self.installation.base
        # Only there does a worker say of every message how it answered.
        flags = (f"--base_dir={base}", f"--lambda_port={self.port}", "--log_level=debug")
        other = Running(
            [*QMONUS_LITE, "lambda", *flags],
            cwd=base,
            environ=self.installation.environ,
            output=output,
        )
        try:
            up = f"worker http://127.0.0.1:{self.port} answers"
            until(lambda: up in self.installation.log, report=lambda: other.stderr)
            yield other
        finally:
            other.end()

    def uploads(self, count: int) -> list[int]:
        """Status of so many uploads, one after the other."""
        paths = [f"/upload/{number}" for number in range(count)]
        return [self.installation.upload(self.file, path).status for path in paths]


@pytest.fixture
def pair(installation: Installation) -> Pair:
    return Pair(installation)


def test_a_worker_that_never_came_does_not_matter_beside_another(pair: Pair) -> None:
    assert pair.uploads(6) == [201] * 6


def test_a_worker_that_is_killed_does_not_matter_beside_another(pair: Pair, tmp_path: Path) -> None:
    with pair.other(tmp_path / "other") as other:
        until(lambda: pair.uploads(1)[0] in (200, 201) and "/events/ask 200" in other.stderr)
        other.kill()

        assert pair.uploads(6) == [200] + [201] * 5


def test_the_next_worker_is_asked_when_one_takes_no_connection(pair: Pair) -> None:
    key = (pair.installation.data / "event.key").read_text()
    fake = FakeWorker(pair.port, key)
    try:
        up = f"worker http://127.0.0.1:{pair.port} answers"
        until(lambda: up in pair.installation.log)
        # What it says of itself still stands; a question cannot be put to it.
        fake.stop_listening()

        assert pair.uploads(6) == [201] * 6
        assert fake.asked == 0
        assert "worker_away" not in pair.installation.log
    finally:
        fake.end()
