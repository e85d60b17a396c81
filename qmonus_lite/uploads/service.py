"""Upload service: target, authorization, path, reserved space, body, commit and receipt."""

import asyncio
import enum
import logging
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from qmonus_lite.auth.gatekeeper import Actor, Gatekeeper
from qmonus_lite.clock import Clock
from qmonus_lite.errors import (
    BadGateway,
    Conflict,
    Forbidden,
    Problem,
    Refusal,
    Unavailable,
)
from qmonus_lite.events.envelope import UPLOADED, UPLOADING, Ids
from qmonus_lite.events.outbox import PendingEvent
from qmonus_lite.events.outcome import Outcome
from qmonus_lite.events.query import EventQuery
from qmonus_lite.ids import new_id
from qmonus_lite.pathtemplate import PathTemplate
from qmonus_lite.uploads.accepted import AcceptedUpload, Destination
from qmonus_lite.uploads.commit import Commits, UploadWithEvent
from qmonus_lite.uploads.disk_errors import log_disk_error
from qmonus_lite.uploads.event_data import promised_data
from qmonus_lite.uploads.filesystem import Filesystem
from qmonus_lite.uploads.names import BadName, parts_of
from qmonus_lite.uploads.publish import DirectPublisher, KeyedLock, ReceivedUpload
from qmonus_lite.uploads.quota import Quota, Reservation
from qmonus_lite.uploads.receipt import Receipt
from qmonus_lite.uploads.request import UploadRequest
from qmonus_lite.uploads.root_dir import RootDir
from qmonus_lite.uploads.rules import Candidate, check_head
from qmonus_lite.uploads.socket_copy import SocketCopier
from qmonus_lite.uploads.staging import StagedFile
from qmonus_lite.uploads.staging_dirs import StagingDirs

logger = logging.getLogger(__name__)

#: Bytes buffered before a write on a disk thread, one write at a time; also the maximum that a
#: stalled upload holds in memory.
WRITE_BATCH_BYTES = 256 << 10


