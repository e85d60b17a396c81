"""One upload: who stores it, as workers stand when its turn comes."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from qmonus_lite.auth.own import OwnCredentials
from qmonus_lite.clock import Clock
from qmonus_lite.headers import Headers
from qmonus_lite.uploads.accepted import AcceptedUpload, Destination
from qmonus_lite.uploads.commit import UploadWithEvent
from qmonus_lite.uploads.filesystem import Filesystem
from qmonus_lite.uploads.publish import DirectPublisher, KeyedLock
from qmonus_lite.uploads.quota import Quota
from qmonus_lite.uploads.request import UploadRequest
from qmonus_lite.uploads.root_dir import RootDir
from qmonus_lite.uploads.service import ActiveUpload, UploadService
from qmonus_lite.uploads.staging import StagedFile
from qmonus_lite.uploads.staging_dirs import StagingDirs

PARTS = ("upload", "f")


class Stage:
    """What a session needs of its APIGW, and what it made of it."""

    def __init__(self, root: Path, disk: Filesystem) -> None:
        self.root, self.disk = root, disk
        (root / "staging").mkdir()
        self.deaf = True
        self.announced: list[UploadWithEvent] = []
        self.path_lock = KeyedLock()
        registry = SimpleNamespace(has_no_handler_for=lambda _event: self.deaf)
        self.threads = ThreadPoolExecutor(1)
        root_dir = RootDir(root=root, protected=(), disk=disk)
        self.uploads = cast(
            UploadService,
            SimpleNamespace(
                query=SimpleNamespace(registry=registry),
                gatekeeper=SimpleNamespace(own=OwnCredentials(minters=())),
                kept_headers=frozenset,
                publisher=DirectPublisher(
                    root_dir, StagingDirs(disk, root, root), threads=self.threads
                ),
                committer=self,
                path_lock=self.path_lock,
                under_way=set(),
                clock=Clock("UTC"),
                gateway="g1",
                store="file",
                staging=StagingDirs(disk, root, root),
                disk=disk,
            ),
        )

    async def commit(self, upload: UploadWithEvent) -> bool:
        self.announced.append(upload)
        return False

    def session(self, name: str, **headers: str) -> ActiveUpload:
        head = UploadRequest(
            raw_path="/upload/f", values={}, params={}, headers=Headers(headers), length=None
        )
        place = Destination(PARTS, str(self.root.joinpath(*PARTS)), self.root / "staging", 0)
        staged = StagedFile(path=self.root / "staging" / name, disk=self.disk)
        admission = Quota(self.disk, most=0, keep_free=0)
        reservation = admission.reserve(self.root, 0, None)
        event: dict[str, Any] = {"path": "/upload/f"}
        return ActiveUpload(
            self.uploads, head, AcceptedUpload(name, event, place), staged, reservation
        )


@pytest.fixture(params=["full", "none"])
def stage(tmp_path: Path, request: pytest.FixtureRequest) -> Stage:
    full = request.param == "full"
    return Stage(tmp_path, Filesystem(sync_files=full, sync_names=full))


async def test_an_upload_that_nobody_hears_of_is_stored_here(stage: Stage) -> None:
    receipts = [await stage.session("u1").commit(), await stage.session("u2").commit()]

    assert [receipt.status for receipt in receipts] == [201, 200]
    assert stage.root.joinpath(*PARTS).exists()
    assert stage.announced == []


async def test_an_upload_that_somebody_hears_of_is_announced(stage: Stage) -> None:
    stage.deaf = False
    await stage.session("u1").commit()

    (upload,) = stage.announced
    assert (upload.event.id, upload.event.path) == ("u1", "/upload/f")


async def test_who_hears_of_it_is_asked_when_its_turn_has_come(stage: Stage) -> None:
    async with stage.path_lock.at(PARTS):
        waiting = asyncio.create_task(stage.session("u1").commit())
        await asyncio.sleep(0.01)
        assert not waiting.done()
        # A plugin was dropped in.
        stage.deaf = False
    await waiting

    assert [upload.event.id for upload in stage.announced] == ["u1"]


async def test_a_name_that_must_be_free_is_free_or_refused(stage: Stage) -> None:
    sessions = [stage.session(f"u{n}", **{"If-None-Match": "*"}) for n in range(5)]
    ended = await asyncio.gather(*(one.commit() for one in sessions), return_exceptions=True)

    assert sum(not isinstance(one, BaseException) for one in ended) == 1
