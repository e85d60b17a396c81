"""Every fallible call of a commit fails once, and once from then on; nothing is lost or half there.

The calls of one commit are counted, then it is done again with call after call failing.
"""

import errno
import os
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from qmonus_lite.errors import InternalFault, PreconditionFailed, Problem
from qmonus_lite.event_logs.sqlite.event_log import SqliteEventLog
from qmonus_lite.events.log import EventLogFailed
from qmonus_lite.events.stored_event import PendingEvent
from qmonus_lite.stores.file.disk_errors import RULES, FailedObject, name_of, rule_of
from qmonus_lite.stores.file.filesystem import Filesystem, StrPath
from qmonus_lite.stores.file.staging_dirs import MOUNT_STAGING
from tests.integration.disk.storage import EVENT_ID, NEW, OLD, Storage, restart, storage

PARTS = ("new", "folder", "file")
NEXT_ID = EVENT_ID[:-1] + "2"

#: What calls are about, by their names here; those of a sync open a directory too.
WHERE = {
    "open_root": FailedObject.TARGET,
    "open_directory": FailedObject.TARGET,
    "make_directory": FailedObject.TARGET,
    "status": FailedObject.TARGET,
    "create": FailedObject.STAGED,
    "write": FailedObject.STAGED,
    "copy": FailedObject.STAGED,
    "sync_file": FailedObject.SYNC,
    "sync_directory": FailedObject.SYNC,
    "sync_names_in": FailedObject.SYNC,
    "rename": FailedObject.TARGET,
    "link": FailedObject.TARGET,
}
#: Errors that are an answer of their own to a call, and what becomes of an upload then.
MEANT = {
    ("open_directory", errno.ENOENT): "nothing is there, so it is made; and there it is",
    ("open_directory", errno.ELOOP): "looked at once more, for a link",
    ("open_directory", errno.ENOTDIR): "looked at once more, for a file",
    ("make_directory", errno.EEXIST): "another upload made it",
    ("status", errno.ENOENT): "no file is replaced",
    ("rename", errno.EXDEV): "copied to another mount first",
}
#: Every number that the table knows, and one that it does not.
CODES = sorted({code for rule in RULES for code in rule.codes} | {errno.EPROTO})
#: Some of them, of every kind, for the ways that cost more.
SOME = (errno.EIO, errno.ENOSPC, errno.EFBIG, errno.EACCES, errno.EROFS, errno.EMFILE)


@dataclass(kw_only=True)
class FailingDisk(Filesystem):
    """The real disk, with calls that fail on demand."""

    #: Numbers of the calls that fail.
    failing: Callable[[int], bool] = lambda _number: False
    code: int = errno.EIO
    calls: list[str] = field(default_factory=list)
    inside: bool = False

    def _call(self, name: str, *arguments: Any) -> Any:
        if self.inside:
            # What a call is made of is not counted once more.
            return getattr(super(), name)(*arguments)
        self.calls.append(name)
        if self.failing(len(self.calls)):
            raise OSError(self.code, os.strerror(self.code))
        self.inside = True
        try:
            return getattr(super(), name)(*arguments)
        finally:
            self.inside = False

    def open_root(self, path: StrPath) -> int:
        return int(self._call("open_root", path))

    def open_directory(self, name: str, parent: int) -> int:
        return int(self._call("open_directory", name, parent))

    def make_directory(self, name: str, parent: int) -> None:
        self._call("make_directory", name, parent)

    def status(self, name: str, parent: int) -> os.stat_result:
        status = self._call("status", name, parent)
        assert isinstance(status, os.stat_result)
        return status

    def create(self, path: StrPath, mode: int) -> int:
        return int(self._call("create", path, mode))

    def write(self, descriptor: int, data: memoryview) -> int:
        return int(self._call("write", descriptor, data))

    def sync_file(self, descriptor: int) -> None:
        self._call("sync_file", descriptor)

    def sync_directory(self, descriptor: int) -> None:
        self._call("sync_directory", descriptor)

    def sync_names_in(self, directory: StrPath) -> None:
        self._call("sync_names_in", directory)

    def copy(self, path: StrPath, descriptor: int) -> None:
        self._call("copy", path, descriptor)

    def link(self, path: StrPath, name: str, parent: int) -> None:
        self._call("link", path, name, parent)

    def rename(self, path: StrPath, name: str, parent: int) -> None:
        self._call("rename", path, name, parent)


