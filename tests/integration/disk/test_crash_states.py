"""Every state that a crash can leave of one commit is decided rightly by the next start.

The idea is that of ALICE (OSDI'14): record the operations of a real commit, then make every disk
that a crash after each of them may leave when what was not synced may be missing, and recover it.

The model of a disk: names in a directory are lost unless the directory was synced, bytes of a file
unless the file was; a rename is lost, done, or done with the old name still there. (No journaling
file system loses a file by dropping only the new name.) A committed row is there.
"""

import errno
import itertools
import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from qmonus_lite.event_logs.sqlite.event_log import SqliteEventLog
from qmonus_lite.events.log import EventLogFailed
from qmonus_lite.events.stored_event import PendingEvent
from qmonus_lite.stores.file.filesystem import Filesystem, StrPath
from qmonus_lite.stores.file.pending import parse_token
from qmonus_lite.stores.file.staging_dirs import MOUNT_STAGING, StagingDirs
from tests.integration.disk.storage import EVENT_ID, NEW, OLD, restart, storage

NEW_PLACE, OLD_PLACE = ("a", "b", "file"), ("file",)


@dataclass(frozen=True)
class Op:
    """One operation on the disk; paths are relative to the launch directory."""

    kind: str
    path: str
    to: str = ""


@dataclass(kw_only=True)
class RecordingDisk(Filesystem):
    """The real disk, writing down what it does."""

    root: Path
    ops: list[Op] = field(default_factory=list)
    _paths: dict[int, Path] = field(default_factory=dict)

    def _note(self, kind: str, path: Path, to: str = "") -> None:
        self.ops.append(Op(kind, str(path.relative_to(self.root)), to))

    def open_root(self, path: StrPath) -> int:
        descriptor = super().open_root(path)
        self._paths[descriptor] = Path(path)
        return descriptor

    def open_directory(self, name: str, parent: int) -> int:
        descriptor = super().open_directory(name, parent)
        self._paths[descriptor] = self._paths[parent] / name
        return descriptor

    def make_directory(self, name: str, parent: int) -> None:
        super().make_directory(name, parent)
        self._note("mkdir", self._paths[parent] / name)

    def create(self, path: StrPath, mode: int) -> int:
        descriptor = super().create(path, mode)
        self._paths[descriptor] = Path(path)
        self._note("create", Path(path))
        return descriptor

    def write(self, descriptor: int, data: memoryview) -> int:
        written = super().write(descriptor, data)
        self._note("write", self._paths[descriptor])
        return written

    def copy(self, path: StrPath, descriptor: int) -> None:
        super().copy(path, descriptor)
        self._note("write", self._paths[descriptor])

    def remove(self, path: StrPath) -> None:
        super().remove(path)
        self._note("remove", Path(path))

    def sync_file(self, descriptor: int) -> None:
        super().sync_file(descriptor)
        if self.sync_files:
            self._note("sync_file", self._paths[descriptor])

    def sync_directory(self, descriptor: int) -> None:
        super().sync_directory(descriptor)
        if self.sync_names:
            self._note("sync_directory", self._paths[descriptor])

    def rename(self, path: StrPath, name: str, parent: int) -> None:
        super().rename(path, name, parent)
        self._note("rename", Path(path), str((self._paths[parent] / name).relative_to(self.root)))


class SplitDisk(RecordingDisk):
    """Two mounts that look like one: no rename leaves the first staging directory."""

    def rename(self, path: StrPath, name: str, parent: int) -> None:
        if Path(path).parent.name == "staging":
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        super().rename(path, name, parent)


class RecordingLog(SqliteEventLog):
    """The real event log, writing down its commits among the operations of the disk."""

    ops: list[Op]
    root: Path
    staging: StagingDirs

    def prepare(self, events: Sequence[PendingEvent]) -> list[int | EventLogFailed]:
        results = super().prepare(events)
        self.ops += [Op("prepared", self._relative(event.token)) for event in events]
        return results

    def restage(self, event_id: str, token: str) -> "Future[int]":
        future = super().restage(event_id, token)
        future.result()
        self.ops.append(Op("prepared", self._relative(token)))
        return future

    def _relative(self, token: str) -> str:
        staged = staging_dirs(self.root).staged(parse_token(token)[0])
        return str(staged.relative_to(self.root))


