"""A storage to commit one upload to: file store, event log and committer on a directory."""

import asyncio
import contextlib
import functools
import json
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from qmonus_lite.event_logs.sqlite.event_log import SqliteEventLog, migration_values
from qmonus_lite.events.stored_event import PendingEvent
from qmonus_lite.stores.file.filesystem import Filesystem
from qmonus_lite.stores.file.pending import FilePendingUpload, PendingContext
from qmonus_lite.stores.file.reservation import SpaceReservations
from qmonus_lite.stores.file.root_dir import RootDir
from qmonus_lite.stores.file.source_copy import SourceCopier
from qmonus_lite.stores.file.staged_file import StagedFile
from qmonus_lite.stores.file.staging_dirs import StagingDirs
from qmonus_lite.stores.file.store import FileStore
from qmonus_lite.uploads.commit import Committer, UploadWithEvent, recover
from qmonus_lite.uploads.digest import NO_DIGESTS, Digests
from qmonus_lite.uploads.publish import DirectPublisher, ReceivedUpload
from qmonus_lite.uploads.store import IF_ABSENT, UNCONDITIONAL, StoredFile

EVENT_ID = "01890000-0000-7000-8000-000000000001"
OLD, NEW = b"old content", b"new content, longer"


class NoDispatcher:
    """Takes no event away: they all stay in the log."""

    def take(self, seq: int, event: PendingEvent) -> bool:
        return False

    def wake(self) -> None:
        pass


@dataclass(kw_only=True)
class Storage:
    """One launch directory with its data directory."""

    root: Path
    disk: Filesystem
    log: SqliteEventLog
    staging: StagingDirs
    threads: ThreadPoolExecutor
    #: Whether anybody handles the events of uploads.
    handled: bool = True

    @property
    def data_dir(self) -> Path:
        return self.root / ".qmonus-lite"

    @functools.cached_property
    def store(self) -> FileStore:
        return file_store(
            RootDir(root=self.root, protected=(self.data_dir,), disk=self.disk),
            self.staging,
            self.threads,
        )

    def pending(
        self, name: str, content: bytes, *parts: str, digests: Digests = NO_DIGESTS
    ) -> FilePendingUpload:
        """A received upload that is staged beside the data, without a look at its path."""
        staged = StagedFile(path=self.data_dir / "staging" / name, disk=self.disk, digests=digests)
        upload = FilePendingUpload(self.store.context, staged, parts, self.store.location(parts))
        upload.fill(content)
        return upload

    def event(self, event_id: str, pending: FilePendingUpload) -> PendingEvent:
        path = "/" + "/".join(pending.where)
        return PendingEvent(
            id=event_id,
            type="APIGW.OnFileUploaded",
            path=path,
            time=datetime.now(UTC),
            data=json.dumps({"path": path}),
            token=pending.token,
            store="file",
            store_path="/".join(pending.where),
            gateway="0",
        )

    def commit(
        self,
        parts: tuple[str, ...],
        content: bytes,
        event_id: str = EVENT_ID,
        *,
        create_only: bool = False,
    ) -> None:
        """What a session does with one upload; a failed one is dropped, as the session drops it."""
        pending = self.pending(event_id, content, *parts)
        condition = IF_ABSENT if create_only else UNCONDITIONAL
        if not self.handled:
            upload = ReceivedUpload(pending=pending, condition=condition)
            self._run(pending, self._publish(upload))
            return
        event = self.event(event_id, pending)
        announced = UploadWithEvent(pending=pending, condition=condition, event=event)
        self._run(pending, self.committer.commit(announced))

    async def _publish(self, upload: ReceivedUpload) -> StoredFile:
        """Store an upload that nobody hears of, by the loop where that may be."""
        if self.publisher.can_publish_inline(upload.pending):
            return self.publisher.publish_inline(upload.pending, upload.condition)
        return await self.publisher.store(upload)

    def _run(self, pending: FilePendingUpload, commit: Coroutine[Any, Any, StoredFile]) -> None:
        try:
            asyncio.run(commit)
        except BaseException:
            self.store.discard(pending)
            raise

    @functools.cached_property
    def committer(self) -> Committer:
        return Committer(self.store, self.log, NoDispatcher(), threads=self.threads)

    @functools.cached_property
    def publisher(self) -> DirectPublisher:
        return DirectPublisher(self.store, threads=self.threads)

    def states(self) -> dict[str, str]:
        """Events in the log: id -> state."""
        return {entry.id: entry.state for entry in self.log.list_events("", 100).result()}

    def staged(self) -> list[str]:
        return sorted(path.name for path in (self.data_dir / "staging").iterdir())


def file_store(root_dir: RootDir, staging: StagingDirs, threads: ThreadPoolExecutor) -> FileStore:
    """A file store without a limit of free space."""
    return FileStore(
        root_dir,
        SpaceReservations(root_dir.disk, min_free_bytes=0),
        PendingContext(
            threads=threads, copier=SourceCopier(threads), root_dir=root_dir, staging=staging
        ),
    )


@contextlib.contextmanager
def storage(
    root: Path,
    disk: Filesystem,
    log_kind: type[SqliteEventLog] = SqliteEventLog,
    *,
    handled: bool = True,
) -> Iterator[Storage]:
    """A storage on `root`, as an APIGW opens it, without its recovery."""
    data_dir = root / ".qmonus-lite"
    data_dir.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(4) as threads:
        values = migration_values(root=root, gateway="0")
        log = log_kind(data_dir / "outbox.sqlite3", migration_values=values)
        try:
            staging = StagingDirs(Filesystem(), data_dir, root, "0")
            yield Storage(
                root=root,
                disk=disk,
                log=log,
                staging=staging,
                threads=threads,
                handled=handled,
            )
        finally:
            log.close()


def restart(root: Path) -> dict[str, str]:
    """Start on `root` after a crash: recover; gives the events that are left, id -> state."""
    with storage(root, Filesystem()) as again:
        recover(again.log, again.store)
        assert again.staged() == []
        return again.states()