def number_of_calls(folder: Path, *, handled: bool = True) -> int:
    disk = FailingDisk()
    with storage(folder, disk, handled=handled) as store:
        store.commit(PARTS, NEW)
    return len(disk.calls)


def check(store: Storage, disk: FailingDisk, *, failed_at: int) -> None:
    """After a failed commit: a whole file with its event, or neither, and no staged file."""
    final = store.root.joinpath(*PARTS)
    after_rename = "rename" in disk.calls[: failed_at - 1]
    assert final.exists() == after_rename
    if after_rename:
        assert final.read_bytes() == NEW
    assert store.states() == ({EVENT_ID: "ready"} if after_rename and store.handled else {})
    assert store.staged() == []


#: Ways of storing: with an event that somebody handles, by the threads alone, by the loop itself.
WAYS = {
    "announced": (True, Filesystem()),
    "by threads": (False, Filesystem()),
    "by the loop": (False, Filesystem(sync_files=False, sync_names=False)),
}


@pytest.mark.parametrize(("handled", "durability"), WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("code", SOME, ids=errno.errorcode.get)
def test_a_call_that_fails_once_stores_all_or_nothing(
    code: int, handled: bool, durability: Filesystem, tmp_path: Path
) -> None:
    for number in range(1, number_of_calls(tmp_path / "count", handled=handled) + 1):
        disk = FailingDisk(
            failing=number.__eq__,
            code=code,
            sync_files=durability.sync_files,
            sync_names=durability.sync_names,
        )
        with storage(tmp_path / str(number), disk, handled=handled) as store:
            with pytest.raises(Problem) as refused:
                store.commit(PARTS, NEW)
            rule = rule_of(code, WHERE[disk.calls[number - 1]])
            assert type(refused.value) is rule.problem, disk.calls[number - 1]
            check(store, disk, failed_at=number)

            # The next upload finds nothing in its way.
            store.commit(PARTS, OLD, NEXT_ID)
            assert store.root.joinpath(*PARTS).read_bytes() == OLD


@pytest.mark.parametrize("code", CODES, ids=errno.errorcode.get)
def test_every_error_of_every_call_is_answered_by_the_table(code: int, tmp_path: Path) -> None:
    count = number_of_calls(tmp_path / "count", handled=False)
    disk = FailingDisk(code=code)
    with storage(tmp_path / "all", disk, handled=False) as store:
        for number in range(1, count + 1):
            disk.calls.clear()
            disk._failures.clear()
            disk.failing = number.__eq__
            parts = (f"new{number}", *PARTS[1:])
            error = failed(store, parts)

            call = disk.calls[number - 1]
            renamed = "rename" in disk.calls[: number - 1]
            assert store.root.joinpath(*parts).exists() == (renamed or error is None), call
            assert store.staged() == []
            if (call, code) in MEANT:
                continue
            rule = rule_of(code, WHERE[call])
            assert type(error) is rule.problem, (call, error)
            assert len(disk._failures) == rule.failing, call
            assert error.disk is not None and error.disk.code == name_of(code)
            assert "nothing was stored" not in error.detail or not renamed


def failed(store: Storage, parts: tuple[str, ...]) -> Problem | None:
    """What an upload is answered, if it is refused."""
    try:
        store.commit(parts, NEW)
    except Problem as error:
        return error
    return None


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS, errno.EMFILE, errno.ENAMETOOLONG])
def test_uploads_into_a_folder_that_cannot_be_stored_in_leave_the_disk_fit(
    code: int, tmp_path: Path
) -> None:
    disk = FailingDisk(code=code)
    with storage(tmp_path, disk) as store:
        for _ in range(5):
            disk.failing = lambda _number: disk.calls[-1] in {"make_directory", "rename"}
            assert failed(store, PARTS) is not None
        disk.failing = lambda _number: False
        assert failed(store, ("fine",)) is None

    assert not disk.unfit


def test_a_disk_that_fails_from_some_call_on_stores_all_or_nothing(tmp_path: Path) -> None:
    for number in range(1, number_of_calls(tmp_path / "count") + 1):
        disk = FailingDisk(failing=number.__le__)
        root = tmp_path / str(number)
        with storage(root, disk) as store:
            with pytest.raises(Problem):
                store.commit(PARTS, NEW)
            check(store, disk, failed_at=number)
        restart(root)