def staging_dirs(root: Path) -> StagingDirs:
    return StagingDirs(Filesystem(), root / ".qmonus-lite", root)


def record(disk: RecordingDisk, parts: tuple[str, ...], *, handled: bool) -> list[Op]:
    """The operations of one real commit, its answer last."""
    with storage(disk.root, disk, RecordingLog, handled=handled) as store:
        assert isinstance(store.log, RecordingLog)
        store.log.ops, store.log.root, store.log.staging = disk.ops, disk.root, store.staging
        store.commit(parts, NEW)
    return [*disk.ops, Op("acknowledged", EVENT_ID)]


@dataclass(frozen=True)
class Crash:
    """What is left: names that were lost, bytes that were lost, how the rename stands."""

    #: Operations that were done before the crash.
    done: tuple[Op, ...]
    #: Indexes of those whose effect on names is missing.
    missing: frozenset[int]
    #: How many bytes of the last file that was begun are there; one before it is whole.
    length: int
    #: Whether a rename that is there left the old name behind.
    both_names: bool

    @property
    def acknowledged(self) -> bool:
        return any(op.kind == "acknowledged" for op in self.done)

    @property
    def prepared(self) -> str | None:
        """The staged file that the row of the log names, or None while there is no row."""
        return next((op.path for op in reversed(self.done) if op.kind == "prepared"), None)


def crashes(ops: list[Op]) -> Iterator[Crash]:
    """Every crash of these operations."""
    for count in range(len(ops) + 1):
        done = tuple(ops[:count])
        unsynced = [at for at in range(count) if _may_be_missing(done, at)]
        last = max((at for at in range(count) if done[at].kind == "create"), default=0)
        synced_bytes = any(op.kind == "sync_file" for op in done[last:])
        written = any(op.kind == "write" for op in done[last:])
        lengths = {len(NEW)} if synced_bytes else {0, 5, len(NEW)} if written else {0}
        renamed = any(op.kind == "rename" for op in done)
        for size in range(len(unsynced) + 1):
            for missing in itertools.combinations(unsynced, size):
                for length, both in itertools.product(lengths, {False, renamed}):
                    yield Crash(done, frozenset(missing), length, both)


def _may_be_missing(done: tuple[Op, ...], at: int) -> bool:
    """Whether the name that operation `at` made may be lost."""
    op = done[at]
    if op.kind not in {"create", "mkdir", "rename", "remove"}:
        return False
    directory = os.path.dirname(op.to or op.path) or "."
    later = done[at + 1 :]
    return not any(o.kind == "sync_directory" and o.path == directory for o in later)


def make(root: Path, crash: Crash, *, replaced: bool) -> None:
    """Make the disk that the crash leaves."""
    if replaced:
        root.joinpath(*OLD_PLACE).write_bytes(OLD)
    begun = [op.path for op in crash.done if op.kind == "create"]
    content = {path: NEW if path != begun[-1] else NEW[: crash.length] for path in begun}
    for at, op in enumerate(crash.done):
        if op.kind == "create" and MOUNT_STAGING in op.path:
            make_staging(root, (root / op.path).parent)
        if at not in crash.missing and root.joinpath(op.to or op.path).parent.is_dir():
            redo(root, op, content.get(op.path, b""), both_names=crash.both_names)


def redo(root: Path, op: Op, content: bytes, *, both_names: bool) -> None:
    """Do to names what one operation did."""
    if op.kind == "mkdir":
        (root / op.path).mkdir()
    elif op.kind == "create":
        (root / op.path).write_bytes(content)
    elif op.kind == "remove":
        (root / op.path).unlink(missing_ok=True)
    elif op.kind == "rename":
        if not (root / op.path).exists():
            # Its first name was lost, and not the one that it has since.
            (root / op.path).write_bytes(content)
        (root / op.path).replace(root / op.to)
        if both_names:
            os.link(root / op.to, root / op.path)


def make_staging(root: Path, directory: Path) -> None:
    """A staging directory is synced when it is made, before a file is put there."""
    directory.mkdir()
    (root / ".qmonus-lite" / "staging.mounts").write_text(f"{directory}\n")


