"""IPC between an APIGW and the writer process: pickled frames over a Unix domain socket.

A frame is its length (4 bytes, big endian) and a pickle of the values that were sent in one
iteration of the event loop. Unpickling is safe here: both ends are processes of one user, one
installation and one version, and the socket is in the data directory, which is theirs alone.
"""

import asyncio
import contextlib
import os
import pickle
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

from qmonus_lite.errors import BadPlace

#: File name of the socket in the data directory.
SOCKET = "keeper.sock"
#: Bytes of the length prefix of a frame.
_LENGTH = 4


class Frames(asyncio.Protocol):
    """One end of the connection: length-prefixed framing of pickled values."""

    def __init__(self, take: Callable[[Any], None], lost: Callable[[], None]) -> None:
        self._take = take
        self._lost = lost
        self._buffer = bytearray()
        #: Values to send at the end of this iteration of the event loop.
        self._leaving: list[object] = []
        self._transport: asyncio.Transport | None = None

    def send(self, value: object) -> None:
        """Send a value; dropped if the connection is lost, which `lost` reports."""
        if self._transport is not None:
            if not self._leaving:
                asyncio.get_running_loop().call_soon(self._flush)
            self._leaving.append(value)

    def _flush(self) -> None:
        leaving, self._leaving = self._leaving, []
        if leaving and self._transport is not None:
            frame = pickle.dumps(leaving, protocol=5)
            self._transport.write(len(frame).to_bytes(_LENGTH, "big") + frame)

    def close(self) -> None:
        """Flush and close the connection."""
        self._flush()
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Store the transport."""
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, error: Exception | None) -> None:
        """Report the disconnect to `lost`."""
        self._transport = None
        self._lost()

    def data_received(self, data: bytes) -> None:
        """Decode complete frames and pass their values to `take`."""
        self._buffer += data
        start = 0
        while (begin := start + _LENGTH) <= len(self._buffer):
            end = begin + int.from_bytes(self._buffer[start:begin], "big")
            if end > len(self._buffer):
                break
            values = pickle.loads(memoryview(self._buffer)[begin:end])
            start = end
            for value in values:
                self._take(value)
        del self._buffer[:start]


@contextlib.contextmanager
def reachable(data_dir: Path) -> Iterator[str]:
    """A short path of the socket, independent of the length of the directory's path.

    The address of a Unix domain socket has at most 108 bytes (`sun_path`).
    """
    directory = os.open(data_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{SOCKET}"
    finally:
        os.close(directory)


def listening(data_dir: Path) -> socket.socket:
    """The listening socket of the writer process; replaces a stale socket file.

    The caller holds the lock of the data directory. Raises BadPlace.
    """
    one = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        (data_dir / SOCKET).unlink(missing_ok=True)
        with reachable(data_dir) as address:
            one.bind(address)
    except OSError as error:
        one.close()
        raise BadPlace(
            f"--data_dir={data_dir}: no socket can be made here: {error.strerror};"
            " choose a directory on a local file system, or --apigw_processes=1"
        ) from None
    one.listen()
    return one


def connected(data_dir: Path) -> socket.socket:
    """A connection to the writer process; raises OSError if it does not listen."""
    one = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with reachable(data_dir) as address:
            one.connect(address)
    except OSError:
        one.close()
        raise
    one.setblocking(False)
    return one
