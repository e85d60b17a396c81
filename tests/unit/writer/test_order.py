"""The order: there and back between an APIGW and the keeper."""

import pickle
from datetime import UTC, datetime
from pathlib import Path

from qmonus_lite.events.stored_event import PendingEvent
from qmonus_lite.uploads.commit import UploadWithEvent
from qmonus_lite.uploads.filesystem import Filesystem
from qmonus_lite.uploads.staging import StagedFile
from qmonus_lite.writer.request import CommitRequest


def test_the_promise_arrives_as_it_was_made(tmp_path: Path) -> None:
    disk = Filesystem(sync_files=False, sync_names=False)
    event = PendingEvent(
        id="e1",
        type="E",
        path="/upload/a",
        time=datetime(2026, 11, 22, 10, tzinfo=UTC),
        data='{"a":1}',
        store="file",
        store_path="upload/a",
        gateway="g1",
        token="data:staged",
        request_id="r1",
    )
    upload = UploadWithEvent(
        staged=StagedFile(path=tmp_path / "staged", disk=disk),
        unwritten=b"body",
        parts=("upload", "a"),
        create_only=True,
        event=event,
    )
    arrived = pickle.loads(pickle.dumps(CommitRequest.of(upload))).upload(disk)

    assert arrived.event == event
    assert (arrived.parts, arrived.unwritten, arrived.create_only) == (
        ("upload", "a"),
        b"body",
        True,
    )
