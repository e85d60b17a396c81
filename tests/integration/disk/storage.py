"""A storage to commit one upload to: directories, event log and committer on a real directory."""

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
from qmonus_lite.uploads.commit import Committer, UploadWithEvent, recover
from qmonus_lite.uploads.filesystem import Filesystem
from qmonus_lite.uploads.publish import DirectPublisher, ReceivedUpload
from qmonus_lite.uploads.root_dir import RootDir
from qmonus_lite.uploads.staging import StagedFile
from qmonus_lite.uploads.staging_dirs import StagingDirs

EVENT_ID = "01890000-0000-7000-8000-000000000001"
OLD, NEW = b"old content", b"new content, longer"


class NoPost:
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

    def root_dir(self) -> RootDir:
        return RootDir(root=self.root, protected=(self.data_dir,), disk=self.disk)

    def commit(
        self,
        parts: tuple[str, ...],
        content: bytes,
        event_id: str = EVENT_ID,
        *,
        create_only: bool = False,
    ) -> None:
        """What a session does with one upload; a failed one is dropped, as the session drops it."""
        staged = StagedFile(path=self.data_dir / "staging" / event_id, disk=self.disk)
        if not self.handled:
            one = ReceivedUpload(
                staged=staged, unwritten=content, parts=parts, create_only=create_only
            )
            self._run(staged, self.store(one))
            return
        path = "/" + "/".join(parts)
        event = PendingEvent(
            id=event_id,
            type="APIGW.OnFileUploaded",
            path=path,
            time=datetime.now(UTC),
            data=json.dumps({"path": path}),
            store="file",
            store_path=path[1:],
            gateway="0",
            token=self.staging.token(staged.path, path),
        )
        upload = UploadWithEvent(
            staged=staged, unwritten=content, parts=parts, event=event, create_only=create_only
        )
        self._run(staged, self.committer.commit(upload))

    async def store(self, upload: ReceivedUpload) -> bool:
        """Store an upload that nobody hears of, by the loop where that may be."""
        if self.publisher.can_publish_inline(upload):
            return self.publisher.publish_inline(upload)
        return await self.publisher.store(upload)

    def _run(self, staged: StagedFile, commit: Coroutine[Any, Any, bool]) -> None:
        try:
            asyncio.run(commit)
        except BaseException:
            staged.discard()
            raise

    @functools.cached_property
    def committer(self) -> Committer:
        return Committer(self.root_dir(), self.staging, self.log, NoPost(), threads=self.threads)

    @functools.cached_property
    def publisher(self) -> DirectPublisher:
        return DirectPublisher(self.root_dir(), self.staging, threads=self.threads)

    def states(self) -> dict[str, str]:
        """Events in the log: id -> state."""
        return {entry.id: entry.state for entry in self.log.list_events("", 100).result()}

    def staged(self) -> list[str]:
        return sorted(path.name for path in (self.data_dir / "staging").iterdir())


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
            staging = StagingDirs(Filesystem(), data_dir, root)
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
        recover(again.log, again.staging)
        assert again.staged() == []
        return again.states()
