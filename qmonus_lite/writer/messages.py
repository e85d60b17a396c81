"""Messages between an APIGW and the writer process, and their encoding as MessagePack.

Types are tagged with their class name, and decoding validates every field. Values of other
packages (`PendingEvent`) are encoded by the fields of their dataclass (docs/decisions/writer.md).
"""

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from qmonus_lite import errors
from qmonus_lite.errors import DiskError, InternalFault, Problem, Refusal
from qmonus_lite.events.stored_event import PendingEvent
from qmonus_lite.uploads.commit import UploadWithEvent
from qmonus_lite.uploads.store import (
    IF_ABSENT,
    UNCONDITIONAL,
    Handover,
    StoredFile,
    UploadStore,
)

#: Largest message: a body of 256 KiB with its event has some 300 KiB, a full listing some MiB.
MAX_MESSAGE_BYTES = 16 << 20
#: Problem classes that a message may name.
PROBLEMS = {
    name: found
    for name, found in vars(errors).items()
    if isinstance(found, type) and issubclass(found, Problem)
}

T = TypeVar("T")


class BadMessage(Exception):
    """A message that cannot be encoded or decoded; the text names the cause."""


class Message(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    tag=True,
    array_like=True,
    forbid_unknown_fields=True,
):
    """Base of all messages."""


class Hello(Message, frozen=True, kw_only=True):
    """First call of an APIGW. Result: None."""

    #: Name prefix of its staging files.
    owner_prefix: str


class Commit(Message, frozen=True, kw_only=True):
    """Call of `CommitService.commit`. Result: Published."""

    #: `Handover`, except the token, which is that of the event.
    sealed: bool
    content: bytes
    #: `Condition.absent`; the writer process checks no other condition.
    absent: bool
    #: `ReceivedUpload.renames`.
    renames: bool
    event: PendingEvent

    @classmethod
    def of(cls, upload: UploadWithEvent, handover: Handover) -> "Commit":
        """Build from an upload that was handed over."""
        return cls(
            sealed=handover.sealed,
            content=handover.content,
            absent=upload.condition.absent,
            renames=upload.renames,
            event=upload.event,
        )

    def upload(self, store: UploadStore) -> UploadWithEvent:
        """The upload, for the committer of the writer process."""
        handover = Handover(token=self.event.token, sealed=self.sealed, content=self.content)
        return UploadWithEvent(
            pending=store.adopt(handover),
            condition=IF_ABSENT if self.absent else UNCONDITIONAL,
            renames=self.renames,
            event=self.event,
        )


class Published(Message, frozen=True, kw_only=True):
    """Result of Commit: the fields of `StoredFile`, except `failure`."""

    replaced: bool
    durable: bool
    location: str
    etag: str | None
    version: str | None
    where: tuple[str, ...]

    @classmethod
    def of(cls, stored: StoredFile) -> "Published":
        """Build from a file that was published without a failure."""
        return cls(
            replaced=stored.replaced,
            durable=stored.durable,
            location=stored.location,
            etag=stored.etag,
            version=stored.version,
            where=stored.where,
        )

    def stored(self) -> StoredFile:
        """The published file."""
        return StoredFile(
            replaced=self.replaced,
            durable=self.durable,
            location=self.location,
            etag=self.etag,
            version=self.version,
            where=self.where,
        )


class ListEvents(Message, frozen=True, kw_only=True):
    """Call of `CommitService.listing`. Result: Rows."""

    state: str
    limit: int


class ShowEvent(Message, frozen=True, kw_only=True):
    """Call of `CommitService.one`. Result: Rows."""

    event_id: str


class CountEvents(Message, frozen=True, kw_only=True):
    """Call of `CommitService.counts`. Result: Rows."""


class OldestEvent(Message, frozen=True, kw_only=True):
    """Call of `CommitService.oldest`. Result: list of no or one float."""


class ReplayEvent(Message, frozen=True, kw_only=True):
    """Call of `CommitService.replay`. Result: str."""

    event_id: str


