"""Upgrade trial: a gateway of an older version is stopped with events, this version starts.

No event that was acknowledged may be lost, and none may come twice unless with an equal id. The old
version is either a checkout that really runs and is killed, or the rows that it would leave.
"""

import http.client
import json
import os
import signal
import sqlite3
import time
import urllib.request
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.acceptance.harness import Installation
from tests.acceptance.process import Running, until
from tests.upgrade.old_format import OldRow, compact, old_data, old_row, write_inbox, write_outbox

#: Handler of the old version: it takes so long that deliveries are under way when it is killed.
SLOW = """\
name: recorder
event: APIGW.OnFileUploaded
script: |-
  async def recorder(event, handle):
      await asyncio.sleep(30)
"""
#: Handler of this version: it writes down what it gets.
RECORDER = """\
name: recorder
event: APIGW.OnFileUploaded
script: |-
  import os

  async def recorder(event, handle):
      place = event["filepath"]
      line = [handle.event_id, handle.attempt, event["path"], place, event["port"]]
      line.append(os.path.exists(place))
      with open({file!r}, "a") as record:
          record.write(json.dumps(line) + "\\n")
"""


@dataclass(frozen=True)
class Delivered:
    """A line of the recorder."""

    event_id: str
    attempt: int
    path: str
    filepath: str
    port: int
    #: Whether there was a file at `filepath`.
    there: bool


@dataclass(kw_only=True)
class Expected:
    """What the old version left."""

    #: Path by id of the events that have to be delivered.
    events: dict[str, str] = field(default_factory=dict)
    #: Ids of events that may be delivered: their upload was not acknowledged.
    optional: set[str] = field(default_factory=set)
    #: Ids that must not be delivered: dead letters, and uploads that were not published.
    never: set[str] = field(default_factory=set)
    #: Ids of events whose file was outside of the launch directory, with its path.
    outside: dict[str, str] = field(default_factory=dict)
    #: Ids of the in-doubt events.
    in_doubt: set[str] = field(default_factory=set)


@dataclass(frozen=True, kw_only=True)
class Result:
    """What came of a trial."""

    faults: list[str]
    waiting: int
    in_doubt: int
    #: Deliveries beyond the first one of each event.
    repeated: int
    #: From the start of this version until the last event was delivered.
    seconds: float

    @property
    def summary(self) -> str:
        """One line for people."""
        return (
            f"{self.waiting} waiting and {self.in_doubt} in-doubt events of the old version:"
            f" {self.repeated} delivered again, {len(self.faults)} faults, {self.seconds:.1f} s"
        )


