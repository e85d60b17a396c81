"""An order: what the keeper has to know of an upload to store it."""

from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from qmonus_lite.events.outbox import Promise
from qmonus_lite.upload.commit import Announced
from qmonus_lite.upload.disk import Disk
from qmonus_lite.upload.staging import StagedFile


class Order(NamedTuple):
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
    def of(cls, upload: Announced) -> "Order":
        """From an upload whose staged file was finished, if it was begun."""
        promise, finished = upload.promise, upload.staged.finished
        return cls(
            staged=promise.staged,
            finished=finished,
            content=b"" if finished else bytes(upload.rest),
            parts=upload.parts,
            create_only=upload.create_only,
            id=promise.id,
            type=promise.type,
            path=promise.path,
            time=promise.time.isoformat(),
            data=promise.data,
            final=promise.final,
            request_id=promise.request_id,
        )

    def upload(self, disk: Disk) -> Announced:
        """The upload, for the committer of the keeper."""
        return Announced(
            staged=StagedFile(path=Path(self.staged), disk=disk, finished=self.finished),
            rest=self.content,
            parts=self.parts,
            promise=Promise(
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
