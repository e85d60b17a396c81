"""An order: what the keeper has to know of an upload to store it."""

from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from qmonus_lite.events.outbox import PendingEvent
from qmonus_lite.uploads.commit import UploadWithEvent
from qmonus_lite.uploads.filesystem import Filesystem
from qmonus_lite.uploads.staging import StagedFile


class CommitRequest(NamedTuple):
    """Travels from an APIGW to the keeper; plain values, which are quick to pack and unpack."""

    #: Of the staged file, which the APIGW has finished, or has not begun.
    staged: str
    finished: bool
    #: All bytes of a file that was not begun.
    content: bytes
    parts: tuple[str, ...]
    create_only: bool
    #: Of the event.
    id: str
    type: str
    path: str
    time: str
    data: str
    final: str
    request_id: str

    @classmethod
    def of(cls, upload: UploadWithEvent) -> "CommitRequest":
        """From an upload whose staged file was finished, if it was begun."""
        event, finished = upload.event, upload.staged.finished
        return cls(
            staged=event.staged,
            finished=finished,
            content=b"" if finished else bytes(upload.unwritten),
            parts=upload.parts,
            create_only=upload.create_only,
            id=event.id,
            type=event.type,
            path=event.path,
            time=event.time.isoformat(),
            data=event.data,
            final=event.final,
            request_id=event.request_id,
        )

    def upload(self, disk: Filesystem) -> UploadWithEvent:
        """The upload, for the committer of the keeper."""
        return UploadWithEvent(
            staged=StagedFile(path=Path(self.staged), disk=disk, finished=self.finished),
            unwritten=self.content,
            parts=self.parts,
            event=PendingEvent(
                id=self.id,
                type=self.type,
                path=self.path,
                time=datetime.fromisoformat(self.time),
                data=self.data,
                staged=self.staged,
                final=self.final,
                request_id=self.request_id,
            ),
            create_only=self.create_only,
        )
