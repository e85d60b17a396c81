"""Commit request: the values of an upload that the writer process needs to store it."""

from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from qmonus_lite.events.stored_event import PendingEvent
from qmonus_lite.uploads.commit import UploadWithEvent
from qmonus_lite.uploads.filesystem import Filesystem
from qmonus_lite.uploads.staging import StagedFile


class CommitRequest(NamedTuple):
    """Message from an APIGW to the writer process; plain values, which pickle fast."""

    #: Path of the staging file, and whether the APIGW has finished it; else it is not begun.
    staged: str
    finished: bool
    #: The whole content of a file that was not begun.
    content: bytes
    parts: tuple[str, ...]
    create_only: bool
    #: Fields of the event.
    id: str
    type: str
    path: str
    time: str
    data: str
    store: str
    store_path: str
    gateway: str
    token: str
    request_id: str

    @classmethod
    def of(cls, upload: UploadWithEvent) -> "CommitRequest":
        """Build from an upload whose staging file is finished or was not begun."""
        event, finished = upload.event, upload.staged.finished
        return cls(
            staged=str(upload.staged.path),
            finished=finished,
            content=b"" if finished else bytes(upload.unwritten),
            parts=upload.parts,
            create_only=upload.create_only,
            id=event.id,
            type=event.type,
            path=event.path,
            time=event.time.isoformat(),
            data=event.data,
            store=event.store,
            store_path=event.store_path,
            gateway=event.gateway,
            token=event.token,
            request_id=event.request_id,
        )

    def upload(self, disk: Filesystem) -> UploadWithEvent:
        """The upload, for the committer of the writer process."""
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
                store=self.store,
                store_path=self.store_path,
                gateway=self.gateway,
                token=self.token,
                request_id=self.request_id,
            ),
            create_only=self.create_only,
        )
