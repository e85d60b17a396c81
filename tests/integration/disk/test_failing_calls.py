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

from qmonus_lite.errors import Problem
from qmonus_lite.events.ledger import LedgerFailed
from qmonus_lite.events.outbox import Outbox, Promise
from qmonus_lite.upload.disk import Disk, StrPath
from tests.integration.disk.storage import EVENT_ID, NEW, OLD, Storage, restart, storage

PARTS = ("new", "folder", "file")
NEXT_ID = EVENT_ID[:-1] + "2"

#: What a failing disk says, and the answers that a client may get for it.
ERRORS = {
    errno.EIO: {500},
    errno.ENOSPC: {507},
    errno.EDQUOT: {507},
    errno.EFBIG: {413},
    errno.EACCES: {500},
    errno.EROFS: {500},
}


@dataclass(kw_only=True)
class FailingDisk(Disk):
    """The real disk, with calls that fail on demand."""

    #: Numbers of the calls that fail.
    failing: Callable[[int], bool] = lambda _number: False
    code: int = errno.EIO
    calls: list[str] = field(default_factory=list)

    def _call(self, name: str, *arguments: Any) -> Any:
        self.calls.append(name)
        if self.failing(len(self.calls)):
            raise OSError(self.code, os.strerror(self.code))
        return getattr(super(), name)(*arguments)

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

    def rename(self, path: StrPath, name: str, parent: int) -> None:
        self._call("rename", path, name, parent)


def number_of_calls(folder: Path, *, handled: bool = True) -> int:
    disk = FailingDisk()
    with storage(folder, disk, handled=handled) as store:
        store.commit(PARTS, NEW)
    return len(disk.calls)


def judge(store: Storage, disk: FailingDisk, *, failed_at: int) -> None:
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
    "announced": (True, Disk()),
    "by threads": (False, Disk()),
    "by the loop": (False, Disk(sync_files=False, sync_names=False)),
}


@pytest.mark.parametrize(("handled", "durability"), WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("code", sorted(ERRORS), ids=errno.errorcode.get)
def test_a_call_that_fails_once_stores_all_or_nothing(
    code: int, handled: bool, durability: Disk, tmp_path: Path
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
            assert int(refused.value.status) in ERRORS[code], disk.calls[number - 1]
            judge(store, disk, failed_at=number)

            # The next upload finds nothing in its way.
            store.commit(PARTS, OLD, NEXT_ID)
            assert store.root.joinpath(*PARTS).read_bytes() == OLD


def test_a_disk_that_fails_from_some_call_on_stores_all_or_nothing(tmp_path: Path) -> None:
    for number in range(1, number_of_calls(tmp_path / "count") + 1):
        disk = FailingDisk(failing=number.__le__)
        root = tmp_path / str(number)
        with storage(root, disk) as store:
            with pytest.raises(Problem):
                store.commit(PARTS, NEW)
            judge(store, disk, failed_at=number)
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


def test_short_writes_lose_no_byte(tmp_path: Path) -> None:
    class ShortDisk(Disk):
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


class FailingOutbox(Outbox):
    """The real outbox, with changes that fail on demand."""

    failing: frozenset[str] = frozenset()
    #: Whether a failing change is made nevertheless, as when only its sync failed.
    made_all_the_same = False

    def _failed(self, name: str, real: Callable[[], "Future[int]"]) -> "Future[int]":
        if name not in self.failing:
            return real()
        if self.made_all_the_same:
            real().result()
        future: Future[int] = Future()
        future.set_exception(LedgerFailed(str(sqlite3.OperationalError("disk I/O error"))))
        return future

    def prepare(self, promises: Sequence[Promise]) -> list[int | LedgerFailed]:
        if "prepare" not in self.failing:
            return super().prepare(promises)
        if self.made_all_the_same:
            super().prepare(promises)
        return [LedgerFailed("disk I/O error") for _ in promises]

    def withdraw(self, event_id: str) -> "Future[int]":
        return self._failed("withdraw", lambda: super(FailingOutbox, self).withdraw(event_id))

    def ready(self, event_id: str, *, attempt: int = 0) -> "Future[int]":
        real = super().ready
        return self._failed("ready", lambda: real(event_id, attempt=attempt))


@pytest.mark.parametrize("made", [False, True], ids=["not made", "made all the same"])
@pytest.mark.parametrize(
    "failing", [{"prepare"}, {"prepare", "withdraw"}], ids=["prepare", "prepare and withdraw"]
)
def test_an_outbox_that_fails_refuses_the_upload_and_leaves_no_event_behind(
    failing: set[str], made: bool, tmp_path: Path
) -> None:
    with storage(tmp_path, Disk(), FailingOutbox) as store:
        assert isinstance(store.outbox, FailingOutbox)
        store.outbox.failing, store.outbox.made_all_the_same = frozenset(failing), made
        with pytest.raises(Problem) as refused:
            store.commit(PARTS, NEW)
        assert int(refused.value.status) == 503
        assert not store.root.joinpath(*PARTS).exists()

        # As long as it fails, no upload is taken; once it works, nothing is left over.
        store.outbox.failing = frozenset()
        store.commit(("other",), OLD, NEXT_ID)
        assert set(store.states()) == {NEXT_ID}

    assert restart(tmp_path) == {NEXT_ID: "ready"}


def test_a_crash_while_the_outbox_fails_leaves_neither_file_nor_event(tmp_path: Path) -> None:
    with storage(tmp_path, Disk(), FailingOutbox) as store:
        assert isinstance(store.outbox, FailingOutbox)
        store.outbox.failing = frozenset({"prepare", "withdraw"})
        store.outbox.made_all_the_same = True
        with pytest.raises(Problem):
            store.commit(PARTS, NEW)
        # The row may be there: what proves that nothing happened must be there too.
        assert store.staged() == [EVENT_ID]

    assert restart(tmp_path) == {}
    assert not tmp_path.joinpath(*PARTS).exists()


def test_an_event_whose_release_failed_goes_out_after_the_next_upload(tmp_path: Path) -> None:
    with storage(tmp_path, Disk(), FailingOutbox) as store:
        assert isinstance(store.outbox, FailingOutbox)
        store.outbox.failing = frozenset({"ready"})
        store.commit(PARTS, NEW)
        assert store.states() == {EVENT_ID: "prepared"}

        store.outbox.failing = frozenset()
        store.commit(("other",), OLD, NEXT_ID)

        assert store.states()[EVENT_ID] == "ready"
