"""Events on their way from the outbox to handlers: none is lost, overtaken, or handled twice."""

import http.client
import json
import re
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pytest

from tests.acceptance.curl import Answer
from tests.acceptance.harness import Installation
from tests.acceptance.process import Running, until

#: Uploads while no worker runs, each path's so many times, by so many clients.
UPLOADS_PER_PATH, CLIENTS = 10, 4
#: Paths of these uploads, and restarts of the APIGW meanwhile; the second ones in the long form.
PATHS, RESTARTS = (100, 500), (5, 20)
#: Events a second that a worker has to get when it is back.
LEAST_RATE = 300

#: Writes down what it sees; fails as the upload asks for, until it is mended.
HANDLER = """\
name: handler
event: APIGW.OnFileUploaded
script: |-
  import os

  async def handler(event, handle):
      what = event["params"].get("poison", [""])[0]
      if what == "refused" and not os.path.exists({file!r} + ".mended"):
          raise Error(422, "not to my taste")
      if what == "broken":
          raise ValueError("no idea what to do")
      with open({file!r}, "a") as record:
          record.write(event["path"] + " " + event["params"]["number"][0] + "\\n")
"""
#: Takes its time.
SLOW = """\
name: slow
event: APIGW.OnFileUploaded
script: |-
  async def slow(event, handle):
      with open({file!r}, "a") as record:
          record.write("began\\n")
      await asyncio.sleep({seconds})
      with open({file!r}, "a") as record:
          record.write("ended\\n")
"""
#: An event that follows from success or failure.
FOLLOWED = """\
name: followed
event: APIGW.OnFileUploaded
success: Stored
failure: NotStored
script: |-
  async def followed(event, handle):
      if "fails" in event["path"]:
          raise Error(503, "not now")
"""
FOLLOWING = """\
name: on-{name}
event: {name}
script: |-
  async def on_{name}(event, handle):
      with open({file!r}, "a") as record:
          record.write("{name} " + event["path"] + "\\n")
"""


class Delivery:
    """An installation whose handlers write lines to a file."""

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        self.file = installation.folder / "lines"
        self.file.touch()

    def start(self, *flags: str, worker: tuple[str, ...] = ()) -> tuple[Running, Running]:
        """Start an APIGW and a worker; no upload waits for a handler."""
        apigw = self.installation.start("apigw", *flags)
        running = self.installation.start("lambda", *worker)
        until(lambda: self.installation.ready, report=lambda: self.installation.log)
        return apigw, running

    def lines(self) -> list[str]:
        return self.file.read_text().splitlines()

    def upload(self, path: str, **arguments: object) -> str:
        """Upload something; gives the id of its event."""
        query = "&".join(f"{name}={value}" for name, value in arguments.items())
        token, file = self.installation.token, self.installation.file("f", b"content")
        answer = self.installation.upload(file, f"{path}?{query}", token=token)
        assert answer.status in (200, 201), answer.text
        return str(answer.json["event_id"])

    def events(self, *words: str) -> str:
        """What an `events` command prints."""
        base = f"--base_dir={self.installation.base}"
        done = self.installation.run("events", *words, base)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def waiting(self, state: str = "") -> list[dict[str, Any]]:
        """What `/-/events` lists."""
        path = f"/-/events?state={state}"
        answer = self.installation.curl(path, token=self.installation.token)
        assert answer.status == 200, answer.text
        return list(answer.json["events"])

    def until_delivered(self) -> None:
        """Wait until the outbox is empty."""
        until(lambda: self.waiting() == [], report=lambda: self.installation.log)


@pytest.fixture
def delivery(installation: Installation) -> Delivery:
    return Delivery(installation)


# A worker that is away.


def upload_all(delivery: Delivery, paths: int) -> None:
    """Upload small files to many paths, each path by one client, each file over the last one."""
    port, token = delivery.installation.port, delivery.installation.token

    def upload_some(client: int) -> None:
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
            for number in range(UPLOADS_PER_PATH):
                for path in range(client, paths, CLIENTS):
                    target = f"/upload/{path}?number={number}"
                    connection.request("PUT", target, b"small", {"X-Auth-Token": token})
                    answer = connection.getresponse()
                    answer.read()
                    assert answer.status in (200, 201)

    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(upload_some, range(CLIENTS)))


