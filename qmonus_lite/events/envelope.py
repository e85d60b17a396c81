"""The envelope: an event as a CloudEvents 1.0 JSON message (https://cloudevents.io)."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cloudevents.core.base import BaseCloudEvent
from cloudevents.core.exceptions import CloudEventValidationError
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

#: The synchronous question before the first byte, and the message after the file is safe.
UPLOADING = "APIGW.OnFileUploading"
UPLOADED = "APIGW.OnFileUploaded"

CONTENT_TYPE = JSONFormat.CONTENT_TYPE

_FORMAT = JSONFormat()


class BadEnvelope(Exception):
    """Bytes that are no envelope of ours; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Envelope:
    """One event on the wire."""

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
    #: What handlers see as `event`.
    data: dict[str, Any]
    #: Place in the order of all commits of that APIGW; None for a question.
    seq: int | None = None

    def to_bytes(self) -> bytes:
        """The JSON form; raises TypeError for data that JSON cannot hold."""
        attributes: dict[str, Any] = {
            "id": self.id,
            "source": self.source,
            "type": self.type,
            "specversion": "1.0",
            "time": self.time,
            "datacontenttype": "application/json",
            "attempt": self.attempt,
        }
        if self.subject:
            attributes["subject"] = self.subject
        if self.seq is not None:
            attributes["seq"] = self.seq
        return _FORMAT.write(CloudEvent(attributes, self.data))

    @classmethod
    def from_bytes(cls, raw: bytes) -> "Envelope":
        """Read the JSON form; raises BadEnvelope."""
        try:
            event = _FORMAT.read(CloudEvent, raw)
        except (
            CloudEventValidationError,
            ValueError,
            TypeError,
            AttributeError,
            RecursionError,
        ) as error:
            raise BadEnvelope(f"not a CloudEvents 1.0 message: {error}") from None
        data, attempt, seq = event.get_data(), *map(event.get_extension, ("attempt", "seq"))
        # type() rather than isinstance(): True is an int to Python, and no number of anything.
        if not isinstance(data, dict) or type(attempt) is not int or attempt < 1:
            raise BadEnvelope("expected an object as data and a whole number from 1 as attempt")
        if seq is not None and type(seq) is not int:
            raise BadEnvelope("expected a whole number as seq")
        return cls(
            id=event.get_id(),
            type=event.get_type(),
            source=event.get_source(),
            subject=event.get_subject(),
            time=_time(event),
            attempt=attempt,
            data=data,
            seq=seq,
        )


def _time(event: BaseCloudEvent) -> datetime:
    moment = event.get_time()
    if moment is None:
        raise BadEnvelope("the time is missing")
    return moment