@dataclass(frozen=True, kw_only=True)
class UploadService:
    """Dependencies and state shared by all uploads of one APIGW."""

    template: PathTemplate
    query: EventQuery
    gatekeeper: Gatekeeper
    root_dir: RootDir
    admission: Quota
    #: Store uploads whose event has a handler, and all others.
    committer: Commits
    publisher: DirectPublisher
    staging: StagingDirs
    disk: Filesystem
    intake: SocketCopier
    #: Thread pool for disk operations.
    threads: Executor
    clock: Clock
    #: `address` and `port` of events.
    address: str
    port: int
    #: Headers that a handler of pending events needs unmasked, in lower case.
    kept_headers: Callable[[], frozenset[str]] = frozenset
    #: Prefix of the names of staged files.
    owner_prefix: str = ""
    #: One upload at a time per path, for committer and publisher.
    path_lock: KeyedLock = field(default_factory=KeyedLock)
    #: Uploads that are neither stored nor aborted.
    under_way: set["ActiveUpload"] = field(default_factory=set)

    async def open(self, head: UploadRequest) -> "ActiveUpload":
        """Authorize an upload and reserve space; raises Problem or Terminated if refused."""
        candidate = Candidate(request=head, quota=self.admission, gatekeeper=self.gatekeeper)
        check_head(candidate)
        asked, actor, target = candidate.question, candidate.actor, candidate.target
        digests, parts, account = candidate.digests, candidate.parts, asked["account"]
        upload_id = head.record.upload_id = new_id()
        outcome = await self._authorize(head, asked, actor)
        event = asked if outcome is None else outcome.event
        try:
            if outcome is None or event.get("path") == target.path:
                place = self._place(head, parts)
            else:
                place = self._place_chosen(head, outcome)
            reservation = self.admission.reserve(place.staging, place.device, head.length)
        except Problem as error:
            log_disk_error(error, head.record, target.path)
            raise
        staged = StagedFile(
            path=f"{place.staging}/{self.owner_prefix}{upload_id}", disk=self.disk, digests=digests
        )
        accepted = AcceptedUpload(upload_id, event, place, account)
        return ActiveUpload(self, head, accepted, staged, reservation)

    async def _authorize(
        self, head: UploadRequest, asked: dict[str, Any], actor: Actor | None
    ) -> Outcome | None:
        """The handlers' outcome; None without handlers, where default authorization applies."""
        if self.query.is_handled(UPLOADING):
            ids = Ids(request_id=head.record.request_id, upload_id=head.record.upload_id)
            outcome = await self.query.ask(UPLOADING, asked, subject=asked["path"], ids=ids)
            if outcome.denied:
                raise outcome.terminated()
            if outcome.handlers:
                return outcome
            # The last handler was removed meanwhile, so no handler has authorized the upload.
            # Accounts may have changed as well: authenticate again.
            actor = None
        if actor is None:
            self.gatekeeper.authorize(head.headers, "PUT", head.raw_path)
        else:
            self.gatekeeper.check_allowed(actor, "PUT", head.raw_path)
        return None

    def _place_chosen(self, head: UploadRequest, outcome: Outcome) -> Destination:
        """The destination chosen by a plugin; raises BadGateway if its path is invalid."""
        path = outcome.event.get("path")
        try:
            if not isinstance(path, str):
                raise BadName("the path is no text")
            return self._place(head, parts_of(path))
        except (BadName, Forbidden, Conflict) as error:
            names = ", ".join(outcome.handlers)
            extra = {"action": "path_refused", "handlers": names}
            logger.error("%s gave the path %r: %s", names, path, error, extra=extra)
            problem = BadGateway("a plugin gave a path that cannot be stored")
            problem.refusal = Refusal(plugin=names, rule="bad-path", reason=f"{path!r}: {error}")
            raise problem from None

    def _place(self, head: UploadRequest, parts: tuple[str, ...]) -> Destination:
        """The destination of a path; raises Problem if no file can be stored there."""
        look = self.root_dir.look(parts)
        head.check_conditions(look.there)
        staging = self.staging.directory(look.directory, look.mount)
        return Destination(parts, look.path, staging, look.mount.device)


class UploadState(enum.Enum):
    """State of an upload."""

    #: Receives bytes of the body.
    RECEIVING = "receiving"
    #: Complete; being stored, even if the client disconnects.
    COMMITTING = "committing"
    #: Published at its path.
    STORED = "stored"
    #: Aborted; the staged file is removed.
    ABORTED = "dropped"


