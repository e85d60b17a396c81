"""Event envelope: CloudEvents 1.0 JSON messages (https://cloudevents.io)."""

import enum
from datetime import datetime
from typing import Any

from qmonus_lite import strictjson
from qmonus_lite.trace_context import child_of, log_fields
from qmonus_lite.values import Value

#: The synchronous query before the first byte is received, and the message after the file is
#: stored durably.
UPLOADING = "APIGW.OnFileUploading"
UPLOADED = "APIGW.OnFileUploaded"

#: Events whose handlers accept or refuse an upload: all have to accept, and an unclear result is a
#: refusal (fail closed). Rules of gates: docs/decisions/gates.md.
GATES = frozenset({UPLOADING, "APIGW.OnFileInspecting", "APIGW.OnFileReceived"})

CONTENT_TYPE = "application/cloudevents+json"

#: Extension attributes: lower-case letters and digits only, as CloudEvents requires.
#: `traceparent` is that of the extension "Distributed Tracing" of CloudEvents.
REQUEST_ID, UPLOAD_ID, ACCOUNT, TRACEPARENT = "requestid", "uploadid", "account", "traceparent"

_VERSION, _DATA = "1.0", "application/json"

#: Version of the protocol between APIGW and workers; 2: the purpose is part of the signed envelope.
PROTOCOL = 2
#: Version of a sender whose messages do not state it.
FIRST_PROTOCOL = 1


class BadEnvelope(Exception):
    """The bytes are not a valid envelope; the message has the reason."""


class OtherProtocol(BadEnvelope):
    """The sender speaks another version of the protocol."""

    def __init__(self, version: object) -> None:
        super().__init__(
            f"the APIGW speaks version {version!r:.20} of the protocol between APIGW and workers,"
            f" this worker version {PROTOCOL}: upgrade the older of them"
        )


class Purpose(enum.StrEnum):
    """What an event is sent for: its outcome is awaited by a request, or it is delivered."""

    QUESTION = "question"
    DELIVERY = "delivery"


class Ids(Value, frozen=True, kw_only=True):
    """Ids of an event in handlers and log records; empty if unknown."""

    event_id: str = ""
    #: 1 for a query, and for the first delivery.
    attempt: int = 1
    #: Id of the originating request, as sent to the client in `X-Request-Id`.
    request_id: str = ""
    upload_id: str = ""
    #: Name of the account of the originating request's credential.
    account: str = ""
    #: Span of W3C Trace Context (`trace_context`).
    traceparent: str = ""

    @property
    def known(self) -> dict[str, str]:
        """The ids that are not empty, for `log.bound`."""
        ids = {
            "event_id": self.event_id,
            "request_id": self.request_id,
            "upload_id": self.upload_id,
            "account": self.account,
        }
        known = {name: value for name, value in ids.items() if value}
        return {**known, **log_fields(self.traceparent)} if self.traceparent else known


class Attributes(Value, frozen=True, kw_only=True):
    """Attributes of an envelope, without its data."""

    purpose: Purpose
    #: The same in all attempts.
    id: str
    #: Name of the event.
    type: str
    #: `http(s)://host:port` of the sending APIGW.
    source: str
    #: Stored path of the file, or None.
    subject: str | None
    time: datetime
    #: 1 for the first delivery.
    attempt: int
    #: Sequence number among all commits of that APIGW; None for a query.
    seq: int | None = None
    #: Ids of the related request and upload; empty if there is none.
    request_id: str = ""
    upload_id: str = ""
    #: As in Ids; `traceparent` is the span of the sender.
    account: str = ""
    traceparent: str = ""

    @property
    def ids(self) -> Ids:
        """The ids for handlers and log records."""
        return Ids(
            event_id=self.id,
            attempt=self.attempt,
            request_id=self.request_id,
            upload_id=self.upload_id,
            account=self.account,
            traceparent=self.traceparent,
        )

    def around(self, data: str) -> bytes:
        """Serialize to JSON, with `data` that is JSON already."""
        attributes: dict[str, Any] = {
            "specversion": _VERSION,
            "id": self.id,
            "source": self.source,
            "type": self.type,
            "time": self.time.isoformat(),
            "datacontenttype": _DATA,
            "attempt": self.attempt,
            "purpose": self.purpose,
        }
        if self.subject:
            attributes["subject"] = self.subject
        if self.seq is not None:
            attributes["seq"] = self.seq
        if self.request_id:
            attributes[REQUEST_ID] = self.request_id
        if self.upload_id:
            attributes[UPLOAD_ID] = self.upload_id
        if self.account:
            attributes[ACCOUNT] = self.account
        if self.traceparent:
            attributes[TRACEPARENT] = self.traceparent
        return b'%b,"data":%b}' % (strictjson.write_plain(attributes)[:-1], data.encode())


