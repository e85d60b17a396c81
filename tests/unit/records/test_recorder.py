"""The recorder: what it records, without credentials, and that nothing of it harms a request."""

import logging
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from qmonus_lite import redaction
from qmonus_lite.clock import Clock
from qmonus_lite.errors import Refusal
from qmonus_lite.observations import DeliveryTried, Observers, RequestAnswered, RequestCut
from qmonus_lite.records import recorder as module
from qmonus_lite.records.recorder import Recorder
from qmonus_lite.records.rows import MAX_TEXT, record_row
from qmonus_lite.records.store import Bounds, RecordFilter, RecordStore
from tests.unit.records.observed import GATE, refused, stored, tried

BOUNDS = Bounds(max_age_seconds=86400.0, max_rows=1000)
Make = Callable[..., Recorder]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    monkeypatch.setattr(module, "BATCH_SECONDS", 0.0)
    made: list[Recorder] = []

    def make(*, everything: bool = False, path: Path = tmp_path / "records.db") -> Recorder:
        made.append(Recorder(path, Clock("UTC"), BOUNDS, everything=everything))
        return made[-1]

    yield make
    for recorder in made:
        recorder.close()


def recorded(
    recorder: Recorder, *observed: RequestAnswered | RequestCut | DeliveryTried
) -> set[str]:
    """The request ids of what is recorded of these observations."""
    observers = Observers(recorder.listeners())
    for entry in observed:
        observers.notify(entry)
    recorder.start()
    recorder.close()
    store = RecordStore(recorder._path, Clock("UTC"), migrates=True)
    found = {entry.request_id for entry in observed if store.find(entry.request_id)}
    store.close()
    return found


OBSERVED = (
    stored(request_id="plain", upload_id="u1"),
    stored(request_id="asked", upload_id="u2", handlers=(GATE,)),
    stored(request_id="told", upload_id="u3", event_id="u3"),
    refused(request_id="refused", upload_id="u4"),
    stored(request_id="backend-404", upload_id="", stored_path="", status=404),
    stored(request_id="listing", upload_id="", stored_path="", status=200, method="GET"),
    stored(request_id="probe", upload_id="", stored_path="", status=503, path="/-/ready"),
)


def test_decided_leaves_out_uploads_without_a_handler(make: Make) -> None:
    assert recorded(make(), *OBSERVED) == {"asked", "told", "refused", "backend-404"}


def test_all_has_plain_uploads_too(make: Make) -> None:
    found = recorded(make(everything=True), *OBSERVED)

    assert found == {"plain", "asked", "told", "refused", "backend-404"}


def test_no_credential_and_no_control_gets_into_a_row() -> None:
    redaction.register_secret("registered-s3cret")
    key = "qml_" + "a" * 43
    reason = f"cannot use registered-s3cret and {key}"
    row = record_row(
        refused(
            path=f"/upload/{key}%00%ff",
            request_id="\ud800",
            refusal=Refusal(rule="KeyError", reason=reason, file="/p/registered-s3cret.yml"),
            peer="x" * (2 * MAX_TEXT),
        ),
        1000.0,
    )

    said = repr(row)
    assert key not in said and "registered-s3cret" not in said
    assert len(row["peer"]) == MAX_TEXT
    for value in row.values():
        str(value).encode()


