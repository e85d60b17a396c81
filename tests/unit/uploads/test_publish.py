"""Storing: small files by the loop where nothing waits for a device, all others by the threads."""

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import pytest

from qmonus_lite.errors import Conflict, InternalFault, Unprocessable
from qmonus_lite.headers import Headers
from qmonus_lite.stores.file import store as file_store_module
from qmonus_lite.stores.file.filesystem import Filesystem
from qmonus_lite.stores.file.pending import FilePendingUpload as Upload
from qmonus_lite.stores.file.root_dir import RootDir
from qmonus_lite.stores.file.staging_dirs import StagingDirs
from qmonus_lite.stores.file.store import MAX_INLINE_BYTES
from qmonus_lite.uploads.digest import Digests
from qmonus_lite.uploads.keyed_lock import KeyedLock
from qmonus_lite.uploads.publish import DirectPublisher, ReceivedUpload
from qmonus_lite.uploads.store import UNCONDITIONAL
from tests.integration.disk.storage import file_store

T = TypeVar("T")


class Counted(ThreadPoolExecutor):
    """Threads that count what they were given."""

    def __init__(self) -> None:
        super().__init__(4)
        self.given = 0

    def submit(self, work: Callable[..., T], /, *given: object, **more: object) -> Future[T]:
        self.given += 1
        return super().submit(work, *given, **more)


@dataclass(kw_only=True)
class Slow(Filesystem):
    """A disk that takes its time."""

    seconds: float = 0.0

    def write(self, descriptor: int, data: memoryview) -> int:
        time.sleep(self.seconds)
        return super().write(descriptor, data)


@dataclass(kw_only=True)
class PublisherSetup:
    """A launch directory with its storer."""

    root: Path
    disk: Filesystem
    threads: Counted = field(default_factory=Counted)

    def __post_init__(self) -> None:
        (self.root / "staging").mkdir()
        root_dir = RootDir(root=self.root, protected=(self.root / "staging",), disk=self.disk)
        staging = StagingDirs(self.disk, self.root, self.root, "0")
        self.store = file_store(root_dir, staging, self.threads)
        self.publisher = DirectPublisher(self.store, threads=self.threads)
        self.locks = KeyedLock()

    async def upload(self, name: str, content: bytes, *parts: str, digest: str = "") -> Upload:
        headers = {"Content-MD5": digest} if digest else {}
        upload = await self.store.create(
            parts, upload_id=name, length=None, digests=Digests.read(Headers(headers))
        )
        upload.fill(content)
        return upload

    async def commit(self, upload: Upload) -> bool:
        """What a session does with it."""
        publisher = self.publisher
        if publisher.can_publish_inline(upload) and upload.where not in self.locks:
            return publisher.publish_inline(upload, UNCONDITIONAL).replaced
        async with self.locks.at(upload.where):
            return (await publisher.store(ReceivedUpload(pending=upload))).replaced

    def staged(self) -> list[str]:
        return os.listdir(self.root / "staging")


@pytest.fixture
def setup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PublisherSetup]:
    # So long that the disk under the tests is not slow.
    monkeypatch.setattr(file_store_module, "SLOW_SECONDS", 0.25)
    setup = PublisherSetup(root=tmp_path, disk=Slow(sync_files=False, sync_names=False))
    with setup.threads:
        yield setup


async def test_a_small_file_is_stored_without_a_thread(setup: PublisherSetup) -> None:
    assert not await setup.commit(await setup.upload("u1", b"one", "a", "b"))
    assert await setup.commit(await setup.upload("u2", b"two", "a", "b"))
    assert not await setup.commit(await setup.upload("u3", b"", "empty"))

    assert (setup.root / "a" / "b").read_bytes() == b"two"
    assert (setup.root / "empty").read_bytes() == b""
    assert setup.staged() == []
    assert setup.threads.given == 0


async def test_a_larger_one_is_the_threads(setup: PublisherSetup) -> None:
    await setup.commit(await setup.upload("u1", bytes(MAX_INLINE_BYTES + 1), "large"))

    assert (setup.root / "large").stat().st_size == MAX_INLINE_BYTES + 1
    assert setup.threads.given == 1


