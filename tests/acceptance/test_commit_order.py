"""The order of an upload's last steps, as the kernel sees them: what is answered is on the disk."""

import http.client
import json
import os
import shutil
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from tests.acceptance.harness import UPLOADED, Installation
from tests.acceptance.process import QMONUS_LITE, Running, until
from tests.acceptance.trace import Call, Trace, traced

SYNC = ("fsync", "fdatasync")
WRITE = ("write", "pwrite64", "writev", "pwritev")
RENAME = ("rename", "renameat", "renameat2")
MAKE = ("mkdir", "mkdirat")
LINK = ("link", "linkat")
SEND = ("sendto", "sendmsg", "write")


class Traced:
    """What an APIGW called while it took some uploads, one after the other."""

    def __init__(self, installation: Installation, trace: Trace, receipts: Sequence[str]) -> None:
        self.base = installation.base.resolve()
        self.data = installation.data.resolve()
        self.trace = trace
        #: Ids of the uploads, in order.
        self.ids = receipts

    def steps(self, number: int, directory: str, answer: str) -> list[Call]:
        """The calls that have to follow one another for the upload of this number."""
        wal = self.data / "outbox.sqlite3-wal"
        (renamed,) = self.trace.all(*RENAME, text=f'{self.ids[number]}"')
        # Of several APIGWs each has a mark of its own in the names of its staged files.
        staged = Path(renamed.text.partition('"')[2].partition('"')[0])
        assert staged.parent == self.data / "staging"
        (synced,) = self.trace.all(*SYNC, path=staged)
        named = self.trace.first(*SYNC, path=staged.parent, after=synced)
        written = self.trace.first(*WRITE, path=wal, after=named)
        promised = self.trace.first(*SYNC, path=wal, after=written)
        placed = self.trace.first(*SYNC, path=self.base / directory, after=renamed)
        # From the first sync on: it must not be an earlier one that is found.
        answered = self.trace.first(*SEND, text=f'"HTTP/1.1 {answer}', after=synced)
        return [synced, named, written, promised, renamed, placed, answered]


def follow_one_another(calls: Sequence[Call]) -> bool:
    """Whether each call had ended before the next one began."""
    return all(call.ended < next_.began for call, next_ in zip(calls, calls[1:], strict=False))


def upload(
    installation: Installation, connection: http.client.HTTPConnection, path: str, size: int
) -> str:
    """Upload once, and wait until the event is out of the outbox; gives the id of the upload."""
    connection.request("PUT", path, bytes(size), {"X-Auth-Token": installation.token})
    answer = connection.getresponse()
    receipt = json.loads(answer.read())
    assert answer.status in (200, 201), receipt
    until(lambda: waiting(installation) == [], report=lambda: installation.log)
    return str(receipt["upload_id"])


def waiting(installation: Installation) -> list[str]:
    answer = installation.curl("/-/events", token=installation.token)
    return [event["id"] for event in answer.json["events"]]