def by_path(lines: Sequence[str]) -> dict[str, list[int]]:
    """Numbers in the order of the lines, by path."""
    numbers: dict[str, list[int]] = defaultdict(list)
    for line in lines:
        path, _, number = line.partition(" ")
        numbers[path].append(int(number))
    return numbers


@pytest.mark.serial
@pytest.mark.timeout(300)
def test_events_wait_for_a_worker_over_all_restarts_and_keep_their_order(
    delivery: Delivery, report_figures: Callable[[str], None], long_form: bool
) -> None:
    paths, restarts = PATHS[long_form], RESTARTS[long_form]
    uploads = paths * UPLOADS_PER_PATH
    delivery.installation.plugin("handler.yml", HANDLER.format(file=str(delivery.file)))
    apigw, worker = delivery.start("--log_level=warning")
    worker.kill()
    upload_all(delivery, paths)
    waiting = delivery.events("list")
    assert len(re.findall(r" ready time=\S+ attempt=0 ", waiting)) == uploads

    for _ in range(restarts):
        apigw.kill()
        apigw = delivery.installation.start("apigw", "--log_level=warning")
        until(lambda: delivery.installation.live, report=lambda: delivery.installation.log)
    assert delivery.events("list") == waiting
    assert delivery.lines() == []

    delivery.installation.start("lambda", "--log_level=warning")
    until(lambda: delivery.installation.ready, report=lambda: delivery.installation.log)
    start = time.monotonic()
    until(lambda: delivery.file.read_text().count("\n") >= uploads, within=60)
    rate = uploads / (time.monotonic() - start)
    delivery.until_delivered()

    report_figures(f"{uploads} events that waited: {rate:.0f} a second")
    found = by_path(delivery.lines())
    assert len(found) == paths
    assert all(numbers == list(range(UPLOADS_PER_PATH)) for numbers in found.values())
    assert rate > LEAST_RATE


# An event that nobody can handle.


class Poisoned(Delivery):
    """A delivery with two dead letters, and events that were delivered all the same."""

    def __init__(self, installation: Installation) -> None:
        super().__init__(installation)
        installation.plugin("handler.yml", HANDLER.format(file=str(self.file)))
        self.start("--event_max_age=2")
        #: Ids of the dead letters.
        self.refused = self.upload("/upload/refused", poison="refused", number=0)
        self.broken = self.upload("/upload/broken", poison="broken", number=0)
        # The next one of that path waits for the one before it.
        self.upload("/upload/broken", number=1)
        for number in range(5):
            self.upload("/upload/other", number=number)
        until(lambda: len(self.waiting()) == len(self.waiting("dead")) == 2)

    def replay(self, event_id: str, *arguments: str) -> Answer:
        """`POST /-/events/{id}/replay`."""
        return self.installation.curl(f"/-/events/{event_id}/replay", *arguments)


@pytest.fixture(scope="module")
def poisoned(shared: Installation) -> Poisoned:
    return Poisoned(shared)


def test_a_poison_event_becomes_a_dead_letter_and_hinders_no_other(poisoned: Poisoned) -> None:
    dead = {event["id"]: event for event in poisoned.waiting("dead")}
    refused, broken = dead[poisoned.refused], dead[poisoned.broken]

    others = [f"/upload/other {number}" for number in range(5)]
    assert poisoned.lines()[:6] == [*others, "/upload/broken 1"]
    assert (refused["attempt"], refused["reason"]) == (1, "422: not to my taste")
    assert broken["attempt"] > 1
    assert broken["reason"].startswith("older than 2 s; the last try: 500: ")


def test_a_dead_letter_is_shown_without_its_credentials(poisoned: Poisoned) -> None:
    token = poisoned.installation.token
    listed = poisoned.events("list", "--state=dead").splitlines()
    shown = json.loads(poisoned.events("show", poisoned.refused))
    by_door = poisoned.installation.curl(f"/-/events/{poisoned.refused}", token=token)

    words = r"attempt=1 next=- APIGW\.OnFileUploaded /upload/refused \(422: not to my taste\)"
    assert re.fullmatch(rf"{poisoned.refused} dead time=\S+ {words}", listed[0])
    assert listed[1].startswith(f"{poisoned.broken} dead time=")
    assert shown == by_door.json
    assert (shown["state"], shown["event"]["bytes"]) == ("dead", 7)
    assert shown["event"]["headers"]["X-Auth-Token"] == "********"
    assert token not in json.dumps(shown)