class RetryEvent(Message, frozen=True, kw_only=True):
    """Call of `CommitService.retry_now`. Result: int."""

    event_id: str


class DropEvent(Message, frozen=True, kw_only=True):
    """Call of `CommitService.drop`. Result: int."""

    event_id: str


class PublishEvents(Message, frozen=True, kw_only=True):
    """Call of `CommitService.publish`. Result: int."""

    events: list[PendingEvent]


Call = (
    Hello
    | Commit
    | ListEvents
    | ShowEvent
    | CountEvents
    | OldestEvent
    | ReplayEvent
    | RetryEvent
    | DropEvent
    | PublishEvents
)


class CallRequest(Message, frozen=True, kw_only=True):
    """A call of an APIGW."""

    #: Identifies the call in its reply; unique in the connection.
    number: int
    call: Call


class Result(Message, frozen=True, kw_only=True):
    """The reply to a call that succeeded."""

    number: int
    #: The result, still encoded: its type depends on the call.
    value: msgspec.Raw

    @classmethod
    def of(cls, number: int, value: object) -> "Result":
        """Build from the result of a call; raises BadMessage."""
        return cls(number=number, value=msgspec.Raw(encode(value)))

    def read(self, type_: type[T]) -> T:
        """The result; raises BadMessage if it has another type."""
        return _decoded(lambda raw: msgspec.msgpack.decode(raw, type=type_), self.value)


class Failure(Message, frozen=True, kw_only=True):
    """The reply to a call that raised a Problem: class name and fields."""

    number: int
    name: str
    status: int
    detail: str
    headers: dict[str, str]
    disk: DiskError | None
    refusal: Refusal | None

    @classmethod
    def of(cls, number: int, problem: Problem) -> "Failure":
        """Build from the Problem of a call."""
        return cls(
            number=number,
            name=type(problem).__name__,
            status=problem.status,
            detail=problem.detail,
            headers=problem.headers,
            disk=problem.disk,
            refusal=problem.refusal,
        )

    def problem(self) -> Problem:
        """The Problem; InternalFault if its class is not one of `PROBLEMS`."""
        found = PROBLEMS.get(self.name)
        if found is None:
            return InternalFault(f"the writer process failed with an unknown {self.name!r}")
        problem = found.__new__(found)
        # Constructors of subclasses take other arguments, which these fields result from.
        Problem.__init__(problem, self.detail, headers=self.headers)
        problem.disk, problem.refusal = self.disk, self.refusal
        if self.status != found.status:
            problem.status = self.status
        return problem


class Health(Message, frozen=True, kw_only=True):
    """Health state of the writer process, sent periodically."""

    unhealthy_reason: str | None


Reply = Result | Failure | Health

_encoder = msgspec.msgpack.Encoder()
_requests = msgspec.msgpack.Decoder(CallRequest)
_replies: msgspec.msgpack.Decoder[Reply] = msgspec.msgpack.Decoder(Reply)


def encode(value: object) -> bytes:
    """Encode a message or a result; raises BadMessage, also above MAX_MESSAGE_BYTES."""
    try:
        data = _encoder.encode(value)
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise BadMessage(f"cannot be encoded: {error}") from error
    if len(data) > MAX_MESSAGE_BYTES:
        raise BadMessage(f"{len(data)} bytes; at most {MAX_MESSAGE_BYTES} are allowed")
    return data


def decode_request(data: memoryview) -> CallRequest:
    """Decode a message to the writer process; raises BadMessage."""
    return _decoded(_requests.decode, data)


def decode_reply(data: memoryview) -> Reply:
    """Decode a message of the writer process; raises BadMessage."""
    return _decoded(_replies.decode, data)


def _decoded(decode: Callable[[Any], T], data: memoryview | msgspec.Raw) -> T:
    try:
        return decode(data)
    except (ValueError, RecursionError) as error:
        raise BadMessage(f"{len(data)} bytes that are not a valid message: {error}") from error
