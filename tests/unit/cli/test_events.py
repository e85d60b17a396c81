"""`events list`, `events show`, `events replay`, `events drop`."""

import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from qmonus_lite.events.stored_event import PendingEvent
from tests.unit.cli.conftest import Shell
from tests.unit.event_logs.events import open_log


@pytest.fixture
def outbox(shell: Shell) -> None:
    """An outbox with a promise, an event that waits and two dead letters."""
    shell.state.mkdir()
    log = open_log(shell.state / "outbox.sqlite3")
    for name in ("promised", "waiting", "dead-1", "dead-2"):
        data = {"path": f"/upload/{name}", "headers": {"X-Auth-Token": "s3cret"}}
        log.prepare(
            [
                PendingEvent(
                    id=name,
                    type="APIGW.OnFileUploaded",
                    path=f"/upload/{name}",
                    time=datetime.now(UTC),
                    data=json.dumps(data),
                    store="file",
                    store_path=f"upload/{name}",
                    gateway="g1",
                    token="s",
                )
            ]
        )
        if name != "promised":
            log.commit(name)
        if name.startswith("dead"):
            log.dead(name, 1, "422: never")
    log.close()


@pytest.mark.usefixtures("outbox")
def test_lists_every_event_with_its_state(shell: Shell) -> None:
    lines = shell.run("events", "list").out.splitlines()

    assert len(lines) == 4
    time = r"time=20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\+09:00"
    of = "APIGW.OnFileUploaded /upload/"
    assert re.fullmatch(rf"promised prepared {time} attempt=0 next=- {of}promised", lines[0])
    assert re.fullmatch(rf"waiting ready {time} attempt=0 next=now {of}waiting", lines[1])
    assert re.fullmatch(rf"dead-1 dead {time} .* next=- {of}dead-1 \(422: never\)", lines[2])


@pytest.mark.usefixtures("outbox")
def test_lists_when_an_event_is_tried_again(shell: Shell) -> None:
    log = open_log(shell.state / "outbox.sqlite3")
    log.retry("waiting", 3, datetime(2100, 1, 2, tzinfo=UTC).timestamp(), "503").result(10)
    log.close()
    line = shell.run("events", "list", "--state=ready", "--timezone=UTC").out

    assert "attempt=3 next=2100-01-02T00:00:00+00:00 APIGW.OnFileUploaded" in line


@pytest.mark.usefixtures("outbox")
def test_lists_the_events_of_one_state(shell: Shell) -> None:
    lines = shell.run("events", "list", "--state=dead").out.splitlines()

    assert [line.split()[0] for line in lines] == ["dead-1", "dead-2"]


@pytest.mark.usefixtures("outbox")
def test_shows_one_event_without_its_credentials(shell: Shell) -> None:
    said = shell.run("events", "show", "dead-1").out

    assert json.loads(said)["event"]["path"] == "/upload/dead-1"
    assert "s3cret" not in said


@pytest.mark.usefixtures("outbox")
@pytest.mark.parametrize(("which", "left"), [("dead-1", ["dead-2"]), ("all", [])])
def test_replays_dead_letters(shell: Shell, which: str, left: list[str]) -> None:
    ended = shell.run("events", "replay", which)

    assert ended.out.startswith(f"{2 - len(left)} event(s) will be delivered again")
    lines = shell.run("events", "list", "--state=dead").out.splitlines()
    assert [line.split()[0] for line in lines] == left


@pytest.mark.usefixtures("outbox")
@pytest.mark.parametrize("which", ["waiting", "all"])
def test_a_waiting_event_is_due_at_once(shell: Shell, which: str) -> None:
    log = open_log(shell.state / "outbox.sqlite3")
    log.retry("waiting", 3, 4e9, "503").result(10)
    log.close()

    assert shell.run("events", "retry", which).out.startswith("1 event(s) are due now")
    shown = json.loads(shell.run("events", "show", "waiting").out)
    assert (shown["state"], shown["attempt"]) == ("ready", 3)
    assert shown["next_at"] < 4e9


@pytest.mark.usefixtures("outbox")
def test_replays_a_delivered_event(shell: Shell) -> None:
    log = open_log(shell.state / "outbox.sqlite3")
    log.done(["waiting"], 1000.0).result(10)
    log.close()

    listed = shell.run("events", "list", "--state=delivered").out
    assert re.fullmatch(
        r"waiting delivered time=\S+ attempt=1 next=- APIGW.OnFileUploaded /upload/waiting\n",
        listed,
    )
    assert shell.run("events", "replay", "waiting").out.startswith("1 event(s) will be")
    lines = shell.run("events", "list", "--state=ready").out.splitlines()
    assert [line.split()[-1] for line in lines] == ["/upload/waiting"]


@pytest.mark.usefixtures("outbox")
@pytest.mark.parametrize(("which", "left"), [("dead-1", ["dead-2"]), ("all", [])])
def test_drops_dead_letters_and_no_event_that_waits(
    shell: Shell, which: str, left: list[str]
) -> None:
    assert shell.run("events", "drop", which).out == f"{2 - len(left)} event(s) dropped\n"
    lines = shell.run("events", "list").out.splitlines()
    assert [line.split()[0] for line in lines] == ["promised", "waiting", *left]


@pytest.mark.parametrize("unbuffered", [[], ["-u"]])
def test_output_that_is_not_read_to_its_end_leaves_no_traceback(unbuffered: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, *unbuffered, "-m", "qmonus_lite", "events", "--help"]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)

    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.usefixtures("outbox")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "events: expected 'list [--state=dead]', 'show ID', 'retry ID|all', 'replay ID|all'"),
        (("forget",), "events: expected 'list"),
        (("list", "--state=odd"), "--state=odd: expected one of prepared, ready, sending, dead"),
        (("show", "missing"), "events show: no event 'missing' is in the outbox"),
        (("retry", "dead-1"), "events retry: no event waits with the id 'dead-1'"),
        (("drop", "waiting"), "events drop: no dead letter has the id 'waiting'"),
        (
            ("replay", "waiting"),
            "events replay: no dead letter and no delivered event has the id 'waiting'",
        ),
    ],
)
def test_says_what_it_expected(shell: Shell, words: tuple[str, ...], message: str) -> None:
    assert shell.refused("events", *words).startswith(message)


def test_needs_an_outbox(shell: Shell) -> None:
    assert "no outbox here" in shell.refused("events", "list")
    assert not shell.state.exists()