@pytest.fixture(scope="module", params=["apigw", "up"])
def uploads(shared: Installation, request: pytest.FixtureRequest) -> Iterator[Traced]:
    """A new file, the same again, one in new directories and a long one, over one connection.

    Then five whose event nobody handles, of which the last is looked at.

    Taken by an APIGW that is alone, and by one of two with a writer process.
    """
    command: str = request.param
    shared.record(UPLOADED)
    for place in (shared.base / "upload", shared.data):
        shutil.rmtree(place, ignore_errors=True)
    (shared.base / "upload").mkdir()
    output = shared.folder / f"calls-{command}"
    several = ["--apigw_processes=2"] if command == "up" else []
    argv = traced(
        [*QMONUS_LITE, command, *shared.own_flags, *several],
        calls={*SYNC, *WRITE, *RENAME, *MAKE, *LINK, *SEND, "openat"},
        output=output,
    )
    strace = Running(argv, cwd=shared.base, environ=shared.environ, output=shared.folder / "strace")
    try:
        # The worker later: it is the APIGW that is to make the data directory.
        until(lambda: shared.live or strace.ended, within=60, report=lambda: strace.stderr)
        worker = None if several else shared.start("lambda")
        until(lambda: shared.ready, within=60, report=lambda: shared.log)
        sizes = {"file": 700, "a/b/file": 700, "long": 300_000}
        names = ["file", "file", "a/b/file", "long"]
        with closing(http.client.HTTPConnection("127.0.0.1", shared.port)) as connection:
            ids = [upload(shared, connection, f"/upload/{name}", sizes[name]) for name in names]
            # Within a second every process knows that nobody handles the event any more.
            (shared.plugins / f"record-{UPLOADED}.yml").unlink()
            for number in range(5):
                time.sleep(0.5)
                ids.append(upload(shared, connection, f"/upload/quiet-{number}", 700))
        os.kill(strace.children[command], signal.SIGTERM)
        assert strace.wait() == 0
        if worker is not None:
            worker.end()
        yield Traced(shared, Trace(output), ids)
    finally:
        strace.end()


def test_a_new_file_and_its_event_are_on_the_disk_before_the_answer(uploads: Traced) -> None:
    assert follow_one_another(uploads.steps(0, "upload", "201"))


def test_a_replaced_file_and_its_event_are_on_the_disk_before_the_answer(uploads: Traced) -> None:
    assert follow_one_another(uploads.steps(1, "upload", "200"))


def test_a_long_file_and_its_event_are_on_the_disk_before_the_answer(uploads: Traced) -> None:
    assert follow_one_another(uploads.steps(3, "upload", "201"))


def test_a_file_that_nobody_hears_of_is_on_the_disk_before_the_answer(uploads: Traced) -> None:
    (renamed,) = uploads.trace.all(*RENAME, text=f'{uploads.ids[-1]}"')
    staged = Path(renamed.text.partition('"')[2].partition('"')[0])
    (synced,) = uploads.trace.all(*SYNC, path=staged)
    placed = uploads.trace.first(*SYNC, path=uploads.base / "upload", after=renamed)
    answered = uploads.trace.first(*SEND, text='"HTTP/1.1 201', after=synced)

    assert follow_one_another([synced, renamed, placed, answered])
    # Nothing was promised for it.
    log = uploads.data / "outbox.sqlite3-wal"
    rows = uploads.trace.all(*WRITE, path=log)
    assert not [call for call in rows if synced.began < call.began < answered.ended]


def test_new_directories_are_on_the_disk_before_the_answer(uploads: Traced) -> None:
    steps = uploads.steps(2, "upload/a/b", "201")
    renamed = steps[4]
    upload_ = uploads.base / "upload"
    for parent, name in ((upload_, "a"), (upload_ / "a", "b")):
        (made,) = uploads.trace.all(*MAKE, path=parent, text=f'"{name}"')
        synced = uploads.trace.first(*SYNC, path=parent, after=made)

        assert follow_one_another([made, synced, renamed])
    assert follow_one_another(steps)


def test_the_data_directory_is_on_the_disk_before_the_first_answer(uploads: Traced) -> None:
    answered = uploads.steps(0, "upload", "201")[-1]
    for place in (uploads.data, uploads.data / "staging", uploads.data / "outbox.sqlite3"):
        made = uploads.trace.all(*MAKE, "openat", text=f'"{place}", ')[0]
        synced = uploads.trace.first(*SYNC, path=place.parent, after=made)

        assert follow_one_another([made, synced, answered])


def test_a_key_is_on_the_disk_before_it_has_its_name(uploads: Traced) -> None:
    for name in ("event.key", "token.key", "config.key"):
        (linked,) = uploads.trace.all(*LINK, text=f'/{name}"')
        draft = Path(linked.text.split('"')[1])
        (synced,) = uploads.trace.all(*SYNC, path=draft)

        assert follow_one_another([synced, linked])
