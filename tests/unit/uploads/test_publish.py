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
from qmonus_lite.uploads import publish
from qmonus_lite.uploads.digest import Digests
from qmonus_lite.uploads.filesystem import Filesystem
from qmonus_lite.uploads.publish import MAX_INLINE_BYTES, DirectPublisher, KeyedLock, ReceivedUpload
from qmonus_lite.uploads.root_dir import RootDir
from qmonus_lite.uploads.staging import StagedFile
from qmonus_lite.uploads.staging_dirs import StagingDirs

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
class Place:
    """A launch directory with its storer."""

    root: Path
    disk: Filesystem
    threads: Counted = field(default_factory=Counted)

    def __post_init__(self) -> None:
        (self.root / "staging").mkdir()
        root_dir = RootDir(root=self.root, protected=(self.root / "staging",), disk=self.disk)
        staging = StagingDirs(self.disk, self.root, self.root)
        self.publisher = DirectPublisher(root_dir, staging, threads=self.threads)
        self.turns = KeyedLock()

    def upload(self, name: str, content: bytes, *parts: str, digest: str = "") -> ReceivedUpload:
        headers = {"Content-MD5": digest} if digest else {}
        staged = StagedFile(
            path=self.root / "staging" / name,
            disk=self.disk,
            digests=Digests.read(Headers(headers)),
        )
        return ReceivedUpload(staged=staged, unwritten=content, parts=parts)

    async def commit(self, upload: ReceivedUpload) -> bool:
        """What a session does with it."""
        if self.publisher.can_publish_inline(upload) and upload.parts not in self.turns:
            return self.publisher.publish_inline(upload)
        async with self.turns.at(upload.parts):
            return await self.publisher.store(upload)

    def staged(self) -> list[str]:
        return os.listdir(self.root / "staging")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    # So long that the disk under the tests is not slow.
    monkeypatch.setattr(publish, "SLOW_SECONDS", 0.25)
    one = Place(root=tmp_path, disk=Slow(sync_files=False, sync_names=False))
    with one.threads:
        yield one


async def test_a_small_file_is_stored_without_a_thread(place: Place) -> None:
    assert not await place.commit(place.upload("u1", b"one", "a", "b"))
    assert await place.commit(place.upload("u2", b"two", "a", "b"))
    assert not await place.commit(place.upload("u3", b"", "empty"))

    assert (place.root / "a" / "b").read_bytes() == b"two"
    assert (place.root / "empty").read_bytes() == b""
    assert place.staged() == []
    assert place.threads.given == 0


async def test_a_larger_one_and_one_that_was_begun_are_the_threads(place: Place) -> None:
    await place.commit(place.upload("u1", bytes(MAX_INLINE_BYTES + 1), "large"))
    begun = place.upload("u2", b"end", "begun")
    begun.staged.write(b"start, ")
    await place.commit(begun)

    assert (place.root / "large").stat().st_size == MAX_INLINE_BYTES + 1
    assert (place.root / "begun").read_bytes() == b"start, end"
    assert place.threads.given == 2


@pytest.mark.parametrize("disk", [Filesystem(sync_names=False), Filesystem()], ids=["file", "full"])
async def test_what_waits_for_a_device_is_the_threads(disk: Filesystem, tmp_path: Path) -> None:
    place = Place(root=tmp_path, disk=disk)
    with place.threads:
        await place.commit(place.upload("u1", b"one", "a"))

    assert (tmp_path / "a").read_bytes() == b"one"
    assert place.threads.given == 1


async def test_after_a_slow_one_the_threads_take_over_for_a_while(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(place.disk, Slow)
    place.disk.seconds = 2 * publish.SLOW_SECONDS
    await place.commit(place.upload("u1", b"one", "a"))
    assert place.threads.given == 0

    await place.commit(place.upload("u2", b"two", "b"))
    assert place.threads.given == 1

    now = time.monotonic() + publish.THREADS_ONLY_SECONDS
    monkeypatch.setattr(time, "monotonic", lambda: now)
    await place.commit(place.upload("u3", b"three", "c"))
    assert place.threads.given == 1


def test_knows_whether_the_thread_had_to_wait() -> None:
    before = publish._voluntary_switches()
    time.sleep(0.001)

    assert publish._voluntary_switches() > before


async def test_a_processor_that_others_use_is_no_slow_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A real disk may make a thread wait for a moment at any time.
    monkeypatch.setattr(publish, "_voluntary_switches", lambda: 0)

    class Working(Filesystem):
        def write(self, descriptor: int, data: memoryview) -> int:
            began = time.monotonic()
            while time.monotonic() < began + 2 * publish.SLOW_SECONDS:
                pass
            return super().write(descriptor, data)

    place = Place(root=tmp_path, disk=Working(sync_files=False, sync_names=False))
    with place.threads:
        for number in range(3):
            await place.commit(place.upload(f"u{number}", b"one", "a"))

    assert place.threads.given == 0


async def test_one_at_a_time_at_a_path_and_the_loop_waits_for_the_threads(place: Place) -> None:
    assert isinstance(place.disk, Slow)
    place.disk.seconds = 0.05
    large = asyncio.create_task(place.commit(place.upload("u1", bytes(MAX_INLINE_BYTES + 1), "a")))
    await asyncio.sleep(0)
    small = asyncio.create_task(place.commit(place.upload("u2", b"small", "a")))

    assert [await large, await small] == [False, True]
    assert (place.root / "a").read_bytes() == b"small"


async def test_what_is_in_the_way_is_told(place: Place) -> None:
    (place.root / "folder").mkdir()
    with pytest.raises(Conflict):
        await place.commit(place.upload("u1", b"one", "folder"))


async def test_a_wrong_digest_never_appears(place: Place) -> None:
    with pytest.raises(Unprocessable):
        await place.commit(place.upload("u1", b"one", "a", digest="1B2M2Y8AsgTpgAmY7PhCfg=="))

    assert not (place.root / "a").exists()


async def test_acknowledges_nothing_that_broke_off_on_its_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place(root=tmp_path, disk=Filesystem())

    def broken(*_: object) -> None:
        raise RuntimeError("nobody expected this")

    monkeypatch.setattr(publish, "DirectorySync", broken)
    with place.threads, pytest.raises(InternalFault):
        await place.commit(place.upload("u1", b"one", "a"))


async def test_a_turn_is_taken_one_after_the_other_and_given_up_by_who_leaves() -> None:
    turns, order = KeyedLock(), []

    async def take(name: str) -> None:
        async with turns.at(("a",)):
            order.append(name)
            await asyncio.sleep(0.01)

    first, second, third = (asyncio.create_task(take(name)) for name in ("1", "2", "3"))
    await asyncio.sleep(0)
    assert ("a",) in turns and ("b",) not in turns
    second.cancel()
    await asyncio.gather(first, second, third, return_exceptions=True)

    assert order == ["1", "3"]
    assert ("a",) not in turns
