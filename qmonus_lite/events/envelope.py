"""The envelope: an event as a CloudEvents 1.0 JSON message (https://cloudevents.io)."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from qmonus_lite import strictjson

#: The synchronous question before the first byte, and the message after the file is safe.
UPLOADING = "APIGW.OnFileUploading"
UPLOADED = "APIGW.OnFileUploaded"

#: Events whose handlers decide over an upload: all have to agree, and what is unclear is a no. The
#: rules of gates are those of docs/decisions/gates.md.
GATES = frozenset({UPLOADING, "APIGW.OnFileInspecting", "APIGW.OnFileReceived"})

CONTENT_TYPE = "application/cloudevents+json"

#: Extension attributes: lower-case letters and digits only, as CloudEvents wants it.
REQUEST_ID, UPLOAD_ID = "requestid", "uploadid"

_VERSION, _DATA = "1.0", "application/json"


class BadEnvelope(Exception):
    """Bytes that are no envelope of ours; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Ids:
    """What a handler and a log record call an event by; empty for what is not known."""

    event_id: str = ""
    #: 1 for a question, and for the first delivery.
    attempt: int = 1
    #: Of the request that it came from, as its client was told in `X-Request-Id`.
    request_id: str = ""
    upload_id: str = ""

    @property
    def known(self) -> dict[str, str]:
        """Those that are known, for `log.bound`."""
        ids = {
            "event_id": self.event_id,
            "request_id": self.request_id,
            "upload_id": self.upload_id,
        }
        return {name: value for name, value in ids.items() if value}


@dataclass(frozen=True, kw_only=True)
class Attributes:
    """What stands on an envelope, beside the data inside."""

    #: Stays the same over all attempts.
    id: str
    #: Name of the event.
    type: str
    #: `http(s)://host:port` of the APIGW that sends it.
    source: str
    #: Stored path that it is about, or None.
    subject: str | None
    time: datetime
    #: 1 for the first delivery.
    attempt: int
    #: Place in the order of all commits of that APIGW; None for a question.
    seq: int | None = None
    #: Of the request and of the upload that it is about; empty where there is none.
    request_id: str = ""
    upload_id: str = ""

    @property
    def ids(self) -> Ids:
        """What handlers and log records call it by."""
        return Ids(
            event_id=self.id,
            attempt=self.attempt,
            request_id=self.request_id,
            upload_id=self.upload_id,
        )

    def around(self, data: str) -> bytes:
        """The JSON form, around data that is JSON already."""
        attributes: dict[str, Any] = {
            "specversion": _VERSION,
            "id": self.id,
            "source": self.source,
            "type": self.type,
            "time": self.time.isoformat(),
            "datacontenttype": _DATA,
            "attempt": self.attempt,
        }
        if self.subject:
            attributes["subject"] = self.subject
        if self.seq is not None:
            attributes["seq"] = self.seq
        if self.request_id:
            attributes[REQUEST_ID] = self.request_id
        if self.upload_id:
            attributes[UPLOAD_ID] = self.upload_id
        return f'{strictjson.write(attributes)[:-1]},"data":{data}}}'.encode()


@dataclass(frozen=True, kw_only=True)
class Envelope(Attributes):
    """One event on the wire."""

    #: What handlers see as `event`.
    data: dict[str, Any]

    def to_bytes(self) -> bytes:
        """The JSON form; raises TypeError or ValueError for data that JSON cannot hold."""
        return self.around(strictjson.write(self.data))

    @classmethod
    def from_bytes(cls, raw: bytes) -> "Envelope":
        """Read the JSON form; raises BadEnvelope."""
        try:
            given = strictjson.read(raw)
        except (ValueError, RecursionError) as error:
            raise BadEnvelope(f"not JSON: {error}") from None
        if not isinstance(given, dict) or given.get("specversion") != _VERSION:
            raise BadEnvelope("not a CloudEvents 1.0 message")
        if given.get("datacontenttype", _DATA) != _DATA:
            raise BadEnvelope(f"expected {_DATA} as datacontenttype")
        return cls(
            id=_text(given, "id"),
            type=_text(given, "type"),
            source=_text(given, "source"),
            subject=_text(given, "subject") if given.get("subject") is not None else None,
            time=_time(given),
            attempt=_number(given, "attempt"),
            seq=_number(given, "seq") if given.get("seq") is not None else None,
            request_id=_optional(given, REQUEST_ID),
            upload_id=_optional(given, UPLOAD_ID),
            data=_data(given),
        )


def _text(given: dict[str, Any], name: str) -> str:
    value = given.get(name)
    if not isinstance(value, str) or not value:
        raise BadEnvelope(f"expected a text as {name}")
    return value


def _optional(given: dict[str, Any], name: str) -> str:
    return _text(given, name) if given.get(name) is not None else ""


def _number(given: dict[str, Any], name: str) -> int:
    value = given.get(name)
    # type() rather than isinstance(): True is an int to Python, and no number of anything.
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