class ActiveUpload:
    """One accepted upload; the connection calls its methods sequentially."""

    def __init__(
        self,
        uploads: UploadService,
        head: UploadRequest,
        accepted: AcceptedUpload,
        staged: StagedFile,
        reservation: Reservation,
    ) -> None:
        self._uploads = uploads
        self._head = head
        self._accepted = accepted
        self._staged = staged
        self._reservation = reservation
        self._unwritten = bytearray()
        self.state = UploadState.RECEIVING
        uploads.under_way.add(self)

    @cached_property
    def _writing(self) -> asyncio.Lock:
        """Serializes the disk operations of this upload, including `abort`."""
        return asyncio.Lock()

    @property
    def digest(self) -> str | None:
        """The value of Repr-Digest once the file is stored, if the client wanted one."""
        return self._staged.digests.field

    async def write(self, chunk: bytes) -> None:
        """Buffer bytes of the body; waits for the disk as backpressure on the client."""
        self._reservation.take(len(chunk))
        self._unwritten += chunk
        if len(self._unwritten) >= WRITE_BATCH_BYTES:
            await self._flush()

    async def copy_from_socket(self, descriptor: int, most: int) -> int:
        """Copy up to `most` body bytes from a socket; returns how many. Raises Problem."""
        await self._flush()
        async with self._writing:
            if self.state is not UploadState.RECEIVING:
                return 0
            try:
                count = await self._uploads.intake.copy_slice(descriptor, self._staged, most)
            except Problem as error:
                self._log(error)
                raise
        self._reservation.take(count)
        return count

    async def commit(self) -> Receipt:
        """Store the file; raises Problem; nothing was stored then, unless its detail states it."""
        if self.state is UploadState.ABORTED:
            raise Unavailable("the upload was given up before it was whole")
        self.state = UploadState.COMMITTING
        accepted = self._accepted
        try:
            replaced = await self._store()
        except BaseException as error:
            self.state = UploadState.RECEIVING
            if isinstance(error, Problem):
                self._log(error)
            raise
        self.state = UploadState.STORED
        self._uploads.under_way.discard(self)
        self._reservation.release()
        return Receipt(
            upload_id=accepted.upload_id,
            path=accepted.place.path,
            filename=accepted.place.parts[-1],
            bytes=self._reservation.received,
            mime=self._head.mime,
            event_id=accepted.upload_id,
            durable=self._uploads.disk.sync_names,
            replaced=replaced,
            sha256=self._staged.digests.sha256,
        )

    async def abort(self) -> None:
        """Abort the upload; does nothing once the commit has begun. Idempotent."""
        if self.state is not UploadState.RECEIVING:
            return
        self.state = UploadState.ABORTED
        self._unwritten = bytearray()
        self._reservation.release()
        async with self._writing:
            await _on(self._uploads.threads, self._staged.discard)
        self._uploads.under_way.discard(self)

    async def _store(self) -> bool:
        """Store the file, with a pending event if that has a handler; True if a file was replaced.

        Raises Problem.
        """
        uploads, parts = self._uploads, self._accepted.place.parts
        registry, publisher, path_lock = (
            uploads.query.registry,
            uploads.publisher,
            uploads.path_lock,
        )
        if registry.has_no_handler_for(UPLOADED) and parts not in path_lock:
            upload = self._upload()
            if publisher.can_publish_inline(upload):
                return publisher.publish_inline(upload)
        async with path_lock.at(parts):
            # Checked under the lock: otherwise a handler registered meanwhile could get the event
            # of an upload that was stored before this one, but not the event of this one.
            if registry.has_no_handler_for(UPLOADED):
                return await publisher.store(self._upload())
            announced = UploadWithEvent(
                staged=self._staged,
                unwritten=self._unwritten,
                parts=parts,
                create_only=self._head.create_only,
                event=self._pending_event(),
            )
            return await uploads.committer.commit(announced)

    def _upload(self) -> ReceivedUpload:
        return ReceivedUpload(
            staged=self._staged,
            unwritten=self._unwritten,
            parts=self._accepted.place.parts,
            create_only=self._head.create_only,
        )

    async def _flush(self) -> None:
        if not self._unwritten:
            return
        batch, self._unwritten = self._unwritten, bytearray()
        async with self._writing:
            # After an abort, a write would create the file again and leave it behind.
            if self.state is UploadState.RECEIVING:
                try:
                    await _on(self._uploads.threads, self._staged.write, batch)
                except Problem as error:
                    self._log(error)
                    raise

    def _log(self, problem: Problem) -> None:
        accepted = self._accepted
        log_disk_error(problem, self._head.record, accepted.place.path, accepted.upload_id)

    def _pending_event(self) -> PendingEvent:
        accepted, uploads = self._accepted, self._uploads
        path, final = accepted.place.path, accepted.place.final
        told = {
            "path": path,
            "account": accepted.account,
            "length": self._head.length,
            "address": uploads.address,
            "port": uploads.port,
            "filepath": final,
            "mime": self._head.mime,
            "bytes": self._reservation.received,
        }
        kept, own = uploads.kept_headers(), uploads.gatekeeper.own
        return PendingEvent(
            id=accepted.upload_id,
            type=UPLOADED,
            path=path,
            time=uploads.clock.moment(),
            data=promised_data(accepted.event, told, kept, own),
            staged=str(self._staged.path),
            final=final,
            request_id=self._head.record.request_id,
        )


async def _on(threads: Executor, work: Any, *arguments: Any) -> Any:
    return await asyncio.get_running_loop().run_in_executor(threads, work, *arguments)