def test_a_broken_database_harms_nothing_and_is_logged_once(
    make: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "broken.db"
    file.write_bytes(b"no database" * 1000)
    recorder = make(path=file)
    recorder.start()
    observers = Observers(recorder.listeners())

    with caplog.at_level(logging.WARNING):
        for number in range(50):
            observers.notify(refused(request_id=f"r{number}"))
            time.sleep(0.001)
        recorder.close()

    said = [record for record in caplog.records if record.__dict__["action"] == "records_failed"]
    assert len(said) == 1 and "broken.db: not a usable database" in said[0].getMessage()
    assert file.read_bytes().startswith(b"no database")


def test_what_does_not_fit_the_queue_is_counted_and_logged(
    make: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "MAX_QUEUED", 3)

    found = recorded(make(), *(refused(request_id=f"r{number}") for number in range(5)))

    assert found == {"r0", "r1", "r2"}
    [said] = [entry.__dict__ for entry in caplog.records if "lost" in entry.__dict__]
    assert (said["action"], said["lost"]) == ("records_lost", 2)


def test_rows_that_cannot_be_written_are_lost_and_the_next_are_written(
    make: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = make()
    recorder.start()
    observers = Observers(recorder.listeners())
    until(lambda: recorder.store is not None)
    other = sqlite3.connect(tmp_path / "records.db")
    other.execute("ALTER TABLE record RENAME TO away")
    other.commit()

    observers.notify(refused(request_id="lost"))
    until(lambda: recorder.lost == 1)
    other.execute("ALTER TABLE away RENAME TO record")
    other.commit()
    other.close()
    observers.notify(refused(request_id="kept"))

    assert recorder.store is not None
    until(lambda: recorder.store is not None and bool(recorder.store.find("kept")))
    assert recorder.store.find("lost") == []
    assert "no such table" in caplog.text


@pytest.mark.parametrize("ends", ["deleted", "overwritten and deleted"])
def test_a_file_that_is_deleted_is_made_anew(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ends: str
) -> None:
    monkeypatch.setattr(module, "REOPEN_SECONDS", 0.0)
    recorder, file = make(), tmp_path / "records.db"
    recorder.start()
    observers = Observers(recorder.listeners())
    observers.notify(refused(request_id="before"))
    until(lambda: recorder.store is not None and bool(recorder.store.find("before")))

    if ends != "deleted":
        file.write_bytes(b"no database" * 1000)
    for found in tmp_path.glob("records.db*"):
        found.unlink()
    observers.notify(refused(request_id="after"))
    until(file.exists)
    recorder.close()

    store = RecordStore(file, Clock("UTC"), migrates=False)
    assert [len(store.find(wanted)) for wanted in ("before", "after")] == [0, 1]
    store.close()


def until(condition: Callable[[], bool]) -> None:
    for _ in range(1000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it did not happen")


KILLED = """\
import sys, time
from pathlib import Path
from qmonus_lite.clock import Clock
from qmonus_lite.observations import Observers
from qmonus_lite.records.recorder import Recorder
from tests.unit.records.observed import refused, BOUNDS
recorder = Recorder(Path(sys.argv[1]), Clock("UTC"), BOUNDS, everything=False)
recorder.start()
observers = Observers(recorder.listeners())
for number in range(10**6):
    observers.notify(refused(request_id=f"r{number}"))
    if number % 100 == 0:
        time.sleep(0.01)
"""


def test_kill_9_loses_what_was_not_written_yet_and_nothing_before_it(tmp_path: Path) -> None:
    file = tmp_path / "records.db"
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(file)])
    until(file.exists)
    store = RecordStore(file, Clock("UTC"), migrates=True)
    until(lambda: len(store.page(RecordFilter(), 500).uploads) == 500)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()

    [last, *_] = store.page(RecordFilter(), 500).uploads
    numbers = [int(entry.request_id[1:]) for entry in store.page(RecordFilter(), 10**6).uploads]
    assert numbers == list(reversed(range(int(last.request_id[1:]) + 1)))
    store.close()


def test_a_tried_delivery_is_recorded_alone(make: Make, tmp_path: Path) -> None:
    recorder = make()
    Observers(recorder.listeners()).notify(tried())
    recorder.start()
    recorder.close()

    store = RecordStore(tmp_path / "records.db", Clock("UTC"), migrates=False)
    assert [attempt.outcome for attempt in store.attempts(event_id="u1")] == ["delivered"]
    store.close()


def test_a_refused_upload_has_no_event_though_one_was_prepared() -> None:
    # The digest is compared when the event is ready; no such event can be shown or retried.
    assert record_row(refused(status=422, event_id="u1"), 1.0)["event_id"] == ""
    assert record_row(stored(event_id="u1"), 1.0)["event_id"] == "u1"
    assert record_row(refused(status=500, event_id="u1"), 1.0)["event_id"] == "u1"