def test_a_replay_without_a_token_is_refused_whatever_comes_with_it(poisoned: Poisoned) -> None:
    answer = poisoned.replay(poisoned.refused, "-d", "please")

    assert answer.status == 401
    # What would follow from it comes at once.
    time.sleep(0.5)
    assert json.loads(poisoned.events("show", poisoned.refused))["attempt"] == 1


def test_a_dead_letter_is_delivered_after_all_once_the_handler_is_mended(
    poisoned: Poisoned,
) -> None:
    token = ("-X", "POST", "-H", f"X-Auth-Token: {poisoned.installation.token}")
    ids = [poisoned.upload("/upload/mend", poison="refused", number=n) for n in range(2)]
    until(lambda: {event["id"] for event in poisoned.waiting("dead")} >= set(ids))
    poisoned.file.with_name("lines.mended").touch()

    poisoned.events("replay", ids[0])
    until(lambda: "/upload/mend 0" in poisoned.lines())
    answer = poisoned.replay(ids[1], *token)
    until(lambda: "/upload/mend 1" in poisoned.lines())

    assert (answer.status, answer.json) == (202, {"id": ids[1], "state": "ready"})
    until(lambda: not {event["id"] for event in poisoned.waiting()} & set(ids))

    # A delivered event is delivered again as a copy, with an id of its own.
    again = poisoned.replay(ids[1], *token)
    assert again.status == 202 and again.json["id"] not in ids
    until(lambda: poisoned.lines().count("/upload/mend 1") == 2)
    missing = "00000000-0000-0000-0000-000000000000"
    assert poisoned.replay(missing, *token).status == 409


# An event that comes twice.


def test_an_event_that_comes_again_while_its_handler_runs_does_not_run_it_twice(
    delivery: Delivery,
) -> None:
    plugin = SLOW.format(file=str(delivery.file), seconds=4)
    delivery.installation.plugin("slow.yml", plugin)
    apigw, _worker = delivery.start()
    delivery.upload("/upload/f")
    until(lambda: delivery.lines() == ["began"])

    apigw.kill()
    delivery.installation.start("apigw")
    until(lambda: delivery.installation.live, report=lambda: delivery.installation.log)
    assert delivery.lines() == ["began"]
    delivery.until_delivered()

    assert delivery.lines() == ["began", "ended"]
    assert "action=event_delivered attempt=2" in delivery.installation.log


def test_an_event_that_comes_again_is_answered_from_memory_by_a_later_worker_too(
    delivery: Delivery,
) -> None:
    plugin = SLOW.format(file=str(delivery.file), seconds=0.3)
    delivery.installation.plugin("slow.yml", plugin)
    apigw, worker = delivery.start(worker=("--log_level=debug",))
    delivery.upload("/upload/f")
    until(lambda: delivery.lines() == ["began"])

    apigw.kill()
    until(lambda: "/events/deliver 200" in worker.stderr, report=lambda: worker.stderr)
    assert worker.stop() == 0
    delivery.start()
    delivery.until_delivered()

    assert delivery.lines() == ["began", "ended"]
    assert "action=event_delivered attempt=2" in delivery.installation.log


# Events that follow.


def test_success_and_failure_of_a_handler_have_events_of_their_own(delivery: Delivery) -> None:
    delivery.installation.plugin("followed.yml", FOLLOWED)
    for name in ("Stored", "NotStored"):
        text = FOLLOWING.format(name=name, file=str(delivery.file))
        delivery.installation.plugin(f"{name}.yml", text)
    delivery.start()

    delivery.upload("/upload/goes-well")
    failed = delivery.upload("/upload/fails")
    until(lambda: len(delivery.lines()) > 1, report=lambda: delivery.installation.log)

    assert delivery.lines()[:2] == ["Stored /upload/goes-well", "NotStored /upload/fails"]
    # To be told of a failure is not to have mended it. What went well is listed a moment longer.
    until(lambda: [event["id"] for event in delivery.waiting()] == [failed])
