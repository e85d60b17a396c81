"""Protocols of the upload store: where bytes are kept while they arrive, and how files appear.

    create -> append ... -> seal -> [record with the token is committed] -> publish -> done

`create`, `reopen` and the methods of a pending upload are called on the event loop. `seal`,
`publish`, `discard`, `outcome`, `sweep` and `probe` block: they are called on the threads of
`uploads.batching`, several uploads at a time, or at the start of the process.

The token of a pending upload is known before its first byte. Whoever commits to its publication (an
event that will be delivered) keeps the token in a record before `publish`; after a crash, `outcome`
is the only question that has to be answered. The answer is reliable as long as the pending upload
is not aborted, so the record is removed before the pending upload is.
"""

from collections.abc import Callable, Sequence
from enum import Enum
from typing import NamedTuple, Protocol

from qmonus_lite.byte_source import ByteSource
from qmonus_lite.errors import PreconditionFailed
from qmonus_lite.uploads.digest import Digests
from qmonus_lite.values import Value

#: Parts of a stored path, validated by `uploads.names`.
StoredPath = tuple[str, ...]


def path_text(where: StoredPath) -> str:
    """A stored path as text, with a leading slash."""
    return "/" + "/".join(where)


class Condition(Value, frozen=True, kw_only=True):
    """A precondition of an upload on the file at its path (RFC 9110, section 13).

    `create` checks both members; `publish` checks `absent` again, atomically where the store can.
    """

    #: `If-None-Match: *`, or `if_exists` of a handler: no file may exist at the path.
    absent: bool = False
    #: The value of `If-Match`; empty if the request has none.
    match: str = ""

    def check(self, exists: bool) -> None:
        """Raise PreconditionFailed; `exists` is whether a file exists at the path now."""
        if exists and self.absent:
            raise PreconditionFailed("a file exists at this path, and must not be replaced")
        if self.match and not (exists and self.match == "*"):
            # Stored files have no entity tags, so no tag can match.
            raise PreconditionFailed("no file at this path is the one that If-Match names")


#: Without a precondition.
UNCONDITIONAL = Condition()
#: `If-None-Match: *`.
IF_ABSENT = Condition(absent=True)


def replaced_meanwhile() -> PreconditionFailed:
    """The refusal of `publish` if a file appeared at a path that has to be free."""
    return PreconditionFailed("a file was stored at this path in the meantime")


class StoredFile(NamedTuple):
    """A published file: it is visible at its path."""

    #: Whether it replaced a file.
    replaced: bool
    #: Whether it is on stable storage, name included.
    durable: bool
    #: Where it is, as `filepath` of events has it: an absolute path, or a URL such as s3://….
    location: str
    #: Entity tag and version, if the store gives files such.
    etag: str | None = None
    version: str | None = None
    #: Its path if that is not the one asked for (`uploads.renaming`); else empty.
    where: StoredPath = ()
    #: An error after it became visible, such as a failed fsync of its directory: its event is
    #: delivered, since the file can be seen, but the client gets this error.
    failure: BaseException | None = None


#: How publishing ended: visible, in doubt (PublicationInDoubt: `UploadStore.outcome` may answer it
#: later), or not visible (another Problem, or an unexpected error).
PublishResult = StoredFile | BaseException


class PublicationState(Enum):
    """Whether a pending upload was published."""

    PUBLISHED = "published"
    NOT_PUBLISHED = "not published"
    #: Cannot be decided now, for example while a mount is missing; ask again later.
    UNKNOWN = "unknown"


class Capabilities(Value, frozen=True, kw_only=True):
    """What a store can do beyond the protocol."""

    #: The received bytes can be read from a local file before they are published.
    staged_file: bool = False
    #: The path of a pending upload can be changed after its first byte.
    change_of_path: bool = False
    #: Bytes can be copied from a source to the store on a thread, past the event loop.
    source_copy: bool = False


class Handover(NamedTuple):
    """A pending upload on its way to another process; plain values."""

    token: str
    #: Whether its bytes are in the store and sealed; else `content` has all of them.
    sealed: bool
    content: bytes


