"""Store in memory: for tests, rehearsals and trial runs; nothing survives the process.

It keeps the protocol as the other stores do, and has a switch that leaves publications in doubt.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import cast

from qmonus_lite.byte_source import ByteSource
from qmonus_lite.errors import Conflict, InsufficientStorage, NotFound, PublicationInDoubt
from qmonus_lite.uploads.digest import NO_DIGESTS, Digests
from qmonus_lite.uploads.store import (
    UNCONDITIONAL,
    Capabilities,
    Condition,
    Handover,
    PendingUpload,
    Publication,
    PublicationState,
    PublishResult,
    SealResult,
    StoredFile,
    StoredPath,
    replaced_meanwhile,
)
from qmonus_lite.values import Value

#: Separates the upload id from the stored path in a token.
_SEPARATOR = "//"


class Interruption(Enum):
    """When `MemoryStore.interruption` interrupts a publication, which is then in doubt."""

    BEFORE = "before the file is visible"
    AFTER = "after the file is visible"


class MemoryFile(Value, frozen=True, kw_only=True):
    """A published file."""

    content: bytes
    etag: str


@dataclass(eq=False, kw_only=True)
class MemoryPendingUpload:
    """A pending upload in memory."""

    store: "MemoryStore"
    upload_id: str
    where: StoredPath
    digests: Digests = NO_DIGESTS
    content: bytearray = field(default_factory=bytearray)
    #: Number of bytes that `flush` or `seal` has made durable.
    durable: int = 0
    keep: bool = False
    sealed: bool = False
    aborted: bool = False
    handed_over: bool = False

    @property
    def token(self) -> str:
        """Upload id and stored path."""
        return f"{self.upload_id}{_SEPARATOR}{'/'.join(self.where)}"

    @property
    def location(self) -> str:
        """A URL with the scheme `memory`."""
        return self.store.location(self.where)

    @property
    def received(self) -> int:
        """Number of bytes."""
        return len(self.content)

    @property
    def staged_file(self) -> str | None:
        """None: there is no file."""
        return None

    async def append(self, data: bytes) -> None:
        """Add bytes; raises InsufficientStorage beyond the capacity of the store."""
        self.store.check_capacity(len(data))
        self.digests.update(data)
        self.content += data

    async def copy_from(self, _source: ByteSource) -> int:
        """0: bytes have to come by `append`."""
        return 0

    async def flush(self) -> None:
        """Make every byte durable."""
        self.durable = len(self.content)

    async def rollback(self, offset: int) -> None:
        """Forget the bytes from `offset` on."""
        if not 0 <= offset <= len(self.content):
            raise ValueError(f"offset {offset} of {len(self.content)} received bytes")
        del self.content[offset:]
        self.durable = min(self.durable, offset)
        self.rehash()

    async def hand_over(self) -> Handover:
        """The whole content."""
        self.digests.check()
        self.handed_over = True
        return Handover(token=self.token, sealed=False, content=bytes(self.content))

    async def abort(self) -> None:
        """Remove it, unless it is kept, handed over or published."""
        self.store.discard(self)

    def done(self) -> None:
        """Nothing is held for it."""

    def rehash(self) -> None:
        """Compute the digests of the content anew."""
        self.digests.reset()
        self.digests.update(self.content)


class MemoryStore:
    """Files and pending uploads of this process."""

    capabilities = Capabilities(change_of_path=True)

    def __init__(self, *, capacity: int | None = None) -> None:
        """`capacity`: most bytes of files and pending uploads; None is no limit."""
        self._capacity = capacity
        self.files: dict[StoredPath, MemoryFile] = {}
        #: Pending uploads by token.
        self.pending: dict[str, MemoryPendingUpload] = {}
        self._published: set[str] = set()
        #: Set it to leave every publication in doubt, not done or done.
        self.interruption: Interruption | None = None
        #: Set it to False to make `outcome` answer UNKNOWN.
        self.reachable = True
        #: Set it to a text to make the store unhealthy.
        self.unhealthy_reason: str | None = None

    def location(self, where: StoredPath) -> str:
        """A URL with the scheme `memory`."""
        return f"memory:///{'/'.join(where)}"

    async def create(
        self,
        where: StoredPath,
        *,
        upload_id: str,
        length: int | None,
        condition: Condition = UNCONDITIONAL,
        digests: Digests = NO_DIGESTS,
    ) -> MemoryPendingUpload:
        """A new upload; raises Problem."""
        self._check_path(where)
        condition.check(where in self.files)
        self.check_capacity(length or 0)
        upload = MemoryPendingUpload(store=self, upload_id=upload_id, where=where, digests=digests)
        self.pending[upload.token] = upload
        return upload

    async def reopen(
        self, token: str, *, length: int | None = None, digests: Digests = NO_DIGESTS
    ) -> MemoryPendingUpload:
        """Continue from the durable bytes, as after the end of a process; raises NotFound."""
        upload = self.pending.get(token)
        if upload is None:
            raise NotFound("this upload is not there any more")
        del upload.content[upload.durable :]
        self.check_capacity((length or upload.durable) - upload.durable)
        upload.digests = digests
        upload.rehash()
        return upload

    def adopt(self, handover: Handover) -> MemoryPendingUpload:
        """Continue an upload that was handed over."""
        upload_id, _, path = handover.token.partition(_SEPARATOR)
        upload = MemoryPendingUpload(
            store=self,
            upload_id=upload_id,
            where=tuple(path.split("/")),
            content=bytearray(handover.content),
        )
        self.pending[upload.token] = upload
        return upload

    async def change_path(
        self, upload: PendingUpload, where: StoredPath, condition: Condition = UNCONDITIONAL
    ) -> None:
        """Change path and token; raises Problem."""
        self._check_path(where)
        condition.check(where in self.files)
        own = _own(upload)
        del self.pending[own.token]
        own.where = where
        self.pending[own.token] = own

    def seal(self, uploads: Sequence[PendingUpload], *, recorded: bool) -> SealResult:
        """Check the digests; everything is as durable as it will be."""
        return SealResult([self._seal(_own(upload)) for upload in uploads], 0.0)

    def publish(self, publications: Sequence[Publication]) -> list[PublishResult]:
        """Make the uploads visible, or leave them in doubt if `interruption` is set."""
        return [self._publish(_own(entry.upload), entry.condition) for entry in publications]

    def discard(self, upload: PendingUpload) -> None:
        """Remove it, unless it is kept, handed over or published."""
        own = _own(upload)
        if not (own.keep or own.handed_over):
            own.aborted = True
            self.pending.pop(own.token, None)

    def can_publish_now(self, upload: PendingUpload) -> bool:
        """True: memory does not block."""
        return True

    def publish_now(self, upload: PendingUpload, condition: Condition) -> StoredFile:
        """Seal and publish; raises Problem."""
        result = self._seal(_own(upload)) or self._publish(_own(upload), condition)
        if isinstance(result, StoredFile):
            return result
        raise result

    def outcome(self, token: str) -> PublicationState:
        """Whether the upload was published, unless `reachable` is False."""
        if not self.reachable:
            return PublicationState.UNKNOWN
        return (
            PublicationState.PUBLISHED
            if token in self._published
            else PublicationState.NOT_PUBLISHED
        )

    def sweep(self, owner: str = "") -> int:
        """Remove pending uploads, except those to keep."""
        swept = [
            upload
            for upload in self.pending.values()
            if upload.upload_id.startswith(owner) and not upload.keep
        ]
        for upload in swept:
            del self.pending[upload.token]
        return len(swept)

    def probe(self) -> None:
        """Do nothing: memory can be used always."""

    def check_capacity(self, wanted: int) -> None:
        """Raise InsufficientStorage if `wanted` more bytes do not fit."""
        if self._capacity is None:
            return
        used = sum(len(file.content) for file in self.files.values())
        used += sum(upload.received for upload in self.pending.values())
        if used + wanted > self._capacity:
            raise InsufficientStorage("the store has no room for this upload")

    def _check_path(self, where: StoredPath) -> None:
        if any(where[:count] in self.files for count in range(1, len(where))):
            raise Conflict("a file stands where the path needs a directory")
        if any(path[: len(where)] == where and path != where for path in self.files):
            raise Conflict("a directory stands at this path")

    def _seal(self, upload: MemoryPendingUpload) -> BaseException | None:
        try:
            upload.digests.check()
        except Exception as error:
            return error
        upload.sealed = True
        upload.durable = upload.received
        return None

    def _publish(self, upload: MemoryPendingUpload, condition: Condition) -> PublishResult:
        if self.interruption is Interruption.BEFORE:
            return PublicationInDoubt()
        replaced = upload.where in self.files
        if replaced and condition.absent:
            return replaced_meanwhile()
        try:
            self._check_path(upload.where)
        except Conflict as error:
            return error
        content = bytes(upload.content)
        etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
        self.files[upload.where] = MemoryFile(content=content, etag=etag)
        self._published.add(upload.token)
        self.pending.pop(upload.token, None)
        if self.interruption is Interruption.AFTER:
            return PublicationInDoubt()
        return StoredFile(replaced=replaced, durable=False, location=upload.location, etag=etag)


def _own(upload: PendingUpload) -> MemoryPendingUpload:
    return cast(MemoryPendingUpload, upload)