class UpgradeTrial:
    """One installation, in the format of an old version and then upgraded."""

    def __init__(self, folder: Path) -> None:
        self.installation = Installation(folder)
        self._record = folder / "delivered"
        self._record.touch()

    def run(self, expected: Expected, *, within: float = 60.0) -> Result:
        """Start this version, wait until nothing waits, and check."""
        plugin = RECORDER.format(file=str(self._record))
        self.installation.plugin("recorder.yml", plugin)
        began = time.monotonic()
        self.installation.up()
        until(self._settled, within=within, report=lambda: self.installation.log[-3000:])
        seconds = time.monotonic() - began
        self.installation.end()
        delivered = list(self.delivered())
        repeated = len(delivered) - len({line.event_id for line in delivered})
        return Result(
            faults=self._faults(expected, delivered),
            waiting=len(expected.events) - len(expected.in_doubt & set(expected.events)),
            in_doubt=len(expected.in_doubt),
            repeated=repeated,
            seconds=seconds,
        )

    def delivered(self) -> Iterator[Delivered]:
        """What the handler of this version got, in order."""
        for line in self._record.read_text().splitlines():
            yield Delivered(*json.loads(line))

    def _settled(self) -> bool:
        listed = self.installation.curl("/-/events", token=self.installation.token).json
        return not {"prepared", "ready"} & set(listed["counts"])

    def _faults(self, expected: Expected, delivered: list[Delivered]) -> list[str]:
        ids = {line.event_id for line in delivered}
        known = set(expected.events) | expected.optional
        faults = [f"lost: {event_id}" for event_id in sorted(set(expected.events) - ids)]
        faults += [
            f"must not be delivered: {event_id}" for event_id in sorted(expected.never & ids)
        ]
        faults += [f"unknown: {event_id}" for event_id in sorted(ids - known - expected.never)]
        by_file: dict[tuple[str, str], set[str]] = {}
        for line in delivered:
            place = expected.outside.get(line.event_id, f"{self.installation.base}{line.path}")
            if (line.filepath, line.there) != (place, True):
                faults.append(f"the file is not where the event says: {line}")
            if line.event_id not in expected.outside and line.port != self.installation.port:
                faults.append(f"another port: {line}")
            by_file.setdefault((line.event_id, line.path), set()).add(line.filepath)
        first: dict[str, int] = {}
        for number, line in enumerate(delivered):
            first.setdefault(line.event_id, number)
        return faults + list(_out_of_order(expected, first))

    # The rows that the old version would leave.

    def fill(self, waiting: int, *, schema: str = "outbox_0_1", paths: int = 200) -> Expected:
        """Make the data directory of a killed gateway of an older version."""
        base, data = self.installation.base, self.installation.data
        (data / "staging").mkdir(parents=True)
        data.chmod(0o700)
        expected = Expected()
        rows = [self._waiting(number, f"/upload/{number % paths}") for number in range(waiting)]
        expected.events.update({row.id: row.path for row in rows})
        rows += self._doubtful(expected)
        rows += self._others(expected)
        write_outbox(data / "outbox.sqlite3", schema, rows)
        write_inbox(data / "inbox.sqlite3", [])
        assert base.joinpath("upload").is_dir()
        return expected

    def _waiting(self, number: int, path: str) -> OldRow:
        self._file(path)
        tried: dict[str, Any] = {}
        if number % 10 == 0:
            tried = {"attempt": 2, "reason": "503: later", "next_at": time.time() + 1}
        elif number % 10 == 1:
            # Under way when the gateway was killed.
            tried = {"attempt": 1, "leased": 1, "next_at": time.time() + 3660}
        return self._row(f"waiting-{number:06d}", path, **tried)

    def _doubtful(self, expected: Expected) -> Iterator[OldRow]:
        """Each line of the crash table of the commit, ten times."""
        for number in range(10):
            for kind in ("renamed", "both names", "not renamed", "replaces"):
                event_id = f"{kind.replace(' ', '-')}-{number}"
                path = f"/upload/in-doubt/{event_id}"
                staged = self.installation.data / "staging" / event_id
                if kind != "not renamed":
                    self._file(path)
                if kind == "both names":
                    os.link(f"{self.installation.base}{path}", staged)
                elif kind != "renamed":
                    staged.write_text("new")
                expected.in_doubt.add(event_id)
                if kind in ("renamed", "both names"):
                    expected.events[event_id] = path
                else:
                    expected.never.add(event_id)
                yield self._row(event_id, path, state="prepared")

    def _others(self, expected: Expected) -> Iterator[OldRow]:
        """Dead letters, and events from before the launch directory was moved."""
        for number in range(5):
            expected.never.add(f"dead-{number}")
            path = f"/upload/dead/{number}"
            yield self._row(f"dead-{number}", path, state="dead", attempt=9, reason="404: never")
            event_id, former = f"outside-{number}", self.installation.folder / f"former-{number}"
            former.write_text("x")
            expected.events[event_id] = f"/upload/former/{number}"
            expected.outside[event_id] = str(former)
            data = compact(old_data(expected.events[event_id], str(former)))
            yield self._row(event_id, expected.events[event_id], final=str(former), data=data)

    def _row(self, event_id: str, path: str, **more: Any) -> OldRow:
        base = self.installation.base
        return old_row(base, event_id, path, time=_now(), since=time.time(), **more)

    def _file(self, path: str) -> None:
        place = Path(f"{self.installation.base}{path}")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text("x")

    # The old version itself.

    def run_old(self, checkout: Path, waiting: int, doubtful: int) -> Expected:
        """Run the old version, leave events of both kinds, and kill it."""
        self.installation.plugin("recorder.yml", SLOW)
        worker, apigw = (self._start_old(checkout, name) for name in ("lambda", "apigw"))
        until(lambda: self.installation.ready, report=lambda: self.installation.log)
        _kill(worker)
        expected = Expected()
        with ThreadPoolExecutor(8) as threads:
            waiting_paths = [f"/upload/{number % 200}" for number in range(waiting)]
            expected.events.update(_given(threads.map(self._upload, waiting_paths)))
        assert len(expected.events) == waiting, "the older version refused an upload"
        worker = self._start_old(checkout, "lambda")
        until(lambda: self.installation.ready, report=lambda: self.installation.log)
        # The worker is busy, so direct deliveries queue: after the kill their rows are in doubt,
        # and so are those of commits that it cuts off.
        with ThreadPoolExecutor(8) as threads:
            paths = [f"/upload/in-doubt/{number}" for number in range(3 * doubtful)]
            uploads = [threads.submit(self._upload, path) for path in paths]
            until(lambda: sum(upload.done() for upload in uploads) > doubtful, within=60)
            _kill(apigw)
            expected.events.update(_given(upload.result() for upload in uploads))
        _kill(worker)
        self._read_outbox(expected)
        return expected

    def _start_old(self, checkout: Path, command: str) -> Running:
        installation = self.installation
        return Running(
            [str(checkout / ".venv/bin/python"), "-m", "qmonus_lite", command]
            + list(installation.own_flags),
            cwd=installation.base,
            environ={**installation.environ, "PYTHONPATH": str(checkout)},
            output=installation.folder / f"old-{command}",
        )

    def _upload(self, path: str) -> tuple[str, str] | None:
        """Id and path of an event, or None if the upload was not acknowledged."""
        request = urllib.request.Request(
            self.installation.url + path,
            data=b"content",
            headers={"X-Auth-Token": self.installation.token},
            method="PUT",
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return str(json.load(answer)["event_id"]), path
        except (OSError, http.client.HTTPException):
            return None

    def _read_outbox(self, expected: Expected) -> None:
        """Which events the killed version left, and in which state."""
        with closing(sqlite3.connect(self.installation.data / "outbox.sqlite3")) as database:
            rows = database.execute("SELECT id, state FROM event").fetchall()
            version = database.execute("PRAGMA user_version").fetchone()[0]
        assert version == 0
        states = Counter(state for _, state in rows)
        assert states["prepared"] and states["ready"], states
        expected.in_doubt = {event_id for event_id, state in rows if state == "prepared"}
        expected.optional = {event_id for event_id, _ in rows} - set(expected.events)


def _given(uploads: Iterable[tuple[str, str] | None]) -> Iterator[tuple[str, str]]:
    return (upload for upload in uploads if upload is not None)


def _kill(running: Running) -> None:
    os.kill(running.pid, signal.SIGKILL)
    until(lambda: running.ended)


def _out_of_order(expected: Expected, first: dict[str, int]) -> Iterator[str]:
    """Events of one path whose first deliveries were not in the order of their ids."""
    last: dict[str, str] = {}
    for event_id in sorted(first, key=lambda event_id: first[event_id]):
        path = expected.events.get(event_id)
        if path is None:
            continue
        if event_id < last.get(path, ""):
            yield f"out of order: {event_id} came after {last[path]}"
        last[path] = event_id


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime())