async def test_one_that_was_begun_is_the_threads(setup: PublisherSetup) -> None:
    begun = await setup.upload("u1", b"end", "begun")
    begun.staged.write(b"start, ")
    await setup.commit(begun)

    assert (setup.root / "begun").read_bytes() == b"start, end"
    assert setup.threads.given == 1


@pytest.mark.parametrize("disk", [Filesystem(sync_names=False), Filesystem()], ids=["file", "full"])
async def test_what_waits_for_a_device_is_the_threads(disk: Filesystem, tmp_path: Path) -> None:
    setup = PublisherSetup(root=tmp_path, disk=disk)
    with setup.threads:
        await setup.commit(await setup.upload("u1", b"one", "a"))

    assert (tmp_path / "a").read_bytes() == b"one"
    assert setup.threads.given == 1


async def test_after_a_slow_one_the_threads_take_over_for_a_while(
    setup: PublisherSetup, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(setup.disk, Slow)
    setup.disk.seconds = 2 * file_store_module.SLOW_SECONDS
    await setup.commit(await setup.upload("u1", b"one", "a"))
    assert setup.threads.given == 0

    await setup.commit(await setup.upload("u2", b"two", "b"))
    assert setup.threads.given == 1

    now = time.monotonic() + file_store_module.THREADS_ONLY_SECONDS
    monkeypatch.setattr(time, "monotonic", lambda: now)
    await setup.commit(await setup.upload("u3", b"three", "c"))
    assert setup.threads.given == 1


def test_knows_whether_the_thread_had_to_wait() -> None:
    before = file_store_module._voluntary_switches()
    time.sleep(0.001)

    assert file_store_module._voluntary_switches() > before


async def test_a_processor_that_others_use_is_no_slow_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A real disk may make a thread wait for a moment at any time.
    monkeypatch.setattr(file_store_module, "_voluntary_switches", lambda: 0)

    class Working(Filesystem):
        def write(self, descriptor: int, data: memoryview) -> int:
            began = time.monotonic()
            while time.monotonic() < began + 2 * file_store_module.SLOW_SECONDS:
                pass
            return super().write(descriptor, data)

    setup = PublisherSetup(root=tmp_path, disk=Working(sync_files=False, sync_names=False))
    with setup.threads:
        for number in range(3):
            await setup.commit(await setup.upload(f"u{number}", b"one", "a"))

    assert setup.threads.given == 0


async def test_one_at_a_time_at_a_path_and_the_loop_waits_for_the_threads(
    setup: PublisherSetup,
) -> None:
    assert isinstance(setup.disk, Slow)
    setup.disk.seconds = 0.05
    large = asyncio.create_task(
        setup.commit(await setup.upload("u1", bytes(MAX_INLINE_BYTES + 1), "a"))
    )
    await asyncio.sleep(0)
    small = asyncio.create_task(setup.commit(await setup.upload("u2", b"small", "a")))

    assert [await large, await small] == [False, True]
    assert (setup.root / "a").read_bytes() == b"small"


async def test_what_is_in_the_way_is_told(setup: PublisherSetup) -> None:
    (setup.root / "folder").mkdir()
    with pytest.raises(Conflict):
        await setup.commit(await setup.upload("u1", b"one", "folder"))


async def test_a_wrong_digest_never_appears(setup: PublisherSetup) -> None:
    with pytest.raises(Unprocessable):
        await setup.commit(await setup.upload("u1", b"one", "a", digest="1B2M2Y8AsgTpgAmY7PhCfg=="))

    assert not (setup.root / "a").exists()


async def test_acknowledges_nothing_that_broke_off_on_its_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup = PublisherSetup(root=tmp_path, disk=Filesystem())

    def broken(*_: object) -> None:
        raise RuntimeError("nobody expected this")

    monkeypatch.setattr(file_store_module, "DirectorySync", broken)
    with setup.threads, pytest.raises(InternalFault):
        await setup.commit(await setup.upload("u1", b"one", "a"))
