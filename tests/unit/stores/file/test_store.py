"""The file store: the contract of all stores, and what is its own."""

import os
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from qmonus_lite.errors import InsufficientStorage, InternalFault
from qmonus_lite.http.socket_source import CountedSource, SocketSource
from qmonus_lite.stores.file.filesystem import UNFIT, Filesystem
from qmonus_lite.stores.file.pending import WRITE_BATCH_BYTES, PendingContext
from qmonus_lite.stores.file.reservation import SpaceReservations
from qmonus_lite.stores.file.root_dir import RootDir
from qmonus_lite.stores.file.source_copy import SourceCopier
from qmonus_lite.stores.file.staging_dirs import StagingDirs
from qmonus_lite.stores.file.store import FileStore
from qmonus_lite.uploads.store import PublicationState, StoredPath, UploadStore
from tests.integration.disk.storage import file_store
from tests.unit.stores.contract import A, UploadStoreContract


@dataclass(kw_only=True)
class BrokenDisk(Filesystem):
    """A disk whose fsyncs fail while `broken` is set."""

    broken: bool = False

    def sync_file(self, descriptor: int) -> None:
        if self.broken:
            raise OSError(5, os.strerror(5))
        super().sync_file(descriptor)


def make_store(root: Path, disk: Filesystem, threads: ThreadPoolExecutor) -> FileStore:
    data_dir = root / ".data"
    data_dir.mkdir(exist_ok=True)
    root_dir = RootDir(root=root, protected=(data_dir,), disk=disk)
    return file_store(root_dir, StagingDirs(disk, data_dir, root, "0"), threads)


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as threads:
        yield threads


@pytest.fixture
def disk() -> BrokenDisk:
    return BrokenDisk()


@pytest.fixture
def store(tmp_path: Path, disk: BrokenDisk, threads: ThreadPoolExecutor) -> FileStore:
    return make_store(tmp_path, disk, threads)


class TestContract(UploadStoreContract):
    """The contract, with every fsync."""

    def content(self, store: UploadStore, where: StoredPath) -> bytes | None:
        path = Path(store.location(where))
        return path.read_bytes() if path.exists() else None


class TestContractWithoutFsync(TestContract):
    """The contract with `--upload_durability=none`."""

    @pytest.fixture
    def disk(self) -> BrokenDisk:
        return BrokenDisk(sync_files=False, sync_names=False)


async def test_a_token_names_its_files_relative_to_directories_that_can_be_moved(
    tmp_path: Path, threads: ThreadPoolExecutor
) -> None:
    before = tmp_path / "before"
    before.mkdir()
    upload = await make_store(before, Filesystem(), threads).create(A, upload_id="u1", length=1)
    await upload.append(b"x")
    await upload.flush()
    before.rename(tmp_path / "after")
    moved = make_store(tmp_path / "after", Filesystem(), threads)

    assert upload.token == "data:staging/u1//upload/a"
    assert moved.outcome(upload.token) is PublicationState.NOT_PUBLISHED
    (tmp_path / "after" / ".data" / "staging" / "u1").unlink()
    assert moved.outcome(upload.token) is PublicationState.PUBLISHED


def test_a_token_of_an_older_version_is_an_absolute_path(store: FileStore, tmp_path: Path) -> None:
    staged = tmp_path / ".data" / "staging" / "u1"
    token = f"{staged}//upload/a"
    assert store.outcome(token) is PublicationState.PUBLISHED
    staged.touch()
    assert store.outcome(token) is PublicationState.NOT_PUBLISHED
    (tmp_path / "upload").mkdir()
    os.link(staged, tmp_path / "upload" / "a")

    assert store.outcome(token) is PublicationState.PUBLISHED


def test_a_missing_staging_directory_proves_nothing(store: FileStore, tmp_path: Path) -> None:
    (tmp_path / ".data" / "staging").rmdir()

    assert store.outcome("data:staging/u1//upload/a") is PublicationState.UNKNOWN


async def test_bytes_are_written_in_batches(store: FileStore) -> None:
    upload = await store.create(A, upload_id="u1", length=None)
    await upload.append(bytes(WRITE_BATCH_BYTES - 1))
    assert not upload.begun
    await upload.append(b"x")

    assert upload.begun and upload.buffered == 0
    await upload.abort()


async def test_bytes_of_a_socket_follow_those_that_were_appended(
    store: FileStore, tmp_path: Path
) -> None:
    own, client = socket.socketpair()
    own.setblocking(False)
    upload = await store.create(A, upload_id="u1", length=9)
    with own, client:
        client.sendall(b"two, three")
        await upload.append(b"one ")
        assert await upload.copy_from(CountedSource(SocketSource(own), 5)) == 5
    assert upload.received == 9
    await upload.flush()
    store.seal([upload], recorded=True)

    assert (tmp_path / ".data" / "staging" / "u1").read_bytes() == b"one two, "


async def test_space_is_reserved_until_an_upload_ends(
    tmp_path: Path, threads: ThreadPoolExecutor
) -> None:
    class SmallDisk(Filesystem):
        def free(self, directory: Path) -> int:
            return 100

    disk = SmallDisk()
    space = SpaceReservations(disk, min_free_bytes=0)
    staging = StagingDirs(disk, tmp_path, tmp_path, "0")
    root_dir = RootDir(root=tmp_path, protected=(), disk=disk)
    context = PendingContext(
        threads=threads, copier=SourceCopier(threads), root_dir=root_dir, staging=staging
    )
    store = FileStore(root_dir, space, context)
    first = await store.create(A, upload_id="u1", length=60)
    with pytest.raises(InsufficientStorage):
        await store.create(A, upload_id="u2", length=60)
    first.done()
    second = await store.create(A, upload_id="u2", length=60)
    await second.abort()

    assert (await store.create(A, upload_id="u3", length=100)).received == 0


async def test_a_failed_fsync_of_a_flush_fails_the_upload(
    store: FileStore, disk: BrokenDisk
) -> None:
    upload = await store.create(A, upload_id="u1", length=None)
    await upload.append(b"x")
    disk.broken = True
    with pytest.raises(InternalFault):
        await upload.flush()
    disk.broken = False

    assert upload.durable == 0
    # Linux reports such an error only once.
    assert isinstance(store.seal([upload], recorded=True).errors[0], InternalFault)


async def test_a_disk_that_fails_makes_the_store_unhealthy(
    store: FileStore, disk: BrokenDisk
) -> None:
    disk.broken = True
    for number in range(3):
        upload = await store.create(A, upload_id=f"u{number}", length=None)
        store.seal([upload], recorded=True)

    assert store.unhealthy_reason == UNFIT
