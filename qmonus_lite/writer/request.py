"""Commit request: the values of an upload that the writer process needs to store it."""

from datetime import datetime
from typing import NamedTuple

from qmonus_lite.events.outbox import PendingEvent
from qmonus_lite.uploads.commit import UploadWithEvent
from qmonus_lite.uploads.store import IF_ABSENT, UNCONDITIONAL, Handover, UploadStore


class CommitRequest(NamedTuple):
    """Message from an APIGW to the writer process; plain values, which pickle fast."""

    #: The pending upload; its token is also that of the event.
    token: str
    sealed: bool
    content: bytes
    #: `Condition.absent`; the writer process checks no other condition.
    absent: bool
    #: Fields of the event.
    id: str
    type: str
    path: str
    time: str
    data: str
    final: str
    request_id: str

    @classmethod
    def of(cls, upload: UploadWithEvent, handover: Handover) -> "CommitRequest":
        """Build from an upload that was handed over."""
        event = upload.event
        return cls(
            token=handover.token,
            sealed=handover.sealed,
            content=handover.content,
            absent=upload.condition.absent,
            id=event.id,
            type=event.type,
            path=event.path,
            time=event.time.isoformat(),
            data=event.data,
            final=event.final,
            request_id=event.request_id,
        )

    def upload(self, store: UploadStore) -> UploadWithEvent:
        """The upload, for the committer of the writer process."""
        handover = Handover(token=self.token, sealed=self.sealed, content=self.content)
        return UploadWithEvent(
            pending=store.adopt(handover),
            condition=IF_ABSENT if self.absent else UNCONDITIONAL,
            event=PendingEvent(
                id=self.id,
                type=self.type,
                path=self.path,
                time=datetime.fromisoformat(self.time),
                data=self.data,
                token=self.token,
                final=self.final,
                request_id=self.request_id,
            ),
        )
