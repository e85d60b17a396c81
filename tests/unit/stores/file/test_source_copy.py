"""Copies from a source into a staged file."""

import asyncio
import os
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from qmonus_lite.errors import InsufficientStorage
from qmonus_lite.http.socket_source import CountedSource, SocketSource
from qmonus_lite.stores.file.filesystem import Filesystem, StrPath
from qmonus_lite.stores.file.source_copy import BUFFER_BYTES, MAX_CONCURRENT_COPIES, SourceCopier
from qmonus_lite.stores.file.staged_file import StagedFile


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Our end, which does not block, and the client's."""
    ours, client = socket.socketpair()
    ours.setblocking(False)
    with ours, client:
        yield ours, client


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as threads:
        yield threads


Pair = tuple[socket.socket, socket.socket]


async def test_takes_what_is_there_and_waits_for_no_more(
    pair: Pair, threads: ThreadPoolExecutor, tmp_path: Path
) -> None:
    ours, client = pair
    staged = StagedFile(path=tmp_path / "s", disk=Filesystem())
    intake = SourceCopier(threads)
    client.sendall(b"one ")
    assert await intake.copy_slice(SocketSource(ours), staged) == 4
    assert await intake.copy_slice(SocketSource(ours), staged) == 0
    client.sendall(b"two, and the next request")
    assert await intake.copy_slice(CountedSource(SocketSource(ours), 3), staged) == 3

    staged.finish()
    assert Path(staged.path).read_bytes() == b"one two"
    assert ours.recv(100) == b", and the next request"


async def test_takes_more_than_a_buffer(
    pair: Pair, threads: ThreadPoolExecutor, tmp_path: Path
) -> None:
    ours, client = pair
    content = os.urandom(3 * BUFFER_BYTES + 5)
    staged = StagedFile(path=tmp_path / "s", disk=Filesystem())
    sending = asyncio.get_running_loop().run_in_executor(threads, client.sendall, content)
    intake, came = SourceCopier(threads), 0
    while came < len(content):
        came += await intake.copy_slice(SocketSource(ours), staged)
    await sending

    staged.finish()
    assert Path(staged.path).read_bytes() == content


@pytest.mark.parametrize("end", ["closed", "reset"])
async def test_leaves_a_client_that_went_to_the_next_reader(
    threads: ThreadPoolExecutor, tmp_path: Path, end: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        ours, _ = server.accept()
    with ours:
        ours.setblocking(False)
        if end == "reset":
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.close()
        await asyncio.sleep(0.05)
        staged = StagedFile(path=tmp_path / "s", disk=Filesystem())

        assert await SourceCopier(threads).copy_slice(SocketSource(ours), staged) == 0


class FullDisk(Filesystem):
    """A disk whose new files are all full."""

    def create(self, path: StrPath, mode: int) -> int:
        return os.open("/dev/full", os.O_WRONLY | os.O_CLOEXEC)


async def test_a_full_disk_ends_it(pair: Pair, threads: ThreadPoolExecutor, tmp_path: Path) -> None:
    ours, client = pair
    client.sendall(b"x")
    staged = StagedFile(path=tmp_path / "s", disk=FullDisk())

    with pytest.raises(InsufficientStorage):
        await SourceCopier(threads).copy_slice(SocketSource(ours), staged)
    staged.discard()


async def test_many_take_turns_with_few_buffers(
    threads: ThreadPoolExecutor, tmp_path: Path
) -> None:
    intake = SourceCopier(threads)

    async def receive(number: int) -> int:
        ours, client = socket.socketpair()
        ours.setblocking(False)
        with ours, client:
            client.sendall(b"x" * number)
            staged = StagedFile(path=tmp_path / str(number), disk=Filesystem())
            came = await intake.copy_slice(SocketSource(ours), staged)
            staged.discard()
            return came

    assert await asyncio.gather(*map(receive, range(1, 60))) == list(range(1, 60))
    assert len(intake._buffers) <= MAX_CONCURRENT_COPIES


async def test_a_cancelled_copy_ends_when_its_thread_does(
    threads: ThreadPoolExecutor, tmp_path: Path
) -> None:
    begun, go_on = threading.Event(), threading.Event()

    class SlowSource:
        def read_into(self, buffer: memoryview) -> int:
            if begun.is_set():
                return 0
            begun.set()
            go_on.wait(10)
            buffer[:4] = b"late"
            return 4

    staged = StagedFile(path=tmp_path / "s", disk=Filesystem())
    copying = asyncio.create_task(SourceCopier(threads).copy_slice(SlowSource(), staged))
    await asyncio.to_thread(begun.wait, 10)
    for _ in range(3):
        copying.cancel()
        await asyncio.sleep(0.01)
        assert not copying.done()
    go_on.set()

    with pytest.raises(asyncio.CancelledError):
        await copying
    staged.finish()
    assert Path(staged.path).read_bytes() == b"late"
