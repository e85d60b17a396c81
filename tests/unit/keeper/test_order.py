"""The order: there and back between an APIGW and the keeper."""

import pickle
from datetime import UTC, datetime
from pathlib import Path

from qmonus_lite.events.outbox import Promise
from qmonus_lite.keeper.order import Order
from qmonus_lite.upload.commit import Announced
from qmonus_lite.upload.disk import Disk
from qmonus_lite.upload.staging import StagedFile


def test_the_promise_arrives_as_it_was_made(tmp_path: Path) -> None:
    disk = Disk(sync_files=False, sync_names=False)
    promise = Promise(
        id="e1",
        type="E",
        path="/upload/a",
        time=datetime(2026, 11, 22, 10, tzinfo=UTC),
        data='{"a":1}',
        staged=str(tmp_path / "staged"),
        final="/srv/upload/a",
        request_id="r1",
    )
    upload = Announced(
        staged=StagedFile(path=tmp_path / "staged", disk=disk),
        rest=b"body",
        parts=("upload", "a"),
        create_only=True,
        promise=promise,
    )
    arrived = pickle.loads(pickle.dumps(Order.of(upload))).upload(disk)

    assert arrived.promise == promise
    assert (arrived.parts, arrived.rest, arrived.create_only) == (("upload", "a"), b"body", True)