def promised(root: Path, crash: Crash, parts: tuple[str, ...]) -> None:
    """Put the row into the log that had been committed."""
    with storage(root, Filesystem()) as store:
        if staged := crash.prepared:
            path = "/" + "/".join(parts)
            event = PendingEvent(
                id=EVENT_ID,
                type="APIGW.OnFileUploaded",
                path=path,
                time=datetime.now(UTC),
                data=json.dumps({"path": path}),
                store="file",
                store_path=path[1:],
                gateway="0",
                token=f"{store.staging.token(root / staged)}//{path[1:]}",
            )
            store.log.prepare([event])


def violations(
    folder: Path, disk: RecordingDisk, parts: tuple[str, ...], *, handled: bool = True
) -> tuple[int, list[str]]:
    """How many states a commit on this disk can leave, and what is wrong after which of them."""
    old = OLD if parts == OLD_PLACE else None
    if old:
        disk.root.joinpath(*parts).write_bytes(old)
    states = list(crashes(record(disk, parts, handled=handled)))
    found = []
    for number, crash in enumerate(states):
        root = folder / str(number)
        (root / ".qmonus-lite" / "staging").mkdir(parents=True)
        make(root, crash, replaced=old is not None)
        promised(root, crash, parts)
        events = restart(root)
        left = [path for folder in root.rglob(MOUNT_STAGING) for path in folder.iterdir()]
        found += [f"a staged file is left: {crash}"] * bool(left)
        final = root.joinpath(*parts)
        content = final.read_bytes() if final.exists() else None
        ends = check(crash, content, events, old, handled=handled)
        found += [f"{wrong}: {crash}" for wrong in ends]
    return len(states), found


def check(
    crash: Crash,
    content: bytes | None,
    events: dict[str, str],
    old: bytes | None,
    *,
    handled: bool,
) -> Iterator[str]:
    """What is wrong with this end of this crash."""
    if content not in {old, NEW}:
        yield f"half a file, {content!r}"
    if events not in ({}, {EVENT_ID: "ready"}):
        yield f"an event left undecided, {events}"
    if (handled and content == NEW) != bool(events):
        yield "a file without its event, or an event without its file"
    if crash.acknowledged and content != NEW:
        yield "an acknowledged file is lost"


def recording(
    folder: Path,
    kind: type[RecordingDisk] = RecordingDisk,
    *,
    files: bool = True,
    names: bool = True,
) -> RecordingDisk:
    """A disk to record on."""
    root = folder / "recorded"
    root.mkdir()
    return kind(root=root, sync_files=files, sync_names=names)


@pytest.mark.parametrize("parts", [NEW_PLACE, OLD_PLACE], ids=["new", "replaced"])
def test_every_crash_ends_with_a_whole_file_and_its_event_or_with_neither(
    parts: tuple[str, ...], tmp_path: Path
) -> None:
    count, found = violations(tmp_path, recording(tmp_path), parts)

    assert found == []
    assert count > 20


@pytest.mark.parametrize("parts", [NEW_PLACE, OLD_PLACE], ids=["new", "replaced"])
def test_every_crash_of_an_upload_that_nobody_hears_of_ends_with_a_whole_file_or_with_none(
    parts: tuple[str, ...], tmp_path: Path
) -> None:
    count, found = violations(tmp_path, recording(tmp_path), parts, handled=False)

    assert found == []
    assert count > 15


@pytest.mark.parametrize(
    ("parts", "handled"),
    [(("a", "file"), True), (OLD_PLACE, True), (OLD_PLACE, False)],
    ids=["new", "replaced", "replaced, and nobody hears of it"],
)
def test_every_crash_of_a_file_that_is_copied_to_another_mount_first_ends_so_too(
    parts: tuple[str, ...], handled: bool, tmp_path: Path
) -> None:
    disk = recording(tmp_path, SplitDisk)
    count, found = violations(tmp_path, disk, parts, handled=handled)

    assert found == []
    assert count > 35
    assert [op.kind for op in disk.ops].count("create") == 2


@pytest.mark.parametrize("handled", [True, False])
@pytest.mark.parametrize("missing", ["files", "names"])
def test_the_enumeration_finds_what_a_missing_sync_breaks(
    missing: str, handled: bool, tmp_path: Path
) -> None:
    disk = recording(tmp_path, files=missing != "files", names=missing != "names")

    assert violations(tmp_path, disk, NEW_PLACE, handled=handled)[1]
