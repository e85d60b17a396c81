"""One upload: its states, who stores it as workers stand at that moment, and who hears of it."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from qmonus_lite.auth.own import OwnCredentials
from qmonus_lite.clock import Clock
from qmonus_lite.errors import PublicationInDoubt, TooLarge, Unavailable, Unprocessable
from qmonus_lite.events.workers import WorkerRegistry
from qmonus_lite.headers import Headers
from qmonus_lite.observations import Observation, Observers, UploadStored
from qmonus_lite.stores.file.filesystem import Filesystem
from qmonus_lite.stores.file.root_dir import RootDir
from qmonus_lite.stores.file.staging_dirs import StagingDirs
from qmonus_lite.stores.memory import Interruption, MemoryStore
from qmonus_lite.uploads.accepted import AcceptedUpload
from qmonus_lite.uploads.active import ActiveUpload, ActiveUploads
from qmonus_lite.uploads.commit import UploadWithEvent
from qmonus_lite.uploads.completion import Completion
from qmonus_lite.uploads.digest import Digests
from qmonus_lite.uploads.lifecycle import InvalidTransition, OnDisconnect, UploadState
from qmonus_lite.uploads.publish import DirectPublisher
from qmonus_lite.uploads.quota import Quota
from qmonus_lite.uploads.request import UploadRequest
from qmonus_lite.uploads.store import StoredFile, UploadStore
from tests.integration.disk.storage import file_store

PARTS = ("upload", "f")


class ActiveUploadsSetup:
    """What an upload needs of its APIGW, and what it made of it."""

    def __init__(self, store: UploadStore, threads: ThreadPoolExecutor) -> None:
        self.store = store
        #: Whether no worker handles the event.
        self.unhandled = True
        self.announced: list[UploadWithEvent] = []
        self.observed: list[Observation] = []
        registry = SimpleNamespace(has_no_handler_for=lambda _event: self.unhandled)
        self.completion = Completion(
            registry=cast(WorkerRegistry, registry),
            committer=self,
            publisher=DirectPublisher(store, threads=threads),
            own=lambda: OwnCredentials(minters=()),
            clock=Clock("UTC"),
            gateway="g1",
            store="file",
        )
        self.uploads = ActiveUploads(
            completion=self.completion,
            quota=Quota(max_bytes=1000),
            observers=Observers([(UploadStored, self.observed.append)]),
        )

    async def commit(self, upload: UploadWithEvent) -> StoredFile:
        self.announced.append(upload)
        return StoredFile(replaced=False, durable=True, location=upload.pending.location)

    async def session(
        self,
        name: str,
        headers: Mapping[str, str] | None = None,
        on_disconnect: OnDisconnect = OnDisconnect.ABORT,
    ) -> ActiveUpload:
        head = UploadRequest(
            raw_path="/upload/f",
            values={},
            params={},
            headers=Headers(headers or {}),
            length=None,
            on_disconnect=on_disconnect,
        )
        digests = Digests.read(head.headers)
        pending = await self.store.create(
            PARTS, upload_id=name, length=None, condition=head.condition, digests=digests
        )
        event: dict[str, Any] = {"path": "/upload/f"}
        accepted = AcceptedUpload(name, head, event, pending, self.uploads.quota, head.condition)
        return ActiveUpload(self.uploads, accepted, digests, self.uploads.now())


def disk_store(durability: bool) -> Callable[[Path, ThreadPoolExecutor], UploadStore]:
    def make(root: Path, threads: ThreadPoolExecutor) -> UploadStore:
        disk = Filesystem(sync_files=durability, sync_names=durability)
        root_dir = RootDir(root=root, protected=(), disk=disk)
        return file_store(root_dir, StagingDirs(disk, root, root, "0"), threads)

    return make


STORES: dict[str, Callable[[Path, ThreadPoolExecutor], UploadStore]] = {
    "file, full": disk_store(True),
    "file, none": disk_store(False),
    "memory": lambda _root, _threads: MemoryStore(),
}


class NoBytes:
    """A source that must not be read."""

    def read_into(self, buffer: memoryview) -> int:
        raise AssertionError


@pytest.fixture(params=STORES)
def setup(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[ActiveUploadsSetup]:
    with ThreadPoolExecutor(1) as threads:
        yield ActiveUploadsSetup(STORES[request.param](tmp_path, threads), threads)


@pytest.fixture
def memory() -> Iterator[ActiveUploadsSetup]:
    with ThreadPoolExecutor(1) as threads:
        yield ActiveUploadsSetup(MemoryStore(), threads)


def store_of(setup: ActiveUploadsSetup) -> MemoryStore:
    assert isinstance(setup.store, MemoryStore)
    return setup.store


async def test_an_upload_without_a_handler_is_stored_directly(setup: ActiveUploadsSetup) -> None:
    receipts = [await (await setup.session(name)).commit() for name in ("u1", "u2")]

    assert [receipt.status for receipt in receipts] == [201, 200]
    assert setup.announced == []


async def test_a_stored_upload_leaves_its_bytes_and_its_path_for_the_access_log(
    setup: ActiveUploadsSetup,
) -> None:
    session = await setup.session("u1")
    record = session._accepted.head.record
    await session.write(b"four")
    assert (record.bytes, record.stored_path) == (4, "")
    await session.commit()

    assert (record.bytes, record.stored_path) == (4, "/upload/f")


async def test_an_upload_with_a_handler_is_committed_with_its_event(
    setup: ActiveUploadsSetup,
) -> None:
    setup.unhandled = False
    await (await setup.session("u1")).commit()

    (upload,) = setup.announced
    assert (upload.event.id, upload.event.path) == ("u1", "/upload/f")
    assert upload.event.token == upload.pending.token


async def test_the_handlers_are_looked_up_when_the_path_is_free(setup: ActiveUploadsSetup) -> None:
    async with setup.completion.path_lock.at(PARTS):
        waiting = asyncio.create_task((await setup.session("u1")).commit())
        await asyncio.sleep(0.01)
        assert not waiting.done()
        # A plugin was dropped in.
        setup.unhandled = False
    await waiting

    assert [upload.event.id for upload in setup.announced] == ["u1"]


async def test_of_uploads_that_may_replace_nothing_one_is_stored(setup: ActiveUploadsSetup) -> None:
    sessions = [await setup.session(f"u{n}", {"If-None-Match": "*"}) for n in range(5)]
    ended = await asyncio.gather(*(each.commit() for each in sessions), return_exceptions=True)

    assert sum(not isinstance(end, BaseException) for end in ended) == 1


async def test_an_upload_passes_through_the_states_of_the_table(setup: ActiveUploadsSetup) -> None:
    session = await setup.session("u1")
    states = [session.state]
    await session.write(b"bytes")
    states.append(session.state)
    await session.commit()
    states.append(session.state)

    assert states == [UploadState.CREATED, UploadState.RECEIVING, UploadState.PUBLISHED]
    assert setup.uploads.under_way == set()
    await session.abort()
    assert session.state is UploadState.PUBLISHED
    with pytest.raises(InvalidTransition):
        await session.write(b"more")


async def test_an_upload_that_cannot_be_stored_can_be_aborted(setup: ActiveUploadsSetup) -> None:
    wrong = "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:"
    session = await setup.session("u1", {"Repr-Digest": wrong})
    await session.write(b"bytes")
    with pytest.raises(Unprocessable):
        await session.commit()

    refused = session.state
    await session.abort()
    assert [refused, session.state] == [UploadState.RECEIVING, UploadState.ABORTED]
    assert setup.uploads.under_way == set()


async def test_an_aborted_upload_takes_no_bytes_and_is_not_stored(
    setup: ActiveUploadsSetup,
) -> None:
    session = await setup.session("u1")
    await session.write(b"bytes")
    await session.disconnected()
    await session.write(b"more")

    assert await session.copy_from(NoBytes()) == 0
    with pytest.raises(Unavailable):
        await session.commit()
    assert setup.uploads.under_way == set()


async def test_an_upload_that_may_be_resumed_is_suspended_by_a_disconnect(
    setup: ActiveUploadsSetup,
) -> None:
    session = await setup.session("u1", on_disconnect=OnDisconnect.SUSPEND)
    await session.write(b"by")
    await session.disconnected()
    assert session.state is UploadState.SUSPENDED
    await session.write(b"tes")

    assert (await session.commit()).bytes == 5


async def test_more_bytes_than_the_limit_are_refused(setup: ActiveUploadsSetup) -> None:
    session = await setup.session("u1")
    await session.write(bytes(1000))

    with pytest.raises(TooLarge):
        await session.write(b"x")
    await session.abort()


async def test_a_stored_upload_is_observed(setup: ActiveUploadsSetup) -> None:
    session = await setup.session("u1")
    await session.write(b"bytes")
    await session.commit()

    (seen,) = setup.observed
    assert isinstance(seen, UploadStored)
    assert (seen.upload_id, seen.path, seen.length, seen.replaced) == ("u1", "/upload/f", 5, False)
    assert 0 <= seen.seconds < 60


@pytest.mark.parametrize("interruption", Interruption)
async def test_a_publication_in_doubt_is_neither_acknowledged_nor_aborted(
    memory: ActiveUploadsSetup, interruption: Interruption
) -> None:
    store_of(memory).interruption = interruption
    session = await memory.session("u1")
    await session.write(b"bytes")
    with pytest.raises(PublicationInDoubt):
        await session.commit()
    await session.abort()

    assert session.state is UploadState.IN_DOUBT
    assert memory.observed == [] and memory.uploads.under_way == set()