class PendingUpload(Protocol):
    """An upload that is not published; only `abort` may be called while another method runs."""

    #: Set while a record with its token may exist: `abort` then leaves the bytes, which prove that
    #: it was not published.
    keep: bool

    @property
    def token(self) -> str:
        """Opaque name of the upload for `reopen` and `outcome`, in any process."""

    @property
    def where(self) -> StoredPath:
        """The path at which it will be published."""

    @property
    def location(self) -> str:
        """`StoredFile.location` of the file once it is published."""

    @property
    def received(self) -> int:
        """Number of bytes appended, including those that are only in memory."""

    @property
    def durable(self) -> int:
        """Number of bytes that survive what `--upload_durability` promises to survive."""

    @property
    def staged_file(self) -> str | None:
        """Path of the file with the sealed bytes; None without that capability."""

    async def append(self, data: bytes) -> None:
        """Add bytes at the end; waits for the store as backpressure. Raises Problem."""

    async def copy_from(self, source: ByteSource) -> int:
        """Append what a source has, for a time slice at most; returns how many bytes.

        0 if it has nothing, and always without the capability `source_copy`. Raises Problem. The
        source is not used any more when this has ended, also by a cancellation.
        """

    async def flush(self) -> None:
        """Make every received byte durable; raises Problem."""

    async def rollback(self, offset: int) -> None:
        """Forget the bytes from `offset` on; ValueError beyond `received`. Raises Problem."""

    async def hand_over(self) -> Handover:
        """Give the upload to another process, whose store continues it with `adopt`.

        `abort` does nothing from then on. Raises Problem, and then nothing was handed over.
        """

    async def abort(self) -> None:
        """Remove it, unless it was published, handed over or has to be kept. Idempotent."""

    def done(self) -> None:
        """Free what is held for an upload whose publishing has ended, such as reserved space."""


class Publication(Value, frozen=True, kw_only=True):
    """One of the uploads that `publish` makes visible together."""

    upload: PendingUpload
    condition: Condition = UNCONDITIONAL
    #: Called before publishing if the token had to change (a file copied to another mount), to
    #: update the record; a Problem raised here ends the publication.
    token_changed: Callable[[str], None] | None = None


class SealResult(NamedTuple):
    """The result of `seal`."""

    #: The error of each upload, or None.
    errors: list[BaseException | None]
    #: Duration of the shortest fsync or request of one upload, in seconds; by it `uploads.batching`
    #: decides how many uploads share a thread.
    seconds: float


class UploadStore(Protocol):
    """A store of uploads; its uploads are those that it made itself."""

    @property
    def capabilities(self) -> Capabilities:
        """What the store can do beyond this protocol."""

    @property
    def unhealthy_reason(self) -> str | None:
        """Why no upload can be stored now, or None."""

    def location(self, where: StoredPath) -> str:
        """`StoredFile.location` of a path."""

    async def create(
        self,
        where: StoredPath,
        *,
        upload_id: str,
        length: int | None,
        condition: Condition,
        digests: Digests,
    ) -> PendingUpload:
        """A new upload of `length` bytes (None: unknown), for which space is reserved.

        `digests` is updated with the bytes as they are written. Raises Problem: PreconditionFailed,
        Forbidden or Conflict if no file can be stored at this path, InsufficientStorage.
        """

    async def reopen(self, token: str, *, length: int | None, digests: Digests) -> PendingUpload:
        """Continue an upload from its `durable` bytes; raises NotFound if there is none."""

    def adopt(self, handover: Handover) -> PendingUpload:
        """Continue an upload that another process handed over; it can only be published."""

    async def change_path(
        self, upload: PendingUpload, where: StoredPath, condition: Condition
    ) -> None:
        """Change the path, and with it the token; only with that capability. Raises Problem."""

    def seal(self, uploads: Sequence[PendingUpload], *, recorded: bool) -> SealResult:
        """Write out what is in memory, check digests, and make the bytes durable; blocks.

        `recorded`: records with the tokens follow, so `outcome` has to be decidable after a crash.
        """

    def publish(self, publications: Sequence[Publication]) -> list[PublishResult]:
        """Make sealed uploads to different paths visible, each whole or not at all; blocks."""

    def discard(self, upload: PendingUpload) -> None:
        """What `PendingUpload.abort` does, for a thread; blocks."""

    def can_publish_now(self, upload: PendingUpload) -> bool:
        """Whether `publish_now` blocks so briefly that the event loop may call it."""

    def publish_now(self, upload: PendingUpload, condition: Condition) -> StoredFile:
        """Seal and publish one upload that has no record; raises Problem."""

    def outcome(self, token: str) -> PublicationState:
        """Whether the upload of a record was published; blocks."""

    def sweep(self, owner: str = "") -> int:
        """Remove what a former process left, except uploads to `keep`; returns their number.

        `owner`: prefix of the upload ids of that process; the default means every process.
        """

    def probe(self) -> None:
        """Check at the start whether the store can be used; raises BadResource."""