def test_a_failed_sync_is_never_tried_again(tmp_path: Path) -> None:
    calls = FailingDisk()
    with storage(tmp_path / "count", calls) as store:
        store.commit(PARTS, NEW)
    number = calls.calls.index("sync_file") + 1
    disk = FailingDisk(failing=number.__eq__)

    with storage(tmp_path / "failing", disk) as store, pytest.raises(Problem):
        store.commit(PARTS, NEW)

    assert disk.calls.count("sync_file") == 1


class Split(FailingDisk):
    """Two mounts that look like one: no rename leaves the first staging directory."""

    def _crosses(self, path: StrPath) -> bool:
        return Path(path).parent.name == "staging"

    def rename(self, path: StrPath, name: str, parent: int) -> None:
        if self._crosses(path):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        super().rename(path, name, parent)

    def link(self, path: StrPath, name: str, parent: int) -> None:
        if self._crosses(path):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        super().link(path, name, parent)


def leftovers(root: Path) -> list[Path]:
    """Staged files, wherever they are."""
    folders = [*root.rglob(MOUNT_STAGING), root / ".qmonus-lite" / "staging"]
    return [path for folder in folders for path in folder.iterdir()]


@pytest.mark.parametrize("handled", [True, False])
def test_a_file_that_was_staged_on_another_mount_is_copied_and_leaves_nothing_behind(
    handled: bool, tmp_path: Path
) -> None:
    disk = Split()
    with storage(tmp_path, disk, handled=handled) as store:
        store.commit(PARTS, NEW)

        assert tmp_path.joinpath(*PARTS).read_bytes() == NEW
        assert tmp_path.joinpath(*PARTS).stat().st_nlink == 1
        assert leftovers(tmp_path) == []
        assert store.states() == ({EVENT_ID: "ready"} if handled else {})
        assert disk.calls.count("copy") == 1
    assert not disk.unfit


def test_a_copy_takes_no_place_of_a_file_that_came_first(tmp_path: Path) -> None:
    with storage(tmp_path, Split()) as store:
        store.commit(("file",), OLD, create_only=True)
        with pytest.raises(PreconditionFailed):
            store.commit(("file",), NEW, NEXT_ID, create_only=True)

        assert (tmp_path / "file").read_bytes() == OLD
        assert (tmp_path / "file").stat().st_nlink == 1
        assert leftovers(tmp_path) == []
        assert set(store.states()) == {EVENT_ID}


def test_mounts_that_cannot_be_crossed_at_all_are_an_answer_and_no_failing_disk(
    tmp_path: Path,
) -> None:
    class Apart(Split):
        def _crosses(self, path: StrPath) -> bool:
            return True

    disk = Apart()
    with storage(tmp_path, disk) as store:
        error = failed(store, PARTS)

        assert isinstance(error, InternalFault) and "could not be moved" in error.detail
        assert leftovers(tmp_path) == [] and store.states() == {}
    assert not disk.unfit


@pytest.mark.parametrize("from_then_on", [False, True])
@pytest.mark.parametrize("handled", [True, False])
def test_every_call_of_a_copy_to_another_mount_that_fails_stores_all_or_nothing(
    handled: bool, from_then_on: bool, tmp_path: Path
) -> None:
    counted = Split()
    with storage(tmp_path / "count", counted, handled=handled) as store:
        store.commit(PARTS, NEW)
    for number in range(1, len(counted.calls) + 1):
        disk = Split(failing=number.__le__ if from_then_on else number.__eq__)
        root = tmp_path / str(number)
        with storage(root, disk, handled=handled) as store:
            assert failed(store, PARTS) is not None
            check(store, disk, failed_at=number)
            assert leftovers(root) == []
        restart(root)


@pytest.mark.parametrize("made", [False, True], ids=["not made", "made all the same"])
@pytest.mark.parametrize("failing", [{"restage"}, {"restage", "withdraw"}])
def test_a_log_that_does_not_take_the_place_of_the_copy_leaves_no_event_behind(
    failing: set[str], made: bool, tmp_path: Path
) -> None:
    with storage(tmp_path, Split(), FailingLog) as store:
        assert isinstance(store.log, FailingLog)
        store.log.failing, store.log.made_all_the_same = frozenset(failing), made
        error = failed(store, PARTS)
        assert error is not None and int(error.status) == 503
        assert not tmp_path.joinpath(*PARTS).exists()
        # While a row may be there, so is the file that it may name.
        assert len(leftovers(tmp_path)) == (2 if "withdraw" in failing else 0)

    assert restart(tmp_path) == {}
    assert leftovers(tmp_path) == []