class OutgoingEvent(Attributes, frozen=True, kw_only=True):
    """An event to send."""

    #: JSON text of the value that handlers get as `event`.
    data: str

    def to_bytes(self) -> bytes:
        """Serialize to JSON."""
        return self.around(self.data)


class Envelope(Attributes, frozen=True, kw_only=True):
    """An event as a worker receives it."""

    #: The value that handlers get as `event`.
    data: dict[str, Any]

    def to_bytes(self) -> bytes:
        """Serialize to JSON; raises TypeError or ValueError for data that is not serializable."""
        return self.around(strictjson.write(self.data))

    @classmethod
    def from_bytes(cls, raw: bytes) -> "Envelope":
        """Parse from JSON; raises BadEnvelope."""
        try:
            given = strictjson.read(raw)
        except (ValueError, RecursionError) as error:
            raise BadEnvelope(f"not JSON: {error}") from None
        if not isinstance(given, dict) or given.get("specversion") != _VERSION:
            raise BadEnvelope("not a CloudEvents 1.0 message")
        if given.get("datacontenttype", _DATA) != _DATA:
            raise BadEnvelope(f"expected {_DATA} as datacontenttype")
        return cls(
            purpose=_purpose(given),
            id=_text(given, "id"),
            type=_text(given, "type"),
            source=_text(given, "source"),
            subject=_text(given, "subject") if given.get("subject") is not None else None,
            time=_time(given),
            attempt=_number(given, "attempt"),
            seq=_number(given, "seq") if given.get("seq") is not None else None,
            request_id=_optional(given, REQUEST_ID),
            upload_id=_optional(given, UPLOAD_ID),
            account=_optional(given, ACCOUNT),
            # A span of this process; what is no valid `traceparent` belongs to no trace.
            traceparent=child_of(_optional(given, TRACEPARENT)),
            data=_data(given),
        )


def _purpose(given: dict[str, Any]) -> Purpose:
    if given.get("purpose") is None:
        raise OtherProtocol(FIRST_PROTOCOL)
    try:
        return Purpose(given["purpose"])
    except ValueError:
        raise BadEnvelope(f"expected one of {', '.join(Purpose)} as purpose") from None


def _text(given: dict[str, Any], name: str) -> str:
    value = given.get(name)
    if not isinstance(value, str) or not value:
        raise BadEnvelope(f"expected a text as {name}")
    return value


def _optional(given: dict[str, Any], name: str) -> str:
    return _text(given, name) if given.get(name) is not None else ""


def _number(given: dict[str, Any], name: str) -> int:
    value = given.get(name)
    # type() rather than isinstance(): bool is a subclass of int.
    if type(value) is not int or value < 1:
        raise BadEnvelope(f"expected a whole number from 1 as {name}")
    return value


def _time(given: dict[str, Any]) -> datetime:
    try:
        moment = datetime.fromisoformat(_text(given, "time"))
    except ValueError:
        raise BadEnvelope("time is no moment as RFC 3339 writes one") from None
    if moment.tzinfo is None:
        raise BadEnvelope("time lacks its offset from UTC")
    return moment


def _data(given: dict[str, Any]) -> dict[str, Any]:
    data = given.get("data")
    if not isinstance(data, dict):
        raise BadEnvelope("expected an object as data")
    return data
