"""Values of records as they are shown; those of the endpoint `/-/uploads`, with their schemas."""

from typing import Annotated, Literal, TypeVar

from qmonus_lite.observations import RanHandler
from qmonus_lite.values import Value, changed

#: What can have become of a request; `delivered`, `retrying` and `dead` are of its event.
STATES = ("answered", "refused", "cut", "stored", "delivered", "retrying", "dead")

State = Literal["answered", "refused", "cut", "stored", "delivered", "retrying", "dead"]
Time = Annotated[str, ("format", "date-time")]


class Cause(Value, frozen=True, kw_only=True):
    """Why a request was refused, or an attempt failed."""

    #: `code` of the problem; if a plugin refused: how (`terminate`), or the class of its exception.
    code: str
    reason: str
    #: Plugin with file and line, and the first 16 hexadecimal digits of the SHA-256 of the file.
    plugin: str | None = None
    file: str | None = None
    line: int | None = None
    content_hash: str | None = None


class Durations(Value, frozen=True, kw_only=True):
    """Seconds that a request took."""

    total: float
    #: Until it was allowed: its head, the question to the handlers, the opening of the file.
    decision: float | None = None
    #: From there to its last byte, and from that byte to the answer.
    body: float | None = None
    publication: float | None = None


class AttemptRecord(Value, frozen=True, kw_only=True):
    """One attempt to deliver an event of a request."""

    #: When it ended.
    time: Time
    event: str
    event_id: str
    number: int
    outcome: Literal["delivered", "retry", "dead"]
    #: Status code of the handlers; 599 if there is none.
    status: int
    seconds: float
    #: Seconds until the next attempt.
    next_after: float | None = None
    worker: str | None = None
    handlers: tuple[RanHandler, ...] | None = None
    cause: Cause | None = None


class Record(Value, frozen=True, kw_only=True):
    """One upload, or another request that was refused."""

    #: When its head was read.
    time: Time
    state: State
    #: Left out if the client left before it was answered.
    status: int | None = None
    method: str
    #: Path of the request, decoded.
    asked: str
    #: Path of the stored file; as `asked` if none was stored.
    path: str
    #: Of its credential; left out if it had none that is valid.
    account: str | None = None
    #: Address of the client.
    peer: str
    request_id: str
    trace_id: str | None = None
    upload_id: str | None = None
    #: Id of the `APIGW.OnFileUploaded` event; left out if it has no handler.
    event_id: str | None = None
    cause: Cause | None = None
    #: Handlers of `APIGW.OnFileUploading` that ran.
    handlers: tuple[RanHandler, ...] | None = None
    #: Bytes of the body that arrived.
    bytes: int
    #: Digests that the client gave or wanted, computed: `sha-256=<hexadecimal>`.
    digest: str | None = None
    seconds: Durations


class RecordDetail(Record, frozen=True, kw_only=True):
    """One record, with the attempts to deliver its events."""

    attempts: tuple[AttemptRecord, ...]


class RecordPage(Value, frozen=True, kw_only=True):
    """Records, newest first."""

    uploads: tuple[Record, ...]
    #: `cursor` of the next page; left out on the last one.
    next: str | None = None


R = TypeVar("R", bound=Record)


def for_account(record: R) -> R:
    """The record as its account may see it: without plugins, files, workers and their reasons."""
    cause = record.cause
    if cause is not None and cause.plugin is not None:
        # The client got what the plugin meant it to get; the rest is for operators.
        cause = Cause(code="refused-by-plugin", reason="")
    elif cause is not None:
        cause = Cause(code=cause.code, reason=cause.reason)
    seen = changed(record, handlers=None, cause=cause)
    if not isinstance(seen, RecordDetail):
        return seen
    attempts = (
        changed(attempt, worker=None, handlers=None, cause=None) for attempt in seen.attempts
    )
    return changed(seen, attempts=tuple(attempts))
