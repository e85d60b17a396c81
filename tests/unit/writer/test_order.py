"""The commit request: there and back between an APIGW and the writer process."""

import pickle
from pathlib import Path

from qmonus_lite.stores.file.filesystem import Filesystem
from qmonus_lite.uploads.commit import UploadWithEvent
from qmonus_lite.uploads.store import IF_ABSENT
from qmonus_lite.writer.request import CommitRequest
from tests.integration.disk.storage import storage


async def test_the_event_and_the_upload_arrive_as_they_were_made(tmp_path: Path) -> None:
    with storage(tmp_path, Filesystem(sync_files=False, sync_names=False)) as store:
        pending = store.pending("u1", b"body", "upload", "a")
        event = store.event("e1", pending)
        upload = UploadWithEvent(pending=pending, condition=IF_ABSENT, event=event)
        request = CommitRequest.of(upload, await pending.hand_over())
        arrived = pickle.loads(pickle.dumps(request)).upload(store.store)

        assert arrived.event == event
        assert arrived.condition == IF_ABSENT
        assert (arrived.pending.token, arrived.pending.where, arrived.pending.location) == (
            pending.token,
            ("upload", "a"),
            str(tmp_path / "upload" / "a"),
        )
        assert arrived.pending.buffered == 4