def test_short_writes_lose_no_byte(tmp_path: Path) -> None:
    class ShortDisk(Filesystem):
        def write(self, descriptor: int, data: memoryview) -> int:
            return super().write(descriptor, data[:3])

    with storage(tmp_path, ShortDisk()) as store:
        store.commit(PARTS, NEW)

        assert store.root.joinpath(*PARTS).read_bytes() == NEW


def test_a_disk_that_fails_three_times_in_a_minute_is_unfit(tmp_path: Path) -> None:
    disk = FailingDisk(failing=lambda _number: True)

    with storage(tmp_path, disk) as store:
        for _ in range(3):
            assert not disk.unfit
            with pytest.raises(Problem):
                store.commit(PARTS, NEW)

    assert disk.unfit


class FailingLog(SqliteEventLog):
    """The real event log, with changes that fail on demand."""

    failing: frozenset[str] = frozenset()
    #: Whether a failing change is made nevertheless, as when only its sync failed.
    made_all_the_same = False

    def _failed(self, name: str, real: Callable[[], "Future[int]"]) -> "Future[int]":
        if name not in self.failing:
            return real()
        if self.made_all_the_same:
            real().result()
        future: Future[int] = Future()
        future.set_exception(EventLogFailed(str(sqlite3.OperationalError("disk I/O error"))))
        return future

    def prepare(self, events: Sequence[PendingEvent]) -> list[int | EventLogFailed]:
        if "prepare" not in self.failing:
            return super().prepare(events)
        if self.made_all_the_same:
            super().prepare(events)
        return [EventLogFailed("disk I/O error") for _ in events]

    def restage(self, event_id: str, token: str) -> "Future[int]":
        real = super().restage
        return self._failed("restage", lambda: real(event_id, token))

    def withdraw(self, event_id: str) -> "Future[int]":
        return self._failed("withdraw", lambda: super(FailingLog, self).withdraw(event_id))

    def commit(self, event_id: str, *, attempt: int = 0) -> "Future[int]":
        real = super().commit
        return self._failed("commit", lambda: real(event_id, attempt=attempt))


@pytest.mark.parametrize("made", [False, True], ids=["not made", "made all the same"])
@pytest.mark.parametrize(
    "failing", [{"prepare"}, {"prepare", "withdraw"}], ids=["prepare", "prepare and withdraw"]
)
def test_a_log_that_fails_refuses_the_upload_and_leaves_no_event_behind(
    failing: set[str], made: bool, tmp_path: Path
) -> None:
    with storage(tmp_path, Filesystem(), FailingLog) as store:
        assert isinstance(store.log, FailingLog)
        store.log.failing, store.log.made_all_the_same = frozenset(failing), made
        with pytest.raises(Problem) as refused:
            store.commit(PARTS, NEW)
        assert int(refused.value.status) == 503
        assert not store.root.joinpath(*PARTS).exists()

        # As long as it fails, no upload is taken; once it works, nothing is left over.
        store.log.failing = frozenset()
        store.commit(("other",), OLD, NEXT_ID)
        assert set(store.states()) == {NEXT_ID}

    assert restart(tmp_path) == {NEXT_ID: "ready"}


def test_a_crash_while_the_log_fails_leaves_neither_file_nor_event(tmp_path: Path) -> None:
    with storage(tmp_path, Filesystem(), FailingLog) as store:
        assert isinstance(store.log, FailingLog)
        store.log.failing = frozenset({"prepare", "withdraw"})
        store.log.made_all_the_same = True
        with pytest.raises(Problem):
            store.commit(PARTS, NEW)
        # The row may be there: what proves that nothing happened must be there too.
        assert store.staged() == [EVENT_ID]

    assert restart(tmp_path) == {}
    assert not tmp_path.joinpath(*PARTS).exists()


def test_an_event_whose_release_failed_goes_out_after_the_next_upload(tmp_path: Path) -> None:
    with storage(tmp_path, Filesystem(), FailingLog) as store:
        assert isinstance(store.log, FailingLog)
        store.log.failing = frozenset({"commit"})
        store.commit(PARTS, NEW)
        assert store.states() == {EVENT_ID: "prepared"}

        store.log.failing = frozenset()
        store.commit(("other",), OLD, NEXT_ID)

        assert store.states()[EVENT_ID] == "ready"
